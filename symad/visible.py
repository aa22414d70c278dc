"""User text on one line, with invisible characters made visible; and the width of text."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_LONGEST = 40


def visible(text: str, longest: int = _LONGEST) -> str:
    """Return ``text`` on one line, shortened, with control characters made visible.

    Marks that reorder the text around them, lone surrogates and code points that are not characters
    count as control characters.  Letters that are written from right to left stay as they are.

    Examples
    --------
    >>> visible("a\\nb\\u202ec")
    'a↵b\\\\u202ec'
    """
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(map(_visible_character, text))


@lru_cache(maxsize=4096)
def _visible_character(character: str) -> str:
    if character == "\n":
        return "↵"
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Cn", "Zl", "Zp")
    reorders = unicodedata.bidirectional(character) in _REORDERING
    return f"\\u{ord(character):04x}" if hidden or reorders else character


_REORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def display_width(text: str) -> int:
    """Return how many columns of a terminal ``text`` needs.

    Examples
    --------
    >>> len("v̄1"), display_width("v̄1")
    (3, 2)
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


@lru_cache(maxsize=4096)
def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
