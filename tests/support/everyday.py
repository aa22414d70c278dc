"""A table of calls of everyday functions of NumPy and SciPy, each written once for any module.

NumPy's functions give the reference; symad's, and NumPy's on nodes, give graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import symad as sm

Array = np.ndarray[Any, Any]
NAN, INF = np.nan, np.inf
RNG = np.random.default_rng(5)


def smooth(*shape: int) -> Array:
    """Return numbers of either sign that differ pairwise, none near zero."""
    count = int(np.prod(shape))
    return ((RNG.permutation(count) - count / 2 + 0.37) * 0.45).reshape(shape)


def regular(rows: int, columns: int) -> Array:
    """Return a matrix whose singular values are neither small nor close to one another."""
    least = min(rows, columns)
    left, right = (np.linalg.qr(smooth(n, n))[0][:, :least] for n in (rows, columns))
    return left * np.arange(1.0, 1.0 + least) @ right.T


class Namespace:
    """The functions of a module; some from elsewhere."""

    def __init__(self, module: Any, **others: Any) -> None:
        self.module, self.others = module, others

    def __getattr__(self, name: str) -> Any:
        return self.others[name] if name in self.others else getattr(self.module, name)


def _cumulative_trapezoid(*args: Any, **keywords: Any) -> Any:
    from scipy.integrate import cumulative_trapezoid

    return cumulative_trapezoid(*args, **keywords)


def _top_k(x: Any, k: int, axis: int = -1) -> Any:
    order = np.flip(np.argsort(x, axis=axis), axis).take(range(k), axis)
    return np.take_along_axis(x, order, axis), order


class _LinearAlgebra:
    """The linear algebra of NumPy, and of SciPy where NumPy lacks a function."""

    def __getattr__(self, name: str) -> Any:
        import scipy.linalg

        return getattr(np.linalg if hasattr(np.linalg, name) else scipy.linalg, name)


def _accumulated(function: np.ufunc) -> Callable[..., Any]:
    def accumulate(x: Any, axis: Any = None) -> Any:
        return function.accumulate(np.ravel(x) if axis is None else x, axis or 0)

    return accumulate


NUMPY = Namespace(
    np,
    top_k=_top_k,
    cumulative_trapezoid=_cumulative_trapezoid,
    cummax=_accumulated(np.maximum),
    cummin=_accumulated(np.minimum),
    linalg=_LinearAlgebra(),
)
SYMAD = Namespace(sm, gradient=sm.central_differences)


@dataclass(frozen=True)
class Case:
    """One call, on arrays that become variables; ``order`` is that of the derivatives checked."""

    call: Callable[..., Any]
    arrays: tuple[Any, ...]
    order: int = 2
    dispatched: bool = True
    rtol: float = 1e-12

    @property
    def names(self) -> str:
        return "-".join(name for name in self.call.__code__.co_names if hasattr(SYMAD, name))


def case(call: Callable[..., Any], *arrays: Any, **options: Any) -> Case:
    return Case(call, tuple(np.asarray(x) for x in arrays), **options)


INTEGERS = np.array([5, 3, 9, 9, 2])
HOLES = np.array([[1.5, NAN, -2.0, 0.5], [NAN, NAN, 3.0, 1.0], [0.3, 2.0, NAN, -1.0]])
ODD = np.array([1.0, -1.0, 0.0, -0.0, INF, -INF, NAN])

DIFFERENCES = [
    case(lambda m, x: m.diff(x), smooth(5)),
    case(lambda m, x: m.diff(x, n=2), smooth(3, 5)),
    case(lambda m, x: m.diff(x, 1, 0), smooth(3, 5)),
    case(lambda m, x: m.diff(x, n=0), smooth(3)),
    case(lambda m, x: m.diff(x, n=4), smooth(3)),
    case(lambda m, x: m.diff(x), INTEGERS),
    case(lambda m, x: m.diff(x > 0), smooth(2, 4), order=0),
    case(lambda m, x, a: m.diff(x, prepend=0.0, append=a, axis=1), smooth(3, 5), smooth(3, 2)),
    case(lambda m, x: m.diff(x, prepend=1, axis=0), smooth(3, 2)),
    case(lambda m, x: m.ediff1d(x), smooth(2, 3)),
    case(lambda m, x, y: m.ediff1d(x, to_end=y, to_begin=7.0), smooth(4), smooth(2)),
    case(lambda m, x: m.ediff1d(x), smooth()),
    case(lambda m, x: m.gradient(x), smooth(5)),
    case(lambda m, x: m.gradient(x), smooth(3, 4)),
    case(lambda m, x: m.gradient(x, 0.5, edge_order=2), smooth(5)),
    case(lambda m, x, h: m.gradient(x, h, 2.0, edge_order=2), smooth(3, 4), 0.7),
    case(lambda m, x, t: m.gradient(x, t), smooth(5), np.array([0.0, 1.0, 1.5, 3.0, 3.5])),
    case(lambda m, x, t: m.gradient(x, t, axis=0, edge_order=2), smooth(4, 2),
         np.array([0.0, 1.0, 1.5, 3.0])),
    case(lambda m, x, t: m.gradient(x, t, 2.0, axis=(0, -1)), smooth(4, 2, 3),
         np.array([0.0, 1.0, 1.5, 3.0])),
    case(lambda m, x: m.gradient(x), INTEGERS),
    case(lambda m, x: m.gradient(x), smooth(2)),
    case(lambda m, y: m.trapezoid(y), smooth(2, 4)),
    case(lambda m, y, x: m.trapezoid(y, x), smooth(2, 4), smooth(4)),
    case(lambda m, y, x: m.trapezoid(y, x, axis=0), smooth(4, 2), smooth(4)),
    case(lambda m, y, x: m.trapezoid(y, x, axis=-2), smooth(4, 2), smooth(4, 2)),
    case(lambda m, y, h: m.trapezoid(y, dx=h, axis=1), smooth(2, 4), 0.3),
    case(lambda m, y: m.trapezoid(y), INTEGERS),
    case(lambda m, y: m.trapezoid(y), smooth(1)),
    case(lambda m, y, x: m.cumulative_trapezoid(y, x), smooth(2, 4), smooth(4), dispatched=False),
    case(lambda m, y: m.cumulative_trapezoid(y, dx=0.5, axis=0, initial=0), smooth(4, 2),
         dispatched=False),
]  # fmt: skip

STATISTICS = [
    case(lambda m, x: m.median(x), smooth(5)),
    case(lambda m, x: m.median(x), smooth(2, 3)),
    case(lambda m, x: m.median(x, axis=0), smooth(4, 3)),
    case(lambda m, x: m.median(x, axis=-1, keepdims=True), smooth(3, 4)),
    case(lambda m, x: m.median(x, axis=(0, 2)), smooth(2, 3, 3)),
    case(lambda m, x: m.median(x, axis=(2, 0), keepdims=True), smooth(2, 3, 2)),
    case(lambda m, x: m.median(x), smooth()),
    case(lambda m, x: m.median(x), INTEGERS),
    case(lambda m, x: m.median(x, axis=1), HOLES, order=0),
    case(lambda m, x: m.median(x, axis=1), np.zeros((0, 3))),
    case(lambda m, x: m.nanmedian(x, axis=1), HOLES, order=0),
    case(lambda m, x: m.nanmedian(x), HOLES, order=0),
    case(lambda m, x: m.nanmedian(x, 0, keepdims=True), smooth(4, 3)),
    case(lambda m, x: m.quantile(x, 0.3), smooth(5)),
    case(lambda m, x: m.quantile(x, [0.0, 0.4, 1.0]), smooth(2, 3)),
    case(lambda m, x: m.quantile(x, [0.2, 0.7], axis=1, keepdims=True), smooth(3, 4)),
    case(lambda m, x: m.quantile(x, [[0.2], [0.7]], axis=(0, 2)), smooth(2, 3, 2)),
    case(lambda m, x: m.quantile(x, 0.7, axis=0, keepdims=True), smooth(3, 4)),
    case(lambda m, x: m.quantile(x, [0.1, 0.9], axis=1), HOLES, order=0),
    case(lambda m, x: m.nanquantile(x, [0.1, 0.9], axis=1), HOLES, order=0),
    case(lambda m, x: m.nanquantile(x, 0.3, keepdims=True), HOLES, order=0),
    case(lambda m, x: m.nanpercentile(x, 30, axis=0), smooth(4, 2)),
    case(lambda m, x: m.percentile(x, 30.0), smooth(4, 3)),
    case(lambda m, x: m.percentile(x, [25.0, 75.0], axis=-1), smooth(4, 3)),
    *[
        case(lambda m, x, method=method: m.quantile(x, [0.0, 0.1, 0.35, 0.5, 0.98],
                                                    axis=0, method=method), smooth(7, 2))
        for method in ("hazen", "weibull", "median_unbiased", "normal_unbiased", "lower", "higher",
                       "interpolated_inverted_cdf", "midpoint", "nearest")
    ],
    case(lambda m, x: m.quantile(x, 0.5, method="lower"), INTEGERS),
    case(lambda m, x: m.ptp(x), smooth(2, 3)),
    case(lambda m, x: m.ptp(x, axis=1, keepdims=True), smooth(2, 3)),
    case(lambda m, x: m.top_k(x, 2), smooth(3, 4), dispatched=False),
    case(lambda m, x: m.top_k(x, 3, axis=0), smooth(3, 4), dispatched=False),
    case(lambda m, x: m.sort(m.partition(x, 2)), smooth(5)),
    case(lambda m, x: m.partition(x, 1, axis=0)[1], smooth(3, 2)),
    case(lambda m, x: m.argpartition(x, 1)[1], smooth(3)),
    case(lambda m, x: m.average(x), smooth(2, 3)),
    case(lambda m, x, w: m.average(x, weights=w), smooth(2, 3), np.abs(smooth(2, 3))),
    case(lambda m, x, w: m.average(x, 1, w), smooth(2, 3), np.abs(smooth(3))),
    case(lambda m, x, w: m.average(x, 0, w, keepdims=True), smooth(2, 3), np.abs(smooth(2))),
    case(lambda m, x, w: m.average(x, (0, 1), w, True), smooth(2, 3), np.abs(smooth(2, 3))),
    case(lambda m, x: m.average(x, axis=1, returned=True), smooth(2, 3)),
    case(lambda m, x: m.average(x, weights=[1, 2, 3, 4, 5]), INTEGERS),
    case(lambda m, x: m.cov(x), smooth(3, 5)),
    case(lambda m, x: m.cov(x), smooth(5)),
    case(lambda m, x, y: m.cov(x, y, rowvar=False, bias=True), smooth(5, 2), smooth(5, 1)),
    case(lambda m, x, y: m.cov(x, y, ddof=2), smooth(4), smooth(4)),
    case(lambda m, x, w: m.cov(x, aweights=w), smooth(2, 4), np.abs(smooth(4))),
    case(lambda m, x, w: m.cov(x, fweights=[1, 2, 1, 3], aweights=w, ddof=1), smooth(2, 4),
         np.abs(smooth(4))),
    case(lambda m, x: m.cov(x), np.array([[1, 2, 4], [0, 1, 0]])),
    case(lambda m, x: m.corrcoef(x), smooth(3, 5)),
    case(lambda m, x, y: m.corrcoef(x, y), smooth(5), smooth(5)),
    case(lambda m, x: m.corrcoef(x), smooth(5), order=0),
]  # fmt: skip

NAN_REDUCTIONS = [
    case(lambda m, x, name=name, options=options: getattr(m, name)(x, **options), array,
         order=order)
    for name in ("nansum", "nanprod", "nanmean", "nanmax", "nanmin", "nanvar", "nanstd")
    for options, array, order in (
        ({}, HOLES, 0),
        ({"axis": 1}, HOLES, 0),
        ({"axis": (0, 1), "keepdims": True}, HOLES, 0),
        ({"axis": -1}, smooth(2, 4), 2),
        ({"axis": 0}, np.array([[NAN, 1.0], [NAN, 2.0]]), 0),
        ({}, INTEGERS, 0),
    )
] + [
    case(lambda m, x: m.nanvar(x, axis=1, ddof=1), HOLES, order=0),
    case(lambda m, x: m.nanstd(x, axis=1, ddof=2, keepdims=True), HOLES, order=0),
    case(lambda m, x: m.nanvar(x, axis=1, ddof=1), smooth(2, 4)),
    case(lambda m, x: m.nanstd(x, ddof=1), smooth(2, 4)),
    case(lambda m, x: m.nancumsum(x, axis=1), HOLES, order=0),
    case(lambda m, x: m.nancumprod(x), HOLES, order=0),
    case(lambda m, x: [m.nanargmax(x, 0), m.nanargmin(x, axis=0)], HOLES[:, 1:], order=0),
    case(lambda m, x: [m.nanargmax(x), m.nanargmin(x)], np.array([[NAN, -INF], [INF, 1]]), order=0),
    case(lambda m, x: m.nanargmin(x, axis=1, keepdims=True), INTEGERS[None]),
    case(lambda m, x: m.nan_to_num(x), ODD, order=0),
    case(lambda m, x: m.nan_to_num(x, nan=2.0, posinf=3.0, neginf=-4), ODD, order=0),
    case(lambda m, x: m.nan_to_num(x), smooth(3)),
    case(lambda m, x: m.nan_to_num(x), INTEGERS),
]  # fmt: skip

COMPARING = [
    case(lambda m, x: m.isclose(x, 1.0), ODD),
    case(lambda m, x, y: m.isclose(x, y), ODD[:, None], ODD),
    case(lambda m, x, y: m.isclose(x, y, equal_nan=True, rtol=0.5, atol=0.1), ODD[:, None], ODD),
    case(lambda m, x: m.isclose(x, x + 1), INTEGERS),
    case(lambda m, x: m.isclose(x > 0, x > 1), ODD, order=0),
    case(lambda m, x: m.allclose(x, x + 1e-9), smooth(3), order=0),
    case(lambda m, x: m.allclose(x, x), ODD, order=0),
    case(lambda m, x: m.allclose(x, x, equal_nan=True), ODD, order=0),
    case(lambda m, x: m.array_equal(x, x), smooth(3), order=0),
    case(lambda m, x: m.array_equal(x, x), ODD, order=0),
    case(lambda m, x: m.array_equal(x, x, equal_nan=True), ODD, order=0),
    case(lambda m, x, y: m.array_equal(x, y), smooth(3), smooth(2, 3), order=0),
    case(lambda m, x, y: m.array_equal(x, y), smooth(3), smooth(1), order=0),
    case(lambda m, x, y: m.fmax(x, y), smooth(3), smooth(2, 3)),
    case(lambda m, x, y: m.fmin(x, y), smooth(3), smooth(2, 3)),
    case(lambda m, x, y: m.fmax(x, y), ODD[:, None], ODD, order=0),
    case(lambda m, x, y: m.fmin(x, y), ODD[:, None], ODD, order=0),
    case(lambda m, x: m.fmin(x, 4), INTEGERS),
    case(lambda m, x: m.fabs(x), smooth(3)),
    case(lambda m, x: m.fabs(x), INTEGERS),
    case(lambda m, x, y: m.heaviside(x, y), smooth(3), smooth(2, 3)),
    case(lambda m, x: m.heaviside(x, 0.5), ODD, order=0),
    case(lambda m, x: m.heaviside(x, x), ODD, order=0),
    case(lambda m, x: m.heaviside(x, 1), INTEGERS),
]  # fmt: skip

CHOICES = [
    case(lambda m, x, y: m.select([x < 0, x < 1], [x**2, y]), smooth(4), smooth(4)),
    case(lambda m, x: m.select([x > 1], [x], 7.0), smooth(2, 4)),
    case(lambda m, x: m.select([x > 3, x > 2], [x, 1], -1), INTEGERS),
    case(lambda m, x: m.piecewise(x, [x < 0, x >= 0], [lambda t: -t * t, lambda t: t**3]),
         smooth(4)),
    case(lambda m, x: m.piecewise(x, [x < 0, x > 0.5], [1.5, lambda t: t**3, np.sin]), smooth(6)),
    case(lambda m, x: m.piecewise(x, x > 0, [lambda t, a: t**a], 2), smooth(4)),
    case(lambda m, x: m.piecewise(x, [x > 3], [2.7, 1]), INTEGERS),
]  # fmt: skip

JOINING = [
    case(lambda m, x, y: m.append(x, y), smooth(2, 2), smooth(3)),
    case(lambda m, x, y: m.append(x, y, axis=1), smooth(2, 2), smooth(2, 1)),
    case(lambda m, x: m.append(x, 4), INTEGERS),
    case(lambda m, x, y: m.column_stack([x, y]), smooth(3), smooth(3, 2)),
    case(lambda m, x, y: m.dstack([x, y]), smooth(3), smooth(1, 3, 2)),
    case(lambda m, x: m.dstack([x, x]), smooth(2, 2)),
    case(lambda m, x, y: [m.atleast_3d(x), m.atleast_3d(y)], smooth(), smooth(2, 3)),
    case(lambda m, a, b, c: m.block([[a, b], [c]]), smooth(2, 2), smooth(2, 1), smooth(1, 3)),
    case(lambda m, a: m.block([a, 1.0, a]), smooth(2)),
    case(lambda m, a: m.block(a), smooth(2)),
    case(lambda m, a, b: m.block([[a, a], [b, b]]), smooth(2), smooth(1, 3, 2)),
    case(lambda m, x: list(m.array_split(x, 3)), smooth(7)),
    case(lambda m, x: list(m.array_split(x, 4, axis=1)), smooth(2, 3)),
    case(lambda m, x: list(m.array_split(x, [2, 5])), smooth(7)),
    case(lambda m, x: list(m.hsplit(x, 2)), smooth(4)),
    case(lambda m, x: list(m.hsplit(x, [1])), smooth(2, 4)),
    case(lambda m, x: list(m.vsplit(x, 2)), smooth(4, 2)),
    case(lambda m, x: list(m.dsplit(x, 2)), smooth(2, 1, 4)),
    case(lambda m, x: [m.fliplr(x), m.flipud(x)], smooth(2, 3)),
    case(lambda m, x: [m.rot90(x, k) for k in range(-1, 4)], smooth(2, 3)),
    case(lambda m, x: m.rot90(x, 1, (2, 0)), smooth(2, 3, 4)),
    case(lambda m, x: [m.rollaxis(x, 2), m.rollaxis(x, 0, 3), m.rollaxis(x, -2, -1)],
         smooth(2, 3, 4)),
]  # fmt: skip

EDITING = [
    case(lambda m, x: m.delete(x, 1), smooth(2, 3)),
    case(lambda m, x: m.delete(x, [0, -1, 0], axis=1), smooth(2, 4)),
    case(lambda m, x: m.delete(x, slice(1, None, 2), axis=0), smooth(4, 2)),
    case(lambda m, x: m.delete(x, np.array([True, False, True])), smooth(3)),
    case(lambda m, x: m.insert(x, 1, 7.0), smooth(2, 2)),
    case(lambda m, x, v: m.insert(x, -1, v, axis=1), smooth(2, 3), smooth(2)),
    case(lambda m, x, v: m.insert(x, [2, 0, 2], v, axis=0), smooth(3, 2), smooth(3, 2)),
    case(lambda m, x, v: m.insert(x, [1], v, axis=0), smooth(3, 2), smooth(4, 2)),
    case(lambda m, x: m.insert(x, slice(0, 3, 2), 1.5), smooth(4)),
    case(lambda m, x: m.insert(x, 5, [1.7, 2]), INTEGERS),
    case(lambda m, x: m.resize(x, (2, 4)), smooth(3)),
    case(lambda m, x: m.resize(x, 2), smooth(2, 3)),
    case(lambda m, x: m.diagflat(x, -1), smooth(1, 2)),
    case(lambda m, x: list(m.unravel_index(x, (2, 5))), INTEGERS),
    case(lambda m, x: m.ravel_multi_index([x, x - 1], (10, 9)), INTEGERS),
    case(lambda m, x: m.unwrap(x), 3 * smooth(6)),
    case(lambda m, x: m.unwrap(x, axis=0, period=1.6), smooth(6, 2)),
    case(lambda m, x: m.unwrap(x, 2.0, period=3.0), smooth(6)),
    case(lambda m, x: m.modf(x), smooth(4)),
    case(lambda m, x: m.modf(x), ODD, order=0),
    case(lambda m, x: m.float_power(m.fabs(x), 1.7), smooth(4)),
    case(lambda m, x: m.float_power(x, -1), INTEGERS),
    case(lambda m, x: [m.isposinf(x), m.isneginf(x)], ODD, order=0),
    case(lambda m, x, y: m.array_equiv(x, y), smooth(3), smooth(2, 3), order=0),
    case(lambda m, x: m.array_equiv(x, x[:1]), np.ones(3), order=0),
]  # fmt: skip

PRODUCTS = [
    case(lambda m, x, y: m.matvec(x, y), smooth(2, 1, 3, 2), smooth(4, 2)),
    case(lambda m, x, y: m.vecmat(x, y), smooth(4, 3), smooth(2, 1, 3, 2)),
    case(lambda m, p, q: m.polymul(p, q), smooth(3), smooth(2)),
    case(lambda m, r: m.poly(r), smooth(3)),
    case(lambda m, x, y: m.kron(x, y), smooth(2), smooth(3)),
    case(lambda m, x, y: m.kron(x, y), smooth(2, 3), smooth(3, 2)),
    case(lambda m, x, y: m.kron(x, y), smooth(2, 2, 1), smooth(3)),
    case(lambda m, x, y: m.kron(x, y), smooth(), smooth(3, 2)),
    case(lambda m, x: m.kron(x, [1, 2]), INTEGERS),
    case(lambda m, x, y: m.cross(x, y), smooth(3), smooth(3)),
    case(lambda m, x, y: m.cross(x, y), smooth(4, 3), smooth(3)),
    case(lambda m, x, y: m.cross(x, y, axisa=0, axisb=1, axisc=1), smooth(3, 4), smooth(4, 3)),
    case(lambda m, x, y: m.cross(x, y, axis=0), smooth(3, 4), smooth(3, 4)),
    case(lambda m, x, y: m.vdot(x, y), smooth(2, 3), smooth(3, 2)),
    case(lambda m, x, y: m.vdot(x, y), smooth(), smooth(1)),
    case(lambda m, x: m.vdot(x, [1, 2, 3, 4, 5]), INTEGERS),
    case(lambda m, x, y: m.einsum(x, [0, 1], y, [1, 2], [0, 2]), smooth(2, 3), smooth(3, 2)),
    case(lambda m, x, y: m.einsum(x, [7, 1], y, [1, 2], optimize=True), smooth(2, 3), smooth(3, 2)),
    case(lambda m, x: m.einsum(x, [..., 0, 0], [...]), smooth(2, 3, 3)),
    case(lambda m, x, y: m.einsum(x, [..., 40], y, [2], [2, ...]), smooth(2, 3), smooth(4)),
    case(lambda m, x, y: m.einsum("ij,jk", x, y, optimize="greedy"), smooth(2, 3), smooth(3, 2)),
    case(lambda m, p, x: m.polyval(p, x), smooth(4), smooth(2, 3)),
    case(lambda m, p, x: m.polyval(p, x), smooth(1), smooth(3)),
    case(lambda m, x: m.polyval([1, 0, 2], x), INTEGERS),
    case(lambda m, p: [m.polyder(p), m.polyder(p, 2), m.polyder(p, 9)], smooth(4)),
    case(lambda m, p: [m.polyint(p), m.polyint(p, 2, k=[3.0, 4.0])], smooth(3)),
    case(lambda m, p, k: m.polyint(p, k=k), smooth(3), smooth()),
    case(lambda m, p, q: [m.polyadd(p, q), m.polysub(p, q)], smooth(3), smooth(2)),
    case(lambda m, x: m.vander(x), smooth(3)),
    case(lambda m, x: m.vander(x, 4, increasing=True), smooth(3)),
    case(lambda m, x: m.vander(x, 3), INTEGERS),
]  # fmt: skip

CREATION = [
    case(lambda m, a, b: m.logspace(a, b, 5), 0.5, 2.0),
    case(lambda m, a: m.logspace(a, 2.0, 4, endpoint=False, base=2.0), np.array([0.5, 1.0])),
    case(lambda m, a, b: m.geomspace(a, b, 5), 0.5, 8.0),
    case(lambda m, a: m.geomspace(a, -8.0, 4, endpoint=False), np.array([-0.5, -1.0])),
]

SIGNAL = [
    case(lambda m, x: m.sinc(x), np.array([0.0, 0.3, -1.0, 2.5])),
    case(lambda m, x: m.sinc(x), INTEGERS, rtol=1e-10),
    case(lambda m, x: [m.degrees(x), m.radians(x), m.rad2deg(x), m.deg2rad(x)], smooth(3)),
    case(lambda m, x, y: m.logaddexp2(x, y), smooth(3), smooth(2, 1)),
    case(lambda m, x: m.logaddexp2(x, x), np.array([5000.0, -INF, INF, 0.0]), order=0),
    case(lambda m, x: [m.cummax(x), m.cummin(x)], smooth(2, 3), dispatched=False),
    case(lambda m, x: [m.cummax(x, 1), m.cummin(x, axis=-1)], smooth(2, 4), dispatched=False),
    case(lambda m, x: [m.cummax(x, 1), m.cummin(x, axis=0)], HOLES, order=0, dispatched=False),
    *[
        case(lambda m, x, y, mode=mode: [m.convolve(x, y, mode), m.correlate(x, y, mode)],
             smooth(n), smooth(k))
        for mode in ("full", "same", "valid")
        for n, k in ((5, 3), (5, 2), (2, 5), (3, 4), (4, 4), (1, 1), (4, 1))
    ],
    case(lambda m, x, y: [m.convolve(x, y), m.correlate(x, y)], smooth(4), smooth(2)),
    case(lambda m, x: m.convolve(x, [1, 2]), INTEGERS),
]  # fmt: skip

PLACES = np.array([-1.0, 0.3, 0.5, 2.0])
INTERPOLATION = [
    case(lambda m, x, xp, fp: m.interp(x, xp, fp), np.array([-0.7, 0.4, 1.9, -3.0, 5.0]), PLACES,
         smooth(4)),
    case(lambda m, x, xp, fp, a: m.interp(x, xp, fp, left=a, right=7), smooth(2, 3), PLACES,
         smooth(4), 0.5),
    case(lambda m, x, xp, fp: m.interp(x, xp, fp, period=2.3), np.array([-0.7, 0.4, 1.9, 5.0]),
         np.array([0.3, -1.0, 4.0]), smooth(3)),
    case(lambda m, x, xp, fp: m.interp(x, xp, fp), PLACES, PLACES, smooth(4), order=0),
    case(lambda m, x, xp, fp: m.interp(x, xp, fp), np.array([1.0, 0.5, NAN, INF, -INF]),
         np.array([0.0, 1.0, 1.0]), smooth(3), order=0),
    case(lambda m, x, fp: m.interp(x, [2.0], fp), smooth(3), smooth(1)),
    case(lambda m, x: m.interp(x, [1, 2, 4], [3, 1, 0]), INTEGERS),
    case(lambda m, x: m.digitize(x, [-1.0, 0.0, 1.0]), smooth(2, 4)),
    case(lambda m, x: m.digitize(x, [9, 5, 2], right=True), INTEGERS),
    case(lambda m, x: m.digitize(x, [9, 5, 2]), INTEGERS),
    case(lambda m, x: m.digitize(x, [2, 5, 9], right=True), INTEGERS),
    case(lambda m, x: m.bincount(x), INTEGERS),
    case(lambda m, x, w: m.bincount(x, w, minlength=12), INTEGERS, smooth(5)),
    case(lambda m, x: m.bincount(x, weights=[1, 2, 3, 4, 5]), INTEGERS),
    case(lambda m, x: m.bincount(x, minlength=2), np.zeros(0, "int64")),
    case(lambda m, x: m.histogram(x), smooth(20), order=0),
    case(lambda m, x: m.histogram(x, bins=3, range=(-1.0, 1.0)), smooth(20), order=0),
    case(lambda m, x, w: m.histogram(x, 4, weights=w), smooth(8), smooth(8), order=0),
    case(lambda m, x: m.histogram(x, bins=[-1.0, 0.0, 2.0], density=True), smooth(3, 4), order=0),
    case(lambda m, x: m.histogram(x, bins=2), np.array([2.0, 2.0]), order=0),
]  # fmt: skip

SQUARE, OTHER = regular(3, 3), regular(2, 2)
DEFINITE = SQUARE @ SQUARE.T + np.eye(3)
LINEAR_ALGEBRA = [
    case(lambda m, a, b: m.linalg.lstsq(a, b, rcond=None), regular(4, 2), smooth(4), rtol=1e-10),
    case(lambda m, a, b: m.linalg.lstsq(a, b), regular(4, 2), smooth(4, 3), rtol=1e-10),
    case(lambda m, a, b: m.linalg.lstsq(a, b)[0], regular(2, 4), smooth(2), rtol=1e-10),
    case(lambda m, a: m.linalg.lstsq(a, [1.0, 2.0])[0], np.array([[1.0, 2.0], [2.0, 4.0]]),
         order=0, rtol=1e-10),
    case(lambda m, x, y: m.polyfit(x, y, 2), smooth(6), smooth(6), rtol=1e-9),
    case(lambda m, x, y, w: m.polyfit(x, y, 1, w=w), smooth(5), smooth(5, 2), np.abs(smooth(5)),
         rtol=1e-9),
    case(lambda m, a: m.linalg.sqrtm(a @ a.T), SQUARE, dispatched=False, rtol=1e-9),
    case(lambda m, ab, b: m.linalg.solve_banded((1, 2), ab, b), smooth(4, 5) + 3 * np.eye(4, 5, -2),
         smooth(5), dispatched=False, rtol=1e-9),
    case(lambda m, ab, b: m.linalg.solve_banded((0, 1), ab, b), smooth(2, 3), smooth(3, 2),
         dispatched=False, rtol=1e-9),
    case(lambda m, a, b: m.linalg.multi_dot([a, b, a]), smooth(2, 3), smooth(3, 2)),
    case(lambda m, a, b, x: m.linalg.multi_dot([x, a, b]), smooth(2, 3), smooth(3, 2), smooth(2)),
    *[case(lambda m, a, p=p: m.linalg.cond(a, p), SQUARE, rtol=1e-10)
      for p in (None, 1, 2, -2, np.inf, "fro")],
    case(lambda m, a, b: m.linalg.tensorsolve(a, b), regular(6, 6).reshape(2, 3, 6),
         smooth(2, 3), rtol=1e-9),
    case(lambda m, a, b: m.linalg.tensorsolve(a, b, axes=(0,)), regular(6, 6).reshape(6, 2, 3),
         smooth(2, 3), rtol=1e-9),
    case(lambda m, a: m.linalg.tensorinv(a, ind=1), regular(4, 4).reshape(4, 2, 2), rtol=1e-9),
    case(lambda m, a: m.linalg.expm(a), SQUARE, dispatched=False, rtol=1e-10),
    case(lambda m, a: m.linalg.expm(a), smooth(2, 2, 2), dispatched=False, rtol=1e-10),
    case(lambda m, a: m.linalg.lu(a), SQUARE, dispatched=False),
    case(lambda m, a: m.linalg.lu(a), regular(4, 2), dispatched=False),
    case(lambda m, a: m.linalg.lu(a), regular(2, 4), dispatched=False),
    case(lambda m, a: m.linalg.lu(a), smooth(2, 2, 3), dispatched=False),
    case(lambda m, a: m.linalg.lu(a, permute_l=True), SQUARE, dispatched=False),
    case(lambda m, a, b: m.linalg.solve_sylvester(a, b, a[:, :2]), SQUARE, OTHER,
         dispatched=False),
    case(lambda m, a, b: m.linalg.block_diag(a, b, 2.5, a[0]), smooth(2, 3), smooth(1, 2),
         dispatched=False),
    case(lambda m, a: m.linalg.block_diag(a), smooth(2, 3), dispatched=False),
    case(lambda m, a, b: m.linalg.toeplitz(a, b), smooth(3), smooth(4), dispatched=False),
    case(lambda m, a: m.linalg.toeplitz(a), smooth(3), dispatched=False),
    case(lambda m, a, b: m.linalg.cho_solve(m.linalg.cho_factor(a + a.T), b),
         DEFINITE, smooth(3, 2), dispatched=False),
    case(lambda m, a, b: m.linalg.cho_solve(m.linalg.cho_factor(a + a.T, lower=True), b),
         DEFINITE, smooth(3), dispatched=False),
]  # fmt: skip

TABLE = [*DIFFERENCES, *STATISTICS, *NAN_REDUCTIONS, *COMPARING, *CHOICES, *JOINING, *EDITING,
         *PRODUCTS, *CREATION, *SIGNAL, *INTERPOLATION, *LINEAR_ALGEBRA]  # fmt: skip
