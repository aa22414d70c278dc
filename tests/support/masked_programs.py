"""Programs with choices by value, and what their derivatives are: those of the branch taken alone.

A member is a branch that is singular at some points, something smooth to take there instead, a way
of nesting the choice, a smooth function on top, what is known of the shapes, and a word of modes:
"rf" is forward over reverse.  What it must give is computed without any choice: the same word on
the branch that is taken, one point at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

import symad as sm
from symad.graph.traverse import topological_order

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Branch:
    """A function of x and b that is singular at ``bad`` points and smooth at ``good`` ones."""

    text: str
    function: Function
    holds: Function
    bad: tuple[float, ...]
    good: tuple[float, ...] = (0.7, 1.3)


def _positive(x: Any) -> Any:
    return x > 0


def _nonzero(x: Any) -> Any:
    return sm.not_equal(x, 0)


def _inside(x: Any) -> Any:
    return abs(x) < 1


def _below(x: Any) -> Any:
    return x < 100


_ROOT, _POLE, _EDGE, _HUGE = (0.0, -1.0), (0.0,), (1.0, -1.0, 2.0), (1000.0,)
_UNIT = (0.4, -0.6)

BRANCHES = (
    Branch("sqrt(x)", lambda x, b: sm.sqrt(x), _positive, _ROOT),
    Branch("log(x)", lambda x, b: sm.log(x), _positive, _ROOT),
    Branch("1 / x", lambda x, b: 1 / x, _nonzero, _POLE),
    Branch("b / x", lambda x, b: b / x, _nonzero, _POLE),
    Branch("reciprocal(x)", lambda x, b: sm.reciprocal(x), _nonzero, _POLE),
    Branch("x ** 0.5", lambda x, b: x**0.5, _positive, _ROOT),
    Branch("x ** -1.5", lambda x, b: x**-1.5, _positive, _ROOT),
    Branch("x ** b", lambda x, b: x**b, _positive, _ROOT),
    Branch("b ** (1 / x)", lambda x, b: b ** (1 / x), _nonzero, _POLE),
    Branch("x ** x", lambda x, b: x**x, _positive, _ROOT),
    Branch("cbrt(x)", lambda x, b: sm.cbrt(x), _nonzero, _POLE),
    Branch("log(x) * log(x)", lambda x, b: sm.log(x) * sm.log(x), _positive, _ROOT),
    Branch("log(x) ** 2", lambda x, b: sm.log(x) ** 2, _positive, _ROOT),
    Branch("sqrt(x) * log(x)", lambda x, b: sm.sqrt(x) * sm.log(x), _positive, _ROOT),
    Branch("x * log(x)", lambda x, b: x * sm.log(x), _positive, _ROOT),
    Branch("sqrt(x) ** 3", lambda x, b: sm.sqrt(x) ** 3, _positive, _ROOT),
    Branch("1 / (3 sqrt(x) + x)", lambda x, b: 1 / (3 * sm.sqrt(x) + x), _positive, _ROOT),
    Branch("log(log(x))", lambda x, b: sm.log(sm.log(x)), lambda x: x > 1, (1.0, 0.0), (1.9, 2.5)),
    Branch("sqrt(sqrt(x))", lambda x, b: sm.sqrt(sm.sqrt(x)), _positive, _ROOT),
    Branch("sqrt(x * x)", lambda x, b: sm.sqrt(x * x), _nonzero, _POLE),
    Branch("exp(-1 / x)", lambda x, b: sm.exp(-1 / x), _positive, _POLE),
    Branch("tanh(1 / x)", lambda x, b: sm.tanh(1 / x), _nonzero, _POLE),
    Branch("sigmoid(log(x))", lambda x, b: sm.sigmoid(sm.log(x)), _positive, _ROOT),
    Branch("sin(b / x) + x", lambda x, b: sm.sin(b / x) + x, _nonzero, _POLE),
    Branch("sin(x) / x", lambda x, b: sm.sin(x) / x, _nonzero, _POLE),
    Branch("expm1(x) / x", lambda x, b: sm.expm1(x) / x, _nonzero, _POLE),
    Branch("logaddexp(log x, b)", lambda x, b: sm.logaddexp(sm.log(x), b), _positive, _ROOT),
    Branch("softplus(1 / x)", lambda x, b: sm.softplus(1 / x), _nonzero, _POLE),
    Branch("log(x) if > b", lambda x, b: sm.maximum(sm.log(x), b - 5.0), _positive, _ROOT),
    Branch("relu(log x + 3)", lambda x, b: sm.relu(sm.log(x) + 3), _positive, _ROOT),
    Branch("hypot(x, x) ** -1", lambda x, b: sm.hypot(x, x) ** -1.0, _nonzero, _POLE),
    Branch("atan2(b, x) / x", lambda x, b: sm.atan2(b, x) / x, _nonzero, _POLE),
    Branch("asin(x)", lambda x, b: sm.asin(x), _inside, _EDGE, _UNIT),
    Branch("acos(x)", lambda x, b: sm.acos(x), _inside, _EDGE, _UNIT),
    Branch("atanh(x)", lambda x, b: sm.atanh(x), _inside, _EDGE, _UNIT),
    Branch("acosh(1 + x)", lambda x, b: sm.acosh(1 + x), _positive, _ROOT),
    Branch("gammaln(x)", lambda x, b: sm.gammaln(x), _positive, _ROOT),
    Branch("b exp(x)", lambda x, b: b * sm.exp(x), _below, _HUGE),
    Branch("expm1(x)", lambda x, b: sm.expm1(x), _below, _HUGE),
    Branch("x sinh(x)", lambda x, b: x * sm.sinh(x), _below, _HUGE),
)

OTHERS: dict[str, Function] = {
    "0": lambda x, b: 0.0,
    "b": lambda x, b: b,
    "x": lambda x, b: x,
    "sin(x) b": lambda x, b: sm.sin(x) * b,
}

OUTER: dict[str, Function] = {
    "y": lambda y: y,
    "y ** 2": lambda y: y**2,
    "sin(y)": lambda y: sm.sin(y),
    "exp(-y * y)": lambda y: sm.exp(-y * y),
    "1 / (2 + sin(y))": lambda y: 1 / (2 + sm.sin(y)),
    "y sigmoid(y)": lambda y: y * sm.sigmoid(y),
}

Choice = Callable[[Any, Any, Any], Any]


def _inside_a_mask(c: Any, choose: Choice, f: Any, g: Any, x: Any) -> Any:
    """A cut-off: the branch is chosen once more by its own value."""
    return choose(c, choose(f < 1e3, f, x), g)


NESTINGS: dict[str, Callable[..., Any]] = {
    "plain": lambda c, choose, f, g, x: choose(c, f, g),
    "negated": lambda c, choose, f, g, x: choose(sm.logical_not(c), g, f),
    "twice": lambda c, choose, f, g, x: choose(c, choose(c, f, 1.0) * f, g),
    "two conditions": lambda c, choose, f, g, x: choose(c, choose(x < 1e9, f * f, x), g),
    "cut off": _inside_a_mask,
    "smooth between": lambda c, choose, f, g, x: choose(c, sm.tanh(choose(c, f, 0.3)), g),
    "product": lambda c, choose, f, g, x: choose(c, f, g) * choose(c, 1.0, x) + x,
    "shared": lambda c, choose, f, g, x: choose(c, sm.sin(f) + f * x, g),
}
"""``choose`` is ``where`` in the program, and takes the branch that the program takes alone."""

SHAPES: dict[str, tuple[Any, Any]] = {
    "scalars": ((), ()),
    "undeclared": (None, None),
    "one undeclared": (("n",), None),
    "named alike": (("n",), ("n",)),
    "named apart": (("n",), ("m",)),
    "declared": ((4,), (4,)),
    "scalar b": (("n",), ()),
    "broadcast": (("n", 1), ("m",)),
    "broadcast, undeclared": (None, None),
}

WORDS = ("r", "f", "rr", "rf", "fr", "ff", "rrr", "rrf", "rfr", "frr", "rff", "frf", "ffr", "fff")


@dataclass(frozen=True)
class Member:
    """One program of the family."""

    branch: Branch
    outer: str
    other: str
    nesting: str
    shapes: str
    word: str

    def __str__(self) -> str:
        names = (self.outer, self.other, self.nesting, self.shapes, self.word)
        return f"{self.branch.text}: {', '.join(names)}"

    def build(self, x: Any, b: Any, choose: Function = sm.where) -> Any:
        """Return the program; ``choose`` takes a condition and two branches."""
        c = self.branch.holds(x)
        f, g = self.branch.function(x, b), OTHERS[self.other](x, b)
        return OUTER[self.outer](NESTINGS[self.nesting](c, choose, f, g, x))

    def points(self) -> tuple[Array, Array]:
        """Return what x and b are fed; about half of the elements of x are singular."""
        bad, good = self.branch.bad, self.branch.good
        x, b = np.array([bad[0], good[0], bad[-1], good[1]]), np.array([0.8, 1.1, 1.4, 0.9])
        if self.shapes == "scalars":
            return x[0], b[0]
        if self.shapes == "scalar b":
            return x, b[0]
        return (x[:, None], b[:3]) if self.shapes.startswith("broadcast") else (x, b)

    def program(self) -> tuple[Any, Any, Any]:
        """Return x, b and the derivative that the word asks for."""
        shapes = SHAPES[self.shapes]
        x, b = sm.Variable("x", shape=shapes[0]), sm.Variable("b", shape=shapes[1])
        return x, b, derivative(self.build(x, b), x, self.word)

    def expected(self) -> Array:
        """Return the derivative of the branches that are taken, each point by itself."""
        x, b = self.points()
        x, b = np.broadcast_arrays(x, b if self._uses_b() else 0.0)
        alone = [_alone(self, float(p), float(q)) for p, q in zip(x.flat, b.flat, strict=True)]
        each = np.array(alone).reshape(x.shape)
        return each.sum(1, keepdims=True) if x.ndim == 2 and "r" in self.word else each

    def _uses_b(self) -> bool:
        """Return whether the program is made of b, which widens the result."""
        x, b = sm.Variable("x"), sm.Variable("b")
        return b in topological_order([self.build(x, b)])


@cache
def _taken(branch: Branch, outer: str, other: str, nesting: str, p: float, q: float) -> Any:
    """Return x, b and the program without any choice that is taken at one point."""
    x, b = sm.Variable("x", shape=()), sm.Variable("b", shape=())

    def choose(condition: Any, f: Any, g: Any) -> Any:
        return f if condition.eval({x: p, b: q}) else g

    return x, b, Member(branch, outer, other, nesting, "scalars", "").build(x, b, choose)


@cache
def _derivatives(branch: Branch, outer: str, other: str, nesting: str, p: float, q: float) -> Any:
    """Return the first three derivatives at one point of what is taken there."""
    x, b, y = _taken(branch, outer, other, nesting, p, q)
    orders = [y]
    for _ in range(3):
        orders.append(
            sm.gradients(orders[-1], x, unused="zero") if isinstance(orders[-1], sm.Node) else 0.0
        )
    return [one.eval({x: p, b: q}) if isinstance(one, sm.Node) else 0.0 for one in orders]


def _alone(member: Member, p: float, q: float) -> float:
    key = (member.branch, member.outer, member.other, member.nesting)
    return float(_derivatives(*key, p, q)[len(member.word)])


def derivative(y: Any, x: Any, word: str) -> Any:
    """Return the derivative of ``y`` by ``x``, one step for each letter of ``word``."""
    for mode in word:
        y = sm.gradients(y, x, unused="zero") if mode == "r" else sm.pushforward(y, x, 1.0)
    return y


def members() -> Iterator[Member]:
    """Yield the whole family."""
    for parts in product(BRANCHES, OUTER, OTHERS, NESTINGS, SHAPES, WORDS):
        yield Member(*parts)


def sample(count: int, seed: int) -> list[Member]:
    """Return ``count`` members, each part drawn by itself."""
    rng = np.random.default_rng(seed)
    parts: list[Any] = [BRANCHES, OUTER, OTHERS, NESTINGS, SHAPES, WORDS]
    choices = [tuple(part) for part in parts]
    return [Member(*[part[rng.integers(len(part))] for part in choices]) for _ in range(count)]


# Programs that mix elements: a function of each row, chosen row by row


def _by_rows(f: Function) -> Function:
    return lambda X, w: sm.map_over(lambda row: f(row, w), [X])


def _reverse_of_logarithm(v: Any, y: Any, x: Any) -> Any:
    return v / x


_own_log = sm.custom(lambda x: sm.log(x), reverse=_reverse_of_logarithm, name="own_log")
_plain_call = sm.custom(lambda x: sm.sum(sm.sqrt(x), axis=-1), name="plain_call")

ROWS: dict[str, Function] = {
    "sum": lambda X, w: sm.sum(sm.sqrt(X), axis=1),
    "sum, keepdims": lambda X, w: sm.sum(1 / X, axis=1, keepdims=True)[:, 0],
    "mean": lambda X, w: sm.mean(sm.log(X), axis=-1),
    "prod": lambda X, w: sm.prod(1 / X, axis=1),
    "var": lambda X, w: sm.var(sm.log(X), axis=1),
    "std": lambda X, w: sm.std(1 / X, axis=1),
    "max": lambda X, w: sm.max(1 / X, axis=1),
    "min": lambda X, w: sm.min(sm.sqrt(X), axis=1),
    "norm": lambda X, w: 1 / sm.linalg.norm(X, axis=1),
    "norm of roots": lambda X, w: sm.linalg.norm(sm.sqrt(X), axis=1),
    "logsumexp": lambda X, w: sm.logsumexp(1 / X, axis=1),
    "softmax": lambda X, w: sm.softmax(1 / X, axis=1)[:, 0],
    "log_softmax": lambda X, w: sm.log_softmax(sm.log(X), axis=1)[:, 1],
    "softmax by hand": lambda X, w: (X / sm.sum(X, axis=1, keepdims=True))[:, 0] ** 2,
    "cumsum": lambda X, w: sm.cumsum(sm.sqrt(X), axis=1)[:, 1],
    "cumprod": lambda X, w: sm.cumprod(1 / X, axis=1)[:, 2],
    "matmul, vector": lambda X, w: sm.log(X) @ w,
    "matmul": lambda X, w: (sm.sqrt(X) @ sm.outer(w, w))[:, 0],
    "matmul, log": lambda X, w: sm.log(X @ sm.outer(w, w))[:, 1],
    "einsum": lambda X, w: sm.einsum("ij,j->i", 1 / X, w),
    "einsum, twice": lambda X, w: sm.einsum("ij,ij->i", 1 / X, sm.log(X)),
    "map": _by_rows(lambda row, w: sm.sum(sm.sqrt(row) * w)),
    "map, norm": _by_rows(lambda row, w: 1 / sm.linalg.norm(row)),
    "map of logarithms": _by_rows(lambda row, w: sm.logsumexp(sm.log(row) + w)),
    "call": lambda X, w: _plain_call(X),
    "call, own rule": lambda X, w: sm.sum(_own_log(X), axis=1),
    "sort": lambda X, w: sm.sort(1 / X, axis=1)[:, 1],
    "flip": lambda X, w: sm.flip(sm.sqrt(X), 1)[:, 0],
    "roll": lambda X, w: sm.roll(sm.log(X), 1, 1)[:, 0],
    "concat": lambda X, w: sm.sum(1 / sm.concat([X, X * X], axis=1), axis=1),
    "stack": lambda X, w: sm.prod(sm.stack([1 / X[:, 0], sm.log(X[:, 1])], axis=1), axis=1),
    "pad": lambda X, w: sm.logsumexp(sm.pad(sm.log(X), ((0, 0), (1, 1))), axis=1),
    "transpose": lambda X, w: sm.sum(sm.sqrt(X).T, axis=0),
    "reshape": lambda X, w: sm.sum(sm.reshape(sm.log(X), (-1,)).reshape((4, 3)), axis=1),
    "diagonal": lambda X, w: sm.log(sm.linalg.det(X[:, :, None] * sm.constant(np.eye(3)))),
    "tile": lambda X, w: sm.sum(sm.tile(1 / X, (1, 2)), axis=1),
    "repeat": lambda X, w: sm.sum(sm.repeat(sm.sqrt(X), 2, axis=1), axis=1),
    "take": lambda X, w: sm.take(1 / X, [0, 0, 2], axis=1)[:, 1],
    "set_at": lambda X, w: sm.sum(1 / sm.set_at(X, (slice(None), 0), w[0]), axis=1),
    "distances": lambda X, w: 1 / sm.sqrt(sm.sum(X * X, axis=1)),
}
"""Each gives one number for each row of X, and is singular where the row is zero."""

ROW_WORDS = ("r", "f", "rr", "rf", "fr", "ff", "rrf")
ROW_SHAPES: dict[str, Any] = {"declared": (4, 3), "named": ("n", 3), "rank": (None, None)}


@dataclass(frozen=True)
class RowMember:
    """One program that mixes the elements of a row."""

    function: str
    outer: str
    by: str
    shapes: str
    word: str

    def __str__(self) -> str:
        return f"{self.function}: {self.outer}, by {self.by}, {self.shapes}, {self.word}"

    def program(self) -> tuple[list[Any], Any]:
        """Return the variables and the derivative by X or w of the program."""
        X, w = sm.Variable("X", shape=ROW_SHAPES[self.shapes]), sm.Variable("w", shape=(3,))
        c = sm.Variable("c", shape=(ROW_SHAPES[self.shapes][0],), dtype="bool")
        y = OUTER[self.outer](sm.where(c, ROWS[self.function](X, w), sm.sum(w * w)))
        return [X, w, c], derivative(y, X if self.by == "X" else w, self.word)

    def fed(self) -> list[Array]:
        """Return X, w and the condition: two of the rows are singular, and not taken."""
        rows = np.array([[0.9, 0.4, 1.7], [0.0, 0.0, 0.0], [0.5, 1.2, 0.8], [0.0, 0.0, 0.0]])
        return [rows, np.array([0.7, 1.3, 0.4]), np.array([True, False, True, False])]

    def expected(self) -> Array:
        """Return the derivative when the rows that are not taken hold numbers that do no harm."""
        rows, w, c = self.fed()
        variables, result = self.program()
        return run(variables, result, [np.where(c[:, None], rows, 0.6 + w), w, c])


def run(variables: list[Any], result: Any, fed: list[Array], backend: str = "numpy") -> Array:
    return np.asarray(sm.compile(variables, result, backend=backend)(*fed))


def row_members() -> Iterator[RowMember]:
    """Yield all programs that mix elements."""
    for parts in product(ROWS, OUTER, ("X", "w"), ROW_SHAPES, ROW_WORDS):
        yield RowMember(*parts)


def sample_rows(count: int, seed: int) -> list[RowMember]:
    """Return ``count`` programs that mix elements."""
    everything = list(row_members())
    rng = np.random.default_rng(seed)
    return [everything[k] for k in rng.permutation(len(everything))[:count]]
