"""The machine code of transposed copies, by square blocks that are transposed in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.backends.native.jit import Effort, vector_unit
from symad.backends.native.kernels.vectors import Vectors
from symad.backends.native.kernels.writer import Kernel, KernelWriter, kernel

_MOST_LANES = 16
BAND = 256
"""The number of lines of the source that are read together: each gives a cache line at a time."""


def block_of(size: int) -> int:
    """Return the rows of a block of elements with so many bytes."""
    return min(_MOST_LANES, vector_unit().bits // (8 * size))


def transposition_kernel(size: int) -> Kernel:
    """Return the kernel that copies the transposes of matrices of elements with so many bytes.

    Rows and columns are at least :func:`block_of` many: the last block of a line overlaps the one
    before.  Words: source, target, the rows of the source, its columns, its step from row to row,
    that of the target; the outer axes of both.
    """
    dtype = np.dtype(f"u{size}")
    return kernel(f"transpose {size}", lambda writer: _write(writer, dtype), Effort.QUICK)


def _write(writer: KernelWriter, dtype: np.dtype[Any]) -> None:
    builder, vectors = writer.builder, Vectors(writer, dtype, block_of(dtype.itemsize))
    block, zero = vectors.lanes, writer.integer(0)
    rows, columns, source_step, target_step = writer.words(2, 4)
    last_row, last_column = (
        builder.sub(count, writer.integer(block)) for count in (rows, columns)
    )
    with writer.walk(6, 2) as offsets:
        source, target = (
            writer.element(writer.address(k), offset, vectors.item)
            for k, offset in enumerate(offsets)
        )
        with writer.loop(zero, rows, BAND) as band:
            end = writer.minimum(builder.add(band, writer.integer(BAND)), rows)
            with writer.loop(zero, columns, block) as left:
                column = writer.minimum(left, last_column)
                with writer.loop(band, end, block) as top:
                    row = writer.minimum(top, last_row)
                    lines = [builder.add(row, writer.integer(k)) for k in range(block)]
                    places = [builder.add(builder.mul(k, source_step), column) for k in lines]
                    found = [vectors.load(source, place) for place in places]
                    lines = [builder.add(column, writer.integer(k)) for k in range(block)]
                    places = [builder.add(builder.mul(k, target_step), row) for k in lines]
                    for made, place in zip(transposed(vectors, found), places, strict=True):
                        vectors.store(made, target, place)


def transposed(vectors: Vectors, rows: list[Any]) -> list[Any]:
    """Return the columns of a block, which has as many rows as a vector has lanes.

    Each step exchanges the off-diagonal halves of all blocks of 2, 4, ... rows.
    """
    half = 1
    while half < vectors.lanes:
        made = list(rows)
        for k in range(vectors.lanes):
            if not k & half:
                made[k], made[k + half] = vectors.exchanged(rows[k], rows[k + half], half)
        rows, half = made, 2 * half
    return rows
