"""Stable forms of formulas: derivatives are taken of these in place of the formulas as written.

The derivative of log(exp(x)) as it is written is 1/exp(x) · exp(x), which is 0 · ∞ at 800, although
the value, rewritten to x, is 800.  No rule for such products holds at every order.  So the rules
that mend values are applied *before* differentiation: where one of them, marked as
:func:`~symad.passes.rule.mending`, changes a node, the adjoint of this node is handed to the stable
form.  All other nodes are differentiated as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import symad.disk as disk
from symad.graph.description import NotStorable, described
from symad.graph.graph import Graph
from symad.graph.node import Node, Variable
from symad.graph.traverse import topological_order
from symad.ops.base import register

_MOST_NODES = 1_000
"""The answers for larger graphs are not kept: reading the rules is a small part of the time."""


@register
def stable_forms(
    outputs: Sequence[Node],
    targets: Sequence[Node],
    generation: int,
    order: Sequence[Node] | None = None,
) -> dict[Node, Node]:
    """Return stable forms of nodes between ``targets`` and ``outputs``, which have equal values.

    A form refers to nodes of the graph where these have its parts, so no form contains another.

    Parameters
    ----------
    outputs, targets : sequence of Node
        No formula is looked into beyond a target.
    generation : int
        The generation of the derivative, in which forms have the role of local steps.
    order : sequence of Node, optional
        The nodes that the outputs depend on in topological order, if they are known.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.log(1 + sm.exp(x))
    >>> stable_forms([y * y], [x], 1)
    {<log: f64[...]>: <softplus: f64[...]>}
    """
    found: dict[Node, Node] = {}
    if order is None or any(target.inputs for target in targets):
        order = topological_order(outputs, stop=set(targets))

    def find() -> str:
        from symad.passes.form_walk import forms_of  # slow to import

        found.update(forms_of(order, set(targets), generation))
        return "some" if found else "none"

    answer = disk.remembered(_question(outputs, targets, order), find)
    if answer == "some" and not found:
        find()
    return found


def _question(
    outputs: Sequence[Node], targets: Sequence[Node], order: Sequence[Node]
) -> Any:
    """Return what the answer depends on, if that is worth asking: reading the rules takes 10 ms."""
    if "symad.passes.form_walk" in sys.modules or len(order) > _MOST_NODES:
        return None
    try:
        return "stable forms", described(Graph.with_leaves(outputs, targets, Variable))
    except NotStorable:
        return None
