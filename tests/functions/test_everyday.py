"""Everyday functions of NumPy and SciPy: values, dtypes and derivatives against NumPy's own.

The table of calls is in :mod:`tests.support.everyday`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import GraphTypeError, ShapeError, SymadError
from symad.graph.nested import leaves
from symad.testing import assert_graphs_equal, check_gradients
from tests.support.everyday import (
    INF,
    NAN,
    NUMPY,
    SYMAD,
    TABLE,
    Array,
    Case,
    regular,
    smooth,
)

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


GRIDS = [
    ((4, 3), (2, 2)), ((5, 4), (3, 1)), ((3, 2), (3, 4)), ((2, 3, 4), (2, 1, 3)), ((1, 1), (1, 1)),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", GRIDS)
def test_convolution_along_all_axes(shapes: Any, mode: str) -> None:
    scipy_signal = pytest.importorskip("scipy.signal")
    x, y = (smooth(*shape) for shape in shapes)
    inputs = [sm.Variable("x", x.shape), sm.Variable("y", y.shape)]
    node = sm.convolve(*inputs, mode)
    expected = scipy_signal.convolve(x, y, mode, method="direct")
    assert node.type.shape == expected.shape
    for backend in ("numpy", "native"):
        found = run(node, inputs, [x, y], backend)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    check_gradients(node, inputs, at=dict(zip(inputs, [x, y], strict=True)), order=2)
    named = sm.Variable("x", ("rows", *x.shape[1:]))
    if mode == "full":
        open_ended = sm.convolve(named, inputs[1], mode)
        found = run(open_ended, [named, inputs[1]], [x, y], "numpy")
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    else:
        with pytest.raises(ShapeError, match="size of axis 0 must be known"):
            sm.convolve(named, sm.Variable("y", ("rows", *y.shape[1:])), mode)


def test_convolutions_that_do_not_fit() -> None:
    x = sm.Variable("x", (3, 2))
    with pytest.raises(ShapeError, match="neither operand fits into the other"):
        sm.convolve(x, sm.Variable("y", (2, 3)), "valid")
    with pytest.raises(ShapeError, match=r"convolve\(x: f64\[3,2\], y: f64\[3\]\)"):
        sm.convolve(x, sm.Variable("y", (3,)))
    with pytest.raises(GraphTypeError, match="mode is 'all'"):
        sm.convolve(x, x, "all")
