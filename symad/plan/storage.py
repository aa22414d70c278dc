"""Where the buffers of a plan are stored."""

from __future__ import annotations

from enum import Enum, auto

from symad.records import dataclass


class StorageKind(Enum):
    """The kind of memory."""

    ARENA = auto()
    """At an offset in the arena."""
    FIXED = auto()
    """At an address that never changes."""
    INPUT = auto()
    """The data of an argument."""
    OUTPUT = auto()
    """The data of a result."""
    GROWING = auto()
    """Memory that a loop enlarges when it needs more."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Memory of a buffer: ``place`` is an offset, an address, or the number of an argument."""

    kind: StorageKind
    place: int

    def __str__(self) -> str:
        """Return a description in words.

        Examples
        --------
        >>> print(Storage(StorageKind.ARENA, 64), Storage(StorageKind.OUTPUT, 1), sep=", ")
        arena +64, result 1
        """
        if self.kind in (StorageKind.FIXED, StorageKind.GROWING):
            return "constant" if self.kind is StorageKind.FIXED else "stack that grows"
        what = {StorageKind.ARENA: "arena +", StorageKind.INPUT: "input "}
        return f"{what.get(self.kind, 'result ')}{self.place!r}"  # which a traced number has, too
