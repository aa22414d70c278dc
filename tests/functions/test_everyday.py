"""Everyday functions of NumPy and SciPy: values, dtypes and derivatives against NumPy's own.

Each row of the table is written once, for any module that has the functions: NumPy's gives the
reference; symad's, and NumPy's on nodes, give graphs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ShapeError, SymadError
from symad.graph.nested import leaves
from symad.testing import assert_graphs_equal, check_gradients

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
for_each_case = pytest.mark.parametrize("case", TABLE, ids=[case.names for case in TABLE])


def variables(case: Case, known: str = "sizes") -> list[sm.Variable]:
    """Return a variable for each array, of the same shape, as far as it is to be known."""
    shapes: dict[str, Callable[[Array], Any]] = {
        "sizes": np.shape,
        "ranks": lambda x: (None,) * x.ndim,
        "nothing": lambda x: None,
    }
    return [
        sm.Variable(f"x{k}", shape=shapes[known](x), dtype=x.dtype)
        for k, x in enumerate(case.arrays)
    ]


def reference(case: Case, arrays: Any = None) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # NumPy warns of NaN and of empty slices
        return case.call(NUMPY, *(case.arrays if arrays is None else arrays))


def run(nodes: Any, xs: Any, arrays: Any, backend: Any) -> Any:
    return sm.compile(xs, nodes, backend=backend)(*arrays)


def assert_same(got: Any, expected: Any, rtol: float) -> None:
    for a, b in zip(leaves(got), leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@for_each_case
def test_values(case: Case) -> None:
    """On both backends, and for shapes that are not known, in so far as those are accepted."""
    expected = reference(case)
    xs = variables(case)
    nodes = case.call(SYMAD, *xs)
    for backend in ("native", "numpy"):
        assert_same(run(nodes, xs, case.arrays, backend), expected, case.rtol)
    for known in ("ranks", "nothing"):
        xs = variables(case, known)
        try:
            nodes = case.call(SYMAD, *xs)
        except ShapeError as error:
            assert known == "nothing" or "must be known" in str(error)
            continue
        assert_same(run(nodes, xs, case.arrays, "numpy"), expected, case.rtol)


@for_each_case
def test_float32(case: Case) -> None:
    arrays = [x.astype("float32") if x.dtype.kind == "f" else x for x in case.arrays]
    xs = [sm.Variable("x", shape=x.shape, dtype=x.dtype) for x in arrays]
    got = run(case.call(SYMAD, *xs), xs, arrays, "numpy")
    assert_same(got, reference(case, arrays), 2e-5)


@for_each_case
def test_numpy_function_of_nodes(case: Case) -> None:
    if not case.dispatched:
        pytest.skip("not a function of NumPy")
    xs = variables(case)
    ours, numpy = leaves(case.call(SYMAD, *xs)), leaves(case.call(np, *xs))
    assert_graphs_equal(sm.Graph(ours, xs), sm.Graph(numpy, xs))


@for_each_case
def test_derivatives(case: Case) -> None:
    xs = variables(case)
    nodes = [node for node in leaves(case.call(SYMAD, *xs)) if node.type.is_float]
    targets = [x for x in xs if x.type.is_float]
    if not nodes or not targets or not case.order:
        pytest.skip("no derivative is to be checked")
    feed = dict(zip(xs, case.arrays, strict=True))
    check_gradients(nodes, targets, at=feed, order=case.order)


@for_each_case
def test_nothing_comes_from_a_branch_that_is_not_taken(case: Case) -> None:
    """Where each operand is −∞ with an infinite slope."""
    xs, flag = variables(case), sm.Variable("flag", shape=(), dtype="bool")
    targets = [x for x in xs if x.type.is_float]
    singular = [sm.log(x - x) + x if x.type.is_float else x for x in xs]
    values = [sm.sum(y) for y in leaves(case.call(SYMAD, *singular)) if y.type.is_float]
    if not values or not targets:
        pytest.skip("no derivative is to be checked")
    y = sm.where(flag, sm.add_n(values), 0.0)
    tangent = sm.pushforward(y, targets, list(map(sm.ones_like, targets)))
    derivatives = [*sm.gradients(y, targets, unused="zero"), tangent]
    for derivative in run(derivatives, [*xs, flag], [*case.arrays, False], "numpy"):
        assert not np.any(derivative)


def slope(f: Callable[[Any], Any], at: Any) -> list[float]:
    x = sm.Variable("x", shape=np.shape(at))
    slopes = sm.gradients(sm.sum(f(x)), x).eval({x: at})
    tangent = sm.pushforward(f(x), x, sm.ones_like(x)).eval({x: at})
    assert np.isclose(np.sum(tangent), np.sum(slopes), equal_nan=True)
    result: list[float] = np.asarray(slopes).tolist()
    return result


def test_nan_elements_have_no_derivative() -> None:
    at = [4.0, -1.0, 1.0]
    for f, expected in (
        (sm.nansum, [0.25, 0.0, 0.5]),
        (sm.nanmean, [0.125, 0.0, 0.25]),
        (sm.nanmax, [0.25, 0.0, 0.0]),
        (sm.nanmin, [0.0, 0.0, 0.5]),
        (sm.nanprod, [0.25, 0.0, 1.0]),
        (sm.nanmedian, [0.125, 0.0, 0.25]),
        (sm.nanvar, [0.125, 0.0, -0.25]),
        (sm.nanstd, [0.125, 0.0, -0.25]),
        (sm.nan_to_num, [0.25, 0.0, 0.5]),
        (sm.nancumsum, [0.75, 0.0, 0.5]),
    ):
        assert slope(lambda x, f=f: f(sm.sqrt(x)), at) == pytest.approx(expected), f.__name__


def test_ties_and_kinks() -> None:
    assert slope(sm.median, [1.0, 2.0, 2.0, 5.0]) == [0.0, 0.5, 0.5, 0.0]
    assert slope(sm.ptp, [1.0, 3.0, 3.0]) == [-1.0, 0.5, 0.5]
    assert slope(sm.cummax, [1.0, 1.0, 3.0, 2.0, 3.0]) == [1.5, 0.5, 2.5, 0.0, 0.5]
    assert slope(sm.cummin, [1.0, NAN, 0.5]) == [1.0, 0.0, 0.0]
    assert slope(lambda x: sm.interp(x, [0.0, 1.0, 2.0], [0.0, 3.0, 4.0]), [0.0, 1.0, 2.0]) == [
        3.0, 1.0, 1.0,
    ]  # fmt: skip
    assert slope(sm.nanstd, [2.0, 2.0]) == [0.0, 0.0]
    assert slope(lambda x: sm.fmax(x, 1.0), [1.0, NAN]) == [0.5, 0.0]
    assert slope(lambda x: sm.heaviside(1.0, x), [3.0]) == [0.0]
    assert slope(lambda x: sm.heaviside(0.0, x), [3.0]) == [1.0]
    assert slope(lambda x: sm.quantile(x, 0.25), [1.0, 2.0, 4.0]) == [0.5, 0.5, 0.0]
    assert slope(lambda x: sm.quantile(x, 0.0), [INF, 1.0]) == [0.0, 1.0]


def test_shapes_that_do_not_broadcast_are_not_equal() -> None:
    assert not sm.array_equiv(sm.constant([1.0, 2.0, 3.0]), [1.0, 2.0]).eval()
    assert not sm.array_equal(sm.constant([1.0, 2.0, 3.0]), [1.0, 2.0]).eval()


def test_no_residuals_of_a_system_that_can_be_solved() -> None:
    for shape in ((2, 4), (3, 3)):
        assert sm.linalg.lstsq(sm.constant(regular(*shape)), np.ones(shape[0])).residuals.size == 0


def test_quantile_by_its_share() -> None:
    x, q = sm.Variable("x", shape=(4,)), sm.Variable("q", shape=(2,))
    feed = {x: [1.0, 2.0, 4.0, 8.0], q: [0.5, 0.9]}
    check_gradients(sm.quantile(x, q), [x, q], at=feed)
    assert np.isnan(sm.quantile(x, q).eval({**feed, q: [-0.1, 1.1]})).all()


def test_choices_that_are_not_taken_do_not_contribute() -> None:
    def root(x: Any) -> Any:
        return sm.piecewise(x, [x > 0], [sm.sqrt, 0.0])

    assert slope(root, [0.0, 4.0]) == [0.0, 0.25]
    assert slope(lambda x: sm.select([x > 0], [sm.log(x)]), [0.0, 4.0]) == [0.0, 0.25]


def test_creation_with_known_and_unknown_sizes() -> None:
    n = sm.Variable("n", dtype="int64", shape=())
    for ours, numpy in (
        (lambda m, k: m.tri(k), 3),
        (lambda m, k: m.tri(k, 4, 1, dtype="int64"), 3),
        (lambda m, k: m.tri(2, k, -1), 3),
        (lambda m, k: m.indices((2, k)), 3),
        (lambda m, k: m.indices((k,), dtype="int32"), 3),
        (lambda m, k: m.indices(()), 3),
    ):
        expected = ours(np, numpy)
        assert_same(ours(sm, numpy).eval(), expected, 0)
        assert_same(ours(sm, +n).eval({n: numpy}), expected, 0)


x = sm.Variable("x", shape=(3, 4))
ERRORS = {
    "axis 5 is out of range": lambda: sm.diff(x, axis=5),
    "n is -1": lambda: sm.diff(x, n=-1),
    "edge_order is 3": lambda: sm.central_differences(x, edge_order=3),
    "3 spacings do not fit 2 axes": lambda: sm.central_differences(x, 1.0, 1.0, 1.0),
    "at least 3 elements are needed": lambda: sm.central_differences(x[:2], edge_order=2),
    "trapezoid.*axis 2 is out of range": lambda: sm.trapezoid(x, axis=2),
    "median.*axis 3 is out of range": lambda: sm.median(x, axis=3),
    "median.*at least 1 elements": lambda: sm.median(x[:, :0], axis=1),
    "there is no method 'cubic'.*\n.*hazen": lambda: sm.quantile(x, 0.5, method="cubic"),
    "q is 1.5, but must be from 0 to 1": lambda: sm.quantile(x, 1.5),
    "q is 101.0, but must be from 0 to 100": lambda: sm.percentile(x, 101),
    "axis 1 has size 4, but at least 5": lambda: sm.top_k(x, 5),
    "k is 1.5": lambda: sm.top_k(x, 1.5),  # type: ignore[arg-type]
    "partition.*at least 9 elements": lambda: sm.partition(x, 8),
    "the weights do not have the axes": lambda: sm.average(x, weights=[1.0, 2.0]),
    "not an array of 3 axes": lambda: sm.cov(x[None]),
    "2 conditions do not fit 1 choices": lambda: sm.select([x > 0, x < 1], [x]),
    "3 functions do not fit 1 conditions": lambda: sm.piecewise(x, [x > 0], [1, 2, 3]),
    "the lists are empty or not equally deep": lambda: sm.block([[x], x]),
    "cannot be split into 0 parts": lambda: sm.array_split(x, 0),
    "convolve.*vectors are needed": lambda: sm.convolve(x, x[0]),
    "convolve.*an operand is empty": lambda: sm.convolve(x[0], x[0, :0]),
    "mode is 'wrap'": lambda: sm.convolve(x[0], x[0], "wrap"),
    "correlate.*sizes of the operands must be known": lambda: sm.correlate(
        sm.Variable("u", shape=(None,)), x[0]
    ),
    "there are 4 places but 3 values": lambda: sm.interp(x, x[0], x[:, 0]),
    "must increase or decrease throughout": lambda: sm.digitize(x, [1.0, 3.0, 2.0]),
    "bincount.*integers are counted, not float64": lambda: sm.bincount(x),
    "there cannot be 0 intervals": lambda: sm.histogram(x, 0),
    "'ij' is not a list of the axes": lambda: sm.einsum(x, "ij"),
    "is not a list of the axes": lambda: sm.einsum(x, [0, 77], [0]),
    "delete.*the size of axis 1 must be known": lambda: sm.delete(
        sm.Variable("u", shape=(2, None)), 0, axis=1
    ),
    "delete.*index 9 is out of bounds": lambda: sm.delete(x, 9, axis=0),
    "insert.*index 9 is out of bounds": lambda: sm.insert(x, 9, 1.0, axis=0),
    "the places must be constants": lambda: sm.insert(x, sm.constant(1) + 0, 1.0),
    "1 indices do not fit 2 axes": lambda: sm.ravel_multi_index([1], (2, 3)),
    "eig.*may be complex.*\n.*\n.*eigvalsh": lambda: np.linalg.eig(x),
    "eigvals.*may be complex": lambda: np.linalg.eigvals(x),
    "one matrix is needed": lambda: sm.linalg.sqrtm(x[None]),
    "lstsq needs one matrix": lambda: sm.linalg.lstsq(x[None], x),
    "the diagonals must be a matrix of 2 rows": lambda: sm.linalg.solve_banded((1, 0), x, x[0]),
    "a product needs at least two matrices": lambda: sm.linalg.multi_dot([x]),
    "block_diag.*not an array of 3 axes": lambda: sm.linalg.block_diag(x[None]),
    "a square matrix is needed": lambda: sm.linalg.expm(x),
    "right-hand side has size 4 where 3": lambda: sm.linalg.solve_sylvester(
        np.eye(3), np.eye(3), x
    ),
    "ind is 0": lambda: sm.linalg.tensorinv(x, ind=0),
    "a column and a row are vectors": lambda: sm.linalg.toeplitz(x),
    "rot90.*names one axis twice": lambda: sm.rot90(x, axes=(0, -2)),
    "start is 9": lambda: sm.rollaxis(x, 0, 9),
    "vectors with 3 components are needed": lambda: sm.cross(x, x),
    "must be a vector, not an array of 2 axes": lambda: sm.polyval(x, 1.0),
    "the order is -1": lambda: sm.polyder([1.0], -1),
    "the operand must be a vector": lambda: sm.vander(x),
    "number of axes of the operand must be known": lambda: sm.kron(sm.Variable("u"), x),
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors_name_the_function(message: str) -> None:
    with pytest.raises(SymadError, match=message) as caught:
        ERRORS[message]()
    assert caught.value.where or "block" in message or "partition" in message
