"""Subscripts: runs such as ₂→₅, which pictures set in small type below the line."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIZE = 0.7
"""The size of the type of a subscript, relative to the text."""

DROP = 0.2
"""How far below the line it stands, relative to the size of the text."""

_RUN = re.compile("([₀-₉₊₋]+(?:[→,][₀-₉₊₋]+)*)")
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+−")


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text, and whether each is a subscript, which is written plainly.

    Examples
    --------
    >>> list(pieces("v̄₂→₅ = sin v₁, t"))
    [('v̄', False), ('2→5', True), (' = sin v', False), ('1', True), (', t', False)]
    """
    for number, piece in enumerate(_RUN.split(text)):
        if piece:
            yield (piece.translate(_PLAIN), True) if number % 2 else (piece, False)
