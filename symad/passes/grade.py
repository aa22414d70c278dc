"""How exactly a rewrite holds."""

from __future__ import annotations

from enum import IntEnum


class Grade(IntEnum):
    """How exactly the two sides of a rule are equal; a pipeline uses all rules up to its grade."""

    EXACT = 0
    """Bitwise, but for the sign and payload of NaN."""
    ROUNDING = 1
    """Up to rounding, or nearer to the true value: intermediate results may be rounded, overflow
    and underflow at other places, and the sign of a zero may differ."""
    FINITE = 2
    """For finite numbers inside the domain only: wrong at some zeros, infinities or NaN."""
