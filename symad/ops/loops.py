"""Loops with a state that is carried from step to step.

A derivative of a loop is a loop.  In reverse mode it goes backwards through the steps of one that
was run, with the carries before each step, which the loop returns for this purpose; in forward mode
it carries the tangents beside the values and saves nothing.  A while loop that was run is a loop of
known length, so its adjoint is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from symad.errors import EvaluationError, GraphTypeError, ShapeError, SymadError
from symad.graph.cost import total_cost
from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets
from symad.graph.node import Constant, Node, apply, computed
from symad.graph.op import call
from symad.graph.sample import Sample, reals
from symad.ops.base import tensor_types
from symad.ops.body import (
    Derivative,
    Program,
    RunBody,
    WithBody,
    WithOneBody,
    one_or_tuple,
    placeholder,
    result_type,
    results_of,
)
from symad.ops.body_sets import labels_of_results, of_any_steps, of_scan
from symad.ops.control import element_type, stacked
from symad.ops.loop_derivatives import AdjointLoop, LoopBody, TangentLoop
from symad.types import Dimension, StructureType, TensorType, Type, compatible_shapes

Array = np.ndarray[Any, Any]


def _powers(x: Node) -> Any:
    return call("scan", lambda c, _: (c * x, c), x, length=3)


class Scan(WithOneBody):
    """Run the body a known number of times; each run takes the carries that the last one returned.

    The inputs are the number of steps, the first carries, sequences, and captured values.  The
    body's inputs are carries, an element of each sequence, and the captured values; its outputs are
    the new carries and the outputs of the step.  The value is a tuple of the last carries and the
    outputs of all steps, stacked.

    Attributes
    ----------
    body : Graph
    carries, sequences : int
        How many there are.
    length : Dimension
        The number of steps, as far as it is known.
    backwards : bool
        Whether the steps go through the sequences from the end; outputs have the order of elements.
    """

    carries: int
    sequences: int
    length: Dimension
    backwards: bool = False

    name = "scan"
    takes_any_rows = True
    leading = 1
    samples = (
        Sample(
            lambda x, w: call("scan", lambda c, e: (call("tanh", c * w + e), c), w * 1, x)[1],
            [reals(4), reals()],
            label="a sequence",
        ),
        Sample(
            lambda x: call("add_n", [_powers(x)[0], call("sum", _powers(x)[1])]),
            [reals()],
            reference=lambda x: x**4 + x + x**2 + x**3,
            label="no sequence",
        ),
        Sample(
            lambda x: call("scan", lambda c, e: (c * 0.5 + e, c * e), x[0], x, reverse=True)[1],
            [reals(3, 2)],
            label="backwards",
        ),
    )

    def infer(self, *types: Any) -> Type:
        outputs = tensor_types(*[node.type for node in self.body.outputs])
        end = 1 + self.carries
        for sequence in tensor_types(*types[end : end + self.sequences]):
            element_type(sequence)
            length = sequence.shape[0] if isinstance(sequence.shape, tuple) else self.length
            if isinstance(length, int) and isinstance(self.length, int) and length != self.length:
                raise ShapeError(f"a sequence has {length} elements, others have {self.length}")
        first = tensor_types(*types[1:end])
        require_same_carries(first, outputs[: self.carries])
        stacks = [stacked(type_, self.length) for type_ in outputs[self.carries :]]
        return result_type([*first, *stacks])

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        end = 1 + self.carries
        rows, shared = types[end : end + self.sequences], types[end + self.sequences :]
        return (*types[1:end], *map(element_type, rows), *shared)

    def for_inputs(self, *inputs: Node) -> Scan:
        sizes = [shape_of(node)[0] for node in inputs[1 + self.carries :][: self.sequences]]
        if isinstance(inputs[0], Constant):
            sizes.append(_steps(inputs[0].value, ()))
        known = [size for size in sizes if isinstance(size, int)]
        return self.with_attributes(length=known[0]) if known else self

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        (program,), first, end = programs, self.carries, self.own_inputs()
        types = tensor_types(*[node.type for node in self.body.outputs[first:]])

        def run(length: Any, *values: Any) -> Any:
            steps = _steps(length, values[first:end])
            carry, rows, shared = list(values[:first]), values[first:end], values[end:]
            stacks = [empty_stack(steps, type_) for type_ in types]
            for step in reversed(range(steps)) if self.backwards else range(steps):
                made = in_step(program, step, [*carry, *(row[step] for row in rows), *shared])
                carry = made[:first]
                for k, value in enumerate(made[first:]):
                    if stacks[k] is None:
                        stacks[k] = np.empty((steps, *np.shape(value)), value.dtype)
                    stacks[k][step] = value
            if not steps:
                carry = [np.array(value)[()] for value in carry]
            return one_or_tuple([*carry, *stacks])

        return run

    def definition_of(self, name: str, bodies: Sequence[str]) -> str:
        first, end = self.carries, self.own_inputs()
        steps = "reversed(range(length))" if self.backwards else "range(length)"
        stacks = ", ".join(_empty_text(node.type) for node in self.body.outputs[first:])
        return f"""def {name}(length, *values):
    carry, rows, shared = values[:{first}], values[{first}:{end}], values[{end}:]
    stacks = [{stacks}]
    for step in {steps}:
        made = {bodies[0]}(*carry, *(row[step] for row in rows), *shared)
        carry = made[:{first}]
        for stack, value in zip(stacks, made[{first}:], strict=True):
            stack[step] = value
    return (*carry, *stacks){_first_if_only(len(self.body.outputs))}"""

    def own_inputs(self) -> int:
        return self.carries + self.sequences

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        count, end = 1 + self.carries, 1 + self.own_inputs()
        steps, carry = range(_steps(values[0], values[count:end])), list(values[1:count])
        for step in reversed(steps) if self.backwards else steps:
            given = [*carry, *(row[step] for row in values[count:end]), *values[end:]]
            yield f"step {step}", self.body, given
            carry = run(self.body, given)[: self.carries]

    def flops(self, result: Any, *types: Any) -> int:
        return self.steps() * total_cost(self.body).flops

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        length, body = self.steps(), total_cost(self.body)
        return length * body.bytes_read, length * body.bytes_written

    def steps(self, *types: Any) -> int:
        return self.length if isinstance(self.length, int) else 1

    def differentiable(self, slot: int) -> bool:
        return slot > 0 and self.body.inputs[slot - 1].type.is_float

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        if not isinstance(self.length, int):
            given = self.carries, self.sequences, sets, labels[1:], inputs[1:]
            return labels_of_results(of_any_steps(self.body, *given))
        steps = range(self.length)[:: -1 if self.backwards else 1]
        counts = self.carries, self.sequences
        return labels_of_results(of_scan(self.body, counts, steps, sets, labels[1:], inputs[1:]))

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        loop = LoopBody(self.body, self.carries, self.sequences)
        given = inputs[1:], results_of(out), [slot - 1 for slot in wanted], adjoints, active
        return adjoint_of_loop(loop, inputs[0], self.length, not self.backwards, *given)

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        loop = LoopBody(self.body, self.carries, self.sequences)
        beside = TangentLoop(loop, inputs[1:], tangents[1:], active and active[1:])
        made = scan_of(beside.body, inputs[0], self.length, self.backwards, beside.inputs)
        return beside.results(results_of(made))


def scan_of(
    loop: LoopBody, steps: Node, length: Dimension, backwards: bool, inputs: Sequence[Node]
) -> Node:
    """Return the node of a scan."""
    op = Scan(loop.graph, loop.carries, loop.sequences, length, backwards)
    return apply(op, steps, *inputs)


def adjoint_of_loop(
    loop: LoopBody, steps: Node, length: Dimension, backwards: bool, *given: Any
) -> Sequence[Derivative]:
    """Return the adjoints of the inputs of a loop that was run; see :class:`AdjointLoop`."""
    adjoint = AdjointLoop(loop, *given)
    made = scan_of(adjoint.body, steps, length, backwards, adjoint.inputs)
    return adjoint.partials(results_of(made))


def require_same_carries(first: Sequence[TensorType], new: Sequence[TensorType]) -> None:
    """Raise an error if a carry changes its dtype, or its shape as far as it is known."""
    for k, (before, after) in enumerate(zip(first, new, strict=True)):
        fits = compatible_shapes(before.shape, after.shape)
        if before.dtype != after.dtype or not fits:
            raise GraphTypeError(
                f"carry {k} is {before} before a step and {after} after it",
                remedy="A carry keeps its type: cast it, or give the first one this type.",
            )


def shape_of(node: Node) -> Sequence[Any]:
    """Return the shape of a tensor as far as it is known; one unknown size if its rank is not."""
    (type_,) = tensor_types(node.type)
    return type_.shape if isinstance(type_.shape, tuple) else (None,)


def _steps(length: Any, sequences: Sequence[Array]) -> int:
    steps: int = computed(int, length)
    if steps < 0:
        raise EvaluationError(f"the number of steps is {steps}; it cannot be negative")
    for sequence in sequences:
        if len(sequence) != steps:
            raise ShapeError(f"a sequence has {len(sequence)} elements for {steps} steps")
    return steps


def empty_stack(steps: int, type_: TensorType) -> Any:
    """Return an array for the results of all steps, ``None`` if its shape is not known yet."""
    if type_.is_static:
        return np.empty((steps, *type_.shape), type_.dtype)  # type: ignore[misc]
    if steps:
        return None
    known = type_.shape if isinstance(type_.shape, tuple) else ()
    return np.empty((0, *(d if isinstance(d, int) else 0 for d in known)), type_.dtype)


def in_step(program: Program, step: int, values: Sequence[Any]) -> list[Any]:
    """Run a body; an error says in which step, counted from 0."""
    try:
        return program(values)
    except SymadError as error:
        message = f"in step {step}, {error.message}"
        raise type(error)(message, where=error.where, remedy=error.remedy) from error


def _empty_text(type_: Type) -> str:
    """Return Python text that makes an array for the results of ``length`` steps."""
    (tensor,) = tensor_types(type_)
    shape = tensor.shape if isinstance(tensor.shape, tuple) else ()
    sizes = ", ".join(["length", *(str(size) if isinstance(size, int) else "0" for size in shape)])
    return f'np.empty(({sizes},), "{tensor.dtype}")'


def _first_if_only(count: int) -> str:
    return "[0]" if count == 1 else ""


def _halves(x: Node) -> Any:
    return call("while_loop", lambda c: call("sum", c * c) > 0.1, lambda c: c * 0.5, x)


class While(WithBody):
    """Run the body as long as a condition on the carries holds.

    The inputs are the first carries and captured values; both bodies take all of them.  The value
    is a tuple of the last carries, the outputs of all steps, stacked, and the number of steps.

    Attributes
    ----------
    condition : Graph
        Its output is one truth value.
    body : Graph
        Its outputs are the new carries and the outputs of the step.
    carries : int
    length : Dimension
        The number of steps, which is known only when they have been run.
    max_steps : int or None
    label : str
        What messages call the loop.
    """

    body: Graph
    condition: Graph
    carries: int
    length: Dimension
    max_steps: int | None = None
    label: str = "while_loop"

    name = "while_loop"
    takes_any_rows = True
    samples = (
        Sample(_halves, [reals(3)], label="one carry"),
        Sample(
            lambda x, w: call(
                "while_loop",
                lambda c: c[1] < 3,
                lambda c: (call("sin", c[0]) * w, c[1] + 1),
                (x, 0),
            )[0],
            [reals(3), reals()],
            label="a counter",
        ),
    )

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return self.condition, self.body

    def with_bodies(self, *bodies: Graph) -> While:
        condition, body = bodies
        return self.with_attributes(condition=condition, body=body)

    def infer(self, *types: Any) -> Type:
        outputs = tensor_types(*[node.type for node in self.body.outputs])
        first = tensor_types(*types[: self.carries])
        require_same_carries(first, outputs[: self.carries])
        require_predicate(self.condition.outputs[0].type)
        stacks = [stacked(type_, self.length) for type_ in outputs[self.carries :]]
        return result_type([*first, *stacks, TensorType(np.dtype("int64"), ())])

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        return types

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        (condition, program), first = programs, self.carries
        types = tensor_types(*[node.type for node in self.body.outputs[first:]])

        def run(*values: Any) -> Any:
            carry, shared, steps = list(values[:first]), values[first:], 0
            stacks: list[list[Any]] = [[] for _ in types]
            while in_step(condition, steps, [*carry, *shared])[0]:
                self.require_fewer_steps(steps)
                made = in_step(program, steps, [*carry, *shared])
                carry, steps = made[:first], steps + 1
                for stack, value in zip(stacks, made[first:], strict=True):
                    stack.append(value)
            if not steps:
                carry = [np.array(value)[()] for value in carry]
            made = [
                np.stack(stack) if stack else empty_stack(0, type_)
                for stack, type_ in zip(stacks, types, strict=True)
            ]
            return one_or_tuple([*carry, *made, np.int64(steps)])

        return run

    def definition_of(self, name: str, bodies: Sequence[str]) -> str:
        condition, body = bodies
        limit = "" if self.max_steps is None else f"""
        if length == {self.max_steps}:
            raise RuntimeError("{self.label} did not end within {self.max_steps} steps")"""
        stacks = ", ".join("[]" for _ in self.body.outputs[self.carries :])
        empty = ", ".join(
            _empty_text(node.type).replace("length", "0")
            for node in self.body.outputs[self.carries :]
        )
        return f"""def {name}(*values):
    carry, shared, length = values[:{self.carries}], values[{self.carries}:], 0
    stacks, empty = [{stacks}], [{empty}]
    while {condition}(*carry, *shared)[0]:{limit}
        made = {body}(*carry, *shared)
        carry, length = made[:{self.carries}], length + 1
        for stack, value in zip(stacks, made[{self.carries}:], strict=True):
            stack.append(value)
    stacks = [np.stack(stack) if stack else none for stack, none in zip(stacks, empty)]
    return (*carry, *stacks, np.int64(length))"""

    def require_fewer_steps(self, steps: int) -> None:
        """Raise an error if no step is allowed after so many."""
        if steps == self.max_steps:
            raise EvaluationError(
                f"{self.label} did not end within max_steps={steps}",
                remedy="Allow more steps, or change the condition.",
            )

    def own_inputs(self) -> int:
        return self.carries

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        carry, shared = list(values[: self.carries]), values[self.carries :]
        for step in count():
            yield f"the condition of step {step}", self.condition, [*carry, *shared]
            if step == self.max_steps or not run(self.condition, [*carry, *shared])[0]:
                return
            yield f"step {step}", self.body, [*carry, *shared]
            carry = run(self.body, [*carry, *shared])[: self.carries]

    def traffic(self, result: Any, *types: Any) -> tuple[int, int]:
        cost = total_cost(self.condition) + total_cost(self.body)
        return cost.bytes_read, cost.bytes_written

    def flops(self, result: Any, *types: Any) -> int:
        """Return the operations of one step: how many there are is not known."""
        return total_cost(self.condition).flops + total_cost(self.body).flops

    def differentiable(self, slot: int) -> bool:
        return bool(self.body.inputs[slot].type.is_float)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        return dict(enumerate(of_any_steps(self.body, self.carries, 0, sets, labels, inputs)))

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        *results, steps = results_of(out)
        loop = LoopBody(self.body, self.carries, 0)
        given = inputs, results, wanted, adjoints[:-1], active and active[:-1]
        return adjoint_of_loop(loop, steps, self.length, True, *given)

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        loop = LoopBody(self.body, self.carries, 0)
        beside = TangentLoop(loop, inputs, tangents, active, keep=self.body.inputs)
        known = dict(zip(self.body.inputs, self.condition.inputs, strict=True))
        inner = beside.body.graph.inputs
        more = [known[x] if x in known else placeholder(x) for x in inner]
        condition = Graph(self.condition.outputs, more)
        op = self.with_attributes(
            body=beside.body.graph, condition=condition, carries=beside.body.carries
        )
        made = results_of(apply(op, *beside.inputs))
        return [*beside.results(made[:-1]), (None, None)]


def require_predicate(type_: Type) -> None:
    """Raise an error if a value of a type is not a single truth value."""
    if isinstance(type_, StructureType) or type_.dtype != bool or type_.shape not in ((), None):
        if isinstance(type_, TensorType) and type_.dtype == bool and not type_.is_static:
            return
        raise GraphTypeError(
            f"the condition is {type_}; it must be a single truth value",
            remedy="Compare numbers: c > 0; of an array, write sm.all(...) or sm.any(...).",
        )
