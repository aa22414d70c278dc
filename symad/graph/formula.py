"""Formulas: one node as text or LaTeX of its operands, with the parentheses that it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from string import Formatter

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.op import Op
from symad.records import dataclass

COMPARISON, SUM, PRODUCT, MINUS, POWER, APPLIED, ATOM = -4, 1, 2, 3, 4, 5, 10
"""How tightly formulas bind: a < b, a + b, a·b, −a, a ** b, sin a, and single symbols."""

SIGNS = ("-", "\N{MINUS SIGN}")
_OPENING = ("{", "(", "[", ", ", "|", r"\lfloor ", r"\lceil ")
_CLOSING = ("}", ")", "]", ",", "|", r"\right", r" \rfloor", r" \rceil")
_LONGEST_ATTRIBUTE = 24
_POSTFIX = (".", "[", "^", "_", "ᵀ", "²")


class Term(str):
    """A formula that knows how tightly it binds, which decides on parentheses around it.

    Examples
    --------
    >>> Term("a + b", SUM).precedence
    1
    """

    __slots__ = ("precedence",)
    precedence: int

    def __new__(cls, text: str, precedence: int = ATOM) -> Term:
        term = super().__new__(cls, text)
        term.precedence = precedence
        return term

    @staticmethod
    def number(text: str) -> Term:
        """Return the text of a number; a negative one binds like a unary minus."""
        return Term(text, MINUS if text.startswith(SIGNS) else ATOM)


@dataclass(frozen=True)
class Notation:
    """How formulas are spelled.

    Attributes
    ----------
    template : callable
        Returns the template of an op; if it is empty, the op is written as a call.
    call : callable
        Writes an op with its operands as a call.
    left, right : str
        Parentheses.
    """

    template: Callable[[Op], str]
    call: Callable[[Op, Sequence[str]], Term]
    left: str = "("
    right: str = ")"

    def wrap(self, text: str) -> str:
        """Return a formula in parentheses."""
        return f"{self.left}{text}{self.right}"


def plain_call(op: Op, operands: Sequence[str]) -> Term:
    """Return ``name(a, b, axis=0)``; attributes that are False, too long, or a body are omitted."""
    given = op.attributes().items()
    on = {k: v for k, v in given if not (v is None or v is False or isinstance(v, Graph))}
    attributes = [f"{key}={value!r}" for key, value in on.items()]
    short = [text for text in attributes if len(text) <= _LONGEST_ATTRIBUTE]
    return Term(f"{op.name}({', '.join([*operands, *short])})")


def _latex_call(op: Op, operands: Sequence[str]) -> Term:
    escaped = op.name.replace("_", r"\_")
    return Term(rf"\operatorname{{{escaped}}}\left({', '.join(operands)}\right)")


TEXT = Notation(lambda op: op.text, plain_call)
LATEX = Notation(lambda op: op.latex, _latex_call, left=r"\left(", right=r"\right)")


def format_term(
    node: Node,
    operand: Callable[[Node], str],
    latex: bool = False,
    notation: Notation | None = None,
) -> Term:
    """Return one node as a formula of its operands.

    Parameters
    ----------
    node : Node
    operand : callable
        Returns the text of an input: its symbol, its value, or a :class:`Term`, which is put in
        parentheses where it binds less tightly than the op.
    latex : bool
        Whether to use the op's LaTeX template.
    notation : Notation, optional
        Another spelling.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = x + sm.sin(x)
    >>> format_term(y, lambda node: node.label)
    'x + sin'
    >>> format_term(x * y, lambda node: format_term(node, lambda node: node.label))
    'x * (x + sin)'
    """
    op = node.op
    if op is None:
        return Term(operand(node))
    notation = notation or (LATEX if latex else TEXT)
    operands = [operand(source) for source in node.inputs]
    template = notation.template(op)
    if not template:
        return notation.call(op, operands)
    if template == "{0}":
        return Term(operands[0], binding(operands[0]))
    if "{" not in template:
        return _joined(operands, template, op.precedence, notation)
    if template.startswith(SIGNS) and len(operands) == 1:
        return _negated(operands[0], template, notation)
    return _filled(operands, template, op, notation)


def binding(text: str) -> int:
    """Return how tightly a formula binds; plain text counts as a single symbol."""
    return text.precedence if isinstance(text, Term) else ATOM


def _joined(operands: Sequence[str], separator: str, precedence: int, notation: Notation) -> Term:
    """Return operands with a separator between them; a + -b is written a - b."""
    text = ""
    for operand in operands:
        if text and separator == " + " and binding(operand) > SUM and operand.startswith(SIGNS):
            text += f" {operand[0]} {operand[1:]}"
        else:
            loose = binding(operand) < precedence
            text += (separator if text else "") + (notation.wrap(operand) if loose else operand)
    return Term(text, precedence if len(operands) > 1 else binding(operands[0]))


def _negated(operand: str, template: str, notation: Notation) -> Term:
    """Return -a; a product needs no parentheses, since -(a·b) = (-a)·b."""
    loose = binding(operand) < PRODUCT or operand.startswith(SIGNS)
    inner = notation.wrap(operand) if loose else operand
    return Term(template.format(inner), PRODUCT if binding(operand) == PRODUCT else MINUS)


def _filled(operands: Sequence[str], template: str, op: Op, notation: Notation) -> Term:
    """Fill in a template; an operand between its brackets needs no parentheses."""
    filled = list(operands)
    precedence = op.precedence
    for slot, before, after in _placeholders(template):
        if before.endswith(_OPENING) and after.startswith(_CLOSING):
            continue
        if _is_loose(operands[slot], op, first=not before, after=after):
            filled[slot] = notation.wrap(operands[slot])
        if before and not after and len(operands) == 1 and precedence == ATOM:
            precedence = APPLIED  # \sin x
    return Term(template.format(*filled, op=op), precedence)


@cache
def _placeholders(template: str) -> list[tuple[int, str, str]]:
    """Return the operands that a template takes, each with the literal text before and after."""
    literals, slots = [""], []
    for literal, field, _, _ in Formatter().parse(template):
        literals[-1] += literal
        if field and field.isdigit():
            slots.append(int(field))
            literals.append("")
        elif field:
            literals[-1] += "{" + field + "}"
    return list(zip(slots, literals, literals[1:], strict=False))


def _is_loose(operand: str, op: Op, first: bool, after: str) -> bool:
    """Return whether an operand binds less tightly than its place in a template requires."""
    if after.startswith(_POSTFIX):
        return binding(operand) < ATOM
    if binding(operand) == APPLIED:  # (sin a)·b, but a·sin b
        return bool(after) and op.precedence >= PRODUCT
    if not first and operand.startswith(SIGNS):
        return True
    # a - (b - c), but a + b + c; (a ** b) ** c, but a ** b ** c; (a < b) < c, which is no chain
    tighter = first if op.precedence == POWER else not (first or op.commutative)
    tighter = tighter or op.precedence == COMPARISON
    needed = min(op.precedence + tighter, ATOM)
    return binding(operand) < needed
