"""Rules that remove ops without effect, and bring sums, products and signs to one form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply, computed
from symad.ops.adjoint import Cast, Identity, identity, stop_gradient
from symad.ops.arithmetic import abs, negative, reciprocal, square
from symad.ops.comparison import (
    NotEqual,
    Where,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    not_equal,
    where,
)
from symad.ops.exponential import exp
from symad.ops.index import scatter_add
from symad.passes.grade import Grade
from symad.passes.rule import ARRAYS, NUMBERS, AnyRule, Procedure, Rule, number_of
from symad.passes.signs import is_nonnegative


def _cast(x: Any, dtype: Any) -> Node:
    return apply(Cast(dtype), x)


def _keeps_all(given: np.dtype[Any], wider: np.dtype[Any]) -> bool:
    """Return whether conversion is lossless: float to wider float, integer to wider integer."""
    same_kind = given.kind == wider.kind or given.kind == "b" or (given.kind + wider.kind == "ui")
    return same_kind and np.can_cast(given, wider, "safe")


def _divides_by_power_of_two(x: Node, c: Node) -> bool:
    """Return whether c and 1/c are both powers of two within the range of normal numbers."""
    number = number_of(c)
    if number is None or number_of(x) is not None or not np.isfinite(number) or number == 0:
        return False
    return bool(computed(_is_power_of_two, number))


def _is_power_of_two(number: Any) -> bool:
    tiny = float(np.finfo(number.dtype).tiny)
    return math.frexp(number)[0] in (0.5, -0.5) and tiny <= math.fabs(number) <= 1 / tiny


IDENTITIES: tuple[AnyRule, ...] = (
    Procedure("identity", lambda node: node.inputs[0], "identity(x) = x", (Identity,),
              (lambda x: identity(x),)),
    Rule("stop gradient", lambda x: stop_gradient(x), lambda x: x, Grade.EXACT, kinds=ARRAYS),
    Rule(
        "cast to itself", _cast, lambda x: x, Grade.EXACT, kinds=ARRAYS, attributes=("dtype",),
        where=lambda x, dtype: x.dtype == dtype, example={"dtype": np.dtype("float64")},
    ),
    Rule(
        "cast twice",
        lambda x, wider, dtype: _cast(_cast(x, wider), dtype),
        lambda x, dtype: _cast(x, dtype),
        Grade.EXACT, kinds=ARRAYS, attributes=("wider", "dtype"), mixed=True,
        where=lambda x, wider: _keeps_all(x.dtype, wider),
        example={"wider": np.dtype("float64"), "dtype": np.dtype("float32")},
    ),
)  # fmt: skip


# Sums and products

NEUTRAL: tuple[AnyRule, ...] = (
    Rule("times one", lambda x: x * 1, lambda x: x, Grade.EXACT, kinds=ARRAYS),
    Rule("over one", lambda x: x / 1, lambda x: x, Grade.EXACT, kinds=ARRAYS),
    Rule("minus zero", lambda x: x - 0, lambda x: x, Grade.EXACT, kinds=ARRAYS),
    # -0.0 + 0.0 is 0.0
    Rule("plus zero", lambda x: x + 0, lambda x: x, Grade.ROUNDING, kinds=ARRAYS),
    Rule("zero minus", lambda x: 0 - x, lambda x: -x, Grade.ROUNDING, kinds=NUMBERS),
    Rule("times minus one", lambda x: x * -1, lambda x: -x, Grade.EXACT),
    Rule("over minus one", lambda x: x / -1, lambda x: -x, Grade.EXACT),
    Rule("twice", lambda x: x + x, lambda x: x * 2, Grade.EXACT),
    Rule("square", lambda x: x * x, lambda x: square(x), Grade.EXACT, kinds=NUMBERS),
    Rule("reciprocal", lambda x: reciprocal(x), lambda x: 1 / x, Grade.EXACT),
    Rule(
        "over a power of two", lambda x, c: x / c, lambda x, c: x * (1 / c), Grade.EXACT,
        where=_divides_by_power_of_two, numbers=("c",), example={"c": -0.25},
    ),
)  # fmt: skip

SIGNS: tuple[AnyRule, ...] = (
    Rule("minus minus", lambda x: negative(negative(x)), lambda x: x, Grade.EXACT, kinds=NUMBERS),
    Rule("plus minus", lambda x, y: x + -y, lambda x, y: x - y, Grade.EXACT, kinds=NUMBERS),
    Rule("minus negative", lambda x, y: x - -y, lambda x, y: x + y, Grade.EXACT, kinds=NUMBERS),
    Rule("sign out of a product", lambda x, y: -x * y, lambda x, y: -(x * y), Grade.EXACT,
         kinds=NUMBERS),
    Rule("sign out of a quotient", lambda x, y: -x / y, lambda x, y: -(x / y), Grade.EXACT),
    Rule("sign of a divisor", lambda x, y: x / -y, lambda x, y: -(x / y), Grade.EXACT),
    # x - x is 0.0 in either order
    Rule("minus difference", lambda x, y: -(x - y), lambda x, y: y - x, Grade.ROUNDING,
         kinds=NUMBERS),
    Rule("square of negative", lambda x: square(-x), lambda x: square(x), Grade.EXACT,
         kinds=NUMBERS),
    Rule("square of magnitude", lambda x: square(abs(x)), lambda x: square(x), Grade.EXACT,
         kinds=NUMBERS),
    Rule("magnitude of negative", lambda x: abs(-x), lambda x: abs(x), Grade.EXACT),
    Rule("magnitude twice", lambda x: abs(abs(x)), lambda x: abs(x), Grade.EXACT, kinds=NUMBERS),
    Rule("magnitude of what is not negative", lambda x: abs(x), lambda x: x, Grade.EXACT,
         where=is_nonnegative, example={"x": exp}, domain=(-3.0, 3.0)),
    Rule("magnitude of square", lambda x: abs(square(x)), lambda x: square(x), Grade.EXACT),
)  # fmt: skip


# Choices and logic


def _masked_by_place(node: Node) -> Node | None:
    """where(scatter_add(1, x, k) != 0, scatter_add(v, x, k), 0) is zero elsewhere without a mask"""
    condition, kept, other = node.inputs
    if not isinstance(condition.op, NotEqual) or kept.op is None:
        return None
    places, zero = condition.inputs
    if kept.op.fills_all or places.op != kept.op or places.inputs[2:] != kept.inputs[2:]:
        return None
    zeros = number_of(zero) == 0 == number_of(other)
    return kept if zeros and number_of(places.inputs[0]) == 1 else None


def _put(v: Node, x: Node) -> Node:
    return where(not_equal(scatter_add(1.0, x, [0, 2]), 0.0), scatter_add(v, x, [0, 2]), 0.0)


CHOICES: tuple[AnyRule, ...] = (
    Procedure(
        "mask of places", _masked_by_place,
        "where(scatter_add(1, x, k) != 0, scatter_add(v, x, k), 0) = scatter_add(v, x, k)",
        (Where,), (_put,), {"v": (2,), "x": (3,)},
    ),
    Rule("maximum of one", lambda x: maximum(x, x), lambda x: x, Grade.EXACT, kinds=ARRAYS),
    Rule("minimum of one", lambda x: minimum(x, x), lambda x: x, Grade.EXACT, kinds=ARRAYS),
    Rule("choice of one", lambda c, x: where(c, x, x), lambda x: x, Grade.EXACT, kinds=ARRAYS,
         masks=("c",)),
    Rule("always", lambda x, y: where(Constant(True), x, y), lambda x: x, Grade.EXACT,
         kinds=ARRAYS),
    Rule("never", lambda x, y: where(Constant(False), x, y), lambda y: y, Grade.EXACT,
         kinds=ARRAYS),
    Rule("choice by not", lambda c, x, y: where(logical_not(c), x, y),
         lambda c, x, y: where(c, y, x), Grade.EXACT, kinds=ARRAYS, masks=("c",), mixed=True),
    Rule("not not", lambda c: logical_not(logical_not(c)), lambda c: c, Grade.EXACT, kinds=ARRAYS,
         masks=("c",)),
    Rule("and itself", lambda c: logical_and(c, c), lambda c: c, Grade.EXACT, kinds=ARRAYS,
         masks=("c",)),
    Rule("or itself", lambda c: logical_or(c, c), lambda c: c, Grade.EXACT, kinds=ARRAYS,
         masks=("c",)),
)  # fmt: skip
