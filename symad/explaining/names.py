"""The names and formulas of the nodes of a view, each in text and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from symad.graph.node import Node, Variable
from symad.graph.provenance import EXPRESSION, Role, RoleKind
from symad.notation.bodies import Port
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.latex_escape import latex_name
from symad.notation.symbols import name_of
from symad.notation.view import View
from symad.tables.document import Code, Maths, Phrase

_MOST_TERMS = 12
_LONGEST_SOURCE = 72


class Spelled:
    """The names and formulas of the nodes of a view.

    Parameters
    ----------
    view : View

    Attributes
    ----------
    labels : Labels
    formulas : Formulas
        The formulas as text.
    auxiliary : dict
        From each auxiliary step to its symbol: t1, t2, ...
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.labels = Labels(view)
        self.formulas = Formulas(view, self.labels)
        self.auxiliary = self.formulas.auxiliary
        self._latex = Formulas(view, self.labels, latex=True, named=self.auxiliary)
        self._output = _only_output(view)

    def name(self, node: Node) -> Maths:
        """Return the name of ``node`` in formulas."""
        return Maths(self.formulas.name(node), self._latex.name(node))

    def number(self, node: Node) -> Maths:
        """Return v_i for node i, even if it is an adjoint with another name."""
        number = self.labels.numbers.get(self.view.behind(node))
        return self.name(node) if number is None else symbol_of(Symbol("v", (number,)))

    def title(self, node: Node) -> Maths | None:
        """Return the user's name of a computed node, or y for the differentiated node."""
        if node.op is None:
            return None
        given = None if node.name == name_of(node.op) else node.name
        name = given or ("y" if node is self._output else None)
        return None if name is None else Maths(visible(name), latex_name(name))

    def adjoint_of(self, role: Role[Node]) -> Symbol:
        """Return the symbol of the adjoint of the node that ``role`` is about."""
        number = self.labels.numbers.get(self.view.behind(role.node), 0)
        return Symbol("v", (number,), "bar", role.generation)

    def derivative(self, symbol: Symbol) -> Maths | None:
        """Return ∂y/∂x if ``symbol`` is the adjoint of a variable in a first derivative."""
        if symbol.mark != "bar" or symbol.generation != 1 or len(symbol.index) != 1:
            return None
        variable = self.labels.forward[symbol.index[0] - 1]
        if self._output is None or not isinstance(variable, Variable):
            return None
        of = self.title(self._output) or self.number(self._output)
        return derivative_of(of, Maths(visible(variable.label), latex_name(variable.label)))

    def right_side(self, node: Node) -> Maths:
        """Return the formula of ``node``, or the label of a leaf; a long sum is shortened."""
        node = self.view.behind(node)
        if node.op is not None and node.op.name == "add_n" and len(node.inputs) > _MOST_TERMS:
            return _shortened([self.name(source) for source in node.inputs])
        if node in self.formulas.right_sides:
            return Maths(self.formulas.right_sides[node], self._latex.right_sides[node])
        port = self.view.bodies.ports.get(node)
        if port is not None:
            return self._represented(port)
        return Maths(visible(node.label), latex_name(node.label))

    def _represented(self, port: Port) -> Maths:
        """Return what an input of a body is, without names of later derivatives."""
        if port.is_carry:
            return Maths("carry", r"\text{carry}")
        if self.labels.generations.get(port.outer):
            word = "element" if port.is_element else "outside value"
            return Maths(word, rf"\text{{{word}}}")
        of = self.name(port.outer) if port.outer.op is not None else self.right_side(port.outer)
        return Maths(f"{of.text}[i]", f"{of.latex}[i]") if port.is_element else of


def derivative_of(of: Maths, by: Maths) -> Maths:
    """Return ∂a/∂b."""
    return Maths(f"∂{of.text}/∂{by.text}", rf"\frac{{\partial {of.latex}}}{{\partial {by.latex}}}")


def is_filled(node: Node) -> bool:
    """Return whether a node is an adjoint filled up with zeros."""
    role = node.role
    return role is not None and role.kind is RoleKind.REPAIR and role.consumer is None


def symbol_of(symbol: Symbol) -> Maths:
    """Return a symbol as text and as LaTeX."""
    return Maths(str(symbol), symbol.latex)


def equation(*sides: Maths) -> Maths:
    """Return a = b = c; repeated sides are left out."""
    return _joined(list(dict.fromkeys(sides)), " = ")


def listed(names: Sequence[Maths | str], most: int = 6) -> Phrase:
    """Return ``a, b and c``, or the first of many names and the number of others."""
    pieces: list[str | Maths | Code] = []
    shown = names if len(names) <= most else names[: most - 1]
    for i, name in enumerate(shown):
        last = i == len(names) - 1
        pieces += [" and " if last else ", ", name] if i else [name]
    if len(shown) < len(names):
        pieces.append(f" and {len(names) - len(shown):,} more")
    return tuple(pieces)


def place_of(node: Node) -> Phrase:
    """Return the user's line that made ``node``: ``model.py:12: h = relu(z)``."""
    source = node.site.source
    where = line_of(node)
    return (f"{where}: ", Code(visible(source, _LONGEST_SOURCE))) if source else (where,)


def line_of(node: Node) -> str:
    """Return ``model.py:12``, ``In[3]:2`` in a notebook; ``line 1`` at a prompt."""
    site = node.site
    typed = site.filename.startswith("<") and site.filename != EXPRESSION
    return f"line {site.line}" if typed else site.place(short=True)


def _only_output(view: View) -> Node | None:
    """Return the node that the first derivatives in a view differentiate, if it is only one."""
    seeds = [node.role for node in view.related if node.role and node.role.kind is RoleKind.SEED]
    outputs = {view.behind(role.node) for role in seeds if role.generation == 1}
    return outputs.pop() if len(outputs) == 1 else None


def _joined(parts: Sequence[Maths], between: str) -> Maths:
    return Maths(
        between.join(part.text for part in parts), between.join(part.latex for part in parts)
    )


def _shortened(terms: Sequence[Maths]) -> Maths:
    """Return the first terms of a long sum and the last one."""
    return _joined([*terms[: _MOST_TERMS - 1], Maths("…", r"\ldots"), terms[-1]], " + ")
