"""Shapes and colours of pictures, distinguishable without colour and by colour-blind readers.

The hues are based on those of Okabe and Ito ("Color Universal Design", 2008); if two hues are too
similar without red or green, one is darker.  Borders and edges have strong colours; surfaces have
pale colours, with near-black text that is readable on a projector.
"""

from __future__ import annotations

from symad.notation.roles import Kind, Part
from symad.records import dataclass

FONT = "DejaVu Sans,Verdana,Geneva,sans-serif"
INK = "#1a1a1a"
FAINT = "#5f6368"
WHITE = "#ffffff"
ACCENT = "#7a3e9d"
"""The colour of what a picture or a step is about."""


@dataclass(frozen=True)
class Hue:
    """The colours of one part: borders and edges, surfaces of nodes, background."""

    strong: str
    pale: str
    ground: str = WHITE


_FORWARD = Hue("#0063a0", "#d5e8f6", "#f5f9fc")
_TANGENT = Hue("#007a58", "#cfeee3", "#f3fbf8")
_GENERATIONS = (
    Hue("#ad4500", "#fde3cd", "#fef8f3"),
    Hue("#6b1659", "#eecbe0", "#fbf5f9"),
    Hue("#3d3d3d", "#dcdcdc", "#f6f6f6"),
    Hue("#7a6a00", "#f5edb5", "#fdfbee"),
)
HUES = (_FORWARD, _TANGENT, *_GENERATIONS)
GREY = Hue("#9aa0a6", "#f1f3f4")
"""The colours of constants."""


def hue_of(part: Part) -> Hue:
    """Return the colours of a part: one hue per generation of adjoints."""
    if part.family == "forward":
        return _FORWARD
    if part.family == "tangent" and part.generation == 1:
        return _TANGENT
    return _GENERATIONS[(part.generation - 1) % len(_GENERATIONS)]


def hue_class(part: Part) -> str:
    """Return the CSS class of a part: f, t, or a with the generation."""
    if part.family == "forward":
        return "f"
    if part.family == "tangent" and part.generation == 1:
        return "t"
    return f"a{(part.generation - 1) % 3 + 1}"


_GREY = {"color": GREY.strong, "fillcolor": GREY.pale}

SHAPES: dict[Kind, dict[str, str]] = {
    Kind.VARIABLE: {"shape": "box"},
    Kind.PARAMETER: {"shape": "box", "peripheries": "2"},
    Kind.CONSTANT: {"shape": "box", "style": "rounded,filled"} | _GREY,
    Kind.PORT: {"shape": "box", "style": "rounded,filled"},
    Kind.OPERATION: {"shape": "ellipse"},
    Kind.SEED: {"shape": "house"},
    Kind.PARTIAL: {"shape": "ellipse"},
    Kind.IDENTITY: {"shape": "ellipse", "peripheries": "2", "fillcolor": WHITE},
    Kind.SUM: {"shape": "hexagon"},
    Kind.TANGENT: {"shape": "ellipse"},
    Kind.LOCAL: {"shape": "ellipse", "style": "filled,dashed", "fillcolor": WHITE},
    Kind.REPAIR: {"shape": "parallelogram", "fillcolor": WHITE},
    Kind.FOLDED: {"shape": "box3d"},
}

EMPHASIS = {"now": {"color": ACCENT, "penwidth": "5"}, "use": {"penwidth": "4"}}
"""The borders of nodes that a step or a picture is about, and of those that a step uses."""

GLYPHS: dict[Kind, str] = {
    Kind.VARIABLE: "□",
    Kind.PARAMETER: "▣",
    Kind.CONSTANT: "▢",
    Kind.PORT: "▢",
    Kind.OPERATION: "○",
    Kind.SEED: "⌂",
    Kind.PARTIAL: "○",
    Kind.IDENTITY: "◎",
    Kind.SUM: "⬡",
    Kind.TANGENT: "○",
    Kind.LOCAL: "◌",
    Kind.REPAIR: "▱",
    Kind.FOLDED: "❒",
}
