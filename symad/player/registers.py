"""The chapter on the plan: the graph that is left, computed step by step over registers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from symad.graph.formula import Term, format_term
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.notation.values import format_value
from symad.player.glyphs import mathml
from symad.player.rewrites import WireNames, kind_of_wire
from symad.player.sketch import Arrow, Row, Shape, Sketch, size_of
from symad.player.story import Chapter, Step
from symad.player.wires import Wires
from symad.player.wrapping import wrapped


@dataclass(frozen=True)
class Instruction:
    """Compute ``node`` from registers ``inputs`` into register ``output``.

    Attributes
    ----------
    node : Node
    inputs : tuple of int
    output : int
    frees : tuple of int
        What is not needed afterwards.
    overwrites : int or None
        Whose memory the result takes.
    """

    node: Node
    inputs: tuple[int, ...]
    output: int
    frees: tuple[int, ...]
    overwrites: int | None


class PlanTeller:
    """Tells of the plan.

    Parameters
    ----------
    graph : Graph
        What is left after the passes.
    wires : Wires
        As the rewrites left them.
    names : WireNames
    given : sequence of (int, Node)
        The registers that are filled before the first instruction: inputs and constants.
    instructions : sequence of Instruction
    picture : int
        The place of the picture on the page.
    """

    def __init__(
        self,
        graph: Graph,
        wires: Wires,
        names: WireNames,
        given: Sequence[tuple[int, Node]],
        instructions: Sequence[Instruction],
        picture: int,
    ) -> None:
        self._graph = graph
        self._wires = wires
        self._names = names
        self._given = given
        self._instructions = instructions
        self._picture = picture
        self._ids = {node: f"q{wires.wire(node)}" for node in graph.nodes}
        self._register = {node: register for register, node in given}
        self._register |= {step.node: step.output for step in instructions}
        self._cells: dict[int, list[dict[str, str]]] = {}  # what each register holds, in order

    def chapter(self) -> Chapter:
        """Return the chapter."""
        return Chapter("The plan", "plan", self._picture, list(self._steps()))

    def _steps(self) -> Iterator[Step]:
        shapes = [*dict.fromkeys(self._ids.values())]
        arrows = [arrow.id for arrow in self._arrows()]
        held: dict[int, str] = {}
        for register, node in self._given:
            held[register] = self._hold(register, node)
        filled = [f"{self._ids[node]}v" for _, node in self._given]
        count = len({step.output for step in self._instructions} | set(held))
        yield Step(
            f"This graph is left. The plan computes it in {len(self._instructions)} instructions "
            f"over {count} registers; inputs and constants are there from the start.",
            show=[*shapes, *arrows, *filled, *held.values()],
            now=list(held.values()),
        )
        for place, step in enumerate(self._instructions):
            gone = [held.pop(register) for register in step.frees if register in held]
            if step.output in held:
                gone.append(held.pop(step.output))
            held[step.output] = self._hold(step.output, step.node)
            here = self._ids[step.node]
            yield Step(
                self._in_words(place, step),
                [self._in_maths(step)],
                show=[f"{here}v", held[step.output]],
                hide=[key for key in gone if key != held[step.output]],
                now=[here, f"i-{place}", held[step.output]],
                use=[*[self._ids[s] for s in step.node.inputs], *self._edges_into(step.node)],
            )
        results = [self._ids[node] for node in self._graph.outputs]
        yield Step(
            "The results are handed out. The same plan runs for every feed of these shapes.",
            now=[*results, *[held[r] for r in self._result_registers() if r in held]],
        )

    def _result_registers(self) -> list[int]:
        return [self._register[node] for node in self._graph.outputs]

    def _hold(self, register: int, node: Node) -> str:
        cell = self._cells.setdefault(register, [])
        key = f"r-{register}-{len(cell)}"
        cell.append({"k": key, "h": self._name(node), "n": self._ids[node]})
        return key

    def _in_words(self, place: int, step: Instruction) -> str:
        count = len(self._instructions)
        name = self._name(step.node)
        say = f"Instruction {place + 1} of {count}: r{step.output} takes {name}."
        if step.overwrites is not None:
            say += f" The result is written over r{step.overwrites}, which is not needed again."
        freed = [f"r{register}" for register in step.frees]
        if freed:
            say += f" {' and '.join(freed)} {'is' if len(freed) == 1 else 'are'} free again."
        return say

    def _in_maths(self, step: Instruction) -> str:
        def name(node: Node) -> Term:
            wire = self._wires.wire(node)
            return self._names.latex(self._wires, wire, f"q{wire}")

        formula = format_term(step.node, name, notation=LATEX_SYMBOLS)
        return mathml(rf"r_{{{step.output}}} \leftarrow {self._name(step.node)} = {formula}")

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of the panel."""
        rows = []
        for place, step in enumerate(self._instructions):
            assert step.node.op is not None
            inputs = ", ".join(f"r{register}" for register in step.inputs)
            rows.append(
                {
                    "k": f"i-{place}",
                    "r": f"r{step.output}",
                    "c": f"{step.node.op.name}({inputs})",
                    "h": self._name(step.node),
                    "n": self._ids[step.node],
                }
            )
        return rows

    def registers(self) -> list[dict[str, Any]]:
        """Return the registers, each with all that it holds in turn."""
        return [
            {"r": f"r{register}", "l": self._cells[register]} for register in sorted(self._cells)
        ]

    def _name(self, node: Node) -> str:
        wire = self._wires.wire(node)
        return self._names.name(self._wires, wire, f"q{wire}")

    def _formula(self, node: Node) -> str:
        return format_term(node, self._name, notation=SYMBOLS)

    # The picture

    def drawn(self) -> Iterator[tuple[str, Node]]:
        """Yield the ids of nodes in the picture with them."""
        for node, name in self._ids.items():
            yield name, node

    def sketch(self) -> Sketch:
        """Return the picture."""
        shapes = {self._ids[node]: self._shape(node) for node in self._graph.nodes}
        return Sketch(list(shapes.values()), self._arrows(), [])

    def _shape(self, node: Node) -> Shape:
        glyphs = self._names.glyphs
        kind, here = kind_of_wire(node), self._ids[node]
        if isinstance(node, Constant):
            rows = [Row(glyphs.text(node.name or format_value(node.value), 24), "formula")]
        else:
            text = glyphs.text(node.label, 24) if node.op is None else self._formula(node)
            rows = [Row(self._name(node), "symbol")]
            rows += [Row(line, "formula") for line in wrapped(text, 18, 3)]
        title = f"{kind}: {', '.join(row.text for row in rows)}"
        rows.append(Row(f"r{self._register[node]}", "value", None, f"{here}v"))
        part = self._names.part(self._wires, self._wires.wire(node))
        asked = node in self._graph.outputs
        return Shape(here, kind, part, (), rows, title, asked, size_of(kind, rows, glyphs))

    def _edges_into(self, node: Node) -> list[str]:
        end = self._ids[node]
        return [f"g{self._ids[s][1:]}_{end[1:]}_{slot}" for slot, s in enumerate(node.inputs)]

    def _arrows(self) -> list[Arrow]:
        arrows = []
        given = set(self._graph.inputs)
        for node in self._graph.nodes:
            if node in given:
                continue
            for source, key in zip(node.inputs, self._edges_into(node), strict=True):
                start, end = (self._part(end) for end in (source, node))
                crosses = start != end
                upwards = end.generation == 1 and end.family == "adjoint" and not crosses
                arrows.append(
                    Arrow(key, self._ids[source], self._ids[node], start if crosses else end,
                          crosses, upwards, crosses)
                )  # fmt: skip
        return arrows

    def _part(self, node: Node) -> Any:
        return self._names.part(self._wires, self._wires.wire(node))
