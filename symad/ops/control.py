"""Mapping a body over sequences, and calling one as a single node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.cost import total_cost
from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import call, explained
from symad.graph.provenance import isolated, tracing
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import zeros_like
from symad.ops.base import as_node, tensor_types
from symad.ops.body import (
    Derivative,
    Program,
    RunBody,
    WithOneBody,
    called,
    close_over,
    inline,
    like_found,
    one_or_tuple,
    placeholder,
    present,
    pulled,
    pushed,
    result_type,
    results_of,
    stand_ins,
)
from symad.ops.body_sets import BodySets, labels_of_results, of_map
from symad.ops.structure import flat_nodes, nest
from symad.types import TensorType, Type, UnknownDim, UnknownShape


class Map(WithOneBody):
    """Run the body for each element of the first inputs, and stack the results.

    The body's first ``sequences`` inputs are elements of the op's inputs along the first axis; the
    others are passed whole.
    """

    sequences: int

    name = "map"
    samples = (
        Sample(
            lambda x, w: map_over(lambda row: call("sin", row) * w, [x]),
            [reals(3, 2), reals(2)],
            reference=lambda x, w: np.sin(x) * w,
        ),
        Sample(
            lambda x, y: map_over(lambda a, b: call("sum", a * b), [x, y]),
            [reals(4, 2), reals(4, 2)],
            reference=lambda x, y: np.sum(x * y, axis=1),
            label="two sequences",
        ),
    )

    def infer(self, *types: Any) -> Type:
        length: Any = UnknownDim()
        for sequence in tensor_types(*types[: self.sequences]):
            if sequence.shape == ():
                raise ShapeError("a sequence needs at least one axis")
            if not isinstance(sequence.shape, UnknownShape):
                length = _same_length(length, sequence.shape[0])
        return result_type(
            [stacked(type_, length) for type_ in tensor_types(*_types(self.body.outputs))]
        )

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        elements = [element_type(type_) for type_ in types[: self.sequences]]
        return (*elements, *types[self.sequences :])

    def steps(self, *types: Any) -> int:
        return int(types[0].shape[0])

    def flops(self, result: Any, *types: Any) -> int:
        return self.steps(*types) * total_cost(self.body).flops

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        length, body = self.steps(*types), total_cost(self.body)
        return length * body.bytes_read, length * body.bytes_written

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        (program,), count = programs, self.sequences
        types = tensor_types(*_types(self.body.outputs))

        def run(*values: Any) -> Any:
            shared = values[count:]
            rows = [program([*row, *shared]) for row in zip(*values[:count], strict=True)]
            if rows:
                stacks = [np.stack(column) for column in zip(*rows, strict=True)]
            else:
                stacks = [np.empty((0, *t.shape), t.dtype) for t in types]  # type: ignore[misc]
            return one_or_tuple(stacks)

        return run

    def own_inputs(self) -> int:
        return self.sequences

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        shared = values[self.sequences :]
        for row in index[:1] or range(len(values[0])):
            elements = [value[row] for value in values[: self.sequences]]
            yield f"row {row}", self.body, [*elements, *shared]

    def source_of(self, bodies: Sequence[str], arguments: Sequence[str]) -> str:
        rows, shared = arguments[: self.sequences], arguments[self.sequences :]
        made = f"{bodies[0]}({', '.join(['*row', *shared])})"
        each = f"for row in zip({', '.join(rows)}, strict=True)"
        if len(self.body.outputs) == 1:
            return f"np.stack([{made}[0] {each}])"
        return f"tuple(map(np.stack, zip(*[{made} {each}], strict=True)))"

    def differentiable(self, slot: int) -> bool:
        return self.body.inputs[slot].type.is_float

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return labels_of_results(of_map(self.body, self.sequences, sets, labels, inputs))

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        seeds = stand_ins(adjoints, self.body.outputs)
        where = None if active is None else [self._element(c) for c in active]
        found, made = pulled(self.body, wanted, seeds, where)
        sequences = present([*adjoints, *(active or ())])
        elements = present([*seeds, *(where or ())])
        partials = self._mapped(found, made, (elements, sequences), ([], []), inputs)
        return [
            partial if slot < self.sequences else (_total(partial[0]), _total(partial[1]))
            for slot, partial in zip(wanted, partials, strict=True)
        ]

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        first = self.sequences
        seeds = stand_ins(tangents, self.body.inputs)
        where = None
        if active is not None:
            shared = active[first:]
            where = [*map(self._element, active[:first]), *stand_ins(shared, shared)]
        found, made = pushed(self.body, seeds, where)
        each = (
            present([*seeds[:first], *(where or ())[:first]]),
            present([*tangents[:first], *(active or ())[:first]]),
        )
        whole = (
            present([*seeds[first:], *(where or ())[first:]]),
            present([*tangents[first:], *(active or ())[first:]]),
        )
        return self._mapped(found, made, each, whole, inputs)

    def _element(self, condition: Node | None) -> Node | None:
        return None if condition is None else placeholder(condition, element_type(condition.type))

    def _mapped(
        self,
        found: Sequence[Derivative],
        made: Sequence[Node],
        each: tuple[Sequence[Node], Sequence[Node]],
        whole: tuple[Sequence[Node], Sequence[Node]],
        inputs: Sequence[Node],
    ) -> list[Derivative]:
        """Map derivatives of the body over the rows.

        ``each`` and ``whole`` are pairs of more inputs of the body and what they represent: more
        sequences, and more values that are passed whole.
        """
        outputs = present([node for pair in found for node in pair])
        if not outputs:
            return list(found)
        arguments = [*each[0], *self.body.inputs, *whole[0]]
        body, captured = close_over(outputs, arguments, made)
        op = Map(body, len(each[0]) + self.sequences)
        return like_found(found, results_of(apply(op, *each[1], *inputs, *whole[1], *captured)))


def _total(rows: Node | None) -> Node | None:
    """Return the sum of the rows, or whether any of them is true."""
    if rows is None:
        return None
    return call("any" if rows.dtype == bool else "sum", rows, axis=0)


def _types(nodes: Sequence[Node]) -> list[Type]:
    return [node.type for node in nodes]


def _same_length(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(f"the sequences have {a} and {b} elements")
    return a if isinstance(a, int) or isinstance(b, UnknownDim) else b


@isolated
@explained
def map_over(function: Callable[..., Any], sequences: Sequence[Node]) -> Any:
    """Return ``function`` of each element of ``sequences`` along the first axis, stacked.

    Parameters
    ----------
    function : callable
        Takes one node for each sequence, and returns a node or a nested structure of nodes; it may
        use other nodes.
    sequences : sequence of Node
        Arrays with the same number of elements along the first axis.

    Raises
    ------
    ShapeError
        If the numbers of elements differ, or a sequence has no axes.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.constant([[1.0, 2.0], [3.0, 4.0]])
    >>> sm.map_over(lambda row: row * row, [x]).eval()
    array([[ 1.,  4.],
           [ 9., 16.]])
    """
    elements = [placeholder(sequence, element_type(sequence.type)) for sequence in sequences]
    with tracing() as made:
        result = called("the function of map_over", function, *elements)
        outputs = flat_nodes(result)
    body, captured = close_over(outputs, elements, made)
    results = results_of(apply(Map(body, len(elements)), *sequences, *captured))
    return nest(result, iter(results))


def element_type(type_: Type) -> TensorType:
    """Return the type of an element of a sequence along its first axis."""
    (tensor,) = tensor_types(type_)
    if isinstance(tensor.shape, UnknownShape):
        return tensor.with_shape(UnknownShape.fresh())
    if not tensor.shape:
        raise ShapeError("a sequence needs at least one axis")
    return tensor.with_shape(tensor.shape[1:])


def stacked(type_: TensorType, length: Any) -> TensorType:
    """Return the type of ``length`` elements of a type along a new first axis."""
    if isinstance(type_.shape, UnknownShape):
        return type_.with_shape(UnknownShape.fresh())
    return type_.with_shape((length, *type_.shape))


def _pull_square(adjoint: Node, out: Node, x: Node) -> Node:
    return 2 * adjoint * x


class Call(WithOneBody):
    """Run the body as one node, with the user's rules if given.

    The rules are functions ``reverse(adjoint, out, *inputs)``, which returns one partial adjoint
    per input, and ``forward(tangents, out, *inputs)``; without one, the body is differentiated.
    """

    label: str = "call"
    reverse_rule: Callable[..., Any] | None = None
    forward_rule: Callable[..., Any] | None = None

    name = "call"
    text = ""
    samples = (
        Sample(
            lambda x: custom(lambda a: a * a, reverse=_pull_square)(x) * x,
            [reals(3)],
            reference=lambda x: x**3,
        ),
        Sample(
            lambda x, y: custom(lambda a, b: call("sin", a) * b, name="f")(x, y),
            [reals(3), reals(2, 1)],
            reference=lambda x, y: np.sin(x) * y,
            label="no rules",
        ),
    )

    def infer(self, *types: Any) -> Type:
        return result_type(_types(self.body.outputs))

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        body = total_cost(self.body)
        return body.bytes_read, body.bytes_written

    def differentiable(self, slot: int) -> bool:
        return self.body.inputs[slot].type.is_float

    def has_finite_slopes(self, *inputs: Node) -> bool:
        return self.reverse_rule is None and super().has_finite_slopes(*inputs)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        outer = dict(zip(self.body.inputs, inputs, strict=True))
        return labels_of_results(BodySets(self.body, sets, outer).run(labels))

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        if self.reverse_rule is not None:
            return self._by_rule(wanted, adjoints, active, out, inputs)
        seeds = stand_ins(adjoints, self.body.outputs)
        where = None if active is None else stand_ins(active, active)
        found, made = pulled(self.body, wanted, seeds, where)
        more = present([*seeds, *(where or ())]), present([*adjoints, *(active or ())])
        return self._inlined(found, made, more, inputs)

    def _by_rule(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        inputs: Sequence[Node],
    ) -> list[Derivative]:
        """Return the partial adjoints by the user's rule, which is called once."""
        assert self.reverse_rule is not None
        outs = results_of(out)
        filled = [zeros_like(y) if v is None else v for v, y in zip(adjoints, outs, strict=True)]
        partials = self.reverse_rule(one_or_tuple(filled), one_or_tuple(outs), *inputs)
        given = list(partials) if isinstance(partials, (tuple, list)) else [partials]
        given += [None] * (len(inputs) - len(given))
        if active is None:
            return [(given[slot], None) for slot in wanted]
        found = self._moved(wanted, active, outs, inputs)
        return [
            (None if given[slot] is None else call("where", moved, given[slot], 0), moved)
            for slot, moved in zip(wanted, found, strict=True)
        ]

    def _moved(
        self,
        wanted: Sequence[int],
        active: Sequence[Node | None],
        outs: Sequence[Node],
        inputs: Sequence[Node],
    ) -> list[Node]:
        """Return where adjoints by the user's rule can differ from 0.

        These are the places that the body's own derivative has, unless it has none.
        """
        seeds = stand_ins(active, self.body.outputs)
        where = stand_ins(active, active)
        found, made = pulled(self.body, wanted, seeds, where)
        zeros = [zeros_like(y) for y, c in zip(outs, active, strict=True) if c is not None]
        more = present([*seeds, *where]), [*zeros, *present(active)]
        moved = [c for _, c in self._inlined(found, made, more, inputs)]
        anywhere = [call("any", c) for c in present(active)]
        either = anywhere[0] if len(anywhere) == 1 else call("any", call("stack", anywhere))
        return [either if c is None else c for c in moved]

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        if self.forward_rule is not None:
            pairs = zip(tangents, inputs, strict=True)
            filled = [zeros_like(node) if tangent is None else tangent for tangent, node in pairs]
            found = self.forward_rule(filled, one_or_tuple(results_of(out)), *inputs)
            return [(v, None) for v in (found if isinstance(found, (tuple, list)) else [found])]
        seeds = stand_ins(tangents, self.body.inputs)
        where = None if active is None else stand_ins(active, active)
        found, made = pushed(self.body, seeds, where)
        more = present([*seeds, *(where or ())]), present([*tangents, *(active or ())])
        return self._inlined(found, made, more, inputs)

    def _inlined(
        self,
        found: Sequence[Derivative],
        made: Sequence[Node],
        more: tuple[Sequence[Node], Sequence[Node]],
        inputs: Sequence[Node],
    ) -> list[Derivative]:
        """Copy derivatives of the body into the current context.

        ``more`` is a pair of more inputs of the body, and of the nodes that they represent.
        """
        outputs = present([node for pair in found for node in pair])
        body, captured = close_over(outputs, [*self.body.inputs, *more[0]], made)
        return like_found(found, inline(body, [*inputs, *more[1], *captured]))


@explained
def custom(
    function: Callable[..., Node],
    reverse: Callable[..., Any] | None = None,
    forward: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Callable[..., Node]:
    """Return ``function`` as one that makes a single node, with your own derivative rules.

    Parameters
    ----------
    function : callable
        Takes nodes and returns a node.
    reverse : callable, optional
        ``reverse(adjoint, out, *inputs)`` returns the partial adjoint of the input, or a tuple of
        one for each input, ``None`` for zero.
    forward : callable, optional
        ``forward(tangents, out, *inputs)`` returns the tangent of ``out``.
    name : str, optional
        The name in pictures and tables; by default the function's name.

    Returns
    -------
    callable
        A mode without a rule differentiates the body of the function.

    Examples
    --------
    >>> import symad as sm
    >>> clipped = sm.custom(lambda x: x * 1, reverse=lambda v, y, x: sm.clip(v, -1, 1))
    >>> x = sm.Variable("x")
    >>> sm.gradients(100 * clipped(x), x).eval({x: 2.0})
    np.float64(1.0)
    """
    label = str(name or getattr(function, "__name__", "call"))

    @isolated
    def make(*inputs: Any) -> Any:
        nodes = [as_node(value) for value in inputs]
        arguments = [placeholder(node) for node in nodes]
        with tracing() as made:
            result = called(label, function, *arguments)
            outputs = flat_nodes(result)
        body, captured = close_over(outputs, arguments, made)
        op = Call(body, label, reverse, forward)
        node = Node(op, (*nodes, *captured), op.infer(), label)
        return nest(result, iter(results_of(node)))

    make.__name__, make.__doc__ = label, function.__doc__
    return make
