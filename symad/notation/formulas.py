"""Formulas of the nodes of a view in lecture notation: v̄5·cos v2, with short steps inlined."""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter

from symad.graph.formula import PRODUCT, Term, format_term
from symad.graph.node import Constant, Node
from symad.graph.provenance import RoleKind
from symad.notation.bodies import is_loop
from symad.notation.labels import Labels, Symbol, unused_steps
from symad.notation.latex_escape import latex_name, latex_number
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.notation.values import MINUS, format_value
from symad.notation.view import View

_LONGEST_STEP = 24


class Formulas:
    """The name and the defining formula of each node of a view.

    A node is referred to by its symbol, a constant by its value.  A step inside a rule has no
    symbol: if it is short, its formula is inlined, else it is named t1, t2, ...

    Parameters
    ----------
    view : View
    labels : Labels
    latex : bool
        Whether formulas are in LaTeX.
    spell : callable, optional
        Converts a symbol to text; by default ``str``, or its LaTeX.
    named : collection of Node, optional
        The steps to name, so that formulas in LaTeX and in text name the same steps; by default
        those with a long formula.
    word : callable, optional
        Converts a user's name to text; by default unchanged, or its LaTeX.

    Attributes
    ----------
    view : View
    labels : Labels
    auxiliary : dict
        From each named step to its symbol, in order.
    right_sides : dict
        From each computed node to its formula.
    steps : iterator of Symbol
        The symbols for further steps.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> gradient = sm.gradients(sm.sin(x), x)
    >>> view = View([gradient])
    >>> Formulas(view, Labels(view)).right_sides[gradient]
    'v̄2·cos v1'
    """

    def __init__(
        self,
        view: View,
        labels: Labels,
        latex: bool = False,
        spell: Callable[[Symbol], str] | None = None,
        named: Collection[Node] | None = None,
        word: Callable[[str], str] | None = None,
    ) -> None:
        self.view = view
        self.labels = labels
        self._latex = latex
        self._named = named
        self._notation = LATEX_SYMBOLS if latex else SYMBOLS
        self._word = word or (latex_name if latex else str)
        self._spell = spell or (attrgetter("latex") if latex else str)
        self._times = r" \cdot " if latex else "·"
        self.auxiliary: dict[Node, Symbol] = {}
        self.right_sides: dict[Node, Term] = {}
        self.steps = unused_steps(view.related)
        self._names: dict[Node, Term] = {}
        for node in view.everything:
            self._add(node)

    def name(self, node: Node) -> Term:
        """Return the text by which other formulas refer to ``node``."""
        return self._names[self.view.behind(node)]

    def _add(self, node: Node) -> None:
        symbol = self.labels.of(node)
        if node.op is not None:
            self.right_sides[node] = self._right_side(node)
        if symbol is not None:
            self._names[node] = Term(self._spell(symbol))
        elif isinstance(node, Constant):
            self._names[node] = self._constant(node)
        elif node.op is None:
            self._names[node] = Term(self._word(node.label))
        elif not self._is_named(node):
            self._names[node] = self.right_sides[node]
        else:
            symbol = self.auxiliary[node] = next(self.steps)
            self._names[node] = Term(self._spell(symbol))
        if isinstance(node, Constant) and symbol is not None:
            self.right_sides[node] = self._constant(node)

    def _is_named(self, node: Node) -> bool:
        if self._named is None:
            return len(self.right_sides[node]) > _LONGEST_STEP or is_loop(node)
        return node in self._named

    def _constant(self, node: Constant) -> Term:
        if node.name:
            return Term(self._word(node.name))
        if node.value.ndim == 0 or node.value.size <= 3:
            text = format_value(node.value)
            return Term.number(latex_number(text) if self._latex else text)
        return Term(self._word(node.label))

    def _right_side(self, node: Node) -> Term:
        role = node.role
        assert node.op is not None
        if role is not None and role.consumer is None and role.kind in _FILLED:
            if node.op.name in _FILLS:
                return Term(_FILLS[node.op.name])
            if role.kind is RoleKind.SEED:
                return self.name(node.inputs[0])
        if role is not None and role.kind is RoleKind.PARTIAL and len(node.inputs) == 1:
            factor = _FACTORS.get(node.op.name)  # the partial derivative, if it is a number
            if factor is not None and self.labels.of(node.inputs[0]) is not None:
                factor = factor.replace("-", "-" if self._latex else MINUS)
                return Term(f"{self.name(node.inputs[0])}{self._times}{factor}", PRODUCT)
        return format_term(node, self.name, notation=self._notation)


_FILLED = (RoleKind.SEED, RoleKind.REPAIR)
_FILLS = {"ones_like": "1", "zeros_like": "0"}
_FACTORS = {"identity": "1", "negative": "(-1)"}
