"""Loop fission: what a loop does not need for its carries is computed for all steps at once.

A scan becomes a map over its elements, a scan of what depends on the carries, and a map over the
results of its steps.  A carry that only adds up terms becomes a sum over all steps: adjoints of
matrices, Σ δₜ hₜᵀ, are one product then.  Maps become ops on whole arrays in the next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symad.graph.cost import cost_of
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.provenance import creating
from symad.graph.traverse import topological_order
from symad.ops.arithmetic import Add
from symad.ops.body import WithBody, placeholder, results_of, value_of
from symad.ops.control import Map
from symad.ops.loops import Scan
from symad.ops.structure import is_structure
from symad.records import dataclass

_MOST_BYTES = 1 << 26
"""How many bytes the values between the parts may take in any case, all steps together,"""
_MOST_TIMES = 4
"""or how many times as much as the inputs and the results of the loop."""


def split_loops(
    graph: Graph,
    reorders_sums: bool = True,
    simplified: Callable[[Graph], Graph] = lambda body: body,
    least_work: int = 0,
) -> Graph:
    """Return ``graph`` whose scans compute for all steps at once what does not need their carries.

    Parameters
    ----------
    graph : Graph
        Specialised.
    reorders_sums : bool
        Whether carries that only add up terms may become sums.
    simplified : callable
        Returns the body of a loop in a simpler form, in which equal values are one node.
    least_work : int
        The least operations outside of the loop for each number that is stored between its parts.
        Products of matrices have many, and are faster for all steps at once; elementwise ops are
        slower then, if loops are machine code: their values no longer fit the caches.

    Examples
    --------
    >>> import symad as sm
    >>> x, w = sm.Variable("x", shape=(5, 3)), sm.Variable("w", shape=(3, 3))
    >>> last, _ = sm.scan(lambda c, e: (sm.tanh(c) + w @ e, None), sm.zeros(3), x)
    >>> ops = [node.op.name for node in split_loops(sm.Graph([last], [x, w])).nodes if node.op]
    >>> [name for name in ops if name in ("map", "scan")]
    ['map', 'scan']
    """

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        new = replace_inputs(node, inputs)
        if not isinstance(node.op, Scan) or not _is_known(node.op, inputs):
            return new
        op = node.op.with_attributes(body=simplified(node.op.body))
        parts = _Parts.of(op, reorders_sums)
        if parts is None or parts.stored * _length(op) > _most_bytes(new):
            return new
        if parts.work < least_work * parts.numbers:
            return new
        results = _rebuilt(op, parts, inputs)
        return value_of(results)

    return rebuild(graph, visit)


def _length(op: Scan) -> int:
    assert isinstance(op.length, int)
    return op.length


def _is_known(op: Scan, inputs: Sequence[Node]) -> bool:
    """Return whether all sizes are known, and the loop has steps."""
    static = all(node.type.is_static for node in (*inputs, *op.body.nodes))
    return static and isinstance(op.length, int) and op.length > 0


def _most_bytes(loop: Node) -> int:
    given = sum(source.type.nbytes for source in loop.inputs)
    return max(_MOST_BYTES, _MOST_TIMES * (given + loop.type.nbytes))


@dataclass(frozen=True)
class _Parts:
    """The nodes of the body of a scan, by when they are computed.

    Attributes
    ----------
    sums : dict from int to Node
        The carries that only add up terms, and the terms.
    before : set of Node
        What depends on the elements, but not on the carries.
    loop : set of Node
        What the other carries need.
    early, late : list of Node
        The values of ``before`` that are used later, and those of the loop that are used after it.
    stored : int
        The bytes of these values in each step.
    numbers : int
        How many numbers these are, with those that are stored anyway.
    work : int
        The operations outside of the loop, for each step.
    """

    sums: dict[int, Node]
    before: set[Node]
    loop: set[Node]
    early: list[Node]
    late: list[Node]
    stored: int
    numbers: int
    work: int

    @staticmethod
    def of(op: Scan, reorders_sums: bool) -> _Parts | None:
        """Return the parts; ``None`` if everything is needed for the carries, or none changes."""
        body = op.body
        sums = _sums(op) if reorders_sums else {}
        computed = [node for node in body.nodes if node.op is not None]
        moving = set(body.inputs[: op.carries])
        rows = set(body.inputs[op.carries : op.own_inputs()])
        before: set[Node] = set()
        for node in computed:
            if isinstance(node.op, WithBody) or moving.intersection(node.inputs):
                moving.add(node)
            elif rows.intersection(node.inputs) or before.intersection(node.inputs):
                before.add(node)
        roots = [body.outputs[k] for k in range(op.carries) if k not in sums]
        roots += [node for node in computed if isinstance(node.op, WithBody)]
        order = topological_order(roots, stop={*body.inputs, *before})
        loop = {node for node in order if node in moving and node.op is not None}
        for node in computed:  # structures are not stacked, but their items
            if any(is_structure(source) and source in loop for source in node.inputs):
                loop.add(node)
        wanted = {*body.outputs[op.carries :], *sums.values()}
        after = [node for node in computed if node in moving and node not in loop]
        if not before and not after and not sums:
            return None
        later = wanted.union(*(node.inputs for node in after))
        in_loop = {*roots, *(source for node in loop for source in node.inputs)}
        early = [node for node in computed if node in before and node in (later | in_loop)]
        carried = [c for k, c in enumerate(body.inputs[: op.carries]) if k not in sums]
        late = [node for node in (*carried, *computed) if node in later and
                (node in loop or node in carried)]
        if any(map(is_structure, (*early, *late))) or not (rows or early or late):
            return None
        made = {*body.outputs, *body.inputs}
        stored = sum(node.type.nbytes for node in (*early, *late) if node not in made)
        numbers = sum(node.type.size for node in (*early, *late))
        work = sum(cost_of(node).flops for node in (*before, *after))
        return _Parts(sums, before, loop, early, late, stored, numbers, work)


def _sums(op: Scan) -> dict[int, Node]:
    """Return the carries c that become c + t in each step and have no other use, with their t."""
    uses = op.body.use_counts()
    found = {}
    for k, (carry, new) in enumerate(zip(op.body.inputs, op.body.outputs, strict=False)):
        if k < op.carries and isinstance(new.op, Add) and uses[carry] == 1 == uses[new]:
            terms = [x for x in new.inputs if x is not carry]
            if len(terms) == 1 and terms[0].type == carry.type:
                found[k] = terms[0]
    return found


def _rebuilt(op: Scan, parts: _Parts, inputs: Sequence[Node]) -> list[Node]:
    """Return the results of a scan, computed in parts."""
    body, values = op.body, dict(zip(op.body.inputs, inputs[1:], strict=True))
    rows = list(body.inputs[op.carries : op.own_inputs()])
    whole = list(body.inputs[op.own_inputs() :])
    stacks = {row: values[row] for row in rows}
    stacks.update(zip(parts.early, _mapped(parts.early, stacks, whole, values), strict=True))
    carries = [k for k in range(op.carries) if k not in parts.sums]
    last: dict[int, Node] = {}
    if carries:
        new = [body.outputs[k] for k in carries]
        first = [body.inputs[k] for k in carries]
        taken = _used([*new, *parts.late], stacks, first)
        shared = _used([*new, *parts.late], whole, [*first, *taken])
        graph = _closed([*new, *parts.late], [*first, *taken, *shared])
        loop = Scan(graph, len(carries), len(taken), op.length, op.backwards)
        given = [*(values[c] for c in first), *(stacks[x] for x in taken)]
        made = results_of(apply(loop, inputs[0], *given, *(values[x] for x in shared)))
        last.update(zip(carries, made, strict=False))
        stacks.update(zip(parts.late, made[len(carries) :], strict=True))
    outputs = list(body.outputs[op.carries :])
    found = _mapped([*outputs, *parts.sums.values()], stacks, whole, values)
    for k, terms in zip(parts.sums, found[len(outputs) :], strict=True):
        with creating(body.outputs[k]):
            last[k] = call("add", values[body.inputs[k]], call("sum", terms, axis=0))
    return [*(last[k] for k in range(op.carries)), *found[: len(outputs)]]


def _mapped(
    outputs: Sequence[Node],
    stacks: dict[Node, Node],
    whole: Sequence[Node],
    values: dict[Node, Node],
) -> list[Node]:
    """Return nodes of the body for all steps, from those that are known for all steps."""
    wanted = [node for node in dict.fromkeys(outputs) if node not in stacks]
    if not wanted:
        return [stacks[node] for node in outputs]
    rows = _used(wanted, stacks, ())
    if not rows:  # the same in each step: one element is needed for their number
        rows = [next(iter(stacks))]
    shared = _used(wanted, whole, rows)
    made = results_of(
        apply(
            Map(_closed(wanted, [*rows, *shared]), len(rows)),
            *(stacks[x] for x in rows), *(values[x] for x in shared),
        )
    )  # fmt: skip
    known: dict[Node, Any] = {**stacks, **dict(zip(wanted, made, strict=True))}
    return [known[node] for node in outputs]


def _used(outputs: Sequence[Node], known: Iterable[Node], also: Sequence[Node]) -> list[Node]:
    """Return the ``known`` nodes from which ``outputs`` are computed, the first that are met."""
    candidates = list(known)
    reached = set(topological_order(outputs, stop={*candidates, *also}))
    return [node for node in candidates if node in reached]


def _closed(outputs: Sequence[Node], inputs: Sequence[Node]) -> Graph:
    """Return a body that computes ``outputs`` from ``inputs``."""
    stand_ins = {node: placeholder(node) for node in inputs}
    return rebuild(Graph(outputs, inputs), replace_inputs, stand_ins)
