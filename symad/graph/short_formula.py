"""The text of a node: its formula in Python's notation, cut where it would become too long."""

from __future__ import annotations

from itertools import count

from symad.graph.formula import Term, format_term
from symad.graph.node import Constant, Node
from symad.graph.operators import FUNCTIONS
from symad.visible import visible

LONGEST = 80
"""The most characters of a formula."""

_DEEPEST = 40
_LONGEST_NAME = 24
_MOST_NUMBERS = 4


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
    text = visible(node.label, LONGEST)
    for depth in count():
        longer, is_complete = _to_depth(node, depth)
        if len(longer) > LONGEST:
            return text if depth > 1 else f"{longer[: LONGEST - 1]}…"
        text = longer
        if is_complete or depth == _DEEPEST:
            return text
    raise AssertionError


def _to_depth(node: Node, depth: int) -> tuple[Term, bool]:
    """Return the formula down to a depth, and whether that is all of it."""
    if isinstance(node, Constant):
        return _constant(node), True
    if node.op is None:
        return Term(visible(node.label, _LONGEST_NAME)), True
    if depth == 0:
        return Term("…"), False
    inputs = {source: _to_depth(source, depth - 1) for source in node.inputs}
    formula = format_term(node, lambda source: inputs[source][0])
    return formula, all(is_complete for _, is_complete in inputs.values())


def _constant(node: Constant) -> Term:
    if node.name is None and node.ndim == 1 and node.value.size <= _MOST_NUMBERS:
        return Term(f"[{', '.join(map(_number, node.value.tolist()))}]")
    return Term.number(visible(node.label, _LONGEST_NAME))


def _number(value: bool | int | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


FUNCTIONS["short_formula"] = short_formula
