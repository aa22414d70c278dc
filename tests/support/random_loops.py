"""Loops, branches and maps for random graphs.

What a step, a branch or a row computes is grown like a graph, from the inputs of the body and from
nodes outside, and may hold loops, branches and maps itself.  Values of the first step say what fits
together; :func:`fitted` gives carries and results of branches the types that they must have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symad as sm
from symad.graph.node import Node
from tests.support.random_graphs import GAP, Builder, Maker

LOOPS: list[Maker] = []
DEEPEST = 2
"""How many bodies may be in one another."""
MOST_STEPS = 10


def loop(weight: int) -> Callable[[Maker], Maker]:
    """Add a way of making a node that has bodies, so many times; not in bodies at the bottom."""

    def put(make: Maker) -> Maker:
        def kept_flat(b: Builder) -> Node | None:
            return make(b) if b.depth < DEEPEST else None

        LOOPS.extend([kept_flat] * weight)
        return make

    return put


class Body:
    """A function that is grown; each call of it makes the same nodes."""

    def __init__(self, b: Builder, values: Sequence[Any]) -> None:
        self.outside, self.values = b, values
        self.seed = int(b.rng.integers(2**31))

    def __call__(self, inputs: Sequence[Node]) -> Builder:
        """Return the builder of the body, with what it has grown."""
        inner = self.outside.within(self.seed, inputs, self.values)
        inner.grow(int(inner.rng.integers(1, 4)))
        return inner


def fitted(b: Builder, like: Node) -> Node:
    """Return a node of the type of ``like``, which is made of it and of another."""
    kind, dtype, x = b.dtype(like).kind, b.dtype(like), b.pick()
    if kind == "b":
        return sm.logical_xor(like, sm.sum(x) > 0)
    if kind in "iu":
        return sm.maximum(like, sm.sum(x).astype(dtype)) if b.dtype(x).kind == "b" else like + 1
    other = x.astype(dtype) if b.shape(x) == b.shape(like) else sm.sum(x).astype(dtype)
    choice = b.rng.integers(5)
    if choice == 0:
        return sm.tanh(like + other)
    if choice == 1:
        return like * 0.5 + sm.sin(other)
    if choice == 2:
        return sm.where(sm.sin(like) > 0.1, like * 0.9, sm.cos(other) * like)
    if choice == 3:
        return like * sm.sigmoid(other) + 0.1
    return sm.zeros_like(like) + other * 0.5


def picked(b: Builder, most: int) -> list[Node]:
    return [b.pick() for _ in range(int(b.rng.integers(1, most + 1)))]


def sequences(b: Builder, most: int) -> list[Node]:
    """Return nodes with equally many elements along their first axes, at most so many nodes."""
    first = b.pick()
    if not b.shape(first) or b.shape(first)[0] > MOST_STEPS:
        return []
    others = [b.pick() for _ in range(int(b.rng.integers(most)))]
    return [first, *(x for x in others if b.shape(x)[:1] == b.shape(first)[:1])]


def element(b: Builder, x: Node, axis: int = 0) -> Any:
    """Return the value of an element; zeros if there is none."""
    rows = np.moveaxis(np.asarray(b.values[x]), axis, 0)
    return rows[0] if len(rows) else np.zeros(rows.shape[1:], rows.dtype)[()]


def one_of(b: Builder, nodes: Sequence[Node]) -> Node:
    return nodes[b.rng.integers(len(nodes))]


@loop(4)
def a_scan(b: Builder) -> Node | None:
    carries = picked(b, 3)
    rows = sequences(b, 3) if b.rng.random() < 0.7 else []
    body = Body(b, [*(b.values[c] for c in carries), *(element(b, x) for x in rows)])
    count = int(b.rng.integers(1, 3))

    def step(state: list[Node], elements: list[Node] | None) -> Any:
        inner = body([*state, *(elements or [])])
        return [fitted(inner, c) for c in state], [inner.pick() for _ in range(count)]

    last, stacks = sm.scan(
        step,
        carries,
        rows or None,
        length=None if rows else b.integer(int(b.rng.integers(5))),
        reverse=bool(b.rng.integers(2)),
        checkpoint=(None, None, 1, 2, 3)[b.rng.integers(5)],
    )
    return one_of(b, [*last, *stacks])


@loop(2)
def a_while_loop(b: Builder) -> Node | None:
    """It ends when a sum is small, or after a few steps."""
    carries, most = picked(b, 2), int(b.rng.integers(6))
    body = Body(b, [*(b.values[c] for c in carries), np.int64(0)])
    bound = float(b.rng.uniform(-1, 1))
    asked = int(b.rng.integers(len(carries)))

    def goes_on(state: list[Node]) -> Node:
        return sm.logical_and(state[-1] < most, sm.sum(sm.abs(state[asked])) > bound)

    def step(state: list[Node]) -> list[Node]:
        inner = body(state)
        return [*(fitted(inner, c) for c in state[:-1]), state[-1] + 1]

    return one_of(b, sm.while_loop(goes_on, step, [*carries, sm.constant(np.int64(0))])[:-1])


@loop(1)
def a_counting_loop(b: Builder) -> Node | None:
    carries, start = picked(b, 2), int(b.rng.integers(-2, 3))
    nearest = np.int64(max(start, 0))  # what has a pole or a kink at 0 is left out
    body = Body(b, [nearest, *(b.values[c] for c in carries)])

    def step(i: Node, state: list[Node]) -> list[Node]:
        inner = body([i, *state])
        return [fitted(inner, c) for c in state]

    stop = b.integer(start + int(b.rng.integers(4)))
    return one_of(b, sm.fori_loop(start, stop, step, carries))


@loop(4)
def a_branch(b: Builder) -> Node | None:
    """It depends on a number, which is not near the bound."""
    operands, x = picked(b, 2), b.pick()
    bound = float(b.rng.uniform(-2, 2))
    if abs(float(np.sum(b.values[x], dtype=float)) - bound) < GAP:
        return None
    values = [b.values[y] for y in operands]

    def branch() -> Callable[..., Any]:
        body = Body(b, values)

        def run(*inputs: Node) -> list[Node]:
            inner = body(inputs)
            return [fitted(inner, y) for y in inputs]

        return run

    above = sm.sum(x) > bound
    if b.rng.random() < 0.5:
        return one_of(b, sm.cond(above, branch(), branch(), *operands))
    index = above.astype("int64") + int(b.rng.integers(2))
    return one_of(b, sm.switch(index, [branch(), branch(), branch()], *operands))


@loop(3)
def a_map(b: Builder) -> Node | None:
    """Of elements along any axes."""
    rows = sequences(b, 3)
    if not rows:
        return None
    n = b.shape(rows[0])[0]
    axes = [int(b.rng.choice(np.flatnonzero(np.equal(b.shape(x), n)))) for x in rows]
    body = Body(b, [element(b, x, axis) for x, axis in zip(rows, axes, strict=True)])
    made = sm.vmap(lambda *elements: body(elements).pool[-2:], in_axes=tuple(axes))(*rows)
    return one_of(b, made)


@loop(1)
def a_running_product(b: Builder) -> Node | None:
    """Affine functions after one another, by an associative scan."""
    rows = [x for x in sequences(b, 2) if b.dtype(x).kind == "f"]
    if not rows or b.shape(rows[-1]) != b.shape(rows[0]):
        return None
    pair = (rows[0], rows[-1].astype(b.dtype(rows[0])))
    backwards = bool(b.rng.integers(2))
    made = sm.associative_scan(lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1]), pair, backwards)
    return one_of(b, made)
