"""The cost ledger: nodes, operations and bytes, as written and after each pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from symad.graph.cost import Cost, total_cost
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, Parameter
from symad.graph.provenance import RoleKind, creating
from symad.graph.traverse import topological_order
from symad.inspection.inspected import subject_of
from symad.notation.table import Table, Tabular
from symad.notation.values import format_bytes
from symad.records import dataclass
from symad.runtime.function import Function
from symad.runtime.pipeline import Job, run_passes
from symad.types import Type

BOUND = 5
"""The bound on the operations for value and gradient of a rational function, relative to the value
alone: each + − × ÷ runs once, and adds a product and a sum for each of its two arguments."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The cost of a graph at one stage.

    Attributes
    ----------
    name : str
        ``"as written"``, or the name of the pass.
    forward : Cost
        The cost of the forward graph alone, at the same stage.
    whole : Cost
        The cost of the whole graph, with derivatives.
    """

    name: str
    forward: Cost
    whole: Cost

    @property
    def factor(self) -> float:
        """The operations of the whole graph divided by those of the forward graph."""
        return self.whole.flops / self.forward.flops if self.forward.flops else 1.0


class Ledger(Tabular):
    """The cost of a graph, stage by stage; made by :func:`symad.cost`.

    Attributes
    ----------
    stages : tuple of Stage
        The graph as written, and after each pass.
    generation : int
        The highest order of derivatives in the graph; 0 without derivatives.
    """

    def __init__(self, stages: tuple[Stage, ...], generation: int) -> None:
        self.stages = stages
        self.generation = generation

    @property
    def written(self) -> Stage:
        """The first stage: the graph as written."""
        return self.stages[0]

    @property
    def final(self) -> Stage:
        """The last stage: what runs."""
        return self.stages[-1]

    @property
    def bound(self) -> int:
        """The theoretical bound on :attr:`Stage.factor` for one output and only the ops + − × ÷.

        Notes
        -----
        W. Baur and V. Strassen, "The complexity of partial derivatives" (1983); A. Griewank and
        A. Walther, "Evaluating Derivatives" (2008), give 3 to 4 if memory accesses count too.
        """
        bound: int = BOUND**self.generation
        return bound

    @property
    def table(self) -> Table:
        """The stages as rows: the first one, and those that differ from the one before."""
        shown = [self.written]
        shown += [
            after
            for before, after in pairwise(self.stages)
            if (before.forward, before.whole) != (after.forward, after.whole)
        ]
        same = [stage.name for stage in self.stages if stage not in shown]
        unchanged = (f"Without effect here: {', '.join(same)}.",) if same else ()
        if not self.generation:
            rows = [[stage.name, *_columns(stage.whole)] for stage in shown]
            titles = ["stage", "nodes", "flops", "bytes"]
            return Table(titles, rows, frozenset(range(1, 4)), unchanged)
        titles = ["stage"]
        for what in ("nodes", "flops", "bytes"):
            titles += [f"forward {what}", "extended"]
        rows = list(map(_row, shown))
        notes = (
            *unchanged,
            f"Value and derivatives take {self.written.factor:.2f} times the operations of the "
            f"value alone as written, and {self.final.factor:.2f} times after all passes.",
            f"The bound for one output is {self.bound}: reverse mode costs a small multiple of the "
            "function, for any number of inputs.",
        )
        return Table([*titles, "factor"], rows, frozenset(range(1, 8)), notes)

    def __repr__(self) -> str:
        written, final = self.written.whole, self.final.whole
        return f"<Ledger: {written.flops:,} flops as written, {final.flops:,} after all passes>"


def make_ledger(target: Any, feed: Sequence[Any], keywords: Mapping[str, Any]) -> Ledger:
    """Return the cost of a graph, stage by stage."""
    subject = subject_of(target, feed, keywords)
    function, types = subject.function, subject.types
    forward = Graph(_differentiated(function.graph), function.graph.inputs)
    versions = (_versions(graph, types, function) for graph in (forward, function.graph))
    pairs = zip(*versions, strict=True)
    stages = [
        Stage(name, total_cost(alone), total_cost(whole)) for (name, alone), (_, whole) in pairs
    ]
    return Ledger(tuple(stages), _generation(function.graph))


def _generation(graph: Graph) -> int:
    return max((node.role.generation for node in graph.nodes if node.role is not None), default=0)


def _differentiated(graph: Graph) -> list[Node]:
    """Return the outputs of the forward graph: the outputs without derivatives, and the
    differentiated nodes that depend on the same inputs."""
    seeds = [n.role.node for n in graph.nodes if n.role and n.role.kind is RoleKind.SEED]
    inputs = set(graph.inputs)
    known: set[Node] = set()
    for node in topological_order([*graph.outputs, *seeds], stop=inputs):
        is_leaf = isinstance(node, Constant) if node.op is None else known.issuperset(node.inputs)
        if node.role is None and (node in inputs or is_leaf):
            known.add(node)
    found = [node for node in (*graph.outputs, *seeds) if node in known]
    return list(dict.fromkeys(found)) or [node for node in graph.nodes if node in known]


def _versions(
    graph: Graph, types: Sequence[Type], function: Function
) -> Iterator[tuple[str, Graph]]:
    """Yield a graph as written and after each pass."""
    yield "as written", _with_types(graph, types)
    settings = function.settings
    job = Job(settings.grade, types, settings.recompute, settings.backend)
    for report in run_passes(graph, job, keep=True).reports:
        assert report.after is not None
        yield report.name, report.after


def _with_types(graph: Graph, types: Sequence[Type]) -> Graph:
    """Return the same nodes, with their types for the given input types."""
    stand_ins: dict[Node, Node] = {}
    for node, type_ in zip(graph.inputs, types, strict=True):
        if not isinstance(node, Parameter):
            with creating(node):
                stand_ins[node] = Node(None, (), type_, node.label)
    return rebuild(graph, replace_inputs, stand_ins)


def _row(stage: Stage) -> list[str]:
    pairs = zip(_columns(stage.forward), _columns(stage.whole), strict=True)
    return [stage.name, *(text for pair in pairs for text in pair), f"{stage.factor:.2f}"]


def _columns(cost: Cost) -> list[str]:
    return [f"{cost.nodes:,}", f"{cost.flops:,}", format_bytes(cost.bytes_moved)]
