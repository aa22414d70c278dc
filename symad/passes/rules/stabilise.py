"""Rules that rewrite a formula to avoid overflow, cancellation or 0 · inf.

The replacement is mathematically equal and numerically nearer to the true value.  Derivatives are
built from the original formula, so the products that the gradient pass makes have separate rules:
for log(1 + exp(x)), the derivative 1/(1 + exp(x)) · exp(x) is 0 · inf at 800, where sigmoid(x) is
1.

Where a formula is NaN or infinite because a step overflowed, the replacement gives the true value.
In one case values become NaN: if x contains +inf, exp(x) / sum(exp(x)) is 0 for the finite elements
and NaN for the infinite one, but softmax(x) is NaN for all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from symad.graph.node import Constant, Node, apply
from symad.ops.arithmetic import abs, sqrt, square
from symad.ops.exponential import (
    exp,
    expm1,
    log,
    log1p,
    logaddexp,
    sigmoid,
    softplus,
)
from symad.ops.extremum import Max
from symad.ops.nn import LogSoftmax, LogSumExp, Softmax
from symad.ops.reduce import Sum
from symad.ops.shape import ExpandDims, as_axes
from symad.ops.trigonometric import cosh, sinh, tanh
from symad.passes.rule import AnyRule, Rule, is_scalar
from symad.passes.rules.log_softmax_gather import TAKEN
from symad.passes.rules.sigmoid_slopes import LOGISTIC
from symad.passes.rules.views import is_constant_along
from symad.passes.signs import is_nonnegative

_AXIS = ("axis",)
_AXES = ("axis", "keepdims")
_LAST: dict[str, Any] = {"axis": -1, "keepdims": False}


def _sum(x: Any, axis: Any, keepdims: Any) -> Node:
    return apply(Sum(axis, keepdims), x)


def _softmax(x: Any, axis: Any) -> Node:
    return apply(Softmax(axis), x)


def _log_softmax(x: Any, axis: Any) -> Node:
    return apply(LogSoftmax(axis), x)


def _spread(x: Any, place: Any) -> Node:
    return apply(ExpandDims(place), x)


def _is_spread_back(v: Node, x: Node, axis: Any, place: Any) -> bool:
    """Return whether ``place`` restores the summed axes of ``x``, besides those of v."""
    if axis is None or x.ndim is None or as_axes(axis) != place:
        return False
    return is_scalar(v) or v.ndim == x.ndim - len(place)


_ADJOINTS = ("s", "u", "v", "w")


def _linear_in_adjoints(rule: AnyRule) -> AnyRule:
    """Return a rule that also holds where parts of its pattern are masked."""
    assert isinstance(rule, Rule)
    return replace(rule, linear=tuple(name for name in rule.wildcards if name in _ADJOINTS))


def _slopes_of_log_shares() -> tuple[AnyRule, ...]:
    """Return rules for the derivative of log(exp(x) / Σ exp(x)), also for x minus its maximum."""
    common: dict[str, Any] = {"attributes": _AXIS, "example": {"axis": -1, "u": (2, 1)}}
    shifted: dict[str, Any] = {
        "attributes": _AXIS,
        "where": lambda x, m, axis: is_constant_along(m, x, axis),
        "example": {"axis": -1, "u": (2, 1), "m": (2, 1)},
    }
    return (
        Rule(
            "log share slope",
            lambda u, v, x, axis: (
                u / _sum(exp(x), axis, True) - v / _softmax(x, axis) / _sum(exp(x), axis, True)
            ) * exp(x),
            lambda u, v, x, axis: u * _softmax(x, axis) - v, **common,
        ),
        Rule(
            "log share slope, minus",
            lambda u, v, x, axis: (
                v / _softmax(x, axis) / _sum(exp(x), axis, True) - u / _sum(exp(x), axis, True)
            ) * exp(x),
            lambda u, v, x, axis: v - u * _softmax(x, axis), **common,
        ),
        Rule(
            "log share slope, shifted",
            lambda u, v, x, m, axis: (
                u / _sum(exp(x - m), axis, True)
                - v / _softmax(x, axis) / _sum(exp(x - m), axis, True)
            ) * exp(x - m),
            lambda u, v, x, axis: u * _softmax(x, axis) - v, **shifted,
        ),
        Rule(
            "log share slope, shifted, minus",
            lambda u, v, x, m, axis: (
                v / _softmax(x, axis) / _sum(exp(x - m), axis, True)
                - u / _sum(exp(x - m), axis, True)
            ) * exp(x - m),
            lambda u, v, x, axis: v - u * _softmax(x, axis), **shifted,
        ),
    )  # fmt: skip


LOGARITHMS: tuple[AnyRule, ...] = (
    Rule("softplus of a sigmoid", lambda x: log(sigmoid(x)), lambda x: -softplus(-x)),
    Rule(
        "softplus of a complement", lambda x: log(1 - sigmoid(x)), lambda x: -softplus(x),
    ),
    Rule("softplus of -sigmoid", lambda x: log1p(-sigmoid(x)), lambda x: -softplus(x)),
    Rule(
        "log softmax", lambda x, axis: log(_softmax(x, axis)),
        lambda x, axis: _log_softmax(x, axis), attributes=_AXIS, example={"axis": -1},
    ),
    Rule(
        "logsumexp", lambda x, axis, keepdims: log(_sum(exp(x), axis, keepdims)),
        lambda x, axis, keepdims: apply(LogSumExp(axis, keepdims), x),
        attributes=_AXES, example=_LAST,
    ),
    Rule("logaddexp", lambda x, y: log(exp(x) + exp(y)), lambda x, y: logaddexp(x, y)),
    Rule("log exp", lambda x: log(exp(x)), lambda x: x),
    Rule("log1p expm1", lambda x: log1p(expm1(x)), lambda x: x),
    Rule("softplus", lambda x: log1p(exp(x)), lambda x: softplus(x)),
    Rule("log1p", lambda x: log(1 + x), lambda x: log1p(x), domain=(-0.9, 3.0)),
    Rule("log1p of minus", lambda x: log(1 - x), lambda x: log1p(-x), domain=(-3.0, 0.9)),
    # The logarithm of a negative y is NaN, but log(exp(-inf) * y) is -inf.
    Rule(
        "log of a product with exp", lambda x, y: log(exp(x) * y), lambda x, y: x + log(y),
        where=lambda y: is_nonnegative(y), example={"y": abs}, domain=(0.5, 3.0),
    ),
    Rule(
        "log of a quotient by exp", lambda x, y: log(y / exp(x)), lambda x, y: log(y) - x,
        where=lambda y: is_nonnegative(y), example={"y": abs}, domain=(0.1, 0.9),
    ),
    Rule(
        "log of a quotient of exp", lambda x, y: log(exp(x) / y), lambda x, y: x - log(y),
        where=lambda y: is_nonnegative(y), example={"y": abs}, domain=(0.1, 0.9),
    ),
    Rule("log cosh", lambda x: log(cosh(x)),
         lambda x: abs(x) + softplus(-2 * abs(x)) - math.log(2)),
    Rule("log of a square", lambda x: log(square(x)), lambda x: 2 * log(abs(x))),
    Rule("log of a root", lambda x: log(sqrt(x)), lambda x: 0.5 * log(x), domain=(0.1, 3.0)),
)  # fmt: skip

EXPONENTIALS: tuple[AnyRule, ...] = (
    Rule("expm1", lambda x: exp(x) - 1, lambda x: expm1(x)),
    Rule("minus expm1", lambda x: 1 - exp(x), lambda x: -expm1(x)),
    Rule("exp of log softmax", lambda x, axis: exp(_log_softmax(x, axis)),
         lambda x, axis: _softmax(x, axis), attributes=_AXIS, example={"axis": -1}),
    Rule("sigmoid", lambda x: 1 / (1 + exp(-x)), lambda x: sigmoid(x)),
    Rule("sigmoid of minus", lambda x: 1 / (1 + exp(x)), lambda x: sigmoid(-x)),
    Rule("sigmoid as a share", lambda x: exp(x) / (1 + exp(x)), lambda x: sigmoid(x)),
    Rule("share of two", lambda x, y: exp(x) / (exp(x) + exp(y)), lambda x, y: sigmoid(x - y)),
    Rule(
        "softmax", lambda x, axis: exp(x) / _sum(exp(x), axis, True),
        lambda x, axis: _softmax(x, axis), attributes=_AXIS, example={"axis": -1},
    ),
    Rule(
        "softmax of all", lambda x, axis: exp(x) / _sum(exp(x), axis, False),
        lambda x, axis: _softmax(x, axis), attributes=_AXIS, where=lambda axis: axis is None,
        example={"axis": None},
    ),
    Rule(
        "softmax less maximum", lambda x, axis: _softmax(x - apply(Max(axis, True), x), axis),
        lambda x, axis: _softmax(x, axis), attributes=_AXIS, example={"axis": -1},
    ),
    Rule("tanh", lambda x: sinh(x) / cosh(x), lambda x: tanh(x)),
    Rule("magnitude as a root", lambda x: sqrt(square(x)), lambda x: abs(x)),
)  # fmt: skip


# Derivatives of the formulas above

_DERIVATIVES: tuple[AnyRule, ...] = (
    Rule("softplus slope", lambda v, x: v / (1 + exp(x)) * exp(x), lambda v, x: v * sigmoid(x)),
    Rule("sigmoid times exp", lambda v, x: v * sigmoid(-x) * exp(x), lambda v, x: v * sigmoid(x)),
    Rule("exp times sigmoid", lambda v, x: v * exp(x) * sigmoid(-x), lambda v, x: v * sigmoid(x)),
    Rule("sigmoid and exp", lambda x: sigmoid(-x) * exp(x), lambda x: sigmoid(x)),
    Rule("sigmoid and exp of minus", lambda x: sigmoid(x) * exp(-x), lambda x: sigmoid(-x)),
    Rule("sigmoid times exp of minus", lambda v, x: v * sigmoid(x) * exp(-x),
         lambda v, x: v * sigmoid(-x)),
    Rule("exp of minus times sigmoid", lambda v, x: v * exp(-x) * sigmoid(x),
         lambda v, x: v * sigmoid(-x)),
    Rule("share of exp", lambda v, x: v * exp(x) / (1 + exp(x)), lambda v, x: v * sigmoid(x)),
    Rule(
        "scaled softplus slope", lambda v, w, x: w * (v / (1 + exp(x))) * exp(x),
        lambda v, w, x: w * v * sigmoid(x),
    ),
    Rule(
        "softplus slope, scaled exp", lambda v, w, x: w * exp(x) * (v / (1 + exp(x))),
        lambda v, w, x: w * v * sigmoid(x),
    ),
    Rule(
        "exp into a difference", lambda v, w, x: (w - v / (1 + exp(x))) * exp(x),
        lambda v, w, x: w * exp(x) - v * sigmoid(x),
    ),
    Rule("logaddexp slope", lambda v, x, y: v / (exp(x) + exp(y)) * exp(x),
         lambda v, x, y: v * sigmoid(x - y)),
    Rule("log sigmoid slope", lambda v, x, y: v / sigmoid(x) * (sigmoid(x) * y),
         lambda v, x, y: v * y),
    Rule("log complement slope", lambda v, x, y: v / (1 - sigmoid(x)) * (y * (1 - sigmoid(x))),
         lambda v, x, y: v * y),
    Rule("what a share leaves", lambda v, x: v - v * sigmoid(x), lambda v, x: v * sigmoid(-x)),
    Rule(
        "logsumexp slope", lambda v, x, axis: v / _sum(exp(x), axis, True) * exp(x),
        lambda v, x, axis: v * _softmax(x, axis), attributes=_AXIS,
        example={"axis": -1, "v": (2, 1)},
    ),
    Rule(
        "logsumexp slope of all", lambda v, x, axis: v / _sum(exp(x), axis, False) * exp(x),
        lambda v, x, axis: v * _softmax(x, axis), attributes=_AXIS,
        where=lambda axis: axis is None, example={"axis": None, "v": ()},
    ),
    Rule(
        "logsumexp slope of lines",
        lambda v, x, axis, place: _spread(v / _sum(exp(x), axis, False), place) * exp(x),
        lambda v, x, axis, place: (v if is_scalar(v) else _spread(v, place)) * _softmax(x, axis),
        attributes=("axis", "place"), where=_is_spread_back,
        example={"axis": -1, "place": (-1,), "v": (2,)},
    ),
    Rule(
        "sum of shares",
        lambda v, x, axis, other: _sum(v / _sum(exp(x), axis, True), other, True),
        lambda v, x, axis, other: _sum(v, other, True) / _sum(exp(x), axis, True),
        attributes=("axis", "other"),
        where=lambda v, x, axis, other: is_constant_along(_sum(x, axis, True), v, other),
        example={"axis": -1, "other": (1,)},
    ),
    Rule(
        "sum of negative shares",
        lambda v, x, axis, other: _sum(-(v / _sum(exp(x), axis, True)), other, True),
        lambda v, x, axis, other: -(_sum(v, other, True) / _sum(exp(x), axis, True)),
        attributes=("axis", "other"),
        where=lambda v, x, axis, other: is_constant_along(_sum(x, axis, True), v, other),
        example={"axis": -1, "other": (1,)},
    ),
    Rule(
        "over softmax, times softmax", lambda v, x, axis: v / _softmax(x, axis) * _softmax(x, axis),
        lambda v: v, attributes=_AXIS, example={"axis": -1},
    ),
    Rule("log cosh slope", lambda v, x: v / cosh(x) * sinh(x), lambda v, x: v * tanh(x)),
    Rule("softmax over itself", lambda x, axis: _softmax(x, axis) / _softmax(x, axis),
         lambda x: Constant(1, x.dtype), attributes=_AXIS, example={"axis": -1}),
    *_slopes_of_log_shares(),
    Rule(
        "log softmax slope",
        lambda v, s, x, axis: _softmax(x, axis) * (v / _softmax(x, axis) - s),
        lambda v, s, x, axis: v - _softmax(x, axis) * s,
        attributes=_AXIS, example={"axis": -1, "s": (2, 1)},
    ),
    Rule(
        "log softmax slope, shifted",
        lambda v, c, s, x, axis: _softmax(x, axis) * (v / _softmax(x, axis) - c - s),
        lambda v, c, s, x, axis: v - _softmax(x, axis) * (c + s),
        attributes=_AXIS, example={"axis": -1, "c": (2, 1), "s": (2, 1)},
    ),
)  # fmt: skip

DERIVATIVES = tuple(map(_linear_in_adjoints, _DERIVATIVES))

STABILISE = (*LOGARITHMS, *EXPONENTIALS, *DERIVATIVES, *LOGISTIC, *TAKEN)
