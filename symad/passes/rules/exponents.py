"""Products of exponentials are brought to one exponential, which neither overflows nor vanishes.

exp(x) · exp(y) = exp(x + y): the factors may be infinite or 0 where the product is an ordinary
number.  Numbers, signs and one other factor are moved in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from symad.graph.node import Constant, Node
from symad.ops.arithmetic import Divide, Multiply, Negative, Power, Sqrt, Square, sqrt
from symad.ops.exponential import Exp, exp
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure, number_of

_DEEPEST = 4
"""The most factors that are examined."""
_MONOMIALS = frozenset({Exp, Negative, Square, Divide, Multiply})
"""The ops whose results may be a number times the exponential of something."""


class _Monomial(NamedTuple):
    """A number, perhaps another factor, and the exponential of ``exponent``."""

    number: float
    factor: Node | None
    exponent: Node


def monomial(node: Node) -> _Monomial | None:
    """Return a number times the exponential of something, ``None`` if ``node`` is no such."""
    number, power, factor = 1.0, 1.0, None
    for _ in range(_DEEPEST):
        if isinstance(node.op, Exp):
            (x,) = node.inputs
            return _Monomial(number, factor, x if power == 1 else power * x)
        if isinstance(node.op, Negative):
            number, node = -number, node.inputs[0]
        elif isinstance(node.op, Square) and factor is None and number == 1:
            power, node = 2 * power, node.inputs[0]
        elif isinstance(node.op, Divide) and power == 1 and number_of(node.inputs[1]):
            number, node = number / float(number_of(node.inputs[1])), node.inputs[0]
        elif isinstance(node.op, Multiply) and power == 1:
            a, b = node.inputs if not isinstance(node.inputs[0].op, Exp) else node.inputs[::-1]
            known = number_of(a)
            if known is not None:
                number *= float(known)
            elif factor is None and isinstance(b.op, Exp):
                factor = a
            else:
                return None
            node = b
        else:
            return None
    return None


def _made(number: float, factors: list[Node | None], exponent: Node) -> Node | None:
    """Return the product, ``None`` if its number overflows, vanishes or loses digits."""
    if exponent.dtype.kind != "f":  # the exponential of an integer
        return None
    limits = np.finfo(exponent.dtype)
    if not float(limits.tiny) <= abs(number) <= float(limits.max):
        return None
    result = exp(exponent)
    for factor in factors:
        if factor is not None:
            result = factor * result
    if abs(number) != 1:
        result = Constant(abs(number), exponent.dtype) * result
    return -result if number < 0 else result


def _product(node: Node) -> Node | None:
    a, b = map(monomial, node.inputs)
    if a is None or b is None:
        return None
    return _made(a.number * b.number, [a.factor, b.factor], a.exponent + b.exponent)


def _quotient(node: Node) -> Node | None:
    above, below = node.inputs
    b = monomial(below)
    if b is None or b.factor is not None or b.number == 0:
        return None
    a = monomial(above)
    if a is not None:
        return _made(a.number / b.number, [a.factor], a.exponent - b.exponent)
    number = number_of(above)
    if number is not None:
        return _made(float(number) / b.number, [], -b.exponent)
    return _made(1 / b.number, [above], -b.exponent)


def _root(node: Node) -> Node | None:
    a = monomial(node.inputs[0])
    if a is None or a.factor is not None or a.number <= 0:
        return None
    return _made(a.number**0.5, [], 0.5 * a.exponent)


def _power(node: Node) -> Node | None:
    base, exponent = node.inputs
    a, number = monomial(base), number_of(exponent)
    if a is None or a.factor is not None or a.number <= 0 or number is None:
        return None
    if number == 0 or not np.isfinite(number) or exponent.dtype != base.dtype:
        return None
    with np.errstate(all="ignore"):
        return _made(float(np.float64(a.number) ** float(number)), [], exponent * a.exponent)


def _uniform(function: Callable[[Node], Node | None]) -> Callable[[Node], Node | None]:
    """Return a rule's function for floats of one dtype."""

    def checked(node: Node) -> Node | None:
        if node.dtype.kind != "f" or any(source.dtype != node.dtype for source in node.inputs):
            return None
        return function(node)

    return checked


_COMMON: dict[str, Any] = {
    "grade": Grade.ROUNDING, "needs": frozenset({Exp}), "mends": True,
    "makes": frozenset({Exp, Multiply, Negative}),
}  # fmt: skip

EXPONENTS: tuple[AnyRule, ...] = (
    Procedure(
        "product of exps", _uniform(_product), "(v * exp(x)) * exp(y) = v * exp(x + y)",
        (Multiply,),
        (lambda x, y: exp(x) * exp(y), lambda x, y, v: 3 * (v * exp(x)) * -exp(y)),
        **_COMMON, when=lambda kind, heads: _MONOMIALS.issuperset(heads),
    ),
    Procedure(
        "quotient by exp", _uniform(_quotient), "v / exp(x) = v * exp(-x)", (Divide,),
        (lambda x, v: v / exp(x), lambda x, y: exp(x) / (0.5 * exp(y)), lambda x: 1 / exp(x)),
        **_COMMON, when=lambda kind, heads: heads[1] in _MONOMIALS,
    ),
    Procedure(
        "root of exp", _uniform(_root), "sqrt(exp(x)) = exp(x / 2)", (Sqrt,),
        (lambda x: sqrt(exp(x)), lambda x: sqrt(2 * exp(x))),
        **_COMMON,
    ),
    Procedure(
        "power of exp", _uniform(_power), "exp(x)**c = exp(c * x)", (Power,),
        (lambda x: exp(x) ** -1.3, lambda x: (2 * exp(x)) ** 1.7),
        **_COMMON,
    ),
)  # fmt: skip
