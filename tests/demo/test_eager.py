"""symad.demo.eager: PyTorch's rules, on the graph's own gradient pass."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.demo import eager, training
from symad.demo.eager import Tensor, apply
from symad.demo.models import initial_weights
from symad.errors import FeedError, GradientError, ShapeError
from tests.support import homework_shim
from tests.support.homework_shim import HomeworkTensor

rng = np.random.default_rng(0)
Array = Any


def leaf(*shape: int, above: float = 0.0) -> Tensor:
    return Tensor(above + np.abs(rng.normal(size=shape)), requires_grad=True)


# What ops compute


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[int, ...]]]] = {
    # name: (of tensors, of arrays, shapes)
    "add": (operator.add, operator.add, [(3, 4), (4,)]),
    "subtract": (lambda x, y: 1 - x - y, lambda x, y: 1 - x - y, [(3, 1), (4,)]),
    "multiply": (operator.mul, operator.mul, [(3, 4), ()]),
    "divide": (operator.truediv, operator.truediv, [(3, 4), (3, 4)]),
    "divide a number": (lambda x: 2 / x, lambda x: 2 / x, [(3,)]),
    "power": (operator.pow, operator.pow, [(3,), (3,)]),
    "power of a number": (lambda x: 2.0**x, lambda x: 2.0**x, [(3,)]),
    "matmul": (operator.matmul, operator.matmul, [(2, 3, 4), (4, 5)]),
    "matmul with an array": (
        lambda x: np.eye(3) @ x @ np.ones((4, 2)), lambda x: x @ np.ones((4, 2)), [(3, 4)]
    ),
    "negate": (operator.neg, operator.neg, [(3,)]),
    "index": (lambda x: x[1:, 0], lambda x: x[1:, 0], [(3, 4)]),
    "gather": (lambda x: x[Tensor([0, 2, 0])], lambda x: x[[0, 2, 0]], [(3, 4)]),
    "sum": (lambda x: x.sum(1, keepdim=True), lambda x: x.sum(1, keepdims=True), [(3, 4)]),
    "sum over two axes": (lambda x: x.sum((0, 2)), lambda x: x.sum((0, 2)), [(2, 3, 4)]),
    "mean": (lambda x: x.mean(0), lambda x: x.mean(0), [(3, 4)]),
    "reshape": (lambda x: x.reshape(2, -1), lambda x: x.reshape(2, -1), [(3, 4)]),
    "transpose": (lambda x: x.transpose(0, 2), lambda x: x.swapaxes(0, 2), [(2, 3, 4)]),
    "transpose all, abs": (lambda x: abs(-x.T), lambda x: abs(-x.T), [(3, 4)]),
    "exp, log": (lambda x: x.exp() + x.log(), lambda x: np.exp(x) + np.log(x), [(3,)]),
    "tanh, relu": (
        lambda x: (x.tanh() - 0.5).relu(), lambda x: np.maximum(np.tanh(x) - 0.5, 0), [(3,)]
    ),
    "broadcast_to": (
        lambda x: eager.broadcast_to(x, (5, 3, 4)), lambda x: x + np.zeros((5, 3, 4)), [(3, 1)]
    ),
    "concat": (
        lambda x, y: eager.concat([x, y], axis=1), lambda x, y: np.concatenate([x, y], 1),
        [(3, 2), (3, 4)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str) -> None:
    of_tensors, of_arrays, shapes = CASES[name]
    xs = [leaf(*shape, above=0.5) for shape in shapes]
    y = of_tensors(*xs)
    expected = of_arrays(*[x.numpy() for x in xs])
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
    assert y.shape == np.shape(expected) and y.requires_grad and not y.is_leaf
    seed = rng.normal(size=y.shape)
    y.backward(seed)
    for slot, x in enumerate(xs):
        direction = rng.normal(size=x.shape)

        def moved(step: float, slot: int = slot, direction: Array = direction) -> float:
            arrays = [each.numpy() for each in xs]
            arrays[slot] = arrays[slot] + step * direction
            return float(np.sum(seed * of_arrays(*arrays)))

        slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
        assert x.grad is not None and x.grad.shape == x.shape
        assert np.sum(x.grad.numpy() * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_lazy_mode_gives_the_same_bits(name: str) -> None:
    """The same code builds a graph; its values, and those of a compiled function, are the same."""
    of_tensors, _, shapes = CASES[name]
    xs = [leaf(*shape, above=0.5) for shape in shapes]
    seed = np.ones(of_tensors(*xs).shape)
    of_tensors(*xs).backward(seed)
    at_once = [of_tensors(*xs), *[x.grad for x in xs]]
    for x in xs:
        x.grad = None
    with eager.lazy():
        y = of_tensors(*xs)
        y.backward(seed)
        later = [y, *[x.grad for x in xs]]
        assert "not computed" in repr(y)
    function = eager.compile(xs, later, backend="numpy")
    fed = function(*[x.numpy() for x in xs])
    for first, second, third in zip(at_once, later, fed, strict=True):
        assert first is not None and second is not None
        np.testing.assert_array_equal(first.numpy(), second.numpy())
        np.testing.assert_allclose(third, first.numpy(), rtol=1e-13)


def test_numbers_and_arrays_beside_tensors() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for y in (np.array([3.0, 4.0]) * x, x * np.array([3.0, 4.0]), x * [3.0, 4.0]):
        np.testing.assert_array_equal(y.numpy(), [3.0, 8.0])
        assert isinstance(y, Tensor) and y.requires_grad
    assert (Tensor([1.0], dtype="float32") * 2.5).dtype == np.float32
    np.testing.assert_array_equal(np.asarray(x), [1.0, 2.0])
    assert [float(item) for item in x] == [1.0, 2.0] and len(x) == 2
    assert (x == Tensor([1.0, 3.0])).numpy().tolist() == [True, False]
    assert (x > 1).numpy().tolist() == [False, True] == (1 < x).numpy().tolist()
    assert (x != 1).numpy().tolist() == [False, True] and int(x[1]) == 2
    assert not (x > 1).requires_grad and x.argmax().item() == 1
    assert bool(x[0] < x[1]) and {x: "a tensor is a key"}[x]


# PyTorch's rules


def test_gradients_accumulate() -> None:
    x = Tensor(3.0, requires_grad=True)
    (x * x).backward()
    (5 * x).backward()
    assert x.grad is not None and x.grad.item() == 6.0 + 5.0
    x.grad = None
    (x * x).backward()
    assert x.grad is not None and x.grad.item() == 6.0 and not x.grad.requires_grad


@pytest.mark.parametrize("is_lazy", [False, True])
def test_micro_batches_give_the_gradient_of_the_batch(is_lazy: bool) -> None:
    images, w = rng.normal(size=(8, 3)), leaf(3, 2)

    def loss(batch: Array) -> Tensor:
        return ((Tensor(batch) @ w).tanh() ** 2).sum() / len(images)

    loss(images).backward()
    whole, w.grad = w.grad, None
    with eager.lazy() if is_lazy else eager._setting(eager._IS_LAZY, False):
        for start in range(0, 8, 2):
            loss(images[start : start + 2]).backward()
    assert whole is not None and w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), whole.numpy(), rtol=1e-12)


def test_only_leaves_keep_gradients() -> None:
    x, fixed = Tensor(2.0, requires_grad=True), Tensor(7.0)
    h, kept = x * fixed, x + 1
    kept.retain_grad()
    (h * kept).backward()
    assert h.grad is None and fixed.grad is None
    assert kept.grad is not None and kept.grad.item() == 14.0
    assert x.grad is not None and x.grad.item() == 7 * 3 + 14


def test_a_leaf_that_plays_no_part_has_no_gradient() -> None:
    x, w = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    (x * w.detach()).backward()
    assert w.grad is None and x.grad is not None and x.grad.item() == 3.0


@pytest.mark.parametrize("is_lazy", [False, True])
def test_detach_and_no_grad_end_derivatives(is_lazy: bool) -> None:
    x = Tensor(3.0, requires_grad=True)
    with eager._setting(eager._IS_LAZY, is_lazy):
        with eager.no_grad():
            square = x * x
            is_large = square > 5
        y = x * x.detach() + x * x.data + x * square + is_large
        y.backward()
    assert not square.requires_grad and not x.detach().requires_grad
    assert x.grad is not None and x.grad.item() == 3 + 3 + 9
    assert y.item() == 9 + 9 + 27 + 1


def test_no_grad_decorates_a_function() -> None:
    @eager.no_grad()
    def square(x: Tensor) -> Tensor:
        return x * x

    x = Tensor(2.0, requires_grad=True)
    assert not square(x).requires_grad and square(x).is_leaf and (x * x).requires_grad


def test_a_step_of_descent() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    same = w
    (w * w).sum().backward()
    with eager.no_grad():
        w -= 0.25 * w.grad
    assert w is same and w.requires_grad and w.is_leaf
    w.data = w.data - 0.5
    assert w.numpy().tolist() == [0.0, 0.5]
    w.data = np.ones(2)
    assert w.numpy().tolist() == [1.0, 1.0]
    total = Tensor(0.0)
    for _ in range(3):
        total += (w * w).sum()
    total.backward()
    assert total.item() == 6.0 and w.grad is not None and w.grad.numpy().tolist() == [8.0, 10.0]


def test_gradients_of_gradients() -> None:
    x = Tensor(2.0, requires_grad=True)
    (x**4).backward(create_graph=True)
    for expected in (4 * 2**3, 12 * 2**2, 24 * 2):
        slope, x.grad = x.grad, None
        assert slope is not None and slope.item() == expected and slope.requires_grad
        slope.backward(create_graph=True)


def test_values_do_not_share_memory() -> None:
    given = np.ones(2)
    x = Tensor(given)
    given[0] = 5
    x.numpy()[0] = 7
    x.reshape(2, 1).numpy()[0] = 8
    assert x.numpy().tolist() == [1.0, 1.0]


# Lazy mode


def train(step: Callable[..., Any], images: Array, labels: Array, w: Array) -> Array:
    for start in range(0, len(images), 4):
        w = step(images[start : start + 4], labels[start : start + 4], w)
    return w


def step_of(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the next weights: the same code is eager or builds a graph."""
    w.grad = None
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    with eager.no_grad():
        return w - 0.1 * w.grad


def test_the_same_step_runs_at_once_or_is_compiled_and_fed() -> None:
    images, labels, start = rng.normal(size=(10, 3)), rng.normal(size=10), np.zeros(3)

    def at_once(x: Array, y: Array, w: Array) -> Array:
        return step_of(Tensor(x), Tensor(y), Tensor(w, requires_grad=True)).numpy()

    x, y = eager.placeholder("x", ("n", 3)), eager.placeholder("y", ("n",))
    w = Tensor(start, requires_grad=True, name="w")
    with eager.lazy():
        new = step_of(x, y, w)
    compiled = eager.compile([x, y, w], new)  # takes batches of 4 and of 2
    np.testing.assert_allclose(
        train(compiled, images, labels, start), train(at_once, images, labels, start), rtol=1e-12
    )


def test_a_placeholder_has_no_value() -> None:
    x = eager.placeholder("x", (2,))
    with eager.lazy():
        y = (x * x).sum()
    assert y.shape == () and repr(y) == "Tensor(sum(x * x), not computed)"
    for ask in (y.item, lambda: x + 1):
        with pytest.raises(FeedError, match="'x' is a placeholder") as caught:
            ask()
        assert "test_eager.py" in caught.value.where and "eager.compile" in caught.value.remedy


# Errors


def test_errors_say_what_to_do() -> None:
    x, fixed = Tensor([1.0, 2.0], requires_grad=True), Tensor(1.0)
    y = x * x
    with pytest.raises(GradientError, match="needs the adjoint of each") as caught:
        y.backward()
    assert ".sum()" in caught.value.remedy and "y = x * x" in caught.value.where
    with pytest.raises(GradientError, match="does not require a gradient"):
        (fixed * 2).backward()
    with pytest.raises(GradientError, match=re.escape("no_grad()")):
        x -= 1.0
    with pytest.raises(GradientError, match="dtype int64 cannot require"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(ShapeError, match=re.escape("(2,) and (3,)")):
        x + Tensor(np.ones(3))
    with pytest.raises(AttributeError, match="sofmax.*softmax"):
        eager.sofmax  # noqa: B018
    with pytest.raises(AttributeError, match="'linalg' is no function of tensors"):
        eager.linalg  # noqa: B018
    assert apply(sm.linalg.det, Tensor(np.eye(2))).item() == 1.0


@pytest.mark.parametrize("data", [[1.0], [1j, 2.0], 3.0])
def test_data_that_do_not_fit_are_refused(data: Any) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(FeedError, match="cannot replace"):
        x.data = data
    with pytest.raises(FeedError, match="Only a leaf"):
        (x * 2).data = [1.0, 2.0]


def test_a_leaf_that_changed_since_is_reported() -> None:
    """A gradient of old and new values would be silently wrong."""
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    with eager.lazy():
        z = x * x
    x.data = 5.0
    for ask in (y.backward, lambda: z.value):
        with pytest.raises(GradientError, match="has got new data since") as caught:
            ask()
        assert "x * x" in caught.value.where
    assert x.grad is None and (x * x).item() == 25.0


# Size


def test_long_chains_take_no_recursion() -> None:
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.001
    y.backward()
    assert x.grad is not None and x.grad.item() == pytest.approx(1.001**3000)
    assert len(y.history()) == 3001


def test_results_without_derivatives_keep_nothing() -> None:
    x = Tensor(1.0)
    for _ in range(10):
        x = x * 2
    assert x.is_leaf and len(x.history()) == 1 and not x.node.inputs


# The adapter to the homework


def test_the_adapter_has_the_rules_of_the_homework() -> None:
    x, y = HomeworkTensor([6]), HomeworkTensor([0])
    z = x * x + x * y
    z.backward()
    slope = x.grad
    assert slope is not None and slope.numpy() == 12
    slope.backward()
    assert x.grad is not None and x.grad.numpy() == 2  # replaced, not 12 + 2
    a = HomeworkTensor([[3.0]])
    order = homework_shim.modules()["needle.autograd"].find_topo_sort([2 * a * a - a])
    assert [float(each.numpy()[0, 0]) for each in order] == [3.0, 6.0, 18.0, -3.0, 15.0]
    w = HomeworkTensor(np.ones((2, 3)))
    out = apply(homework_shim.transpose, w)
    (partial,) = out.op.gradient_as_tuple(HomeworkTensor(np.ones((3, 2))), out)
    assert partial.shape == (2, 3)


def test_an_epoch_is_that_of_the_compiled_step() -> None:
    images = rng.random((50, 12)).astype(np.float32)
    labels = rng.integers(0, 4, 50)
    weights = initial_weights(12, 8, 4)
    found = homework_shim.nn_epoch(images, labels, *map(HomeworkTensor, weights), 0.2, 16)
    expected = training.nn_epoch(images, labels, *weights, 0.2, 16)
    for mine, compiled in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), compiled, rtol=2e-6, atol=1e-7)


def test_gradients_are_those_of_the_pass() -> None:
    x = leaf(3, 4)
    eager.logsumexp(x, axis=1).mean().backward()
    node = sm.Variable("x", (3, 4))
    slope = sm.gradients(sm.mean(sm.logsumexp(node, axis=1)), node)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), slope.eval({node: x.numpy()}))
    assert eager.zeros((2,)).numpy().tolist() == [0.0, 0.0]
