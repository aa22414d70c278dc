"""The machine code of loop nests over short rows, many at once.

Each lane of a vector computes a row, so that reductions along rows need no work across lanes, and
rows of two or three elements fill the vectors.  Very short rows that follow one another are read
and written as whole vectors, whose elements are put in order in registers; the code is repeated for
each element of a row.  For longer ones it is in a loop, which reads and writes single elements:
this takes a third of the time of the instructions that gather and scatter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

_REPEATED = 4
"""Up to this length, the code is repeated for each element of a row."""


class ShortRowsWriter(NestWriter):
    """Writes the machine code of one nest, whose layout has short rows."""

    def __init__(self, nest: Nest, layout: NestLayout) -> None:
        super().__init__(nest, layout)
        self.row, self.is_repeated = layout.row, layout.row <= _REPEATED
        reduced = [node for node in nest.computed if isinstance(node.op, Reduction)]
        self.totals = {
            node: Accumulator(self, node, is_row=False, is_wide=True)
            for node in reduced
            if nest.kinds[node] is ValueKind.TOTAL
        }
        columns = [node for node in reduced if nest.kinds[node] is ValueKind.COLUMN]
        self.columns = {node: _VectorsOfRow(self, node.dtype) for node in columns}
        used_later = {
            source
            for node in nest.computed
            for source in node.inputs
            if nest.is_computed(source, ValueKind.FULL) and nest.stage[source] < nest.stage[node]
        }
        full = [node for node in nest.body.outputs if nest.kinds[node] is ValueKind.FULL]
        self.scattered = [] if self.is_repeated else full
        self.kept = used_later.union(full if self.is_repeated else ())

    def places(self) -> Iterator[Any]:
        """Yield the places of a row: for repeated code their numbers, else the index of a loop."""
        if self.is_repeated:
            yield from range(self.row)
        else:
            with self.loop(self.integer(0), self.integer(self.row), is_opaque=True) as place:
                yield place

    def index(self, place: Any) -> Any:
        """Return a place as an integer of the code."""
        return self.integer(place) if isinstance(place, int) else place

    def module(self) -> Any:
        """Return the finished module."""
        begin, end, part = self.words(0, 3)
        self._load_numbers()
        for accumulator in self.totals.values():
            accumulator.reset()
        for place in self.places():
            for node, column in self.columns.items():
                column[place] = self.identity(node)
        self._write_lines(begin, end)
        for node, accumulator in self.totals.items():
            self.store(accumulator.result(), self._targets[node], part)
        first = self.builder.mul(part, self.integer(self.row))
        for place in self.places():
            index = self.builder.add(first, self.index(place))
            for node, column in self.columns.items():
                whole = over_lanes(self.vectors, node, column[place])
                self.store(whole, self._targets[node], index)
        return self.finish()

    def _write_lines(self, begin: Any, end: Any) -> None:
        """Write the code of a line of rows, or of all places of the axes before it."""
        if self._dims == 1:
            self._write_line([], self.integer(0), begin, end)
            return
        size = self.word(FIRST_SIZE + self._dims - 1)
        with self.loop(begin, end) as line:
            places = self._outer_indices(line, self._dims - 1)
            self._write_line(places, self.builder.mul(line, size), self.integer(0), size)

    def _write_line(self, places: Sequence[Any], first: Any, begin: Any, end: Any) -> None:
        """Write the code of the rows from ``begin`` to ``end`` at a place of the other axes.

        ``first`` is the number of row 0 of the line among all rows.
        """
        builder, lanes, nest = self.builder, self.layout.lanes, self.nest
        self.sources, self.lanes_of = [], []
        for k, (offset, steps) in enumerate(self._source_rows(places)):
            dtype = nest.body.inputs[self.layout.reads[k].slot].dtype
            self.sources.append(self._start(self._sources[k], offset, dtype))
            across = self.layout.reads[k].across(self.row)
            step = self.integer(self.row) if across is Across.NEXT else steps[-1]
            count = 0 if across is Across.SAME else lanes
            self.lanes_of.append([builder.mul(step, self.integer(k)) for k in range(count)])
        sizes = {ValueKind.FULL: self.row, ValueKind.ROW: 1}
        self.targets = {}
        for node in nest.body.outputs:
            if nest.kinds[node] in sizes:
                start = builder.mul(first, self.integer(sizes[nest.kinds[node]]))
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

    def place_in_row(self, read: int, place: Any) -> Any:
        """Return how far an element is from the first element of its row."""
        step = self._steps.get(read, self.integer(self.layout.reads[read].inner))
        return self.builder.mul(self.index(place), step)


class _VectorsOfRow:
    """A variable for each place of a row, which holds a vector: an element of several rows."""

    def __init__(self, writer: ShortRowsWriter, dtype: np.dtype[Any]) -> None:
        self._writer, self._dtype = writer, dtype
        self._type = writer.vectors.type_of(dtype)
        count, size = (writer.row, 1) if writer.is_repeated else (1, writer.row)
        self._spaces = [writer.space(self._type, size) for _ in range(count)]

    def __getitem__(self, place: Any) -> Scalar:
        return Scalar(self._writer.builder.load(self._at(place), typ=self._type), self._dtype)

    def __setitem__(self, place: Any, value: Scalar) -> None:
        self._writer.builder.store(value.value, self._at(place))

    def _at(self, place: Any) -> Any:
        if self._writer.is_repeated:
            return self._spaces[place]
        return self._writer.element(self._spaces[0], self._writer.index(place), self._type)


class _Rows:
    """As many rows as vectors have lanes; ``count`` rows are left if they are fewer."""

    def __init__(self, writer: ShortRowsWriter, row: Any, count: Any = None) -> None:
        self._writer, self._row, self._count = writer, row, count
        self._builder, self._nest, self._layout = writer.builder, writer.nest, writer.layout
        self._mask = None if count is None else writer.memory(np.dtype(bool)).mask(count)
        self._of_rows: dict[Any, Scalar] = {}
        self._kept = {node: _VectorsOfRow(writer, node.dtype) for node in writer.kept}
        self._ordered: dict[int, _VectorsOfRow] = {}
        self._here: dict[Any, Scalar] = {}

    def write(self) -> None:
        """Compute all values, stage by stage, and write the outputs after all reads."""
        for read in range(len(self._layout.reads)):
            self._prepare(read)
        for stage in range(self._nest.stages + 1):
            self._write_stage([n for n in self._nest.computed if self._nest.stage[n] == stage])
        for node in self._writer.targets:
            if node not in self._writer.scattered:
                self._store(node)

    def _write_stage(self, nodes: Sequence[Node]) -> None:
        writer = self._writer
        for node in nodes:
            if not self._nest.is_made_in_loop(node):
                self._write_row_value(node)
        looped = list(filter(self._nest.is_made_in_loop, nodes))
        sums = {
            node: writer.variable(writer.identity(node).value)
            for node in looped
            if isinstance(node.op, Reduction) and node not in writer.columns
        }
        for place in writer.places() if looped else ():
            self._here = {}
            for node in looped:
                self._write_element(node, place, sums.get(node))
            for node in filter(self._here.__contains__, writer.scattered):  # after all reads
                self._scatter(node, place)
        for node, total in sums.items():
            whole = writer.scalar(total, node.dtype)
            if node in writer.totals:
                writer.totals[node].add_alone(self._used(node, whole))
            else:
                self._of_rows[node] = whole

    def _write_row_value(self, node: Node) -> None:
        """Compute a value per row from other values per row."""
        if node in self._writer.totals:
            found = self._writer.vectors.cast(self._value(node, node.inputs[0], None), node.dtype)
            self._writer.totals[node].add_alone(self._used(node, found))
        else:
            self._of_rows[node] = self._computed(node, None)

    def _write_element(self, node: Node, place: Any, total: Any) -> None:
        """Compute a value at a place of the row; add it to a reduction of the row, or of all."""
        writer, vectors = self._writer, self._writer.vectors
        if not isinstance(node.op, Reduction):
            self._here[node] = self._computed(node, place)
            if node in self._kept:
                self._kept[node][place] = self._here[node]
            return
        found = vectors.cast(self._value(node, node.inputs[0], place), node.dtype)
        if total is None:
            column = writer.columns[node]
            column[place] = combine(vectors, node, column[place], self._used(node, found))
        else:
            so_far = writer.scalar(total, node.dtype)
            self._builder.store(combine(vectors, node, so_far, found).value, total)

    def _computed(self, node: Node, place: Any) -> Scalar:
        return compute(self._writer.vectors, node, lambda u, s: self._value(u, s, place))

    def _value(self, user: Node, source: Node, place: Any) -> Scalar:
        """Return a vector of what ``user`` reads at a place of the row."""
        found = self._writer.number(source)
        key: Any = self._layout.read_of.get((user, source), source)
        if found is not None or key in self._of_rows:
            return found or self._of_rows[key]
        if key not in self._here:
            kept = self._kept.get(key) or self._ordered.get(key)
            self._here[key] = self._load(key, place) if kept is None else kept[place]
        return self._here[key]

    def _used(self, node: Node, value: Scalar) -> Scalar:
        """Return a vector to be reduced over rows, neutral where there is no row."""
        if self._mask is None:
            return value
        used = Scalar(self._mask, np.dtype(bool))
        return self._writer.vectors.select(used, value, self._writer.identity(node))

    # Memory

    def _prepare(self, read: int) -> None:
        """Read what rows have one of, and rows that are put in order as whole vectors."""
        writer, dtype = self._writer, self._dtype_of(read)
        memory, source = writer.memory(dtype), writer.sources[read]
        is_next = self._layout.reads[read].across(writer.row) is Across.NEXT
        if not self._layout.reads[read].inner:
            found = memory.load(source, self._row, self._mask) if is_next else None
            self._of_rows[read] = (
                self._load(read, 0) if found is None else self._scalar(found, dtype)
            )
        elif is_next and writer.is_repeated:
            vectors = [memory.load(source, *place) for place in self._vectors_of(dtype)]
            ordered = self._ordered[read] = _VectorsOfRow(writer, dtype)
            for place in range(writer.row):
                lanes = [writer.row * lane + place for lane in range(memory.lanes)]
                ordered[place] = self._scalar(memory.picked(vectors, lanes), dtype)

    def _load(self, read: int, place: Any) -> Scalar:
        """Return the elements at a place of rows, from wherever they are."""
        writer, dtype = self._writer, self._dtype_of(read)
        memory, source, lanes = writer.memory(dtype), writer.sources[read], writer.lanes_of[read]
        index = writer.place_in_row(read, place)
        if not lanes:
            return self._scalar(memory.repeat(source, index), dtype)
        index = self._builder.add(self._builder.mul(self._row, lanes[1]), index)
        begin = writer.element(source, index, memory.item)
        if self._mask is not None:
            found = memory.gather(begin, memory.numbers(lanes[1]), self._mask)
        else:
            found = memory.load_apart(begin, lanes)
        return self._scalar(found, dtype)

    def _scatter(self, node: Node, place: Any) -> None:
        """Write the elements of an output at a place of rows."""
        memory, row = self._writer.memory(node.dtype), self._writer.integer(self._writer.row)
        index = self._builder.add(self._builder.mul(self._row, row), place)
        begin = self._writer.element(self._writer.targets[node], index, memory.item)
        vector = self._stored(self._here[node])
        if self._mask is not None:
            memory.scatter(vector, begin, memory.numbers(row), self._mask)
            return
        for lane in range(memory.lanes):
            place = self._writer.element(begin, row.type(lane * self._writer.row), memory.item)
            self._builder.store(memory.element(vector, lane), place)

    def _dtype_of(self, read: int) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._nest.body.inputs[self._layout.reads[read].slot].dtype
        return dtype

    def _scalar(self, vector: Any, dtype: np.dtype[Any]) -> Scalar:
        """Return a vector from memory, where a boolean takes a byte."""
        if dtype.kind == "b":
            vector = self._builder.icmp_unsigned("!=", vector, self._writer.memory(dtype).zero())
        return Scalar(vector, dtype)

    def _stored(self, value: Scalar) -> Any:
        """Return a vector as it is in memory."""
        if value.dtype.kind != "b":
            return value.value
        return self._builder.zext(value.value, self._writer.memory(value.dtype).type)

    def _vectors_of(self, dtype: np.dtype[Any]) -> list[tuple[Any, Any]]:
        """Return index and mask of each vector of rows that follow one another."""
        memory, builder = self._writer.memory(dtype), self._builder
        row = self._writer.integer(self._writer.row)
        begin = builder.mul(self._row, row)
        starts = [k * memory.lanes for k in range(self._writer.row)]
        places = [builder.add(begin, self._writer.integer(start)) for start in starts]
        if self._count is None:
            return [(place, None) for place in places]
        count = builder.mul(self._count, row)
        return [(p, memory.mask(count, start)) for p, start in zip(places, starts, strict=True)]

    def _store(self, node: Node) -> None:
        """Write an output: values of rows, or elements in the order of memory."""
        memory, target = self._writer.memory(node.dtype), self._writer.targets[node]
        row = self._writer.row
        is_full = self._nest.kinds[node] is ValueKind.FULL
        values = [self._kept[node][k] for k in range(row)] if is_full else [self._of_rows[node]]
        vectors = list(map(self._stored, values))
        if not is_full:
            memory.store(vectors[0], target, self._row, self._mask)
            return
        for k, (index, mask) in enumerate(self._vectors_of(node.dtype)):
            numbers = range(k * memory.lanes, (k + 1) * memory.lanes)
            places = [number % row * memory.lanes + number // row for number in numbers]
            memory.store(memory.picked(vectors, places), target, index, mask)
