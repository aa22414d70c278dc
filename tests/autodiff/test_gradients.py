"""What gradients, pullbacks, pushforwards and their relatives promise besides the algorithm."""

import numpy as np
import pytest

import symad as sm
from symad.errors import GradientError, GraphTypeError


def test_a_value_that_is_not_a_scalar_means_its_sum():
    x = sm.Variable("x", shape=(3,))
    value = sm.gradients(sm.sin(x), x).eval({x: [0.0, 1.0, 2.0]})
    np.testing.assert_allclose(value, np.cos([0.0, 1.0, 2.0]))


def test_a_seed_weighs_the_outputs():
    x = sm.Variable("x", shape=(3,))
    point = np.array([0.5, 1.0, 2.0])
    for seed in ([1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0]), sm.constant([1.0, 2.0, 3.0])):
        value = sm.gradients(x * x, x, seed=seed).eval({x: point})
        np.testing.assert_allclose(value, 2 * point * [1, 2, 3])


def test_a_seed_that_does_not_fit():
    x = sm.Variable("x", shape=(3,))
    with pytest.raises(GradientError, match=r"\(2,\) does not fit y, whose shape is \(3,\)"):
        sm.gradients(x * x, x, seed=[1.0, 2.0])


def test_several_outputs_add_up():
    x = sm.Variable("x")
    value = sm.gradients({"a": x * x, "b": [sm.exp(x)]}, x).eval({x: 1.0})
    assert value == pytest.approx(2 + np.e)


def test_nested_targets_keep_their_structure():
    x, y = sm.Variable("x"), sm.Variable("y")
    g = sm.gradients(x * y, {"x": x, "rest": (y,)})
    assert set(g) == {"x", "rest"} and isinstance(g["rest"], tuple)
    assert g["x"].eval({y: 3.0, x: 1.0}) == 3.0


def test_gradient_with_respect_to_an_inner_node():
    x = sm.Variable("x")
    inner = sm.exp(x)
    y = inner * inner + x
    g_inner, g_x = sm.gradients(y, [inner, x])
    assert g_inner.eval({x: 0.0}) == 2.0
    assert g_x.eval({x: 0.0}) == 3.0


def test_output_is_its_own_target():
    x = sm.Variable("x", shape=(2,))
    np.testing.assert_array_equal(sm.gradients(x, x).eval({x: [5.0, 6.0]}), [1.0, 1.0])


@pytest.mark.parametrize("unused", ["zero", "none"])
def test_unused_variables_are_said(unused):
    x, z = sm.Variable("x"), sm.Variable("z", shape=(2,))
    with pytest.raises(GradientError, match="does not depend on <z"):
        sm.gradients(x * x, [x, z])
    result = sm.gradients(x * x, [x, z], unused=unused)[1]
    if unused == "zero":
        np.testing.assert_array_equal(result.eval({z: [1.0, 2.0]}), [0.0, 0.0])
    else:
        assert result is None


def test_a_wrong_word_for_unused():
    x, z = sm.Variable("x"), sm.Variable("z")
    with pytest.raises(GradientError, match="must be"):
        sm.gradients(x * x, [x, z], unused="ignore")


def test_a_dependence_without_derivative_is_explained():
    x = sm.Variable("x")
    y = sm.where(x > 0, 1.0, 2.0)
    with pytest.raises(GradientError, match=r"only through 'greater' \(.*sm.where.*no derivative"):
        sm.gradients(y, x)


def test_stop_gradient_stops():
    x = sm.Variable("x")
    assert sm.gradients(sm.stop_gradient(x) * x, x).eval({x: 3.0}) == 3.0
    with pytest.raises(GradientError, match="only through 'stop_gradient'"):
        sm.gradients(sm.stop_gradient(x), x)


def test_integers_have_no_derivative():
    n = sm.Variable("n", dtype="int64")
    with pytest.raises(GradientError, match="int64, which change in steps"):
        sm.gradients(n * n, n)
    with pytest.raises(GradientError, match="cannot be differentiated with respect to"):
        sm.gradients(n * 1.5, n)


def test_what_is_not_a_node():
    x = sm.Variable("x")
    with pytest.raises(GraphTypeError, match=r"xs\[0\] is 3.0, which is not a node"):
        sm.gradients(x, [3.0])


def test_adjoints_have_the_dtype_and_shape_of_their_node():
    a = sm.Variable("a", shape=(3, 1), dtype="float32")
    b = sm.Variable("b", shape=(4,), dtype="float64")
    g_a, g_b = sm.gradients(a * b, [a, b])
    assert (g_a.type, g_b.type) == (a.type, b.type)
    values = sm.Executor([g_a, g_b]).run({a: np.ones((3, 1), "float32"), b: np.arange(4.0)})
    assert values[0].dtype == np.float32
    np.testing.assert_array_equal(values[0], np.full((3, 1), 6.0))
    np.testing.assert_array_equal(values[1], [3.0] * 4)


@pytest.mark.parametrize(
    ("left", "right"),
    [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (4, 3)), ((1, 1), (2, 3))],
)
def test_broadcasting_is_undone_whether_shapes_are_known_or_not(left, right):
    rng = np.random.default_rng(0)
    a_value, b_value = rng.normal(size=left), rng.normal(size=right)
    ones = np.ones(np.broadcast_shapes(left, right))
    expected_a = _sum_to(ones * b_value, left)
    expected_b = _sum_to(ones * a_value, right)
    for shapes in [(left, right), (None, None), ((None,) * len(left), (None,) * len(right))]:
        a, b = sm.Variable("a", shape=shapes[0]), sm.Variable("b", shape=shapes[1])
        values = sm.Executor(sm.gradients(a * b, [a, b])).run({a: a_value, b: b_value})
        np.testing.assert_allclose(values[0], expected_a)
        np.testing.assert_allclose(values[1], expected_b)


def _sum_to(array, shape):
    while array.ndim > len(shape):
        array = array.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            array = array.sum(axis=axis, keepdims=True)
    return array


def test_pullback_and_pushforward_are_transposes():
    rng = np.random.default_rng(1)
    x = sm.Variable("x", shape=(3,))
    y = sm.sin(x) * sm.sum(x) + x**2
    seed, tangent, point = rng.normal(size=(3, 3))
    pulled = sm.pullback(y, x, seed).eval({x: point})
    pushed = sm.pushforward(y, x, tangent).eval({x: point})
    assert pulled @ tangent == pytest.approx(pushed @ seed, rel=1e-13)


def test_pushforward_of_what_does_not_move():
    x, z = sm.Variable("x"), sm.Variable("z", shape=(2,))
    still = sm.pushforward([x * 2, z * 2], x, 1.0)
    assert still[0].eval({x: 1.0}) == 2.0
    np.testing.assert_array_equal(still[1].eval({z: [1.0, 1.0]}), [0.0, 0.0])


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("shape", [(3,), None, ("n",)])
def test_jacobian(mode, shape):
    x = sm.Variable("x", shape=shape)
    y = sm.stack([sm.sum(x * x), sm.sum(sm.sin(x))])
    point = np.array([0.3, 0.5, 0.7])
    value = sm.jacobian(y, x, mode=mode).eval({x: point})
    np.testing.assert_allclose(value, [2 * point, np.cos(point)])


def test_jacobian_of_matrices():
    x = sm.Variable("x", shape=(2, 3))
    y = x.T * 2
    value = sm.jacobian(y, x).eval({x: np.ones((2, 3))})
    assert value.shape == (3, 2, 2, 3)
    expected = 2 * np.einsum("il,jk->ijkl", np.eye(3), np.eye(2))
    np.testing.assert_array_equal(value, expected)
    forward = sm.jacobian(y, x, mode="forward").eval({x: np.ones((2, 3))})
    np.testing.assert_array_equal(forward, expected)


def test_jacobian_is_differentiable():
    x = sm.Variable("x", shape=(2,))
    y = sm.stack([x[0] ** 3, x[0] * x[1] ** 2])
    total = sm.sum(sm.jacobian(y, x))
    value = sm.gradients(total, x).eval({x: [2.0, 3.0]})
    np.testing.assert_allclose(value, [6 * 2.0 + 2 * 3.0, 2 * 3.0 + 2 * 2.0])


def test_hessian_and_its_products():
    x = sm.Variable("x", shape=(3,))
    y = sm.sum(sm.exp(x)) * x[0] + sm.prod(x)
    point, vector = np.array([0.2, 0.5, -0.4]), np.array([1.0, -2.0, 0.5])
    dense = sm.hessian(y, x).eval({x: point})
    np.testing.assert_allclose(dense, dense.T, atol=1e-14)
    product = sm.hessian_vector_product(y, x, vector).eval({x: point})
    np.testing.assert_allclose(product, dense @ vector, rtol=1e-12)


def test_jacobian_of_what_does_not_depend_is_zero():
    x, z = sm.Variable("x", shape=(2,)), sm.Variable("z", shape=(3,))
    value = sm.jacobian(x * 2, z).eval({x: [1.0, 2.0], z: [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(value, np.zeros((2, 3)))


def test_custom_rules_in_both_modes_and_orders():
    cube = sm.custom(
        lambda a: a * a * a,
        reverse=lambda v, y, a: 3 * v * a * a,
        forward=lambda t, y, a: 3 * t[0] * a * a,
        name="cube",
    )
    x = sm.Variable("x")
    y = cube(sm.sin(x))
    first, second = (lambda v: 3 * np.sin(v) ** 2 * np.cos(v)), None
    assert sm.gradients(y, x).eval({x: 0.4}) == pytest.approx(first(0.4))
    assert sm.pushforward(y, x, 1.0).eval({x: 0.4}) == pytest.approx(first(0.4))
    second = sm.gradients(sm.gradients(y, x), x).eval({x: 0.4})
    h = 1e-6
    assert second == pytest.approx((first(0.4 + h) - first(0.4 - h)) / (2 * h), rel=1e-6)


def test_custom_rule_is_what_is_used():
    straight_through = sm.custom(sm.round, reverse=lambda v, y, x: v)
    x = sm.Variable("x")
    assert sm.gradients(straight_through(x * 2.2), x).eval({x: 1.0}) == pytest.approx(2.2)


def test_a_rule_that_fails_names_the_op_and_the_line():
    def broken(v, y, x):
        raise ValueError("no")

    f = sm.custom(lambda x: x * 1, reverse=broken)
    x = sm.Variable("x")
    with pytest.raises(ValueError) as caught:
        sm.gradients(f(x), x)
    assert "in the reverse rule of 'call' for input 0, made at" in caught.value.__notes__[0]


def test_the_extension_stays_within_a_constant_of_the_graph():
    """The cheap-gradient principle, in nodes."""
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(200):
        y = sm.sin(y) * x + sm.exp(y) / (y * y + 1)
    forward = len(sm.Graph([y]))
    assert len(sm.Graph([sm.gradients(y, x)])) <= 5 * forward


# Structures pair by key


def test_seeds_pair_with_outputs_by_key():
    a, b = sm.Variable("a"), sm.Variable("b")
    y = {"a": a * 2, "b": [b * 3, (a * b,)]}
    seed = {"b": [0.0, (1.0,)], "a": 10.0}
    assert sm.gradients(y, a, seed=seed).eval({a: 1.0, b: 5.0}) == 25.0
    assert sm.pullback(y, b, seed).eval({a: 2.0, b: 5.0}) == 2.0
    assert sm.value_and_gradients(y, a, seed=seed)[1].eval({a: 1.0, b: 5.0}) == 25.0


def test_seeds_pair_with_the_items_of_a_structure_node():
    a, b = sm.Variable("a"), sm.Variable("b")
    y = sm.structure({"a": a * 2, "b": (b * 3, a)})
    assert sm.gradients(y, a, seed={"b": (0.0, 1.0), "a": 10.0}).eval({a: 1.0, b: 1.0}) == 21.0


def test_tangents_pair_with_variables_by_key():
    a, b = sm.Variable("a"), sm.Variable("b")
    pushed = sm.pushforward(a * 2 + b * 3, {"a": a, "b": b}, {"b": 1.0, "a": 0.0})
    assert pushed.eval({a: 1.0, b: 1.0}) == 3.0
    product = sm.hessian_vector_product(a * a * b, {"a": a, "b": b}, {"b": 1.0, "a": 0.0})
    assert product["a"].eval({a: 3.0, b: 1.0}) == 6.0


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ({"a": 1.0}, r"the seed needs a dict with the keys \['a', 'b'\]: 'b' missing"),
        ({"a": 1.0, "c": 1.0, "b": [1.0]}, "'c' not in it"),
        ({"x": 1.0, "y": 1.0}, "'a', 'b' missing and 'x', 'y' not in it"),
        ([1.0, 1.0], "not a value of type list"),
        ({"a": 1.0, "b": [1.0, 2.0]}, r"the seed\['b'\] needs a sequence of 1 values, not of 2"),
        ({"a": 1.0, "b": {"0": 1.0}}, r"the seed\['b'\] .* not a value of type dict"),
    ],
)
def test_seeds_of_another_structure(seed, message):
    x = sm.Variable("x")
    with pytest.raises(GradientError, match=message):
        sm.gradients({"a": x, "b": [x * 2]}, x, seed=seed)
    with pytest.raises(GradientError, match=message):
        sm.pushforward(x * 2, {"a": x, "b": [sm.Variable("z")]}, seed)
