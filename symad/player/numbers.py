"""The chapters on the numbers: forward, then backward; and the table of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.values import summarise
from symad.player.story import Chapter, Step
from symad.player.subject import equation, is_finite, is_number
from symad.player.visits import Course


class NumbersTeller:
    """Tells what a graph and its extension compute."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._subject = course.subject
        self._latex = course.subject.latex()

    def chapters(self) -> list[Chapter]:
        """Return the chapters; there are none without values."""
        chapters = []
        if self._subject.view.values:
            chapters.append(Chapter("Values", "trace", 0, list(self._forward_values())))
            chapters.append(Chapter("Adjoints", "trace", 0, list(self._adjoint_values())))
        return [chapter for chapter in chapters if chapter.steps]

    def _forward_values(self) -> Iterator[Step]:
        yield from self._computed(self._course.forward, "Now the numbers, inputs first. ")
        yield from self._hidden_faults(derived=False)

    def _adjoint_values(self) -> Iterator[Step]:
        nodes: list[Node] = []
        for visit in self._course.visits:
            nodes += [*visit.contributions, visit.adjoint]
            for partial in visit.partials:
                source = self._subject.view.behind(visit.node.inputs[partial.slot])
                nodes += self._course.made.get((source, visit.node, partial.slot), [])
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
                [equation(self._latex.name(node), *sides)],
                show=[f"{here}v"],
                now=[here, f"{here}v"],
                use=subject.uses(node),
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
            return f"The sum over all paths from {of} to the output: {name} is {value}."
        edge = f"the edge from {of} to {subject.forward_name(role.consumer)}"
        if role.kind is RoleKind.LOCAL:
            return f"A step of the rule for {edge}: {value}."
        return f"Along {edge}: {name} is {value}."

    def _is_of_numbers(self, node: Node) -> bool:
        """Return whether a node and all that it is computed from are numbers."""
        view = self._subject.view
        nodes = [node, *[source.node for source in view.sources(node)]]
        return all(is_number(view.values[n]) for n in nodes if not isinstance(n, Constant))

    def _hidden_faults(self, derived: bool) -> Iterator[Step]:
        """Tell where NaN and infinities arise inside of boxes."""
        subject = self._subject
        for node in subject.view.nodes:
            if node in subject.places or self._course.is_old(node) is derived:
                continue
            values = subject.view.values
            sources = [values[source.node] for source in subject.view.sources(node)]
            if not is_finite(values[node]) and all(map(is_finite, sources)):
                box, formula = subject.box_of[node], subject.formulas.right_sides[node]
                yield Step(
                    f"Inside of {box.title}, a value that is not finite arises at the feed: "
                    f"{subject.name(node)} = {formula} = {summarise(values[node])}.",
                    now=[box.id],
                )

    # The panel

    def trace(self) -> list[dict[str, Any]]:
        """Return the rows of the trace: forward node, adjoint, and their formulas."""
        subject = self._subject
        behind = subject.view.behind
        adjoints = {behind(visit.node): behind(visit.adjoint) for visit in self._course.visits}
        rows = []
        for node in self._course.forward:
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
            rows.append(row | {"h": subject.forward_name(node)})
        return rows

    def _side(self, node: Node) -> str:
        if node.op is None:
            return self._subject.glyphs.text(node.label)
        return self._subject.formulas.right_sides[node]
