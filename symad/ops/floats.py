"""Signs of floats and the floats beside them: copysign, signbit, nextafter."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.graph.node import Node
from symad.graph.sample import Sample, away_from_zero, fixed, integers, reals, special_points
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.adjoint import zeros_like
from symad.ops.arithmetic import sign
from symad.ops.base import Binary, Predicate, Unary, register

_SPECIAL = fixed([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, -1.0])
_SIGNS = fixed([-1.0, 1.0, -0.0, 0.0, -np.inf, 2.0, -1.0, np.inf])


def _by_magnitude(v: Node, y: Node, x: Node, s: Node) -> Node:
    """Return v times the derivative of |x|, with the sign of s."""
    return v * (sign(x) * copysign(1, s))


class CopySign(Binary):
    """Return ``x`` with the sign of ``y``, element by element, also of -0.0.

    The derivative by ``x`` is that of its magnitude, 0 at 0; by ``y`` it is 0 everywhere.

    Examples
    --------
    >>> import symad as sm
    >>> sm.copysign(sm.constant([1.0, -2.0]), -0.0).eval()
    array([-1., -2.])
    """

    name = "copysign"
    finite_slopes = True
    numpy = np.copysign
    element = "copysign"
    chain = (_by_magnitude, lambda v, y, x, s: zeros_like(v))
    samples = (
        Sample(lambda x, y: copysign(x, y), [away_from_zero(3, 2), away_from_zero(2)],
               lambda x, y: np.abs(x) * np.sign(y)),
        Sample(lambda x: copysign(x, -2) * x, [away_from_zero(3)], label="number"),
        Sample(lambda x, n: copysign(x, n), [away_from_zero(3), integers(3)], label="integers"),
        Sample(lambda x, y: copysign(x, y), [reals(0, 2), reals(1, 2)], label="empty"),
        special_points(lambda x, y: copysign(x, y), [_SPECIAL, _SIGNS], np.copysign),
    )  # fmt: skip


def _sign_bit(b: ScalarBuilder, x: Value) -> Value:
    dtype = b.dtype(x)
    return b.less(b.call("copysign", b.constant(1, dtype), x), b.constant(0, dtype))


class SignBit(Predicate, Unary):
    """Return whether the sign of ``x`` is minus, element by element: also for -0.0 and NaN.

    Examples
    --------
    >>> import symad as sm
    >>> sm.signbit(sm.constant([-0.0, 0.0, -2.0])).eval()
    array([ True, False,  True])
    """

    name = "signbit"
    numpy = np.signbit
    element = _sign_bit
    samples = (
        special_points(
            lambda x: signbit(x), [_SPECIAL], lambda x: (x < 0) | (1 / (x * x.dtype.type(0.5)) < 0)
        ),
        Sample(lambda n: signbit(n), [integers(4)], lambda n: n < 0, label="integer"),
    )


class NextAfter(Binary):
    """Return the float next to ``x`` in the direction of ``y``, element by element.

    It moves with ``x``: the derivative by ``x`` is 1, that by ``y`` is 0.

    Examples
    --------
    >>> import symad as sm
    >>> sm.nextafter(sm.constant(1.0), 2.0).eval() - 1
    np.float64(2.220446049250313e-16)
    """

    name = "nextafter"
    finite_slopes = True
    numpy = np.nextafter
    chain = (lambda v, out, x, y: v, lambda v, out, x, y: zeros_like(v))
    samples = (
        Sample(lambda x, y: nextafter(x, y), [reals(3, 2), fixed([9.0, -9.0])],
               lambda x, y: x + np.abs(np.spacing(x)) * np.sign(y) / (1 + (np.abs(x) == 1))),
        Sample(lambda x, y: nextafter(x, y), [reals(0, 2), reals(1, 2)], label="empty"),
        special_points(lambda x, y: nextafter(x, y), [_SPECIAL, _SIGNS], np.nextafter),
    )  # fmt: skip

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        return np.nextafter.resolve_dtypes((*dtypes, None))[:-1]

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        if builder.dtype(inputs[0]).itemsize == 2:
            raise NotImplementedError("the numbers beside a float16 have no code here")
        return builder.call("nextafter", *inputs)


copysign: Binary = register(CopySign())
signbit: Unary = register(SignBit())
nextafter: Binary = register(NextAfter())
