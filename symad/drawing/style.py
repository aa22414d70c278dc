"""Shapes and colours: told apart without colour, and in colours that the colour-blind tell apart.

The hues begin with those of Okabe and Ito ("Color Universal Design", 2008); where two are too alike
without red or green, one is darker.  Strong colours are for borders and edges, pale ones for
surfaces, with near-black text on them that a projector keeps readable.
"""

from __future__ import annotations

from dataclasses import dataclass

from symad.notation.roles import Kind, Part

FONT = "DejaVu Sans,Verdana,Geneva,sans-serif"
INK = "#1a1a1a"
FAINT = "#5f6368"


@dataclass(frozen=True)
class Hue:
    """The colours of one part: border and edges, surface of nodes, background."""

    strong: str
    pale: str
    ground: str


_FORWARD = Hue("#0063a0", "#d5e8f6", "#f5f9fc")
_TANGENT = Hue("#007a58", "#cfeee3", "#f3fbf8")
_GENERATIONS = (
    Hue("#b84a00", "#fde3cd", "#fef8f3"),
    Hue("#6b1659", "#eecbe0", "#fbf5f9"),
    Hue("#3d3d3d", "#dcdcdc", "#f6f6f6"),
    Hue("#7a6a00", "#f5edb5", "#fdfbee"),
)


def hue_of(part: Part) -> Hue:
    """Return the colours of a part: one hue per generation of adjoints."""
    if part.family == "forward":
        return _FORWARD
    if part.family == "tangent" and part.generation == 1:
        return _TANGENT
    return _GENERATIONS[(part.generation - 1) % len(_GENERATIONS)]


def hue_class(part: Part) -> str:
    """Return what a page calls the colours of a part: f, t, or a with the generation."""
    if part.family == "forward":
        return "f"
    if part.family == "tangent" and part.generation == 1:
        return "t"
    return f"a{(part.generation - 1) % 3 + 1}"


_GREY = {"color": "#9aa0a6", "fillcolor": "#f1f3f4"}

SHAPES: dict[Kind, dict[str, str]] = {
    Kind.VARIABLE: {"shape": "box"},
    Kind.PARAMETER: {"shape": "box", "peripheries": "2"},
    Kind.CONSTANT: {"shape": "box", "style": "rounded,filled"} | _GREY,
    Kind.OPERATION: {"shape": "ellipse"},
    Kind.SEED: {"shape": "house"},
    Kind.PARTIAL: {"shape": "ellipse"},
    Kind.IDENTITY: {"shape": "ellipse", "peripheries": "2", "fillcolor": "#ffffff"},
    Kind.SUM: {"shape": "hexagon"},
    Kind.TANGENT: {"shape": "ellipse"},
    Kind.LOCAL: {"shape": "ellipse", "style": "filled,dashed", "fillcolor": "#ffffff"},
    Kind.REPAIR: {"shape": "parallelogram", "fillcolor": "#ffffff"},
    Kind.FOLDED: {"shape": "box3d"},
}

GLYPHS: dict[Kind, str] = {
    Kind.VARIABLE: "□",
    Kind.PARAMETER: "▣",
    Kind.CONSTANT: "▢",
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
