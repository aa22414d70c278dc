"""``symad.draw`` and ``symad.to_networkx``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.op import explained
from symad.runtime.values import Feed, node_values

if TYPE_CHECKING:
    from symad.drawing.drawing import Drawing

Engine = Literal["symad", "dot"]
"""The layout engines."""


@explained
def draw(
    nodes: Any,
    feed: Feed | None = None,
    *,
    repairs: bool = False,
    limit: int = 200,
    engine: Engine = "symad",
    fold: bool | Node | Iterable[Node] | None = None,
) -> Drawing:
    """Draw the graph of ``nodes``: the forward graph, and its derivatives beside it.

    Parameters
    ----------
    nodes : Node, nested structure of nodes, or Graph
    feed : dict from Node to value, optional
        If given, nodes show their values, and the user's nodes also show their adjoints.
    repairs : bool
        Whether to show shape repairs that do nothing for the shapes fed, or that may do nothing
        while shapes are unknown.
    limit : int
        A graph with more nodes is folded, by scope where it has scopes; the picture notes it.
    engine : {"symad", "dot"}
        The layout engine: symad, the same everywhere, or Graphviz, if installed.
    fold : bool, Node or iterable of Node, optional
        The loops, branches and maps to draw as one node: all (``True``), none (``False``), or those
        that the given nodes are results of.  By default the large ones; the others are frames
        around their steps.

    Returns
    -------
    Drawing
        Save it as SVG, PNG, PDF or DOT, display it in a notebook, or pass it to Graphviz.

    Raises
    ------
    FeedError
        If a feed is given and does not fit.
    GraphTypeError
        If something is not a node.
    RenderError
        If there is no such engine.

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
    folded = fold if fold is None or isinstance(fold, bool) else _loops(fold)
    view = View(seen, values, repairs, opened=folded is not True)
    return Drawing(view, limit, engine=engine, fold=folded)


@explained
def to_networkx(nodes: Any, *, with_nodes: bool = False, fold: bool = True) -> Any:
    """Return the graph that ``nodes`` depend on as a ``networkx.MultiDiGraph``.

    Graph nodes are numbered from 0 in topological order; edges run from inputs to users and have
    the argument ``slot``.  All attributes are plain, so that networkx can write them in any format:
    the texts ``op`` (empty for a leaf), ``type``, ``role`` (empty for the user's nodes),
    ``label`` and ``scope``, and the boolean ``output``.

    Parameters
    ----------
    nodes : Node, nested structure of nodes, or Graph
    with_nodes : bool
        Whether to store the node of symad as the attribute ``node``.
    fold : bool
        Whether loops, branches and maps are single nodes.  If not, the nodes of their bodies are
        part of the graph, as in a picture: their ``scope`` has the title of the loop.

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
    >>> graph.nodes[1]["op"], graph.nodes[1]["label"]
    ('sin', 'v2')
    """
    from symad.drawing import networkx_export
    from symad.notation.view import View

    seen = nodes if isinstance(nodes, Graph) else _outputs(nodes)
    return networkx_export.to_networkx(View(seen, repairs=True, opened=not fold), with_nodes)


def _loops(nodes: Node | Iterable[Node]) -> set[Node]:
    """Return the nodes, and the loops that they are results of."""
    found = {nodes} if isinstance(nodes, Node) else set(leaves(nodes))
    return found | {source for node in found for source in node.inputs[:1]}


def _outputs(nodes: Any) -> list[Node]:
    found = list(nodes.outputs if isinstance(nodes, Graph) else leaves(nodes))
    for node in found:
        if not isinstance(node, Node):
            raise GraphTypeError(f"{node!r} is not a node of a graph, so it cannot be shown")
    if not found:
        raise GraphTypeError("there is nothing to show: no nodes were given")
    return found
