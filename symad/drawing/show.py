"""``symad.draw`` and ``symad.to_networkx``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from symad.errors import GraphTypeError, RenderError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.op import explained
from symad.runtime.values import Feed, node_values

if TYPE_CHECKING:
    from symad.drawing.drawing import Drawing
    from symad.notation.view import View

Engine = Literal["symad", "dot"]
"""The layout engines."""

_CHOICES = {
    "engine": ("symad", "dot"),
    "direction": ("TB", "LR"),
    "theme": ("light", "dark", "print"),
    "show": ("all", "forward", "adjoint", "path"),
}
"""The values of options."""


@explained
def draw(
    nodes: Any,
    feed: Feed | None = None,
    *,
    repairs: bool = False,
    limit: int = 200,
    engine: Engine = "symad",
    fold: bool | Node | Iterable[Node] | None = None,
    direction: Literal["TB", "LR"] = "TB",
    theme: Literal["light", "dark", "print"] = "light",
    show: Literal["all", "forward", "adjoint", "path"] = "all",
    highlight: Node | Iterable[Node] = (),
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
    direction : {"TB", "LR"}
        Whether the forward graph leads from top to bottom, with its derivatives at the right, or
        from left to right, with its derivatives below.
    theme : {"light", "dark", "print"}
        The colours; "print" is black and white, with lines of different weights.
    show : {"all", "forward", "adjoint", "path"}
        The whole graph; the forward graph alone; its derivatives alone, whose formulas name what
        they read; or only the nodes on paths from one highlighted node to another.  With one
        highlighted node, those are all paths through it, from inputs to outputs.
    highlight : Node or iterable of Node
        The nodes to emphasise, with the arrows between them.

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
        If an option has no such value, if there is nothing to show, or if a highlighted node is not
        part of the graph.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.exp(x) * x
    >>> drawing = sm.draw([y, sm.gradients(y, x)])
    >>> drawing
    <Drawing of 8 nodes>
    >>> drawing.save("product.svg")  # doctest: +SKIP

    The path from x to the first factor:

    >>> sm.draw(y, show="path", highlight=[x, y.inputs[0]], direction="LR")
    <Drawing of 2 nodes>
    """
    from symad.drawing.drawing import Drawing
    from symad.notation.view import View

    for option, value in zip(_CHOICES, (engine, direction, theme, show), strict=True):
        _check(option, value)
    outputs = _outputs(nodes)
    values = None if feed is None else node_values(outputs, feed)
    seen = nodes if isinstance(nodes, Graph) else outputs
    folded = fold if fold is None or isinstance(fold, bool) else _loops(fold)
    view = View(seen, values, repairs, opened=folded is not True)
    lit = _highlighted(view, highlight)
    return Drawing(
        view, limit, engine=engine, fold=folded, direction=direction, theme=theme, show=show,
        highlight=lit,
    )  # fmt: skip


def _check(option: str, value: object) -> None:
    """Raise an error, which lists the values of an option, if it has no such value."""
    choices = _CHOICES[option]
    if value not in choices:
        *first, last = (f'"{choice}"' for choice in choices)
        raise RenderError(
            f"there is no {option} {value!r}", remedy=f"Use {option}={', '.join(first)} or {last}."
        )


def _highlighted(view: View, nodes: Node | Iterable[Node]) -> list[Node]:
    found = [nodes] if isinstance(nodes, Node) else list(leaves(nodes))
    known = set(view.everything)
    for node in found:
        if not isinstance(node, Node):
            raise GraphTypeError(f"{node!r} is not a node, so it cannot be highlighted")
        if view.behind(node) not in known:
            raise RenderError(
                f"the highlighted node {node.label} is not part of the graph",
                remedy="Highlight nodes that the drawn nodes depend on.",
            )
    return found


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
