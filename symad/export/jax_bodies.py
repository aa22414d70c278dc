"""Graphs in JAX, and the ops that have graphs in them: loops, branches and calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.errors import ExportError
from symad.export.jax_ops import canonical, jax, jnp, lax, translation_of
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.types import TensorType

_PROMOTING = {"matmul", "matmul_left_adjoint", "matmul_right_adjoint", "einsum", "concat", "stack"}
"""Ops of operands of several dtypes, besides those that work element by element."""


def evaluate(graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Return the outputs of a graph in JAX for values of its inputs.

    Integers that depend on constants alone stay NumPy's: sizes and indices are static.
    """
    known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
    numbers: set[Node] = {node for node, value in known.items() if _is_number(value)}
    for node in graph.nodes:
        if node in known:
            continue
        if isinstance(node, Constant):
            known[node] = node.value
            if _is_number(node.value):
                numbers.add(node)
            else:
                known[node] = jnp.asarray(node.value, canonical(node.value.dtype))
            continue
        assert node.op is not None
        arguments = [known[source] for source in node.inputs]
        if numbers.issuperset(node.inputs) and not isinstance(node.op, WithBody):
            known[node] = node.op.kernel()(*arguments)
            if _is_number(known[node]):
                numbers.add(node)
        else:
            known[node] = _computed(node, arguments)
    return [known[output] for output in graph.outputs]


def _is_number(value: Any) -> bool:
    """Return whether a value is NumPy's, and of integers or booleans."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "iub"


def require_translations(graph: Graph) -> None:
    """Raise an error for the first node that JAX has nothing for, in graphs within as well.

    Raises
    ------
    ExportError
        It names the node, the op and the user's line.
    """
    inputs = set(graph.inputs)
    for node in graph.nodes:
        op = node.op
        if op is None or node in inputs:
            continue
        if isinstance(op, WithBody):
            for body in op.bodies:
                require_translations(body)
        found = _BODIES.get(op.name) if isinstance(op, WithBody) else _translated(op)
        if found is None:
            raise missing(node)


def missing(node: Node, why: str = "JAX does not have it") -> ExportError:
    """Return the error for a node that JAX has nothing for."""
    assert node.op is not None
    return ExportError(
        f"{node.label!r} ({node.op.name}) cannot be computed in JAX: {why}",
        where=node.site.describe(),
        remedy="Compute it outside of the function, and pass it as an input.",
    )


def _translated(op: Op) -> Callable[..., Any] | None:
    if op.name == "nan_on_failure":  # as JAX does anyway
        return _translated(op.op)  # type: ignore[attr-defined]
    return translation_of(op)


def _computed(node: Node, arguments: list[Any]) -> Any:
    op = node.op
    assert op is not None
    if isinstance(op, WithBody):
        results = _BODIES[op.name](op, node, *arguments)
        return results[0] if len(results) == 1 else tuple(results)
    function = _translated(op)
    inner: Any = getattr(op, "op", op)
    if function is None:
        raise missing(node)
    try:
        return function(*_promoted(node, arguments), **inner.attributes())
    except NotImplementedError as error:
        raise missing(node, str(error)) from None
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError,
            jax.errors.TracerIntegerConversionError):  # fmt: skip
        raise missing(node, "a size depends on an input, and JAX's shapes are static") from None


def _promoted(node: Node, operands: list[Any]) -> list[Any]:
    """Return operands in the dtype in which symad computes; JAX promotes by rules of its own."""
    assert node.op is not None
    promotes = isinstance(node.op, PerElement) or node.op.name in _PROMOTING
    if not promotes or not isinstance(node.type, TensorType) or node.op.name in _UNPROMOTED:
        return operands
    masks = operands[:1] if node.op.name == "where" else []
    rest = operands[len(masks) :]
    dtype = node.type.dtype
    if dtype.kind == "b":
        dtype = np.result_type(*(x.dtype for x in rest))
    return [*masks, *(jnp.asarray(x).astype(canonical(dtype)) for x in rest)]


_UNPROMOTED = {"cast", "threefry"}


# Ops with bodies


def _call(op: Any, node: Node, *values: Any) -> list[Any]:
    return evaluate(op.body, values)


def _map(op: Any, node: Node, *values: Any) -> list[Any]:
    rows, shared = values[: op.sequences], values[op.sequences :]
    return list(jax.vmap(lambda *row: tuple(evaluate(op.body, (*row, *shared))))(*rows))


def _branch(op: Any, node: Node, index: Any, *values: Any) -> list[Any]:
    """The index is clipped, as JAX does."""
    types = [output.type.dtype for output in op.branches[0].outputs]

    def run(branch: Graph) -> Callable[[], tuple[Any, ...]]:
        return lambda: tuple(
            jnp.asarray(y, canonical(dtype))
            for y, dtype in zip(evaluate(branch, values), types, strict=True)
        )

    return list(lax.switch(jnp.asarray(index, "int32"), [run(b) for b in op.branches]))


def _as_carries(values: Sequence[Any], types: Sequence[Any]) -> tuple[Any, ...]:
    pairs = zip(values, types, strict=True)
    return tuple(jnp.asarray(value, canonical(node.type.dtype)) for value, node in pairs)


def _scan(op: Any, node: Node, length: Any, *values: Any) -> list[Any]:
    first, end = op.carries, op.carries + op.sequences
    carries, rows, shared = values[:first], values[first:end], values[end:]
    outputs = op.body.outputs
    if not rows and not _is_number(length):
        raise missing(node, "the number of steps is an input, and JAX's arrays have static shapes")

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        made = evaluate(op.body, (*carry, *row, *shared))
        return _as_carries(made[:first], outputs[:first]), tuple(map(jnp.asarray, made[first:]))

    last, stacks = lax.scan(
        step,
        _as_carries(carries, outputs[:first]),
        tuple(map(jnp.asarray, rows)),
        length=None if rows else int(length),
        reverse=op.backwards,
    )
    return [*last, *stacks]


def _while(op: Any, node: Node, *values: Any) -> list[Any]:
    """Carries are NaN if the loop does not end within ``max_steps``."""
    first = op.carries
    outputs, shared = op.body.outputs, values[first:]
    if len(outputs) > first:
        raise missing(node, "the number of steps is not known, and JAX's arrays have static shapes")

    def goes_on(state: Any) -> Any:
        return evaluate(op.condition, (*state[:first], *shared))[0]

    def runs(state: Any) -> Any:
        within = True if op.max_steps is None else state[first] < op.max_steps
        return jnp.logical_and(goes_on(state), within)

    def step(state: Any) -> Any:
        made = evaluate(op.body, (*state[:first], *shared))
        return (*_as_carries(made, outputs), state[first] + 1)

    start = (*_as_carries(values[:first], outputs), jnp.zeros((), canonical("int64")))
    *carries, steps = lax.while_loop(runs, step, start)
    if op.max_steps is not None:
        ended = jnp.logical_not(goes_on((*carries, steps)))
        carries = [jnp.where(ended, c, jnp.nan) if c.dtype.kind == "f" else c for c in carries]
    return [*carries, steps]


_BODIES: dict[str, Callable[..., list[Any]]] = {
    "call": _call, "fused": _call, "map": _map, "branch": _branch, "scan": _scan,
    "while_loop": _while,
}  # fmt: skip
