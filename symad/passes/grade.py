"""How exactly the two sides of rewrite rules are equal."""

from __future__ import annotations

from enum import IntEnum


class Grade(IntEnum):
    """How exactly the two sides of a rule are equal; a pipeline uses all rules up to its grade."""

    EXACT = 0
    """Bitwise, except for the sign and payload of NaN."""
    ROUNDING = 1
    """Up to rounding, or nearer to the true value: rounding, overflow and underflow of intermediate
    results may differ, and so may the sign of a zero."""
    FINITE = 2
    """For finite numbers inside the domain only: wrong at some zeros, infinities or NaN."""
