"""Checks of a request for derivatives, and the nodes that take part, for both modes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from symad.autodiff.extension import Extension
from symad.errors import GradientError, GraphTypeError, ShapeError
from symad.graph.nested import leaves_with_paths, map_leaves, matching_leaves
from symad.graph.node import Constant, Node, reporting
from symad.graph.operators import FUNCTIONS
from symad.graph.provenance import Creation, Role, RoleKind, creating
from symad.graph.traverse import topological_order
from symad.ops.adjoint import broadcast_like, identity, match, ones_like, zeros_like
from symad.ops.base import tensor_types
from symad.ops.body import own_generation
from symad.ops.structure import is_structure, items_of, structure_item, zeros_for
from symad.types import StructureType, TensorType, format_shape

Forms: TypeAlias = Mapping[Node, Node]
"""From some nodes to nodes of the same value of which derivatives are taken in their place."""

FormsOf: TypeAlias = Callable[[Sequence[Node], Sequence[Node], int, Sequence[Node]], Forms]
"""Takes outputs, targets, the generation of the derivative, and the outputs' graph in order."""


def as_written(
    outputs: Sequence[Node], targets: Sequence[Node], generation: int, order: Sequence[Node]
) -> Forms:
    """Return no other forms: the graph is differentiated as it is."""
    return {}


def stable_forms(
    outputs: Sequence[Node], targets: Sequence[Node], generation: int, order: Sequence[Node]
) -> Forms:
    """Return stable forms of formulas between ``targets`` and ``outputs``, by the rewrite rules."""
    found: Forms = FUNCTIONS["stable_forms"](outputs, targets, generation, order)
    return found


def output_leaves(y: Any) -> list[Node]:
    """Return the nodes to differentiate; a structure node counts as its items."""
    found: list[Node] = []
    for path, leaf in leaves_with_paths(y):
        _require_node(leaf, f"y{path}")
        found += items_of(leaf) if is_structure(leaf) else [leaf]
    for node in found:
        _require_float(node, "differentiated")
    if not found:
        raise GradientError("there is nothing to differentiate: y is empty")
    return found


def target_leaves(xs: Any) -> list[Node]:
    """Return the nodes with respect to which to differentiate."""
    found = []
    for path, leaf in leaves_with_paths(xs):
        _require_node(leaf, f"xs{path}")
        _require_float(leaf, "differentiated with respect to")
        found.append(leaf)
    return found


def require_some(targets: Sequence[Any]) -> None:
    """Raise an error if there is nothing with respect to which to differentiate."""
    if not targets:
        raise GradientError(
            "there is nothing to differentiate with respect to",
            remedy="There must be at least one floating-point variable.",
        )


def _require_node(value: Any, where: str) -> None:
    if not isinstance(value, Node):
        raise GraphTypeError(
            f"{where} is {value!r}, which is not a node",
            remedy="Derivatives are taken of nodes with respect to nodes.",
        )


def _require_float(node: Node, what: str) -> None:
    if not node.type.is_float:
        dtype = node.type.dtype if isinstance(node.type, TensorType) else node.type
        raise GradientError(
            f"{node!r} cannot be {what}: its values are {dtype}, which change in steps, "
            "so they have no derivative",
            where=node.site.describe(),
            remedy="Cast it before it is used: x.astype('float64').",
        )


def generation_of(order: Iterable[Node]) -> int:
    """Return the generation of a derivative of the graph whose nodes are ``order``."""
    return 1 + max(map(own_generation, order), default=0)


def active_nodes(
    order: Sequence[Node], targets: Sequence[Node], forms: Forms = MappingProxyType({})
) -> set[Node]:
    """Return the nodes of ``order`` that depend on ``targets`` in a differentiable way."""
    active = set(targets)
    for node in order:
        op = node.op
        if op is None or not node.type.is_float:
            continue
        if node in forms:
            if forms[node] in active:
                active.add(node)
            continue
        for slot, source in enumerate(node.inputs):
            if source in active and op.differentiable(slot):
                active.add(node)
                break
    return active


def seed_nodes(
    outputs: Sequence[Node], y: Any, seed: Any, generation: int
) -> Iterator[tuple[Node, Node]]:
    """Yield each output with its seed, a node with the role of a seed.

    Seeds are matched with ``y`` by key.
    """
    given = matching_leaves(map_leaves(_items, y), seed, "the seed", GradientError)
    for output, value in zip(outputs, given, strict=True):
        role = Role(RoleKind.SEED, generation, output)
        with creating(Creation(output.scope, output.site, role)):
            yield output, _seed_node(output, value)


def _items(node: Node) -> Any:
    """Return a structure node as a Python structure of its items, for a seed to match."""
    if not isinstance(node.type, StructureType):
        return node
    items = {key: _items(structure_item(node, key)) for key in node.type.keys}
    return items if node.type.kind == "dict" else list(items.values())


def _seed_node(output: Node, value: Any) -> Node:
    with reporting("", output):
        (type_,) = tensor_types(output.type)  # not a sparse matrix
    if value is None:
        return Constant(1, type_.dtype) if type_.shape == () else ones_like(output)
    seed = identity(value) if isinstance(value, Node) else Constant(value, type_.dtype)
    assert isinstance(seed.type, TensorType)
    try:
        return match(seed, output, broadcast_like)
    except ShapeError:
        raise GradientError(
            f"a seed of shape {format_shape(seed.type.shape)} does not fit y, "
            f"whose shape is {format_shape(type_.shape)}"
        ) from None


def check_unused(unused: str) -> None:
    """Raise an error if ``unused`` is none of the three words."""
    if unused not in ("error", "zero", "none"):
        raise GradientError(f'unused is {unused!r}; it must be "error", "zero" or "none"')


def unused_target(target: Node, record: Extension, unused: str) -> Node | None:
    """Return the result requested by ``unused`` if the outputs do not depend on ``target``."""
    if unused == "none":
        return None
    if unused == "zero":
        return zeros_for(target) if is_structure(target) else zeros_like(target)
    blocker = _blocking_node(target, record)
    if blocker is None:
        message = f"the output does not depend on {target!r}"
    else:
        op = blocker.op.name if blocker.op else "leaf"
        message = (
            f"the output depends on {target!r} only through {op!r} "
            f"({blocker.site.describe()}), whose result has no derivative"
        )
    raise GradientError(
        message,
        where=target.site.describe(),
        remedy='Leave it out, or pass unused="zero" or unused="none".',
    )


def _blocking_node(target: Node, record: Extension) -> Node | None:
    """Return the first node that depends on ``target`` but not in a differentiable way."""
    order = topological_order(record.outputs)
    active = active_nodes(order, [target])
    for node in order:
        if node not in active and any(source in active for source in node.inputs):
            return node
    return None
