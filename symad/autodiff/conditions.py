"""Conditions under which a derivative can differ from zero, and formulas of conditions.

A formula is a set of terms, of which at least one must hold; a term is a set of signed conditions,
which must all hold.  Sets can be simplified, unlike nodes: c or not c is everywhere.  A formula is
converted to nodes only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from itertools import combinations

from symad.graph.node import Constant, Node
from symad.graph.op import call
from symad.types import Shape, StructureType


class Strength(IntEnum):
    """How far a condition is followed, and where it is used."""

    RULE = 0
    """The choice in relu, maximum and minimum: followed only through elementwise ops and views,
    which costs nothing."""
    POSITION = 1
    """Elements that an op does not read, and seeds that are unit vectors: followed through
    everything, but used only where a slope can be infinite at finite inputs."""
    CHOICE = 2
    """A choice that the program makes: followed and used everywhere, since values that were not
    chosen may be infinite or NaN."""


class Condition:
    """A boolean node, made when it is first needed; ``implied`` holds wherever it does."""

    __slots__ = ("_make", "_node", "implied", "number", "strength")

    def __init__(
        self,
        number: int,
        strength: Strength,
        make: Callable[[], Node],
        implied: Condition | None = None,
    ) -> None:
        self.number = number
        self.strength = strength
        self.implied = implied
        self._make = make
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """The condition as a node."""
        if self._node is None:
            self._node = self._make()
        return self._node

    def has_shape(self, shape: Shape) -> bool:
        """Return whether the condition is known to be a number or of ``shape``."""
        if self._node is None or isinstance(self._node.type, StructureType):
            return False
        return self._node.type.shape in (shape, ())


Literal = tuple[Condition, bool]
Term = frozenset[Literal]
Formula = frozenset[Term]

EVERYWHERE: Formula = frozenset({frozenset()})

_MOST = 4
"""Formulas with more terms, or terms with more conditions, become single conditions, so that the
cost of each step stays constant."""


class Conditions:
    """The conditions of one derivative; equal ones are the same object."""

    def __init__(self) -> None:
        self._of_nodes: dict[Node, Condition] = {}
        self._nodes: dict[Formula, Node] = {}
        self._count = 0

    def new(
        self, strength: Strength, make: Callable[[], Node], implied: Condition | None = None
    ) -> Condition:
        """Return a condition that ``make`` builds when it is used."""
        self._count += 1
        return Condition(self._count, strength, make, implied)

    def of_node(self, node: Node, strength: Strength) -> Condition:
        """Return the condition that ``node`` is true."""
        known = self._of_nodes.get(node)
        if known is None:
            known = self._of_nodes[node] = self.new(strength, lambda: node)
            assert known.node is node
        return known

    def both(self, formula: Formula, literal: Literal) -> Formula:
        """Return where ``formula`` and ``literal`` hold."""
        condition, holds = literal
        opposite = (condition, not holds)
        narrowed = _simplified(frozenset(t | {literal} for t in formula if opposite not in t))
        crowded = any(len(term) > _MOST for term in narrowed)
        return self.moved(narrowed, lambda node: node) if crowded else narrowed

    def either(self, formulas: Iterable[Formula]) -> Formula:
        """Return where one of ``formulas`` holds."""
        joined = _simplified(frozenset[Term]().union(*formulas))
        return self.moved(joined, lambda node: node) if len(joined) > _MOST else joined

    def moved(self, formula: Formula, move: Callable[[Node], Node]) -> Formula:
        """Return ``move`` of the node of ``formula``, as one condition for each strength in it."""
        implied: Condition | None = None
        last = EVERYWHERE
        for strength in reversed(Strength):
            part = at_least(formula, strength)
            if part == last:
                continue
            implied = self.new(strength, _later(self, part, move), implied)
            last = part
        return EVERYWHERE if implied is None else frozenset({frozenset({(implied, True)})})

    def node(self, formula: Formula) -> Node:
        """Return ``formula`` as a boolean node."""
        known = self._nodes.get(formula)
        if known is None:
            known = self._nodes[formula] = self._make(formula)
        return known

    def _make(self, formula: Formula) -> Node:
        if not formula or formula == EVERYWHERE:
            return Constant(bool(formula))
        terms = [sorted(term, key=_number) for term in sorted(formula, key=_order)]
        products = [_joined("logical_and", map(self._literal, term)) for term in terms]
        return _joined("logical_or", products)

    def _literal(self, literal: Literal) -> Node:
        condition, holds = literal
        if holds:
            return condition.node
        key: Formula = frozenset({frozenset({literal})})
        if key not in self._nodes:
            self._nodes[key] = call("logical_not", condition.node)
        return self._nodes[key]


def _later(
    conditions: Conditions, formula: Formula, move: Callable[[Node], Node]
) -> Callable[[], Node]:
    return lambda: move(conditions.node(formula))


def _number(literal: Literal) -> int:
    return literal[0].number


def _order(term: Term) -> list[tuple[int, bool]]:
    """Return the sort key of terms: the order of sets differs between processes."""
    return sorted((condition.number, holds) for condition, holds in term)


def _joined(op: str, nodes: Iterable[Node]) -> Node:
    rest = iter(nodes)
    result = next(rest)
    for node in rest:
        result = call(op, result, node)
    return result


def at_least(formula: Formula, strength: Strength) -> Formula:
    """Return ``formula`` without conditions that are weaker than ``strength``."""
    return _without(formula, lambda one: one.strength < strength)


def without_positions(formula: Formula) -> Formula:
    """Return ``formula`` without conditions on positions."""
    return _without(formula, lambda one: one.strength == Strength.POSITION)


def _without(formula: Formula, drop: Callable[[Condition], bool]) -> Formula:
    if not any(drop(one) for term in formula for one, _ in term):
        return formula
    return _simplified(frozenset(_kept(term, drop) for term in formula))


def _kept(term: Term, drop: Callable[[Condition], bool]) -> Term:
    found: set[Literal] = set()
    for condition, holds in term:
        implied: Condition | None = condition
        while implied is not None and drop(implied):
            implied = implied.implied if holds else None
        if implied is not None:
            found.add((implied, holds))
    return frozenset(found)


def _simplified(formula: Formula) -> Formula:
    """Return ``formula`` without terms that others imply; (a and c) or (a and not c) is a."""
    pending = True
    while pending and len(formula) > 1:
        if EVERYWHERE <= formula:
            return EVERYWHERE
        pending, shortest = False, min(map(len, formula))
        for term in sorted(formula, key=_order):
            if any(part in formula for part in _parts(term, shortest)):
                formula, pending = formula - {term}, True
                break
            twin = _twin(term, formula)
            if twin is not None:
                formula, pending = (formula - {term, twin}) | {term & twin}, True
                break
    return formula


def _parts(term: Term, shortest: int) -> Iterator[Term]:
    """Yield the terms that ``term`` implies, apart from itself: a few, since terms are short."""
    for size in range(shortest, len(term)):
        yield from map(frozenset, combinations(term, size))


def _twin(term: Term, formula: Formula) -> Term | None:
    """Return a term of ``formula`` that differs from ``term`` in the sign of one condition."""
    for literal in sorted(term, key=_number):
        twin = (term - {literal}) | {(literal[0], not literal[1])}
        if twin in formula:
            return twin
    return None
