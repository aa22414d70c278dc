"""A chain of elementwise functions of long arrays: the gain from not writing temporaries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy, same_for, symad_builder
from benchmarks.workload import Builder, Implementation, Target, Workload, times_faster


def inputs(size: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.uniform(-2, 2, size), rng.uniform(-2, 2, size)


def chain(lib: Any, x: Any, y: Any) -> Any:
    return lib.tanh(lib.log(lib.exp(x * y) + 1)) + x


def value(x: Any, y: Any) -> tuple[Any]:
    return (np.tanh(np.log(np.exp(x * y) + 1)) + x,)


def value_and_gradients(x: Any, y: Any) -> tuple[Any, Any, Any]:
    e = np.exp(x * y)
    h = np.tanh(np.log(e + 1))
    product_adjoint = (1 - h * h) * e / (e + 1)
    return h + x, product_adjoint * y + 1, product_adjoint * x


def value_into(x: Any, y: Any, h: Any) -> None:
    """Write the value to ``h``, without temporaries."""
    np.multiply(x, y, out=h)
    np.exp(h, out=h)
    np.add(h, 1, out=h)
    np.log(h, out=h)
    np.tanh(h, out=h)
    np.add(h, x, out=h)


def value_and_gradients_into(x: Any, y: Any, h: Any, first: Any, second: Any, e: Any) -> None:
    """Write the value to ``h`` and the gradients to ``first`` and ``second``; ``e`` is scratch."""
    np.multiply(x, y, out=e)
    np.exp(e, out=e)
    np.add(e, 1, out=second)
    np.log(second, out=h)
    np.tanh(h, out=h)
    np.multiply(h, h, out=first)
    np.subtract(1, first, out=first)
    np.multiply(first, e, out=first)
    np.divide(first, second, out=first)  # the adjoint of x·y
    np.add(h, x, out=h)
    np.multiply(first, x, out=second)
    np.multiply(first, y, out=first)
    np.add(first, 1, out=first)


def with_out(into: Callable[..., None], results: int, temporaries: int) -> Builder:
    """Run a function on preallocated arrays: the call allocates no memory."""

    def build(x: Any, y: Any) -> Implementation:
        out = [np.empty_like(x) for _ in range(results)]
        scratch = [np.empty_like(x) for _ in range(temporaries)]

        def call(x: Any, y: Any) -> Any:
            into(x, y, *out, *scratch)
            return out

        return Implementation(call, (x, y))

    return build


def in_blocks(
    into: Callable[..., None], results: int, temporaries: int, block: int = 32_768
) -> Builder:
    """The same, block by block, so that recently written data is still in the cache."""

    def build(x: Any, y: Any) -> Implementation:
        out = [np.empty_like(x) for _ in range(results)]
        scratch = [np.empty(block) for _ in range(temporaries)]

        def call(x: Any, y: Any) -> Any:
            for start in range(0, len(x), block):
                arrays = [array[start : start + block] for array in (x, y, *out)]
                into(*arrays, *(array[: len(arrays[0])] for array in scratch))
            return out

        return Implementation(call, (x, y))

    return build


LIBRARIES = ("symad", "jax", "torch", "pytensor", "autograd")
WORK = "tanh(log(exp(x·y) + 1)) + x, 10⁶ doubles"

_elementwise = partial(Workload, inputs=inputs, size=(1_000_000,), tiny=(70_001,))


def _in_threads(wrt: tuple[int, ...]) -> dict[str, Builder]:
    return {
        "symad, 1 thread": symad_builder(chain, wrt, threads=1),
        "symad, 2 threads": symad_builder(chain, wrt, threads=2),
        **by_library(same_for(("jax", "torch"), chain), wrt),
    }


_TARGETS = (Target(0.7, "jax"), Target(0.9, "numpy, out=", "symad, out="))
_THREAD_TARGETS = (times_faster(1.7, "symad, 1 thread", "symad, 2 threads"),)

VALUE = _elementwise(
    name="elementwise-value",
    title=f"{WORK}, value",
    reference=value,
    implementations={
        **by_library(same_for(LIBRARIES, chain), wrt=()),
        "symad, out=": symad_builder(chain, (), given_outputs=True),
        "numpy": in_numpy(value),
        "numpy, out=": with_out(value_into, 1, 0),
        "numpy, out=, in blocks": in_blocks(value_into, 1, 0),
    },
    targets=_TARGETS,
)

GRADIENT = _elementwise(
    name="elementwise-gradient",
    title=f"{WORK}, value and both gradients",
    reference=value_and_gradients,
    implementations={
        **by_library(same_for(LIBRARIES, chain), wrt=(0, 1)),
        "symad, out=": symad_builder(chain, (0, 1), given_outputs=True),
        "numpy": in_numpy(value_and_gradients),
        "numpy, out=": with_out(value_and_gradients_into, 3, 1),
        "numpy, out=, in blocks": in_blocks(value_and_gradients_into, 3, 1),
    },
    targets=_TARGETS,
)

VALUE_IN_THREADS = _elementwise(
    name="elementwise-value-threads",
    title=f"{WORK}, value, two cores",
    reference=value,
    implementations=_in_threads(()),
    targets=_THREAD_TARGETS,
    threads=2,
    once=False,
)

GRADIENT_IN_THREADS = _elementwise(
    name="elementwise-gradient-threads",
    title=f"{WORK}, value and both gradients, two cores",
    reference=value_and_gradients,
    implementations=_in_threads((0, 1)),
    targets=_THREAD_TARGETS,
    threads=2,
    once=False,
)
