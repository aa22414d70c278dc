"""Rules under conditions: the derivative of a branch that is not selected is exactly 0.

0 times an infinite derivative is NaN, so an adjoint of 0 for a branch that is not selected is not
enough.  Each adjoint or tangent that can differ from 0 only in some places has a formula: a choice
by value narrows it, a sum joins the formulas of its terms, an elementwise rule is masked by it, and
every other op defines how it moves a condition.  A graph without choices gets no extra nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from symad.autodiff.activity import Forms
from symad.autodiff.conditions import (
    EVERYWHERE,
    Conditions,
    Formula,
    Strength,
    at_least,
    without_positions,
)
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op
from symad.ops.adjoint import broadcast_like, match, sum_like
from symad.ops.base import Elementwise, JointlyLinear, as_number, as_truth, mask, tensor_types
from symad.ops.body import Derivative, WithBody, results_of, together
from symad.ops.structure import (
    MakeStructure,
    StructureItem,
    is_structure,
    item_or_none,
    structure_item,
)
from symad.types import Shape, StructureType

Activity: TypeAlias = "Formula | dict[Any, Activity]"
"""Where an adjoint can differ from 0; for the adjoint of a structure, item by item."""


class Known(NamedTuple):
    """Known facts about an adjoint or a tangent v.

    Attributes
    ----------
    active : Formula, or dict for a structure
        Where v can differ from 0.
    kept : Node or None
        The unmasked v, if v is masked: rules are applied to this, and the result is masked once.
    by_position : bool
        Whether v is masked by all of ``active``, not only by choices.
    """

    active: Activity = EVERYWHERE
    kept: Node | None = None
    by_position: bool = False


NOTHING = Known()
"""No known facts: it may differ from 0 everywhere."""

SeedActivity = tuple[Strength, Callable[[Node], Node]]
"""Where seeds can differ from 0: the strength of the condition, and a function that makes it."""

UNIT: SeedActivity = (Strength.POSITION, as_truth)
"""Seeds with a single nonzero element."""


def by_choice(condition: Node) -> SeedActivity:
    """Return the activity of a seed that is 0 where ``condition`` is false."""
    return Strength.CHOICE, lambda seed: condition



Ruled = tuple[Node | None, Known]
"""The result of a rule, and the known facts about it."""


class Guard:
    """Applies the rules of one derivative, and records the known facts about its nodes.

    Parameters
    ----------
    order : sequence of Node
        The nodes that are differentiated, in topological order.
    forms : mapping, optional
        The nodes of which others of the same value are differentiated instead.
    """

    def __init__(self, order: Sequence[Node], forms: Forms = MappingProxyType({})) -> None:
        self._order, self._forms = order, forms
        self._known: dict[Node, Known] = {}
        self._unbounded: set[Node] | None = None
        self.conditions = Conditions()
        somewhere = self.conditions.new(Strength.POSITION, lambda: Constant(True))
        self._somewhere: Formula = frozenset({frozenset({(somewhere, True)})})

    def known(self, v: Node) -> Known:
        """Return the known facts about a derivative."""
        return self._known.get(v, NOTHING)

    def where(self, v: Node, like: Node, only_choices: bool) -> Node | None:
        """Return where a derivative can differ from 0, in the shape of ``like``.

        With ``only_choices``, by choices alone, and ``None`` if these allow it everywhere.
        """
        formula = _formula(self.known(v))
        if only_choices:
            formula = at_least(formula, Strength.CHOICE)
            if formula == EVERYWHERE:
                return None
        return broadcast_like(self.conditions.node(formula), like)

    def note(self, v: Node, known: Known) -> None:
        """Record the known facts about a derivative."""
        if known is not NOTHING:
            self._known[v] = known

    def note_seed(self, seed: Node, active: SeedActivity | None) -> None:
        """Record where a seed can differ from 0, if that is known."""
        if active is not None:
            strength, make = active
            condition = self.conditions.new(strength, lambda: make(seed))
            self.note(seed, Known(self.conditions.both(EVERYWHERE, (condition, True))))

    def note_sum(self, total: Node, terms: Sequence[Node]) -> None:
        """Record the known facts about a sum node."""
        if self._known and len(terms) > 1 and any(term in self._known for term in terms):
            self.note(total, Known(self._joined([self.known(term).active for term in terms])))

    def _joined(self, parts: Sequence[Activity]) -> Activity:
        formulas = [part for part in parts if not isinstance(part, dict)]
        if formulas:  # a structure without known facts may be active everywhere
            return self.conditions.either(formulas) if len(formulas) == len(parts) else EVERYWHERE
        structures = [part for part in parts if isinstance(part, dict)]
        keys = dict.fromkeys(key for part in structures for key in part)
        return {key: self._joined([p[key] for p in structures if key in p]) for key in keys}

    def fit(self, known: Known, product: Node, partial: Node, like: Node) -> Known:
        """Return the known facts about ``product`` after conversion to the type of ``like``."""
        if known is NOTHING or partial is product:
            return known
        active = _formula(known)
        if _shape(product) != _shape(like):
            active = self._summed(active, product, like)
        return NOTHING if active == EVERYWHERE else Known(active)

    def _summed(self, active: Formula, product: Node, like: Node) -> Formula:
        """Return where a sum of elements can differ from 0; a condition of that shape is kept."""
        shape = _shape(like)
        fits = frozenset(t for t in active if all(one.has_shape(shape) for one, _ in t))
        if fits == active:
            return active

        def total(node: Node) -> Node:
            return as_truth(sum_like(as_number(_filled(node, product)), like))

        return self.conditions.either([fits, self.conditions.moved(active - fits, total)])

    # Rules

    def reverse(self, op: Op, slot: int, adjoint: Node, out: Node) -> Ruled:
        """Return the partial adjoint of an input of ``out``, before its shape is repaired."""
        if isinstance(op, Elementwise):
            if adjoint not in self._known and type(op).choice is Elementwise.choice:
                return op.reverse(slot, adjoint, out, *out.inputs), NOTHING
            return self._elementwise(op, op.reverse, slot, adjoint, out)
        known = self.known(adjoint)
        if is_structure(out) or is_structure(out.inputs[slot]):
            return self._reverse_structure(op, slot, adjoint, out)
        active, chosen = _followed(op, known)
        inputs = out.inputs
        if chosen == EVERYWHERE:
            product = op.reverse(slot, adjoint, out, *inputs)
        else:
            product = op.reverse_active(slot, adjoint, self._maker(chosen, out), out, *inputs)
        if product is adjoint:
            return product, known
        if active == EVERYWHERE and op.leaves_zeros(slot):
            active = self._somewhere
        return product, self._moved(
            active, lambda node: op.active_input(slot, _filled(node, out), out, *inputs)
        )

    def terms(self, op: Op, tangents: Sequence[Node | None], out: Node) -> list[Node]:
        """Return the terms of the tangent of ``out``, in its shape and dtype."""
        if isinstance(op, WithBody):
            return self._forward_body(op, tangents, out)
        found: list[Ruled] = []
        if type(op).forward_terms is Op.forward_terms:
            found = [
                self.forward(op, slot, v, out) for slot, v in enumerate(tangents) if v is not None
            ]
        else:
            joint = op.forward_terms(tangents, out, *out.inputs)
            found = [(term, self._known_jointly(op, tangents, out)) for term in joint]
        result = []
        for term, known in found:
            if term is not None:
                matched = match(term, out, broadcast_like)
                self.note(matched, known if matched is term else Known(known.active))
                result.append(matched)
        return result

    def forward(self, op: Op, slot: int, tangent: Node, out: Node) -> Ruled:
        """Return the contribution of the tangent of input ``slot`` to that of ``out``."""
        if isinstance(op, Elementwise):
            return self._elementwise(op, op.forward, slot, tangent, out)
        known, source = self.known(tangent), out.inputs[slot]
        if is_structure(out) or is_structure(source):
            return self._forward_structure(op, slot, tangent, out)
        active, chosen = _followed(op, known)
        if chosen == EVERYWHERE or op.has_finite_slopes(*out.inputs):
            term = op.forward(slot, tangent, out, *out.inputs)
        else:
            maker = self._maker(chosen, source)
            term = op.forward_active(slot, tangent, maker, out, *out.inputs)
        if term is tangent:
            return term, known
        if active == EVERYWHERE and not op.fills_all:
            active = self._somewhere
        return term, self._moved(
            active, lambda node: op.active_output(slot, _filled(node, source), out, *out.inputs)
        )

    def _known_jointly(self, op: Op, tangents: Sequence[Node | None], out: Node) -> Known:
        """Return the known facts about a tangent that a rule made from those of all inputs."""
        if is_structure(out) or not isinstance(op, JointlyLinear):
            return NOTHING
        given = [None if v is None else _formula(self.known(v)) for v in tangents]
        moving = [f for f in given if f is not None]
        absent = any(f is None and op.differentiable(k) for k, f in enumerate(given))
        if not absent and all(f == EVERYWHERE for f in moving):
            return NOTHING
        chosen = [at_least(f, Strength.CHOICE) for f in moving]
        strength = Strength.POSITION if EVERYWHERE in chosen else Strength.CHOICE

        def make() -> Node:
            numbers = [
                None if f is None else as_number(_filled(self.conditions.node(f), x))
                for f, x in zip(given, out.inputs, strict=True)
            ]
            (total,) = op.forward_terms(numbers, out, *out.inputs)
            assert total is not None
            return as_truth(total)

        condition = self.conditions.new(strength, make)
        return Known(frozenset({frozenset({(condition, True)})}))

    def _maker(self, formula: Formula, like: Node) -> Callable[[], Node]:
        return lambda: _filled(self.conditions.node(formula), like)

    def _moved(self, active: Formula, move: Callable[[Node], Node]) -> Known:
        if active == EVERYWHERE:
            return NOTHING
        return Known(self.conditions.moved(active, move))

    # Ops with bodies, whose derivatives take the conditions as more inputs

    def reverse_body(
        self, op: WithBody, slots: Sequence[int], adjoint: Node, out: Node
    ) -> list[Ruled]:
        """Return the same for several inputs of an op with a body."""
        outs = results_of(out)
        adjoints = _items_like(adjoint, outs)
        if is_structure(out):
            parts = [_item(self.known(adjoint), key) for key in _keys(out)]
        else:
            parts = [self.known(adjoint).active]
        formulas = [None if v is None else part for v, part in zip(adjoints, parts, strict=True)]

        def derived(active: list[Node | None] | None) -> Sequence[Derivative]:
            return op.reverse_all(slots, adjoints, active, out, *out.inputs)

        return self._through_body(derived, formulas, outs, out)

    def _forward_body(
        self, op: WithBody, tangents: Sequence[Node | None], out: Node
    ) -> list[Node]:
        formulas = [None if v is None else self.known(v).active for v in tangents]

        def derived(active: list[Node | None] | None) -> Sequence[Derivative]:
            return op.forward_all(tangents, active, out, *out.inputs)

        found = self._through_body(derived, formulas, out.inputs, out)
        outs, known = results_of(out), [facts for _, facts in found]
        terms = [
            None if v is None else match(v, y, broadcast_like)
            for (v, _), y in zip(found, outs, strict=True)
        ]
        total = together(terms, out)
        if total is None:
            return []
        if is_structure(out):
            pairs = zip(_keys(out), known, strict=True)
            self.note(total, Known({key: facts.active for key, facts in pairs}))
        else:
            self.note(total, known[0])
        return [total]

    def _through_body(
        self,
        derived: Callable[[list[Node | None] | None], Sequence[Derivative]],
        formulas: Sequence[Activity | None],
        nodes: Sequence[Node],
        out: Node,
    ) -> list[Ruled]:
        """Return what ``derived`` makes of conditions, with the known facts.

        Conditions on positions are used only if a slope in the body can be infinite.  Else they
        are followed through it when something after it needs them.
        """
        if not self._are_positions(formulas) or self._may_have_infinite_slopes(out):
            found = derived(self._conditions(formulas, nodes))
            return [(v, self._known_where(c, formulas)) for v, c in found]
        found = derived(None)
        if any(c is not None for _, c in found):  # the body has choices as well
            found = derived(self._conditions(formulas, nodes))
            return [(v, self._known_where(c, formulas)) for v, c in found]
        made: list[Derivative] = []

        def place(k: int) -> Node:
            if not made:
                made.extend(derived(self._conditions(formulas, nodes)))
            _, where = made[k]
            return Constant(True) if where is None else where

        def known(k: int) -> Known:
            condition = self.conditions.new(Strength.POSITION, lambda: place(k))
            return Known(frozenset({frozenset({(condition, True)})}))

        return [(v, known(k)) for k, (v, _) in enumerate(found)]

    def _are_positions(self, formulas: Sequence[Activity | None]) -> bool:
        """Return whether there are conditions, all on positions."""
        given = [part for part in formulas if part is not None and not isinstance(part, dict)]
        followed = any(at_least(part, Strength.POSITION) != EVERYWHERE for part in given)
        return followed and all(at_least(part, Strength.CHOICE) == EVERYWHERE for part in given)

    def _may_have_infinite_slopes(self, out: Node) -> bool:
        assert out.op is not None
        is_finite = out.op.has_finite_slopes(*out.inputs)
        return not is_finite or any(map(self._is_unbounded, out.inputs))

    def _conditions(
        self, formulas: Sequence[Activity | None], nodes: Sequence[Node]
    ) -> list[Node | None] | None:
        """Return formulas as conditions in the shapes of ``nodes``; ``None`` if all are true."""
        followed = [
            None
            if part is None
            else EVERYWHERE
            if isinstance(part, dict)
            else at_least(part, Strength.POSITION)
            for part in formulas
        ]
        if all(part is None or part == EVERYWHERE for part in followed):
            return None
        return [
            None if part is None else _filled(self.conditions.node(part), node)
            for part, node in zip(followed, nodes, strict=True)
        ]

    def _known_where(self, where: Node | None, formulas: Sequence[Activity | None]) -> Known:
        """Return the known facts about a result of an op with a body."""
        if where is None:
            return NOTHING
        given = [part for part in formulas if part is not None and not isinstance(part, dict)]
        chosen = all(at_least(part, Strength.CHOICE) == part for part in given)
        strength = Strength.CHOICE if chosen else Strength.POSITION
        condition = self.conditions.new(strength, lambda: where)
        return Known(frozenset({frozenset({(condition, True)})}))

    # Elementwise rules, which are the same in both modes

    def _elementwise(
        self, op: Elementwise, rule: Callable[..., Node | None], slot: int, v: Node, out: Node
    ) -> Ruled:
        known = self.known(v)
        inner = v if known.kept is None else known.kept
        choice = op.choice(slot, out, *out.inputs)
        if choice is not None:
            taken = op.reverse(slot, inner, out, *out.inputs)
            return self._chosen(choice, known, taken, out)
        product = rule(slot, inner, out, *out.inputs)
        if product is None:
            return None, NOTHING
        if product is inner:
            return v, known
        if known is NOTHING:
            return product, known
        active = _formula(known)
        selected = self._selected(op, known, out)
        if selected == EVERYWHERE or (known.kept is None and op.constant_slopes):
            return product, Known(active)
        by_position = selected is active
        return self._masked(selected, product), Known(active, product, by_position)

    def _chosen(
        self, choice: tuple[Node, bool], known: Known, product: Node | None, out: Node
    ) -> Ruled:
        """Mask a partial derivative where its operand is not selected."""
        if product is None:
            return None, NOTHING
        node, holds = choice
        strength = Strength.CHOICE if any(node is x for x in out.inputs) else Strength.RULE
        while node.op is not None and node.op.name == "logical_not":
            node, holds = node.inputs[0], not holds
        literal = (self.conditions.of_node(node, strength), holds)
        active = self.conditions.both(_formula(known), literal)
        if known.kept is None:
            selected = self.conditions.both(EVERYWHERE, literal)
        else:
            selected = active if known.by_position else without_positions(active)
        return self._masked(selected, product), Known(active, product, known.by_position)

    def _selected(self, op: Elementwise, known: Known, out: Node) -> Formula:
        """Return the formula by which a rule must be masked."""
        active = _formula(known)
        choices = without_positions(active)
        if choices is active or known.by_position:
            return active
        if op.has_finite_slopes(*out.inputs) and not self._is_unbounded(out):
            return choices
        return active

    def _masked(self, formula: Formula, product: Node) -> Node:
        return mask(self.conditions.node(formula), product)

    def _is_unbounded(self, out: Node) -> bool:
        """Return whether ``out``, or a value it depends on, may be infinite at finite inputs."""
        if self._unbounded is None:
            self._unbounded = set()
            for node in self._order:
                if node.op is None or not node.type.is_float:
                    continue
                form = self._forms.get(node)
                sources = node.inputs if form is None else (form,)
                made_of = any(source in self._unbounded for source in sources)
                if made_of or (form is None and not node.op.has_finite_slopes(*node.inputs)):
                    self._unbounded.add(node)
        return out in self._unbounded

    # Structures

    def _reverse_structure(self, op: Op, slot: int, adjoint: Node, out: Node) -> Ruled:
        known, inputs = self.known(adjoint), out.inputs
        if isinstance(op, StructureItem):
            product = op.reverse(slot, adjoint, out, *inputs)
            return product, Known({op.key: known.active})
        if isinstance(op, MakeStructure):
            product = op.reverse(slot, adjoint, out, *inputs)
            return product, Known(_item(known, op.key_of(slot)))
        present = [key for key in _keys(out) if _has_item(adjoint, key)]
        parts = {key: _item(known, key) for key in present}
        chosen = {
            key: EVERYWHERE if isinstance(part, dict) else at_least(part, Strength.CHOICE)
            for key, part in parts.items()
        }
        if is_structure(inputs[slot]) or EVERYWHERE in chosen.values():
            product = op.reverse(slot, adjoint, out, *inputs)
            return product, known if product is adjoint else NOTHING

        def make() -> Node:
            return self._structure_of(chosen, out)

        product = op.reverse_active(slot, adjoint, make, out, *inputs)
        condition = self.conditions.new(
            Strength.CHOICE, lambda: op.active_input(slot, make(), out, *inputs)
        )
        return product, Known(frozenset({frozenset({(condition, True)})}))

    def _structure_of(self, formulas: dict[Any, Formula], out: Node) -> Node:
        """Return conditions in the structure of ``out``, for the items that have one."""
        assert isinstance(out.type, StructureType)
        nodes = [
            _filled(self.conditions.node(formula), structure_item(out, key))
            for key, formula in formulas.items()
        ]
        present = tuple(key in formulas for key in out.type.keys)
        return apply(MakeStructure(out.type.kind, out.type.keys, present), *nodes)

    def _forward_structure(self, op: Op, slot: int, tangent: Node, out: Node) -> Ruled:
        known = self.known(tangent)
        term = op.forward(slot, tangent, out, *out.inputs)
        if isinstance(op, StructureItem):
            return term, Known(_item(known, op.key))
        if isinstance(op, MakeStructure):
            return term, Known({op.key_of(slot): known.active})
        return term, known if term is tangent else NOTHING


def _formula(known: Known) -> Formula:
    return EVERYWHERE if isinstance(known.active, dict) else known.active


def _followed(op: Op, known: Known) -> tuple[Formula, Formula]:
    """Return the conditions that are followed through an op, and those by which it is masked."""
    active = _formula(known)
    if not op.is_view:
        active = at_least(active, Strength.POSITION)
    return active, at_least(active, Strength.CHOICE)


def _items_like(adjoint: Node, outs: Sequence[Node]) -> list[Node | None]:
    """Return the adjoint of each result; ``None`` for zero."""
    if not isinstance(adjoint.type, StructureType):
        return [adjoint]
    return [item_or_none(adjoint, key) for key in range(len(outs))]


def _item(known: Known, key: Any) -> Activity:
    return known.active.get(key, EVERYWHERE) if isinstance(known.active, dict) else EVERYWHERE


def _shape(node: Node) -> Shape:
    (type_,) = tensor_types(node.type)
    return type_.shape


def _keys(node: Node) -> tuple[Any, ...]:
    assert isinstance(node.type, StructureType)
    return node.type.keys


def _has_item(node: Node, key: Any) -> bool:
    assert isinstance(node.type, StructureType)
    return node.type.item(key) is not None


def _filled(condition: Node, like: Node) -> Node:
    """Return a condition in the shape of ``like``."""
    return condition if _shape(condition) == _shape(like) else broadcast_like(condition, like)
