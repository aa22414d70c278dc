"""A choice between graphs, of which only the chosen one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from symad.errors import EvaluationError, GraphTypeError
from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.provenance import tracing
from symad.graph.sample import Sample, integers, reals
from symad.ops.adjoint import zeros_like
from symad.ops.body import (
    Derivative,
    Program,
    RunBody,
    WithBody,
    close_together,
    like_found,
    one_or_tuple,
    present,
    pulled,
    pushed,
    result_type,
    results_of,
    stand_ins,
)
from symad.ops.body_sets import labels_of_results, of_branch
from symad.ops.loop_derivatives import where_of
from symad.types import Type, compatible_shapes


def _sample(index: Node, x: Node, w: Node) -> Node:
    branches = [lambda x: call("sin", x) * w, lambda x: x * x, lambda x: x * 0 + 1]
    result: Node = call("switch", index, branches, x)
    return result


class Branch(WithBody):
    """Run one of several graphs: the one whose number the first input gives.

    The other inputs are those of every branch.  The value is that of the branch; a tuple if it has
    several results.

    Attributes
    ----------
    branches : tuple of Graph
    """

    branches: tuple[Graph, ...]

    name = "branch"
    leading = 1
    samples = tuple(
        Sample(_sample, [integers(low=k, high=k + 1), reals(3), reals()], label=f"branch {k}")
        for k in range(2)
    )

    @property
    def bodies(self) -> tuple[Graph, ...]:
        return self.branches

    def with_bodies(self, *bodies: Graph) -> Branch:
        return self.with_attributes(branches=bodies)

    def infer(self, *types: Any) -> Type:
        first, *others = ([node.type for node in body.outputs] for body in self.branches)
        for number, found in enumerate(others, 1):
            for k, (a, b) in enumerate(zip(first, found, strict=True)):
                if not fits(a, b):
                    raise GraphTypeError(f"result {k} is {a} in branch 0 and {b} in {number}")
        return result_type(first)

    def body_types(self, *types: Any) -> tuple[Type, ...]:
        return types[1:]

    def kernel_of(self, *programs: Program) -> Callable[..., Any]:
        def run(index: Any, *values: Any) -> Any:
            number = int(index)
            if not 0 <= number < len(programs):
                raise EvaluationError(
                    f"the index is {number}, and there are {len(programs)} branches",
                    remedy="Clip it: sm.clip(index, 0, n - 1).",
                )
            return one_or_tuple(programs[number](values))

        return run

    def runs(
        self, index: tuple[int, ...], values: Sequence[Any], run: RunBody
    ) -> Iterator[tuple[str, Graph, Sequence[Any]]]:
        number = int(values[0])
        if 0 <= number < len(self.branches):
            yield f"branch {number}", self.branches[number], values[1:]

    def source_of(self, bodies: Sequence[str], arguments: Sequence[str]) -> str:
        made = f"({', '.join(bodies)})[{arguments[0]}]({', '.join(arguments[1:])})"
        return f"{made}[0]" if len(self.branches[0].outputs) == 1 else made

    def differentiable(self, slot: int) -> bool:
        return slot > 0 and bool(self.branches[0].inputs[slot - 1].type.is_float)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        found = of_branch(self.branches, sets, labels[1:], inputs[1:])
        return labels_of_results(found)

    def reverse_all(
        self,
        wanted: Sequence[int],
        adjoints: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        slots = [slot - 1 for slot in wanted]

        def derive(body: Graph) -> _Derived:
            seeds = stand_ins(adjoints, body.outputs)
            where = None if active is None else stand_ins(active, active)
            found, made = pulled(body, slots, seeds, where)
            more = present([*seeds, *(where or ())])
            return found, [*body.inputs, *more], made, [body.inputs[k] for k in slots]

        return self._branches(derive, [*inputs, *present([*adjoints, *(active or ())])])

    def forward_all(
        self,
        tangents: Sequence[Node | None],
        active: Sequence[Node | None] | None,
        out: Node,
        *inputs: Node,
    ) -> Sequence[Derivative]:
        given = None if active is None else active[1:]

        def derive(body: Graph) -> _Derived:
            seeds = stand_ins(tangents[1:], body.inputs)
            where = None if given is None else stand_ins(given, given)
            found, made = pushed(body, seeds, where)
            more = present([*seeds, *(where or ())])
            return found, [*body.inputs, *more], made, body.outputs

        return self._branches(derive, [*inputs, *present([*tangents[1:], *(given or ())])])

    def _branches(
        self, derive: Callable[[Graph], _Derived], inputs: Sequence[Node]
    ) -> list[Derivative]:
        """Return derivatives of the branches as a branch; a derivative that one lacks is zero."""
        derived = [derive(body) for body in self.branches]
        columns = list(zip(*(found for found, *_ in derived), strict=True))
        template = [_first_of(column) for column in columns]
        if not any(v is not None for v, _ in template):
            return template
        parts = []
        for found, arguments, made, likes in derived:
            with tracing() as more:
                outputs = []
                for pair, (one, some), like in zip(found, template, likes, strict=True):
                    if one is not None:
                        outputs.append(zeros_like(like) if pair[0] is None else pair[0])
                    if some is not None:
                        outputs.append(where_of(pair, like))
            parts.append((outputs, arguments, [*made, *more]))
        graphs, captured = close_together(parts)
        results = results_of(apply(Branch(tuple(graphs)), *inputs, *captured))
        return like_found(template, results)


_Derived = tuple[Sequence[Derivative], Sequence[Node], Sequence[Node], Sequence[Node]]
"""Derivatives of a branch, its inputs, the nodes it owns, and what the derivatives are like."""


def _first_of(column: Sequence[Derivative]) -> Derivative:
    """Return a pair in which an item is ``None`` if it is in all pairs."""
    values, conditions = zip(*column, strict=True)
    return next(iter(present(values)), None), next(iter(present(conditions)), None)


def fits(a: Type | None, b: Type | None) -> bool:
    """Return whether two tensor types agree, as far as their shapes are known."""
    same: bool = a.dtype == b.dtype and compatible_shapes(a.shape, b.shape)  # type: ignore[union-attr]
    return same
