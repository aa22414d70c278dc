"""The structure of a fused loop nest: values, their loops, their order and their reads.

A nest has an outer loop over rows and, for each row, one inner loop per *stage*.  A stage computes
the reductions along the row that only need reductions of earlier stages; values per row are
computed between the stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from symad.backends.native.jit import vector_unit
from symad.backends.native.kernel_call import contiguous_strides
from symad.backends.native.kernels.transposition import block_of
from symad.backends.native.kernels.vectors import MOST_APART, gathers
from symad.backends.native.scalar_builder import LLVMScalarBuilder, Scalar, element, llvm_type
from symad.graph.node import Constant, Node
from symad.ops.arithmetic import FloorDivide, Fmod, Mod
from symad.ops.base import PerElement
from symad.ops.extremum import Max, Min
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum
from symad.ops.shape import BroadcastTo, ExpandDims, Reshape, Squeeze
from symad.passes.fuse import Shape, reduced_axes, shape_of
from symad.records import dataclass

RAGGED_ROW = 4096
"""The row length if all operands are one contiguous line, which is split into rows."""

_SHORT_ROW = 12
"""Up to this length, vectors hold an element of several rows, not several elements of a row."""

_LEAST_ROW = 32
"""Shorter rows cost more than a copy that makes one line of them."""

_LINE = 64
"""The size of a cache line in bytes."""
_MOST_LINES = 1 << 14
"""So many lines stay in the cache from one row to the next, which may read the same ones."""

_RECOMPUTED = 6
"""Values with at most this many instructions are recomputed in later stages, not stored."""
_CALL = 20
"""The number of instructions that a call counts for."""
_DIVISION = 4
_OTHERS = (Sum, Max, Min, BroadcastTo, ExpandDims, Squeeze, Reshape)
"""The ops that a nest may contain besides elementwise ops."""


def supports(node: Node) -> bool:
    """Return whether there is code for one element of an elementwise node."""
    op = node.op
    if not isinstance(op, PerElement):
        return False
    return cost_of(op, tuple(source.dtype for source in node.inputs), node.dtype) is not None


def has_code(op: Fused) -> bool:
    """Return whether a body can become a nest: only fusion ensures that its ops can."""
    nodes = set(op.body.nodes).difference(op.body.inputs)
    return all(n.op is None or isinstance(n.op, _OTHERS) or supports(n) for n in nodes)


@lru_cache(maxsize=4096)
def cost_of(op: PerElement, dtypes: tuple[np.dtype[Any], ...], dtype: np.dtype[Any]) -> int | None:
    """Return the estimated instructions per element, or ``None`` if there is no code."""
    from symad.backends.native import ir

    try:
        types = [llvm_type(source) for source in dtypes]
        probe = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), types), "probe")
        builder = ir.IRBuilder(probe.append_basic_block())
        operands = [Scalar(a, source) for a, source in zip(probe.args, dtypes, strict=True)]
        element(LLVMScalarBuilder(builder), op, operands, dtype)
    except NotImplementedError:
        return None
    lines = [str(line) for block in probe.blocks for line in block.instructions]
    return sum(map(_cost_of_instruction, lines))


def _cost_of_instruction(line: str) -> int:
    code = line.partition(" = ")[2] or line
    if code.startswith("call "):
        return 1 if '@"llvm.' in code else _CALL
    return _DIVISION if "div " in code else 1


class ValueKind(Enum):
    """The loop of a nest in which a value is computed or read."""

    FULL = "full"
    """For each element."""
    ROW = "row"
    """For each row."""
    COLUMN = "column"
    """For each place of a row, after all rows: a reduction over the rows."""
    TOTAL = "total"
    """After all rows: a reduction of everything."""


class Nest:
    """Kinds, accesses and stages of the values in the body of a :class:`Fused` op.

    Attributes
    ----------
    kinds : dict
        The kind of each computed value.
    accesses : dict
        By user and input of the body, the steps of the input along each axis of the space.
    stage : dict
        The inner loop that first computes a value per element, or that a value per row precedes.
    stages : int
    numbers : list of Constant
        The constants that are run-time arguments, because they may depend on sizes.
    loops : list of list of Node
        The values per element and the reductions of each stage, sources first.
    stored : list of Node
        The values per element that one stage stores for later ones.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """

    def __init__(self, op: Fused, is_fast: bool = False) -> None:
        self.body, self.space, self.split = op.body, op.space, op.split
        self.is_fast = is_fast
        self._given = set(op.body.inputs)
        self.computed = [n for n in op.body.nodes if n.op is not None and n not in self._given]
        self.kinds: dict[Node, ValueKind] = {}
        self.accesses: dict[tuple[Node, Node], Shape] = {}
        self.stage: dict[Node, int] = {}
        for node in self.computed:
            self.kinds[node] = self._kind(node)
            self.stage[node] = max(map(self._available, node.inputs), default=0)
            for source in node.inputs:
                if source in self._given:
                    self.accesses[node, source] = self.steps(node, source)
        self.stages = 1 + max(
            (self.stage[n] for n in self.computed if self.is_made_in_loop(n)), default=0
        )
        constants = (n for n in op.body.nodes if isinstance(n, Constant) and n not in self._given)
        divisions = (n for n in self.computed if isinstance(n.op, (FloorDivide, Mod, Fmod)))
        divisors = {n.inputs[1] for n in divisions if n.dtype.kind in "iu"}  # product and shifts
        self.numbers = [n for n in constants if not (is_plain(n) or n in divisors)]
        made, stored = self._plan()
        self.loops = [[n for n in self.computed if n in wanted] for wanted in made]
        self.stored = [n for n in self.computed if n in stored]

    def lanes(self, are_rows: bool) -> int:
        """Return the number of elements, or else of rows, that are computed at once."""
        return vector_unit().bits // (8 * self._widest([self.computed] if are_rows else self.loops))

    def _kind(self, node: Node) -> ValueKind:
        if not isinstance(node.op, Reduction):
            return ValueKind.FULL if shape_of(node) == self.space else ValueKind.ROW
        if self.kind_of(node.inputs[0]) is ValueKind.ROW:
            return ValueKind.TOTAL
        axes, rank = reduced_axes(node.op, node.inputs[0]), len(self.space)
        if self.split is not None and axes == tuple(range(self.split, rank)):
            return ValueKind.ROW
        return ValueKind.TOTAL if len(axes) == rank else ValueKind.COLUMN

    def kind_of(self, node: Node) -> ValueKind:
        """Return the kind of a computed value, or of an input of a reduction or a view."""
        if node in self.kinds:
            return self.kinds[node]
        return ValueKind.FULL if shape_of(node) == self.space else ValueKind.ROW

    def is_computed(self, node: Node, kind: ValueKind) -> bool:
        """Return whether the nest computes this value with this kind."""
        return self.kinds.get(node) is kind

    def reduces_elements(self, node: Node) -> bool:
        """Return whether a value is a reduction in an inner loop."""
        return isinstance(node.op, Reduction) and self.kind_of(node.inputs[0]) is ValueKind.FULL

    def is_made_in_loop(self, node: Node) -> bool:
        """Return whether an inner loop computes a value, per element or by a reduction."""
        return self.kinds[node] is ValueKind.FULL or self.reduces_elements(node)

    def _available(self, node: Node) -> int:
        """Return the first stage that can use a value."""
        if node not in self.kinds:
            return 0
        is_row_of_loop = self.kinds[node] is ValueKind.ROW and self.reduces_elements(node)
        return self.stage[node] + is_row_of_loop

    def steps(self, user: Node, source: Node, given: Shape | None = None) -> Shape:
        """Return the steps of ``source`` along the axes of the space for ``user``.

        ``given`` are the strides of a source that is not contiguous.
        """
        shape = shape_of(source)
        if is_in_order(user):
            shape = self.space[: self.split]
        broadcasts = isinstance(user.op, (PerElement, BroadcastTo))
        # A value per row may only have the axes before the row.
        rank = len(shape_of(user) if broadcasts else shape)
        pairs = zip(shape, given or contiguous_strides(shape), strict=True)
        strides = tuple(0 if size == 1 else stride for size, stride in pairs)
        return (0,) * (rank - len(shape)) + strides + (0,) * (len(self.space) - rank)

    def _plan(self) -> tuple[list[set[Node]], set[Node]]:
        """Return the values of each stage, and those stored for later ones, starting at the end."""
        stored: set[Node] = set()
        made: list[set[Node]] = [set() for _ in range(self.stages)]
        outputs = set(self.body.outputs)
        costs = self._costs()
        for stage in reversed(range(self.stages)):
            pending = [
                node
                for node in self.computed
                if self.stage[node] == stage
                and (self.reduces_elements(node) or (node in outputs | stored))
                and self.is_made_in_loop(node)
            ]
            while pending:
                node = pending.pop()
                if node in made[stage]:
                    continue
                made[stage].add(node)
                for source in node.inputs:
                    if not self.is_computed(source, ValueKind.FULL):
                        continue
                    if self.stage[source] < stage:
                        if source in outputs or source in stored:
                            continue
                        if costs[source] > _RECOMPUTED:
                            stored.add(source)
                            continue
                    pending.append(source)
        return made, stored

    def _widest(self, loops: Sequence[Sequence[Node]]) -> int:
        """Return the largest element size in registers, in bytes: float16 is computed wider."""
        looped = [node for loop in loops for node in loop]
        nodes = [*looped, *(source for node in looped for source in node.inputs)]
        dtypes = {node.dtype for node in nodes}
        return max((4 if d == "float16" else d.itemsize for d in dtypes), default=8)

    def own_cost(self, node: Node) -> int:
        """Return the estimated instructions per element, without those of its operands."""
        if not isinstance(node.op, PerElement):
            return 0
        return cost_of(node.op, tuple(source.dtype for source in node.inputs), node.dtype) or 0

    def _costs(self) -> dict[Node, int]:
        """Return the estimated instructions to compute a value from the inputs."""
        costs: dict[Node, int] = {}
        for node in self.computed:
            if self.kinds[node] is not ValueKind.FULL:
                continue
            own = self.own_cost(node)
            costs[node] = min(own + sum(costs.get(source, 0) for source in node.inputs), 1 << 30)
        return costs


def is_in_order(user: Node) -> bool:
    """Return whether an op takes one number per row, in the order of memory."""
    return isinstance(user.op, (ExpandDims, Squeeze, Reshape))


def is_plain(constant: Constant) -> bool:
    """Return whether a number is part of the formula, not a size."""
    value = constant.value.item()
    return isinstance(value, bool) or value != value or value in (0, 0.5, 1, 2, -0.5, -1, -2, *_INF)


_INF = (math.inf, -math.inf)


@dataclass(frozen=True, slots=True)
class Read:
    """A read of the nest, with the axes of the space merged where possible.

    Attributes
    ----------
    slot : int
        The index of the input of the body.
    inner : int
        The step along a row; 0 for one value per row.
    outer : tuple of int
        The steps along the outer axes.
    expanded : bool
        Whether the input is first copied to the shape of the space, because its steps along a row
        are uneven.
    """

    slot: int
    inner: int
    outer: Shape
    expanded: bool

    @property
    def jumps(self) -> bool:
        """Whether the elements of a row are far apart: their step is no part of the code."""
        return not -1 <= self.inner <= MOST_APART

    def across(self, row: int) -> Across:
        """Return how rows of this length follow one another along the last outer axis."""
        if self.outer[-1] == 0:
            return Across.SAME
        follows = self.inner in (0, 1) and self.outer[-1] == (row if self.inner else 1)
        return Across.NEXT if follows else Across.APART


def readable(nest: Nest, given: Mapping[Node, Shape]) -> dict[Node, Shape]:
    """Return those inputs that can be read with the strides ``given``; the others are copied.

    The elements of a row must have even steps, and rows must not be short if the nest may have rows
    of any length.
    """
    found = dict(given)
    axes = [axis for axis, size in enumerate(nest.space) if size != 1]
    sizes = tuple(nest.space[axis] for axis in axes)
    for user, source in nest.accesses:
        if source not in found:
            continue
        if is_in_order(user):
            del found[source]
            continue
        steps = nest.steps(user, source, found[source])
        steps = tuple(steps[axis] for axis in axes)
        if nest.split is None:
            split = _even_from(sizes, [steps])
            fits = math.prod(sizes[split:]) >= _LEAST_ROW
        else:
            split, fits = sum(axis < nest.split for axis in axes), True
        row, step = sizes[split:], _step(sizes[split:], steps[split:])
        if not fits or step is None or not _reads_at(step, math.prod(row), source.dtype):
            del found[source]
        elif step and _is_transposed(math.prod(row), sizes[:split], steps[:split], source.dtype):
            del found[source]
    return found


def _is_transposed(row: int, outer: Shape, steps: Shape, dtype: np.dtype[Any]) -> bool:
    """Return whether a copy by blocks, which turns columns into rows, is quicker than reads."""
    along = (size for size, step in zip(outer, steps, strict=True) if step == 1)
    return min(row, max(along, default=0)) >= block_of(dtype.itemsize)


def _reads_at(step: int, length: int, dtype: np.dtype[Any]) -> bool:
    """Return whether a row of elements so far apart is better read than copied first."""
    is_near = abs(step * dtype.itemsize) < _LINE or length <= _MOST_LINES
    backwards = step == -1 and dtype.kind in "iuf"
    return step in (0, 1) or backwards or (is_near and gathers(dtype))


class Across(Enum):
    """How the elements that a read takes from row to row lie in memory."""

    SAME = "same"
    """Every row reads the same."""
    NEXT = "next"
    """One row begins where the one before ends."""
    APART = "apart"
    """Rows are anywhere."""


class NestLayout:
    """The sizes of a nest, and its reads.

    Parameters
    ----------
    nest : Nest
    strides : dict from Node to tuple of int
        The strides of inputs that are not contiguous, which are :func:`readable`.

    Attributes
    ----------
    outer : tuple of int
        The sizes of the outer axes: the rows.
    row : int
        The length of a row.
    is_line : bool
        Whether everything is one line, split into rows, of which the last may be shorter.
    has_short_rows : bool
        Whether each lane of a vector computes a row along the last outer axis.
    lanes : int
        The number of elements, or else of rows, that are computed at once.
    reads : list of Read
    read_of : dict
        By user and source, the index in ``reads``.
    """

    def __init__(self, nest: Nest, strides: Mapping[Node, Shape] = MappingProxyType({})) -> None:
        axes = [axis for axis, size in enumerate(nest.space) if size != 1]
        sizes = tuple(nest.space[axis] for axis in axes)
        steps: dict[tuple[Node, Node], Shape] = {}
        for (user, source), access in nest.accesses.items():
            along = access if source not in strides else nest.steps(user, source, strides[source])
            steps[user, source] = tuple(along[axis] for axis in axes)
        if nest.split is None:
            split = _even_from(sizes, list(steps.values()))
        else:
            split = sum(axis < nest.split for axis in axes)
        self.row = math.prod(sizes[split:])
        self.elements = math.prod(sizes)
        slots = {node: slot for slot, node in enumerate(nest.body.inputs)}
        whole = contiguous_strides(sizes)
        found: dict[tuple[int, Shape, bool], int] = {}
        self.read_of: dict[tuple[Node, Node], int] = {}
        for (user, source), its in steps.items():
            awkward = _step(sizes[split:], its[split:]) is None
            key = slots[source], whole if awkward else its, awkward
            self.read_of[user, source] = found.setdefault(key, len(found))
        outer = _merge(sizes[:split], [strides[:split] for _, strides, _ in found])
        self.outer = tuple(size for size, _ in outer)
        self.reads = [
            Read(slot, its[-1] if its[split:] else 0, tuple(s[i] for _, s in outer), awkward)
            for i, (slot, its, awkward) in enumerate(found)
        ]
        self.has_short_rows = self._takes_rows_at_once(nest)
        self.lanes = nest.lanes(self.has_short_rows)
        self.is_line = nest.split is None and not self.outer
        if self.is_line:
            self.row = RAGGED_ROW
            self.reads = [Read(r.slot, r.inner, (r.inner * self.row,), False) for r in self.reads]

    def _takes_rows_at_once(self, nest: Nest) -> bool:
        """Return whether each lane of a vector computes a row: they are short, and many."""
        if not 1 < self.row <= _SHORT_ROW or not self.outer:
            return False
        if self.outer[-1] < nest.lanes(True) or not gathers(np.dtype(float)):
            return False
        return all(node.dtype != "float16" for node in (*nest.computed, *nest.body.inputs))

    def reads_in_order(self, read: Read) -> bool:
        """Return whether a read takes consecutive elements, in the order of the outputs."""
        if read.expanded or read.inner != 1:
            return False
        steps = (self.row * math.prod(self.outer[axis + 1 :]) for axis in range(len(self.outer)))
        return self.is_line or read.outer == tuple(steps)

    @property
    def rows(self) -> int:
        """The number of rows, or of lines of short rows, which parts divide."""
        of_line = self.outer[-1] if self.has_short_rows and len(self.outer) > 1 else 1
        return -(-self.elements // (self.row * of_line))


def _even_from(sizes: Shape, strides: list[Shape]) -> int:
    """Return the first axis from which every operand has even steps."""
    split = len(sizes) - 1
    while split > 0 and all(
        _step(sizes[split - 1 :], s[split - 1 :]) is not None for s in strides
    ):
        split -= 1
    return split


def _step(sizes: Shape, strides: Shape) -> int | None:
    """Return the step from each element of a row to the next, or ``None`` if that differs."""
    step = strides[-1] if strides else 0
    even = tuple(step * stride for stride in contiguous_strides(sizes))
    return step if strides == even else None


def _merge(sizes: Shape, strides: list[Shape]) -> list[tuple[int, Shape]]:
    """Return axes with the steps of every operand, merging neighbours where possible."""
    merged: list[tuple[int, Shape]] = []
    for axis in reversed(range(len(sizes))):
        steps = tuple(s[axis] for s in strides)
        if merged and steps == tuple(merged[0][0] * step for step in merged[0][1]):
            merged[0] = sizes[axis] * merged[0][0], merged[0][1]
        else:
            merged.insert(0, (sizes[axis], steps))
    return merged
