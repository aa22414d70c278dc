"""The exercises: right answers are right, wrong ones get a hint, and notebooks ask for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.demo import eager
from symad.demo.eager import Tensor
from symad.demo.exercises.answers import EXERCISES, check
from symad.graph.sample import Sample, reals
from symad.graph.traverse import topological_order
from symad.ops.base import Unary

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))


def variable(name: str = "x", **form: Any) -> sm.Variable:
    return sm.Variable(name, **form)


def three_uses() -> Any:
    x = variable()
    return sm.sin(x) + x * sm.constant(2.0) + sm.exp(x), x


def two_uses() -> Any:
    x = variable()
    return x * x, x


def orders(reverse: bool) -> Any:
    x = variable()
    y = sm.sin(x) * sm.exp(x)
    nodes = topological_order([y])
    return y, x, nodes[::-1] if reverse else nodes


def additions() -> Any:
    x = variable()
    return (x + 1) + 2, x


def compiled(outputs: Callable[[sm.Variable], Any], **form: Any) -> Any:
    x = variable(**form)
    return sm.compile([x], outputs(x))


def tanh_squared(x: sm.Variable) -> Any:
    y = sm.tanh(x) ** 2
    return [y, sm.gradients(y, x)]


def mean_of_products(**form: Any) -> Any:
    x, w = variable(**form), variable("w", shape=(3,))
    return sm.compile([x, w], sm.mean(x @ w))


def halver(factor: float) -> Any:
    w = sm.parameter("w", 8.0)
    return sm.compile([], w, updates={w: w * factor}), w


def nothing_left() -> Any:
    x = variable()
    return sm.negative(sm.negative(x * 1)) + 0 * 1, x


def written_twice() -> Any:
    x = variable()
    return sm.sin(x) * 2 + sm.exp(sm.sin(x)), x


def once() -> Any:
    x = variable()
    return sm.sin(x) * 2, x


def cubic(factor: float) -> Any:
    x = variable()
    return factor * x**3 + x, x


def softmax_gradient(logits: Any, labels: Any) -> Any:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return (weights - np.eye(logits.shape[1])[labels]) / len(labels)


def newton(y: sm.Node, x: sm.Node) -> sm.Node:
    slope = sm.gradients(y, x)
    return x - slope / sm.gradients(slope, x)


def hessian_product(y: sm.Node, x: sm.Node, v: sm.Node) -> sm.Node:
    return sm.gradients(sm.sum(sm.gradients(y, x) * v), x)


half_relu = sm.custom(
    lambda x: sm.relu(x), reverse=lambda v, y, x: v * sm.where(sm.equal(x, 0), 0.5, x > 0)
)
through = sm.custom(lambda x: sm.round(x), reverse=lambda v, y, x: v)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    from symad.graph import op, operators

    monkeypatch.setattr(op, "OP_CLASSES", dict(op.OP_CLASSES))
    monkeypatch.setattr(operators, "FUNCTIONS", dict(operators.FUNCTIONS))

    class Bell(Unary):
        """Return exp(-x²)."""

        name = "bell"
        numpy = staticmethod(lambda x: np.exp(-(x**2)))
        chain = (lambda v, y, x: -2 * v * x * y,)
        samples = (Sample(lambda x: Bell()(x), [reals(3)]),)

    return Bell()


def gradient_of_dict() -> Any:
    x, y = variable("x"), variable("y")
    return x * y, {"first": x, "rest": [y]}


def accumulate(w: Tensor, parts: list[Any]) -> None:
    rows = sum(map(len, parts))
    for part in parts:
        (((Tensor(part) @ w) ** 2).sum() / rows).backward()


def eager_step(rate: float) -> Any:
    x, w = eager.placeholder("x", ("n", 3)), Tensor(np.zeros(3), requires_grad=True)
    with eager.lazy():
        ((x @ w) ** 2).mean().backward()
        return eager.compile([x, w], w - rate * w.grad)


def contrastive_gradient(s: Any, t: float) -> Any:
    weights = np.exp(s / t)
    return (weights / weights.sum(1, keepdims=True) - np.eye(len(s))) / len(s) / t


ANSWERS: dict[str, tuple[Any, Any]] = {
    # name: (a right answer, a wrong one)
    "four ways 1": (2, 1),
    "four ways 2": (8 * 6, 56),
    "four ways 3": (["forward", "reverse"], ["reverse", "forward"]),
    "running 1": ((2.0, -np.cos(5.0)), (2.0, 0.0)),
    "running 2": ((0.5, -2.0), (1.0, 1.0)),
    "running 3": (three_uses, two_uses),
    "extending 1": (6, 5),
    "extending 2": (lambda: orders(True), lambda: orders(False)),
    "extending 3": (additions, two_uses),
    "tensors 1": ((10,), (50, 10)),
    "tensors 2": (lambda: lambda x, z: x.T @ z, lambda: lambda x, z: z.T @ x),
    "tensors 3": (
        lambda: lambda z: z.sum(axis=1, keepdims=True),
        lambda: lambda z: z.sum(axis=1),
    ),
    "structures 1": (["a", "c"], ["a", "b"]),
    "structures 2": (gradient_of_dict, two_uses),
    "structures 3": (
        lambda: compiled(
            lambda x: {"value": sm.sum(x * x), "gradient": sm.gradients(sm.sum(x * x), x)}
        ),
        lambda: compiled(lambda x: {"value": sm.sum(x * x), "gradient": x}),
    ),
    "compiling 1": (lambda: compiled(tanh_squared), lambda: compiled(lambda x: [x, x])),
    "compiling 2": (
        lambda: mean_of_products(shape=("n", 3)),
        lambda: mean_of_products(shape=(7, 3)),
    ),
    "compiling 3": (lambda: halver(0.5), lambda: halver(0.25)),
    "passes 1": (1000.0, 10.0),
    "passes 2": (nothing_left, once),
    "passes 3": (written_twice, once),
    "digits 1": (np.log(100), np.log(10)),
    "digits 2": (79500, 785),
    "digits 3": (lambda: softmax_gradient, lambda: lambda z, y: z * 0),
    "second order 1": (lambda: cubic(2.0), lambda: cubic(1.0)),
    "second order 2": (lambda: newton, lambda: lambda y, x: x - sm.gradients(y, x) * 0.1),
    "second order 3": (lambda: hessian_product, lambda: lambda y, x, v: v * 1),
    "eager 1": (11.0, 5.0),
    "eager 2": (lambda: accumulate, lambda: lambda w, parts: ((Tensor(parts[0]) @ w) ** 2).mean()),
    "eager 3": (lambda: eager_step(0.1), lambda: eager_step(0.2)),
    "paper 1": (6, 5),
    "paper 2": (lambda: contrastive_gradient, lambda: lambda s, t: contrastive_gradient(s, 1.0)),
    "paper 3": (
        lambda: lambda mu, logvar: (mu, (np.exp(logvar) - 1) / 2),
        lambda: lambda mu, logvar: (-mu, (1 - np.exp(logvar)) / 2),
    ),
    "own op 1": (lambda: half_relu, lambda: sm.relu),
    "own op 3": (lambda: through, lambda: sm.round),
}


def answer(given: Any) -> Any:
    """Return an answer; those that need nodes are made here, one at a time."""
    return given() if callable(given) and not isinstance(given, sm.Function) else given


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_are_right(name: str) -> None:
    verdict = check(name, answer(ANSWERS[name][0]))
    assert verdict and re.fullmatch(r"Right\. \d+ of \d+ exercises are solved\.", repr(verdict))
    assert "✓" in verdict._repr_html_()


@pytest.mark.parametrize("name", ANSWERS)
def test_wrong_answers_get_a_hint(name: str) -> None:
    verdict = check(name, answer(ANSWERS[name][1]))
    assert not verdict and verdict.message.startswith("Not yet: ") and len(verdict.message) > 20


def test_an_op_of_ones_own(bell: Callable[..., Any]) -> None:
    assert check("own op 2", bell)
    assert not check("own op 2", lambda x: sm.exp(-x * x))
    wrong = sm.custom(lambda x: sm.exp(-x * x), reverse=lambda v, y, x: v * y)
    assert not check("own op 2", wrong)


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_and_nonsense_are_told_kindly(name: str) -> None:
    assert repr(check(name)) == "Not answered yet."
    for nonsense in (None, "x", object(), (), (1, 2), lambda *args: None, 0.123):
        verdict = check(name, nonsense)
        assert verdict.message.startswith("Not yet: ") and "✗" in verdict._repr_html_()
    for nonsense in (None, object(), 1j):  # which no exercise asks for
        message = check(name, nonsense).message
        assert not any(word in message for word in ("unpack", "convert", "not iterable"))


def test_answers_of_another_form_are_told_the_form() -> None:
    assert check("running 3", 5).message == "Not yet: Give a pair (y, x) of nodes."
    assert check("tensors 1", 10).message == "Not yet: Give a shape, a tuple of whole numbers."
    assert check("extending 3", (1, 2)).message == (
        "Not yet: y is 1, which is not a node. An answer is a pair (y, x) of nodes."
    )
    node = sm.Variable("x") * 2
    assert check("digits 2", node).message.endswith("An answer is a whole number.")
    for wrong in (lambda x: x, lambda x, y: None, int):  # of the exercise, not of the answer
        assert "raises" not in check("tensors 2", wrong).message
    assert check("own op 1", lambda x: None).message == "Not yet: Give a function of a node."
    raised = check("tensors 2", lambda x, y: x / "<y>").message
    assert raised.startswith("Not yet: your function raises ") and "'<y>'" not in raised


@pytest.mark.parametrize("name", [n for n, one in EXERCISES.items() if one.form == "a number"])
@pytest.mark.parametrize("other", [None, "7", [7.0], np.ones(2), True, 1j, {}, lambda: 7.0])
def test_what_is_not_a_number_gets_no_hint_on_its_value(name: str, other: Any) -> None:
    assert check(name, other).message == "Not yet: Give a number."


def test_unknown_exercises_are_told_which_there_are() -> None:
    with pytest.raises(KeyError, match="no exercise 'tensor 2'. Did you mean 'tensors 2'"):
        check("tensor 2", 1)
    with pytest.raises(sm.SymadError, match="four ways 1, four ways 2") as caught:
        check("nope", 1)
    assert "second order 3" in str(caught.value)
    with pytest.raises(KeyError, match="no exercise 3"):
        check(3, 1)  # type: ignore[arg-type]


def test_hints_are_short() -> None:
    assert len(check("digits 3", sm.compile).message) < 250  # not with the whole array that it got


def test_each_exercise_is_answered_here() -> None:
    assert set(ANSWERS) | {"own op 2"} == set(EXERCISES)


@pytest.mark.parametrize("path", [*NOTEBOOKS[:10], *NOTEBOOKS[12:]], ids=lambda path: path.stem)
def test_a_notebook_ends_with_three_exercises(path: Path) -> None:
    asked = re.findall(r'^check\("([^"]+)", answer\)$', path.read_text("utf-8"), re.M)
    assert len(asked) == 3 and len({name[:-2] for name in asked}) == 1
    assert set(asked) <= set(EXERCISES)


def test_all_exercises_are_in_notebooks() -> None:
    texts = "".join(path.read_text("utf-8") for path in NOTEBOOKS)
    assert all(f'check("{name}", answer)' in texts for name in EXERCISES)
