"""The derivatives of loops, which are further loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import call
from symad.graph.provenance import tracing
from symad.ops.adjoint import broadcast_like, zeros_like
from symad.ops.base import tensor_types
from symad.ops.body import (
    Derivative,
    close_over,
    closure,
    placeholder,
    pulled,
    pushed,
    reached_inputs,
)
from symad.types import TensorType

Results: TypeAlias = Mapping[Node, Node]
"""From the placeholders of carries, and the outputs, of a body to the results of its loop."""


@dataclass(frozen=True)
class LoopBody:
    """The body of a loop; its inputs are carries, elements and captured values, in this order.

    Attributes
    ----------
    graph : Graph
        Its outputs are the new carries and the outputs of the step.
    carries, sequences : int
    """

    graph: Graph
    carries: int
    sequences: int

    @property
    def first_captured(self) -> int:
        """The index of the first input that is a captured value."""
        return self.carries + self.sequences

    def saved(self, results: Sequence[Node]) -> list[Node]:
        """Return the carries before each step, stacked: outputs of the body that are inputs."""
        outputs = self.graph.outputs
        places = {outputs[k]: k for k in range(self.carries, len(outputs))}
        try:
            return [results[places[carry]] for carry in self.graph.inputs[: self.carries]]
        except KeyError:
            raise InternalError("a loop that was optimised cannot be differentiated") from None


class LoopBuilder:
    """Collects what a new loop needs, and closes its body.

    Attributes
    ----------
    carries, elements, captured : dict from Node to Node
        From placeholders in the body to the nodes outside that they represent: the first carries,
        sequences, and values that are used whole.
    """

    def __init__(self) -> None:
        self.carries: dict[Node, Node] = {}
        self.elements: dict[Node, Node] = {}
        self.captured: dict[Node, Node] = {}

    def close(
        self,
        new: Sequence[Node],
        outputs: Sequence[Node],
        made: Iterable[Node],
        keep: Iterable[Node] = (),
    ) -> tuple[LoopBody, list[Node]]:
        """Return the body, and the nodes that correspond to its inputs.

        The carries before each step are outputs too, for the derivatives of this loop.  Elements
        and captured values that the body does not use are left out, except those in ``keep``.
        """
        arguments = [*self.carries, *self.elements, *self.captured]
        graph, more = close_over([*new, *outputs, *self.carries], arguments, made)
        used = {*graph.nodes, *keep}
        elements = {x: node for x, node in self.elements.items() if x in used}
        whole = zip(graph.inputs[len(arguments) :], more, strict=True)
        captured = {x: node for x, node in (*self.captured.items(), *whole) if x in used}
        body = Graph(graph.outputs, [*self.carries, *elements, *captured])
        inputs = [*self.carries.values(), *elements.values(), *captured.values()]
        return LoopBody(body, len(self.carries), len(elements)), inputs


def _truth_like(node: Node) -> Node:
    """Return a placeholder of a condition in the shape of ``node``."""
    (type_,) = tensor_types(node.type)
    return placeholder(node, TensorType(np.dtype(bool), type_.shape))


def nowhere(like: Node) -> Node:
    """Return a condition in the shape of ``like`` that is false everywhere."""
    return broadcast_like(Constant(False), like)


def everywhere(like: Node) -> Node:
    """Return a condition in the shape of ``like`` that is true everywhere."""
    return broadcast_like(Constant(True), like)


def where_of(found: Derivative, like: Node) -> Node:
    """Return where a derivative can differ from 0, as a condition in the shape of ``like``."""
    v, where = found
    if where is not None:
        return where
    return nowhere(like) if v is None else everywhere(like)


class Seeds:
    """Placeholders of adjoints or tangents of nodes in a body, and of where they can differ from 0.

    Attributes
    ----------
    values, conditions : dict from int to Node
        By the index of the node among the inputs or outputs of the body.
    """

    def __init__(self, nodes: Sequence[Node], with_conditions: bool) -> None:
        self._nodes, self._with_conditions = nodes, with_conditions
        self.values: dict[int, Node] = {}
        self.conditions: dict[int, Node] = {}

    def add(
        self, k: int, v: Node | None, where: Node | None, like: Node, to: dict[Node, Node]
    ) -> None:
        """Add placeholders for node k, which represent ``v`` and ``where``; ``None`` is zero."""
        self.values[k] = placeholder(self._nodes[k])
        to[self.values[k]] = zeros_like(like) if v is None else v
        if self._with_conditions:
            self.conditions[k] = _truth_like(self._nodes[k])
            to[self.conditions[k]] = nowhere(like) if where is None else where

    def next_values(
        self,
        slots: Iterable[int],
        found: Mapping[int, Derivative] | Sequence[Derivative],
        body: Graph,
        builder: LoopBuilder,
    ) -> list[Node]:
        """Return the new values of carries for the derivatives ``found``, and of their conditions.

        If no conditions were given, one that choices in the body decide is a new carry: before the
        first step it is true everywhere, and after a step it is what that step says.
        """
        new: list[Node] = []
        late: list[Node] = []
        for k in slots:
            v, where = found[k]
            like = body.inputs[k]
            new.append(zeros_like(like) if v is None else v)
            if k in self.conditions:
                new.append(where_of(found[k], like))
            elif where is not None:
                self.conditions[k] = _truth_like(like)
                builder.carries[self.conditions[k]] = everywhere(
                    builder.carries[self.values[k]]
                )
                late.append(where)
        return [*new, *late]

    def for_body(self) -> tuple[list[Node | None], list[Node | None] | None]:
        """Return the seeds, and the conditions if there are any, in the order of the nodes."""
        slots = range(len(self._nodes))
        conditions = [self.conditions.get(k) for k in slots] if self._with_conditions else None
        return [self.values.get(k) for k in slots], conditions


class AdjointLoop:
    """The loop that computes the adjoints of the inputs of a loop that was run.

    It goes through the steps in the opposite order.  λₖ, the adjoint of carry k after a step,
    becomes that before the step; adjoints of elements are stacked, those of captured values summed.

    Parameters
    ----------
    body : LoopBody
    inputs, results : sequence of Node
        Those of the loop that was run, in the order of the inputs and outputs of its body.
    wanted : sequence of int
        The inputs whose adjoints are asked for.
    adjoints, active : sequence of Node or None
        The adjoints of the results, and where they can differ from 0.
    """

    def __init__(
        self,
        body: LoopBody,
        inputs: Sequence[Node],
        results: Sequence[Node],
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
    ) -> None:
        self._body, self._inputs, self._wanted = body, inputs, wanted
        graph, count = body.graph, body.carries
        self._builder, self._seeds = LoopBuilder(), Seeds(graph.outputs, active is not None)
        self._live = sorted(self._live_carries(adjoints))
        for k, v in enumerate(adjoints):
            if k in self._live or (k >= count and v is not None):
                where = None if active is None else active[k]
                like = inputs[k] if k < count else results[k]
                place = self._builder.carries if k < count else self._builder.elements
                self._seeds.add(k, v, where, like, place)
        sequences = [*body.saved(results), *inputs[count : body.first_captured]]
        self._builder.elements.update(zip(graph.inputs, sequences, strict=False))
        rest = slice(body.first_captured, None)
        self._builder.captured.update(zip(graph.inputs[rest], inputs[rest], strict=True))
        self._sums: dict[int, Derivative] = {}
        self.body, self.inputs = self._close()

    def _live_carries(self, adjoints: Sequence[Node | None]) -> set[int]:
        """Return the carries whose λ can differ from 0 and contributes to what is wanted."""
        carries = range(self._body.carries)
        uses = reached_inputs(self._body.graph, differentiably=True)
        given = [k for k, v in enumerate(adjoints) if v is not None]
        reached = closure(given, lambda k: uses[k].intersection(carries))
        needed = {k for k in carries if k in self._wanted or uses[k].intersection(self._wanted)}
        return reached & closure(needed, lambda k: [j for j in carries if k in uses[j]])

    def _close(self) -> tuple[LoopBody, list[Node]]:
        graph, first = self._body.graph, self._body.first_captured
        slots = [*self._live, *(k for k in self._wanted if k >= self._body.carries)]
        found, made = pulled(graph, slots, *self._seeds.for_body())
        self._found = dict(zip(slots, found, strict=True))
        new: list[Node] = []
        with tracing() as more:
            new += self._seeds.next_values(self._live, self._found, graph, self._builder)
            for k, pair in self._found.items():
                if k >= first:
                    self._sums[k] = self._sum(k, pair, new)
        elements = [self._found[k] for k in slots if self._body.carries <= k < first]
        self._stacked = [node for pair in elements for node in pair if node is not None]
        return self._builder.close(new, self._stacked, [*made, *more])

    def _sum(self, k: int, pair: Derivative, new: list[Node]) -> Derivative:
        """Sum the adjoint of a captured value in a carry; return the placeholders of sums."""
        places: list[Node | None] = []
        for v in pair:
            total = None
            if v is not None:
                like = self._body.graph.inputs[k]
                is_truth = v is pair[1]
                total = _truth_like(like) if is_truth else placeholder(like)
                zero = nowhere if is_truth else zeros_like
                self._builder.carries[total] = zero(self._inputs[k])
                new.append(call("logical_or" if is_truth else "add", total, v))
            places.append(total)
        return places[0], places[1]

    def partials(self, results: Sequence[Node]) -> list[Derivative]:
        """Return the adjoints of the wanted inputs from the results of the loop."""
        count = len(self._builder.carries)
        last = dict(zip(self._builder.carries, results, strict=False))
        rows = dict(zip(self._stacked, results[count:], strict=False))
        found: list[Derivative] = []
        for k in self._wanted:
            if k < self._body.carries:
                pair = self._seeds.values.get(k), self._seeds.conditions.get(k)
            else:
                pair = self._sums[k] if k in self._sums else self._found[k]
            v, where = (None if node is None else last.get(node, rows.get(node)) for node in pair)
            found.append((v, where))
        return found


class TangentLoop:
    """The body of the loop that computes values and tangents beside each other.

    Parameters
    ----------
    body : LoopBody
    tangents, active : sequence of Node or None
        The tangents of the loop's inputs, and where they can differ from 0.
    inputs : sequence of Node
    keep : iterable of Node
        Inputs of the body that the new body must have, even if it does not use them.
    """

    def __init__(
        self,
        body: LoopBody,
        inputs: Sequence[Node],
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        keep: Iterable[Node] = (),
    ) -> None:
        graph, count, first = body.graph, body.carries, body.first_captured
        self._loop, builder = body, LoopBuilder()
        self._seeds = Seeds(graph.inputs, active is not None)
        builder.carries.update(zip(graph.inputs[:count], inputs, strict=False))
        builder.elements.update(zip(graph.inputs[count:first], inputs[count:first], strict=True))
        builder.captured.update(zip(graph.inputs[first:], inputs[first:], strict=True))
        moving = self._moving(tangents)
        for k, (v, node) in enumerate(zip(tangents, inputs, strict=True)):
            if v is not None or k in moving:
                where = None if active is None else active[k]
                places = builder.carries, builder.elements, builder.captured
                self._seeds.add(k, v, where, node, places[(k >= count) + (k >= first)])
        found, made = pushed(graph, *self._seeds.for_body())
        new = list(graph.outputs[:count])
        with tracing() as more:
            new += self._seeds.next_values(sorted(moving), found, graph, builder)
        self._outputs = found[count:]
        outputs = [node for pair in self._outputs for node in pair if node is not None]
        self._carries = list(builder.carries)
        self.body, self.inputs = builder.close(new, outputs, [*made, *more], keep)

    def _moving(self, tangents: Sequence[Node | None]) -> set[int]:
        """Return the carries whose tangents can differ from 0."""
        carries = range(self._loop.carries)
        uses = reached_inputs(self._loop.graph, differentiably=True)
        given = [k for k, v in enumerate(tangents) if v is not None]
        return closure(given, lambda k: [j for j in carries if k in uses[j]]) & set(carries)

    def results(self, results: Sequence[Node]) -> list[Derivative]:
        """Return the tangents of the original results from the results of the loop."""
        last = dict(zip(self._carries, results, strict=False))
        rest = iter(results[len(self._carries) :])
        found: list[Derivative] = []
        for k in range(self._loop.carries):
            pair = self._seeds.values.get(k), self._seeds.conditions.get(k)
            v, where = (None if node is None else last[node] for node in pair)
            found.append((v, where))
        for v, where in self._outputs:
            found.append((None if v is None else next(rest), None if where is None else next(rest)))
        return found
