"""A small matrix: the call costs more than the arithmetic, and inputs and outputs are arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy, same_for, symad_builder
from benchmarks.workload import Workload, times_faster


def inputs(size: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(size), rng.standard_normal((size, size)) / size


def sum_of_squares(lib: Any, x: Any, w: Any) -> Any:
    return lib.sum(lib.tanh(w @ x) ** 2)


def sum_of_squares_in_casadi(casadi: Any, x: Any, w: Any) -> Any:
    return casadi.sumsqr(casadi.tanh(w @ x))


def by_hand(x: Any, w: Any) -> tuple[Any, Any, Any]:
    h = np.tanh(w @ x)
    z_adjoint = 2 * h * (1 - h * h)
    return h @ h, w.T @ z_adjoint, np.outer(z_adjoint, x)


LIBRARIES = ("symad", "jax", "torch", "pytensor", "autograd")

SMALL_MATRIX = Workload(
    name="small-matrix",
    title="sum(tanh(W x)²), W 8×8, value and both gradients",
    inputs=inputs,
    size=(8,),
    tiny=(3,),
    reference=by_hand,
    implementations={
        **by_library(
            {**same_for(LIBRARIES, sum_of_squares), "casadi": sum_of_squares_in_casadi}, wrt=(0, 1)
        ),
        "symad, shapes not declared": symad_builder(sum_of_squares, (0, 1), shapes_declared=False),
        "numpy": in_numpy(by_hand),
    },
    targets=(times_faster(20, "jax"), times_faster(8, "numpy")),
)
