"""The pipeline: the list of passes between a specialised graph and its plan.

Passes are pure functions of graphs.  Rules are imported, and their patterns built, when a graph is
optimised for the first time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node
from symad.ops.control import WithBody
from symad.passes.failures import allow_failures
from symad.passes.grade import Grade
from symad.passes.matmul_chains import order_products
from symad.passes.recompute import recompute as recompute_residuals
from symad.passes.rewrite import Recorder, Rewriting, RuleSet, closed, rewrite
from symad.passes.rule import AnyRule
from symad.passes.share import share
from symad.passes.transpose_products import turn_products

PassFunction = Callable[[Graph, Grade, Recorder], Graph]


@dataclass(frozen=True, slots=True)
class Pass:
    """A step of the pipeline.

    Attributes
    ----------
    name : str
    run : callable
        Takes a graph, the grade up to which rules may be used, and what is told of each rewrite.
    grade : Grade
        The pass is left out below this grade.
    """

    name: str
    run: PassFunction
    grade: Grade = Grade.EXACT


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did.

    Attributes
    ----------
    name : str
    nodes_before, nodes_after : int
    seconds : float
    rules : dict from str to int
        How often each rule was used.
    rewritings : tuple of Rewriting
        The uses of rules, in order; kept where it was asked for.
    before, after : Graph or None
        Likewise.
    """

    name: str
    nodes_before: int
    nodes_after: int
    seconds: float
    rules: dict[str, int] = field(default_factory=dict)
    rewritings: tuple[Rewriting, ...] = ()
    before: Graph | None = None
    after: Graph | None = None


@dataclass(frozen=True, slots=True)
class Optimised:
    """A graph and the passes that made it.

    Attributes
    ----------
    graph : Graph
    reports : tuple of PassReport
    """

    graph: Graph
    reports: tuple[PassReport, ...]

    def __str__(self) -> str:
        return format_reports(self.reports)


@cache
def rules_of(grade: Grade) -> RuleSet:
    """Return all rules up to a grade, in the order in which they are tried."""
    return RuleSet(rule for rule in all_rules() if rule.grade <= grade)


@cache
def all_rules() -> tuple[AnyRule, ...]:
    """Return all rules, by family: the general ones come last.

    Rules that clear away come first, so that patterns meet a formula in one form only: a reciprocal
    is 1/x, a product of a node with itself is a square, signs stand outside.
    """
    from symad.passes.rules import (
        algebra,
        canonicalise,
        fold,
        stabilise,
        structures,
        sum_to_matmul,
        views,
    )

    return (
        *fold.FOLD,
        *structures.STRUCTURES,
        *canonicalise.IDENTITIES,
        *views.BROADCASTING,
        *views.VIEWS,
        *canonicalise.NEUTRAL,
        *stabilise.STABILISE,
        *canonicalise.SIGNS,
        *canonicalise.CHOICES,
        *algebra.POWERS,
        *algebra.FACTORS,
        *views.REDUCTIONS,
        *sum_to_matmul.CONTRACT,
        *algebra.IN_DOMAIN,
    )


def _share(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return share(graph)


def _allow_failures(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return allow_failures(graph)


def _rewrite(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return rewrite(graph, rules_of(grade), record)


def _order_products(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return order_products(graph)


def _turn_products(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return turn_products(graph)


def _recompute(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    return recompute_residuals(graph)


def _optimise_bodies(graph: Graph, grade: Grade, record: Recorder) -> Graph:
    """Run the pipeline on the bodies of loops and calls; one body of several nodes stays one."""
    bodies = {node.op for node in graph.nodes if isinstance(node.op, WithBody)}
    if not bodies:
        return graph
    new = {op: op.with_body(optimise(op.body, grade, record).graph) for op in bodies}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op, WithBody):
            return replace_inputs(node, inputs)
        return Node(new[node.op], inputs, node.type, node.name)

    return rebuild(closed(graph), visit)


PIPELINE: tuple[Pass, ...] = (
    Pass("optimise bodies", _optimise_bodies),
    Pass("allow failures", _allow_failures),
    Pass("share", _share),
    Pass("rewrite", _rewrite),
    Pass("order products", _order_products, Grade.ROUNDING),
    Pass("turn products", _turn_products, Grade.ROUNDING),
)
"""Dead nodes need no pass: a graph holds what its outputs depend on."""

RECOMPUTE = Pass("recompute", _recompute)
"""It comes last, and only where it is asked for."""


def passes_for(grade: Grade, recompute: bool = False) -> tuple[Pass, ...]:
    """Return the passes that :func:`optimise` runs, in order."""
    steps = (*PIPELINE, RECOMPUTE) if recompute else PIPELINE
    return tuple(step for step in steps if step.grade <= grade)


def ignore(rewriting: Rewriting) -> None:
    """Record nothing."""


def optimise(
    graph: Graph,
    grade: Grade = Grade.ROUNDING,
    record: Recorder | None = None,
    recompute: bool = False,
    keep: bool = False,
) -> Optimised:
    """Return a graph of the same meaning that is cheaper and nearer to the true values.

    Inputs stay in order and number; one that is computed by an op, because an inner node is fed,
    becomes a leaf.

    Parameters
    ----------
    graph : Graph
        Specialised: rules on shapes need to know them.
    grade : Grade
        Which rules may be used.
    record : callable, optional
        Is told of each rewrite.
    recompute : bool
        Whether cheap residuals are computed again rather than kept.
    keep : bool
        Whether reports hold each rewrite and the graphs.

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
    ['log1p', 'softplus', 'sigmoid of minus', 'identity', 'sigmoid and exp']
    """
    reports: list[PassReport] = []
    for step in passes_for(grade, recompute):
        used: Counter[str] = Counter()
        kept: list[Rewriting] = []
        start = time.perf_counter()
        result = step.run(
            graph, grade, _counting(used, record or (kept.append if keep else ignore))
        )
        seconds = time.perf_counter() - start
        report = PassReport(step.name, len(graph), len(result), seconds, dict(used), tuple(kept))
        reports.append(replace(report, before=graph, after=result) if keep else report)
        graph = result
    return Optimised(graph, tuple(reports))


def _counting(used: Counter[str], record: Recorder) -> Recorder:
    def count(rewriting: Rewriting) -> None:
        used[rewriting.rule.name] += 1
        record(rewriting)

    return count


def format_reports(reports: tuple[PassReport, ...]) -> str:
    """Return what passes did as a table.

    Examples
    --------
    >>> print(format_reports((PassReport("share", 8, 7, 1e-4), PassReport("rewrite", 7, 5, 2e-4))))
    pass     nodes     ms  rules
    share    8 -> 7  0.10
    rewrite  7 -> 5  0.20
    """
    rows = [("pass", "nodes", "ms", "rules")]
    for report in reports:
        rules = ", ".join(f"{name} x{n}" if n > 1 else name for name, n in report.rules.items())
        nodes = f"{report.nodes_before} -> {report.nodes_after}"
        rows.append((report.name, nodes, f"{1e3 * report.seconds:.2f}", rules))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    )
