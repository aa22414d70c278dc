"""The machine code of fused loop nests, by LLVM.

LLVM turns inner loops into vector code, with the vector functions of the C library.  Sizes, strides
and numbers come in at run time, so that one machine code serves all batch sizes; it is kept by the
structure of the nest.

Sums are made in blocks of 512 elements, each in several accumulators; the sums of the blocks are
added with Neumaier's compensation.  The error is smaller than that of NumPy's pairwise summation.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.nest import Kind, Layout, Nest
from symad.backends.native.scalars import (
    LLVMScalarBuilder,
    Scalar,
    element,
    keep_vector_functions,
    llvm_type,
)
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.extremum import Max
from symad.ops.reduce import Reduction, Sum

BLOCK = 512
"""How many elements are summed without compensation."""

_KEPT = 1024
"""How many machine codes are kept."""


@dataclass(frozen=True, slots=True)
class LoopCode:
    """The machine code of a nest, for any sizes.

    Its one argument is the address of an array of 8-byte words: the range of rows to do, the number
    of this part among all parts, the row's length, the number of elements; the sizes of the outer
    axes; the steps along them for each read; the numbers; and the addresses of NumPy arrays: one
    for each read and each output, then one for the values that are stored between stages.

    """

    module: jit.CompiledModule
    address: int


_codes: OrderedDict[Any, LoopCode] = OrderedDict()
_lock = threading.Lock()
jit.hold_in_forks(_lock)


def loop_code(nest: Nest, layout: Layout) -> LoopCode:
    """Return the machine code of a nest; that of another with the same structure will do."""
    key = structure_of(nest, layout)
    with _lock:
        code = _codes.get(key)
        if code is not None:
            _codes.move_to_end(key)
            return code
    module = jit.compile_module(loop_text(nest, layout), "fused loops")
    code = LoopCode(module, module.address("nest"))
    with _lock:
        _codes[key] = code
        if len(_codes) > _KEPT:
            _codes.popitem(last=False)
    return code


def loop_text(nest: Nest, layout: Layout) -> str:
    """Return the LLVM text of a nest, as it is before optimisation."""
    return str(_Writer(nest, layout).module())


def structure_of(nest: Nest, layout: Layout) -> Any:
    """Return what the machine code of a nest depends on: everything but sizes and numbers."""
    index: dict[Node, int] = {}
    steps: list[Any] = []
    for node in nest.body.nodes:
        index[node] = len(index)
        if node in nest.kinds:
            kind, op = nest.kinds[node], node.op
            same = op if isinstance(op, PerElement) else type(op)
            sources = tuple(index[source] for source in node.inputs)
            read = tuple(layout.read_of.get((node, source)) for source in node.inputs)
            steps.append((same, kind, node.dtype, sources, read))
        elif isinstance(node, Constant) and node not in nest.numbers:
            steps.append((node.dtype, repr(node.value.item())))
        else:
            steps.append(node.dtype)
    reads = tuple((read.slot, read.inner) for read in layout.reads)
    outputs = tuple(index[node] for node in nest.body.outputs)
    return layout.is_line, len(layout.outer), reads, outputs, tuple(steps)


_DATA = object.__basicsize__
"""How many bytes into an array object the address of its data stands."""
_FIRST_SIZE = 5
"""The words before: first row, end of rows, part, length of a row, number of elements."""


class _Writer:
    """Writes the LLVM module of one nest: ``nest``, which fetches addresses, and ``rows``."""

    def __init__(self, nest: Nest, layout: Layout) -> None:
        from llvmlite import ir

        self._ir = ir
        self._nest, self._layout = nest, layout
        self._module = ir.Module("nest")
        self._word, self._pointer = ir.IntType(64), ir.PointerType()
        self._dims = max(len(layout.outer), layout.is_line)
        self._first_number = _FIRST_SIZE + len(layout.outer) + self._dims * len(layout.reads)
        self._first_array = self._first_number + len(nest.numbers)
        self._arrays = len(layout.reads) + len(nest.body.outputs) + len(nest.stored)
        self._values: dict[Node, Scalar] = {}
        self._read_values: dict[int, Scalar] = {}

    def module(self) -> Any:
        """Return the finished module."""
        rows = self._declare("rows", 1 + self._arrays)
        rows.linkage = "internal"
        set.update(rows.attributes, ("noinline", "nounwind"))
        for argument in rows.args:
            set.update(argument.attributes, ("noalias", "nocapture"))
        self._write_entry(self._declare("nest", 1), rows)
        self._words, *pointers = rows.args
        reads, outputs = len(self._layout.reads), len(self._nest.body.outputs)
        self._sources = pointers[:reads]
        self._targets = dict(
            zip(self._nest.body.outputs, pointers[reads : reads + outputs], strict=True)
        )
        self._stores = dict(zip(self._nest.stored, pointers[reads + outputs :], strict=True))
        self.builder = self._ir.IRBuilder(rows.append_basic_block())
        self.scalars = LLVMScalarBuilder(self.builder, vectorise=True)
        self._write_rows()
        self.builder.ret_void()
        keep_vector_functions(self._module)
        return self._module

    def _declare(self, name: str, arguments: int) -> Any:
        signature = self._ir.FunctionType(self._ir.VoidType(), [self._pointer] * arguments)
        return self._ir.Function(self._module, signature, name)

    def _write_entry(self, entry: Any, rows: Any) -> None:
        """Fetch the data pointers out of the array objects, whose layout is public."""
        self.builder = builder = self._ir.IRBuilder(entry.append_basic_block())
        (self._words,) = entry.args
        offset = self._integer(_DATA)
        data = []
        for k in range(self._first_array, self._first_array + self._arrays):
            array = builder.inttoptr(self._load_word(k), self._pointer)
            field = builder.gep(array, [offset], source_etype=self._ir.IntType(8))
            data.append(builder.load(field, typ=self._pointer))
        builder.call(rows, [self._words, *data])
        builder.ret_void()

    # Words and memory

    def _integer(self, value: int) -> Any:
        return self._word(value)

    def _place(self, pointer: Any, index: Any, dtype: np.dtype[Any]) -> Any:
        return self.builder.gep(pointer, [index], source_etype=self._stored_type(dtype))

    def _stored_type(self, dtype: np.dtype[Any]) -> Any:
        return self._ir.IntType(8) if dtype.kind == "b" else llvm_type(dtype)

    def _load(self, pointer: Any, index: Any, dtype: np.dtype[Any]) -> Scalar:
        place = self._place(pointer, index, dtype)
        value = self.builder.load(place, typ=self._stored_type(dtype))
        if dtype.kind == "b":
            value = self.builder.icmp_unsigned("!=", value, value.type(0))
        return Scalar(value, dtype)

    def _store(self, value: Scalar, pointer: Any, index: Any) -> None:
        number = value.value
        if value.dtype.kind == "b":
            number = self.builder.zext(number, self._ir.IntType(8))
        self.builder.store(number, self._place(pointer, index, value.dtype))

    def _load_word(self, k: int) -> Any:
        place = self.builder.gep(self._words, [self._integer(k)], source_etype=self._word)
        return self.builder.load(place, typ=self._word)

    def _load_number(self, k: int, dtype: np.dtype[Any]) -> Scalar:
        place = self.builder.gep(self._words, [self._integer(k)], source_etype=self._word)
        return Scalar(self.builder.load(place, typ=llvm_type(dtype)), dtype)

    def variable(self, type_: Any) -> Any:
        """Return memory on the stack, which LLVM turns into a register."""
        with self.builder.goto_entry_block():
            return self.builder.alloca(type_)

    # Loops

    @contextmanager
    def _loop(self, start: Any, end: Any) -> Iterator[Any]:
        """Repeat what is written inside for each index from ``start`` up to ``end``."""
        builder = self.builder
        counter = self.variable(self._word)
        builder.store(start, counter)
        head, body, done = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.load(counter)
        builder.cbranch(builder.icmp_signed("<", index, end), body, done)
        builder.position_at_end(body)
        yield index
        builder.store(builder.add(index, self._integer(1)), counter)
        builder.branch(head)
        builder.position_at_end(done)

    def _minimum(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def _write_rows(self) -> None:
        nest = self._nest
        begin, end, self._part, self._row, elements = map(self._load_word, range(_FIRST_SIZE))
        self._load_numbers()
        reduced = [node for node in nest.computed if isinstance(node.op, Reduction)]
        self._sums = {
            node: _Accumulator(self, node)
            for node in reduced
            if nest.kinds[node] is not Kind.COLUMN
        }
        totals = [node for node in reduced if nest.kinds[node] is Kind.TOTAL]
        for node in totals:
            self._sums[node].reset()
        with self._loop(begin, end) as row:
            self._length = self._row
            if self._layout.is_line:
                rest = self.builder.sub(elements, self.builder.mul(row, self._row))
                self._length = self._minimum(self._row, rest)
            self._write_row(row)
        for node in totals:
            self._store(self._sums[node].result(), self._targets[node], self._part)

    def _load_numbers(self) -> None:
        nest = self._nest
        for node in nest.body.nodes:
            if isinstance(node, Constant) and node not in nest.body.inputs:
                if node in nest.numbers:
                    word = self._first_number + nest.numbers.index(node)
                    self._values[node] = self._load_number(word, node.dtype)
                else:
                    self._values[node] = self.scalars.constant(node.value.item(), node.dtype)

    def _write_row(self, row: Any) -> None:
        nest = self._nest
        self._open_row(row)
        for node, accumulator in self._sums.items():
            if nest.kinds[node] is Kind.ROW:
                accumulator.reset()
        for stage in range(nest.stages + 1):
            for node in nest.computed:
                if nest.stage[node] == stage and not nest.is_made_in_loop(node):
                    self._write_row_value(node)
            if stage < nest.stages and nest.loops[stage]:
                self._write_stage(stage)
        for node in nest.body.outputs:
            if nest.kinds[node] is Kind.ROW:
                self._store(self._values[node], self._targets[node], row)

    def _open_row(self, row: Any) -> None:
        """Find where the row starts in each operand, and read what has one value for the row."""
        builder, nest = self.builder, self._nest
        places = self._outer_indices(row)
        self._row_sources = []
        word = _FIRST_SIZE + len(self._layout.outer)
        for k, read in enumerate(self._layout.reads):
            offset = self._integer(0)
            for place in places:
                offset = builder.add(offset, builder.mul(place, self._load_word(word)))
                word += 1
            dtype = nest.body.inputs[read.slot].dtype
            start = self._place(self._sources[k], offset, dtype)
            self._row_sources.append(start)
            if not read.inner:
                self._read_values[k] = self._load(start, self._integer(0), dtype)
        begin = builder.mul(row, self._row)
        self._row_targets = {
            node: self._place(self._targets[node], begin, node.dtype)
            for node in nest.body.outputs
            if nest.kinds[node] is Kind.FULL
        }
        begin = builder.mul(self._part, self._row)
        shared = {n: p for n, p in self._targets.items() if nest.kinds[n] is Kind.COLUMN}
        for node, pointer in (self._stores | shared).items():
            self._row_targets.setdefault(node, self._place(pointer, begin, node.dtype))

    def _outer_indices(self, row: Any) -> list[Any]:
        """Return the indices along the outer axes."""
        if self._dims <= 1:
            return [row] * self._dims
        places = []
        for axis in reversed(range(1, self._dims)):
            size = self._load_word(_FIRST_SIZE + axis)
            places.append(self.builder.urem(row, size))
            row = self.builder.udiv(row, size)
        return [row, *reversed(places)]

    def _write_row_value(self, node: Node) -> None:
        """Make a value per row from other such values."""
        if node in self._sums:
            (source,) = node.inputs
            self._sums[node].add_alone(self._value(node, source))
            return
        self._values[node] = self._compute(node, self._value)

    def _compute(self, node: Node, value: Callable[[Node, Node], Scalar]) -> Scalar:
        operands = [value(node, source) for source in node.inputs]
        if not isinstance(node.op, PerElement):
            return operands[0]  # another shape of the same numbers
        made: Scalar = element(self.scalars, node.op, operands, node.dtype)
        return made

    def _value(self, user: Node, source: Node) -> Scalar:
        """Return a value that does not change within the row."""
        found = self._values.get(source)
        return self._read_values[self._layout.read_of[user, source]] if found is None else found

    # Stages

    def _write_stage(self, stage: int) -> None:
        nest = self._nest
        sums = [self._sums[node] for node in nest.loops[stage] if node in self._sums]
        if not any(accumulator.is_compensated for accumulator in sums):
            self._write_elements(stage, self._integer(0), self._length)
        else:
            builder, size = self.builder, self._integer(BLOCK)
            blocks = builder.udiv(builder.add(self._length, self._integer(BLOCK - 1)), size)
            with self._loop(self._integer(0), blocks) as block:
                begin = builder.mul(block, size)
                end = self._minimum(builder.add(begin, size), self._length)
                self._write_elements(stage, begin, end)
                for accumulator in sums:
                    accumulator.flush()
        for node in nest.loops[stage]:
            if nest.kinds[node] is Kind.ROW:
                self._values[node] = self._sums[node].result()

    def _write_elements(self, stage: int, begin: Any, end: Any) -> None:
        nest = self._nest
        with self._loop(begin, end) as index:
            made = _Elements(self, index)
            for node in nest.loops[stage]:
                if isinstance(node.op, Reduction):
                    self._reduce(node, made(node, node.inputs[0]), index)
                    continue
                value = made.values[node] = self._compute(node, made)
                if node in self._row_targets and nest.stage[node] == stage:
                    self._store(value, self._row_targets[node], index)

    def _reduce(self, node: Node, value: Scalar, index: Any) -> None:
        if node in self._sums:
            self._sums[node].add(value)
            return
        target = self._row_targets[node]
        so_far = self._load(target, index, node.dtype)
        cast = self.scalars.cast(value, node.dtype)
        self._store(combine(self.scalars, node, so_far, cast), target, index)

    def read_of(self, user: Node, source: Node, default: Any) -> Any:
        """Return which read of the nest ``user`` gets ``source`` by."""
        return self._layout.read_of.get((user, source), default)

    def element_of(self, user: Node, source: Node, index: Any) -> Scalar:
        """Return an element that the present stage does not make."""
        nest = self._nest
        if nest.is_computed(source, Kind.FULL):
            return self._load(self._row_targets[source], index, source.dtype)
        k = self.read_of(user, source, None)
        if k is not None and self._layout.reads[k].inner:
            return self._load(self._row_sources[k], index, source.dtype)
        return self._value(user, source)


class _Elements:
    """The values of one element in one stage."""

    def __init__(self, writer: _Writer, index: Any) -> None:
        self.values: dict[Any, Scalar] = {}
        self._writer, self._index = writer, index

    def __call__(self, user: Node, source: Node) -> Scalar:
        """Return the value that ``user`` reads of ``source``."""
        key = self._writer.read_of(user, source, source)
        if key not in self.values:
            self.values[key] = self._writer.element_of(user, source, self._index)
        return self.values[key]


def combine(builder: LLVMScalarBuilder, node: Node, x: Scalar, y: Scalar) -> Scalar:
    """Return the reduction ``node`` of two values; NaN if one is NaN."""
    if isinstance(node.op, Sum):
        return builder.add(x, y)
    is_max = isinstance(node.op, Max)
    if x.dtype.kind == "b":
        return builder.logical_or(x, y) if is_max else builder.logical_and(x, y)
    if x.dtype.kind == "f":
        return _extremum(builder.builder, "maximum" if is_max else "minimum", x, y)
    return builder.select(builder.less(x, y), *((y, x) if is_max else (x, y)))


def _extremum(builder: Any, function: str, x: Scalar, y: Scalar) -> Scalar:
    """Either zero may be taken where both signs tie, as in NumPy."""
    from llvmlite import ir

    type_ = x.value.type
    signature = ir.FunctionType(type_, [type_, type_])
    called = builder.module.declare_intrinsic(f"llvm.{function}", [type_], signature)
    return Scalar(builder.call(called, [x.value, y.value], fastmath=("nsz",)), x.dtype)


def identity_of(node: Node) -> Any:
    """Return the value that changes nothing when a reduction meets it."""
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
    """What a reduction has come to so far.

    A sum of floats is compensated: ``rest`` collects what rounding took from ``total`` each time
    the sum of a block was added to it.
    """

    def __init__(self, writer: _Writer, node: Node) -> None:
        self.is_compensated = isinstance(node.op, Sum) and node.dtype.kind == "f"
        self._node = node
        self._scalars, self._builder = writer.scalars, writer.builder
        type_ = llvm_type(node.dtype)
        self._total, self._rest, self._block = (writer.variable(type_) for _ in range(3))

    def reset(self) -> None:
        """Start again."""
        identity = self._scalars.constant(identity_of(self._node).item(), self._node.dtype)
        for place in (self._total, self._rest, self._block):
            self._builder.store(identity.value, place)

    def add(self, element: Scalar) -> None:
        """Take in one element of the present block, in any order."""
        element = self._scalars.cast(element, self._node.dtype)
        if not self.is_compensated:
            total = combine(self._scalars, self._node, self._get(self._total), element)
            self._builder.store(total.value, self._total)
            return
        # Free to reassociate, LLVM adds with vectors, in several accumulators.
        so_far = self._get(self._block).value
        added = self._builder.fadd(so_far, element.value, flags=("reassoc",))
        self._builder.store(added, self._block)

    def flush(self) -> None:
        """Take in the sum of the present block, and start another."""
        if self.is_compensated:
            self._add_compensated(self._get(self._block))
            zero = self._scalars.constant(0, self._node.dtype)
            self._builder.store(zero.value, self._block)

    def add_alone(self, value: Scalar) -> None:
        """Take in one value."""
        if self.is_compensated:
            self._add_compensated(value)
        else:
            self.add(value)

    def result(self) -> Scalar:
        """Return the whole; where infinities spoilt the compensation, without it."""
        total = self._get(self._total)
        if not self.is_compensated:
            return total
        rest = self._get(self._rest)
        valid = self._scalars.equal(rest, rest)
        return self._scalars.select(valid, self._scalars.add(total, rest), total)

    def _get(self, place: Any) -> Scalar:
        return Scalar(self._builder.load(place), self._node.dtype)

    def _add_compensated(self, value: Scalar) -> None:
        """Add by Neumaier's method: s ← s + v, and c ← c + what s + v lost of the smaller."""
        s = self._scalars
        total = self._get(self._total)
        new = s.add(total, value)
        is_larger = s.less_equal(s.call("fabs", value), s.call("fabs", total))
        large, small = s.select(is_larger, total, value), s.select(is_larger, value, total)
        lost = s.add(s.subtract(large, new), small)
        self._builder.store(s.add(self._get(self._rest), lost).value, self._rest)
        self._builder.store(new.value, self._total)
