"""Arithmetic on vectors as LLVM instructions, with masks for incomplete vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.backends.native.jit import vector_unit
from symad.backends.native.kernels.writer import KernelWriter, stored_type
from symad.backends.native.scalar_builder import Scalar

MOST_APART = 4
"""Elements further apart are gathered one by one, not shuffled from all between them."""


def gathers(dtype: np.dtype[Any]) -> bool:
    """Return whether the processor reads elements of this size at several places at once."""
    unit = vector_unit()
    return unit.bits >= 256 and unit.letter in ("d", "e") and dtype.itemsize in (4, 8)


def lanes_of(*dtypes: np.dtype[Any]) -> int:
    """Return the number of elements of the widest dtype in a register."""
    return vector_unit().bits // (8 * max(dtype.itemsize for dtype in dtypes))


class Vectors:
    """Writes arithmetic on vectors of one dtype, by default of the width of a register."""

    def __init__(self, writer: KernelWriter, dtype: np.dtype[Any], lanes: int = 0) -> None:
        from symad.backends.native import ir

        self._ir = ir
        self.writer, self.builder, self.dtype = writer, writer.builder, dtype
        self.lanes = lanes or lanes_of(dtype)
        self.item = stored_type(dtype)
        self.type = ir.VectorType(self.item, self.lanes)
        letter = "f" if dtype.kind == "f" else "i"
        self._suffix = f"v{self.lanes}{letter}{8 * dtype.itemsize}"

    def zero(self) -> Any:
        """Return a vector of zeros."""
        return self._ir.Constant(self.type, None)

    def mask(self, count: Any, first: int = 0) -> Any:
        """Return the mask of used lanes if only ``count`` elements are left from ``-first`` on."""
        lanes = self.numbers()
        if first:
            lanes = self.builder.add(lanes, self.spread_word(lanes.type.element(first)))
        return self.builder.icmp_unsigned("<", lanes, self._splat(count, lanes.type))

    def picked(self, vectors: Sequence[Any], places: Sequence[int]) -> Any:
        """Return a vector of the elements at known places of vectors that follow one another."""
        sources = sorted({place // self.lanes for place in places})
        made = vectors[sources[0]]
        for source in sources[1:] or sources:
            order = [
                self.lanes + place % self.lanes
                if place // self.lanes == source
                else place % self.lanes
                if source == sources[1] and place // self.lanes == sources[0]
                else lane
                for lane, place in enumerate(places)
            ]
            made = self.chosen(made, vectors[source], order)
        return made

    def over(self, size: Any, write: Callable[[Any, Any], None]) -> None:
        """Write code for so many elements: ``write`` takes the number of the first of a vector, and
        ``None`` if all lanes are used, else how many are left.
        """
        builder, zero = self.builder, self.writer.integer(0)
        whole = builder.and_(size, self.writer.integer(-self.lanes))
        with self.writer.loop(zero, whole, self.lanes) as index:
            write(index, None)
        with builder.if_then(builder.icmp_signed("<", whole, size)):
            write(whole, builder.sub(size, whole))

    def lane_mask(self, first: int, count: int) -> Any:
        """Return the mask of ``count`` lanes from ``first`` on, or ``None`` for all lanes."""
        if count == self.lanes:
            return None
        bit = self._ir.IntType(1)
        lanes = [bit(first <= lane < first + count) for lane in range(self.lanes)]
        return self._ir.Constant(self._ir.VectorType(bit, self.lanes), lanes)

    def load(self, pointer: Any, index: Any, mask: Any = None) -> Any:
        """Return a vector from memory; with a mask, unused lanes are zero."""
        place = self.writer.element(pointer, index, self.item)
        align = self.dtype.itemsize
        if mask is None:
            return self.builder.load(place, align=align, typ=self.type)
        name = f"llvm.masked.load.{self._suffix}.p0"
        arguments = [place, self._ir.IntType(32)(align), mask, self.zero()]
        return self.builder.call(self._declare(name, self.type, arguments), arguments)

    def store(self, vector: Any, pointer: Any, index: Any, mask: Any = None) -> None:
        """Write a vector to memory; with a mask, only the used lanes."""
        place = self.writer.element(pointer, index, self.item)
        align = self.dtype.itemsize
        if mask is None:
            self.builder.store(vector, place, align=align)
            return
        name = f"llvm.masked.store.{self._suffix}.p0"
        arguments = [vector, place, self._ir.IntType(32)(align), mask]
        self.builder.call(self._declare(name, self._ir.VoidType(), arguments), arguments)

    def read(self, pointer: Any, index: Any, mask: Any = None) -> Scalar:
        """Return elements from memory, where a boolean takes a byte."""
        value = self.load(pointer, index, mask)
        if self.dtype.kind == "b":
            value = self.builder.icmp_unsigned("!=", value, self.zero())
        return Scalar(value, self.dtype)

    def write(self, value: Scalar, pointer: Any, index: Any, mask: Any = None) -> None:
        """Write elements to memory."""
        vector = value.value
        if self.dtype.kind == "b":
            vector = self.builder.zext(vector, self.type)
        self.store(vector, pointer, index, mask)

    def load_back(self, pointer: Any, index: Any, mask: Any = None) -> Any:
        """Return a vector of elements that lie backwards, ``index`` elements before ``pointer``."""
        back = self._lane(self.lanes - 1).type
        order = self._ir.Constant(
            self._ir.VectorType(back, self.lanes), [back(k) for k in reversed(range(self.lanes))]
        )
        first = self.builder.sub(index.type(1 - self.lanes), index)
        used = None if mask is None else self.builder.shuffle_vector(mask, mask, order)
        found = self.load(pointer, first, used)
        return self.builder.shuffle_vector(found, found, order)

    def load_apart(self, pointer: Any, places: Sequence[Any]) -> Any:
        """Return the elements at places, read one by one: as quick as a gather, or quicker."""
        addresses = (self.writer.element(pointer, place, self.item) for place in places)
        return self.of_elements([self.builder.load(a, typ=self.item) for a in addresses])

    def load_every(self, step: int, pointer: Any, index: Any, mask: Any = None) -> Any:
        """Return elements so many apart, of which the first has number ``index`` times ``step``."""
        begin = self.writer.element(
            pointer, self.builder.mul(index, index.type(step)), self.item
        )
        if mask is not None or step > MOST_APART:
            return self.gather(begin, self.numbers(index.type(step)), mask)
        last = self.lane_mask(0, self.lanes - step + 1)  # there may be no memory behind it
        found = [
            self.load(begin, index.type(k * self.lanes), last if k == step - 1 else None)
            for k in range(step)
        ]
        return self.picked(found, range(0, self.lanes * step, step))

    def gather(self, pointer: Any, places: Any, mask: Any = None) -> Any:
        """Return the elements at a vector of places; with a mask, unused lanes are zero."""
        name = f"llvm.masked.gather.{self._suffix}.v{self.lanes}p0"
        arguments = [*self._at_places(pointer, places, mask), self.zero()]
        return self.builder.call(self._declare(name, self.type, arguments), arguments)

    def scatter(self, vector: Any, pointer: Any, places: Any, mask: Any = None) -> None:
        """Write the elements to a vector of places; with a mask, only the used lanes."""
        name = f"llvm.masked.scatter.{self._suffix}.v{self.lanes}p0"
        arguments = [vector, *self._at_places(pointer, places, mask)]
        self.builder.call(self._declare(name, self._ir.VoidType(), arguments), arguments)

    def _at_places(self, pointer: Any, places: Any, mask: Any) -> list[Any]:
        """Return addresses, their alignment and the mask."""
        words = places.type
        begin = self._splat(self.builder.ptrtoint(pointer, words.element), words)
        size = self._ir.Constant(words, [words.element(self.dtype.itemsize)] * self.lanes)
        addresses = self.builder.add(begin, self.builder.mul(places, size))
        pointers = self._ir.VectorType(self._ir.PointerType(), self.lanes)
        if mask is None:
            bit = self._ir.IntType(1)
            mask = self._ir.Constant(self._ir.VectorType(bit, self.lanes), [bit(1)] * self.lanes)
        align = self._ir.IntType(32)(self.dtype.itemsize)
        return [self.builder.inttoptr(addresses, pointers), align, mask]

    def numbers(self, step: Any = None) -> Any:
        """Return the numbers of the lanes as 64-bit integers, times ``step``."""
        word = self._ir.IntType(64)
        type_ = self._ir.VectorType(word, self.lanes)
        lanes = self._ir.Constant(type_, [word(lane) for lane in range(self.lanes)])
        return lanes if step is None else self.builder.mul(lanes, self._splat(step, type_))

    def repeat(self, pointer: Any, index: Any) -> Any:
        """Return a vector with one element from memory in all lanes."""
        place = self.writer.element(pointer, index, self.item)
        return self.spread(self.builder.load(place, typ=self.item))

    def spread_word(self, value: Any) -> Any:
        """Return a vector with one 64-bit integer in all lanes."""
        return self._splat(value, self._ir.VectorType(self._ir.IntType(64), self.lanes))

    def spread(self, value: Any) -> Any:
        """Return a vector with one value in all lanes."""
        return self._splat(value, self.type)

    def of_elements(self, values: Sequence[Any], first: int = 0) -> Any:
        """Return a vector with values in the lanes from ``first`` on, and zeros in the others."""
        vector = self.zero()
        for lane, value in enumerate(values, first):
            vector = self.builder.insert_element(vector, value, self._lane(lane))
        return vector

    def with_element(self, vector: Any, lane: int, value: Any) -> Any:
        """Return a vector with another value in one lane."""
        return self.builder.insert_element(vector, value, self._lane(lane))

    def merged(self, x: Any, y: Any, count: int) -> Any:
        """Return a vector with the first ``count`` lanes of ``x`` and the others of ``y``."""
        return self.builder.select(self.lane_mask(0, count), x, y)

    def exchanged(self, x: Any, y: Any, width: int) -> tuple[Any, Any]:
        """Exchange every second group of so many lanes of ``x`` for the one before of ``y``.
        """
        lanes = [(lane & width, lane) for lane in range(self.lanes)]
        x_made = [self.lanes + lane - width if odd else lane for odd, lane in lanes]
        y_made = [self.lanes + lane if odd else lane + width for odd, lane in lanes]
        return self.chosen(x, y, x_made), self.chosen(x, y, y_made)

    def chosen(self, x: Any, y: Any, lanes: Sequence[int]) -> Any:
        """Return a vector of the given lanes of ``x``, followed by ``y``."""
        number = self._ir.IntType(32)
        type_ = self._ir.VectorType(number, len(lanes))
        order = self._ir.Constant(type_, [number(lane) for lane in lanes])
        return self.builder.shuffle_vector(x, y, order)

    def element(self, vector: Any, lane: int) -> Any:
        """Return the value in one lane."""
        return self.builder.extract_element(vector, self._lane(lane))

    def _lane(self, lane: int) -> Any:
        return self._ir.IntType(32)(lane)

    def multiply(self, x: Any, y: Any) -> Any:
        """Return x y of floats."""
        return self.builder.fmul(x, y)

    def multiply_add(self, x: Any, y: Any, total: Any) -> Any:
        """Return x y + total: floats are rounded once if possible; booleans use and, or."""
        if self.dtype.kind == "f":
            arguments = [x, y, total]
            fused = self._declare(f"llvm.fmuladd.{self._suffix}", self.type, arguments)
            return self.builder.call(fused, arguments)
        if self.dtype.kind == "b":
            return self.builder.or_(self.builder.and_(x, y), total)
        return self.builder.add(self.builder.mul(x, y), total)

    def add(self, x: Any, y: Any) -> Any:
        """Return x + y; for booleans, x or y."""
        names = {"f": "fadd", "b": "or_"}
        return getattr(self.builder, names.get(self.dtype.kind, "add"))(x, y)

    def total(self, vector: Any) -> Any:
        """Return the sum of the lanes."""
        if self.dtype.kind == "f":
            arguments = [self.item(-0.0), vector]
            name = f"llvm.vector.reduce.fadd.{self._suffix}"
            added = self._declare(name, self.item, arguments)
            return self.builder.call(added, arguments, fastmath=("reassoc",))
        operation = "or" if self.dtype.kind == "b" else "add"
        name = f"llvm.vector.reduce.{operation}.{self._suffix}"
        return self.builder.call(self._declare(name, self.item, [vector]), [vector])

    def totals(self, vectors: Sequence[Any]) -> Any:
        """Return the vector of the sums of the lanes of as many vectors as there are lanes.

        Sums of neighbouring lanes are added until there is one for each vector.
        """
        number = self._ir.IntType(32)
        masks = [
            self._ir.Constant(
                self._ir.VectorType(number, self.lanes),
                [number(2 * lane + odd) for lane in range(self.lanes)],
            )
            for odd in (0, 1)
        ]
        while len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [
                self.add(*(self.builder.shuffle_vector(x, y, mask) for mask in masks))
                for x, y in pairs
            ]
        return vectors[0]

    def _splat(self, value: Any, type_: Any) -> Any:
        undefined = self._ir.Constant(type_, self._ir.Undefined)
        first = self._ir.IntType(32)(0)
        single = self.builder.insert_element(undefined, value, first)
        zeros = self._ir.Constant(self._ir.VectorType(self._ir.IntType(32), self.lanes), None)
        return self.builder.shuffle_vector(single, undefined, zeros)

    def _declare(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        module = self.builder.module
        if name in module.globals:
            return module.globals[name]
        signature = self._ir.FunctionType(result, [argument.type for argument in arguments])
        return self._ir.Function(module, signature, name)
