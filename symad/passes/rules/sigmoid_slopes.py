"""The slope of a sum of logarithms of a sigmoid and of its complement, as in log-likelihoods.

With s = sigmoid(x), the derivative of a log(s) + b log(1 − s) is (a/s − b/(1 − s)) s (1 − s), in
which 0/0 and 1/0 occur if s is 0 or 1.  It is equal to a (1 − s) − b s.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from symad.graph.node import Node
from symad.ops.arithmetic import Add, Divide, Multiply, Negative, Subtract, add, multiply, subtract
from symad.ops.comparison import Where, where
from symad.ops.exponential import Sigmoid, SigmoidSlope, sigmoid, sigmoid_slope
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, number_of

_MOST = 8
"""The most terms or factors that are examined, which bounds the cost of a node."""

_Shares = dict["_Share", Node]
"""At most one node for s, and one for 1 − s."""


class _Share(NamedTuple):
    """Represents sigmoid(x), or 1 − sigmoid(x), which is sigmoid(−x)."""

    x: Node
    is_rest: bool


class _Term(NamedTuple):
    """A term of a sum."""

    is_minus: bool
    node: Node


def _slope(node: Node) -> Node | None:
    """Distribute a factor s, 1 − s or both over a sum of quotients by them."""
    if not any(map(_has_share, node.inputs)):
        return None
    shares: _Shares = {}
    rest = []
    for factor in _factors(node):
        share = _share(factor)
        if share is None or share in shares or any(share.x is not other.x for other in shares):
            rest.append(factor)
        else:
            shares[share] = factor
    for k, factor in enumerate(rest if shares else ()):
        made = _multiplied_out(factor, shares)
        if made is not None:
            return reduce(multiply, rest[:k] + rest[k + 1 :], made)
    return None


def _has_share(factor: Node) -> bool:
    """Check quickly; products inside products have already been handled."""
    factors = factor.inputs if isinstance(factor.op, Multiply) else (factor,)
    return any(isinstance(f.op, SigmoidSlope) or _share(f) is not None for f in factors)


def _share(node: Node) -> _Share | None:
    is_rest = isinstance(node.op, Subtract) and number_of(node.inputs[0]) == 1
    whole = node.inputs[1] if is_rest else node
    if not isinstance(whole.op, Sigmoid):
        return None
    (x,) = whole.inputs
    is_negative = isinstance(x.op, Negative)
    return _Share(x.inputs[0] if is_negative else x, is_rest != is_negative)


def _factors(node: Node) -> list[Node]:
    found: list[Node] = []
    pending = [node]
    while pending and len(found) + len(pending) <= _MOST:
        top = pending.pop()
        if isinstance(top.op, Multiply):
            pending += reversed(top.inputs)
        elif isinstance(top.op, SigmoidSlope):
            found += (sigmoid(top.inputs[0]), sigmoid(-top.inputs[0]))
        else:
            found.append(top)
    return found + pending


def _terms(node: Node) -> list[_Term]:
    found: list[_Term] = []
    pending = [_Term(False, node)]
    while pending and len(found) + len(pending) <= _MOST:
        is_minus, top = pending.pop()
        if isinstance(top.op, Negative):
            pending.append(_Term(not is_minus, top.inputs[0]))
        elif isinstance(top.op, (Add, Subtract)):
            left, right = top.inputs
            pending.append(_Term(is_minus != isinstance(top.op, Subtract), right))
            pending.append(_Term(is_minus, left))
        else:
            found.append(_Term(is_minus, top))
    return found + pending


def _multiplied_out(node: Node, shares: _Shares) -> Node | None:
    """Return a sum times ``shares``, if that removes some quotient."""
    terms = _terms(node)
    spared = [_spared(term.node, shares) for term in terms]
    if all(made is None for made in spared):
        return None
    total: Node | None = None
    for (is_minus, term), found in zip(terms, spared, strict=True):
        made = reduce(multiply, shares.values(), term) if found is None else found
        if total is None:
            total = -made if is_minus else made
        else:
            total = subtract(total, made) if is_minus else add(total, made)
    return total


def _spared(term: Node, shares: _Shares) -> Node | None:
    """Return a product times ``shares`` if one of its factors is a quotient by one of these."""
    factors = _factors(term)
    for k, factor in enumerate(factors):
        for share, node in shares.items():
            made = _times(factor, share)
            if made is not None:
                kept = (other for other in shares.values() if other is not node)
                return reduce(multiply, (*factors[:k], *factors[k + 1 :], *kept), made)
    return None


def _times(factor: Node, share: _Share) -> Node | None:
    """Return v/s times s, also inside a choice; ``None`` if the factor is not such a quotient."""
    if not isinstance(factor.op, Where):
        return _dividend(factor, share)
    mask, one, other = factor.inputs
    if number_of(other) == 0:
        made = _dividend(one, share)
        return None if made is None else where(mask, made, other)
    made = _dividend(other, share) if number_of(one) == 0 else None
    return None if made is None else where(mask, one, made)


def _dividend(node: Node, share: _Share) -> Node | None:
    is_negative = isinstance(node.op, Negative)
    quotient = node.inputs[0] if is_negative else node
    if not isinstance(quotient.op, Divide) or _share(quotient.inputs[1]) != share:
        return None
    return -quotient.inputs[0] if is_negative else quotient.inputs[0]


LOGISTIC: tuple[AnyRule, ...] = (
    Procedure(
        "slope of log sigmoids",
        _slope,
        "(a / s - b / (1 - s)) * (s * (1 - s)) = a * (1 - s) - b * s for s = sigmoid(x)",
        (Multiply,),
        (
            lambda x, a, b: (a / sigmoid(x) - b / (1 - sigmoid(x)))
            * (sigmoid(x) * (1 - sigmoid(x))),
            lambda x, a, b: (-(b / (1 - sigmoid(x))) - a / sigmoid(x)) * sigmoid(x) * sigmoid(-x),
            lambda x, a, b: (a + b / sigmoid(x)) * (sigmoid(x) * (1 - sigmoid(x))),
            lambda x, a, b: (a / sigmoid(x) - b / (1 - sigmoid(x))) * sigmoid_slope(x),
            lambda x, a, b: (where(a > b, a / sigmoid(x), 0.0) + where(a > b, 0.0, b)) * sigmoid(x),
        ),
        grade=Grade.ROUNDING, needs=frozenset({Sigmoid, Divide}),
    ),
)  # fmt: skip
