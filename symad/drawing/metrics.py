"""Text widths and line breaks, for a layout without a font engine.

The widths are those of DejaVu Sans, the first choice of font in pictures, rounded up; likely
substitutes are as wide or narrower.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

from symad.drawing import subscripts

_WIDTHS = {
    character: width
    for width, characters in {
        0.28: "'ijl′⁽⁾", 0.32: " \xa0,.·IJ", 0.36: "/:;\\|f", 0.4: "-()[]tᵀ⌊⌋⟨⟩",
        0.42: "!r²³¹₀₁₂₃₄₅₆₇₈₉⁰⁴⁵⁶⁷⁸⁹", 0.5: '"*_`‖–', 0.54: "?sz₊₋∂▸", 0.58: "LcεFk", 0.6: "vxyγλ",
        0.64: "$0123456789ESbdghnpqu{}ΣβμσPTYaeoδθπ┄━√∘⌂", 0.7: "ABCKRVXZαφψ", 0.76: "HNUΠ∧∨",
        0.8: "&DGOQ▱", 0.84: "w#+<=>^~×÷−→↵ω∞≤≥≠¬", 0.9: "M○◎⬡◌❒", 0.98: "m%□▣▢", 1.0: "@W…⋯—",
    }.items()
    for character in characters
}  # fmt: skip
_USUAL, _WIDE, _PICTURE = 0.8, 1.1, 1.4
_BOLD = 0.075  # extra width of each bold character
Measure = Callable[[str, float, bool], float]
"""Returns the width of a text, for a size and for bold or normal type."""

_BREAKS = re.compile("(?<=[ ,(])(?![ ₀-₉₊₋])")  # the places where a line may end


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a line of text, in the same unit as its size.

    Examples
    --------
    >>> round(text_width("v̄₁", 10), 2), round(text_width("v̄₁", 10, bold=True), 2)
    (10.48, 11.76)
    """
    total = 0.0
    for piece, is_lower in subscripts.pieces(text):
        widths = [_width(character) for character in piece]
        extra = _BOLD * sum(width > 0 for width in widths) if bold else 0.0
        total += (sum(widths) + extra) * (subscripts.SIZE if is_lower else 1.0)
    return size * total


def broken(
    text: str, size: float, room: float, bold: bool = False, width: Measure = text_width
) -> list[str]:
    """Return text on as few lines as fit a width, with lines of similar widths.

    Lines end after a space, a comma or an opening bracket, and nowhere else.

    Examples
    --------
    >>> broken("broadcast_like(v₁₀, v₉)", 10, 110)
    ['broadcast_like(', 'v₁₀, v₉)']
    """
    pieces = _BREAKS.split(text)
    best = narrower = _filled(pieces, size, room, bold, width)
    while len(narrower) == len(best) > 1:
        best = narrower
        widest = max(width(line, size, bold) for line in best)
        if widest <= max(width(piece.rstrip(), size, bold) for piece in pieces):
            break
        narrower = _filled(pieces, size, widest - 0.01, bold, width)
    return best


def _filled(
    pieces: Iterable[str], size: float, room: float, bold: bool, width: Measure
) -> list[str]:
    lines = [""]
    for piece in pieces:
        if lines[-1] and width((lines[-1] + piece).rstrip(), size, bold) > room:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip(" ") for line in lines]


@lru_cache(maxsize=4096)
def _width(character: str) -> float:
    """Return the width of a character in a font of size 1; an estimate for unlisted ones."""
    if character in _WIDTHS:
        return _WIDTHS[character]
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0.0
    if category == "So":
        return _PICTURE
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _USUAL
