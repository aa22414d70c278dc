"""Graphs in JAX, and the ops that have graphs in them: loops, branches and calls."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.xla.failures import failure_of
from symad.backends.xla.forms import FORMS
from symad.backends.xla.translations import canonical, jax, jnp, lax, translation_of
from symad.errors import ExportError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.passes.stack_bounds import GIVE_MAX_STEPS, reads_all_rows, stack_bounds
from symad.types import TensorType

Scope = Callable[[Node], str]
"""Returns the name under which XLA keeps what it makes of a node."""

_PROMOTING = {
    "concat", "convolve", "einsum", "matmul", "matmul_left_adjoint", "matmul_right_adjoint",
    "solve", "solve_sylvester", "solve_triangular", "stack",
}  # fmt: skip
"""Ops of operands of several dtypes, besides those that work element by element."""


def evaluate(graph: Graph, values: Sequence[Any], scope: Scope | None = None) -> list[Any]:
    """Return the outputs of a graph in JAX for values of its inputs.

    Parameters
    ----------
    graph : Graph
        It is specialised.
    values : sequence
    scope : callable, optional
    """
    return Interpreter(scope).outputs(graph, values)


class Interpreter:
    """Runs specialised graphs in JAX.

    Integers that depend on constants alone stay NumPy's: sizes and indices are static.

    Parameters
    ----------
    scope : callable, optional
        Returns the name under which XLA keeps what it makes of a node.
    is_checked : bool
        Whether errors of values, of which JAX raises none, are looked for.
    on_cpu : bool
        Whether the program is for CPUs.

    Attributes
    ----------
    failures : list
        Arrays of booleans that are true where a value is an error.
    bounds : dict or None
        The most rows of stacks whose length is not known; ``None`` before the first graph.
    """

    def __init__(
        self, scope: Scope | None = None, is_checked: bool = False, on_cpu: bool = False
    ) -> None:
        self.failures: list[Any] = []
        self.bounds: dict[Any, int] | None = None
        self._scope = scope
        self._is_checked = is_checked
        self._on_cpu = on_cpu
        self._first: dict[Node, Any] = {}

    def outputs(self, graph: Graph, values: Sequence[Any]) -> list[Any]:
        """Return the outputs of a graph for values of its inputs."""
        known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
        known.update(self.steps(graph, values))
        return [known[output] for output in graph.outputs]

    def steps(self, graph: Graph, values: Sequence[Any]) -> Iterator[tuple[Node, Any]]:
        """Compute the nodes of a graph one after another, and yield each with its value."""
        known: dict[Node, Any] = dict(zip(graph.inputs, values, strict=True))
        numbers: set[Node] = {node for node, value in known.items() if _is_number(value)}
        if self.bounds is None:
            self.bounds = stack_bounds(graph)
        for node in graph.nodes:
            if node in known:
                continue
            arguments = [known[source] for source in node.inputs]
            if isinstance(node, Constant):
                is_number = _is_number(node.value)
                known[node] = node.value if is_number else _array(node.value, node)
            elif numbers.issuperset(node.inputs) and _is_known(node, arguments):
                assert node.op is not None
                known[node] = node.op.kernel()(*arguments)
            elif self._scope is None:
                known[node] = self._computed(node, arguments)
            else:
                with jax.named_scope(self._scope(node)):
                    known[node] = self._computed(node, arguments)
            if _is_number(known[node]):
                numbers.add(node)
            elif arguments:
                self._first[node] = arguments[0]
            yield node, known[node]

    def inside(self, body: Graph, values: Sequence[Any]) -> tuple[list[Any], Any]:
        """Return the outputs of a graph within, and whether it failed: ``None`` if it cannot."""
        inner = Interpreter(self._scope, self._is_checked, self._on_cpu)
        inner.bounds = self.bounds
        outputs = inner.outputs(body, values)
        return outputs, inner.has_failed()

    def empty_stacks(self, rows: Sequence[Node], most: int) -> tuple[Any, ...]:
        """Return room for the rows that a loop leaves in the most steps that it may have."""
        types: list[Any] = [row.type for row in rows]
        bounds = self.bounds or {}
        shapes = [(most, *(bounds.get(size, size) for size in t.shape)) for t in types]
        pairs = zip(shapes, types, strict=True)
        return tuple(jnp.zeros(shape, canonical(t.dtype)) for shape, t in pairs)

    def has_failed(self) -> Any:
        """Return whether a value is an error; ``None`` if none can be."""
        flags = [jnp.any(failed) for failed in self.failures]
        return functools.reduce(jnp.logical_or, flags) if flags else None

    def note(self, failed: Any) -> None:
        """Keep where values are errors, if anything can be one."""
        if self._is_checked and failed is not None:
            self.failures.append(failed)

    def _in_best_form(self, node: Node, operands: list[Any]) -> Any:
        """Return the value of a node by one of the :data:`FORMS`, ``None`` if none applies."""
        assert node.op is not None
        if node.op.name not in FORMS:
            return None
        applies, form = FORMS[node.op.name]
        sources = [self._first.get(x) if applies(x) else None for x in node.inputs]
        if sources.count(None) == len(sources):
            return None
        pairs = zip(sources, operands, strict=True)
        sources = [x if x is None else jnp.asarray(x, y.dtype) for x, y in pairs]
        return form(operands, sources, self._on_cpu, **node.op.attributes())

    def _computed(self, node: Node, arguments: list[Any]) -> Any:
        op = node.op
        assert op is not None
        if self.bounds and reads_all_rows(node, self.bounds):
            raise missing(node, "the number of rows depends on an input")
        if isinstance(op, WithBody):
            results = _BODIES[op.name](self, op, node, *arguments)
            return results[0] if len(results) == 1 else tuple(results)
        function = _translated(op)
        inner: Any = getattr(op, "op", op)
        if function is None:
            raise missing(node)
        if not all(map(_fits, arguments)):
            raise missing(node, "an integer has more than the 32 bits of JAX's", _SWITCH)
        try:
            operands = _promoted(node, arguments)
            result = self._in_best_form(node, operands)
            if result is None:
                result = function(*operands, **inner.attributes())
        except NotImplementedError as error:
            raise missing(node, str(error)) from None
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError,
                jax.errors.TracerIntegerConversionError):  # fmt: skip
            raise missing(node, "a size depends on an input, and its shapes are static") from None
        if self._is_checked:
            self.note(failure_of(op, arguments, result))
        return result


_SWITCH = 'Switch on 64 bits: jax.config.update("jax_enable_x64", True).'


def _fits(value: Any) -> bool:
    """Return whether JAX's dtype, which may have 32 bits only, has room for NumPy's integers."""
    if not _is_number(value) or canonical(value.dtype) == value.dtype or not value.size:
        return True
    limits = np.iinfo(canonical(value.dtype))
    return bool(limits.min <= value.min() and value.max() <= limits.max)


def _is_number(value: Any) -> bool:
    """Return whether a value is NumPy's, and of integers or booleans."""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "iub"


def _is_known(node: Node, arguments: Sequence[Any]) -> bool:
    """Return whether a value is computed here, from numbers: a table of pairs of them is not.

    XLA computes such a mask where it is used, and would read a constant from memory.
    """
    if not isinstance(node.op, PerElement):
        return not isinstance(node.op, WithBody)
    shape = np.broadcast_shapes(*map(np.shape, arguments))
    return len(shape) < 2 or math.prod(shape) == max(map(np.size, arguments))


def _array(value: Any, node: Node) -> Any:
    assert isinstance(node.type, TensorType)
    return jnp.asarray(value, canonical(node.type.dtype))


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


def missing(node: Node, why: str = "JAX does not have it", remedy: str = "") -> ExportError:
    """Return the error for a node that JAX has nothing for."""
    assert node.op is not None
    return ExportError(
        f"{node.label!r} ({node.op.name}) cannot be computed in JAX: {why}",
        where=node.site.describe(),
        remedy=remedy or "Compute it outside of the function, and pass it as an input.",
    )


def _translated(op: Op) -> Callable[..., Any] | None:
    if op.name == "nan_on_failure":  # as JAX does anyway
        return _translated(op.op)  # type: ignore[attr-defined]
    return translation_of(op)


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


def _call(run: Interpreter, op: Any, node: Node, *values: Any) -> list[Any]:
    outputs, failed = run.inside(op.body, values)
    run.note(failed)
    return outputs


def _map(run: Interpreter, op: Any, node: Node, *values: Any) -> list[Any]:
    rows, shared = values[: op.sequences], values[op.sequences :]
    outputs, failed = jax.vmap(lambda *row: run.inside(op.body, (*row, *shared)))(*rows)
    run.note(failed)
    return list(outputs)


def _branch(run: Interpreter, op: Any, node: Node, index: Any, *values: Any) -> list[Any]:
    """The index is clipped, as JAX does."""
    count, nodes = len(op.branches), op.branches[0].outputs

    def taken(branch: Graph) -> Callable[[], tuple[Any, Any]]:
        def compute() -> tuple[Any, Any]:
            outputs, failed = run.inside(branch, values)
            return _as_carries(outputs, nodes), False if failed is None else failed

        return compute

    place = jnp.asarray(index, "int32")
    outputs, failed = lax.switch(place, [taken(branch) for branch in op.branches])
    run.note(failed | (place < 0) | (place >= count))
    return list(outputs)


def _as_carries(values: Sequence[Any], nodes: Sequence[Node]) -> tuple[Any, ...]:
    return tuple(map(_array, values, nodes))


def _scan(run: Interpreter, op: Any, node: Node, length: Any, *values: Any) -> list[Any]:
    first, end = op.carries, op.carries + op.sequences
    carries, rows, shared = values[:first], values[first:end], values[end:]
    outputs = op.body.outputs

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        made, failed = run.inside(op.body, (*carry, *row, *shared))
        stacks = tuple(map(jnp.asarray, made[first:]))
        return _as_carries(made[:first], outputs[:first]), (stacks, failed)

    start = _as_carries(carries, outputs[:first])
    most = (run.bounds or {}).get(op.length)
    if most is not None or not (rows or _is_number(length)):
        if most is None and len(outputs) > first:
            why = "the number of steps is an input, and JAX's arrays have static shapes"
            raise missing(node, why)
        stacks = run.empty_stacks(outputs[first:], most or 0)
        return _bounded_scan(run, step, (start, stacks), rows, length, op.backwards)
    last, (stacks, failed) = lax.scan(
        step,
        start,
        tuple(map(jnp.asarray, rows)),
        length=None if rows else int(length),
        reverse=op.backwards,
    )
    run.note(failed)
    return [*last, *stacks]


def _bounded_scan(
    run: Interpreter, step: Any, start: Any, rows: Sequence[Any], count: Any, backwards: bool
) -> list[Any]:
    """Return what a scan does in a number of steps that is an array: rows may be more."""

    def run_step(k: Any, state: Any) -> Any:
        carry, stacks, ever = state
        at = count - 1 - k if backwards else k
        taken = [lax.dynamic_index_in_dim(row, at, keepdims=False) for row in rows]
        carry, (made, failed) = step(carry, taken)
        return carry, _with_rows(stacks, made, at), ever if failed is None else ever | failed

    last, stacks, failed = lax.fori_loop(0, count, run_step, (*start, jnp.zeros((), bool)))
    run.note(failed | (count < 0))
    return [*last, *stacks]


def _with_rows(stacks: Sequence[Any], rows: Sequence[Any], at: Any) -> tuple[Any, ...]:
    pairs = zip(stacks, rows, strict=True)
    return tuple(lax.dynamic_update_index_in_dim(stack, row, at, 0) for stack, row in pairs)


def _while(run: Interpreter, op: Any, node: Node, *values: Any) -> list[Any]:
    """Carries are NaN if the loop does not end within ``max_steps``."""
    first = op.carries
    outputs, shared = op.body.outputs, values[first:]
    if len(outputs) > first and op.max_steps is None:
        why = "the number of steps has no bound, and JAX's arrays have static shapes"
        raise missing(node, why, GIVE_MAX_STEPS)

    def goes_on(carries: Any) -> Any:
        return run.inside(op.condition, (*carries, *shared))[0][0]

    def runs(state: Any) -> Any:
        within = True if op.max_steps is None else state[2] < op.max_steps
        return jnp.logical_and(goes_on(state[0]), within)

    def step(state: Any) -> Any:
        carries, stacks, steps, ever = state
        made, failed = run.inside(op.body, (*carries, *shared))
        stacks = _with_rows(stacks, made[first:], steps)
        ever = ever if failed is None else ever | failed
        return _as_carries(made[:first], outputs[:first]), stacks, steps + 1, ever

    stacks = run.empty_stacks(outputs[first:], op.max_steps or 0)
    begin = _as_carries(values[:first], outputs[:first]), stacks
    state = lax.while_loop(runs, step, (*begin, jnp.zeros((), canonical("int64")), False))
    carries, stacks, steps, failed = state
    if op.max_steps is not None:
        ended = jnp.logical_not(goes_on(carries))
        carries = [jnp.where(ended, c, jnp.nan) if c.dtype.kind == "f" else c for c in carries]
        failed |= ~ended
    run.note(failed)
    return [*carries, *stacks, steps]


_BODIES: dict[str, Callable[..., list[Any]]] = {
    "call": _call, "fused": _call, "map": _map, "branch": _branch, "scan": _scan,
    "while_loop": _while,
}  # fmt: skip
