"""IDX files, the format of MNIST: a header of big-endian numbers, then one array.

The header is two zero bytes, a code for the dtype, the number of axes, and the sizes of the axes,
four bytes each.  The first four bytes together are called the magic number.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from symad.errors import SymadError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_MOST_AXES = 64  # of a NumPy array


class DataError(SymadError, ValueError):
    """A data file is damaged, or is of an unexpected kind."""


def read_idx(path: str | os.PathLike[str], magic: int | None = None) -> np.ndarray[Any, Any]:
    """Return the array in an IDX file, gzipped or plain.

    Memory is allocated for the bytes that the file contains, not for the size that its header
    states.

    Parameters
    ----------
    path : path
    magic : int, optional
        The magic number that the file must have: ``256 * dtype code + number of axes``.

    Returns
    -------
    ndarray
        In native byte order; it can be written to.

    Raises
    ------
    DataError
        If the file is not IDX, has another magic number, is truncated or damaged, or has data
        after its array.
    OSError
        If it cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as raw:
        gzipped = raw.read(2) == _GZIP
        raw.seek(0)
        if not gzipped:
            return _read_array(raw, path, magic)
        try:
            with gzip.open(raw) as unpacked:
                return _read_array(unpacked, path, magic)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(path, f"its gzip data is damaged or truncated: {error}") from None


def _read_array(file: io.BufferedIOBase, path: Path, magic: int | None) -> np.ndarray[Any, Any]:
    dtype, shape = _read_header(file, path, magic)
    declared = math.prod(shape) * dtype.itemsize
    data = _read_at_most(file, declared + 1)
    if len(data) < declared:
        raise _damaged(
            path,
            f"its header declares an array of shape {shape}, {declared} bytes, "
            f"but only {len(data)} follow",
        )
    if len(data) > declared:
        raise _damaged(path, f"it has data after its array of shape {shape}, {declared} bytes")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:
        raise _damaged(path, f"its header declares an impossible shape: {error}") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(
    file: io.BufferedIOBase, path: Path, magic: int | None
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = _read_at_most(file, 4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES:
        raise _damaged(path, f"an IDX file cannot begin with the bytes {bytes(start)!r}")
    found = int.from_bytes(start, "big")
    if magic is not None and found != magic:
        raise DataError(
            f"{path} has the magic number {found}, but {magic} is needed: it contains "
            f"{_describe(found)}, not {_describe(magic)}",
            remedy="Check which file is which: images have 2051, labels have 2049.",
        )
    axes = start[3]
    if axes > _MOST_AXES:
        raise _damaged(path, f"its header declares {axes} axes")
    sizes = _read_at_most(file, 4 * axes)
    if len(sizes) < 4 * axes:
        raise _damaged(path, "it ends inside its header")
    return np.dtype(_DTYPES[start[2]]), struct.unpack(f">{axes}I", sizes)


def _read_at_most(file: io.BufferedIOBase, count: int) -> bytearray:
    """Read ``count`` bytes, or all that exist, without allocating memory before data arrives."""
    data = bytearray()
    while len(data) < count:
        chunk = file.read(min(_CHUNK, count - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def _describe(magic: int) -> str:
    dtype = _DTYPES.get(magic >> 8)
    axes = magic & 0xFF
    name = np.dtype(dtype).name if dtype else "unknown"
    return f"{name} with {axes} {'axis' if axes == 1 else 'axes'}"


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} is not a valid IDX file: {what}",
        remedy="Download the file again, and check that it is one of the MNIST files.",
    )
