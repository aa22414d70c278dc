"""Numbers for unknown dimensions, which are told apart by identity in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from symad.types import Dimension, Shape, StructureType, TensorType, Type, UnknownDim, UnknownShape


class DimensionNumbers:
    """Numbers unknown dimensions by first appearance, and writes shapes.

    The parts of an unknown shape form a set.  They are written in an order that follows from the
    numbers given before and, for dimensions that have none yet, from where these occur.  Dimensions
    that occur at the same places can be exchanged: either order gives the same shapes.

    Parameters
    ----------
    types : callable
        Returns all types that will be written, in order.
    """

    def __init__(self, types: Callable[[], Iterable[Type]]) -> None:
        self._numbers: dict[UnknownDim, int] = {}
        self._types = types
        self._places: dict[UnknownDim, list[str]] | None = None

    def add(self, types: Sequence[Type]) -> None:
        """Take note of further types, which will be written after the others."""
        before = self._types
        self._types, self._places = lambda: chain(before(), types), None

    def dimension(self, dim: Dimension) -> Any:
        """Return a dimension as JSON has it: a size, a name, or the number of an unknown one."""
        if isinstance(dim, UnknownDim):
            return {"unknown": self.number(dim)}
        return dim if isinstance(dim, str) else int(dim)

    def number(self, dim: UnknownDim) -> int:
        """Return the number of an unknown dimension."""
        return self._numbers.setdefault(dim, len(self._numbers))

    def shape(self, shape: Shape) -> Any:
        """Return a shape as JSON has it: a list of dimensions, or the parts of an unknown shape."""
        if not isinstance(shape, UnknownShape):
            return [self.dimension(dim) for dim in shape]
        parts = list(shape.parts) if len(shape.parts) < 2 else sorted(shape.parts, key=self._key)
        return {
            "join": [
                self.shape(part) if isinstance(part, tuple) else self.dimension(part)
                for part in parts
            ]
        }

    def _key(self, part: Any) -> tuple[Any, ...]:
        if isinstance(part, tuple):
            return 1, tuple([self._key_of(dim) for dim in part])
        return 0, (self._key_of(part),)

    def _key_of(self, dim: Dimension) -> tuple[int, int, str]:
        if isinstance(dim, int):
            return 0, dim, ""
        if isinstance(dim, str):
            return 1, 0, dim
        if dim in self._numbers:
            return 2, self._numbers[dim], ""
        if self._places is None:
            self._places = _places(self._types())
        return 3, 0, " ".join(self._places.get(dim, []))


def _places(types: Iterable[Type]) -> dict[UnknownDim, list[str]]:
    """Return where each unknown dimension occurs: the number of the type, and the place in it."""
    found: dict[UnknownDim, list[str]] = {}
    for number, type_ in enumerate(dict.fromkeys(types)):
        for item, tensor in enumerate(_tensors(type_)):
            if not isinstance(tensor.shape, UnknownShape):
                _note(found, f"{number}.{item}", tensor.shape)
                continue
            for part in tensor.shape.parts:
                form = part if isinstance(part, tuple) else (part,)
                _note(found, f"{number}.{item} in {part!r}", form)
    for places in found.values():
        places.sort()
    return found


def _note(found: dict[UnknownDim, list[str]], place: str, shape: Iterable[Dimension]) -> None:
    for axis, dim in enumerate(shape):
        if isinstance(dim, UnknownDim):
            found.setdefault(dim, []).append(f"{place} at {axis}")


def _tensors(type_: Type | None) -> Iterable[TensorType]:
    if isinstance(type_, StructureType):
        for _, item in type_.fields:
            yield from _tensors(item)
    elif isinstance(type_, TensorType):
        yield type_
