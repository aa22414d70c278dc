"""The code of a segment: kernel calls over blocks of memory, and loops over the code of bodies.

An output may be a package: an object that is made of several arrays, which the code returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Shape
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.sparse import Package
from symad.plan.storage import Storage
from symad.records import dataclass

_T = TypeVar("_T")


class ArrayType(NamedTuple):
    """The type of an array."""

    dtype: np.dtype[Any]
    shape: Shape


@dataclass(frozen=True, slots=True)
class SegmentCode:
    """Calls over blocks of memory, for any number of frames.

    Attributes
    ----------
    calls : sequence of Call
    blocks : sequence of Storage
        What the views among the words of calls refer to.
    inputs, outputs : sequence of ArrayType
        The first size is -1 for an array of any number of rows.
    contents : dict
        For each output without axes, where in the arena it is computed.
    arena : int
        The size of the arena in bytes.
    kept : sequence of arrays
        The memory at fixed addresses.
    stacks : mapping
        For each output of any number of rows, the block that grows.
    """

    calls: Sequence[Call]
    blocks: Sequence[Storage]
    inputs: Sequence[ArrayType]
    outputs: Sequence[ArrayType]
    contents: dict[int, int]
    arena: int
    kept: Sequence[Any]
    stacks: Mapping[int, int] = MappingProxyType({})

    @property
    def work(self) -> float:
        """The estimated time in nanoseconds."""
        return sum(call.work for call in self.calls)


@dataclass(frozen=True, slots=True)
class Operand:
    """The memory of an argument or a result of a body.

    Attributes
    ----------
    view : BufferView
        That of the first step of a loop.
    step : int
        How far it moves after each step, in bytes.
    alternates : bool
        Whether it moves back after every other step.
    from_end : bool
        Whether the first step is at the last row of a stack whose length is not known; ``view`` is
        that of its first row.
    """

    view: BufferView
    step: int = 0
    alternates: bool = False
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class BodyCalls:
    """The code of a body with its memory.

    Attributes
    ----------
    code : SegmentCode
    arena : BufferView
    inputs, outputs : tuple of Operand
    """

    code: SegmentCode
    arena: BufferView
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    @property
    def arguments(self) -> list[BufferView]:
        """All memory that it uses."""
        return [self.arena, *(operand.view for operand in (*self.inputs, *self.outputs))]


class LoopKind(Enum):
    """How bodies are run."""

    COUNTED = auto()
    """The first body so many times, then the last one once."""
    WHILE = auto()
    """The first two alternately while the first one writes true, then the last one once."""
    BRANCH = auto()
    """The one whose number is given."""
    GUARDED = auto()
    """The first one; if it fails, the second one."""


@dataclass(frozen=True, slots=True)
class LoopCall:
    """A step that runs bodies: a loop, or a choice.

    Attributes
    ----------
    kind : LoopKind
    bodies : tuple of BodyCalls
    count : int or BufferView
        The number of steps, or the place of this int64; a while loop writes it there.  For
        a choice, the place of the number of the body.
    node : Node
    work : float
        The estimated time in nanoseconds.
    flag : BufferView or None
        Where the first body of a while loop writes its truth value.
    limit : int
        The most steps of a while loop; -1 for any number.
    """

    kind: LoopKind
    bodies: tuple[BodyCalls, ...]
    count: int | BufferView
    node: Node
    work: float
    flag: BufferView | None = None
    limit: int = -1

    over = ()
    threads = 1

    @property
    def arguments(self) -> list[int | BufferView | None]:
        """The memory that it uses."""
        return [self.count, self.flag, *(view for body in self.bodies for view in body.arguments)]


Call: TypeAlias = KernelCall | LoopCall
"""A step of a segment."""


def blocks_of(call: Call) -> list[int]:
    """Return the blocks that a step reads or writes."""
    return [word.block for word in call.arguments if isinstance(word, BufferView)]


def kernel_count(calls: Iterable[Call]) -> int:
    """Return the number of kernels, with those of bodies."""
    total = 0
    for call in calls:
        if isinstance(call, LoopCall):
            total += sum(kernel_count(body.code.calls) for body in call.bodies)
        else:
            total += 1
    return total


# Packages: objects, such as sparse matrices, that are made of arrays at the end of each call


@dataclass(frozen=True, slots=True)
class Packed:
    """Stands for the object that ``make`` makes of the next ``count`` results."""

    count: int
    make: Callable[..., Any]


Form: TypeAlias = Sequence[Packed | None]
"""For each output of a graph, what it is made by; ``None`` for one that is an array."""


def form_of(graph: Graph) -> Form:
    """Return how the outputs are made of arrays."""
    ops = [node.op for node in graph.outputs]
    counts = [len(node.inputs) for node in graph.outputs]
    return [
        Packed(count, op.packer()) if isinstance(op, Package) else None
        for op, count in zip(ops, counts, strict=True)
    ]


def without_packages(graph: Graph) -> Graph:
    """Return the graph with the arrays of packages as outputs."""
    if not any(isinstance(node.op, Package) for node in graph.outputs):
        return graph
    groups = [n.inputs if isinstance(n.op, Package) else (n,) for n in graph.outputs]
    return Graph([node for group in groups for node in group], graph.inputs)


def grouped(values: Iterable[_T], graph: Graph) -> list[list[_T]]:
    """Return, for each output of a graph, what belongs to its arrays."""
    rest = iter(values)
    return [list(islice(rest, _count(item))) for item in form_of(graph)]


def packed(values: Iterable[Any], form: Form) -> list[Any]:
    """Return the outputs, of which some are made of several values."""
    rest = iter(values)
    return [next(rest) if item is None else item.make(*islice(rest, item.count)) for item in form]


def unpacked(targets: Sequence[Any], form: Form) -> list[Any]:
    """Return the memory for each array, where that for packages is ``None``."""
    pairs = zip(targets, form, strict=False)
    return [each for target, item in pairs for each in [target] * _count(item)]


def _count(item: Packed | None) -> int:
    return 1 if item is None else item.count
