"""Loads object files from LLVM on x86-64 Linux.

llvmlite's own linker, used on other systems, permanently keeps about 10 kB for each object file and
takes 70 kB while it is loaded.  Here an object file takes only the size of its contents, and is
unloaded when nothing refers to its memory any more.

The format is that of the System V ABI: https://refspecs.linuxfoundation.org/elf/elf.pdf
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from symad.records import dataclass

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_MAGIC = b"\x7fELF\2\1"  # of 64 bits, little-endian
_RELOCATABLE, _X86_64 = 1, 62
_PROGRAM, _SYMBOLS, _RELOCATIONS, _UNWINDING = 1, 2, 4, 0x70000001
_WRITTEN, _LOADED = 1, 2
_UNDEFINED = 0
_ABSOLUTE = 1
"""The only relocation type in LLVM's large code model: a 64-bit address."""
_JUMP = struct.Struct("<2sQ6s")
"""``mov r11, place; jmp [r11]``, and ``int3`` up to 16 bytes; calls do not preserve r11."""

_Find = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class _ElfSection:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class _Unknown(Exception):
    """The object file contains something that this loader does not support."""


@cache
def is_for_this_machine() -> bool:
    """Return whether this system and processor are those whose object files are loaded here."""
    return sys.platform == "linux" and os.uname().machine == "x86_64"


def load(
    image: bytes, exported: Collection[str], address_of: _Find
) -> tuple[Any, Mapping[str, int]] | None:
    """Return the memory with the code of an object file, and the exported addresses.

    Parameters
    ----------
    image : bytes
        The object file, which must be intact.
    exported : collection of str
    address_of : callable
        Returns the address of a function outside the object file, if it exists.

    Returns
    -------
    tuple or None
        ``None`` if another linker is needed.
    """
    if not is_for_this_machine() or not image.startswith(_MAGIC):
        return None
    header = _HEADER.unpack_from(image)
    if header[1:3] != (_RELOCATABLE, _X86_64):
        return None
    sections = [_ElfSection(*s) for s in _records("<IIQQQQIIQQ", image, header[6], header[12])]
    try:
        return _load(image, sections, exported, address_of)
    except (_Unknown, OSError):
        return None


def load_behind_jumps(
    image: bytes, exported: Collection[str], address_of: _Find
) -> tuple[Any, Mapping[str, int]] | None:
    """Return code as :func:`load` does, but at addresses that :func:`redirect` can lead elsewhere.
    """
    loaded = load(image, exported, address_of)
    if loaded is None:
        return None
    memory, targets = loaded
    places = (ctypes.c_uint64 * len(targets))(*targets.values())
    first, size = ctypes.addressof(places), _JUMP.size
    code, base = _writable_memory(size * len(targets))
    for k in range(len(targets)):
        _JUMP.pack_into(code, size * k, b"\x49\xbb", first + 8 * k, b"\x41\xff\x23" + 3 * b"\xcc")
    _make_executable(base, len(code))
    # The garbage collector does not look into arrays.
    kept = np.array([tuple(targets), places, code, memory, None], object)
    return kept, {name: base + size * k for k, name in enumerate(targets)}


def redirect(kept: Any, memory: Any, addresses: Mapping[str, int]) -> None:
    """Make the addresses of code behind jumps lead to other code from now on.

    Parameters
    ----------
    kept
        The memory of the code behind jumps; what runs there meanwhile ends there.
    memory, addresses
        Those of the other code.
    """
    names, places, *_ = kept
    kept[-1] = memory
    places[:] = [addresses[name] for name in names]


def _records(form: str, image: bytes, offset: int, count: int) -> Iterator[tuple[Any, ...]]:
    size = struct.calcsize(form)
    return struct.iter_unpack(form, image[offset : offset + count * size])


def _load(
    image: bytes, sections: list[_ElfSection], exported: Collection[str], address_of: _Find
) -> tuple[Any, Mapping[str, int]]:
    offsets, size = _placed(sections)
    memory, base = _writable_memory(size)
    for index, offset in offsets.items():
        begin, length = sections[index].offset, sections[index].size
        memory[offset : offset + length] = image[begin : begin + length]
    homes = {index: base + offset for index, offset in offsets.items()}
    symbols = list(_symbols(image, sections, homes, address_of))
    for section in sections:
        if section.kind == _RELOCATIONS and section.info in offsets:
            count = section.size // section.entry_size
            for place, kind, added in _records("<QQq", image, section.offset, count):
                _, target = symbols[kind >> 32]
                if kind & 0xFFFFFFFF != _ABSOLUTE or target is None:
                    raise _Unknown
                struct.pack_into("<Q", memory, offsets[section.info] + place, target + added)
    _make_executable(base, size)
    return memory, {name: place for name, place in symbols if name in exported and place}


def _symbols(
    image: bytes, sections: list[_ElfSection], homes: Mapping[int, int], address_of: _Find
) -> Iterator[tuple[str, int | None]]:
    """Yield each symbol with its address, or ``None``."""
    for section in sections:
        if section.kind != _SYMBOLS:
            continue
        names, count = sections[section.link].offset, section.size // section.entry_size
        for name, _, _, home, value, _ in _records("<IBBHQQ", image, section.offset, count):
            text = image[names + name : image.index(b"\0", names + name)].decode()
            if home == _UNDEFINED:
                yield text, address_of(text) if text else None
            else:
                yield text, homes[home] + value if home in homes else None


def _placed(sections: list[_ElfSection]) -> tuple[dict[int, int], int]:
    """Return where in memory each section begins that is loaded, and the size of the memory."""
    offsets: dict[int, int] = {}
    size = 0
    for index, section in enumerate(sections):
        if not section.flags & _LOADED or not section.size or section.kind == _UNWINDING:
            continue
        if section.kind != _PROGRAM or section.flags & _WRITTEN:
            raise _Unknown
        size = -(-size // section.alignment) * section.alignment
        offsets[index] = size
        size += section.size
    return offsets, max(size, 1)


def _writable_memory(size: int) -> tuple[mmap.mmap, int]:
    """Return new memory, and its address."""
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, size, private, mmap.PROT_READ | mmap.PROT_WRITE)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _make_executable(address: int, size: int) -> None:
    if _protect()(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made executable")


@cache
def _protect() -> Any:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return protect
