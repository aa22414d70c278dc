"""Specialise a graph for the shapes that are fed: every type becomes concrete.

Shape repairs vanish or become a sum or a reshape; sizes become numbers, and integer arithmetic on
them is evaluated, so that a shape computed from other shapes becomes a plain shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from symad.errors import EvaluationError, SymadError
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, Parameter, infer_type, reporting
from symad.graph.op import Op
from symad.ops.base import register
from symad.ops.body import WithBody
from symad.types import TensorType, Type

_FOLDED_SIZE = 64
"""The most elements in integers that are folded: those of shapes, axes and indices."""


@register
def specialise(graph: Graph, types: Sequence[Type]) -> Graph:
    """Return ``graph`` for inputs of concrete ``types``.

    Parameters
    ----------
    graph : Graph
    types : sequence of Type
        One for each input.

    Raises
    ------
    ShapeError
        If the shapes do not match; the message names op, types and the user's line.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> gradient = sm.gradients(x * y, x)
    >>> scalar = sm.TensorType(np.dtype("float64"), ())
    >>> print(specialise(sm.Graph([gradient], [x, y]), [scalar, scalar]))
    graph(%0: f64[] "x", %1: f64[] "y")
      %2: f64[] = constant 1.0
      %3: f64[] = multiply(%2, %1)
      return %3
    """
    fed: dict[Node, Node] = {}
    for node, type_ in zip(graph.inputs, types, strict=True):
        if node.type == type_ or isinstance(node, Parameter):
            continue
        fed[node] = Node(None, (), type_, node.label, node)
    if not fed and not any(map(_may_change, graph.kinds)):
        kinds = {id(node.type): node for node in graph.nodes if node.op is not None}
        if not any(map(_is_integer, kinds.values())):
            return graph
    return rebuild(graph, _specialise_node, fed)


def _may_change(kind: type[Op]) -> bool:
    """Return whether ops of a class may change although their inputs do not."""
    return kind.specialise is not Op.specialise or issubclass(kind, WithBody)


def _is_integer(node: Node) -> bool:
    """Return whether a node computes integers."""
    type_ = node.type
    return node.op is not None and isinstance(type_, TensorType) and type_.dtype.kind in "iu"


def _specialise_node(node: Node, inputs: tuple[Node, ...]) -> Node:
    op = node.op
    assert op is not None
    if isinstance(op, WithBody):
        return _specialise_body(node, op, inputs)
    simpler = None if type(op).specialise is Op.specialise else _simpler(node, op, inputs)
    return _fold_integers(replace_inputs(node, inputs) if simpler is None else simpler)


def _simpler(node: Node, op: Op, inputs: tuple[Node, ...]) -> Node | None:
    """Return what an op makes of inputs whose shapes are known."""
    try:
        with reporting(op.name, *inputs):
            return op.specialise(*inputs)
    except SymadError:
        infer_type(op, inputs)  # raises the same error with the types of all inputs
        raise
    except MemoryError as error:
        what = f"{op.name} failed: {type(error).__name__}: {error}"
        raise EvaluationError(what, where=node.site.describe()) from error


def _specialise_body(node: Node, op: WithBody, inputs: tuple[Node, ...]) -> Node:
    types = op.body_types(*[source.type for source in inputs])
    bodies = [specialise(body, types) for body in op.bodies]
    with reporting(op.name, *inputs):
        new = op.with_bodies(*bodies).for_inputs(*inputs)
    return Node(new, inputs, infer_type(new, inputs), node.name)


def _fold_integers(node: Node) -> Node:
    """Return a small integer computed from constants as a constant."""
    if node.op is None or not isinstance(node.type, TensorType) or not _is_integer(node):
        return node
    sources = [source.value for source in node.inputs if isinstance(source, Constant)]
    sizes = [value.size for value in sources]
    if len(sources) != len(node.inputs) or sum(sizes) + _size(node.type) > _FOLDED_SIZE:
        return node
    try:
        with np.errstate(all="ignore"):
            return Constant(node.op.kernel()(*[value[()] for value in sources]), node.type.dtype)
    except Exception as error:
        raise EvaluationError(
            f"{node.op.name} failed: {error}", where=node.site.describe()
        ) from error


def _size(type_: TensorType) -> float:
    """Return the number of elements, infinite if it is not known."""
    return math.prod(type_.shape) if type_.is_static else math.inf  # type: ignore[arg-type]
