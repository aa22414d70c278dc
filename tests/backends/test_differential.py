"""Random graphs on all backends, and in JAX.

* Wild graphs hold NaN, infinities, kinks, empty axes, structures and odd memory, in all dtypes,
  loops, branches and maps in one another, and derivatives up to order 2.  The native backend,
  NumPy, NumPy without any pass, and JAX, which runs each op of the graph as it was written, must
  agree as far as the roundings of each op let them; :mod:`stochastic` finds out how far that is.
* Smooth graphs, which hold loops too, are finite, with derivatives that are defined.  Values,
  derivatives and derivatives of derivatives must be those that JAX finds by itself, on both
  backends.  A while loop is a scan there, of which the steps after the end change nothing.

``SYMAD_FUZZ_GRAPHS`` sets how many graphs are tried, of which every fourth is smooth, and
``SYMAD_FUZZ_FIRST`` the first seed.  The long run is::

    SYMAD_FUZZ_GRAPHS=20000 SYMAD_CACHE_DIR= python -m pytest tests/backends/test_differential.py

Without JAX, or with ``SYMAD_FUZZ_JAX=0``, the rest is compared.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning

import symad as sm
from symad.errors import EvaluationError, ShapeError
from symad.graph.nested import leaves
from symad.passes.specialise import specialise
from symad.runtime.inputs import accept, type_of
from tests.support.op_checks import run
from tests.support.random_graphs import RandomGraph, random_graph
from tests.support.random_loops import LOOPS
from tests.support.stochastic import Spread
from tests.support.wild_graphs import WildGraph, wild_graph

pytest.importorskip("llvmlite")

GRAPHS = int(os.environ.get("SYMAD_FUZZ_GRAPHS", "80"))
FIRST = int(os.environ.get("SYMAD_FUZZ_FIRST", "0"))
BATCH = max(20, GRAPHS // 200)
JAX_TOO = os.environ.get("SYMAD_FUZZ_JAX", "1") != "0"


def jax_interpreter() -> Any:
    """Return what runs graphs in JAX, ``None`` where that is not wanted or not installed."""
    if not JAX_TOO or importlib.util.find_spec("jax") is None:
        return None
    from tests.support import jax_interpreter

    return jax_interpreter


def tensors(value: Any) -> list[Any]:
    return [leaf for leaf in leaves(value) if leaf is not None]


def compare(
    what: str, reference: Spread, got: Any, special: bool, zeros: bool = False, scale: float = 0.0
) -> None:
    """Check outputs, and where it is wanted which of them are NaN or infinite, or -0.

    What is left of numbers of a ``scale``, by another formula, is known to their last digit.
    """
    texts = [reference.disagreement(k, v, special, zeros, scale) for k, v in enumerate(got)]
    found = [f"output {k}: {text}" for k, text in enumerate(texts) if text]
    assert not found, f"{what} differs:\n" + "\n".join(found)


# Wild graphs


def check(sample: WildGraph) -> None:
    """All backends agree, and nothing that is handed out shares memory with anything else."""
    inputs, outputs = list(sample.graph.inputs), list(sample.graph.outputs)
    before = [np.array(a) for a in sample.arrays]
    want, reference = call(sm.compile(inputs, outputs, backend="numpy"), sample)
    nested = {"first": outputs[0], "rest": tuple(outputs[1:])} if sample.seed % 3 == 0 else outputs
    threads = 1 + sample.seed % 2
    native = sm.compile(inputs, nested, backend="native", threads=threads)
    got, other = call(native, sample)
    if want is None or got is None:
        assert reference == other, "only one backend refuses"
        return
    kept = [np.array(a) for a in tensors(got)]
    again, _ = call(native, sample)
    assert_fresh(sample, before, got, again, kept)
    values = [accept(a, x, {}) for a, x in zip(sample.arrays, inputs, strict=True)]
    optimised = native.passes.graph
    zeros = not names_of(optimised) & EITHER_ZERO
    flat = [got["first"], *got["rest"]] if isinstance(got, dict) else got
    compare("native", Spread(optimised, values, sample.seed), flat, special=True, zeros=zeros)
    graph = specialise(sm.Graph(outputs, inputs), [type_of(a) for a in values])
    compare("NumPy", Spread(graph, values, sample.seed, all_ops=True), want, special=False)
    jax = jax_interpreter()
    if jax is not None and jax.is_reference(graph, values):
        with suppress(jax.NotTranslated):
            found = jax.run(sample.graph, values)
            compare("JAX", Spread(graph, values, sample.seed, **jax.NOISE), found, special=True)


def call(function: Any, sample: WildGraph) -> tuple[Any, str]:
    try:
        return function(*sample.arrays), ""
    except (EvaluationError, ShapeError) as error:  # LU of a matrix that turns out not to be square
        text = re.sub(r"\[[\d,?]*\]", "[...]", str(error))  # one may know more sizes
        return None, re.sub(r"^\w+\(.*\)( failed)?: ", "", text, count=1)  # or a part of this op


def assert_fresh(
    sample: WildGraph, before: list[Any], got: Any, again: Any, kept: list[Any]
) -> None:
    """Inputs stay, a second call gives the same, and no two results share memory."""
    for array, copy in zip(sample.arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy, "an input has changed")
    for first, copy, second in zip(tensors(got), kept, tensors(again), strict=True):
        np.testing.assert_array_equal(first, copy, "a result has changed by a later call")
        np.testing.assert_array_equal(second, copy, "a second call gives something else")
    whole = [a for a in (*tensors(got), *tensors(again)) if isinstance(a, np.ndarray)]
    for k, array in enumerate(whole):
        assert array.flags.writeable, "a result is read-only"
        for other in (*whole[:k], *sample.arrays):
            assert not np.may_share_memory(array, other), "results share memory"


EITHER_ZERO = {"max", "min", "maximum", "minimum", "relu", "softmax", "logsumexp", "sort"}
"""Ops that order zeros, or take the larger of two, which either may be."""


def names_of(graph: sm.Graph) -> set[str]:
    return {node.op.name for node in graph.nodes if node.op is not None}


# Smooth graphs


def check_smooth(sample: RandomGraph) -> None:
    """Values, derivatives and their derivatives are right, on both backends."""
    xs, ys = list(sample.graph.inputs), list(sample.graph.outputs)
    rng = np.random.default_rng(sample.seed)
    values = run(xs, ys, sample.arrays)
    weights = [weights_like(rng, y) for y in values]
    turns = [weights_like(rng, x) for x in sample.arrays]
    first = sm.gradients(ys, xs, seed=weights, unused="zero")
    second = sm.gradients(first, xs, seed=turns, unused="zero")
    outputs = [*ys, *first, *second]
    found = {
        backend: sm.compile(xs, outputs, backend=backend)(*sample.arrays)
        for backend in ("numpy", "native")
    }
    jax = jax_interpreter()
    if jax is not None:
        request = jax.Request(sample.graph, sample.arrays, xs, dict(zip(ys, weights, strict=True)))
        found["JAX"] = jax.to_order_two(request, turns)
    graph = specialise(sm.Graph(outputs, xs), [type_of(a) for a in sample.arrays])
    noise = {"ulps": jax.NOISE["ulps"]} if jax else {}
    reference = Spread(graph, sample.arrays, sample.seed, all_ops=True, **noise)
    for what, got in found.items():
        scale = largest(got) if what == "JAX" else 0.0
        compare(what, reference, got, special=False, scale=scale)


def largest(values: list[Any]) -> float:
    """Return the largest absolute value that is finite."""
    parts = [np.abs(np.asarray(part, np.float64)) for v in values for part in tensors(v)]
    return max((float(np.max(p, where=np.isfinite(p), initial=0)) for p in parts), default=0.0)


def weights_like(rng: np.random.Generator, value: Any) -> Any:
    return rng.uniform(0.5, 1.5, np.shape(value)).astype(value.dtype)


@pytest.mark.parametrize("first", range(FIRST, FIRST + GRAPHS, BATCH))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + BATCH):
        check_seed(seed)


def check_seed(seed: int) -> None:
    """Check the graph of a seed; errors show it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)  # of matrices that are nearly singular
        sample = random_graph(seed, makers=LOOPS) if seed % 4 == 3 else wild_graph(seed)
        try:
            check_smooth(sample) if isinstance(sample, RandomGraph) else check(sample)
        except Exception as error:
            error.add_note(str(sample))
            raise


def test_sizes_within_loops_that_share_work_may_be_unknown() -> None:
    """A scan whose body holds adjoints of a while loop is within two loops that share work."""
    check_seed(103_635)
