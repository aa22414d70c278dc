"""Checks for tests: of derivatives against differences, and of graphs for the same structure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from symad.autodiff.activity import output_leaves, target_leaves
from symad.autodiff.forward import pushforward
from symad.autodiff.numeric import choose_step, directional_derivative
from symad.autodiff.reverse import pullback
from symad.errors import GradientError, SymadError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.op import Op, explained
from symad.graph.traverse import topological_order
from symad.ops.body import WithBody
from symad.runtime.compiler import compile
from symad.types import TensorType, UnknownDim

Array = np.ndarray[Any, Any]

_RTOL = {np.dtype("float64"): 1e-6, np.dtype("float32"): 1e-2, np.dtype("float16"): 1e-1}
"""Central differences with the best step err by ~ε^(2/3): 4e-11, 2e-5 and 1e-2.  The rest allows
for third derivatives larger than the function; in float64 a rule wrong by 0.1 % still fails
clearly."""


class GradientMismatch(SymadError, AssertionError):
    """A derivative differs from central differences.

    Attributes
    ----------
    mode : {"reverse", "forward"}
    order : int
        1 for the derivative itself, 2 for the derivative of the derivative, ...
    variable : str
        The variable of differentiation.
    expected, got : array
        Both along a random direction; in reverse mode also weighted by random cotangents.
    relative_error : float
        The largest deviation, relative to the largest expected element.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.testing import GradientMismatch, check_gradients
    >>> wrong = sm.custom(lambda x: x * x, reverse=lambda v, y, x: v * x)
    >>> x = sm.Variable("x", shape=())
    >>> try:
    ...     check_gradients(wrong(x), x, at={x: 3.0})
    ... except GradientMismatch as error:
    ...     print(error.mode, error.variable, round(error.relative_error, 3))
    reverse x 0.5
    """

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        remedy: str = "",
        mode: str = "",
        order: int = 0,
        variable: str = "",
        expected: Any = None,
        got: Any = None,
        relative_error: float = np.nan,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.mode, self.order, self.variable = mode, order, variable
        self.expected, self.got, self.relative_error = expected, got, relative_error

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return partial(GradientMismatch, **self.__dict__), ()


@explained
def check_gradients(
    y: Any,
    xs: Any,
    at: Mapping[Node, Any],
    order: int = 2,
    modes: Sequence[str] = ("reverse", "forward"),
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
) -> None:
    """Check the derivatives of ``y`` by central differences along random directions.

    For each variable, forward mode Jt is compared with differences element by element, and reverse
    mode as ⟨Jᵀg, t⟩ with ⟨g, differences⟩ for random cotangents g.  For order 2, these derivatives
    are differentiated and checked in the same way, in all combinations of modes.

    Parameters
    ----------
    y : Node or nested structure of nodes
        Integer and boolean values are skipped.
    xs : Node or nested structure of nodes
        The variables of differentiation; each must be fed in ``at``.
    at : dict from Node to value
        The point: a value for each variable.
    order : int
    modes : sequence of {"reverse", "forward"}
    rtol : float, optional
        Relative to the largest element; by default 1e-6 in float64 and 1e-2 in float32.
    atol : float, optional
        By default the rounding error of the differences.
    seed : int
        Seed of the random directions.

    Raises
    ------
    GradientMismatch
        If a derivative is wrong; it is also an AssertionError.
    GradientError
        If there is nothing to check, or one of ``xs`` is not fed.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.testing import check_gradients
    >>> x, w = sm.Variable("x", shape=(2,)), sm.Variable("w", shape=())
    >>> check_gradients(sm.sin(w * x), [x, w], at={x: [1.0, 2.0], w: 3.0})
    """
    for mode in modes:
        if mode not in ("reverse", "forward"):
            raise GradientError(f'mode is {mode!r}; it must be "reverse" or "forward"')
    targets = target_leaves(xs)
    missing = [x for x in targets if x not in at]
    if missing:
        raise GradientError(
            f"{missing[0]!r} is not fed, so it cannot be moved", remedy="Add it to `at`."
        )
    feed = {node: np.asarray(value, node.dtype) for node, value in at.items()}
    outputs, rng = output_leaves(y), np.random.default_rng(seed)
    for level in range(1, order + 1):
        outputs = _Level(level, outputs, targets, feed, rng, rtol, atol).check(modes)


class _Level:
    """Checks the first derivatives of ``outputs``, which are derivatives of order ``order - 1``."""

    def __init__(
        self,
        order: int,
        outputs: Sequence[Node],
        targets: Sequence[Node],
        feed: dict[Node, Array],
        rng: np.random.Generator,
        rtol: float | None,
        atol: float | None,
    ) -> None:
        self.order, self.outputs, self.targets, self.feed = order, outputs, targets, feed
        self.function = compile(list(feed), list(outputs), backend="numpy")
        self.values = self.function(*feed.values())
        self.cotangents = [_random_like(value, rng) for value in self.values]
        self.tangents = [_random_like(feed[x], rng) for x in targets]
        self.coarsest = _coarsest_dtype((*outputs, *targets))
        self.rtol = _RTOL[self.coarsest] if rtol is None else rtol
        self.atol = atol

    def check(self, modes: Sequence[str]) -> list[Node]:
        """Compare with differences, variable by variable, and return the derivatives as nodes."""
        outputs, targets = list(self.outputs), list(self.targets)
        pulled, pushed = [], []
        if "reverse" in modes:
            pulled = pullback(outputs, targets, self.cotangents)
        if "forward" in modes:
            moves = zip(targets, self.tangents, strict=True)
            pushed = [pushforward(outputs, [x], [t]) for x, t in moves]
        results = compile(list(self.feed), [pulled, pushed], backend="numpy")(*self.feed.values())
        for k in range(len(targets)):
            differences, noise = self._differences(k)
            if "reverse" in modes:
                self._check_reverse(k, results[0][k], differences, noise)
            if "forward" in modes:
                self._check_forward(k, results[1][k], differences, noise)
        return [*pulled, *(node for nodes in pushed for node in nodes)]

    def _differences(self, k: int) -> tuple[list[Array], list[float]]:
        """Return differences of all outputs as one variable moves, and their rounding errors."""
        x, tangent = self.targets[k], self.tangents[k]

        def moved(value: Any) -> Any:
            return self.function(*{**self.feed, x: value}.values())

        step = choose_step([self.feed[x]], np.zeros((), self.coarsest), [tangent])
        differences = directional_derivative(moved, self.feed[x], tangent, step=step)
        unit = _ROUNDINGS * float(np.finfo(self.coarsest).eps) / step
        return differences, [unit * np.max(np.abs(v), initial=0.0) for v in self.values]

    def _check_reverse(
        self, k: int, pulled: Any, differences: Sequence[Any], noise: Sequence[float]
    ) -> None:
        terms = [np.multiply(g, d) for g, d in zip(self.cotangents, differences, strict=True)]
        expected = sum(np.sum(term) for term in terms)
        size = sum(np.sum(np.abs(term)) for term in terms)
        rounding = sum(n * np.sum(np.abs(g)) for n, g in zip(noise, self.cotangents, strict=True))
        got = np.sum(np.multiply(pulled, self.tangents[k]))
        self._compare("reverse", self.targets[k], got, expected, size, rounding)

    def _check_forward(
        self, k: int, pushed: Sequence[Any], differences: Sequence[Any], noise: Sequence[float]
    ) -> None:
        for got, expected, rounding in zip(pushed, differences, noise, strict=True):
            size = np.max(np.abs(expected), initial=0.0)
            self._compare("forward", self.targets[k], got, expected, size, rounding)

    def _compare(
        self, mode: str, x: Node, got: Any, expected: Any, size: Any, rounding: Any
    ) -> None:
        error = np.max(np.abs(np.subtract(got, expected)), initial=0.0)
        tolerance = self.rtol * size + (rounding if self.atol is None else self.atol)
        if error <= tolerance:  # not so for NaN
            return
        relative = float(error / size) if size else float("inf")
        raise GradientMismatch(
            f"the derivative of order {self.order} with respect to {x.label!r} in {mode} mode is "
            f"{got}, but differences give {expected}: relative error {relative:.2g}",
            where=x.site.describe(),
            remedy="Look at the rules of the ops between them; at a kink or a pole, move `at`.",
            mode=mode,
            order=self.order,
            variable=x.label,
            expected=expected,
            got=got,
            relative_error=relative,
        )


_ROUNDINGS = 20.0
"""The assumed error of the values, in units in the last place of the largest value."""


def _coarsest_dtype(nodes: Sequence[Node]) -> np.dtype[Any]:
    """Return the least precise floating dtype that ``nodes`` are computed in."""
    types = [node.type for node in topological_order(nodes) if node.type.is_float]
    dtypes = {type_.dtype for type_ in types if isinstance(type_, TensorType)}
    return max(dtypes, key=lambda dtype: float(np.finfo(dtype).eps))


def _random_like(array: Any, rng: np.random.Generator) -> Array:
    """Return numbers of either sign, none near zero, so that each element matters."""
    shape = np.shape(array)
    size = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    return np.asarray(size).astype(array.dtype)


# Comparing graphs


@explained
def assert_graphs_equal(a: Graph | Node, b: Graph | Node) -> None:
    """Assert that two graphs have the same structure: ops, attributes, types, constants, names.

    Inputs correspond by position.  Where a node came from does not matter.

    Parameters
    ----------
    a, b : Graph or Node

    Raises
    ------
    AssertionError
        If they differ; the message has the text of both graphs and the difference.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.testing import assert_graphs_equal
    >>> x, y = sm.Variable("x", shape=()), sm.Variable("x", shape=())
    >>> assert_graphs_equal(sm.sin(x) * 2, sm.sin(y) * 2)
    """
    first, second = (g if isinstance(g, Graph) else Graph([g]) for g in (a, b))
    pending = [(first, second)]
    while pending:
        one, other = pending.pop()
        rows, bodies = _describe(one)
        other_rows, other_bodies = _describe(other)
        if rows != other_rows:
            raise AssertionError(_difference(first, second))
        pending += zip(bodies, other_bodies, strict=True)


def _describe(graph: Graph) -> tuple[list[Any], list[Graph]]:
    """Return what defines each node of a graph, comparable by ``==``, and the graphs inside ops."""
    index = {node: i for i, node in enumerate(dict.fromkeys((*graph.inputs, *graph.nodes)))}
    bodies: list[Graph] = []
    given = set(graph.inputs)
    rows: list[Any] = []
    for node in index:
        leaf = node in given or node.op is None
        sources = () if leaf else tuple(index[source] for source in node.inputs)
        op = None if leaf or node.op is None else _describe_op(node.op, bodies)
        value = node.value.tobytes() if isinstance(node, Constant) else None
        rows.append((type(node), node.name, str(node.type), op, sources, value))
    rows.append([index[node] for node in graph.outputs])
    return rows, bodies


def _describe_op(op: Op, bodies: list[Graph]) -> Any:
    own = op.bodies if isinstance(op, WithBody) else ()
    bodies += own
    plain = {
        key: str(value) if isinstance(value, UnknownDim) else value
        for key, value in op.attributes().items()
        if value not in own and value != own
    }
    return type(op), plain


def _difference(first: Graph, second: Graph) -> str:
    a, b = str(first), str(second)
    lines = difflib.unified_diff(a.splitlines(), b.splitlines(), "first", "second", lineterm="")
    changes = "\n".join(lines) or "(the difference is not visible in this form: see the types)"
    return f"the graphs differ\n\n{a}\n\n{b}\n\n{changes}"
