"""Plans: the flat schedule of a graph, and where its values are stored.

An instruction computes a node from registers into a register, which holds one value; it is reused
for another value as soon as the last user has run.  An instruction may also write its result over
an input that it is the last to use, if the op allows that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.plan.liveness import Sharing, Span, sharing_of, spans
from symad.plan.memory import MemoryUse, Placement, memory_use
from symad.records import dataclass
from symad.types import TensorType
from symad.visible import display_width, visible


class Instruction(NamedTuple):
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
        The number of registers.
    inputs : tuple of int
        The register of each graph input.
    constants : tuple of (int, Constant)
    instructions : tuple of Instruction
    outputs : tuple of int
        The register of each graph output.
    copied : tuple of bool
        For each output, whether it must be copied before it is returned, because it shares
        memory with an input, a constant or another output.
    placement : Placement
        Where values are stored.
    """

    graph: Graph
    registers: int
    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Constant], ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]
    copied: tuple[bool, ...]
    placement: Placement

    @property
    def is_static(self) -> bool:
        """Whether all sizes are known."""
        return all(node.type.is_static for node in self.graph.nodes)

    @property
    def memory(self) -> MemoryUse | None:
        """The memory of the values over time; ``None`` if sizes are not known."""
        order = [step.node for step in self.instructions]
        return memory_use(self.graph, order, self.copied, self.placement)

    @property
    def lower_bound(self) -> int | None:
        """The least bytes that this schedule needs, not counting the inputs; see :attr:`memory`."""
        use = self.memory
        return None if use is None else use.lower_bound

    def __str__(self) -> str:
        return format_plan(self)


def make_plan(graph: Graph) -> Plan:
    """Return the plan of a graph: a memory-saving order, with greedily assigned registers.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> print(make_plan(sm.Graph([sm.sin(x) * 2 + x])))
    register  value   computed as
    r0        v1      input x: f64[3]
    r1                constant 2
    r2        v2      sin(v1): f64[3]
    r2        v3      multiply(v2, 2): f64[3]  over v2
    r2        v4      add(v3, v1): f64[3]      over v3
              return  v4
    """
    sharing = sharing_of(graph)
    registers = _Registers()
    inputs = tuple(registers.take(node) for node in graph.inputs)
    constants = tuple(
        (registers.take(node), node) for node in graph.nodes if isinstance(node, Constant)
    )
    pinned = {*graph.inputs, *(node for _, node in constants)}
    over: dict[Node, Node] = {}
    instructions = tuple(_instructions(graph, sharing, registers, pinned, over))
    outputs = tuple(registers.of[node] for node in graph.outputs)
    copied = copied_outputs(graph, sharing)
    placement = Placement(over)
    return Plan(graph, registers.count, inputs, constants, instructions, outputs, copied, placement)


def plan_of_order(
    graph: Graph, order: Sequence[Node], copied: tuple[bool, ...], placement: Placement
) -> Plan:
    """Return the plan of a graph whose values are stored by a backend: each has its own register.

    Parameters
    ----------
    graph : Graph
    order : sequence of Node
        The computed nodes, in the order in which they run.
    copied : tuple of bool
        As returned by :func:`copied_outputs`.
    placement : Placement
    """
    constants = [node for node in graph.nodes if isinstance(node, Constant)]
    values = (*graph.inputs, *constants, *order)
    register = {node: number for number, node in enumerate(values)}

    def of(nodes: Sequence[Node]) -> tuple[int, ...]:
        return tuple([register[node] for node in nodes])

    steps = tuple(Instruction(node, of(node.inputs), register[node], (), None) for node in order)
    given = tuple((register[node], node) for node in constants)
    ends = of(graph.outputs)
    return Plan(graph, len(values), of(graph.inputs), given, steps, ends, copied, placement)


def _instructions(
    graph: Graph,
    sharing: Sharing,
    registers: _Registers,
    pinned: set[Node],
    over: dict[Node, Node],
) -> Iterator[Instruction]:
    """Yield the instructions in order, each with a register for its result; fill ``over``."""
    order = [node for node in frugal_order(graph) if node not in pinned]
    writer = _Overwriting(graph, sharing, order)
    dying = _dying(order, pinned.union(graph.outputs))
    of = registers.of
    for step, node in enumerate(order):
        sources = tuple(map(of.__getitem__, node.inputs))
        dead = dying.get(step, ())
        overwrites = None
        if dead:
            taken = writer.input_for(node, dead, step)
            if taken is not None:
                over[node], overwrites = taken, of[taken]
        frees = [registers.release(value) for value in dead if value is not node]
        output = registers.take(node)
        rest = tuple([register for register in frees if register != output])
        yield Instruction(node, sources, output, rest, overwrites)


def _dying(order: Sequence[Node], kept: Collection[Node]) -> dict[int, list[Node]]:
    """Return the values that no step needs after each step, in order of their first use."""
    last: dict[Node, int] = {}
    for step, node in enumerate(order):
        last[node] = step
        for source in node.inputs:
            last[source] = step
    dying: dict[int, list[Node]] = {}
    for node, step in last.items():
        if node not in kept:
            dying.setdefault(step, []).append(node)
    return dying


class _Registers:
    """Assigns the lowest free register."""

    def __init__(self) -> None:
        self.of: dict[Node, int] = {}
        self.count = 0
        self._free: list[int] = []

    def take(self, node: Node) -> int:
        if self._free:
            register = self._free.pop()
        else:
            register = self.count
            self.count += 1
        self.of[node] = register
        return register

    def release(self, node: Node) -> int:
        register = self.of[node]
        self._free.append(register)
        return register


class _Overwriting:
    """Finds the inputs that results may be written over.

    Only NumPy's ufuncs can write to a given array.
    """

    def __init__(self, graph: Graph, sharing: Sharing, order: Sequence[Node]) -> None:
        self._graph, self._sharing, self._order = graph, sharing, order

    @cached_property
    def _needed(self) -> dict[Node, Span]:
        """The steps between which memory is needed, by the nodes that own it."""
        sharing = self._sharing
        reads = [(node, *node.inputs) for node in self._order]
        memory = [{part for value in values for part in sharing[value]} for values in reads]
        return spans(memory, [part for node in self._graph.outputs for part in sharing[node]])

    def input_for(self, node: Node, dead: Sequence[Node], step: int) -> Node | None:
        """Return an input whose last use is here and whose memory has the layout of the result."""
        op, type_ = node.op, node.type
        assert op is not None
        if not op.is_in_place or not isinstance(type_, TensorType) or not type_.is_static:
            return None
        if type_.shape == ():
            return None
        for source in node.inputs:
            is_alone = source in dead and self._sharing[source] == (source,)
            if is_alone and source.type == type_ and self._needed[source][1] == step:
                return source if isinstance(op.kernel(), np.ufunc) else None
        return None


def copied_outputs(graph: Graph, sharing: Sharing) -> tuple[bool, ...]:
    """Return which outputs share memory with an input, a constant or another output."""
    taken = {*graph.inputs, *(node for node in graph.nodes if isinstance(node, Constant))}
    result = []
    for node in graph.outputs:
        result.append(sharing[node] != (node,) or node in taken)
        taken.update(sharing[node])
    return tuple(result)


_WIDEST_VALUE = 60
"""Longer values shift only their own remarks to the right."""


def format_plan(plan: Plan) -> str:
    """Return a plan as a table; values have the names that pictures give them."""
    from symad.notation.labels import unused_steps
    from symad.notation.names import Names, labels_of
    from symad.notation.view import View

    view = View(plan.graph)
    labels = labels_of(view)
    steps = labels.steps if isinstance(labels, Names) else unused_steps(view.related)
    names: dict[Node, str] = {node: visible(node.label) for _, node in plan.constants}
    for node in (*plan.graph.inputs, *(step.node for step in plan.instructions)):
        names[node] = str(labels.of(node) or next(steps))
    is_stored = bool(plan.placement.stored)
    rows = [("register", "value", "computed as", "stored" if is_stored else "")]
    for register, node in zip(plan.inputs, plan.graph.inputs, strict=True):
        what = f"input {visible(node.label)}: {node.type}"
        rows.append((f"r{register}", names[node], what, ""))
    for register, constant in plan.constants:
        rows.append((f"r{register}", "", f"constant {names[constant]}", ""))
    of_register = dict(zip(plan.inputs, plan.graph.inputs, strict=True))
    for step in plan.instructions:
        remarks = _remarks(step, plan, names, of_register)
        rows.append((f"r{step.output}", names[step.node], _describe(step, names), remarks))
        of_register[step.output] = step.node
    rows.append(("", "return", ", ".join(names[node] for node in plan.graph.outputs), ""))
    return _as_columns([row[is_stored:] for row in rows])


def _as_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines; cells are aligned, except after one that is too wide."""
    columns = zip(*rows, strict=True)
    widths = [min(max(map(display_width, cells)), _WIDEST_VALUE) for cells in columns]
    lines = (
        "  ".join(
            cell + " " * (width - display_width(cell))
            for cell, width in zip(row, widths, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _describe(step: Instruction, names: Mapping[Node, str]) -> str:
    assert step.node.op is not None
    arguments = [names[source] for source in step.node.inputs]
    for key, value in step.node.op.attributes().items():
        if value != getattr(type(step.node.op), key, ...):  # not the default
            arguments.append(f"{key}={value!r}")
    return f"{step.node.op.name}({', '.join(arguments)}): {step.node.type}"


def _remarks(
    step: Instruction, plan: Plan, names: Mapping[Node, str], of_register: Mapping[int, Node]
) -> str:
    """Return where a value is stored; ``of_register`` has the values before the instruction."""
    placement = plan.placement
    notes = [placement.stored[step.node]] if step.node in placement.stored else []
    if step.overwrites is not None:
        notes.append(f"over {names[of_register[step.overwrites]]}")
    elif placement.stored and placement.over.get(step.node) in names:
        notes.append(f"over {names[placement.over[step.node]]}")
    if step.frees:
        notes.append("frees " + ", ".join(f"r{register}" for register in step.frees))
    return "; ".join(notes)
