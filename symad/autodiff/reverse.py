"""Reverse mode by extending the graph: the complete algorithm of the lecture.

CMU 10-414/714, lecture 4: visit the nodes in reverse topological order; at node i, sum the partial
adjoints from its consumers; for each input k, store the partial adjoint v̄_{k→i} = v̄_i ∂v_i/∂v_k
at k.  Nothing is evaluated: adjoints are ordinary nodes, which can be compiled, drawn and
differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

from symad.autodiff.activity import (
    FormsOf,
    active_nodes,
    as_written,
    generation_of,
    output_leaves,
    seed_nodes,
    stable_forms,
    target_leaves,
    unused_target,
)
from symad.autodiff.extension import Edge, Extension, Propagated, Summed, Visit
from symad.autodiff.guard import UNIT, Guard, Ruled, SeedActivity, by_choice
from symad.errors import InternalError
from symad.graph.collector import collector_paused
from symad.graph.nested import Nested, rebuild
from symad.graph.node import Node
from symad.graph.provenance import Creation, Role, RoleKind, creating
from symad.graph.traverse import topological_order
from symad.ops.adjoint import add_n, identity, match, sum_like
from symad.ops.base import register
from symad.ops.body import Derivative, WithBody
from symad.ops.structure import fill_absent

Key = TypeVar("Key")
AnyNode = TypeVar("AnyNode", bound=Node)
Unused: TypeAlias = Literal["error", "zero", "none"]
"""The result for a variable on which the value does not depend."""


def extend(y: Any, xs: Any, seed: Any = None) -> Extension:
    """Extend the graph of ``y`` with the adjoints of all nodes between ``xs`` and ``y``.

    Parameters
    ----------
    y : Node or nested structure of nodes
        The value to differentiate.  If it is not a scalar, its sum or ⟨seed, y⟩ is differentiated.
    xs : Node or nested structure of nodes
        The variables of differentiation, which may be any nodes.
    seed : array, Node or nested structure like ``y``, optional
        The adjoint of ``y``; by default ones.

    Returns
    -------
    Extension
        Adjoints by node, partial adjoints by edge, and the steps in order.

    Notes
    -----
    The graph is differentiated as it is written.  :func:`gradients` does the same, except where a
    formula such as log(1 + exp(x)) has a stable form, here softplus(x): it differentiates that one.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or the seed does not match ``y``.

    Examples
    --------
    >>> import symad as sm
    >>> x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    >>> record = sm.extend(sm.log(x1) + x1 * x2, [x1])
    >>> [node.label for node in record.adjoints]
    ['add', 'multiply', 'log', 'x1']
    >>> record.adjoints[x1].eval({x1: 2.0, x2: 5.0})
    np.float64(5.5)
    """
    return _extend(y, xs, seed, as_written)[0]


def _extend_stable(
    y: Any, xs: Any, seed: Any, active: Iterable[SeedActivity] = ()
) -> tuple[Extension, Guard]:
    """Extend the graph of stable forms; seeds are 0 where their conditions, if given, are false."""
    return _extend(y, xs, seed, stable_forms, active)


def _extend(
    y: Any, xs: Any, seed: Any, forms_of: FormsOf, active: Iterable[SeedActivity] = ()
) -> tuple[Extension, Guard]:
    outputs, targets = output_leaves(y), target_leaves(xs)
    order = topological_order(outputs)
    record = Extension(tuple(outputs), tuple(targets), generation_of(order))
    forms = forms_of(outputs, targets, record.generation)
    if forms:
        order = topological_order(outputs, instead=forms)
    between, guard = active_nodes(order, targets, forms), Guard(order)
    left: dict[Node, list[Node]] = {}  # the lecture's node_to_grad
    conditions = iter(active)
    for output, seed_node in seed_nodes(outputs, y, seed, record.generation):
        record.seeds[output] = seed_node
        left.setdefault(output, []).append(seed_node)
        guard.note_seed(seed_node, next(conditions, None))
    for node in reversed(order):
        if node not in between or node not in left:
            continue
        contributions = left.pop(node)
        record.steps.append(Visit(node, tuple(contributions)))
        adjoint = _sum_node(node, contributions, record, guard)
        if node in forms:
            handed = _adjoint_of_form(forms[node], node, adjoint, record.generation, guard)
            left.setdefault(forms[node], []).append(handed)
            continue
        edges = [
            Edge(source, node, slot)
            for slot, source in enumerate(node.inputs)
            if source in between and node.op is not None and node.op.differentiable(slot)
        ]
        for group in [edges] if edges and isinstance(node.op, WithBody) else zip(edges):
            for edge, partial in _partial_adjoints(group, adjoint, record, guard):
                left.setdefault(edge.source, []).append(partial)
    return record, guard


def _adjoint_of_form(form: Node, node: Node, adjoint: Node, generation: int, guard: Guard) -> Node:
    """Return the adjoint of a stable form of ``node``; a form that was there before has an edge."""
    if form.role is not None and form.role.is_of_form and form.role.node is node:
        return adjoint
    with creating(_context(Edge(form, node, 0), RoleKind.PARTIAL, generation)):
        partial = identity(adjoint)
    guard.note(partial, guard.known(adjoint))
    return partial


def _sum_node(node: Node, contributions: Sequence[Node], record: Extension, guard: Guard) -> Node:
    """Return v̄_i = Σ_j v̄_{i→j}: a sum node for several contributions, no node for one."""
    if len(contributions) == 1:
        adjoint = contributions[0]
    else:
        role = Role(RoleKind.SUM, record.generation, node)
        with creating(Creation(node.scope, node.site, role)):
            adjoint = add_n(contributions)
            guard.note_sum(adjoint, contributions)
    record.adjoints[node] = adjoint
    record.steps.append(Summed(node, adjoint))
    return adjoint


def _partial_adjoints(
    edges: Sequence[Edge], adjoint: Node, record: Extension, guard: Guard
) -> Iterator[tuple[Edge, Node]]:
    """Yield v̄_{k→i} = v̄_i ∂v_i/∂v_k for edges of one node, in the shape and dtype of v_k."""
    found = _apply_rule(edges, adjoint, record.generation, guard)
    for edge, (product, known) in zip(edges, found, strict=True):
        if product is None:
            continue
        partial = product
        wanted = edge.source.type
        if product.type is not wanted and product.type != wanted:
            with creating(_context(edge, RoleKind.REPAIR, record.generation)):
                partial = match(product, edge.source, sum_like)
                known = guard.fit(known, product, partial, edge.source)
        guard.note(partial, known)
        record.partials[edge] = partial
        record.steps.append(Propagated(edge, product, partial))
        yield edge, partial


def _context(edge: Edge, kind: RoleKind, generation: int) -> Creation:
    consumer = edge.consumer
    role = Role(kind, generation, edge.source, consumer, edge.slot)
    return Creation(consumer.scope, consumer.site, role)


def _apply_rule(
    edges: Sequence[Edge], adjoint: Node, generation: int, guard: Guard
) -> list[Ruled]:
    """Run the op's rule for edges of one node.

    The last node made for an edge is its partial adjoint, the others are local steps.  An op with
    a body has one rule for all its inputs; other ops have one for each.
    """
    consumer, slots = edges[0].consumer, [edge.slot for edge in edges]
    assert consumer.op is not None
    local = _context(edges[0], RoleKind.LOCAL, generation)
    try:
        with creating(local):
            found = guard.reverse(consumer.op, slots, adjoint, consumer)
    except Exception as error:
        where, several = consumer.site.describe(), "s" if len(slots) > 1 else ""
        error.add_note(
            f"in the reverse rule of {consumer.op.name!r} for input{several} "
            f"{', '.join(map(str, slots))}, made at {where}"
        )
        raise
    return [
        (_finished(edge, product, local.role, generation), known)
        for edge, (product, known) in zip(edges, found, strict=True)
    ]


def _finished(edge: Edge, product: Any, local: Any, generation: int) -> Node | None:
    """Return the result of a rule as a node with the role of the partial adjoint of an edge."""
    if product is None:
        return None
    if not isinstance(product, Node):
        assert edge.consumer.op is not None
        raise InternalError(
            f"the reverse rule of {edge.consumer.op.name!r} returned {product!r}"
        )
    consumer = edge.consumer
    role = Role(RoleKind.PARTIAL, generation, edge.source, consumer, edge.slot)
    if product.role is local:
        product.role = role
        return product
    # The rule returned an existing node: its local derivative is 1.
    final = Creation(consumer.scope, consumer.site, role)
    return Node(identity, (product,), product.type, origin=final)


@overload
def gradients(
    y: Node | Nested, xs: Node, seed: Any = None, unused: Literal["error", "zero"] = "error"
) -> Node: ...


@overload
def gradients(y: Node | Nested, xs: Node, seed: Any = None, *, unused: Unused) -> Node | None: ...


@overload
def gradients(
    y: Node | Nested,
    xs: list[AnyNode],
    seed: Any = None,
    unused: Literal["error", "zero"] = "error",
) -> list[Node]: ...


@overload
def gradients(
    y: Node | Nested,
    xs: dict[Key, AnyNode],
    seed: Any = None,
    unused: Literal["error", "zero"] = "error",
) -> dict[Key, Node]: ...


@overload
def gradients(y: Node | Nested, xs: Nested, seed: Any = None, unused: Unused = "error") -> Any: ...


@register
def gradients(y: Any, xs: Any, seed: Any = None, unused: Unused = "error") -> Any:
    """Return the gradient of ``y`` with respect to ``xs`` as nodes that extend the graph.

    Parameters
    ----------
    y : Node or nested structure of nodes
        The value to differentiate.  If it is not a scalar, its sum or ⟨seed, y⟩ is differentiated.
    xs : Node or nested structure of nodes
        The variables of differentiation, which may be any nodes.
    seed : array, Node or nested structure like ``y``, optional
        The adjoint of ``y``; by default ones.
    unused : {"error", "zero", "none"}
        The result for a variable on which ``y`` does not depend.

    Returns
    -------
    Node or nested structure like ``xs``
        Each of the shape and dtype of its ``x``.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or ``y`` does not depend on one of ``xs``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> gradient = sm.gradients(x**3, x)
    >>> gradient.eval({x: 2.0})
    np.float64(12.0)
    >>> sm.gradients(gradient, x).eval({x: 2.0})
    np.float64(12.0)
    """
    with collector_paused():
        record, _ = _extend_stable(y, xs, seed)
        return rebuild(xs, iter(target_adjoints(record, unused)))


def target_adjoints(record: Extension, unused: Unused = "error") -> list[Any]:
    """Return the adjoints of the targets, with zeros where a target or an item has none."""
    results = []
    for target in record.targets:
        adjoint = record.adjoints.get(target)
        role = Role(RoleKind.REPAIR, record.generation, target)
        with creating(Creation(target.scope, target.site, role)):
            if adjoint is None:
                results.append(unused_target(target, record, unused))
            else:
                results.append(fill_absent(adjoint, target))
    return results


@overload
def pullback(y: Node | Nested, xs: Node, seed: Any) -> Node: ...


@overload
def pullback(y: Node | Nested, xs: list[AnyNode], seed: Any) -> list[Node]: ...


@overload
def pullback(y: Node | Nested, xs: Nested, seed: Any) -> Any: ...


@register
def pullback(y: Any, xs: Any, seed: Any) -> Any:
    """Return the vector-Jacobian product: the adjoint of ``xs`` for the adjoint ``seed`` of ``y``.

    Like :func:`gradients` with a seed, but a variable on which ``y`` does not depend gets zeros, as
    a linear map requires.

    Parameters
    ----------
    y : Node or nested structure of nodes
    xs : Node or nested structure of nodes
    seed : array, Node or nested structure like ``y``

    Returns
    -------
    Node or nested structure like ``xs``
        Each of the shape and dtype of its ``x``.

    Raises
    ------
    GradientError
        If ``y`` or one of ``xs`` is not floating, or the seed does not match ``y``.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(2,))
    >>> sm.pullback(x * x, x, [1.0, 10.0]).eval({x: [1.0, 2.0]})
    array([ 2., 40.])
    """
    return gradients(y, xs, seed=seed, unused="zero")


@register
def pull_body(
    outputs: Sequence[Node],
    wanted: Sequence[Node],
    seeds: Sequence[Node],
    conditions: Sequence[Node] | None = None,
) -> list[Derivative]:
    """Return the adjoints of ``wanted`` inputs of a body; ``None`` for zero.

    If ``conditions`` are given, outside of which the seeds are 0, each adjoint comes with where it
    can differ from 0; else this is added where choices in the body decide it.
    """
    active = [by_choice(condition) for condition in conditions or ()]
    record, guard = _extend_stable(list(outputs), list(wanted), list(seeds), active)
    only_choices = conditions is None
    return [
        (v, None if v is None else guard.where(record.adjoints[x], x, only_choices))
        for x, v in zip(wanted, target_adjoints(record, "none"), strict=True)
    ]


def pullback_of_unit(y: Node, x: Node, unit: Node) -> Node:
    """Return :func:`pullback` for a seed with a single nonzero element."""
    record, _ = _extend_stable(y, x, unit, [UNIT])
    (adjoint,) = target_adjoints(record, "zero")
    result: Node = adjoint
    return result
