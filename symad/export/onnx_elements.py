"""Elementwise ops in ONNX: one implementation of the primitives of :mod:`symad.graph.scalar`.

An element of an array is an array here, since all of ONNX's arithmetic broadcasts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.onnx_table import FORMULAS
from symad.export.onnx_writer import BOOL, DType, OnnxArray, OnnxWriter
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.base import PerElement

_SINGLE = np.dtype("float32")

KERNELS = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh",
    "fabs": "Abs", "floor": "Floor", "ceil": "Ceil", "rint": "Round", "pow": "Pow", "fmod": "Mod",
}  # fmt: skip
"""Functions that ONNX Runtime computes in float32 and float64."""

OF_SINGLES = {
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf",
}  # fmt: skip
"""Functions that it computes in float32 only."""


class OnnxBuilder(OnnxWriter):
    """A :class:`~symad.graph.scalar.ScalarBuilder` whose values are arrays in ONNX.

    Parameters
    ----------
    describe : callable, optional
        Returns the documentation of what is written for a node.
    """

    def __init__(self, describe: Callable[[Node], str] | None = None) -> None:
        super().__init__()
        self._describe = describe
        self._named: dict[str, tuple[OnnxArray, int]] = {}

    def begin(self, node: Node) -> None:
        """Note that what follows is written for a node."""
        if self._describe is not None:
            self.origin = self._describe(node)

    def note_names(self, x: OnnxArray, dims: Sequence[Any]) -> None:
        """Note that sizes which have names are those of an input."""
        for axis, size in enumerate(dims):
            if isinstance(size, str):
                self._named.setdefault(size, (x, axis))

    def dimension(self, size: Any) -> int | OnnxArray | None:
        """Return a dimension, ``None`` where nothing says what it is."""
        if isinstance(size, str) and size in self._named:
            return self.size(*self._named[size])
        return size if isinstance(size, int) else None

    def dtype(self, x: OnnxArray) -> DType:
        """Return the dtype of an array."""
        return x.dtype

    def cast(self, x: OnnxArray, dtype: Any) -> OnnxArray:
        """Convert as ``sm.cast`` does."""
        dtype = np.dtype(dtype)
        if x.dtype.kind != "f" or dtype.kind not in "iu":
            return self.convert(x, dtype)
        limits = np.iinfo(dtype)
        x = self.convert(x, _SINGLE) if x.dtype.itemsize == 2 else x
        end = 2.0 ** (limits.bits - (dtype.kind == "i"))
        large, small = x >= end, x < float(limits.min)
        fits = ~(large | small) & x.equals(x)
        whole = self.convert(self.select(fits, x, 0), dtype)
        ends = self.select(small, self.constant(limits.min, dtype), whole)
        return self.select(large, self.constant(limits.max, dtype), ends)

    def truncated_divide(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x / y of integers without its fraction, 0 where y is 0."""
        zero = y.equals(0)
        if x.dtype.kind == "u":
            return self.select(zero, 0, self.compute("Div", x, self.select(zero, 1, y)))
        turns = y.equals(-1)  # the least integer divided by -1 is a fault of the processor
        quotient = self.compute("Div", x, self.select(zero | turns, 1, y))
        return self.select(zero, 0, self.select(turns, -x, quotient))

    def bitwise_and(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return the bits that are set in both integers."""
        return self._bits("And", x, y)

    def bitwise_or(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return the bits that are set in either integer."""
        return self._bits("Or", x, y)

    def bitwise_xor(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return the bits that are set in just one integer."""
        return self._bits("Xor", x, y)

    def _bits(self, kind: str, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        return self.compute(kind if x.dtype == BOOL else f"Bitwise{kind}", x, y, wider={})

    def left_shift(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return x 2^y of integers."""
        return self._shift(x, y, "LEFT")

    def right_shift(self, x: OnnxArray, y: OnnxArray) -> OnnxArray:
        """Return ⌊x / 2^y⌋ of integers: the bits of -1 - x are those of x inverted."""
        if x.dtype.kind == "u":
            return self._shift(x, y, "RIGHT")
        negative = x < 0
        shifted = self._shift(self.select(negative, -1 - x, x), y, "RIGHT")
        return self.select(negative, -1 - shifted, shifted)

    def _shift(self, x: OnnxArray, y: OnnxArray, direction: str) -> OnnxArray:
        unsigned = np.dtype(f"uint{max(32, 8 * x.dtype.itemsize)}")
        given = self.convert(x, unsigned), self.convert(y, unsigned)
        made = self.compute("BitShift", *given, wider={}, direction=direction)
        return self.convert(made, x.dtype)

    def call(self, function: str, *arguments: OnnxArray) -> OnnxArray:
        """Call a function of C's mathematical library.

        Raises
        ------
        NotImplementedError
            If neither ONNX nor a formula has it.
        """
        dtype = arguments[0].dtype
        if dtype.kind in "iu" and function == "pow":
            return self._whole_power(*arguments)
        if function in KERNELS or (dtype == _SINGLE and function in OF_SINGLES):
            kind = KERNELS.get(function) or OF_SINGLES[function]
            more: dict[str, Any] = {"fmod": 1} if kind == "Mod" else {}
            return self.compute(kind, *arguments, **more)
        if function not in FORMULAS:
            raise NotImplementedError(f"ONNX has no {function}")
        wide = [self.convert(x, _SINGLE) if dtype.itemsize == 2 else x for x in arguments]
        return self.convert(FORMULAS[function](self, *wide), dtype)

    def _whole_power(self, x: OnnxArray, n: OnnxArray) -> OnnxArray:
        """Return x^n of integers, n ≥ 0, by squaring; it wraps around."""
        total = self.constant(1, x.dtype)
        for bit in range(8 * x.dtype.itemsize - (x.dtype.kind == "i")):
            is_set = ~self.bitwise_and(n, self.constant(1 << bit, n.dtype)).equals(0)
            total = self.select(is_set, total * x, total)
            x = x * x
        return total


def element_of(op: Op, to: OnnxBuilder, *operands: OnnxArray) -> OnnxArray:
    """Return the result of an elementwise op."""
    assert isinstance(op, PerElement)
    dtypes = op.operand_dtypes(*[x.dtype for x in operands])
    given = [to.cast(x, dtype) for x, dtype in zip(operands, dtypes, strict=True)]
    return op.scalar(to, *given)  # type: ignore[no-any-return]
