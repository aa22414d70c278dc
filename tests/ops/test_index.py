"""Indexing: NumPy's meaning on random shapes and subscripts, and the adjoint as its transpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symad as sm
from symad.errors import EvaluationError, GraphTypeError, ShapeError, SymadError
from symad.testing import check_gradients

Array = np.ndarray[Any, Any]


@st.composite
def subscripted(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape, and a subscript that is valid for it: all kinds mixed."""
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple))
    used = draw(st.integers(0, len(shape)))
    front = draw(st.integers(0, used))
    axes = [*range(front), None, *range(len(shape) - used + front, len(shape))]
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
    index: list[Any] = []
    for axis in axes:
        if draw(st.integers(0, 5)) == 0:
            index.append(None)
        if axis is None:
            index += [...] if used < len(shape) or draw(st.booleans()) else []
        else:
            index.append(draw(entries(shape[axis], common)))
    return shape, tuple(index)


def entries(size: int, common: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """What may index an axis of ``size``, where arrays broadcast to ``common``."""
    slices = st.slices(size)
    if size == 0:
        return slices
    within = st.integers(-size, size - 1)
    narrow = st.sampled_from([common, common[-1:], (1,) * len(common)])
    arrays = narrow.flatmap(lambda shape: hnp.arrays("int64", shape, elements=within))
    return st.one_of(slices, within, arrays)


def declare(shape: tuple[int, ...], knowledge: str) -> sm.Variable:
    names = tuple(f"n{axis}" for axis in range(len(shape)))
    return sm.Variable("x", {"static": shape, "named": names, "unknown": None}[knowledge])


@settings(max_examples=300, deadline=None)
@given(subscripted(), st.sampled_from(["static", "named", "unknown"]))
def test_value_and_adjoint(case: tuple[Any, Any], knowledge: str) -> None:
    shape, index = case
    value = np.arange(math.prod(shape), dtype=float).reshape(shape)
    expected = value[index]
    x = declare(shape, knowledge)
    y = x[index]
    assert y.ndim in (expected.ndim, None)
    if knowledge == "static":
        assert y.type.shape == expected.shape
    weights = np.random.default_rng(0).normal(size=expected.shape)
    adjoint, tangent = sm.gradients(y, x, seed=weights), sm.pushforward(y, x, value + 1)
    got = sm.compile([x], [y, adjoint, tangent])(value)
    np.testing.assert_array_equal(got[0], expected)
    assert np.shape(got[0]) == expected.shape
    # The dense Jacobian has a one where result element i is operand element j.
    jacobian = np.equal.outer(expected.ravel(), value.ravel()).astype(float)
    dense = (weights.ravel() @ jacobian).reshape(shape)
    np.testing.assert_allclose(got[1], dense, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(got[2], (value + 1)[index])


@settings(max_examples=200, deadline=None)
@given(subscripted(), st.booleans(), st.booleans())
def test_writing(case: tuple[Any, Any], adding: bool, scalar: bool) -> None:
    shape, index = case
    rng = np.random.default_rng(1)
    value = rng.normal(size=shape)
    new = rng.normal(size=() if scalar else value[index].shape)
    x, v = sm.Variable("x"), sm.Variable("v", new.shape)
    y = (sm.add_at if adding else sm.set_at)(x, index, v)
    expected = value.copy()
    if adding:
        np.add.at(expected, index, new)
    else:
        expected[index] = new
    weights = rng.normal(size=shape)
    got = sm.compile([x, v], [y, *sm.gradients(y, [x, v], seed=weights)])(value, new)
    np.testing.assert_allclose(got[0], expected, rtol=1e-14)
    for place, operand in ((1, value), (2, new)):
        np.testing.assert_allclose(
            np.reshape(got[place], -1),
            _transposed_times(index, adding, value, new, place, weights),
            rtol=1e-12,
            atol=1e-12,
            err_msg=f"gradient of operand {operand.shape}",
        )


def _transposed_times(
    index: Any, adding: bool, value: Array, new: Array, place: int, weights: Array
) -> Array:
    """Return Jᵀ weights, one element of an operand at a time: writing is linear."""
    source = value if place == 1 else new
    result = []
    for j in range(source.size):
        one = np.zeros(source.size)
        one[j] = 1
        written = one.reshape(value.shape) if place == 1 else np.zeros(value.shape)
        unit = one.reshape(new.shape) if place == 2 else np.zeros(new.shape)
        if adding:
            np.add.at(written, index, unit)
        else:
            written[index] = unit
        result.append(float((written * weights).sum()))
    return np.array(result)


def test_last_of_repeated_values_wins_and_gets_the_gradient() -> None:
    x, v = sm.Variable("x", (2,)), sm.Variable("v", (2, 2))
    y = sm.set_at(x, np.array([[0, 1], [0, 0]]).T, v)
    feed = {x: [0.0, 0.0], v: [[1.0, 2.0], [3.0, 4.0]]}
    np.testing.assert_array_equal(y.eval(feed), [4.0, 3.0])
    np.testing.assert_array_equal(sm.gradients(y, v).eval(feed), [[0, 0], [1, 1]])


def test_order_two_through_repeated_indices() -> None:
    x = sm.Variable("x", (3,))
    y = sm.sum(x[[0, 0, 2]] * x[[1, 0, 2]] * x[0])  # x0²x1 + x0³ + x0x2²
    hessian = sm.compile([x], sm.hessian(y, x))([2.0, 3.0, 5.0])
    np.testing.assert_allclose(hessian, [[6 + 12, 4, 10], [4, 0, 0], [10, 0, 4]])


def test_float32_stays() -> None:
    x = sm.Variable("x", (3, 2), "float32")
    y = sm.add_at(sm.set_at(x, 0, 1.5), [1, 1], x[2] * 2)
    gradient = sm.gradients(y, x)
    assert gradient.dtype == y.dtype == np.float32
    assert gradient.eval({x: np.ones((3, 2), "float32")}).dtype == np.float32


def test_nodes_as_indices_and_bounds() -> None:
    x, i = sm.Variable("x", ("batch", 3)), sm.Variable("i", (), "int64")
    data = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(x[: x.shape[0] // 2].eval({x: data}), data[:2])
    np.testing.assert_array_equal(x[i].eval({x: data, i: -1}), data[-1])
    np.testing.assert_array_equal(x[i, [0, 2]].eval({x: data, i: 1}), data[1, [0, 2]])
    np.testing.assert_array_equal(x[i:, i].eval({x: data, i: 1}), data[1:, 1])
    gradient = sm.gradients(x[i : x.shape[0] - i : 2], x).eval({x: data, i: 1})
    np.testing.assert_array_equal(gradient.sum(axis=1), [0, 3, 0, 0])


def test_sizes_vanish_when_specialised() -> None:
    x = sm.Variable("x", ("batch", 3))
    f = sm.compile([x], sm.gradients(x[: x.shape[0] // 2, 1], x))
    f(np.ones((4, 3)))
    names = {step.node.op.name for step in f.plan.instructions}
    assert not names & {"axis_size", "floor_divide", "sum_like", "broadcast_like"}


def test_names_survive() -> None:
    x = sm.Variable("x", ("batch", 3, "width"))
    assert x[:, 1].type.shape == ("batch", "width")
    assert x[:, [0, 0, 1], None].type.shape == ("batch", 3, 1, "width")
    assert x[..., ::-1].type.shape == ("batch", 3, "width")
    assert x[0].type.shape == (3, "width")


def test_a_view_is_not_written_to() -> None:
    x = sm.Variable("x", (4,))
    data = np.arange(4.0)
    y = sm.exp(x)
    first, whole = sm.compile([x], [y[:2] * 2, y])(data)
    np.testing.assert_allclose(whole, np.exp(data))
    result = sm.compile([x], x[1:])(data)
    result[:] = 0
    np.testing.assert_array_equal(data, np.arange(4.0))


def test_the_user_writes_what_is_shown() -> None:
    x, i = sm.Variable("x", (3, 4)), sm.Variable("i", (), "int64")
    assert x[0, 1:].op.text.format("x") == "x[0, 1:]"
    assert x[i, ..., None, ::-1].op.text.format("x", "i") == "x[i, ..., None, ::-1]"


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (5, ShapeError, "out of range"),
        ((0, -4), ShapeError, "out of range"),
        ((0, 0, 0), ShapeError, "3 indices"),
        ([0, 2], ShapeError, "out of range"),
        (np.array([True, False, True]), ShapeError, "mask of shape"),
        ([[True, False, True]], ShapeError, "mask of shape"),
        (True, GraphTypeError, "sm.where"),
        (1.0, GraphTypeError, "integer"),
        ("a", GraphTypeError, "not"),
        ((..., ...), GraphTypeError, "one"),
        (slice(None, None, 0), ShapeError, "step"),
        (slice(0.5, None), GraphTypeError, "integer"),
        (([0, 1], [0, 1, 2]), ShapeError, "broadcast"),
    ],
)
def test_bad_subscripts(index: Any, error: type[SymadError], words: str) -> None:
    x = sm.Variable("x", (2, 3))
    with pytest.raises(error, match=words):
        x[index]


def test_out_of_range_at_run_time_names_the_line() -> None:
    x, i = sm.Variable("x"), sm.Variable("i", (2,), "int64")
    y = x[i]
    with pytest.raises(EvaluationError, match=r"y = x\[i\]"):
        y.eval({x: [1.0, 2.0], i: [0, 7]})
    z = x[3]
    with pytest.raises(SymadError, match=r"z = x\[3\]"):
        z.eval({x: [1.0, 2.0]})
    # The adjoint alone checks too: a wrong index must not add to another row.
    w = sm.Variable("w", ("n", 2))
    adjoint = sm.pullback(w[i], w, np.ones((2, 2)))
    with pytest.raises(EvaluationError, match="out of range"):
        adjoint.eval({w: np.ones((2, 2)), i: [0, 7]})


def test_bad_values() -> None:
    x = sm.Variable("x", (2, 3))
    with pytest.raises(ShapeError, match="does not match"):
        sm.set_at(x, 0, [1.0, 2.0])
    with pytest.raises(GraphTypeError, match="cannot be stored"):
        sm.set_at(sm.Variable("n", (3,), "int64"), 0, 1.5)
    with pytest.raises(ShapeError, match="out of range"):
        sm.add_at(x, [2], 1.0)
    with pytest.raises(GraphTypeError, match="set_at"):
        x[0] = 1.0


def test_take_like_numpy() -> None:
    data = np.random.default_rng(2).normal(size=(3, 4, 2))
    x = sm.Variable("x")
    for axis in (0, 1, 2, -1, -3, None):
        for indices in (1, [1, 0], [[0, -1], [1, 1]]):
            got = sm.take(x, indices, axis=axis).eval({x: data})
            np.testing.assert_array_equal(got, np.take(data, indices, axis=axis))


def test_one_hot_of_what_is_no_class_is_zero() -> None:
    rows = sm.one_hot([0, 3, -1], 3, "float32").eval()
    np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert rows.dtype == np.float32


def test_take_along_axis_adds_up_repeated_indices() -> None:
    x = sm.Variable("x", ("n", 3))
    y = sm.take_along_axis(x, [[0, 0, 2], [1, 1, 1]], axis=1)
    gradient = sm.gradients(y, x).eval({x: np.zeros((2, 3))})
    np.testing.assert_array_equal(gradient, [[2, 0, 1], [0, 3, 0]])


ACROSS: list[Any] = [
    lambda a, i, j: a[:, i],
    lambda a, i, j: a[:, :, i],
    lambda a, i, j: a[..., i, None],
    lambda a, i, j: a[1:, ::-1, i],
    lambda a, i, j: a[:, j, i],
    lambda a, i, j: a[:, j[:, None], i],
    lambda a, i, j: a[::2, i, -1],
    lambda a, i, j: a.T[i],
]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("case", range(len(ACROSS)))
def test_indices_along_the_axis_of_neighbours(case: int, backend: str) -> None:
    """Elements are then read in the order of memory, not one index after the other."""
    if backend == "native":
        pytest.importorskip("llvmlite")
    a = sm.Variable("a", shape=("k", "m", "n"))
    i, j = (sm.Variable(name, shape=(4,), dtype="int64") for name in "ij")
    taken = ACROSS[case](a, i, j)
    numbers = np.arange(4.0 * 5 * 6).reshape(4, 5, 6)
    first, second = np.array([3, -1, 0, 3]), np.array([2, 2, -3, 4])
    v = sm.Variable("v")
    f = sm.compile([a, i, j, v], [taken, sm.gradients(taken, a, seed=v)], backend=backend)
    places = ACROSS[case](np.arange(numbers.size).reshape(numbers.shape), first, second)
    seed = np.random.default_rng(case).standard_normal(places.shape)
    found, adjoint = f(numbers, first, second, seed)
    np.testing.assert_array_equal(found, numbers.ravel()[places])
    want = np.zeros(numbers.size)
    np.add.at(want, places, seed)
    np.testing.assert_allclose(adjoint, want.reshape(numbers.shape), rtol=1e-13, atol=1e-13)
    for wrong in (6, -7):
        with pytest.raises(EvaluationError, match="out of bounds"):
            f(numbers, np.array([0, wrong, 1, 2]), second, seed)


# Masks

MASKS = [
    ((3,), (np.array([True, False, True]),)),
    ((3, 2), (np.array([[True, False], [False, False], [True, True]]),)),
    ((3, 2), (np.array([True, False, True]),)),
    ((3, 2), (slice(None), [True, False])),
    ((3, 2), (np.array([True, False, True]), 1)),
    ((2, 3, 2), (np.array([[True, False, True], [False, True, True]]), [0])),
    ((2, 3, 2), (..., np.array([[True, False], [False, True], [True, True]]))),
    ((2, 3, 2), (None, slice(1, None), np.array([True, False, True]))),
    ((2, 3, 2), (np.array([True, False]), slice(None), np.array([False, True]))),
    ((2, 3, 2), (np.array([False, True]), ..., [0])),
    ((3,), (np.zeros(3, bool),)),
    ((0, 2), (np.zeros((0, 2), bool),)),
]


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
@pytest.mark.parametrize(("shape", "key"), MASKS)
def test_constant_masks_are_indices(shape, key, declared):
    key = key[0] if len(key) == 1 else key
    x = sm.Variable("x", shape=shape if declared else None)
    value = np.random.default_rng(0).normal(size=shape)
    y = x[key]
    if declared:
        assert y.type.shape == value[key].shape
    slope = sm.gradients(sm.sum(y**2), x)
    changed, raised = sm.set_at(x, key, 7.0), sm.add_at(x, key, y)
    expected = value.copy()
    expected[key] = 7.0
    for backend in ("numpy", "native"):
        f = sm.compile([x], [y, slope, changed, raised], backend=backend)
        results = f(value)
        np.testing.assert_array_equal(results[0], value[key])
        np.testing.assert_allclose(results[1], np.where(expected == 7.0, 2 * value, 0))
        np.testing.assert_array_equal(results[2], expected)
        np.testing.assert_array_equal(results[3], np.where(expected == 7.0, 2 * value, value))
    check_gradients(sm.sum(y**3), [x], at={x: value})


def test_masks_that_do_not_fit():
    mask, x, y = np.array([True, False]), sm.Variable("x", shape=(3,)), sm.Variable("y")
    with pytest.raises(ShapeError, match=r"(?s)index\(x: f64\[3\]\): a mask of shape \(2,\).*made"):
        x[mask]
    with pytest.raises(ShapeError, match=r"a mask of shape \(2,\) does not fit axes of \(3,\)"):
        y[mask].eval({y: np.ones(3)})
    with pytest.raises(GraphTypeError, match="a single boolean is not an index"):
        x[True]
    with pytest.raises(GraphTypeError, match="mask that is computed") as caught:
        x[x > 0]
    assert "sm.where" in caught.value.remedy
    x[sm.constant([True, False, True])].type  # noqa: B018


def test_a_mask_for_a_named_dimension():
    x = sm.Variable("x", shape=("n", 3))
    y = x[np.array([True, False]), [True, False, True]]
    value = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(y.eval({x: value}), value[[0, 0], [0, 2]])
    assert y.ndim is None
