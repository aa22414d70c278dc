"""Formulas on several short lines."""

from __future__ import annotations

from textwrap import wrap

from symad.notation.escape import visible


def wrapped(formula: str, width: int, lines: int) -> list[str]:
    """Return a formula on at most so many lines; what is too long for them is cut.

    Examples
    --------
    >>> wrapped("alpha + beta + gamma + delta", 14, 2)
    ['alpha + beta +', 'gamma + delta']
    >>> wrapped("alpha + beta + gamma + delta", 14, 1)
    ['alpha + beta …']
    """
    found = wrap(visible(formula, width * lines), width, break_long_words=False)
    if len(found) > lines:
        found = [*found[: lines - 1], f"{found[lines - 1][: width - 2].rstrip(' +')} …"]
    return found
