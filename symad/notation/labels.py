"""Lecture labels: v_i for values, v̄_i for adjoints, v̄_{k→i} for partial adjoints, v̇_i for tangents.

Variables come first, then the nodes computed from them, level by level: the numbering of the
lecture, which is a topological order.  Constants have no number.  Pictures, tables and explanations
all take their labels from here.

For a second derivative, the whole first extension is the forward graph: its nodes also get numbers,
which continue the sequence, and symbols of generation 2 are marked (v̄⁽²⁾_i).  Nodes that the user
computed from derivatives get the numbers after those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import Role, RoleKind
from symad.notation.view import View
from symad.ops.body import own_generation
from symad.records import dataclass, replace

_MARKS = {"": "", "bar": "\N{COMBINING MACRON}", "dot": "\N{COMBINING DOT ABOVE}"}
_LATEX_MARKS = {"": "%s", "bar": r"\bar{%s}", "dot": r"\dot{%s}"}
_LOWER = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_UPPER = str.maketrans("0123456789()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾")


@dataclass(frozen=True, slots=True)
class Symbol:
    """The symbol of one node.

    Attributes
    ----------
    letter : str
        v, or t for nodes without a symbol in the lecture.
    index : tuple of int
        i, or k and i for a node of the edge k → i.
    mark : {"", "bar", "dot"}
    generation : int
        The generation of the derivative; 0 without a mark.
    slot : int or None
        Counted from 1; set if the node k is more than one argument of i.
    copy : int
        The number of primes, which distinguish the derivatives of different outputs.

    Examples
    --------
    >>> symbol = Symbol("v", (2, 3), "bar", 1)
    >>> str(symbol), symbol.subscripted, symbol.latex
    ('v̄2→3', 'v̄₂→₃', '\\\\bar{v}_{2 \\\\to 3}')
    """

    letter: str
    index: tuple[int, ...]
    mark: str = ""
    generation: int = 0
    slot: int | None = None
    copy: int = 0

    def __str__(self) -> str:
        return self._head + self._index("→")

    @property
    def subscripted(self) -> str:
        """The symbol with Unicode subscripts."""
        return self._head + self._index("→").translate(_LOWER)

    @property
    def latex(self) -> str:
        """The symbol in LaTeX."""
        marked = _LATEX_MARKS[self.mark] % self.letter
        upper = self._order + r"\prime" * self.copy
        lower = self._index(r" \to ")
        return f"{marked}_{{{lower}}}" + (f"^{{{upper}}}" if upper else "")

    @property
    def identifier(self) -> str:
        """The symbol as a name in Python: ``v4_bar_6`` for v̄4→6, ``v4_bar2_6`` for v̄⁽²⁾4→6.

        The slot of an argument follows as ``_arg2``, a prime as ``_prime``, several as ``_prime2``.
        """
        first, *rest = map(str, self.index)
        order = str(self.generation) if self.generation > 1 else ""
        mark = f"_{self.mark}{order}" if self.mark else ""
        slot = "" if self.slot is None else f"_arg{self.slot}"
        primes = f"_prime{self.copy if self.copy > 1 else ''}" if self.copy else ""
        return "_".join([f"{self.letter}{first}{mark}", *rest]) + slot + primes

    @property
    def _head(self) -> str:
        return self.letter + _MARKS[self.mark] + self._order.translate(_UPPER) + "′" * self.copy

    @property
    def _order(self) -> str:
        return f"({self.generation})" if self.generation > 1 else ""

    def _index(self, arrow: str) -> str:
        slot = "" if self.slot is None else f",{self.slot}"
        return arrow.join(map(str, self.index)) + slot


class Labels:
    """The symbols of all nodes of a view.

    Parameters
    ----------
    view : View
        The nodes in its bodies get the last numbers, body by body.

    Attributes
    ----------
    generations : dict
        From each node to the highest generation of the derivatives that it depends on; 0 for none.
    forward : list of Node
        The numbered nodes that the user wrote, by number.
    numbers : dict
        From each numbered node to its number, from 1.
    symbols : dict
        From each node to its symbols, if any: two for a partial adjoint that is the only
        contribution and therefore also the adjoint, or for a node that also has a number.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.exp(x) * x
    >>> labels = Labels(View([y, sm.gradients(y, x)]))
    >>> [str(labels.numbers[node]) + " " + node.label for node in labels.forward]
    ['1 x', '2 exp', '3 multiply']
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._shown = set(view.everything)
        self.generations = _generations(view.related)
        self.forward: list[Node] = []
        self.numbers: dict[Node, int] = {}
        self.symbols: dict[Node, tuple[Symbol, ...]] = {}
        seen = [node for node in view.related if node not in view.through]
        inside = set(view.inside)
        outside = [node for node in seen if node not in inside]
        bodies = ([n for n in nodes if n in inside] for nodes in view.bodies.nodes())
        for nodes in (outside, *bodies, seen):
            for _, numbered, _ in self._by_generation(nodes):
                self._number(numbered)
        for derived, numbered, written in self._by_generation(seen):
            self._name_generation(derived)
            for node in numbered:
                symbol = Symbol("v", (self.numbers[node],))
                self.symbols[node] = (*self.symbols.get(node, ()), symbol)
            self.forward += sorted(written, key=self.numbers.__getitem__)

    def of(self, node: Node) -> Symbol | None:
        """Return the symbol by which formulas refer to ``node``, if it has one."""
        symbols = self.symbols.get(self._view.behind(node))
        return symbols[0] if symbols else None

    def written(self, node: Node) -> list[Symbol]:
        """Return the names of the values that ``node`` makes."""
        return list(self.symbols.get(node, ())[:1])

    def role_of(self, node: Node) -> Role[Node] | None:
        """Return the purpose of ``node`` in a derivative."""
        return node.role

    def _by_generation(
        self, nodes: Sequence[Node]
    ) -> Iterator[tuple[list[Node], list[Node], list[Node]]]:
        """Yield the derived nodes of each generation, the numbered nodes, and those the user wrote.

        A derivative has numbers if it is differentiated again.
        """
        last = max((self.generations[node] for node in nodes), default=0)
        for generation in range(last + 1):
            now = [node for node in nodes if self.generations[node] == generation]
            derived = [node for node in now if node.role is not None]
            again = [n for n in derived if generation < last and self._has_number(n)]
            written = _forward_order(now)
            yield derived, again + written, written

    def _has_number(self, node: Node) -> bool:
        """Return whether a derived node that is differentiated again has a number."""
        is_hidden = node.role is not None and node.role.is_of_form and node not in self._shown
        return not isinstance(node, Constant) and not is_hidden

    def _number(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.numbers.setdefault(node, len(self.numbers) + 1)

    def _name_generation(self, nodes: list[Node]) -> None:
        found: dict[Node, tuple[Symbol, ...]] = {}
        named = _Named(nodes, self._view)
        for node in nodes:
            assert node.role is not None
            symbols = tuple(self._symbols(node, node.role, named))
            if symbols:
                found[node] = symbols
        copies = _copies(found, _components(nodes))
        for node, symbols in found.items():
            self.symbols[node] = tuple(replace(s, copy=copies[node]) for s in symbols)

    def _symbols(self, node: Node, role: Role[Node], named: _Named) -> Iterator[Symbol]:
        own = self._number_of(role.node)
        if own is None:
            return
        generation = role.generation
        whole = Symbol("v", (own,), "bar", generation)
        if role.kind is RoleKind.SUM:
            yield whole
        elif role.kind is RoleKind.SEED:
            if node in named.tangents:
                yield replace(whole, mark="dot")
            elif node in named.finals and node not in named.summed:
                yield whole
        elif role.kind is RoleKind.TANGENT and node in named.finals:
            yield replace(whole, mark="dot")
        elif role.kind is RoleKind.REPAIR and role.consumer is None and node in named.finals:
            if role.node not in named.known:  # zeros were filled in
                yield whole
        elif role.consumer is not None and node in named.finals:
            user = self._number_of(_written(role.consumer))
            if node not in named.summed:
                yield whole
            if user is not None:
                yield replace(whole, index=(own, user), slot=self._slot(role))

    def _number_of(self, node: Node) -> int | None:
        return self.numbers.get(self._view.behind(node))

    def _slot(self, role: Role[Node]) -> int | None:
        assert role.consumer is not None and role.slot is not None
        behind = [self._view.behind(source) for source in role.consumer.inputs]
        several = behind.count(self._view.behind(role.node)) > 1
        return role.slot + 1 if several else None


def _written(consumer: Node) -> Node:
    """Return the node of which a consumer is the stable form, if it is one."""
    role = consumer.role
    return role.node if role is not None and role.is_of_form else consumer


def unused_steps(nodes: Iterable[Node]) -> Iterator[Symbol]:
    """Yield t1, t2, ... except names that the user has given to inputs of ``nodes``."""
    taken = {node.label for node in nodes if node.op is None}
    symbols = (Symbol("t", (number,)) for number in count(1))
    return (symbol for symbol in symbols if str(symbol) not in taken)


def _generations(nodes: Iterable[Node]) -> dict[Node, int]:
    """Return the highest generation of the derivatives that each node depends on."""
    found: dict[Node, int] = {}
    for node in nodes:
        found[node] = max([own_generation(node), *(found[source] for source in node.inputs)])
    return found


def _forward_order(nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes the user wrote: variables first, then by level, in topological order."""
    level: dict[Node, int] = {}
    for node in nodes:
        if node.role is None:
            deepest = max((level.get(source, 0) for source in node.inputs), default=-1)
            level[node] = deepest + 1
    numbered = [node for node in level if not isinstance(node, Constant)]
    return sorted(numbered, key=lambda n: -1 if isinstance(n, Variable) else level[n])


class _Named:
    """The nodes of one generation that are final, summed, or the seed of a tangent.

    A rule and a shape repair may leave several nodes for one edge; the last is the partial adjoint.
    """

    def __init__(self, nodes: list[Node], view: View) -> None:
        self.summed: set[Node] = set()
        self.tangents: set[Node] = set()
        inside: set[Node] = set()  # steps that lead to a later node of the same purpose
        purpose = {node: _purpose(node) for node in nodes}
        for node in nodes:
            assert node.role is not None
            for source in map(view.behind, node.inputs):
                if source not in purpose or source.role is None:
                    continue
                if purpose[source] == purpose[node]:
                    inside.add(source)
                if node.role.kind is RoleKind.SUM and source.role.node is node.role.node:
                    self.summed.add(source)
                if node.role.kind is RoleKind.TANGENT and source.role.kind is RoleKind.SEED:
                    self.tangents.add(source)
        self.finals = {
            node for node in nodes if node not in inside and purpose[node][0] != RoleKind.LOCAL
        }
        self.known = {
            node.role.node for node in self.finals if node.role and _is_adjoint(node.role)
        }


def _is_adjoint(role: Role[Node]) -> bool:
    """Return whether a node of this role is itself an adjoint, or contributes to one."""
    return role.kind is RoleKind.SUM or role.consumer is not None


def _purpose(node: Node) -> tuple[object, ...]:
    role = node.role
    assert role is not None
    if role.kind is RoleKind.TANGENT:
        return role.kind, role  # one role object is made for all steps of one tangent
    edge = RoleKind.PARTIAL if role.kind is RoleKind.REPAIR else role.kind
    return edge, role.node, role.consumer, role.slot


def _components(nodes: Iterable[Node]) -> dict[Node, Node]:
    """Return, for each node of one generation, a representative of its connected component."""
    parent: dict[Node, Node] = {}

    def find(node: Node) -> Node:
        while parent[node] is not node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for node in nodes:
        parent[node] = node
        for source in node.inputs:
            if source in parent:
                parent[find(node)] = find(source)
    return {node: find(node) for node in parent}


def _copies(
    symbols: Mapping[Node, tuple[Symbol, ...]], component: Mapping[Node, Node]
) -> dict[Node, int]:
    """Return the number of primes of each node: none for the first of several extensions."""
    members: dict[Node, list[Node]] = {}
    for node in symbols:
        members.setdefault(component[node], []).append(node)
    used: dict[Symbol, int] = {}
    copies: dict[Node, int] = {}
    for nodes in members.values():
        taken = {symbol for node in nodes for symbol in symbols[node]}
        copy = max(used.get(symbol, 0) for symbol in taken)
        used.update(dict.fromkeys(taken, copy + 1))
        copies.update(dict.fromkeys(nodes, copy))
    return copies
