"""Lowering: from nodes of a graph to kernel calls over buffers.

Only :func:`supports` decides whether there is native code for an op on given types.  Every
supported op can be lowered for operands of any strides: unsuitable operands are copied.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.backends.native.kernel_call import BufferView, KernelCall, Shape, contiguous_strides
from symad.backends.native.lower import contract, copies, index, lapack, loops
from symad.backends.native.lower.views import is_view, own_outputs, view
from symad.backends.native.segment_code import ArrayType, Call, LoopCall, SegmentCode, blocks_of
from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.adjoint import Identity
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.ops.fused import Fused
from symad.ops.join import Concat
from symad.ops.matrices import NanOnFailure
from symad.ops.structure import StructureItem
from symad.passes.fuse import shape_of
from symad.plan.buffer_assignment import Assignment, BufferUse, assign
from symad.plan.storage import Storage, StorageKind
from symad.records import dataclass, replace
from symad.types import StructureType, TensorType

if TYPE_CHECKING:
    from symad.backends.native.lower.joined_parts import Places


@cache
def _table() -> dict[type[Op], copies.Lower]:
    """Return the lowering function of each op that is neither a nest nor a view."""
    return {**copies.TABLE, **contract.TABLE, **lapack.TABLE, **index.TABLE}


def _table_of_bodies(op: Op | None) -> dict[type[Op], Any]:
    """Return the lowering functions of ops with bodies, if an op may be one of them."""
    if isinstance(op, Fused) or not isinstance(op, (WithBody, NanOnFailure)):
        return {}
    from symad.backends.native.lower.bodies import TABLE  # few graphs need it

    return TABLE


@cache
def _conditions() -> dict[type[Op], copies.Condition]:
    """Return the conditions under which these ops have code, if any."""
    tables = copies.CONDITIONS, contract.CONDITIONS, lapack.CONDITIONS, index.CONDITIONS
    return {kind: condition for table in tables for kind, condition in table.items()}


def supports(node: Node) -> bool:
    """Return whether there is native code for an op on these types."""
    op = node.op
    if isinstance(op, StructureItem):
        whole = node.inputs[0]
        tables = _table(), _table_of_bodies(whole.op)
        is_computed = isinstance(whole.op, Fused) or any(type(whole.op) in t for t in tables)
        return is_computed and supports(whole)
    if isinstance(op, PerElement):
        return loops.has_nest(node)
    if type(op) in _table_of_bodies(op):
        from symad.backends.native.lower.bodies import are_lowered

        return are_lowered(node, supports)
    if op is None or not all(map(_is_known, (*node.inputs, *_parts(node)))):
        return False
    if type(op) in _table():
        condition = _conditions().get(type(op))
        return condition is None or condition(node)
    return isinstance(op, Identity) or loops.has_nest(node)


def is_large(node: Node) -> bool:
    """Return whether a node, or the structure of which it is an item, is a large nest."""
    whole = node.inputs[0] if isinstance(node.op, StructureItem) else node
    return loops.is_large(whole)


def _is_known(node: Node | TensorType) -> bool:
    type_ = node.type if isinstance(node, Node) else node
    return isinstance(type_, TensorType) and type_.is_static and type_.dtype.kind in "biuf"


def _parts(node: Node) -> list[Any]:
    """Return the type of a value, or the types of the items of a structure."""
    if isinstance(node.type, StructureType):
        return [type_ for _, type_ in node.type.fields]
    return [node.type]


@dataclass(frozen=True, slots=True)
class LoweredSegment:
    """Nodes that are computed together, as kernel calls on buffers without addresses.

    Attributes
    ----------
    nodes : tuple of Node
        The computed nodes, in order.
    calls : tuple of Call
    buffers : tuple of Storage or int
        The buffers of the views among the words of calls; an integer is the size of a buffer
        without a place.
    views : dict
        The view of each value; a list for a value with several parts.
    given : dict from int to Node
        The buffers of values from outside.
    constants : tuple of arrays
        Arrays at fixed addresses.
    """

    nodes: tuple[Node, ...]
    calls: tuple[Call, ...]
    buffers: tuple[Storage | int, ...]
    views: dict[Node, Any]
    given: dict[int, Node]
    constants: tuple[Any, ...]

    @property
    def inputs(self) -> list[Node]:
        """The outside values that calls read."""
        used = {block for call in self.calls for block in blocks_of(call)}
        return [node for buffer, node in self.given.items() if buffer in used]


def lower(
    nodes: Sequence[Node],
    kept: Collection[Node],
    is_fast: bool = False,
    threads: int = 1,
    in_body: bool = False,
) -> LoweredSegment:
    """Return the kernel calls that compute nodes, all of which must be supported.

    Parameters
    ----------
    nodes : sequence of Node
        Inputs before users; a view among them gets its own memory.
    kept : collection of Node
        Those that others need.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    threads : int
        How many threads share large nests.
    in_body : bool
        Whether the NumPy kernels of ops without code may be called.
    """
    lowering = _Lowering(is_fast, threads, in_body, _places(nodes, kept))
    for node in nodes:
        lowering.add(node)
    return lowering.segment(nodes)


def _places(nodes: Sequence[Node], kept: Collection[Node]) -> Places:
    """Return which results are parts of joins that only these read."""
    joins = [node for node in nodes if isinstance(node.op, Concat)]
    if not joins:
        return {}
    from symad.backends.native.lower.joined_parts import places_of_parts

    return places_of_parts(joins, nodes, kept)


class _Lowering:
    """Collects the kernel calls of one segment."""

    def __init__(
        self,
        is_fast: bool,
        threads: int,
        in_body: bool,
        places: Places,
    ) -> None:
        self._is_fast, self._threads, self._in_body = is_fast, threads, in_body
        self._places, self._joined = places, set[int]()
        self._calls: list[Call] = []
        self._views: dict[Node, Any] = {}
        self._buffers: list[Storage | int] = []
        self._given: dict[int, Node] = {}
        self._constants: list[Any] = []

    def segment(self, nodes: Sequence[Node]) -> LoweredSegment:
        """Return the collected code."""
        return LoweredSegment(
            tuple(nodes),
            tuple(self._calls),
            tuple(self._buffers),
            self._views,
            self._given,
            tuple(self._constants),
        )

    def add(self, node: Node) -> None:
        """Append the calls that compute a node."""
        if isinstance(node.op, StructureItem):
            self._views[node] = self._views[node.inputs[0]][node.op.key]
            return
        inputs = [self.view_of(source) for source in node.inputs]
        parts = self._results(node)
        calls = self._calls_of(node, inputs, parts)
        if {view.block for view in parts} & self._joined:  # others write there as well
            calls = [replace(c, over=()) if isinstance(c, KernelCall) else c for c in calls]
        self._calls += calls
        self._views[node] = parts if isinstance(node.type, StructureType) else parts[0]

    def _calls_of(
        self, node: Node, inputs: list[BufferView], parts: list[BufferView]
    ) -> Sequence[Call]:
        assert node.op is not None
        table = _table_of_bodies(node.op)
        if type(node.op) in table:
            from symad.backends.native.lower.bodies import Tools

            tools = Tools(self.scratch, self._compiled, self._scalars, self._grows)
            return table[type(node.op)](node, inputs, parts, tools)  # type: ignore[no-any-return]
        if isinstance(node.op, Identity):
            return copies.copy(node, inputs[0], parts[0])
        if self._in_body and not supports(node):
            from symad.backends.native import numpy_kernel

            return numpy_kernel.lower(node, inputs, parts, self.scratch)
        lower = _table().get(type(node.op))
        if lower is not None:
            output: Any = parts[0] if len(parts) == 1 else tuple(parts)
            return lower(node, inputs, output, self.scratch)
        settings = self._is_fast, self._threads, self._in_body
        return loops.lower(node, inputs, parts, self.scratch, *settings)

    def _compiled(self, body: Graph) -> SegmentCode:
        """Return the code of a body, which writes all its results."""
        from symad.backends.native.lower.bodies import computed_nodes
        from symad.backends.native.lower.scalar_bodies import scalar_code

        as_scalars = scalar_code(body, self._is_fast)
        if as_scalars is not None:
            return as_scalars
        outputs, copies = own_outputs(body)
        nodes = [*computed_nodes(body), *copies]
        lowered = lower(nodes, outputs, self._is_fast, self._threads, in_body=True)
        self._constants += lowered.constants
        return place(lowered, body.inputs, outputs, boxes_numbers=False).code

    def _scalars(self, body: Graph) -> KernelCall | None:
        from symad.backends.native.lower.scalar_bodies import MOST_CALLED, scalar_call

        return scalar_call(body, self._is_fast, most=MOST_CALLED)

    def _results(self, node: Node) -> list[BufferView]:
        """Return memory for the results of a node; that of a join may exist before."""
        if node in self._views:
            return [self._views[node]]
        if not isinstance(node.type, StructureType):
            return [self._result(node, None, node.type)]
        return [self._result(node, *field) for field in node.type.fields]

    def _result(self, node: Node, key: Any, type_: Any) -> BufferView:
        """Return memory for one result: its place in a join, if only that reads it."""
        place = self._places.get((node, key))
        if place is None:
            return self._made(type_)
        join, (first, end, _, _) = place
        if join not in self._views:
            (self._views[join],) = self._results(join)
        whole: BufferView = self._views[join]
        self._joined.add(whole.block)
        axis = next(axis for axis, size in enumerate(whole.shape) if size > 1)
        return copies.part(whole, axis, first, end - first)

    def _made(self, type_: TensorType) -> BufferView:
        """Return memory for a result; that of a stack whose length is not known grows."""
        if type_.is_static:
            return self.scratch(type_.shape, type_.dtype)  # type: ignore[arg-type]
        self._buffers.append(Storage(StorageKind.GROWING, len(self._buffers)))
        return self._row_of(type_)

    def _row_of(self, type_: TensorType) -> BufferView:
        """Return the view of the first row of the latest buffer, which has any number of them."""
        return self._whole((1, *type_.shape[1:]), type_.dtype)  # type: ignore[index]

    def _grows(self, view: BufferView) -> bool:
        storage = self._buffers[view.block]
        is_given = view.block in self._given and not self._given[view.block].type.is_static
        return is_given or (isinstance(storage, Storage) and storage.kind is StorageKind.GROWING)

    def scratch(self, shape: Shape, dtype: np.dtype[Any]) -> BufferView:
        """Return a buffer without a place, which is in use while calls refer to it."""
        self._buffers.append(math.prod(shape) * dtype.itemsize)
        return self._whole(shape, dtype)

    def _whole(self, shape: Shape, dtype: np.dtype[Any]) -> BufferView:
        """Return the view of the whole latest buffer."""
        return BufferView(len(self._buffers) - 1, 0, shape, contiguous_strides(shape), dtype)

    def view_of(self, node: Node) -> BufferView:
        """Return the view of a value; a value from outside becomes an input of the segment."""
        chain = []
        while node not in self._views and is_view(node):
            chain.append(node)
            node = node.inputs[0]
        if node not in self._views:
            self._views[node] = self._from_outside(node)
        found: BufferView = self._views[node]
        for step in reversed(chain):
            seen = view(step, found)
            if seen is None:  # only a copy has one
                copied, calls = copies.contiguous(step, found, self.scratch)
                self._calls += calls
                seen = view(step, copied)
            assert seen is not None
            found = self._views[step] = seen
        return found

    def _from_outside(self, node: Node) -> BufferView:
        assert isinstance(node.type, TensorType)
        if isinstance(node, Constant):
            array = np.ascontiguousarray(node.value) if node.value.ndim else node.value
            self._constants.append(array)
            address = array.__array_interface__["data"][0]
            self._buffers.append(Storage(StorageKind.FIXED, address))
        else:
            self._given[len(self._buffers)] = node
            self._buffers.append(Storage(StorageKind.INPUT, -1))
        if node.type.is_static:
            return self._whole(shape_of(node), node.type.dtype)
        return self._row_of(node.type)


# The finished segment


@dataclass(frozen=True, slots=True)
class PlacedSegment:
    """A segment with given inputs and outputs, and a place for each buffer.

    Attributes
    ----------
    code : SegmentCode
    inputs, outputs : tuple of Node
        Its arguments and results, in order.
    stored : dict from Node to sequence of Storage
        The storage of each value: one place for each of its parts.
    over : dict from Node to Node
        From each value that overwrites another one to that one.
    scratch : dict from Node to int
        The bytes that loops need besides their results.
    """

    code: SegmentCode
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    stored: dict[Node, Sequence[Storage]]
    over: dict[Node, Node]
    scratch: dict[Node, int]


def place(
    segment: LoweredSegment,
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    boxes_numbers: bool = True,
) -> PlacedSegment:
    """Return a segment with these inputs and outputs, and a place for each buffer.

    The outputs are among its nodes, and no two share memory.  A result without axes is computed in
    the arena if ``boxes_numbers``, and made into an object from there.
    """
    number = {node: k for k, node in enumerate(inputs)}
    buffers = list(segment.buffers)
    for buffer, node in segment.given.items():
        buffers[buffer] = Storage(StorageKind.INPUT, number.get(node, -1))
    results: dict[int, Storage] = {}
    numbers: dict[int, int] = {}
    stacks: dict[int, int] = {}
    for k, node in enumerate(outputs):
        at = segment.views[node].block
        if not node.type.is_static:
            stacks[k] = at
        elif isinstance(buffers[at], Storage) or at in results or at in numbers:
            raise InternalError(f"two outputs of a segment share memory: {node!r}")
        elif shape_of(node) or not boxes_numbers:
            results[at] = Storage(StorageKind.OUTPUT, k)
        else:
            numbers[at] = k
    made = assign([_use(call) for call in segment.calls], buffers, results, numbers)
    contents = {k: made.storages[at].place for at, k in numbers.items()}
    taken, given = (list(map(_array_type, group)) for group in (inputs, outputs))
    calls, kept = segment.calls, segment.constants
    code = SegmentCode(calls, made.storages, taken, given, contents, made.arena, kept, stacks)
    by_node = _by_node(segment, made)
    return PlacedSegment(code, tuple(inputs), tuple(outputs), *by_node, _scratch(segment))


def _array_type(node: Node) -> ArrayType:
    """Return the type of an argument or a result, with -1 for any number of rows."""
    assert isinstance(node.type, TensorType) and isinstance(node.type.shape, tuple)
    shape = [size if isinstance(size, int) else -1 for size in node.type.shape]
    return ArrayType(node.type.dtype, tuple(shape))


def _use(call: Call) -> BufferUse:
    return BufferUse(blocks_of(call), [(made.block, read.block) for made, read in call.over])


def _scratch(segment: LoweredSegment) -> dict[Node, int]:
    """Return the bytes that loops need besides values of nodes."""
    values = list(segment.views.values())
    known = {view.block for v in values for view in (v if isinstance(v, list) else [v])}
    found: dict[Node, int] = {}
    for call in segment.calls:
        if isinstance(call, LoopCall):
            sizes = (segment.buffers[block] for block in {*blocks_of(call)} - known)
            found[call.node] = sum(size for size in sizes if isinstance(size, int))
    return found


def _by_node(
    segment: LoweredSegment, made: Assignment
) -> tuple[dict[Node, Sequence[Storage]], dict[Node, Node]]:
    """Return the storage of the values of a segment, and which values overwrite which."""
    stored: dict[Node, Sequence[Storage]] = {}
    owner: dict[int, Node] = {}
    for node in segment.nodes:
        found = segment.views[node]
        views = found if isinstance(found, list) else [found]
        stored[node] = [made.storages[view.block] for view in views]
        if not isinstance(found, list):
            owner[found.block] = node  # a join comes after its parts
    pairs = ((owner.get(new), owner.get(old)) for new, old in made.over.items())
    return stored, {new: old for new, old in pairs if new is not None and old is not None}
