"""sm.stats: densities and distribution functions against SciPy; derivatives everywhere."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.stats

import symad as sm
from symad import stats
from symad.errors import GradientError, GraphTypeError, ShapeError
from symad.testing import check_gradients

CONTINUOUS: dict[str, tuple[Any, ...]] = {
    "beta": (2.5, 1.5),
    "cauchy": (),
    "chi2": (3.5,),
    "expon": (),
    "gamma": (2.5,),
    "laplace": (),
    "logistic": (),
    "lognorm": (0.7,),
    "norm": (),
    "t": (4.5,),
    "uniform": (),
}
DISCRETE: dict[str, tuple[Any, ...]] = {"bernoulli": (0.3,), "binom": (6.0, 0.3), "poisson": (2.5,)}
POINTS = np.array([-np.inf, -40.0, -2.0, 0.0, 0.25, 0.9, 1.0, 1.7, 3.0, 40.0, np.inf, np.nan])
SHARES = np.array([-0.5, 0.0, 1e-12, 0.2, 0.5, 0.9, 1.0, 1.5, np.nan])
METHODS = ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf", "ppf")


def has(name: str, method: str) -> bool:
    return hasattr(getattr(stats, name), method)


OF_CONTINUOUS = [(name, method) for name in CONTINUOUS for method in METHODS if has(name, method)]
OF_DISCRETE = [(name, method) for name in DISCRETE for method in ("logpmf", "pmf")]


def evaluated(name: str, method: str, operands: list[Any], named: Any = None) -> tuple[Any, Any]:
    """Return the values of a method by both backends; all operands are inputs."""
    inputs = [sm.Variable(f"x{k}", dtype=np.asarray(x).dtype) for k, x in enumerate(operands)]
    y = getattr(getattr(stats, name), method)(*inputs, **(named or {}))
    numpy, native = (sm.compile(inputs, y, backend=b)(*operands) for b in ("numpy", "native"))
    return numpy, native


def test_all_have_distribution_functions() -> None:
    without = {name for name in CONTINUOUS if not has(name, "cdf")}
    assert not without
    assert {*CONTINUOUS, *DISCRETE, "dirichlet", "multivariate_normal"} == set(stats.__all__)


@pytest.mark.parametrize("dtype, placed", [("float64", ()), ("float32", (0.5, 2.0))])
@pytest.mark.parametrize("name, method", OF_CONTINUOUS)
def test_continuous(name: str, method: str, placed: tuple[float, ...], dtype: str) -> None:
    points = (SHARES if method == "ppf" else POINTS).astype(dtype)
    parameters = [np.asarray(p, dtype) for p in (*CONTINUOUS[name], *placed)]
    numpy, native = evaluated(name, method, [points, *parameters])
    with np.errstate(all="ignore"):
        exact = [np.float64(p) for p in (points, *parameters)] if dtype == "float32" else None
        expected = getattr(getattr(scipy.stats, name), method)(*(exact or [points, *parameters]))
    assert numpy.dtype == dtype
    rtol, atol = (1e-13, 1e-16) if dtype == "float64" else (1e-5, 1e-6)
    np.testing.assert_allclose(native, numpy, rtol=rtol, atol=atol)
    limit = np.isinf(points) & np.isnan(expected)  # where SciPy's formula is inf - inf
    np.testing.assert_allclose(numpy[~limit], expected[~limit], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_logarithms_of_probabilities_near_one_keep_their_digits(name: str) -> None:
    """ln P is about P - 1 there, which is the probability of the other side."""
    parameters = CONTINUOUS[name]
    p = np.array([1e-200, 1e-30, 1e-12, 1e-5, 0.3])
    upper = getattr(scipy.stats, name)(*parameters).isf(p)
    lower = getattr(scipy.stats, name)(*parameters).ppf(p)
    for method, other, points in (("logcdf", "sf", upper), ("logsf", "cdf", lower)):
        found, rest = (evaluated(name, each, [points, *parameters]) for each in (method, other))
        for logarithms, shares in zip(found, rest, strict=True):
            np.testing.assert_allclose(logarithms, np.log1p(-shares), rtol=1e-9)


@pytest.mark.parametrize("shift", [(), (2.0,)])
@pytest.mark.parametrize("name, method", OF_DISCRETE)
def test_discrete(name: str, method: str, shift: tuple[float, ...]) -> None:
    points = np.array([-2.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0, 7.0, 40.0, np.inf, np.nan])
    operands = [points, *DISCRETE[name], *shift]
    numpy, native = evaluated(name, method, operands)
    with np.errstate(all="ignore"):
        expected = getattr(getattr(scipy.stats, name), method)(*operands)
    np.testing.assert_allclose(native, numpy, rtol=1e-13)
    limit = np.isinf(points) & np.isnan(expected)  # where SciPy's formula is inf - inf
    np.testing.assert_allclose(numpy[~limit], expected[~limit], rtol=1e-13)
    whole = points[:8].astype("int64")
    counted = getattr(getattr(stats, name), method)(sm.constant(whole), *DISCRETE[name], *shift)
    np.testing.assert_array_equal(
        counted.eval(), evaluated(name, method, [whole * 1.0, *operands[1:]])[0]
    )


EDGES_OF_PARAMETERS = [
    ("bernoulli", 0.0, (0.0,)), ("bernoulli", 1.0, (0.0,)), ("bernoulli", 0.0, (1.0,)),
    ("bernoulli", 1.0, (1.0,)), ("binom", 0.0, (4.0, 0.0)), ("binom", 4.0, (4.0, 1.0)),
    ("binom", 1.0, (4.0, 0.0)), ("binom", 0.0, (0.0, 0.5)), ("poisson", 0.0, (0.0,)),
    ("poisson", 1.0, (0.0,)), ("poisson", 300.0, (300.0,)),
]  # fmt: skip


@pytest.mark.parametrize("name, k, parameters", EDGES_OF_PARAMETERS)
def test_derivatives_of_probabilities_at_the_edges_of_parameters(
    name: str, k: float, parameters: tuple[float, ...]
) -> None:
    """The probability is a polynomial or a power of the parameter, and so is its derivative."""
    p = sm.Variable("p", shape=())
    namespace, known = getattr(stats, name), parameters[:-1]
    at = parameters[-1]
    mass = namespace.pmf(k, *known, p)
    first = sm.gradients(mass, p)
    second = sm.gradients(first, p, unused="zero")
    f = sm.compile([p], [mass, first, second, namespace.logpmf(k, *known, p)])
    with mpmath.workdps(40):
        exact = {
            "bernoulli": lambda p: p if k else 1 - p,
            "binom": lambda p: mpmath.binomial(known[0], k) * p**k * (1 - p) ** (known[0] - k),
            "poisson": lambda p: p**k * mpmath.exp(-p) / mpmath.factorial(k),
        }[name]
        wanted = [float(mpmath.diff(exact, at, order)) for order in range(3)]
    found = f(at)
    np.testing.assert_allclose(found[:3], wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.exp(found[3]), wanted[0], rtol=1e-11)


@pytest.mark.parametrize("name, method", OF_CONTINUOUS)
def test_derivatives_of_continuous(name: str, method: str) -> None:
    x, loc, scale = (sm.Variable(n, shape=()) for n in ("x", "loc", "scale"))
    shapes = [sm.Variable(f"s{k}", shape=()) for k in range(len(CONTINUOUS[name]))]
    known = method in ("logpdf", "pdf") or name == "lognorm"
    given = shapes if known else list(CONTINUOUS[name])
    y = getattr(getattr(stats, name), method)(x, *given, loc, scale=scale)
    moving = [x, loc, scale, *(shapes if known else [])]
    z = -0.6 if name in ("norm", "laplace", "logistic", "cauchy", "t") else 0.4
    place = 0.3 if method == "ppf" else 2.0 * z + 0.5
    at = dict(zip(moving, [place, 0.5, 2.0, *CONTINUOUS[name]], strict=False))
    check_gradients(y, moving, at=at, order=2)


@pytest.mark.parametrize("name", DISCRETE)
def test_derivatives_of_discrete(name: str) -> None:
    p = sm.Variable("p", shape=())
    known = DISCRETE[name][:-1]
    for method in ("logpmf", "pmf"):
        y = getattr(getattr(stats, name), method)(np.array([0.0, 1.0]), *known, p)
        check_gradients(y, [p], at={p: 0.4}, order=2)


@pytest.mark.parametrize("name, method", OF_CONTINUOUS)
def test_no_nan_beside_a_finite_value(name: str, method: str) -> None:
    """At finite points, also at the ends of supports; outside, all derivatives are 0."""
    x = sm.Variable("x", shape=("n",))
    points = SHARES[(SHARES > 0) & (SHARES < 1)] if method == "ppf" else POINTS[1:-2]
    for shapes in {CONTINUOUS[name], tuple(1.0 for _ in CONTINUOUS[name])}:
        y = getattr(getattr(stats, name), method)(x, *shapes)
        first = sm.gradients(y, x)
        second = sm.gradients(first, x, unused="zero")
        value, one, two = sm.compile([x], [y, first, second])(points)
        assert not np.isnan(one[np.isfinite(value)]).any(), (shapes, points[np.isnan(one)])
        assert not np.isnan(two[np.isfinite(one)]).any(), (shapes, points[np.isnan(two)])
        if method.endswith("pdf"):
            outside = np.isneginf(value) if method == "logpdf" else value == 0
            inner = (points == 0) | (points == 1) | (name == "norm") | (name == "lognorm")
            assert not one[outside & ~inner].any() and not two[outside & ~inner].any()


@pytest.mark.parametrize("name", CONTINUOUS)
def test_outside_of_the_support_no_parameter_matters(name: str) -> None:
    parameters = [sm.Variable(f"s{k}", shape=()) for k in range(len(CONTINUOUS[name]) + 2)]
    values, namespace = [*CONTINUOUS[name], 0.3, 1.7], getattr(stats, name)
    outside = [x for x in (-7.0, 9.0) if np.isneginf(namespace.logpdf(x, *values).eval())]
    for method in ("logpdf", "pdf"):
        y = sm.sum(getattr(namespace, method)(np.array(outside), *parameters))
        assert not np.any(sm.compile(parameters, sm.gradients(y, parameters))(*values))


NOT_ALLOWED = [
    ("norm", "logpdf", (0.0, 0.0, -1.0)), ("norm", "logpdf", (0.0, 0.0, 0.0)),
    ("gamma", "logpdf", (1.0, -2.0)), ("beta", "pdf", (0.5, 1.0, 0.0)),
    ("beta", "cdf", (2.0, 1.0, -1.0)), ("gamma", "ppf", (0.5, -1.0)), ("t", "pdf", (0.0, -3.0)),
    ("poisson", "pmf", (1.0, -1.0)), ("bernoulli", "logpmf", (1.0, 1.5)),
    ("binom", "pmf", (1.0, 2.5, 0.5)), ("binom", "pmf", (1.0, -2.0, 0.5)),
    ("expon", "ppf", (-0.1,)), ("uniform", "ppf", (1.1,)),
]  # fmt: skip


@pytest.mark.parametrize("name, method, operands", NOT_ALLOWED)
def test_nan_where_a_parameter_is_not_allowed(name: str, method: str, operands: Any) -> None:
    assert np.isnan(evaluated(name, method, list(operands))).all()
    with np.errstate(all="ignore"):
        assert np.isnan(getattr(getattr(scipy.stats, name), method)(*operands))


def test_tails() -> None:
    x = sm.Variable("x", shape=())
    y = stats.norm.logcdf(x, scale=2.0)
    assert sm.gradients(y, x).eval({x: -2e6}) == pytest.approx(5e5, rel=1e-11)
    assert stats.cauchy.cdf(x).eval({x: -1e10}) == pytest.approx(1 / (np.pi * 1e10), rel=1e-15)
    assert stats.laplace.logsf(x).eval({x: 800.0}) == -800 - np.log(2)
    assert stats.logistic.logcdf(x).eval({x: 50.0}) == pytest.approx(-np.exp(-50.0), rel=1e-15)


def test_many_degrees_of_freedom() -> None:
    """Near the normal distribution, differences of ln Γ would cancel, and so would those of ψ."""
    df = sm.Variable("df", shape=())
    y = stats.t.logpdf(1.0, df)
    f = sm.compile([df], [y, sm.gradients(y, df)])
    with mpmath.workdps(60):
        half = mpmath.mpf("0.5")

        def exact(v: Any) -> Any:
            ratio = mpmath.loggamma((v + 1) * half) - mpmath.loggamma(v * half)
            return ratio - half * mpmath.log(mpmath.pi * v) - (v + 1) * half * mpmath.log1p(1 / v)

        for v, of_value, of_slope in ((3.0, 1e-14, 1e-14), (1e4, 1e-11, 1e-11), (1e8, 1e-14, 1e-7)):
            value, slope = f(v)
            assert value == pytest.approx(float(exact(mpmath.mpf(v))), rel=of_value)
            assert slope == pytest.approx(float(mpmath.diff(exact, mpmath.mpf(v))), rel=of_slope)


def test_shapes_and_names_of_parameters() -> None:
    x = sm.Variable("x", shape=(3, 1))
    a = sm.Variable("a", shape=(2,))
    y = stats.gamma.logpdf(x, a, scale=2.0)
    assert y.type.shape == (3, 2)
    same = stats.gamma.logpdf(x, scale=2.0, a=a, loc=0.0)
    at = {x: [[1.0], [2.0], [3.0]], a: [1.5, 2.5]}
    np.testing.assert_array_equal(y.eval(at), same.eval(at))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: stats.gamma.logpdf(x),
        lambda x: stats.norm.logpdf(x, 0.0, 1.0, 2.0),
        lambda x: stats.norm.logpdf(x, 0.0, loc=1.0),
        lambda x: stats.norm.logpdf(x, sigma=1.0),
        lambda x: stats.poisson.logpmf(x, 1.0, scale=2.0),
        lambda x: stats.beta.ppf(x, 1.0),
    ],
)
def test_wrong_parameters(call: Any) -> None:
    with pytest.raises(GraphTypeError, match="has the parameters .*, and got") as caught:
        call(sm.Variable("x"))
    assert "(x, " in caught.value.remedy


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'poisson'"):
        stats.poison  # noqa: B018
    with pytest.raises(AttributeError, match="Did you mean 'sm.stats.poisson'"):
        sm.poisson  # noqa: B018
    with pytest.raises(AttributeError, match="Did you mean 'xlogy'"):
        sm.special.xlogyy  # noqa: B018


def test_derivatives_by_shapes_that_are_not_known() -> None:
    a = sm.Variable("a", shape=())
    with pytest.raises(GradientError, match="gammainc with respect to a"):
        sm.gradients(stats.gamma.cdf(2.0, a), a)


# Vectors


COVARIANCES = {
    "matrix": np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]),
    "diagonal": np.array([2.0, 1.0, 0.5]),
    "number": np.array(1.5),
}


@pytest.mark.parametrize("points", [(3,), (4, 3), (2, 4, 3)])
@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("named", [False, True])
def test_multivariate_normal(kind: str, points: tuple[int, ...], named: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=points), rng.normal(size=3), COVARIANCES[kind]
    shapes = [tuple(f"n{n}" for n in v.shape) if named else v.shape for v in values]
    inputs = [sm.Variable(n, shape=s) for n, s in zip(("x", "m", "c"), shapes, strict=True)]
    y = stats.multivariate_normal.logpdf(*inputs)
    at = dict(zip(inputs, values, strict=True))
    for result, method in ((y, "logpdf"), (stats.multivariate_normal.pdf(*inputs), "pdf")):
        expected = getattr(scipy.stats.multivariate_normal, method)(*values)
        np.testing.assert_allclose(result.eval(at), expected, rtol=1e-13)
    if kind != "matrix":
        check_gradients(y, inputs, at=at, order=2)
    else:  # only symmetric changes are differences of what is computed
        check_gradients(y, inputs[:2], at=at, order=2)
        slope = sm.gradients(sm.sum(y), inputs[2]).eval(at)
        step = 1e-6 * np.array([[1.0, 0.5, 0.2], [0.5, -1.0, 0.3], [0.2, 0.3, 0.4]])
        one, other = (y.eval({**at, inputs[2]: values[2] + s}).sum() for s in (step, -step))
        assert np.sum(slope * step) == pytest.approx((one - other) / 2, rel=1e-6)


def test_multivariate_normal_by_default() -> None:
    found = stats.multivariate_normal.logpdf(sm.constant([1.0, 2.0])).eval()
    assert found == pytest.approx(scipy.stats.multivariate_normal.logpdf([1.0, 2.0], [0.0, 0.0]))
    with pytest.raises(ShapeError, match="number of axes"):
        stats.multivariate_normal.logpdf(sm.Variable("x"))


@pytest.mark.parametrize("kind", COVARIANCES)
def test_entropy_of_the_multivariate_normal_distribution(kind: str) -> None:
    mean, cov = np.array([1.0, 2.0, 3.0]), COVARIANCES[kind]
    m, c = sm.Variable("m", shape=mean.shape), sm.Variable("c", shape=cov.shape)
    y = stats.multivariate_normal.entropy(m, c)
    at = {m: mean, c: cov}
    expected = scipy.stats.multivariate_normal.entropy(mean, cov)
    assert y.eval(at) == pytest.approx(expected, rel=1e-14)
    assert not sm.gradients(y, m, unused="zero").eval(at).any()
    slope = sm.gradients(y, c).eval(at)
    if kind == "number":
        assert slope == pytest.approx(3 / 2 / 1.5)
    else:
        exact = np.linalg.inv(cov) if kind == "matrix" else 1 / cov
        np.testing.assert_allclose((slope + slope.T) / 2, exact / 2, rtol=1e-13)
    alone = stats.multivariate_normal.entropy(cov=2.0).eval()
    assert alone == pytest.approx(scipy.stats.multivariate_normal.entropy(cov=2.0))


ROOTS = {
    "regular": np.array([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [0.3, -1.0, 0.5]]),
    "rank 2": np.array([[1.0, 0.0], [0.5, 2.0], [0.3, -1.0]]),
    "rank 1": np.array([[1.0], [-2.0], [0.5]]),
}


@pytest.mark.parametrize("kind", ROOTS)
def test_singular_covariances(kind: str) -> None:
    root = ROOTS[kind]
    rng = np.random.default_rng(2)
    points = 0.5 + rng.normal(size=(4, root.shape[1])) @ root.T
    r, x = sm.Variable("r", shape=root.shape), sm.Variable("x", shape=("points", 3))
    cov = r @ r.T
    y = stats.multivariate_normal.logpdf(x, [0.5, 0.5, 0.5], cov, allow_singular=True)
    at = {r: root, x: points}
    exact = scipy.stats.multivariate_normal([0.5] * 3, root @ root.T, allow_singular=True)
    np.testing.assert_allclose(y.eval(at), exact.logpdf(points), rtol=1e-12)
    density = stats.multivariate_normal.pdf(x, 0.5, cov, allow_singular=True)
    np.testing.assert_allclose(density.eval(at), exact.pdf(points), rtol=1e-12)
    if kind == "regular":
        plain = stats.multivariate_normal.logpdf(x, [0.5, 0.5, 0.5], cov)
        for one, other in zip(*(sm.gradients(sm.sum(f), [r, x]) for f in (y, plain)), strict=True):
            np.testing.assert_allclose(one.eval(at), other.eval(at), rtol=1e-9)
    else:
        slope = sm.gradients(sm.sum(y), x).eval(at)
        expected = -(points - 0.5) @ np.linalg.pinv(root @ root.T)
        np.testing.assert_allclose(slope, expected, rtol=1e-9)
        # a scale of all directions: d ln p / d ln s = (squares - rank)
        s = sm.Variable("s", shape=())
        scaled = stats.multivariate_normal.logpdf(x, 0.5, s * s * cov, allow_singular=True)
        squares = -np.sum(slope * (points - 0.5), 1)
        found = sm.gradients(sm.sum(scaled), s).eval({**at, s: 1.0})
        assert found == pytest.approx(np.sum(squares - root.shape[1]), rel=1e-9)
        beside = points + np.linalg.svd(root)[0][:, -1]
        assert (y.eval({**at, x: beside}) == -np.inf).all()
    indefinite = np.diag([1.0, -1.0, 0.0])
    negative = stats.multivariate_normal.logpdf(x, cov=indefinite, allow_singular=True)
    assert np.isnan(negative.eval({x: points})).all()


def test_dirichlet() -> None:
    shares = np.array([[0.2, 0.1, 0.0], [0.3, 0.1, 0.4], [0.5, 0.8, 0.6]])
    weights = np.array([1.0, 2.5, 0.7])
    x, alpha = sm.Variable("x", shape=(3, 3)), sm.Variable("alpha", shape=(3,))
    y = stats.dirichlet.logpdf(x, alpha)
    at = {x: shares, alpha: weights}
    expected = [scipy.stats.dirichlet.logpdf(point, weights) for point in shares.T]
    np.testing.assert_allclose(y.eval(at), expected, rtol=1e-13)
    np.testing.assert_allclose(stats.dirichlet.pdf(x, alpha).eval(at), np.exp(expected), rtol=1e-13)
    one = sm.Variable("one", shape=(3,))
    single = stats.dirichlet.logpdf(one, alpha)
    assert single.eval({one: shares[:, 0], alpha: weights}) == pytest.approx(expected[0], rel=1e-13)
    check_gradients(single, [alpha], at={one: shares[:, 0], alpha: weights}, order=2)
    slope = sm.gradients(single, one).eval({one: shares[:, 0], alpha: weights})
    np.testing.assert_allclose(slope, (weights - 1) / shares[:, 0], rtol=1e-13)


def test_outside_of_the_simplex() -> None:
    x = sm.Variable("x", shape=(2,))
    y = stats.dirichlet.logpdf(x, [2.0, 3.0])
    for point in ([0.5, 0.6], [-0.5, 1.5]):
        assert y.eval({x: point}) == -np.inf
        assert not sm.gradients(y, x).eval({x: point}).any()
    assert np.isnan(stats.dirichlet.logpdf(x, [2.0, -3.0]).eval({x: [0.5, 0.5]}))


def test_the_distribution_function_of_the_poisson_distribution() -> None:
    mu, k = sm.Variable("mu", shape=(6,)), np.array([0, 1, 2.5, -1, 7, np.inf])
    means = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    y = stats.poisson.cdf(k + 1, mu, loc=1)
    np.testing.assert_allclose(y.eval({mu: means}), scipy.stats.poisson.cdf(k, means), rtol=1e-14)
    check_gradients(y, mu, at={mu: means})
    assert np.isnan(stats.poisson.cdf(2.0, -1.0).eval())
