"""Random graphs over a wide subset of the ops, with inputs on which they are finite and smooth.

``random_graph(seed)`` is the same graph each time.  Graphs grow step by step from a pool of nodes
whose values are known: a step picks operands, builds a node, and keeps it if its value is finite,
of moderate size and away from kinks, so that derivatives are defined and well conditioned.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symad as sm
from symad.errors import SymadError
from symad.graph.nested import is_nested, leaves
from symad.graph.node import Constant, Node
from symad.graph.traverse import topological_order
from symad.types import TensorType
from tests.support.op_checks import KNOWLEDGE, declare, kernel_of

Array = np.ndarray[Any, Any]
Rng = np.random.Generator

SHAPES = ((), (3,), (2, 3), (2, 1), (1, 3), (3, 3), (2, 3, 3))
"""Few, so that they often fit together; sizes 1 broadcast."""

MOST_ELEMENTS = 200_000
LARGEST = 50.0
GAP = 1e-2
"""Values stay that far from kinks and poles, also when float32 rounds them."""


@dataclass(frozen=True)
class RandomGraph:
    """A graph with values for its inputs."""

    seed: int
    graph: sm.Graph
    arrays: tuple[Array, ...]

    @property
    def is_float32(self) -> bool:
        """Whether some of it is computed in float32."""
        types = (node.type for node in self.graph.nodes)
        return any(isinstance(t, TensorType) and t.dtype == np.float32 for t in types)

    def __str__(self) -> str:
        feeds = "\n".join(
            f"{node.name} = {array.tolist()}  # {array.dtype}"
            for node, array in zip(self.graph.inputs, self.arrays, strict=True)
        )
        return f"random_graph({self.seed})\n{self.graph}\n{feeds}"


def random_graph(
    seed: int,
    steps: int = 10,
    dtypes: Sequence[str] = ("float64", "float32"),
    knowledge: str | None = None,
    makers: Sequence[Maker] = (),
) -> RandomGraph:
    """Return the random graph of a seed.

    Parameters
    ----------
    seed : int
    steps : int
        How many operations it applies to earlier nodes, about.
    dtypes : sequence of str
        The floating dtypes that it mixes.
    knowledge : {"static", "named", "unknown"}, optional
        What the variables declare of their shapes; random unless given.
    makers : sequence of functions
        Ways of making a node, beside those of this module.
    """
    rng = np.random.default_rng(seed)
    knowledge = knowledge or str(rng.choice(KNOWLEDGE))
    builder = Builder(rng, dtypes, knowledge, makers)
    builder.grow(steps)
    return builder.finish(seed)


class Builder:
    """Grows a graph; other generators override what it starts from, and what it keeps."""

    reports_errors = True
    """Whether an op must take all that is known to fit."""
    may_be_empty = False

    def __init__(
        self, rng: Rng, dtypes: Sequence[str], knowledge: str, makers: Sequence[Maker] = ()
    ) -> None:
        self.rng, self.dtypes, self.knowledge, self.more = rng, dtypes, knowledge, makers
        self.values: dict[Node, Any] = {}
        self.pool: list[Node] = []
        self.steps = self.depth = 0
        self.inputs: list[Node] = []
        for array in self.draw_inputs():
            self.new_input(array)

    def draw_inputs(self) -> Iterator[Array]:
        """Yield the values of the inputs."""
        for _ in range(int(self.rng.integers(1, 4))):
            shape = SHAPES[self.rng.integers(len(SHAPES))]
            yield np.asarray(self.rng.uniform(-2, 2, shape)).astype(self.rng.choice(self.dtypes))

    def new_input(self, array: Array) -> Node:
        """Return a variable with a value."""
        variable = declare(f"x{len(self.inputs)}", array, self.knowledge)
        self.values[variable] = array[()]
        self.pool.append(variable)
        self.inputs.append(variable)
        return variable

    def integer(self, value: int) -> Any:
        """Return an integer, for a number of steps."""
        return value

    def within(self, seed: int, inputs: Sequence[Node], values: Sequence[Any]) -> Builder:
        """Return a builder of a body, which starts from its inputs and a few nodes outside."""
        self.values.update(zip(inputs, values, strict=True))
        inner = copy.copy(self)
        inner.rng, inner.steps, inner.depth = np.random.default_rng(seed), 0, self.depth + 1
        outside = inner.rng.choice(len(self.pool), min(2, len(self.pool)), replace=False)
        inner.pool = [*(self.pool[k] for k in outside), *inputs]
        return inner

    def makers(self) -> Sequence[Maker]:
        """Return the ways of making a node."""
        return [*MAKERS, *self.more]

    def will_do(self, value: Any) -> bool:
        """Return whether a node of that value is kept."""
        return _will_do(value)

    def pick(self) -> Node:
        """Return an earlier node; later ones are likelier."""
        weights = np.arange(1, len(self.pool) + 1) ** 0.7
        return self.pool[self.rng.choice(len(self.pool), p=weights / weights.sum())]

    def grow(self, steps: int) -> None:
        """Make so many nodes, if they can be made."""
        for _ in range(4 * steps):
            if self.steps == steps:
                break
            self.step()

    def step(self) -> None:
        """Try one operation; keep what it made if its value will do."""
        makers = self.makers()
        make = makers[self.rng.integers(len(makers))]
        try:
            node = make(self)
            if node is None or node in self.values:
                return
            fresh = dict(self._evaluate(node))
        except SymadError:
            if self.knowledge == "static" and self.reports_errors:
                raise
            return  # the op needs to know more about shapes than the variables say
        except ValueError:  # the rows of a loop without steps have no sizes if these are not known
            if self.knowledge == "static":
                raise
            return
        if all(map(self.will_do, fresh.values())) and (self.may_be_empty or np.size(fresh[node])):
            self.values.update(fresh)
            self.pool.append(node)
            self.steps += 1

    def _evaluate(self, node: Node) -> Iterator[tuple[Node, Any]]:
        """Yield the nodes that are new, and their values."""
        found: dict[Node, Any] = {}
        for new in topological_order([node], stop=self.values):
            if new in self.values:
                continue
            if isinstance(new, Constant):
                found[new] = new.value[()]
            else:
                assert new.op is not None
                known = {**self.values, **found}
                with np.errstate(all="ignore"):
                    found[new] = kernel_of(new.op)(*[known[source] for source in new.inputs])
            yield new, found[new]

    def finish(self, seed: int) -> RandomGraph:
        """Return the graph of the last node and one more."""
        outputs = list(dict.fromkeys([self.pool[-1], self.pick()]))
        arrays = tuple(np.asarray(self.values[x]) for x in self.inputs)
        return RandomGraph(seed, sm.Graph(outputs, self.inputs), arrays)

    def shape(self, node: Node) -> tuple[int, ...]:
        return np.shape(self.values[node])

    def dtype(self, node: Node) -> np.dtype[Any]:
        return np.asarray(self.values[node]).dtype

    def near_zero(self, *nodes: Node) -> bool:
        return any(bool(np.any(np.abs(self.values[node]) < GAP)) for node in nodes)


Maker = Callable[[Builder], Node | None]
MAKERS: list[Maker] = []


def _will_do(value: Any) -> bool:
    if is_nested(value):
        return all(map(_will_do, leaves(value)))
    if value.dtype.kind != "f":
        return True
    return bool(np.all(np.isfinite(value)) and np.max(np.abs(value), initial=0) < LARGEST)


def maker(weight: int) -> Callable[[Maker], Maker]:
    """Add a way of making a node to the list, so many times."""

    def put(make: Maker) -> Maker:
        MAKERS.extend([make] * weight)
        return make

    return put


SMOOTH = (
    sm.sin, sm.cos, sm.tanh, sm.exp, sm.sigmoid, sm.softplus, sm.square, sm.negative, sm.expm1,
    sm.atan, sm.asinh, sm.erf, sm.identity,
)  # fmt: skip
KINKED_AT_ZERO = (sm.abs, sm.relu, sm.sign, sm.reciprocal)
POSITIVE = (sm.log, sm.sqrt, sm.log1p, sm.gammaln)


@maker(5)
def smooth(b: Builder) -> Node | None:
    return SMOOTH[b.rng.integers(len(SMOOTH))](b.pick())


@maker(2)
def kinked(b: Builder) -> Node | None:
    x = b.pick()
    return None if b.near_zero(x) else KINKED_AT_ZERO[b.rng.integers(len(KINKED_AT_ZERO))](x)


@maker(2)
def positive(b: Builder) -> Node | None:
    x = b.pick()
    function = POSITIVE[b.rng.integers(len(POSITIVE))]
    return function(x) if np.all(b.values[x] > 0.1) else function(x * x + 0.5)


def pick_two(b: Builder) -> tuple[Node, Node] | None:
    """Return two nodes that broadcast together."""
    x, y = b.pick(), b.pick()
    try:
        shape = np.broadcast_shapes(b.shape(x), b.shape(y))
    except ValueError:
        return None
    return (x, y) if len(shape) <= 3 and math.prod(shape) < MOST_ELEMENTS else None


@maker(8)
def arithmetic(b: Builder) -> Node | None:
    pair = pick_two(b)
    if pair is None:
        return None
    x, y = pair
    kind = b.rng.integers(6)
    if kind == 0:
        return x + y
    if kind == 1:
        return x - y
    if kind == 2:
        return x * y
    if kind == 3:
        return None if b.near_zero(y) else x / y
    if kind == 4:
        return None if b.near_zero(x, y) else sm.atan2(x, y)
    return sm.logaddexp(x, y)


@maker(2)
def with_number(b: Builder) -> Node | None:
    x, number = b.pick(), float(np.round(b.rng.uniform(-2, 2), 2))
    return [lambda: x * number, lambda: number - x, lambda: x**2, lambda: (x * x + 1) ** number][
        b.rng.integers(4)
    ]()


@maker(2)
def choice(b: Builder) -> Node | None:
    pair = pick_two(b)
    if pair is None or np.any(np.abs(np.subtract(*(b.values[x] for x in pair))) < GAP):
        return None
    x, y = pair
    return [lambda: sm.maximum(x, y), lambda: sm.minimum(x, y), lambda: sm.where(x > y, y, x * y)][
        b.rng.integers(3)
    ]()


def random_axis(b: Builder, x: Node) -> int | None:
    rank = len(b.shape(x))
    return int(b.rng.integers(-rank, rank)) if rank else None


@maker(4)
def reduction(b: Builder) -> Node | None:
    x = b.pick()
    axis = random_axis(b, x) if b.rng.random() < 0.8 else None
    keepdims = bool(b.rng.random() < 0.4)
    function = (sm.sum, sm.mean, sm.prod, sm.logsumexp, sm.max, sm.min)[b.rng.integers(6)]
    if function in (sm.max, sm.min) and (0 in b.shape(x) or _has_ties(b.values[x])):
        return None
    return function(x, axis=axis, keepdims=keepdims)


def _has_ties(value: Any) -> bool:
    return bool(np.any(np.diff(np.sort(np.ravel(value))) < GAP))


@maker(2)
def along_axis(b: Builder) -> Node | None:
    x = b.pick()
    axis = random_axis(b, x)
    if axis is None:
        return None
    function = (sm.softmax, sm.log_softmax, sm.cumsum, sm.flip)[b.rng.integers(4)]
    return function(x, axis=axis)


@maker(4)
def matrix_product(b: Builder) -> Node | None:
    x, y = b.pick(), b.pick()
    if not b.shape(x) or not b.shape(y) or b.shape(x)[:-2] != b.shape(y)[:-2]:
        return None
    inner = b.shape(y)[-2] if len(b.shape(y)) > 1 else b.shape(y)[0]
    if b.shape(x)[-1] == inner:
        return x @ y
    if len(b.shape(x)) > 1 and b.shape(x)[-2] == inner:
        return x.mT @ y
    return None


@maker(4)
def shape_change(b: Builder) -> Node | None:
    x = b.pick()
    shape = b.shape(x)
    kind = b.rng.integers(5)
    if kind == 0:
        return x.T
    if kind == 1:
        return sm.reshape(x, (-1,)) if int(np.prod(shape)) <= 9 else None
    if kind == 2 and len(shape) < 3:
        return sm.expand_dims(x, int(b.rng.integers(-1, len(shape))))
    if kind == 3 and 1 in shape:
        return sm.squeeze(x, shape.index(1))
    if kind == 4 and shape in ((), (3,), (1, 3)):
        return sm.broadcast_to(x, (2, 3))
    return None


@maker(3)
def subscript(b: Builder) -> Node | None:
    x = b.pick()
    if not b.shape(x):
        return None
    size = b.shape(x)[0]
    kind = b.rng.integers(4)
    if kind == 0:
        return x[int(b.rng.integers(-size, size))]
    if kind == 1:
        return x[::-1]
    if kind == 2:
        return x[b.rng.integers(-size, size, 3)]
    return x[..., :2]


@maker(2)
def join(b: Builder) -> Node | None:
    x, y = b.pick(), b.pick()
    if b.shape(x) != b.shape(y) or len(b.shape(x)) > 2:
        return None
    if b.shape(x) and b.rng.random() < 0.5:
        return sm.concat([x, y], axis=-1) if b.shape(x)[-1] < 4 else None
    return sm.stack([x, y], axis=0)


@maker(1)
def structure(b: Builder) -> Node | None:
    x, y = b.pick(), b.pick()
    packed = sm.structure({"x": x, "list": [y, x]})
    return packed["list"][0] if b.rng.random() < 0.5 else packed["x"] + sm.sin(x)


@maker(1)
def cast(b: Builder) -> Node | None:
    return b.pick().astype(b.rng.choice(b.dtypes))
