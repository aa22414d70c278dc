"""The plan of native code: its steps, their arguments, and the storage of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from symad.backends.native.lower.dispatch import LoweredSegment, PlacedSegment, lower, place
from symad.backends.native.lower.views import is_view, root_of
from symad.backends.native.schedule import Schedule
from symad.backends.native.segment_code import LoopCall, grouped, kernel_count
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.notation.values import counted
from symad.ops.body import WithBody
from symad.ops.sparse import Package
from symad.passes.fuse import shape_of
from symad.plan.liveness import spans
from symad.plan.memory import Placement
from symad.plan.plan import Plan, plan_of_order
from symad.plan.storage import StorageKind
from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class Lowered:
    """A schedule, with the kernel calls of its native parts.

    Attributes
    ----------
    schedule : Schedule
    segments : tuple of LoweredSegment or None
        One for each part; ``None`` for a part that is one node with its own kernel.
    """

    schedule: Schedule
    segments: tuple[LoweredSegment | None, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan.

    Attributes
    ----------
    source : PlacedSegment or Node
    inputs, made : tuple of Node
        Its arguments and results.
    dead : tuple of Node
        The values that nothing needs after it.
    """

    source: PlacedSegment | Node
    inputs: tuple[Node, ...]
    made: tuple[Node, ...]
    dead: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NativePlan:
    """The steps of a native program.

    Attributes
    ----------
    schedule : Schedule
    steps : tuple of PlannedStep
    """

    schedule: Schedule
    steps: tuple[PlannedStep, ...]

    @property
    def whole(self) -> PlacedSegment | None:
        """The segment that takes all inputs and returns all outputs, or ``None``."""
        source = self.steps[0].source if self.schedule.is_one_segment else None
        return source if isinstance(source, PlacedSegment) else None

    def node_by_node(self) -> Plan:
        """Return this plan as a list of nodes in the order of execution, with their storage."""
        return _node_by_node(self)


def lower_parts(schedule: Schedule, is_fast: bool, threads: int) -> Lowered:
    """Return the kernel calls of all segments of a schedule."""
    parts, kept = schedule.parts, _kept(schedule)
    return Lowered(
        schedule,
        tuple(lower(p.nodes, kept, is_fast, threads) if p.is_segment else None for p in parts),
    )


def _kept(schedule: Schedule) -> set[Node]:
    """Return the values that are outputs, or that other parts need than the one that has them."""
    part_of = {node: k for k, part in enumerate(schedule.parts) for node in part.nodes}
    kept = {root_of(node, part_of) for node in schedule.outputs}
    for node, k in part_of.items():
        roots = (root_of(source, part_of) for source in node.inputs)
        kept.update(root for root in roots if part_of.get(root) != k)
    return kept


def make_native_plan(lowered: Lowered) -> NativePlan:
    """Return the plan with the storage of each value."""
    return NativePlan(lowered.schedule, tuple(_steps(lowered)))


def _steps(lowered: Lowered) -> Iterator[PlannedStep]:
    schedule, segments = lowered.schedule, lowered.segments
    graph, parts = schedule.graph, schedule.parts
    if schedule.is_one_segment and segments[0] is not None:
        placed = place(segments[0], graph.inputs, schedule.outputs)
        yield PlannedStep(placed, placed.inputs, placed.outputs, ())
        return
    taken = [
        part.nodes[0].inputs if segment is None else segment.inputs
        for part, segment in zip(parts, segments, strict=True)
    ]
    needed = spans(taken, schedule.outputs)
    pinned = {*graph.inputs, *schedule.outputs}
    for k, (part, segment, inputs) in enumerate(zip(parts, segments, taken, strict=True)):
        made = part.nodes
        source: PlacedSegment | Node = made[0]
        if segment is not None:
            made = tuple(node for node in made if node in needed)
            source = place(segment, inputs, made)
        dead = tuple(node for node in dict.fromkeys(inputs) if needed[node][1] == k)
        yield PlannedStep(
            source, tuple(inputs), made, tuple(node for node in dead if node not in pinned)
        )


# Text form


def _node_by_node(native: NativePlan) -> Plan:
    schedule = native.schedule
    pairs = zip(schedule.graph.outputs, schedule.outputs, schedule.copied, strict=True)
    is_new = grouped([new is not node or copied for node, new, copied in pairs], schedule.whole)
    copied = tuple([group == [True] for group in is_new])
    placement = _placement(schedule, native.steps)
    return plan_of_order(schedule.whole, _order(schedule), copied, placement)


def _order(schedule: Schedule) -> list[Node]:
    """Return the computed nodes in the order of execution; views come at their first use."""
    graph = schedule.whole
    known = {*graph.inputs, *(node for node in graph.nodes if node.op is None)}
    order = []
    wanted = [node for part in schedule.parts for node in part.nodes if node not in schedule.copies]
    for node in (*wanted, *graph.outputs):
        for each in topological_order([node], stop=known):
            if each not in known:
                known.add(each)
                order.append(each)
    return order


def _placement(schedule: Schedule, steps: Sequence[PlannedStep]) -> Placement:
    """Return a description of the storage of each value."""
    placed = [step.source for step in steps if isinstance(step.source, PlacedSegment)]
    result = {node: f"result {k}" for k, node in enumerate(schedule.outputs)}
    stored: dict[Node, str] = {}
    over: dict[Node, Node] = {}
    early: dict[Node, list[Node]] = {}
    inside: dict[Node, Node] = {}
    scratch: dict[Node, int] = {}
    for number, segment in enumerate(placed, 1):
        prefix = f"segment {number}, " if len(placed) > 1 else ""
        stored |= _in_words(segment, result, prefix)
        over |= segment.over
        computed = [node for node in segment.stored if node not in schedule.copies]
        first = computed[0] if computed else segment.outputs[0]
        early[first] = [node for node in segment.outputs if shape_of(node)]
        inside |= _inside(segment)
        scratch |= segment.scratch
    for step in steps:
        if isinstance(step.source, Node):
            stored[step.source] = _how(step.source, result)
    for output, made in zip(schedule.graph.outputs, schedule.outputs, strict=True):
        if output is not made and output.op is not None:
            stored[output] = f"{stored.get(output, 'view')}; copied to {result[made]}"
    results = grouped(schedule.outputs, schedule.whole)
    for node, arrays in zip(schedule.whole.outputs, results, strict=True):
        if isinstance(node.op, Package):
            inside[node], stored[node] = arrays[0], "object"
    shown = {node: stored.get(node, "view") for node in _order(schedule)}
    return Placement(over, shown, early, inside, scratch, results)


def _inside(segment: PlacedSegment) -> dict[Node, Node]:
    """Return the values that are stored in the memory of a result before it, with the result."""
    found = {}
    for node, places in segment.stored.items():
        if len(places) == 1 and places[0].kind is StorageKind.OUTPUT:
            result = segment.outputs[places[0].place]
            if result is not node:
                found[node] = result
    return found


def _how(node: Node, result: Mapping[Node, str]) -> str:
    """Return the description of a node whose kernel, or loop, is called from Python."""
    if isinstance(node.op, WithBody):
        return f"{result.get(node, 'array')}, by Python"
    return result.get(node, "view" if is_view(node) else "array, by NumPy")


def _in_words(segment: PlacedSegment, result: Mapping[Node, str], prefix: str) -> dict[Node, str]:
    """Return the storage of the values of a segment, and the number of kernels for each if
    there are several."""
    names = [result.get(node, "array") for node in segment.outputs]
    calls = Counter(call.node for call in segment.code.calls)
    loops = {c.node: kernel_count([c]) for c in segment.code.calls if isinstance(c, LoopCall)}
    words = {}
    for node, places in segment.stored.items():
        where = [names[p.place] if p.kind is StorageKind.OUTPUT else str(p) for p in places]
        if node in result:  # computed in the arena, then converted to an object
            where = [result[node]]
        kernels = f"{calls[node]} kernels, " if calls[node] > 1 else ""
        if node in loops:
            kernels = f"loop of {counted(loops[node], 'kernel')}, {_by_numpy(segment, node)}"
        words[node] = f"{prefix}{kernels}{', '.join(where)}"
    return words


def _by_numpy(segment: PlacedSegment, node: Node) -> str:
    """Return which ops in a loop NumPy computes, as part of a description."""
    from symad.backends.native.numpy_kernel import called_ops

    names = called_ops([call for call in segment.code.calls if call.node is node])
    return f"{', '.join(names)} by NumPy, " if names else ""
