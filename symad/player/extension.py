"""The chapters on the gradient: the graph as it was written, and its extension.

They follow the algorithm of CMU 10-414/714, lecture 4, as it ran: one step for each node that was
visited, for each sum node, and for each partial adjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from symad.drawing.fold import Box
from symad.graph.node import Constant, Node, Variable
from symad.graph.provenance import RoleKind
from symad.player.story import Chapter, Step
from symad.player.subject import equation
from symad.player.visits import Course, Partial, Visit, has_role

_SEEDED, _VISITED, _SUMMED, _MULTIPLIED, _RETURNED = 1, 2, 3, 5, 7
"""The lines of the algorithm, as the page prints it."""

_MOST_TERMS = 8  # of a sum that is written out in a caption


class ExtensionTeller:
    """Tells how a gradient is built."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._subject = course.subject
        self._visits = course.visits
        self._latex = course.subject.latex()

    def chapters(self) -> list[Chapter]:
        """Return the chapters."""
        return [
            Chapter("The graph", "trace", 0, [self._overview(), *self._written()]),
            Chapter("Extending it", "grads", 0, list(self._extended())),
        ]

    # The graph as it was written

    def _overview(self) -> Step:
        subject = self._subject
        everything = [box.id for box in subject.boxes]
        arrows = [arrow.id for arrow in subject.sketch().arrows]
        valued = [n for n in subject.places if not isinstance(n, Constant)]
        values = [f"{subject.ids[n]}v" for n in valued if n in subject.view.values]
        derived = (
            ", with the derivatives that it holds" if self._course.generation > 1 else ", in blue"
        )
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
                use=subject.uses(node) if alone else (),
                clear=place == 0,
            )

    def _forward_with_constants(self) -> Iterator[Node]:
        """Yield the nodes of the forward graph by number, each constant before its first user."""
        told: set[Node] = set()
        for node in self._course.forward:
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
            return equation(self._latex.name(node), self._subject.glyphs.text(node.label))
        return equation(self._latex.name(node), self._latex.right_sides[node])

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
        seeds = [n for v in self._visits for n in v.contributions if has_role(n, RoleKind.SEED)]
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
            what = "the seed" if has_role(contribution, RoleKind.SEED) else "one partial adjoint"
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
            use=[here, *subject.uses(total), *left],
            line=_SUMMED,
        )

    def _propagated(self, visit: Visit, partial: Partial) -> Step:
        subject, node = self._subject, visit.node
        source = node.inputs[partial.slot]
        here, there = (subject.ids[subject.view.behind(end)] for end in (node, source))
        edge = subject.edge_id(source, node, partial.slot)
        seen = subject.view.behind(partial.partial)
        steps = self._course.made.get((subject.view.behind(source), node, partial.slot), [])
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
        edge = f"the edge from {name} to {subject.forward_name(node)}"
        if node.inputs.count(source) > 1:
            edge += f", where it is argument {partial.slot + 1}"
        say = f"Along {edge}: {adjoint} times the local derivative, left in the list of {name}."
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
        found = [subject.view.behind(node) for node in self._course.results]
        names = ", ".join(subject.adjoint_name(node) for node in self._course.results)
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

    # The panel

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


def _shortened(names: Sequence[str], between: str, gap: str) -> str:
    """Return a list in which the middle is left out where it is long."""
    if len(names) > _MOST_TERMS:
        names = [*names[: _MOST_TERMS - 2], gap, names[-1]]
    return between.join(names)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
