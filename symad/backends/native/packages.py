"""Packages: objects, such as sparse matrices, that are made of arrays at the end of each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from symad.graph.graph import Graph
from symad.ops.sparse import Package
from symad.records import dataclass

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Packed:
    """Stands for the object that ``make`` makes of the next ``count`` results."""

    count: int
    make: Callable[..., Any]


Form: TypeAlias = Sequence[Packed | None]
"""For each output of a graph, what it is made by; ``None`` for one that is an array."""


def form_of(graph: Graph) -> Form:
    """Return how the outputs are made of arrays."""
    ops = [node.op for node in graph.outputs]
    counts = [len(node.inputs) for node in graph.outputs]
    return [
        Packed(count, op.packer()) if isinstance(op, Package) else None
        for op, count in zip(ops, counts, strict=True)
    ]


def without_packages(graph: Graph) -> Graph:
    """Return the graph with the arrays of packages as outputs."""
    if not any(isinstance(node.op, Package) for node in graph.outputs):
        return graph
    groups = [n.inputs if isinstance(n.op, Package) else (n,) for n in graph.outputs]
    return Graph([node for group in groups for node in group], graph.inputs)


def grouped(values: Iterable[_T], graph: Graph) -> list[list[_T]]:
    """Return, for each output of a graph, what belongs to its arrays."""
    rest = iter(values)
    return [list(islice(rest, _count(item))) for item in form_of(graph)]


def packed(values: Iterable[Any], form: Form) -> list[Any]:
    """Return the outputs, of which some are made of several values."""
    rest = iter(values)
    return [next(rest) if item is None else item.make(*islice(rest, item.count)) for item in form]


def unpacked(targets: Sequence[Any], form: Form) -> list[Any]:
    """Return the memory for each array, where that for packages is ``None``."""
    pairs = zip(targets, form, strict=False)
    return [each for target, item in pairs for each in [target] * _count(item)]


def _count(item: Packed | None) -> int:
    return 1 if item is None else item.count
