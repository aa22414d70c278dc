"""Forward mode by extending the graph: tangents are computed from inputs to outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

from symad.autodiff.activity import (
    FormsOf,
    active_nodes,
    as_written,
    generation_of,
    output_leaves,
    seed_nodes,
    stable_forms,
    target_leaves,
)
from symad.autodiff.guard import UNIT, Guard, SeedActivity, by_choice
from symad.graph.nested import Nested, leaves, rebuild
from symad.graph.node import Node
from symad.graph.op import explained
from symad.graph.provenance import Creation, Role, RoleKind, creating, isolated
from symad.graph.traverse import topological_order
from symad.ops.adjoint import add_n, identity
from symad.ops.base import register
from symad.ops.body import Derivative
from symad.ops.structure import zeros_for


@explained
def tangents(y: Any, xs: Any, seeds: Any = None) -> dict[Node, Node]:
    """Extend the graph of ``y`` with the tangents of all nodes that depend on ``xs``.

    v̇_i = Σ_k ∂v_i/∂v_k v̇_k, in topological order.

    Parameters
    ----------
    y : Node or nested structure of nodes
    xs : Node or nested structure of nodes
    seeds : array, Node or nested structure like ``xs``, optional
        The tangents of ``xs``; by default ones.

    Returns
    -------
    dict
        From each node to its tangent; a missing node has the tangent zero.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or the seeds do not match.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    >>> y = x1 * x2
    >>> sm.tangents(y, x1)[y].eval({x1: 2.0, x2: 5.0})
    np.float64(5.0)
    """
    return _tangents(y, xs, seeds, as_written)[0]


def _stable_tangents(
    y: Any, xs: Any, seeds: Any, active: Iterable[SeedActivity] = ()
) -> tuple[dict[Node, Node], Guard]:
    """Return the tangents of stable forms, for seeds that are 0 where conditions are false."""
    return _tangents(y, xs, seeds, stable_forms, active)


@isolated
def _tangents(
    y: Any, xs: Any, seeds: Any, forms_of: FormsOf, active: Iterable[SeedActivity] = ()
) -> tuple[dict[Node, Node], Guard]:
    outputs, targets = output_leaves(y), target_leaves(xs)
    order = topological_order([*outputs, *targets])
    generation = generation_of(order)
    forms = forms_of(outputs, targets, generation, order)
    if forms:
        order = topological_order([*outputs, *targets], instead=forms)
    moving, guard = active_nodes(order, targets, forms), Guard(order, forms)
    known = dict(seed_nodes(targets, xs, seeds, generation))
    conditions = iter(active)
    for seed in known.values():
        guard.note_seed(seed, next(conditions, None))
    for node in order:
        if node in moving and node not in known and node.op is not None:
            if node in forms:
                tangent = known.get(forms[node])
            else:
                tangent = _tangent(node, known, generation, guard)
            if tangent is not None:
                known[node] = tangent
    return known, guard


def _tangent(node: Node, known: dict[Node, Node], generation: int, guard: Guard) -> Node | None:
    """Return the tangent of ``node`` from those of its inputs."""
    assert node.op is not None
    role = Role(RoleKind.TANGENT, generation, node)
    given: list[Node | None] = [
        known.get(source) if node.op.differentiable(slot) else None
        for slot, source in enumerate(node.inputs)
    ]
    with creating(Creation(node.scope, node.site, role)):
        terms = _terms(node, given, guard)
        if not terms:
            return None
        total = terms[0] if len(terms) == 1 else add_n(terms)
        guard.note_sum(total, terms)
        if total.role is role:
            return total
        result = identity(total)
        guard.note(result, guard.known(total))
        return result


def _terms(node: Node, given: Sequence[Node | None], guard: Guard) -> list[Node]:
    assert node.op is not None
    try:
        return guard.terms(node.op, given, node)
    except Exception as error:
        where = node.site.describe()
        error.add_note(f"in the forward rule of {node.op.name!r}, made at {where}")
        raise


@overload
def pushforward(y: Node, xs: Node | Nested, seeds: Any) -> Node: ...


@overload
def pushforward(y: Nested, xs: Node | Nested, seeds: Any) -> Any: ...


@register
def pushforward(y: Any, xs: Any, seeds: Any) -> Any:
    """Return the Jacobian-vector product: the tangent of ``y`` for tangents ``seeds`` of ``xs``.

    Parameters
    ----------
    y : Node or nested structure of nodes
    xs : Node or nested structure of nodes
    seeds : array, Node or nested structure like ``xs``

    Returns
    -------
    Node or nested structure like ``y``
        Zeros where ``y`` does not depend on ``xs``.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or the seeds do not match.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> sm.pushforward(x * x, x, [1.0, 10.0]).eval({x: [1.0, 2.0]})
    array([ 2., 40.])
    """
    known, _ = _stable_tangents(y, xs, seeds)
    results = [known[leaf] if leaf in known else zeros_for(leaf) for leaf in leaves(y)]
    return rebuild(y, iter(results))


@register
def push_body(
    outputs: Sequence[Node],
    moving: Sequence[Node],
    seeds: Sequence[Node],
    conditions: Sequence[Node] | None = None,
) -> list[Derivative]:
    """Return the tangents of the outputs of a body for those of some inputs; ``None`` for zero.

    If ``conditions`` are given, outside of which the seeds are 0, each tangent comes with where it
    can differ from 0; else this is added where choices in the body decide it.
    """
    active = [by_choice(condition) for condition in conditions or ()]
    floats = [output for output in outputs if output.type.is_float]
    known, guard = _stable_tangents(floats, list(moving), list(seeds), active)
    tangents_of = [known.get(y) if y.type.is_float else None for y in outputs]
    only_choices = conditions is None
    return [
        (v, None if v is None else guard.where(v, y, only_choices))
        for y, v in zip(outputs, tangents_of, strict=True)
    ]


def pushforward_of_unit(y: Node, x: Node, unit: Node) -> Node:
    """Return :func:`pushforward` for a seed with a single nonzero element."""
    known, _ = _stable_tangents(y, x, unit, [UNIT])
    return known[y] if y in known else zeros_for(y)
