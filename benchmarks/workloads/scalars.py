"""The lecture's example: the cost of a call with almost nothing to compute."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy, same_for, symad_builder
from benchmarks.workload import Target, Workload, times_faster


def example(lib: Any, x1: Any, x2: Any) -> Any:
    return lib.log(x1) + x1 * x2 - lib.sin(x2)


def by_hand(x1: float, x2: float) -> tuple[float, float, float]:
    return (
        math.log(x1) + x1 * x2 - math.sin(x2),
        1 / x1 + x2,
        x1 - math.cos(x2),
    )


def in_numpy_scalars(x1: float, x2: float) -> tuple[Any, Any, Any]:
    return np.log(x1) + x1 * x2 - np.sin(x2), 1 / np.float64(x1) + x2, x1 - np.cos(x2)


LIBRARIES = ("symad", "jax", "torch", "pytensor", "casadi", "autograd")

RUNNING_EXAMPLE = Workload(
    name="running-example",
    title="ln(x1) + x1·x2 − sin(x2), value and two gradients, Python floats in",
    inputs=lambda: (2.0, 5.0),
    size=(),
    tiny=(),
    reference=in_numpy_scalars,
    implementations={
        **by_library(same_for(LIBRARIES, example), wrt=(0, 1)),
        "math": in_numpy(by_hand),
        "symad, shapes not declared": symad_builder(example, (0, 1), shapes_declared=False),
        "numpy": in_numpy(in_numpy_scalars),
    },
    targets=(Target(0.5, "math"), times_faster(40, "jax")),
)
