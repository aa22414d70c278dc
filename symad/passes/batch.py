"""Batching: a map becomes ops on all elements at once, by the batching rules of the ops.

The graph is specialised, so all sizes are known.  Values of the body that do not depend on the
elements are computed once.  An op without a rule becomes a map of that op alone.  Where the
intermediate values of all elements would take too much memory, the map runs over blocks of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symad.errors import InternalError
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.graph.op import Op, call
from symad.graph.provenance import creating
from symad.ops.base import tensor_types
from symad.ops.batching import repeated, shape_of, stack_type
from symad.ops.body import WithBody, placeholder, results_of, value_of
from symad.ops.control import Call, Map, element_type
from symad.ops.structure import StructureItem, items_of, nest
from symad.passes.batch_bodies import batch_bodies
from symad.types import StructureType, TensorType, Type

_MOST_BYTES = 1 << 26
"""How many bytes the intermediate values of a map may take in any case, all elements together,"""
_MOST_TIMES = 2
"""or how many times as much as its inputs and its result."""


def batch(graph: Graph, but: Collection[Op] = ()) -> Graph:
    """Return ``graph`` with its maps replaced by ops on all elements at once.

    A map stays if sizes in its body are not known.

    Parameters
    ----------
    graph : Graph
        Specialised.
    but : collection of Op
        Maps that stay.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(4, 3))
    >>> print(batch(sm.Graph([sm.map_over(lambda row: sm.sum(sm.sin(row)), [x])])))
    graph(%0: f64[4,3] "x")
      %1: f64[4,3] = sin(%0)
      %2: f64[4] = sum(%1, axis=(-1,), keepdims=False)
      return %2
    """
    made: set[Node] = set()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        op = node.op
        if isinstance(op, StructureItem) and inputs[0] in made:
            item: Node = inputs[0].inputs[op.key]
            return item
        new = _expanded(op, inputs) if isinstance(op, Map) and op not in but else None
        if new is None:
            return replace_inputs(node, inputs)
        made.add(new)
        return new

    return rebuild(graph, visit)


def _expanded(op: Map, inputs: Sequence[Node]) -> Node | None:
    """Return the value of a map without the map, ``None`` if it has to stay."""
    if not op.sequences or not _is_static(op.body) or not all(x.type.is_static for x in inputs):
        return None
    rows = shape_of(inputs[0])[0]
    if not rows:  # nothing is computed, and nothing can fail
        return value_of([_empty(stack_type(node.type, 0)) for node in op.body.outputs])
    body = batch(op.body)
    batched = [slot < op.sequences for slot in range(len(inputs))]
    most = _rows_at_once(body, batched, inputs, rows)
    if most >= rows:
        return value_of(_all_at_once(body, batched, inputs, rows))
    return value_of(_in_blocks(body, batched, inputs, rows, most)) if most > 1 else None


def _is_static(body: Graph) -> bool:
    """Return whether a body has arrays of known sizes only, and so have the bodies of its ops."""
    inside = [b for node in body.nodes if isinstance(node.op, WithBody) for b in node.op.bodies]
    types = [node.type for node in body.nodes]
    are_arrays = all(isinstance(type_, (TensorType, StructureType)) for type_ in types)
    return are_arrays and all(type_.is_static for type_ in types) and all(map(_is_static, inside))


def _empty(type_: Type) -> Node:
    """Return an array of ``type_`` without elements."""
    (tensor,) = tensor_types(type_)
    return call("zeros", tensor.shape, dtype=tensor.dtype)


def _all_at_once(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int
) -> list[Node]:
    """Return the outputs of a body for ``rows`` elements, stacked."""
    pairs = zip(*_expand(body, batched, inputs, rows), strict=True)
    return [x if is_stacked else repeated(x, rows) for x, is_stacked in pairs]


def _expand(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int
) -> tuple[list[Node], list[bool]]:
    """Return the outputs of a body for ``rows`` elements, and which of them are stacked.

    The others are the same for all elements.

    Parameters
    ----------
    body : Graph
    batched : sequence of bool
        Which of the ``inputs`` are stacked elements; the others are the same for all elements.
    inputs : sequence of Node
    rows : int
    """
    new = dict(zip(body.inputs, inputs, strict=True))
    stacked = {x for x, is_batched in zip(body.inputs, batched, strict=True) if is_batched}
    for node in body.nodes:
        if node in new:
            continue
        sources = tuple([new[source] for source in node.inputs])
        with creating(node):
            if not any(source in stacked for source in node.inputs):
                new[node] = replace_inputs(node, sources)
                continue
            new[node] = _batched(node, [x in stacked for x in node.inputs], sources, rows)
            stacked.add(node)
    return [new[node] for node in body.outputs], [node in stacked for node in body.outputs]


def _batched(node: Node, batched: Sequence[bool], inputs: tuple[Node, ...], rows: int) -> Node:
    """Return the stacked values of one node of a body."""
    op, made = node.op, None
    assert op is not None
    if isinstance(op, Call):
        made = value_of(_all_at_once(batch(op.body), batched, inputs, rows))
    elif isinstance(op, Map) and not any(batched[op.sequences :]):
        made = _merged(op, batched, inputs, rows)
    elif isinstance(op, WithBody):
        made = batch_bodies(node, batched, inputs, rows, _expand_inside)
    else:
        made = op.batch(node, batched, *inputs)
    made = _mapped(node, batched, inputs) if made is None else made
    if made.type != stack_type(node.type, rows):
        raise InternalError(f"{op.name}: batching gives {made.type} for {rows} of {node.type}")
    return made


def _expand_inside(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int
) -> tuple[list[Node], list[bool]]:
    """Expand the body of a loop or a branch, in which there may be maps."""
    return _expand(batch(body), batched, inputs, rows)


def _mapped(node: Node, batched: Sequence[bool], inputs: Sequence[Node]) -> Node:
    """Return a map of one op over its elements."""
    slots = sorted(range(len(inputs)), key=lambda slot: not batched[slot])
    given = [x for slot in slots for x in items_of(inputs[slot])]
    elements = [placeholder(x) for slot in slots for x in items_of(node.inputs[slot])]
    rest = iter(elements)
    one = {slot: nest(node.inputs[slot], rest) for slot in slots}
    outputs = items_of(replace_inputs(node, tuple([one[slot] for slot in range(len(inputs))])))
    count = sum(len(items_of(inputs[slot])) for slot in slots if batched[slot])
    mapped = apply(Map(Graph(outputs, elements), count), *given)
    result: Node = nest(node, iter(results_of(mapped)))
    return result


def _merged(op: Map, batched: Sequence[bool], inputs: Sequence[Node], rows: int) -> Node:
    """Return an inner map that stays, over the elements of the outer and the inner map at once."""
    pairs = zip(inputs[: op.sequences], batched, strict=False)
    whole = [x if is_batched else repeated(x, rows) for x, is_batched in pairs]
    count = shape_of(whole[0])[1]
    joined = [call("reshape", x, (rows * count, *shape_of(x)[2:])) for x in whole]
    results = results_of(apply(op, *joined, *inputs[op.sequences :]))
    return value_of([call("reshape", x, (rows, count, *shape_of(x)[1:])) for x in results])


# Memory


def _rows_at_once(body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int) -> int:
    """Return for how many elements the intermediate values may be kept at once."""
    given = sum(x.type.nbytes for x in inputs)
    made = sum(stack_type(x.type, rows).nbytes for x in body.outputs)
    most = max(_MOST_BYTES, _MOST_TIMES * (given + made))
    return rows if (peak := _peak(body, batched)) * rows <= most else max(1, most // peak)


def _peak(body: Graph, batched: Sequence[bool]) -> int:
    """Return the most bytes of intermediate values of one element that are in use at once."""
    stacked = {x for x, is_batched in zip(body.inputs, batched, strict=True) if is_batched}
    given = set(body.inputs)
    last = {source: node for node in body.nodes for source in node.inputs}
    sizes: dict[Node, int] = {}
    in_use = peak = 0
    for node in body.nodes:
        if node not in given and any(source in stacked for source in node.inputs):
            stacked.add(node)
            sizes[node] = node.type.nbytes
            in_use += sizes[node]
            peak = max(peak, in_use)
        in_use -= sum(sizes.pop(x, 0) for x in node.inputs if last[x] is node)
    return peak


def _in_blocks(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int, size: int
) -> list[Node]:
    """Return the outputs of a body for all elements, from a map over blocks of ``size`` of them."""
    count, rest = divmod(rows, size)
    blocks, elements = [], []
    for x, is_batched in zip(inputs, batched, strict=True):
        shape = shape_of(x)[1:]
        whole = call("reshape", x[: count * size], (count, size, *shape)) if is_batched else x
        blocks.append(whole)
        elements.append(placeholder(x, element_type(whole.type) if is_batched else x.type))
    made = _all_at_once(body, batched, elements, size)
    mapped = apply(Map(Graph(made, elements), sum(batched)), *blocks)
    results = results_of(mapped)
    outputs = [call("reshape", x, (count * size, *shape_of(x)[2:])) for x in results]
    if not rest:
        return outputs
    pairs = zip(inputs, batched, strict=True)
    last = [x[count * size :] if is_batched else x for x, is_batched in pairs]
    others = _all_at_once(body, batched, last, rest)
    return [call("concat", pair) for pair in zip(outputs, others, strict=True)]
