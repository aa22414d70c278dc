"""sm.special: values against SciPy, derivatives against mpmath, NumPy's protocol, refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

import symad as sm
from symad import special
from symad.errors import GradientError, GraphTypeError
from symad.expression import read_expression
from symad.graph.node import apply
from symad.graph.operators import ON_FIRST_USE
from symad.ops.special_gamma import PolygammaStep
from tests.ops.test_digits import LINE, POSITIVE, UNIT, Case, points_of, worst

UNARY = (
    "digamma entr erf erfc erfcinv erfcx erfinv exp1 expi expit exprel factorial gamma gammaln "
    "gammasgn i0 i0e i1 i1e j0 j1 log_expit log_ndtr loggamma logit ndtr ndtri psi rgamma softplus "
    "spence y0 y1 zeta"
).split()
BINARY = (
    "beta betaln binom boxcox boxcox1p comb gammainc gammaincc gammaincinv inv_boxcox iv ive jv "
    "kl_div kv poch rel_entr xlog1py xlogy yv zeta"
).split()
TERNARY = ["betainc", "betaincinv", "hyp1f1"]
OTHERS = [
    "expn",
    "hyp2f1",
    "log_softmax",
    "logsumexp",
    "multigammaln",
    "polygamma",
    "softmax",
    "stdtr",
    "stdtrit",
    "yn",
]
OF_JAX = (
    "beta betainc betaln boxcox boxcox1p comb digamma entr erf erfc erfcx erfinv exp1 expi expit "
    "expn factorial gamma gammainc gammaincc gammaln gammasgn hyp1f1 hyp2f1 i0 i0e i1 i1e kl_div "
    "log_ndtr log_softmax loggamma logit logsumexp multigammaln ndtr ndtri poch polygamma rel_entr "
    "softmax spence xlog1py xlogy zeta"
).split()
EDGES = np.array([0.0, -0.0, 0.25, 1.0, 2.0, 7.5, -0.5, -1.0, -1.5, np.inf, -np.inf, np.nan])
GIVEN = {
    "comb": "0 for NaN",
    "i0": "NaN at infinity, where the limit is infinite",
    "i1": "NaN at infinity, where the limit is infinite",
    "zeta": "NaN of two operands, although Riemann's function is known there",
}
"""SciPy's values where symad has a number, or NaN where SciPy has none."""


def test_the_names_of_jax_are_there() -> None:
    assert len(OF_JAX) == 45 and set(OF_JAX) <= set(special.__all__)
    assert set(special.__all__) == {*UNARY, *BINARY, *TERNARY, *OTHERS, "log1mexp"}


def ours_and_theirs(name: str, operands: list[Any]) -> tuple[Any, Any, Any]:
    """Return a function's values by both backends, and SciPy's."""
    inputs = [sm.Variable(f"x{k}", dtype=x.dtype) for k, x in enumerate(operands)]
    y = getattr(special, name)(*inputs)
    numpy, native = (sm.compile(inputs, y, backend=b)(*operands) for b in ("numpy", "native"))
    with np.errstate(all="ignore"):
        return numpy, native, getattr(scipy.special, name)(*operands)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
@pytest.mark.parametrize("count, name", [(1, n) for n in UNARY] + [(2, n) for n in BINARY])
def test_values(name: str, count: int, dtype: str) -> None:
    points = EDGES[np.isfinite(EDGES)] if dtype == "int64" else EDGES
    first = points.astype(dtype)
    second = np.concatenate([first, first + 1]) if count == 2 else first
    operands = [first, second[:, None]][:count]
    numpy, native, expected = ours_and_theirs(name, operands)
    number = ~np.isnan(numpy)
    np.testing.assert_array_equal(np.signbit(numpy)[number], np.signbit(native)[number])
    tolerance = {"float64": 1e-13, "int64": 1e-13, "float32": 2e-6, "float16": 2e-3}[dtype]
    np.testing.assert_allclose(native, numpy, rtol=tolerance)
    given = (np.isnan(expected) == number) & (name in GIVEN)
    np.testing.assert_allclose(numpy, np.where(given, numpy, expected), rtol=tolerance)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float16"])
def test_narrow_dtypes(dtype: str) -> None:
    """Results have the dtype that is promised; unsigned orders do not wrap around in slopes."""
    narrow = np.array([1, 2, 3], dtype)
    counts = {**dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), **dict.fromkeys(TERNARY, 3)}
    for name, count in {**counts, "hyp2f1": 4, "stdtr": 2, "stdtrit": 2}.items():
        function = getattr(special, name)
        xs = [sm.Variable(f"x{k}", dtype=dtype) for k in range(count)]
        wide = [sm.Variable(f"w{k}") for k in range(count)]
        scaled = lambda xs: [*xs[:-1], xs[-1] * 0.25]  # noqa: E731  (inside all domains)
        y, z = function(*xs), function(*scaled(xs))
        for backend in ("numpy", "native"):
            found = sm.compile(xs, [y, z], backend=backend)(*[narrow] * count)
            expected = sm.compile(wide, [function(*wide), function(*scaled(wide))], backend="numpy")
            for node, value, want in zip((y, z), found, expected(*[narrow] * count), strict=True):
                assert value.dtype == node.dtype, name
                rounding = 4 * np.finfo(np.float16 if dtype == "float16" else node.dtype).eps
                np.testing.assert_allclose(value, want, rtol=rounding, err_msg=name)
    order, x = sm.Variable("n", dtype="uint8"), sm.Variable("x")
    for name, sign in (("jv", -1), ("yv", -1), ("iv", 1), ("kv", 1)):
        function = getattr(special, name)
        slope = sm.gradients(function(order, x), x).eval({order: 0, x: 0.7})
        outside = {"iv": 1, "kv": -1}.get(name, 1) * 0.5
        exact = getattr(scipy.special, name)
        want = outside * (exact(-1, 0.7) + sign * exact(1, 0.7))
        assert slope == pytest.approx(want, rel=1e-13), name


@pytest.mark.parametrize("name", TERNARY)
def test_values_of_three(name: str) -> None:
    grid = np.array([0.5, 1.0, 2.5])
    operands = [grid, grid[:, None], np.array([0.0, 0.3, 0.9, 1.0])[:, None, None]]
    numpy, native, expected = ours_and_theirs(name, operands)
    np.testing.assert_array_equal(native, numpy)
    np.testing.assert_allclose(numpy, expected, rtol=1e-14)


@pytest.mark.parametrize("name", sorted({*UNARY, *BINARY, *TERNARY, "hyp2f1"}))
def test_scipys_ufuncs_of_nodes(name: str) -> None:
    function = getattr(scipy.special, name)
    if not isinstance(function, np.ufunc):
        pytest.skip("SciPy's function is no ufunc, and is not told of nodes")
    x = sm.Variable("x")
    operands = [0.5] * (function.nin - 1) + [x]
    found, expected = function(*operands), getattr(special, name)(*operands)
    assert found.eval({x: 0.3}) == expected.eval({x: 0.3})


def test_a_ufunc_and_an_expression_load_the_module() -> None:
    code = """if True:
        import sys, scipy.special, symad as sm
        from symad.expression import read_expression
        x = sm.Variable("x")
        before = "symad.special" in sys.modules
        y = read_expression("beta*ndtri(x)").node
        print(before, scipy.special.xlogy(x, 2.0).op.name, y.inputs[1].op.name)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False xlogy ndtri\n"


def test_the_names_that_load_the_module_are_those_it_registers() -> None:
    listed = {name for name, module in ON_FIRST_USE.items() if module == "symad.special"}
    others = {"digamma", "erf", "erfc", "erfinv", "expit", "gammaln", "log_softmax"}
    others |= {"logsumexp", "polygamma", "psi", "softmax", "softplus"}
    assert listed - {"special."} == set(special.__all__) - others


@pytest.mark.parametrize("name", ["beta", "gamma", "zeta"])
def test_parameters_may_have_the_names_of_functions(name: str) -> None:
    expression = read_expression(f"{name} * gamma(x)")
    assert set(expression.variables) == {name, "x"}


# Derivatives


def density(x: Any) -> Any:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def hazard(x: Any) -> Any:
    return density(x) / (mpmath.erfc(-x / mpmath.sqrt(2)) / 2)


def slope_of_erfcx(x: Any) -> Any:
    return 2 * x * mpmath.exp(x * x) * mpmath.erfc(x) - 2 / mpmath.sqrt(mpmath.pi)


def slope_of_i1(x: Any) -> Any:
    return (mpmath.besseli(0, x) + mpmath.besseli(2, x)) / 2


FAR_LEFT = np.concatenate([LINE, -(10.0 ** np.arange(3, 9))])
FAR_RIGHT = np.concatenate([LINE[np.abs(LINE) < 10], 10.0 ** np.arange(2, 8)])
MODERATE = LINE[np.abs(LINE) < 300]

CASES = {  # x² is rounded before its exponential is taken: half a unit for each unit of x²
    "log_ndtr": Case(
        special.log_ndtr, FAR_LEFT, hazard, lambda x: -hazard(x) * (x + hazard(x)), 400
    ),
    "ndtr": Case(special.ndtr, LINE, density, lambda x: -x * density(x), 1000),
    "erfcx": Case(
        special.erfcx, FAR_RIGHT, slope_of_erfcx,
        lambda x: 2 * mpmath.exp(x * x) * mpmath.erfc(x) + 2 * x * slope_of_erfcx(x), 30,
    ),
    "log1mexp": Case(
        special.log1mexp, POSITIVE, lambda x: 1 / mpmath.expm1(x),
        lambda x: -mpmath.exp(-x) / mpmath.expm1(-x) ** 2,
    ),
    "log_expit": Case(
        special.log_expit, LINE, lambda x: 1 / (1 + mpmath.exp(x)),
        lambda x: -mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2,
    ),
    "logit": Case(
        special.logit, UNIT, lambda x: 1 / (x * (1 - x)),
        lambda x: (2 * x - 1) / (x * (1 - x)) ** 2,
    ),
    "entr": Case(special.entr, POSITIVE, lambda x: -mpmath.log(x) - 1, lambda x: -1 / x),
    "xlogy": Case(
        lambda x: special.xlogy(2.5, x), POSITIVE, lambda x: 2.5 / x, lambda x: -2.5 / x**2
    ),
    "rel_entr": Case(
        lambda x: special.rel_entr(x, 1.5), POSITIVE, lambda x: mpmath.log(x / 1.5) + 1,
        lambda x: 1 / x, 10,
    ),
    "kl_div by x": Case(
        lambda x: special.kl_div(x, 1.0), POSITIVE, mpmath.log, lambda x: 1 / x
    ),
    "kl_div by y": Case(
        lambda x: special.kl_div(1.0, x), POSITIVE, lambda x: 1 - 1 / x, lambda x: 1 / x**2
    ),
    "gamma": Case(
        special.gamma, POSITIVE[POSITIVE < 170], lambda x: mpmath.gamma(x) * mpmath.digamma(x),
        lambda x: mpmath.gamma(x) * (mpmath.digamma(x) ** 2 + mpmath.polygamma(1, x)),
    ),
    "betaln": Case(
        lambda x: special.betaln(x, 2.5), POSITIVE,
        lambda x: mpmath.digamma(x) - mpmath.digamma(x + 2.5),
        lambda x: mpmath.polygamma(1, x) - mpmath.polygamma(1, x + 2.5),
    ),
    "i0": Case(special.i0, MODERATE, lambda x: mpmath.besseli(1, x), slope_of_i1),
    "i1": Case(
        special.i1, MODERATE, slope_of_i1,
        lambda x: (3 * mpmath.besseli(1, x) + mpmath.besseli(3, x)) / 4,
    ),
    "i0e": Case(
        special.i0e, POSITIVE,
        lambda x: (mpmath.besseli(1, x) - mpmath.besseli(0, x)) * mpmath.exp(-x),
        lambda x: (slope_of_i1(x) - 2 * mpmath.besseli(1, x) + mpmath.besseli(0, x))
        * mpmath.exp(-x), 20,
    ),
    "exprel": Case(
        special.exprel, LINE, lambda x: (x * mpmath.exp(x) - mpmath.expm1(x)) / x**2,
        lambda x: (mpmath.exp(x) * (x * x - 2 * x) + 2 * mpmath.expm1(x)) / x**3, 100,
    ),
    "exp1": Case(
        special.exp1, POSITIVE, lambda x: -mpmath.exp(-x) / x,
        lambda x: mpmath.exp(-x) * (1 + x) / x**2,
    ),
    "spence": Case(
        special.spence, POSITIVE, lambda x: mpmath.log(x) / (1 - x),
        lambda x: 1 / (x * (1 - x)) + mpmath.log(x) / (1 - x) ** 2,
    ),
    "gammainc": Case(  # so are exponents: ln Γ(a) and x
        lambda x: special.gammainc(2.5, x), POSITIVE[POSITIVE < 1e4],
        lambda x: x**1.5 * mpmath.exp(-x) / mpmath.gamma(2.5),
        lambda x: (1.5 / x - 1) * x**1.5 * mpmath.exp(-x) / mpmath.gamma(2.5), 100,
    ),
    "betainc": Case(
        lambda x: special.betainc(2.5, 3.5, x), UNIT,
        lambda x: x**1.5 * (1 - x) ** 2.5 / mpmath.beta(2.5, 3.5),
        lambda x: (1.5 / x - 2.5 / (1 - x)) * x**1.5 * (1 - x) ** 2.5 / mpmath.beta(2.5, 3.5), 100,
    ),
    "zeta": Case(
        lambda q: special.zeta(2.5, q), POSITIVE[POSITIVE < 1e4],
        lambda q: -2.5 * mpmath.zeta(3.5, q), lambda q: 2.5 * 3.5 * mpmath.zeta(4.5, q),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_keep_their_digits(name: str, dtype: str) -> None:
    case = CASES[name]
    points = points_of(case, dtype)
    x = sm.Variable("x", shape=("n",), dtype=dtype)
    first = sm.gradients(case.function(x), x)
    second = sm.gradients(first, x)
    for backend in ("numpy", "native"):
        found = sm.compile([x], [first, second], backend=backend)(points)
        for order, exact in enumerate((case.first, case.second)):
            error, place = worst(found[order], points, exact, dtype)
            assert error <= case.bound, f"{backend}, {order + 1}: {error:.3g} units at {place}"


AT_EDGES = {
    "xlogy(0, y) by y at 0": (lambda y: special.xlogy(0.0, y), 0.0, 0.0),
    "xlogy(0, y) by y at -1": (lambda y: special.xlogy(0.0, y), -1.0, 0.0),
    "xlogy(x, 2) by x at 0": (lambda x: special.xlogy(x, 2.0), 0.0, np.log(2)),
    "xlogy(x, x) at 0": (lambda x: special.xlogy(x, x), 0.0, -np.inf),
    "xlog1py(0, y) by y at -1": (lambda y: special.xlog1py(0.0, y), -1.0, 0.0),
    "entr at 0": (special.entr, 0.0, np.inf),
    "entr below 0": (special.entr, -1.0, 0.0),
    "rel_entr(x, 1) at 0": (lambda x: special.rel_entr(x, 1.0), 0.0, -np.inf),
    "rel_entr(0, y) by y at 0": (lambda y: special.rel_entr(0.0, y), 0.0, 0.0),
    "kl_div(0, y) by y at 0": (lambda y: special.kl_div(0.0, y), 0.0, 1.0),
    "logit at 0": (special.logit, 0.0, np.inf),
    "logit at 1": (special.logit, 1.0, np.inf),
    "log1mexp at 0": (special.log1mexp, 0.0, np.inf),
    "log1mexp at inf": (special.log1mexp, np.inf, 0.0),
    "log_ndtr at -1e150": (special.log_ndtr, -1e150, 1e150),
    "gammainc(1, x) at 0": (lambda x: special.gammainc(1.0, x), 0.0, 1.0),
    "gammainc(2, x) at 0": (lambda x: special.gammainc(2.0, x), 0.0, 0.0),
    "betainc(1, 2, x) at 0": (lambda x: special.betainc(1.0, 2.0, x), 0.0, 2.0),
    "betainc(2, 1, x) at 1": (lambda x: special.betainc(2.0, 1.0, x), 1.0, 2.0),
    "boxcox(0, p) by p": (lambda p: special.boxcox(0.0, p), 2.0, 0.25),
    "spence at 1": (special.spence, 1.0, -1.0),
    "exprel at 0": (special.exprel, 0.0, 0.5),
    "i1e at 0": (special.i1e, 0.0, 0.5),
    "i0e at its kink": (special.i0e, 0.0, 0.0),
    "comb(1, 2) by n": (lambda n: special.comb(n, 2.0), 1.0, 0.0),
    "factorial below 0": (special.factorial, -1.0, 0.0),
    "gammasgn": (special.gammasgn, -0.5, 0.0),
}


@pytest.mark.parametrize("name", AT_EDGES)
def test_derivatives_at_edges(name: str) -> None:
    function, at, expected = AT_EDGES[name]
    for shape in ((), None):
        x = sm.Variable("x", shape=shape)
        y = function(x)
        one = sm.compile([x], sm.gradients(y, x))(at)
        (other,) = sm.compile([x], [sm.pushforward(y, x, 1.0)])(at)
        np.testing.assert_allclose([one, other], expected, rtol=1e-14)


def test_mixed_second_derivatives_at_zero() -> None:
    """Of x ln y they are 1/y, also where x is 0; a choice by x = 0 would lose them."""
    x, y = sm.Variable("x", shape=()), sm.Variable("y", shape=())
    z = special.xlogy(x, y)
    by_x, by_y = sm.gradients(z, [x, y])
    at = {x: 0.0, y: 4.0}
    assert sm.gradients(by_x, y).eval(at) == sm.gradients(by_y, x).eval(at) == 0.25


def test_second_derivatives_at_the_ends_of_supports() -> None:
    x = sm.Variable("x", shape=())
    for y, at, expected in (
        (special.gammainc(2.0, x), 0.0, 1.0),
        (special.betainc(2.0, 3.0, x), 0.0, 12.0),
        (special.betainc(3.0, 2.0, x), 1.0, -12.0),
    ):
        second = sm.gradients(sm.gradients(y, x), x)
        assert second.eval({x: at}) == pytest.approx(expected, rel=1e-14)


def test_the_confluent_series_ends_however_large_the_argument() -> None:
    """SciPy's goes on for minutes at 1e30, and its values at -inf are NaN."""
    parameters = [(2.0, 3.0), (-0.5, 0.3), (-0.5, -0.3), (-0.5, -1.5), (2.5, 1.5), (0.0, 2.0)]
    x = sm.Variable("x", (4,))
    for a, b in parameters:
        found = special.hyp1f1(a, b, x).eval({x: [np.inf, 1e30, -np.inf, np.nan]})
        with mpmath.workdps(30):  # where the limits are reached as far as signs go
            high, low = (mpmath.hyp1f1(a, b, at) for at in (1e3, -1e12))
        ends = [0 if abs(end) < 1e-5 else float(mpmath.sign(end)) * np.inf for end in (high, low)]
        ends = [1, 1] if a == 0 else ends
        np.testing.assert_array_equal(found, [ends[0], ends[0], ends[1], np.nan])
    slope = sm.gradients(sm.sum(special.exprel(x)), x).eval({x: [np.inf, 1e30, -np.inf, 0]})
    np.testing.assert_array_equal(slope, [np.inf, np.inf, 0, 0.5])


UNKNOWN = {
    "gammainc": (lambda a: special.gammainc(a, 2.0), "a"),
    "gammaincc": (lambda a: special.gammaincc(a, 2.0), "a"),
    "gammaincinv": (lambda a: special.gammaincinv(a, 0.5), "a"),
    "betainc": (lambda b: special.betainc(2.0, b, 0.5), "b"),
    "betaincinv": (lambda a: special.betaincinv(a, 2.0, 0.5), "a"),
    "zeta": (lambda x: special.zeta(x, 2.0), "x"),
    "hyp1f1": (lambda b: special.hyp1f1(1.0, b, 0.5), "b"),
    "hyp2f1": (lambda c: special.hyp2f1(1.0, 1.0, c, 0.5), "c"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_derivatives_are_refused(name: str) -> None:
    function, parameter = UNKNOWN[name]
    x = sm.Variable("x")
    y = function(x) + x  # another path does not hide it
    for derivative in (lambda: sm.gradients(y, x), lambda: sm.pushforward(y, x, 1.0)):
        with pytest.raises(GradientError, match=f"{name} with respect to {parameter}") as caught:
            derivative()
        assert "test_special.py" in caught.value.where and "stop_gradient" in caught.value.remedy
    held = sm.gradients(function(sm.stop_gradient(x)) * x, x)
    assert held.eval({x: 1.5}) == pytest.approx(function(sm.constant(1.5)).eval(), rel=1e-14)


# Functions of several elements


A = np.array([[1000.0, 1001.0, -np.inf], [0.0, 2.0, 300.0]])
B = np.array([[1.0, -3.0, 2.0], [2.0, -1.0, 0.0]])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_logsumexp(axis: Any, keepdims: bool, signed: bool, weighted: bool) -> None:
    settings = {"axis": axis, "b": B if weighted else None, "keepdims": keepdims}
    found = special.logsumexp(sm.constant(A), return_sign=signed, **settings)
    expected = scipy.special.logsumexp(A, return_sign=signed, **settings)
    for ours, theirs in zip(*([t] if not signed else t for t in (found, expected)), strict=True):
        np.testing.assert_allclose(ours.eval(), theirs, rtol=1e-14)
        assert ours.eval().shape == np.shape(theirs)


def test_derivatives_of_a_weighted_logsumexp() -> None:
    """Also by a factor that is 0: the term counts as soon as the factor does not vanish."""
    a, b = sm.Variable("a", shape=(3,)), sm.Variable("b", shape=(3,))
    at = {a: np.array([0.0, 1.0, 800.0]), b: np.array([2.0, 1.0, 0.0])}
    y = special.logsumexp(a, b=b)
    by_a, by_b = (g.eval(at) for g in sm.gradients(y, [a, b]))
    total = 2 + np.e
    np.testing.assert_allclose(by_a, [2 / total, np.e / total, 0], rtol=1e-14)
    np.testing.assert_allclose(by_b[:2], [1 / total, np.e / total], rtol=1e-14)
    sm.testing.check_gradients(y, [a, b], at={a: [0.3, 1.0, 0.5], b: [2.0, -0.5, 0.0]}, order=2)


def test_multivariate_gamma_and_choices() -> None:
    a = np.array([0.7, 1.5, 4.0])
    x = sm.Variable("x")
    ours = special.multigammaln(x, 2)
    np.testing.assert_allclose(ours.eval({x: a}), scipy.special.multigammaln(a, 2), rtol=1e-14)
    assert np.isnan(ours.eval({x: 0.5}))
    for n, k in ((5.0, 2.0), (3.0, 0.0), (0.0, 2.0), (4.0, 4.0)):
        expected = scipy.special.comb(n, k, repetition=True)
        found = special.comb(sm.constant(n), k, repetition=True).eval()
        assert found == pytest.approx(expected), (n, k)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: special.comb(x, 2, exact=True), "comb of nodes has no exact=True"),
        (lambda x: special.factorial(x, exact=True), "factorial of nodes has no exact=True"),
        (lambda x: special.multigammaln(x, 0), "dimension of multigammaln is 0"),
        (lambda x: special.multigammaln(x, 2.0), "dimension of multigammaln is 2.0"),
        (lambda x: special.expn(-1, x), "order of expn is -1"),
        (lambda x: special.expn(x, x), "order of expn is"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(GraphTypeError, match=message) as caught:
        call(sm.Variable("x"))
    assert caught.value.remedy


def test_log1mexp() -> None:
    x = np.array([1e-300, 1e-20, 0.5, np.log(2), 1.0, 50.0, 700.0])
    with mpmath.workdps(400):
        expected = [float(mpmath.log(-mpmath.expm1(-mpmath.mpf(float(v))))) for v in x]
    np.testing.assert_allclose(special.log1mexp(sm.constant(x)).eval(), expected, rtol=1e-15)


@pytest.mark.parametrize("n", range(4))
def test_steps_of_polygamma_have_all_digits(n: int) -> None:
    """Small steps, and large ones from where its series begins."""
    a, b = np.meshgrid([1e-3, 0.5, 1.0, 2.0, 9.0, 30.0, 1e6], [1e-6, 0.3, 1.0, 4.0, 50.0])
    with mpmath.workdps(40):
        psi = np.vectorize(lambda x: mpmath.psi(n, x), otypes=[object])
        exact = [mpmath.mpf(x) for x in a.flat]
        other = [x + mpmath.mpf(y) for x, y in zip(exact, b.flat, strict=True)]
        expected = (psi(other) - psi(exact)).astype(float).reshape(a.shape)
    found = apply(PolygammaStep(n), sm.constant(a), sm.constant(b)).eval()
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["i0", "i1", "i0e", "i1e"])
def test_slopes_of_bessel_functions_of_narrow_numbers(name: str) -> None:
    """SciPy takes float16 as float32, where the result has float64."""
    x = sm.Variable("x", shape=(3,), dtype="float16")
    values = np.array([0.5, -1.0, 2.0], "float16")
    slope = sm.gradients(getattr(sm.special, name)(x), x)
    by_numpy, native = (sm.compile([x], slope, backend=b)(values) for b in ("numpy", "native"))
    np.testing.assert_array_equal(by_numpy, native)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_the_logarithm_of_gamma_of_subnormal_numbers(backend: Any) -> None:
    """SciPy takes them for 0."""
    x = sm.Variable("x", ("n",))
    small = np.array([5e-324, 1e-310, -1e-310])
    found = sm.compile([x], sm.gammaln(x), backend=backend)(small)
    np.testing.assert_allclose(found, -np.log(np.abs(small)), rtol=1e-15)
