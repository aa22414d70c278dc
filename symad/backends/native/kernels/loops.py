"""The machine code of fused loop nests, by LLVM.

Inner loops work on vectors, with the vector functions of the C library.  An incomplete vector is
masked, so a short row costs no more than one vector.  Sizes, strides and numbers are run-time
arguments, so the same machine code serves all batch sizes; it is cached by the structure of the
nest.

Sums are computed in the lanes of vectors, in blocks of 16 elements per lane; the sums of the blocks
are added with Neumaier's compensation.  The error is smaller than that of NumPy's pairwise
summation.

An output may overwrite an input that no later stage reads: each vector is written after the same
elements of the inputs have been read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.jit import stored_module
from symad.backends.native.kernels.nest_writer import (
    FIRST_SIZE,
    UNROLLED,
    Accumulator,
    NestWriter,
    combine,
    compute,
    identity_of,
)
from symad.backends.native.kernels.short_rows import ShortRowsWriter
from symad.backends.native.loop_nest import Nest, NestLayout, ValueKind
from symad.backends.native.scalar_builder import Scalar
from symad.disk import formulas_of
from symad.graph.cost import ELEMENTARY
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.reduce import Reduction
from symad.records import dataclass

ADDED = 16
"""The number of elements that a lane adds up without compensation."""

_WAITS = 12
"""Loops with fewer instructions per element are limited by that latency."""

_KEPT = 1024
"""The number of cached machine codes."""


@dataclass(frozen=True, slots=True)
class LoopCode:
    """The machine code of a nest, for any sizes.

    Its only argument is the address of an array of 8-byte words: the range of rows, or of lines of
    short rows, the index of this part, the length of a row, the number of elements; the sizes of
    the outer axes; for each read the steps along them, and that along a row if it is not 0 or 1;
    the numbers; and the addresses of each read, each output, and each value that is stored between
    stages.  It returns 0.
    """

    module: jit.CompiledModule
    address: int


_codes: jit.Latest[LoopCode] = jit.Latest(_KEPT)


def loop_code(nest: Nest, layout: NestLayout, is_repeated: bool = False) -> LoopCode:
    """Return the machine code of a nest; nests of the same structure share it.

    A nest ``is_repeated`` if a call runs it many times.
    """

    structure = structure_of(nest, layout)

    def make() -> LoopCode:
        formulas = formulas_of(n.op for n in nest.computed if isinstance(n.op, PerElement))
        lasting = None if formulas is None else ("loops", structure, formulas)
        effort = jit.Effort.of_arithmetic(nest.is_fast)
        if effort is jit.Effort.LOW and not is_repeated and all(map(_is_cheap, nest.computed)):
            effort = jit.Effort.of_size(layout.elements * len(nest.computed))
        module = stored_module(lasting, lambda: (loop_text(nest, layout), ()), "loops", effort)
        return LoopCode(module, module.address("kernel"))

    return _codes.get(structure, make)


def _is_cheap(node: Node) -> bool:
    """Return whether memory, not code, bounds the time of a value: passes gain least there."""
    return isinstance(node.op, PerElement) and node.op.operations < ELEMENTARY


def loop_text(nest: Nest, layout: NestLayout) -> str:
    """Return the LLVM text of a nest, as it is before optimisation."""
    writer = ShortRowsWriter if layout.has_short_rows else _LongRowsWriter
    return str(writer(nest, layout).module())


def structure_of(nest: Nest, layout: NestLayout) -> Any:
    """Return the structure of a nest, a key for its code: everything but sizes and numbers."""
    index: dict[Node, int] = {}
    steps: list[Any] = []
    given = set(nest.body.inputs)
    for node in nest.body.nodes:
        index[node] = len(index)
        if node in nest.kinds:
            kind, op = nest.kinds[node], node.op
            same = op if isinstance(op, PerElement) else type(op)
            sources = tuple(index[source] for source in node.inputs)
            read = tuple(layout.read_of.get((node, source)) for source in node.inputs)
            steps.append((same, kind, node.dtype, sources, read))
        elif isinstance(node, Constant) and node not in given and node not in nest.numbers:
            steps.append((node.dtype, repr(node.value.item())))
        else:
            steps.append(node.dtype)
    reads: tuple[Any, ...] = tuple(
        (read.slot, "any" if read.jumps else read.inner) for read in layout.reads
    )
    if layout.has_short_rows:
        across = (read.across(layout.row).name for read in layout.reads)
        reads = layout.row, *zip(reads, across, strict=True)
    outputs = tuple(index[node] for node in nest.body.outputs)
    return nest.is_fast, layout.is_line, len(layout.outer), reads, outputs, tuple(steps)


class _LongRowsWriter(NestWriter):
    """Writes the machine code of one nest."""

    def __init__(self, nest: Nest, layout: NestLayout) -> None:
        super().__init__(nest, layout)
        self._read_values: dict[int, Scalar] = {}
        self._lanes_apart: dict[int, list[Any]] = {}

    def module(self) -> Any:
        """Return the finished module."""
        nest = self.nest
        begin, end, self._part, self._row, elements = self.words(0, FIRST_SIZE)
        self._load_numbers()
        self._clear_columns()
        reduced = [node for node in nest.computed if isinstance(node.op, Reduction)]
        self._sums = {
            node: Accumulator(
                self, node, nest.kinds[node] is ValueKind.ROW, nest.reduces_elements(node)
            )
            for node in reduced
            if nest.kinds[node] is not ValueKind.COLUMN
        }
        totals = [node for node in reduced if nest.kinds[node] is ValueKind.TOTAL]
        for node in totals:
            self._sums[node].reset()
        with self.loop(begin, end) as row:
            self._length = self._row
            if self.layout.is_line:
                rest = self.builder.sub(elements, self.builder.mul(row, self._row))
                self._length = self.minimum(self._row, rest)
            self._write_row(row)
        for node in totals:
            self.store(self._sums[node].result(), self._targets[node], self._part)
        return self.finish()

    def _clear_columns(self) -> None:
        """Initialise the reductions over rows with their neutral elements."""
        first = self.builder.mul(self._part, self._row)
        for node in self.nest.body.outputs:
            if self.nest.kinds[node] is ValueKind.COLUMN:
                target = self._start(self._targets[node], first, node.dtype)
                identity = self.scalars.constant(identity_of(node).item(), node.dtype)
                with self.loop(self.integer(0), self._row) as index:
                    self.store(identity, target, index)

    # Rows

    def _write_row(self, row: Any) -> None:
        nest = self.nest
        self._open_row(row)
        for node, accumulator in self._sums.items():
            if nest.kinds[node] is ValueKind.ROW:
                accumulator.reset()
        for stage in range(nest.stages + 1):
            for node in nest.computed:
                if nest.stage[node] == stage and not nest.is_made_in_loop(node):
                    self._write_row_value(node)
            if stage < nest.stages and nest.loops[stage]:
                self._write_stage(stage)
        for node in nest.body.outputs:
            if nest.kinds[node] is ValueKind.ROW:
                self.store(self._values[node], self._targets[node], row)

    def _open_row(self, row: Any) -> None:
        """Compute the start of the row in each operand, and read the values per row."""
        builder, nest = self.builder, self.nest
        places = self._outer_indices(row, self._dims)
        self._row_sources = []
        for k, (offset, _) in enumerate(self._source_rows(places)):
            read = self.layout.reads[k]
            dtype = nest.body.inputs[read.slot].dtype
            if read.jumps:
                lanes = map(self.integer, range(self.layout.lanes))
                self._lanes_apart[k] = [builder.mul(self._steps[k], lane) for lane in lanes]
            self._row_sources.append(self._start(self._sources[k], offset, dtype))
            if not read.inner:
                self._read_values[k] = self.load(self._sources[k], offset, dtype)
        begin = builder.mul(row, self._row)
        self._row_targets = {
            node: self._start(self._targets[node], begin, node.dtype)
            for node in nest.body.outputs
            if nest.kinds[node] is ValueKind.FULL
        }
        begin = builder.mul(self._part, self._row)
        shared = {n: p for n, p in self._targets.items() if nest.kinds[n] is ValueKind.COLUMN}
        for node, pointer in (self._stores | shared).items():
            self._row_targets.setdefault(node, self._start(pointer, begin, node.dtype))

    def _write_row_value(self, node: Node) -> None:
        """Compute a value per row from other values per row."""
        if node in self._sums:
            (source,) = node.inputs
            self._sums[node].add_alone(self.value(node, source))
        else:
            self._values[node] = compute(self.scalars, node, self.value)

    def value(self, user: Node, source: Node) -> Scalar:
        """Return a value that is constant in the row."""
        found = self._values.get(source)
        return self._read_values[self.layout.read_of[user, source]] if found is None else found

    # Stages

    def _write_stage(self, stage: int) -> None:
        nest = self.nest
        sums = [self._sums[node] for node in nest.loops[stage] if node in self._sums]
        if not any(accumulator.is_compensated for accumulator in sums):
            self._write_block(stage, self.integer(0), self._length)
        else:
            size = ADDED * self.layout.lanes * self._at_once(stage)
            with self.loop(self.integer(0), self._length, size) as begin:
                end = self.minimum(self.builder.add(begin, self.integer(size)), self._length)
                self._write_block(stage, begin, end)
                for accumulator in sums:
                    accumulator.close_block(begin, end, self._length, size)
        for node in nest.loops[stage]:
            if nest.kinds[node] is ValueKind.ROW:
                self._values[node] = self._sums[node].result()

    def _write_block(self, stage: int, begin: Any, end: Any) -> None:
        """Loop over full vectors, then handle the remaining elements with a mask."""
        builder, lanes, at_once = self.builder, self.layout.lanes, self._at_once(stage)
        whole = builder.and_(builder.sub(end, begin), self.integer(-lanes * at_once))
        middle = builder.add(begin, whole)
        with self.loop(begin, middle, lanes * at_once, is_opaque=True) as index:
            for k in range(at_once):
                self._write_vector(stage, builder.add(index, self.integer(k * lanes)), k)
        with self.loop(middle, end, lanes, is_opaque=True) as index:
            mask = self.memory(np.dtype(bool)).mask(builder.sub(end, index))
            self._write_vector(stage, index, 0, mask)

    def _at_once(self, stage: int) -> int:
        """Return the number of vectors per iteration: several for loops that mainly reduce."""
        nest = self.nest
        costs = (nest.own_cost(node) for node in nest.loops[stage])
        is_short = any(node in self._sums for node in nest.loops[stage]) and sum(costs) < _WAITS
        return UNROLLED if is_short else 1

    def _write_vector(self, stage: int, index: Any, part: int, mask: Any = None) -> None:
        nest = self.nest
        made = _Elements(self, index, mask)
        kept: dict[Node, Scalar] = {}
        for node in nest.loops[stage]:
            if node in self._sums:
                self._sums[node].add(made(node, node.inputs[0]), part, mask)
            elif isinstance(node.op, Reduction):
                self._add_to_column(node, made(node, node.inputs[0]), index, mask)
            else:
                made.values[node] = value = compute(self.vectors, node, made)
                if node in self._row_targets and nest.stage[node] == stage:
                    kept[node] = value
        for node, value in kept.items():  # after all reads
            self._store_vector(value, self._row_targets[node], index, mask)

    def _add_to_column(self, node: Node, value: Scalar, index: Any, mask: Any) -> None:
        target = self._row_targets[node]
        so_far = self._load_vector(target, index, node.dtype, mask)
        cast = self.vectors.cast(value, node.dtype)
        self._store_vector(combine(self.vectors, node, so_far, cast), target, index, mask)

    # Vectors

    def _load_vector(self, pointer: Any, index: Any, dtype: np.dtype[Any], mask: Any) -> Scalar:
        return self.memory(dtype).read(pointer, index, mask)

    def _gather_vector(self, read: int, index: Any, dtype: np.dtype[Any], mask: Any) -> Scalar:
        memory, step = self.memory(dtype), self._steps[read]
        begin = self.element(self._row_sources[read], self.builder.mul(index, step), memory.item)
        if mask is None:
            return Scalar(memory.load_apart(begin, self._lanes_apart[read]), dtype)
        return Scalar(memory.gather(begin, memory.numbers(step), mask), dtype)

    def _store_vector(self, value: Scalar, pointer: Any, index: Any, mask: Any) -> None:
        self.memory(value.dtype).write(value, pointer, index, mask)

    def elements_of(self, user: Node, source: Node, index: Any, mask: Any) -> Scalar:
        """Return a vector of a value that the current stage does not compute."""
        nest = self.nest
        if nest.is_computed(source, ValueKind.FULL):
            return self._load_vector(self._row_targets[source], index, source.dtype, mask)
        k = self.layout.read_of.get((user, source))
        if k is not None and self.layout.reads[k].jumps:
            return self._gather_vector(k, index, source.dtype, mask)
        if k is not None and self.layout.reads[k].inner == -1:
            found = self.memory(source.dtype).load_back(self._row_sources[k], index, mask)
            return Scalar(found, source.dtype)
        if k is not None and (step := self.layout.reads[k].inner):
            if step == 1:
                return self._load_vector(self._row_sources[k], index, source.dtype, mask)
            apart = self.memory(source.dtype).load_every(step, self._row_sources[k], index, mask)
            return Scalar(apart, source.dtype)
        return self.vectors.repeat(self.value(user, source))

    def key_of(self, user: Node, source: Node) -> Any:
        """Return a key that is equal for users that read the same elements of ``source``."""
        return self.layout.read_of.get((user, source), source)


class _Elements:
    """The values of one vector of elements in one stage."""

    def __init__(self, writer: _LongRowsWriter, index: Any, mask: Any) -> None:
        self.values: dict[Any, Scalar] = {}
        self._writer, self._index, self._mask = writer, index, mask

    def __call__(self, user: Node, source: Node) -> Scalar:
        """Return the value that ``user`` reads from ``source``."""
        key = self._writer.key_of(user, source)
        if key not in self.values:
            found = self._writer.elements_of(user, source, self._index, self._mask)
            self.values[key] = found
        return self.values[key]
