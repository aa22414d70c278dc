"""NumPy's functions on nodes mean what NumPy means, parameter by parameter, or are refused clearly.

The cases are generated from the installed NumPy: every function and ufunc that symad answers, with
arrays of several ranks, and each of its parameters with values of all kinds.
"""

from __future__ import annotations

import inspect
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special

import symad as sm
from symad.errors import SymadError
from symad.functions.numpy_functions import SIGNATURES
from symad.functions.numpy_protocol import find, path_of, path_of_ufunc
from symad.graph.traverse import topological_order

A = np.array([[4.0, 1.0, 0.5], [1.2, 5.0, 0.7], [0.3, 0.9, 6.0]])
B = np.array([[0.5, 0.25, 0.75], [0.1, 0.6, 0.2], [0.9, 0.4, 0.3]])
STACK, OTHER = np.stack([A, A * 1.1 + B]), np.stack([B, A])
VECTOR, WEIGHTS = A[0], B[1]
INDEX = np.array([2, 0, 1])
MASK = np.array([[True, False, True], [True, True, False], [False, True, True]])
for array in (A, B, STACK, OTHER, VECTOR, WEIGHTS, INDEX, MASK):
    array.setflags(write=False)  # some of NumPy's functions would write to them

ARGUMENTS: list[tuple[Any, ...]] = [
    (STACK,), (A,), (VECTOR,), (STACK, OTHER), (A, B), (VECTOR, WEIGHTS), (A, VECTOR), ([A, B],),
    ([VECTOR, WEIGHTS],), (A, 1), (A, 2.5), (VECTOR, 1), (A, INDEX), (VECTOR, INDEX), (STACK, 0, 1),
    (A, (1, 0)), (A, (9,)), (A, (2, 3, 3)), (MASK, A, B), (A, B, VECTOR), (A, INDEX[:, None], 1),
    (A, [1, 2]), (3,), ((2, 3),), ((2, 3), 7.0), (A, "float32"), (VECTOR, 2, 5.0),
    (A, INDEX, B), (A, MASK), (MASK,), (A, -1.0, 1.0), (A, 0.5, 0), (INDEX,), (INDEX, INDEX),
]  # fmt: skip
"""Arguments that suit most functions: each function is called with those that NumPy takes."""

SPECIAL_ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    "polyfit": [(VECTOR, WEIGHTS, 1), (VECTOR, B, 1)],
    "ravel_multi_index": [([INDEX, INDEX[::-1]], (3, 4))],
    "unravel_index": [(INDEX, (3, 2)), (INDEX, (3,))],
    "einsum": [("ij,jk", A, B), ("bij->bji", STACK), (A, [0, 1], B, [1, 2], [0, 2])],
    "dsplit": [(STACK, 3), (STACK, [1])],
    "interp": [(A, np.sort(VECTOR), WEIGHTS), (2.5, np.sort(VECTOR), WEIGHTS)],
    "special.hyp2f1": [(0.5, 1.5, 2.5, B), (B, 0.5, 2.0, 0.25)],
    "linalg.multi_dot": [([A, B, A],)],
}

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 2.5, (0, 1), "float32", "C", "F", "K", MASK, MASK[0], A, INDEX,
)  # fmt: skip
"""Values to which a parameter is set."""

WITHOUT_VALUES = {"empty_like"}
"""Functions whose results have any values."""

VALUES_OF: dict[str, tuple[Any, ...]] = {
    "axis": (None, 0, 1, -1, (0, 1), (1, 0), (-1,), True, INDEX),
    "base": (2, 2.5, 10.0),
    "bias": (True, False, 0, 1),
    "casting": ("no", "safe", "same_kind", "unsafe", 1),
    "dtype": (None, "float32", "int64", bool, 3),
    "hermitian": (True, False),
    "invert": (True, False),
    "initial": (0, 1, 2.5, -1, None, A, "a"),
    "keepdims": (True, False, 1),
    "like": (),
    "mean": (2.5, A),
    "method": ("linear", "lower", "nearest", "hazen"),
    "mode": (
        "raise",
        "wrap",
        "clip",
        "edge",
        "reflect",
        "valid",
        "same",
        "r",
        "complete",
        "raw",
        3,
    ),
    "out": (None,),
    "where": (True, False, MASK, MASK[0], MASK[:, :1], 1, A),
    "UPLO": ("L", "U", "X"),
}
"""The same for parameters known by name."""


@dataclass
class Case:
    """A NumPy function with arguments that NumPy takes."""

    path: str
    function: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def name(self) -> str:
        return f"{self.path}{[np.shape(a) for a in self.args]}"


def dispatchers() -> dict[str, Callable[..., Any]]:
    """Return NumPy's functions that the protocol passes on, by path."""
    found = {}
    for module in (np, np.linalg, np.fft, np.emath, np.lib.stride_tricks):
        for value in vars(module).values():
            if type(value).__name__ == "_ArrayFunctionDispatcher":
                found[path_of(value)] = value
    return found


def ufuncs() -> dict[str, Callable[..., Any]]:
    every = [*vars(np).values(), *vars(scipy.special).values()]
    return {path_of_ufunc(value): value for value in every if isinstance(value, np.ufunc)}


CLAIMED = {path: f for path, f in (dispatchers() | ufuncs()).items() if find(path)}


def plainly(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Return what NumPy returns for arrays, or the error that it raises."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return function(*args, **keywords)
    except Exception as error:
        return error


def cases(path: str) -> Iterator[Case]:
    count = getattr(CLAIMED[path], "nin", None)  # of a ufunc; what follows is where it writes
    for args in SPECIAL_ARGUMENTS.get(path, ARGUMENTS):
        if count not in (None, len(args)):
            continue
        if not isinstance(plainly(CLAIMED[path], *args), Exception):
            yield Case(path, CLAIMED[path], args)


class Feed(dict[sm.Variable, Any]):
    """Nodes in place of arrays, and their values."""

    def node(self, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(item, np.ndarray) for item in value):
            return [self.node(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        variable = sm.Variable(f"x{len(self)}", value.shape, value.dtype)
        self[variable] = value
        return variable


def evaluated(result: Any, feed: Feed) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple(evaluated(item, feed) for item in result)
    if not isinstance(result, sm.Node):
        return result
    values: dict[sm.Node, Any] = {**feed}
    with np.errstate(all="ignore"):
        for node in topological_order([result]):  # no passes: there are thousands of graphs
            if isinstance(node, sm.Constant):
                values[node] = node.value[()]
            elif node.op is not None:
                values[node] = node.op.kernel()(*[values[x] for x in node.inputs])
    return values[result]


def same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, (tuple, list)):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, np.dtype):
        return bool(expected == actual)
    expected, actual = np.asarray(expected), np.asarray(actual)
    return (
        expected.dtype == actual.dtype
        and expected.shape == actual.shape
        and np.allclose(expected, actual, rtol=1e-5, atol=1e-6, equal_nan=True)
    )


def difference(function: Callable[..., Any], args: Any, keywords: dict[str, Any]) -> str:
    """Return how a call on nodes differs from the one on arrays; empty if it does not."""
    expected = plainly(function, *args, **keywords)
    feed = Feed()
    nodes = [feed.node(arg) for arg in args]
    if not feed:
        nodes, keywords = [sm.constant(args[0]), *args[1:]], {**keywords}
    try:
        built = plainly(function, *nodes, **keywords)
        if isinstance(built, Exception):
            raise built
        actual = None if isinstance(expected, Exception) else evaluated(built, feed)
    except SymadError as error:
        return "" if isinstance(expected, Exception) else problems_of(error)
    except Exception as error:
        ours = any("symad" in f.filename for f in traceback.extract_tb(error.__traceback__)[2:])
        return f"{type(error).__name__}: {error}" if ours else ""
    if isinstance(expected, Exception) or same(expected, actual):
        return ""
    if getattr(function, "__name__", "") in WITHOUT_VALUES:
        return "" if same(expected * 0, actual * 0) else f"{expected.dtype}, {actual.dtype}"
    return f"NumPy: {expected!r}, symad: {actual!r}"


def problems_of(error: SymadError) -> str:
    return "" if "made at" in str(error) and error.remedy else f"incomplete: {error}"


def parameters_of(case: Case) -> list[str]:
    """Return the parameters of a function that the arguments of a case leave open."""
    if isinstance(case.function, np.ufunc):
        plain = ["casting", "order", "dtype", "subok", "signature"]
        return [*plain, "axes", "axis", "keepdims"] if case.function.signature else plain
    try:
        signature = inspect.signature(case.function)
    except ValueError:  # older versions of NumPy do not say what some functions take
        signature = inspect.signature(find(case.path))
    given = signature.bind(*case.args).arguments
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [n for n, p in signature.parameters.items() if n not in given and p.kind not in variadic]


@pytest.mark.parametrize("path", sorted(CLAIMED))
def test_each_parameter_means_what_numpy_means(path: str) -> None:
    every = list(cases(path))
    assert every, f"add arguments that suit numpy.{path} to SPECIAL_ARGUMENTS"
    found = {}
    for number, case in enumerate(every):
        found[case.name] = difference(case.function, case.args, {})
        for name in parameters_of(case) if number < 3 else ():
            for value in VALUES_OF.get(name, VALUES):
                key = f"{case.name} {name}={value!r}"
                found[key] = difference(case.function, case.args, {name: value})
    assert {key: text for key, text in found.items() if text} == {}


def test_what_is_different_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGNATURES, "linalg.diagonal", sm.diagonal)
    assert "NumPy: array" in difference(np.linalg.diagonal, (STACK,), {})
    monkeypatch.setitem(SIGNATURES, "sum", lambda a, axis=None, dtype=None: sm.sum(a, axis))
    assert "float32" in difference(np.sum, (A,), {"dtype": "float32"})
    monkeypatch.setitem(SIGNATURES, "prod", lambda a: {}.missing)
    assert "AttributeError" in difference(np.prod, (A,), {})


@pytest.mark.parametrize("path", ["emath.sqrt", "fft.fft", "linalg.sum", "special.exp", "norm"])
def test_a_function_of_another_module_does_not_answer(path: str) -> None:
    assert find(path) is None


@pytest.mark.parametrize("path", [path for path, f in CLAIMED.items() if isinstance(f, np.ufunc)])
def test_what_ufuncs_cannot_do_is_refused(path: str) -> None:
    ufunc: Any = CLAIMED[path]
    x = sm.Variable("x", (3, 3))
    calls = [lambda args: ufunc(*args, out=(np.zeros((3, 3)),) * ufunc.nout)]
    if not ufunc.signature:
        calls.append(lambda args: ufunc(*args, where=MASK))
    if not ufunc.signature and ufunc.nin == 2 and ufunc.nout == 1:
        calls += [lambda args: ufunc.reduce(x), lambda args: ufunc.outer(*args)]
    for call in calls:
        with pytest.raises(SymadError, match=f"(?s){path}.*made at") as caught:
            call([x] * ufunc.nin)
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.sum(x, out=np.zeros(3)), r"numpy.sum\(x: f64\[3,3\]\): out= is not"),
        (lambda x: np.var(x, where=MASK), r"numpy.var\(.*where= is not available"),
        (lambda x: np.linalg.svd(x, hermitian=True), "hermitian= is not available"),
        (lambda x: np.linalg.qr(x, mode="raw"), "mode='raw' is not available"),
        (lambda x: np.ravel(x, order="F"), r"order= is not available for symad nodes\n.*\n  Nodes"),
        (lambda x: np.where(x > 0), "shapes of nodes do not depend on values"),
        (lambda x: np.ndim(sm.Variable("z")), "the number of axes is not known"),
        (lambda x: np.emath.sqrt(x), r"(?s)emath.sqrt has no counterpart.*symad has sm.sqrt"),
        (lambda x: np.array([x, x]), r"sm.stack\(\[x, y\]\) for np.array"),
        (lambda x: np.r_[x, x], "sm.concat for np.r_"),
        (lambda x: np.max(x, where=MASK), "where= needs initial="),
        (lambda x: np.tensordot(x, x, -1), "The documentation of sm.tensordot"),
    ],
)
def test_what_is_refused_says_what_to_do(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(SymadError, match=message) as caught:
        call(sm.Variable("x", (3, 3)))
    assert caught.value.remedy and "made at" in str(caught.value)


def test_like_makes_what_numpy_makes() -> None:
    x = sm.Variable("x", (3,))
    for make in (lambda like: np.identity(3, like=like), lambda like: np.arange(1, 4, like=like)):
        np.testing.assert_array_equal(make(x).eval(), make(None))


def test_foreign_ufuncs_are_not_taken_for_others() -> None:
    sin = np.frompyfunc(lambda x: -x, 1, 1)
    with pytest.raises(SymadError, match="has no counterpart"):
        sin(sm.Variable("x"))


def test_repeats_of_length_one_are_for_all_elements() -> None:
    x = sm.Variable("x", (3,))
    np.testing.assert_array_equal(np.repeat(x, (2,)).eval({x: VECTOR}), np.repeat(VECTOR, (2,)))
