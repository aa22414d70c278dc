"""Scalar functions of many instructions, as CasADi's users write them: number by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.builders import by_library, same_for
from benchmarks.workload import Workload, times_faster

LIBRARIES = ("symad", "casadi")
LABELS = ("symad", "casadi", "casadi, buffers")


def neighbours(lib: Any, *xs: Any) -> Any:
    total = lib.sin(xs[0]) * xs[1]
    for x, following in zip(xs[1:], xs[2:], strict=False):
        total = total + lib.sin(x) * following
    return total


def neighbours_in_numpy(*xs: float) -> list[Any]:
    x, slopes = np.array(xs), np.zeros(len(xs))
    slopes[:-1] = np.cos(x[:-1]) * x[1:]
    slopes[1:] += np.sin(x[:-1])
    return [np.sin(x[:-1]) @ x[1:], *slopes]


def many_numbers(count: int) -> Workload:
    """Return the workload of a function of so many arguments."""
    return Workload(
        name=f"numbers-{count}",
        title=f"Σ sin(xₖ)·xₖ₊₁ of {count} numbers, value and all gradients, Python floats in",
        inputs=lambda count: tuple(np.linspace(0.1, 2.0, count).tolist()),
        size=(count,),
        tiny=(12,),
        reference=neighbours_in_numpy,
        implementations={label: _of_all(label) for label in ("symad", "casadi", "casadi, buffers")},
        targets=(times_faster(1, "casadi"),),
    )


def _of_all(label: str) -> Any:
    """Return the builder that differentiates with respect to all inputs, however many."""

    def build(*inputs: Any) -> Any:
        functions = same_for(LIBRARIES, neighbours)
        return by_library(functions, wrt=range(len(inputs)))[label](*inputs)

    return build


NUMBERS_60, NUMBERS_100, NUMBERS_1000 = map(many_numbers, (60, 100, 1000))


def chain_of(steps: int) -> Any:
    """Return the function of so many steps."""

    def chain(lib: Any, x: Any) -> Any:
        y = x
        for _ in range(steps):
            y = lib.sin(y) * x + y
        return y

    return chain


def chain_in_python(x: float, steps: int) -> list[Any]:
    y, slope = float(x), 1.0
    for _ in range(steps):
        slope += math.cos(y) * slope * x + math.sin(y)
        y += math.sin(y) * x
    return [np.float64(y), np.float64(slope)]


def _of_steps(label: str) -> Any:
    """Return the builder whose second input is the number of steps."""

    def build(x: float, steps: int) -> Any:
        return by_library(same_for(LIBRARIES, chain_of(steps)), wrt=(0,))[label](x)

    return build


CHAIN = Workload(
    name="scalar-chain",
    title="y ← sin(y)·x + y, 10⁴ times from x, value and gradient",
    inputs=lambda steps: (0.01, steps),
    size=(10_000,),
    tiny=(30,),
    reference=chain_in_python,
    implementations={label: _of_steps(label) for label in LABELS},
    targets=(times_faster(1, "casadi"),),
)


ARM = [(0.0, 0.34, 1), (0.0, 0.0, -1), (0.0, 0.4, -1), (0.0, 0.0, 1), (0.0, 0.4, 1),
       (0.0, 0.0, -1), (0.1, 0.126, 0)]  # fmt: skip
"""Length, offset and quarter turns of each joint."""
TARGET = (0.4, 0.2, 0.6)


def distance(lib: Any, *angles: Any) -> Any:
    """Return the squared distance of the hand of a robot's arm from a point."""
    rotation: list[list[Any]] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    place: list[Any] = [0.0, 0.0, 0.0]
    for angle, (length, offset, quarter) in zip(angles, ARM, strict=True):
        c, s = lib.cos(angle), lib.sin(angle)
        turned = [(row[0] * c + row[1] * s, row[1] * c - row[0] * s, row[2]) for row in rotation]
        place = [p + length * t[0] + offset * t[2] for p, t in zip(place, turned, strict=True)]
        if quarter:
            turned = [(a, quarter * z, -quarter * b) for a, b, z in turned]
        rotation = [list(row) for row in turned]
    return sum((p - t) * (p - t) for p, t in zip(place, TARGET, strict=True))


def distance_in_numpy(*angles: float) -> list[Any]:
    step = 1e-30  # complex: no digits are lost
    slopes = []
    for k in range(len(angles)):
        shifted = [a + (step * 1j if i == k else 0) for i, a in enumerate(angles)]
        slopes.append(np.float64(distance(np, *shifted).imag / step))
    return [np.float64(distance(np, *angles)), *slopes]


ROBOT_ARM = Workload(
    name="robot-arm",
    title="Distance of a robot's hand from a point, seven joints, value and gradient",
    inputs=lambda: tuple(np.linspace(0.1, 1.2, len(ARM)).tolist()),
    size=(),
    tiny=(),
    reference=distance_in_numpy,
    implementations=by_library(same_for(LIBRARIES, distance), wrt=range(len(ARM))),
    targets=(times_faster(1, "casadi"),),
)

OF_NUMBERS = (ROBOT_ARM, NUMBERS_60, NUMBERS_100, NUMBERS_1000, CHAIN)
"""The workloads in which no value is an array."""
