"""The demo from end to end: trace, draw, compile once, call many times, train on real digits."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

import symad as sm
from symad.demo.data import Digits, load_digits
from symad.demo.examples import running_example
from symad.demo.models import accuracy, initial_weights, two_layer_network
from symad.demo.requirements import load, missing
from symad.demo.training import gradient_step, run_epoch
from symad.distribution.progress import is_watched
from symad.drawing.painting import can_paint
from symad.drawing.render import find_renderer
from symad.errors import InternalError
from symad.records import dataclass, field

CALLS = 10_000
EPOCHS = 60
GOAL = 0.95
"""The accuracy on held-out digits that the demo must reach."""


def run_demo(output_directory: str | os.PathLike[str] = "demo-output") -> int:
    """Run the demo: print its results, save its pictures, and return an exit code.

    Parameters
    ----------
    output_directory : path
        The folder for the pictures; created if it does not exist.

    Returns
    -------
    int
        0, or 1 if the network does not reach the required accuracy.

    Raises
    ------
    MissingExtraError
        If a package of the extra ``demo`` is not installed; nothing has been done then.
    """
    _require_packages()
    folder = Path(output_directory)
    folder.mkdir(parents=True, exist_ok=True)
    show_traces()
    draw_graphs(folder)
    time_calls()
    history = learn_digits(load_digits())
    plot_losses(history, folder / "loss.png")
    reached = history.accuracy[-1]
    if reached < GOAL:
        print(f"That is below the goal of {GOAL:.0%}.", file=sys.stderr)
        return 1
    return 0


def _require_packages() -> None:
    absent = [name for name in ("sklearn", "matplotlib") if not importlib.util.find_spec(name)]
    if not can_paint() and not find_renderer():
        absent.append("Typst")
    if absent:
        raise missing("the demo", *absent)


def show_traces() -> None:
    """Print the values, the tangents and the adjoints of the running example, step by step."""
    x1, x2, y = running_example()
    _headline("y = ln(x1) + x1·x2 − sin(x2) at x1 = 2, x2 = 5")
    print(sm.trace(y, {x1: 2.0, x2: 5.0}))


def draw_graphs(folder: Path) -> None:
    """Save pictures of the running example and of its extension by the gradient."""
    x1, x2, y = running_example()
    _headline("Its graph, and the graph extended by the gradient")
    for name, nodes in {"forward": [y], "extended": [y, *sm.gradients(y, [x1, x2])]}.items():
        drawing = sm.draw(nodes)
        for ending in ("svg", "png"):
            path = folder / f"{name}.{ending}"
            drawing.save(path)
            print(f"saved {path} (drawn by {drawing.rendered_by})")


def time_calls() -> None:
    """Compile the running example and its gradient once, and call the function many times."""
    x1, x2, y = running_example()
    _headline(f"Compiled once, called with {CALLS:,} inputs")
    started = time.perf_counter()
    function = sm.compile([x1, x2], [y, *sm.gradients(y, [x1, x2])])
    function(2.0, 5.0)
    print(f"extending the graph, compiling it and the first call: {_since(started):.1f} ms")
    inputs = np.random.default_rng(0).uniform(0.5, 5.0, (CALLS, 2))
    pairs = inputs.tolist()
    started = time.perf_counter()
    values = [function(a, b) for a, b in pairs]
    microseconds = 1000 * _since(started) / CALLS
    print(f"{CALLS:,} calls, each with new values: {microseconds:.2f} µs per call")
    first, second = inputs.T.copy()
    function(first, second)
    started = time.perf_counter()
    together = function(first, second)
    print(f"one call with all of them as arrays: {_since(started):.2f} ms")
    if not np.allclose(np.transpose(values), together, rtol=1e-12, atol=0):
        raise InternalError("the compiled function gives different values for arrays and numbers")


@dataclass
class History:
    """The course of a training: both losses and the accuracy on held-out digits, by epoch."""

    train_loss: list[float] = field(default_factory=list)
    held_out_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def learn_digits(digits: Digits, epochs: int = EPOCHS) -> History:
    """Train ReLU(X W1) W2 on ``digits``, with a progress bar on a terminal or in a notebook."""
    pixels = digits.train_images.shape[1]
    _headline(f"A {pixels}-100-10 network learns {len(digits.train_labels)} handwritten digits")
    model = two_layer_network(*initial_weights(pixels, 100, 10))
    step = gradient_step(model, learning_rate=0.2)
    evaluate = sm.compile(
        [model.images, model.labels], (model.loss, accuracy(model.logits, model.labels))
    )
    history = History()
    started = time.perf_counter()
    bar = _progress_bar(epochs)
    with bar or nullcontext():
        for epoch in range(1, epochs + 1):
            train_loss = run_epoch(step, digits.train_images, digits.train_labels, batch=50)
            loss, correct = map(float, evaluate(digits.held_out_images, digits.held_out_labels))
            history.train_loss.append(train_loss)
            history.held_out_loss.append(loss)
            history.accuracy.append(correct)
            if bar is not None:
                bar.update()
                bar.set_postfix(loss=f"{train_loss:.4f}", accuracy=f"{correct:.1%}")
            elif epoch == 1 or epoch % 10 == 0:
                print(f"epoch {epoch:3}: loss {train_loss:.4f}, held out {correct:.1%} right")
    print(
        f"{history.accuracy[-1]:.1%} of {len(digits.held_out_labels)} held-out digits are "
        f"recognised, after {_since(started) / 1000:.1f} s"
    )
    return history


def plot_losses(history: History, path: Path) -> None:
    """Save the loss curves of a training as a picture."""
    epochs = range(1, len(history.train_loss) + 1)
    figures = load("matplotlib.figure", "plotting the loss curve")
    figure = figures.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(epochs, history.train_loss, label="training digits")
    axes.semilogy(epochs, history.held_out_loss, label="held-out digits")
    axes.set(
        xlabel="epoch", ylabel=r"loss: mean of $\log \sum \exp z - z_y$", title="Learning digits"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


def _headline(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _since(started: float) -> float:
    """Return the milliseconds that have passed."""
    return (time.perf_counter() - started) * 1000


def _progress_bar(total: int) -> Any:
    """Return a bar on a terminal or in a notebook if tqdm is installed, otherwise ``None``."""
    if not is_watched() or importlib.util.find_spec("tqdm") is None:
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc="training", unit="epoch")
