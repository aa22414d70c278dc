"""The machine code of reductions along axes that are not the last."""

from __future__ import annotations

from typing import Any

from symad.backends.native.kernels.loops import ADDED
from symad.backends.native.kernels.nest_writer import combine, identity_of
from symad.backends.native.kernels.vectors import MOST_APART, Vectors, lanes_of
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar
from symad.graph.node import Node

_AT_ONCE = 4
"""The number of vectors that are reduced together."""
FIRST_AXIS = 8
"""The word where the outer axes begin."""


def columns_kernel(node: Node, step: int) -> Kernel:
    """Return the kernel of a sum, maximum or minimum over one or two axes.

    Words: source, target; size and step of both reduced axes; the size of the last axis, and its
    step in the source, which is part of the code if it is small; the outer axes of both.  Results
    are contiguous along the last axis.

    Terms are added up by blocks, and the sums of the blocks afterwards, which loses fewer digits.
    """
    known = step if 1 <= step <= MOST_APART else 0
    name = f"{type(node.op).__name__} columns {node.inputs[0].dtype.str} {node.dtype.str} {known}"
    return kernel(name, lambda writer: _Columns(writer, node, known).write())


class _Columns:
    def __init__(self, writer: KernelWriter, node: Node, step: int) -> None:
        self._writer, self._node, self._step = writer, node, step
        dtypes = node.inputs[0].dtype, node.dtype
        self._lanes = lanes_of(*dtypes)
        self._from, self._to = (Vectors(writer, dtype, self._lanes) for dtype in dtypes)
        self._values = LLVMScalarBuilder(writer.builder, self._lanes)
        self._nothing = self._values.constant(identity_of(node).item(), node.dtype)
        self._totals = [writer.variable(self._nothing.value) for _ in range(_AT_ONCE)]

    def write(self) -> None:
        """Write the loops."""
        writer, builder, lanes = self._writer, self._writer.builder, self._lanes
        size = writer.word(6)
        whole = builder.and_(size, writer.integer(-lanes * _AT_ONCE))
        with writer.walk(FIRST_AXIS, 2) as offsets:
            source, target = (
                writer.element(writer.address(k), offset, vectors.item)
                for k, (offset, vectors) in enumerate(
                    zip(offsets, (self._from, self._to), strict=True)
                )
            )
            with writer.loop(writer.integer(0), writer.word(2), ADDED) as begin:
                end = writer.minimum(builder.add(begin, writer.integer(ADDED)), writer.word(2))
                with writer.loop(writer.integer(0), whole, lanes * _AT_ONCE) as index:
                    self._block(source, target, (begin, end), index, _AT_ONCE, None)
                with writer.loop(whole, size, lanes) as index:
                    mask = self._from.mask(builder.sub(size, index))
                    self._block(source, target, (begin, end), index, 1, mask)

    def _block(
        self, source: Any, target: Any, rows: tuple[Any, Any], index: Any, count: int, mask: Any
    ) -> None:
        """Reduce some rows at so many vectors of columns."""
        writer, builder = self._writer, self._writer.builder
        totals = self._totals[:count]
        for total in totals:
            builder.store(self._nothing.value, total)
        step, number, other = writer.words(3, 3)
        with writer.loop(*rows) as row, writer.loop(writer.integer(0), number) as place:
            offset = builder.add(builder.mul(row, step), builder.mul(place, other))
            line = writer.element(source, offset, self._from.item)
            for k, total in enumerate(totals):
                column = builder.add(index, writer.integer(k * self._lanes))
                element = self._values.cast(self._element(line, column, mask), self._node.dtype)
                so_far = writer.scalar(total, self._node.dtype)
                builder.store(combine(self._values, self._node, so_far, element).value, total)
        with builder.if_then(builder.icmp_signed("!=", rows[0], writer.integer(0))):
            for k, total in enumerate(totals):
                column = builder.add(index, writer.integer(k * self._lanes))
                before = self._to.read(target, column, mask)
                so_far = writer.scalar(total, self._node.dtype)
                builder.store(combine(self._values, self._node, before, so_far).value, total)
        for k, total in enumerate(totals):
            column = builder.add(index, writer.integer(k * self._lanes))
            self._to.write(writer.scalar(total, self._node.dtype), target, column, mask)

    def _element(self, line: Any, column: Any, mask: Any) -> Scalar:
        if self._step == 1:
            return self._from.read(line, column, mask)
        if self._step:
            found = self._from.load_every(self._step, line, column, mask)
            return Scalar(found, self._from.dtype)
        step = self._writer.word(7)
        begin = self._writer.element(
            line, self._writer.builder.mul(column, step), self._from.item
        )
        return Scalar(self._from.gather(begin, self._from.numbers(step), mask), self._from.dtype)
