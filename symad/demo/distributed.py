"""Training on a Dask cluster: ``symad demo distributed``.

A network learns handwritten digits, each of which is also shifted by a pixel in all directions.
The images are placed on the workers of a cluster once; each step sends the weights, and gets the
sums of the gradients of all chunks.  A picture shows what each worker did during the last steps.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import symad as sm
from symad.demo.data import load_digits
from symad.demo.models import Array, Model, accuracy, initial_weights, two_layer_network
from symad.demo.requirements import load

GOAL = 0.95
"""The accuracy on held-out digits that the demo must reach."""
_SHOWN = 5
"""How many steps the picture shows."""
_COLOURS = {"compute": "#4477aa", "transfer": "#ee6677", "deserialize": "#ccbb44"}


def run_distributed(
    output_directory: str | os.PathLike[str] = "demo-output",
    steps: int = 80,
    workers: int | None = None,
) -> int:
    """Train on a cluster of this machine, save a picture of its work, and return an exit code.

    Parameters
    ----------
    output_directory : path
        The folder for the picture; created if it does not exist.
    steps : int
        At least as many as the picture shows.
    workers : int, optional
        By default, as many as there are processors, and at most 8.

    Returns
    -------
    int
        0, or 1 if the network does not reach the required accuracy.

    Raises
    ------
    MissingExtraError
        If a package of the extras ``demo`` and ``distributed`` is not installed; nothing has been
        done then.
    """
    dask = load("distributed", "the cluster")
    for package in ("sklearn", "matplotlib"):
        load(package, "the demo")
    folder = Path(output_directory)
    folder.mkdir(parents=True, exist_ok=True)
    cluster = dask.LocalCluster(
        n_workers=workers or min(os.cpu_count() or 1, 8),
        threads_per_worker=1,
        dashboard_address=":0",
        host="127.0.0.1",
    )
    with cluster, dask.Client(cluster) as client:
        reached = train(client, max(steps, _SHOWN), folder / "task-stream.png")
    if reached < GOAL:
        print(f"That is below the goal of {GOAL:.0%}.", file=sys.stderr)
        return 1
    return 0


def train(client: Any, steps: int, picture: Path) -> float:
    """Train a network on a cluster, save a picture of its work, and return the accuracy."""
    from distributed import get_task_stream

    digits = load_digits()
    images, labels = shifted(digits.train_images, digits.train_labels)
    model = two_layer_network(*initial_weights(images.shape[1], 200, 10))
    score = accuracy(model.logits, model.labels)
    evaluate = sm.compile([model.images, model.labels], score)

    def run(numbers: range) -> float:
        """Run some steps, and return the accuracy."""
        for k in numbers:
            loss = float(job())
            right = float(evaluate(digits.held_out_images, digits.held_out_labels))
            if k == 1 or k % 10 == 0:
                print(f"step {k:3}: loss {loss:.4f}, held out {right:.1%}")
        return right

    start = time.perf_counter()
    with (
        sm.distribute(adam_step(model), over="batch", executor=client) as step,
        step.bind(X=images, y=labels) as job,
    ):
        print(f"{len(images)} images are on the workers, after {_since(start):.1f} s")
        start = time.perf_counter()
        run(range(1, steps - _SHOWN + 1))
        with get_task_stream(client) as stream:
            reached = run(range(steps - _SHOWN + 1, steps + 1))
        used = step.report.share if step.report else 0.0
    print(f"{reached:.1%} of the held-out digits are recognised, after {_since(start):.1f} s")
    print(f"in the last step, the workers computed {used:.0%} of the time")
    draw_stream(stream.data, picture)
    return reached


def adam_step(model: Model) -> sm.Function:
    """Return a step of Adam on the mean loss of all images, compiled."""
    slopes = sm.gradients(model.loss, model.parameters)
    return sm.compile(
        [model.images, model.labels],
        model.loss,
        updates=sm.optimise.adam(model.parameters, slopes, 0.03),
        name="adam_step",
    )


def shifted(images: Array, labels: Array) -> tuple[Array, Array]:
    """Return square images, and copies that are shifted by a pixel in eight directions."""
    side = round(images.shape[1] ** 0.5)
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    places = [(i, j) for i in range(3) for j in range(3)]
    moved = [padded[:, i : i + side, j : j + side].reshape(len(images), -1) for i, j in places]
    return np.concatenate(moved), np.tile(labels, len(places))


def draw_stream(tasks: Sequence[Any], path: Path) -> None:
    """Save a picture of what each worker did: a row for each, time from left to right.

    Parameters
    ----------
    tasks : sequence of dict
        As Dask's ``get_task_stream`` records them.
    path : Path
    """
    spans = [(task["worker"], each) for task in tasks for each in task["startstops"]]
    workers = sorted({worker for worker, _ in spans})
    first = min((each["start"] for _, each in spans), default=0.0)
    size = 9, 1.2 + 0.5 * len(workers)
    figure = load("matplotlib.figure", "the picture").Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for kind, colour in _COLOURS.items():
        mine = [(workers.index(worker), each) for worker, each in spans if each["action"] == kind]
        starts = [1000 * (each["start"] - first) for _, each in mine]
        widths = [1000 * (each["stop"] - each["start"]) for _, each in mine]
        rows = [row for row, _ in mine]
        if rows:
            axes.barh(rows, widths, 0.8, starts, color=colour, edgecolor="white", label=kind)
    names = [f"worker {row + 1}" for row in range(len(workers))]
    axes.set_yticks(range(len(workers)), names)
    axes.set_ylim(len(workers) - 0.5, -0.5)
    axes.set(xlabel="time in ms", title=f"The last {_SHOWN} steps: {len(tasks)} tasks")
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


def _since(start: float) -> float:
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(run_distributed())
