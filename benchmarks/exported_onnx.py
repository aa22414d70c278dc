"""Functions in ONNX Runtime against symad's own calls: differences, and times of a call.

``python -m benchmarks.exported_onnx`` writes the running example and a step of training a network
(a batch of 64 images of 784 pixels, 100 hidden units, loss, gradients and updates) as ONNX models.
It prints the largest difference relative to the largest element of each output, and the median
processor time of a call on one thread, measured in turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

import symad as sm
from benchmarks import timing
from symad.export.onnx_file import lowered, onnx_model
from symad.graph.nested import leaves


class Comparison(NamedTuple):
    """What was measured of one function.

    Attributes
    ----------
    nodes : int
        Those of the model.
    write : float
        The milliseconds in which the model was made and checked.
    difference : float
    symad, onnx : float
        The microseconds of a call.
    ratio : float
        ONNX Runtime's time divided by symad's.
    """

    nodes: int
    write: float
    difference: float
    symad: float
    onnx: float
    ratio: float


def running_example() -> tuple[sm.Function, Sequence[Any]]:
    """Return the lecture's function with its gradient, and arguments."""
    x1, x2 = sm.Variable("x1", shape=()), sm.Variable("x2", shape=())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])]), (2.0, 5.0)


def network_step(dtype: str) -> tuple[sm.Function, Sequence[Any]]:
    """Return a step of training as a function of its parameters, and arguments."""
    X = sm.Variable("X", shape=("batch", 784), dtype=dtype)
    labels = sm.Variable("labels", shape=("batch",), dtype="int64")
    shapes = (784, 100), (100,), (100, 10), (10,)
    W1, b1, W2, b2 = params = [sm.Variable(f"p{k}", s, dtype) for k, s in enumerate(shapes)]
    loss = sm.nn.cross_entropy(sm.relu(X @ W1 + b1) @ W2 + b2, labels)
    slopes = sm.gradients(loss, params)
    rate = np.asarray(0.1, dtype)
    new = [p - rate * slope for p, slope in zip(params, slopes, strict=True)]
    rng = np.random.default_rng(0)
    arrays = [(0.1 * rng.normal(size=shape)).astype(dtype) for shape in shapes]
    given = rng.random((64, 784)).astype(dtype), rng.integers(0, 10, 64)
    return sm.compile([X, labels, *params], [loss, *slopes, *new]), (*given, *arrays)


FUNCTIONS: dict[str, Callable[[], tuple[sm.Function, Sequence[Any]]]] = {
    "running example": running_example,
    "network step, float64": lambda: network_step("float64"),
    "network step, float32": lambda: network_step("float32"),
}


def compare(function: sm.Function, arguments: Sequence[Any], rounds: int) -> Comparison:
    """Compare ONNX Runtime with symad on one function."""
    start = process_time()
    model = onnx_model(function, lowered(function))
    write = process_time() - start
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [x.name for x in session.get_inputs()]
    feed = {name: np.asarray(value) for name, value in zip(names, arguments, strict=True)}
    pairs = zip(leaves(function(*arguments)), session.run(None, feed), strict=True)
    difference = max(float(np.max(np.abs(a - b)) / np.max(np.abs(a))) for a, b in pairs)
    batches = {
        "symad": timing.batch_of(function, arguments, process_time),
        "onnx": timing.batch_of(lambda: session.run(None, feed), (), process_time),
    }
    times = timing.interleaved(batches, rounds, 0.02)
    middle = {label: 1e6 * statistics.median(sample) for label, sample in times.items()}
    ratio = timing.ratio(times["onnx"], times["symad"]).median
    nodes = len(model.graph.node)
    return Comparison(nodes, 1e3 * write, difference, middle["symad"], middle["onnx"], ratio)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"{'function':22} nodes  write ms  difference  symad us   ONNX us  ratio")
    for name, make in FUNCTIONS.items():
        found = compare(*make(), options.rounds)
        print(
            f"{name:22} {found.nodes:5} {found.write:9.1f} {found.difference:11.1e} "
            f"{found.symad:9.1f} {found.onnx:9.1f} {found.ratio:6.2f}"
        )


if __name__ == "__main__":
    main()
