"""The container: a zip archive of stored members, written the same way each time, read strictly."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, TypeAlias

import numpy as np

from symad.errors import SavedGraphError
from symad.saving.attributes import MOST_AXES
from symad.visible import visible

Array: TypeAlias = np.ndarray[Any, Any]

Member: TypeAlias = Sequence[Any]
"""The content of a member: buffers, one after the other."""

_NAME = re.compile(
    r"(?:symad|graph|state|provenance)\.json|(?:outside/)?(?:constants|parameters)/(?:0|[1-9][0-9]{0,8})\.npy"
)
# Writing


def write_archive(file: IO[bytes], members: Mapping[str, Member]) -> None:
    """Write members in order, uncompressed, with nothing that depends on the time or the system."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, buffers in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            info.file_size = size_of(buffers)
            with archive.open(info, "w") as place:
                for buffer in buffers:
                    place.write(buffer)


def size_of(buffers: Member) -> int:
    """Return the number of bytes of a member."""
    return sum(memoryview(buffer).nbytes for buffer in buffers)


def as_json(value: Any) -> Member:
    """Return the content of a member that holds ``value``: ASCII, keys in the order given."""
    return [json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")]


def as_npy(array: Array) -> Member:
    """Return the content of a member that holds an array in NumPy's format, in C order."""
    dtype = array.dtype.newbyteorder("<")
    data = np.ascontiguousarray(array, dtype)
    return [npy_header(dtype, array.shape), data.reshape(-1).view(np.uint8).data]


def npy_header(dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """Return what precedes the elements of an array in NumPy's format, version 1.0.

    It is written here, because NumPy's own text may change and is read by a Python parser.

    Examples
    --------
    >>> npy_header(np.dtype("float32"), (2, 3))[10:-1].decode().rstrip()
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    """
    descr = dtype.newbyteorder("<").str
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


def digest(members: Iterable[tuple[str, Member]]) -> str:
    """Return the SHA-256 of members, with their names and sizes, as a hexadecimal number."""
    state = hashlib.sha256()
    for name, buffers in members:
        state.update(f"{name} {size_of(buffers)}\n".encode("ascii"))
        for buffer in buffers:
            state.update(buffer)
    return state.hexdigest()


# Reading


def read_archive(file: IO[bytes]) -> dict[str, bytes]:
    """Return the content of each member.

    Raises
    ------
    SavedGraphError
        If the file is not such an archive.  No more memory is taken than the file is long.
    """
    length = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_members(infos, length)
            return {info.filename: archive.read(info) for info in infos}
    except SavedGraphError:
        raise
    except (
        zipfile.BadZipFile, struct.error, ValueError, RuntimeError, OSError, EOFError, KeyError,
        OverflowError, IndexError,
    ) as error:
        raise SavedGraphError(f"it is no zip archive, or a damaged one: {error}") from None


def _check_members(infos: Sequence[zipfile.ZipInfo], length: int) -> None:
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        if not _NAME.fullmatch(name):
            raise SavedGraphError(f"it has a member {visible(name)!r}, which no saved graph has")
        if name in seen:
            raise SavedGraphError(f"{name}: there are two members of this name")
        seen.add(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise SavedGraphError(
                f"{name}: it is compressed",
                remedy="The members of a saved graph are stored as they are: zip -0.",
            )
    if sum(info.file_size for info in infos) > length:
        raise SavedGraphError("its members are longer than the file")


def from_json(name: str, data: bytes) -> Any:
    """Return the value that a member holds; floats, repeated keys and deep nesting are refused."""
    try:
        return json.loads(
            data.decode("ascii"),
            parse_float=_refuse,
            parse_constant=_refuse,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        raise SavedGraphError(f"{name}: it is not the JSON of a saved graph: {error}") from None


def _refuse(text: str) -> Any:
    raise ValueError(f"{visible(text)} is not an integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def from_npy(name: str, data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array of a type that a member holds, without copying it.

    Raises
    ------
    SavedGraphError
        If the member holds anything else: it is compared with what would be written.
    """
    header = npy_header(dtype, shape) if len(shape) <= MOST_AXES else b""
    size = math.prod(shape) * dtype.itemsize
    if not header or not data.startswith(header) or len(data) != len(header) + size:
        raise SavedGraphError(f"{name}: it is not an array of dtype {dtype} and shape {shape}")
    array = np.frombuffer(data, dtype.newbyteorder("<"), offset=len(header)).reshape(shape)
    return checked_booleans(name, array.astype(dtype, copy=False))


def checked_booleans(name: str, array: Array) -> Array:
    """Return the array, if its booleans are 0 or 1: others are undefined behaviour."""
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise SavedGraphError(f"{name}: a boolean is neither 0 nor 1")
    return array
