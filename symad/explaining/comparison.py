"""The ways of differentiating one function, compared by cost and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from symad.autodiff.forward import pushforward, tangents
from symad.autodiff.numeric import numerical_gradient
from symad.autodiff.reverse import extend, gradients
from symad.errors import FeedError, GradientError
from symad.explaining.counts import Operations, operations_of_all
from symad.explaining.expansion import expand
from symad.graph.graph import Graph
from symad.graph.node import Node, Variable
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.table import Table, Tabular
from symad.notation.values import format_number
from symad.passes.specialise import specialise
from symad.records import dataclass
from symad.runtime.compiler import compile
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import optimise
from symad.runtime.values import node_values

Array = np.ndarray[Any, Any]

_SHOWN = 4  # the most partial derivatives that have columns in the table


@dataclass(frozen=True)
class Way:
    """One way of computing all partial derivatives of a function.

    Attributes
    ----------
    name : str
    runs : int
        The number of evaluations, formulas or passes.
    unit : str
        "evaluation", "formula" or "pass".
    operations : Operations
        The scalar operations for all partial derivatives together.
    values : tuple of arrays
        The derivatives with respect to each x.
    """

    name: str
    runs: int
    unit: str
    operations: Operations
    values: tuple[Array, ...]

    @property
    def flat(self) -> Array:
        """All partial derivatives as one vector."""
        return np.concatenate([np.ravel(value) for value in self.values])


class Comparison(Tabular):
    """The ways of differentiating side by side; made by :func:`symad.compare_derivatives`.

    Attributes
    ----------
    ways : tuple of Way
        One-sided and central differences, symbolic expansion, forward mode, reverse mode, and
        reverse mode as compiled.
    names : tuple of str
        The names of the partial derivatives with respect to each x.
    """

    def __init__(self, ways: Sequence[Way], names: Sequence[str]) -> None:
        self.ways = tuple(ways)
        self.names = tuple(names)

    def error(self, way: Way) -> float:
        """Return the largest difference of a derivative from reverse mode."""
        exact = next(other for other in self.ways if other.name == "reverse mode")
        return float(np.max(np.abs(way.flat - exact.flat)))

    @property
    def table(self) -> Table:
        """A row for each way."""
        few = self.ways[0].flat.size <= _SHOWN and all(v.ndim == 0 for v in self.ways[0].values)
        titles = ["way", "takes", "multiplications", "additions", "functions", "error"]
        rows = [[*self._row(way), *(_digits(way) if few else [])] for way in self.ways]
        columns = set(range(2, len(rows[0])))
        return Table([*titles, *(self.names if few else [])], rows, columns, _NOTES)

    def _row(self, way: Way) -> list[str]:
        count = way.operations
        numbers = (count.multiplications, count.additions, count.functions)
        ending = "" if way.runs == 1 else "es" if way.unit.endswith("s") else "s"
        takes = f"{way.runs:,} {way.unit}{ending}"
        return [way.name, takes, *map(_format_count, numbers), format_number(self.error(way))]

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.ways)} ways>"


_NOTES = (
    "Divisions count as multiplications, subtractions as additions. Differences and passes include "
    "y itself. The error is the largest difference from reverse mode.",
)


def _digits(way: Way) -> list[str]:
    return [f"{value:.12g}".replace("-", "\N{MINUS SIGN}") for value in way.flat]


def _format_count(count: int) -> str:
    """Return a count, in scientific notation from 1e15 on."""
    if count < 10**15:
        return f"{count:,}"
    digits = str(count)
    return f"{digits[0]}.{digits[1:3]}e{len(digits) - 1}"


class Comparer:
    """Differentiates one function in every way.

    Parameters
    ----------
    y : Node
        A scalar.
    xs : sequence of Node
        Variables or parameters.
    feed : dict from Node to value
    """

    def __init__(self, y: Node, xs: Sequence[Node], feed: Mapping[Node, Any]) -> None:
        self.y, self.xs = y, list(xs)
        values = node_values([y], feed)
        _check(y, self.xs, values)
        self.point = [np.asarray(values[x]) for x in self.xs]
        self._count = sum(x.size for x in self.point)
        graph = Graph([y])
        self._others = [node for node in graph.inputs if node not in set(self.xs)]
        self._fixed = [values[node] for node in self._others]
        concrete = specialise(graph, [type_of(values[node]) for node in graph.inputs])
        place = {node: i for i, node in enumerate(graph.inputs)}
        (self._y,) = concrete.outputs
        self._inputs = concrete.inputs
        self._xs = [self._inputs[place[x]] for x in self.xs]
        self._forward = operations_of_all(concrete.nodes)

    def function(self, outputs: Any, *more: Node) -> Callable[..., Any]:
        """Return ``outputs`` as a function of the xs and of ``more``; other values are as fed."""
        compiled = compile([*self.xs, *more, *self._others], outputs, backend="numpy")
        return lambda *args: compiled(*args, *self._fixed)

    def compare(self) -> Comparison:
        """Return the comparison of all ways."""
        one_sided, central = self._differences("forward"), self._differences("central")
        forward, reverse = self._forward_mode(), self._reverse_mode()
        symbolic = Way(
            "symbolic expansion",
            self._count,
            "formula",
            expand(self._y, self._xs).derivatives,
            forward.values,  # forward mode computes the same formulas, with shared terms
        )
        ways = [one_sided, central, symbolic, forward, reverse, self._compiled(reverse)]
        of = visible(self.y.name or "y")
        return Comparison(ways, [f"∂{of}/∂{visible(x.label)}" for x in self.xs])

    def _differences(self, method: Literal["forward", "central"]) -> Way:
        """(f(x + h) − f(x))/h or (f(x + h) − f(x − h))/2h for each x."""
        values = numerical_gradient(self.function(self.y), list(self.point), method)
        n = self._count
        one_sided = method == "forward"
        runs = n + 1 if one_sided else 2 * n
        quotients = n * Operations(multiplications=1, additions=2 if one_sided else 3)
        name = "one-sided differences" if one_sided else "central differences"
        operations = runs * self._forward + quotients
        return Way(name, runs, "evaluation", operations, tuple(map(np.asarray, values)))

    def _forward_mode(self) -> Way:
        tangent = tangents(self._y, self._xs)[self._y]
        added = self._added([tangent])
        seeds = [Variable(f"seed {i}", x.shape, x.dtype) for i, x in enumerate(self.point)]
        product = self.function(pushforward(self.y, self.xs, seeds), *seeds)
        values = tuple(self._columns(product, k) for k in range(len(self.xs)))
        operations = self._forward + self._count * added
        return Way("forward mode", self._count, "pass", operations, values)

    def _columns(self, product: Callable[..., Any], k: int) -> Array:
        """Return the derivative with respect to x_k, with one pass for each of its elements."""
        found = np.zeros_like(self.point[k])
        seeds = [np.zeros_like(x) for x in self.point]
        for index in np.ndindex(found.shape):
            seeds[k][index] = 1
            found[index] = product(*self.point, *seeds)
            seeds[k][index] = 0
        return found

    def _reverse_mode(self) -> Way:
        record = extend(self._y, self._xs)
        added = self._added([record.adjoints[x] for x in self._xs])
        values = self.function(gradients(self.y, self.xs))(*self.point)
        operations = self._forward + added
        return Way("reverse mode", 1, "pass", operations, tuple(map(np.asarray, values)))

    def _compiled(self, reverse: Way) -> Way:
        """Return compiled reverse mode: y and its gradient after the passes."""
        results = [self._y, *gradients(self._y, self._xs)]
        graph = optimise(Graph(results, self._inputs)).graph
        operations = operations_of_all(graph.nodes)
        return Way("reverse mode, compiled", 1, "pass", operations, reverse.values)

    def _added(self, nodes: Sequence[Node]) -> Operations:
        """Return the operations of the nodes that extend the graph."""
        known = set(topological_order([self._y]))
        order = topological_order(nodes, stop=known)
        return operations_of_all(node for node in order if node not in known)


def _check(y: Node, xs: Sequence[Node], values: Mapping[Node, Any]) -> None:
    if np.ndim(values[y]) or not y.type.is_float:
        raise GradientError(
            f"{y!r} is not a floating-point number: the ways are compared on a scalar",
            where=y.site.describe(),
            remedy="Sum it: compare_derivatives(sm.sum(y), xs, feed).",
        )
    for x in xs:
        if not isinstance(x, Variable):
            raise FeedError(f"{x!r} is computed: compare derivatives with respect to variables")
    gradients(y, xs)  # raises if y does not depend on an x
