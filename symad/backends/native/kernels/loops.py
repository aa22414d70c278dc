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

from collections.abc import Callable
from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.jit import stored_module
from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import KernelWriter, stored_type
from symad.backends.native.loop_nest import Nest, NestLayout, ValueKind
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element
from symad.disk import formulas_of
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.extremum import Max
from symad.ops.reduce import Reduction, Sum
from symad.records import dataclass

ADDED = 16
"""The number of elements that a lane adds up without compensation."""

_UNROLLED = 4
"""The number of vectors per iteration of a loop limited by the latency of its reduction."""
_WAITS = 12
"""Loops with fewer instructions per element are limited by that latency."""

_KEPT = 1024
"""The number of cached machine codes."""


@dataclass(frozen=True, slots=True)
class LoopCode:
    """The machine code of a nest, for any sizes.

    Its only argument is the address of an array of 8-byte words: the range of rows, the index of
    this part, the length of a row, the number of elements; the sizes of the outer axes; for each
    read the steps along them, and that along a row if it is not 0 or 1; the numbers; and the
    addresses of each read, each output, and each value that is stored between stages.  It returns
    0.
    """

    module: jit.CompiledModule
    address: int


_codes: jit.Latest[LoopCode] = jit.Latest(_KEPT)


def loop_code(nest: Nest, layout: NestLayout) -> LoopCode:
    """Return the machine code of a nest; nests of the same structure share it."""

    structure = structure_of(nest, layout)

    def make() -> LoopCode:
        formulas = formulas_of(n.op for n in nest.computed if isinstance(n.op, PerElement))
        lasting = None if formulas is None else ("loops", structure, formulas)
        effort = jit.Effort.of_arithmetic(nest.is_fast)
        module = stored_module(lasting, lambda: (loop_text(nest, layout), ()), "loops", effort)
        return LoopCode(module, module.address("kernel"))

    return _codes.get(structure, make)


def loop_text(nest: Nest, layout: NestLayout) -> str:
    """Return the LLVM text of a nest, as it is before optimisation."""
    return str(_NestWriter(nest, layout).module())


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
    reads = tuple((read.slot, "any" if read.jumps else read.inner) for read in layout.reads)
    outputs = tuple(index[node] for node in nest.body.outputs)
    return nest.is_fast, layout.is_line, len(layout.outer), reads, outputs, tuple(steps)


_FIRST_SIZE = 5
"""The first words: first row, end of rows, part, length of a row, number of elements."""


class _NestWriter(KernelWriter):
    """Writes the machine code of one nest."""

    def __init__(self, nest: Nest, layout: NestLayout) -> None:
        super().__init__()
        self._nest, self._layout = nest, layout
        self._dims = max(len(layout.outer), layout.is_line)
        steps = self._dims * len(layout.reads) + sum(read.jumps for read in layout.reads)
        self._first_number = _FIRST_SIZE + len(layout.outer) + steps
        self._values: dict[Node, Scalar] = {}
        self._read_values: dict[int, Scalar] = {}
        self._steps: dict[int, Any] = {}
        self.scalars = LLVMScalarBuilder(self.builder, 0, nest.is_fast)
        self.vectors = LLVMScalarBuilder(self.builder, nest.lanes, nest.is_fast)
        self._memory: dict[np.dtype[Any], Vectors] = {}
        self._find_data()

    def module(self) -> Any:
        """Return the finished module."""
        nest = self._nest
        begin, end, self._part, self._row, elements = self.words(0, _FIRST_SIZE)
        self._load_numbers()
        self._clear_columns()
        reduced = [node for node in nest.computed if isinstance(node.op, Reduction)]
        self._sums = {
            node: _Accumulator(self, nest, node)
            for node in reduced
            if nest.kinds[node] is not ValueKind.COLUMN
        }
        totals = [node for node in reduced if nest.kinds[node] is ValueKind.TOTAL]
        for node in totals:
            self._sums[node].reset()
        with self.loop(begin, end) as row:
            self._length = self._row
            if self._layout.is_line:
                rest = self.builder.sub(elements, self.builder.mul(row, self._row))
                self._length = self.minimum(self._row, rest)
            self._write_row(row)
        for node in totals:
            self.store(self._sums[node].result(), self._targets[node], self._part)
        return self.finish()

    def _find_data(self) -> None:
        """Read the addresses of the operands."""
        nest, reads = self._nest, len(self._layout.reads)
        first = self._first_number + len(nest.numbers)
        self._sources = [self.address(first + k) for k in range(reads)]
        first += reads
        outputs = nest.body.outputs
        self._targets = {node: self.address(first + k) for k, node in enumerate(outputs)}
        first += len(outputs)
        self._stores = {node: self.address(first + k) for k, node in enumerate(nest.stored)}

    def _load_numbers(self) -> None:
        nest = self._nest
        for node in nest.body.nodes:
            if isinstance(node, Constant) and node not in nest.body.inputs:
                if node in nest.numbers:
                    word = self.place(self._first_number + nest.numbers.index(node))
                    self._values[node] = self.load(word, self.integer(0), node.dtype)
                else:
                    self._values[node] = self.scalars.constant(node.value.item(), node.dtype)

    def _clear_columns(self) -> None:
        """Initialise the reductions over rows with their neutral elements."""
        first = self.builder.mul(self._part, self._row)
        for node in self._nest.body.outputs:
            if self._nest.kinds[node] is ValueKind.COLUMN:
                target = self._start(self._targets[node], first, node.dtype)
                identity = self.scalars.constant(identity_of(node).item(), node.dtype)
                with self.loop(self.integer(0), self._row) as index:
                    self.store(identity, target, index)

    def _start(self, pointer: Any, index: Any, dtype: np.dtype[Any]) -> Any:
        """Return the address of the element number ``index``."""
        return self.element(pointer, index, stored_type(dtype))

    # Rows

    def _write_row(self, row: Any) -> None:
        nest = self._nest
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
        builder, nest = self.builder, self._nest
        places = self._outer_indices(row)
        self._row_sources = []
        word = _FIRST_SIZE + len(self._layout.outer)
        for k, read in enumerate(self._layout.reads):
            offset = self.integer(0)
            for place in places:
                offset = builder.add(offset, builder.mul(place, self.word(word)))
                word += 1
            if read.jumps:
                self._steps[k] = self.word(word)
                word += 1
            dtype = nest.body.inputs[read.slot].dtype
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

    def _outer_indices(self, row: Any) -> list[Any]:
        """Return the indices along the outer axes."""
        if self._dims <= 1:
            return [row] * self._dims
        places = []
        for axis in reversed(range(1, self._dims)):
            size = self.word(_FIRST_SIZE + axis)
            places.append(self.builder.urem(row, size))
            row = self.builder.udiv(row, size)
        return [row, *reversed(places)]

    def _write_row_value(self, node: Node) -> None:
        """Compute a value per row from other values per row."""
        if node in self._sums:
            (source,) = node.inputs
            self._sums[node].add_alone(self.value(node, source))
        else:
            self._values[node] = _compute(self.scalars, node, self.value)

    def value(self, user: Node, source: Node) -> Scalar:
        """Return a value that is constant in the row."""
        found = self._values.get(source)
        return self._read_values[self._layout.read_of[user, source]] if found is None else found

    # Stages

    def _write_stage(self, stage: int) -> None:
        nest = self._nest
        sums = [self._sums[node] for node in nest.loops[stage] if node in self._sums]
        if not any(accumulator.is_compensated for accumulator in sums):
            self._write_block(stage, self.integer(0), self._length)
        else:
            size = ADDED * nest.lanes * self._at_once(stage)
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
        builder, lanes, at_once = self.builder, self._nest.lanes, self._at_once(stage)
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
        nest = self._nest
        costs = (nest.own_cost(node) for node in nest.loops[stage])
        is_short = any(node in self._sums for node in nest.loops[stage]) and sum(costs) < _WAITS
        return _UNROLLED if is_short else 1

    def _write_vector(self, stage: int, index: Any, part: int, mask: Any = None) -> None:
        nest = self._nest
        made = _Elements(self, index, mask)
        kept: dict[Node, Scalar] = {}
        for node in nest.loops[stage]:
            if node in self._sums:
                self._sums[node].add(made(node, node.inputs[0]), part, mask)
            elif isinstance(node.op, Reduction):
                self._add_to_column(node, made(node, node.inputs[0]), index, mask)
            else:
                made.values[node] = value = _compute(self.vectors, node, made)
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

    def memory(self, dtype: np.dtype[Any]) -> Vectors:
        """Return the vector arithmetic for ``dtype``."""
        if dtype not in self._memory:
            self._memory[dtype] = Vectors(self, dtype, self._nest.lanes)
        return self._memory[dtype]

    def _load_vector(self, pointer: Any, index: Any, dtype: np.dtype[Any], mask: Any) -> Scalar:
        return self.memory(dtype).read(pointer, index, mask)

    def _gather_vector(self, read: int, index: Any, dtype: np.dtype[Any], mask: Any) -> Scalar:
        memory, step = self.memory(dtype), self._steps[read]
        begin = self.element(self._row_sources[read], self.builder.mul(index, step), memory.item)
        return Scalar(memory.gather(begin, memory.numbers(step), mask), dtype)

    def _store_vector(self, value: Scalar, pointer: Any, index: Any, mask: Any) -> None:
        self.memory(value.dtype).write(value, pointer, index, mask)

    def elements_of(self, user: Node, source: Node, index: Any, mask: Any) -> Scalar:
        """Return a vector of a value that the current stage does not compute."""
        nest = self._nest
        if nest.is_computed(source, ValueKind.FULL):
            return self._load_vector(self._row_targets[source], index, source.dtype, mask)
        k = self._layout.read_of.get((user, source))
        if k is not None and self._layout.reads[k].jumps:
            return self._gather_vector(k, index, source.dtype, mask)
        if k is not None and self._layout.reads[k].inner == -1:
            found = self.memory(source.dtype).load_back(self._row_sources[k], index, mask)
            return Scalar(found, source.dtype)
        if k is not None and (step := self._layout.reads[k].inner):
            if step == 1:
                return self._load_vector(self._row_sources[k], index, source.dtype, mask)
            apart = self.memory(source.dtype).load_every(step, self._row_sources[k], index, mask)
            return Scalar(apart, source.dtype)
        return self.vectors.repeat(self.value(user, source))

    def key_of(self, user: Node, source: Node) -> Any:
        """Return a key that is equal for users that read the same elements of ``source``."""
        return self._layout.read_of.get((user, source), source)


class _Elements:
    """The values of one vector of elements in one stage."""

    def __init__(self, writer: _NestWriter, index: Any, mask: Any) -> None:
        self.values: dict[Any, Scalar] = {}
        self._writer, self._index, self._mask = writer, index, mask

    def __call__(self, user: Node, source: Node) -> Scalar:
        """Return the value that ``user`` reads from ``source``."""
        key = self._writer.key_of(user, source)
        if key not in self.values:
            found = self._writer.elements_of(user, source, self._index, self._mask)
            self.values[key] = found
        return self.values[key]


def _compute(
    builder: LLVMScalarBuilder, node: Node, value: Callable[[Node, Node], Scalar]
) -> Scalar:
    """Return the value of ``node`` for the values that it reads."""
    operands = [value(node, source) for source in node.inputs]
    if not isinstance(node.op, PerElement):
        return operands[0]  # another shape of the same numbers
    made: Scalar = element(builder, node.op, operands, node.dtype)
    return made


def combine(builder: LLVMScalarBuilder, node: Node, x: Scalar, y: Scalar) -> Scalar:
    """Return the reduction ``node`` of two values; NaN if one is NaN."""
    if isinstance(node.op, Sum):
        return builder.add(x, y)
    is_max = isinstance(node.op, Max)
    if x.dtype.kind == "b":
        return builder.logical_or(x, y) if is_max else builder.logical_and(x, y)
    if x.dtype.kind == "f":  # either zero may be taken where both signs tie, as in NumPy
        return builder.intrinsic("maximum" if is_max else "minimum", x, y, flags=("nsz",))
    return builder.select(builder.less(x, y), *((y, x) if is_max else (x, y)))


def _over_lanes(builder: LLVMScalarBuilder, node: Node, vector: Scalar) -> Scalar:
    """Return the reduction ``node`` of the lanes of a vector."""
    kind = vector.dtype.kind
    if isinstance(node.op, Sum):
        name, flags = ("fadd", "reassoc") if kind == "f" else ("add", "")
    else:
        which = "max" if isinstance(node.op, Max) else "min"
        prefix = {"f": "f", "i": "s"}.get(kind, "u")
        name = f"{prefix}{which}imum" if kind == "f" else f"{prefix}{which}"
        flags = "nsz" if kind == "f" else ""
    return builder.over_lanes(name, vector, flags)


def identity_of(node: Node) -> Any:
    """Return the neutral element of a reduction."""
    dtype = node.dtype
    if isinstance(node.op, Sum):
        return dtype.type(0)
    is_max = isinstance(node.op, Max)
    if dtype.kind == "b":
        return dtype.type(not is_max)
    if dtype.kind == "f":
        return dtype.type(-np.inf if is_max else np.inf)
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if is_max else limits.max)


class _Accumulator:
    """The accumulator of a reduction.

    Elements are accumulated in the lanes of several vectors, values per row in a scalar.  A sum of
    floats is compensated: the sum of each block is added to ``total``, and ``rest`` collects the
    rounding errors, in each lane.
    """

    def __init__(self, writer: _NestWriter, nest: Nest, node: Node) -> None:
        self._writer, self._node, self._builder = writer, node, writer.builder
        self._is_row = nest.kinds[node] is ValueKind.ROW
        self._is_wide = nest.reduces_elements(node)
        self._values = writer.vectors if self._is_wide else writer.scalars
        is_of_floats = isinstance(node.op, Sum) and node.dtype.kind == "f"
        self.is_compensated = is_of_floats and not nest.is_fast
        self._identity = self._values.constant(identity_of(node).item(), node.dtype)
        places = [writer.variable(self._identity.value) for _ in range(2 + _UNROLLED)]
        self._total, self._rest, *self._parts = places
        self._pending = writer.variable(writer.integer(0))

    def reset(self) -> None:
        """Reset the accumulator."""
        for place in (self._total, self._rest, *self._parts):
            self._builder.store(self._identity.value, place)

    def add(self, elements: Scalar, part: int, mask: Any) -> None:
        """Accumulate a vector of elements, optionally with a mask."""
        elements = self._values.cast(elements, self._node.dtype)
        if mask is not None:
            used = Scalar(mask, np.dtype(bool))
            elements = self._values.select(used, elements, self._identity)
        self._combine(self._parts[part], elements)

    def add_alone(self, value: Scalar) -> None:
        """Accumulate one value per row."""
        value = self._values.cast(value, self._node.dtype)
        if self.is_compensated:
            self._add_compensated(value)
        else:
            self._combine(self._total, value)

    def _combine(self, place: Any, value: Scalar) -> None:
        combined = combine(self._values, self._node, self._get(place), value)
        self._builder.store(combined.value, place)

    def close_block(self, begin: Any, end: Any, length: Any, size: int) -> None:
        """Add the current block to the total when it is complete."""
        if not self.is_compensated:
            return
        builder = self._builder
        if self._is_row:
            is_full = builder.icmp_signed("<", end, length)
        else:
            count = builder.add(builder.load(self._pending), builder.sub(end, begin))
            is_full = builder.icmp_signed(">=", count, self._writer.integer(size))
            builder.store(builder.select(is_full, self._writer.integer(0), count), self._pending)
        with builder.if_then(is_full):
            self._add_compensated(self._block())
            for part in self._parts:
                builder.store(self._identity.value, part)

    def result(self) -> Scalar:
        """Return the result; without the compensation if infinities made it invalid."""
        total = self._get(self._total)
        if self.is_compensated:
            total = self._compensated(total, self._get(self._rest))
        if not self._is_wide:
            return total
        whole = combine(self._values, self._node, total, self._block())
        return _over_lanes(self._values, self._node, whole)

    def _compensated(self, total: Scalar, rest: Scalar) -> Scalar:
        """Return the sum; if the total is infinite, the rest is NaN or infinite."""
        s = self._values
        is_finite = s.less(s.call("fabs", rest), s.constant(np.inf, rest.dtype))
        return s.select(is_finite, s.add(total, rest), total)

    def _block(self) -> Scalar:
        """Return the current block's partial results in the lanes."""
        parts = [self._get(part) for part in self._parts]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [combine(self._values, self._node, a, b) for a, b in pairs]
        return parts[0]

    def _get(self, place: Any) -> Scalar:
        return Scalar(self._builder.load(place), self._node.dtype)

    def _add_compensated(self, value: Scalar) -> None:
        """Add by Neumaier's method: s ← s + v, and c ← c + rounding error of s + v."""
        s = self._values
        total = self._get(self._total)
        new = s.add(total, value)
        is_larger = s.less_equal(s.call("fabs", value), s.call("fabs", total))
        large, small = s.select(is_larger, total, value), s.select(is_larger, value, total)
        lost = s.add(s.subtract(large, new), small)
        self._builder.store(s.add(self._get(self._rest), lost).value, self._rest)
        self._builder.store(new.value, self._total)
