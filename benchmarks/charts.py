"""Charts of measurements as SVG: for each row, how many times as long others take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

LIBRARIES = {
    "jax": ("JAX", "#0063a0", "circle"),
    "torch": ("PyTorch", "#b84a00", "square"),
    "casadi": ("CasADi", "#007a58", "up"),
    "pytensor": ("PyTensor", "#6b1659", "down"),
    "autograd": ("autograd", "#7a6a00", "cross"),
    "numpy": ("NumPy, by hand", "#3d3d3d", "diamond"),
    "math": ("Python's math", "#5f6368", "ring"),
}
"""Names, colours and marks, which differ without colour too."""

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 330, 30, 30, 62
_INK, _FAINT, _LINE = "#1a1a1a", "#5f6368", "#e3e6ea"


def dot_chart(rows: Mapping[str, Mapping[str, float]], described: str) -> str:
    """Return a chart with a row for each work, and a mark for each library, by its ratio.

    Parameters
    ----------
    rows : dict from label to dict from library to ratio
        The time of a library divided by that of symad.
    described : str
        What the chart shows, for readers who do not see it.
    """
    ratios = [ratio for row in rows.values() for ratio in row.values()]
    low, high = min([0.5, *ratios]), max([2.0, *ratios])
    span = math.log(high / low)
    width = _WIDTH - _LEFT - _RIGHT

    def x(ratio: float) -> float:
        return _LEFT + width * math.log(ratio / low) / span

    bottom = _TOP + _ROW * len(rows)
    height = bottom + 44
    used = [name for name in LIBRARIES if any(name in row for row in rows.values())]
    parts = [*_legend(used), *_axis(_ticks(low, high), x, bottom)]
    for place, (label, row) in enumerate(rows.items()):
        y = _TOP + _ROW * (place + 0.5)
        parts.append(_text(_LEFT - 14, y + 5, label, "end", _INK))
        parts += [_mark(name, x(row[name]), y) for name in reversed(used) if name in row]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'width="{_WIDTH}" height="{height}" font-size="14" aria-label="{escape(described)}" '
        f'font-family="DejaVu Sans,Verdana,Geneva,sans-serif"><title>{escape(described)}</title>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _legend(used: Sequence[str]) -> Iterator[str]:
    x = 20.0
    for name in used:
        shown = LIBRARIES[name][0]
        yield _mark(name, x, 16)
        yield _text(x + 12, 21, shown, "start", _INK)
        x += 34 + 8.2 * len(shown)


def _axis(
    ticks: Sequence[float], x: Callable[[float], float], bottom: float
) -> Iterator[str]:
    for tick in ticks:
        place = f"{x(tick):.1f}"
        yield f'<path d="M{place} {_TOP - 4}V{bottom}" stroke="{_LINE}"/>'
        yield _text(x(tick), bottom + 18, f"{tick:g} ×", "middle", _FAINT)
    one = x(1.0)
    yield f'<path d="M{one:.1f} {_TOP - 10}V{bottom}" stroke="{_INK}" stroke-width="2"/>'
    yield _text(one, _TOP - 16, "symad", "middle", _INK)
    said = "time of a call, divided by symad's: further right is slower"
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 38, said, "middle", _FAINT)


def _ticks(low: float, high: float) -> list[float]:
    """Return round ratios.

    Examples
    --------
    >>> _ticks(0.5, 30), _ticks(0.5, 3)
    ([1.0, 10.0], [0.5, 1.0, 2.0])
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1,) if high / low > 50 else (1, 2, 5)
    return [t for k in exponents for part in parts if low <= (t := float(f"{part}e{k}")) <= high]


def _mark(library: str, x: float, y: float) -> str:
    _, colour, shape = LIBRARIES[library]
    at = f"M{x:.1f} {y:.1f}"
    paths = {
        "circle": f"{at}m-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
        "square": f"{at}m-5.5 -5.5h11v11h-11z",
        "up": f"{at}m0 -7l6.5 11.5h-13z",
        "down": f"{at}m0 7l6.5 -11.5h-13z",
        "diamond": f"{at}m0 -7l6 7l-6 7l-6 -7z",
        "ring": f"{at}m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0",
        "cross": f"{at}m-5 -5l10 10m0 -10l-10 10",
    }
    if shape in ("cross", "ring"):
        return f'<path d="{paths[shape]}" stroke="{colour}" stroke-width="3" fill="none"/>'
    return f'<path d="{paths[shape]}" fill="{colour}" stroke="#ffffff"/>'


def _text(x: float, y: float, text: str, anchor: str, fill: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{fill}">{escape(text)}</text>'
