"""Splitting a graph: what is computed on each chunk of a dimension, and what once, by the caller.

The states of all values are derived from those of the inputs, in which a name of a dimension says
what is in chunks.  The graph is cut where values are first combined over the dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

import symad.distribution.bodies
import symad.distribution.expansions
import symad.distribution.scaled  # noqa: F401 (they register what they expand)
from symad.distribution.combine import Merge, merge_results, merge_tree
from symad.distribution.states import REPLICATED, Aligned, Partial, State
from symad.distribution.walk import ChunkWalk, known_shape
from symad.errors import DistributionError, FeedError, did_you_mean
from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, Parameter, Variable
from symad.records import dataclass
from symad.runtime.compiler import compile
from symad.runtime.function import Function
from symad.types import StructureType, TensorType

SIZE = -1
"""Represents the size of the whole dimension among the inputs that a graph takes."""


@dataclass(frozen=True, slots=True)
class Split:
    """A graph as two: one for each chunk of a dimension, and one for the merged results.

    Attributes
    ----------
    over : str
        The name of the dimension.
    chunked_inputs : tuple of (tuple of int)
        For each input of the graph, the axes that have the dimension: none, or one.
    worker : Graph
        It computes, from a chunk, values that are merged.  It has no parameters: they are variables
        with the same names.
    worker_takes : tuple of int
        For each input of ``worker``, the index of the input of the whole graph (a chunk of it if it
        has the dimension), or :data:`SIZE`: the size of the whole dimension, an int64.
    merges : tuple of Merge
        How the outputs of ``worker`` are merged, in order; each takes ``width`` of them.
    caller : Graph
        It computes the outputs of the whole graph, in order.  Its inputs are the merged values, as
        many as ``worker`` has outputs, and then those of ``caller_takes``; parameters are those of
        the whole graph.  An aligned output is an input that is returned.
    caller_takes : tuple of int
        As ``worker_takes``, for the other inputs of ``caller``; none has the dimension.
    """

    over: str
    chunked_inputs: tuple[tuple[int, ...], ...]
    worker: Graph
    worker_takes: tuple[int, ...]
    merges: tuple[Merge, ...]
    caller: Graph
    caller_takes: tuple[int, ...]

    def size_of(self, values: Sequence[Any]) -> int:
        """Return the size of the whole dimension in the values of all inputs of the graph.

        Raises
        ------
        FeedError
            If inputs have different sizes.
        """
        pairs = zip(values, self.chunked_inputs, strict=True)
        sizes = {int(np.shape(value)[axis]) for value, axes in pairs for axis in axes}
        if len(sizes) != 1:
            raise FeedError(f"the inputs have different sizes of {self.over!r}: {sorted(sizes)}")
        return sizes.pop()

    def chunk(self, values: Sequence[Any], start: int, stop: int, size: int) -> list[Any]:
        """Return the inputs of ``worker`` for one chunk of the values of the graph's inputs."""
        return [
            np.int64(size) if k == SIZE
            else _part(values[k], self.chunked_inputs[k], start, stop)
            for k in self.worker_takes
        ]  # fmt: skip

    def whole(self, merged: Sequence[Any], values: Sequence[Any], size: int) -> list[Any]:
        """Return the inputs of ``caller``."""
        others = [np.int64(size) if k == SIZE else values[k] for k in self.caller_takes]
        return [*merged, *others]

    def merge(self, left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
        """Return the merged results of two neighbouring chunks, or groups of chunks."""
        return merge_results(self.merges, left, right)


def _part(value: Any, axes: tuple[int, ...], start: int, stop: int) -> Any:
    index = tuple([slice(start, stop) if k in axes else slice(None) for k in range(np.ndim(value))])
    return np.asarray(value)[index] if axes else value


def split(function: Function | Graph, over: str) -> Split:
    """Return what is computed on each chunk of a dimension, and what once from merged results.

    Parameters
    ----------
    function : Function or Graph
    over : str
        The name of a dimension in the shapes of inputs.

    Raises
    ------
    DistributionError
        If the graph cannot be computed in chunks, with one round of communication.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("batch", 3))
    >>> w = sm.Variable("w", shape=(3,))
    >>> made = split(sm.Graph([sm.sum((x @ w) ** 2) + sm.sum(w)]), "batch")
    >>> print(made.caller)
    graph(%0: f64[] "sum 0", %1: f64[3] "w")
      %2: f64[] = sum(%1, axis=None, keepdims=False)
      %3: f64[] = add(%0, %2)
      return %3
    """
    graph = function.graph if isinstance(function, Function) else function
    given = {node: _state_of_input(node, over) for node in graph.inputs}
    if not any(isinstance(state, Aligned) for state in given.values()):
        names = {dim for node in graph.inputs for dim in known_shape(node) if isinstance(dim, str)}
        raise DistributionError(
            f"no input has a dimension named {over!r}.{did_you_mean(over, names)}",
            remedy='Name it in a shape: sm.Variable("X", shape=("batch", 784)).',
        )
    walk = ChunkWalk(over, given, Variable(f"size of {over}", (), "int64"))
    return _cut(graph, walk, walk.run(graph))


def _state_of_input(node: Node, over: str) -> State:
    axes = [k for k, dim in enumerate(known_shape(node)) if dim == over]
    if len(axes) > 1:
        raise DistributionError(
            f"{node!r} has the dimension {over!r} twice, so that all its elements are paired",
            where=node.site.describe(),
        )
    return Aligned(axes[0]) if axes else REPLICATED


def _cut(graph: Graph, walk: ChunkWalk, outputs: list[Node]) -> Split:
    """Return the split of a graph, whose outputs are now ``outputs``."""
    front = walk.frontier(outputs)
    merges = _merges(walk, front)
    merged = _variables(front, merges)
    leaves = [*graph.inputs, walk.size]
    worker = _taking(front, leaves)
    state = [x for x in worker.inputs if isinstance(x, Parameter)]
    plain: dict[Node, Node] = {x: _variable(x.label, x) for x in state}
    others = [x for x in leaves if x not in merged]
    caller = rebuild(_taking(outputs, [*front, *others], len(front)), replace_inputs, merged)
    number = {node: k for k, node in enumerate(graph.inputs)} | {walk.size: SIZE}
    states = [walk.states[x] for x in graph.inputs]
    return Split(
        walk.over,
        tuple([(state.axis,) if isinstance(state, Aligned) else () for state in states]),
        rebuild(worker, replace_inputs, plain),
        tuple([number[node] for node in worker.inputs]),
        merges,
        caller,
        tuple([number[node] for node in caller.inputs[len(front) :]]),
    )


def _merges(walk: ChunkWalk, front: Sequence[Node]) -> tuple[Merge, ...]:
    """Return how the values that workers return are merged; some are merged together."""
    merges: list[Merge] = []
    rest = iter(front)
    for node in rest:
        state = walk.states[node]
        if isinstance(node.type, StructureType):
            raise DistributionError(
                f"{node!r} is a structure that is computed in chunks",
                where=node.site.describe(),
                remedy="Return its items.",
            )
        if isinstance(state, Aligned):
            merges.append(Merge("aligned", state.axis))
        else:
            merges.append(Merge(state.merge if isinstance(state, Partial) else "same"))
        for _ in range(merges[-1].width - 1):
            next(rest)
    return tuple(merges)


def _variables(front: Sequence[Node], merges: Sequence[Merge]) -> dict[Node, Node]:
    """Return a variable for the merged value of each value that workers return."""
    names = [merge.name for merge in merges for _ in range(merge.width)]
    return {
        node: _variable(f"{name} {k}", node)
        for k, (node, name) in enumerate(zip(front, names, strict=True))
    }


def _variable(name: str, like: Node) -> Node:
    assert isinstance(like.type, TensorType)
    return Variable(name, like.type.shape, like.type.dtype)


def _taking(outputs: Sequence[Node], leaves: Sequence[Node], always: int = 0) -> Graph:
    """Return a graph that has those of the ``leaves`` as inputs that it uses."""
    graph = Graph(outputs, leaves)
    used = set(graph.nodes)
    inputs = [node for k, node in enumerate(leaves) if k < always or node in used]
    return Graph(outputs, inputs)


def run_in_chunks(split: Split, values: Sequence[Any], chunks: Sequence[int]) -> list[Any]:
    """Return the outputs for the values of all inputs, computed in chunks of these sizes, in turn.

    This is the reference for what runs elsewhere.  ``chunks`` add up to the size of the dimension;
    ``values`` include those of parameters.
    """
    size, ends = split.size_of(values), list(accumulate(chunks, initial=0))
    worker = compile(split.worker.inputs, list(split.worker.outputs), backend="numpy")
    parts = [split.chunk(values, start, stop, size) for start, stop in pairwise(ends)]
    merged = merge_tree(split.merges, [worker(*part) for part in parts])
    caller = compile(split.caller.inputs, list(split.caller.outputs), backend="numpy")
    results: list[Any] = caller(*split.whole(merged, values, size))
    return results
