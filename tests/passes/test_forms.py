"""Derivatives are taken of stable forms: which are found, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.passes import forms
from symad.passes.rule import Rule
from symad.passes.rules import rules_of_forms
from tests.passes.test_rules import Example, draw, examples_of

MENDING = [
    example for rule in rules_of_forms() if rule.mends
    for example in examples_of(rule) if "float32" not in example.label  # type: ignore[arg-type]
]  # fmt: skip


def stable_forms(outputs: list[Node], targets: Any) -> dict[Node, Node]:
    return forms.stable_forms(outputs, targets, 1)


def cosines(x: Node) -> Any:
    """Return different weights for the elements of ``x``."""
    shape: Any = x.type.shape  # type: ignore[union-attr]
    return np.cos(np.arange(float(np.prod(shape)))).reshape(shape)


def derivatives(example: Example, written: bool) -> list[Node]:
    """Return first and second derivatives by all variables, of the formula as written or not."""
    xs = list(example.variables)
    weights = [cosines(x) for x in xs]

    def gradients(y: Node) -> list[Node]:
        if not written:
            return sm.gradients(y, xs, unused="zero")
        found = sm.extend(y, xs).adjoints
        return [found.get(x, sm.zeros_like(x)) for x in xs]

    first = gradients(sm.sum(example.root * cosines(example.root)))
    total = sm.add_n([sm.sum(g * w) for g, w in zip(first, weights, strict=True)])
    return [*first, *gradients(total)]


@pytest.mark.parametrize("example", MENDING, ids=[example.label for example in MENDING])
def test_mending_rules_keep_derivatives(example: Example) -> None:
    """Where nothing overflows, derivatives of both sides agree; a rule that mends finds a form."""
    assert stable_forms([example.root], example.variables), "no form"
    xs = list(example.variables)
    graph = [*derivatives(example, written=True), *derivatives(example, written=False)]
    f = sm.compile(xs, graph, backend="numpy", rewrites="exact")
    rng = np.random.default_rng(3)
    for _ in range(4):
        found = f(*draw(example, rng, None))
        half = len(found) // 2
        for written, stable in zip(found[:half], found[half:], strict=True):
            np.testing.assert_allclose(stable, written, rtol=1e-7, atol=1e-8)


x = sm.Variable("x")


def test_a_graph_without_such_formulas_is_differentiated_as_it_is() -> None:
    a, b = sm.Variable("a"), sm.Variable("b")
    for y in (sm.log(a) + a * b - sm.sin(b), sm.exp(a) * b, a * a + sm.sqrt(a + b), sm.tanh(a @ b)):
        assert stable_forms([y], [a, b]) == {}


def test_only_the_formula_is_replaced() -> None:
    """The nodes above and below a formula keep their adjoints."""
    inner = sm.sin(x)
    y = sm.cos(sm.log(1 + sm.exp(inner)))
    softplus = y.inputs[0]
    assert list(stable_forms([y], [x])) == [softplus]
    gradient = sm.gradients(y, x)
    nodes = topological_order([gradient])
    assert inner in nodes or x in nodes
    names = {node.op.name for node in nodes if node.op is not None}
    assert "sigmoid" in names and "divide" not in names


def test_a_formula_written_twice_has_one_form() -> None:
    found = stable_forms([sm.log(1 + sm.exp(x)) * sm.log(sm.exp(x) + 1)], [x])
    assert len(found) == 2
    first, second = found.values()
    assert first is second or second in found


def test_no_formula_reaches_through_a_target() -> None:
    u = sm.exp(x)
    y = sm.log(u)
    assert stable_forms([y], [u]) == {}
    assert sm.gradients(y, u).eval({x: 2.0}) == pytest.approx(np.exp(-2.0))
    c = sm.constant(1.0)
    assert sm.gradients(sm.log(c + sm.exp(x)), c).eval({x: 0.0}) == 0.5


def test_stop_gradient_is_respected() -> None:
    y = sm.log(sm.stop_gradient(sm.exp(x)) * x)
    assert sm.gradients(y, x).eval({x: 2.0}) == 0.5


def test_extend_is_the_lecture() -> None:
    """The record shows the graph as it is written."""
    y = sm.log(1 + sm.exp(x))
    record = sm.extend(y, [x])
    assert [node.label for node in record.adjoints] == ["log", "add", "exp", "x"]
    assert sm.tangents(y, x)[y.inputs[0]] is not None


@pytest.mark.parametrize(
    "write",
    [
        lambda x: sm.exp(x) / sm.sum(sm.exp(x), axis=1, keepdims=True),
        lambda x: sm.log(sm.sum(sm.exp(x), axis=1)), lambda x: sm.log(sm.mean(sm.exp(x), axis=1)),
        lambda x: sm.log(sm.prod(sm.exp(x), axis=1)), lambda x: sm.log(1 + sm.exp(x)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3), ("n", 3), ("n", "m"), None], ids=str)
def test_shapes_may_be_unknown(write: Callable[[Any], Node], shape: Any) -> None:
    z = sm.Variable("z", shape=shape)
    y = write(z)
    value, gradient = sm.compile([z], [y, sm.gradients(y, z)])(np.array([[800.0, 0, 1], [0, 1, 2]]))
    assert np.isfinite(value).all() and np.isfinite(gradient).all()


def test_rules_of_forms_change_no_meaning() -> None:
    names = {rule.name for rule in rules_of_forms() if isinstance(rule, Rule)}
    assert "stop gradient" not in names


# Sums of exponentials less their largest exponent

Z = sm.Variable("Z", shape=(3, 3))


def by_hand(x: Any, axis: Any, spread: Any, back: Any, keepdims: bool = False) -> Node:
    """Return logsumexp as one writes it: ``spread`` and ``back`` bring the maximum in place."""
    top = sm.max(x, axis=axis, keepdims=keepdims)
    return sm.log(sm.sum(sm.exp(x - spread(top)), axis=axis)) + back(top)


def same(m: Any) -> Any:
    return m


BY_HAND = {
    "of all": lambda x: by_hand(x, None, same, same),
    "of columns": lambda x: by_hand(x, 0, same, same),
    "indexed": lambda x: by_hand(x, 1, lambda m: m[:, None], same),
    "expanded": lambda x: by_hand(x, -1, lambda m: sm.expand_dims(m, -1), same),
    "reshaped": lambda x: by_hand(x, 1, lambda m: m.reshape((3, 1)), same),
    "kept, squeezed": lambda x: by_hand(x, 1, same, lambda m: sm.squeeze(m, 1), True),
    "kept, indexed": lambda x: by_hand(x, 1, same, lambda m: m[..., 0], True),
    "constant maximum": lambda x: by_hand(x, 0, sm.stop_gradient, sm.stop_gradient),
}
OTHERWISE = {
    "other axis": lambda x: by_hand(x, 1, same, same),
    "turned": lambda x: by_hand(x, 1, lambda m: m[::-1, None], same),
    "of another": lambda x: sm.log(sm.sum(sm.exp(x - sm.max(x * 2)))) + sm.max(x * 2),
    "stopped inside": lambda x: by_hand(x, 0, sm.stop_gradient, same),
    "stopped outside": lambda x: by_hand(x, 0, same, sm.stop_gradient),
    "not added": lambda x: sm.log(sm.sum(sm.exp(x - sm.max(x)))) + sm.max(x, axis=0),
}


@pytest.mark.parametrize("write", BY_HAND.values(), ids=BY_HAND)
def test_a_maximum_that_is_added_again_has_no_part_in_the_derivative(write: Any) -> None:
    y = write(Z)
    g = sm.gradients(sm.sum(y), Z)
    assert "where" not in {n.op.name for n in topological_order([g]) if n.op is not None}
    value, slopes = sm.compile([Z], [y, g])([[1e3, 1e3, -1e3], [0, 1, 2], [-np.inf, 5, 5]])
    assert np.isfinite(value).all() and np.isfinite(slopes).all()
    assert np.sum(slopes) == pytest.approx(np.size(value), rel=1e-15)


@pytest.mark.parametrize("write", OTHERWISE.values(), ids=OTHERWISE)
def test_other_differences_stay(write: Any) -> None:
    y = write(Z)
    total = sm.sum(y * cosines(y))
    value = np.random.default_rng(0).standard_normal((3, 3))
    found = sm.compile([Z], [total, sm.gradients(total, Z)])(value)
    adjoints = sm.extend(total, [Z]).adjoints
    plain = sm.compile([Z], [total, adjoints[Z]], rewrites="exact", backend="numpy")(value)
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


OF_ONE_SHARE: dict[str, Callable[[Node, Node], Node]] = {
    "item": lambda p, k: p[2],
    "label": lambda p, k: p[k],
    "slice": lambda p, k: p[2:],
    "labels": lambda p, k: p[np.array([2])],
    "take": lambda p, k: sm.take_along_axis(p, sm.reshape(k, (1,)), axis=0),
    "row": lambda p, k: sm.reshape(p, (1, 3))[0, 2],
    "column": lambda p, k: sm.transpose(p[None])[2],
    "from the end": lambda p, k: sm.flip(p)[:1],
    "doubled": lambda p, k: 2.0 * p[2] / 2.0,
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_logarithms_of_shares_have_derivatives_where_the_share_vanishes(backend: str) -> None:
    """ln p_2 of the softmax p of (x, 0, -x) is -2x where x is large."""
    x, k = sm.Variable("x", ()), sm.Variable("k", (), "int64")
    p = sm.softmax(sm.stack([x, 0 * x, -x]))
    values = [sm.sum(sm.log(take(p, k))) for take in OF_ONE_SHARE.values()]
    first = [sm.gradients(y, x) for y in values]
    second = [sm.gradients(g, x) for g in first]
    found = sm.compile([x, k], [values, first, second], backend=backend)(400.0, 2)
    np.testing.assert_array_equal(found[0], -800.0)
    np.testing.assert_array_equal(found[1], -2.0)
    np.testing.assert_allclose(found[2], -np.exp(-400.0), rtol=1e-13)


VANISHING: dict[str, tuple[Callable[[Node], Node], Callable[[Any], Any]]] = {
    "shares": (
        lambda x: sm.log(3 * shares(x)[1] * shares(x)[2]), lambda x: mp.log(3) + ln(x, 1) + ln(x, 2)
    ),
    "ratio": (lambda x: sm.log(shares(x)[2] / shares(x)[0]), lambda x: -2 * x),
    "power": (lambda x: sm.log(shares(x)[2] ** 2.5), lambda x: 2.5 * ln(x, 2)),
    "log2": (lambda x: sm.log2(shares(x)[2]), lambda x: ln(x, 2) / mp.log(2)),
    "log10": (lambda x: sm.log10(sm.sigmoid(-x)), lambda x: -mp.log10(1 + mp.exp(x))),
    "complement": (
        lambda x: sm.log(sm.sigmoid(x) * (1 - sm.sigmoid(x))),
        lambda x: -mp.log(1 + mp.exp(x)) - mp.log(1 + mp.exp(-x)),
    ),
    "odds": (lambda x: sm.log(sm.sigmoid(x) / (1 - sm.sigmoid(x))), lambda x: x),
    "mixture": (
        lambda x: sm.log(0.25 * sm.exp(-(x**2)) + 0.5 * sm.exp(-((x - 1) ** 2))),
        lambda x: mp.log(mp.exp(-(x**2)) / 4 + mp.exp(-((x - 1) ** 2)) / 2),
    ),
    "densities": (
        lambda x: sm.log(0.5 * sm.stats.norm.pdf(x) + 0.5 * sm.stats.norm.pdf(x, 1.0, 2.0)),
        lambda x: mp.log(mp.npdf(x) / 2 + mp.npdf(x, 1, 2) / 2),
    ),
    "three": (
        lambda x: sm.log(1 + sm.exp(2 * x) + sm.exp(x)),
        lambda x: mp.log(1 + mp.exp(2 * x) + mp.exp(x)),
    ),
    "erfc": (lambda x: sm.log(sm.erfc(x)), lambda x: mp.log(mp.erfc(x))),
    "cdf": (lambda x: sm.log(sm.stats.norm.cdf(-x)), lambda x: mp.log(mp.erfc(x / mp.sqrt(2)) / 2)),
    "tanh slope": (lambda x: sm.log(1 - sm.tanh(x) ** 2), lambda x: -2 * mp.log(mp.cosh(x))),
    "tanh slope 1p": (
        lambda x: sm.log1p(-sm.square(sm.tanh(x))), lambda x: -2 * mp.log(mp.cosh(x)),
    ),
    "tanh": (
        lambda x: sm.log(1 - sm.tanh(x)) + sm.log(1 + sm.tanh(-x)),
        lambda x: 2 * mp.log(2) - 2 * mp.log(1 + mp.exp(2 * x)),
    ),
    "atanh": (lambda x: x * sm.atanh(sm.tanh(x)), lambda x: x**2),
}  # fmt: skip


def ln(x: Any, k: int) -> Any:
    return (x, 0, -x)[k] - mp.log(mp.exp(x) + 1 + mp.exp(-x))


def shares(x: Node) -> Node:
    return sm.softmax(sm.stack([x, 0 * x, -x]))


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", VANISHING)
def test_logarithms_of_what_vanishes(name: str, backend: str) -> None:
    """The value and both derivatives are those of the logarithm, where its argument is 0."""
    write, exact = VANISHING[name]
    x = sm.Variable("x", ())
    y = write(x)
    first = sm.gradients(y, x)
    second = sm.gradients(first, x, unused="zero")
    f = sm.compile([x], [y, first, second], backend=backend)
    with mp.workdps(60):
        for at in (0.75, 30.0, 400.0):
            wanted = [float(mp.diff(exact, at, order)) for order in range(3)]
            np.testing.assert_allclose(f(at), wanted, rtol=1e-12, atol=1e-11)
