"""Share common subexpressions: one node for each op on the same inputs."""

from __future__ import annotations

from symad.graph.graph import Graph
from symad.passes.rewrite import RuleSet, rewrite


def share(graph: Graph) -> Graph:
    """Return ``graph`` with one node in place of several that compute the same.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> print(share(sm.Graph([sm.exp(x) * 2 + 2 * sm.exp(x)])))
    graph(%0: f64[] "x")
      %1: f64[] = exp(%0)
      %2: f64[] = constant 2.0
      %3: f64[] = multiply(%1, %2)
      %4: f64[] = add(%3, %3)
      return %4
    """
    return rewrite(graph, _NO_RULES)


_NO_RULES = RuleSet(())
