"""What to do about a NaN or an infinity, by the op that made it and what it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Node
from symad.graph.op import Op
from symad.graph.provenance import Role, RoleKind

_MASK = (
    "Mask it where it is made: sm.where({condition}, {op}(x), 0) has the derivative 0 wherever the "
    "condition does not hold."
)
_DERIVATIVES = {
    "sqrt": "The derivative of √x at 0 is infinite. "
    + _MASK.format(condition="x > 0", op="sm.sqrt"),
    "cbrt": "The derivative of the cube root at 0 is infinite. "
    + _MASK.format(condition="sm.not_equal(x, 0)", op="sm.cbrt"),
    "log": "The derivative of ln x at 0 is infinite. "
    + _MASK.format(condition="x > 0", op="sm.log"),
    "power": "The derivative of x ** p at 0 is infinite for p < 1, and so is that of p at x = 0. "
    "Mask it where it is made: sm.where(x > 0, x ** p, 0).",
    "divide": "The derivative of x / y at y = 0 is infinite. Mask it where it is made: "
    "sm.where(sm.not_equal(y, 0), x / y, 0).",
    "reciprocal": "The derivative of 1/x at 0 is infinite. "
    + _MASK.format(condition="sm.not_equal(x, 0)", op="sm.reciprocal"),
    "asin": "The derivative of arcsin at ±1 is infinite: keep x inside with sm.clip.",
    "acos": "The derivative of arccos at ±1 is infinite: keep x inside with sm.clip.",
    "eigh": "Eigenvectors have no derivative where two eigenvalues are equal; use eigenvalues "
    "alone (sm.linalg.eigvalsh), or make them differ.",
    "svd": "Singular vectors have no derivative where two singular values are equal or one is 0; "
    "use singular values alone (sm.linalg.svdvals), or make them differ.",
    "norm": "The norm has a kink at 0: square it, or mask it with sm.where.",
}
"""By the forward op whose rule made it."""

_DOMAINS = {
    "sqrt": "The root of a negative number is NaN: use sm.relu(x) or sm.abs(x) inside.",
    "asin": "arcsin is defined from −1 to 1: sm.clip(x, -1, 1) mends rounding beyond.",
    "acos": "arccos is defined from −1 to 1: sm.clip(x, -1, 1) mends rounding beyond.",
    "acosh": "arcosh is defined from 1 on: sm.maximum(x, 1) mends rounding below.",
    "atanh": "artanh is defined between −1 and 1, and infinite at these.",
    "erfinv": "The inverse of erf is defined between −1 and 1, and infinite at these.",
    "log1p": "ln(1 + x) is defined for x > −1.",
    "gammaln": "ln Γ is infinite at 0, −1, −2, ...",
    "digamma": "The digamma function has poles at 0, −1, −2, ...",
    "mod": "The remainder by 0 is NaN.",
    "fmod": "The remainder by 0 is NaN.",
    "floor_divide": "Division by 0: keep the divisor away from 0 with sm.where.",
    "mean": "The mean of no elements is 0/0: check the sizes that are fed.",
    "var": "There are too few elements for this variance: check the sizes and the correction.",
    "std": "There are too few elements for this deviation: check the sizes and the correction.",
    "softmax": "A row of nothing but −∞ leaves nothing to choose from: leave one element unmasked.",
    "log_softmax": "A row of nothing but −∞ leaves nothing to choose from: leave one unmasked.",
}
"""By the op itself."""

_EXPONENTIALS = {"exp": 1.0, "exp2": np.log(2.0), "expm1": 1.0, "sinh": 1.0, "cosh": 1.0}


def remedy_of(node: Node, inputs: Sequence[Any], value: Any) -> str:
    """Return what to do about ``value``, which ``node`` made of ``inputs``; empty if unknown.

    Parameters
    ----------
    node : Node
    inputs : sequence
        The numbers it was made of, or arrays where no single numbers made it.
    value : number
        NaN or infinite.
    """
    assert node.op is not None
    name = node.op.name
    differentiated = _differentiated(node.role)
    of_rule = "" if differentiated is None else _DERIVATIVES.get(differentiated.name, "")
    if of_rule and not _overflows(node, inputs, value):
        return of_rule
    special = _SPECIAL.get(name)
    text = special(inputs, value) if special is not None and _are_numbers(inputs) else ""
    if text or name in _EXPONENTIALS:
        return text or _exponential(node, name)
    if name in _DOMAINS:
        return _DOMAINS[name]
    return _overflow(node) if np.isinf(value) and _finite(inputs) else ""


def _differentiated(role: Role[Node] | None) -> Op | None:
    """Return the forward op whose rule made a node."""
    if role is None or role.kind not in (RoleKind.TANGENT, RoleKind.PARTIAL, RoleKind.LOCAL):
        return None
    return role.node.op if role.consumer is None else role.consumer.op


def _logarithm(inputs: Sequence[Any], value: Any) -> str:
    if inputs[0] < 0:
        return "The logarithm of a negative number is NaN: is this the argument you meant?"
    return (
        "The logarithm of 0 is −∞. For probabilities, take sm.log_softmax or sm.logsumexp of the "
        "logits; where 0 is to be left out, write sm.where(x > 0, sm.log(x), 0)."
    )


def _quotient(inputs: Sequence[Any], value: Any) -> str:
    if inputs[-1] != 0:
        return "∞/∞: see where the infinities come from." if np.isnan(value) else ""
    what = "0/0 is NaN" if np.isnan(value) else "Division by 0"
    return f"{what}. Where the divisor may be 0, write sm.where(sm.not_equal(y, 0), x / y, 0)."


def _product(inputs: Sequence[Any], value: Any) -> str:
    return "0 · ∞ is NaN: mend the infinity." if np.isnan(value) else ""


def _difference(inputs: Sequence[Any], value: Any) -> str:
    return "∞ − ∞ is NaN: mend the infinities." if np.isnan(value) else ""


def _power(inputs: Sequence[Any], value: Any) -> str:
    base, exponent = inputs
    if base < 0 and np.isnan(value):
        return "A negative number to a power that is no integer is NaN: use sm.abs(x) ** p."
    if base == 0 and exponent < 0:
        return "0 to a negative power is ∞: sm.where(sm.not_equal(x, 0), x ** p, 0)."
    return ""


_SPECIAL = {
    "log": _logarithm,
    "log2": _logarithm,
    "log10": _logarithm,
    "divide": _quotient,
    "reciprocal": _quotient,
    "multiply": _product,
    "subtract": _difference,
    "add": _difference,
    "add_n": _difference,
    "power": _power,
}


def _exponential(node: Node, name: str) -> str:
    limit = np.log(float(np.finfo(node.dtype).max)) / _EXPONENTIALS[name]
    return (
        f"{name} overflows above {limit:.2f} in {node.dtype}. Subtract the maximum first, as "
        "sm.softmax and sm.logsumexp do; log(1 + exp(x)) is sm.softplus(x), and 1 / (1 + exp(-x)) "
        "is sm.sigmoid(x)."
    )


def _overflow(node: Node) -> str:
    wider = "cast to float64, " if node.dtype != np.float64 else ""
    return (
        f"The result is beyond the largest {node.dtype}, {np.finfo(node.dtype).max:.1e}: {wider}"
        "scale the values, or work with logarithms."
    )


def _overflows(node: Node, inputs: Sequence[Any], value: Any) -> bool:
    """Return whether a product or sum of ordinary numbers is too large, and nothing singular."""
    assert node.op is not None
    return bool(np.isinf(value)) and _finite(inputs) and node.op.name not in _SINGULAR


_SINGULAR = ("divide", "reciprocal", "power", "log")


def _finite(inputs: Sequence[Any]) -> bool:
    return all(np.all(np.isfinite(x)) for x in inputs if hasattr(x, "dtype"))


def _are_numbers(inputs: Sequence[Any]) -> bool:
    return all(np.ndim(x) == 0 for x in inputs)
