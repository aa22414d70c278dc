"""The interface that describes one element of an elementwise op by a few primitives.

:meth:`symad.ops.base.Elementwise.scalar` describes an op once, against this interface; each backend
that generates code (LLVM, JavaScript, ...) implements the interface.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Value = Any
"""A scalar of the generated code; its type is private to the builder that made it."""


class ScalarBuilder(Protocol):
    """Builds the code for one element; float semantics are those of IEEE 754.

    All operands of one primitive have the same dtype: callers cast first.
    """

    def dtype(self, x: Value) -> np.dtype[Any]:
        """Return the dtype of a value."""

    def constant(self, value: float | int | bool, dtype: np.dtype[Any]) -> Value:
        """Return a constant."""

    def cast(self, x: Value, dtype: np.dtype[Any]) -> Value:
        """Convert as ``sm.cast`` does; ``x`` itself if it has that dtype."""

    def add(self, x: Value, y: Value) -> Value:
        """Return x + y; integers wrap around."""

    def subtract(self, x: Value, y: Value) -> Value:
        """Return x - y; integers wrap around."""

    def multiply(self, x: Value, y: Value) -> Value:
        """Return x * y; integers wrap around."""

    def divide(self, x: Value, y: Value) -> Value:
        """Return x / y of floats."""

    def truncated_divide(self, x: Value, y: Value) -> Value:
        """Return x / y of integers without its fraction; wraps around, and is 0 where y is 0."""

    def negate(self, x: Value) -> Value:
        """Return -x; of a float, only the sign changes."""

    def less(self, x: Value, y: Value) -> Value:
        """Return x < y, a boolean; false if one is NaN."""

    def less_equal(self, x: Value, y: Value) -> Value:
        """Return x <= y, a boolean; false if one is NaN."""

    def equal(self, x: Value, y: Value) -> Value:
        """Return x == y, a boolean; false if one is NaN."""

    def logical_and(self, x: Value, y: Value) -> Value:
        """Return x and y of booleans."""

    def logical_or(self, x: Value, y: Value) -> Value:
        """Return x or y of booleans."""

    def logical_not(self, x: Value) -> Value:
        """Return not x of a boolean."""

    def bitwise_and(self, x: Value, y: Value) -> Value:
        """Return the bits that are set in both integers."""

    def bitwise_or(self, x: Value, y: Value) -> Value:
        """Return the bits that are set in either integer."""

    def bitwise_xor(self, x: Value, y: Value) -> Value:
        """Return the bits that are set in just one integer."""

    def left_shift(self, x: Value, y: Value) -> Value:
        """Return x 2^y of integers, 0 ≤ y < the number of bits; wraps around."""

    def right_shift(self, x: Value, y: Value) -> Value:
        """Return ⌊x / 2^y⌋ of integers, 0 ≤ y < the number of bits."""

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """Return x where the condition is true, else y; both are computed."""

    def call(self, function: str, *arguments: Value) -> Value:
        """Call a function of C's mathematical library on floats, by its name for ``double``.

        A backend may lack it, or have more: ``digamma`` is not in C's library.
        """
