"""Names of values: an optimised graph uses the names of the graph that the user wrote.

A node made by passes gets the name of the node of the user's graph with the same value: v3, v̄4→6.
If several of these have the value, the first name is used, and the others are also kept.  Nodes
without a name in the lecture, such as a step inside a rule or of a pass, are called t1, t2, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symad.graph.node import Constant, Node
from symad.graph.provenance import Role, RoleKind
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.view import View
from symad.ops.body import WithBody
from symad.ops.structure import StructureItem

_MOST = 4
"""The most names that one node takes from values of the user's graph."""


def labels_of(view: View) -> Labels:
    """Return the symbols of a view, including nodes made by passes.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.log(sm.exp(x) + 1)
    >>> f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy")
    >>> value = f(1.0)
    >>> view = View(f.passes.graph)
    >>> [f"{labels_of(view).of(node)} {node.label}" for node in view.nodes]
    ['v1 x', 'v4 softplus', 'v̄1 sigmoid']
    """
    return Labels(view) if view.lineage is None else Names(view)


class Names(Labels):
    """The symbols of a graph made by passes.

    Parameters
    ----------
    view : View
        A view of such a graph.
    formulas : Formulas, optional
        The formulas with the names of the user's graph; by default those of a picture of it.
    """

    def __init__(self, view: View, formulas: Formulas | None = None) -> None:
        assert view.lineage is not None
        self._view = view
        self.symbols: dict[Node, tuple[Symbol, ...]] = {}
        self._origin: dict[Node, Node] = {}  # the node of the root that gives a node its name
        self._items = _items_of_structures(view)
        heirs = view.lineage.heirs
        root = View(view.lineage.root, heirs=heirs)
        if root.lineage is not None:
            names = Names(root, formulas)
            self._inherit(heirs, root, names)
            self.steps: Iterator[Symbol] = names.steps
        else:
            formulas = formulas or Formulas(root, Labels(root))
            self._inherit(heirs, formulas.view, formulas.labels)
            self._name_steps(heirs, formulas)
            self.steps = formulas.steps
        for node in view.everything:
            is_value = node.op is not None or node in view.bodies.ports
            if is_value and node not in self.symbols and node not in self._items:
                self.symbols[node] = (next(self.steps),)
        self.forward = list(dict.fromkeys(heirs[n] for n in self._root.forward if n in heirs))
        numbers = self._root.numbers.items()
        self.numbers = {heirs[node]: number for node, number in reversed(numbers) if node in heirs}

    def role_of(self, node: Node) -> Role[Node] | None:
        """Return the role of ``node``: the role of the node that gives it its name.

        A node made only by a pass is a step inside a rule, whichever node it replaces.
        """
        origin, role = self._origin.get(node), node.role
        if origin is not None:
            return self._root.role_of(origin)
        if role is None or role.kind is RoleKind.TANGENT:
            return role
        return role.of_kind(RoleKind.LOCAL)

    def written(self, node: Node) -> list[Symbol]:
        """Return the names of the values that ``node`` makes: several for some loop nests."""
        written = super().written
        return [symbol for item in self._items.get(node, [node]) for symbol in written(item)]

    def _inherit(self, heirs: Mapping[Node, Node], view: View, labels: Labels) -> None:
        """Name nodes after those of the root; a number that the user wrote gets no other name."""
        self._root = labels
        literal = {
            heirs[node]
            for node in view.nodes
            if isinstance(node, Constant) and node in heirs and not labels.of(node)
        }
        for node, symbols in labels.symbols.items():
            heir = heirs.get(node)
            if heir is not None and heir not in literal:
                self._origin.setdefault(heir, node)
                known = self.symbols.get(heir, ())
                self.symbols[heir] = tuple(dict.fromkeys((*known, *symbols)))[:_MOST]

    def _name_steps(self, heirs: Mapping[Node, Node], formulas: Formulas) -> None:
        """Name the steps inside rules, with the names that formulas give them."""
        seen = {*self._view.nodes, *_nodes_in_bodies(self._view)}
        for node in (*formulas.auxiliary, *formulas.view.nodes):
            heir = heirs.get(node)
            if heir in seen and heir.op is not None and heir not in self.symbols:
                symbol = formulas.auxiliary.get(node) or next(formulas.steps)
                self._origin[heir], self.symbols[heir] = node, (symbol,)


def _nodes_in_bodies(view: View) -> Iterator[Node]:
    """Yield the nodes in the bodies of the nodes of a view."""
    for node in view.nodes:
        if isinstance(node.op, WithBody):
            yield from (inner for body in node.op.bodies for inner in body.nodes)


def _items_of_structures(view: View) -> dict[Node, list[Node]]:
    """Return the items of each loop nest that makes several values."""
    items: dict[Node, list[Node]] = {}
    for node in view.nodes:
        if isinstance(node.op, StructureItem) and isinstance(node.inputs[0].op, WithBody):
            items.setdefault(node.inputs[0], []).append(node)
    return items
