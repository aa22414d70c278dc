"""Sparse Jacobians and Hessians: the pattern, few products, and the matrix assembled from them.

A sparse derivative is a node whose op holds two linear graphs, s ↦ J s and g ↦ Jᵀ g.  When shapes
are known, one of them gives the pattern of J; columns are coloured; the graphs are mapped over the
sums of the unit vectors of each colour; and one gather puts the elements in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symad.autodiff.activity import output_leaves, target_leaves
from symad.autodiff.colouring import Allowed, Array, compress
from symad.autodiff.forward import pushforward_of_unit
from symad.autodiff.pattern import Sparsity
from symad.autodiff.reverse import gradients, pullback_of_unit
from symad.errors import GradientError, GraphTypeError, ShapeError
from symad.graph.dependence import KnownValues, dependence
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.index_sets import IndexSets
from symad.graph.nested import map_leaves
from symad.graph.node import Constant, Node, apply
from symad.graph.op import call, explained
from symad.graph.operators import FUNCTIONS
from symad.graph.provenance import isolated, tracing
from symad.graph.traverse import topological_order
from symad.ops.adjoint import cast, reshape_like
from symad.ops.base import tensor_types
from symad.ops.batching import shape_of
from symad.ops.body import WithBody, close_over, inline
from symad.ops.control import Call, Map, map_over
from symad.ops.sparse import AssembleCsr, SparseValue
from symad.records import dataclass
from symad.types import (
    Dimension,
    SparseType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    compatible_shapes,
)

_MOST_CONSTANT = 1 << 24
"""Up to this size, seeds are constants, which is faster; larger ones are computed when needed."""

_Derive = Callable[[Node, Node, Node], Node]


def sparse_jacobian(y: Node, xs: Any, mode: str | None = None) -> Any:
    """Return the Jacobian of ``y`` for each x, as the node of a sparse matrix.

    Its rows are the elements of ``y``, its columns those of x, both in C order.  Without a mode,
    whichever products are fewer are computed.
    """
    if mode not in (None, "reverse", "forward"):
        raise GradientError(f'mode is {mode!r}; it must be "reverse" or "forward"')
    return map_leaves(lambda x: _jacobian(y, x, mode), xs)


def _jacobian(y: Node, x: Node, mode: str | None) -> Node:
    _check(y, x)
    mode = mode or _mode_of_rules(y, x)
    forward, pushed = (None, []) if mode == "reverse" else _linear(y, x, pushforward_of_unit)
    reverse, pulled = (None, []) if mode == "forward" else _linear(x, y, _pullback)
    return apply(SparseJacobian(forward, reverse), x, y, *pushed, *pulled)


def sparse_hessian(y: Node, xs: Any) -> Any:
    """Return the Hessian of ``y`` for each x, as the node of a sparse matrix."""

    def hessian(x: Node) -> Node:
        _check(y, x)
        slope = gradients(y, x)
        if _mode_of_rules(y, x) is not None:  # the user's rules need not make it symmetric
            return _jacobian(slope, x, None)
        graph, captured = _linear(slope, x, pushforward_of_unit)
        return apply(SparseJacobian(graph, graph), x, slope, *captured)

    return map_leaves(hessian, xs)


def _check(y: Node, x: Node) -> None:
    if output_leaves(y) != [y] or target_leaves(x) != [x] or not isinstance(x.type, TensorType):
        raise GraphTypeError(
            "a sparse derivative is that of an array by an array, not of a structure",
            remedy="Take the items of the structure one by one.",
        )


def _mode_of_rules(y: Node, x: Node) -> str | None:
    """Return the only mode that uses all rules of the user's own, ``None`` if both modes do."""
    modes = set()
    pending = topological_order([y], stop={x})
    while pending:
        op = pending.pop().op
        if isinstance(op, Call) and (op.reverse_rule is None) != (op.forward_rule is None):
            modes.add("reverse" if op.forward_rule is None else "forward")
        elif isinstance(op, WithBody):
            pending += [node for body in op.bodies for node in body.nodes]
    return None if not modes else "forward" if modes == {"forward"} else "reverse"


def _pullback(x: Node, y: Node, seed: Node) -> Node:
    return pullback_of_unit(y, x, seed)


@isolated
def _linear(result: Node, source: Node, derive: _Derive) -> tuple[Graph, list[Node]]:
    """Return a flat derivative of ``result`` as a graph of a flat seed and of captured nodes."""
    seed = Node(None, (), TensorType(source.dtype, (_size(source.type),)), "seed")
    with tracing() as made:
        derivative = derive(result, source, reshape_like(seed, source))
        flat = call("reshape", derivative, (-1,))
    return close_over([flat], [seed], made)


def _size(type_: Type) -> Dimension:
    (tensor,) = tensor_types(type_)
    if tensor.is_static:
        return tensor.size
    has_one_axis = isinstance(tensor.shape, tuple) and len(tensor.shape) == 1
    return tensor.shape[0] if has_one_axis else UnknownDim()  # type: ignore[index]


def _of_unknown_shapes(*arrays: Any) -> Any:
    raise ShapeError(
        "the pattern of a sparse derivative depends on sizes that are known only when it runs",
        remedy="Declare all shapes, or leave out sparse=True.",
    )


class SparseJacobian(SparseValue):
    """The sparse Jacobian of ``y`` by x, which becomes few products as soon as shapes are known.

    The inputs are x and ``y``, for their shapes, and the captured nodes of each graph.

    Attributes
    ----------
    push, pull : Graph or None
        s ↦ J s and g ↦ Jᵀ g, both flat: graphs of s or g, and of captured nodes.  It is the same
        graph if J is symmetric, and ``None`` if products in that mode must not be used.
    """

    push: Graph | None
    pull: Graph | None

    text = "sparse_jacobian({1}, {0})"
    numpy = staticmethod(_of_unknown_shapes)

    @property
    def is_symmetric(self) -> bool:
        """Whether the matrix is known to be symmetric."""
        return self.push is self.pull

    def attributes(self) -> dict[str, Any]:
        return {}

    def infer(self, *types: Any) -> Type:
        x, y = tensor_types(*types[:2])
        return SparseType(np.result_type(x.dtype, y.dtype), (_size(y), _size(x)), UnknownDim())

    def reads(self, slot: int) -> bool:
        return slot > 1

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        return 0, 0  # it becomes other ops before anything is computed

    def differentiable(self, slot: int) -> bool:
        return False

    def captured(self, inputs: Sequence[Node]) -> tuple[Sequence[Node], Sequence[Node]]:
        """Return the nodes captured by the two graphs."""
        if self.is_symmetric:
            return inputs[2:], inputs[2:]
        split = 2 if self.push is None else 1 + len(self.push.inputs)
        return inputs[2:split], inputs[split:]

    def times(self, matrix: Node, x: Node) -> Node:
        if self.push is None:
            raise GradientError(
                "the product needs the mode that mode= excludes", remedy="Leave mode= out."
            )
        graph = self.push
        source, captured = matrix.inputs[0], self.captured(matrix.inputs)[0]

        def column(vector: Node) -> Node:
            fitting = reshape_like(cast(vector, source.dtype), call("reshape", source, (-1,)))
            (product,) = inline(graph, [fitting, *captured])
            return product

        (type_,) = tensor_types(x.type)
        columns = matrix.shape[1]
        if isinstance(type_.shape, UnknownShape) or len(type_.shape) not in (1, 2):
            raise ShapeError("a sparse derivative is multiplied by a vector or a matrix")
        if not compatible_shapes((columns,), type_.shape[:1]):
            raise ShapeError(f"{columns} columns are multiplied by {type_.shape[0]} elements")
        if len(type_.shape) == 1:
            return column(x)
        rows: Node = map_over(column, [x.T])
        return rows.T

    def transposed(self, matrix: Node) -> Node:
        if self.is_symmetric:
            return matrix
        (x, y), (pushed, pulled) = matrix.inputs[:2], self.captured(matrix.inputs)
        return apply(SparseJacobian(self.pull, self.push), y, x, *pulled, *pushed)

    def specialise(self, *inputs: Node) -> Node | None:
        found = self.of_static(inputs)
        return None if found is None else found.matrix()

    def of_static(self, inputs: Sequence[Node]) -> StaticJacobian | None:
        """Return the Jacobian if the shapes of x and ``y`` are known, else ``None``.

        What loops save may have any number of rows.
        """
        if not all(node.type.is_static for node in inputs[:2]):
            return None
        pushed, pulled = self.captured(inputs)
        push = _specialised(self.push, inputs[0], pushed)
        pull = push if self.is_symmetric else _specialised(self.pull, inputs[1], pulled)
        n, m = (math.prod(shape_of(node)) for node in inputs[:2])
        return StaticJacobian(push, pull, (m, n), np.result_type(inputs[0].dtype, inputs[1].dtype))


SparseJacobian.name = "sparse_jacobian"  # not in the op table, since it never runs


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """A linear function of a flat vector, of static type.

    Attributes
    ----------
    graph : Graph
        Its inputs are the vector and placeholders for the captured nodes.
    captured : sequence of Node
    """

    graph: Graph
    captured: Sequence[Node]

    def of_groups(self, groups: Array) -> Node:
        """Return, as rows, the results for the sums of unit vectors with the same group number."""
        numbers = np.arange(groups.max() + 1, dtype=np.int32)[:, None]
        dtype = self.graph.inputs[0].dtype
        if numbers.size * groups.size <= _MOST_CONSTANT:
            seeds: Node = Constant(groups == numbers, dtype)
        else:
            seeds = cast(call("equal", Constant(groups, np.int32), Constant(numbers)), dtype)
        return apply(Map(self.graph, 1), seeds, *self.captured)

    def pattern(self, shape: tuple[int, int]) -> Sparsity:
        """Return which elements of the result depend on which of the vector."""
        seed, *stand_ins = self.graph.inputs
        graph = rebuild(
            self.graph, replace_inputs, dict(zip(stand_ins, self.captured, strict=True))
        )
        sets = IndexSets(shape[1], KnownValues())
        labels = dependence(graph, {seed: sets.single((shape[1],))}, sets)
        found = labels.get(graph.outputs[0], np.zeros(shape[0], np.intp))
        return Sparsity(shape, *sets.rows(found), tuple(sets.dense))


def _specialised(graph: Graph | None, source: Node, captured: Sequence[Node]) -> LinearMap | None:
    if graph is None:
        return None
    seed = TensorType(source.dtype, (math.prod(shape_of(source)),))
    types = [seed, *(node.type for node in captured)]
    return LinearMap(FUNCTIONS["specialise"](graph, types), captured)


@dataclass(frozen=True, slots=True, eq=False)
class StaticJacobian:
    """A sparse Jacobian of known shape.

    Attributes
    ----------
    push, pull : LinearMap or None
        As those of :class:`SparseJacobian`.
    shape : (int, int)
    dtype : numpy.dtype
    """

    push: LinearMap | None
    pull: LinearMap | None
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def pattern(self) -> Sparsity:
        """Return which elements can differ from zero."""
        if self.push is not None:
            return self.push.pattern(self.shape)
        assert self.pull is not None
        return self.pull.pattern(self.shape[::-1]).T

    def matrix(self) -> Node:
        """Return the assembled matrix, from as few products as possible."""
        allowed = Allowed.SYMMETRIC if self.push is self.pull else Allowed.ALL
        if self.push is None or self.pull is None:
            allowed = Allowed.ROWS if self.push is None else Allowed.COLUMNS
        pattern = self.pattern()
        found, turned = compress(*pattern.coordinates, self.shape, allowed)
        sides = (self.pull, self.push) if turned else (self.push, self.pull)
        pairs = zip(sides, (found.columns, found.rows), strict=True)
        parts = [
            side.of_groups(groups) for side, groups in pairs if side and groups.max(initial=-1) >= 0
        ]
        empty = Constant(np.zeros(0, self.dtype))
        products = parts[0] if len(parts) == 1 else call("concat", parts, None) if parts else empty
        elements = call("take", cast(products, self.dtype), _indices(found.places))
        indices = map(_indices, (pattern.indices, pattern.indptr))
        return apply(AssembleCsr(self.shape), elements, *indices)


def _indices(array: Array) -> Constant:
    """Return integers in 32 bits if they fit."""
    is_small = array.max(initial=0) <= np.iinfo(np.int32).max
    return Constant(array, np.int32 if is_small else np.int64)


@explained
def sparsity(y: Node, xs: Any, feed: Mapping[Node, Any] | None = None) -> Any:
    """Return which elements of ∂y/∂x can differ from zero, for each x.

    The pattern follows from the graph alone: an element is part of it if a chain of ops leads from
    that element of x to that element of ``y``, whatever the values are.  Where an index is
    computed, everything that it could select is part of it.

    Parameters
    ----------
    y : Node
    xs : Node or nested structure of nodes
    feed : dict from Node to array or TensorType, optional
        Values or types of variables, if their shapes are not declared.

    Returns
    -------
    Sparsity, or nested structure like ``xs``

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating.
    ShapeError
        If a size is not known.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(5,))
    >>> sm.sparsity(sm.sin(x) * x[0], x).colours
    Products(columns=2, rows=2)
    """
    types = {node: _type_of(value) for node, value in (feed or {}).items()}
    return map_leaves(lambda x: _sparsity(_jacobian(y, x, None), types), xs)


def _type_of(value: Any) -> Type:
    if isinstance(value, TensorType):
        return value
    array = np.asarray(value)
    return TensorType(array.dtype, array.shape)


def _sparsity(jacobian: Node, types: Mapping[Node, Type]) -> Sparsity:
    leaves = Graph(jacobian.inputs).inputs
    graph = Graph(jacobian.inputs, dict.fromkeys([*leaves, *types]))
    given = [types.get(node, node.type) for node in graph.inputs]
    inputs = FUNCTIONS["specialise"](graph, given).outputs
    assert isinstance(jacobian.op, SparseJacobian)
    found = jacobian.op.of_static(inputs)
    if found is None:
        unknown = next(node for node in inputs if not node.type.is_static)
        raise ShapeError(
            f"the pattern depends on the shape of {unknown!r}, which is not known",
            where=unknown.site.describe(),
            remedy="Declare the shapes of the variables, or feed values or types: "
            "sm.sparsity(y, x, {x: [1.0, 2.0]}).",
        )
    return found.pattern()
