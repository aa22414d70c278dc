"""Formulas of the page, which are MathML, as lines of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

_LOWER = dict(zip("0123456789+−=()→", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎→", strict=True))
_UPPER = dict(zip("0123456789+−=()nT′", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵀ′", strict=True))
_SPACED = "=+−→←<>≤≥≠∧∨"
_ACCENTS = {"¯": "\N{COMBINING MACRON}", "˙": "\N{COMBINING DOT ABOVE}"}
_WIDE_SPACE = 0.3  # em


def plain_maths(maths: str) -> str:
    """Return a formula as text.

    Examples
    --------
    >>> plain_maths("<msub><mi>x</mi><mn>1</mn></msub><mo>=</mo><msqrt><mi>y</mi></msqrt>")
    'x₁ = √(y)'
    >>> plain_maths('<mfrac linethickness="0"><mi>n</mi><mi>k</mi></mfrac>')
    'n choose k'
    """
    root = ElementTree.fromstring(f"<mrow>{maths}</mrow>")
    texts: dict[ElementTree.Element, str] = {}
    for element in reversed(list(root.iter())):  # children before parents
        texts[element] = _written(element, [texts.pop(child) for child in element])
    return " ".join(texts[root].split())


def _written(element: ElementTree.Element, parts: Sequence[str]) -> str:
    """Return an element as text, given its children as text."""
    match element.tag:
        case "mo":
            text = element.text or ""
            return f" {text} " if text in _SPACED else f"{text} " if text == "," else text
        case "mspace":
            return "  " if _width(element) > _WIDE_SPACE else ""
        case "mfrac" if element.get("linethickness") == "0":
            return " choose ".join(parts)
        case "mfrac":
            return f"{_grouped(element[0], parts[0])}/{_grouped(element[1], parts[1])}"
        case "msqrt":
            return f"√({''.join(parts)})"
        case "mroot":
            return f"root({', '.join(parts)})"
        case "mover" if element.get("accent"):
            return parts[0] + _ACCENTS.get(parts[1], parts[1])
        case "msup" | "mover":
            return parts[0] + _scripted(parts[1], _UPPER, "^")
        case "msub" | "munder":
            return parts[0] + _scripted(parts[1], _LOWER, "_")
        case "msubsup" | "munderover":
            lower, upper = _scripted(parts[1], _LOWER, "_"), _scripted(parts[2], _UPPER, "^")
            return f"{parts[0]}{lower}{upper} "
        case "mrow" | "math":
            return _joined(element, parts)
        case _:
            return "".join([element.text or "", *parts])


def _joined(row: ElementTree.Element, parts: Sequence[str]) -> str:
    """Return a row, with a space after the name of a function without brackets."""
    words: list[str] = []
    for place, (child, part) in enumerate(zip(row, parts, strict=True)):
        is_name = child.tag in ("mi", "mtext") and len(part) > 1
        follows = place + 1 < len(row) and row[place + 1].tag != "mo"
        words.append(f"{part} " if is_name and follows else part)
    return "".join(words)


def _width(space: ElementTree.Element) -> float:
    return float(space.get("width", "0em").removesuffix("em"))


def _grouped(element: ElementTree.Element, text: str) -> str:
    """Return one side of a fraction, in brackets if it is more than a product of symbols."""
    simple = element.tag != "mrow" or not any(child.tag == "mo" for child in element)
    return text.strip() if simple else f"({text.strip()})"


def _scripted(text: str, table: dict[str, str], mark: str) -> str:
    """Return an index or an exponent in small characters, where Unicode has them."""
    text = text.replace(" ", "")
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    return f"{mark}{text}" if len(text) == 1 else f"{mark}({text})"
