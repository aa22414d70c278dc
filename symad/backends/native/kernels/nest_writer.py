"""What the writers of loop nests share: operands, numbers and accumulators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import KernelWriter, stored_type
from symad.backends.native.loop_nest import Nest, NestLayout
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.extremum import Max
from symad.ops.reduce import Sum

FIRST_SIZE = 5
"""The first words: first row, end of rows, part, length of a row, number of elements."""

UNROLLED = 4
"""The number of vectors per iteration of a loop limited by the latency of its reduction."""


class NestWriter(KernelWriter):
    """Writes the machine code of one nest.

    Attributes
    ----------
    nest : Nest
    layout : NestLayout
    vectors : LLVMScalarBuilder
        Writes arithmetic on vectors.
    """

    def __init__(self, nest: Nest, layout: NestLayout) -> None:
        super().__init__()
        self.nest, self.layout = nest, layout
        self._dims = max(len(layout.outer), layout.is_line)
        steps = self._dims * len(layout.reads) + sum(read.jumps for read in layout.reads)
        self._first_number = FIRST_SIZE + len(layout.outer) + steps
        self._values: dict[Node, Scalar] = {}
        self._steps: dict[int, Any] = {}
        self.scalars = LLVMScalarBuilder(self.builder, 0, nest.is_fast)
        self.vectors = LLVMScalarBuilder(self.builder, layout.lanes, nest.is_fast)
        self._memory: dict[np.dtype[Any], Vectors] = {}
        self._find_data()

    def _find_data(self) -> None:
        """Read the addresses of the operands."""
        nest, reads = self.nest, len(self.layout.reads)
        first = self._first_number + len(nest.numbers)
        self._sources = [self.address(first + k) for k in range(reads)]
        first += reads
        outputs = nest.body.outputs
        self._targets = {node: self.address(first + k) for k, node in enumerate(outputs)}
        first += len(outputs)
        self._stores = {node: self.address(first + k) for k, node in enumerate(nest.stored)}

    def _load_numbers(self) -> None:
        nest = self.nest
        for node in nest.body.nodes:
            if isinstance(node, Constant) and node not in nest.body.inputs:
                if node in nest.numbers:
                    word = self.place(self._first_number + nest.numbers.index(node))
                    self._values[node] = self.load(word, self.integer(0), node.dtype)
                else:
                    self._values[node] = self.scalars.constant(node.value.item(), node.dtype)

    def _start(self, pointer: Any, index: Any, dtype: np.dtype[Any]) -> Any:
        """Return the address of the element number ``index``."""
        return self.element(pointer, index, stored_type(dtype))

    def _source_rows(self, places: Sequence[Any]) -> Iterator[tuple[Any, list[Any]]]:
        """Yield for each read the offset at a place of the outer axes, and the steps along them.

        The steps of reads that jump are kept.
        """
        word = FIRST_SIZE + len(self.layout.outer)
        for k, read in enumerate(self.layout.reads):
            steps = self.words(word, self._dims)
            offset = self.integer(0)
            for place, step in zip(places, steps, strict=False):
                offset = self.builder.add(offset, self.builder.mul(place, step))
            word += self._dims
            if read.jumps:
                self._steps[k] = self.word(word)
                word += 1
            yield offset, steps

    def _outer_indices(self, row: Any, count: int) -> list[Any]:
        """Return the indices along the first ``count`` outer axes."""
        if count <= 1:
            return [row] * count
        places = []
        for axis in reversed(range(1, count)):
            size = self.word(FIRST_SIZE + axis)
            places.append(self.builder.urem(row, size))
            row = self.builder.udiv(row, size)
        return [row, *reversed(places)]

    def memory(self, dtype: np.dtype[Any]) -> Vectors:
        """Return the vector arithmetic for ``dtype``."""
        if dtype not in self._memory:
            self._memory[dtype] = Vectors(self, dtype, self.layout.lanes)
        return self._memory[dtype]


def compute(
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


def over_lanes(builder: LLVMScalarBuilder, node: Node, vector: Scalar) -> Scalar:
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


class Accumulator:
    """The accumulator of a reduction.

    Elements are accumulated in the lanes of several vectors, values per row in a scalar.  A sum of
    floats is compensated: the sum of each block is added to ``total``, and ``rest`` collects the
    rounding errors, in each lane.
    """

    def __init__(self, writer: NestWriter, node: Node, is_row: bool, is_wide: bool) -> None:
        self._writer, self._node, self._builder = writer, node, writer.builder
        self._is_row, self._is_wide = is_row, is_wide
        self._values = writer.vectors if self._is_wide else writer.scalars
        is_of_floats = isinstance(node.op, Sum) and node.dtype.kind == "f"
        self.is_compensated = is_of_floats and not writer.nest.is_fast
        self._identity = self._values.constant(identity_of(node).item(), node.dtype)
        places = [writer.variable(self._identity.value) for _ in range(2 + UNROLLED)]
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
        return over_lanes(self._values, self._node, whole)

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
