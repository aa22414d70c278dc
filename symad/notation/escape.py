"""Text of the user's in DOT: shown as text whatever it holds, and run nowhere."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_LONGEST = 40
_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\\": "\\\\"}
)


def visible(text: str, longest: int = _LONGEST) -> str:
    """Return ``text`` on one line, shortened, with control characters made visible.

    Marks that reorder the text around them, half of a surrogate pair and what is no character count
    as control characters.  Letters that are written from right to left stay as they are.

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


def html(text: str) -> str:
    """Return ``text`` escaped for HTML-like labels of DOT.

    Examples
    --------
    >>> html("<script>")
    '&lt;script&gt;'
    """
    return text.translate(_ENTITIES)


def quoted(text: str) -> str:
    """Return ``text`` as a quoted string of DOT in which nothing is an escape sequence.

    Graphviz expands escapes such as ``\\N`` twice in some attributes, so a backslash becomes a
    character that looks like it.
    """
    lookalike = text.replace("\\", "\N{REVERSE SOLIDUS OPERATOR}")
    return '"' + lookalike.replace("&", "&amp;").replace('"', '\\"') + '"'
