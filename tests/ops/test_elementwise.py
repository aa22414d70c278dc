"""Elementwise ops: conventions at special points, masks, dtypes, NumPy's names, errors.

Values and smooth derivatives are tested for every op by test_op_table.py.
"""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import EvaluationError, GraphTypeError
from symad.graph.node import Constant, Node, apply
from symad.graph.op import OP_CLASSES, Op
from symad.ops.base import Elementwise
from tests.support.op_checks import build, cases_of, kernel_of

INF, NAN = np.inf, np.nan


def derivative(function: Callable[[Any], Any], at: Any, order: int = 1) -> Any:
    """Return the derivative of an elementwise function at each of several points."""
    points = np.asarray(at, np.float64)
    x = sm.Variable("x", points.shape)
    y = function(x)
    for _ in range(order):
        y = sm.gradients(y, x, unused="zero")
    return y.eval({x: points})


def partials(function: Callable[..., Any], *at: float) -> list[float]:
    """Return all partial derivatives at one point."""
    xs = [sm.Variable(f"x{i}", ()) for i in range(len(at))]
    gradients = sm.gradients(function(*xs), xs, unused="zero")
    feed = dict(zip(xs, at, strict=True))
    return [float(gradient.eval(feed)) for gradient in gradients]


# Subgradients and poles


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (abs, [-2, 0, -0.0, 3, NAN], [-1, 0, 0, 1, NAN]),
        (sm.relu, [-2, 0, -0.0, 3, INF, NAN], [0, 0, 0, 1, 1, 0]),
        (sm.sign, [-2, 0, 3], [0, 0, 0]),
        (sm.floor, [0.5, 1, -1.5], [0, 0, 0]),
        (sm.ceil, [0.5, 1, -1.5], [0, 0, 0]),
        (sm.trunc, [0.5, 1, -1.5], [0, 0, 0]),
        (sm.round, [0.5, 1, -1.5], [0, 0, 0]),
        (sm.sqrt, [0, 4, INF], [INF, 0.25, 0]),
        (sm.cbrt, [0, -0.0, 8, INF], [INF, INF, 1 / 12, 0]),
        (sm.reciprocal, [0, 2, INF, 1e-200], [-INF, -0.25, 0, -INF]),
        (sm.log, [0, 2, INF], [INF, 0.5, 0]),
        (sm.asin, [-1, 0, 1, 2], [INF, 1, INF, NAN]),
        (sm.acos, [-1, 0, 1, 2], [-INF, -1, -INF, NAN]),
        (sm.acosh, [1, -2, 1e200], [INF, NAN, 1e-200]),
        (sm.atanh, [0, 1, -1], [1, INF, INF]),
        (sm.asinh, [0, 1e200, -1e200], [1, 1e-200, 1e-200]),
        (sm.erfinv, [0, 1, -1], [math.sqrt(math.pi) / 2, INF, INF]),
        (sm.sigmoid, [0, 1000, -1000, INF, -INF], [0.25, 0, 0, 0, 0]),
        (sm.softplus, [0, 1000, -1000, INF, -INF], [0.5, 1, 0, 1, 0]),
        (sm.tanh, [0, 1000, -INF], [1, 0, 0]),
        (lambda x: x**0, [0, 2, INF], [0, 0, 0]),
        (lambda x: x**1, [0, 2], [1, 1]),
        (lambda x: x**2, [0, -0.0, -3], [0, 0, -6]),
        (lambda x: x**0.5, [0, 4], [INF, 0.25]),
        (lambda x: 0.0**x, [0, 2], [0, 0]),
        (lambda x: sm.maximum(x, 1.0), [0, 1, 2], [0, 0.5, 1]),
        (lambda x: sm.minimum(x, 1.0), [0, 1, 2], [1, 0.5, 0]),
        (lambda x: sm.clip(x, -1.0, 1.0), [-2, -1, 0, 1, 2], [0, 0.5, 1, 0.5, 0]),
        (lambda x: sm.clip(x, min=-1.0), [-2, -1, 5], [0, 0.5, 1]),
        (lambda x: sm.clip(x), [-2, 5], [1, 1]),
    ],
)
def test_derivative_at_special_points(function: Any, at: Any, expected: Any) -> None:
    np.testing.assert_allclose(derivative(function, at), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (sm.maximum, (1, 1), (0.5, 0.5)),
        (sm.maximum, (INF, INF), (0.5, 0.5)),
        (sm.maximum, (NAN, 1), (0, 0)),
        (sm.minimum, (-1, -1), (0.5, 0.5)),
        (sm.logaddexp, (3, 3), (0.5, 0.5)),
        (sm.logaddexp, (-INF, -INF), (0.5, 0.5)),
        (sm.logaddexp, (INF, INF), (0.5, 0.5)),
        (sm.logaddexp, (INF, 3), (1, 0)),
        (sm.logaddexp, (-INF, 3), (0, 1)),
        (sm.logaddexp, (1e200, 1e200), (0.5, 0.5)),
        (sm.hypot, (0, 0), (0, 0)),
        (sm.hypot, (3e200, -4e200), (0.6, -0.8)),
        (sm.atan2, (0, 0), (NAN, NAN)),
        (sm.atan2, (1e200, 1e200), (5e-201, -5e-201)),
        (sm.power, (0, 0), (0, 0)),
        (sm.power, (0, 2), (0, 0)),
        (sm.power, (0, 1), (1, 0)),
        (sm.power, (3, 0), (0, math.log(3))),
        (sm.power, (-2, 3), (12, NAN)),
        (sm.power, (0, -1), (-INF, NAN)),
        (sm.mod, (-7, 3), (1, 3)),
        (sm.fmod, (-7, 3), (1, 2)),
        (sm.floor_divide, (7, 2), (0, 0)),
        (sm.clip, (5, 0, 1), (0, 0, 1)),
        (sm.clip, (-5, 0, 1), (0, 1, 0)),
        (sm.clip, (0, 0, 1), (0.5, 0.5, 0)),
        (sm.clip, (0, 2, 1), (0, 0, 1)),
    ],
)
def test_partial_derivatives_at_special_points(function: Any, at: Any, expected: Any) -> None:
    np.testing.assert_allclose(partials(function, *map(float, at)), expected, rtol=1e-14)


def test_second_derivatives_at_special_points() -> None:
    np.testing.assert_array_equal(derivative(lambda x: x**2, [0.0, 1.0], order=2), [2, 2])
    np.testing.assert_array_equal(derivative(lambda x: x**3, [0.0, -1.0], order=3), [6, 6])
    np.testing.assert_array_equal(derivative(lambda x: x**2, [0.0], order=3), [0])
    np.testing.assert_array_equal(derivative(abs, [-1.0, 0.0], order=2), [0, 0])
    np.testing.assert_array_equal(derivative(sm.relu, [-1.0, 0.0, 1.0], order=2), [0, 0, 0])
    np.testing.assert_array_equal(derivative(lambda x: sm.relu(x) ** 2, [-1, 0, 1], 2), [0, 0, 2])
    np.testing.assert_allclose(derivative(lambda x: sm.logaddexp(x, x), [3.0], 2), [0], atol=1e-15)
    np.testing.assert_allclose(derivative(lambda x: sm.logaddexp(x, 3.0), [3.0], 2), [0.25])


def test_small_differences_keep_their_digits() -> None:
    np.testing.assert_allclose(derivative(sm.expm1, [-40.0]), [math.exp(-40)], rtol=1e-14)
    np.testing.assert_allclose(derivative(sm.softplus, [-40.0]), [math.exp(-40)], rtol=1e-14)
    np.testing.assert_allclose(derivative(sm.sigmoid, [-40.0]), [math.exp(-40)], rtol=1e-14)
    near = 1 - 2.0**-40
    exact = 1 / math.sqrt(2.0**-40 * (2 - 2.0**-40))
    np.testing.assert_allclose(derivative(sm.asin, [near]), [exact], rtol=1e-15)


def test_fmod_counts_whole_steps_where_the_quotient_rounds_up() -> None:
    assert math.trunc(1.0 / 0.1) == 10  # but 10 times the double 0.1 is more than 1
    step = sm.Variable("step", ())
    for remainder in (sm.fmod, sm.mod):
        assert sm.gradients(remainder(1.0, step), step).eval({step: 0.1}) == -9


def test_no_warnings_outside_the_executor() -> None:
    for name in ("sigmoid", "softplus", "relu", "logaddexp"):
        kernel = getattr(sm, name).kernel()
        points = np.array([-INF, -1000.0, 0.0, 1000.0, INF])
        arguments = [points] * (2 if name == "logaddexp" else 1)
        with np.errstate(all="raise", under="ignore"):
            assert not np.isnan(kernel(*arguments)).any()


# Masks


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (lambda x: sm.where(x > 0, sm.sqrt(x), 0.0), [-1, 0, 4], [0, 0, 0.25]),
        (lambda x: sm.where(x > 0, 2 * sm.log(x), x), [-1, 0, 4], [1, 1, 0.5]),
        (lambda x: sm.where(x <= 0, 0.0, 1 / x), [-1, 0, 2], [0, 0, -0.25]),
        (lambda x: sm.where(x < 9, sm.exp(x), 1.0), [0, 1000], [1, 0]),
        (lambda x: sm.where(x > 0, sm.where(x < 9, x**0.5, 7), 0), [0, 4, 16], [0, 0.25, 0]),
        (lambda x: sm.where(x < 9, sm.where(x > 0, x**0.5, 7), 0), [0, 4, 16], [0, 0.25, 0]),
        (lambda x: sm.relu(sm.log(x)), [0, 1, 2], [0, 0, 0.5]),
        (lambda x: sm.maximum(sm.sqrt(x), 1.0), [0, 1, 4], [0, 0.25, 0.25]),
        (lambda x: sm.clip(1 / x, -3.0, 3.0), [0, 0.1, 1], [0, 0, -1]),
    ],
)
def test_what_is_not_taken_has_no_derivative(function: Any, at: Any, expected: Any) -> None:
    np.testing.assert_allclose(derivative(function, at), expected, rtol=1e-14)
    x = sm.Variable("x", (len(at),))
    tangent = sm.pushforward(function(x), x, np.ones(len(at)))
    np.testing.assert_allclose(tangent.eval({x: np.asarray(at, float)}), expected, rtol=1e-14)


def test_mask_reaches_second_derivatives() -> None:
    second = derivative(lambda x: sm.where(x > 0, sm.sqrt(x), 0.0), [-1.0, 0.0, 1.0], order=2)
    np.testing.assert_allclose(second, [0, 0, -0.25])


def test_mask_keeps_unselected_nan_and_selected_nan_apart() -> None:
    x = sm.Variable("x", (2,))
    gradient = sm.gradients(sm.where([True, False], sm.log(x), x), x)
    np.testing.assert_array_equal(gradient.eval({x: [NAN, NAN]}), [NAN, 1])


def test_masks_of_nested_choices_stay_linear_in_size() -> None:
    sizes = []
    for depth in (50, 100):
        x = sm.Variable("x", ())
        y = x
        for step in range(depth):
            y = sm.where(x > step, sm.sin(y), y)
        sizes.append(len(sm.Graph([sm.gradients(y, x)])) / depth)
    assert sizes[1] <= 1.05 * sizes[0]


def test_where_broadcasts_its_condition() -> None:
    c = np.array([[True], [False]])
    x, y = sm.Variable("x", (3,)), sm.Variable("y", ())
    gx, gy = sm.gradients(sm.where(c, x, y), [x, y])
    np.testing.assert_array_equal(gx.eval({x: np.zeros(3), y: 0.0}), [1, 1, 1])
    assert gy.eval({x: np.zeros(3), y: 0.0}) == 3


# dtypes


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32"])
@pytest.mark.parametrize(
    "name",
    "sin exp log1p sqrt square reciprocal abs sign floor round relu sigmoid softplus erf gammaln "
    "isnan negative".split(),
)
def test_dtype_is_that_of_the_value(name: str, dtype: str) -> None:
    values = np.array([1, 2, 1]).astype(dtype)
    function = getattr(sm, name)
    try:
        node = function(sm.constant(values))
    except GraphTypeError as error:
        assert dtype == "bool" and "not defined for bool" in str(error)
        return
    assert node.eval().dtype == node.dtype
    numpy_function = getattr(np, {"abs": "absolute"}.get(name, name), None)
    if numpy_function is not None:
        assert node.dtype == numpy_function(values).dtype


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "relu"])
def test_unsigned_integers_do_not_wrap(name: str) -> None:
    values = np.array([0, 1, 200], "uint8")
    expected = getattr(sm, name)(sm.constant(values.astype("float64"))).eval()
    np.testing.assert_array_equal(getattr(sm, name)(sm.constant(values)).eval(), expected)


def test_python_numbers_are_weak() -> None:
    x = sm.Variable("x", (2,), "float32")
    one, two = np.float64(1), np.float64(2)
    for y in (x**2, 2**x, x > 0.5, sm.where(x > 0, x, 0.0), sm.clip(x, 0, 1), sm.mod(x, 2)):
        assert y.dtype in (np.float32, bool)
    assert (x * two).dtype == np.float64
    assert sm.where(x > 0, x, one).dtype == np.float64
    assert (sm.constant([1, 2]) * 0.5).dtype == np.float64


def test_a_python_integer_that_does_not_fit_is_an_error() -> None:
    n = sm.Variable("n", (2,), "uint8")
    for make in (lambda: n + 300, lambda: n < 300, lambda: n * -1, lambda: sm.where(n > 0, n, 256)):
        with pytest.raises(GraphTypeError, match="does not fit into uint8") as caught:
            make()
        assert "astype" in str(caught.value)
    assert (n + 255).dtype == np.uint8


# Names


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")
def test_numpy_functions_make_nodes() -> None:
    x = sm.Variable("x", (3,))
    values = np.array([0.3, 0.5, 0.9])
    unary = (
        "negative positive abs fabs sign reciprocal square sqrt cbrt exp exp2 expm1 log log2 log10 "
        "log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh deg2rad rad2deg "
        "degrees radians floor ceil rint trunc fix round isnan isinf isfinite"
    )
    for name in unary.split():
        function = getattr(np, name)
        np.testing.assert_array_equal(function(x).eval({x: values}), function(values), name)
    np.testing.assert_allclose(np.arccosh(1 + x).eval({x: values}), np.arccosh(1 + values))
    binary = (
        "add subtract multiply divide true_divide power mod remainder floor_divide fmod arctan2 "
        "hypot logaddexp maximum minimum equal not_equal less less_equal greater greater_equal"
    )
    for name in binary.split():
        function = getattr(np, name)
        np.testing.assert_array_equal(function(x, 0.5).eval({x: values}), function(values, 0.5))
        array = np.array([0.5, 2.0, 0.9])
        np.testing.assert_array_equal(
            function(array, x).eval({x: values}), function(array, values), name
        )
    np.testing.assert_array_equal(np.clip(x, 0.4, 0.6).eval({x: values}), [0.4, 0.5, 0.6])
    np.testing.assert_array_equal(np.where(x > 0.4, x, 0).eval({x: values}), [0, 0.5, 0.9])
    np.testing.assert_array_equal(np.round(x, 0).eval({x: values}), [0, 0, 1])
    condition = np.array([True, False, True])
    for both in (condition & (x > 0.4), (x > 0.4) & condition, np.logical_and(condition, x > 0.4)):
        np.testing.assert_array_equal(both.eval({x: values}), [False, False, True])
    np.testing.assert_array_equal(np.invert(x > 0.4).eval({x: values}), [True, False, False])


def test_scipy_functions_make_nodes() -> None:
    special = pytest.importorskip("scipy.special")
    x = sm.Variable("x", ())
    for name in ("erf", "erfc", "erfinv", "gammaln", "digamma", "psi", "expit"):
        function = getattr(special, name)
        np.testing.assert_allclose(function(x).eval({x: 0.4}), function(0.4), rtol=1e-15)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("absolute", "abs"),
        ("pow", "power"),
        ("remainder", "mod"),
        ("true_divide", "divide"),
        ("arcsin", "asin"),
        ("arccos", "acos"),
        ("arctan", "atan"),
        ("arctan2", "atan2"),
        ("arcsinh", "asinh"),
        ("arccosh", "acosh"),
        ("arctanh", "atanh"),
        ("degrees", "rad2deg"),
        ("radians", "deg2rad"),
    ],
)
def test_aliases_are_the_same_object(alias: str, name: str) -> None:
    assert getattr(sm, alias) is getattr(sm, name)


# Errors


def test_condition_of_where_must_be_boolean() -> None:
    x, y = sm.Variable("x", (2,)), sm.Variable("y", (2,))
    with pytest.raises(GraphTypeError, match=r"sm\.equal\(a, b\)"):
        sm.where(x == y, x, y)
    with pytest.raises(GraphTypeError, match="a boolean is needed") as caught:
        sm.where(x, x, y)
    assert "sm.not_equal(x, 0)" in str(caught.value)
    assert "sm.where(x, x, y)" in str(caught.value)  # the user's line
    with pytest.raises(GraphTypeError, match="a boolean is needed"):
        sm.where(sm.structure((x, y)), x, y)


def test_logic_on_numbers_names_the_remedy() -> None:
    n, b = sm.Variable("n", (2,), "int64"), sm.Variable("b", (2,), "bool")
    binary = sm.logical_and, sm.logical_or, sm.logical_xor
    refused = [lambda f=f: f(n, b) for f in binary] + [lambda f=f: f(b, 1) for f in binary]
    for make in (*refused, lambda: sm.logical_not(n)):
        with pytest.raises(GraphTypeError, match="booleans are needed, not int64") as caught:
            make()
        assert "bits of integers" in str(caught.value)


def test_operators_on_bits_are_those_of_numpy() -> None:
    n, b = np.array([6, -5, 3]), np.array([True, False, True])
    v, w = sm.Variable("v", (3,), "int64"), sm.Variable("w", (3,), "bool")
    for f in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift):
        for left, right in ((v, w), (w, v), (v, 3), (3, v), (v, np.array(1))):
            values = [{v: n, w: b}[x] if isinstance(x, Node) else x for x in (left, right)]
            want, got = f(*values), f(left, right).eval({v: n, w: b})
            np.testing.assert_array_equal(got, want, strict=True)
    with pytest.raises(GraphTypeError, match="integers of one kind are needed, not float64"):
        sm.Variable("x") << 1


def test_arithmetic_on_booleans_is_what_numpy_allows() -> None:
    b = sm.Variable("b", (2,), "bool")
    for make in (lambda: b - b, lambda: -b):
        with pytest.raises(GraphTypeError, match="not defined for bool") as caught:
            make()
        assert "astype" in str(caught.value)
    np.testing.assert_array_equal((b + b).eval({b: [True, False]}), [True, False])


def test_negative_power_of_an_integer_fails_with_the_line() -> None:
    n = sm.Variable("n", (2,), "int64")
    with pytest.raises(EvaluationError, match="negative integer powers") as caught:
        (n ** sm.constant([-1, 2])).eval({n: [2, 2]})
    assert "test_elementwise.py" in str(caught.value)


def test_order_of_polygamma_is_checked() -> None:
    for order in (-1, 1.0, sm.Variable("n")):
        with pytest.raises(GraphTypeError, match="order of polygamma"):
            sm.polygamma(order, 1.0)
    assert sm.polygamma(0, sm.constant(1.0)).op.name == "digamma"


def test_digamma_differentiates_to_any_order() -> None:
    # ψ⁽ⁿ⁾(1) = (-1)ⁿ⁺¹ n! ζ(n + 1)
    assert derivative(sm.gammaln, [1.0], order=4) == pytest.approx(math.pi**4 / 15)


def test_special_functions_load_scipy_on_first_use() -> None:
    script = (
        "import sys, symad as sm\n"
        "x = sm.Variable('x', (2,))\n"
        "sm.gradients(sm.sigmoid(x) * sm.softplus(x) + sm.tanh(x) ** 2, x).eval({x: [0., 1.]})\n"
        "assert 'scipy' not in sys.modules\n"
        "sm.erf(x).eval({x: [0., 1.]})\n"
        "assert 'scipy.special' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("exponent", ["bool", "int8", "uint8", "int64"])
@pytest.mark.parametrize("base", ["float16", "float32", "float64"])
def test_slopes_of_powers_with_integers(base: str, exponent: str, backend: Any) -> None:
    """They have the dtype of the base, and an exponent of 0 does not wrap around."""
    x, n = sm.Variable("x", dtype=base), sm.Variable("n", dtype=exponent)
    slope = sm.gradients(sm.sum(x**n), x)
    nodes = [slope, sm.gradients(sm.sum(slope), x)]
    exponents = np.array([0, 1, 0, 1] if exponent == "bool" else [0, 1, 2, 3], exponent)
    for value in (2.0, 1000.0):
        given = np.full(4, value, base)
        found = sm.compile([x, n], nodes, backend=backend)(given, exponents)
        with np.errstate(over="ignore"):
            n64 = exponents.astype("float64")
            wanted = [n64 * value ** (n64 - 1), n64 * (n64 - 1) * value ** (n64 - 2)]
            for got, want in zip(found, wanted, strict=True):
                assert got.dtype == base
                np.testing.assert_allclose(got, want.astype(base), rtol=2e-3)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("base", ["bool", "int8", "uint8", "int64"])
@pytest.mark.parametrize("exponent", ["float16", "float32", "float64"])
def test_slopes_of_powers_of_integers(base: str, exponent: str, backend: Any) -> None:
    x, c = sm.Variable("x", dtype=base), sm.Variable("c", dtype=exponent)
    slope = sm.gradients(sm.sum(x**c), c)
    nodes = [slope, sm.gradients(sm.sum(slope), c)]
    bases = np.array([0, 1, 1] if base == "bool" else [0, 1, 3], base)
    found = sm.compile([x, c], nodes, backend=backend)(bases, np.full(3, 1.5, exponent))
    logarithms = np.log(np.maximum(bases.astype("float64"), 1))
    for order, got in enumerate(found, 1):
        assert got.dtype == exponent
        np.testing.assert_allclose(got, bases**1.5 * logarithms**order, rtol=2e-3)


# Facts at ordinary points

ORDINARY = np.array([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0])
POLES_ELSEWHERE = {"power_log", "expn", "binom"}
"""Ops that are infinite for other attributes than those of their samples, or other numbers."""


def is_infinite_somewhere(op_class: type[Op]) -> bool:
    """Return whether an op on floats is infinite at combinations of a few small numbers."""
    for built in map(build, cases_of(op_class)):
        for node in built.nodes:
            if type(node.op) is op_class and all(x.dtype.kind == "f" for x in node.inputs):
                with np.errstate(all="ignore"):
                    found = kernel_of(node.op)(*np.meshgrid(*[ORDINARY] * len(node.inputs)))
                if np.isinf(found).any():
                    return True
    return False


def test_ops_with_poles_say_so_and_no_others_do() -> None:
    """The remedy for a NaN depends on it: an infinity that comes from a pole is not an overflow."""
    ops = [op for op in OP_CLASSES.values() if issubclass(op, Elementwise)]
    ops = [op for op in ops if op.__module__.startswith("symad.ops.")]
    found = {op.name for op in ops if is_infinite_somewhere(op)}
    assert found == {op.name for op in ops if op.has_poles} - POLES_ELSEWHERE
    assert len(found) > 30


def test_slopes_that_are_said_to_be_finite_are_finite() -> None:
    """Masks are left out of loops where nothing can be infinite."""
    tried = set()
    for op_class in {kind for kind in OP_CLASSES.values() if issubclass(kind, Elementwise)}:
        for node in (node for built in map(build, cases_of(op_class)) for node in built.nodes):
            floats = all(x.dtype == np.float64 for x in (node, *node.inputs))
            if type(node.op) is not op_class or not floats:
                continue
            given = [x if isinstance(x, Constant) and not x.ndim else None for x in node.inputs]
            inputs = [sm.Variable("x") if x is None else x for x in given]
            xs = [x for k, x in enumerate(inputs) if given[k] is None and node.op.differentiable(k)]
            if not node.op.has_finite_slopes(*inputs) or not xs:
                continue
            y = apply(node.op, *inputs)
            free = [x for x in inputs if not isinstance(x, Constant)]
            feed = dict(zip(free, np.meshgrid(*[ORDINARY] * len(free)), strict=True))
            results = sm.Executor([y, *sm.gradients(sm.sum(y), xs, unused="zero")]).run(feed)
            assert all(np.isfinite(found).all() for found in results), op_class.name
            tried.add(op_class)
    assert len(tried) > 30
