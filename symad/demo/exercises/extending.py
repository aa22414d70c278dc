"""Exercises on extending the graph."""

from __future__ import annotations

from typing import Any

import symad as sm
from symad.demo.examples import shared_exponential
from symad.demo.exercises.answers import exercise, require
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order


@exercise("extending 1", "a whole number")
def count_of_new_nodes(count: Any) -> None:
    """How many nodes does the extension of f = (exp(v1) + 1)·exp(v1) add?"""
    v1, f = shared_exponential()
    before = set(topological_order([f]))
    added = [n for n in topological_order([sm.gradients(f, v1)]) if n not in before]
    seen = [n for n in added if n.role is not None and n.role.kind is not RoleKind.REPAIR]
    require(
        int(count) == len(seen),
        "Count the seed, one partial adjoint for each edge, and the sum for v2.",
    )


@exercise("extending 2", "a triple (y, x, order)")
def reverse_topological_order(order: Any) -> None:
    """A triple (y, x, order): all nodes from y down to x, each after all its users."""
    y, x, nodes = order
    wanted = set(sm.extend(y, [x]).adjoints)
    require(
        set(nodes) == wanted, f"The list has {len(set(nodes))} nodes; {len(wanted)} are needed."
    )
    place = {node: k for k, node in enumerate(nodes)}
    for node in nodes:
        for source in node.inputs:
            require(
                source not in place or place[source] > place[node],
                f"{source.label} is visited before its user {node.label}.",
            )


@exercise("extending 3", "a pair (y, x) of nodes")
def identities_only(answer: Any) -> None:
    """A pair (y, x), y computed from x, such that all partial adjoints are identity nodes."""
    y, x = answer
    partials = sm.extend(y, [x]).partials
    require(partials, "y does not depend on x.")
    other = [p.op.name for p in partials.values() if p.op and p.op.name != "identity"]
    require(not other, f"One of the partial adjoints is not an identity: {other[:1]}.")
