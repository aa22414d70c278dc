"""Random numbers: those of JAX on every backend, as nodes, with gradients where there are any."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad import random
from symad.errors import GraphTypeError, ShapeError
from tests.support import jax_interpreter

jax: Any = jax_interpreter.jax  # type: ignore[attr-defined]
BACKENDS: tuple[Any, ...] = ("numpy", "native")
SEEDS = (0, -1, 2**40 + 5)
FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")
CLOSE = {"float16": 8e-3, "float32": 1e-5, "float64": 1e-13}
LOGITS = np.log(np.random.default_rng(0).random((4, 5, 3)))
WEIGHTS = np.array([0.1, 0.2, 0.0, 0.3, 0.4])
BOUNDS = np.array([0.5, 2.0])
SHAPES: tuple[Any, ...] = (None, (5,), (2, 3))
MEAN = np.array([1.0, 2.0])
COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])

SAME: dict[str, Callable[[Any, Any], Any]] = {
    "split": lambda r, k: r.split(k),
    "split to a shape": lambda r, k: r.split(k, (2, 3)),
    "fold_in": lambda r, k: r.fold_in(k, 12345),
    **{f"bits {d}": lambda r, k, d=d: r.bits(k, (3, 5), d)
       for d in ("uint8", "uint16", "uint32", "uint64")},
    "one number": lambda r, k: r.uniform(k, (), "float32"),
    **{f"uniform {d}": lambda r, k, d=d: r.uniform(k, (40, 50), d) for d in FLOATS},
    **{f"uniform between {d}": lambda r, k, d=d: r.uniform(k, (40, 50), d, -2.3, 3.7)
       for d in FLOATS},
    **{f"randint {d}": lambda r, k, d=d: r.randint(k, (50,), 3, 100, d) for d in INTEGERS},
    "randint wide": lambda r, k: r.randint(k, (50,), -2**62, 2**62 + 7),
    "randint whole": lambda r, k: r.randint(k, (50,), 0, 256, "uint8"),
    "randint of nothing": lambda r, k: r.randint(k, (5,), 5, 5),
    "randint bounds": lambda r, k: r.randint(k, (4, 2), np.array([0, 10]), np.array([3, 90])),
    "bernoulli": lambda r, k: r.bernoulli(k, 0.3, (50,)),
    "bernoulli array": lambda r, k: r.bernoulli(k, WEIGHTS),
    "rademacher": lambda r, k: r.rademacher(k, (50,)),
    **{f"categorical {a}": lambda r, k, a=a: r.categorical(k, LOGITS, a) for a in (0, 1, -1)},
    "categorical of shape": lambda r, k: r.categorical(k, LOGITS, 1, (7, 4, 3)),
    **{f"permutation {n}": lambda r, k, n=n: r.permutation(k, n) for n in (0, 1, 2, 3000)},
    "permutation of an array": lambda r, k: r.permutation(k, LOGITS, 1),
    "choice": lambda r, k: r.choice(k, LOGITS, (6, 2)),
    "choice of each once": lambda r, k: r.choice(k, LOGITS, (2,), False, axis=1),
    "choice by weight": lambda r, k: r.choice(k, 5, (6, 2), p=WEIGHTS),
    "choice by weight of each once": lambda r, k: r.choice(k, 5, (3,), False, p=WEIGHTS),
}  # fmt: skip

ALIKE: dict[str, Callable[[Any, Any, Any], Any]] = {
    **{name: lambda r, k, d, name=name: getattr(r, name)(k, (40, 50), d)
       for name in ("normal", "exponential", "gumbel", "laplace", "logistic", "cauchy")},
    "truncated_normal": lambda r, k, d: r.truncated_normal(k, -1.0, BOUNDS.astype(d), (90, 2), d),
}  # fmt: skip


def key_of(seed: int) -> Any:
    """Return a key of JAX that is not the first of its seed."""
    return jax.random.split(jax.random.key(seed))[1]


def data(found: Any) -> Any:
    """Return numbers of JAX as an array; those of a key are its words."""
    typed = jax.numpy.issubdtype(found.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(found) if typed else found)


def everything(r: Any, key: Any) -> Any:
    """Draw everything with symad or with JAX, in one function since compiling each takes longer."""
    alike = {name: {d: make(r, key, d) for d in FLOATS} for name, make in ALIKE.items()}
    same = {name: make(r, key) for name, make in SAME.items()}
    vectors = {str(s): r.multivariate_normal(key, MEAN, COVARIANCE, s) for s in SHAPES}
    return {"same": same, "alike": alike, "vectors": vectors}


@cache
def compiled(backend: Any) -> Any:
    key = sm.Variable("key", (2,), "uint32")
    return sm.compile([key], everything(random, key), backend=backend)


@cache
def drawn(backend: Any, seed: int) -> Any:
    return compiled(backend)(data(key_of(seed)))


@cache
def of_jax() -> Any:
    return jax.jit(partial(everything, jax.random))


@cache
def wanted(seed: int) -> Any:
    return jax.tree.map(data, of_jax()(key_of(seed)))


@pytest.mark.parametrize("seed", [*SEEDS, 7, -(2**63), 2**63 - 1])
def test_keys_equal_those_of_jax(seed: int) -> None:
    want = data(jax.random.key(seed))
    np.testing.assert_array_equal(random.key(seed).eval(), want, strict=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SAME)
def test_numbers_equal_those_of_jax_bit_for_bit(name: str, backend: Any) -> None:
    for seed in SEEDS:
        got = np.asarray(drawn(backend, seed)["same"][name])
        np.testing.assert_array_equal(got, wanted(seed)["same"][name], strict=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ALIKE)
def test_functions_of_uniform_numbers_are_those_of_jax(name: str, dtype: str, backend: Any) -> None:
    got, want = (draws["alike"][name][dtype] for draws in (drawn(backend, 0), wanted(0)))
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=CLOSE[dtype], atol=CLOSE[dtype])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_multivariate_normal(shape: Any, backend: Any) -> None:
    got, want = (draws["vectors"][str(shape)] for draws in (drawn(backend, 0), wanted(0)))
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_seed_may_be_a_node(dtype: str) -> None:
    seed = sm.Variable("seed", (), dtype)
    f = sm.compile([seed], random.key(seed))
    values = [3, 100] + [-3] * dtype.startswith("i") + [2**40 + 1] * dtype.endswith("64")
    for value in np.array(values, dtype):
        want = jax.random.key_data(jax.random.key(value))
        np.testing.assert_array_equal(f(value), want, strict=True)


def test_steps_fold_their_number_in() -> None:
    step = sm.Variable("step", (), "int64")
    f = sm.compile([step], random.uniform(random.fold_in(random.key(0), step), (3,)))
    for n in (0, 1, 2**31, 2**32 - 1):
        key = jax.random.fold_in(jax.random.key(0), n)
        np.testing.assert_array_equal(f(n), jax.random.uniform(key, (3,)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_function_may_update_its_key(backend: Any) -> None:
    key = sm.parameter("key", random.key(5).eval())
    now, later = random.split(key)
    draw = sm.compile([], random.normal(now, (4,)), updates={key: later}, backend=backend)
    theirs = jax.random.key(5)
    for _ in range(3):
        first, theirs = jax.random.split(theirs)
        np.testing.assert_allclose(draw(), jax.random.normal(first, (4,)), rtol=1e-12)


def test_sizes_may_be_nodes() -> None:
    x = sm.Variable("x", ("batch", 3))
    f = sm.compile([x], x + random.uniform(random.key(0), (x.shape[0], 3)))
    for n in (2, 5, 0):
        want = jax.random.uniform(jax.random.key(0), (n, 3))
        np.testing.assert_array_equal(f(np.zeros((n, 3))), want)


def test_samples_are_differentiable_through_their_scale_and_shift() -> None:
    low, high, mean = sm.Variable("low", ()), sm.Variable("high", ()), sm.Variable("mean", (2,))
    key = random.key(1)
    for sample in (
        random.uniform(key, (5,), "float64", low, high),
        low + high * random.normal(key, (5,)),
        random.truncated_normal(key, low, high, (5,)),
        random.multivariate_normal(key, mean + low, high * COVARIANCE, (3,)),
    ):
        inputs = sm.Graph([sample]).inputs
        at: dict[sm.Node, Any] = {low: -0.5, high: 0.8, mean: MEAN}
        sm.testing.check_gradients(sample, inputs, at={x: at[x] for x in inputs}, order=2)


def test_moments_and_correlations_of_many_numbers() -> None:
    first, second = random.split(random.key(9))
    x, y = (sm.compile([], random.normal(key, (200_000,)))() for key in (first, second))
    moments = [np.mean(x), np.mean(x**2), np.mean(x**3), np.mean(x**4), np.mean(x * y)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3, 0], atol=0.03)
    assert abs(np.mean(x[1:] * x[:-1])) < 0.01


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a seed of several": (lambda: random.key(np.array([1, 2])), GraphTypeError, "one integer"),
    "a seed that is no integer": (lambda: random.key(1.5), GraphTypeError, "one integer"),
    "a seed that is true": (lambda: random.key(True), GraphTypeError, "one integer"),
    "a seed too large": (lambda: random.key(2**64), GraphTypeError, "64 bits"),
    "no key": (lambda: random.uniform(7, (2,)), GraphTypeError, "sm.random.key"),  # type: ignore[arg-type]
    "several keys": (lambda: random.uniform(random.split(random.key(0))), GraphTypeError, "split"),
    "integers": (lambda: random.uniform(random.key(0), 2, "int64"), GraphTypeError, "floating"),
    "signed bits": (lambda: random.bits(random.key(0), 2, "int32"), GraphTypeError, "unsigned"),
    "real integers": (
        lambda: random.randint(random.key(0), 2, 0, 9, "float64"), GraphTypeError, "integer dtype"
    ),
    "a bound too large": (
        lambda: random.randint(random.key(0), 2, 0, 300, "uint8"), GraphTypeError, "wider"
    ),
    "a real bound": (
        lambda: random.randint(random.key(0), 2, 0.5, 3), GraphTypeError, "must be an integer"
    ),
    "too many": (lambda: random.bits(random.key(0), 2**33), ShapeError, "Split the key"),
    "a negative size": (lambda: random.normal(random.key(0), (2, -1)), ShapeError, "-1"),
    "no axis": (lambda: random.permutation(random.key(0), 2.5), ShapeError, "no axis"),
    "no such axis": (
        lambda: random.permutation(random.key(0), LOGITS, 3), ShapeError, "axis 3"
    ),
    "an unknown size": (
        lambda: random.permutation(random.key(0), sm.Variable("x", ("n",))), ShapeError, "known"
    ),
    "an unknown rank": (
        lambda: random.categorical(random.key(0), sm.Variable("x")), ShapeError, "logits"
    ),
    "more than there are": (
        lambda: random.choice(random.key(0), 3, (4,), False), ShapeError, "4 elements"
    ),
    "from nothing": (lambda: random.choice(random.key(0), 0, (4,)), ShapeError, "from 0"),
    "too few axes": (
        lambda: random.categorical(random.key(0), LOGITS, shape=(4,)), ShapeError, "at least 2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_to_do(name: str) -> None:
    make, error, message = WRONG[name]
    with pytest.raises(error, match=message) as caught:
        make()
    assert "test_random.py" in str(caught.value)


def test_random_numbers_are_loaded_on_first_use() -> None:
    code = "import sys, symad; print([m for m in sys.modules if 'threefry' in m or 'random' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "symad" not in done.stdout
