"""A plan: the flat schedule of a graph over registers, made once and run many times.

A register holds one value; it is given to another value as soon as the last user has run.  An
instruction may also write its result over an input that dies with it, where the op allows that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.plan.liveness import MemoryUse, memory_use
from symad.plan.storage import Storage, storage_of
from symad.visible import visible


@dataclass(frozen=True, slots=True)
class Instruction:
    """Compute ``node`` from registers ``inputs`` into register ``output``.

    Attributes
    ----------
    node : Node
    inputs : tuple of int
    output : int
    frees : tuple of int
        The registers whose values are not needed after this instruction.
    overwrites : int or None
        The register of an input whose memory the result may take.
    """

    node: Node
    inputs: tuple[int, ...]
    output: int
    frees: tuple[int, ...]
    overwrites: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The schedule of a graph.

    Attributes
    ----------
    graph : Graph
    registers : int
        How many there are.
    inputs : tuple of int
        The register of each graph input.
    constants : tuple of (int, Constant)
    instructions : tuple of Instruction
    outputs : tuple of int
        The register of each graph output.
    copied : tuple of bool
        For each output, whether it must be copied before it is handed out, because it shares
        memory with an input, a constant or another output.
    """

    graph: Graph
    registers: int
    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Constant], ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]
    copied: tuple[bool, ...]

    @property
    def is_static(self) -> bool:
        """Whether all sizes are known."""
        return all(node.type.is_static for node in self.graph.nodes)

    @property
    def memory(self) -> MemoryUse | None:
        """What memory the values take, and when; ``None`` where sizes are not known."""
        return memory_use(self)

    @property
    def lower_bound(self) -> int | None:
        """The least bytes beyond the inputs with which this schedule can do; see :attr:`memory`."""
        use = self.memory
        return None if use is None else use.lower_bound

    def __str__(self) -> str:
        return format_plan(self)


def make_plan(graph: Graph) -> Plan:
    """Return the plan of a graph: a frugal order, with registers given out greedily.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> print(make_plan(sm.Graph([sm.sin(x) * 2 + x])))
    register  value
    r0        input x: f64[3]
    r1        constant 2
    r2        sin(r0): f64[3]
    r2        multiply(r2, r1): f64[3]          over r2
    r2        add(r2, r0): f64[3]               over r2
    return    r2
    """
    storage = storage_of(graph)
    registers = _Registers()
    inputs = tuple(registers.take(node) for node in graph.inputs)
    constants = tuple(
        (registers.take(node), node) for node in graph.nodes if isinstance(node, Constant)
    )
    pinned = {*graph.inputs, *(node for _, node in constants)}
    instructions = tuple(_instructions(graph, storage, registers, pinned))
    outputs = tuple(registers.of[node] for node in graph.outputs)
    copied = _must_copy(graph, storage, pinned)
    return Plan(graph, registers.count, inputs, constants, instructions, outputs, copied)


def _instructions(
    graph: Graph, storage: Storage, registers: _Registers, pinned: set[Node]
) -> Iterator[Instruction]:
    """Yield the instructions in order, each with a register for its result."""
    order = frugal_order(graph)
    last = _last_use(order, graph)
    needed = _last_use_of_memory(last, storage)
    given = set(graph.inputs)
    dying: dict[int, list[Node]] = {}
    for node, step in last.items():
        if node not in pinned:
            dying.setdefault(step, []).append(node)
    for step, node in enumerate(order):
        if node.op is None or node in given:
            continue
        sources = tuple(registers.of[source] for source in node.inputs)
        dead = dying.get(step, [])
        over = _overwritable(node, [value for value in dead if needed[value] == step], storage)
        overwrites = None if over is None else registers.of[over]
        frees = [registers.release(value) for value in dead if value is not node]
        output = registers.take(node)
        rest = tuple(register for register in frees if register != output)
        yield Instruction(node, sources, output, rest, overwrites)


class _Registers:
    """Gives out the lowest free register."""

    def __init__(self) -> None:
        self.of: dict[Node, int] = {}
        self.count = 0
        self._free: list[int] = []

    def take(self, node: Node) -> int:
        if not self._free:
            self._free.append(self.count)
            self.count += 1
        self.of[node] = self._free.pop()
        return self.of[node]

    def release(self, node: Node) -> int:
        self._free.append(self.of[node])
        return self.of[node]


def _last_use(order: Sequence[Node], graph: Graph) -> dict[Node, int]:
    """Return the step after which no node needs each value any more."""
    last = {node: step for step, node in enumerate(order)}
    given = set(graph.inputs)
    for step, node in enumerate(order):
        if node not in given:
            for source in node.inputs:
                last[source] = step
    for node in graph.outputs:
        last[node] = len(order)
    return last


def _last_use_of_memory(last: dict[Node, int], storage: Storage) -> dict[Node, int]:
    """Return the step after which nothing needs the memory that each value may stand in."""
    needed: dict[Node, int] = {}
    for node, step in last.items():
        for part in storage[node]:
            needed[part] = max(needed.get(part, 0), step)
    return {node: max(needed[part] for part in storage[node]) for node in last}


def _overwritable(node: Node, dead: list[Node], storage: Storage) -> Node | None:
    """Return an input that dies here and whose memory has just the form of the result."""
    assert node.op is not None
    if not node.op.is_in_place or not node.type.is_static or node.ndim == 0:
        return None
    for source in node.inputs:
        if source in dead and storage[source] == (source,) and source.type == node.type:
            return source
    return None


def _must_copy(graph: Graph, storage: Storage, pinned: set[Node]) -> tuple[bool, ...]:
    taken = set(pinned)
    result = []
    for node in graph.outputs:
        result.append(storage[node] != (node,) or node in taken)
        taken.update(storage[node])
    return tuple(result)


_WIDEST_VALUE = 60
"""Longer values push their remarks to the right, rather than those of all rows."""


def format_plan(plan: Plan) -> str:
    """Return a plan as a table; see :func:`make_plan`."""
    rows = [("register", "value", "")]
    for register, node in zip(plan.inputs, plan.graph.inputs, strict=True):
        rows.append((f"r{register}", f"input {visible(node.label)}: {node.type}", ""))
    for register, constant in plan.constants:
        rows.append((f"r{register}", f"constant {visible(constant.label)}", ""))
    for step in plan.instructions:
        rows.append((f"r{step.output}", _describe(step), _remarks(step)))
    rows.append(("return", ", ".join(f"r{register}" for register in plan.outputs), ""))
    width = min(max(len(row[1]) for row in rows), _WIDEST_VALUE)
    lines = (f"{first:<10}{value:<{width}}  {note}".rstrip() for first, value, note in rows)
    return "\n".join(lines)


def _describe(step: Instruction) -> str:
    assert step.node.op is not None
    arguments = [f"r{register}" for register in step.inputs]
    arguments += [f"{key}={value!r}" for key, value in step.node.op.attributes().items()]
    return f"{step.node.op.name}({', '.join(arguments)}): {step.node.type}"


def _remarks(step: Instruction) -> str:
    notes = []
    if step.overwrites is not None:
        notes.append(f"over r{step.overwrites}")
    if step.frees:
        notes.append("frees " + ", ".join(f"r{register}" for register in step.frees))
    return "; ".join(notes)
