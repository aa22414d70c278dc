"""Comparisons, logic, and choices by value: where, maximum, minimum, clip, relu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import explained
from symad.graph.sample import (
    Sample,
    away_from_zero,
    booleans,
    distinct,
    fixed,
    integers,
    reals,
    special_points,
)
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.adjoint import identity
from symad.ops.base import (
    Binary,
    Elementwise,
    Operand,
    Predicate,
    Unary,
    as_node,
    as_nodes,
    register,
)
from symad.ops.batching import shape_of
from symad.types import Type

_TIES = fixed([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1.0, np.inf])
_TIED = fixed([0.0, 0.0, 2.0, np.inf, np.inf, np.nan, np.nan, 1.0])


def _comparison_samples(compare: Any, reference: Any) -> tuple[Sample, ...]:
    return (
        Sample(compare, [reals(3, 2), reals(3, 2)], reference),
        Sample(compare, [integers(4, low=0, high=3), integers(2, 1)], reference, label="integer"),
        Sample(lambda x: compare(x, 0.5), [reals(0)], label="empty, with a number"),
        special_points(compare, [_TIES, _TIED], reference),
    )


class Equal(Predicate, Binary):
    """Return whether ``x`` and ``y`` are equal, element by element; NaN equals nothing.

    ``x == y`` compares the identity of nodes, which makes them usable as keys: it is a Python
    boolean, not a node.

    Examples
    --------
    >>> import symad as sm
    >>> sm.equal(sm.constant([1.0, 2.0]), 2.0).eval()
    array([False,  True])
    """

    name = "equal"
    numpy = np.equal
    element = "equal"
    text = "{0} == {1}"
    latex = "{0} = {1}"
    precedence = -4
    commutative = True
    samples = _comparison_samples(lambda x, y: equal(x, y), lambda x, y: x == y)


def _differ(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return b.logical_not(b.equal(x, y))


class NotEqual(Predicate, Binary):
    """Return whether ``x`` and ``y`` differ, element by element; NaN differs from everything.

    Examples
    --------
    >>> import symad as sm
    >>> sm.not_equal(sm.constant([1.0, 2.0]), 2.0).eval()
    array([ True, False])
    """

    name = "not_equal"
    numpy = np.not_equal
    element = _differ
    text = "{0} != {1}"
    latex = r"{0} \neq {1}"
    precedence = -4
    commutative = True
    samples = _comparison_samples(lambda x, y: not_equal(x, y), lambda x, y: x != y)


class Less(Predicate, Binary):
    """Return whether ``x < y``, element by element; false where either is NaN.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0]) < 2.0).eval()
    array([ True, False])
    """

    name = "less"
    numpy = np.less
    element = "less"
    text = latex = "{0} < {1}"
    precedence = -4
    samples = _comparison_samples(lambda x, y: x < y, lambda x, y: x < y)


class LessEqual(Predicate, Binary):
    """Return whether ``x <= y``, element by element; false where either is NaN.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0, 3.0]) <= 2.0).eval()
    array([ True,  True, False])
    """

    name = "less_equal"
    numpy = np.less_equal
    element = "less_equal"
    text = "{0} <= {1}"
    latex = r"{0} \leq {1}"
    precedence = -4
    samples = _comparison_samples(lambda x, y: x <= y, lambda x, y: x <= y)


def _greater(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return b.less(y, x)


class Greater(Predicate, Binary):
    """Return whether ``x > y``, element by element; false where either is NaN.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0, 3.0]) > 2.0).eval()
    array([False, False,  True])
    """

    name = "greater"
    numpy = np.greater
    element = _greater
    text = latex = "{0} > {1}"
    precedence = -4
    samples = _comparison_samples(lambda x, y: x > y, lambda x, y: x > y)


def _greater_equal(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return b.less_equal(y, x)


class GreaterEqual(Predicate, Binary):
    """Return whether ``x >= y``, element by element; false where either is NaN.

    Examples
    --------
    >>> import symad as sm
    >>> (sm.constant([1.0, 2.0, 3.0]) >= 2.0).eval()
    array([False,  True,  True])
    """

    name = "greater_equal"
    numpy = np.greater_equal
    element = _greater_equal
    text = "{0} >= {1}"
    latex = r"{0} \geq {1}"
    precedence = -4
    samples = _comparison_samples(lambda x, y: x >= y, lambda x, y: x >= y)


class _Logical(Predicate):
    """Logic on booleans; numbers are refused, since they need an explicit comparison."""

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        for dtype in dtypes:
            if dtype.kind != "b":
                raise GraphTypeError(
                    f"booleans are needed, not {dtype}",
                    remedy="Compare first: sm.not_equal(x, 0).  The operators &, |, ^ and ~ work "
                    "on the bits of integers.",
                )
        return np.dtype(bool)


class LogicalAnd(_Logical, Binary):
    """Return whether both ``x`` and ``y`` are true, element by element; also ``x & y``.

    Raises
    ------
    GraphTypeError
        If an operand is not boolean.

    Examples
    --------
    >>> import symad as sm
    >>> sm.logical_and(sm.constant([True, False]), True).eval()
    array([ True, False])
    """

    name = "logical_and"
    numpy = np.logical_and
    element = "logical_and"
    text = "{0} & {1}"
    latex = r"{0} \wedge {1}"
    precedence = -1
    commutative = True
    samples = (
        Sample(lambda a, b: a & b, [booleans(3, 4), booleans(4)], lambda a, b: a & b),
        Sample(lambda a: a & True, [booleans(0)], lambda a: a, label="empty"),
    )


class LogicalOr(_Logical, Binary):
    """Return whether ``x`` or ``y`` or both are true, element by element; also ``x | y``.

    Raises
    ------
    GraphTypeError
        If an operand is not boolean.

    Examples
    --------
    >>> import symad as sm
    >>> sm.logical_or(sm.constant([True, False]), False).eval()
    array([ True, False])
    """

    name = "logical_or"
    numpy = np.logical_or
    element = "logical_or"
    text = "{0} | {1}"
    latex = r"{0} \vee {1}"
    precedence = -3
    commutative = True
    samples = (Sample(lambda a, b: a | b, [booleans(3, 4), booleans(4)], lambda a, b: a | b),)


class LogicalXor(_Logical, Binary):
    """Return whether just one of ``x`` and ``y`` is true, element by element; also ``x ^ y``.

    Raises
    ------
    GraphTypeError
        If an operand is not boolean.

    Examples
    --------
    >>> import symad as sm
    >>> sm.logical_xor(sm.constant([True, False]), True).eval()
    array([False,  True])
    """

    name = "logical_xor"
    numpy = np.logical_xor
    element = _differ
    text = "{0} ^ {1}"
    latex = r"{0} \oplus {1}"
    precedence = -2
    commutative = True
    samples = (Sample(lambda a, b: a ^ b, [booleans(3, 4), booleans(4)], lambda a, b: a ^ b),)


class LogicalNot(_Logical, Unary):
    """Return whether ``x`` is false, element by element; also ``~x``.

    Raises
    ------
    GraphTypeError
        If the operand is not boolean.

    Examples
    --------
    >>> import symad as sm
    >>> (~sm.constant([True, False])).eval()
    array([False,  True])
    """

    name = "logical_not"
    numpy = np.logical_not
    element = "logical_not"
    text = "~{0}"
    latex = r"\neg {0}"
    precedence = 3
    samples = (Sample(lambda a: ~a, [booleans(3, 2)], lambda a: ~a),)


_NOT_FINITE = fixed([0.0, -0.0, 1e30, np.inf, -np.inf, np.nan])


def _is_nan(b: ScalarBuilder, x: Value) -> Value:
    return _differ(b, x, x)


class IsNaN(Predicate, Unary):
    """Return whether ``x`` is NaN, element by element.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> sm.isnan(sm.constant([1.0, np.nan])).eval()
    array([False,  True])
    """

    name = "isnan"
    numpy = np.isnan
    element = _is_nan
    samples = (
        special_points(lambda x: isnan(x), [_NOT_FINITE], lambda x: x != x),
        Sample(lambda n: isnan(n), [integers(3)], lambda n: n != n, label="integer"),
    )


def _is_infinite(b: ScalarBuilder, x: Value) -> Value:
    return b.logical_and(b.equal(x, x), b.logical_not(_is_finite(b, x)))


class IsInf(Predicate, Unary):
    """Return whether ``x`` is infinite, of either sign, element by element.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> sm.isinf(sm.constant([1.0, -np.inf])).eval()
    array([False,  True])
    """

    name = "isinf"
    numpy = np.isinf
    element = _is_infinite
    samples = (special_points(lambda x: isinf(x), [_NOT_FINITE], lambda x: abs(x) == np.inf),)


def _is_finite(b: ScalarBuilder, x: Value) -> Value:
    difference = b.subtract(x, x)  # NaN for infinities
    return b.equal(difference, difference)


class IsFinite(Predicate, Unary):
    """Return whether ``x`` is neither infinite nor NaN, element by element.

    Examples
    --------
    >>> import numpy as np, symad as sm
    >>> sm.isfinite(sm.constant([1.0, -np.inf, np.nan])).eval()
    array([ True, False, False])
    """

    name = "isfinite"
    numpy = np.isfinite
    element = _is_finite
    samples = (special_points(lambda x: isfinite(x), [_NOT_FINITE], lambda x: abs(x) < np.inf),)


class Where(Elementwise):
    """Select ``x`` where the condition holds and ``y`` elsewhere."""

    name = "where"
    numpy = np.where
    element = "select"
    latex = r"\operatorname{{where}}({0}, {1}, {2})"
    finite_slopes = True
    chain = (None, lambda v, out, c, x, y: v, lambda v, out, c, x, y: v)
    samples = (
        Sample(lambda c, x, y: where(c, x, y), [booleans(3, 2), reals(3, 2), reals(3, 2)]),
        Sample(lambda c, x, y: where(c, x, y), [booleans(3, 1), reals(2, 1, 4), reals()]),
        Sample(
            lambda x: where(x > 0, x * x, 3), [away_from_zero(4)],
            lambda x: x * x * (x > 0) + 3 * (x < 0), label="number",
        ),
        Sample(
            lambda x: where(x > 0, where(x < 1, x * x, x), -x), [away_from_zero(8)],
            lambda x: np.select([(x > 0) & (x < 1), x > 0], [x * x, x], -x), label="nested",
        ),
        Sample(lambda c, x: where(c, x, 1), [booleans(0, 2), reals(0, 2)], label="empty"),
        special_points(
            lambda x: where(x > 0, x, -1.0), [_NOT_FINITE],
            lambda x: np.array([-1.0, -1.0, 1e30, np.inf, -1.0, -1.0], x.dtype),
        ),
    )  # fmt: skip

    def choice(self, slot: int, out: Node, *inputs: Node) -> tuple[Node, bool] | None:
        return inputs[0], slot == 1

    def infer(self, *types: Any) -> Type:
        condition = types[0]
        if getattr(condition, "dtype", None) != np.dtype(bool):
            raise GraphTypeError(
                f"the condition is {condition}, but a boolean is needed",
                remedy="Write a comparison, such as x > 0 or sm.not_equal(x, 0).",
            )
        return super().infer(*types)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.result_type(*dtypes[1:])

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        result = self.result_dtype(*dtypes)
        return dtypes[0], result, result

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        condition = sets.value(inputs[0])
        if condition is None:
            return super().dependence(sets, labels, out, *inputs)
        x, y = (np.zeros((), int) if array is None else array for array in labels[1:])
        return np.broadcast_to(np.where(condition, x, y), shape_of(out))


@explained
def where(condition: Operand, x: Operand, y: Operand) -> Node:
    """Return ``x`` where ``condition`` holds and ``y`` elsewhere, with broadcasting.

    Parameters
    ----------
    condition : node or array of booleans
        Has no gradient.
    x, y : node, number or array
        Both are computed for all elements.

    Raises
    ------
    GraphTypeError
        If the condition is not boolean, or is a Python boolean: ``a == b`` on nodes is one.

    Notes
    -----
    The adjoint v of the result reaches ``x`` as where(c, v, 0) and ``y`` as where(¬c, v, 0).  In
    every mode and order, an element that is not selected contributes 0 to the derivative, even
    where its own derivative is infinite or NaN.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> root = sm.where(x > 0, sm.sqrt(x), 0.0)
    >>> root.eval({x: [-1.0, 0.0, 4.0]})
    array([0., 0., 2.])
    >>> sm.gradients(root, x).eval({x: [-1.0, 0.0, 4.0]})
    array([0.  , 0.  , 0.25])
    """
    if isinstance(condition, bool):
        raise GraphTypeError(
            f"the condition of where is the Python boolean {condition}",
            remedy="If it comes from `a == b` or `a != b`, which compare the identity of nodes, "
            "write sm.equal(a, b) or sm.not_equal(a, b).",
        )
    return apply(Where(), as_node(condition), *as_nodes(x, y))


def _shared(v: Node, y: Node, a: Node, b: Node) -> Node:
    """Return half of v where the operands tie, v elsewhere."""
    return where(equal(a, b), 0.5 * v, v)


def _extreme(b: ScalarBuilder, first_wins: Value, x: Value, y: Value) -> Value:
    """Return ``x`` if it wins or is NaN, else ``y``; for -0.0 and 0.0 the second, as in NumPy.

    NumPy takes the first in float16 only.
    """
    return b.select(b.equal(x, x), b.select(first_wins, x, y), x)


def _larger(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return _extreme(b, b.less(y, x), x, y)


def _smaller(b: ScalarBuilder, x: Value, y: Value) -> Value:
    return _extreme(b, b.less(x, y), x, y)


class Maximum(Binary):
    """Return the larger of ``x`` and ``y``, element by element; NaN where either is NaN.

    Where they are equal, each gets half of the adjoint; where one is NaN, neither gets any.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.gradients(sm.maximum(x, 1.0), x).eval({x: [0.0, 1.0, 2.0]})
    array([0. , 0.5, 1. ])
    """

    name = "maximum"
    sign = "as inputs"
    order_shows = True
    numpy = np.maximum
    element = _larger
    latex = r"\max({0}, {1})"
    commutative = True
    finite_slopes = True
    chain = (_shared, _shared)
    samples = (
        Sample(lambda x: maximum(x, x[::-1] + 0.1), [distinct(4)]),
        Sample(lambda x: maximum(x, 0.3), [away_from_zero(2, 3, low=0.5)], label="number"),
        Sample(lambda n, m: maximum(n, m), [integers(4), integers(3, 1)], label="integer"),
        Sample(lambda x, y: maximum(x, y), [reals(2, 0), reals(2, 1)], label="empty"),
        special_points(
            lambda x, y: maximum(x, y + 0), [_TIES, _TIED],
            lambda x, y: np.where(x > y, x, np.where(x != x, x, y)),
        ),
    )  # fmt: skip

    def choice(self, slot: int, out: Node, *inputs: Node) -> tuple[Node, bool] | None:
        return inputs[slot] >= inputs[1 - slot], True


class Minimum(Binary):
    """Return the smaller of ``x`` and ``y``, element by element; NaN where either is NaN.

    Where they are equal, each gets half of the adjoint; where one is NaN, neither gets any.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.gradients(sm.minimum(x, 1.0), x).eval({x: [0.0, 1.0, 2.0]})
    array([1. , 0.5, 0. ])
    """

    name = "minimum"
    sign = "as inputs"
    order_shows = True
    numpy = np.minimum
    element = _smaller
    latex = r"\min({0}, {1})"
    commutative = True
    finite_slopes = True
    chain = (_shared, _shared)
    samples = (
        Sample(lambda x: minimum(x, x[::-1] + 0.1), [distinct(4)]),
        Sample(lambda x: minimum(x, 0.3), [away_from_zero(2, 3, low=0.5)], label="number"),
        Sample(lambda n, m: minimum(n, m), [integers(4), integers(3, 1)], label="integer"),
        special_points(
            lambda x, y: minimum(x, y), [_TIES, _TIED],
            lambda x, y: np.where(x < y, x, np.where(x != x, x, y)),
        ),
    )  # fmt: skip

    def choice(self, slot: int, out: Node, *inputs: Node) -> tuple[Node, bool] | None:
        return inputs[slot] <= inputs[1 - slot], True


@explained
def clip(x: Operand, min: Operand | None = None, max: Operand | None = None) -> Node:
    """Return ``x`` limited to the interval from ``min`` to ``max``.

    Parameters
    ----------
    x : node, number or array
    min, max : node, number or array, optional
        If omitted, there is no limit on that side.

    Notes
    -----
    This is minimum(maximum(x, min), max) with its gradient: 1 inside, 0 outside, and half of the
    adjoint on a limit; the limits get the rest of the adjoint.  Where min > max, the result is
    ``max``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.clip(x, 0.0, 1.0).eval({x: [-1.0, 0.5, 2.0]})
    array([0. , 0.5, 1. ])
    >>> sm.gradients(sm.clip(x, max=1.0), x).eval({x: [-1.0, 1.0, 2.0]})
    array([1. , 0.5, 0. ])
    """
    limited = as_node(x)
    if min is not None:
        limited = maximum(limited, min)
    if max is not None:
        limited = minimum(limited, max)
    return identity(limited) if min is None and max is None else limited


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _positive_part(b: ScalarBuilder, x: Value) -> Value:
    return _larger(b, x, b.constant(0, b.dtype(x)))


class Relu(Unary):
    """Return ``x`` where it is positive and 0 elsewhere, element by element.

    The derivative is 1 where x > 0 and 0 elsewhere; at 0 it is 0.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> sm.relu(x).eval({x: [-1.0, 0.0, 2.0]})
    array([0., 0., 2.])
    >>> sm.gradients(sm.relu(x), x).eval({x: [-1.0, 0.0, 2.0]})
    array([0., 0., 1.])
    """

    name = "relu"
    sign = "as inputs"
    numpy = staticmethod(_relu)
    element = _positive_part
    finite_slopes = True
    chain = (lambda v, y, x: v,)
    samples = (
        Sample(lambda x: relu(x), [away_from_zero(3, 2)], lambda x: x * (x > 0)),
        Sample(lambda x: relu(x) ** 2, [away_from_zero(4)], label="squared"),
        Sample(lambda n: relu(n), [integers(4)], lambda n: n * (n > 0), label="integer"),
        special_points(
            lambda x: relu(x), [fixed([0.0, 1e-30, np.inf, -np.inf, np.nan])],
            lambda x: np.array([0.0, 1e-30, np.inf, 0.0, np.nan], x.dtype),
        ),
    )  # fmt: skip

    def choice(self, slot: int, out: Node, *inputs: Node) -> tuple[Node, bool] | None:
        return inputs[0] > 0, True

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.result_type(*dtypes, 0)


equal: Binary = register(Equal())
not_equal: Binary = register(NotEqual())
less: Binary = register(Less())
less_equal: Binary = register(LessEqual())
greater: Binary = register(Greater())
greater_equal: Binary = register(GreaterEqual())
logical_and: Binary = register(LogicalAnd())
logical_or: Binary = register(LogicalOr())
logical_xor: Binary = register(LogicalXor())
logical_not: Unary = register(LogicalNot())
isnan: Unary = register(IsNaN())
isinf: Unary = register(IsInf())
isfinite: Unary = register(IsFinite())
maximum: Binary = register(Maximum())
minimum: Binary = register(Minimum())
relu: Unary = register(Relu())
register(where)
register(clip, in_expressions=True)
