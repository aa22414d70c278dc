"""Rules that rewrite a formula to avoid overflow, cancellation or 0 · inf.

The replacement is mathematically equal and numerically nearer to the true value.  Derivatives are
taken of the replacement as well, if the rule is marked as mending.  The products that make up the
derivative of a formula as it is written, in :func:`symad.extend` or by hand, have separate rules:
for log(1 + exp(x)), 1/(1 + exp(x)) · exp(x) is 0 · inf at 800, where sigmoid(x) is 1.

Where a formula is NaN or infinite because a step overflowed, the replacement gives the true value.
In one case values become NaN: if x contains +inf, exp(x) / sum(exp(x)) is 0 for the finite elements
and NaN for the infinite one, but softmax(x) is NaN for all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symad.graph.node import Constant, Node, apply
from symad.graph.op import call
from symad.ops.adjoint import cast, stop_gradient
from symad.ops.arithmetic import Divide, Multiply, Power, Sqrt, Square, abs, sqrt, square
from symad.ops.comparison import less, maximum, minimum, not_equal, where
from symad.ops.exponential import (
    Exp,
    Sigmoid,
    exp,
    expm1,
    log,
    log1mexp,
    log1p,
    log2,
    log10,
    logaddexp,
    sigmoid,
    softplus,
)
from symad.ops.extremum import Max
from symad.ops.linalg import EuclideanNorm
from symad.ops.moments import Std, Var
from symad.ops.nn import LogSoftmax, LogSumExp, Softmax
from symad.ops.reduce import Mean, Prod, Sum, element_count
from symad.ops.shape import ExpandDims, as_axes
from symad.ops.special import Erfc, erf, erfc
from symad.ops.trigonometric import Cosh, atanh, cosh, hypot, log_cosh, sinh, tanh
from symad.passes.rule import AnyRule, Rule, is_scalar, mending, number_of, parameters
from symad.passes.rules.exponents import EXPONENTS
from symad.passes.rules.log_softmax_gather import LOGARITHMS_OF_TAKEN, MOVES, SLOPES_OF_TAKEN
from symad.passes.rules.logarithms import LOGARITHMS
from symad.passes.rules.shifted_sums import SHIFTED
from symad.passes.rules.sigmoid_slopes import LOGISTIC
from symad.passes.rules.views import is_constant_along
from symad.passes.signs import is_nonnegative
from symad.records import replace

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
    names = parameters(rule.pattern)
    return replace(rule, linear=tuple([name for name in names if name in _ADJOINTS]))


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


def _has_plain_logarithm(x: Node) -> bool:
    """Return whether ``x`` is a product of functions that vanish, but not their logarithms."""
    for _ in range(_DEEPEST):
        if isinstance(x.op, (Exp, Sigmoid, Softmax, Cosh, Erfc)):
            return True
        if not isinstance(x.op, (Sqrt, Square, Power, Multiply, Divide, *MOVES)):
            return False
        x = x.inputs[0]
    return False


_DEEPEST = 4


def _vanishes_unlike_its_logarithm(x: Node) -> bool:
    """Return whether ``x`` :func:`_has_plain_logarithm`, and is more than an exponential."""
    return not isinstance(x.op, Exp) and _has_plain_logarithm(x)


def _is_positive_number(c: Node) -> bool:
    number = number_of(c)
    return number is not None and bool(np.isfinite(number)) and number > 0


def _is_finite_number(c: Node) -> bool:
    number = number_of(c)
    return number is not None and bool(np.isfinite(number)) and number != 0


def _are_factors(x: Node, y: Node) -> bool:
    is_plain = _has_plain_logarithm(x) or _has_plain_logarithm(y)
    return is_plain and is_nonnegative(x) and is_nonnegative(y)


def _unless_negative(x: Node, value: Node) -> Node:
    """Return ``value``, but NaN where x is negative, as its logarithm is."""
    return where(less(x, 0), np.nan, value)


def _mean(x: Any, axis: Any, keepdims: Any) -> Node:
    return apply(Mean(axis, keepdims), x)


def _log_of_weighted_shares(w: Node, x: Node, axis: Any, other: Any, keepdims: Any) -> Node:
    """Return ln Σ w p; the largest p that has a weight is divided out of the sum first."""
    logs = _log_softmax(x, axis)
    largest = apply(Max(other, True), where(not_equal(w, 0), logs, -np.inf))
    top = stop_gradient(maximum(largest, float(np.finfo(x.dtype).min)))
    shares = exp(minimum(logs - top, 0.9 * math.log(float(np.finfo(x.dtype).max))))
    total = log(_sum(w * shares, other, True)) + top
    return total if keepdims else _sum(total, other, False)


_OF_SOFTMAX: tuple[Rule, ...] = (
    Rule(
        "log of weighted shares",
        lambda w, x, axis, other, keepdims: log(_sum(w * _softmax(x, axis), other, keepdims)),
        _log_of_weighted_shares, attributes=("axis", "other", "keepdims"),
        example={"axis": -1, "other": -1, "keepdims": False, "w": abs},
    ),
    Rule(
        "log softmax", lambda x, axis: log(_softmax(x, axis)),
        lambda x, axis: _log_softmax(x, axis), attributes=_AXIS, example={"axis": -1},
    ),
    Rule(
        "logsumexp", lambda x, axis, keepdims: log(_sum(exp(x), axis, keepdims)),
        lambda x, axis, keepdims: apply(LogSumExp(axis, keepdims), x),
        attributes=_AXES, example=_LAST,
    ),
    Rule(
        "log of a mean of exp", lambda x, axis, keepdims: log(_mean(exp(x), axis, keepdims)),
        lambda x, axis, keepdims: apply(LogSumExp(axis, keepdims), x)
        - cast(log(element_count(x, axis)), x.dtype), attributes=_AXES, example=_LAST,
    ),
    Rule("exp of log softmax", lambda x, axis: exp(_log_softmax(x, axis)),
         lambda x, axis: _softmax(x, axis), attributes=_AXIS, example={"axis": -1}),
    Rule(
        "softmax", lambda x, axis: exp(x) / _sum(exp(x), axis, True),
        lambda x, axis: _softmax(x, axis), attributes=_AXIS, example={"axis": -1},
    ),
    Rule(
        "softmax of all", lambda x, axis: exp(x) / _sum(exp(x), axis, False),
        lambda x, axis: _softmax(x, axis), attributes=_AXIS, where=lambda axis: axis is None,
        example={"axis": None},
    ),
)  # fmt: skip

_OF_LOGARITHMS: tuple[Rule, ...] = (
    Rule("softplus of a sigmoid", lambda x: log(sigmoid(x)), lambda x: -softplus(-x)),
    Rule("softplus of a complement", lambda x: log(1 - sigmoid(x)), lambda x: -softplus(x)),
    Rule("softplus of -sigmoid", lambda x: log1p(-sigmoid(x)), lambda x: -softplus(x)),
    Rule("log cosh of a sum", lambda x: logaddexp(x, -x), lambda x: log_cosh(x) + math.log(2)),
    Rule("logaddexp", lambda x, y: log(exp(x) + exp(y)), lambda x, y: logaddexp(x, y)),
    Rule("log exp", lambda x: log(exp(x)), lambda x: x),
    Rule("log2 of an exponential", lambda x: log2(x), lambda x: log(x) / math.log(2),
         where=_vanishes_unlike_its_logarithm, example={"x": sigmoid}),
    Rule("log10 of an exponential", lambda x: log10(x), lambda x: log(x) / math.log(10),
         where=_vanishes_unlike_its_logarithm, example={"x": sigmoid}),
    Rule("log2 exp", lambda x: log2(exp(x)), lambda x: x / math.log(2)),
    Rule("log10 exp", lambda x: log10(exp(x)), lambda x: x / math.log(10)),
    Rule("log1p expm1", lambda x: log1p(expm1(x)), lambda x: x),
    Rule("log expm1", lambda x: log(expm1(x)), lambda x: x + log1mexp(-x), domain=(0.1, 3.0)),
    Rule("log of minus expm1", lambda x: log(-expm1(x)), lambda x: log1mexp(x),
         domain=(-3.0, -0.1)),
    Rule("log1mexp", lambda x: log1p(-exp(x)), lambda x: log1mexp(x), domain=(-3.0, -0.1)),
    Rule("softplus", lambda x: log1p(exp(x)), lambda x: softplus(x)),
    Rule("log of a number and exp", lambda c, x: log(c + exp(x)),
         lambda c, x: logaddexp(log(c), x), where=lambda c: _is_positive_number(c) and
         number_of(c) != 1, example={"c": 2.5}),
    # The logarithm of a negative y is NaN, but log(exp(-inf) * y) is -inf.
    Rule(
        "log of a product with exp", lambda x, y: log(x * y), lambda x, y: log(x) + log(y),
        where=_are_factors, example={"x": exp, "y": abs}, domain=(0.5, 3.0),
    ),
    Rule(
        "log of a quotient with exp", lambda x, y: log(x / y), lambda x, y: log(x) - log(y),
        where=_are_factors, example={"x": exp, "y": abs}, domain=(0.1, 0.9),
    ),
    Rule("log of a power", lambda x, c: log(x**c), lambda x, c: c * log(x),
         where=lambda x, c: is_nonnegative(x) and _is_finite_number(c),
         example={"x": abs, "c": 2.5}, domain=(0.1, 3.0)),
    Rule(
        "log of a prod", lambda x, axis, keepdims: log(apply(Prod(axis, keepdims), x)),
        lambda x, axis, keepdims: _sum(log(x), axis, keepdims),
        attributes=_AXES, where=is_nonnegative, example=_LAST | {"x": abs}, domain=(0.1, 3.0),
    ),
    Rule("log cosh", lambda x: log(cosh(x)), lambda x: log_cosh(x)),
    Rule("log erfc", lambda x: log(erfc(x)),
         lambda x: call("log_ndtr", -math.sqrt(2) * x) + math.log(2)),
    Rule("log of one less tanh²", lambda x: log(1 - square(tanh(x))), lambda x: -2 * log_cosh(x)),
    Rule("log1p of minus tanh²", lambda x: log1p(-square(tanh(x))), lambda x: -2 * log_cosh(x)),
    Rule("log of one less tanh", lambda x: log(1 - tanh(x)),
         lambda x: math.log(2) - softplus(2 * x)),
    Rule("log1p of tanh", lambda x: log1p(tanh(x)), lambda x: math.log(2) - softplus(-2 * x)),
    Rule("log of one and tanh", lambda x: log(1 + tanh(x)),
         lambda x: math.log(2) - softplus(-2 * x)),
    Rule("atanh tanh", lambda x: atanh(tanh(x)), lambda x: x),
    Rule("log sinh", lambda x: log(sinh(x)), lambda x: x + log1mexp(-2 * x) - math.log(2),
         domain=(0.1, 3.0)),
    Rule("log of a square", lambda x: log(square(x)), lambda x: 2 * log(abs(x))),
)  # fmt: skip

_OF_EXPONENTIALS: tuple[Rule, ...] = (
    Rule("sigmoid", lambda x: 1 / (1 + exp(-x)), lambda x: sigmoid(x)),
    Rule("sigmoid of minus", lambda x: 1 / (1 + exp(x)), lambda x: sigmoid(-x)),
    Rule("sigmoid as a share", lambda x: exp(x) / (1 + exp(x)), lambda x: sigmoid(x)),
    Rule("share of two", lambda x, y: exp(x) / (exp(x) + exp(y)), lambda x, y: sigmoid(x - y)),
    Rule("number over one and exp", lambda c, x: c / (1 + exp(x)), lambda c, x: c * sigmoid(-x),
         where=_is_finite_number, example={"c": 0.7}),
    Rule("number over number and exp", lambda c, d, x: c / (d + exp(x)),
         lambda c, d, x: c / d * sigmoid(log(d) - x), example={"c": 0.7, "d": 2.5},
         where=lambda c, d: _is_finite_number(c) and _is_positive_number(d)),
    Rule("exp of log sigmoid", lambda x: exp(-softplus(x)), lambda x: sigmoid(-x)),
    Rule("softplus of log", lambda x: softplus(log(x)), lambda x: _unless_negative(x, log1p(x)),
         domain=(0.1, 3.0)),
    Rule("sigmoid of log", lambda x: sigmoid(log(x)),
         lambda x: _unless_negative(x, -expm1(-log1p(x))), domain=(0.1, 3.0)),
    Rule("sum of exp and exp of minus", lambda x: exp(x) + exp(-x), lambda x: 2 * cosh(x)),
    Rule("sum of exps of opposites", lambda x, y: exp(x - y) + exp(y - x),
         lambda x, y: 2 * cosh(x - y)),
    Rule("tanh", lambda x: sinh(x) / cosh(x), lambda x: tanh(x)),
    Rule("scaled tanh", lambda c, d, x: c * sinh(x) / (d * cosh(x)),
         lambda c, d, x: c / d * tanh(x), example={"c": -2.0, "d": 2.0},
         where=lambda c, d: _is_finite_number(c) and _is_finite_number(d)),
    Rule("root of sigmoid", lambda x: sqrt(sigmoid(x)), lambda x: exp(-0.5 * softplus(-x))),
    Rule("power of sigmoid", lambda x, c: sigmoid(x) ** c, lambda x, c: exp(-c * softplus(-x)),
         where=lambda c: _is_finite_number(c) and number_of(c) < 1, example={"c": -1.3}),
    Rule("number over sigmoid", lambda c, x: c / sigmoid(x), lambda c, x: c * (1 + exp(-x)),
         where=_is_finite_number, example={"c": 0.7}),
    Rule("tanh of half", lambda x: expm1(x) / (1 + exp(x)), lambda x: tanh(0.5 * x)),
    Rule("tanh as a sigmoid", lambda x: 2 * sigmoid(x) - 1, lambda x: tanh(0.5 * x)),
    Rule("minus tanh as a sigmoid", lambda x: 1 - 2 * sigmoid(x), lambda x: -tanh(0.5 * x)),
    Rule("magnitude as a root", lambda x: sqrt(square(x)), lambda x: abs(x)),
    Rule("norm as a root", lambda x, axis, keepdims: sqrt(_sum(square(x), axis, keepdims)),
         lambda x, axis, keepdims: apply(EuclideanNorm(axis, keepdims), x),
         attributes=_AXES, example=_LAST),
    Rule("std as a root", lambda x, axis, keepdims, correction:
         sqrt(apply(Var(axis, keepdims, correction), x)),
         lambda x, axis, keepdims, correction: apply(Std(axis, keepdims, correction), x),
         attributes=(*_AXES, "correction"), example=_LAST | {"correction": 0.0}),
    Rule("hypot", lambda x, y: sqrt(square(x) + square(y)), lambda x, y: hypot(x, y)),
)  # fmt: skip

VALUES: tuple[AnyRule, ...] = (
    Rule("log1p", lambda x: log(1 + x), lambda x: log1p(x), domain=(-0.9, 3.0)),
    Rule("log1p of minus", lambda x: log(1 - x), lambda x: log1p(-x), domain=(-3.0, 0.9)),
    Rule("log of a root", lambda x: log(sqrt(x)), lambda x: 0.5 * log(x), domain=(0.1, 3.0)),
    Rule("difference of exp and exp of minus", lambda x: exp(x) - exp(-x), lambda x: 2 * sinh(x)),
    Rule("difference of exp of minus and exp", lambda x: exp(-x) - exp(x), lambda x: -2 * sinh(x)),
    Rule("expm1", lambda x: exp(x) - 1, lambda x: expm1(x)),
    Rule("minus expm1", lambda x: 1 - exp(x), lambda x: -expm1(x)),
    Rule("difference of exps of opposites", lambda x, y: exp(x - y) - exp(y - x),
         lambda x, y: 2 * sinh(x - y)),
    Rule("one and erf", lambda x: 1 + erf(x), lambda x: erfc(-x)),
    Rule("one less erf", lambda x: 1 - erf(x), lambda x: erfc(x)),
    Rule("one less erfc", lambda x: 1 - erfc(x), lambda x: erf(x)),
)  # fmt: skip
"""Rules for values: the derivatives of both sides are computed alike."""

FOR_DERIVATIVES = mending(
    Rule("exp of log", lambda x: exp(log(x)), lambda x: _unless_negative(x, x), domain=(0.1, 3.0)),
    Rule("exp of number times log", lambda c, x: exp(c * log(x)),
         lambda c, x: _unless_negative(x, x**c), where=_is_positive_number, example={"c": 2.5},
         domain=(0.1, 3.0)),
)  # fmt: skip
"""Rules that make no value more exact, but derivatives at 0."""

FORMULAS: tuple[AnyRule, ...] = (
    *mending(*_OF_SOFTMAX), *mending(*_OF_LOGARITHMS), *VALUES, *mending(*_OF_EXPONENTIALS),
    *SHIFTED, *EXPONENTS, *LOGARITHMS_OF_TAKEN, *LOGARITHMS,
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

STABILISE = (*FORMULAS, *DERIVATIVES, *LOGISTIC, *SLOPES_OF_TAKEN)
