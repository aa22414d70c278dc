"""Traces and derivations of a node: builds its tangents and adjoints, and lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symad.autodiff.forward import tangents
from symad.autodiff.reverse import extend
from symad.errors import GraphError, GraphTypeError
from symad.graph.node import Node, Variable
from symad.graph.op import explained
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.runtime.values import Feed, node_values

if TYPE_CHECKING:
    from symad.tables.trace import Entry, Trace


@explained
def trace(y: Node, feed: Feed | None = None, wrt: Node | None = None) -> Trace:
    """Return the forward trace, the tangents and the adjoints of ``y``, side by side.

    Parameters
    ----------
    y : Node
    feed : dict from Node to value, optional
        Values of the variables.  Numbers are shown as such, arrays by their sizes, first elements
        and norm, structures item by item; all are values of the graph as written, without the
        corrections by the passes of :func:`symad.compile`.  Without a feed, the trace has the
        formulas, and the types where they are known.
    wrt : Node, optional
        The variable for which tangents are shown, v̇_i = ∂v_i/∂x; by default the first.  If it is
        an array, all its elements change at the same rate.

    Returns
    -------
    Trace
        A table as aligned text (``str()``), Markdown (``.markdown``) and HTML (``.html``), followed
        by one for each loop, branch and map (``.loops``): what is inside, with the values of its
        first steps and its last.

    Raises
    ------
    FeedError
        If the feed does not match.
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
    values = None if feed is None else node_values(everything, feed)
    scribe = Scribe(View(everything, values, opened=True), y)
    titles = (
        "forward trace",
        "tangents" if chosen is None else f"tangents v̇i = ∂vi/∂{visible(chosen.label)}",
        f"adjoints v̄i = ∂{visible(y.name or 'y')}/∂vi",
    )
    columns = scribe.forward(), scribe.tangents(dots), scribe.adjoints(adjoints)
    return Trace(titles, *columns, scribe.loops())


def derivation(y: Node, xs: Sequence[Node]) -> list[Entry]:
    """Return the formulas of ``y`` and of the adjoints between ``xs`` and ``y``, without values."""
    from symad.notation.view import View
    from symad.tables.trace import Scribe

    adjoints = extend(y, xs).adjoints if xs else {}
    scribe = Scribe(View([y, *adjoints.values()]), y)
    return [*scribe.forward(), *scribe.adjoints(adjoints)]


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
