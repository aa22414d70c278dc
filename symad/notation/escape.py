"""Escaping of user text for DOT, so that it is shown as text and never interpreted."""

from __future__ import annotations

from symad.visible import visible as visible

_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\\": "\\\\"}
)


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
