"""Symbols inside formulas: each stands as one private character, which the page writes out.

A formula for the page is text, or MathML, in which v̄₂→₅ is a single character of a private plane of
Unicode.  The page replaces it by markup that knows its node, so that a formula can be pointed at;
and by the node's current value where that is wanted.  What the user wrote travels beside the
formulas, in a table, and is never part of markup.
"""

from __future__ import annotations

import re
from typing import Any

from symad.notation.escape import visible
from symad.notation.labels import Symbol
from symad.notation.mathml import mathml as mathml

FIRST = 0xF0000
"""The private character of the first glyph; the page has the same number."""

_PRIVATE = re.compile(f"[{chr(FIRST)}-{chr(FIRST + 0xFFFD)}]")
_WIDTHS = {**dict.fromkeys("iljtfr.,:;'|!()[] ", 0.36), **dict.fromkeys("mwMW@—…", 0.95)}
_MARKS = {"": "", "bar": "\N{COMBINING MACRON}", "dot": "\N{COMBINING DOT ABOVE}"}
_USUAL_WIDTH = 0.62
_VALUE_WIDTH = 6 * _USUAL_WIDTH  # −0.284
_SMALL = 0.7  # of an index, in relation to its letter


class Glyphs:
    """The symbols, values and words of the user's that formulas of one page hold.

    Attributes
    ----------
    entries : list of dict
        What the page writes for each private character, in order: ``l`` letter, ``i`` index, ``u``
        upper index, ``n`` the id of the node; or ``v``, the place of a value, with ``p`` if it may
        need parentheses; or ``t``, a text.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._known: dict[object, str] = {}

    def symbol(self, symbol: Symbol, target: str = "") -> str:
        """Return the character that stands for a symbol of the node with the id ``target``."""
        slot = "" if symbol.slot is None else f",{symbol.slot}"
        entry: dict[str, Any] = {
            "l": symbol.letter + _MARKS[symbol.mark],
            "i": "→".join(map(str, symbol.index)) + slot,
        }
        upper = (f"({symbol.generation})" if symbol.generation > 1 else "") + "′" * symbol.copy
        if upper:
            entry["u"] = upper
        return self._character((symbol, target), entry | ({"n": target} if target else {}))

    def aim(self, character: str, target: str) -> None:
        """Say which node a symbol belongs to that was written before its node had an id."""
        self.entries[ord(character) - FIRST]["n"] = target

    def value(self, place: int, inner: bool = False) -> str:
        """Return the character that stands for the current value at a place.

        One that is part of a formula is put in parentheses where it is negative.
        """
        return self._character(("value", place, inner), {"v": place} | ({"p": 1} if inner else {}))

    def text(self, text: str, longest: int = 40) -> str:
        """Return the character that stands for a text of the user's, shortened."""
        return self._character(("text", text, longest), {"t": visible(text, longest)})

    def _character(self, key: object, entry: dict[str, Any]) -> str:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = chr(FIRST + len(self.entries))
            self.entries.append(entry)
        return known

    def width(self, text: str) -> float:
        """Return about how wide a text is in a sans-serif font, in units of the font size."""
        return sum(map(self._width, text))

    def _width(self, character: str) -> float:
        if not _PRIVATE.match(character):
            return _WIDTHS.get(character, _USUAL_WIDTH)
        entry = self.entries[ord(character) - FIRST]
        if "t" in entry:
            return self.width(entry["t"])
        if "v" in entry:
            return _VALUE_WIDTH
        return _USUAL_WIDTH + _SMALL * self.width(entry["i"] + entry.get("u", ""))
