"""Which elements the results of loops, maps and calls depend on: from the patterns of their bodies.

The pattern of a body is found once, by the numbers of the elements of its own inputs.  A run of the
body then joins the sets of these elements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symad.graph.dependence import KnownValues, dependence
from symad.graph.graph import Graph
from symad.graph.index_sets import IndexSets, Labels
from symad.graph.node import Node
from symad.ops.batching import shape_of


class BodySets:
    """The pattern of a body.

    Parameters
    ----------
    body : Graph
        All types are static.
    sets : IndexSets
        The sets of the values outside.
    outer : dict from Node to Node
        For inputs that are the same in all runs, the nodes outside.
    """

    def __init__(self, body: Graph, sets: IndexSets, outer: Mapping[Node, Node]) -> None:
        self._sets = sets
        self._inputs = body.inputs
        self._shapes = [shape_of(node) for node in body.outputs]
        known = {x: sets.value(node) for x, node in outer.items() if not node.type.is_float}
        sizes = [math.prod(shape_of(node)) for node in body.inputs]
        ends = np.cumsum([0, *sizes])
        inner = IndexSets(int(ends[-1]), KnownValues(known))
        starts = {
            node: inner.single(shape_of(node), int(start))
            for node, start in zip(body.inputs, ends, strict=False)
            if node.type.is_float
        }
        labels = dependence(body, starts, inner)
        sets.dense += inner.dense
        none = [np.zeros(shape, np.intp) for shape in self._shapes]
        found = [labels.get(y, zero) for y, zero in zip(body.outputs, none, strict=True)]
        self._links = [_links(*inner.rows(array)) for array in found]

    def run(self, labels: Sequence[Labels | None], rows: int | None = None) -> list[Labels]:
        """Return the labels of the outputs for those of the inputs.

        With ``rows``, the body is run for each row of all ``labels`` at once.
        """
        lead = () if rows is None else (rows,)
        flat = [np.zeros((*lead, 0), np.intp)]
        for array, node in zip(labels, self._inputs, strict=True):
            shape = (*lead, math.prod(shape_of(node)))
            flat.append(np.zeros(shape, np.intp) if array is None else array.reshape(shape))
        given = np.concatenate(flat, axis=-1)
        return [
            self._joined(given, places, sources, shape, lead)
            for (places, sources), shape in zip(self._links, self._shapes, strict=True)
        ]

    def _joined(
        self, given: Any, places: Any, sources: Any, shape: tuple[int, ...], lead: tuple[int, ...]
    ) -> Labels:
        if lead:
            places = np.arange(lead[0])[:, None] * math.prod(shape) + places
        return self._sets.united(places, given[..., sources], (*lead, *shape))


def _links(ends: Any, numbers: Any) -> tuple[Any, Any]:
    """Return the flat places of elements of an output, each with the number of one input's."""
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends)), numbers


def labels_of_results(labels: Sequence[Labels]) -> Labels:
    """Return the labels of the value of an op with one result, or with several."""
    return labels[0] if len(labels) == 1 else dict(enumerate(labels))


def of_map(
    body: Graph, sequences: int, sets: IndexSets, labels: Sequence[Labels | None], inputs: Any
) -> Sequence[Labels]:
    """Return the labels of the results of a map."""
    shared = dict(zip(body.inputs[sequences:], inputs[sequences:], strict=True))
    rows = shape_of(inputs[0])[0]
    repeated = [
        None if array is None else np.broadcast_to(array, (rows, *array.shape))
        for array in labels[sequences:]
    ]
    return BodySets(body, sets, shared).run([*labels[:sequences], *repeated], rows)


def of_scan(
    body: Graph,
    counts: tuple[int, int],
    steps: Sequence[int],
    sets: IndexSets,
    labels: Sequence[Labels | None],
    inputs: Sequence[Node],
) -> Sequence[Labels]:
    """Return the labels of the last carries and of the stacked outputs of a scan.

    Parameters
    ----------
    body : Graph
    counts : (int, int)
        The numbers of carries and of sequences.
    steps : sequence of int
        The elements of sequences in the order of the steps.
    """
    carries, last = counts[0], sum(counts)
    shared = dict(zip(body.inputs[last:], inputs[last:], strict=True))
    inner = BodySets(body, sets, shared)
    carry = list(labels[:carries])
    stacks = [np.zeros((len(steps), *shape_of(y)), np.intp) for y in body.outputs[carries:]]
    for step in steps:
        elements = [None if array is None else array[step] for array in labels[carries:last]]
        made = inner.run([*carry, *elements, *labels[last:]])
        carry = list(made[:carries])
        for stack, array in zip(stacks, made[carries:], strict=True):
            stack[step] = array
    return [*_filled(carry, inputs[:carries]), *stacks]


def of_any_steps(
    body: Graph,
    carries: int,
    sequences: int,
    sets: IndexSets,
    labels: Sequence[Labels | None],
    inputs: Sequence[Node],
) -> Sequence[Labels]:
    """Return the labels of the results of a loop for any number of steps.

    Those of carries are joined until none changes; a stack has one row, which is that of all steps.
    """
    last = carries + sequences
    shared = dict(zip(body.inputs[last:], inputs[last:], strict=True))
    inner = BodySets(body, sets, shared)
    rows = [x if x is None else sets.along(x, 0, keepdims=False) for x in labels[carries:last]]
    carry = _filled(labels[:carries], inputs[:carries])
    while True:
        made = inner.run([*carry, *rows, *labels[last:]])
        new = [sets.joined(a, b) for a, b in zip(carry, made, strict=False)]
        if all(map(np.array_equal, carry, new)):
            return [*carry, *(row[np.newaxis] for row in made[carries:])]
        carry = new


def of_branch(
    branches: Sequence[Graph],
    sets: IndexSets,
    labels: Sequence[Labels | None],
    inputs: Sequence[Node],
) -> Sequence[Labels]:
    """Return the labels of the results of whichever branch may be taken."""
    made = [
        BodySets(body, sets, dict(zip(body.inputs, inputs, strict=True))).run(labels)
        for body in branches
    ]
    return [sets.joined(*results) for results in zip(*made, strict=True)]


def _filled(labels: Sequence[Labels | None], likes: Sequence[Node]) -> list[Labels]:
    return [
        np.zeros(shape_of(node), np.intp) if array is None else array
        for array, node in zip(labels, likes, strict=True)
    ]
