"""The memory of a plan over time: each value from the step that makes it to its last use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.ops.fused import Fused
from symad.ops.permute import PermuteDims
from symad.ops.shape import BroadcastTo, Reshape
from symad.plan.liveness import sharing_of
from symad.records import dataclass, field
from symad.types import StructureType, Type

if TYPE_CHECKING:
    from symad.plan.buffer_assignment import Arrangement


class BlockKind(StrEnum):
    """The owner of the memory."""

    INPUT = "input"
    CONSTANT = "constant"
    TEMPORARY = "temporary"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Block:
    """The memory of a value, of its views, and of values written over it in place.

    Attributes
    ----------
    values : tuple of Node
        The values that are not views, in the order in which they are written.
    size : int
        In bytes.
    first, last : int
        The instructions that write it first and read it last, counted from 0.  Inputs and constants
        exist before, at -1; outputs stay after the last instruction.
    kind : BlockKind
    is_residual : bool
        Whether the forward part makes a value that the backward part reads.
    """

    values: tuple[Node, ...]
    size: int
    first: int
    last: int
    kind: BlockKind
    is_residual: bool


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The memory of a plan whose sizes are known.

    Stacks of loops whose number of steps is known only when they have run count as empty.

    Attributes
    ----------
    blocks : tuple of Block
        Inputs and constants first, then in the order in which they are written.
    live : tuple of int
        The bytes of temporaries and outputs that are needed during each instruction, which it reads
        or writes or which are read later; the last item is for when the outputs are returned.
    arena : Arrangement
        Where temporaries and outputs can be placed in one block of memory, in the order of
        :attr:`made`.
    has_unknown : bool
        Whether there are values whose sizes are not known.
    """

    blocks: tuple[Block, ...]
    live: tuple[int, ...]
    arena: Arrangement
    has_unknown: bool = False

    @property
    def lower_bound(self) -> int:
        """The maximum of :attr:`live`: the least memory that this schedule needs.

        Inputs, parameters and constants are not counted: they exist before a call.  Outputs are
        counted from the instruction that writes them; results written in place count once.
        """
        return max(self.live)

    @property
    def peak_step(self) -> int:
        """The first instruction that needs the most memory."""
        return self.live.index(max(self.live))

    @property
    def peak(self) -> int:
        """The bytes of the arena: the lower bound plus the waste by gaps and alignment."""
        return self.arena.size

    @property
    def made(self) -> tuple[Block, ...]:
        """The blocks that a call makes: temporaries and outputs."""
        return tuple(block for block in self.blocks if block.first >= 0)

    @property
    def residuals(self) -> tuple[Block, ...]:
        """The values that the forward part of a derivative keeps for the backward part."""
        return tuple(block for block in self.blocks if block.is_residual)

    def at(self, step: int) -> tuple[Block, ...]:
        """Return the temporaries and outputs that are needed during an instruction."""
        return tuple(block for block in self.blocks if 0 <= block.first <= step <= block.last)


@dataclass(frozen=True, slots=True)
class Placement:
    """How the values of a plan share memory.

    Attributes
    ----------
    over : mapping from Node to Node
        For each value that is written over another one, that other value.
    stored : mapping from Node to str
        Descriptions of where values are stored; empty if NumPy allocates them.
    early : mapping from Node to sequence of Node
        The results whose memory exists from the instruction of a node on, before they are written.
    inside : mapping from Node to Node
        For each value that is stored in such a result before it is written, that result.
    scratch : mapping from Node to int
        The bytes that a loop needs besides its results, while it runs.
    results : sequence of sequences of Node
        For each output, what holds it: itself, a copy of it that is not a node of the graph, or
        the arrays of which it is made; empty if no output exists early.
    """

    over: Mapping[Node, Node] = field(default_factory=dict)
    stored: Mapping[Node, str] = field(default_factory=dict)
    early: Mapping[Node, Sequence[Node]] = field(default_factory=dict)
    inside: Mapping[Node, Node] = field(default_factory=dict)
    scratch: Mapping[Node, int] = field(default_factory=dict)
    results: Sequence[Sequence[Node]] = ()


def memory_use(
    graph: Graph, order: Sequence[Node], copied: Sequence[bool], placement: Placement
) -> MemoryUse | None:
    """Return the memory that a schedule needs; ``None`` if not all sizes of inputs are known.

    A reshape of a permuted or repeated array counts as a copy; other views do not count.

    Parameters
    ----------
    graph : Graph
    order : sequence of Node
        The computed nodes, in the order in which they run.
    copied : sequence of bool
        For each output, whether it is copied before it is returned.
    placement : Placement

    Examples
    --------
    >>> import symad as sm
    >>> from symad.plan.plan import make_plan
    >>> x = sm.Variable("x", shape=(100,))
    >>> use = make_plan(sm.Graph([sm.sum(sm.sin(x) * sm.cos(x))])).memory
    >>> [(block.values[0].label, block.size, block.first, block.last) for block in use.blocks]
    [('x', 800, -1, 1), ('sin', 800, 0, 3), ('cos', 800, 1, 2), ('sum', 8, 3, 4)]
    >>> use.live, use.lower_bound
    ((800, 1600, 1600, 808, 8), 1600)
    """
    if not all(node.type.is_static for node in graph.inputs):
        return None
    has_unknown = not all(node.type.is_static for node in order)
    blocks = _Tracing(graph, placement).blocks(order, copied)
    live = _live(blocks, len(order) + 1)
    made = [block for block in blocks if block.first >= 0]
    from symad.plan.buffer_assignment import Lifetime, arrange  # not needed to compile numbers

    arena = arrange([Lifetime(block.size, block.first, block.last) for block in made])
    return MemoryUse(blocks, live, arena, has_unknown)


def _bytes(type_: Type | None) -> int:
    """Return the bytes of values of a type; none for a size that is not known."""
    if isinstance(type_, StructureType):
        return sum(_bytes(item) for _, item in type_.fields)
    return type_.nbytes if type_ is not None and type_.is_static else 0


def _live(blocks: Sequence[Block], steps: int) -> tuple[int, ...]:
    changes = [0] * (steps + 1)
    for block in blocks:
        if block.first >= 0:
            changes[block.first] += block.size
            changes[block.last + 1] -= block.size
    total = 0
    return tuple(total := total + change for change in changes[:-1])


@dataclass(slots=True)
class _Open:
    """A block under construction."""

    values: list[Node]
    size: int
    first: int
    last: int
    kind: BlockKind
    is_residual: bool = False


class _Tracing:
    """Follows a schedule step by step."""

    def __init__(self, graph: Graph, placement: Placement) -> None:
        self._graph, self._placement = graph, placement
        self._sharing = sharing_of(graph, _copying_reshapes(graph))
        self._block_of: dict[Node, _Open] = {}
        self._blocks: list[_Open] = []
        self._early: set[Node] = set()  # results that exist but are not written yet

    def blocks(self, order: Sequence[Node], copied: Sequence[bool]) -> tuple[Block, ...]:
        """Return all blocks, except those without any bytes."""
        for node in self._graph.inputs:
            self._block_of[node] = self._open(node, _bytes(node.type), -1, BlockKind.INPUT)
        for node in self._graph.nodes:
            if isinstance(node, Constant):
                self._block_of[node] = self._open(node, _bytes(node.type), -1, BlockKind.CONSTANT)
        for step, node in enumerate(order):
            for result in self._placement.early.get(node, ()):
                size, kind = _bytes(result.type), BlockKind.TEMPORARY
                self._block_of[result] = self._open(None, size, step, kind)
                self._early.add(result)
            self._read(node, step)
            self._write(node, step)
            if node in self._placement.scratch:
                self._open(node, self._placement.scratch[node], step, BlockKind.TEMPORARY)
        self._hand_out(copied, len(order))
        found = [block for block in self._blocks if block.size]
        return tuple(
            Block(tuple(b.values), b.size, b.first, b.last, b.kind, b.is_residual) for b in found
        )

    def _open(self, node: Node | None, size: int, step: int, kind: BlockKind) -> _Open:
        block = _Open([] if node is None else [node], size, step, step, kind)
        self._blocks.append(block)
        return block

    def _read(self, node: Node, step: int) -> None:
        backward = _backward_inputs(node)
        for slot, source in enumerate(node.inputs):
            for part in self._sharing[source]:
                block = self._block_of[part]
                block.last = step
                made_forward = block.kind is BlockKind.TEMPORARY and part.role is None
                block.is_residual |= made_forward and slot in backward

    def _write(self, node: Node, step: int) -> None:
        placement = self._placement
        parts = [part for part in self._sharing[node] if part not in self._block_of]
        for part in self._early.intersection(self._sharing[node]):
            self._early.remove(part)
            self._block_of[part].values.append(part)
        sizes = {part: _bytes(part.type) for part in parts}
        if isinstance(node.type, StructureType):
            items = sum(_bytes(part.type) for part in self._sharing[node][1:])
            sizes[node] = max(0, sizes[node] - items)  # 0 if it consists of others
        for part, size in sizes.items():
            taken = placement.inside.get(part, placement.over.get(part))
            if taken in self._block_of:
                block = self._block_of[part] = self._block_of[taken]
                block.values.append(part)
            else:
                self._block_of[part] = self._open(part, size, step, BlockKind.TEMPORARY)

    def _hand_out(self, copied: Sequence[bool], step: int) -> None:
        """Outputs that share memory are copied."""
        outputs = self._graph.outputs
        results = self._placement.results or [(node,) for node in outputs]
        for node, arrays, is_copied in zip(outputs, results, copied, strict=True):
            for part in self._sharing[node]:
                self._block_of[part].last = step
            for array in arrays:
                block = self._block_of.get(array)
                if block is None or (is_copied and array is node):
                    block = self._open(node, _bytes(array.type), step, BlockKind.OUTPUT)
                elif node not in block.values:
                    block.values.append(node)
                block.kind, block.last = BlockKind.OUTPUT, step


def _copying_reshapes(graph: Graph) -> set[Node]:
    """Return the reshapes of permuted or repeated arrays, which no strides can express."""
    strided: set[Node] = set()
    copying: set[Node] = set()
    given = set(graph.inputs)
    for node in graph.nodes:
        if node.op is None or node in given or not node.op.is_view:
            continue
        if isinstance(node.op, (PermuteDims, BroadcastTo)):
            strided.add(node)
        elif node.inputs[0] in strided:
            (copying if isinstance(node.op, Reshape) else strided).add(node)
    return copying


def _backward_inputs(node: Node) -> set[int]:
    """Return the inputs of a node that a derivative reads."""
    if not isinstance(node.op, Fused):
        return set() if node.role is None else set(range(len(node.inputs)))
    body = node.op.body
    place = {leaf: slot for slot, leaf in enumerate(body.inputs)}
    users = [user for user in body.nodes if user.role is not None]
    return {place[source] for user in users for source in user.inputs if source in place}
