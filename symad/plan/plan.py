"""A plan: the flat schedule of a graph over registers, made once and run many times.

A register holds one value; it is given to another value as soon as the last user has run.  An
instruction may also write its result over an input that dies with it, where the op allows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.ops.base import Elementwise
from symad.ops.structure import StructureItem
from symad.types import StructureType, TensorType

_Memory = tuple[Node, ...]


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

    def __str__(self) -> str:
        return format_plan(self)


def make_plan(graph: Graph) -> Plan:
    """Return the plan of a graph: its topological order, with registers given out greedily.

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
    storage = _storage(graph)
    last = _last_use(graph, storage)
    registers = _Registers()
    inputs = tuple(registers.take(node) for node in graph.inputs)
    constants = tuple(
        (registers.take(node), node) for node in graph.nodes if isinstance(node, Constant)
    )
    pinned = {*graph.inputs, *(node for _, node in constants)}
    given = set(graph.inputs)
    dying: dict[int, list[Node]] = {}
    for node, step in last.items():
        if pinned.isdisjoint(storage[node]):
            dying.setdefault(step, []).append(node)
    instructions = []
    for step, node in enumerate(graph.nodes):
        if node.op is None or node in given:
            continue
        sources = tuple(registers.of[source] for source in node.inputs)
        dead = dying.get(step, [])
        over = _overwritable(node, dead, storage)
        overwrites = None if over is None else registers.of[over]
        frees = tuple(registers.release(value) for value in dead if value is not node)
        output = registers.take(node)
        instructions.append(
            Instruction(node, sources, output, tuple(r for r in frees if r != output), overwrites)
        )
    outputs = tuple(registers.of[node] for node in graph.outputs)
    copied = _must_copy(graph, storage, pinned)
    return Plan(graph, registers.count, inputs, constants, tuple(instructions), outputs, copied)


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


def _storage(graph: Graph) -> dict[Node, _Memory]:
    """Return, for each node, the nodes whose memory it may share: itself alone unless it is a view.

    A view shares the memory of its first input, a structure that of everything put into it.  The
    items of a structure that an op has computed have memory of their own, which stands under the
    name of the first node that takes the item.
    """
    storage: dict[Node, _Memory] = {node: (node,) for node in graph.inputs}
    items = _computed_items(graph)
    items_of: dict[Node, list[Node]] = {}
    for item in items.values():
        items_of.setdefault(item.inputs[0], []).append(item)
    for node in graph.nodes:
        if node in storage:
            continue
        if node in items:
            storage[node] = (items[node],)
        elif isinstance(node.type, StructureType):
            parts = items_of.get(node, [])
            if node.op is None or node.op.is_view:
                parts = [part for source in node.inputs for part in storage[source]]
            storage[node] = (node, *dict.fromkeys(parts))
        elif node.op is None or not node.op.is_view:
            storage[node] = (node,)
        else:
            storage[node] = storage[node.inputs[0]]
    return storage


def _computed_items(graph: Graph) -> dict[Node, Node]:
    """Return the nodes that take an item out of what an op has computed; the first for each item.

    An item that is a structure itself is left out.
    """
    first: dict[tuple[Node, Any], Node] = {}
    items: dict[Node, Node] = {}
    given = set(graph.inputs)
    for node in graph.nodes:
        if node in given or not isinstance(node.op, StructureItem):
            continue
        whole = node.inputs[0]
        if whole in given or whole.op is None or whole.op.is_view:
            continue
        if isinstance(node.type, TensorType):
            items[node] = first.setdefault((whole, node.op.key), node)
    return items


def _last_use(graph: Graph, storage: dict[Node, _Memory]) -> dict[Node, int]:
    """Return the step after which each value, and the memory it stands in, is not needed."""
    last = {node: step for step, node in enumerate(graph.nodes)}
    given = set(graph.inputs)
    for step, node in enumerate(graph.nodes):
        if node not in given:
            for source in node.inputs:
                last[source] = step
    end = len(graph.nodes)
    for node in graph.outputs:
        last[node] = end
    memory: dict[Node, int] = {}
    for node, step in last.items():
        for part in storage[node]:
            memory[part] = max(memory.get(part, 0), step)
    return {node: max(memory[part] for part in storage[node]) for node in last}


def _overwritable(node: Node, dead: list[Node], storage: dict[Node, _Memory]) -> Node | None:
    """Return an input that dies here and whose memory has just the form of the result."""
    if not isinstance(node.op, Elementwise) or not isinstance(node.type, TensorType):
        return None
    if not node.type.is_static or not node.type.shape:
        return None
    for source in node.inputs:
        if source in dead and storage[source] == (source,) and source.type == node.type:
            return source
    return None


def _must_copy(graph: Graph, storage: dict[Node, _Memory], pinned: set[Node]) -> tuple[bool, ...]:
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
        rows.append((f"r{register}", f"input {node.label}: {node.type}", ""))
    for register, constant in plan.constants:
        rows.append((f"r{register}", f"constant {constant.label}", ""))
    for step in plan.instructions:
        rows.append((f"r{step.output}", _describe(step), _remarks(step)))
    rows.append(("return", ", ".join(f"r{register}" for register in plan.outputs), ""))
    width = min(max(len(row[1]) for row in rows), _WIDEST_VALUE) + 2
    lines = (f"{first:<10}{value:<{width}}{note}".rstrip() for first, value, note in rows)
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
