"""A graph of arrays as a graph of numbers: one node for each element.

The page computes such a graph in JavaScript when the reader changes an element.  Ops per element
are applied to each; ops that only move elements are recognised by what they do to numbered
elements, and linear ones by what they do to unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Variable, apply
from symad.ops.base import Multilinear, PerElement
from symad.ops.comparison import maximum, minimum
from symad.ops.extremum import Max, Min
from symad.ops.reduce import Prod, Reduction
from symad.passes.decompose import decompose
from symad.passes.specialise import specialise
from symad.types import TensorType, Type, normalize_axes

Elements = np.ndarray[Any, Any]
"""An array of nodes, each of which is a number."""

_MOST = 2500  # nodes that the page computes
_MOST_UNITS = 400  # unit vectors for the coefficients of a linear op
_TRIALS = 3
_PAIRWISE: dict[type, Any] = {
    Max: maximum, Min: minimum, Prod: lambda x, y: x * y,
}  # fmt: skip


def in_elements(graph: Graph, types: Sequence[Type]) -> tuple[Graph, list[int]]:
    """Return a graph of numbers for inputs of these types, and the size of each output.

    The inputs of the new graph are the elements of the inputs, and its outputs those of the
    outputs, in order.

    Raises
    ------
    NotImplementedError
        If there would be too many nodes, or an op has no such form.
    """
    whole = decompose(specialise(graph, types))
    work = sum(_work(node) for node in whole.nodes)
    if work > _MOST:
        raise NotImplementedError(f"the elements take {work:,} operations, more than {_MOST:,}")
    found: dict[Node, Elements] = {}
    for node in dict.fromkeys([*whole.inputs, *whole.nodes]):  # some inputs may not be used
        found[node] = _elements(node, [found[source] for source in node.inputs])
    inputs = [element for node in whole.inputs for element in found[node].flat]
    outputs = [element for node in whole.outputs for element in found[node].flat]
    return Graph(outputs, inputs), [found[node].size for node in whole.outputs]


def _work(node: Node) -> int:
    """Return about how many nodes the elements of a node need."""
    if not isinstance(node.type, TensorType):
        raise NotImplementedError(f"{node.label} is not an array")
    size = prod(_shape(node))
    if node.op is None or isinstance(node.op, PerElement):
        return size
    return max(size, node.op.flops(node.type, *(source.type for source in node.inputs)))


def _shape(node: Node) -> tuple[int, ...]:
    assert isinstance(node.type, TensorType)
    shape = node.type.shape
    if not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
        raise NotImplementedError(f"the shape of {node.label} is not known")
    return tuple(n for n in shape if isinstance(n, int))


def _elements(node: Node, inputs: Sequence[Elements]) -> Elements:
    shape, op = _shape(node), node.op
    if isinstance(node, Constant):
        return _filled(shape, [Constant(value) for value in node.value.flat])
    if op is None:
        names = [Variable("x", shape=(), dtype=node.dtype) for _ in range(prod(shape))]
        return _filled(shape, names)
    if isinstance(op, PerElement):
        columns = zip(*(np.broadcast_to(x, shape).flat for x in inputs), strict=True)
        return _filled(shape, [apply(op, *column) for column in columns])
    if isinstance(op, Reduction) and type(op) in _PAIRWISE:
        return _reduced(op, inputs[0], shape)
    kernel = _Kernel(node, inputs)
    for found in (kernel.constant, kernel.moved, kernel.combined):
        elements = found()
        if elements is not None:
            return elements
    if isinstance(op, Multilinear) and (products := _multiplied(node, inputs)) is not None:
        return products
    raise NotImplementedError(f"{op.name} has no form for single elements")


def _filled(shape: tuple[int, ...], nodes: Sequence[Node]) -> Elements:
    array = np.empty(len(nodes), dtype=object)
    for place, node in enumerate(nodes):  # one by one: a node does not become an array
        array[place] = node
    return array.reshape(shape)


def _reduced(op: Reduction, x: Elements, shape: tuple[int, ...]) -> Elements:
    """Return the result of a reduction by a function of two numbers."""
    axes = normalize_axes(op.axis, x.ndim)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = x.transpose([*kept, *axes]).reshape(prod(shape), -1)
    return _filled(shape, [reduce(_PAIRWISE[type(op)], row) for row in rows])


class _Kernel:
    """What an op does to numbers in place of the elements of its inputs; constants stay."""

    def __init__(self, node: Node, inputs: Sequence[Elements]) -> None:
        assert node.op is not None
        self._kernel = node.op.kernel()
        self._shape = _shape(node)
        self._sources = list(zip(node.inputs, inputs, strict=True))
        self._elements: list[Node] = []
        for source, elements in self._sources:
            if not isinstance(source, Constant):
                self._elements += elements.flat
        rng = np.random.default_rng(0)
        self._trials = rng.normal(size=(_TRIALS, len(self._elements)))

    def constant(self) -> Elements | None:
        """Return the result of an op on constants only."""
        result = None if self._elements else self._run(np.zeros(0))
        return None if result is None else _filled(self._shape, [Constant(x) for x in result])

    def moved(self) -> Elements | None:
        """Return the elements that the op moves; ``None`` if it does something else as well."""
        numbered = np.arange(len(self._elements), dtype=float)
        places = self._run(numbered)
        if places is None or not np.all(np.isin(places, numbered)):
            return None
        index = places.astype(int)
        for trial in self._trials:  # an op that sorts, say, moves other numbers elsewhere
            result = self._run(trial)
            if result is None or not np.array_equal(result, trial[index]):
                return None
        return _filled(self._shape, [self._elements[place] for place in index])

    def combined(self) -> Elements | None:
        """Return linear combinations; ``None`` if the op is not linear in all elements."""
        if len(self._elements) > _MOST_UNITS:
            return None
        units = map(self._run, np.eye(len(self._elements)))
        columns = [column for column in units if column is not None]
        if len(columns) < len(self._elements):
            return None
        rows = np.stack(columns, axis=1)
        for trial in self._trials:
            result = self._run(trial)
            if result is None or not np.allclose(result, rows @ trial, rtol=1e-10, atol=1e-12):
                return None
        return _filled(self._shape, [_combination(row, self._elements) for row in rows])

    def _run(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Return the flat result for inputs that hold these numbers; ``None`` if there is none."""
        arguments, start = [], 0
        for source, elements in self._sources:
            if isinstance(source, Constant):
                arguments.append(source.value)
            else:
                part = numbers[start : start + elements.size]
                arguments.append(part.reshape(elements.shape).astype(source.dtype))
                start += elements.size
        try:
            with np.errstate(all="ignore"):
                return np.asarray(self._kernel(*arguments), dtype=float).reshape(-1)
        except (TypeError, ValueError, IndexError):
            return None


def _combination(coefficients: np.ndarray[Any, Any], elements: Sequence[Node]) -> Node:
    terms = [
        element if factor == 1 else element * float(factor)
        for factor, element in zip(coefficients, elements, strict=True)
        if factor != 0
    ]
    return reduce(lambda x, y: x + y, terms) if terms else Constant(0.0)


def _multiplied(node: Node, inputs: Sequence[Elements]) -> Elements | None:
    """Return the result of a product such as ``matmul``, computed on the elements themselves."""
    assert node.op is not None
    try:
        result = node.op.kernel()(*inputs)
    except (TypeError, ValueError):
        return None
    return _filled(_shape(node), [result] if isinstance(result, Node) else [*result.flat])
