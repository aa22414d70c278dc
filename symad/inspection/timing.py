"""Profiles: how long each instruction of a compiled function takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.inspection.inspected import given_values, subject_of
from symad.notation.escape import visible
from symad.notation.labels import Symbol
from symad.notation.names import labels_of
from symad.notation.table import Table, Tabular
from symad.notation.values import counted
from symad.notation.view import View
from symad.ops.body import WithBody
from symad.records import dataclass

if TYPE_CHECKING:
    from symad.drawing.drawing import Drawing

_NAMED, _NAMED_ON_PICTURE = 6, 2
"""The most values, ops and lines of a fused node that a table or a picture names."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The run time of one instruction.

    Attributes
    ----------
    node : Node
        A node of the optimised graph.
    seconds : float
        The median of all runs.
    share : float
        The fraction of the sum over all instructions.
    part : {"forward", "backward", "both"}
        Backward instructions belong to a derivative or use one.
    values : tuple of Symbol
        The symbols of the results, as in pictures and traces: v3, v̄4; some loop nests have
        several.
    """

    node: Node
    seconds: float
    share: float
    part: str
    values: tuple[Symbol, ...]

    @property
    def ops(self) -> tuple[str, ...]:
        """The op, or the distinct ops inside a fused or looping node."""
        return tuple(dict.fromkeys(n.op.name for n in nodes_inside(self.node) if n.op is not None))

    @property
    def lines(self) -> tuple[str, ...]:
        """The user's lines, ``file.py:12``, that the node computes."""
        sites = (node.site for node in nodes_inside(self.node))
        return tuple(dict.fromkeys(site.place(short=True) for site in sites))


def parts_of(graph: Graph) -> dict[Node, str]:
    """Return for each node ``"forward"``, ``"backward"``, or ``"both"`` if it computes for both.

    Nodes of a derivative, and nodes computed from them, such as new parameters, are backward.
    """
    found: dict[Node, str] = {}
    for node in graph.nodes:
        inside = {inner.role is None for inner in nodes_inside(node)}
        made_of = any(found[source] == "backward" for source in node.inputs if source in found)
        backward = made_of or True not in inside
        found[node] = "both" if len(inside) > 1 else "backward" if backward else "forward"
    return found


def nodes_inside(node: Node) -> Iterator[Node]:
    """Yield the nodes that a node computes: itself, or the computed nodes of its body."""
    if not isinstance(node.op, WithBody):
        yield node
        return
    for body in node.op.bodies:
        given = set(body.inputs)
        for inner in body.nodes:
            if inner.op is not None and inner not in given:
                yield from nodes_inside(inner)


class Profile(Tabular):
    """The run time of each instruction of a function; made by :func:`symad.profile`.

    Attributes
    ----------
    graph : Graph
        The optimised graph.
    timings : tuple of Timing
        The timings, in the order of execution.
    runs : int
        The number of runs; times are their medians.
    call : float
        The seconds of a whole run, without reading the clock between instructions.
    """

    def __init__(self, graph: Graph, timings: Sequence[Timing], runs: int, call: float) -> None:
        self.graph = graph
        self.timings = tuple(timings)
        self.runs = runs
        self.call = call

    @property
    def seconds(self) -> float:
        """The sum of all instructions."""
        return sum(timing.seconds for timing in self.timings)

    @property
    def table(self) -> Table:
        """The instructions, longest first."""
        order = sorted(self.timings, key=lambda timing: -timing.seconds)
        rows = [
            (
                _named([symbol.subscripted for symbol in timing.values]),
                format_time(timing.seconds), f"{timing.share:.1%}", _named(timing.ops),
                visible(str(timing.node.type), 60), timing.part, _named(timing.lines),
            )
            for timing in order
        ]  # fmt: skip
        if not rows:
            return Table((), (), empty="No instruction runs: all results are inputs or constants.")
        notes = (
            f"Medians of {counted(self.runs, 'run')}. The instructions add up to "
            f"{format_time(self.seconds)}; a run without timers takes {format_time(self.call)}.",
        )
        titles = ("value", "time", "share", "op", "type", "part", "line")
        return Table(titles, rows, frozenset({1, 2}), notes)

    def draw(self, limit: int = 200) -> Drawing:
        """Return a picture of the optimised graph with shares of time as warm colours and bars.

        Parameters
        ----------
        limit : int
            A graph with more nodes is folded, as by :func:`symad.draw`.
        """
        from symad.drawing.drawing import Drawing
        from symad.drawing.marks import NodeMark

        marks = {timing.node: NodeMark(_remark(timing), timing.share) for timing in self.timings}
        return Drawing(View(self.graph), limit, marks, "of the time")

    def __repr__(self) -> str:
        count = counted(len(self.timings), "instruction")
        return f"<Profile: {count}, {format_time(self.seconds)}>"


def make_profile(
    target: Any, feed: Sequence[Any], keywords: Mapping[str, Any], runs: int
) -> Profile:
    """Return the profile of a function."""
    if not isinstance(runs, int) or runs < 1:
        raise GraphTypeError(f"runs must be a positive integer, not {runs!r}")
    subject = subject_of(target, feed, keywords)
    values = given_values(subject)
    program = subject.function.specialised(values).program
    program.profile(values)
    measured = [program.profile(values) for _ in range(runs)]
    times = [median(seconds for _, seconds in step) for step in zip(*measured, strict=True)]
    total = sum(times) or 1.0
    nodes = [node for node, _ in measured[0]]
    graph = program.plan.graph
    parts = parts_of(graph)
    names = labels_of(View(graph))
    timings = [
        Timing(node, time, time / total, parts[shown], tuple(names.written(shown)))
        for node, time in zip(nodes, times, strict=True)
        for shown in [node if node in parts else node.inputs[0]]  # an output may be a copy
    ]
    return Profile(graph, timings, runs, _time_of_call(program, values, runs))


def _time_of_call(program: Any, values: Sequence[Any], runs: int) -> float:
    times = []
    for _ in range(runs):
        begin = perf_counter()
        program(values)
        times.append(perf_counter() - begin)
    return median(times)


def format_time(seconds: float) -> str:
    """Return a time with a suitable unit.

    Examples
    --------
    >>> [format_time(t) for t in (3e-8, 1.25e-5, 0.004, 2.0)]
    ['30 ns', '12.5 µs', '4 ms', '2 s']
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _remark(timing: Timing) -> str:
    time = format_time(timing.seconds)
    names = _named(timing.ops, _NAMED_ON_PICTURE)
    return f"{names}: {time}" if isinstance(timing.node.op, WithBody) else time


def _named(names: Sequence[str], most: int = _NAMED) -> str:
    shown = ", ".join(map(visible, names[:most]))
    return f"{shown}, …" if len(names) > most else shown
