"""The panels of a training view, as SVG, as a moving picture and as a page with a slider.

A panel has a fixed part, and a group for each frame, of which one is visible: a map of the regions,
or a veil over the part of the curves that has not happened yet.
"""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from struct import pack

import numpy as np

from symad.demo.models import Array
from symad.drawing.style import FAINT, FONT, INK, hue_of
from symad.inspection.linked_page import content_policy
from symad.notation.roles import Part
from symad.records import dataclass

_COLOURS = tuple(
    hue_of(Part(generation, family)).strong
    for family, generation in (
        ("forward", 0), ("adjoint", 1), ("tangent", 1), ("adjoint", 2), ("adjoint", 4)
    )
)  # fmt: skip
"""Of classes and of curves; both also differ in shape, so that colour is not needed."""
_DASHES = ("none", "7 3", "2 3", "10 3 2 3")
_SECONDS, _HOLD = 0.12, 2.0  # a frame of a moving picture, and its last one
_GAP, _TITLE = 16, 46  # between panels, and above them, in pixels


@dataclass(frozen=True)
class Curve:
    """A positive value at each step; others are left out, since the axis is logarithmic."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """A picture of a size, with a group of SVG for each frame between two fixed parts."""

    title: str
    width: int
    height: int
    below: str
    frames: Sequence[str]
    above: str = ""


# Panels


def regions(
    grids: Sequence[Array], points: Array, labels: Array, box: Sequence[float]
) -> Panel:
    """Return the map of the classes at each frame, with the points on it.

    Parameters
    ----------
    grids : sequence of arrays of shape (rows, columns, classes)
        Probabilities at each frame.
    points, labels : arrays
    box : sequence of four numbers
        The least and the greatest coordinates: x, y, x, y.
    """
    side, left, top = 380, 8, 30
    frame = f'x="{left}" y="{top}" width="{side}" height="{side}"'
    maps = (b64encode(png(_coloured(grid))).decode() for grid in grids)
    frames = [
        f'<image {frame} preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
        for data in maps
    ]
    low, high = np.array(box[:2]), np.array(box[2:])
    places = (points - low) / np.where(high > low, high - low, 1) * side
    marks = "".join(
        _mark(int(label), left + x, top + side - y)
        for (x, y), label in zip(places, labels, strict=True)
    )
    border = f'<rect {frame} fill="none" stroke="{FAINT}"/>'
    title = "regions of the classes"
    head = _text(left, 18, title, weight="bold")
    return Panel(title, left + side + 8, top + side + 8, head, frames, marks + border)


def _coloured(grid: Array) -> Array:
    """Return bytes of colours: the hue of the likeliest class, paler where it is less certain."""
    ranked = np.sort(grid, axis=-1)
    certain = ranked[..., -1] - (ranked[..., -2] if grid.shape[-1] > 1 else 0)
    hues = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in _COLOURS])
    hue = hues[np.argmax(grid, axis=-1) % len(hues)]
    strength = np.nan_to_num(0.12 + 0.43 * certain)[..., None]
    colours: Array = (255 - strength * (255 - hue)).astype(np.uint8)
    return colours


def _mark(label: int, x: float, y: float) -> str:
    colour = _COLOURS[label % len(_COLOURS)]
    paint = f'fill="{colour}" stroke="#ffffff" stroke-width="1"'
    if label % 3 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {paint}/>'
    if label % 3 == 1:
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" {paint}/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l4.6 8.4h-9.2z" {paint}/>'


def curves(title: str, drawn: Sequence[Curve], steps: Sequence[int]) -> Panel:
    """Return curves over all steps on a logarithmic axis, veiled at each frame after its step."""
    axes = _Axes.around(drawn)
    frames = [
        f'<rect x="{x:.1f}" y="{axes.top}" width="{axes.right - x + 2:.1f}" fill="#ffffff" '
        f'height="{axes.bottom - axes.top}" fill-opacity="0.78"/>'
        f'<path d="M{x:.1f} {axes.top}V{axes.bottom}" stroke="{INK}" stroke-width="1.5"/>'
        for x in map(axes.x, steps)
    ]
    lines = "".join(
        f'<path d="{axes.path(curve)}" fill="none" stroke="{_COLOURS[i % 5]}" '
        f'stroke-width="2.2" stroke-linejoin="round" stroke-dasharray="{_DASHES[i % 4]}"/>'
        for i, curve in enumerate(drawn)
    )
    head = _text(axes.left, 18, title, weight="bold")
    below = head + "".join(axes.ticks()) + lines
    return Panel(title, axes.width, axes.height, below, frames, "".join(_names(drawn, axes)))


@dataclass(frozen=True)
class _Axes:
    """Where steps and values are in a panel."""

    last: int
    low: float
    high: float
    width: int = 470
    height: int = 209
    left: int = 58
    right: int = 372
    top: int = 30
    bottom: int = 168

    @classmethod
    def around(cls, drawn: Sequence[Curve]) -> _Axes:
        values = [v for curve in drawn for v in curve.values if 0 < v < math.inf] or [1.0]
        low, high = math.log10(min(values)), math.log10(max(values))
        margin = max(0.08 * (high - low), 0.02)
        steps = max(len(curve.values) for curve in drawn)
        return cls(steps, low - margin, high + margin)

    def x(self, step: float) -> float:
        return self.left + (self.right - self.left) * (step - 1) / max(self.last - 1, 1)

    def y(self, value: float) -> float:
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * part

    def path(self, curve: Curve) -> str:
        """Return the path of a curve, in pieces where a value cannot be shown."""
        found, pen = [], "M"
        for step, value in enumerate(curve.values, 1):
            if not 0 < value < math.inf:
                pen = "M"
                continue
            found.append(f"{pen}{self.x(step):.1f} {self.y(value):.1f}")
            pen = "L"
        return "".join(found)

    def ticks(self) -> Iterator[str]:
        for value in log_ticks(10**self.low, 10**self.high):
            y = self.y(value)
            yield f'<path d="M{self.left} {y:.1f}H{self.right}" stroke="#e3e6ea"/>'
            yield _text(self.left - 7, y + 4, f"{value:g}", anchor="end", fill=FAINT)
        for step in step_ticks(self.last):
            yield _text(self.x(step), self.bottom + 18, str(step), anchor="middle", fill=FAINT)
        axes = f"M{self.left} {self.top}V{self.bottom}H{self.right}"
        yield f'<path d="{axes}" fill="none" stroke="{FAINT}"/>'
        middle = (self.left + self.right) / 2
        yield _text(middle, self.bottom + 34, "step", anchor="middle", fill=FAINT)


def _names(drawn: Sequence[Curve], axes: _Axes) -> Iterator[str]:
    """Yield the names of curves beside their ends, moved apart where they would meet."""
    ends = []
    for i, curve in enumerate(drawn):
        shown = [v for v in curve.values if 0 < v < math.inf]
        ends.append((axes.y(shown[-1]) if shown else axes.bottom, i))
    least, leading = axes.top + 4.0, min(15.0, (axes.bottom - axes.top) / len(ends))
    room = axes.bottom + 4 - leading * len(ends)
    for count, (y, i) in enumerate(sorted(ends), 1):
        place = max(min(y + 4, room + leading * count), least)
        least = place + leading
        dash = f'stroke-dasharray="{_DASHES[i % 4]}"'
        yield (
            f'<path d="M{axes.right + 6} {place - 4:.1f}h16" stroke="{_COLOURS[i % 5]}" '
            f'stroke-width="2.2" {dash}/>'
        )
        yield _text(axes.right + 26, place, drawn[i].name)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two positive numbers, for a logarithmic axis.

    Examples
    --------
    >>> log_ticks(0.004, 3.0), log_ticks(0.9, 2.5), log_ticks(1e-12, 1.0)
    ([0.01, 0.1, 1.0], [1.0, 2.0], [1e-12, 1e-09, 1e-06, 0.001, 1.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((math.log10(high) - math.log10(low)) / 5))
    exponents = range(first // every * every, last + 1, every)
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        values = [float(f"{part}e{k}") for k in exponents for part in parts]
        found = [v for v in values if low * 0.999 <= v <= high * 1.001]
        if len(found) > 1:
            return found
    return found or [float(f"{low:.3g}")]


def step_ticks(last: int) -> list[int]:
    """Return about five round numbers of steps.

    Examples
    --------
    >>> step_ticks(300), step_ticks(1)
    ([1, 100, 200, 300], [1])
    """
    unit = 10 ** max(0, len(str(last)) - 1)
    parts = (max(1, unit // 5), max(1, unit // 2), unit, 2 * unit)
    every = next(part for part in parts if last / part < 6)
    return [1, *range(every, last + 1, every)] if every > 1 else list(range(1, last + 1))


def _text(x: float, y: float, text: str, **given: str) -> str:
    names = {"anchor": "text-anchor", "weight": "font-weight", "fill": "fill"}
    kept = "".join(f' {names[key]}="{value}"' for key, value in given.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{kept}>{escape(text)}</text>'


def png(pixels: Array) -> bytes:
    """Return an array of bytes of shape (rows, columns, 3) as a PNG file."""
    rows, columns, _ = pixels.shape
    up = np.diff(pixels.astype(np.int16), axis=0, prepend=0).astype(np.uint8).reshape(rows, -1)
    data = np.insert(up, 0, 2, axis=1).tobytes()  # filter 2: the difference from the row above
    header = pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    chunks = (
        pack(">I", len(text)) + kind + text + pack(">I", zlib.crc32(kind + text))
        for kind, text in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# Pictures and pages


def picture(panels: Sequence[Panel], captions: Sequence[str]) -> str:
    """Return the panels as one SVG, which shows its frames one after the other."""
    places, width, height = _arranged(panels)
    parts = [
        f'<g transform="translate({x} {y})">{panel.below}{_in_turn(panel.frames)}{panel.above}</g>'
        for panel, (x, y) in zip(panels, places, strict=True)
    ]
    said = [f'<g font-size="16">{_text(8, 26, caption)}</g>' for caption in captions]
    parts.append(_in_turn(said))
    style = f"<style>{_moving(len(captions))}</style>" if len(captions) > 1 else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{FONT}" font-size="13" fill="{INK}" role="img" '
        f'aria-label="{escape(captions[-1])}">{style}'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _arranged(panels: Sequence[Panel]) -> tuple[list[tuple[int, int]], int, int]:
    """Return the places of panels, the tall one left of the others, and the size of all."""
    tall = panels[0] if panels[0].height > panels[-1].height else None
    left, y, places = (tall.width + _GAP if tall else 0), _TITLE, []
    for panel in panels:
        if panel is tall:
            places.append((0, _TITLE))
            continue
        places.append((left, y))
        y += panel.height
    width = left + max(panel.width for panel in panels if panel is not tall)
    return places, width, max(y, _TITLE + (tall.height if tall else 0))


def _in_turn(frames: Sequence[str]) -> str:
    """Return a group for each frame, which starts to be visible at its time."""
    if len(frames) == 1:
        return frames[0]
    delays = (i * _SECONDS - _duration(len(frames)) for i in range(len(frames)))
    kinds = ["m"] * (len(frames) - 1) + ["m l"]
    return "".join(
        f'<g class="{kind}" style="animation-delay:{delay:.2f}s">{body}</g>'
        for kind, delay, body in zip(kinds, delays, frames, strict=True)
    )


def _duration(frames: int) -> float:
    return _SECONDS * (frames - 1) + _HOLD


def _moving(frames: int) -> str:
    """Return the style of a moving picture: each group is visible in its turn."""
    total = _duration(frames)
    # rounded down: at the start the last frame is no longer visible
    one, last = (math.floor(1e6 * part / total) / 1e4 for part in (_SECONDS, _HOLD))
    return (
        f".m{{visibility:hidden;animation:turn {total:.2f}s step-end infinite}}"
        f".m.l{{animation-name:end}}@keyframes turn{{0%{{visibility:visible}}{one:.4f}%"
        f"{{visibility:hidden}}}}@keyframes end{{0%{{visibility:visible}}{last:.4f}%"
        "{visibility:hidden}}@media (prefers-reduced-motion:reduce){.m{animation:none}"
        ".m.l{visibility:visible}}"
    )


def page(panels: Sequence[Panel], captions: Sequence[str]) -> str:
    """Return a self-contained page: the panels, a slider over the frames, and a button to play."""
    figures = "".join(_figure(panel) for panel in panels)
    data = json.dumps(list(captions), ensure_ascii=False).replace("<", "\\u003c")
    policy = content_policy(_SCRIPT, _STYLE, images="data:")
    last = len(captions) - 1
    return (
        f"{_head(policy, _STYLE)}<header>"
        '<button type="button" id="play">Play</button>'
        f'<input type="range" id="place" aria-label="frame" min="0" max="{last}" value="{last}">'
        f'<output id="said">{escape(captions[-1])}</output></header><main>{figures}</main>'
        "<footer>A recording; symad serve has a live page.</footer>"
        f'<script type="application/json" id="captions">{data}</script>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def live_head() -> str:
    """Return the beginning of a page to which frames are added: the last one is seen."""
    style = f"{_STYLE}section:has(+ section) {{ display: none; }}"
    return _head(content_policy("", style, images="data:"), style)


def live_frame(panels: Sequence[Panel], captions: Sequence[str]) -> str:
    """Return a frame of such a page."""
    figures = "".join(_figure(panel) for panel in panels)
    said = escape(captions[-1])
    return f"<section><header>{said}</header><main>{figures}</main></section>\n"


def live_end() -> str:
    """Return the end of such a page."""
    said = "The training has ended. Load the page again to repeat it."
    return f"<footer>{said}</footer></body></html>\n"


def _head(policy: str, style: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Training</title><style>{style}</style></head><body>"
    )


def _figure(panel: Panel) -> str:
    last = len(panel.frames) - 1
    groups = "".join(
        f'<g class="frame"{"" if i == last else " hidden"}>{body}</g>'
        for i, body in enumerate(panel.frames)
    )
    return (
        f'<svg viewBox="0 0 {panel.width} {panel.height}" role="img" font-family="{FONT}" '
        f'font-size="13" fill="{INK}" aria-label="{escape(panel.title)}">'
        f"{panel.below}{groups}{panel.above}</svg>"
    )


def in_cell(text: str) -> str:
    """Return a page as the output of a notebook's cell."""
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{escape(text)}" title="training" width="100%" '
        'height="520" style="border:0"></iframe>'
    )


_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: #ffffff; color: #1a1a1a;
  font: 16px/1.5 "DejaVu Sans", Verdana, Geneva, sans-serif; }
header, main, footer { max-width: 1280px; margin: auto; padding: 12px 20px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; }
button { font: inherit; min-width: 6em; padding: 6px 14px; border: 1px solid #0063a0;
  border-radius: 6px; background: #0063a0; color: #ffffff; cursor: pointer; }
input { flex: 1 1 12em; accent-color: #0063a0; }
output { flex: 0 0 29em; font-variant-numeric: tabular-nums; }
main { display: grid; gap: 0 16px; align-items: start; }
svg { width: 100%; height: auto; }
@media (width > 800px) {
  main { grid-template-columns: 1fr 1fr; }
  main:has(> :nth-child(3)) { grid-template-columns: 396fr 470fr; }
  svg:first-child:nth-last-child(3) { grid-row: span 2; }
}
@media (width <= 800px) { output { flex-basis: 100%; font-size: 14px; } }
.frame[hidden] { display: none; }
"""

_SCRIPT = """
"use strict";
const captions = JSON.parse(document.getElementById("captions").textContent);
const pictures = [...document.querySelectorAll("main svg")].map((svg) => [
  ...svg.querySelectorAll(".frame"),
]);
const place = document.getElementById("place");
const button = document.getElementById("play");
let shown = captions.length - 1, timer = 0;
function show(frame) {
  for (const frames of pictures) {
    frames[shown].setAttribute("hidden", "");
    frames[frame].removeAttribute("hidden");
  }
  shown = frame;
  place.value = frame;
  place.setAttribute("aria-valuetext", captions[frame]);
  document.getElementById("said").textContent = captions[frame];
}
function stop() {
  clearInterval(timer);
  timer = 0;
  button.textContent = "Play";
}
place.addEventListener("input", () => {
  stop();
  show(Number(place.value));
});
button.addEventListener("click", () => {
  if (timer) return stop();
  if (shown === captions.length - 1) show(0);
  button.textContent = "Pause";
  timer = setInterval(() => (shown < captions.length - 1 ? show(shown + 1) : stop()), 120);
});
"""
