"""Backpropagation compared with the extension of the graph: the results are numbers or nodes.

:func:`backpropagate` runs *on* the forward graph, as most frameworks do: it computes the values,
walks back through the graph with numbers, and returns numbers.  It does not use symad's derivative
rules; its own rules, for values, are defined below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import symad as sm
from symad.autodiff.activity import require_some
from symad.autodiff.extension import Propagated, Summed
from symad.demo.examples import running_example
from symad.errors import GradientError
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.table import Table, Tabular
from symad.notation.values import format_value
from symad.notation.view import View
from symad.records import dataclass, field
from symad.runtime.values import node_values

Value = Any
Rule = Callable[..., tuple[Value, ...]]

RULES: dict[str, Rule] = {
    "add": lambda v, y, a, b: (v, v),
    "subtract": lambda v, y, a, b: (v, -v),
    "multiply": lambda v, y, a, b: (v * b, v * a),
    "divide": lambda v, y, a, b: (v / b, -v * y / b),
    "negative": lambda v, y, a: (-v,),
    "power": lambda v, y, a, b: (v * b * a ** (b - 1), v * y * np.log(a)),
    "square": lambda v, y, a: (2 * v * a,),
    "sqrt": lambda v, y, a: (v / (2 * y),),
    "exp": lambda v, y, a: (v * y,),
    "log": lambda v, y, a: (v / a,),
    "sin": lambda v, y, a: (v * np.cos(a),),
    "cos": lambda v, y, a: (-v * np.sin(a),),
    "tanh": lambda v, y, a: (v * (1 - y * y),),
    "sigmoid": lambda v, y, a: (v * y * (1 - y),),
    "relu": lambda v, y, a: (np.where(a > 0, v, 0.0),),
    "matmul": lambda v, y, a, b: (v @ b.T, a.T @ v),
    "identity": lambda v, y, a: (v,),
}
"""Maps an op to a rule that returns v ∂y/∂x for each of its inputs x, as numbers."""


def _sum_rule(v: Value, y: Value, a: Value) -> tuple[Value, ...]:
    """Copy the adjoint of a sum of all elements to each of them."""
    if np.ndim(y):
        raise GradientError("the demonstration of backpropagation sums over all axes only")
    return (np.broadcast_to(v, np.shape(a)),)


RULES["sum"] = _sum_rule
RULES["mean"] = lambda v, y, a: _sum_rule(v / np.size(a), y, a)


@dataclass
class Backpropagation:
    """The results of :func:`backpropagate`.

    Attributes
    ----------
    values, adjoints : dict from Node to value
    partials : dict from (Node, int) to value
        Maps a node and one of its argument slots to the partial adjoint v̄_{k→i}.
    """

    values: dict[sm.Node, Value]
    adjoints: dict[sm.Node, Value] = field(default_factory=dict)
    partials: dict[tuple[sm.Node, int], Value] = field(default_factory=dict)

    @property
    def rules_run(self) -> int:
        """The number of rules run: one for each edge."""
        return len(self.partials)


def backpropagate(y: sm.Node, feed: Mapping[sm.Node, Value]) -> Backpropagation:
    """Return the adjoints of all nodes of ``y`` at one point, as numbers; no node is made.

    Parameters
    ----------
    y : Node
        Consists of ops that have a rule in :data:`RULES`; an array counts as its sum.
    feed : dict from Node to value

    Raises
    ------
    GradientError
        If an op has no rule here.

    Examples
    --------
    >>> x1, x2, y = running_example()
    >>> found = backpropagate(y, {x1: 2.0, x2: 5.0})
    >>> print(f"{found.adjoints[x1]:.3f} {found.adjoints[x2]:.3f}")
    5.500 1.716
    """
    order = topological_order([y])
    for node in order:
        _rule_of(node)  # raises its error before anything is computed
    found = Backpropagation(evaluate(order, feed))
    found.adjoints[y] = np.ones_like(found.values[y])
    for node in reversed(order):
        if node.op is None:
            continue
        partials = partial_adjoints(node, found.adjoints[node], found.values)
        for slot, (source, partial) in enumerate(zip(node.inputs, partials, strict=True)):
            if not isinstance(source, sm.Constant):
                found.partials[node, slot] = partial
                found.adjoints[source] = found.adjoints.get(source, 0) + partial
    return found


def evaluate(order: list[sm.Node], feed: Mapping[sm.Node, Value]) -> dict[sm.Node, Value]:
    """Return the value of each node, inputs before users."""
    values: dict[sm.Node, Value] = {}
    for node in order:
        if isinstance(node, sm.Constant):
            values[node] = node.value
        elif node in feed:
            values[node] = np.asarray(feed[node], node.dtype)
        elif isinstance(node, sm.Parameter):
            values[node] = node.value
        elif node.op is None:
            raise sm.errors.FeedError(f"no value was fed for {node.label!r}")
        else:
            with np.errstate(all="ignore"):
                values[node] = node.op.kernel()(*[values[source] for source in node.inputs])
    return values


def _rule_of(node: sm.Node) -> Rule | None:
    """Return the rule of a computed node; ``None`` for a leaf."""
    if node.op is None:
        return None
    if node.op.name not in RULES:
        raise GradientError(
            f"the demonstration of backpropagation has no rule for {node.op.name!r}",
            where=node.site.describe(),
            remedy=f"It has rules for {', '.join(RULES)}.",
        )
    return RULES[node.op.name]


def partial_adjoints(node: sm.Node, adjoint: Value, values: Mapping[sm.Node, Value]) -> list[Value]:
    """Return v̄_{k→i} = v̄_i ∂v_i/∂v_k for each input k of node i, as numbers.

    Raises
    ------
    GradientError
        If the op has no rule in :data:`RULES`.
    """
    rule = _rule_of(node)
    assert rule is not None
    inputs = [values[source] for source in node.inputs]
    with np.errstate(all="ignore"):
        partials = rule(adjoint, values[node], *inputs)
    return [_summed_to(p, np.shape(x)) for p, x in zip(partials, inputs, strict=True)]


def _summed_to(value: Value, shape: tuple[int, ...]) -> Value:
    """Undo broadcasting: add the adjoints of the copies."""
    value = np.asarray(value)
    value = value.sum(axis=tuple(range(value.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and value.shape[i] != 1)
    return value.sum(axis=stretched, keepdims=True)[()]


class SideBySide(Tabular):
    """Backpropagation and extension, step by step; made by :func:`compare_with_extension`.

    Attributes
    ----------
    table : Table
        The steps of both in the same order: a number on the left, a node on the right.
    summary : Table
        The work of each for a first input, a second input, and a second derivative.
    """

    def __init__(self, table: Table, summary: Table) -> None:
        self._table = table
        self.summary = summary

    @property
    def table(self) -> Table:
        """The steps of both."""
        return self._table

    @property
    def text(self) -> str:
        """Both tables as text."""
        return f"{self._table}\n\n{self.summary}"

    @property
    def markdown(self) -> str:
        """Both tables in Markdown."""
        return f"{self._table.markdown}\n\n{self.summary.markdown}"

    @property
    def html(self) -> str:
        """Both tables in HTML."""
        return f"{self._table.html}<br>{self.summary.html}"

    def __repr__(self) -> str:
        return f"<SideBySide of {len(self._table.rows)} steps>"


def compare_with_extension(
    y: sm.Node | None = None, feed: Mapping[sm.Node, Value] | None = None
) -> SideBySide:
    """Run backpropagation on the graph of ``y``, extend the graph, and show both step by step.

    Parameters
    ----------
    y : Node, optional
        Default: the running example.
    feed : dict from Node to value, optional
        Values of its variables: x1 = 2 and x2 = 5 for the running example.

    Examples
    --------
    >>> print(compare_with_extension().summary)
    for                   backpropagation                  extension
    ───────────────────   ──────────────────────────────   ───────────────────────────────────
    the first input       8 rules run                      8 rules run and make 12 nodes
    another input         8 rules run again                9 operations (16 before the passes)
    a second derivative   none: the adjoints are numbers   7 more nodes
    """
    if y is None or feed is None:
        x1, x2, y = running_example(shape=())
        feed = {x1: 2.0, x2: 5.0}
    variables = [node for node in topological_order([y]) if isinstance(node, sm.Variable)]
    require_some(variables)
    numbers = backpropagate(y, feed)
    record = sm.extend(y, variables)
    rows = list(_steps(y, numbers, record))
    titles = ("step", "backpropagation: a number", "extension: a node")
    return SideBySide(Table(titles, rows), _summary(y, variables, feed))


def _steps(
    y: sm.Node, numbers: Backpropagation, record: sm.Extension
) -> Iterator[tuple[str, str, str]]:
    view = View([y, *record.adjoints.values()])
    labels = Labels(view)
    formulas = Formulas(view, labels)
    shown: set[sm.Node] = set()
    for step in record.steps:
        if isinstance(step, Summed):
            symbol = Symbol("v", (labels.numbers[step.node],), "bar", 1)
            node, number = view.behind(step.adjoint), numbers.adjoints[step.node]
            alone = node in shown
            what = f"{symbol} is known"
        elif isinstance(step, Propagated):
            ends = labels.numbers[step.edge.source], labels.numbers[step.edge.consumer]
            symbol = Symbol("v", ends, "bar", 1)
            node, number = (
                view.behind(step.partial),
                numbers.partials[step.edge.consumer, step.edge.slot],
            )
            alone, what = False, f"v{ends[1]} → v{ends[0]}"
        else:
            continue
        formula = formulas.right_sides.get(node, formulas.name(node))
        made = f"{symbol}: the same node" if alone else f"{symbol} = {formula}{_kind(node)}"
        shown.add(node)
        yield what, f"{symbol} = {format_value(number)}", made


def _kind(node: sm.Node) -> str:
    if node.op is not None and node.op.name == "identity":
        return " (identity)"
    return " (sum)" if node.role is not None and node.role.kind is RoleKind.SUM else ""


def _summary(y: sm.Node, variables: list[sm.Variable], feed: Mapping[sm.Node, Value]) -> Table:
    """Return the work of both for a first input, another input, and a second derivative."""
    first = backpropagate(y, feed).rules_run
    again = backpropagate(y, {x: np.asarray(value) + 0.5 for x, value in feed.items()}).rules_run
    record = sm.extend(y, variables)
    gradients = [record.adjoints[x] for x in variables]
    seen = View([y, *gradients], node_values([y, *gradients], feed))  # no idle repairs
    extended = topological_order([y, *gradients])
    function = sm.compile(list(feed), [y, *gradients], backend="numpy")
    function(*feed.values())
    runs = sum(node.op is not None for node in function.passes.graph.nodes)
    before = sum(node.op is not None for node in seen.nodes)
    second = sm.gradients(gradients[0], variables, unused="none")
    more = topological_order([node for node in second if node is not None], stop=set(extended))
    made = sum(node.role is not None for node in seen.nodes)
    made_again = len(set(more).difference(extended))
    rows = [
        (
            "the first input",
            f"{first} rules run",
            f"{len(record.partials)} rules run and make {made} nodes",
        ),
        (
            "another input",
            f"{again} rules run again",
            f"{runs} operations ({before} before the passes)",
        ),
        (
            "a second derivative",
            "none: the adjoints are numbers",
            f"{made_again} more nodes",
        ),
    ]
    return Table(("for", "backpropagation", "extension"), rows)
