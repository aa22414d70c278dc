"""The memory chart of a compiled function: size, lifetime and purpose of its buffers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from symad.drawing.painting import save_svg
from symad.errors import ShapeError
from symad.graph.node import Constant, Node
from symad.inspection.inspected import given_values, subject_of
from symad.inspection.memory_timeline import (
    Bar,
    BarKind,
    Step,
    Timeline,
    text_legend,
    text_rows,
    to_svg,
)
from symad.inspection.timing import parts_of
from symad.notation.names import labels_of
from symad.notation.table import Table, Tabular
from symad.notation.values import counted, format_bytes
from symad.notation.view import View
from symad.ops.fused import Fused
from symad.ops.structure import StructureItem
from symad.plan.memory import Block, BlockKind, MemoryUse
from symad.plan.plan import Plan


class MemoryChart(Tabular):
    """The buffers of a plan over its steps; made by :func:`symad.memory`.

    Attributes
    ----------
    name : str
        The name of the function.
    plan : Plan
    use : MemoryUse
        Bytes and lifetimes of all buffers, the bytes in use at each step, and the residuals.
    limit : int
        The number of buffers shown, the largest of each kind.
    """

    def __init__(self, name: str, plan: Plan, use: MemoryUse, limit: int) -> None:
        self.name = name
        self.plan = plan
        self.use = use
        self.limit = limit
        self._labels = labels_of(View(plan.graph))
        self._parts = parts_of(plan.graph)

    @property
    def peak(self) -> int:
        """The most bytes in use at once, not counting inputs, parameters and constants."""
        return self.use.lower_bound

    @property
    def residuals(self) -> tuple[Block, ...]:
        """The buffers that the forward part keeps for the backward part."""
        return self.use.residuals

    @property
    def chart(self) -> Timeline:
        """The data of the chart."""
        blocks = [b for b in self.use.blocks if not _is_number(b)] or self.use.blocks
        shown = set(_most_telling(blocks, self.limit))
        bars = [self._bar(block) for block in blocks if block in shown]
        title = f"Memory of {self.name}: at most {format_bytes(self.peak)}, not counting the inputs"
        notes = tuple(self._notes(len(blocks) - len(bars)))
        return Timeline(bars, list(self._steps()), self.use.live, title, notes)

    def _steps(self) -> Iterator[Step]:
        """Yield the steps; a view belongs to the part of the step before it."""
        backward = False
        for step in self.plan.instructions:
            if step.node.op is None or not step.node.op.is_view:
                backward = self._parts[step.node] == "backward"
            yield Step(_op_name(step.node), backward)

    def svg(self) -> str:
        """Return the chart as self-contained SVG text."""
        return to_svg(self.chart)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the chart to a file with the suffix .svg, .png or .pdf.

        Raises
        ------
        RenderError
            If the file has another suffix, or if PNG or PDF is requested and the package typst is
            not installed.
        """
        save_svg(path, self.svg())

    @property
    def table(self) -> Table:
        """The chart as text."""
        chart = self.chart
        titles = ("buffer", "size", f"steps 0 to {len(chart.live) - 1}")
        return Table(titles, text_rows(chart), frozenset({1}), (text_legend(), *chart.notes))

    def _notes(self, hidden: int) -> Iterable[str]:
        kept = sum(block.size for block in self.residuals)
        if self.residuals:
            crossing = counted(len(self.residuals), "residual crosses", "residuals cross")
            yield f"{crossing} from the forward to the backward part: {format_bytes(kept)}."
        arena = format_bytes(self.use.peak)
        yield f"With shared memory, aligned to 64 bytes, all buffers take {arena}."
        if self.use.has_unknown:
            yield "Stacks of loops whose number of steps the call decides are not counted."
        if hidden:
            buffers = counted(hidden, "buffer is", "buffers are")
            yield f"{buffers} not shown; the chart shows the largest of each kind."

    def _bar(self, block: Block) -> Bar:
        node = block.values[0]
        names = ", then ".join(self._name(value) for value in block.values)
        line = node.site.place(short=True)
        steps = f"steps {max(block.first, 0)} to {block.last}"
        tip = f"{names}: {node.type}, {format_bytes(block.size)}, {steps}, {line}"
        is_output = block.kind is BlockKind.OUTPUT
        # For a residual, the value that is kept, not the value that later overwrites it.
        forward = [value for value in block.values if value.role is None]
        last = (forward if block.is_residual else block.values)[-1]
        label = self._name(node)
        if last is not node:
            label = f"{self._symbol(node)}, then {self._name(last)}"
        return Bar(label, tip, block.size, block.first, block.last, self._kind(block), is_output)

    def _kind(self, block: Block) -> BarKind:
        if block.kind in (BlockKind.INPUT, BlockKind.CONSTANT):
            return BarKind.GIVEN
        if block.is_residual:
            return BarKind.RESIDUAL
        backward = self._parts[block.values[0]] == "backward"
        return BarKind.BACKWARD if backward else BarKind.FORWARD

    def _symbol(self, node: Node) -> str:
        symbols = [symbol.subscripted for symbol in self._labels.written(node)]
        return ", ".join(symbols) or _op_name(node)

    def _name(self, node: Node) -> str:
        symbol, what = self._symbol(node), _op_name(node)
        return what if symbol == what else f"{symbol} {what}"

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<MemoryChart of {self.name}: at most {format_bytes(self.peak)}>"


def make_chart(
    target: Any, feed: Sequence[Any], keywords: Mapping[str, Any], limit: int
) -> MemoryChart:
    """Return the chart of the memory that a function needs."""
    subject = subject_of(target, feed, keywords)
    values = None if subject.values is None else given_values(subject)
    plan = subject.function.specialised(values).program.plan
    use = plan.memory
    if use is None:
        raise ShapeError(
            f"the memory of {subject.function.name} is unknown, because its shapes are unknown",
            remedy="Give values, or call the function first.",
        )
    return MemoryChart(subject.function.name, plan, use, limit)


def _most_telling(blocks: Sequence[Block], limit: int) -> list[Block]:
    """Return the largest blocks: half of them residuals and a quarter inputs, if there are enough;
    the others are temporaries and outputs."""
    ranked = sorted(blocks, key=lambda block: -block.size)
    residuals = [block for block in ranked if block.is_residual]
    given = [b for b in ranked if b.kind in (BlockKind.INPUT, BlockKind.CONSTANT)]
    known = {*residuals, *given}
    others = [block for block in ranked if block not in known]
    half, quarter = -(-limit // 2), limit // 4
    chosen = [*residuals[:half], *others[: limit - half - quarter], *given[:quarter]]
    rest = [*residuals[half:], *others[limit - half - quarter :], *given[quarter:]]
    return [*chosen, *rest][:limit]


def _is_number(block: Block) -> bool:
    """Return whether a block is a scalar constant, of which every graph has many."""
    (node, *_) = block.values
    return isinstance(node, Constant) and node.value.ndim == 0


def _op_name(node: Node) -> str:
    """Return the op of a node, the op inside a loop nest, or the name of a leaf."""
    if isinstance(node.op, StructureItem) and isinstance(node.inputs[0].op, Fused):
        results = node.inputs[0].op.body.outputs
        return _op_name(results[node.op.key]) if len(results) > 1 else node.op.name
    if isinstance(node.op, Fused) and len(node.op.body.outputs) == 1:
        return _op_name(node.op.body.outputs[0])
    return node.label if node.op is None else node.op.name
