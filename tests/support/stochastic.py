"""Which digits of a result mean something: the graph is run again with its roundings disturbed.

What two correct programs may disagree in is the rounding of each op, and all that follows from it.
So each result of an op is moved by a few units in its last place, up or down by chance, and the
spread of the outputs over several such runs is what rounding does to them.  An element that comes
out as another integer, as NaN or infinite in one of the runs is not compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

import symad as sm
from symad.graph.nested import is_nested, leaves
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.ops.base import PerElement
from symad.ops.body import WithBody
from symad.types import StructureType, TensorType
from tests.support.op_checks import kernel_of

Array = np.ndarray[Any, Any]
ULPS = 4
"""The error of functions of the C library, and of NumPy's."""

EXACT = {
    "identity", "stop_gradient", "ones_like", "zeros_like", "cast", "where", "maximum", "minimum",
    "relu", "floor", "ceil", "trunc", "round", "add", "subtract", "multiply", "divide", "negative",
    "abs", "sign", "reciprocal", "square", "sqrt", "make_structure", "item", "max", "min",
}  # fmt: skip
"""Ops that round in only one way, or not at all."""

ABSOLUTE = {"gammaln", "digamma", "polygamma", "logaddexp", "erfc", "erfinv", "sinc"}
"""Near zeros (of sinc: those of its slopes), erfc far from 0, and erfinv near 1, they err as if
operands had been rounded."""

ROUGH = {"expm": 2**11}
"""How many times more: SciPy's is 10⁻¹³ to 10⁻¹² off for norms between 1 and 10, against mpmath."""

RUNNING = {"cumsum", "cumprod", "linear_recurrence"}
"""The last results are made of all operands before them."""

SOLVERS = {"solve", "solve_triangular", "inv", "solve_factored", "inverse_factored"}
"""Zeros beside a NaN of the matrix may be skipped, which depends on LAPACK's blocks."""

LOGS_OF_SUMS = {"log_softmax", "logsumexp", "logaddexp"}
"""The sum is rounded before its logarithm is taken, also where it is nearly 1."""


class Spread:
    """The outputs of a specialised graph, and what disturbed roundings make of them.

    Only so many disturbed runs are made as a comparison needs.  Each allows more than those before
    it, so the verdict is that of all :data:`RUNS`.

    Parameters
    ----------
    graph : Graph
    arrays : sequence
    seed : int
    all_ops : bool
        Whether inputs and ops that round in one way are disturbed as well: for comparison with
        another formula of the same function.
    **noise
        As :class:`Noise` takes it.
    """

    def __init__(
        self, graph: sm.Graph, arrays: Sequence[Any], seed: int, all_ops: bool = False, **noise: Any
    ) -> None:
        self._graph, self._arrays, self._all_ops = graph, arrays, all_ops
        self._noise = Noise(np.random.default_rng([seed, 99]), **noise)
        types = [leaf for node in graph.nodes for leaf in tensors_of(node.type)]
        self._digit = max([float(np.finfo(t.dtype).eps) for t in types if t.is_float], default=0)
        self._tried, self._others = 0, list[list[Any]]()
        self.values = self._undisturbed()

    def _undisturbed(self) -> list[Any] | None:
        """Return the outputs; ``None`` if there are some only when roundings are disturbed."""
        try:
            return _run(self._graph, self._arrays, None, self._all_ops)
        except (ValueError, IndexError):
            if not self.others(RUNS[-1]):
                raise
            return None

    def others(self, runs: int) -> list[list[Any]]:
        """Return the outputs of at least so many disturbed runs, but of those that fail."""
        while self._tried < runs:
            self._tried += 1
            with suppress(ValueError, IndexError):  # no such matrix has a factor, or no such index
                self._others.append(_run(self._graph, self._arrays, self._noise, self._all_ops))
        return self._others

    def disagreement(
        self, output: int, got: Any, strict: bool, zeros: bool = False, scale: float = 0.0
    ) -> str | None:
        """Return where ``got`` differs from an output by more than rounding explains.

        Parameters
        ----------
        output : int
        got : array, number, or structure of such
        strict : bool
            Whether NaN and infinities are compared.
        zeros : bool
            Whether signs of zeros are compared.
        scale : float
            How large the numbers are of which what is left may be compared; the last digit of them
            is that of the narrowest in the graph.
        """
        text = None
        for runs in RUNS if self.values is not None else ():
            others = [_tensors(run[output]) for run in self.others(runs)]
            parts = zip(_tensors(self.values[output]), _tensors(got), strict=True)
            found = (
                _disagreement(
                    want, part, [run[k] for run in others], strict, zeros, self._digit * scale
                )
                for k, (want, part) in enumerate(parts)
                if others or not runs or want.shape != part.shape or want.dtype != part.dtype
            )  # whether there is a result is a matter of rounding
            text = next(filter(None, found), None)
            if text is None:
                break
        return text


RUNS = (0, 5, 60)
"""Is it by chance that rounding did not show in the first?"""


def tensors_of(type_: Any) -> list[TensorType]:
    """Return the types of the arrays in a value of a type."""
    if isinstance(type_, StructureType):
        return [leaf for _, item in type_.fields for leaf in tensors_of(item)]
    return [type_] if isinstance(type_, TensorType) else []


def _tensors(value: Any) -> list[Array]:
    return [np.asarray(leaf) for leaf in leaves(value) if leaf is not None]


def _disagreement(
    want: Array, found: Array, others: Sequence[Array], strict: bool, zeros: bool, left: float
) -> str | None:
    if want.dtype != found.dtype or want.shape != found.shape:
        return f"{found.dtype}{found.shape} in place of {want.dtype}{want.shape}"
    if any(other.shape != want.shape for other in others):
        return None  # how many steps there are is a matter of rounding
    wrong: Any
    if want.dtype.kind != "f":
        wrong = found != want
        for other in others:
            wrong = wrong & (other == want)
    else:
        wrong = _differs(want, found, others, strict, zeros, left)
    if not np.any(wrong):
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{int(np.sum(wrong))} of {wrong.size}, first at {place}: {found[place]!r} in place of "
        f"{want[place]!r}; disturbed: {[other[place] for other in others[:4]]}"
    )


def _differs(
    want: Array, found: Array, others: Sequence[Array], strict: bool, zeros: bool, left: float
) -> Any:
    wide = [np.asarray(a, np.float64) for a in (want, found, *others)]
    a, b, *rest = wide
    with np.errstate(all="ignore"):
        finite = np.isfinite(a)
        spread = np.max([np.abs(r - a) for r in rest], axis=0, initial=0)
        step = np.abs(np.spacing(want)).astype(np.float64)
        # SciPy's erfc is 0 where C's is not a normal number yet
        floor = float(np.finfo(want.dtype).tiny) if want.dtype.itemsize > 2 else 0.0
        allowed = 8 * spread + np.where(a == 0, floor, 2 * ULPS * step)
        allowed += 8 * left
        wrong = finite & ~(np.abs(b - a) <= allowed)
        kept = np.all([np.isfinite(r) for r in rest], axis=0)
        same = np.all([(r == a) | (np.isnan(r) & np.isnan(a)) for r in rest], axis=0)
        wrong_special = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if zeros:
            signs = np.all([np.signbit(r) == np.signbit(a) for r in rest], axis=0)
            wrong = wrong | ((a == 0) & (b == 0) & same & signs & (np.signbit(a) != np.signbit(b)))
    return np.where(finite, wrong & kept, strict & same & wrong_special)


@dataclass(frozen=True)
class Noise:
    """How roundings are disturbed.

    Attributes
    ----------
    rng : Generator
    ulps : int
        By how many units in the last place at most.
    flushes : bool
        Whether numbers that are too small to be normal become 0, now and then.
    """

    rng: np.random.Generator
    ulps: int = ULPS
    flushes: bool = False

    def moved(self, array: Array, factor: int) -> Array:
        """Return numbers moved at random; 0, infinities and NaN stay."""
        with np.errstate(all="ignore"):
            steps = self.rng.integers(-self.ulps * factor, self.ulps * factor + 1, array.shape)
            moved = array + (np.abs(np.spacing(array)) * steps).astype(array.dtype)
            if self.flushes and self.rng.random() < 0.5:
                moved = np.where(np.abs(array) < np.finfo(array.dtype).tiny, array * 0, moved)
        return np.where(~np.isfinite(array) | (array == 0), array, moved).astype(array.dtype)

    def either_zero(self, value: Any, *operands: Any) -> Any:
        """Return the larger or smaller of operands: of two zeros, it may be either."""
        array = np.asarray(value)
        if array.dtype.kind != "f":
            return value
        zeros = np.all([np.broadcast_to(x, array.shape) == 0 for x in operands], axis=0)
        flipped = zeros & (self.rng.random(array.shape) < 0.5)
        mixed = np.logical_xor(*[np.signbit(x) for x in operands])
        return np.where(flipped & mixed, -array, array)[()]

    def signed(self, value: Any) -> Any:
        """Return numbers of which NaN have any sign: what it is has no meaning."""
        array = np.asarray(value)
        if array.dtype.kind != "f":
            return value
        flipped = np.isnan(array) & (self.rng.random(array.shape) < 0.5)
        return np.where(flipped, -array, array)[()]


def _run(graph: sm.Graph, arrays: Sequence[Any], noise: Noise | None, all_ops: bool) -> list[Any]:
    given = [disturb(a, noise) if all_ops else a for a in arrays]
    values: dict[Node, Any] = dict(zip(graph.inputs, given, strict=True))
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node in values:
                continue
            if isinstance(node, Constant):
                values[node] = node.value[()]
                continue
            assert node.op is not None
            values[node] = _apply(node.op, [values[x] for x in node.inputs], noise, all_ops)
    return [values[node] for node in graph.outputs]


def _apply(op: Op, inputs: list[Any], noise: Noise | None, all_ops: bool) -> Any:
    if isinstance(op, WithBody):
        return op.kernel_of(*[_program(body, noise, all_ops) for body in op.bodies])(*inputs)
    if noise is not None and op.name in ("signbit", "copysign"):
        inputs = [noise.signed(x) for x in inputs]
    is_exact = op.name in EXACT or op.is_view
    if noise is None or (is_exact and not (all_ops and isinstance(op, PerElement))):
        made = _compute(op, inputs, all_ops)
        if noise is not None and op.name in ("maximum", "minimum"):
            made = noise.either_zero(made, *inputs)
        return disturb(made, noise, 0) if noise is not None and noise.flushes else made
    if isinstance(op, PerElement) and op.name not in ABSOLUTE:
        return disturb(_compute(op, inputs, all_ops), noise)
    # each term of a sum has its share in the error
    if op.name in {"mean", "var", "std", *ABSOLUTE}:  # of integers, they compute with floats
        inputs = [np.float64(x) if np.result_type(x).kind in "biu" else x for x in inputs]
    sizes = [np.size(x) for x in inputs if not is_nested(x)]
    made = _compute(op, [disturb(x, noise) for x in inputs], all_ops)
    if op.name in ("var", "std") and noise.rng.random() < 0.5:
        made = _without_noise_of_mean(op, inputs[0], made)
    if op.name in SOLVERS and noise.rng.random() < 0.5:
        made = _spoiled(np.asarray(inputs[0]), np.asarray(inputs[-1]), made)
    if op.name in (*SOLVERS, "solve_sylvester"):
        made = _determined(_compute(op, inputs, all_ops), made)
    if op.name in LOGS_OF_SUMS:
        made = made + (disturb(np.ones_like(made), noise) - np.ones_like(made))
    if op.name == "svdvals":
        made = _with_error_of_largest(made, noise)
    terms = max(sizes, default=1) / max(1, np.size(made) if not is_nested(made) else 1)
    if op.name in RUNNING:
        terms = np.shape(inputs[0])[op.attributes()["axis"]] if np.ndim(inputs[0]) else 1
    factor = math.ceil(math.sqrt(max(1, terms)))
    return disturb(made, noise, factor * ROUGH.get(op.name, 1))


def _spoiled(matrices: Array, right: Array, made: Any) -> Any:
    """Return NaN for each system whose matrix holds NaN or an infinity."""
    bad = ~np.all(np.isfinite(matrices), axis=(-2, -1))
    columns = 1 if right.ndim == 1 else 2
    return np.where(bad.reshape(*bad.shape, *[1] * columns), made * np.nan, made)[()]


def _determined(exact: Any, made: Any) -> Any:
    """Return NaN if roundings change a solution altogether: the system is singular to them."""
    sizes = [np.max(np.abs(x), initial=0, where=np.isfinite(x)) for x in (made - exact, exact)]
    return made * np.nan if sizes[0] > sizes[1] else made


def _program(body: sm.Graph, noise: Noise | None, all_ops: bool) -> Any:
    return lambda values: _run(body, values, noise, all_ops)


def _without_noise_of_mean(op: Op, x: Any, made: Any) -> Any:
    """Return 0 where all elements are the same: their mean may be rounded, or exact."""
    how = op.attributes()
    if not np.size(x):
        return made
    width = np.ptp(np.asarray(x), axis=how["axis"], keepdims=how["keepdims"])
    return np.where(width == 0, made * 0, made)


def _with_error_of_largest(made: Array, noise: Noise) -> Array:
    """Return singular values of which small ones may be 0: all err as the largest is rounded."""
    largest = made.max(axis=-1, keepdims=True, initial=0) + 0 * made
    with np.errstate(all="ignore"):
        return np.maximum(made + noise.moved(largest, 1) - largest, 0)


def _compute(op: Op, inputs: list[Any], as_written: bool) -> Any:
    """Return the value of an op.

    NumPy takes the square root for x ** 0.5 if the exponent is one number, and C's function
    otherwise; they differ at -0 and at minus infinity.  Native code always calls C's.
    """
    if op.name == "power" and not as_written and np.ndim(inputs[0]) + np.ndim(inputs[1]) > 0:
        x, y = np.broadcast_arrays(*inputs)
        made: Any = np.power(np.stack([x, x]), np.stack([y, y]))
        return made[0]
    return kernel_of(op)(*inputs)


def disturb(value: Any, noise: Noise | None, factor: int = 1) -> Any:
    """Return a value, or a structure of values, with disturbed roundings."""
    if is_nested(value):
        if isinstance(value, dict):
            return {key: disturb(item, noise, factor) for key, item in value.items()}
        return type(value)(disturb(item, noise, factor) for item in value)
    if noise is None or value is None or np.asarray(value).dtype.kind != "f":
        return value
    return noise.moved(np.asarray(value), factor)[()]
