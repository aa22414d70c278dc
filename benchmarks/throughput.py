"""How fast arrays move: single ops on arrays of a million numbers, beside NumPy and JAX.

``python -m benchmarks.throughput`` checks each answer against NumPy's or JAX's, then measures the
calls in turn, in one process on one core.  A row shows the least milliseconds of each, and the time
of symad divided by that of the fastest peer.  All results are in C order: NumPy is asked for that
where it would keep the order of an operand.  ``--only TEXT`` selects rows by parts of their names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import product, starmap
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import batch_of, interleaved

Formula = Callable[..., Any]
"""Takes a module with NumPy's functions (symad, numpy or jax.numpy), then the arrays."""


class Case(NamedTuple):
    """One row: the same formula in all libraries.

    Attributes
    ----------
    name : str
    arrays : callable
        Returns the arguments.
    formula : callable
    others : dict from str to callable
        Formulas of those libraries that write it differently; ``None`` where it does not exist.
    """

    name: str
    arrays: Callable[[], Sequence[Any]]
    formula: Formula
    others: Mapping[str, Formula | None] = MappingProxyType({})


RNG = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "f8") -> Any:
    """Return normal numbers."""
    return RNG.standard_normal(shape).astype(dtype)


def square(dtype: str = "f8", count: int = 1) -> Callable[[], Sequence[Any]]:
    """Return a function that returns so many arrays of a million numbers."""
    return lambda: [normal(1000, 1000, dtype=dtype) for _ in range(count)]


def positive(dtype: str, count: int) -> Callable[[], Sequence[Any]]:
    """Return a function that returns an array of positive numbers, and others."""
    return lambda: [np.abs(normal(1000, 1000, dtype=dtype)), *square(dtype, count - 1)()]


def indices(count: int, size: int = 1000) -> Any:
    """Return random indices."""
    return RNG.integers(0, size, count)


def positive_definite(count: int, size: int) -> Any:
    """Return symmetric matrices, which are well conditioned."""
    factor = normal(count, size, size)
    return factor @ factor.transpose(0, 2, 1) + size * np.eye(size)


def elementwise(d: str) -> list[Case]:
    """Return elementwise functions, transposes and sorting of one dtype."""
    return [
        Case(f"x + y {d}", square(d, 2), lambda m, x, y: x + y),
        Case(f"exp {d}", square(d), lambda m, x: m.exp(x)),
        Case(f"log {d}", positive(d, 1), lambda m, x: m.log(x)),
        Case(f"sin {d}", square(d), lambda m, x: m.sin(x)),
        Case(f"tanh {d}", square(d), lambda m, x: m.tanh(x)),
        Case(f"x ** y {d}", positive(d, 2), lambda m, x, y: x**y),
        Case(f"x.T + x {d}", square(d), lambda m, x: x.T + x),
        Case(
            f"transpose (2, 0, 1) {d}",
            lambda: [normal(100, 100, 100, dtype=d)],
            lambda m, x: m.transpose(x, (2, 0, 1)) * 2,
            {"numpy": lambda m, x: np.multiply(np.transpose(x, (2, 0, 1)), 2, order="C")},
        ),
        Case(f"sort {d}", square(d), lambda m, x: m.sort(x, axis=1)),
        Case(f"argsort {d}", square(d), lambda m, x: m.argsort(x, axis=1, stable=True)),
    ]


def along(d: str, axis: int) -> list[Case]:
    """Return reductions and scans along one axis."""

    def softmax(m: Any, x: Any) -> Any:
        power = m.exp(x - m.max(x, axis=axis, keepdims=True))
        return power / m.sum(power, axis=axis, keepdims=True)

    def reduction(name: str) -> Formula:
        return lambda m, x: getattr(m, name)(x, axis=axis)

    names = ("sum", "mean", "max", "var", "cumsum", "argmax")
    found = [Case(f"{name} axis {axis} {d}", square(d), reduction(name)) for name in names]
    return [*found, Case(f"softmax axis {axis} {d}", square(d), softmax)]


def short_rows(d: str) -> list[Case]:
    """Return what is computed with many points, and with classes of which there are few."""

    def softmax(m: Any, x: Any) -> Any:
        power = m.exp(x - m.max(x, axis=1, keepdims=True))
        return power / m.sum(power, axis=1, keepdims=True)

    def distances(m: Any, x: Any) -> Any:
        return m.sqrt(m.sum((x[:, None, :] - x) ** 2, axis=2))

    def rows(count: int, *lengths: int) -> Callable[[], Sequence[Any]]:
        return lambda: [normal(count, length, dtype=d) for length in lengths]

    return [
        Case(f"distances of 300 points {d}", rows(300, 3), distances),
        Case(f"norms, rows of 3 {d}", rows(10**5, 3), lambda m, x: m.sqrt(m.sum(x * x, axis=1))),
        Case(f"x * w, rows of 3 {d}", rows(10**5, 3, 1), lambda m, x, w: x * w),
        Case(f"x[:, 0] * x[:, 1] {d}", rows(10**5, 3), lambda m, x: x[:, 0] * x[:, 1]),
        Case(f"softmax, rows of 2 {d}", rows(10**5, 2), softmax),
        Case(f"softmax, rows of 10 {d}", rows(10**5, 10), softmax),
    ]


def images(d: str) -> list[Case]:
    """Return convolutions and pooling, which NumPy does not have."""

    def pool(initial: float, function: str, size: int, stride: int) -> Formula:
        def pooled(m: Any, x: Any) -> Any:
            from jax import lax

            window, strides = (1, 1, size, size), (1, 1, stride, stride)
            return lax.reduce_window(x, initial, getattr(lax, function), window, strides, "VALID")

        return pooled

    def convolution(m: Any, x: Any, w: Any) -> Any:
        from jax import lax

        return lax.conv_general_dilated(x, w, (1, 1), "VALID")

    def arrays() -> Sequence[Any]:
        return [normal(8, 16, 64, 64, dtype=d)]

    def case(name: str, formula: Formula, in_jax: Formula) -> Case:
        return Case(f"{name} {d}", arrays, formula, {"numpy": None, "jax": in_jax})

    sums = pool(0.0, "add", 3, 1)
    return [
        Case(
            f"convolution 3 × 3 {d}",
            lambda: [normal(8, 16, 32, 32, dtype=d), normal(32, 16, 3, 3, dtype=d)],
            lambda m, x, w: m.nn.conv(x, w),
            {"numpy": None, "jax": convolution},
        ),
        case("max pool 2", lambda m, x: m.nn.max_pool(x, 2), pool(-np.inf, "max", 2, 2)),
        case(
            "max pool 3, stride 1",
            lambda m, x: m.nn.max_pool(x, 3, stride=1),
            pool(-np.inf, "max", 3, 1),
        ),
        case(
            "mean pool 3, stride 1",
            lambda m, x: m.nn.avg_pool(x, 3, stride=1),
            lambda m, x: sums(m, x) / 9,
        ),
    ]


WINDOWS = np.arange(998)[:, None] + np.arange(3)


def slices(m: Any, x: Any) -> Any:
    """Return the gradient of Σ x[k] x[k + 1], in NumPy written out."""

    def value(x: Any) -> Any:
        return m.sum(x[1:] * x[:-1])

    if m is np:
        return np.append(x[1:], 0) + np.append(0, x[:-1])
    if m.__name__ == "symad":
        return m.gradients(value(x), x)
    import jax

    return jax.grad(value)(x)


def stencil(m: Any, x: Any) -> Any:
    """Return four times each element minus its neighbours."""
    return 4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]


def indexing() -> list[Case]:
    """Return gathers, scatters and slices."""
    return [
        Case(
            "x[i, j], a million",
            lambda: [normal(1000, 1000), indices(10**6), indices(10**6)],
            lambda m, x, i, j: x[i, j],
        ),
        Case(
            "x[i], rows of 100",
            lambda: [normal(1000, 100), indices(10_000)],
            lambda m, x, i: x[i],
        ),
        Case(
            "take along axis",
            lambda: [normal(1000, 1000), indices(10**5).reshape(1000, 100)],
            lambda m, x, i: m.take_along_axis(x, i, axis=1),
        ),
        Case(
            "add a million at 1 000 places",
            lambda: [normal(10**6), indices(10**6)],
            lambda m, v, i: m.add_at(m.zeros(1000), i, v),
            {
                "numpy": lambda m, v, i: np.bincount(i, v, 1000),
                "jax": lambda m, v, i: m.zeros(1000).at[i].add(v),
            },
        ),
        Case("x[::2, ::2] * 2", lambda: [normal(2000, 2000)], lambda m, x: x[::2, ::2] * 2),
        Case("x[:, 1:-1] * 2", square(), lambda m, x: x[:, 1:-1] * 2),
        Case("five-point stencil", square(), stencil),
        Case(
            "windows @ w",
            lambda: [normal(1000, 64), normal(192, 32)],
            lambda m, x, w: m.reshape(x[WINDOWS], (998, 192)) @ w,
        ),
        Case("gradient of a sum of slices", lambda: [normal(10**6)], slices),
    ]


def joins() -> list[Case]:
    """Return joins, rearrangements, masks and mixed dtypes."""

    def pair(first: int, second: int) -> Callable[[], Sequence[Any]]:
        return lambda: [normal(1000, first), normal(1000, second)]

    return [
        Case(
            "concatenate axis 1",
            pair(300, 700),
            lambda m, x, y: m.concatenate([x, y], axis=1),
        ),
        Case("stack axis -1", pair(300, 300), lambda m, x, y: m.stack([x, y], axis=-1)),
        Case("pad", square(), lambda m, x: m.pad(x, 1)),
        Case("roll", square(), lambda m, x: m.roll(x, 1, axis=1)),
        Case("repeat", lambda: [normal(1000, 100)], lambda m, x: m.repeat(x, 10, axis=1)),
        Case("tile", lambda: [normal(1000, 100)], lambda m, x: m.tile(x, (1, 10))),
        Case("flip", square(), lambda m, x: m.flip(x, axis=1) * 2),
        Case("outer", lambda: [normal(1000), normal(1000)], lambda m, x, y: m.outer(x, y)),
        Case(
            "where, f8 and f4",
            lambda: [normal(1000, 1000), normal(1000, 1000, dtype="f4")],
            lambda m, x, y: m.where(x > 0, y, x),
        ),
        Case("any axis 1", lambda: [normal(1000, 1000) > 1], lambda m, x: m.any(x, axis=1)),
    ]


def integers() -> list[Case]:
    """Return conversions, and integer division by a number."""

    def conversion(old: str, new: str) -> Case:
        return Case(
            f"{old} to {new}",
            lambda: [(100 * normal(1000, 1000)).astype(old)],
            lambda m, x: m.astype(x, new),
        )

    def division(name: str, d: str) -> Case:
        return Case(
            f"{name} {d}",
            lambda: [indices(10**6, 10**6).astype(d)],
            lambda m, x: getattr(m, name)(x, 7),
        )

    dtypes = (("f8", "f4"), ("f4", "f8"), ("f4", "i4"), ("f8", "i8"), ("i8", "f8"))
    divisions = product(("floor_divide", "remainder"), ("i4", "i8"))
    return [*starmap(conversion, dtypes), *starmap(division, divisions)]


def matrices() -> list[Case]:
    """Return work on many small matrices."""
    return [
        Case(
            "100 products 30 × 30",
            lambda: [normal(100, 30, 30), normal(100, 30, 30)],
            lambda m, x, y: x @ y,
        ),
        Case(
            "1 000 solves 10 × 10",
            lambda: [positive_definite(1000, 10), normal(1000, 10, 1)],
            lambda m, a, b: m.linalg.solve(a, b),
        ),
        Case(
            "1 000 Cholesky 8 × 8",
            lambda: [positive_definite(1000, 8)],
            lambda m, a: m.linalg.cholesky(a),
        ),
        Case(
            "1 000 inverses 4 × 4",
            lambda: [positive_definite(1000, 4)],
            lambda m, a: m.linalg.inv(a),
        ),
    ]


def narrow() -> list[Case]:
    """Return work on long arrays with few columns, and its like on few elements apart."""

    def columns(d: str = "f8") -> Callable[[], Sequence[Any]]:
        return lambda: [normal(10**6, 3, dtype=d)]

    def transposed(shape: tuple[int, int]) -> Case:
        name = "transpose " + " × ".join(map(str, shape))
        formula = {"numpy": lambda m, x: np.ascontiguousarray(x.T)}
        return Case(name, lambda: [normal(*shape)], lambda m, x: x.T, formula)

    return [
        Case("sum axis 0, 3 columns", columns(), lambda m, x: m.sum(x, axis=0)),
        Case("sum axis 1, 3 columns", columns(), lambda m, x: m.sum(x, axis=1)),
        Case("(x - row)², 3 columns", lambda: [normal(10**6, 3), normal(3)],
             lambda m, x, y: (x - y) * (x - y)),
        Case("products of columns", columns(), lambda m, x: x[:, 0] * x[:, 1] - x[:, 2]),
        *map(transposed, [(10**6, 3), (3, 10**6), (1001, 999)]),
        Case("concatenate 3 columns", lambda: [normal(10**5, 1) for _ in range(3)],
             lambda m, *xs: m.concatenate(xs, axis=1)),
        Case("x[i], rows of 3", lambda: [normal(1000, 3), indices(10**5)], lambda m, x, i: x[i]),
        Case("x[::3] * 2 f4", lambda: [normal(3 * 10**6, dtype="f4")], lambda m, x: x[::3] * 2),
    ]  # fmt: skip


def cubes() -> list[Case]:
    """Return reductions over axes between others, and over several."""

    def softmax(m: Any, x: Any) -> Any:
        power = m.exp(x - m.max(x, axis=1, keepdims=True))
        return power / m.sum(power, axis=1, keepdims=True)

    def cube(name: str, formula: Formula, d: str = "f8") -> Case:
        return Case(f"{name} of a cube {d}", lambda: [normal(100, 100, 100, dtype=d)], formula)

    return [
        cube("max axis 1", lambda m, x: m.max(x, axis=1), "f4"),
        cube("sum axis 1", lambda m, x: m.sum(x, axis=1)),
        cube("sum axes (0, 2)", lambda m, x: m.sum(x, axis=(0, 2))),
        cube("cumsum axis 1", lambda m, x: m.cumsum(x, axis=1)),
        cube("softmax axis 1", softmax, "f4"),
        cube("var axis 1", lambda m, x: m.var(x, axis=1)),
    ]


def other_dtypes() -> list[Case]:
    """Return work on short floats, integers and booleans."""
    whole = lambda: [indices(10**6, 2000).astype("i4") - 1000]  # noqa: E731
    return [
        Case("max axis 1 f2", square("f2"), lambda m, x: m.max(x, axis=1)),
        Case("x * y + x f2", square("f2", 2), lambda m, x, y: x * y + x),
        Case("clip i4", whole, lambda m, x: m.clip(x, -100, 100)),
        Case("x // y i4", lambda: [*whole(), indices(10**6).astype("i4") + 1],
             lambda m, x, y: x // y),
        Case("x > y f4", square("f4", 2), lambda m, x, y: x > y),
        Case("a and not b", lambda: [normal(1000, 1000) > 0, normal(1000, 1000) > 0],
             lambda m, a, b: m.logical_and(a, m.logical_not(b))),
    ]  # fmt: skip


def norms() -> list[Case]:
    """Return norms, products along a long axis, and steps on shifted arrays."""

    def shifted(m: Any, x: Any, y: Any) -> Any:
        z = y
        for _ in range(4):
            z = y + 0.5 * x * m.concatenate([m.ones(1), z[:-1]])
        return z

    return [
        *(Case(f"norm {d}", square(d), lambda m, x: m.linalg.norm(x)) for d in ("f4", "f8")),
        Case("norm axis 1 f8", square(), lambda m, x: m.linalg.norm(x, axis=1)),
        Case("(3, 10⁶) @ (10⁶, 3)", lambda: [normal(3, 10**6), normal(10**6, 3)],
             lambda m, x, y: x @ y),
        Case("four shifted steps", lambda: [normal(10**4), normal(10**4)], shifted),
        Case("argmin axis 0, 3 columns", lambda: [normal(10**5, 3)],
             lambda m, x: m.argmin(x, axis=0)),
    ]  # fmt: skip


CASES = [
    *(case for d in ("f4", "f8") for case in (*elementwise(d), *along(d, 0), *along(d, 1))),
    *(case for d in ("f4", "f8") for case in (*images(d), *short_rows(d))),
    *indexing(),
    *joins(),
    *integers(),
    *matrices(),
    *narrow(),
    *cubes(),
    *other_dtypes(),
    *norms(),
]


def functions(case: Case) -> Functions:
    """Return each library's compiled function and its arguments."""
    import jax
    import jax.numpy as jnp

    import symad as sm

    arrays = case.arrays()
    inputs = [
        sm.Variable(f"x{k}", shape=array.shape, dtype=array.dtype) for k, array in enumerate(arrays)
    ]
    found: dict[str, tuple[Callable[..., Any], Sequence[Any]]] = {
        "symad": (sm.compile(inputs, case.formula(sm, *inputs)), arrays)
    }
    in_jax = case.others.get("jax", case.formula)
    if in_jax is not None:
        compiled = jax.jit(lambda *arrays: in_jax(jnp, *arrays))
        ready = lambda *arrays: compiled(*arrays).block_until_ready()  # noqa: E731
        found["jax"] = ready, [jnp.asarray(array) for array in arrays]
    in_numpy = case.others.get("numpy", case.formula)
    if in_numpy is not None:
        found["numpy"] = lambda *arrays: in_numpy(np, *arrays), arrays
    return found


Functions = Mapping[str, tuple[Callable[..., Any], Sequence[Any]]]


def check(found: Functions, name: str) -> None:
    """Compare the answers of all libraries.

    Raises
    ------
    AssertionError
        If they differ by more than rounding.
    """
    answers = {label: np.asarray(call(*arguments)) for label, (call, arguments) in found.items()}
    expected = answers.get("numpy", answers["jax"])
    for label, answer in answers.items():
        tolerance = 1e-4 if answer.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(
            answer, expected, rtol=tolerance, atol=tolerance, err_msg=f"{name}: {label}"
        )


def measure(case: Case) -> dict[str, float]:
    """Return the least seconds of a call by library, after all answers have been compared."""
    found = functions(case)
    check(found, case.name)
    batches = {label: batch_of(call, arguments) for label, (call, arguments) in found.items()}
    return {label: min(times) for label, times in interleaved(batches, 7, 0.02).items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=(), metavar="TEXT")
    names = parser.parse_args().only
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax

    jax.config.update("jax_enable_x64", True)
    print(f"{'':34}{'symad':>9}{'jax':>9}{'numpy':>9}{'ratio':>8}")
    for case in CASES:
        if names and not any(part in case.name for part in names):
            continue
        times = measure(case)
        ratio = times["symad"] / min(times[peer] for peer in ("jax", "numpy") if peer in times)
        cells = [
            f"{1e3 * times[name]:9.3f}" if name in times else f"{'–':>9}"
            for name in ("symad", "jax", "numpy")
        ]
        print(f"{case.name:34}{''.join(cells)}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
