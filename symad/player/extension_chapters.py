"""The chapters on the gradient: the graph as written, and its extension.

They follow the algorithm of CMU 10-414/714, lecture 4, with one step for each node visited, each
sum node, and each partial adjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from symad.autodiff.extension import Propagated, Step, Visit
from symad.drawing.fold import Box
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.notation.values import counted
from symad.player.played_graph import equation, shortened
from symad.player.story import Chapter, StoryStep
from symad.player.walk import GradientWalk, has_role

_SEEDED, _VISITED, _SUMMED, _MULTIPLIED, _RETURNED = 1, 2, 3, 5, 7
"""Line numbers of the algorithm, as printed on the page."""


class ExtensionChapters:
    """Builds the chapters on how a gradient is built."""

    def __init__(self, walk: GradientWalk) -> None:
        self._walk = walk
        self._record = walk.record
        self._graph = walk.graph
        self._latex = walk.graph.latex()

    def chapters(self) -> list[Chapter]:
        """Return the chapters."""
        return [
            Chapter("The graph", "trace", 0, [self._overview(), *self._written()]),
            Chapter("Extending it", "grads", 0, list(self._extended())),
        ]

    # The graph as written

    def _overview(self) -> StoryStep:
        graph = self._graph
        everything = [box.id for box in graph.boxes]
        arrows = [arrow.id for arrow in graph.picture.arrows]
        valued = [n for n in graph.places if not isinstance(n, Constant)]
        values = [f"{graph.ids[n]}v" for n in valued if n in graph.view.values]
        derived = (
            ", with the derivatives that it holds" if self._record.generation > 1 else ", in blue"
        )
        return StoryStep(
            f"The complete graph: the graph as written{derived}, and the adjoint "
            "graph that reverse mode adds to it. Press play, or step with the arrow keys.",
            show=[*everything, *arrows, *values],
        )

    def _written(self) -> Iterator[StoryStep]:
        graph = self._graph
        shown: set[str] = set()
        for place, node in enumerate(self._walk.forward_with_constants()):
            box = graph.box_of[node]
            if box.id in shown:
                continue
            shown.add(box.id)
            alone = box.node is not None
            edges = [edge for member in box.nodes for edge in graph.edges_into(member)]
            yield StoryStep(
                self._described(node)
                if alone
                else f"{graph.glyphs.text(box.title)}: {len(box.nodes):,} nodes.",
                [self._defined(node)] if alone and not isinstance(node, Constant) else (),
                show=[box.id, *dict.fromkeys(edges), *graph.within(node)],
                now=[box.id],
                use=graph.uses(node) if alone else (),
                clear=place == 0,
            )

    def _described(self, node: Node) -> str:
        name = self._graph.name(node)
        if isinstance(node, Variable):
            return f"{name} is the variable {self._graph.glyphs.text(node.label)}: an input."
        if isinstance(node, Constant):
            return f"The constant {name}."
        if node.op is None:
            return f"{name} is an input."
        derived = "" if node.role is None else ", part of an earlier derivative"
        return f"{name} is a node of the op {node.op.name}{derived}. It is not computed yet."

    def _defined(self, node: Node) -> str:
        if node.op is None:
            return equation(self._latex.name(node), self._graph.glyphs.text(node.label))
        return equation(self._latex.name(node), self._latex.right_sides[node])

    # The extension

    def _extended(self) -> Iterator[StoryStep]:
        if self._graph.is_folded:
            yield from self._extended_by_box()
            return
        for output, seed in self._record.seeds.items():
            yield self._seeded(output, seed)
        for step in self._record.steps:
            if isinstance(step, Visit):
                yield self._visited(step)
                if len(step.contributions) > 1:
                    yield self._summed(step)
            elif isinstance(step, Propagated):
                yield self._propagated(step)
        yield self._returned()

    def _seeded(self, output: Node, seed: Node) -> StoryStep:
        graph = self._graph
        name, whole = graph.forward_name(output), graph.adjoint_name(seed)
        return StoryStep(
            f"Reverse mode extends the graph. It starts with the seed {whole}, "
            f"the adjoint of the output {name}: node_to_grad has one entry.",
            [equation(whole, rf"\frac{{\partial {name}}}{{\partial {name}}}",
                      self._latex.right_sides.get(graph.view.behind(seed), ""))],
            show=[*self._with_steps(seed), self._left(seed)],
            now=[self._id(seed), self._left(seed)],
            use=[self._id(output)],
            line=_SEEDED,
        )  # fmt: skip

    def _visited(self, visit: Visit) -> StoryStep:
        graph, node, adjoint = self._graph, visit.node, self._record.adjoints[visit.node]
        name, here = graph.forward_name(node), self._id(node)
        left = [self._left(contribution) for contribution in visit.contributions]
        if len(visit.contributions) > 1:
            names = self._partial_names(visit)
            return StoryStep(
                f"Visit {name}. Its list holds {len(names)} partial adjoints, one for each use: "
                f"{shortened(names, ', ', '…')}.",
                show=[f"o-{here}"],
                now=[here, f"o-{here}"],
                use=[*map(self._id, visit.contributions), *left],
                line=_VISITED,
            )
        (contribution,) = visit.contributions
        whole = graph.adjoint_name(adjoint)
        what = "the seed" if has_role(contribution, RoleKind.SEED) else "one partial adjoint"
        return StoryStep(
            f"Visit {name}. Its list holds {what}, which is its adjoint {whole}: "
            "no sum node is needed.",
            [equation(whole, graph.partial_name(contribution))],
            show=[f"o-{here}", self._adjoint_key(node)],
            now=[here, f"o-{here}", self._adjoint_key(node)],
            use=[self._id(adjoint), *left],
            line=_VISITED,
        )

    def _summed(self, visit: Visit) -> StoryStep:
        graph, node, adjoint = self._graph, visit.node, self._record.adjoints[visit.node]
        name, names = graph.forward_name(node), self._partial_names(visit)
        left = [self._left(contribution) for contribution in visit.contributions]
        return StoryStep(
            f"{name} is used {len(names)} times, so its adjoint is a sum node: every path from "
            f"{name} to the output counts.",
            [equation(graph.adjoint_name(adjoint), shortened(names, " + ", r"\cdots"))],
            show=[*self._with_steps(adjoint), self._adjoint_key(node)],
            now=[self._id(adjoint), self._adjoint_key(node)],
            use=[self._id(node), *graph.uses(graph.view.behind(adjoint)), *left],
            line=_SUMMED,
        )

    def _partial_names(self, visit: Visit) -> list[str]:
        return [self._graph.partial_name(contribution) for contribution in visit.contributions]

    def _propagated(self, step: Propagated) -> StoryStep:
        graph, edge = self._graph, step.edge
        arrow = graph.edge_into(graph.view.behind(edge.consumer), edge.slot)
        made = self._walk.made_for(step)
        return StoryStep(
            self._rule_in_words(step),
            self._rule(step, made),
            show=[*self._shown(made), *self._with_steps(step.partial), self._left(step.partial),
                  f"b-{arrow}"],
            now=[*map(self._id, made), self._id(step.partial), self._left(step.partial), arrow,
                 f"b-{arrow}"],
            use=[*map(self._id, (edge.consumer, edge.source, self._adjoint_at(step)))],
            line=_MULTIPLIED,
        )  # fmt: skip

    def _adjoint_at(self, step: Propagated) -> Node:
        return self._record.adjoints[step.edge.consumer]

    def _rule_in_words(self, step: Propagated) -> str:
        graph, edge = self._graph, step.edge
        adjoint, name = graph.adjoint_name(self._adjoint_at(step)), graph.forward_name(edge.source)
        where = f"the edge from {name} to {graph.forward_name(edge.consumer)}"
        if edge.consumer.inputs.count(edge.source) > 1:
            where += f", where it is argument {edge.slot + 1}"
        product = f"{adjoint} times the local derivative"
        say = f"Along {where}: {product}, appended to the list of {name}."
        if step.product.op is not None and step.product.op.name == "identity":
            say += " It is 1 here: an identity node."
        if graph.view.behind(step.partial) is not graph.view.behind(step.product):
            say += f" A shape repair gives it the shape of {name}."
        return say

    def _rule(self, step: Propagated, made: Sequence[Node]) -> list[str]:
        """Return v̄_{k→i} = v̄_i ∂v_i/∂v_k = ..., and a line for each named step."""
        graph, edge, sides = self._graph, step.edge, self._latex.right_sides
        ends = (graph.forward_name(edge.consumer), graph.forward_name(edge.source))
        derivative = rf"\frac{{\partial {ends[0]}}}{{\partial {ends[1]}}}"
        product = f"{graph.adjoint_name(self._adjoint_at(step))} \\, {derivative}"
        seen = graph.view.behind(step.partial)
        lines = [equation(graph.partial_name(step.partial), product, sides.get(seen, ""))]
        for node in made:
            if node in self._latex.auxiliary and node is not seen:
                lines.append(equation(graph.name(node), sides[node]))
        return lines

    def _returned(self) -> StoryStep:
        names = ", ".join(self._graph.adjoint_name(node) for node in self._walk.results)
        picture = self._graph.picture
        return StoryStep(
            f"Every node has been visited. The gradient is {names}: nodes of the same graph, "
            "which can be compiled, drawn and differentiated again.",
            now=[self._id(node) for node in self._walk.results],
            show=[*(box.id for box in self._graph.boxes), *(arrow.id for arrow in picture.arrows)],
            line=_RETURNED,
        )

    def _id(self, node: Node) -> str:
        return self._graph.ids[self._graph.view.behind(node)]

    def _left(self, contribution: Node) -> str:
        return f"l-{self._id(contribution)}"

    def _adjoint_key(self, node: Node) -> str:
        return f"a-{self._id(node)}"

    def _with_steps(self, node: Node) -> list[str]:
        return self._shown([self._graph.view.behind(node)])

    def _shown(self, nodes: Iterable[Node]) -> list[str]:
        """Return the ids of nodes, of the constants that they use, and of the arrows into them."""
        graph = self._graph
        ids: list[str] = []
        for node in nodes:
            sources = [source.node for source in graph.view.sources(node)]
            ids += [graph.ids[source] for source in sources if isinstance(source, Constant)]
            ids += [graph.ids[node], *graph.edges_into(node), *graph.within(node)]
        return list(dict.fromkeys(ids))

    def _extended_by_box(self) -> Iterator[StoryStep]:
        """Yield one step of a folded graph for consecutive visits to nodes of the same box."""
        graph = self._graph
        arrows = graph.picture.arrows
        seen = {graph.ids[node] for node in self._walk.forward_with_constants()}

        def box_of(step: Step) -> Box:
            node = step.edge.consumer if isinstance(step, Propagated) else step.node
            return graph.box_of[graph.view.behind(node)]

        for box, grouped in groupby(self._record.steps, box_of):
            steps = list(grouped)
            made = [node for step in steps for node in self._walk.made_by(step)]
            boxes = list(dict.fromkeys(map(self._id, made)))
            seen.update(boxes)
            joined = [arrow for arrow in arrows if {arrow.source.id, arrow.target.id} <= seen]
            arrows = [arrow for arrow in arrows if not {arrow.source.id, arrow.target.id} <= seen]
            yield StoryStep(
                self._visited_in_words(box, steps),
                show=[*boxes, *(arrow.id for arrow in joined)],
                now=[box.id, *boxes],
                line=_MULTIPLIED,
            )
        yield self._returned()

    def _visited_in_words(self, box: Box, steps: Sequence[Step]) -> str:
        visits = [step for step in steps if isinstance(step, Visit)]
        sums = sum(len(visit.contributions) > 1 for visit in visits)
        partials = sum(isinstance(step, Propagated) for step in steps)
        title = self._graph.name(box.nodes[0])
        if box.node is None:
            title = self._graph.glyphs.text(box.title)
        return (
            f"Visit {title}, in reverse topological order: {counted(len(visits), 'node')}, "
            f"{counted(sums, 'sum node')}, {counted(partials, 'partial adjoint')}."
        )

    # The panel

    def lists(self) -> list[dict[str, Any]]:
        """Return the rows of node_to_grad, in the order of the visits."""
        return [] if self._graph.is_folded else list(map(self._list, self._walk.visits))

    def _list(self, visit: Visit) -> dict[str, Any]:
        graph, adjoint = self._graph, self._record.adjoints[visit.node]
        left = [[self._id(node), graph.partial_name(node)] for node in visit.contributions]
        return {
            "n": self._id(visit.node),
            "h": graph.forward_name(visit.node),
            "a": graph.adjoint_name(adjoint),
            "m": self._id(adjoint),
            "l": left,
        }
