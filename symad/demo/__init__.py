"""The lecture's examples, and training on real digits: readers, models, loops, and the demo."""

from typing import TYPE_CHECKING, Any

from symad.demo.backpropagation import backpropagate, compare_with_extension
from symad.demo.data import Digits, load_digits, parse_mnist
from symad.demo.examples import running_example, shared_exponential
from symad.demo.idx import DataError, read_idx
from symad.demo.models import (
    Model,
    accuracy,
    cross_entropy,
    initial_weights,
    layered_network,
    regularised_network,
    softmax_loss,
    softmax_regression,
    two_layer_network,
    with_ones,
)
from symad.demo.run import run_demo
from symad.demo.training import (
    full_batch_descent,
    gradient_step,
    logistic_regression,
    nn_epoch,
    run_epoch,
    softmax_regression_epoch,
)
from symad.demo.visit_orders import compare_orders, doubling_chain

if TYPE_CHECKING:
    from symad.demo.training_view import TrainingView, spiral_network, spirals

__all__ = [
    "DataError",
    "Digits",
    "Model",
    "TrainingView",
    "accuracy",
    "backpropagate",
    "compare_orders",
    "compare_with_extension",
    "cross_entropy",
    "doubling_chain",
    "full_batch_descent",
    "gradient_step",
    "initial_weights",
    "layered_network",
    "load_digits",
    "logistic_regression",
    "nn_epoch",
    "parse_mnist",
    "read_idx",
    "regularised_network",
    "run_demo",
    "run_epoch",
    "running_example",
    "shared_exponential",
    "softmax_loss",
    "softmax_regression",
    "softmax_regression_epoch",
    "spiral_network",
    "spirals",
    "two_layer_network",
    "with_ones",
]


def __getattr__(name: str) -> Any:
    """Import the training view when it is first used: it is a program as well."""
    if name not in ("TrainingView", "spiral_network", "spirals"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from symad.demo import training_view

    return getattr(training_view, name)
