"""Rules that make a formula cheaper: powers, factors, sums of products.

Transposes are not moved: they are views, and a matrix product accepts a transposed operand at no
cost.  A product is never duplicated while the old one remains in use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.ops.arithmetic import abs, sqrt, square
from symad.ops.exponential import exp, expm1, log, log1p
from symad.ops.product import matmul
from symad.ops.reduce import Mean, Sum
from symad.passes.grade import Grade
from symad.passes.rule import NUMBERS, AnyRule, Rule, is_scalar, number_of, static_shape
from symad.passes.signs import is_nonnegative

# Powers

POWERS: tuple[AnyRule, ...] = (
    Rule("power 0", lambda x: x**0, lambda x: Constant(1, x.dtype), Grade.EXACT),
    Rule("power 1", lambda x: x**1, lambda x: x, Grade.EXACT, kinds=NUMBERS),
    Rule("power 2", lambda x: x**2, lambda x: square(x), kinds=NUMBERS),
    Rule("power 3", lambda x: x**3, lambda x: square(x) * x, kinds=NUMBERS),
    Rule("power 4", lambda x: x**4, lambda x: square(square(x)), kinds=NUMBERS),
    Rule("power -1", lambda x: x**-1, lambda x: 1 / x),
    Rule("power -2", lambda x: x**-2, lambda x: square(1 / x)),
    # (-inf) ** 0.5 is inf and sqrt(-inf) is NaN.
    Rule(
        "power 1/2", lambda x: x**0.5, lambda x: sqrt(x), where=is_nonnegative, example={"x": abs},
    ),
    Rule(
        "power -1/2", lambda x: x**-0.5, lambda x: 1 / sqrt(x), where=is_nonnegative,
        example={"x": abs},
    ),
    Rule(
        "power 3/2", lambda x: x**1.5, lambda x: x * sqrt(x), where=is_nonnegative,
        example={"x": abs},
    ),
)  # fmt: skip


# Factors


def _is_safe_product(c: Node, d: Node) -> bool:
    """Return whether c and d are numbers whose product neither overflows nor loses digits."""
    numbers = number_of(c), number_of(d)
    if None in numbers:
        return False
    product = math.fabs(float(numbers[0]) * float(numbers[1]))
    limits = np.finfo(c.dtype)
    return float(limits.tiny) <= product <= float(limits.max)


def _is_scaling(c: Node, x: Node) -> bool:
    return is_scalar(c) and not is_scalar(x)


def _is_scaling_number(c: Node, x: Node) -> bool:
    """Return whether ``c`` is a number other than 0 and infinity, which may make or hide a NaN."""
    number = number_of(c)
    return number is not None and _is_scaling(c, x) and bool(np.isfinite(number)) and number != 0


def _is_smaller(product: Node, operand: Node) -> bool:
    """Return whether a product of matrices is smaller than one of its operands."""
    made, given = static_shape(product), static_shape(operand)
    return made is not None and given is not None and math.prod(made) < math.prod(given)


def _reduce(kind: type[Sum] | type[Mean], x: Any, axis: Any, keepdims: Any) -> Node:
    return apply(kind(axis, keepdims), x)


def _factors_of(kind: type[Sum] | type[Mean], grade: Grade) -> tuple[AnyRule, ...]:
    """Return the rules for factors under a sum: numbers, or at a lower grade any scalars."""
    what, where, c = _factor_of(grade)
    common: dict[str, Any] = {"attributes": ("axis", "keepdims"), "where": where, "grade": grade}
    example = {"axis": -1, "keepdims": False, "c": c}
    return (
        Rule(
            f"{what} out of a {kind.name}",
            lambda c, x, axis, keepdims: _reduce(kind, c * x, axis, keepdims),
            lambda c, x, axis, keepdims: c * _reduce(kind, x, axis, keepdims),
            example=example, **common,
        ),
        Rule(
            f"{what} under a {kind.name}",
            lambda c, x, axis, keepdims: _reduce(kind, x / c, axis, keepdims),
            lambda c, x, axis, keepdims: _reduce(kind, x, axis, keepdims) / c,
            example=example, **common,
        ),
    )  # fmt: skip


def _factor_of(grade: Grade) -> tuple[str, Callable[[Node, Node], bool], Any]:
    """Return the name of a factor, the condition on it, and an example."""
    if grade < Grade.FINITE:
        return "number", _is_scaling_number, 0.7
    return "scalar", _is_scaling, ()


def _factors_of_matrices(grade: Grade) -> tuple[AnyRule, ...]:
    what, where, c = _factor_of(grade)
    return (
        Rule(
            f"{what} on a left operand", lambda c, x, y: (c * x) @ y, lambda c, x, y: c * (x @ y),
            grade, lambda c, x, y: where(c, x) and _is_smaller(matmul(x, y), x),
            example={"c": c, "x": (2, 4), "y": (4, 3)},
        ),
        Rule(
            f"{what} on a right operand", lambda c, x, y: x @ (c * y), lambda c, x, y: c * (x @ y),
            grade, lambda c, x, y: where(c, y) and _is_smaller(matmul(x, y), y),
            example={"c": c, "x": (2, 3), "y": (3, 4)},
        ),
    )  # fmt: skip


def _sign_out_of(kind: type[Sum] | type[Mean]) -> AnyRule:
    return Rule(
        f"sign out of a {kind.name}",
        lambda x, axis, keepdims: _reduce(kind, -x, axis, keepdims),
        lambda x, axis, keepdims: -_reduce(kind, x, axis, keepdims),
        attributes=("axis", "keepdims"), example={"axis": -1, "keepdims": False},
    )  # fmt: skip


FACTORS: tuple[AnyRule, ...] = (
    Rule(
        "factors", lambda c, d, x: c * (d * x), lambda c, d, x: (c * d) * x, where=_is_safe_product,
        numbers=("c", "d"), example={"c": 3.0, "d": 0.7},
    ),
    *_factors_of(Sum, Grade.ROUNDING),
    *_factors_of(Mean, Grade.ROUNDING),
    *_factors_of_matrices(Grade.ROUNDING),
    _sign_out_of(Sum),
    _sign_out_of(Mean),
)  # fmt: skip


# Inside the domain only

IN_DOMAIN: tuple[AnyRule, ...] = (
    Rule("exp log", lambda x: exp(log(x)), lambda x: x, Grade.FINITE, domain=(0.1, 3.0)),
    Rule("expm1 log1p", lambda x: expm1(log1p(x)), lambda x: x, Grade.FINITE, domain=(0.1, 3.0)),
    Rule("square of a root", lambda x: square(sqrt(x)), lambda x: x, Grade.FINITE,
         domain=(0.1, 3.0)),
    Rule("root", lambda x: x**0.5, lambda x: sqrt(x), Grade.FINITE, domain=(0.1, 3.0)),
    Rule("less itself", lambda x: x - x, lambda x: Constant(0, x.dtype), Grade.FINITE),
    Rule("over itself", lambda x: x / x, lambda x: Constant(1, x.dtype), Grade.FINITE),
    Rule("times zero", lambda x: x * 0, lambda x: Constant(0, x.dtype), Grade.FINITE),
    Rule("zero over", lambda x: 0 / x, lambda x: Constant(0, x.dtype), Grade.FINITE),
    Rule("over and times", lambda x, y: x / y * y, lambda x: x, Grade.FINITE),
    Rule("common factor", lambda x, y, z: x * y + x * z, lambda x, y, z: x * (y + z), Grade.FINITE,
         domain=(0.1, 3.0)),
    *_factors_of(Sum, Grade.FINITE),
    *_factors_of(Mean, Grade.FINITE),
    *_factors_of_matrices(Grade.FINITE),
)  # fmt: skip
