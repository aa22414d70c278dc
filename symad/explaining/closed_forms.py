"""Closed forms: the results of a graph as formulas of its inputs; shared terms get names."""

from __future__ import annotations

from collections import Counter

from symad.graph.formula import Term, format_term
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.notation.escape import visible
from symad.notation.labels import Labels
from symad.notation.latex_escape import latex_name, latex_number
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.notation.values import format_value
from symad.tables.document import Maths

_LONGEST = 48  # characters of a formula that is inserted into another
_WRITTEN_OUT = 6  # elements of a constant


def closed_forms(graph: Graph, labels: Labels) -> tuple[list[tuple[Maths, Maths]], list[Maths]]:
    """Return the named terms, each with its formula, and the formula of each output.

    A term is inserted where it is used; a term that is long, or used more than once, is replaced
    by its symbol.

    Parameters
    ----------
    graph : Graph
    labels : Labels
        The symbols.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.notation.view import View
    >>> x = sm.Variable("x", shape=())
    >>> z = sm.exp(x)
    >>> graph = sm.Graph([(z + 1) * z])
    >>> terms, (result,) = closed_forms(graph, Labels(View(graph)))
    >>> [(name.text, formula.text) for name, formula in terms]
    [('v2', 'exp x')]
    >>> result.text, result.latex
    ('(v2 + 1)·v2', '\\\\left(v_{2} + 1\\\\right) \\\\cdot v_{2}')
    """
    given = set(graph.inputs)
    computed = (node for node in graph.nodes if node.op is not None and node not in given)
    uses = Counter(source for node in computed for source in node.inputs)
    text: dict[Node, Term] = {}
    latex: dict[Node, Term] = {}
    terms: list[tuple[Maths, Maths]] = []
    for node in graph.nodes:
        if node.op is None or node in given:
            text[node], latex[node] = _leaf(node)
            continue
        text[node] = format_term(node, text.__getitem__, notation=SYMBOLS)
        latex[node] = format_term(node, latex.__getitem__, notation=LATEX_SYMBOLS)
        symbol = labels.of(node)
        if symbol and (uses[node] > 1 or (uses[node] and len(text[node]) > _LONGEST)):
            terms.append((Maths(str(symbol), symbol.latex), Maths(text[node], latex[node])))
            text[node], latex[node] = Term(str(symbol)), Term(symbol.latex)
    return terms, [Maths(text[node], latex[node]) for node in graph.outputs]


def _leaf(node: Node) -> tuple[Term, Term]:
    if isinstance(node, Constant) and not node.name and node.value.size <= _WRITTEN_OUT:
        text = format_value(node.value)
        return Term.number(text), Term.number(latex_number(text))
    return Term(visible(node.label)), Term(latex_name(node.label))
