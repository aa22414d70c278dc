"""Random graphs of numbers: any size, all elementwise ops, mixed dtypes.

``scalar_graph(seed, size)`` is the same graph each time.  Values are computed as it grows, so that
most stay in a range where later ops still have something to do; some are kept whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symad as sm
from symad.errors import SymadError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES
from symad.ops.adjoint import AddN, Cast
from symad.ops.base import PerElement
from tests.support.per_element import NUMPY_ONLY, arity

DTYPES = [np.dtype(name) for name in ("f8", "f4", "i8", "i4", "u1", "?", "f2")]
COMMON = DTYPES[:-1]
"""All but float16, for which some ops have no native code."""
LIKELY = np.array([10, 4, 2, 2, 1, 1, 0.5])
LARGEST = 100.0
NEAR = 30
"""Most operands are among so many latest values."""

EXACT = (
    "add", "subtract", "multiply", "divide", "negative", "abs", "square", "sqrt", "maximum",
    "minimum", "where", "less", "less_equal", "equal", "greater", "logical_and", "logical_not",
    "floor", "ceil", "trunc", "sign", "identity", "mod", "floor_divide",
)  # fmt: skip
"""Ops whose results are rounded as IEEE 754 says, so that NumPy has the same bits."""

ALL = tuple(
    name
    for name, kind in sorted(OP_CLASSES.items())
    if issubclass(kind, PerElement)
    and not kind._fields
    and name not in (*NUMPY_ONLY, "digamma", "power")  # integers to a negative power are an error
)


@dataclass(frozen=True)
class ScalarGraph:
    """A graph of numbers, with values for its inputs."""

    graph: sm.Graph
    values: tuple[Any, ...]


def scalar_graph(
    seed: int,
    size: int,
    names: tuple[str, ...] = ALL,
    dtypes: Sequence[np.dtype[Any]] = DTYPES,
    with_gradient: bool = False,
) -> ScalarGraph:
    """Return a graph of about ``size`` computed nodes, of the ops ``names``."""
    grower = _Grower(np.random.default_rng([seed, size]), names, dtypes)
    with np.errstate(all="ignore"):
        while grower.computed < size:
            grower.step()
    outputs = grower.outputs()
    if with_gradient:
        floats = [x for x in grower.inputs if x.type.is_float]
        y = sm.add_n([y.astype("float64") for y in outputs if y.type.is_float])
        outputs += sm.gradients(y, floats, unused="zero")
    return ScalarGraph(sm.Graph(outputs, grower.inputs), tuple(grower.given))


class _Grower:
    def __init__(
        self, rng: np.random.Generator, names: tuple[str, ...], dtypes: Sequence[np.dtype[Any]]
    ) -> None:
        self.rng, self.names, self.dtypes = rng, names, dtypes
        self.values: dict[Node, Any] = {}
        self.nodes: list[Node] = []
        self.unused: dict[Node, None] = {}
        self.inputs: list[Node] = []
        self.given: list[Any] = []
        self.computed = 0
        for number, dtype in enumerate([dtypes[0], *(self._dtype() for _ in range(6))]):
            node = sm.Variable(f"x{number}", shape=(), dtype=dtype)
            value = np.asarray(rng.uniform(0, 3)).astype(dtype)[()]
            self._keep(node, value)
            self.inputs.append(node)
            self.given.append(value)

    def _dtype(self) -> np.dtype[Any]:
        likely = LIKELY[: len(self.dtypes)]
        return self.dtypes[self.rng.choice(len(self.dtypes), p=likely / likely.sum())]

    def step(self) -> None:
        node = next(self._attempts())
        value = self._computed(node)
        is_tame = bool(np.isfinite(value)) and abs(float(value)) < LARGEST
        if is_tame or self.rng.random() < 0.03:
            self._keep(node, value)

    def _computed(self, node: Node) -> Any:
        assert node.op is not None
        value = node.op.kernel()(*[self.values[x] for x in node.inputs])
        return np.asarray(value).astype(node.dtype)[()]

    def _keep(self, node: Node, value: Any) -> None:
        self.values[node] = value
        self.nodes.append(node)
        self.unused[node] = None
        for source in node.inputs:
            self.unused.pop(source, None)
        self.computed += node.op is not None

    def _attempts(self) -> Iterator[Node]:
        """Yield nodes of random ops on random operands, where there are any."""
        makers: list[Callable[[], Node]] = [self._op, self._op, self._op, self._number]
        if "cast" in self.names:
            makers += [self._cast, self._sum]
        while True:
            try:
                yield makers[self.rng.integers(len(makers))]()
            except SymadError:  # the op is not defined for these dtypes
                continue

    def _pick(self) -> Node:
        near = self.rng.random() < 0.9
        least = max(0, len(self.nodes) - NEAR) if near else 0
        return self.nodes[self.rng.integers(least, len(self.nodes))]

    def _op(self) -> Node:
        op = OP_CLASSES[str(self.rng.choice(self.names))]
        assert issubclass(op, PerElement)
        if op.name in ("cast", "add_n"):
            return self._sum()
        operation = op()
        operands = [self._pick() for _ in range(arity(operation))]
        if op.name == "where":
            operands[0] = self._pick_truth()
        return apply(operation, *operands)

    def _pick_truth(self) -> Node:
        node = self._pick().astype(bool)
        if node not in self.values:
            self._keep(node, self._computed(node))
        return node

    def _number(self) -> Node:
        """Half of the numbers bring a value back into range."""
        x, number = self._pick(), float(self.rng.choice([0.5, 0.25, 1.5, -1.0, 2.0]))
        factor = sm.constant(number)
        self._keep(factor, np.float64(number))
        return x * factor if self.rng.random() < 0.7 else x + factor

    def _cast(self) -> Node:
        return apply(Cast(self._dtype()), self._pick())

    def _sum(self) -> Node:
        return apply(AddN(), *[self._pick() for _ in range(self.rng.integers(1, 9))])

    def outputs(self) -> list[Node]:
        """Return sums of all values that nothing uses, the last of them, and some others."""
        terms, sums = [*self.unused], []
        while terms:
            count = self.rng.integers(1, 30)
            sums.append(apply(AddN(), *terms[:count]))
            del terms[:count]
        some = self.rng.choice(len(self.nodes), 5)
        return [*sums, *list(self.unused)[-10:], *(self.nodes[k] for k in some)]
