"""What memory a plan takes, and when: each value from the step that makes it to its last use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.fused import Fused
from symad.ops.permute import PermuteDims
from symad.ops.shape import BroadcastTo, Reshape
from symad.plan.arrange import Layout, Lifetime, arrange
from symad.plan.storage import storage_of
from symad.types import StructureType

if TYPE_CHECKING:
    from symad.plan.plan import Instruction, Plan


class BlockKind(StrEnum):
    """Whose memory it is."""

    INPUT = "input"
    CONSTANT = "constant"
    TEMPORARY = "temporary"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Block:
    """Memory of one value, of the views of it, and of what is written over it in place.

    Attributes
    ----------
    values : tuple of Node
        Those that are not views, in the order in which they are written.
    size : int
        In bytes.
    first, last : int
        The instructions that write it first and read it last, counted from 0.  Inputs and
        constants are there before, at -1; outputs stay after the last instruction.
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
    """The memory of a plan whose sizes are all known.

    Attributes
    ----------
    blocks : tuple of Block
        Inputs and constants first, then in the order in which they are written.
    live : tuple of int
        The bytes of temporaries and outputs that are needed during each instruction, what it reads
        and what it writes; at last, those needed when the outputs are handed out.
    arena : Layout
        Where temporaries and outputs can stand in one block of memory, in the order of
        :attr:`made`.
    """

    blocks: tuple[Block, ...]
    live: tuple[int, ...]
    arena: Layout

    @property
    def lower_bound(self) -> int:
        """The most of :attr:`live`: this schedule cannot do with less.

        Inputs, parameters and constants are not counted: they are there before a call.  Outputs
        are, from the instruction that writes them; results written in place count once.
        """
        return max(self.live)

    @property
    def peak_step(self) -> int:
        """The instruction during which most is needed, the first such."""
        return self.live.index(max(self.live))

    @property
    def peak(self) -> int:
        """The bytes of the arena: the lower bound, and what gaps and alignment waste."""
        return self.arena.size

    @property
    def made(self) -> tuple[Block, ...]:
        """The blocks that a call makes: temporaries and outputs."""
        return tuple(block for block in self.blocks if block.first >= 0)

    @property
    def residuals(self) -> tuple[Block, ...]:
        """What the forward part of a derivative keeps for the backward part."""
        return tuple(block for block in self.blocks if block.is_residual)

    def at(self, step: int) -> tuple[Block, ...]:
        """Return the temporaries and outputs that are needed during an instruction."""
        return tuple(block for block in self.blocks if 0 <= block.first <= step <= block.last)


def memory_use(plan: Plan) -> MemoryUse | None:
    """Return what memory a plan takes; ``None`` if not all sizes are known.

    A reshape of what is permuted or repeated counts as a copy, other views do not count.

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
    if not plan.is_static:
        return None
    blocks = _Tracing(plan).blocks()
    live = _live(blocks, len(plan.instructions) + 1)
    made = [block for block in blocks if block.first >= 0]
    arena = arrange([Lifetime(block.size, block.first, block.last) for block in made])
    return MemoryUse(blocks, live, arena)


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
    """A block that is still being put together."""

    values: list[Node]
    size: int
    first: int
    last: int
    kind: BlockKind
    is_residual: bool = False


class _Tracing:
    """Follows a plan step by step."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._storage = storage_of(plan.graph, _copying_reshapes(plan.graph))
        self._block_of: dict[Node, _Open] = {}
        self._blocks: list[_Open] = []

    def blocks(self) -> tuple[Block, ...]:
        """Return all blocks; those without any bytes are left out."""
        plan = self._plan
        for node in plan.graph.inputs:
            self._block_of[node] = self._open(node, node.type.nbytes, -1, BlockKind.INPUT)
        for _, constant in plan.constants:
            size = constant.type.nbytes
            self._block_of[constant] = self._open(constant, size, -1, BlockKind.CONSTANT)
        for step, instruction in enumerate(plan.instructions):
            self._read(instruction, step)
            self._write(instruction, step)
        self._hand_out(len(plan.instructions))
        found = [block for block in self._blocks if block.size]
        return tuple(
            Block(tuple(b.values), b.size, b.first, b.last, b.kind, b.is_residual) for b in found
        )

    def _open(self, node: Node, size: int, step: int, kind: BlockKind) -> _Open:
        block = _Open([node], size, step, step, kind)
        self._blocks.append(block)
        return block

    def _read(self, instruction: Instruction, step: int) -> None:
        node = instruction.node
        backward = _backward_inputs(node)
        for slot, source in enumerate(node.inputs):
            for part in self._storage[source]:
                block = self._block_of[part]
                block.last = step
                made_forward = block.kind is BlockKind.TEMPORARY and part.role is None
                block.is_residual |= made_forward and slot in backward

    def _write(self, instruction: Instruction, step: int) -> None:
        node = instruction.node
        if instruction.overwrites is not None:
            slot = instruction.inputs.index(instruction.overwrites)
            (taken,) = self._storage[node.inputs[slot]]
            block = self._block_of[node] = self._block_of[taken]
            block.values.append(node)
            return
        parts = [part for part in self._storage[node] if part not in self._block_of]
        sizes = {part: part.type.nbytes for part in parts}
        if isinstance(node.type, StructureType):
            items = sum(part.type.nbytes for part in self._storage[node][1:])
            sizes[node] = max(0, sizes[node] - items)  # 0 if it is put together from others
        for part, size in sizes.items():
            self._block_of[part] = self._open(part, size, step, BlockKind.TEMPORARY)

    def _hand_out(self, step: int) -> None:
        """Outputs that share memory are copied."""
        for node, copied in zip(self._plan.graph.outputs, self._plan.copied, strict=True):
            for part in self._storage[node]:
                self._block_of[part].last = step
            if copied:
                self._open(node, node.type.nbytes, step, BlockKind.OUTPUT)
            else:
                self._block_of[node].kind = BlockKind.OUTPUT


def _copying_reshapes(graph: Graph) -> set[Node]:
    """Return the reshapes of what is permuted or repeated, which no strides can express."""
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
