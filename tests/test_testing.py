"""Test the testers: each kind of fault must be caught, by the op table and by check_gradients."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.autodiff.numeric import choose_step, directional_derivative, numerical_gradient
from symad.errors import GradientError
from symad.graph.node import Node, apply
from symad.graph.op import OP_CLASSES, Op
from symad.graph.sample import Sample, integers, reals
from symad.ops.base import Binary, Elementwise, Linear, Unary
from symad.testing import GradientMismatch, assert_graphs_equal, check_gradients
from symad.types import TensorType
from tests.support import op_checks as checks
from tests.support.op_checks import Case, cases_of
from tests.support.op_tables import restored


@pytest.fixture(autouse=True)
def op_table_as_before() -> Iterator[None]:
    """Ops defined in a test do not stay in the op table."""
    with restored():
        yield


def unary(**body: Any) -> type[Op]:
    """Return an op for the sine, right in all that ``body`` does not replace."""
    right = {
        "__doc__": "A sine.",
        "name": "broken",
        "numpy": staticmethod(np.sin),
        "chain": (lambda v, y, x: v * sm.cos(x),),
        "samples": (Sample(lambda x: kind()(x), [reals(2, 3)], reference=np.sin),),
        "result_dtype": lambda self, dtype: dtype,
    }
    kind = type("Broken", (Unary,), {**right, **body})
    return kind


def binary(**body: Any) -> type[Op]:
    """Return an op for the difference, right in all that ``body`` does not replace."""
    right = {
        "__doc__": "A difference.",
        "name": "broken",
        "numpy": staticmethod(np.subtract),
        "chain": (lambda v, y, a, b: v, lambda v, y, a, b: -v),
        "samples": (Sample(lambda a, b: kind()(a, b), [reals(16), reals(16)]),),
        "result_dtype": lambda self, a, b: np.result_type(a, b),
    }
    kind = type("Broken", (Binary,), {**right, **body})
    return kind


@pytest.mark.parametrize("make", [unary, binary])
def test_a_right_op_passes(make: Callable[..., type[Op]]) -> None:
    kind = make()
    checks.check_has_samples(kind)
    checks.check_all(only_case(kind), but=["identity"])  # a class in a function is not pickled


def only_case(kind: type[Op]) -> Case:
    (case,) = cases_of(kind)
    return case


# Faults in derivatives


def wrong_by_a_thousandth() -> type[Op]:
    return unary(chain=(lambda v, y, x: v * sm.cos(x) * 1.001,))


def wrong_sign_in_one_slot() -> type[Op]:
    return binary(chain=(lambda v, y, a, b: v, lambda v, y, a, b: v * 1))


def wrong_forward_only() -> type[Op]:
    return unary(forward=lambda self, slot, t, out, x: t * sm.cos(x) * 1.001)


def wrong_reverse_only() -> type[Op]:
    return unary(
        reverse=lambda self, slot, v, out, x: v * sm.cos(x) * 1.001,
        forward=lambda self, slot, t, out, x: t * sm.cos(x),
    )


def wrong_second_derivative() -> type[Op]:
    return unary(chain=(lambda v, y, x: v * sm.stop_gradient(sm.cos(x)),))


def silent_zero() -> type[Op]:
    return unary(chain=(None,))


def nan_derivative() -> type[Op]:
    return unary(chain=(lambda v, y, x: v * sm.cos(x) + sm.log(sm.zeros_like(x)) * 0,))


BAD_DERIVATIVES = [
    (wrong_by_a_thousandth, 1, {"reverse", "forward"}),
    (wrong_sign_in_one_slot, 1, {"reverse", "forward"}),
    (wrong_forward_only, 1, {"forward"}),
    (wrong_reverse_only, 1, {"reverse"}),
    (wrong_second_derivative, 2, {"reverse", "forward"}),
    (silent_zero, 1, {"reverse", "forward"}),
    (nan_derivative, 1, {"reverse", "forward"}),
]
for_each_bad_derivative = pytest.mark.parametrize(
    ("make", "order", "modes"), BAD_DERIVATIVES, ids=[row[0].__name__ for row in BAD_DERIVATIVES]
)


@for_each_bad_derivative
def test_op_table_catches_derivative(make: Callable[[], type[Op]], order: int, modes: Any) -> None:
    with pytest.raises(GradientMismatch):
        checks.check_derivatives(only_case(make()))


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@for_each_bad_derivative
def test_check_gradients_catches(
    make: Callable[[], type[Op]], order: int, modes: set[str], mode: str
) -> None:
    kind = make()
    names = "ab"[: len(kind.chain)] if issubclass(kind, Elementwise) else ""
    variables = [sm.Variable(name, shape=(3,)) for name in names]
    feed = {x: np.linspace(0.3, 1.2, 3) + i for i, x in enumerate(variables)}
    y = sm.exp(kind()(*variables))  # type: ignore[operator]
    if mode not in modes:
        check_gradients(y, variables, at=feed, order=1, modes=(mode,))
        return
    if order == 2:
        check_gradients(y, variables, at=feed, order=1, modes=(mode,))
    with pytest.raises(GradientMismatch) as caught:
        check_gradients(y, variables, at=feed, modes=(mode,))
    assert (caught.value.mode, caught.value.order) == (mode, order)
    assert caught.value.variable == ("b" if make is wrong_sign_in_one_slot else "a")
    assert caught.value.where


def test_dot_catches_modes_that_disagree() -> None:
    for make in (wrong_forward_only, wrong_reverse_only):
        with pytest.raises(AssertionError, match="reverse"):
            checks.check_dot(only_case(make()), 1)
        OP_CLASSES.pop("broken")


# Faults in types, values and memory


class _Column(Linear):
    """``x`` as a column; a rule that forgets to undo it."""

    numpy = staticmethod(lambda x: np.reshape(x, (-1, 1)).copy())

    def infer(self, *types: Any) -> Any:
        return TensorType(types[0].dtype, (*types[0].shape, 1))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint


def column(**body: Any) -> type[Op]:
    right = {
        "name": "broken",
        "samples": (Sample(lambda x: apply(kind(), x), [reals(3)]),),
    }
    kind = type("Broken", (_Column,), {**right, **body})
    return kind


def first_sample(call: Callable[..., Any], *draws: Any, **keywords: Any) -> tuple[Sample]:
    return (Sample(call, draws, **keywords),)


def in_place(x: Any) -> Any:
    np.copyto(x, np.sin(x))
    return x.copy()


CAUGHT_BY: dict[str, tuple[Callable[[], type[Op]], Callable[[Case], None], str]] = {
    "wrong dtype inferred": (
        lambda: unary(result_dtype=lambda self, dtype: np.dtype("float64")),
        lambda case: checks.check_types(case, "float32", "static"),
        "value of type f32",
    ),
    "wrong dtype computed": (
        lambda: unary(numpy=staticmethod(lambda x: np.sin(x).astype("float64"))),
        lambda case: checks.check_types(case, "float32", "static"),
        "value of type f64",
    ),
    "float32 becomes float64, as inferred": (
        lambda: unary(
            numpy=staticmethod(lambda x: np.sin(x).astype("float64")),
            result_dtype=lambda self, dtype: np.dtype("float64"),
        ),
        checks.check_float32,
        "is float64",
    ),
    "float64 inside a rule": (
        lambda: unary(chain=(lambda v, y, x: v * sm.cos(x.astype("float64")),)),
        checks.check_float32,
        "cast: f64",
    ),
    "wrong shape inferred": (
        lambda: column(infer=lambda self, x: x),
        lambda case: checks.check_types(case, "float64", "static"),
        r"value of type f64\[3,1\]",
    ),
    "wrong shape of an adjoint": (
        column,
        lambda case: checks.check_adjoint_types(case, "float64"),
        "cannot be summed to",
    ),
    "a shape taken for known": (
        column,
        lambda case: checks.check_types(case, "float64", "unknown"),
        "UnknownShape",
    ),
    "a refusal that the sample does not admit": (
        lambda: unary(infer=lambda self, x: x.with_shape(tuple(x.shape))),
        lambda case: checks.check_partial_knowledge(case, "unknown"),
        "UnknownShape",
    ),
    "a need that is none": (
        lambda: unary(
            samples=first_sample(lambda x: OP_CLASSES["broken"]()(x), reals(3), needs="rank")
        ),
        lambda case: checks.check_partial_knowledge(case, "unknown"),
        "no error, although the sample needs",
    ),
    "wrong value": (
        lambda: unary(numpy=staticmethod(lambda x: np.sin(x) * (1 + 1e-8))),
        lambda case: checks.check_reference(case, "float64"),
        "Not equal to tolerance",
    ),
    "wrong sign of zero": (
        lambda: unary(
            numpy=staticmethod(lambda x: np.abs(np.sin(x))),
            samples=first_sample(
                lambda x: OP_CLASSES["broken"]()(x),
                lambda rng, dtype: np.array([-0.0], dtype),
                reference=np.sin,
                order=0,
                signed_zeros=True,
            ),
        ),
        lambda case: checks.check_reference(case, "float64"),
        "signs of zeros",
    ),
    "not the sign that it says": (
        lambda: unary(sign="nonnegative"), checks.check_facts, "has the sign 'nonnegative'"
    ),
    "not the sign of its inputs": (
        lambda: binary(sign="as inputs"), checks.check_facts, "has the sign 'as inputs'"
    ),
    "poles that it does not tell of": (
        lambda: unary(numpy=staticmethod(lambda x: x / 0)), checks.check_facts, "has poles"
    ),
    "an order that it says does not matter": (
        lambda: binary(commutative=True), checks.check_facts, "depends on the order"
    ),
    "changes its input": (
        lambda: unary(numpy=staticmethod(in_place)),
        checks.check_memory,
        "changed its input",
    ),
    "shares memory": (
        lambda: unary(numpy=staticmethod(lambda x: x)),
        checks.check_memory,
        "shares memory with input 0",
    ),
    "shares memory with the second input": (
        lambda: binary(numpy=staticmethod(lambda a, b: b), is_view=True),
        checks.check_memory,
        "shares memory with input 1",
    ),
    "LaTeX braces": (
        lambda: unary(latex=r"\sin{{ {0}"),
        checks.check_rendering,
        "braces do not match",
    ),
    "a sample of another op": (
        lambda: unary(samples=first_sample(lambda x: sm.sin(x), reals(3))),
        checks.check_sample_applies_op,
        "applies .'sin'., not 'broken'",
    ),
    "an integer with a gradient": (
        lambda: unary(
            samples=first_sample(lambda n: OP_CLASSES["broken"]()(n), integers(3)),
        ),
        lambda case: checks.check_types(case, "float64", "static"),
        "value of type f64",
    ),
}


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_op_table_catches(fault: str) -> None:
    make, check, message = CAUGHT_BY[fault]
    case = only_case(make())
    with pytest.raises((AssertionError, TypeError, ValueError, pytest.fail.Exception)) as caught:
        check(case)
    assert re.search(message, str(caught.value))


def test_op_without_samples_is_caught() -> None:
    with pytest.raises(AssertionError, match="has no samples"):
        checks.check_has_samples(unary(samples=()))


def test_samples_with_one_label_are_caught() -> None:
    kind = unary()
    kind.samples = (Sample(kind.samples[0].call, [reals(3)], label="a"),) * 2
    with pytest.raises(AssertionError, match="same label"):
        checks.check_has_samples(kind)


def sine_with(factor: Callable[[Node], float]) -> type[Op]:
    """Return a sine whose slope is too large by a factor, which may depend on the operand."""
    return unary(chain=(lambda v, y, x: v * sm.cos(x) * factor(x),))


def unless_static(error: float) -> Callable[[Node], float]:
    return lambda x: 1.0 if x.type.is_static else 1.0 + error


def scaled_sample(error: float) -> tuple[Sample]:
    factor = unless_static(error)
    return first_sample(lambda x: OP_CLASSES["broken"]()(x) * factor(x), reals(3))


NEARLY: dict[str, tuple[Callable[[float], type[Op]], Callable[[Case], None], float, float]] = {
    "reference": (
        lambda e: unary(numpy=staticmethod(lambda x: np.sin(x) * (1 + e))),
        lambda case: checks.check_reference(case, "float64"), 1e-11, 1e-9,
    ),
    "reference, float32": (
        lambda e: unary(numpy=staticmethod(lambda x: np.sin(x) * np.float32(1 + e))),
        lambda case: checks.check_reference(case, "float32"), 1e-6, 1e-3,
    ),
    "derivatives": (
        lambda e: sine_with(lambda x: 1 + e), checks.check_derivatives, 1e-8, 2e-5,
    ),
    "dot": (
        lambda e: unary(forward=lambda self, slot, t, out, x: t * sm.cos(x) * (1 + e)),
        lambda case: checks.check_dot(case, 1), 1e-14, 1e-10,
    ),
    "values, partial knowledge": (
        lambda e: unary(samples=scaled_sample(e)),
        lambda case: checks.check_partial_knowledge(case, "unknown"), 1e-14, 1e-10,
    ),
    "gradients, partial knowledge": (
        lambda e: sine_with(unless_static(e)),
        lambda case: checks.check_partial_knowledge(case, "named"), 1e-12, 1e-8,
    ),
    "float32": (
        lambda e: sine_with(lambda x: 1 + e * (x.dtype == np.float32)),
        checks.check_float32, 1e-5, 5e-2,
    ),
}  # fmt: skip
"""Ops that are wrong by so much, a check, and how far off it lets pass, and finds."""


@pytest.mark.parametrize("what", NEARLY)
def test_tolerances_are_as_wide_as_rounding_needs(what: str) -> None:
    make, check, small, large = NEARLY[what]
    check(only_case(make(small)))
    OP_CLASSES.pop("broken")
    with pytest.raises(AssertionError):
        check(only_case(make(large)))


def test_a_gradient_of_an_integer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = list(cases_of(OP_CLASSES["argsort"]))[:1]
    checks.check_no_gradient(case)
    monkeypatch.setattr(sm, "gradients", lambda y, xs: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        checks.check_no_gradient(case)


def test_an_op_that_is_not_itself_is_caught() -> None:
    kind = unary(__eq__=lambda self, other: False, __hash__=lambda self: 0)
    with pytest.raises(AssertionError):
        checks.check_identity(only_case(kind))


def test_every_failing_check_is_named() -> None:
    kind = unary(latex=r"\sin{{ {0}", numpy=staticmethod(in_place))
    with pytest.raises(ExceptionGroup, match=r"broken fails \d+ of \d+ checks") as caught:
        checks.check_all(only_case(kind))
    notes = [note for error in caught.value.exceptions for note in error.__notes__]
    assert {"check of broken: rendering", "check of broken: memory"} <= set(notes)


# check_gradients


@pytest.mark.parametrize(
    ("dtype", "small", "large"), [("float64", 1e-8, 1e-5), ("float32", 1e-4, 0.05),
                                  ("float16", 1e-2, 0.6)]
)  # fmt: skip
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_check_gradients_is_as_strict_as_differences_are_exact(
    dtype: str, small: float, large: float, mode: str
) -> None:
    x = sm.Variable("x", shape=(3,), dtype=dtype)
    at = {x: [0.5, 1.0, -0.25]}

    def y(error: float) -> Node:
        def slope(v: Node, y: Node, x: Node) -> Node:
            return v * sm.cos(x) * (1 + error)

        def forward(tangents: list[Node], y: Node, x: Node) -> Node:
            return slope(tangents[0], y, x)

        return sm.custom(lambda x: sm.sin(x), reverse=slope, forward=forward)(x)

    check_gradients(y(small), x, at=at, order=1, modes=[mode])
    with pytest.raises(GradientMismatch):
        check_gradients(y(large), x, at=at, order=1, modes=[mode])
    with pytest.raises(GradientMismatch):
        check_gradients(y(1e-3), x, at=at, order=1, modes=[mode], rtol=1e-5, atol=1e-5)
    check_gradients(y(1e-3), x, at=at, order=1, modes=[mode], rtol=1.0, atol=0.0)


def test_check_gradients_on_structures_and_float32() -> None:
    x = sm.Variable("x", shape=(3,), dtype="float32")
    w = sm.Variable("w", shape=(), dtype="float32")
    y = {"a": [sm.exp(x) * w, sm.sin(w)], "n": (x * w,)}
    check_gradients(y, {"x": x, "w": w}, at={x: [0.1, 0.2, 0.3], w: 0.7})


def test_check_gradients_at_a_computed_node() -> None:
    x = sm.Variable("x", shape=(3,))
    h = sm.exp(x)
    check_gradients(sm.sin(h) * h, [h], at={h: [1.0, 2.0, 3.0]})


def test_check_gradients_says_what_is_missing() -> None:
    x, y = sm.Variable("x"), sm.Variable("y")
    with pytest.raises(GradientError, match="'?y.*is not fed"):
        check_gradients(x * y, [x, y], at={x: 1.0})
    with pytest.raises(GradientError, match="backward"):
        check_gradients(x * x, [x], at={x: 1.0}, modes=("backward",))


def test_check_gradients_is_reproducible() -> None:
    kind = wrong_by_a_thousandth()
    x = sm.Variable("x", shape=(3,))
    found = []
    for seed in (0, 0, 1):
        with pytest.raises(GradientMismatch) as caught:
            check_gradients(kind()(x), x, at={x: [0.1, 0.2, 0.3]}, seed=seed)  # type: ignore[operator]
        found.append(float(np.sum(caught.value.expected)))
    assert found[0] == found[1] != found[2]


def test_mismatch_survives_pickling() -> None:
    error = GradientMismatch("no", where="here", mode="reverse", order=2, variable="x", got=1.0)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.mode, again.order, again.variable, again.got) == ("reverse", 2, "x", 1.0)


# Differences


@pytest.mark.parametrize(("method", "order"), [("forward", 1), ("central", 2)])
def test_differences_err_as_the_step_says(method: str, order: int) -> None:
    x = sm.Variable("x", shape=())
    f = sm.compile([x], sm.exp(x))
    coarse, fine = (
        abs(directional_derivative(f, 1.0, 1.0, method=method, step=h) - np.e) for h in (1e-2, 1e-3)
    )
    assert coarse / fine == pytest.approx(10.0**order, rel=0.05)


@pytest.mark.parametrize("method", ["forward", "central"])
def test_chosen_step_is_near_the_best(method: str) -> None:
    f = np.exp
    chosen = abs(numerical_gradient(f, 1.0, method=method) - np.e)
    errors = [
        abs(numerical_gradient(f, 1.0, method=method, step=10.0**-k) - np.e) for k in range(1, 15)
    ]
    assert chosen < 30 * min(errors)
    assert errors[-1] > 1e-4, "a tiny step is ruined by rounding"


def test_step_follows_the_coarsest_dtype() -> None:
    wide, narrow = np.ones(2), np.ones(2, "float32")
    direction = [np.ones(2)]
    assert choose_step([wide], wide, direction) < choose_step([wide], narrow, direction)
    assert choose_step([wide], narrow, direction) == choose_step([narrow], wide, direction)


def test_numerical_gradient_takes_functions_and_nodes() -> None:
    a, b = sm.Variable("a", shape=(2,)), sm.Variable("b", shape=())
    y = sm.sin(a) * b
    values = [np.array([0.5, 1.0]), 3.0]
    expected = [3 * np.cos(values[0]), np.sum(np.sin(values[0]))]
    from_function = numerical_gradient(sm.compile([a, b], y), values)
    from_node = numerical_gradient(y, dict(zip([a, b], values, strict=True)))
    for k, x in enumerate((a, b)):
        np.testing.assert_allclose(from_function[k], expected[k], rtol=1e-8)
        np.testing.assert_allclose(from_node[x], expected[k], rtol=1e-8)


def test_differences_take_structures() -> None:
    a, b, p = sm.Variable("a", shape=(2,)), sm.Variable("b", shape=()), sm.Variable("p", shape=())
    y = {"value": sm.sin(a) * b * p, "rest": [b * p]}
    layers = {"a": [0.5, 1.0], "b": 3.0}
    slope = {"a": 6 * np.cos(layers["a"]), "b": 2 * np.sum(np.sin(layers["a"])) + 2}
    f = sm.compile([{"a": a, "b": b}, p], y)
    found = numerical_gradient(f, [layers, 2.0])
    by_node = numerical_gradient(f, {p: 2.0, b: 3.0, a: [0.5, 1.0]})
    of_nodes = numerical_gradient(y, {p: 2.0, b: 3.0, a: [0.5, 1.0]})
    for key, node in (("a", a), ("b", b)):
        np.testing.assert_allclose(found[0][key], slope[key], rtol=1e-7)
        np.testing.assert_allclose(by_node[node], slope[key], rtol=1e-7)
        np.testing.assert_allclose(of_nodes[node], slope[key], rtol=1e-7)
    alone = sm.compile({"a": a, "b": b}, sm.sum(a) * b)
    np.testing.assert_allclose(numerical_gradient(alone, layers)["b"], 1.5, rtol=1e-7)
    moved = directional_derivative(f, [layers, 2.0], [{"b": 1.0, "a": [0.0, 0.0]}, 0.0])
    np.testing.assert_allclose(moved["rest"][0], 2.0)
    np.testing.assert_allclose(moved["value"], 2 * np.sin(layers["a"]), rtol=1e-7)
    with pytest.raises(GradientError, match=r"direction\[0\] needs a dict.*'a' missing"):
        directional_derivative(f, [layers, 2.0], [{"b": 1.0}, 0.0])
    with pytest.raises(GradientError, match="must be a dict from variables"):
        numerical_gradient(y, {"p": 2.0})


def test_differences_refuse_what_cannot_move() -> None:
    with pytest.raises(GradientError, match="int64"):
        numerical_gradient(np.exp, np.array([1, 2]))
    with pytest.raises(GradientError, match="method"):
        numerical_gradient(np.exp, 1.0, method="sideways")
    with pytest.raises(GradientError, match="dict"):
        numerical_gradient(sm.Variable("x"), 1.0)


# Comparing graphs


def test_equal_graphs() -> None:
    def graph() -> sm.Graph:
        x = sm.Variable("x", shape=("n", 3))
        return sm.Graph(list(sm.value_and_gradients(sm.sin(x) * 2, [x])[1]), [x])

    assert_graphs_equal(graph(), graph())


DIFFERENT = {
    "op": lambda x: sm.cos(x) + x,
    "operand order": lambda x: x + sm.sin(x),
    "one node twice or two nodes": lambda x: sm.sin(x) + x * 1,
    "constant": lambda x: sm.sin(x) + 1.5,
    "attribute": lambda x: (sm.sin(x) + x).astype("float32"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_graphs(name: str) -> None:
    x = sm.Variable("x", shape=(3,))
    with pytest.raises(AssertionError, match=r"the graphs differ[\s\S]*return"):
        assert_graphs_equal(sm.sin(x) + x, DIFFERENT[name](x))


def test_constants_and_types_are_compared() -> None:
    x = sm.Variable("x", shape=(20,))
    values = np.arange(20.0)
    other = values.copy()
    other[19] = 0  # beyond what the text form shows
    assert_graphs_equal(x + values, x + values)
    for y in (x + other, sm.Variable("x", shape=(20,), dtype="float32") + values):
        with pytest.raises(AssertionError, match="the graphs differ"):
            assert_graphs_equal(x + values, y)


def test_sharing_is_compared() -> None:
    x = sm.Variable("x", shape=(3,))
    s = sm.sin(x)
    with pytest.raises(AssertionError, match="the graphs differ"):
        assert_graphs_equal(s + s, sm.sin(x) + sm.sin(x))
