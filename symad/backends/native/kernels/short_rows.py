"""The machine code of loop nests over short rows, many at once.

Each lane of a vector computes a row, so that reductions along rows need no work across lanes, and
a row of two or three elements fills the vectors.  The code is repeated for each element of a row.
Rows that follow one another are read as whole vectors, whose elements are then put in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernels.nest_writer import (
    FIRST_SIZE,
    Accumulator,
    NestWriter,
    combine,
    compute,
    identity_of,
    over_lanes,
)
from symad.backends.native.loop_nest import Across, Nest, NestLayout, ValueKind
from symad.backends.native.scalar_builder import Scalar
from symad.graph.node import Node
from symad.ops.reduce import Reduction

_SHUFFLED = 6
"""Up to this length, rows are put in order in registers; longer ones are gathered."""


class ShortRowsWriter(NestWriter):
    """Writes the machine code of one nest, whose layout has short rows."""

    def __init__(self, nest: Nest, layout: NestLayout) -> None:
        super().__init__(nest, layout)
        self.row = layout.row
        reduced = [node for node in nest.computed if isinstance(node.op, Reduction)]
        self.totals = {
            node: Accumulator(self, node, is_row=False, is_wide=True)
            for node in reduced
            if nest.kinds[node] is ValueKind.TOTAL
        }
        self.columns = {
            node: [self.variable(self.identity(node).value) for _ in range(self.row)]
            for node in reduced
            if nest.kinds[node] is ValueKind.COLUMN
        }

    def module(self) -> Any:
        """Return the finished module."""
        begin, end, part = self.words(0, 3)
        self._load_numbers()
        for accumulator in self.totals.values():
            accumulator.reset()
        if self._dims == 1:
            self._write_line([], self.integer(0), begin, end)
        else:
            size = self.word(FIRST_SIZE + self._dims - 1)
            with self.loop(begin, end) as line:
                places = self._outer_indices(line, self._dims - 1)
                first = self.builder.mul(line, size)
                self._write_line(places, first, self.integer(0), size)
        for node, accumulator in self.totals.items():
            self.store(accumulator.result(), self._targets[node], part)
        for node, lanes in self.columns.items():
            first = self.builder.mul(part, self.integer(self.row))
            for k, place in enumerate(lanes):
                whole = over_lanes(self.vectors, node, self.scalar(place, node.dtype))
                index = self.builder.add(first, self.integer(k))
                self.store(whole, self._targets[node], index)
        return self.finish()

    def _write_line(self, places: Sequence[Any], first: Any, begin: Any, end: Any) -> None:
        """Write the code of the rows from ``begin`` to ``end`` at a place of the other axes.

        ``first`` is the number of its row 0 among all rows.
        """
        builder, lanes, nest = self.builder, self.layout.lanes, self.nest
        self.sources, self.across = [], []
        for k, (offset, steps) in enumerate(self._source_rows(places)):
            dtype = nest.body.inputs[self.layout.reads[k].slot].dtype
            self.sources.append(self._start(self._sources[k], offset, dtype))
            self.across.append(steps[-1])
        self.targets = {}
        for node in nest.body.outputs:
            kind = nest.kinds[node]
            size = self.integer(self.row if kind is ValueKind.FULL else 1)
            if kind in (ValueKind.FULL, ValueKind.ROW):
                start = builder.mul(first, size)
                self.targets[node] = self._start(self._targets[node], start, node.dtype)
        whole = builder.and_(builder.sub(end, begin), self.integer(-lanes))
        middle = builder.add(begin, whole)
        with self.loop(begin, middle, lanes, is_opaque=True) as row:
            _Rows(self, row).write()
        with self.loop(middle, end, lanes, is_opaque=True) as row:
            _Rows(self, row, builder.sub(end, row)).write()

    def identity(self, node: Node) -> Scalar:
        """Return a vector of the neutral element of a reduction."""
        return self.vectors.constant(identity_of(node).item(), node.dtype)

    def number(self, node: Node) -> Scalar | None:
        """Return a vector of a constant, or ``None`` for other nodes."""
        found = self._values.get(node)
        return None if found is None else self.vectors.repeat(found)

    def steps_in_row(self, read: int) -> list[Any]:
        """Return the places of the elements of a row, from its first element on."""
        inner = self.layout.reads[read].inner
        if read not in self._steps:
            return [self.integer(inner * k) for k in range(self.row)]
        return [self.builder.mul(self._steps[read], self.integer(k)) for k in range(self.row)]


class _Rows:
    """As many rows as vectors have lanes; ``count`` rows are left if they are fewer."""

    def __init__(self, writer: ShortRowsWriter, row: Any, count: Any = None) -> None:
        self._writer, self._row, self._count = writer, row, count
        self._builder, self._nest = writer.builder, writer.nest
        self._mask = None if count is None else writer.memory(np.dtype(bool)).mask(count)
        self._values: dict[Node, list[Scalar]] = {}
        self._read: dict[int, list[Scalar]] = {}

    def write(self) -> None:
        """Compute all values, stage by stage, and write the outputs after all reads."""
        nest, in_loop = self._nest, self._nest.is_made_in_loop
        for stage in range(nest.stages + 1):
            nodes = [node for node in nest.computed if nest.stage[node] == stage]
            for node in nodes:
                if not in_loop(node):
                    self._write_value(node, 0)
            for place in range(self._writer.row):
                for node in filter(in_loop, nodes):
                    self._write_value(node, place)
            for node in filter(in_loop, nodes):
                if isinstance(node.op, Reduction):
                    self._reduce(node)
        for node in nest.body.outputs:
            if node in self._writer.targets:
                self._store(node)

    def _write_value(self, node: Node, place: int) -> None:
        """Compute a value at a place of the row; of a reduction, only what it reduces."""
        vectors, writer = self._writer.vectors, self._writer

        def value(user: Node, source: Node) -> Scalar:
            return self._value(user, source, place)

        if not isinstance(node.op, Reduction):
            self._values.setdefault(node, []).append(compute(vectors, node, value))
            return
        found = vectors.cast(value(node, node.inputs[0]), node.dtype)
        if node in writer.totals and not self._nest.is_made_in_loop(node):
            writer.totals[node].add_alone(self._used(node, found))
        elif node in writer.columns:
            total = writer.columns[node][place]
            so_far = writer.scalar(total, node.dtype)
            added = combine(vectors, node, so_far, self._used(node, found))
            self._builder.store(added.value, total)
        else:
            self._values.setdefault(node, []).append(found)

    def _value(self, user: Node, source: Node, place: int) -> Scalar:
        """Return a vector of what ``user`` reads at a place of the row."""
        found = self._writer.number(source)
        if found is not None:
            return found
        values = self._values.get(source)
        if values is None:
            values = self._elements(self._writer.layout.read_of[user, source])
        return values[place if len(values) > 1 else 0]

    def _reduce(self, node: Node) -> None:
        """Reduce the elements of each row, in pairs."""
        values = self._values.pop(node, [])
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=False)
            rest = values[len(values) // 2 * 2 :]
            values = [combine(self._writer.vectors, node, a, b) for a, b in pairs] + rest
        if node in self._writer.totals:
            self._writer.totals[node].add_alone(self._used(node, values[0]))
        elif values:
            self._values[node] = values

    def _used(self, node: Node, value: Scalar) -> Scalar:
        """Return a vector to be reduced over rows, neutral where there is no row."""
        if self._mask is None:
            return value
        used = Scalar(self._mask, np.dtype(bool))
        return self._writer.vectors.select(used, value, self._writer.identity(node))

    # Memory

    def _elements(self, read: int) -> list[Scalar]:
        """Return the elements of a read: one vector for each place of the row, or for the row."""
        if read not in self._read:
            layout = self._writer.layout
            dtype = self._nest.body.inputs[layout.reads[read].slot].dtype
            across = layout.reads[read].across(self._writer.row)
            load = self._load_same if across is Across.SAME else self._load_apart
            if across is Across.NEXT:
                load = self._load_next
            values = load(read, dtype)
            if dtype.kind == "b":
                zero = self._writer.memory(dtype).zero()
                values = [self._builder.icmp_unsigned("!=", value, zero) for value in values]
            self._read[read] = [Scalar(value, dtype) for value in values]
        return self._read[read]

    def _places(self, read: int) -> list[Any]:
        inner = self._writer.layout.reads[read].inner
        return self._writer.steps_in_row(read) if inner else [self._writer.integer(0)]

    def _load_same(self, read: int, dtype: np.dtype[Any]) -> list[Any]:
        memory, source = self._writer.memory(dtype), self._writer.sources[read]
        return [memory.repeat(source, place) for place in self._places(read)]

    def _load_apart(self, read: int, dtype: np.dtype[Any]) -> list[Any]:
        memory, step = self._writer.memory(dtype), self._writer.across[read]
        start = self._builder.mul(self._row, step)
        begin = self._writer.element(self._writer.sources[read], start, memory.item)
        lanes = memory.numbers(step)
        return [
            memory.gather(self._writer.element(begin, place, memory.item), lanes, self._mask)
            for place in self._places(read)
        ]

    def _load_next(self, read: int, dtype: np.dtype[Any]) -> list[Any]:
        memory, source = self._writer.memory(dtype), self._writer.sources[read]
        if not self._writer.layout.reads[read].inner:
            return [memory.load(source, self._row, self._mask)]
        row, lanes = self._writer.row, memory.lanes
        vectors = [memory.load(source, *place) for place in self._vectors_of(dtype)]
        return [
            memory.picked(vectors, [row * lane + k for lane in range(lanes)]) for k in range(row)
        ]

    def _vectors_of(self, dtype: np.dtype[Any]) -> list[tuple[Any, Any]]:
        """Return index and mask of each vector of rows that follow one another."""
        memory, builder = self._writer.memory(dtype), self._builder
        row, lanes = self._writer.integer(self._writer.row), memory.lanes
        begin = builder.mul(self._row, row)
        starts = [k * lanes for k in range(self._writer.row)]
        places = [builder.add(begin, self._writer.integer(start)) for start in starts]
        if self._count is None:
            return [(place, None) for place in places]
        count = builder.mul(self._count, row)
        masks = [memory.mask(count, start) for start in starts]
        return list(zip(places, masks, strict=True))

    def _store(self, node: Node) -> None:
        """Write an output: values of rows, or elements in the order of memory."""
        memory, target = self._writer.memory(node.dtype), self._writer.targets[node]
        vectors = [value.value for value in self._values[node]]
        if node.dtype.kind == "b":
            vectors = [self._builder.zext(vector, memory.type) for vector in vectors]
        if self._nest.kinds[node] is not ValueKind.FULL:
            memory.store(vectors[0], target, self._row, self._mask)
            return
        row, lanes = self._writer.row, memory.lanes
        for k, (index, mask) in enumerate(self._vectors_of(node.dtype)):
            numbers = range(k * lanes, (k + 1) * lanes)
            places = [number % row * lanes + number // row for number in numbers]
            memory.store(memory.picked(vectors, places), target, index, mask)
