"""A function of C from the statements of a graph: memory for values, and parts of bounded length.

Statements come as *items*, in order.  Items of one array op are a block with loops, which declares
the pointers that it uses; items of numbers declare constants.  Compilers take more than linear time
for a long function, so the items are cut into parts, each a function; numbers that a later part
uses are kept in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape
from symad.export.c_code import Code, Strided
from symad.export.c_helpers import Helpers
from symad.export.c_text import comment, literal, memory_type
from symad.records import dataclass

LONGEST = 250
"""The most lines of a part."""
_ARGUMENTS = (
    "const double *const *in, double *const *out, double *work,\n"
    "    const int64_t *sizes, const char **message"
)
_NAMES = ("in", "out", "work", "sizes", "message")
_NAME = re.compile(r"\bv\d+\b")
_DECLARED = re.compile(r"const (\w+) (v\d+) = ")
_TEXT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"')
"""A comment or a string."""
_ELEMENT = re.compile(r"\b(v\d+)\[(\d+)\]")


@dataclass(slots=True)
class _Memory:
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


@dataclass(slots=True)
class _Item:
    """Some statements, and whether they are a block."""

    lines: list[str]
    is_block: bool
    comment: str

    def names(self) -> set[str]:
        """Return the names in the statements."""
        return set(_NAME.findall("\n".join(self.lines)))


class CFile:
    """What the functions of one file share: names, helpers, constants.

    Parameters
    ----------
    name : str
        The name of its function.
    helpers : Helpers, optional
        Those of other functions beside it.
    is_open : bool
        Whether sizes are examples, in place of which expressions will be put.

    Attributes
    ----------
    guards : list of str
        What must hold for the sizes.
    """

    def __init__(self, name: str, helpers: Helpers | None = None, is_open: bool = False) -> None:
        self.name, self.helpers, self.is_open = name, helpers or Helpers(), is_open
        self.guards: list[str] = []
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
        numbers = [literal(number, dtype) for number in value.ravel()] or ["0"]
        rows = [", ".join(numbers[k : k + 8]) for k in range(0, len(numbers), 8)]
        body = ",\n  ".join(rows)
        head = f"static const {memory_type(dtype)} {name}[{len(numbers)}]"
        self._constants[name] = f"{head} = {{\n  {body}}};\n"
        return Strided.whole(name, dtype, value.shape)


class CFunction:
    """The statements of one function.

    Parameters
    ----------
    file : CFile
    name : str
    """

    def __init__(self, file: CFile, name: str) -> None:
        self.file, self.helpers, self._name = file, file.helpers, name
        self._items: list[_Item] = []
        self._memory: dict[str, _Memory] = {}
        self.work = 0

    def name(self) -> str:
        """Return a new name."""
        return self.file.new()

    def memory(self, shape: Shape, dtype: np.dtype[Any], place: str = "") -> Strided:
        """Return an array at ``place``, or in memory that is free again after its last use."""
        name, made = self.name(), Strided.whole("", dtype, shape)
        size = made.size if self.file.is_open else -(-made.size * dtype.itemsize // 8)
        is_const = place.startswith("in[")
        self._memory[name] = _Memory(memory_type(dtype), place, max(size, 1), is_const)
        return Strided.whole(name, dtype, shape)

    def doubles(self, count: int) -> str:
        """Return the name of memory for the work of another function."""
        return self.memory((count,), np.dtype("float64")).name

    def place(self, name: str) -> str:
        """Return the text of the place of an array; nothing if it is to be found, or a constant."""
        return self._memory[name].place if name in self._memory else ""

    def code(self) -> Code:
        """Return where the statements of an op are put, before they are added."""
        return Code(self)

    def add(self, code: Code, text: str = "", number: str | None = None) -> None:
        """Append the statements of an op, with a comment.

        They are a block, except those that declare a ``number``, which others may use.
        """
        lines = _needed(code.lines, number or "")
        if lines:
            self._items.append(_Item(lines, number is None, text))

    # The finished text

    def finish(self) -> str:
        """Return the body of the function, and define those of its parts in the file."""
        parts = self._cut()
        self._share_numbers(parts)
        self._place(parts)
        texts = [self._text(part) for part in parts]
        if len(texts) <= 1:
            return "\n".join(texts)
        calls = []
        for number, text in enumerate(texts, 1):
            name = f"{self._name}_part{number}"
            self.file.functions.append(definition(name, text))
            calls.append(f"  if ({name}(in, out, work, sizes, message)) return 1;")
        return "\n".join(calls)

    def _cut(self) -> list[list[_Item]]:
        parts: list[list[_Item]] = [[]]
        count = 0
        for item in self._items:
            if count and count + len(item.lines) > LONGEST:
                parts.append([])
                count = 0
            parts[-1].append(item)
            count += len(item.lines)
        return parts

    def _share_numbers(self, parts: list[list[_Item]]) -> None:
        """Let each part that declares a number store it if another part uses it."""
        home: dict[str, tuple[int, _Item, str]] = {}
        shared: dict[str, Strided] = {}
        for number, part in enumerate(parts):
            loads: dict[str, str] = {}
            for item in list(part):
                for name in item.names():
                    if name in home and home[name][0] != number and name not in loads:
                        _, maker, type_ = home[name]
                        if name not in shared:
                            shared[name] = self._kept(type_)
                            maker.lines.append(f"{shared[name].name}[0] = {name};")
                        loads[name] = f"const {type_} {name} = {shared[name].name}[0];"
                if not item.is_block:
                    found = _DECLARED.findall("\n".join(item.lines))
                    home.update({name: (number, item, type_) for type_, name in found})
            if loads:
                part.insert(0, _Item(list(loads.values()), False, ""))

    def _kept(self, type_: str) -> Strided:
        name = self.name()
        self._memory[name] = _Memory(type_, "", 1)
        return Strided.whole(name, np.dtype("float64"), ())

    def _place(self, parts: list[list[_Item]]) -> None:
        """Give each array that has no place one in ``work``; free memory of its size is reused."""
        last: dict[str, int] = {}
        items = [item for part in parts for item in part]
        used = [self._memory.keys() & item.names() for item in items]
        for number, names in enumerate(used):
            last.update(dict.fromkeys(names, number))
        free: dict[int, list[int]] = {}
        given: dict[str, int] = {}
        for number, names in enumerate(used):
            for name in sorted(names, key=lambda name: int(name[1:])):
                memory = self._memory[name]
                if not memory.place:
                    stock = free.get(memory.size)
                    if stock:
                        start = stock.pop()
                    else:
                        start, self.work = self.work, self.work + memory.size
                    given[name] = start
                    memory.place = f"work + {start}" if start else "work"
            for name in names:
                if name in given and last[name] == number:
                    free.setdefault(self._memory[name].size, []).append(given[name])

    def _text(self, items: Sequence[_Item]) -> str:
        return "\n".join(line for item in items for line in self._lines(item))

    def _lines(self, item: _Item) -> Iterable[str]:
        said = comment(item.comment) if item.comment else ""
        if not item.is_block:
            lines = [_ELEMENT.sub(self._element, line) for line in item.lines]
            lines[-1] += f" {said}".rstrip()
            return [f"  {line}" for line in lines]
        used = sorted(self._memory.keys() & item.names(), key=lambda name: int(name[1:]))
        pointers = [self._memory[name].declared(name) for name in used]
        return [f"  {{ {said}".rstrip(), *_indented([*pointers, *item.lines], 4), "  }"]

    def _element(self, match: re.Match[str]) -> str:
        name, index = match.groups()
        memory = self._memory.get(name)
        return match.group() if memory is None else memory.element(int(index))


def _needed(lines: Sequence[str], result: str) -> list[str]:
    """Return statements without the declarations of values that nothing uses."""
    used, kept = set(_NAME.findall(result)), []
    for line in reversed(lines):
        declared = _DECLARED.match(line)
        if declared is None or declared[2] in used:
            kept.append(line)
            used.update(_NAME.findall(line))
    return kept[::-1]


def _indented(lines: Iterable[str], indent: int) -> Iterable[str]:
    for line in lines:
        if line.startswith("}"):
            indent -= 2
        yield " " * indent + line
        if line.endswith("{"):
            indent += 2


def definition(name: str, body: str) -> str:
    """Return the definition of a function that only this file uses."""
    return f"static int {name}({_ARGUMENTS}) {{\n{unused(body)}{body}\n  return 0;\n}}\n"


def unused(body: str, arguments: Iterable[str] = _NAMES) -> str:
    """Return statements for the arguments that a body does not use."""
    code = _TEXT.sub("", body)
    names = [name for name in arguments if not re.search(rf"\b{name}\b", code)]
    return "".join(f"  (void){name};\n" for name in names)
