"""The pipeline: all steps from the graph of a function to its program, in one list.

A step that few graphs need is imported when one does.

Passes turn a graph into a graph: they are pure functions of :mod:`symad.passes`.  The stages after
them turn the last graph into a program: they are methods of the backend, which pass a schedule, a
plan and a program from one to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from symad.backends.base import Backend, Program, Settings
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.graph.op import Op
from symad.graph.provenance import isolated
from symad.ops.base import is_of_numbers
from symad.ops.body import WithBody
from symad.ops.fused import Fused
from symad.ops.product import Matmul
from symad.passes.grade import Grade
from symad.passes.rewrite import Recorder, Rewriting, RuleSet, closed, rewrite
from symad.passes.rules import rules_of
from symad.passes.specialise import specialise
from symad.records import dataclass
from symad.types import Type, total_nbytes


@dataclass(frozen=True, slots=True)
class Job:
    """The settings for which a graph is compiled.

    Attributes
    ----------
    grade : Grade
        Which rules may be used.
    types : sequence of Type, optional
        The types of the inputs; without them, the graph is already specialised.
    recompute : bool
        Whether cheap residuals are recomputed instead of kept.
    backend : Backend, optional
        The backend that will run the graph; without one, steps for a backend are skipped.
    """

    grade: Grade
    types: Sequence[Type] | None = None
    recompute: bool = False
    backend: Backend | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A step from graph to graph.

    Attributes
    ----------
    name : str
    run : callable
        Takes the graph, the job, and a function that is called with each rewrite.
    applies : callable
        Whether the step is run; else the graph is unchanged.
    """

    name: str
    run: Callable[[Graph, Job, Recorder], Graph]
    applies: Callable[[Graph, Job], bool] = lambda graph, job: True


@dataclass(frozen=True, slots=True)
class BackendStage:
    """A step from the last graph towards the program.

    Attributes
    ----------
    name : str
    run : callable
        A method of the backend: takes the result of the previous stage, the settings, and the
        workspace shared by the programs of one function.
    """

    name: str
    run: Callable[[Backend, Any, Settings, Any], Any]


def _optimise_bodies(graph: Graph, job: Job, record: Recorder) -> Graph:
    """Optimise the bodies of loops and calls; a body shared by several nodes stays shared."""
    inner = Job(job.grade, recompute=job.recompute)
    return _in_bodies(graph, lambda body: run_passes(body, inner, record).graph)


def _in_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """Return the graph with its bodies changed, except those of loop nests."""
    if not graph.has(WithBody):
        return graph
    ops = {node.op for node in graph.nodes if isinstance(node.op, WithBody)}
    new: dict[Op | None, Op] = {
        op: op.with_bodies(*map(change, op.bodies)) for op in ops if not isinstance(op, Fused)
    }
    if not new:
        return graph

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        op = new.get(node.op)
        if op is None:
            return replace_inputs(node, inputs)
        return Node(op, inputs, node.type, node.name)

    return rebuild(closed(graph), visit)


def _decompose(graph: Graph, job: Job, record: Recorder) -> Graph:
    """Decompose ops, also in bodies; adjoint loops then read parts that they have in common."""
    if not _saves_values(graph, job):
        return _decomposed(graph, record)
    graph = _in_bodies(graph, lambda body: _decomposed(body, record, True))
    return _save_values(_without_bodies(graph, record))


def _decomposed(graph: Graph, record: Recorder, is_saved: bool = False) -> Graph:
    inside = _in_bodies(graph, lambda body: _decomposed(body, record))
    return _without_bodies(inside, record, is_saved)


def _without_bodies(graph: Graph, record: Recorder, is_saved: bool = False) -> Graph:
    from symad.passes.decompose import decompose
    from symad.passes.shared_factors import FACTORISES, share_factors

    if any(map(graph.has, FACTORISES)):
        graph = share_factors(graph, is_saved)
    return decompose(graph, record)


def _fuse(graph: Graph, job: Job, record: Recorder) -> Graph:
    from symad.passes.fuse import fuse
    from symad.passes.pieces import JOINS

    assert job.backend is not None
    supports = job.backend.supports
    graph = _in_bodies(graph, lambda body: _fuse(body, job, record))
    if not graph.kinds.isdisjoint(JOINS):
        from symad.passes.join_windows import compute_in_windows

        graph = compute_in_windows(graph, supports)
    return fuse(graph, supports)


def _of(module: str, *names: str) -> Callable[[Graph, Job, Recorder], Graph]:
    """Return a step that applies functions of a module of passes, imported when needed."""

    def run(graph: Graph, job: Job, record: Recorder) -> Graph:
        found = import_module(f"symad.passes.{module}")
        for name in names:
            graph = getattr(found, name)(graph)
        return graph

    return run


def _has_maps(graph: Graph, job: Job) -> bool:
    if not graph.has(WithBody):
        return False
    from symad.ops.control import Map

    return graph.has(Map)


def _rounds(graph: Graph, job: Job) -> bool:
    """Return whether sums may be reordered."""
    return job.grade >= Grade.ROUNDING


def _is_fused(graph: Graph, job: Job) -> bool:
    """Return whether the backend makes loop nests and the graph has values to loop over."""
    return job.backend is not None and job.backend.fuses and not is_of_numbers(graph)


def _rules(job: Job) -> RuleSet:
    """Return the rules up to the grade of a job, but those that its backend does not want."""
    left_out = frozenset[str]() if job.backend is None else job.backend.unwanted_rules
    return rules_of(job.grade, left_out)


def _has_bodies(graph: Graph, job: Job) -> bool:
    return graph.has(WithBody)


def _simplify_loops(graph: Graph, job: Job, record: Recorder) -> Graph:
    """Share the work of loops, drop what is not read, and move out what does not change.

    Values are saved in the outermost loops only, and not if memory shall be saved instead.
    """
    from symad.passes.loops import hoist_invariants, prune_loops
    from symad.passes.shared_loops import join_loops

    graph = prune_loops(graph)
    if _loop_count(graph) > 1:
        rules = _rules(job)
        simpler = _in_bodies(graph, lambda body: rewrite(body, rules, record))
        graph = join_loops(rewrite(simpler, _NO_RULES, record))
    return hoist_invariants(_save_values(graph) if _saves_values(graph, job) else graph)


def _loop_count(graph: Graph) -> int:
    if not graph.has(WithBody):
        return 0
    from symad.ops.loops import Scan, While

    return sum(isinstance(node.op, (Scan, While)) for node in graph.nodes)


def _saves_values(graph: Graph, job: Job) -> bool:
    return job.types is not None and not job.recompute and _loop_count(graph) > 1


def _save_values(graph: Graph) -> Graph:
    from symad.passes.loops import prune_loops
    from symad.passes.shared_loops import save_costly_values

    return prune_loops(save_costly_values(graph))


def _may_fail(graph: Graph, job: Job) -> bool:
    return any(kind.may_fail or issubclass(kind, WithBody) for kind in graph.kinds)


def _orders_products(graph: Graph, job: Job) -> bool:
    """Return whether there are matrix products, and sums may be reordered."""
    return _rounds(graph, job) and graph.has(Matmul)


def _split_loops(graph: Graph, job: Job, record: Recorder) -> Graph:
    from symad.ops.control import Map
    from symad.passes.batch import batch
    from symad.passes.fission import split_loops

    rules = _rules(job)
    least = _WORTH_STORING if job.backend is not None and job.backend.fuses else 0
    maps = {node.op for node in graph.nodes if isinstance(node.op, Map)}
    split = split_loops(
        graph, _rounds(graph, job), lambda body: rewrite(body, rules, record), least
    )
    return batch(split, maps)


_NO_RULES = RuleSet(())
"""Equal nodes are shared, and nothing else is done."""
_WORTH_STORING = 16
"""The operations for each number that is stored between the parts of a loop in machine code."""


PIPELINE: tuple[Pass | BackendStage, ...] = (
    Pass("specialise", lambda graph, job, record: specialise(graph, job.types or ()),
         lambda graph, job: job.types is not None),
    Pass("batch", _of("batch", "batch"), _has_maps),
    Pass("loops", _simplify_loops, _has_bodies),
    Pass("fission", _split_loops, _has_bodies),
    Pass("bodies", _optimise_bodies),
    Pass("allow failures", _of("failures", "allow_failures"), _may_fail),
    Pass("rewrite", lambda graph, job, record: rewrite(graph, _rules(job), record)),
    Pass("order products", _of("matrix_products", "order_products"), _orders_products),
    Pass("transpose products", _of("matrix_products", "transpose_products"), _orders_products),
    Pass("recompute", _of("recompute", "recompute"), lambda graph, job: job.recompute),
    Pass("decompose", _decompose, _is_fused),
    Pass("fuse", _fuse, _is_fused),
    BackendStage("schedule", lambda to, graph, settings, _: to.schedule(graph, settings)),
    BackendStage("lower", lambda to, schedule, settings, _: to.lower(schedule, settings)),
    BackendStage("assign buffers",
                 lambda to, lowered, settings, _: to.assign_buffers(lowered, settings)),
    BackendStage("emit", lambda to, plan, settings, space: to.emit(plan, settings, space)),
)  # fmt: skip
"""All steps, in order.

``rewrite`` also shares nodes that compute the same value.  Dead nodes need no step: a graph
contains only nodes that its outputs depend on.
"""

PASSES = tuple(step for step in PIPELINE if isinstance(step, Pass))
STAGES = tuple(step for step in PIPELINE if isinstance(step, BackendStage))
_LAST_READABLE = "recompute"
"""The last pass whose graph has NumPy source; later passes work for a backend."""


_CHECKED_FROM = 1 << 26
"""Calls that need fewer bytes are not checked, since the check takes 0.1 ms."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


class PassReport(NamedTuple):
    """The report of one pass.

    Attributes
    ----------
    name : str
    nodes_before, nodes_after : int
    seconds : float
    rules : mapping from str to int
        How often each rule was used.
    rewritings : tuple of Rewriting
        The uses of rules, in order; kept if requested.
    before, after : Graph or None
        The graphs, kept if requested.
    """

    name: str
    nodes_before: int
    nodes_after: int
    seconds: float
    rules: Mapping[str, int] = _NOTHING
    rewritings: tuple[Rewriting, ...] = ()
    before: Graph | None = None
    after: Graph | None = None


class StageReport(NamedTuple):
    """The time of one stage.

    Attributes
    ----------
    name : str
    seconds : float
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Optimised:
    """An optimised graph, and the reports of the steps.

    Attributes
    ----------
    graph : Graph
        The readable graph, before the steps for a backend.
    final : Graph
        The graph given to the backend: with loop nests, if it makes any.
    reports : tuple of PassReport
        One for each pass of the pipeline, including skipped ones.
    stages : tuple of StageReport
        The stages after the passes, if there is a program.
    """

    graph: Graph
    final: Graph
    reports: tuple[PassReport, ...]
    stages: tuple[StageReport, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether the values have known sizes and may need so much memory that calls check it."""
        given = set(self.graph.inputs)
        computed = [n.type for n in self.graph.nodes if n.op is not None and n not in given]
        size = total_nbytes(computed)
        return size is not None and size >= _CHECKED_FROM

    def __str__(self) -> str:
        return format_reports(self.reports, self.stages)

    def __repr__(self) -> str:
        return f"<Optimised graph: {self.reports[0].nodes_before} -> {len(self.graph)} nodes>"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        from symad.notation.table import Table  # not needed to compile

        titles, *rows = report_rows(self.reports, self.stages)
        return Table(titles, rows, {2}).html


def compile_graph(
    graph: Graph, types: Sequence[Type], settings: Settings, workspace: Any = None
) -> tuple[Optimised, Program]:
    """Return a program for inputs of concrete types, and the report of each pipeline step.

    Parameters
    ----------
    graph : Graph
    types : sequence of Type
        One for each input.
    settings : Settings
    workspace : optional
        The result of :meth:`Backend.workspace`.
    """
    backend = settings.backend
    made = run_passes(graph, Job(settings.grade, types, settings.recompute, backend))
    thing: Any = made.final
    times = []
    for stage in STAGES:
        start = time.perf_counter()
        thing = stage.run(backend, thing, settings, workspace)
        times.append(StageReport(stage.name, time.perf_counter() - start))
    return Optimised(made.graph, made.final, made.reports, tuple(times)), thing


@isolated
def run_passes(
    graph: Graph, job: Job, record: Recorder | None = None, keep: bool = False
) -> Optimised:
    """Run all passes for a job.

    Parameters
    ----------
    graph : Graph
    job : Job
    record : callable, optional
        Called with each rewrite.
    keep : bool
        Whether reports contain each rewrite, and the graphs before and after.
    """
    reports: list[PassReport] = []
    readable = graph
    for step in PASSES:
        if step.applies(graph, job):
            graph, report = _take(step, graph, job, record, keep)
        else:
            same = graph if keep else None
            report = PassReport(step.name, len(graph), len(graph), 0.0, before=same, after=same)
        reports.append(report)
        if step.name == _LAST_READABLE:
            readable = graph
    return Optimised(readable, graph, tuple(reports))


def final_graph(graph: Graph, job: Job, known: Optimised | None, known_to: Backend) -> Graph:
    """Return the graph given to the backend of a job.

    Parameters
    ----------
    graph : Graph
    job : Job
    known : Optimised, optional
        What the passes made of the graph for the same settings, types, and another backend:
        ``known_to``.  Those that do not depend on the backend are not run again.
    known_to : Backend
    """
    to = job.backend
    assert to is not None
    if known is None or (to.fuses, to.unwanted_rules) != (known_to.fuses, known_to.unwanted_rules):
        return run_passes(graph, job).final
    return _run_last(known.graph, job)


@isolated
def _run_last(graph: Graph, job: Job) -> Graph:
    last = [step.name for step in PASSES].index(_LAST_READABLE)
    for step in PASSES[last + 1 :]:
        if step.applies(graph, job):
            graph, _ = _take(step, graph, job, None, False)
    return graph


def _take(
    step: Pass, graph: Graph, job: Job, record: Recorder | None, keep: bool
) -> tuple[Graph, PassReport]:
    """Run one pass and report on it."""
    used: dict[str, int] = {}
    kept: list[Rewriting] = []

    def see(rewriting: Rewriting) -> None:
        name = rewriting.rule.name
        used[name] = used.get(name, 0) + 1
        if keep:
            kept.append(rewriting)
        if record is not None:
            record(rewriting)

    start = time.perf_counter()
    result = step.run(graph, job, see)
    seconds = time.perf_counter() - start
    before, after = (graph, result) if keep else (None, None)
    report = PassReport(
        step.name, len(graph), len(result), seconds, used, tuple(kept), before, after
    )
    return result, report


def optimise(
    graph: Graph,
    grade: Grade = Grade.ROUNDING,
    record: Recorder | None = None,
    recompute: bool = False,
) -> Optimised:
    """Return an equivalent graph that is cheaper and nearer to the true values.

    The inputs keep their order and number; a fed inner node becomes a leaf.

    Parameters
    ----------
    graph : Graph
        It must be specialised, since some rules need shapes.
    grade : Grade
        Which rules may be used.
    record : callable, optional
        Called with each rewrite.
    recompute : bool
        Whether cheap residuals are recomputed instead of kept.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = sm.log(1 + sm.exp(x))
    >>> result = optimise(sm.Graph([y, sm.gradients(y, x)]))
    >>> print(result.graph)
    graph(%0: f64[] "x")
      %1: f64[] = softplus(%0)
      %2: f64[] = sigmoid(%0)
      return %1, %2
    >>> [name for report in result.reports for name in report.rules]
    ['log1p', 'softplus', 'share', 'times one']
    """
    return run_passes(graph, Job(grade, recompute=recompute), record)


def format_reports(reports: Sequence[PassReport], stages: Sequence[StageReport] = ()) -> str:
    """Return the reports of the steps as a table.

    Examples
    --------
    >>> reports = PassReport("bodies", 8, 8, 1e-4), PassReport("rewrite", 8, 5, 2e-4)
    >>> print(format_reports(reports, [StageReport("schedule", 3e-4)]))
    step      nodes     ms  rules
    bodies    8 -> 8  0.10
    rewrite   8 -> 5  0.20
    schedule          0.30
    """
    rows = report_rows(reports, stages)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    )


def report_rows(
    reports: Sequence[PassReport], stages: Sequence[StageReport] = ()
) -> list[tuple[str, str, str, str]]:
    """Return the reports of the steps as the rows of a table; titles come first."""
    rows = [("step", "nodes", "ms", "rules")]
    for report in reports:
        rules = ", ".join(f"{name} x{n}" if n > 1 else name for name, n in report.rules.items())
        nodes = f"{report.nodes_before} -> {report.nodes_after}"
        rows.append((report.name, nodes, f"{1e3 * report.seconds:.2f}", rules))
    return rows + [(stage.name, "", f"{1e3 * stage.seconds:.2f}", "") for stage in stages]
