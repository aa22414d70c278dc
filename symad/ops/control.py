"""Ops with a body, which is a graph: mapping a body over sequences, and calling one.

A body is a closed graph: outside values enter through its inputs, so that it can be differentiated,
specialised and compiled like any graph.  Backends compile the body and hand the program to
:meth:`WithBody.kernel_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.errors import InternalError, ShapeError
from symad.graph.cost import total_cost
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Constant, Node, apply
from symad.graph.op import Op, call
from symad.graph.operators import FUNCTIONS
from symad.graph.provenance import creating, current_creation
from symad.graph.sample import Sample, reals
from symad.graph.traverse import topological_order
from symad.ops.adjoint import zeros_like
from symad.ops.base import as_node, tensor_types
from symad.types import TensorType, Type, UnknownDim, UnknownShape

Program = Callable[[Sequence[Any]], list[Any]]
"""A compiled body: takes the values of its inputs, returns those of its outputs."""


class WithBody(Op):
    """An op with a body; passes rewrite the body, backends compile it."""

    body: Graph

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        """Return the types of the body's inputs when the op's inputs have ``types``."""
        raise NotImplementedError

    def with_body(self, body: Graph) -> WithBody:
        """Return this op with another body of the same meaning."""
        return self.with_attributes(body=body)

    def kernel_of(self, program: Program) -> Callable[..., Any]:
        """Return the function of arrays that computes the op by running the compiled body."""
        raise NotImplementedError

    def values_inside(self, index: tuple[int, ...], values: Sequence[Any]) -> Sequence[Any]:
        """Return the body's inputs for the element at ``index`` of the result."""
        return values

    def source_of(self, body: str, arguments: Sequence[str]) -> str:
        """Return Python text that computes the op; ``body`` is a function that returns a tuple."""
        raise NotImplementedError

    def flops(self, result: Any, *types: Any) -> int:
        return total_cost(self.body).flops

    def kernel(self) -> Callable[..., Any]:
        raise InternalError(f"{self.name} must be compiled by a backend, which compiles its body")


def placeholder(like: Node, type_: Type | None = None) -> Node:
    """Return a leaf that represents ``like`` inside a body."""
    with creating(like):
        return Node(None, (), like.type if type_ is None else type_, like.label)


def close_over(output: Node, arguments: Sequence[Node]) -> tuple[Graph, list[Node]]:
    """Return a closed body that computes ``output`` from ``arguments``, and the captured nodes.

    Returns
    -------
    body : Graph
        Its inputs are placeholders for the arguments, then for the captured nodes.
    captured : list of Node
        The nodes used by the body that do not depend on the arguments.
    """
    order = topological_order([output], stop=set(arguments))
    inside = set(arguments)
    for node in order:
        if any(source in inside for source in node.inputs):
            inside.add(node)
    used = [output, *(source for node in order if node in inside for source in node.inputs)]
    outer = [node for node in used if node not in inside and not isinstance(node, Constant)]
    captured = {node: placeholder(node) for node in dict.fromkeys(outer)}
    stand_ins = {argument: placeholder(argument) for argument in arguments} | captured
    graph = Graph([output], [*arguments, *captured])
    return rebuild(graph, replace_inputs, stand_ins), list(captured)


class Map(WithBody):
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
        result = self.body.outputs[0].type
        if not isinstance(result, TensorType):
            raise ShapeError("the body must return an array")
        length: Any = UnknownDim()
        for sequence in tensor_types(*types[: self.sequences]):
            if sequence.shape == ():
                raise ShapeError("a sequence needs at least one axis")
            if not isinstance(sequence.shape, UnknownShape):
                length = _same_length(length, sequence.shape[0])
        if isinstance(result.shape, UnknownShape):
            return result.with_shape(UnknownShape.fresh())
        return result.with_shape((length, *result.shape))

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        elements = [_element_type(type_) for type_ in types[: self.sequences]]
        return (*elements, *types[self.sequences :])

    def flops(self, result: Any, *types: Any) -> int:
        return int(result.shape[0]) * total_cost(self.body).flops

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        length, body = int(result.shape[0]), total_cost(self.body)
        return length * body.bytes_read, length * body.bytes_written

    def kernel_of(self, program: Program) -> Callable[..., Any]:
        count = self.sequences
        result = self.body.outputs[0].type

        def run(*values: Any) -> Any:
            shared = values[count:]
            rows = [program([*row, *shared])[0] for row in zip(*values[:count], strict=True)]
            if rows:
                return np.stack(rows)
            assert isinstance(result, TensorType)
            return np.empty((0, *result.shape), result.dtype)  # type: ignore[misc]

        return run

    def values_inside(self, index: tuple[int, ...], values: Sequence[Any]) -> Sequence[Any]:
        rows = [value[index[0]] for value in values[: self.sequences]]
        return [*rows, *values[self.sequences :]]

    def source_of(self, body: str, arguments: Sequence[str]) -> str:
        rows, shared = arguments[: self.sequences], arguments[self.sequences :]
        row = ", ".join(["*row", *shared])
        return f"np.stack([{body}({row})[0] for row in zip({', '.join(rows)}, strict=True)])"

    def differentiable(self, slot: int) -> bool:
        return self.body.inputs[slot].type.is_float

    def has_finite_slopes(self, *inputs: Node) -> bool:
        return _has_finite_slopes(self.body)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        output, wanted = self.body.outputs[0], self.body.inputs[slot]
        seed = placeholder(output)
        pulled = call("pullback", output, wanted, seed)
        return self._mapped(slot, pulled, [seed], [adjoint], inputs)

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        seed, where = placeholder(self.body.outputs[0]), self._element_of(active())
        pulled, _ = self._pulled(slot, seed, where)
        return self._mapped(slot, pulled, [seed, where], [adjoint, active()], inputs)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        seed, where = placeholder(self.body.outputs[0]), self._element_of(active)
        _, moved = self._pulled(slot, seed, where)
        # The condition may take its shape from the adjoint, which has that of the result.
        return self._mapped(slot, moved, [seed, where], [out, active], inputs)

    def _element_of(self, condition: Node) -> Node:
        return placeholder(condition, _element_type(condition.type))

    def _pulled(self, slot: int, seed: Node, where: Node) -> Sequence[Node]:
        """Return the adjoint of an input of the body, and where it can differ from 0."""
        output, wanted = self.body.outputs[0], self.body.inputs[slot]
        pair: Sequence[Node] = FUNCTIONS["pullback_where"](output, wanted, seed, where)
        return pair

    def _mapped(
        self,
        slot: int,
        result: Node,
        elements: Sequence[Node],
        sequences: Sequence[Node],
        inputs: Sequence[Node],
    ) -> Node:
        """Map ``result`` over more sequences; an input passed whole gets the sum over rows."""
        body = Graph([result], [*elements, *self.body.inputs])
        mapped = apply(Map(body, self.sequences + len(elements)), *sequences, *inputs)
        if slot < self.sequences:
            return mapped
        return call("any" if result.dtype == bool else "sum", mapped, axis=0)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        seed = placeholder(self.body.inputs[slot])
        pushed = call("pushforward", self.body.outputs[0], self.body.inputs[slot], seed)
        return self._pushed(slot, pushed, [seed], [tangent], inputs)

    def forward_active(
        self, slot: int, tangent: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        seed, where, (pushed, _) = self._pushed_where(slot, active())
        return self._pushed(slot, pushed, [seed, where], [tangent, active()], inputs)

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        seed, where, (_, moved) = self._pushed_where(slot, active)
        return self._pushed(slot, moved, [seed, where], [inputs[slot], active], inputs)

    def _pushed_where(self, slot: int, active: Node) -> tuple[Node, Node, Sequence[Node]]:
        """Return placeholders for the tangent and its condition, and their replacements."""
        wanted = self.body.inputs[slot]
        seed = placeholder(wanted)
        where = self._element_of(active) if slot < self.sequences else placeholder(active)
        pair = FUNCTIONS["pushforward_where"](self.body.outputs[0], wanted, seed, where)
        return seed, where, pair

    def _pushed(
        self,
        slot: int,
        result: Node,
        stand_ins: Sequence[Node],
        given: Sequence[Node],
        inputs: Sequence[Node],
    ) -> Node:
        """Map ``result``, which has more inputs of the same kind as input ``slot``."""
        if slot < self.sequences:
            body = Graph([result], [*stand_ins, *self.body.inputs])
            return apply(Map(body, self.sequences + len(given)), *given, *inputs)
        body = Graph([result], [*self.body.inputs, *stand_ins])
        return apply(Map(body, self.sequences), *inputs, *given)


def _has_finite_slopes(body: Graph) -> bool:
    return all(node.op is None or node.op.has_finite_slopes(*node.inputs) for node in body.nodes)


def _same_length(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(f"the sequences have {a} and {b} elements")
    return a if isinstance(a, int) or isinstance(b, UnknownDim) else b


def map_over(function: Callable[..., Node], sequences: Sequence[Node]) -> Node:
    """Return ``function`` of each element of ``sequences`` along the first axis, stacked.

    Parameters
    ----------
    function : callable
        Takes one node for each sequence and returns one node; it may use other nodes.
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
    elements = [placeholder(sequence, _element_type(sequence.type)) for sequence in sequences]
    body, captured = close_over(function(*elements), elements)
    return apply(Map(body, len(elements)), *sequences, *captured)


def _element_type(type_: Type) -> TensorType:
    (tensor,) = tensor_types(type_)
    if isinstance(tensor.shape, UnknownShape):
        return tensor.with_shape(UnknownShape.fresh())
    if not tensor.shape:
        raise ShapeError("a sequence needs at least one axis")
    return tensor.with_shape(tensor.shape[1:])


def _pull_square(adjoint: Node, out: Node, x: Node) -> Node:
    return 2 * adjoint * x


class Call(WithBody):
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
        return self.body.outputs[0].type

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        return types

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        body = total_cost(self.body)
        return body.bytes_read, body.bytes_written

    def kernel_of(self, program: Program) -> Callable[..., Any]:
        return lambda *values: program(values)[0]

    def source_of(self, body: str, arguments: Sequence[str]) -> str:
        return f"{body}({', '.join(arguments)})[0]"

    def differentiable(self, slot: int) -> bool:
        return self.body.inputs[slot].type.is_float

    def has_finite_slopes(self, *inputs: Node) -> bool:
        return self.reverse_rule is None and _has_finite_slopes(self.body)

    def inline(self, *inputs: Node) -> Node:
        """Return the body's nodes with ``inputs`` in place of the placeholders."""
        return _inline(self.body, inputs)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        if self.reverse_rule is not None:
            partials = self.reverse_rule(adjoint, out, *inputs)
            given = partials if isinstance(partials, (tuple, list)) else (partials,)
            return given[slot] if slot < len(given) else None
        stand_ins = [placeholder(node) for node in inputs]
        seed = placeholder(adjoint)
        pulled = call("pullback", self.inline(*stand_ins), stand_ins[slot], seed)
        return _inline(Graph([pulled], [*stand_ins, seed]), [*inputs, adjoint])

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        if self.reverse_rule is not None:
            return super().reverse_active(slot, adjoint, active, out, *inputs)
        return self._pulled_where(slot, adjoint, active(), inputs)[0]

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        if self.reverse_rule is not None and not self._passes(slot):
            return super().active_input(slot, active, out, *inputs)
        return self._pulled_where(slot, zeros_like(out), active, inputs)[1]

    def _passes(self, slot: int) -> bool:
        """Return whether the body has a derivative, which the user's rule may replace."""
        adjoint = FUNCTIONS["gradients"](
            self.body.outputs[0], self.body.inputs[slot], unused="none"
        )
        return adjoint is not None

    def _pulled_where(
        self, slot: int, adjoint: Node, active: Node, inputs: Sequence[Node]
    ) -> Sequence[Node]:
        """Return the adjoint of an input by the body, and where it can differ from 0."""
        stand_ins = [placeholder(node) for node in inputs]
        seed, where = placeholder(adjoint), placeholder(active)
        output = self.inline(*stand_ins)
        pair = FUNCTIONS["pullback_where"](output, stand_ins[slot], seed, where)
        given = [*inputs, adjoint, active]
        return [_inline(Graph([one], [*stand_ins, seed, where]), given) for one in pair]

    def forward_terms(
        self, tangents: Sequence[Node | None], out: Node, *inputs: Node
    ) -> list[Node | None]:
        if self.forward_rule is not None:
            pairs = zip(tangents, inputs, strict=True)
            filled = [zeros_like(node) if tangent is None else tangent for tangent, node in pairs]
            return [self.forward_rule(filled, out, *inputs)]
        moving = [(k, tangent) for k, tangent in enumerate(tangents) if tangent is not None]
        stand_ins = [placeholder(node) for node in inputs]
        seeds = [placeholder(tangent) for _, tangent in moving]
        pushed = call(
            "pushforward", self.inline(*stand_ins), [stand_ins[k] for k, _ in moving], seeds
        )
        body = Graph([pushed], [*stand_ins, *seeds])
        return [_inline(body, [*inputs, *(tangent for _, tangent in moving)])]


def _inline(body: Graph, inputs: Sequence[Node]) -> Node:
    """Copy a body's nodes in the current context, with ``inputs`` in place of its own."""
    context = current_creation()

    def copy(node: Node, sources: tuple[Node, ...]) -> Node:
        with creating(context):
            return replace_inputs(node, sources)

    return rebuild(body, copy, dict(zip(body.inputs, inputs, strict=True))).outputs[0]


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

    def make(*inputs: Any) -> Node:
        nodes = [as_node(value) for value in inputs]
        stand_ins = [placeholder(node) for node in nodes]
        body, captured = close_over(function(*stand_ins), stand_ins)
        op = Call(body, label, reverse, forward)
        return Node(op, (*nodes, *captured), body.outputs[0].type, label)

    make.__name__, make.__doc__ = label, function.__doc__
    return make
