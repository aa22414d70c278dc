"""Batching: a map becomes ops on all elements at once, by the batching rules of the ops.

The graph is specialised, so all sizes are known.  Values of the body that do not depend on the
elements are computed once.  An op without a rule becomes a map of that op alone.  Where the
intermediate values of all elements would take too much memory, the map runs over blocks of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from symad.errors import InternalError
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, call
from symad.graph.provenance import creating
from symad.ops.batching import repeated, shape_of, stack_type
from symad.ops.control import Call, Map, placeholder
from symad.types import StructureType, TensorType, Type

_MOST_BYTES = 1 << 26
"""How many bytes the intermediate values of a map may take in any case, all elements together,"""
_MOST_TIMES = 2
"""or how many times as much as its inputs and its result."""


def batch(graph: Graph) -> Graph:
    """Return ``graph`` with its maps replaced by ops on all elements at once.

    A map stays if sizes in its body are not known.

    Parameters
    ----------
    graph : Graph
        Specialised.

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
    return rebuild(graph, _visit)


def _visit(node: Node, inputs: tuple[Node, ...]) -> Node:
    made = _expanded(node.op, inputs) if isinstance(node.op, Map) else None
    return replace_inputs(node, inputs) if made is None else made


def _expanded(op: Map, inputs: Sequence[Node]) -> Node | None:
    """Return the value of a map without the map, ``None`` if it has to stay."""
    nodes = (*inputs, *op.body.nodes)
    if not op.sequences or not all(node.type.is_static for node in nodes):
        return None
    rows = shape_of(inputs[0])[0]
    if not rows:  # nothing is computed, and nothing can fail
        return _result([_empty(stack_type(node.type, 0)) for node in op.body.outputs])
    body = batch(op.body)
    batched = [slot < op.sequences for slot in range(len(inputs))]
    most = _rows_at_once(body, batched, inputs, rows)
    if most >= rows:
        outputs = _all_at_once(body, batched, inputs, rows)
    else:
        outputs = _in_blocks(body, batched, inputs, rows, most) if most > 1 else None
    return None if outputs is None else _result(outputs)


def _result(outputs: Sequence[Node]) -> Node:
    """Return the value of a map from those of its body's outputs."""
    return outputs[0] if len(outputs) == 1 else call("structure", tuple(outputs))


def _empty(type_: Type) -> Node:
    """Return arrays without elements."""
    if isinstance(type_, TensorType):
        return call("zeros", type_.shape, dtype=type_.dtype)
    present = [(key, item) for key, item in type_.fields if item is not None]
    op = OP_CLASSES["make_structure"](
        type_.kind, type_.keys, tuple(item is not None for _, item in type_.fields)
    )
    return apply(op, *[_empty(item) for _, item in present])


def _all_at_once(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int
) -> list[Node] | None:
    """Return the outputs of a body for ``rows`` elements, stacked.

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
            made = _batched(node, [source in stacked for source in node.inputs], sources, rows)
        if made is None:
            return None
        new[node] = made
        stacked.add(node)
    return [new[node] if node in stacked else repeated(new[node], rows) for node in body.outputs]


def _batched(
    node: Node, batched: Sequence[bool], inputs: tuple[Node, ...], rows: int
) -> Node | None:
    """Return the stacked values of one node of a body, ``None`` if that is not possible."""
    op = node.op
    assert op is not None
    if isinstance(op, Call):
        outputs = _all_at_once(batch(op.body), batched, inputs, rows)
        made = None if outputs is None else _result(outputs)
    elif isinstance(op, Map) and not any(batched[op.sequences :]):
        made = _merged(op, node, batched, inputs, rows)
    else:
        made = op.batch(node, batched, *inputs)
    made = _mapped(node, batched, inputs) if made is None else made
    if made is not None and made.type != stack_type(node.type, rows):
        raise InternalError(f"{op.name}: batching gives {made.type} for {rows} of {node.type}")
    return made


def _mapped(node: Node, batched: Sequence[bool], inputs: Sequence[Node]) -> Node | None:
    """Return a map of one op over its elements."""
    if any(isinstance(x.type, StructureType) for x in (node, *node.inputs)):
        return None
    stand_ins = [placeholder(x) for x in node.inputs]
    order = sorted(range(len(inputs)), key=lambda slot: not batched[slot])
    body = Graph([replace_inputs(node, tuple(stand_ins))], [stand_ins[slot] for slot in order])
    return apply(Map(body, sum(batched)), *[inputs[slot] for slot in order])


def _merged(
    op: Map, node: Node, batched: Sequence[bool], inputs: Sequence[Node], rows: int
) -> Node | None:
    """Return an inner map that stays, over the elements of the outer and the inner map at once."""
    if isinstance(node.type, StructureType):
        return None
    sequences = []
    for x, is_batched in zip(inputs[: op.sequences], batched, strict=False):
        _, count, *shape = shape_of(x if is_batched else repeated(x, rows))
        whole = x if is_batched else repeated(x, rows)
        sequences.append(call("reshape", whole, (rows * count, *shape)))
    made = apply(op, *sequences, *inputs[op.sequences :])
    return call("reshape", made, (rows, *shape_of(node)))


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
    last = {source: node for node in body.nodes for source in node.inputs}
    sizes: dict[Node, int] = {}
    in_use = peak = 0
    for node in body.nodes:
        if node not in body.inputs and any(source in stacked for source in node.inputs):
            stacked.add(node)
            sizes[node] = node.type.nbytes
            in_use += sizes[node]
            peak = max(peak, in_use)
        in_use -= sum(sizes.pop(x, 0) for x in node.inputs if last[x] is node)
    return peak


def _in_blocks(
    body: Graph, batched: Sequence[bool], inputs: Sequence[Node], rows: int, size: int
) -> list[Node] | None:
    """Return the outputs of a body for all elements, from a map over blocks of ``size`` of them."""
    count, rest = divmod(rows, size)
    blocks, elements = [], []
    for x, is_batched in zip(inputs, batched, strict=True):
        shape = shape_of(x)[1:]
        whole = call("reshape", x[: count * size], (count, size, *shape)) if is_batched else x
        blocks.append(whole)
        elements.append(placeholder(x, whole[0].type if is_batched else x.type))
    made = _all_at_once(body, batched, elements, size)
    if made is None:
        return None
    mapped = apply(Map(Graph(made, elements), sum(batched)), *blocks)
    outputs = [call("reshape", mapped, (count * size, *shape_of(x)[1:])) for x in made]
    if not rest:
        return outputs
    pairs = zip(inputs, batched, strict=True)
    last = [x[count * size :] if is_batched else x for x, is_batched in pairs]
    others = _all_at_once(body, batched, last, rest)
    return others and [call("concat", pair) for pair in zip(outputs, others, strict=True)]
