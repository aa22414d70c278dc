"""Logarithms of sums of exponentials, as in mixtures of densities.

The terms may all vanish, or one overflow, where the logarithm is an ordinary number.
"""

from __future__ import annotations

import math
from functools import reduce

from symad.graph.node import Constant, Node
from symad.ops.adjoint import AddN, add_n
from symad.ops.arithmetic import Add
from symad.ops.exponential import Exp, Log, LogAddExp, exp, log, logaddexp
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, number_of
from symad.passes.rules.exponents import monomial

_MOST = 16
"""The most terms."""


def _terms(node: Node) -> list[Node]:
    found, pending = list[Node](), [node]
    while pending and len(found) + len(pending) <= _MOST:
        term = pending.pop()
        if isinstance(term.op, (Add, AddN)):
            pending += reversed(term.inputs)
        else:
            found.append(term)
    return found if not pending else []


def _logarithm(term: Node) -> tuple[Node, bool] | None:
    """Return the logarithm of a positive number times an exponential, and if there is one."""
    known, found = number_of(term), monomial(term)
    number = float(known if found is None else found.number) if known or found else 0.0
    if not 0 < number < math.inf or (found is not None and found.factor is not None):
        return None
    shift = Constant(math.log(number), term.dtype)
    if found is None:
        return shift, False
    return (found.exponent if number == 1 else found.exponent + shift), True


def _log_of_sum(node: Node) -> Node | None:
    """log(Σ c_k exp(x_k)) = logaddexp(x_1 + log(c_1), …)"""
    terms = _terms(node.inputs[0])
    if len(terms) < 2 or any(term.dtype != node.dtype for term in terms):
        return None
    logs = [_logarithm(term) for term in terms]
    known = [each for each in logs if each is not None]
    if len(known) < len(terms) or sum(is_exp for _, is_exp in known) < 2:
        return None
    return reduce(logaddexp, [value for value, _ in known])


def _mixture(x: Node, y: Node, v: Node) -> Node:
    return log(add_n([0.3 * exp(-x), exp(y) / 2, 0.25 + exp(v)]))


LOGARITHMS: tuple[AnyRule, ...] = (
    Procedure(
        "log of a sum of exps", _log_of_sum,
        "log(c * exp(x) + exp(y)) = logaddexp(x + log(c), y)", (Log,),
        (lambda x, y: log(0.3 * exp(x) + exp(y)), _mixture),
        grade=Grade.ROUNDING, needs=frozenset({Exp}), makes=frozenset({LogAddExp, Add}), mends=True,
        when=lambda kind, heads: heads[0] in (Add, AddN),
    ),
)  # fmt: skip
