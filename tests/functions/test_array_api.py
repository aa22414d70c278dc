"""The Array API standard 2025.12: its names, and the functions composed of other ops.

Each call is compared with NumPy's, on both backends, with and without known shapes; derivatives are
compared with differences, to order 2.  The ops are tested as rows of the op table.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, GraphTypeError, ShapeError
from symad.testing import check_gradients
from tests.support import array_api_names

RNG = np.random.default_rng(0)
M, V, W = RNG.standard_normal((2, 3, 4)), RNG.standard_normal(4), RNG.standard_normal((2, 3, 1))
SPECIAL = np.array([[0.0, -0.0, np.nan, np.inf], [1.0, -np.inf, 2.0, -1.0]])
INTEGERS = np.array([[3, 0, 3], [-1, 2, 0]])
SORTED = np.array([-1.0, 0.0, 0.0, 2.0])
EMPTY = np.zeros((0, 3))


@dataclasses.dataclass(frozen=True)
class Case:
    """A call of symad, the same of NumPy, and the arrays to call them with."""

    call: Callable[..., Any]
    reference: Callable[..., Any]
    arrays: tuple[Any, ...]
    order: int = 0
    needs: str = ""


def same(
    name: str,
    *arrays: Any,
    order: int = 0,
    path: str = "",
    needs: str = "",
    **keywords: Any,
) -> Case:
    """Return a case of functions that have the same name and the same keywords."""
    ours, theirs = (getattr(m, path) if path else m for m in (sm, np))
    return Case(
        lambda *xs: getattr(ours, name)(*xs, **keywords),
        lambda *xs: getattr(theirs, name)(*xs, **keywords),
        arrays,
        order,
        needs,
    )


CASES = {
    "cumulative_sum": same("cumulative_sum", V, order=2),
    "cumulative_sum axis": same("cumulative_sum", M, axis=1, include_initial=True, order=2),
    "cumulative_sum dtype": same("cumulative_sum", INTEGERS, axis=-1, dtype=np.int8),
    "cumulative_sum empty": same("cumulative_sum", EMPTY, axis=0, include_initial=True),
    "cumulative_sum special": same("cumulative_sum", SPECIAL, axis=0, include_initial=True),
    "cumulative_prod": same("cumulative_prod", M, axis=-1, order=2),
    "cumulative_prod initial": same("cumulative_prod", M, axis=0, include_initial=True, order=2),
    "cumulative_prod ints": same("cumulative_prod", INTEGERS, axis=1, include_initial=True),
    "count_nonzero": same("count_nonzero", SPECIAL),
    "count_nonzero axes": same("count_nonzero", M, axis=(0, 2), keepdims=True),
    "count_nonzero bool": same("count_nonzero", SPECIAL > 0, axis=0),
    "count_nonzero empty": same("count_nonzero", EMPTY, axis=0),
    "isin": same("isin", INTEGERS, np.array([3, 2, 7])),
    "isin invert": same("isin", INTEGERS, np.array([[3], [2]]), invert=True),
    "isin special": same("isin", SPECIAL, np.array([0.0, np.nan, np.inf])),
    "isin nothing": same("isin", INTEGERS, np.zeros(0, int)),
    "isin of nothing": same("isin", EMPTY, np.array([1.0])),
    "isin mixed": same("isin", INTEGERS, np.array([2.0, 2.5])),
    "searchsorted": same("searchsorted", SORTED, M),
    "searchsorted right": same("searchsorted", SORTED, SPECIAL, side="right"),
    "searchsorted sorter": Case(
        lambda x, v: sm.searchsorted(x, v, sorter=sm.argsort(x)),
        lambda x, v: np.searchsorted(np.sort(x), v), (V, M),
    ),
    "broadcast_arrays": Case(
        lambda *xs: sm.broadcast_arrays(*xs), np.broadcast_arrays, (M, V, W, np.array(2.0)), 2
    ),
    "broadcast_arrays ints": same("broadcast_arrays", INTEGERS, np.array([True, False, True])),
    "broadcast_arrays alone": same("broadcast_arrays", V, order=1),
    "meshgrid": same("meshgrid", V, V[:3], V[:2], order=2),
    "meshgrid ij": same("meshgrid", V, V[:3], np.zeros(0), indexing="ij"),
    "meshgrid one": same("meshgrid", V),
    "unstack": same("unstack", M, axis=-2, order=2, needs="sizes"),
    "vecdot": same("vecdot", M, V, order=2),
    "vecdot axis": same("vecdot", M, M[:, ::-1], axis=-2, order=2),
    "vecdot ints": same("vecdot", INTEGERS.astype("int8"), INTEGERS.astype("int8")),
    "vecdot empty": same("vecdot", EMPTY, EMPTY, axis=0),
    "take_along_axis": Case(
        lambda x, i: sm.take_along_axis(x, i), lambda x, i: np.take_along_axis(x, i, -1),
        (M, np.array([[[0, -1, 2]]])), 1,
    ),
    "sum dtype": same("sum", INTEGERS.astype("int8"), dtype=np.int8, axis=0),
    "sum dtype float": same("sum", INTEGERS, dtype=np.float32),
    "prod dtype": same("prod", INTEGERS, dtype=np.float64, axis=1, keepdims=True),
    "sort stable": same("sort", INTEGERS, axis=0, stable=True),
    "argsort descending": Case(
        lambda x: sm.argsort(x, descending=True, stable=True),
        lambda x: np.argsort(-x, stable=True), (INTEGERS,),
    ),
    "positive": same("positive", M, order=1),
    "zeros_like": Case(lambda x: sm.zeros_like(x, dtype="int8"),
                       lambda x: np.zeros_like(x, "int8"), (M,)),
    "ones_like": Case(lambda x: sm.ones_like(x, dtype=sm.float32, device="cpu"),
                      lambda x: np.ones_like(x, "float32"), (M,)),
    "empty_like": Case(lambda x: sm.empty_like(x, dtype="bool") & False,
                       lambda x: np.zeros_like(x, "bool"), (M,)),
    "reshape copy": same("reshape", M, shape=(4, -1), copy=True, order=1),
    "cross": same("cross", M[:, :, 0], M[:, :, 1], path="linalg", order=2),
    "cross axis": same("cross", M[0, :, :1], M[1], path="linalg", axis=0, order=2),
    "diagonal": same("diagonal", M, path="linalg", offset=1, order=2),
    "outer": same("outer", V, V[:3], path="linalg", order=2),
    "outer ints": same("outer", INTEGERS[0], INTEGERS[1], path="linalg"),
    "vector_norm": same("vector_norm", M, path="linalg", order=2),
    "vector_norm axes": same("vector_norm", M, path="linalg", axis=(0, 2), order=2),
    "matrix_norm": same("matrix_norm", M, path="linalg", order=2),
    "matrix_rank": same("matrix_rank", M, path="linalg"),
    "matrix_rank rtol": same("matrix_rank", M, path="linalg", rtol=0.5),
    "matrix_rank rtols": same("matrix_rank", M, path="linalg", rtol=np.array([0.1, 2.0])),
    "matrix_rank deficient": same("matrix_rank", np.outer(V, V), path="linalg"),
    "matrix_rank empty": Case(sm.linalg.matrix_rank, lambda x: np.array(0), (EMPTY,)),
    "trace dtype": same("trace", INTEGERS.astype("int8"), path="linalg", offset=1, dtype=np.int8),
    "tensordot": same("tensordot", M, W, path="linalg", axes=((0, 1), (0, 1)), order=2,
                      needs="rank"),
    "matmul": same("matmul", M, V, path="linalg", order=2),
    **{
        f"vector_norm {p}": same("vector_norm", M, path="linalg", axis=1, keepdims=True, ord=p,
                                 order=2 if p not in (0, np.inf, -np.inf) else 1)
        for p in (0, 0.5, 1, 1.5, 3, -1, -2.5, np.inf, -np.inf)
    },
    **{
        f"matrix_norm {p}": same("matrix_norm", M, path="linalg", keepdims=True, ord=p, order=1)
        for p in ("nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
}  # fmt: skip


def shapes_of(case: Case, knowledge: str) -> list[sm.Variable]:
    arrays = map(np.asarray, case.arrays)
    if knowledge == "known":
        return [sm.Variable(f"x{k}", x.shape, x.dtype) for k, x in enumerate(arrays)]
    names: Callable[[Any, int], Any] = lambda x, k: tuple(f"d{k}{n}" for n in range(x.ndim))  # noqa: E731
    unknown = knowledge == "unknown"
    return [
        sm.Variable(f"x{k}", None if unknown else names(x, k), x.dtype)
        for k, x in enumerate(arrays)
    ]


def compare(found: Any, wanted: Any) -> None:
    found, wanted = (x if isinstance(x, (tuple, list)) else (x,) for x in (found, wanted))
    for one, reference in zip(found, wanted, strict=True):
        assert np.asarray(one).dtype == np.asarray(reference).dtype
        np.testing.assert_allclose(one, reference, rtol=1e-12, atol=1e-14, strict=True)


@pytest.mark.parametrize("knowledge", ["known", "named", "unknown"])
@pytest.mark.parametrize("name", CASES)
def test_like_numpy(name: str, knowledge: str) -> None:
    case = CASES[name]
    if knowledge in {"rank": ("unknown",), "sizes": ("named", "unknown")}.get(case.needs, ()):
        pytest.skip(f"it needs the {case.needs}")
    variables = shapes_of(case, knowledge)
    nodes = case.call(*variables)
    with np.errstate(all="ignore"):
        wanted = case.reference(*case.arrays)
    for backend in ("numpy", "native") if knowledge == "known" else ("numpy",):
        found = sm.compile(variables, nodes, backend=backend)(*case.arrays)
        compare(found, wanted)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.order])
def test_derivatives(name: str) -> None:
    case = CASES[name]
    for knowledge in ("known",) if case.needs else ("known", "unknown"):
        variables = shapes_of(case, knowledge)
        moving = [v for v in variables if v.dtype.kind == "f"]
        nodes = case.call(*variables)
        weighed = [
            sm.sum(sm.sin(node)) for node in (nodes if isinstance(nodes, tuple) else [nodes])
        ]
        check_gradients(
            sm.add_n(weighed), moving, at=dict(zip(variables, case.arrays, strict=True)),
            order=case.order,
        )  # fmt: skip


@pytest.mark.parametrize("p", [0.5, 3, 30, 700, -3])
def test_vector_norms_of_many_elements(p: float) -> None:
    for dtype, count in (("float16", 60000), ("float32", 100_000), ("float64", 10_000)):
        x = sm.Variable("x", ("n",), dtype)
        found = sm.linalg.vector_norm(x, ord=p).eval({x: np.ones(count, dtype)})
        with np.errstate(over="ignore"):
            wanted = np.array(count ** (1 / p)).astype(dtype)
        np.testing.assert_allclose(found, wanted, rtol=2e-3)
    empty = sm.linalg.vector_norm(np.zeros((2, 0)), axis=1, ord=p).eval()
    np.testing.assert_array_equal(empty, [0.0 if p > 0 else np.inf] * 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1.5, 3, -2, 0.5])
def test_vector_norms_of_extreme_numbers(p: float, dtype: str) -> None:
    """No power overflows or vanishes, and the norm of zeros has the derivative 0."""
    limits = np.finfo(dtype)
    x = sm.Variable("x", (3,), dtype)
    norm = sm.linalg.vector_norm(x, ord=p)
    ones = float(norm.eval({x: np.ones(3, dtype)}))
    for size in (float(limits.max) / 1e3 / ones, float(limits.tiny) * 1e3):
        at = {x: np.full(3, size, dtype)}
        np.testing.assert_allclose(norm.eval(at), size * ones, rtol=8 * limits.eps)
        gradient = sm.gradients(norm, x).eval(at)
        np.testing.assert_allclose(gradient, ones / 3, rtol=32 * limits.eps)
    np.testing.assert_array_equal(norm.eval({x: np.zeros(3, dtype)}), 0)
    if p >= 1:
        np.testing.assert_array_equal(sm.gradients(norm, x).eval({x: np.zeros(3, dtype)}), 0)
    assert np.isinf(norm.eval({x: np.array([1, np.inf, 2], dtype)})) == (p > 0)
    assert np.isnan(norm.eval({x: np.array([1, np.nan, 2], dtype)}))


# Names


def test_all_names_are_there() -> None:
    absent = set(array_api_names.ABSENT) - {"linalg.eig", "linalg.eigvals"}
    assert [name for name in array_api_names.NAMES if not hasattr(sm, name)] == sorted(absent)
    assert [name for name in array_api_names.LINALG if not hasattr(sm.linalg, name)] == [
        "eig", "eigvals",
    ]  # fmt: skip
    assert [name for name in array_api_names.METHODS if not hasattr(sm.Variable, name)] == []


@pytest.mark.parametrize("path", array_api_names.ABSENT)
def test_what_is_not_there_says_why(path: str) -> None:
    module, _, name = f"sm.{path}".rpartition(".")
    reason = "complex numbers|as many elements as the values say"
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*({reason})"):
        getattr(sm if module == "sm" else sm.linalg, name)


def test_names_elsewhere_and_misspelt() -> None:
    with pytest.raises(AttributeError, match=r"Did you mean 'sm\.linalg\.pinv'\?"):
        sm.pinv  # noqa: B018
    with pytest.raises(AttributeError, match=r"Did you mean 'sm\.sin'\?"):
        sm.linalg.sin  # noqa: B018
    with pytest.raises(AttributeError, match=r"Did you mean 'sm\.median'\?"):
        sm.linalg.median  # noqa: B018
    with pytest.raises(AttributeError, match=r"Did you mean 'sm\.special\.xlogy'\?"):
        sm.xlogy  # noqa: B018
    with pytest.raises(AttributeError, match="Did you mean 'cumulative_sum'"):
        sm.cumulative_summ  # noqa: B018


def test_nothing_of_it_is_loaded_before_it_is_used() -> None:
    code = """if True:
        import sys, symad as sm
        parts = "symad.functions.", "symad.linalg"
        names = lambda: {name for name in sys.modules if name.startswith(parts)}
        before = names()
        (sm.constant([True]) & True), sm.linalg, sm.pi, sm.float32
        print(before, sorted(names() - before))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("set() [")
    for name in ("linalg", "functions.constants", "functions.dtypes"):
        assert f"'symad.{name}'" in done.stdout


# The namespace, dtypes and constants


def test_namespace_of_a_node() -> None:
    x = sm.Variable("x", (2,))
    assert x.__array_namespace__() is sm and x.__array_namespace__(api_version="2023.12") is sm
    with pytest.raises(GraphTypeError, match="2031.12"):
        x.__array_namespace__(api_version="2031.12")
    assert x.device == "cpu" and x.to_device("cpu") is x and x.__dlpack_device__() == (1, 0)
    for refused in (lambda: x.to_device("gpu"), lambda: sm.zeros(2, device="gpu")):
        with pytest.raises(GraphTypeError, match="no device 'gpu'"):
            refused()
    with pytest.raises(GraphTypeError, match="no value while the graph is being built"):
        np.from_dlpack(x)
    info = sm.__array_namespace_info__()
    assert list(info.dtypes(kind="signed integer")) == ["int8", "int16", "int32", "int64"]
    assert info.default_dtypes()["real floating"] == sm.zeros(1).dtype
    assert info.default_device() in info.devices()
    assert info.capabilities()["boolean indexing"] is False


def test_dtypes_are_those_of_numpy() -> None:
    for name in array_api_names.DTYPES:
        assert (
            getattr(sm, name) == np.dtype(name) == sm.Variable("x", dtype=getattr(sm, name)).dtype
        )
    assert sm.finfo(sm.Variable("x", dtype="float16")).max == 65504.0
    assert type(sm.finfo("float32").eps) is float and type(sm.iinfo("uint64").max) is int
    assert (sm.pi, sm.e, sm.inf, sm.newaxis) == (np.pi, np.e, np.inf, None) and np.isnan(sm.nan)
    with pytest.raises(GraphTypeError, match=r"sm\.iinfo"):
        sm.finfo("int8")
    with pytest.raises(GraphTypeError, match=r"sm\.finfo"):
        sm.iinfo(sm.float32)
    with pytest.raises(GraphTypeError, match="kind"):
        sm.isdtype(sm.int8, "integer")


@pytest.mark.parametrize(
    "operands",
    [
        ("int8", "uint8"),
        ("float32", 1.5),
        ("int8", 300.0),
        ("bool", 1),
        ("uint64", "int64"),
        (1, 2.5),
    ],
)
def test_result_types_are_those_of_numpy(operands: tuple[Any, ...]) -> None:
    of_nodes = [sm.Variable("x", dtype=x) if isinstance(x, str) else x for x in operands]
    of_dtypes = [np.dtype(x) if isinstance(x, str) else x for x in operands]
    assert sm.result_type(*of_nodes) == sm.result_type(*of_dtypes) == np.result_type(*of_dtypes)


def test_numpys_functions_of_dtypes_take_nodes() -> None:
    x = sm.Variable("x", dtype="float32")
    assert np.result_type(x, np.int16) == np.float32 == np.result_type(np.float32, x)
    assert not np.can_cast(x, np.int8) and sm.finfo(np.float64) == sm.finfo("float64")


def test_sizes_are_weak_in_result_types() -> None:
    size = sm.Variable("x", ("batch",)).shape[0]
    assert sm.result_type(size, sm.float32) == np.float32
    assert sm.can_cast(size, sm.float64) and not sm.can_cast(sm.int64, sm.int32)
    with pytest.raises(GraphTypeError, match="complex"):
        sm.result_type(sm.float32, 1j)


def test_asarray() -> None:
    x = sm.Variable("x", (2,), "float32")
    assert sm.asarray(x) is x and sm.asarray(x, copy=False) is x
    stacked = sm.asarray([[x, 2 * x], [[1, 2], x]])
    assert stacked.dtype == np.float32
    value = np.array([3.0, 4.0], "float32")
    want = np.array([[value, 2 * value], [[1, 2], value]])
    np.testing.assert_array_equal(stacked.eval({x: value}), want)
    np.testing.assert_array_equal(sm.gradients(sm.sum(stacked), x).eval({x: value}), [4, 4])
    assert sm.asarray([1, 2], dtype="int8").dtype == np.int8
    assert sm.asarray([x, x], dtype="float64").dtype == np.float64
    for refused in (lambda: sm.asarray([1], copy=False), lambda: sm.asarray([1j])):
        with pytest.raises(GraphTypeError):
            refused()


def test_arrays_of_other_libraries() -> None:
    class Foreign:
        def __init__(self, value: Any) -> None:
            self.value = np.asarray(value)

        def __dlpack__(self, **keywords: Any) -> Any:
            return self.value.__dlpack__(**keywords)

        def __dlpack_device__(self) -> Any:
            return self.value.__dlpack_device__()

    np.testing.assert_array_equal(sm.from_dlpack(Foreign([1.0, 2.0])).value, [1.0, 2.0])
    for refused in ([1.0], sm.Variable("x"), Foreign([1j])):
        with pytest.raises(GraphTypeError):
            sm.from_dlpack(refused)


# What is refused


def test_errors_name_the_function_and_the_remedy() -> None:
    x, three = sm.Variable("x"), sm.Variable("m", (2, 3))
    four = sm.Variable("v", (4,))
    for refused, pattern in [
        (lambda: sm.cumulative_sum(three), "cumulative_sum.*needs axis="),
        (lambda: sm.unstack(x), "unstack.*not known"),
        (lambda: sm.searchsorted(three, 1.0), "one axis"),
        (lambda: sm.linalg.cross(four, four), "size 4, but 3 are needed"),
        (lambda: sm.linalg.outer(three, four), "outer.*has one axis; this has 2"),
        (lambda: sm.vecdot(three, four), "3.*4"),
        (lambda: sm.broadcast_arrays(three, four), "broadcast_arrays.*cannot be broadcast"),
        (lambda: sm.broadcast_shapes((2, 3), (4,)), "cannot be broadcast"),
        (lambda: sm.linalg.matrix_norm(four), "matrix_norm.*two axes"),
        (lambda: sm.linalg.pinv(four), "two axes"),
    ]:
        with pytest.raises(ShapeError, match=pattern):
            refused()
    for refused, pattern in [
        (lambda: sm.searchsorted(four, 1.0, side="up"), "'up' is not a side"),
        (lambda: sm.meshgrid(four, indexing="yx"), "'yx' is not an indexing"),
        (lambda: sm.linalg.qr(three, mode="r"), "'r' is not a mode"),
        (lambda: sm.linalg.vector_norm(four, ord="fro"), "not an order of a vector norm"),
    ]:
        with pytest.raises(GraphTypeError, match=pattern):
            refused()


def test_assumptions_about_unknown_shapes_are_checked_when_they_are_fed() -> None:
    x = sm.Variable("x")
    for node, value in [
        (sm.cumulative_sum(x), np.ones((2, 2))),
        (sm.linalg.outer(x, x), np.ones((2, 2))),
        (sm.linalg.cross(x, x), np.ones(4)),
        (sm.searchsorted(x, 1.0), np.ones((2, 2))),
    ]:
        with pytest.raises((ShapeError, EvaluationError)):
            node.eval({x: value})


def test_broadcast_shapes() -> None:
    assert (
        sm.broadcast_shapes((2, 1), (1, 3), 3) == (2, 3) == np.broadcast_shapes((2, 1), (1, 3), 3)
    )
    assert sm.broadcast_shapes((None, 1), (4,)) == (None, 4) and sm.broadcast_shapes() == ()
    assert sm.broadcast_shapes(("n", 1), ("n", 2)) == ("n", 2)
    with pytest.raises(ShapeError, match="not a dimension"):
        sm.broadcast_shapes((sm.constant(1),))


def test_inexact_counts_have_no_gradient() -> None:
    x = sm.Variable("x", (3,))
    for node in (sm.count_nonzero(x), sm.searchsorted(x, 1.0), sm.linalg.matrix_rank(x[:, None])):
        assert node.dtype.kind == "i"
        with pytest.raises(sm.errors.GradientError):
            sm.gradients(node * 1, x)
