"""Random graphs, with loops and derivatives to order 2: refused, or right in chunks.

``SYMAD_CHUNKED_GRAPHS`` sets how many are tried, and ``SYMAD_CHUNKED_FIRST`` the first seed; the
long run takes 1600.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import SymadError
from symad.graph.node import Node
from tests.distribution.support import check_in_chunks
from tests.support.random_graphs import SHAPES, Builder, Maker, random_axis
from tests.support.random_loops import LOOPS, one_of

GRAPHS = int(os.environ.get("SYMAD_CHUNKED_GRAPHS", "120"))
FIRST = int(os.environ.get("SYMAD_CHUNKED_FIRST", "0"))
BATCH = 40
SIZE = 5
"""The size of the dimension, which no other axis has."""
CHUNKED = ((SIZE,), (SIZE, 3), (SIZE, 1), (3, SIZE), (2, SIZE, 3), (SIZE, 3, 3))


class ChunkedBuilder(Builder):
    """Grows a graph from inputs of which some have the dimension."""

    def draw_inputs(self) -> Iterator[Any]:
        for _ in range(int(self.rng.integers(1, 3))):
            yield self.rng.uniform(-2, 2, CHUNKED[self.rng.integers(len(CHUNKED))])
        for _ in range(int(self.rng.integers(1, 3))):
            yield self.rng.uniform(-2, 2, SHAPES[self.rng.integers(len(SHAPES))])

    def new_input(self, array: Any) -> Node:
        shape = np.shape(array)
        names = {SIZE: "batch"} | ({3: "features"} if self.rng.random() < 0.3 else {})
        declared = tuple([names.get(n, n) for n in shape])
        made = sm.Variable(f"x{len(self.inputs)}", declared, array.dtype)
        self.values[made] = array[()]
        self.pool.append(made)
        self.inputs.append(made)
        return made

    def pick(self) -> Node:
        own = [x for x in self.pool if SIZE in self.shape(x)]
        return one_of(self, own) if own and self.rng.random() < 0.3 else super().pick()

    def axis(self, x: Node) -> int | None:
        """Return the axis on which a node has the dimension."""
        return self.shape(x).index(SIZE) if SIZE in self.shape(x) else None


def combined(b: Builder) -> Node | None:
    assert isinstance(b, ChunkedBuilder)
    x = b.pick()
    axis = b.axis(x)
    if axis is None:
        return None
    functions = (sm.sum, sm.mean, sm.max, sm.min, sm.logsumexp, sm.var, sm.linalg.norm, sm.argmax)
    made = functions[b.rng.integers(len(functions))](x, axis=axis)
    return made if made.type.is_float else made.astype("float64")


def along_another_axis(b: Builder) -> Node | None:
    assert isinstance(b, ChunkedBuilder)
    x = b.pick()
    axis = random_axis(b, x)
    if axis is None or b.axis(x) in (axis, axis + len(b.shape(x))):
        return None
    functions = (sm.softmax, sm.sum, sm.cumsum, sm.mean, sm.sort, sm.flip, sm.prod, sm.logsumexp)
    return functions[b.rng.integers(len(functions))](x, axis=axis)


def mapped(b: Builder) -> Node | None:
    """Map over the dimension, or a mean of each row over it."""
    assert isinstance(b, ChunkedBuilder)
    x, w = b.pick(), b.pick()
    axis = b.axis(x)
    if axis is None or b.axis(w) is not None:
        return None
    if b.rng.random() < 0.5:
        return sm.vmap(lambda row: sm.tanh(sm.sum(row)) * w, in_axes=axis)(x)
    if len(b.shape(x)) < 2:
        return None
    other = 0 if axis else 1
    return sm.vmap(lambda row: sm.sin(sm.mean(row)) + sm.sum(w * row[0]), in_axes=other)(x)


def looped(b: Builder) -> Node | None:
    """Carry a value with the dimension, or sums over it, through a loop, a branch or both."""
    assert isinstance(b, ChunkedBuilder)
    x, w = b.pick(), b.pick()
    axis, rows = b.axis(x), b.rng.uniform(-1, 1, 3)
    if axis is None or b.axis(w) is not None or b.dtype(w).kind != "f":
        return None
    total = sm.sum(w) * 0.1

    def step(state: Any, e: Any) -> Any:
        c, sums = state
        moved = sm.tanh(c * total + e) if b.rng.random() < 0.5 else c * sm.cos(c + e) * 0.5
        added = sums + sm.sum(moved * c, axis=axis) * total
        return (moved, added), sm.mean(moved, axis=axis)

    kind, first = b.rng.integers(4), (x, sm.zeros_like(sm.sum(x, axis=axis)))
    if kind == 0:
        (last, sums), means = sm.scan(step, first, sm.constant(rows))
        return one_of(b, [last, sums, means])
    if kind == 1:
        return one_of(b, sm.fori_loop(0, 3, lambda i, s: step(s, 0.3)[0], first))
    if kind == 2:
        start = (*first, sm.constant(0))
        made = sm.while_loop(lambda s: s[2] < 2, lambda s: (*step(s[:2], 0.2)[0], s[2] + 1), start)
        return one_of(b, made[:2])
    return sm.cond(total > 0, lambda a: step((a, first[1]), 0.1)[0][0], lambda a: a * total, x)


def of_sizes(b: Builder) -> Node | None:
    assert isinstance(b, ChunkedBuilder)
    x = b.pick()
    axis = b.axis(x)
    if axis is None:
        return None
    n = x.shape[axis]
    if axis == 0 and b.rng.random() < 0.6:
        return sm.reshape(x, (n, -1)) if b.rng.random() < 0.5 else sm.reshape(x, (-1,))
    return x / n if b.rng.random() < 0.5 else sm.zeros((n,)) + sm.sum(x * 0.1, axis=None) / n


MORE: list[Maker] = [combined, along_another_axis] * 5 + [mapped, looped] * 3 + [of_sizes] * 2


def chunked_graph(seed: int) -> tuple[sm.Graph, Sequence[Any]] | None:
    """Return the random graph of a seed and values for its inputs; it may have derivatives."""
    rng = np.random.default_rng(seed)
    makers = MORE * 2 + ([*LOOPS, *[looped] * 30] if seed % 3 == 0 else [])
    builder = ChunkedBuilder(rng, ("float64",), "named", makers)
    builder.grow(int(rng.integers(3, 11)))
    outputs, inputs = made_from_chunks(builder), builder.inputs
    values = [y for y in outputs if y.type.is_float]
    try:
        if values and seed % 4:
            wanted = inputs if seed % 2 else inputs[-1:]
            total = sm.add_n([sm.sum(y) for y in values])
            total = total / (1 + total**2) if rng.random() < 0.4 else total
            outputs += (first := sm.gradients(total, wanted, unused="zero"))
            if seed % 4 == 3:
                squares = sm.add_n([sm.sum(v * v) for v in first[-1:]])
                outputs = sm.gradients(squares, inputs[-1:], unused="zero")
    except SymadError:
        return None
    kept = [y for y in outputs if rng.random() < 0.7] or outputs[-1:]
    graph = sm.Graph(kept, inputs)
    is_chunked = not of_dimension(graph, builder).isdisjoint(kept)
    return (graph, [builder.values[x] for x in inputs]) if is_chunked else None


def made_from_chunks(b: ChunkedBuilder) -> list[Node]:
    """Return the last node that depends on the dimension, perhaps its sum, and another one."""
    own = of_dimension(sm.Graph(b.pool, b.inputs), b)
    last = [x for x in b.pool if x in own][-1]
    axis = b.axis(last)
    if axis is not None and b.rng.random() < 0.6:
        last = (sm.sum if b.rng.random() < 0.5 else sm.mean)(last, axis=axis)
    return list(dict.fromkeys([last, b.pick()]))


def of_dimension(graph: sm.Graph, b: ChunkedBuilder) -> set[Node]:
    """Return the nodes of a graph that depend on an input with the dimension."""
    own = {x for x in b.inputs if SIZE in b.shape(x)}
    for node in graph.nodes:
        if not own.isdisjoint(node.inputs):
            own.add(node)
    return own


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs_in_chunks(first: int) -> None:
    accepted = 0
    for seed in range(first, min(first + BATCH, FIRST + GRAPHS)):
        made = chunked_graph(seed)
        if made is not None:
            accepted += check_in_chunks(*made, seed)
    assert accepted > BATCH // 8
