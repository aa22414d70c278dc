"""The chapters on the gradient: the graph as written, its extension, and the numbers.

They follow the algorithm of CMU 10-414/714, lecture 4, as it ran: one step for each node that was
visited, for each sum node, and for each partial adjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from symad.draw.fold import Box
from symad.draw.player.story import Chapter, Step
from symad.draw.player.subject import Subject, equation, is_finite
from symad.draw.values import summarise
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind

_SEEDED, _VISITED, _SUMMED, _MULTIPLIED, _RETURNED = 1, 2, 3, 5, 7
"""The lines of the algorithm, as the page prints it."""

_MOST_TERMS = 8  # of a sum that is written out in a caption


@dataclass(frozen=True)
class Partial:
    """What was left at one input of a node that was visited: v̄_{k→i}.

    Attributes
    ----------
    slot : int
    product : Node
        What the op's rule made.
    partial : Node
        The same after shape repair.
    """

    slot: int
    product: Node
    partial: Node


@dataclass(frozen=True)
class Visit:
    """A node of which the gradient pass found the adjoint and left partial adjoints.

    Attributes
    ----------
    node : Node
    contributions : tuple of Node
        What its consumers had left.
    adjoint : Node
    partials : list of Partial
    """

    node: Node
    contributions: tuple[Node, ...]
    adjoint: Node
    partials: list[Partial]


class ExtensionTeller:
    """Tells how the gradient of ``y`` is built, and what it computes.

    Parameters
    ----------
    subject : Subject
    visits : sequence of Visit
        In the order in which they were made.
    results : sequence of Node
        The adjoints that were asked for.
    generation : int
        Of the adjoints: 1 for a first derivative.
    """

    def __init__(
        self,
        subject: Subject,
        visits: Sequence[Visit],
        results: Sequence[Node],
        generation: int,
    ) -> None:
        self._subject = subject
        self._visits = visits
        self._results = results
        self._generation = generation
        self._latex = subject.latex()
        self._forward = [n for n in subject.labels.forward if n in subject.ids and n.role is None]
        self._forward += [n for n in subject.view.nodes if n.role is not None and self._is_old(n)]
        self._made = _by_edge(subject)

    def chapters(self) -> list[Chapter]:
        """Return the chapters."""
        chapters = [
            Chapter("The graph", "trace", 0, [self._overview(), *self._written()]),
            Chapter("Extending it", "grads", 0, list(self._extended())),
        ]
        if self._subject.view.values:
            chapters.append(Chapter("Values", "trace", 0, list(self._forward_values())))
            chapters.append(Chapter("Adjoints", "trace", 0, list(self._adjoint_values())))
        return [chapter for chapter in chapters if chapter.steps]

    def _is_old(self, node: Node) -> bool:
        """Return whether a node was there before the extension."""
        return node.role is None or node.role.generation < self._generation

    # The graph as it was written

    def _overview(self) -> Step:
        subject = self._subject
        everything = [box.id for box in subject.boxes]
        arrows = [arrow.id for arrow in subject.sketch().arrows]
        valued = [n for n in subject.places if not isinstance(n, Constant)]
        values = [f"{subject.ids[n]}v" for n in valued if n in subject.view.values]
        derived = ", with the derivatives that it holds" if self._generation > 1 else ", in blue"
        return Step(
            f"This is what will be built: the graph as it was written{derived}, and the adjoint "
            "graph that reverse mode adds to it. Press play, or step with the arrow keys.",
            show=[*everything, *arrows, *values],
        )

    def _written(self) -> Iterator[Step]:
        subject = self._subject
        shown: set[str] = set()
        for place, node in enumerate(self._forward_with_constants()):
            box = subject.box_of[node]
            if box.id in shown:
                continue
            shown.add(box.id)
            alone = box.node is not None
            edges = [edge for member in box.nodes for edge in subject.edges_into(member)]
            yield Step(
                self._describe(node) if alone else f"{box.title}: {len(box.nodes):,} nodes.",
                [self._defined(node)] if alone and not isinstance(node, Constant) else (),
                show=[box.id, *dict.fromkeys(edges)],
                now=[box.id],
                use=self._sources(node) if alone else (),
                clear=place == 0,
            )

    def _forward_with_constants(self) -> Iterator[Node]:
        """Yield the nodes of the forward graph by number, each constant before its first user."""
        told: set[Node] = set()
        for node in self._forward:
            for source in self._subject.view.sources(node):
                if isinstance(source.node, Constant) and source.node.role is None:
                    if source.node not in told:
                        told.add(source.node)
                        yield source.node
            if node not in told:
                told.add(node)
                yield node

    def _describe(self, node: Node) -> str:
        name = self._subject.name(node)
        if isinstance(node, Variable):
            return f"{name} is the variable {self._subject.glyphs.text(node.label)}: an input."
        if isinstance(node, Constant):
            return f"The constant {name}."
        if node.op is None:
            return f"{name} is an input."
        derived = "" if node.role is None else ", of a derivative that was asked for before"
        return f"{name} is a node of the op {node.op.name}{derived}. It is not computed yet."

    def _defined(self, node: Node) -> str:
        if node.op is None:
            return equation(self._subject.name(node), self._subject.glyphs.text(node.label))
        return equation(self._subject.name(node), self._latex.right_sides[node])

    def _sources(self, node: Node) -> list[str]:
        """Return the ids of what a node is computed from, and of the arrows."""
        subject = self._subject
        inputs = [subject.ids[source.node] for source in subject.view.sources(node)]
        return list(dict.fromkeys([*inputs, *subject.edges_into(node)]))

    # The extension

    def _extended(self) -> Iterator[Step]:
        if self._subject.is_folded:
            yield from self._extended_by_box()
            return
        yield from self._seeded()
        for visit in self._visits:
            yield from self._visited(visit)
            for partial in visit.partials:
                yield self._propagated(visit, partial)
        yield self._returned()

    def _seeded(self) -> Iterator[Step]:
        subject = self._subject
        seeds = [n for v in self._visits for n in v.contributions if _is(n, RoleKind.SEED)]
        for seed in seeds:
            assert seed.role is not None
            output = subject.forward_name(seed.role.node)
            whole = subject.adjoint_name(seed)
            yield Step(
                f"Reverse mode extends the graph. It starts with the seed {whole}, "
                f"the adjoint of the output {output}: node_to_grad has one entry.",
                [equation(whole, rf"\frac{{\partial {output}}}{{\partial {output}}}",
                          self._latex.right_sides.get(subject.view.behind(seed), ""))],
                show=[*self._with_steps(seed), self._left(seed)],
                now=[subject.ids[subject.view.behind(seed)], self._left(seed)],
                use=[subject.ids[subject.view.behind(seed.role.node)]],
                line=_SEEDED,
            )  # fmt: skip

    def _visited(self, visit: Visit) -> Iterator[Step]:
        subject, node = self._subject, visit.node
        name, here = subject.forward_name(node), subject.ids[subject.view.behind(node)]
        left = [self._left(contribution) for contribution in visit.contributions]
        whole = subject.adjoint_name(visit.adjoint)
        if len(visit.contributions) == 1:
            contribution = visit.contributions[0]
            what = "the seed" if _is(contribution, RoleKind.SEED) else "one partial adjoint"
            yield Step(
                f"Visit {name}. Its list holds {what}, which is its adjoint {whole}: "
                "no sum node is needed.",
                [equation(whole, subject.partial_name(contribution))],
                show=[f"o-{here}", self._adjoint_key(node)],
                now=[here, f"o-{here}", self._adjoint_key(node)],
                use=[subject.ids[subject.view.behind(visit.adjoint)], *left],
                line=_VISITED,
            )
            return
        names = [subject.partial_name(contribution) for contribution in visit.contributions]
        yield Step(
            f"Visit {name}. Its consumers have left {len(names)} partial adjoints in its list: "
            f"{_shortened(names, ', ', '…')}.",
            show=[f"o-{here}"],
            now=[here, f"o-{here}"],
            use=[*[subject.ids[subject.view.behind(n)] for n in visit.contributions], *left],
            line=_VISITED,
        )
        total = subject.view.behind(visit.adjoint)
        yield Step(
            f"{name} is used {len(names)} times, so its adjoint is a sum node: every path from "
            f"{name} to the output counts.",
            [equation(whole, _shortened(names, " + ", r"\cdots"))],
            show=[*self._with_steps(visit.adjoint), self._adjoint_key(node)],
            now=[subject.ids[total], self._adjoint_key(node)],
            use=[here, *self._sources(total), *left],
            line=_SUMMED,
        )

    def _propagated(self, visit: Visit, partial: Partial) -> Step:
        subject, node = self._subject, visit.node
        source = node.inputs[partial.slot]
        here, there = (subject.ids[subject.view.behind(end)] for end in (node, source))
        edge = subject.edge_id(source, node, partial.slot)
        seen = subject.view.behind(partial.partial)
        steps = self._made.get((subject.view.behind(source), node, partial.slot), [])
        return Step(
            self._rule_in_words(visit, partial),
            self._rule(visit, partial, steps),
            show=[*self._shown(steps), *self._with_steps(seen), self._left(partial.partial),
                  f"b-{edge}"],
            now=[*[subject.ids[step] for step in steps], subject.ids[seen],
                 self._left(partial.partial), edge, f"b-{edge}"],
            use=[here, there, subject.ids[subject.view.behind(visit.adjoint)]],
            line=_MULTIPLIED,
        )  # fmt: skip

    def _rule_in_words(self, visit: Visit, partial: Partial) -> str:
        subject, node = self._subject, visit.node
        source = node.inputs[partial.slot]
        adjoint, name = subject.adjoint_name(visit.adjoint), subject.forward_name(source)
        say = (
            f"Along the edge from {name} to {subject.forward_name(node)}: {adjoint} times the "
            f"local derivative, left in the list of {name}."
        )
        if partial.product.op is not None and partial.product.op.name == "identity":
            say += " It is 1 here: an identity node."
        if subject.view.behind(partial.partial) is not subject.view.behind(partial.product):
            say += f" A shape repair gives it the shape of {name}."
        return say

    def _rule(self, visit: Visit, partial: Partial, steps: Sequence[Node]) -> list[str]:
        """Return v̄_{k→i} = v̄_i ∂v_i/∂v_k = ..., and lines for the steps that have names."""
        subject = self._subject
        source, node = visit.node.inputs[partial.slot], visit.node
        name = subject.partial_name(partial.partial)
        ends = (subject.forward_name(node), subject.forward_name(source))
        derivative = rf"\frac{{\partial {ends[0]}}}{{\partial {ends[1]}}}"
        product = f"{subject.adjoint_name(visit.adjoint)} \\, {derivative}"
        sides = self._latex.right_sides
        seen = subject.view.behind(partial.partial)
        lines = [equation(name, product, sides.get(seen, ""))]
        for step in steps:
            if step in self._latex.auxiliary and step is not seen:
                lines.append(equation(subject.name(step), sides[step]))
        return lines

    def _returned(self) -> Step:
        subject = self._subject
        found = [subject.view.behind(node) for node in self._results]
        names = ", ".join(subject.adjoint_name(node) for node in self._results)
        return Step(
            f"Every node has been visited. The gradient is {names}: nodes of the same graph, "
            "which can be compiled, drawn and differentiated again.",
            now=[subject.ids[node] for node in found],
            show=self._leftovers(),
            line=_RETURNED,
        )

    def _leftovers(self) -> list[str]:
        """Return all shapes and arrows, so that none is missing at the end."""
        return [*[box.id for box in self._subject.boxes],
                *[arrow.id for arrow in self._subject.sketch().arrows]]  # fmt: skip

    def _left(self, contribution: Node) -> str:
        return f"l-{self._subject.ids[self._subject.view.behind(contribution)]}"

    def _adjoint_key(self, node: Node) -> str:
        return f"a-{self._subject.ids[self._subject.view.behind(node)]}"

    def _with_steps(self, node: Node) -> list[str]:
        return self._shown([self._subject.view.behind(node)])

    def _shown(self, nodes: Iterable[Node]) -> list[str]:
        """Return the ids of nodes, of constants that they use, and of the arrows into them."""
        subject = self._subject
        ids: list[str] = []
        for node in nodes:
            sources = [source.node for source in subject.view.sources(node)]
            ids += [subject.ids[source] for source in sources if isinstance(source, Constant)]
            ids += [subject.ids[node], *subject.edges_into(node)]
        return list(dict.fromkeys(ids))

    def _extended_by_box(self) -> Iterator[Step]:
        """Tell of a folded graph: one step for all visits in a row to nodes of one box."""
        subject = self._subject
        arrows = subject.sketch().arrows
        seen = {subject.ids[node] for node in self._forward_with_constants()}

        def box_of(visit: Visit) -> Box:
            return subject.box_of[subject.view.behind(visit.node)]

        for box, visits in groupby(self._visits, box_of):
            told = list(visits)
            made = [n for v in told for n in (*v.contributions, v.adjoint)]
            made += [p.partial for v in told for p in v.partials]
            boxes = list(dict.fromkeys(subject.ids[subject.view.behind(node)] for node in made))
            seen.update(boxes)
            joined = [arrow.id for arrow in arrows if {arrow.tail, arrow.head} <= seen]
            arrows = [arrow for arrow in arrows if not {arrow.tail, arrow.head} <= seen]
            yield Step(
                self._visited_in_words(box, told),
                show=[*boxes, *joined],
                now=[box.id, *boxes],
                line=_MULTIPLIED,
            )
        yield self._returned()

    def _visited_in_words(self, box: Box, visits: Sequence[Visit]) -> str:
        sums = sum(len(visit.contributions) > 1 for visit in visits)
        partials = sum(len(visit.partials) for visit in visits)
        title = box.title if box.node is None else self._subject.name(box.node)
        return (
            f"Visit {title}, in reverse topological order: {_count(len(visits), 'node')}, "
            f"{_count(sums, 'sum node')}, {_count(partials, 'partial adjoint')}."
        )

    # The numbers

    def _forward_values(self) -> Iterator[Step]:
        yield from self._computed(self._forward, "Now the numbers, inputs first. ")
        yield from self._hidden_faults(derived=False)

    def _adjoint_values(self) -> Iterator[Step]:
        nodes: list[Node] = []
        for visit in self._visits:
            nodes += [*visit.contributions, visit.adjoint]
            for partial in visit.partials:
                source = self._subject.view.behind(visit.node.inputs[partial.slot])
                nodes += self._made.get((source, visit.node, partial.slot), [])
                nodes.append(partial.partial)
        yield from self._computed(nodes, "The adjoint graph is computed like any other. ")
        yield from self._hidden_faults(derived=True)

    def _computed(self, nodes: Iterable[Node], opening: str) -> Iterator[Step]:
        subject = self._subject
        values = subject.substituted()
        found = dict.fromkeys(map(subject.view.behind, nodes))
        for node in found:
            place = subject.places.get(node)
            if place is None or node not in subject.view.values:
                continue
            if node.op is None and not isinstance(node, Variable):
                continue
            here, value = subject.ids[node], subject.glyphs.value(place)
            sides = [self._latex.right_sides.get(node, ""), value]
            if self._is_of_numbers(node):
                sides.insert(1, values.right_sides.get(node, ""))
            yield Step(
                f"{opening}{self._value_in_words(node, value)}",
                [equation(subject.name(node), *sides)],
                show=[f"{here}v"],
                now=[here, f"{here}v"],
                use=self._sources(node),
            )
            opening = ""

    def _value_in_words(self, node: Node, value: str) -> str:
        subject, role = self._subject, node.role
        name = subject.name(node)
        if isinstance(node, Variable):
            return f"{name} is the input {subject.glyphs.text(node.label)}: {value}."
        if role is None:
            return f"{name} is {value}."
        of = subject.forward_name(role.node)
        if role.kind is RoleKind.SEED:
            return f"The seed {name}, the adjoint of the output {of}, is {value}."
        if role.consumer is None:
            return f"All that {of} adds to the output, along all paths: {name} is {value}."
        edge = f"the edge from {of} to {subject.forward_name(role.consumer)}"
        if role.kind is RoleKind.LOCAL:
            return f"A step of the rule for {edge}: {value}."
        return f"Along {edge}: {name} is {value}."

    def _is_of_numbers(self, node: Node) -> bool:
        """Return whether a node and all that it is computed from are numbers."""
        view = self._subject.view
        nodes = [node, *[source.node for source in view.sources(node)]]
        return all(np.ndim(view.values[n]) == 0 for n in nodes if not isinstance(n, Constant))

    def _hidden_faults(self, derived: bool) -> Iterator[Step]:
        """Tell where NaN and infinities arise inside of boxes."""
        subject = self._subject
        for node in subject.view.nodes:
            if node in subject.places or self._is_old(node) is derived:
                continue
            values = subject.view.values
            sources = [values[source.node] for source in subject.view.sources(node)]
            if not is_finite(values[node]) and all(map(is_finite, sources)):
                box, formula = subject.box_of[node], subject.formulas.right_sides[node]
                yield Step(
                    f"Inside of {box.title}, a value that is not finite arises: "
                    f"{subject.name(node)} = {formula} = {summarise(values[node])}.",
                    now=[box.id],
                )

    # The panels

    def trace(self) -> list[dict[str, Any]]:
        """Return the rows of the trace: forward node, adjoint, and their formulas."""
        subject = self._subject
        behind = subject.view.behind
        adjoints = {behind(visit.node): behind(visit.adjoint) for visit in self._visits}
        rows = []
        for node in self._forward:
            if node not in subject.places:
                continue
            row: dict[str, Any] = {"n": subject.ids[node], "f": self._side(node)}
            if node in subject.view.values:
                row["v"] = subject.places[node]
            adjoint = adjoints.get(node)
            if adjoint in subject.places:
                assert adjoint is not None
                row |= {"m": subject.ids[adjoint], "s": subject.adjoint_name(adjoint)}
                row["g"] = subject.adjoint_sum(adjoint)
                if adjoint in subject.view.values:
                    row["w"] = subject.places[adjoint]
            rows.append(row | {"h": subject.name(node)})
        return rows

    def _side(self, node: Node) -> str:
        if node.op is None:
            return self._subject.glyphs.text(node.label)
        return self._subject.formulas.right_sides[node]

    def lists(self) -> list[dict[str, Any]]:
        """Return the rows of node_to_grad, in the order of the visits."""
        subject = self._subject
        if subject.is_folded:
            return []
        return [
            {
                "n": subject.ids[subject.view.behind(visit.node)],
                "h": subject.forward_name(visit.node),
                "a": subject.adjoint_name(visit.adjoint),
                "m": subject.ids[subject.view.behind(visit.adjoint)],
                "l": [
                    [subject.ids[subject.view.behind(node)], subject.partial_name(node)]
                    for node in visit.contributions
                ],
            }
            for visit in self._visits
        ]


def _is(node: Node, kind: RoleKind) -> bool:
    return node.role is not None and node.role.kind is kind


def _shortened(names: Sequence[str], between: str, gap: str) -> str:
    """Return a list in which the middle is left out where it is long."""
    if len(names) > _MOST_TERMS:
        names = [*names[: _MOST_TERMS - 2], gap, names[-1]]
    return between.join(names)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _by_edge(subject: Subject) -> dict[tuple[Node, Node, int], list[Node]]:
    """Return what the rules made for each edge: source, consumer and slot."""
    made: dict[tuple[Node, Node, int], list[Node]] = {}
    for node in subject.view.nodes:
        role = node.role
        if role is not None and role.consumer is not None and role.slot is not None:
            key = (subject.view.behind(role.node), role.consumer, role.slot)
            made.setdefault(key, []).append(node)
    return made
