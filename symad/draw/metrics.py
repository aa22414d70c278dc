"""How wide text is: for a layout that no font engine takes part in.

The widths are those of DejaVu Sans, rounded up, the font that pictures ask for first; others that
are likely to stand in for it are as wide or narrower.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

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
_BOLD = 0.075  # what bold adds to each character


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a line of text, in the unit of its size.

    Examples
    --------
    >>> round(text_width("v̄₁", 10), 2), round(text_width("v̄₁", 10, bold=True), 2)
    (10.2, 11.7)
    """
    widths = [_width(character) for character in text]
    extra = _BOLD * sum(width > 0 for width in widths) if bold else 0.0
    return size * (sum(widths) + extra)


@lru_cache(maxsize=4096)
def _width(character: str) -> float:
    """Return the width of a character in a font of size 1; an estimate for what is not listed."""
    if character in _WIDTHS:
        return _WIDTHS[character]
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0.0
    if category == "So":
        return _PICTURE
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _USUAL
