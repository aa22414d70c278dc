"""What functions of generated C share, and the memory of their arrays."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape
from symad.export.c_arrays import Strided
from symad.export.c_helpers import CHelpers
from symad.export.c_text import literal, memory_type
from symad.records import dataclass


@dataclass(slots=True)
class Place:
    """The memory of an array: the text of its place, or a number of doubles that have none yet."""

    type: str
    place: str
    size: int = 0
    is_const: bool = False

    def declared(self, name: str) -> str:
        """Return the declaration of a pointer to it."""
        type_ = f"const {self.type}" if self.is_const else self.type
        cast = "" if self.type == "double" else f"({type_} *)"
        place = f"({self.place})" if cast and " " in self.place else self.place
        return f"{type_} *restrict const {name} = {cast}{place};"

    def element(self, index: int) -> str:
        """Return the text of one element."""
        type_ = f"const {self.type}" if self.is_const else self.type
        if self.type != "double":
            return f"(({type_} *)({self.place}))[{index}]"
        base, _, offset = self.place.partition(" + ")
        if base == "work":
            return f"work[{int(offset or 0) + index}]"
        return f"{base}[{index}]" if index else f"*{base}"


class CFile:
    """What the functions of one file share: names, helpers, constants.

    Parameters
    ----------
    name : str
        The name of its function.
    helpers : CHelpers, optional
        Those of other functions beside it.
    is_open : bool
        Whether sizes are examples, in place of which expressions will be put.

    Attributes
    ----------
    guards : list of str
        What must hold for the sizes.
    bounds : dict
        The most rows of stacks, by lengths that are known only when a loop has ended.
    """

    def __init__(self, name: str, helpers: CHelpers | None = None, is_open: bool = False) -> None:
        self.name, self.helpers, self.is_open = name, helpers or CHelpers(), is_open
        self.guards: list[str] = []
        self.bounds: dict[Any, int] = {}
        self._constants: dict[str, str] = {}
        self.functions: list[str] = []
        self._count = 0

    def new(self, letter: str = "v") -> str:
        """Return a new name."""
        self._count += 1
        return f"{letter}{self._count}"

    def constants(self, text: str) -> list[str]:
        """Return the definitions of the constants that functions use."""
        used = set(re.findall(rf"\b{self.name}_c\d+\b", text))
        return [definition for name, definition in self._constants.items() if name in used]

    def constant(self, value: np.ndarray[Any, Any]) -> Strided:
        """Return an array of constants."""
        name, dtype = f"{self.name}_{self.new('c')}", value.dtype
        bits = value.view(np.uint16) if dtype == np.float16 else value
        numbers = [literal(number, bits.dtype) for number in bits.ravel()] or ["0"]
        rows = [", ".join(numbers[k : k + 8]) for k in range(0, len(numbers), 8)]
        body = ",\n  ".join(rows)
        head = f"static const {memory_type(dtype)} {name}[{len(numbers)}]"
        self._constants[name] = f"{head} = {{\n  {body}}};\n"
        return Strided.whole(name, dtype, value.shape)


class CMemory:
    """The names and the memory of one function.

    Attributes
    ----------
    file : CFile
    helpers : CHelpers
    places : dict from str to Place
        The memory of each array, by the name of its pointer.
    """

    def __init__(self, file: CFile) -> None:
        self.file, self.helpers = file, file.helpers
        self.places: dict[str, Place] = {}

    def name(self) -> str:
        """Return a new name."""
        return self.file.new()

    def memory(self, shape: Shape, dtype: np.dtype[Any], place: str = "") -> Strided:
        """Return an array at ``place``, or in memory that is free again after its last use."""
        name, made = self.name(), Strided.whole("", dtype, shape)
        size = made.size if self.file.is_open else -(-made.size * dtype.itemsize // 8)
        is_const = place.startswith("in[")
        self.places[name] = Place(memory_type(dtype), place, max(size, 1), is_const)
        return Strided.whole(name, dtype, shape)

    def doubles(self, count: int) -> str:
        """Return the name of memory for the work of another function."""
        return self.memory((count,), np.dtype("float64")).name

    def place(self, name: str) -> str:
        """Return the text of the place of an array; nothing if it is to be found, or a constant."""
        return self.places[name].place if name in self.places else ""
