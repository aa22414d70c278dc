"""The spelling of formulas as a lecture writes them: in symbols, v̄5·cos v2, and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.draw.escape import visible
from symad.draw.spelling import latex_name
from symad.draw.values import MINUS
from symad.graph.formula import APPLIED, ATOM, LATEX, POWER, Notation, Term, binding, plain_call
from symad.graph.op import Op

_SPELLING = ((".mT", "ᵀ"), (" * ", "·"), (" / ", "/"), (" ** ", "^"), ("-", MINUS))
_SHORT_NAMES = {"log": "ln"}
_TEMPLATES = {
    "matrix_transpose": "{0}ᵀ",
    "transpose": "{0}ᵀ",
    "square": "{0}²",
    "sqrt": "√{0}",
    "item": "",
}


def _symbol_template(op: Op) -> str:
    text = _TEMPLATES.get(op.name, op.text)
    for python, symbol in _SPELLING:
        text = text.replace(python, symbol)
    return text


def _symbol_call(op: Op, operands: Sequence[str]) -> Term:
    special = _special(op, operands, lambda key: visible(str(key)), "{", "}")
    if special is not None:
        return special
    if _swaps_axes(op):
        return _transposed(SYMBOLS, operands[0], "ᵀ")
    name = _SHORT_NAMES.get(op.name, op.name)
    if len(operands) == 1 and binding(operands[0]) == ATOM and not op.attributes():
        return Term(f"{name} {operands[0]}", APPLIED)
    call = plain_call(op, operands)
    return Term(name + call[len(op.name) :])


def _latex_call(op: Op, operands: Sequence[str]) -> Term:
    special = _special(op, operands, _latex_key, r"\{", r"\}")
    if special is not None:
        return special
    if _swaps_axes(op):
        return _transposed(LATEX_SYMBOLS, operands[0], r"^{\top}")
    attributes = plain_call(op, ())[len(op.name) + 1 : -1]
    inside = [*operands, latex_name(attributes)] if attributes else operands
    name = op.name.replace("_", r"\_")
    return Term(rf"\operatorname{{{name}}}\left({', '.join(inside)}\right)")


def _swaps_axes(op: Op) -> bool:
    """Return whether an op is what becomes of a transpose when it is known that x is a matrix."""
    return op.name == "permute_dims" and op.attributes()["axes"] == (1, 0)


def _transposed(notation: Notation, operand: str, mark: str) -> Term:
    inner = operand if binding(operand) == ATOM else notation.wrap(operand)
    return Term(inner + mark, POWER)


def _latex_key(key: Any) -> str:
    return rf"\mathrm{{{key}}}" if isinstance(key, np.dtype) else latex_name(str(key))


def _special(
    op: Op, operands: Sequence[str], spell: Callable[[Any], str], left: str, right: str
) -> Term | None:
    """Return ``{cat: v1}``, ``v3[cat]`` or ``float32(v3)``, ``None`` for an op of another kind."""
    attributes = op.attributes()
    if op.name == "cast":
        return Term(f"{spell(attributes['dtype'])}({operands[0]})")
    if op.name == "item":
        return Term(f"{operands[0]}[{spell(attributes['key'])}]")
    if op.name != "make_structure":
        return None
    pairs = zip(attributes["keys"], attributes["present"], strict=True)
    keys = [key for key, there in pairs if there]
    if attributes["kind"] == "dict":
        items = [f"{spell(key)}: {item}" for key, item in zip(keys, operands, strict=True)]
        return Term(f"{left}{', '.join(items)}{right}")
    rest = iter(operands)
    inside = ", ".join(next(rest) if there else "0" for there in attributes["present"])
    return Term(f"({inside})")


SYMBOLS = Notation(_symbol_template, _symbol_call)
"""ln v1, v1·v2, v6 − v5"""

LATEX_SYMBOLS = Notation(lambda op: op.latex, _latex_call, left=LATEX.left, right=LATEX.right)
r"""\ln v_{1}, v_{1} \cdot v_{2}, v_{6} - v_{5}"""
