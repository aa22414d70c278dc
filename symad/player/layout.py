"""Where everything in a sketch stands: by Graphviz, or by symad where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from symad.drawing.layout import Diagram, Item, Link
from symad.drawing.layout import lay_out as lay_out_layers
from symad.drawing.render import find_renderer, render
from symad.errors import RenderError
from symad.notation.escape import html, visible
from symad.notation.roles import Kind, Part
from symad.player.sketch import Arrow, Shape, Sketch

Point = tuple[float, float]
_INCH = 72


@dataclass(frozen=True)
class Frame:
    """A rectangle with a title, around a part or a scope."""

    part: Part
    title: str
    depth: int
    corner: Point
    size: Point


@dataclass(frozen=True)
class Layout:
    """Places, in pixels from the top left.

    Attributes
    ----------
    size : (float, float)
    centres : dict from str to point
        Of each shape.
    curves : dict from str to list of points
        For each arrow, a Bézier curve in the direction of the arrow; a tip is added at its end.
    tips : dict from str to point
        Where each arrow points to: on the rectangle around a shape, or near it.
    frames : list of Frame
    drawn_by : str
    """

    size: Point
    centres: dict[str, Point]
    curves: dict[str, list[Point]]
    tips: dict[str, Point]
    frames: list[Frame]
    drawn_by: str


def lay_out(sketch: Sketch) -> Layout:
    """Return the layout of a sketch: by symad where Graphviz is missing, or stumbles over it."""
    renderer = find_renderer()
    if not renderer:
        return _own_layout(sketch)
    try:
        return _graphviz_layout(sketch)
    except RenderError:
        layout = _own_layout(sketch)
        return replace(layout, drawn_by=f"{layout.drawn_by}, since {renderer} failed")


def _graphviz_layout(sketch: Sketch) -> Layout:
    """Return the layout by Graphviz, which may put inputs in the wrong order: then it is told."""
    layout = _by_graphviz(sketch, [])
    levels: dict[float, list[str]] = {}
    for shape in sketch.shapes:
        if shape.kind is Kind.VARIABLE and shape.id in layout.centres:
            levels.setdefault(layout.centres[shape.id][1], []).append(shape.id)
    if all(_in_order(level, layout) for level in levels.values()):
        return layout
    try:
        return _by_graphviz(sketch, list(levels.values()))
    except RenderError:
        return layout


def _in_order(names: list[str], layout: Layout) -> bool:
    return all(layout.centres[a][0] < layout.centres[b][0] for a, b in pairwise(names))


def _by_graphviz(sketch: Sketch, chains: list[list[str]]) -> Layout:
    writer = _Dot(sketch, chains)
    data, renderer = render(writer.text(), "json0")
    return _read(json.loads(data), writer.frames, renderer)


def _own_layout(sketch: Sketch) -> Layout:
    parts = sketch.parts
    bands = {part: band for band, part in enumerate(parts)}
    placed = [shape for shape in sketch.shapes if not shape.at]
    titles: dict[tuple[int, tuple[str, ...]], str]
    titles = {(band, ()): part.title for part, band in bands.items()}
    for shape in placed:
        for depth in range(1, len(shape.scope) + 1):
            titles[bands[shape.part], shape.scope[:depth]] = shape.scope[depth - 1]
    diagram = Diagram(
        [Item(shape.id, bands[shape.part], shape.scope, shape.size) for shape in placed],
        [Link(a.id, a.tail, a.head, not a.free, a.upwards) for a in sketch.arrows],
        sketch.rows,
        {frame: (11.0 * len(title), 24.0) for frame, title in titles.items()},
    )
    found = lay_out_layers(diagram)
    frames = [
        Frame(parts[frame.band], visible(titles[frame.band, frame.scope]), len(frame.scope),
              (frame.left, frame.top), (frame.right - frame.left, frame.bottom - frame.top))
        for frame in found.frames
    ]  # fmt: skip
    tips = {name: curve[-1] for name, curve in found.curves.items()}
    return Layout(found.size, found.centres, found.curves, tips, frames, "symad's own layout")


class _Dot:
    """Writes a sketch as DOT with nodes of fixed size: only their places are asked for."""

    def __init__(self, sketch: Sketch, chains: list[list[str]]) -> None:
        self._sketch = sketch
        self._rows = [*sketch.rows, *chains]  # each from left to right
        self.frames: dict[str, tuple[Part, str, int]] = {}  # part, title and depth by cluster

    def text(self) -> str:
        parts = self._sketch.parts
        lines = [
            "digraph {",
            "  graph [newrank=true rankdir=TB nodesep=0.26 ranksep=0.5 fontsize=21];",
            '  node [shape=box fixedsize=true label=""]; edge [arrowsize=0.8];',
        ]
        for place, part in enumerate(parts):
            lines += self._part(part, f"part{place}")
        anchors = " -> ".join(f"part{place}_start" for place in range(len(parts)))
        lines.append(f"  {{rank=min; {anchors} [style=invis]}}")
        lines += map(_edge, self._sketch.arrows)
        for row in self._rows:
            lines.append(f"  {{rank=same; {' -> '.join(row)} [style=invis]}}")
        return "\n".join([*lines, "}"])

    def _part(self, part: Part, name: str) -> Iterator[str]:
        yield self._open(name, part, part.title, 0)
        yield f"    {name}_start [shape=point style=invis];"
        inside: list[str] = []  # the scopes whose frames are open
        shapes = [shape for shape in self._sketch.shapes if shape.part == part and not shape.at]
        for shape in sorted(shapes, key=lambda shape: shape.scope):
            while tuple(inside) != shape.scope[: len(inside)]:
                inside.pop()
                yield "    }"
            while len(inside) < len(shape.scope):
                inside.append(shape.scope[len(inside)])
                yield self._open(f"{name}_{shape.id}_{len(inside)}", part, inside[-1], len(inside))
            yield _node(shape)
        yield from ["    }"] * len(inside)
        yield "  }"

    def _open(self, name: str, part: Part, title: str, depth: int) -> str:
        self.frames[f"cluster_{name}"] = (part, visible(title), depth)
        label = html(visible(title))
        return f"  subgraph cluster_{name} {{ label=<{label}>; labeljust=l; margin=12;"


def _node(shape: Shape) -> str:
    width, height = shape.size
    return f"    {shape.id} [width={width / _INCH:.3f} height={height / _INCH:.3f}];"


def _edge(arrow: Arrow) -> str:
    ends, look = (arrow.tail, arrow.head), ""
    if arrow.upwards:
        ends, look = ends[::-1], " dir=back"
    if arrow.free:
        look += " constraint=false"
    return f"  {ends[0]} -> {ends[1]} [id={arrow.id}{look}];"


def _read(data: dict[str, Any], names: dict[str, tuple[Part, str, int]], by: str) -> Layout:
    left, bottom, right, top = map(float, data["bb"].split(","))

    def point(text: str) -> Point:
        x, y = map(float, text.split(",")[-2:])
        return round(x - left, 1), round(top - y, 1)

    centres, frames = {}, []
    for thing in data["objects"]:
        if "pos" in thing and thing.get("shape") != "point":
            centres[thing["name"]] = point(thing["pos"])
        elif thing["name"] in names:
            low, high = _corners(thing["bb"])
            start, end = point(low), point(high)
            corner = (start[0], end[1])
            size = (round(end[0] - start[0], 1), round(start[1] - end[1], 1))
            frames.append(Frame(*names[thing["name"]], corner, size))
    curves, tips = {}, {}
    for edge in data.get("edges", ()):
        if "id" in edge:
            tip, *curve = edge["pos"].partition(";")[0].split(" ")  # of several curves, the first
            points = list(map(point, curve))
            curves[edge["id"]] = points[::-1] if tip[0] == "s" else points
            tips[edge["id"]] = point(tip)
    size = (round(right - left, 1), round(top - bottom, 1))
    return Layout(size, centres, curves, tips, sorted(frames, key=_depth), by)


def _corners(box: str) -> tuple[str, str]:
    numbers = box.split(",")
    return ",".join(numbers[:2]), ",".join(numbers[2:])


def _depth(frame: Frame) -> int:
    return frame.depth
