"""Glyphs: private Unicode characters that represent symbols, values and texts in formulas.

A formula for the page is text, or MathML, in which v̄₂→₅ is one character of a private plane of
Unicode.  The page replaces it by markup that refers to its node, so that the reader can point at
it, or by the node's current value.  The user's own texts are in a separate table, never in markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from symad.drawing.metrics import broken, text_width
from symad.drawing.picture import BIG, MIDDLE, TextLine
from symad.notation.escape import visible
from symad.notation.labels import Symbol
from symad.notation.values import MINUS

FIRST = 0xF0000
"""The code point of the first glyph; the page uses the same number."""

_PRIVATE = re.compile(f"[{chr(FIRST)}-{chr(FIRST + 0xFFFD)}]")
_MARKS = {"": "", "bar": "\N{COMBINING MACRON}", "dot": "\N{COMBINING DOT ABOVE}"}
_VALUE = "−0.284"  # the width reserved for a value
_ROOM = 165.0  # for a line of a formula on a node
_MOST_LINES = 3


class Glyphs:
    """The symbols, values and user texts in the formulas of one page.

    Attributes
    ----------
    entries : list of dict
        What the page shows for each private character, in order: ``l`` letter, ``i`` index, ``u``
        upper index, ``n`` the id of the node; or ``v``, the index of a value, with ``p`` if it may
        need parentheses; or ``t``, a text.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._plain: list[str] = []
        self._known: dict[object, str] = {}

    def symbol(self, symbol: Symbol, target: str = "") -> str:
        """Return the character for a symbol of the node with the id ``target``."""
        slot = "" if symbol.slot is None else f",{symbol.slot}"
        entry: dict[str, Any] = {
            "l": symbol.letter + _MARKS[symbol.mark],
            "i": "→".join(map(str, symbol.index)) + slot,
        }
        upper = (f"({symbol.generation})" if symbol.generation > 1 else "") + "′" * symbol.copy
        if upper:
            entry["u"] = upper
        entry |= {"n": target} if target else {}
        return self._character((symbol, target), entry, symbol.subscripted)

    def aim(self, character: str, target: str) -> None:
        """Set the node id of a symbol that was written before its node had an id."""
        self.entries[ord(character) - FIRST]["n"] = target

    def value(self, place: int, inner: bool = False) -> str:
        """Return the character for the current value at an index.

        Inside a formula, a negative value is put in parentheses.
        """
        entry = {"v": place} | ({"p": 1} if inner else {})
        return self._character(("value", place, inner), entry, _VALUE)

    def text(self, text: str, longest: int = 40) -> str:
        """Return the character for a text of the user, shortened."""
        shown = visible(text, longest)
        return self._character(("text", text, longest), {"t": shown}, shown)

    def _character(self, key: object, entry: dict[str, Any], plain: str) -> str:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = chr(FIRST + len(self.entries))
            self.entries.append(entry)
            self._plain.append(plain)
        return known

    # On nodes

    def plain(self, text: str, value: Callable[[int], str] = lambda place: _VALUE) -> str:
        """Return a text as the page shows it; ``value`` gives the values by index."""

        def spelled(character: str) -> str:
            if not _PRIVATE.match(character):
                return character
            place = ord(character) - FIRST
            entry = self.entries[place]
            if "v" not in entry:
                return self._plain[place]
            written = value(entry["v"])
            is_negative = "p" in entry and written.startswith(MINUS)
            return f"({written})" if is_negative else written

        return "".join(map(spelled, text))

    def line(self, text: str, size: int = MIDDLE, **more: Any) -> TextLine:
        """Return a line of text on a node."""
        return TextLine(self.plain(text), size, code=text, **more)

    def symbol_line(self, text: str) -> TextLine:
        """Return a line that holds a symbol or a title."""
        return self.line(text, BIG, bold=True)

    def formula_lines(self, formula: str) -> list[TextLine]:
        """Return a formula on a few lines; a longer formula is cut."""
        rows = broken(formula, MIDDLE, _ROOM, width=self._width)
        if len(rows) > _MOST_LINES:
            rows = [*rows[: _MOST_LINES - 1], f"{rows[_MOST_LINES - 1].rstrip(' +')} …"]
        return [self.line(row, continues=place > 0) for place, row in enumerate(rows)]

    def _width(self, text: str, size: float, bold: bool) -> float:
        return text_width(self.plain(text), size, bold)
