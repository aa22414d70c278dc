"""Operations on the bits of integers.  Of booleans, the same functions are logical."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.op import Op
from symad.graph.sample import Sample, booleans, fixed, integers
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.base import Binary, Elementwise, Operand, Unary, as_node, as_nodes, register
from symad.ops.comparison import LogicalAnd, LogicalNot, LogicalOr, LogicalXor

_SIGNED = fixed(np.array([0, 1, -1, 127, -128, 85], "int8"))
_UNSIGNED = fixed(np.array([0, 1, 2**64 - 1, 2**63, 85, 7], "uint64"))
_COUNTS = fixed(np.array([0, 1, 6, 8, -1, 100], "int8"))


def _samples(function: Callable[..., Any], reference: Any) -> tuple[Sample, ...]:
    return (
        Sample(function, [integers(3, 2), integers(2)], reference),
        Sample(function, [_SIGNED, fixed(np.array([[3], [-3]], "int8"))], reference, label="int8"),
        Sample(function, [_UNSIGNED, fixed(np.array(9, "uint64"))], reference, label="uint64"),
        Sample(lambda n: function(n, 1), [integers(0)], lambda n: reference(n, 1), label="empty"),
        Sample(
            lambda a, n: function(a, n), [booleans(3), integers(3)], reference, label="with bool"
        ),
    )  # fmt: skip


class _Bitwise(Elementwise):
    """An op on the bits of integers, which has no derivative."""

    finite_slopes = True

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if np.result_type(*dtypes).kind not in "iu":  # that of int64 and uint64 is a float
            raise GraphTypeError(
                f"integers of one kind are needed, not {' and '.join(map(str, dtypes))}",
                remedy="Cast first: x.astype('int64').",
            )
        return super().result_dtype(*dtypes)


class BitwiseAnd(_Bitwise, Binary):
    """See :func:`bitwise_and`."""

    name = "bitwise_and"
    numpy = np.bitwise_and
    element = "bitwise_and"
    text = "{0} & {1}"
    latex = r"{0} \mathbin{{\&}} {1}"
    precedence = -1
    commutative = True
    samples = _samples(lambda x, y: x & y, lambda x, y: x & y)


class BitwiseOr(_Bitwise, Binary):
    """See :func:`bitwise_or`."""

    name = "bitwise_or"
    numpy = np.bitwise_or
    element = "bitwise_or"
    text = "{0} | {1}"
    latex = r"{0} \mathbin{{|}} {1}"
    precedence = -3
    commutative = True
    samples = _samples(lambda x, y: x | y, lambda x, y: x | y)


class BitwiseXor(_Bitwise, Binary):
    """See :func:`bitwise_xor`."""

    name = "bitwise_xor"
    numpy = np.bitwise_xor
    element = "bitwise_xor"
    text = "{0} ^ {1}"
    latex = r"{0} \oplus {1}"
    precedence = -2
    commutative = True
    samples = _samples(lambda x, y: x ^ y, lambda x, y: x ^ y)


def _invert(b: ScalarBuilder, x: Value) -> Value:
    dtype = b.dtype(x)
    return b.bitwise_xor(x, b.constant(-1 if dtype.kind == "i" else np.iinfo(dtype).max, dtype))


class BitwiseInvert(_Bitwise, Unary):
    """See :func:`bitwise_invert`."""

    name = "bitwise_invert"
    numpy = np.invert
    element = _invert
    text = "~{0}"
    latex = r"\mathord{{\sim}} {0}"
    precedence = 3
    samples = (
        Sample(lambda n: ~n, [integers(3, 2)], lambda n: -1 - n),
        Sample(lambda n: ~n, [_SIGNED], lambda n: -1 - n, label="int8"),
        Sample(lambda n: ~n, [_UNSIGNED], lambda n: 2**64 - 1 - n, label="uint64"),
    )


def _within(b: ScalarBuilder, count: Value) -> tuple[Value, Value]:
    """Return whether a count of bits is less than there are, and the count if so, else 0."""
    dtype = b.dtype(count)
    zero, last = b.constant(0, dtype), b.constant(8 * dtype.itemsize - 1, dtype)
    inside = b.logical_and(b.less_equal(zero, count), b.less_equal(count, last))
    return inside, b.select(inside, count, zero)


def _left_shift(b: ScalarBuilder, x: Value, count: Value) -> Value:
    inside, few = _within(b, count)
    return b.select(inside, b.left_shift(x, few), b.constant(0, b.dtype(x)))


def _right_shift(b: ScalarBuilder, x: Value, count: Value) -> Value:
    inside, few = _within(b, count)
    dtype = b.dtype(x)
    zero = b.constant(0, dtype)
    beyond = zero if dtype.kind == "u" else b.select(b.less(x, zero), b.constant(-1, dtype), zero)
    return b.select(inside, b.right_shift(x, few), beyond)


def _shift_samples(function: Callable[..., Any], by_one: Any) -> tuple[Sample, ...]:
    return (
        Sample(function, [integers(3, 2), fixed(np.array([1, 1]))], lambda x, n: by_one(x)),
        Sample(lambda x: function(x, 1), [_SIGNED], by_one, label="int8"),
        Sample(lambda x: function(x, 1), [_UNSIGNED], by_one, label="uint64"),
        Sample(function, [_SIGNED, _COUNTS], label="int8, out of range"),
        Sample(function, [_UNSIGNED, fixed(np.array(64, "uint64"))], lambda x, n: x * n * 0,
               label="all bits"),
        Sample(function, [integers(0), integers(1)], label="empty"),
    )  # fmt: skip


class BitwiseLeftShift(_Bitwise, Binary):
    """Return the bits of integers ``x`` moved ``y`` places to the left; also ``x << y``.

    The result is 0 where ``y`` is negative, or not less than the number of bits.

    Raises
    ------
    GraphTypeError
        If an operand is not an integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_left_shift(sm.constant([1, 3]), 4).eval()
    array([16, 48])
    """

    name = "bitwise_left_shift"
    numpy = np.left_shift
    element = _left_shift
    text = "{0} << {1}"
    latex = r"{0} \ll {1}"
    precedence = 0
    samples = _shift_samples(lambda x, n: x << n, lambda x: x * x.dtype.type(2))


class BitwiseRightShift(_Bitwise, Binary):
    """Return the bits of integers ``x`` moved ``y`` places to the right; also ``x >> y``.

    A negative ``x`` keeps its sign.  Where ``y`` is negative, or not less than the number of bits,
    the result is 0, or -1 for a negative ``x``.

    Raises
    ------
    GraphTypeError
        If an operand is not an integer.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_right_shift(sm.constant([16, -16]), 3).eval()
    array([ 2, -2])
    """

    name = "bitwise_right_shift"
    numpy = np.right_shift
    element = _right_shift
    text = "{0} >> {1}"
    latex = r"{0} \gg {1}"
    precedence = 0
    samples = _shift_samples(lambda x, n: x >> n, lambda x: x // x.dtype.type(2))


def _apply(bitwise: Op, logical: Op, *nodes: Node) -> Node:
    """Apply the logical op to booleans, and to what has no bits, which it refuses."""
    kinds = {getattr(node.type, "dtype", np.dtype(bool)).kind for node in nodes}
    return apply(bitwise if kinds <= set("iub") and kinds != {"b"} else logical, *nodes)


@register
def bitwise_and(x: Operand, y: Operand) -> Node:
    """Return the bits that are set in both integers, element by element; also ``x & y``.

    Parameters
    ----------
    x, y : node, number or array
        Integers; of booleans, this is :func:`symad.logical_and`.

    Raises
    ------
    GraphTypeError
        If an operand is neither.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_and(sm.constant([6, 5]), 3).eval()
    array([2, 1])
    """
    return _apply(BitwiseAnd(), LogicalAnd(), *as_nodes(x, y))


@register
def bitwise_or(x: Operand, y: Operand) -> Node:
    """Return the bits that are set in either integer, element by element; also ``x | y``.

    Parameters
    ----------
    x, y : node, number or array
        Integers; of booleans, this is :func:`symad.logical_or`.

    Raises
    ------
    GraphTypeError
        If an operand is neither.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_or(sm.constant([6, 5]), 3).eval()
    array([7, 7])
    """
    return _apply(BitwiseOr(), LogicalOr(), *as_nodes(x, y))


@register
def bitwise_xor(x: Operand, y: Operand) -> Node:
    """Return the bits that are set in just one integer, element by element; also ``x ^ y``.

    Parameters
    ----------
    x, y : node, number or array
        Integers; of booleans, this is :func:`symad.logical_xor`.

    Raises
    ------
    GraphTypeError
        If an operand is neither.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_xor(sm.constant([6, 5]), 3).eval()
    array([5, 6])
    """
    return _apply(BitwiseXor(), LogicalXor(), *as_nodes(x, y))


@register
def bitwise_invert(x: Operand) -> Node:
    """Return the integers with all bits inverted, element by element; also ``~x``.

    Parameters
    ----------
    x : node, number or array
        Integers; of booleans, this is :func:`symad.logical_not`.

    Raises
    ------
    GraphTypeError
        If the operand is neither.

    Examples
    --------
    >>> import symad as sm
    >>> sm.bitwise_invert(sm.constant([0, 5])).eval()
    array([-1, -6])
    """
    return _apply(BitwiseInvert(), LogicalNot(), as_node(x))


bitwise_left_shift: Binary = register(BitwiseLeftShift())
bitwise_right_shift: Binary = register(BitwiseRightShift())
