"""Decompose ops such as ``softmax`` into elementwise ops and reductions, for fusion.

Common parts of several ops then become one node: ``logsumexp`` and its derivative share their
exponentials.
"""

from __future__ import annotations

import math
import warnings
from functools import reduce
from typing import Any

import numpy as np

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import cast
from symad.ops.arithmetic import (
    Add,
    Divide,
    Sqrt,
    Subtract,
    abs,
    add,
    sqrt,
    square,
)
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.ops.comparison import Equal, Where, equal, maximum, minimum, where
from symad.ops.exponential import Exp, Log, exp
from symad.ops.extremum import Max, Min, max
from symad.ops.index import index_array
from symad.ops.nn import LogSumExp, log_softmax, logsumexp, softmax
from symad.ops.permute import PermuteDims
from symad.ops.reduce import Prod, Reduction, Sum, mean, sum
from symad.ops.shape import ExpandDims, Reshape, Squeeze, expand_dims, reshape
from symad.ops.trigonometric import tanh
from symad.ops.windows import Windows, places
from symad.passes.grade import Grade
from symad.passes.rewrite import Recorder, RuleSet, rewrite
from symad.passes.rule import AnyRule, Procedure, number_of, static_shape
from symad.passes.signs import is_nonnegative
from symad.types import TensorType, normalize_axes

_VIEWS = (ExpandDims, Squeeze, Reshape)
"""Ops that leave the elements in their order."""
_FEW = 1 << 16
"""The most elements of a constant in place of what does not depend on values."""
_LEAST = 2.0**-100
"""The least number that keeps a root away from 0."""


_PAIRWISE: dict[type[Op], Any] = {Sum: add, Max: maximum, Min: minimum}
_MOST_SLICES = 16
"""How many slices one nest reads: windows with more elements are copied."""


def decompose(graph: Graph, record: Recorder | None = None) -> Graph:
    """Return ``graph`` with its ops decomposed where possible; equal nodes are shared.

    Parameters
    ----------
    graph : Graph
        All types are static.
    record : callable, optional
        Called with each rewrite.

    Examples
    --------
    >>> import symad as sm
    >>> print(decompose(sm.Graph([sm.mean(sm.Variable("x", shape=(5,)))])))
    graph(%0: f64[5] "x")
      %1: f64[] = sum(%0, axis=None, keepdims=False)
      %2: f64[] = constant 5.0
      %3: f64[] = divide(%1, %2)
      return %3
    """
    return rewrite(graph.as_root(), _RULES, record)


def is_dense(node: Node) -> bool:
    """Return whether the value is an array of known shape with at least one element."""
    return isinstance(node.type, TensorType) and node.type.is_dense


def _written_out(node: Node) -> Node | None:
    assert node.op is not None
    return node.op.decompose(*node.inputs) if all(map(is_dense, (node, *node.inputs))) else None


def _of_nothing(node: Node) -> Node | None:
    """f(x) does not depend on the values of arrays without elements: compute it now."""
    if all(map(is_dense, (node, *node.inputs))):
        return None
    op, shapes = node.op, [static_shape(source) for source in node.inputs]
    if op is None or isinstance(op, WithBody) or not isinstance(node.type, TensorType):
        return None
    read = [shape for slot, shape in enumerate(shapes) if op.reads(slot)]
    is_empty = node.type.is_static and node.type.size == 0 and isinstance(op, PerElement)
    if not (read and all(shape is not None and 0 in shape for shape in read)) and not is_empty:
        return None
    if None in shapes or node.type.size > _FEW:
        return None
    arrays = [np.zeros(shape or (), x.dtype) for shape, x in zip(shapes, node.inputs, strict=True)]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return Constant(op.kernel()(*arrays), node.type.dtype)
    except Exception:  # it fails in the same way when it runs, with an error that names the line
        return None


def _of_one_element(node: Node) -> Node | None:
    """sum(x) = x, max(x) = x, ... of one element."""
    assert isinstance(node.op, Reduction)
    shape, result = static_shape(node.inputs[0]), static_shape(node)
    if shape is None or result is None or 0 in shape or math.prod(shape) != math.prod(result):
        return None
    return reshape(cast(node.inputs[0], node.dtype), result)


def _through_views(node: Node) -> Node:
    while isinstance(node.op, _VIEWS):
        node = node.inputs[0]
    return node


def _share_of_sum(node: Node) -> Node | None:
    """exp(x − y) = exp(x − m) / s where y = ln s + m, s = Σ exp(x − m): two exponentials are one.

    Where all x are −∞, s is 0; :func:`symad.logsumexp` also defines the derivative as 0 there.
    """
    if not isinstance(node.inputs[0].op, Subtract):
        return None
    x, less = node.inputs[0].inputs
    finite = _through_views(less)
    if not isinstance(finite.op, Where):
        return None
    is_void, zero, y = finite.inputs
    if not isinstance(is_void.op, Equal) or number_of(zero) != 0 or y not in is_void.inputs:
        return None
    if not any(number_of(side) == -math.inf for side in is_void.inputs):
        return None
    total = _sum_in(_through_views(y), x)
    if total is None:
        return None
    (exponentials,) = total.inputs
    if not _is_in_place(less, total):
        return None
    return exponentials * where(equal(total, 0), 0, 1 / total)


def _sum_in(y: Node, x: Node) -> Node | None:
    """Return s if ``y`` is ln s + m and s is Σ exp(x − m)."""
    if not isinstance(y.op, Add) or not isinstance(y.inputs[0].op, Log):
        return None
    (total,), shift = y.inputs[0].inputs, y.inputs[1]
    if not isinstance(total.op, Sum) or not total.op.keepdims:
        return None
    power = total.inputs[0]
    if not isinstance(power.op, Exp) or not isinstance(power.inputs[0].op, Subtract):
        return None
    return total if power.inputs[0].inputs == (x, shift) else None


def _is_in_place(y: Node, total: Node) -> bool:
    """Return whether the numbers in ``y`` broadcast to the same elements as those in ``total``."""
    shape, its = static_shape(y), static_shape(total)
    return its is not None and (shape == its or (shape == () and math.prod(its) == 1))


def _by_reciprocal(node: Node) -> Node | None:
    """x / y = x (1 / y), for y = √(v + c) with v ≥ 0 and c > 0: 1 / y is a normal number then.

    It saves time if y is smaller than x, as in normalisation: a division costs several products.
    """
    x, y = node.inputs
    size, smaller = static_shape(node), static_shape(y)
    if size is None or smaller is None or math.prod(smaller) >= math.prod(size):
        return None
    root = _through_views(y)
    if not isinstance(root.op, Sqrt) or not isinstance(root.inputs[0].op, Add):
        return None
    first, second = root.inputs[0].inputs
    for c, v in ((first, second), (second, first)):
        number = number_of(c)
        if number is not None and _LEAST <= number < math.inf and is_nonnegative(v):
            return x * (1 / y)
    return None


def _over_windows(node: Node) -> Node | None:
    """The sum over a window is x[first] + x[second] + …, slices that one nest reads in place.

    Along the last axis windows must begin at each element, so that slices have whole rows.
    """
    source, op = node.inputs[0], node.op
    windows = source.inputs[0] if isinstance(source.op, PermuteDims) else source
    slides, shape = windows.op, static_shape(windows)
    assert isinstance(op, (Sum, Max, Min))
    if not isinstance(slides, Windows) or shape is None or not is_dense(node):
        return None
    if slides.steps[-1] != 1 or math.prod(slides.sizes) > _MOST_SLICES or node.dtype.kind != "f":
        return None
    rank, size = len(slides.sizes), len(shape)
    order = source.op.order(size) if isinstance(source.op, PermuteDims) else range(size)
    reduced = {order[axis] for axis in normalize_axes(op.axis, size)}
    rest = [axis for axis in order if axis not in reduced]
    if reduced != set(range(size - 2 * rank, size - rank)) or rest != sorted(rest):
        return None
    found = places(slides.sizes, slides.steps, slides.gaps, shape[size - rank :])
    slices = [index_array(windows.inputs[0], key) for _, key in found]
    return reshape(reduce(_PAIRWISE[type(op)], slices), static_shape(node))


def _slope_of_logsumexp(x: Node) -> Node:
    y = LogSumExp(1, True).decompose(x)
    assert y is not None
    return exp(x - where(equal(y, -math.inf), 0, y))


DECOMPOSE: tuple[AnyRule, ...] = (
    Procedure(
        "of nothing", _of_nothing, "f(x) = constant, for x without elements",
        (Op,),
        (
            lambda x: tanh(x[:, :0]), lambda x: sum(x[:0], 1), lambda x: sum(x[:, :0], 1),
            lambda x: mean(x[:0], 1),
        ),
        grade=Grade.EXACT,
    ),
    Procedure(
        "of one element", _of_one_element, "sum(x) = x, for x of size 1 along the axes",
        (Sum, Prod, Max, Min), (lambda x: sum(x[:, :1], 1), lambda x: max(x[:1], 0)),
        grade=Grade.ROUNDING,
    ),
    Procedure(
        "write out", _written_out, "softmax(x) = exp(x - max(x)) / sum(exp(x - max(x)))",
        (Op,),
        (
            lambda x: softmax(x), lambda x: log_softmax(x, 0), lambda x: mean(x, 1),
            lambda x: logsumexp(x, (0, 1)),
        ),
        grade=Grade.ROUNDING,
        when=lambda kind, heads: kind.decompose is not Op.decompose,
    ),
    Procedure(
        "by a reciprocal", _by_reciprocal, "x / sqrt(v + c) = x * (1 / sqrt(v + c))",
        (Divide,),
        (
            lambda x: x / sqrt(mean(square(x), 1, keepdims=True) + 1e-5),
            lambda x, y: x / expand_dims(sqrt(0.5 + sum(abs(y) * exp(y), 0) / 3), 0),
        ),
        grade=Grade.ROUNDING,
    ),
    Procedure(
        "over windows", _over_windows, "sum(windows(x, 2, 1)) = x[:-1] + x[1:]",
        (Sum, Max, Min),
        (
            lambda x: sum(apply(Windows((2,), (1,), (1,)), x), -2),
            lambda x: max(apply(Windows((2, 2), (2, 1), (1, 2)), x), (-4, -3)),
        ),
        grade=Grade.ROUNDING,
        shapes={"x": (4, 6)}, needs=frozenset({Windows}),
    ),
    Procedure(
        "share of a sum", _share_of_sum, "exp(x - (log(s) + m)) = exp(x - m) / s",
        (Exp,), (_slope_of_logsumexp,), grade=Grade.ROUNDING,
    ),
)  # fmt: skip

_RULES = RuleSet(DECOMPOSE)
