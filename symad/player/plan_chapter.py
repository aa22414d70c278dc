"""The chapter on the plan: how the optimised graph is computed in registers, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from symad.drawing.picture import MIDDLE, Arrow, Picture, Shape, TextLine
from symad.graph.node import Node
from symad.notation.mathml import mathml
from symad.notation.values import counted
from symad.plan.plan import Instruction, Plan
from symad.player.story import Chapter, StoryStep
from symad.player.wire_view import WireView
from symad.player.wires import Wires


class PlanChapter:
    """Builds the chapter on a plan.

    Parameters
    ----------
    plan : Plan
    wires : Wires
        The wires after all passes.
    view : WireView
    picture : int
        The index of the picture on the page.
    """

    def __init__(self, plan: Plan, wires: Wires, view: WireView, picture: int) -> None:
        self._plan = plan
        self._wires = wires
        self._view = view
        self._place = picture
        self._given = [*zip(plan.inputs, plan.graph.inputs, strict=True), *plan.constants]
        self._register: dict[Node, int] = {node: register for register, node in self._given}
        self._register |= {step.node: step.output for step in plan.instructions}
        self._cells: dict[int, list[dict[str, str]]] = {}  # the values of each register, in order

    def chapter(self) -> Chapter:
        """Return the chapter."""
        return Chapter("The plan", "plan", self._place, list(self._steps()))

    def _steps(self) -> Iterator[StoryStep]:
        held = {register: self._hold(register, node) for register, node in self._given}
        yield self._begun(held)
        for place, step in enumerate(self._plan.instructions):
            gone = [held.pop(register) for register in step.frees if register in held]
            if step.output in held:
                gone.append(held.pop(step.output))
            held[step.output] = self._hold(step.output, step.node)
            here = self._id(step.node)
            yield StoryStep(
                self._in_words(place, step),
                [self._in_maths(step)],
                show=[f"{here}v", held[step.output]],
                hide=[key for key in gone if key != held[step.output]],
                now=[here, f"i-{place}", held[step.output]],
                use=[*map(self._id, step.node.inputs), *self._arrows_into(step.node)],
            )
        registers = [self._register[node] for node in self._plan.graph.outputs]
        results = map(self._id, self._plan.graph.outputs)
        yield StoryStep(
            "The plan returns the results. The same plan runs for every feed of these shapes.",
            now=[*results, *[held[register] for register in registers if register in held]],
        )

    def _begun(self, held: dict[int, str]) -> StoryStep:
        picture = self.picture()
        instructions = self._plan.instructions
        steps = counted(len(instructions), "instruction")
        count = len({step.output for step in instructions} | set(held))
        filled = [f"{self._id(node)}v" for _, node in self._given]
        return StoryStep(
            f"This is the optimised graph. The plan computes it in {steps} with "
            f"{counted(count, 'register')}; inputs and constants are available from the start.",
            show=[*(shape.box.id for shape in picture.shapes), *(a.id for a in picture.arrows),
                  *filled, *held.values()],
            now=list(held.values()),
        )  # fmt: skip

    def _hold(self, register: int, node: Node) -> str:
        cell = self._cells.setdefault(register, [])
        key = f"r-{register}-{len(cell)}"
        cell.append({"k": key, "h": self._name(node), "n": self._id(node)})
        return key

    def _in_words(self, place: int, step: Instruction) -> str:
        count = len(self._plan.instructions)
        name = self._name(step.node)
        say = f"Instruction {place + 1} of {count}: r{step.output} receives {name}."
        if step.overwrites is not None:
            say += f" The result overwrites r{step.overwrites}, which is no longer needed."
        freed = [f"r{register}" for register in step.frees]
        if freed:
            say += f" {' and '.join(freed)} {'is' if len(freed) == 1 else 'are'} free again."
        return say

    def _in_maths(self, step: Instruction) -> str:
        formula = self._view.formula(self._wires.wire(step.node), latex=True)
        return mathml(rf"r_{{{step.output}}} \leftarrow {self._name(step.node)} = {formula}")

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of the panel."""
        return [self._row(place, step) for place, step in enumerate(self._plan.instructions)]

    def _row(self, place: int, step: Instruction) -> dict[str, str]:
        assert step.node.op is not None
        inputs = ", ".join(f"r{register}" for register in step.inputs)
        return {
            "k": f"i-{place}",
            "r": f"r{step.output}",
            "c": f"{step.node.op.name}({inputs})",
            "h": self._name(step.node),
            "n": self._id(step.node),
        }

    def registers(self) -> list[dict[str, Any]]:
        """Return the registers, each with its successive values."""
        return [{"r": f"r{register}", "l": cell} for register, cell in sorted(self._cells.items())]

    def _name(self, node: Node) -> str:
        return self._view.name(self._wires.wire(node))

    def _id(self, node: Node) -> str:
        return self._view.id(self._wires.wire(node))

    # The picture

    def drawn(self) -> Iterator[tuple[str, Node]]:
        """Yield the id of each node in the picture, with the node."""
        for node in self._plan.graph.nodes:
            yield self._id(node), node

    def picture(self) -> Picture:
        """Return the picture: each node with the register that holds its value."""
        given = set(self._plan.graph.inputs)
        shapes: dict[str, Shape] = {}
        arrows: list[Arrow] = []
        for node in self._plan.graph.nodes:
            wire, here = self._wires.wire(node), self._id(node)
            text = f"r{self._register[node]}"
            register = TextLine(text, MIDDLE, bold=True, key=f"{here}v")
            shapes[here] = self._view.shape(wire, register)
            if node not in given:
                arrows += [self._view.arrow(*edge) for edge in self._wires.edges([wire])]
        return Picture(list(shapes.values()), arrows, [])

    def _arrows_into(self, node: Node) -> list[str]:
        return [self._view.arrow(*edge).id for edge in self._wires.edges([self._wires.wire(node)])]
