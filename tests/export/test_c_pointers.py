"""Pointers to machine code: values and gradients for callers that are not written in Python."""

from __future__ import annotations

import ctypes
import gc
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import ExportError
from symad.graph.nested import leaves
from tests.support.c_library import CLibrary
from tests.support.c_programs import needs_gcc

pytest.importorskip("llvmlite")

DOUBLES = ctypes.POINTER(ctypes.c_double)


def call(address: int, numbers: Any, count: int) -> list[float]:
    """Call ``void f(const double *x, double *out)``; it writes no more than it should."""
    given, out = np.array(numbers, float).ravel(), np.full(count + 1, -1.5)
    pointers = [array.ctypes.data_as(DOUBLES) for array in (given, out)]
    ctypes.CFUNCTYPE(None, DOUBLES, DOUBLES)(address)(*pointers)
    assert out[-1] == -1.5
    return out[:-1].tolist()


def lecture() -> sm.Function:
    x1, x2 = sm.Variable("x1", shape=()), sm.Variable("x2", shape=())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])])


def test_value_and_gradient() -> None:
    f = lecture()
    assert call(f.address, [2.3, 5.1], 3) == f(2.3, 5.1)


def test_code_outlives_the_function() -> None:
    f = lecture()
    want, address = f(2.3, 5.1), f.address
    del f
    gc.collect()
    for k in range(40):  # more code, which takes the place of code that is not used
        x = sm.Variable("x", shape=())
        sm.compile([x], sm.sin(x * k) + k)(1.0)
    gc.collect()
    assert call(address, [2.3, 5.1], 3) == want


def test_arrays_and_parameters() -> None:
    x, w = sm.Variable("x", shape=(5,)), sm.parameter("w", np.arange(5.0))
    loss = sm.logsumexp(x * w) + sm.mean(x * x) + sm.max(sm.softmax(x) * x)
    f = sm.compile([x], [loss, sm.gradients(loss, x)], updates={w: w - sm.gradients(loss, w)})
    values, before = np.linspace(-1, 1, 5), w.value.copy()
    found = call(f.address, [*values, *before], 11)
    want = [*np.concatenate([np.ravel(y) for y in leaves(f(values))]), *w.value]
    np.testing.assert_allclose(found, want, rtol=1e-13)


def test_many_threads_at_once() -> None:
    f = lecture()
    address, found = f.address, {}

    def work(k: int) -> None:
        found[k] = [call(address, [1.0 + k, n], 3) for n in range(200)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for k in range(4):
        assert found[k] == [f(1.0 + k, float(n)) for n in range(200)]


def test_quad_calls_it() -> None:
    integrate = pytest.importorskip("scipy.integrate")
    x, a, b = (sm.Variable(name, shape=()) for name in "xab")
    f = sm.compile([x, a, b], sm.exp(-a * x * x) + b)
    want = integrate.quad(lambda t: np.exp(-2 * t * t) + 0.5, 0, 1)[0]
    several, data = f.low_level_callable(), f.low_level_callable(user_data=[2.0, 0.5])
    one = sm.compile([x], sm.exp(-2.0 * x * x) + 0.5).low_level_callable()
    del f
    gc.collect()
    signatures = "double (int, double *)", "double (double, void *)", "double (double)"
    assert (several.signature, data.signature, one.signature) == signatures
    assert integrate.quad(several, 0, 1, args=(2.0, 0.5))[0] == pytest.approx(want, rel=1e-14)
    for made in (data, one):
        assert integrate.quad(made, 0, 1)[0] == pytest.approx(want, rel=1e-14)


def test_nquad_with_data() -> None:
    integrate = pytest.importorskip("scipy.integrate")
    x, y, a = (sm.Variable(name, shape=()) for name in "xya")
    f = sm.compile([x, y, a], sm.sin(x) * y * a).low_level_callable(user_data=[3.0])
    assert f.signature == "double (int, double *, void *)"
    found = integrate.nquad(f, [[0, 1], [0, 2]])[0]
    assert found == pytest.approx(6 * (1 - np.cos(1)), rel=1e-12)


@needs_gcc
def test_an_object_file_is_called_as_exported_c(tmp_path: Path) -> None:
    x, w = sm.Variable("x", shape=(2, 3)), sm.parameter("w", np.arange(3.0))
    y = sm.logsumexp(x @ w) + sm.sum(sm.erf(x) * sm.tanh(x + 3)) + x[1, 2] ** w[2]
    f = sm.compile([x], [y, sm.gradients(y, x)], updates={w: w - sm.gradients(y, w)})
    values, before = np.linspace(0.1, 1, 6).reshape(2, 3), w.value.copy()
    want = [*f(values), w.value]
    c = CLibrary(f, tmp_path, source="model.o")
    assert "in[1]: double[3] w" in c.header
    for a, b in zip(want, c([values, before], want), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-14)
    (tmp_path / "scalars").mkdir()
    flags = "-Wl,--no-undefined"
    c = CLibrary(lecture(), tmp_path / "scalars", source="model.o", flags=flags)
    assert c([2.3, 5.1], lecture()(2.3, 5.1)) == lecture()(2.3, 5.1)


def test_what_has_no_object_file(tmp_path: Path) -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    for output, name, why in (
        (x * n, "model.o", "'n' is i64"),
        (sm.special.jv(2, x) * n, "model.o", "'n' is i64"),
        (x, "model.obj", "does not end in .o"),
        (x, "sin.o", "cannot be called 'sin'"),
    ):
        with pytest.raises(ExportError, match=why):
            sm.export_object(sm.compile([x, n], output), tmp_path / name)
    with pytest.raises(ExportError, match="has no object file"):
        sm.export_object(sm.compile([x], sm.special.jv(2, x)), tmp_path / "model.o")
    assert not list(tmp_path.iterdir())


def test_what_has_no_pointer() -> None:
    x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
    large, any_shape = sm.Variable("v", shape=(1000,)), sm.Variable("u")
    for inputs, output, why in (
        ([x, n], x * n, "'n' is i64"),
        ([large], sm.sum(large), "at most 64 elements"),
        ([x], sm.special.jv(2, x), "has no pointer"),
        ([any_shape], sm.sin(any_shape), "is not known"),
    ):
        with pytest.raises(ExportError, match=why):
            sm.compile(inputs, output).address  # noqa: B018
    with pytest.raises(ExportError, match="does not return one number"):
        lecture().low_level_callable()
    with pytest.raises(ExportError, match="takes 1 numbers"):
        sm.compile([x], sm.sin(x)).low_level_callable(user_data=[1.0])
