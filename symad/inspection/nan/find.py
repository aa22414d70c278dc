"""The implementation of ``find_nan``: finds the node that produced the first NaN or infinity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symad.backends.evaluation import Evaluation
from symad.backends.numpy import numpy_program
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order
from symad.inspection.inspected import given_values, subject_of
from symad.inspection.nan.elements import Event, event_of_leaf, event_of_node
from symad.inspection.nan.report import Blame
from symad.inspection.nan.search import scan, slots_read
from symad.ops.body import WithBody
from symad.passes.rewrite import SHARE, Rewriting
from symad.passes.specialise import specialise
from symad.plan.plan import make_plan
from symad.records import replace
from symad.runtime.pipeline import optimise
from symad.types import Type


def find_blame(target: Any, feed: Sequence[Any], keywords: Mapping[str, Any]) -> Blame:
    """Run a graph as written and as optimised, and return what is to blame."""
    subject = subject_of(target, feed, keywords)
    values, types = given_values(subject), subject.types
    graph = subject.function.graph
    forward = _differentiated(graph)
    static, origin_of = _specialised(Graph([*forward, *graph.outputs], graph.inputs), types)
    written = _search(static, values, origin_of, first=len(forward))
    recorded: list[Rewriting] = []
    grade = subject.function.settings.grade
    optimised = optimise(specialise(graph, types), grade, recorded.append).graph
    run = _search(optimised, values, {})
    if written.origin is None and run.origin is None:
        return replace(written, graph=graph)
    if written.origin is None:
        return replace(run, only_run=True)
    written = replace(written, graph=graph, only_written=not run)
    return written if run else replace(written, rules=_rules_near(recorded, written))


def _differentiated(graph: Graph) -> list[Node]:
    """Return the differentiated nodes, which are computed before their derivatives."""
    reached = set(graph.nodes).difference(graph.inputs)
    seeds = [n.role.node for n in graph.nodes if n.role and n.role.kind is RoleKind.SEED]
    return [node for node in dict.fromkeys(seeds) if node in reached]


def _specialised(graph: Graph, types: Sequence[Type]) -> tuple[Graph, dict[Node, Node]]:
    """Return the graph for these types, and a mapping from its nodes to the nodes as written."""
    order = topological_order(graph.outputs, stop=set(graph.inputs))
    everything = specialise(Graph(order, graph.inputs), types)
    new = dict(zip(order, everything.outputs, strict=True))
    written: dict[Node, Node] = dict(zip(everything.inputs, graph.inputs, strict=True))
    for node in order:
        written.setdefault(new[node], node)
    return Graph([new[node] for node in graph.outputs], everything.inputs), written


def _search(
    graph: Graph, values: Sequence[Any], written: Mapping[Node, Node], first: int = 0
) -> Blame:
    """Return what is to blame in a specialised graph for its outputs from ``first`` on.

    ``written`` maps nodes to the user's own nodes.
    """
    evaluation = Evaluation(graph, values)
    found, bad, failure = scan(evaluation, first)
    blamed = found.origins(bad)
    if blamed is None:
        return Blame(graph, masked=len(found.states))
    wanted = [node for node in blamed if node is not None]
    events = _events(evaluation, wanted, written)
    outputs = tuple(written.get(node, node) for node in dict.fromkeys(bad))
    turned = events[1] if len(events) > 1 else None
    return Blame(graph, events[0], turned, outputs, _inside(blamed[0], events[0]), failure)


def _inside(node: Node, event: Event) -> Blame | None:
    """Return what is to blame in the body of a node, if it has one."""
    if not isinstance(node.op, WithBody) or event.where not in ("forward", "backward"):
        return None
    values = [value for _, value in event.inputs]
    for where, body, given in node.op.runs(event.index or (), values, _run_body):
        found = _search(body, given, {})
        if found.origin is not None:
            return replace(found, run=where)
    return None


def _run_body(body: Graph, values: Sequence[Any]) -> list[Any]:
    found: list[Any] = numpy_program(make_plan(body))(values)
    return found


def _events(
    evaluation: Evaluation, wanted: Sequence[Node], written: Mapping[Node, Node]
) -> list[Event]:
    """Run the graph again, up to the last of ``wanted``, and return the events there.

    The second node, if any, is where an infinity turns into NaN.
    """
    leaves = evaluation.leaves()
    events = {
        node: event_of_leaf(written.get(node, node), leaves[node])
        for node in wanted
        if node in leaves
    }
    steps = iter(evaluation)
    while len(events) < len(wanted):
        node, arguments, value = next(steps)
        if node in wanted:
            sources = [written.get(source, source) for source in node.inputs]
            read = [(sources[slot], arguments[slot]) for slot in slots_read(node)]
            events[node] = event_of_node(
                written.get(node, node), value, read, turned=node is not wanted[0]
            )
    return [events[node] for node in wanted]


_NEAR = 2
"""Rules count for a node if they were used at most this many uses away from it."""


def _rules_near(recorded: Sequence[Rewriting], blame: Blame) -> tuple[str, ...]:
    """Return the rules that were used at the blamed nodes, or near them."""
    uses = blame.graph.consumers()
    near = [event.node for event in (blame.origin, blame.turned) if event is not None]
    for _ in range(_NEAR):
        near += [user for node in near for user, _ in uses.get(node, ())]
    lines = {(node.site.filename, node.site.line) for node in near}
    rules = [r for r in recorded if r.rule is not SHARE]
    used = [r.rule.name for r in rules if (r.old.site.filename, r.old.site.line) in lines]
    return tuple(dict.fromkeys(used))
