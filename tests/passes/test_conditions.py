"""The conditions of rewrite rules: for each, expressions that it alone keeps as they are."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Constant, Node
from symad.passes.decompose import DECOMPOSE
from symad.passes.rule import Rule
from symad.passes.rules import all_rules
from symad.passes.rules.stabilise import FOR_DERIVATIVES
from symad.records import replace
from tests.support.op_checks import run_kernels

RULES = (*all_rules(), *FOR_DERIVATIVES, *DECOMPOSE)
CONDITIONAL = {rule.name: rule for rule in RULES if isinstance(rule, Rule) and rule.where}

Match = dict[str, Any]


def variable(name: str, *shape: Any, dtype: str = "float64") -> sm.Variable:
    return sm.Variable(name, shape, dtype)


X, Y, SCALAR = variable("x", 2, 3), variable("y", 2, 3), variable("s")
NOT_FINITE = (np.inf, -np.inf, np.nan)
NAMED = variable("n", "a", "b")


def casts(given: str, wider: str, dtype: str = "float64") -> Match:
    x = variable("x", 3, dtype=given)
    return {"x": x, "wider": np.dtype(wider), "dtype": np.dtype(dtype)}


def factors(*numbers: float) -> list[Match]:
    """Return matches of c x for each number, a scalar, and an array."""
    return [*({"c": Constant(n), "x": X} for n in numbers), {"c": SCALAR, "x": X}]


def reduced(matches: list[Match]) -> list[Match]:
    return [{**match, "axis": -1, "keepdims": False} for match in matches]


def products(side: str, is_number: bool) -> list[Match]:
    """Return matches of a factor of a product: one that may hide NaN, or would save nothing."""
    small, large = variable("a", 2, 4), variable("b", 4, 3)
    other = variable("b", 4, 5)  # the product is no smaller than its operand
    c = [Constant(number) for number in (0.0, *NOT_FINITE)] if is_number else []
    worth = {"x": small, "y": large} if side == "left" else {"x": variable("a", 2, 4), "y": large}
    wasted = {"x": small, "y": other} if side == "left" else {"x": variable("a", 9, 4), "y": large}
    refused = [{"c": one, **worth} for one in ([*c, SCALAR] if is_number else [])]
    return [*refused, {"c": Constant(0.7) if is_number else SCALAR, **wasted}]


SLOPE: Match = {"u": variable("u", 2, 1), "v": Y, "x": X, "axis": -1}
POSITIVE = sm.exp(X)
SQUARE = variable("q", 3, 3)

REFUSED: dict[str, list[Match]] = {
    "cast to itself": [{"x": X, "dtype": np.dtype("float32")}],
    "cast twice": [
        casts("float64", "int32"), casts("float64", "float32"), casts("float32", "float16"),
        casts("int64", "float64", "int64"), casts("uint8", "int8", "int16"),
        casts("int8", "uint8", "int16"), casts("int32", "bool"), casts("int64", "int32"),
    ],
    "over a power of two": [
        *({"x": X, "c": Constant(c)} for c in (3.0, 0.0, 2.0**1023, 2.0**-1023, *NOT_FINITE)),
        {"x": X, "c": SCALAR}, {"x": Constant(3.0), "c": Constant(2.0)},
    ],
    "softmax of all": [{"x": X, "axis": 0}],
    **{f"log{base} of an exponential": [{"x": X}, {"x": POSITIVE}] for base in (2, 10)},
    "log of a number and exp": [
        *({"c": Constant(c), "x": X} for c in (-2.5, 0.0, 1.0, *NOT_FINITE)), {"c": SCALAR, "x": X},
    ],
    "log of a product with exp": [
        {"x": abs(X), "y": abs(Y)}, {"x": POSITIVE, "y": Y}, {"x": -POSITIVE, "y": abs(Y)},
    ],
    "log of a quotient with exp": [
        {"x": abs(X), "y": abs(Y)}, {"x": POSITIVE, "y": Y}, {"x": Y, "y": POSITIVE},
    ],
    "log of a power": [
        {"x": X, "c": Constant(2.5)}, {"x": abs(X), "c": SCALAR},
        *({"x": abs(X), "c": Constant(c)} for c in (0.0, *NOT_FINITE)),
    ],
    "log of a prod": reduced([{"x": X}]),
    "number over one and exp": factors(0.0, *NOT_FINITE),
    "number over number and exp": [
        *({"c": Constant(c), "d": Constant(2.5), "x": X} for c in (0.0, *NOT_FINITE)),
        *({"c": Constant(0.7), "d": Constant(d), "x": X} for d in (-2.5, 0.0, *NOT_FINITE)),
        {"c": SCALAR, "d": Constant(2.5), "x": X}, {"c": Constant(0.7), "d": SCALAR, "x": X},
    ],
    "exp of number times log": factors(-2.5, 0.0, *NOT_FINITE),
    "scaled tanh": [
        *({"c": Constant(c), "d": Constant(2.0), "x": X} for c in (0.0, *NOT_FINITE)),
        *({"c": Constant(2.0), "d": Constant(d), "x": X} for d in (0.0, *NOT_FINITE)),
    ],
    "power of sigmoid": factors(0.0, 1.0, 2.0, *NOT_FINITE),
    "number over sigmoid": factors(0.0, *NOT_FINITE),
    "logsumexp slope of all": [{"v": variable("v", 3), "x": X, "axis": 0}],
    "logsumexp slope of lines": [
        {"v": variable("v", 3), "x": SQUARE, "axis": 0, "place": (-1,)},
        {"v": variable("v", 4, 2), "x": X, "axis": -1, "place": (-1,)},
        {"v": SCALAR, "x": X, "axis": None, "place": (-1,)},
    ],
    "sum of shares": [{"v": NAMED, "x": NAMED, "axis": -1, "other": (1,)}],
    "sum of negative shares": [{"v": NAMED, "x": NAMED, "axis": -1, "other": (1,)}],
    "log share slope, shifted": [{**SLOPE, "m": variable("m", 2, 3)}],
    "log share slope, shifted, minus": [{**SLOPE, "m": variable("m", 2, 3)}],
    "magnitude of what is not negative": [{"x": X}, {"x": -POSITIVE}],
    "power 1/2": [{"x": X}],
    "power -1/2": [{"x": X}],
    "power 3/2": [{"x": X}],
    "factors": [
        *({"c": Constant(c), "d": Constant(d), "x": X} for c, d in (
            (1e200, 1e200), (1e-200, 1e-200), (1e200, -1e200), (np.inf, 0.7), (0.0, 0.7),
            (np.nan, 0.7), (0.7, np.inf), (0.7, 0.0),
        )),
        {"c": SCALAR, "d": Constant(0.7), "x": X}, {"c": Constant(0.7), "d": SCALAR, "x": X},
    ],
    **{f"number {where} a {kind}": reduced(factors(0.0, *NOT_FINITE))
       for where in ("out of", "under") for kind in ("sum", "mean")},
    **{f"scalar {where} a {kind}": reduced([{"c": variable("c", 3), "x": SQUARE}])
       for where in ("out of", "under") for kind in ("sum", "mean")},
    **{f"{what} on a {side} operand": products(side, what == "number")
       for what in ("number", "scalar") for side in ("left", "right")},
}  # fmt: skip
"""Matches of the wildcards of each rule for which its condition does not hold."""

MATCHES = [(name, match) for name, matches in REFUSED.items() for match in matches]


def root_of(rule: Rule, match: Match) -> Node:
    return rule.pattern(**match)


def test_each_condition_has_a_counter_example() -> None:
    assert set(CONDITIONAL) == set(REFUSED)
    assert all(REFUSED.values())


@pytest.mark.parametrize(("name", "match"), MATCHES)
def test_only_its_condition_keeps_a_rule_from_being_applied(name: str, match: Match) -> None:
    """Were the condition dropped, the first assertion would fail: the second one shows it."""
    rule = CONDITIONAL[name]
    assert rule.apply(root_of(rule, match)) is None
    free = replace(rule, where=None, numbers=())
    assert free.apply(root_of(rule, match)) is not None


WRONG_WITHOUT: dict[str, Any] = {
    "cast twice": np.array([0.5, -1.5, 1e300]),
    "power -1/2": np.array([-np.inf, -0.0, 2.0]),
    "power 3/2": np.array([-np.inf, -1.0, 2.0]),
    "magnitude of what is not negative": np.array([-2.0, -0.0, 2.0]),
    "softmax of all": np.array([[0.0, 1.0, 2.0], [1.0, 3.0, 2.0]]),
    "log of a prod": np.array([[-2.0, -1.0, 2.0], [1.0, 3.0, 2.0]]),
}


@pytest.mark.parametrize("name", WRONG_WITHOUT)
def test_without_its_condition_a_rule_is_wrong(name: str) -> None:
    rule, match = CONDITIONAL[name], REFUSED[name][0]
    x = sm.Variable("x", WRONG_WITHOUT[name].shape)
    root = root_of(rule, {**match, "x": x})
    wrong = replace(rule, where=None).apply(root)
    assert wrong is not None
    old, new = run_kernels(sm.Graph([root, wrong], [x]), [WRONG_WITHOUT[name]])
    assert not np.array_equal(old, new, equal_nan=True)


def test_conditions_read_what_they_name() -> None:
    """A condition takes wildcards by name, so that none can be another's."""
    for rule in CONDITIONAL.values():
        assert rule.where is not None
        assert set(inspect.signature(rule.where).parameters) <= set(rule.wildcards), rule.name
