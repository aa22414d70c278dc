"""Loops: functions that trace a step, and make one node for all steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.nested import leaves_with_paths, map_leaves
from symad.graph.node import Constant, Node, apply, reporting
from symad.graph.op import call
from symad.graph.provenance import isolated, tracing
from symad.ops.adjoint import cast
from symad.ops.base import as_node, register, tensor_types, weak_constant
from symad.ops.body import called, close_over, close_together, placeholder, results_of
from symad.ops.control import element_type
from symad.ops.loops import Scan, While, require_predicate, shape_of
from symad.ops.structure import flat_nodes, nest
from symad.types import (
    Dimension,
    StructureType,
    Type,
    UnknownDim,
    UnknownShape,
    compatible_shapes,
)


@register
def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    sequences: Any = None,
    length: Any = None,
    reverse: bool = False,
    checkpoint: int | bool | None = None,
) -> tuple[Any, Any]:
    """Return the last carry and the stacked outputs of a loop of a known number of steps.

    Parameters
    ----------
    step : callable
        ``step(carry, element)`` returns the new carry and an output, which may be ``None``.  It is
        called once, with nodes, and may use other nodes and make derivatives.
    carry : Node or nested structure of nodes, arrays and numbers
        The first carry; all carries have its structure, shapes and dtypes.
    sequences : Node or nested structure of nodes and arrays, optional
        The elements along the first axes; without it, each element is ``None``.
    length : int or Node, optional
        The number of steps; needed without sequences.  It may be an input: a call with another
        number of steps does not compile again.
    reverse : bool
        Whether to go through the elements from the last to the first.  Outputs have the order of
        the elements.
    checkpoint : int or bool, optional
        Reverse mode needs the carries before each step.  With ``checkpoint=k`` it keeps one in k
        and computes the others again; ``True`` chooses the square root of the number of steps.

    Returns
    -------
    carry, outputs
        The last carry, and the outputs of all steps, stacked along a new first axis.

    Raises
    ------
    GraphTypeError, ShapeError
        If the carry changes its structure, a shape or a dtype, or sequences have different numbers
        of elements.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3,))
    >>> total, sums = sm.scan(lambda c, e: (c + e, c + e), 0.0, x)
    >>> sm.compile([x], [total, sums, sm.gradients(total**2, x)])([1.0, 2.0, 3.0])
    [np.float64(6.0), array([1., 3., 6.]), array([12., 12., 12.])]
    """
    if checkpoint not in (None, False):
        return _in_blocks(step, carry, sequences, length, reverse, checkpoint)
    rows = flat_nodes(sequences)
    with reporting("scan", *rows):
        elements = [placeholder(row, element_type(row.type)) for row in rows]
    steps, size = length_of(rows, length)

    def next_of(state: Any) -> tuple[Any, Any]:
        return _pair(called("the step of scan", step, state, nest(sequences, iter(elements))))

    first, inner, made, (new, outputs) = _traced(next_of, carry, "scan")
    flat = flat_nodes(outputs)
    body, captured = close_over([*new, *flat, *inner], [*inner, *elements], made)
    op = Scan(body, len(first), len(rows), size, bool(reverse))
    with reporting("scan", *first):
        results = results_of(apply(op, steps, *first, *rows, *captured))
    last, stacks = results[: len(first)], results[len(first) :]
    return nest(carry, iter(last)), nest(outputs, iter(stacks))


def _in_blocks(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    sequences: Any,
    length: Any,
    reverse: bool,
    checkpoint: Any,
) -> tuple[Any, Any]:
    """Return a scan over blocks of steps, and over the steps that are left.

    The adjoint of the outer loop needs the carries before each block; the steps of a block are run
    again in it.
    """
    rows = flat_nodes(sequences)
    steps, size = length_of(rows, length)
    count: Any = size if isinstance(size, int) else steps
    block = _block_length(checkpoint, count)
    whole = count // block * block
    rest = count - whole
    main = [row[rest:] if reverse else row[:whole] for row in rows]
    left = [row[:rest] if reverse else row[whole:] for row in rows]
    blocks = [_with_axes(row, 1, count // block, block) for row in main]

    def of(parts: Sequence[Node]) -> Any:
        return nest(sequences, iter(parts)) if rows else None

    def steps_of_block(state: Any, elements: Any) -> tuple[Any, Any]:
        return scan(step, state, elements, block, reverse)

    last, outputs = scan(steps_of_block, carry, of(blocks), count // block, reverse)
    last, tail = scan(step, last, of(left), rest, reverse)
    joined = []
    for stack, more in zip(flat_nodes(outputs), flat_nodes(tail), strict=True):
        flat = _with_axes(stack, 2, whole)
        joined.append(_joined(more, flat) if reverse else _joined(flat, more))
    return last, nest(outputs, iter(joined))


def _with_axes(x: Node, count: int, *sizes: Any) -> Node:
    """Return an array whose first axes, so many, are replaced by axes of other sizes."""
    if _has_rank(x):
        return call("reshape", x, (*sizes, *x.shape[count:]))
    first = call("broadcast_to", 0.0, sizes)
    element = call("sum", x, tuple(range(count)))  # only its shape is read
    return call("reshape_outer", x, first, element)


def _has_rank(x: Node) -> bool:
    (type_,) = tensor_types(x.type)
    return not isinstance(type_.shape, UnknownShape)


def _joined(first: Node, second: Node) -> Node:
    """Return the rows of two stacks, of which one without rows may not know an element's sizes."""
    if not (_has_rank(first) and _has_rank(second)):
        return call("concat", [first, second])
    stacks, pairs = [first, second], list(zip(first.shape, second.shape, strict=True))[1:]
    if not all(isinstance(size, int) for pair in pairs for size in pair):
        sizes = [call("maximum", *pair) for pair in pairs]
        stacks = [call("reshape", x, (x.shape[0], *sizes)) for x in stacks]
    return call("concat", stacks)


def _block_length(checkpoint: Any, count: Any) -> int:
    """Return the number of steps between the carries that are kept."""
    if checkpoint is True:
        if not isinstance(count, int):
            raise GraphTypeError(
                "scan: checkpoint=True needs a known number of steps",
                remedy="Give the number of steps between the carries to keep: checkpoint=32.",
            )
        return max(1, math.ceil(math.sqrt(count)))
    if not isinstance(checkpoint, (int, np.integer)) or checkpoint < 1:
        raise GraphTypeError(
            f"scan: checkpoint is {checkpoint!r}; it must be True or a number of steps"
        )
    return int(checkpoint)


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise GraphTypeError(
            f"the step returned {result!r}",
            remedy="It must return a pair: the new carry, and an output or None.",
        )
    return result[0], result[1]


def length_of(rows: Sequence[Node], length: Any) -> tuple[Node, Dimension]:
    """Return the number of steps as a node, and as a dimension."""
    sizes = [shape_of(row)[0] for row in rows]
    known = dict.fromkeys(size for size in sizes if isinstance(size, int))
    if isinstance(length, (int, np.integer)):
        known[int(length)] = None
    if len(known) > 1:
        raise ShapeError(
            f"scan: the sequences and the length give {' and '.join(map(str, known))} steps"
        )
    if known:
        (steps,) = known
        if steps < 0:
            raise ShapeError(f"scan: the length is {steps}; it cannot be negative")
        return Constant(np.int64(steps)), steps
    if length is None and not rows:
        raise GraphTypeError(
            "scan needs sequences or a length", remedy="Pass length=n, or what to go through."
        )
    named = [size for size in sizes if size is not None]
    dimension = named[0] if named else UnknownDim()
    node = as_node(call("shape", rows[0])[0] if length is None else length)
    (type_,) = tensor_types(node.type)
    if type_.dtype.kind not in "iu" or type_.ndim not in (0, None):
        raise GraphTypeError(
            f"scan: the length is {type_}; it must be one integer",
            remedy='Declare it: sm.Variable("n", shape=(), dtype="int64").',
        )
    return node if type_.dtype == np.int64 else cast(node, "int64"), dimension


@isolated
def _traced(
    step: Callable[[Any], tuple[Any, Any]], carry: Any, name: str
) -> tuple[list[Node], list[Node], list[Node], tuple[list[Node], Any]]:
    """Call a step with placeholders for the carry.

    Returns
    -------
    first, inner, made : lists of Node
        The first carries, their placeholders, and the nodes made by the step.
    new, outputs
        The new carries, and whatever else the step returned.
    """
    numbers = [leaf for _, leaf in leaves_with_paths(carry) if _is_number(leaf)]
    first = flat_nodes(map_leaves(_weak, carry))
    for again in (True, False) if numbers else (False,):
        inner = [placeholder(node) for node in first]
        with tracing() as made:
            new, outputs = step(nest(carry, iter(inner)))
            flat = like_carry(carry, new, name)
        if again:
            first = _with_dtypes(carry, first, flat)
    require_same(carry, first, flat, name)
    return first, inner, made, (flat, outputs)


def like_carry(carry: Any, new: Any, name: str) -> list[Node]:
    """Return the tensors of a new carry, which must have the structure of the first."""
    before, after = _paths(carry), _paths(new)
    if before != after:
        raise GraphTypeError(
            f"{name}: the carry has the structure {form_of(before)} before a step, "
            f"and {form_of(after)} after it",
            remedy="Return a new carry with the same keys and numbers of items.",
        )
    return flat_nodes(new)


def form_of(paths: Sequence[str], name: str = "c") -> str:
    """Return the places of the leaves of a structure as text: ``c['a'], c['b'][0]``."""
    return ", ".join(f"{name}{path}" for path in paths) or "nothing"


def _paths(value: Any) -> list[str]:
    """Return the path of each tensor in a structure, and of each ``None``."""
    return [
        path + inner
        for path, leaf in leaves_with_paths(value)
        for inner in (_paths_of_type(leaf.type) if isinstance(leaf, Node) else [""])
    ]


def _paths_of_type(type_: Type | None) -> list[str]:
    if not isinstance(type_, StructureType):
        return [""]
    return [f"[{key!r}]{path}" for key, item in type_.fields for path in _paths_of_type(item)]


def _is_number(leaf: Any) -> bool:
    """Return whether a first carry takes the dtype of the next one: a truth value does not."""
    return isinstance(leaf, (int, float)) and not isinstance(leaf, bool)


def _weak(leaf: Any) -> Any:
    """Return a number as a node that takes the dtype of what it meets."""
    return weak_constant(leaf) if _is_number(leaf) else leaf


def _with_dtypes(carry: Any, first: Sequence[Node], new: Sequence[Node]) -> list[Node]:
    """Return the first carries; one that is a Python number has the dtype of the new carry."""
    given = [
        leaf if _is_number(leaf) else None
        for _, leaf in leaves_with_paths(carry)
        for _ in flat_nodes(leaf)
    ]
    return [
        before if number is None else Constant(number, after.dtype)
        for number, before, after in zip(given, first, new, strict=True)
    ]


def require_same(carry: Any, first: Sequence[Node], new: Sequence[Node], name: str) -> None:
    """Raise an error that names the part of the carry whose type changes."""
    paths = [
        path + inner
        for path, leaf in leaves_with_paths(carry)
        if leaf is not None
        for inner in _paths(as_node(leaf))
    ]
    for path, before, after in zip(paths, first, new, strict=True):
        a, b = tensor_types(before.type, after.type)
        if a.dtype != b.dtype or not compatible_shapes(a.shape, b.shape):
            raise GraphTypeError(
                f"{name}: the carry c{path} is {a} before a step and {b} after it",
                where=after.site.describe(),
                remedy="A carry keeps its type: cast it, or give the first one this type.",
            )


@isolated
@register
def while_loop(
    condition: Callable[[Any], Any],
    body: Callable[[Any], Any],
    carry: Any,
    max_steps: int | None = None,
    name: str = "while_loop",
) -> Any:
    """Return the last carry of a loop that runs as long as a condition holds.

    Its derivatives are loops too, in reverse mode as well.

    Parameters
    ----------
    condition : callable
        ``condition(carry)`` returns one truth value.
    body : callable
        ``body(carry)`` returns the new carry.
    carry : Node or nested structure of nodes, arrays and numbers
        The first carry; all carries have its structure, shapes and dtypes.
    max_steps : int, optional
        A call that needs more steps fails with an error.
    name : str
        What messages call the loop.

    Returns
    -------
    Node or nested structure like ``carry``

    Raises
    ------
    GraphTypeError
        If the carry changes its structure, a shape or a dtype, or the condition is not one truth
        value.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> y = sm.while_loop(lambda c: c < 100, lambda c: c * c, x)
    >>> sm.compile([x], [y, sm.gradients(y, x)])(3.0)
    [np.float64(6561.0), np.float64(17496.0)]
    """
    first, inner, made, (new, _) = _traced(
        lambda c: (called(f"the body of {name}", body, c), None), carry, name
    )
    asked = [placeholder(node) for node in first]
    with tracing() as tested:
        predicate = as_node(called(f"the condition of {name}", condition, nest(carry, iter(asked))))
    with reporting("while_loop", *first):
        require_predicate(predicate.type)
    graphs, captured = close_together(
        [([*new, *inner], inner, made), ([predicate], asked, tested)]
    )
    stepped, test = graphs
    op = While(stepped, test, len(first), UnknownDim(), max_steps, name)
    with reporting("while_loop", *first):
        results = results_of(apply(op, *first, *captured))
    return nest(carry, iter(results))


@register
def fori_loop(start: Any, stop: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """Return the last carry of a loop over the integers from ``start`` to before ``stop``.

    Parameters
    ----------
    start, stop : int or Node
        They may be inputs: other bounds do not compile again.
    body : callable
        ``body(i, carry)`` returns the new carry.
    carry : Node or nested structure of nodes, arrays and numbers
        The first carry; all carries have its structure, shapes and dtypes.

    Returns
    -------
    Node or nested structure like ``carry``
        The first carry if ``stop`` is not greater than ``start``.

    Raises
    ------
    GraphTypeError
        If the carry changes its structure, a shape or a dtype.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> sm.fori_loop(0, 3, lambda i, c: c * x + i, x).eval({x: 2.0})
    np.float64(20.0)
    """
    first = as_node(start)
    length = stop - start if not isinstance(stop, Node) else stop - first
    steps = call("maximum", length, 0) if isinstance(length, Node) else max(length, 0)

    def step(state: Any, _: Any) -> tuple[Any, None]:
        i, inner = state
        return (i + 1, called("the body of fori_loop", body, i, inner)), None

    (_, last), _ = scan(step, (first, carry), length=steps)
    return last
