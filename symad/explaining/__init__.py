"""``symad.explain``, ``compare_derivatives`` and ``difference_errors``: explanations in words and
numbers.

The modules of this package are loaded on the first call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from symad.autodiff.activity import require_some
from symad.autodiff.reverse import extend, target_adjoints
from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.graph.op import explained

if TYPE_CHECKING:
    from symad.explaining.comparison import Comparison
    from symad.explaining.differences import DifferenceErrors
    from symad.explaining.explanation import Explanation


@explained
def explain(nodes: Any, xs: Any = None, feed: Mapping[Node, Any] | None = None) -> Explanation:
    """Explain how derivatives are built, what the passes do with them, and what runs.

    Parameters
    ----------
    nodes : Node, nested structure of nodes, or Graph
        Gradients, tangents, or anything else that depends on derivatives; only the derivatives
        that ``nodes`` need are explained.
    xs : Node or nested structure of nodes, optional
        If given, ``gradients(nodes, xs)`` is explained, with each edge of the extension.
    feed : dict from Node to value, optional
        Values of the variables: shape repairs and rewrites depend on shapes.  Without a feed, the
        passes treat variables of unknown shape as scalars, if all of them can be scalars; the
        explanation says so.

    Returns
    -------
    Explanation
        ``str()`` and ``.text`` are plain text, ``.markdown`` and ``.latex`` have formulas; a
        notebook shows Markdown.  The LaTeX goes into the body of an article that uses the package
        ``amsmath``; for names in letters that are neither Latin nor Greek, prefer LuaLaTeX to
        pdfLaTeX.

    Raises
    ------
    GradientError
        If ``nodes`` depend on no derivative, or the derivative cannot be taken.
    FeedError
        If a feed is given and does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> z = sm.exp(x)
    >>> explanation = sm.explain((z + 1) * z, x)
    >>> forward, derivation, passes, result = explanation.text.split("\\n\\n")
    >>> print(derivation)
    Adjoints v̄i = ∂v4/∂vi
    ─────────────────────
    In reverse topological order: v̄i = Σj v̄i→j, and on each edge v̄k→i = v̄i·∂vi/∂vk.
      v̄4 = 1                             seed: ∂v4/∂v4 = 1
      at v4 = v3·v2, line 1
        v̄3 = v̄3→4 = v̄4·∂v4/∂v3 = v̄4·v2   rule of multiply
        v̄2→4 = v̄4·∂v4/∂v2 = v̄4·v3        rule of multiply
      at v3 = v2 + 1, line 1
        v̄2→3 = v̄3·∂v3/∂v2 = v̄3·1         identity: ∂v3/∂v2 = 1, so the adjoint is passed on
      v̄2 = v̄2→4 + v̄2→3                   sum: 2 pathways, through v4 and v3
      at v2 = exp v1, line 1
        v̄1 = v̄1→2 = v̄2·∂v2/∂v1 = v̄2·v2   rule of exp
    >>> print(result)
    What runs: 6 nodes
    ──────────────────
      v2 = exp x
      v̄1 = ∂y/∂x = (v2 + 1 + v2)·v2
    """
    from symad.explaining.explanation import explain_nodes

    if xs is not None:
        require_some(list(leaves(xs)))
        record = extend(nodes, xs)
        made = [*record.adjoints.values(), *record.partials.values()]
        return explain_nodes(target_adjoints(record), feed, made)
    asked = list(nodes.outputs if isinstance(nodes, Graph) else leaves(nodes))
    for node in asked:
        if not isinstance(node, Node):
            raise GraphTypeError(
                f"{node!r} is not a node of a graph, so it cannot be explained",
                remedy="Explain gradients, or a node and its variables: sm.explain(y, x).",
            )
    if not asked:
        raise GraphTypeError("there is nothing to explain: no nodes were given")
    return explain_nodes(asked, feed)


@explained
def compare_derivatives(y: Node, xs: Any, feed: Mapping[Node, Any]) -> Comparison:
    """Compare finite differences, symbolic differentiation, forward and reverse mode for ``y``.

    Parameters
    ----------
    y : Node
        A scalar.
    xs : Variable or nested structure of variables
        The variables to differentiate with respect to; each element of an array is one input.
    feed : dict from Node to value
        Values of all variables.

    Returns
    -------
    Comparison
        A table, as text (``str()``), ``.markdown`` and ``.html``; its ``ways`` hold the numbers.
        For all partial derivatives together it gives the number of evaluations, formulas or
        passes, the number of multiplications, additions and function calls, and the largest
        difference from reverse mode.

        Symbolic expansion writes each derivative out as one formula without shared terms: (n − 2)
        multiplications for each derivative of θ_1·…·θ_n, n(n − 2) in total; reverse mode takes
        about 3n.  The formulas are counted on the graph and never written out, so even huge
        formulas are counted quickly.

    Raises
    ------
    GradientError
        If ``y`` is not a floating scalar, or does not depend on one of ``xs``.
    FeedError
        If the feed does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> xs = [sm.Variable(f"x{i}") for i in range(1, 7)]
    >>> product = xs[0] * xs[1] * xs[2] * xs[3] * xs[4] * xs[5]
    >>> comparison = sm.compare_derivatives(product, xs, {x: 2.0 for x in xs})
    >>> for way in comparison.ways:
    ...     print(f"{way.name:23} {way.operations.multiplications:3} multiplications")
    one-sided differences    41 multiplications
    central differences      66 multiplications
    symbolic expansion       24 multiplications
    forward mode             65 multiplications
    reverse mode             15 multiplications
    reverse mode, compiled   13 multiplications
    """
    from symad.explaining.comparison import Comparer

    return Comparer(y, _variables(y, xs), feed).compare()


@explained
def difference_errors(
    y: Node, xs: Any, feed: Mapping[Node, Any], steps: Sequence[float] | None = None
) -> DifferenceErrors:
    """Measure the error of one-sided and central differences of ``y`` for many step sizes.

    The differences are taken along one direction δ of length 1, (f(θ+εδ) − f(θ−εδ)) / 2ε, and
    compared with δᵀ∇f by reverse mode.

    Parameters
    ----------
    y : Node
        A scalar.
    xs : Variable or nested structure of variables
    feed : dict from Node to value
        Values of all variables.
    steps : sequence of float, optional
        The steps ε; by default 1, 0.1, ... 1e-15.

    Returns
    -------
    DifferenceErrors
        The errors as arrays and as a table; ``plot()`` draws them.

    Raises
    ------
    GradientError
        If ``y`` is not a floating scalar, or does not depend on one of ``xs``.
    FeedError
        If the feed does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> errors = sm.difference_errors(sm.exp(x), x, {x: 0.0}, steps=[0.1, 0.01, 0.001])
    >>> print(*(f"{error:.1e}" for error in errors.central))
    1.7e-03 1.7e-05 1.7e-07
    """
    from symad.explaining.differences import measure_differences

    return measure_differences(y, _variables(y, xs), feed, steps)


def _variables(y: Node, xs: Any) -> list[Node]:
    """Return the variables of a comparison."""
    found = list(leaves(xs))
    require_some(found)
    for node in (y, *found):
        if not isinstance(node, Node):
            raise GraphTypeError(f"{node!r} is not a node of a graph")
    return found
