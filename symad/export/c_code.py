"""Statements of generated C, with loops, and those that go over whole arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from symad.backends.native.kernel_call import Shape
from symad.backends.native.lower.copies import merged_axes
from symad.export.c_arrays import Strided
from symad.export.c_memory import CMemory
from symad.export.c_scalars import CScalar, CScalarBuilder, wide_type
from symad.export.c_text import literal, string
from symad.records import replace


class CCode:
    """The statements of one op, with loops around some of them.

    Attributes
    ----------
    lines : list of str
    scalars : CScalarBuilder
        Appends to the lines.
    function : CMemory
        Gives names and memory.
    """

    def __init__(self, function: CMemory) -> None:
        self.lines: list[str] = []
        self.function = function
        self.scalars = CScalarBuilder(self.lines, function.name, function.helpers)
        self._depth = 0

    def add(self, *lines: str) -> None:
        """Append statements."""
        self.lines += lines

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """Put the statements that follow into braces."""
        self.lines.append(f"{head} {{".lstrip())
        yield
        self.lines.append("}")

    @contextmanager
    def loop(self, count: int | str, backwards: bool = False, start: str = "0") -> Iterator[str]:
        """Repeat the statements that follow; yields the number of the repetition.

        A loop of one repetition is none.
        """
        if count == 1 and start == "0":
            yield "0"
            return
        name = f"i{self._depth}"
        self._depth += 1
        head = f"for (int64_t {name} = {start}; {name} < {count}; {name}++)"
        if backwards:
            head = f"for (int64_t {name} = {count} - 1; {name} >= {start}; {name}--)"
        with self.block(head):
            yield name
        self._depth -= 1

    @contextmanager
    def loops(self, shape: Shape) -> Iterator[list[str]]:
        """Repeat the statements that follow for each element of an array; yields its indices."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.loop(count)) for count in shape]

    def load(self, array: Strided, indices: Sequence[str]) -> CScalar:
        """Return an element of an array."""
        return self.scalars.loaded(array.at(indices), array.dtype)

    def store(self, value: CScalar, array: Strided, indices: Sequence[str]) -> None:
        """Write an element of an array, in the dtype of that array."""
        self.write(value, array.at(indices), array.dtype)

    def write(self, value: CScalar, place: str, dtype: np.dtype[Any]) -> None:
        """Write an element, in a dtype, to a place in memory."""
        self.add(f"{place} = {self.scalars.stored(self.scalars.cast(value, dtype))};")

    def scratch(self, shape: Shape, dtype: np.dtype[Any]) -> Strided:
        """Return memory that these statements use."""
        return self.function.memory(shape, dtype)

    @contextmanager
    def wide(self, out: Strided) -> Iterator[Strided]:
        """Yield an array for sums, which are rounded to the dtype of ``out`` at the end."""
        dtype = wide_type(out.dtype)
        made = out if dtype == out.dtype else self.scratch(out.shape, dtype)
        yield made
        if made is not out:
            self.copy(made, out)

    def fails(self, condition: str, message: str) -> None:
        """Return from the function with a message where a condition holds."""
        self.function.helpers.function("fail")
        self.add(f"if ({condition}) return fail(message, {string(message)});")

    # Whole arrays

    def each(
        self, write: Callable[[list[CScalar]], CScalar], target: Strided, *sources: Strided
    ) -> None:
        """Write each element of ``target``, from those of arrays of its shape in the same place."""
        if 0 in target.shape:
            return
        rank = len(target.shape)
        order = sorted(range(rank), key=lambda axis: -abs(target.strides[axis]))
        views = [array.see(lambda a: a.transpose(order)) for array in (*sources, target)]
        axes = merged_axes(views[-1].shape, *(view.strides for view in views))
        sizes, *steps = zip(*axes, strict=True) if axes else [()] * (len(views) + 1)
        views = [
            replace(view, shape=tuple(sizes), strides=tuple(step))
            for view, step in zip(views, steps, strict=True)
        ]
        with self.loops(tuple(sizes)) as indices:
            values = [self.load(view, indices) for view in views[:-1]]
            self.store(write(values), views[-1], indices)

    def copy(self, source: Strided, target: Strided) -> None:
        """Copy an array of the same shape, converting its elements."""
        self.each(lambda values: values[0], target, source)

    def fill(self, target: Strided, number: Any) -> None:
        """Set all elements to one number."""
        value = CScalar(literal(number, target.dtype), target.dtype, True)
        self.each(lambda _: value, target)

    def accumulate(self, source: Strided, target: Strided) -> None:
        """Add an array of the same shape to another one."""
        add = self.scalars.add
        self.each(
            lambda values: add(values[1], self.scalars.cast(values[0], target.dtype)),
            target, source, target,
        )  # fmt: skip

    def contiguous(self, source: Strided, dtype: np.dtype[Any] | None = None) -> Strided:
        """Return the elements in C order and in a dtype: a copy, if they are not."""
        dtype = dtype or source.dtype
        if source.is_contiguous and source.dtype == dtype:
            return source
        made = self.scratch(source.shape, dtype)
        self.copy(source, made)
        return made
