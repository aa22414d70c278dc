"""Shape ops, joining, rearranging, creating: NumPy names, named sizes, sizes that are nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symad as sm
from symad.errors import EvaluationError, GraphTypeError, ShapeError, SymadError

DATA = np.arange(24.0).reshape(2, 3, 4)

# Each is called with an array and with a node: NumPy's own functions, and methods.
CALLS: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: np.reshape(x, (2, 12)),
    "reshape keyword": lambda x: np.reshape(x, shape=(-1, 12)),
    "reshape method": lambda x: x.reshape(2, -1),
    "ravel": lambda x: np.ravel(x),
    "ravel method": lambda x: x.ravel(),
    "flatten": lambda x: x.flatten(),
    "broadcast_to": lambda x: np.broadcast_to(x, shape=(5, 2, 3, 4)),
    "expand_dims": lambda x: np.expand_dims(x, axis=(0, 2)),
    "squeeze": lambda x: np.squeeze(x[:1], axis=0),
    "squeeze method": lambda x: x[:1].squeeze(),
    "transpose": lambda x: np.transpose(x),
    "transpose axes": lambda x: np.transpose(x, axes=(1, 0, 2)),
    "transpose method": lambda x: x.transpose(2, 0, 1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "matrix_transpose": lambda x: np.matrix_transpose(x),
    "permute_dims": lambda x: np.permute_dims(x, (1, -1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, axis1=0, axis2=-1),
    "moveaxis": lambda x: np.moveaxis(x, source=0, destination=2),
    "moveaxis two": lambda x: np.moveaxis(x, (0, 1), (-1, 0)),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "concatenate array": lambda x: np.concatenate((np.ones((2, 3, 1)), x), axis=-1),
    "concatenate flat": lambda x: np.concatenate([x, x], axis=None),
    "stack": lambda x: np.stack([x, x], axis=-1),
    "split": lambda x: np.split(x, 2, axis=-1),
    "split at": lambda x: np.split(x, indices_or_sections=[1, 3], axis=2),
    "flip": lambda x: np.flip(x, axis=1),
    "flip all": lambda x: np.flip(x),
    "roll": lambda x: np.roll(x, shift=5),
    "roll axes": lambda x: np.roll(x, (1, -1), axis=(0, 2)),
    "tile": lambda x: np.tile(x, (2, 1, 1, 2)),
    "repeat": lambda x: np.repeat(x, 2, axis=-1),
    "repeat each": lambda x: np.repeat(x, repeats=[1, 0, 2], axis=1),
    "repeat flat": lambda x: np.repeat(x, 2),
    "pad": lambda x: np.pad(x, pad_width=((1, 0), (0, 2), (0, 0)), constant_values=2),
    "pad edge": lambda x: np.pad(x, 3, mode="edge"),
    "pad reflect": lambda x: np.pad(x, ((5, 1), (2, 7), (0, 9)), mode="reflect"),
    "pad symmetric": lambda x: np.pad(x, ((5, 1), (2, 7), (0, 9)), mode="symmetric"),
    "pad wrap": lambda x: np.pad(x, ((5, 1), (2, 7), (0, 9)), mode="wrap"),
    "tril": lambda x: np.tril(x, k=1),
    "triu": lambda x: np.triu(x, -1),
    "diagonal": lambda x: np.diagonal(x, offset=1, axis1=2, axis2=0),
    "take": lambda x: np.take(x, [1, 0], axis=1),
    "take flat": lambda x: np.take(x, [[5, 0]]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[[1]], [[0]]]), axis=1),
    "full_like": lambda x: np.full_like(x, 3),
    "zeros_like": lambda x: np.zeros_like(x),
    "size": lambda x: np.size(x),
    "size along": lambda x: np.size(x, 1),
    "shape": lambda x: np.shape(x)[1],
}


@pytest.mark.parametrize("shape", [(2, 3, 4), ("a", "b", "c"), None], ids=["static", "named", "?"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_like_numpy(call: Callable[[Any], Any], shape: Any) -> None:
    x = sm.Variable("x", shape)
    expected, nodes = call(DATA), call(x)
    pairs = zip(nodes, expected, strict=True) if isinstance(nodes, tuple) else [(nodes, expected)]
    for node, wanted in pairs:
        value = sm.compile([x], node)(DATA)
        assert np.shape(value) == np.shape(wanted)
        np.testing.assert_array_equal(value, wanted)
        if isinstance(node, sm.Node) and np.shape(wanted) != DATA.shape:
            assert node.type.shape != x.type.shape, "a shape that differs counts as the same"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_shape_ops_are_permutations(data: st.DataObject) -> None:
    """A chain of shape ops only moves elements: the gradient of Σ w·y is w moved back."""
    start = data.draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    x = sm.Variable("x", data.draw(st.sampled_from([start, None])))
    value = np.arange(float(np.prod(start))).reshape(start)
    node, array = x, value
    for _ in range(data.draw(st.integers(1, 4))):
        step = data.draw(_steps(array.shape))
        node, array = step(sm, node), step(np, array)
    weights = np.random.default_rng(0).normal(size=array.shape)
    got, gradient = sm.compile([x], [node, sm.gradients(node, x, seed=weights)])(value)
    np.testing.assert_array_equal(got, array)
    expected = np.zeros(value.size)
    expected[array.astype(int).ravel()] = weights.ravel()
    np.testing.assert_array_equal(gradient, expected.reshape(start))


def _steps(shape: tuple[int, ...]) -> st.SearchStrategy[Callable[[Any, Any], Any]]:
    rank = len(shape)
    ones = tuple(axis for axis, size in enumerate(shape) if size == 1)
    options: list[st.SearchStrategy[Callable[[Any, Any], Any]]] = [
        st.permutations(range(rank)).map(lambda axes: lambda m, x: m.permute_dims(x, axes)),
        st.integers(-rank - 1, rank).map(lambda axis: lambda m, x: m.expand_dims(x, axis)),
        st.just(lambda m, x: m.squeeze(x)),
        st.just(lambda m, x: m.flip(x)),
        st.just(lambda m, x: m.roll(x, 2)),
        st.just(lambda m, x: m.reshape(x, (-1,))),
        st.just(lambda m, x: m.transpose(x)),
        st.permutations(shape).map(lambda new: lambda m, x: m.reshape(x, tuple(new))),
    ]
    if ones:
        options.append(st.sampled_from(ones).map(lambda axis: lambda m, x: m.squeeze(x, axis)))
    if rank:
        axes = st.tuples(st.integers(-rank, rank - 1), st.integers(-rank, rank - 1))
        options.append(axes.map(lambda pair: lambda m, x: m.swapaxes(x, *pair)))
        options.append(axes.map(lambda pair: lambda m, x: m.moveaxis(x, *pair)))
    return st.one_of(options)


# Names and sizes that are nodes


def test_names_survive() -> None:
    x = sm.Variable("x", ("batch", 3, 4))
    batch = x.shape[0]
    assert sm.reshape(x, (batch, -1)).type.shape == ("batch", 12)
    assert sm.reshape(x, (-1, 12)).type.shape == ("batch", 12)
    assert sm.reshape(x, (batch, 6, 2)).type.shape == ("batch", 6, 2)
    assert sm.expand_dims(x, 1).type.shape == ("batch", 1, 3, 4)
    assert x.T.type.shape == (4, 3, "batch")
    assert sm.broadcast_to(1.0, (batch, 2)).type.shape == ("batch", 2)
    assert sm.concat([x, x], axis=2).type.shape == ("batch", 3, 8)
    assert sm.stack([x, x]).type.shape == (2, "batch", 3, 4)
    assert sm.pad(x, ((0, 0), (1, 1), (0, 0))).type.shape == ("batch", 5, 4)
    assert sm.tile(x, (1, 2, 1)).type.shape == ("batch", 6, 4)
    assert sm.repeat(x, 2, axis=1).type.shape == ("batch", 6, 4)
    assert sm.flip(x).type.shape == ("batch", 3, 4)
    assert sm.diagonal(x, axis1=1, axis2=2).type.shape == ("batch", 3)
    assert sm.arange(batch).type.shape == ("batch",)
    assert sm.eye(batch).type.shape == ("batch", "batch")
    assert sm.one_hot(sm.arange(batch), 5).type.shape == ("batch", 5)


def test_a_batch_of_none() -> None:
    x = sm.Variable("x", ("batch", 3, 4))
    empty = np.zeros((0, 3, 4))
    assert sm.reshape(x, (x.shape[0], -1)).eval({x: empty}).shape == (0, 12)
    assert sm.reshape(x, (-1, 12)).eval({x: empty}).shape == (0, 12)
    halves = sm.split(x, 2)
    assert [half.eval({x: empty}).shape for half in halves] == [(0, 3, 4)] * 2


def test_sizes_are_folded_away() -> None:
    x = sm.Variable("x", ("batch", 4))
    halves = sm.split(sm.reshape(x, (x.shape[0] * 2, x.size // x.shape[0] // 2)), 2)
    y = sm.concat([halves[1], sm.broadcast_to(3.0, (x.shape[0], 2))]) * sm.ones(halves[0].shape[1])
    f = sm.compile([x], [y, sm.gradients(y, x)])
    value, gradient = f(np.arange(8.0).reshape(2, 4))
    np.testing.assert_array_equal(value, [[4, 5], [6, 7], [3, 3], [3, 3]])
    np.testing.assert_array_equal(gradient, [[0, 0, 0, 0], [1, 1, 1, 1]])
    allowed = {
        "reshape", "index", "scatter_add", "concat", "broadcast_to", "multiply", "ones_like",
    }  # fmt: skip
    assert {step.node.op.name for step in f.plan.instructions} <= allowed


def test_a_size_may_be_fed() -> None:
    n = sm.Variable("n", (), "int64")
    x = sm.Variable("x", (6,))
    f = sm.compile([x, n], [sm.reshape(x, (n, -1)), sm.arange(n), sm.zeros((n, 2))])
    for size in (2, 3):
        matrix, counted, filled = f(np.arange(6.0), size)
        np.testing.assert_array_equal(matrix, np.arange(6.0).reshape(size, -1))
        np.testing.assert_array_equal(counted, np.arange(size))
        assert filled.shape == (size, 2)


def test_shape_of_unknown_rank() -> None:
    x, y = sm.Variable("x"), sm.Variable("y")
    feed = {x: np.ones((2, 3)), y: np.arange(6.0)}
    np.testing.assert_array_equal(x.shape.eval(feed), [2, 3])
    assert sm.reshape(y, x.shape).eval(feed).shape == (2, 3)
    assert sm.zeros(x.shape).eval(feed).shape == (2, 3)
    assert x.shape[-1].eval(feed) == 3
    assert x.size.eval(feed) == 6
    with pytest.raises(GraphTypeError, match="known number of axes"):
        sm.reshape(y, x.shape + 0)


# Joining


def test_concat_of_unknown_sizes_to_order_two() -> None:
    a, b = sm.Variable("a"), sm.Variable("b", ("m", 2))
    y = sm.sum(sm.concat([a, b, a * b[:1]]) ** 3)
    data_a, data_b = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])
    gradient = sm.gradients(y, [a, b])
    second = sm.gradients(sm.sum(gradient[0]), b)
    f = sm.compile([a, b], [gradient, second])
    (grad_a, grad_b), mixed = f(data_a, data_b)
    first = data_b[:1]
    np.testing.assert_allclose(grad_a, 3 * data_a**2 * (1 + first**3))
    expected = 3 * data_b**2
    expected[:1] += 3 * first**2 * data_a**3
    np.testing.assert_allclose(grad_b, expected)
    np.testing.assert_allclose(mixed, [9 * data_a[0] ** 2 * first[0] ** 2, [0, 0]])
    names = {step.node.op.name for step in f.plan.instructions}
    assert "concat_part" not in names and "sum_like" not in names


def test_compiling_a_long_concat_and_its_gradient_takes_time_in_proportion() -> None:
    def calls(count: int) -> int:
        found = 0

        def see(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += event == "call"

        x = sm.Variable("x", shape=(3,))
        y = sm.sum(sm.sin(sm.concat([x * k for k in range(count)])))
        f = sm.compile([x], [y, sm.gradients(y, x)], backend="numpy")
        before = sys.getprofile()
        sys.setprofile(see)
        try:
            value, slope = f(np.ones(3))
        finally:
            sys.setprofile(before)
        scales = np.arange(count)
        assert value == pytest.approx(3 * np.sum(np.sin(scales)), abs=1e-9)
        np.testing.assert_allclose(slope, np.sum(scales * np.cos(scales)), rtol=1e-9)
        return found

    calls(10)
    assert calls(400) < 4.4 * calls(100)


def test_the_gradient_of_a_long_concat_is_linear_in_its_length() -> None:
    def nodes(count: int) -> int:
        xs = [sm.Variable(f"x{i}") for i in range(count)]
        return len(sm.Graph(sm.gradients(sm.concat(xs), xs), xs))

    assert nodes(80) - nodes(40) == 2 * (nodes(40) - nodes(20))


def test_unequal_parts() -> None:
    with pytest.raises(ShapeError, match="size 5 cannot be split into 2 equal parts"):
        sm.split(sm.Variable("x", (5,)), 2)
    x = sm.Variable("x")
    with pytest.raises(SymadError, match="equal parts"):
        sm.split(x, 2)[0].eval({x: np.ones(5)})


# Creating


def test_creation_like_numpy() -> None:
    pairs: list[tuple[Any, Any]] = [
        (sm.zeros((2, 0)), np.zeros((2, 0))),
        (sm.ones(3, "int32"), np.ones(3, "int32")),
        (sm.full((2, 2), 7), np.full((2, 2), 7)),
        (sm.full((2,), 1.5, "float32"), np.full((2,), 1.5, "float32")),
        (sm.arange(5), np.arange(5)),
        (sm.arange(5, 0, -2), np.arange(5, 0, -2)),
        (sm.arange(0.0, 1.0, 0.25), np.arange(0.0, 1.0, 0.25)),
        (sm.arange(3, dtype="float32"), np.arange(3, dtype="float32")),
        (sm.linspace(0, 1, 7), np.linspace(0, 1, 7)),
        (sm.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, endpoint=False)),
        (sm.linspace(0, 1, 0), np.linspace(0, 1, 0)),
        (sm.eye(3), np.eye(3)),
        (sm.eye(2, 3, 1, "int64"), np.eye(2, 3, 1, "int64")),
    ]
    for node, expected in pairs:
        assert node.dtype == expected.dtype
        np.testing.assert_array_equal(node.eval(), expected)


def test_created_arrays_may_be_changed_by_the_caller() -> None:
    array = sm.zeros((2, 2)).eval()
    array[0, 0] = 1
    np.testing.assert_array_equal(array, [[1, 0], [0, 0]])


def test_sizes_of_created_arrays_may_be_nodes() -> None:
    x = sm.Variable("x", ("n", "m"))
    n, m = x.shape
    feed = {x: np.ones((2, 3))}
    np.testing.assert_array_equal(sm.eye(n, m, 1).eval(feed), np.eye(2, 3, 1))
    np.testing.assert_array_equal(sm.arange(1, m + 1).eval(feed), [1, 2, 3])
    np.testing.assert_array_equal(sm.full((m, n), 2.0).eval(feed), np.full((3, 2), 2.0))


def test_gradients_reach_what_fills() -> None:
    a, b = sm.Variable("a", ()), sm.Variable("b", ())
    assert sm.gradients(sm.full((2, 3), a), a).eval({a: 1.0}) == 6
    assert sm.gradients(sm.full_like(sm.ones(4), a), a).eval({a: 1.0}) == 4
    points = sm.linspace(a, b, 5)
    value, *slopes = sm.compile([a, b], [points, *sm.gradients(points[1], [a, b])])(0.3, 1.7)
    np.testing.assert_allclose(value, np.linspace(0.3, 1.7, 5), rtol=1e-15)
    assert value[0] == 0.3 and value[-1] == 1.7
    assert slopes == [0.75, 0.25]


# Errors


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: sm.reshape(x, (4, 2)), ShapeError, "6 elements"),
        (lambda x: sm.reshape(x, (4, -1)), ShapeError, "no size can replace -1"),
        (lambda x: sm.reshape(x, (-1, -1)), ShapeError, "only one size"),
        (lambda x: sm.reshape(x, (-2, 3)), ShapeError, "-2 is not the size"),
        (lambda x: sm.reshape(x, ("batch", 3)), GraphTypeError, r"x\.shape\[0\]"),
        (lambda x: sm.reshape(x, (2.0, 3)), GraphTypeError, "must be an integer"),
        (lambda x: sm.reshape(x, (sm.constant(2.0), 3)), GraphTypeError, "one integer"),
        (lambda x: sm.broadcast_to(x, (2, 4)), ShapeError, "cannot be broadcast"),
        (lambda x: sm.broadcast_to(x, (3,)), ShapeError, "cannot be broadcast"),
        (lambda x: sm.permute_dims(x, (0, 0)), ShapeError, "not an order of 2 axes"),
        (lambda x: sm.permute_dims(x, (0,)), ShapeError, "not an order of 2 axes"),
        (lambda x: sm.swapaxes(x, 0, 2), ShapeError, "out of range"),
        (lambda x: sm.moveaxis(x, (0, 1), 0), ShapeError, "cannot be moved"),
        (lambda x: sm.moveaxis(x, (0, 1), (0, 0)), ShapeError, "cannot be moved"),
        (lambda x: sm.matrix_transpose(x[0]), ShapeError, "two axes"),
        (lambda x: sm.expand_dims(x, (0, 0)), ShapeError, "twice"),
        (lambda x: sm.squeeze(x, 0), ShapeError, "has size 2"),
        (lambda x: sm.concat([x, x[0]]), ShapeError, "joined"),
        (lambda x: sm.concat([x, x[:, :2]]), ShapeError, "joined along axis 0"),
        (lambda x: sm.concat([]), GraphTypeError, "one array"),
        (lambda x: sm.concat([x[0, 0]]), ShapeError, "out of range"),
        (lambda x: sm.stack([x, x[0]]), ShapeError, "joined"),
        (lambda x: sm.split(x, 0), ShapeError, "0 parts"),
        (lambda x: sm.roll(x, (1, 2), 0), ShapeError, "2 shifts"),
        (lambda x: sm.roll(x, 0.5), GraphTypeError, "integer"),
        (lambda x: sm.repeat(x, [1, 2], axis=1), ShapeError, "2 repeats"),
        (lambda x: sm.repeat(x, -1), ShapeError, "-1"),
        (lambda x: sm.tile(x, (-1,)), ShapeError, "copies"),
        (lambda x: sm.pad(x, -1), ShapeError, "negative"),
        (lambda x: sm.pad(x, ((1, 1),) * 3), ShapeError, "3 pairs"),
        (lambda x: sm.pad(x, 1, mode="mirror"), GraphTypeError, "mirror"),
        (lambda x: sm.tril(x[0]), ShapeError, "two axes"),
        (lambda x: sm.diagonal(x, 0, 1, 1), ShapeError, "two axes"),
        (lambda x: sm.diag(sm.Variable("y")), ShapeError, "vector or a matrix"),
        (lambda x: sm.take_along_axis(x, [0]), ShapeError, "as many axes"),
        (lambda x: sm.one_hot(x, 3), GraphTypeError, "integer"),
        (lambda x: sm.flip(x, 2), ShapeError, "out of range"),
    ],
)
def test_errors(call: Callable[[Any], Any], error: type[SymadError], words: str) -> None:
    with pytest.raises(error, match=words):
        call(sm.Variable("x", (2, 3)))


def test_wrong_sizes_when_fed_name_the_line() -> None:
    x = sm.Variable("x")
    y = sm.reshape(x, (2, 3))
    with pytest.raises(ShapeError, match=r"y = sm\.reshape"):
        y.eval({x: np.ones(5)})
    n = sm.Variable("n", (), "int64")
    z = sm.reshape(x, (n, 3))
    with pytest.raises(EvaluationError, match=r"z = sm\.reshape"):
        z.eval({x: np.ones(6), n: 4})


def test_sizes_are_weak_as_python_numbers_are():
    x = sm.Variable("x", shape=("n",), dtype="float32")
    mean = sm.sum(x) / x.shape[0]
    assert mean.dtype == np.float32
    assert (x * (x.shape[0] // 2)).dtype == np.float32
    assert sm.gradients(mean, x).dtype == np.float32
    assert (sm.Variable("k", dtype="int32") * x.shape[0]).dtype == np.int32
    assert (x.shape[0] / 2).dtype == np.float64
    assert (x * sm.cast(x.shape[0], "int64")).dtype == np.float64  # a cast says so
    assert mean.eval({x: np.ones(4, "float32")}) == 1.0
    any_shape = sm.Variable("x", dtype="float32")
    assert (any_shape / any_shape.shape[0]).dtype == np.float32
