"""Results that are written to arrays of the caller's: ``f(..., out=...)``."""

from __future__ import annotations

import numpy as np
import pytest

import symad as sm
from symad.errors import FeedError

BACKENDS = ["numpy", "native"]

VALUE = np.random.default_rng(0).normal(size=(4, 4))


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "native":
        pytest.importorskip("llvmlite")
    return request.param


def model(x):
    y = sm.tanh(x @ x)
    return {"all": [y, y.T, sm.sum(y)], "x": x, "mean": sm.mean(y, axis=0)}


def compiled(backend, shape=(4, 4), **options):
    x = sm.Variable("x", shape=shape)
    return sm.compile([x], model(x), backend=backend, **options)


def places():
    """Memory that no result is by chance."""
    four = [np.full((4, 4), 7.0) for _ in range(3)]
    return {"all": [four[0], four[1], np.full((), 7.0)], "x": four[2], "mean": np.full(4, 7.0)}


def flat(outputs):
    return [*outputs["all"], outputs["x"], outputs["mean"]]


def assert_same(got, expected):
    for one, other in zip(flat(got), flat(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_results_are_written_there_and_returned(backend):
    f = compiled(backend)
    expected, out = f(VALUE), places()
    for _ in range(3):
        got = f(VALUE, out=out)
        assert all(one is other for one, other in zip(flat(got), flat(out), strict=True))
        assert_same(out, expected)
    assert_same(f(VALUE), expected)


def test_none_leaves_it_to_the_call(backend):
    f = compiled(backend)
    expected = f(VALUE)
    mean = np.empty(4)
    for out in (
        {"all": None, "x": None, "mean": mean},
        {"all": [None, None, None], "x": None, "mean": mean},
    ):
        mean[:] = 7
        got = f(VALUE, out=out)
        assert got["mean"] is mean
        assert_same(got, expected)


def test_views_take_results(backend):
    f = compiled(backend)
    expected, out = f(VALUE), places()
    whole = np.zeros((8, 8))
    out["all"][0], out["all"][1], out["x"] = whole[::2, ::2], whole[1::2, 1::2].T, whole[:4, 1::2]
    out["x"] = np.zeros(33, np.float64).view(np.uint8)[1 : 1 + 128].view(np.float64).reshape(4, 4)
    assert not out["x"].flags.aligned
    assert_same(f(VALUE, out=out), expected)
    assert np.count_nonzero(whole) == 32


@pytest.mark.parametrize("part", ["x", 0, 1])
def test_inputs_may_be_overwritten(backend, part):
    """All results are those for the values that the inputs had before the call."""
    f = compiled(backend)
    expected, out = f(VALUE), places()
    x = VALUE.copy()
    if part == "x":
        out["x"] = x
    else:
        out["all"][part] = x
    assert_same(f(x, out=out), expected)


def test_inputs_may_overlap_in_part(backend):
    x = sm.Variable("x", shape=(5,))
    f = sm.compile([x], [sm.cumsum(x), sm.exp(x)], backend=backend)
    memory = np.arange(8.0)
    expected = f(memory[:5].copy())
    got = f(memory[:5], out=[memory[2:7], None])
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


def test_updates_go_on_beside(backend):
    w = sm.parameter("w", np.ones((300, 300)))
    x = sm.Variable("x", shape=(300, 300))
    new = w + x
    f = sm.compile([x], [new, w * 1], updates={w: new}, backend=backend)
    out = [np.zeros((300, 300)), np.zeros((300, 300))]
    value = np.ones((300, 300))
    for k in range(3):
        f(value, out=out)
        assert out[0][0, 0] == w.value[0, 0] == k + 2
        assert out[1][0, 0] == k + 1
        out[0][:] = 0
        assert w.value[0, 0] == k + 2
        assert not np.may_share_memory(out[0], w.value)


def test_new_shapes(backend):
    x = sm.Variable("x", shape=("n", "n"))
    f = sm.compile([x], [sm.exp(x), sm.sum(x, axis=0)], backend=backend)
    for size in (2, 3, 2, 0):
        value = VALUE[:size, :size]
        out = [np.full((size, size), 7.0), np.full(size, 7.0)]
        f(value, out=out)
        np.testing.assert_array_equal(out[0], f(value)[0])
        np.testing.assert_array_equal(out[1], f(value)[1])


def test_shapes_that_values_decide(backend):
    """Their fit is only seen once they are there, and a row is not repeated to fill a target."""
    n = sm.Variable("n", shape=(), dtype="int64")
    f = sm.compile([n], [sm.arange(n) * 2, sm.zeros((n, 3)) + 1], backend=backend)
    out = [np.full(4, 7), np.full((4, 3), 7.0)]
    f(4, out=out)
    assert out[0].tolist() == [0, 2, 4, 6] and (out[1] == 1).all()
    for size, wrong in ((1, 0), (5, 0), (4, 1)):
        out = [np.full(4, 7), np.full((4 + wrong, 3), 7.0)]
        with pytest.raises(FeedError, match=rf"out\[{wrong}\] is for ...\[{size}"):
            f(size, out=out)
        assert (out[0] == 7).all() and (out[1] == 7).all()


def test_other_dtypes(backend):
    x = sm.Variable("x", shape=(3,), dtype="float32")
    f = sm.compile([x], [x + 1, x > 0, sm.argmax(x)], backend=backend)
    value = np.array([1, -1, 0], np.float32)
    out = [np.zeros(3, np.float32), np.zeros(3, bool), np.zeros((), np.int64)]
    f(value, out=out)
    for one, other in zip(out, f(value), strict=True):
        np.testing.assert_array_equal(one, other)


def test_subclasses_are_filled_and_returned(backend, tmp_path):
    x = sm.Variable("x", shape=(3,))
    f = sm.compile([x], sm.exp(x), backend=backend)
    target = np.memmap(tmp_path / "result", np.float64, "w+", shape=(3,))
    assert f([0.0, 1.0, 2.0], out=target) is target
    np.testing.assert_array_equal(target, f([0.0, 1.0, 2.0]))


def test_an_input_named_out(backend):
    x = sm.Variable("out", shape=(2,))
    f = sm.compile([x], x + 1, backend=backend)
    assert f(out=[1.0, 2.0]).tolist() == [2.0, 3.0]


WRONG = {
    "dtype": (
        lambda out: out.update(mean=np.zeros(4, np.float32)),
        r"out\['mean'\] is for f64\[4\]",
    ),
    "byte order": (lambda out: out.update(mean=np.zeros(4, ">f8")), "of the other byte order"),
    "shape": (lambda out: out.update(x=np.zeros((4, 5))), r"\(4, 5\) \(f64\) was given"),
    "rank": (
        lambda out: out["all"].__setitem__(2, np.zeros(1)),
        r"out\['all'\]\[2\] is for f64\[\]",
    ),
    "a list": (lambda out: out.update(mean=[0.0] * 4), "needs an array or None, not a list"),
    "a number": (lambda out: out["all"].__setitem__(2, 0.0), "not a float"),
    "a mask": (lambda out: out.update(mean=np.ma.zeros(4)), "not a MaskedArray"),
    "read-only": (lambda out: out["mean"].setflags(write=False), "read-only"),
    "twice": (lambda out: out.update(x=out["all"][0]), "share memory"),
    "overlap": (lambda out: out.update(mean=out["x"][2]), r"out\['mean'\] share memory"),
    "keys": (lambda out: out.pop("x"), "out needs a dict with the keys"),
    "length": (lambda out: out["all"].pop(), r"out\['all'\] needs a sequence of 3 values"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(backend, what):
    f = compiled(backend)
    spoil, message = WRONG[what]
    out = places()
    spoil(out)
    with pytest.raises(FeedError, match=message):
        f(VALUE, out=out)
    assert out["all"][0][0, 0] == 7  # before anything ran


def test_no_parameter_changes_if_a_target_is_wrong(backend):
    n = sm.Variable("n", shape=(), dtype="int64")
    w = sm.parameter("w", np.zeros(4))
    f = sm.compile([n], [w, sm.arange(n)], updates={w: w + 1}, backend=backend)
    for out in ([np.zeros(5), None], [None, np.zeros(3, np.int64)]):
        with pytest.raises(FeedError):
            f(4, out=out)
    assert w.value.tolist() == [0.0] * 4


def test_targets_side_by_side_are_told_apart():
    """Views that are interleaved share no bytes, however many there are."""
    x = sm.Variable("x", shape=(10,))
    f = sm.compile([x], [x * k for k in range(20)])
    whole = np.zeros((10, 20))
    f(np.ones(10), out=[whole[:, k] for k in range(20)])
    np.testing.assert_array_equal(whole, np.tile(np.arange(20.0), (10, 1)))
