"""Memory and loops of generated C: strided arrays, and the statements that go over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.backends.native.kernel_call import Shape, contiguous_strides
from symad.backends.native.lower.copies import merged_axes
from symad.export.c_scalars import CScalar, CScalarBuilder
from symad.export.c_text import literal, string
from symad.records import dataclass, replace

if TYPE_CHECKING:
    from symad.export.c_function import CFunction


@dataclass(frozen=True, slots=True)
class Strided:
    """An array in memory: the name of a pointer, and the place of each element behind it.

    Attributes
    ----------
    name : str
    dtype : dtype
    offset : int
        The place of the first element; as strides, in elements.
    shape, strides : tuple of int
    """

    name: str
    dtype: np.dtype[Any]
    offset: int
    shape: Shape
    strides: Shape

    @staticmethod
    def whole(name: str, dtype: np.dtype[Any], shape: Shape) -> Strided:
        """Return an array whose elements are in C order."""
        return Strided(name, dtype, 0, shape, contiguous_strides(shape))

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are in C order, without gaps."""
        pairs = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return 0 in self.shape or all(n == 1 or step == own for n, step, own in pairs)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def see(self, view: Callable[[Any], Any]) -> Strided:
        """Return the elements that a view of NumPy's takes, such as ``lambda a: a[1:]``.

        The array that it sees has one element in memory, which it does not read.
        """
        element = np.empty(1, np.uint8)
        array = np.lib.stride_tricks.as_strided(element, self.shape, self.strides)
        seen = view(array)
        places = [a.__array_interface__["data"][0] for a in (seen, element)]
        return replace(
            self, offset=self.offset + places[0] - places[1], shape=seen.shape, strides=seen.strides
        )

    def broadcast_to(self, shape: Shape) -> Strided:
        """Return the array repeated along new axes and those of size 1."""
        return self.see(lambda a: np.broadcast_to(a, shape))

    def reshaped(self, shape: Shape) -> Strided:
        """Return the elements of a contiguous array in another shape."""
        assert self.is_contiguous, "other arrays are copied first"
        return replace(self, shape=shape, strides=contiguous_strides(shape))

    def at(self, indices: Sequence[str], *more: str) -> str:
        """Return the element at some indices; ``more`` are added to its place."""
        steps = zip(indices, self.strides, strict=True)
        terms = [_times(i, step) for i, step in steps if step and i != "0"]
        if self.offset or not (terms or more):
            terms.append(str(self.offset))
        return f"{self.name}[{' + '.join([*terms, *more])}]"

    def pointer(self) -> str:
        """Return a pointer to the first element."""
        return f"{self.name} + {self.offset}" if self.offset else self.name


class Code:
    """The statements of one op, with loops around some of them.

    Attributes
    ----------
    lines : list of str
    scalars : CScalarBuilder
        Appends to the lines.
    function : CFunction
        Gives names and memory.
    """

    def __init__(self, function: CFunction) -> None:
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
        text = array.at(indices)
        return CScalar(f"{text} != 0" if array.dtype.kind == "b" else text, array.dtype)

    def store(self, value: CScalar, array: Strided, indices: Sequence[str]) -> None:
        """Write an element of an array, in the dtype of that array."""
        value = self.scalars.cast(value, array.dtype)
        text = value.text
        if array.dtype.kind == "b" and not value.is_name:
            text = f"({text})"
        self.add(f"{array.at(indices)} = {text};")

    def scratch(self, shape: Shape, dtype: np.dtype[Any]) -> Strided:
        """Return memory that these statements use."""
        return self.function.memory(shape, dtype)

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


def _times(index: str, step: int) -> str:
    if step == 1:
        return index
    return f"({index}) * {step}" if " " in index else f"{index} * {step}"
