"""The gallery: pictures that are drawn as the site is built, each under the code that draws it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import symad as sm

_HEAD = "# Gallery\n\nEach picture is drawn by the lines above it when this site is built.\n"


def running_example() -> Any:
    """The lecture's example: three pathways, and the adjoints that extend the graph."""
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.draw([y, *sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0})


def two_pathways() -> Any:
    """f = (exp(v1) + 1)·exp(v1): an identity node, two products, a sum node."""
    v1 = sm.Variable("v1")
    v2 = sm.exp(v1)
    f = (v2 + 1) * v2
    return sm.draw([f, sm.gradients(f, v1)])


def structures() -> Any:
    """A dict as a value: its adjoint is a dict."""
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure({"cat": a0, "dog": a1})
    v = sm.square(d["cat"])
    return sm.draw([v, sm.gradients(v, a0)])


def second_derivative() -> Any:
    """The gradient of a gradient: no new code, one more generation."""
    x = sm.Variable("x", shape=())
    y = x**3
    first = sm.gradients(y, x)
    return sm.draw([y, first, sm.gradients(first, x)])


def regularised_network() -> Any:
    """J = L + λ/2 (‖W1‖² + ‖W2‖²): squares for variables, circles for operations."""
    from symad.demo.models import initial_weights, regularised_network

    weights1, weights2 = (weight.T for weight in initial_weights(784, 100, 10))
    return sm.draw(regularised_network(weights1, weights2, strength=0.001).loss)


PICTURES: tuple[Callable[[], Any], ...] = (
    running_example,
    two_pathways,
    structures,
    second_derivative,
    regularised_network,
)


def write(folder: Path) -> None:
    """Draw all pictures into a folder, and write the page that shows them."""
    parts = [_HEAD]
    for picture in PICTURES:
        (folder / f"{picture.__name__}.svg").write_text(picture().svg(), encoding="utf-8")
        parts.append(_section(picture))
    (folder / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def _section(picture: Callable[[], Any]) -> str:
    caption = inspect.getdoc(picture)
    _, _, body = inspect.getsource(picture).partition('"""\n')
    code = textwrap.dedent(body).replace("return ", "")
    title = picture.__name__.replace("_", " ").capitalize()
    return (
        f"## {title}\n\n{caption}\n\n```python\n{code}```\n\n![{caption}]({picture.__name__}.svg)\n"
    )
