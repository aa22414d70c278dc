"""The command line: ``python -m benchmarks.layout`` prints a table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import symad as sm
from benchmarks.layout import by_dot
from benchmarks.layout.crossings import visible_crossings
from symad.drawing.compose import compose
from symad.drawing.layout import Diagram, DiagramLayout, Spacing, lay_out
from symad.drawing.levels import make_levels
from symad.drawing.node_text import NodeText
from symad.drawing.placed_picture import _diagram, _sizes
from symad.notation.labels import Labels
from symad.notation.view import View
from tests.support import pictures

_REPEATS = 3

Layouter = Callable[[Diagram], DiagramLayout | None]


def second_derivative() -> pictures.Case:
    """The lecture's function, its gradient, and the gradient of the first part of that."""
    x1, x2 = sm.Variable("x1", ()), sm.Variable("x2", ())
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    first = sm.gradients(y, [x1, x2])
    return [y, *first, *sm.gradients(first[0], [x1, x2])], None


def tangle() -> pictures.Case:
    return pictures._random(30, 1, summed=5)


def residual() -> pictures.Case:
    """Some 900 nodes in scopes, and an input that all of them use."""
    x = hidden = sm.Variable("x", ())
    for i in range(60):
        with sm.scope(f"block {i}"):
            hidden = hidden + sm.tanh(hidden * sm.sin(x))
    return [hidden, sm.gradients(hidden, x)], None


CASES: dict[str, tuple[Callable[[], pictures.Case], int]] = {
    "lecture": (pictures.lecture, 200),
    "second derivative": (second_derivative, 200),
    "network": (pictures.squared_loss, 200),
    "regularised": (pictures.regularised_gradients, 200),
    "attention": (pictures.attention, 200),
    "tangle": (tangle, 200),
    "large, folded": (pictures.random_large, 200),
    "large": (pictures.random_large, 1_000),
    "residual": (residual, 1_000),
}
"""What is drawn, and above how many nodes it is folded."""


def diagram_of(case: Callable[[], pictures.Case], limit: int) -> Diagram:
    nodes, _ = case()
    view = View(nodes)
    labels = Labels(view)
    levels, note = make_levels(view, labels, limit)
    picture = compose(view, labels, levels, NodeText(view, labels), [note] if note else [])
    return _diagram(picture, _sizes(picture))


def figures(diagram: Diagram, layout: Layouter) -> str:
    """Return crossings, area and seconds of a layout as cells of a row."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        found = layout(diagram)
        seconds.append(time.perf_counter() - start)
        if found is None:
            return f"{'too long':19}"
    arrows = [
        (link.tail, link.head, found.curves[link.id])
        for link in diagram.links
        if link.id in found.curves
    ]
    area = found.size[0] * found.size[1] / 1e6
    return f"{visible_crossings(arrows):5} {area:6.2f} {min(seconds):6.3f}"


def rows() -> Iterator[str]:
    layouts: dict[str, Layouter] = {
        "symad": lay_out,
        "compact": lambda diagram: lay_out(diagram, Spacing.compact),
    }
    if shutil.which("dot"):
        layouts["dot"] = by_dot.lay_out
    yield f"{'':18} {'nodes':>5}" + "".join(f" | {name:19}" for name in layouts)
    yield f"{'':24}" + " | cross.   Mpx      s" * len(layouts)
    for name, (case, limit) in CASES.items():
        diagram = diagram_of(case, limit)
        cells = (figures(diagram, layout) for layout in layouts.values())
        yield f"{name:18} {len(diagram.items):5} | " + " | ".join(cells)


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
