"""Draws a chart of memory: buffers × steps, with the memory in use at each step above them.

Forward and backward steps have the same colours as in pictures.  Residuals, which cross from the
forward to the backward part, are striped, so that they are visible without colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from html import escape

from symad.drawing.style import FAINT, FONT, INK, hue_of
from symad.notation.escape import visible
from symad.notation.roles import Part
from symad.notation.values import format_bytes
from symad.records import dataclass

FORWARD, BACKWARD = hue_of(Part(0, "forward")), hue_of(Part(1, "adjoint"))


class BarKind(StrEnum):
    """The purpose of a buffer."""

    GIVEN = "input, parameter, constant"
    FORWARD = "forward"
    RESIDUAL = "residual: made forward, read backward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Bar:
    """One buffer.

    Attributes
    ----------
    label : str
    tip : str
        The tooltip.
    size : int
        In bytes.
    first, last : int
        The first and the last step that need it; inputs, parameters and constants start at −1.
    kind : BarKind
    is_output : bool
    """

    label: str
    tip: str
    size: int
    first: int
    last: int
    kind: BarKind
    is_output: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and whether it belongs to the backward part."""

    name: str
    is_backward: bool


@dataclass(frozen=True)
class Timeline:
    """The data of a memory chart.

    Attributes
    ----------
    bars : sequence of Bar
        From top to bottom.
    steps : sequence of Step
    live : sequence of int
        The bytes needed during each step, and a last entry for the return of the results.
    title : str
    notes : sequence of str
    """

    bars: Sequence[Bar]
    steps: Sequence[Step]
    live: Sequence[int]
    title: str
    notes: Sequence[str] = ()

    @property
    def peak(self) -> int:
        """The first step that needs the most bytes."""
        return self.live.index(max(self.live))


_LEFT, _RIGHT, _TOP = 210, 76, 82
_ROW, _AREA, _GAP = 20, 120, 14
_WIDTH = 960
_NAME = 14
"""The longest name of a step, in characters."""
_NAME_OF_PART = 64
"""The width of the name of a part."""
_NAMED_STEPS = 28
"""The most steps that are named below the chart."""
_PATTERN = (
    '<pattern id="symad-residual" width="8" height="8" patternUnits="userSpaceOnUse" '
    f'patternTransform="rotate(45)"><rect width="8" height="8" fill="{FORWARD.strong}"/>'
    f'<rect width="3.5" height="8" fill="{BACKWARD.pale}"/></pattern>'
)
_FILLS = {
    BarKind.GIVEN: ("#eceff1", "#9aa0a6"),
    BarKind.FORWARD: (FORWARD.pale, FORWARD.strong),
    BarKind.RESIDUAL: ("url(#symad-residual)", FORWARD.strong),
    BarKind.BACKWARD: (BACKWARD.pale, BACKWARD.strong),
}


def to_svg(chart: Timeline) -> str:
    """Return a chart as self-contained SVG text."""
    return _Painter(chart).svg()


class _Painter:
    def __init__(self, chart: Timeline) -> None:
        self._chart = chart
        self._columns = max(len(chart.live), 1)
        self._column = (_WIDTH - _LEFT - _RIGHT) / self._columns
        self._area = _TOP + _AREA
        self._rows = self._area + _GAP
        self._bottom = self._rows + _ROW * len(chart.bars)

    def svg(self) -> str:
        chart = self._chart
        named = len(chart.steps) <= _NAMED_STEPS
        below = (self._slant() if named else 22) + 26 + 18 * len(chart.notes) + 12
        height = self._bottom + below
        body = [
            f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="white"/>',
            self._text(16, 30, chart.title, size=16, bold=True),
            *self._grounds(),
            *self._live(),
            *(line for row, bar in enumerate(chart.bars) for line in self._bar(row, bar)),
            *self._peak(),
            *self._axis(named),
            *self._legend(height - 12 - 18 * len(chart.notes) - 8),
            *self._notes(height),
        ]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" font-family="{FONT}">'
            f"<title>{_safe(chart.title)}</title><defs>{_PATTERN}</defs>{''.join(body)}</svg>\n"
        )

    def _slant(self) -> int:
        """Return the height of the slanted names of the steps."""
        longest = max((min(len(step.name), _NAME) for step in self._chart.steps), default=0)
        return 34 + 5 * max(longest, len("return"))

    def _x(self, column: float) -> float:
        return round(_LEFT + column * self._column, 2)

    def _grounds(self) -> Iterator[str]:
        """Yield the background colour of each step, which shows its part."""
        for first, last, is_backward in _runs(self._chart.steps):
            hue = BACKWARD if is_backward else FORWARD
            x, width = self._x(first), (last - first + 1) * self._column
            yield _rect(x, _TOP, width, self._bottom - _TOP, hue.ground)
            name = "backward" if is_backward else "forward"
            left, room = self._beside_peak(x + 4, width)
            if room > _NAME_OF_PART:
                yield self._text(left, _TOP - 5, name, size=12, color=hue.strong)

    def _beside_peak(self, left: float, width: float) -> tuple[float, float]:
        """Return the start of the name of a part, and its room, clear of the line of the peak."""
        line = self._x(self._chart.peak + 0.5)
        if left - 4 <= line <= left + _NAME_OF_PART:
            return line + 6, left + width - line - 6
        return left, width

    def _live(self) -> Iterator[str]:
        """Yield the area of the memory in use at each step, and its scale."""
        live = self._chart.live
        most = max(live) or 1
        points = [f"{self._x(0)},{self._area}"]
        for column, size in enumerate(live):
            y = round(self._area - (_AREA - 10) * size / most, 2)
            points += [f"{self._x(column)},{y}", f"{self._x(column + 1)},{y}"]
        points.append(f"{self._x(len(live))},{self._area}")
        yield (
            f'<polygon points="{" ".join(points)}" fill="#c9ced3" stroke="{FAINT}" '
            'stroke-width="1.2"/>'
        )
        yield self._text(_LEFT - 8, self._area, "0", anchor="end")
        yield self._text(_LEFT - 8, _TOP + 18, format_bytes(most), anchor="end")
        yield self._text(_LEFT - 8, _TOP + _AREA / 2 + 8, "memory in use", anchor="end")

    def _bar(self, row: int, bar: Bar) -> Iterator[str]:
        y = self._rows + row * _ROW
        first = max(bar.first, 0)
        x, width = self._x(first), max((bar.last - first + 1) * self._column, 2)
        fill, stroke = _FILLS[bar.kind]
        thick = 2.5 if bar.is_output else 1
        yield (
            f'<g><title>{_safe(bar.tip)}</title><rect x="{x}" y="{y + 3}" width="{width:.2f}" '
            f'height="{_ROW - 6}" rx="2" fill="{fill}" stroke="{stroke}" stroke-width="{thick}"/>'
        )
        weight = bar.kind is BarKind.RESIDUAL
        yield self._text(_LEFT - 8, y + 14, bar.label, anchor="end", bold=weight)
        yield self._text(_WIDTH - 8, y + 14, format_bytes(bar.size), anchor="end", bold=weight)
        yield "</g>"

    def _peak(self) -> Iterator[str]:
        chart = self._chart
        x, width = self._x(chart.peak), self._column
        yield (
            f'<rect x="{x}" y="{_TOP}" width="{width:.2f}" height="{self._bottom - _TOP}" '
            f'fill="none" stroke="{INK}" stroke-width="1.5" stroke-dasharray="5 3"/>'
        )
        middle = x + width / 2
        name = f"peak: {format_bytes(max(chart.live))} during {self._step_name(chart.peak)}"
        # Above the chart, on the side with more room.
        to_left = middle > (_LEFT + _WIDTH) / 2
        end = x + width if to_left else x
        yield self._text(end, _TOP - 24, name, anchor="end" if to_left else "start", bold=True)
        yield (
            f'<line x1="{middle:.2f}" y1="{_TOP - 18}" x2="{middle:.2f}" y2="{_TOP}" '
            f'stroke="{INK}" stroke-width="1.5"/>'
        )

    def _step_name(self, step: int) -> str:
        steps = self._chart.steps
        return f"step {step}, {steps[step].name}" if step < len(steps) else "the return"

    def _axis(self, named: bool) -> Iterator[str]:
        y = self._bottom + 16
        count = len(self._chart.steps)
        every = 1 if named else -(-count // 12)
        for step in range(0, count, every):
            x = self._x(step + 0.5)
            yield self._text(x, y, str(step), anchor="middle")
            if named:
                hue = BACKWARD if self._chart.steps[step].is_backward else FORWARD
                yield self._slanted(step, self._chart.steps[step].name, hue.strong)
        yield self._text(_LEFT - 8, y, "step", anchor="end")
        if named:
            yield self._slanted(count, "return", INK)

    def _slanted(self, column: int, name: str, color: str) -> str:
        x, y = round(self._x(column + 0.5) + 4, 2), self._bottom + 24
        return (
            f'<text transform="translate({x},{y}) rotate(-45)" text-anchor="end" font-size="12" '
            f'fill="{color}">{_safe(visible(name, _NAME))}</text>'
        )

    def _legend(self, y: float) -> Iterator[str]:
        x = 16.0
        used = {bar.kind for bar in self._chart.bars}
        for kind in BarKind:
            if kind not in used:
                continue
            fill, stroke = _FILLS[kind]
            yield (
                f'<rect x="{x}" y="{y - 11}" width="22" height="12" rx="2" fill="{fill}" '
                f'stroke="{stroke}"/>'
            )
            yield self._text(x + 28, y, kind.value)
            x += 52 + 6.4 * len(kind.value)
        if any(bar.is_output for bar in self._chart.bars):
            yield (
                f'<rect x="{x}" y="{y - 11}" width="22" height="12" rx="2" fill="white" '
                f'stroke="{INK}" stroke-width="2.5"/>'
            )
            yield self._text(x + 28, y, "returned")

    def _notes(self, height: float) -> Iterator[str]:
        notes = self._chart.notes
        for place, note in enumerate(notes):
            yield self._text(16, height - 12 - 18 * (len(notes) - 1 - place), note)

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        size: int = 12,
        color: str = INK,
        bold: bool = False,
    ) -> str:
        weight = ' font-weight="bold"' if bold else ""
        return (
            f'<text x="{round(x, 2)}" y="{round(y, 2)}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{color}"{weight}>{_safe(text)}</text>'
        )


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.2f}" height="{height}" fill="{fill}"/>'


def _safe(text: str) -> str:
    return escape(visible(text, 200))


def _runs(steps: Sequence[Step]) -> Iterator[tuple[int, int, bool]]:
    """Yield the first and the last step of each run of steps in the same part."""
    begin = 0
    for place in range(1, len(steps) + 1):
        if place == len(steps) or steps[place].is_backward != steps[begin].is_backward:
            yield begin, place - 1, steps[begin].is_backward
            begin = place


_SIGNS = {
    BarKind.GIVEN: "·",
    BarKind.FORWARD: "▒",
    BarKind.RESIDUAL: "█",
    BarKind.BACKWARD: "░",
}
_TEXT_COLUMNS = 60


def text_rows(chart: Timeline) -> list[tuple[str, str, str]]:
    """Return rows of text: the buffer, its size, and its bar over the steps.

    If there are more steps than columns, several steps share a column.
    """
    steps = max(len(chart.live), 1)
    each = -(-steps // _TEXT_COLUMNS)
    columns = -(-steps // each)
    rows = []
    for bar in chart.bars:
        first, last = max(bar.first, 0) // each, min(bar.last, steps - 1) // each
        line = " " * first + _SIGNS[bar.kind] * (last - first + 1)
        rows.append((visible(bar.label), format_bytes(bar.size), line.ljust(columns)))
    mark = " " * (chart.peak // each) + "▲"
    rows.append(("peak", format_bytes(max(chart.live)), mark.ljust(columns)))
    return rows


def text_legend() -> str:
    """Return the legend of :func:`text_rows`."""
    return ", ".join(f"{sign} {kind.value}" for kind, sign in _SIGNS.items())
