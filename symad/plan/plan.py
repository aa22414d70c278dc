"""Plans: the flat schedule of a graph, and where its values are stored.

An instruction computes a node from registers into a register, which holds one value; it is reused
for another value as soon as the last user has run.  An instruction may also write its result over
an input that it is the last to use, if the op allows that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np

from symad.graph.evaluation_order import frugal_order
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.plan.liveness import Sharing, Span, sharing_of, spans
from symad.plan.memory import MemoryUse, Placement, memory_use
from symad.records import cached_property, dataclass
from symad.types import TensorType
from symad.visible import display_width, visible

_Numbers: TypeAlias = np.ndarray[Any, Any]


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


class Instructions(Sequence[Instruction]):
    """Instructions as numbers, which take little memory: there may be millions.

    Attributes
    ----------
    nodes : sequence of Node
        The nodes that they compute, in order.
    outputs : array
        The register of each result.
    reads, frees : array
        The registers that are read, and those that are freed, of one instruction after the other.
    read_ends, free_ends : array
        Where those of each instruction end.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        outputs: _Numbers,
        reads: tuple[_Numbers, _Numbers],
        frees: tuple[_Numbers, _Numbers],
        overwrites: Mapping[int, int],
    ) -> None:
        self.nodes, self.outputs, self._overwrites = nodes, outputs, overwrites
        (self.reads, self.read_ends), (self.frees, self.free_ends) = reads, frees

    def __len__(self) -> int:
        return len(self.nodes)

    @overload
    def __getitem__(self, step: int) -> Instruction: ...
    @overload
    def __getitem__(self, step: slice) -> tuple[Instruction, ...]: ...

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return tuple([self[k] for k in range(*step.indices(len(self)))])
        step = range(len(self))[step]
        return next(self._between(step, step + 1))

    def __iter__(self) -> Iterator[Instruction]:
        return self._between(0, len(self))

    def _between(self, start: int, stop: int) -> Iterator[Instruction]:
        over, new = self._overwrites.get, tuple.__new__  # twice as fast as calling the class
        nodes, outputs = self.nodes[start:stop], self.outputs[start:stop].tolist()
        reads = _rows(self.reads, self.read_ends, start, stop)
        frees = _rows(self.frees, self.free_ends, start, stop)
        rows = zip(nodes, reads, outputs, frees, map(over, range(start, stop)), strict=True)
        for row in rows:
            yield new(Instruction, row)


def _rows(values: _Numbers, ends: _Numbers, start: int, stop: int) -> Iterator[tuple[int, ...]]:
    """Yield the values of each of some instructions."""
    first = int(ends[start - 1]) if start else 0
    found, begin = values[first : ends[stop - 1]].tolist() if stop else [], 0
    for end in (ends[start:stop] - first).tolist():
        yield tuple(found[begin:end])
        begin = end


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
    instructions : sequence of Instruction
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
    instructions: Sequence[Instruction]
    outputs: tuple[int, ...]
    copied: tuple[bool, ...]
    placement: Placement

    @property
    def order(self) -> Sequence[Node]:
        """The computed nodes, in the order in which they run."""
        steps = self.instructions
        return steps.nodes if isinstance(steps, Instructions) else [step.node for step in steps]

    @property
    def is_static(self) -> bool:
        """Whether all sizes are known."""
        return all(node.type.is_static for node in self.graph.nodes)

    @property
    def memory(self) -> MemoryUse | None:
        """The memory of the values over time; ``None`` if sizes are not known."""
        return memory_use(self.graph, self.order, self.copied, self.placement)

    @property
    def lower_bound(self) -> int | None:
        """The least bytes that this schedule needs, not counting the inputs; see :attr:`memory`."""
        use = self.memory
        return None if use is None else use.lower_bound

    def __str__(self) -> str:
        return _as_columns(plan_rows(self))

    def __repr__(self) -> str:
        return f"<Plan of {len(self.instructions)} instructions>"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows; a long one is cut."""
        from symad.notation.table import Table  # not needed to compile

        if len(self.instructions) > _MOST_NAMED:
            return f"<p>{len(self.instructions):,} instructions: print(plan)</p>"
        titles, *rows = plan_rows(self)
        shown = [*rows[: _MOST_ROWS - 1], rows[-1]] if len(rows) > _MOST_ROWS else rows
        notes = [f"{len(rows) - len(shown):,} more rows: print(plan)"] if rows != shown else []
        return Table(titles, shown, notes=notes).html

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
    constants = tuple([node for node in graph.nodes if isinstance(node, Constant)])
    allocation = _Allocation(graph, (*graph.inputs, *constants))
    instructions = allocation.instructions(_Overwriting(graph, sharing, allocation.order))
    inputs, outputs = allocation.registers(graph.inputs), allocation.registers(graph.outputs)
    given = tuple(zip(allocation.registers(constants), constants, strict=True))
    copied, placement = copied_outputs(graph, sharing), Placement(allocation.over)
    return Plan(graph, allocation.count, inputs, given, instructions, outputs, copied, placement)


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


class _Allocation:
    """Assigns registers; a value is freed after its last use, and the next one takes its register.

    Values are numbered: those that are ``given`` keep their registers, then those of the steps.

    Attributes
    ----------
    order : list of Node
        The computed nodes, in the order in which they run.
    over : dict from Node to Node
        For each value that is written over another one, that other value.
    count : int
        The number of registers.
    """

    def __init__(self, graph: Graph, given: Sequence[Node]) -> None:
        self._graph, known = graph, set(given)
        self.order = [node for node in frugal_order(graph) if node not in known]
        self.over: dict[Node, Node] = {}
        self.count = self._first = len(given)
        values = (*given, *self.order)
        self._numbers = dict(zip(values, range(len(values)), strict=True))
        self._register = [*range(self.count), *[0] * len(self.order)]
        self._kept = list(map(self._numbers.__getitem__, graph.outputs))

    def registers(self, nodes: Iterable[Node]) -> tuple[int, ...]:
        """Return the registers of nodes."""
        return tuple([self._register[self._numbers[node]] for node in nodes])

    def instructions(self, writer: _Overwriting) -> Instructions:
        """Return the instructions in order."""
        inputs = [node.inputs for node in self.order]
        counts = np.fromiter(map(len, inputs), np.intp, len(inputs))
        number_of = self._numbers.__getitem__
        reads = np.fromiter(map(number_of, chain.from_iterable(inputs)), np.intp, counts.sum())
        last = self._last_steps(reads, counts)
        dead, dead_ends = self._assign(last[self._first :])
        registers = np.array(self._register, np.int32)
        over = self._overwrites(writer, last)
        read = registers[reads], counts.cumsum()
        frees = registers[dead], dead_ends
        return Instructions(self.order, registers[self._first :], read, frees, over)

    def _last_steps(self, reads: _Numbers, counts: _Numbers) -> _Numbers:
        """Return the last step that needs each value; they end before that for what is kept."""
        steps, first = len(self.order), self._first
        last = np.full(first + steps, steps)
        last[reads] = np.repeat(np.arange(steps), counts)  # of several, the last one counts
        last[:first] = last[self._kept] = steps
        return last

    def _assign(self, last: _Numbers) -> tuple[_Numbers, _Numbers]:
        """Assign the registers of computed values; return the others that end at each step.

        Of the values that a step is the last to need, the last one hands its register on.
        """
        counts = np.bincount(last, minlength=len(last))[: len(last)]
        ends = counts.cumsum()
        dying = np.argsort(last, kind="stable")[: ends[-1] if len(ends) else 0] + self._first
        values, free, register, begin = dying.tolist(), list[int](), self._register, 0
        for value, end in enumerate(ends.tolist(), self._first):
            if end > begin:
                register[value] = register[values[end - 1]]
                if end > begin + 1:
                    free += [register[dead] for dead in values[begin : end - 1]]
                begin = end
            elif free:
                register[value] = free.pop()
            else:
                register[value], self.count = self.count, self.count + 1
        handed_on = ends[counts > 0] - 1
        return np.delete(dying, handed_on), np.maximum(counts - 1, 0).cumsum()

    def _overwrites(self, writer: _Overwriting, last: _Numbers) -> dict[int, int]:
        """Return the registers that steps may write over."""
        found = {}
        are_numbers = all(type_ is _NUMBER for type_ in self._graph.types())
        for step, node in enumerate(() if are_numbers else self.order):
            if node.type is not _NUMBER:
                dead = [source for source in node.inputs if last[self._numbers[source]] == step]
                taken = writer.input_for(node, dead, step) if dead else None
                if taken is not None:
                    self.over[node], found[step] = taken, self._register[self._numbers[taken]]
        return found


_NUMBER = TensorType(np.dtype("float64"), ())
"""The type of most values of large graphs; their memory is not worth taking over."""


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
        """Return one of the inputs not needed later whose memory has the layout of the result."""
        op, type_ = node.op, node.type
        assert op is not None
        if not op.is_in_place or not isinstance(type_, TensorType) or not type_.is_static:
            return None
        if type_.shape == ():
            return None
        for source in dead:
            is_alone = self._sharing[source] == (source,)
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
_MOST_ROWS = 200
"""Of a plan in a notebook."""
_MOST_NAMED = 20_000
"""The instructions of a plan that a notebook shows; names take time."""


def plan_rows(plan: Plan) -> list[Sequence[str]]:
    """Return a plan as the rows of a table, with values named as in pictures; titles come first."""
    from symad.notation.labels import unused_steps
    from symad.notation.names import Names, labels_of
    from symad.notation.view import View

    view = View(plan.graph)
    labels = labels_of(view)
    steps = labels.steps if isinstance(labels, Names) else unused_steps(view.related)
    names: dict[Node, str] = {node: visible(node.label) for _, node in plan.constants}
    for node in (*plan.graph.inputs, *plan.order):
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
    return [row[is_stored:] for row in rows]


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
