"""The spelling of formulas as in a lecture: in symbols, v̄5·cos v2, and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.graph.formula import APPLIED, ATOM, LATEX, POWER, Notation, Term, binding, plain_call
from symad.graph.op import Op
from symad.notation.escape import visible
from symad.notation.latex_escape import latex_name
from symad.notation.values import MINUS
from symad.ops.adjoint import Cast
from symad.ops.body import WithBody
from symad.ops.control import Call
from symad.ops.permute import PermuteDims
from symad.ops.structure import MakeStructure, StructureItem

_SPELLING = ((".mT", "ᵀ"), (" * ", "·"), (" / ", "/"), (" ** ", "^"), ("-", MINUS))


def _symbol_template(op: Op) -> str:
    if op.symbols or isinstance(op, StructureItem):
        return op.symbols
    text = op.text
    for python, symbol in _SPELLING:
        text = text.replace(python, symbol)
    return text


def _symbol_call(op: Op, operands: Sequence[str]) -> Term:
    special = _special(op, operands, lambda key: visible(str(key)), "{", "}")
    if special is not None:
        return special
    if _swaps_axes(op):
        return _transposed(SYMBOLS, operands[0], "ᵀ")
    name = op.short or visible(name_of(op))
    if len(operands) == 1 and binding(operands[0]) == ATOM and not op.attributes():
        return Term(f"{name} {operands[0]}", APPLIED)
    attributes = _attributes(op)
    inside = [*operands, attributes] if attributes else operands
    return Term(f"{name}({', '.join(inside)})")


def _latex_call(op: Op, operands: Sequence[str]) -> Term:
    special = _special(op, operands, _latex_key, r"\{", r"\}")
    if special is not None:
        return special
    if _swaps_axes(op):
        return _transposed(LATEX_SYMBOLS, operands[0], r"^{\top}")
    attributes = _attributes(op)
    inside = [*operands, latex_name(attributes)] if attributes else operands
    name = rf"\operatorname{{{op.name}}}".replace("_", r"\_")
    if isinstance(op, Call):
        name = latex_name(op.label)
    return Term(rf"{name}\left({', '.join(inside)}\right)")


def name_of(op: Op) -> str:
    """Return the name of an op; for a user's op, the name that the user gave it."""
    return op.label if isinstance(op, Call) else op.name


def _attributes(op: Op) -> str:
    """Return ``axis=0``; empty for an op with a body, whose attributes only concern the body."""
    return "" if isinstance(op, WithBody) else plain_call(op, ())[len(op.name) + 1 : -1]


def _swaps_axes(op: Op) -> bool:
    """Return whether an op is the specialised form of a transpose of a matrix."""
    return isinstance(op, PermuteDims) and op.axes == (1, 0)


def _transposed(notation: Notation, operand: str, mark: str) -> Term:
    inner = operand if binding(operand) == ATOM else notation.wrap(operand)
    return Term(inner + mark, POWER)


def _latex_key(key: Any) -> str:
    return rf"\mathrm{{{key}}}" if isinstance(key, np.dtype) else latex_name(str(key))


def _special(
    op: Op, operands: Sequence[str], spell: Callable[[Any], str], left: str, right: str
) -> Term | None:
    """Return ``{cat: v1}``, ``v3[cat]`` or ``float32(v3)``, ``None`` for an op of another kind."""
    if isinstance(op, Cast):
        return Term(f"{spell(op.dtype)}({operands[0]})")
    if isinstance(op, StructureItem):
        return Term(f"{operands[0]}[{spell(op.key)}]")
    if not isinstance(op, MakeStructure):
        return None
    keys = [key for key, there in zip(op.keys, op.present, strict=True) if there]
    if op.kind == "dict":
        items = [f"{spell(key)}: {item}" for key, item in zip(keys, operands, strict=True)]
        return Term(f"{left}{', '.join(items)}{right}")
    rest = iter(operands)
    inside = ", ".join(next(rest) if there else "0" for there in op.present)
    return Term(f"({inside})")


SYMBOLS = Notation(_symbol_template, _symbol_call)
"""ln v1, v1·v2, v6 − v5"""

LATEX_SYMBOLS = Notation(lambda op: op.latex, _latex_call, left=LATEX.left, right=LATEX.right)
r"""\ln v_{1}, v_{1} \cdot v_{2}, v_{6} - v_{5}"""
