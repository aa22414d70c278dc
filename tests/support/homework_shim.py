"""The framework of a course's first homework by symad: a plugin of pytest for its tests.

In a checkout of https://github.com/dlsyscourse/hw1::

    PYTHONPATH=/path/to/symad python -m pytest -p tests.support.homework_shim tests

``needle`` is :mod:`symad.demo.eager` under the names of the homework, where a tensor requires a
gradient unless told otherwise, integers count as real numbers, every gradient can be differentiated
again, and each call of ``backward`` replaces the gradients of the last.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import symad as sm
from symad.demo import eager, parse_mnist
from symad.demo.eager import apply


class HomeworkTensor(eager.Tensor):
    """An eager tensor as the homework has it."""

    def __init__(self, array: Any, requires_grad: bool = True, dtype: Any = None) -> None:
        array = np.asarray(array, dtype)
        super().__init__(array if array.dtype.kind == "f" else array * 1.0, requires_grad)

    def realize_cached_data(self) -> Any:
        return self.value  # the array itself: the tests change its elements

    @property
    def op(self) -> Any:
        return SimpleNamespace(gradient_as_tuple=adjoints_of_inputs)

    def backward(self, gradient: Any = None, create_graph: bool = True) -> None:
        for tensor in self.history():
            tensor.grad = None
        super().backward(np.ones(self.shape) if gradient is None else gradient, create_graph)

    def __sub__(self, other: Any) -> Any:  # in two steps, as the homework counts nodes
        return self + -other

    def sum(self, axes: Any = None) -> Any:  # type: ignore[override]
        return apply(sm.sum, self, axis=axes)

    def reshape(self, shape: Any) -> Any:  # type: ignore[override]
        return apply(sm.reshape, self, shape)


def adjoints_of_inputs(adjoint: eager.Tensor, out: eager.Tensor) -> tuple[Any, ...]:
    """Return the partial adjoint of each input of the op that made ``out``."""
    out.backward(adjoint)
    return tuple(tensor.grad for tensor in out.inputs)


def transpose(x: sm.Node, axes: Any = None) -> sm.Node:
    return sm.swapaxes(x, *(axes or (-1, -2)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "add_scalar": lambda x, scalar: x + scalar,
    "multiply": operator.mul,
    "mul_scalar": lambda x, scalar: x * scalar,
    "power": operator.pow,
    "power_scalar": lambda x, scalar: x**scalar,
    "divide": operator.truediv,
    "divide_scalar": lambda x, scalar: x / scalar,
    "negate": operator.neg,
    "matmul": operator.matmul,
    "transpose": transpose,
    "reshape": sm.reshape,
    "broadcast_to": sm.broadcast_to,
    "summation": lambda x, axes=None: sm.sum(x, axis=axes),
    "log": sm.log,
    "exp": sm.exp,
    "relu": sm.relu,
}


# The training of the homework, in PyTorch's words


def softmax_loss(logits: Any, one_hot: Any) -> Any:
    scores = apply(sm.logsumexp, logits, axis=1)
    return (scores - (logits * one_hot).sum(1)).mean()


def one_hot(labels: Any, classes: int) -> HomeworkTensor:
    return HomeworkTensor(np.eye(classes)[labels], requires_grad=False)


def nn_epoch(
    images: Any, labels: Any, w1: Any, w2: Any, lr: float = 0.1, batch: int = 100
) -> tuple[Any, Any]:
    for start in range(0, len(images), batch):
        x = HomeworkTensor(images[start : start + batch], requires_grad=False)
        y = one_hot(labels[start : start + batch], w2.shape[1])
        softmax_loss((x @ w1).relu() @ w2, y).backward(create_graph=False)
        with eager.no_grad():
            w1 -= lr * w1.grad
            w2 -= lr * w2.grad
    return w1, w2


def loss_err(logits: Any, labels: Any) -> tuple[Any, Any]:
    loss = softmax_loss(logits, one_hot(labels, logits.shape[1]))
    return loss.numpy(), np.mean(logits.numpy().argmax(1) != labels)


def numerical_gradient(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function of an array that computes the gradient by central differences."""

    def at(point: Any) -> Any:
        start = np.asarray(point, float).ravel()
        steps = 1e-5 * np.eye(start.size)
        return np.array([(function(start + h) - function(start - h)) / 2e-5 for h in steps])

    return at


def modules() -> dict[str, ModuleType]:
    """Return the modules that the tests import."""
    contents: dict[str, dict[str, Any]] = {
        "needle.autograd": {"find_topo_sort": lambda tensors: tensors[0].history()},
        "needle": {
            "Tensor": HomeworkTensor,
            **{name: partial(apply, function) for name, function in FUNCTIONS.items()},
        },
        "simple_ml": {
            each.__name__: each for each in (parse_mnist, softmax_loss, nn_epoch, loss_err)
        },
        "numdifftools": {"Gradient": numerical_gradient},
        "mugrade": {},
    }
    made = {name: ModuleType(name) for name in contents}
    for name, content in contents.items():
        vars(made[name]).update(content)
    made["needle"].autograd = made["needle.autograd"]  # type: ignore[attr-defined]
    return made


def pytest_configure() -> None:
    sys.modules.update(modules())
