"""Pictures and tables of nodes: where drawing meets differentiation and execution.

The package :mod:`symad.draw` is handed values and derivatives; what makes them comes together here.
The package is loaded when something is drawn, and ``symad.draw`` is the function of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from symad.autodiff.forward import tangents
from symad.autodiff.reverse import extend
from symad.backends.evaluation import Evaluation
from symad.backends.numpy import result_of
from symad.errors import FeedError, GraphError, GraphTypeError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node, Variable
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.passes.specialise import specialise
from symad.runtime.compiler import Executor
from symad.runtime.inputs import type_of

if TYPE_CHECKING:
    from symad.drawing.drawing import Drawing
    from symad.notation.view import Values
    from symad.tables.trace import Entry, Trace

Feed = Mapping[Node, Any]


def draw(
    nodes: Any, feed: Feed | None = None, *, repairs: bool = False, limit: int = 200
) -> Drawing:
    """Draw what ``nodes`` depend on: the forward graph, and its derivatives beside it.

    Parameters
    ----------
    nodes : Node, nested structure of nodes, or Graph
    feed : dict from Node to value, optional
        Where given, nodes show their values, and the nodes that the user wrote their adjoints.
    repairs : bool
        Whether to show shape repairs that do nothing for the shapes fed, or that may do nothing
        as long as shapes are not known.
    limit : int
        A graph of more nodes is folded, by scope where it has scopes, and the picture says so.

    Returns
    -------
    Drawing
        Save it as SVG, PNG, PDF or DOT, or let a notebook show it.

    Raises
    ------
    FeedError
        If a feed is given and does not fit.
    GraphTypeError
        If something is not a node.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.exp(x) * x
    >>> drawing = sm.draw([y, sm.gradients(y, x)])
    >>> drawing
    <Drawing of 8 nodes>
    >>> drawing.save("product.svg")  # doctest: +SKIP
    """
    from symad.drawing.drawing import Drawing
    from symad.notation.view import View

    outputs = _outputs(nodes)
    values = None if feed is None else node_values(outputs, feed)
    seen = nodes if isinstance(nodes, Graph) else outputs
    return Drawing(View(seen, values, repairs), limit)


def trace(y: Node, feed: Feed | None = None, wrt: Node | None = None) -> Trace:
    """Return the forward trace, the tangents and the adjoints of ``y``, side by side.

    Parameters
    ----------
    y : Node
    feed : dict from Node to value, optional
        Values of the variables.  Numbers are shown as such, arrays by their sizes, first elements
        and norm, structures item by item; all are those of the graph as it was written, which the
        passes of :func:`symad.compile` may mend.  Without a feed, the trace has the formulas, and
        the types where they are known.
    wrt : Node, optional
        The variable for which tangents are shown, v̇_i = ∂v_i/∂x; the first unless given.  Where
        it is an array, all its elements change at the same rate.

    Returns
    -------
    Trace
        A table as aligned text (``str()``), Markdown (``.markdown``) and HTML (``.html``).

    Raises
    ------
    FeedError
        If the feed does not fit.
    GradientError
        If ``y`` is not floating.
    GraphError
        If ``y`` does not depend on ``wrt``.
    GraphTypeError
        If ``y`` is not a node.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    >>> print(sm.trace(sm.log(x1) + x1 * x2, {x1: 2.0, x2: 5.0}))
    forward trace               tangents v̇i = ∂vi/∂x1    adjoints v̄i = ∂y/∂vi
    ─────────────────────────   ──────────────────────   ──────────────────────────────────
    v1 = x1 = 2                 v̇1 = 1                   v̄5 = 1
    v2 = x2 = 5                 v̇2 = 0                   v̄4 = v̄5·1 = 1
    v3 = ln v1 = 0.693          v̇3 = v̇1/v1 = 0.5         v̄3 = v̄5·1 = 1
    v4 = v1·v2 = 10             v̇4 = v̇1·v2 + v̇2·v1 = 5   v̄2 = v̄4·v1 = 2
    v5 = v3 + v4 = 10.693 = y   v̇5 = v̇3 + v̇4 = 5.5       v̄1 = v̄4·v2 + v̄3/v1 = 5 + 0.5 = 5.5
    """
    from symad.notation.view import View
    from symad.tables.trace import Scribe, Trace

    if not isinstance(y, Node):
        raise GraphTypeError(
            f"a trace is of one node, not of {y!r}",
            remedy="Reverse mode takes one pass per output: trace the outputs one at a time.",
        )
    variables = _variables(y)
    chosen = _chosen(y, variables, wrt)
    adjoints = extend(y, variables).adjoints if variables else {}
    seeds = [1.0 if node is chosen else 0.0 for node in variables]
    dots = tangents(y, variables, seeds) if variables else {}
    everything = [y, *adjoints.values(), *dots.values()]
    scribe = Scribe(View(everything, None if feed is None else node_values(everything, feed)), y)
    titles = (
        "forward trace",
        "tangents" if chosen is None else f"tangents v̇i = ∂vi/∂{visible(chosen.label)}",
        f"adjoints v̄i = ∂{visible(y.name or 'y')}/∂vi",
    )
    return Trace(titles, scribe.forward(), scribe.tangents(dots), scribe.adjoints(adjoints))


def derivation(y: Node, xs: Sequence[Node]) -> list[Entry]:
    """Return the formulas of ``y`` and of the adjoints between ``xs`` and ``y``, without values."""
    from symad.notation.view import View
    from symad.tables.trace import Scribe

    adjoints = extend(y, xs).adjoints if xs else {}
    scribe = Scribe(View([y, *adjoints.values()]), y)
    return [*scribe.forward(), *scribe.adjoints(adjoints)]


def to_networkx(nodes: Any) -> Any:
    """Return the graph that ``nodes`` depend on as a ``networkx.MultiDiGraph``.

    Graph nodes are numbered from 0 in topological order.  Their attributes are ``node``, ``op``
    (the name, ``None`` for a leaf), ``type``, ``role`` (``None`` for what the user wrote),
    ``label`` and ``output``; edges run from inputs to users and have the argument ``slot``.

    Parameters
    ----------
    nodes : Node, nested structure of nodes, or Graph

    Returns
    -------
    networkx.MultiDiGraph

    Raises
    ------
    GraphTypeError
        If something is not a node.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> graph = sm.to_networkx(sm.sin(x) * x)
    >>> sorted(graph.edges(data="slot"))
    [(0, 1, 0), (0, 2, 1), (1, 2, 0)]
    """
    from symad.drawing import networkx_export
    from symad.notation.view import View

    seen = nodes if isinstance(nodes, Graph) else _outputs(nodes)
    return networkx_export.to_networkx(View(seen, repairs=True))


def _outputs(nodes: Any) -> list[Node]:
    found = list(nodes.outputs if isinstance(nodes, Graph) else leaves(nodes))
    for node in found:
        if not isinstance(node, Node):
            raise GraphTypeError(f"{node!r} is not a node of a graph, so it cannot be shown")
    if not found:
        raise GraphTypeError("there is nothing to show: no nodes were given")
    return found


def _variables(y: Node) -> list[Node]:
    return [n for n in topological_order([y]) if isinstance(n, Variable) and n.type.is_float]


def _chosen(y: Node, variables: list[Node], wrt: Node | None) -> Node | None:
    """Return the variable for which tangents are shown."""
    if wrt is None:
        return variables[0] if variables else None
    if wrt not in variables:
        raise GraphError(
            f"{y!r} does not depend on {wrt!r} as a variable with a derivative",
            remedy=f"Its variables are {', '.join(node.label for node in variables) or 'none'}.",
        )
    return wrt


def node_values(nodes: Iterable[Node], feed: Feed) -> Values:
    """Return the values of all nodes that ``nodes`` depend on, down to what is fed.

    They are those of the graph as it was written: no pass has mended or reordered anything, so that
    each value is what its formula makes of those before it.
    """
    for node in feed:
        if isinstance(node, Node) and node.op is not None:
            raise FeedError(
                f"{node!r} is computed, and a picture or a trace follows it to its variables",
                remedy="Feed the variables.",
            )
    order = topological_order(nodes)
    function = Executor(order, backend="numpy").function(feed)
    given = function.arguments(*feed.values())
    graph = specialise(function.graph, list(map(type_of, given)))
    run = Evaluation(graph, given)
    found = run.leaves() | {node: value for node, _, value in run}
    results = (result_of(found[node], copied=False) for node in graph.outputs)
    return dict(zip(order, results, strict=True))
