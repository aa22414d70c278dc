"""The chapters on the values, forward and backward, and the table of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.formulas import Formulas
from symad.notation.values import is_number, summarise
from symad.player.played_graph import MOST_NAMES, equation, is_finite, shortened
from symad.player.story import Chapter, StoryStep
from symad.player.walk import GradientWalk


class NumberChapters:
    """Builds the chapters on the values of a graph and its extension."""

    def __init__(self, walk: GradientWalk) -> None:
        self._walk = walk
        self._graph = walk.graph
        self._latex = walk.graph.latex()

    def chapters(self) -> list[Chapter]:
        """Return the chapters; there are none without values."""
        chapters = []
        if self._graph.view.values:
            chapters.append(Chapter("Values", "trace", 0, list(self._forward_values())))
            chapters.append(Chapter("Adjoints", "trace", 0, list(self._adjoint_values())))
        return [chapter for chapter in chapters if chapter.steps]

    def _forward_values(self) -> Iterator[StoryStep]:
        yield from self._computed(self._walk.forward, "The forward values, inputs first. ")
        yield from self._hidden_faults(derived=False)

    def _adjoint_values(self) -> Iterator[StoryStep]:
        nodes = [node for step in self._walk.record.steps for node in self._walk.made_by(step)]
        yield from self._computed(nodes, "The adjoint graph is computed like any other graph. ")
        yield from self._hidden_faults(derived=True)

    def _computed(self, nodes: Iterable[Node], opening: str) -> Iterator[StoryStep]:
        graph = self._graph
        values = graph.substituted()
        found = dict.fromkeys(map(graph.view.behind, nodes))
        for node in found:
            place = graph.places.get(node)
            if place is None or node not in graph.view.values:
                continue
            if node.op is None and not isinstance(node, Variable):
                continue
            here, value = graph.ids[node], graph.glyphs.value(place)
            sides = [self._side_of(node, self._latex), value]
            if self._is_of_numbers(node):
                sides.insert(1, self._side_of(node, values))
            yield StoryStep(
                f"{opening}{self._value_in_words(node, value)}",
                [equation(self._latex.name(node), *sides)],
                show=[f"{here}v"],
                now=[here, f"{here}v"],
                use=graph.uses(node),
            )
            opening = ""

    def _side_of(self, node: Node, formulas: Formulas) -> str:
        """Return the formula of a node, without the middle of a long sum."""
        sources = self._graph.view.sources(node)
        if node.op is None or node.op.name != "add_n" or len(sources) <= MOST_NAMES:
            return formulas.right_sides.get(node, "")
        return shortened([formulas.name(source.node) for source in sources], " + ", r"\cdots")

    def _value_in_words(self, node: Node, value: str) -> str:
        graph, role = self._graph, node.role
        name = graph.name(node)
        if isinstance(node, Variable):
            return f"{name} is the input {graph.glyphs.text(node.label)}: {value}."
        if role is None:
            return f"{name} is {value}."
        of = graph.forward_name(role.node)
        if role.kind is RoleKind.SEED:
            return f"The seed {name}, the adjoint of the output {of}, is {value}."
        if role.consumer is None:
            return f"The sum over all paths from {of} to the output: {name} is {value}."
        edge = f"the edge from {of} to {graph.forward_name(role.consumer)}"
        if role.kind is RoleKind.LOCAL:
            return f"A step of the rule for {edge}: {value}."
        return f"Along {edge}: {name} is {value}."

    def _is_of_numbers(self, node: Node) -> bool:
        """Return whether a node and all its inputs are numbers."""
        view = self._graph.view
        nodes = [node, *[source.node for source in view.sources(node)]]
        return all(is_number(view.values[n]) for n in nodes if not isinstance(n, Constant))

    def _hidden_faults(self, derived: bool) -> Iterator[StoryStep]:
        """Yield a step for each NaN or infinity that first appears inside a box."""
        graph = self._graph
        for node in graph.view.nodes:
            if node in graph.places or self._walk.is_old(node) is derived:
                continue
            values = graph.view.values
            sources = [values[source.node] for source in graph.view.sources(node)]
            if not is_finite(values[node]) and all(map(is_finite, sources)):
                box, formula = graph.box_of[node], graph.formulas.right_sides[node]
                title = graph.glyphs.text(box.title)
                yield StoryStep(
                    f"A value that is not finite first appears inside {title}: "
                    f"{graph.name(node)} = {formula} = {summarise(values[node])}.",
                    now=[box.id],
                )

    # The panel

    def trace(self) -> list[dict[str, Any]]:
        """Return the rows of the trace: forward nodes, adjoints and their formulas."""
        graph = self._graph
        behind = graph.view.behind
        record = self._walk.record
        adjoints = {behind(node): behind(adjoint) for node, adjoint in record.adjoints.items()}
        rows = []
        for node in self._walk.forward:
            if node not in graph.places:
                continue
            row: dict[str, Any] = {"n": graph.ids[node], "f": self._side(node)}
            if node in graph.view.values:
                row["v"] = graph.places[node]
            adjoint = adjoints.get(node)
            if adjoint in graph.places:
                assert adjoint is not None
                row |= {"m": graph.ids[adjoint], "s": graph.adjoint_name(adjoint)}
                row["g"] = graph.adjoint_sum(adjoint)
                if adjoint in graph.view.values:
                    row["w"] = graph.places[adjoint]
            rows.append(row | {"h": graph.forward_name(node)})
        return rows

    def _side(self, node: Node) -> str:
        if node.op is None:
            return self._graph.glyphs.text(node.label)
        return self._graph.formulas.right_sides[node]
