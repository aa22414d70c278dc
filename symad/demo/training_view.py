"""Training that can be watched: loss, gradients by layer and decision regions, step by step.

One compiled function makes a step and returns everything that the view shows.  Run as a program,
``python -m symad.demo.training_view -o training.html``, it trains a small network on spirals.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import symad as sm
from symad.demo.models import Array, accuracy, initial_weights, softmax_loss
from symad.demo.training_pictures import (
    Curve,
    Panel,
    curves,
    in_cell,
    live_end,
    live_frame,
    live_head,
    page,
    picture,
    regions,
)
from symad.errors import FeedError, RenderError
from symad.records import dataclass
from symad.replacing import replacing

Classify = Callable[[sm.Node], sm.Node]
Layers = Mapping[str, sm.Parameter | Sequence[sm.Parameter]]
Updates = Callable[[Any, Any], Mapping[Any, Any]]
_ADAM = partial(sm.optimise.adam, learning_rate=0.02)
_MARGIN = 0.12
"""How far the grid reaches beyond the points, relative to their range."""


@dataclass(frozen=True)
class TrainingMoment:
    """What the compiled step returned in one call: values before its update.

    Attributes
    ----------
    loss, accuracy : float
    norms : tuple of float
        The norm of the gradient of each layer.
    """

    loss: float
    accuracy: float
    norms: tuple[float, ...]


class TrainingView:
    """A classifier that is watched while it learns.

    Parameters
    ----------
    classify : callable
        Returns the scores, a node of shape (n, classes), of a node of points.
    layers : dict from str to parameter or sequence of parameters
        The parameters to train; the gradients of each entry have a curve.
    points : array of shape (n, features)
        If there are two features, the regions of the classes are shown.
    labels : array of n integers
    updates : callable, optional
        Returns the updates for parameters and gradients, as :func:`symad.optimise.adam` does, which
        is the default, with the rate 0.02.
    resolution : int
        The number of rows and columns of the grid on which regions are computed.

    Attributes
    ----------
    step : Function
        Takes points, labels and grid; returns loss, accuracy, norms, and probabilities on the grid.
    moments : list of TrainingMoment
        One for each step so far.

    Raises
    ------
    FeedError
        If there is not one label for each point.

    Examples
    --------
    >>> points, labels = spirals(60)
    >>> W = sm.parameter("W", np.zeros((2, 3)))
    >>> view = TrainingView(lambda x: x @ W, {"W": W}, points, labels).run(20, frames=5)
    >>> view
    <TrainingView: step 20 · loss ... · ... of the points right>
    >>> view.save("training.html")  # doctest: +SKIP
    """

    def __init__(
        self,
        classify: Classify,
        layers: Layers,
        points: Any,
        labels: Any,
        *,
        updates: Updates = _ADAM,
        resolution: int = 48,
    ) -> None:
        points = np.asarray(points)
        self.points = points if points.dtype.kind == "f" else points.astype(np.float64)
        self.labels = np.asarray(labels)
        shapes = self.points.shape, self.labels.shape
        if self.points.ndim != 2 or shapes[1] != shapes[0][:1] or not len(self.labels):
            raise FeedError(
                f"points of shape {shapes[0]} cannot have labels of shape {shapes[1]}",
                remedy="Give points of the shape (n, features), n > 0, and n labels.",
            )
        self.layers = tuple(layers)
        self.moments: list[TrainingMoment] = []
        self._frames: dict[int, Array] = {}  # by number of steps: probabilities on the grid
        features = self.points.shape[1]
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        margin = _MARGIN * (high - low)
        self._low, self._high = low - margin, high + margin
        self._side = resolution if features == 2 else 0
        self._grid = np.empty((0, features), self.points.dtype)
        if self._side:
            x, y = np.linspace(self._low, self._high, resolution, dtype=self.points.dtype).T
            self._grid = np.stack(np.meshgrid(x, y[::-1]), axis=-1).reshape(-1, 2)
        self.step = watched_step(classify, layers, updates, self.points)

    def run(
        self, steps: int = 300, frames: int = 60, show: Callable[[Any], object] | None = None
    ) -> TrainingView:
        """Train, show frames meanwhile, and return the view itself.

        Parameters
        ----------
        steps : int
        frames : int
            The number of steps that are shown; more of the early ones, in which much changes.
        show : callable, optional
            Receives the view at each frame.  By default, the cell of a notebook shows it.
        """
        show = show or _shown_in_a_notebook()
        for _ in self._train(steps, frames):
            show(self)
        return self

    def live(self, steps: int = 600, frames: int = 100, pause: float = 0.1) -> Iterator[str]:
        """Train, and yield meanwhile the parts of a page: a head, the frames, and an end.

        A server sends each part as it is made, and a browser shows the last frame that it has
        received; ``symad serve`` does so.

        Parameters
        ----------
        steps : int
        frames : int
            The number of steps that are shown.
        pause : float
            The least time between two frames, in seconds.
        """
        yield live_head()
        for step in self._train(steps, frames):
            start = time.perf_counter()
            yield live_frame(*self._frames_of([step]))
            time.sleep(max(0.0, pause - (time.perf_counter() - start)))
        yield live_end()

    def _train(self, steps: int, frames: int) -> Iterator[int]:
        """Train, and yield the numbers of the steps that are shown, counted from 1."""
        places = (i / (frames - 1) for i in range(frames - 1))
        shown = {steps - 1, *(round((steps - 1) * place**1.5) for place in places)}
        for number in range(steps):
            loss, right, norms, grid = self.step(self.points, self.labels, self._grid)
            norms = tuple(float(norm) for norm in norms)
            self.moments.append(TrainingMoment(float(loss), float(right), norms))
            if number in shown:
                square = (self._side, self._side, grid.shape[1])
                self._frames[len(self.moments)] = grid.reshape(square)
                yield len(self.moments)

    def svg(self, step: int | None = None) -> str:
        """Return a moving picture of all frames as SVG, or the frame of one step, counted from 1.

        Raises
        ------
        RenderError
            If no step has been made, or there is no frame of this step.
        """
        steps = self._steps()
        if step is not None and step not in steps:
            near = min(steps, key=lambda other: abs(other - step))
            raise RenderError(
                f"step {step} was not shown", remedy=f"The nearest frame is step {near}."
            )
        return picture(*self._frames_of(steps if step is None else [step]))

    def _steps(self) -> list[int]:
        """Return the steps that were shown."""
        if not self._frames:
            raise RenderError("no step has been made", remedy="Call run first.")
        return list(self._frames)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a recording: a page with a slider (``.html``) or a moving picture (``.svg``).

        Neither loads anything, so both work offline.

        Raises
        ------
        RenderError
            If the suffix is another one, or no step has been made.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".html", ".svg"):
            raise RenderError(
                f"the format of {str(path)!r} is unknown",
                remedy="Save .html, a page with a slider, or .svg, a moving picture.",
            )
        write = page if suffix == ".html" else picture
        text = write(*self._frames_of(self._steps()))
        with replacing(path) as file:
            file.write(text.encode())

    def _frames_of(self, steps: Sequence[int]) -> tuple[list[Panel], list[str]]:
        """Return the panels with a frame for each of some steps, and the captions of these."""
        losses = Curve("loss", [moment.loss for moment in self.moments])
        norms = zip(*(moment.norms for moment in self.moments), strict=True)
        by_layer = [Curve(name, found) for name, found in zip(self.layers, norms, strict=True)]
        found = [curves("loss", [losses], steps), curves("norm of the gradient", by_layer, steps)]
        if self._side:
            grids = [self._frames[step] for step in steps]
            box = (*self._low, *self._high)
            found.insert(0, regions(grids, self.points, self.labels, box))
        return found, [self._caption(step) for step in steps]

    def _caption(self, step: int) -> str:
        moment = self.moments[step - 1]
        return f"step {step} · loss {moment.loss:.4g} · {moment.accuracy:.1%} of the points right"

    def _repr_html_(self) -> str:
        return in_cell(page(*self._frames_of(self._steps())))

    def __repr__(self) -> str:
        said = self._caption(len(self.moments)) if self.moments else "no step yet"
        return f"<TrainingView: {said}>"


def watched_step(
    classify: Classify, layers: Layers, updates: Updates, points: Array
) -> sm.Function:
    """Return a compiled step that returns what a view shows.

    Its inputs are points, labels and the points of a grid; its outputs are the loss and the
    accuracy, the norm of the gradient of each layer, and the probabilities on the grid.
    """
    x = sm.Variable("points", ("n", points.shape[1]), points.dtype)
    grid = sm.Variable("grid", ("m", points.shape[1]), points.dtype)
    labels = sm.Variable("labels", ("n",), "int64")
    grouped = [[p] if isinstance(p, sm.Parameter) else list(p) for p in layers.values()]
    logits = classify(x)
    loss = softmax_loss(logits, labels)
    slopes = sm.gradients(loss, grouped)
    norms = [sm.sqrt(sm.add_n([sm.sum(sm.square(g)) for g in group])) for group in slopes]
    with sm.scope("regions"):
        regions = sm.softmax(classify(grid), axis=1)
    return sm.compile(
        [x, labels, grid],
        (loss, accuracy(logits, labels), norms, regions),
        updates=updates(grouped, slopes),
        name="watched_step",
    )


def spirals(count: int = 300, classes: int = 3, noise: float = 0.12, seed: int = 0) -> Any:
    """Return points on intertwined spirals, one for each class, and their labels.

    Examples
    --------
    >>> points, labels = spirals(90)
    >>> points.shape, np.bincount(labels)
    ((90, 2), array([30, 30, 30]))
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    radius = np.sqrt(rng.uniform(0.02, 1, count))
    angle = 5 * radius + 2 * np.pi * labels / classes + noise * rng.standard_normal(count)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels


def spiral_network(*hidden: int, classes: int = 3, seed: int = 0) -> tuple[Classify, Layers]:
    """Return a network of layers tanh(x W + b) for points in the plane, and its parameters."""
    weights = initial_weights(2, *hidden, classes, seed=seed)
    layers = {
        f"layer {i}": (
            sm.parameter(f"W{i}", weight.astype(np.float64)),
            sm.parameter(f"b{i}", np.zeros(weight.shape[1])),
        )
        for i, weight in enumerate(weights, 1)
    }

    def classify(x: sm.Node) -> sm.Node:
        for i, (name, (weight, bias)) in enumerate(layers.items(), 1):
            with sm.scope(name):
                x = x @ weight + bias
                x = x if i == len(layers) else sm.tanh(x)
        return x

    return classify, layers


def _shown_in_a_notebook() -> Callable[[TrainingView], object]:
    """Return what shows a view while it trains: an output of the cell, if there is one."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return lambda view: None
    from IPython import display

    shown: Any = display  # its functions have no types
    handle = shown.DisplayHandle()
    handle.display(shown.HTML(""))
    return lambda view: handle.update(shown.HTML(view.svg(len(view.moments))))


def main(argv: Sequence[str] | None = None) -> int:
    """Train a network on spirals, and write its page or its moving picture."""
    parser = argparse.ArgumentParser(description="Watch a small network learn spirals.")
    parser.add_argument("-o", "--output", default="training.html", help="a .html or .svg file")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--hidden", type=int, nargs="*", default=[16, 16], help="units by layer")
    options = parser.parse_args(argv)
    view = TrainingView(*spiral_network(*options.hidden), *spirals()).run(options.steps)
    view.save(options.output)
    print(f"{view}\nsaved {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
