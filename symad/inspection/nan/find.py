"""find_nan: which node made the first NaN or infinity, of what, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from symad.autodiff.extension import Edge
from symad.backends.evaluation import Evaluation
from symad.errors import EvaluationError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.graph.provenance import Role, RoleKind, Site
from symad.graph.traverse import topological_order
from symad.inspection.inspected import given_values, subject_of
from symad.inspection.nan.elements import Event, event_of_leaf, event_of_node
from symad.inspection.nan.remedies import remedy_of
from symad.inspection.nan.report import tell
from symad.inspection.nan.search import scan, slots_read
from symad.notation.values import format_number
from symad.ops.control import WithBody
from symad.passes.rewrite import SHARE, Rewriting
from symad.passes.specialise import specialise
from symad.runtime.pipeline import optimise
from symad.types import Type


@dataclass(frozen=True)
class Blame:
    """What made a NaN or an infinity; made by :func:`symad.find_nan`, and false if nothing did.

    Attributes
    ----------
    graph : Graph
        What was looked into.
    origin : Event or None
        The first value that is not finite and was made of finite ones, or came in from outside.
    turned : Event or None
        The first NaN, where an infinity came before.
    outputs : tuple of Node
        The outputs that are not finite.
    inside : Blame or None
        Where the origin is a loop or a call, what is to blame in its body.
    failure : EvaluationError or None
        What an op said that failed on a value that is not finite.
    masked : int
        If all outputs are finite, in how many nodes inside there are NaN or infinities.
    only_written : bool
        Whether what runs is finite: the passes have mended what was written.
    only_run : bool
        Whether what was written is finite, and not what the passes made of it.
    rules : tuple of str
        The rewrite rules that were used on the lines concerned.
    """

    graph: Graph
    origin: Event | None = None
    turned: Event | None = None
    outputs: tuple[Node, ...] = ()
    inside: Blame | None = None
    failure: EvaluationError | None = None
    masked: int = 0
    only_written: bool = False
    only_run: bool = False
    rules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.origin is not None

    @property
    def node(self) -> Node | None:
        """The node at fault."""
        return None if self.origin is None else self.origin.node

    @property
    def where(self) -> str:
        """Where the node is: see :class:`Event`; empty if there is none."""
        return "" if self.origin is None else self.origin.where

    @property
    def site(self) -> Site | None:
        """The user's line; for a node of a derivative, that of its forward node."""
        return None if self.node is None else self.node.site

    @property
    def role(self) -> Role | None:
        """The role of the node in a derivative; ``None`` in the forward graph."""
        return None if self.node is None else self.node.role

    @property
    def edge(self) -> Edge | None:
        """The forward edge k → i for which a rule made the node; ``None`` in the forward graph."""
        role = self.role
        if role is None or role.consumer is None or role.slot is None:
            return None
        return Edge(role.node, role.consumer, role.slot)

    @property
    def remedy(self) -> str:
        """What to do about it, as far as that is known; empty otherwise."""
        if self.inside is not None:
            return self.inside.remedy
        for event in (self.origin, self.turned):
            if event is not None and event.where in ("forward", "backward"):
                values = [value for _, value in event.inputs]
                return remedy_of(event.node, values, event.value)
        return ""

    def __str__(self) -> str:
        return tell(self)

    def __repr__(self) -> str:
        if self.origin is None:
            return "<Blame: nothing>"
        return f"<Blame: {format_number(self.origin.value)}, {self.where}, {self.origin.node!r}>"

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{escape(str(self))}</pre>'


def find_blame(target: Any, feed: Sequence[Any], keywords: Mapping[str, Any]) -> Blame:
    """Run a graph as it was written, and as it runs, and return what is to blame."""
    subject = subject_of(target, feed, keywords)
    values, types = given_values(subject), subject.types
    graph = subject.function.graph
    forward = _differentiated(graph)
    static, origin_of = _specialised(Graph([*forward, *graph.outputs], graph.inputs), types)
    written = _search(static, values, origin_of, first=len(forward))
    recorded: list[Rewriting] = []
    asked = Graph(static.outputs[len(forward) :], static.inputs)
    optimised = optimise(asked, subject.function.settings.grade, recorded.append).graph
    run = _search(optimised, values, {})
    if written.origin is None and run.origin is None:
        return replace(written, graph=graph)
    if written.origin is None:
        return replace(run, only_run=True)
    written = replace(written, graph=graph, only_written=not run)
    return written if run else replace(written, rules=_rules_near(recorded, written))


def _differentiated(graph: Graph) -> list[Node]:
    """Return what is differentiated, to be computed before its derivatives."""
    reached = set(graph.nodes).difference(graph.inputs)
    seeds = [n.role.node for n in graph.nodes if n.role and n.role.kind is RoleKind.SEED]
    return [node for node in dict.fromkeys(seeds) if node in reached]


def _specialised(graph: Graph, types: Sequence[Type]) -> tuple[Graph, dict[Node, Node]]:
    """Return the graph for types, and the node as written for each of its nodes that has one."""
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

    ``written`` has the user's own nodes.
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
    """Return what is to blame in the body of a node that has one."""
    if not isinstance(node.op, WithBody) or event.where not in ("forward", "backward"):
        return None
    values = [value for _, value in event.inputs]
    return _search(node.op.body, node.op.values_inside(event.index or (), values), {})


def _events(
    evaluation: Evaluation, wanted: Sequence[Node], written: Mapping[Node, Node]
) -> list[Event]:
    """Run the graph again, up to the last of ``wanted``, and return what happens there.

    Of two, the second is where an infinity turns into NaN.
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
"""How many uses away from a node rules count as concerning it."""


def _rules_near(recorded: Sequence[Rewriting], blame: Blame) -> tuple[str, ...]:
    """Return the rules that were used at what is to blame, or at what uses it."""
    uses = blame.graph.consumers()
    near = [event.node for event in (blame.origin, blame.turned) if event is not None]
    for _ in range(_NEAR):
        near += [user for node in near for user, _ in uses.get(node, ())]
    lines = {(node.site.filename, node.site.line) for node in near}
    rules = [r for r in recorded if r.rule is not SHARE]
    used = [r.rule.name for r in rules if (r.old.site.filename, r.old.site.line) in lines]
    return tuple(dict.fromkeys(used))
