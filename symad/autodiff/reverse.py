"""Reverse mode by extending the graph: the complete algorithm of the lecture.

CMU 10-414/714, lecture 4: visit the nodes in reverse topological order; at node i, sum the partial
adjoints from its consumers; for each input k, store the partial adjoint v̄_{k→i} = v̄_i ∂v_i/∂v_k
at k.  Nothing is evaluated: adjoints are ordinary nodes, which can be compiled, drawn and
differentiated again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Iterable, MutableSequence, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

from symad.autodiff.activity import (
    Forms,
    FormsOf,
    active_nodes,
    as_written,
    check_unused,
    generation_of,
    output_leaves,
    seed_nodes,
    stable_forms,
    target_leaves,
    unused_target,
)
from symad.autodiff.extension import Extension, Partial, Visited
from symad.autodiff.guard import NOTHING, UNIT, Guard, SeedActivity, by_choice
from symad.errors import InternalError
from symad.graph.collector import collector_paused
from symad.graph.nested import Nested, rebuild
from symad.graph.node import Node
from symad.graph.op import explained
from symad.graph.provenance import Creation, Role, RoleKind, creating, isolated
from symad.graph.traverse import topological_order
from symad.ops.adjoint import add_n, identity, match, sum_like
from symad.ops.base import register
from symad.ops.body import Derivative, WithBody
from symad.ops.structure import fill_absent

Key = TypeVar("Key")
AnyNode = TypeVar("AnyNode", bound=Node)
Unused: TypeAlias = Literal["error", "zero", "none"]
"""The result for a variable on which the value does not depend."""

_LOCAL, _PARTIAL, _SUM = RoleKind.LOCAL, RoleKind.PARTIAL, RoleKind.SUM
"""Read for each edge: looking a member of an enumeration up takes a third of making a role."""


@explained
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
    return _extend(y, xs, seed, as_written, [])[0]


def _extend_stable(
    y: Any, xs: Any, seed: Any, active: Iterable[SeedActivity] = ()
) -> tuple[Extension, Guard]:
    """Extend the graph of stable forms; seeds are 0 where their conditions, if given, are false."""
    return _extend(y, xs, seed, stable_forms, deque(maxlen=0), active)


@isolated
def _extend(
    y: Any,
    xs: Any,
    seed: Any,
    forms_of: FormsOf,
    visits: MutableSequence[Visited],
    active: Iterable[SeedActivity] = (),
) -> tuple[Extension, Guard]:
    """Extend a graph; ``visits`` may keep nothing where only the adjoints are wanted."""
    outputs, targets = output_leaves(y), target_leaves(xs)
    order = topological_order(outputs)
    record = Extension(tuple(outputs), tuple(targets), generation_of(order), visits)
    forms = forms_of(outputs, targets, record.generation, order)
    if forms:
        order = topological_order(outputs, instead=forms)
    between, guard = active_nodes(order, targets, forms), Guard(order, forms)
    walk = _Walk(record, forms, between, guard)
    conditions = iter(active)
    for output, seed_node in seed_nodes(outputs, y, seed, record.generation):
        record.seeds[output] = seed_node
        walk.left[output].append(seed_node)
        guard.note_seed(seed_node, next(conditions, None))
    with creating(walk.context):
        for node in reversed(order):
            if node in walk.left and node in between:
                walk.visit(node)
    return record, guard


class _Walk:
    """The walk of the algorithm.

    Attributes
    ----------
    context : Creation
        The one context in which all nodes are made: it changes from edge to edge.
    left : dict from Node to list of Node
        The partial adjoints that consumers have left at each node: the lecture's node_to_grad.
    """

    def __init__(
        self, record: Extension, forms: Forms, between: Container[Node], guard: Guard
    ) -> None:
        self.context = Creation()
        self.left: dict[Node, list[Node]] = defaultdict(list)
        self._record, self._forms, self._between, self._guard = record, forms, between, guard
        self._generation = record.generation

    def visit(self, node: Node) -> None:
        """Sum the partial adjoints of a node, and leave one at each of its inputs."""
        contributions = self.left.pop(node)
        self.context.scope, self.context.site = node.scope, node.site
        adjoint = contributions[0]
        if len(contributions) > 1:  # v̄_i = Σ_j v̄_{i→j}
            self.context.role = Role(_SUM, self._generation, node)
            adjoint = add_n(contributions)
            self._guard.note_sum(adjoint, contributions)
        self._record.adjoints[node] = adjoint
        partials: list[Partial] = []
        if node in self._forms:
            self._leave_at_form(node, self._forms[node], adjoint)
        elif isinstance(node.op, WithBody):
            self._leave_at_all_inputs(node, node.op, adjoint, partials)
        else:
            self._leave_at_inputs(node, adjoint, partials)
        self._record.visits.append((node, contributions, adjoint, partials))

    def _leave_at_form(self, node: Node, form: Node, adjoint: Node) -> None:
        """Leave the adjoint of a node at its form; a form that was there before has an edge."""
        if form.role is None or not form.role.is_of_form or form.role.node is not node:
            self.context.role = Role(_PARTIAL, self._generation, form, node, 0)
            known, adjoint = self._guard.known(adjoint), identity(adjoint)
            self._guard.note(adjoint, known)
        self.left[form].append(adjoint)

    def _leave_at_inputs(self, node: Node, adjoint: Node, partials: list[Partial]) -> None:
        """Leave v̄_{k→i} = v̄_i ∂v_i/∂v_k at the inputs of a node."""
        op = node.op
        for slot, source in enumerate(node.inputs):
            if source not in self._between or op is None or not op.differentiable(slot):
                continue
            local = self.context.role = Role(_LOCAL, self._generation, source, node, slot)
            try:
                ruled = self._guard.reverse(op, slot, adjoint, node)
            except Exception as error:
                _add_note(error, node, [slot])
                raise
            self._leave_at_input(node, slot, ruled, local, partials)

    def _leave_at_all_inputs(
        self, node: Node, op: WithBody, adjoint: Node, partials: list[Partial]
    ) -> None:
        """Do the same for an op with a body, which has one rule for all its inputs."""
        inputs = node.inputs
        slots = [k for k, x in enumerate(inputs) if x in self._between and op.differentiable(k)]
        if not slots:
            return
        edge = inputs[slots[0]], node, slots[0]
        local = self.context.role = Role(_LOCAL, self._generation, *edge)
        try:
            found = self._guard.reverse_body(op, slots, adjoint, node)
        except Exception as error:
            _add_note(error, node, slots)
            raise
        for slot, ruled in zip(slots, found, strict=True):
            self._leave_at_input(node, slot, ruled, local, partials)

    def _leave_at_input(
        self, node: Node, slot: int, ruled: Any, local: Role[Node], partials: list[Partial]
    ) -> None:
        """Leave the result of a rule at an input, in its shape and dtype.

        The last node made for an edge is its partial adjoint, the others are local steps.
        """
        product, known = ruled
        if product is None:
            return
        source = node.inputs[slot]
        role = self.context.role = Role(_PARTIAL, self._generation, source, node, slot)
        if not isinstance(product, Node):
            raise InternalError(f"the reverse rule of {node.label!r} returned {product!r}")
        if product.role is local:
            product.role = role
        else:  # the rule returned an existing node: its local derivative is 1
            product = Node(identity, (product,), product.type)
        partial = product
        if product.type is not source.type and product.type != source.type:
            self.context.role = role.of_kind(RoleKind.REPAIR)
            partial = match(product, source, sum_like)
            known = self._guard.fit(known, product, partial, source)
        if known is not NOTHING:
            self._guard.note(partial, known)
        self.left[source].append(partial)
        partials.append((slot, product, partial))


def _add_note(error: Exception, node: Node, slots: Sequence[int]) -> None:
    assert node.op is not None
    where, several = node.site.describe(), "s" if len(slots) > 1 else ""
    error.add_note(
        f"in the reverse rule of {node.op.name!r} for input{several} "
        f"{', '.join(map(str, slots))}, made at {where}"
    )


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


@isolated
def target_adjoints(record: Extension, unused: Unused = "error") -> list[Any]:
    """Return the adjoints of the targets, with zeros where a target or an item has none."""
    check_unused(unused)
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
