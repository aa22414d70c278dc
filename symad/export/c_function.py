"""A function of C from the statements of a graph: memory for values, and parts of bounded length.

Statements come as *items*, in order.  Items of one array op are a block with loops, which declares
the pointers that it uses; items of numbers declare constants.  Compilers take more than linear time
for a long function, so the items are cut into parts, each a function; numbers that a later part
uses are kept in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from symad.export.c_arrays import Strided
from symad.export.c_code import CCode
from symad.export.c_memory import CFile, CMemory, Place
from symad.export.c_text import comment
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
class _Item:
    """Some statements, and whether they are a block."""

    lines: list[str]
    is_block: bool
    comment: str

    def names(self) -> set[str]:
        """Return the names in the statements."""
        return set(_NAME.findall("\n".join(self.lines)))


class CFunction(CMemory):
    """The statements of one function.

    Parameters
    ----------
    file : CFile
    name : str
    """

    def __init__(self, file: CFile, name: str) -> None:
        super().__init__(file)
        self._name = name
        self._items: list[_Item] = []
        self.work = 0

    def code(self) -> CCode:
        """Return where the statements of an op are put, before they are added."""
        return CCode(self)

    def add(self, code: CCode, text: str = "", number: str | None = None) -> None:
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
        self.places[name] = Place(type_, "", 1)
        return Strided.whole(name, np.dtype("float64"), ())

    def _place(self, parts: list[list[_Item]]) -> None:
        """Give each array that has no place one in ``work``; free memory of its size is reused."""
        last: dict[str, int] = {}
        items = [item for part in parts for item in part]
        used = [self.places.keys() & item.names() for item in items]
        for number, names in enumerate(used):
            last.update(dict.fromkeys(names, number))
        free: dict[int, list[int]] = {}
        given: dict[str, int] = {}
        for number, names in enumerate(used):
            for name in sorted(names, key=lambda name: int(name[1:])):
                memory = self.places[name]
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
                    free.setdefault(self.places[name].size, []).append(given[name])

    def _text(self, items: Sequence[_Item]) -> str:
        return "\n".join(line for item in items for line in self._lines(item))

    def _lines(self, item: _Item) -> Iterable[str]:
        said = comment(item.comment) if item.comment else ""
        if not item.is_block:
            lines = [_ELEMENT.sub(self._element, line) for line in item.lines]
            lines[-1] += f" {said}".rstrip()
            return [f"  {line}" for line in lines]
        used = sorted(self.places.keys() & item.names(), key=lambda name: int(name[1:]))
        pointers = [self.places[name].declared(name) for name in used]
        return [f"  {{ {said}".rstrip(), *_indented([*pointers, *item.lines], 4), "  }"]

    def _element(self, match: re.Match[str]) -> str:
        name, index = match.groups()
        memory = self.places.get(name)
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
