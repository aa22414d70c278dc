"""The formula of a node in Python's notation or in LaTeX, cut where it would become too long."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from symad.graph.formula import TEXT, Notation, Term, format_term
from symad.graph.node import Constant, Node
from symad.graph.operators import FUNCTIONS
from symad.notation.latex_escape import latex_name, latex_number
from symad.records import dataclass
from symad.visible import visible

LONGEST = 80
"""The most characters of a formula."""

_DEEPEST = 40
_LONGEST_NAME = 24
_MOST_NUMBERS = 4
_MOST_INPUTS = 1000


@dataclass(frozen=True)
class _Style:
    """How a formula is written: its ops, names and numbers, and what is left out."""

    notation: Notation
    name: Callable[[str], str] = str
    number: Callable[[str], str] = str
    cut: str = "…"


_PYTHON = _Style(TEXT)


def short_formula(node: Node) -> str:
    """Return the formula of a node, with ``…`` for what is too deep to be shown.

    Only as many levels are written as fit, so the cost does not depend on the size of the graph.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x"), sm.Variable("y")
    >>> short_formula(sm.log(x) + x * y - 2)
    'log(x) + x * y - 2'
    >>> for _ in range(1000):
    ...     x = sm.sin(x) * x
    >>> short_formula(x)
    'sin(sin(…) * … * …) * sin(… * …) * sin(…) * … * …'
    """
    return _fitting(node)[1]


def latex_formula(node: Node) -> str:
    r"""Return the formula of a node in LaTeX, as deep as :func:`short_formula` writes it.

    Examples
    --------
    >>> import symad as sm
    >>> x1, rate = sm.Variable("x1"), sm.Variable("rate")
    >>> print(latex_formula(sm.exp(-rate * x1) / 2))
    \frac{e^{-\mathrm{rate} \cdot x_{1}}}{2}
    """
    from symad.notation.symbols import LATEX_SYMBOLS  # not needed by most programs

    style = _Style(LATEX_SYMBOLS, latex_name, latex_number, r"\ldots ")
    depth, text = _fitting(node)
    if depth == 1 and text.endswith("…"):
        return rf"{latex_name(visible(node.label, _LONGEST_NAME))}\left(\ldots \right)"
    return _to_depth(node, depth, style)[0]


def _fitting(node: Node) -> tuple[int, str]:
    """Return how many levels of a formula fit, and these levels; one is always written."""
    text = visible(node.label, LONGEST)
    for depth in count():
        longer, is_complete = _to_depth(node, depth, _PYTHON)
        if len(longer) > LONGEST:
            return (depth - 1, text) if depth > 1 else (depth, f"{longer[: LONGEST - 1]}…")
        text = longer
        if is_complete or depth == _DEEPEST:
            return depth, text
    raise AssertionError


def _to_depth(node: Node, depth: int, style: _Style) -> tuple[Term, bool]:
    """Return the formula down to a depth, and whether that is all of it."""
    if isinstance(node, Constant):
        return _constant(node, style), True
    if node.op is None:
        return Term(style.name(visible(node.label, _LONGEST_NAME))), True
    if depth == 0:
        return Term(style.cut), False
    if len(node.inputs) > _MOST_INPUTS:
        return Term(f"{style.name(node.op.name)}({style.cut})"), True
    inputs = {source: _to_depth(source, depth - 1, style) for source in node.inputs}
    formula = format_term(node, lambda source: inputs[source][0], notation=style.notation)
    return formula, all(is_complete for _, is_complete in inputs.values())


def _constant(node: Constant, style: _Style) -> Term:
    if node.name is None and node.ndim == 1 and node.value.size <= _MOST_NUMBERS:
        return Term(f"[{', '.join(style.number(_number(x)) for x in node.value.tolist())}]")
    text = visible(node.label, _LONGEST_NAME)
    is_number = node.name is None and node.ndim == 0
    return Term.number((style.number if is_number else style.name)(text))


def _number(value: bool | int | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


FUNCTIONS["short_formula"] = short_formula
FUNCTIONS["latex_formula"] = latex_formula
