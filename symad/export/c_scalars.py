"""One element of an elementwise op as statements of C: an implementation of ``ScalarBuilder``.

Integers wrap around: they are computed without sign.  Floats follow IEEE 754, as C99 does where it
defines ``__STDC_IEC_559__``, without contraction (``-ffp-contract=off``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.c_helpers import EXTRA, CHelpers
from symad.export.c_text import literal, memory_type
from symad.ops.base import PerElement

_ROUNDING = {"ceil", "copysign", "fabs", "floor", "rint", "sqrt", "trunc"}
_FUNCTIONS = _ROUNDING | set(
    "acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp2 expm1 fma fmod hypot "
    "lgamma log log10 log1p log2 nextafter pow sin sinh tan tanh tgamma".split()
)
"""The functions of C99 that elements call."""

CALL, DIVISION = 20, 4
"""The cost of a function and of a division, in additions."""


_DOUBLE, _FLOAT, HALF = map(np.dtype, ("float64", "float32", "float16"))


def local_type(dtype: np.dtype[Any]) -> str:
    """Return the C type of a value in a register."""
    if dtype == HALF:
        return "float"
    return "int" if dtype.kind == "b" else memory_type(dtype)


def wide_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which NumPy adds up elements of a dtype: float32 for float16."""
    return _FLOAT if dtype == HALF else dtype


class CScalar:
    """A value: its text, which is an expression until it is used, and then a name."""

    __slots__ = ("dtype", "is_name", "text")

    def __init__(self, text: str, dtype: np.dtype[Any], is_name: bool = False) -> None:
        self.text, self.dtype, self.is_name = text, dtype, is_name


class CScalarBuilder:
    """Appends statements to a list of lines.

    Parameters
    ----------
    lines : list of str
    name : callable
        Returns a new name.
    helpers : CHelpers
        Collects the functions that the statements call.

    Attributes
    ----------
    cost : int
        The estimated cost of what was made.
    """

    def __init__(self, lines: list[str], name: Callable[[], str], helpers: CHelpers) -> None:
        self.lines, self.cost = lines, 0
        self._name, self._helpers = name, helpers

    def dtype(self, x: CScalar) -> np.dtype[Any]:
        return x.dtype

    def constant(self, value: float | int | bool, dtype: np.dtype[Any]) -> CScalar:
        return CScalar(literal(value, dtype), dtype, True)

    def named(self, x: CScalar) -> str:
        """Return the name of a value, which is computed if that has not been done."""
        if not x.is_name:
            name = self._name()
            self.assign(name, x)
            x.text, x.is_name = name, True
        return x.text

    def assign(self, name: str, x: CScalar) -> None:
        """Declare a variable with a value."""
        self.lines.append(f"const {local_type(x.dtype)} {name} = {x.text};")

    def _made(self, dtype: np.dtype[Any], form: str, *operands: CScalar, cost: int = 1) -> CScalar:
        self.cost += cost
        return CScalar(form.format(*map(self.named, operands)), dtype)

    def _wrapped(self, operator: str, x: CScalar, y: CScalar) -> CScalar:
        """Return a result of integers, computed without sign."""
        wide = "uint64_t" if x.dtype.itemsize == 8 else "uint32_t"
        type_ = local_type(x.dtype)
        return self._made(x.dtype, f"({type_})(({wide}){{0}} {operator} ({wide}){{1}})", x, y)

    def _arithmetic(self, operator: str, on_truth: str, x: CScalar, y: CScalar) -> CScalar:
        if x.dtype.kind == "b":
            return self._made(x.dtype, f"{{0}} {on_truth} {{1}}", x, y)
        if x.dtype.kind in "iu":
            return self._wrapped(operator, x, y)
        return self.cast(self._made(wide_type(x.dtype), f"{{0}} {operator} {{1}}", x, y), x.dtype)

    def add(self, x: CScalar, y: CScalar) -> CScalar:
        return self._arithmetic("+", "|", x, y)

    def subtract(self, x: CScalar, y: CScalar) -> CScalar:
        return self._arithmetic("-", "^", x, y)

    def multiply(self, x: CScalar, y: CScalar) -> CScalar:
        return self._arithmetic("*", "&", x, y)

    def divide(self, x: CScalar, y: CScalar) -> CScalar:
        made = self._made(wide_type(x.dtype), "{0} / {1}", x, y, cost=DIVISION)
        return self.cast(made, x.dtype)

    def truncated_divide(self, x: CScalar, y: CScalar) -> CScalar:
        if x.dtype.kind == "u":
            return self._made(x.dtype, "{1} == 0 ? 0 : {0} / {1}", x, y, cost=CALL)
        helper = self._helpers.of_type("quotient", x.dtype)
        return self._made(x.dtype, f"{helper}({{0}}, {{1}})", x, y, cost=CALL)

    def negate(self, x: CScalar) -> CScalar:
        if x.dtype.kind == "f":
            return self._made(x.dtype, "-{0}", x)
        return self.subtract(self.constant(0, x.dtype), x)

    def _compare(self, relation: str, x: CScalar, y: CScalar) -> CScalar:
        if x.dtype != y.dtype:
            raise NotImplementedError(f"{x.dtype} and {y.dtype} are not compared here")
        truth = np.dtype(bool)
        if x.dtype.kind == "u" and (x.text, relation) == ("0u", "<="):
            return self.constant(True, truth)  # compilers warn of what is always so
        if x.dtype.kind == "u" and (y.text, relation) == ("0u", "<"):
            return self.constant(False, truth)
        return self._made(truth, f"{{0}} {relation} {{1}}", x, y)

    def less(self, x: CScalar, y: CScalar) -> CScalar:
        return self._compare("<", x, y)

    def less_equal(self, x: CScalar, y: CScalar) -> CScalar:
        return self._compare("<=", x, y)

    def equal(self, x: CScalar, y: CScalar) -> CScalar:
        return self._compare("==", x, y)

    def _bitwise(self, operator: str, x: CScalar, y: CScalar) -> CScalar:
        type_ = local_type(x.dtype)
        return self._made(x.dtype, f"({type_})({{0}} {operator} {{1}})", x, y)

    def logical_and(self, x: CScalar, y: CScalar) -> CScalar:
        return self._made(x.dtype, "{0} & {1}", x, y)

    def logical_or(self, x: CScalar, y: CScalar) -> CScalar:
        return self._made(x.dtype, "{0} | {1}", x, y)

    def logical_not(self, x: CScalar) -> CScalar:
        return self._made(x.dtype, "!{0}", x)

    def bitwise_and(self, x: CScalar, y: CScalar) -> CScalar:
        return self._bitwise("&", x, y)

    def bitwise_or(self, x: CScalar, y: CScalar) -> CScalar:
        return self._bitwise("|", x, y)

    def bitwise_xor(self, x: CScalar, y: CScalar) -> CScalar:
        return self._bitwise("^", x, y)

    def left_shift(self, x: CScalar, y: CScalar) -> CScalar:
        return self._wrapped("<<", x, y)

    def right_shift(self, x: CScalar, y: CScalar) -> CScalar:
        return self._bitwise(">>", x, y)

    def select(self, condition: CScalar, x: CScalar, y: CScalar) -> CScalar:
        return self._made(x.dtype, "{0} ? {1} : {2}", condition, x, y)

    def call(self, function: str, *arguments: CScalar) -> CScalar:
        """Call a function of C99, or one of the helpers.

        Raises
        ------
        NotImplementedError
            For integers, and for other functions.
        """
        dtype = arguments[0].dtype
        if dtype.kind != "f":
            raise NotImplementedError(f"{function} of {dtype} has no code for one element")
        if dtype == HALF:
            if function == "nextafter":
                raise NotImplementedError("the numbers beside a float16 have no code here")
            made = self.call(function, *[self.cast(argument, _FLOAT) for argument in arguments])
            return self.cast(made, dtype)
        if function not in _FUNCTIONS:
            return self._helped(function, *arguments)
        name = function if dtype.itemsize == 8 else f"{function}f"
        places = ", ".join(f"{{{k}}}" for k in range(len(arguments)))
        cost = 1 if function in _ROUNDING else CALL
        return self._made(dtype, f"{name}({places})", *arguments, cost=cost)

    def _helped(self, function: str, *arguments: CScalar) -> CScalar:
        """Call a helper, which computes with doubles."""
        helper, dtype = self._helpers.function(function), arguments[0].dtype
        if helper is None:
            raise NotImplementedError(f"C99 has no {function}")
        places = ", ".join(f"{{{k}}}" for k in range(len(arguments)))
        wide = [self.cast(argument, _DOUBLE) for argument in arguments]
        return self.cast(self._made(_DOUBLE, f"{helper}({places})", *wide, cost=CALL), dtype)

    def cast(self, x: CScalar, dtype: np.dtype[Any]) -> CScalar:
        """Convert as ``sm.cast`` does."""
        if x.dtype == dtype:
            return x
        if dtype == HALF:
            return self._made(dtype, f"{self._helpers.function('half')}({{0}})", x)
        if x.dtype == HALF and dtype == _FLOAT:  # as it is in registers
            return CScalar(x.text, dtype, x.is_name)
        if dtype.kind == "b":
            return self._made(dtype, "{0} != 0", x)
        if x.dtype.kind == "f" and dtype.kind in "iu":
            helper = self._helpers.of_type("rounded", dtype)
            return self._made(dtype, f"{helper}({{0}})", x)
        return self._made(dtype, f"({local_type(dtype)}){{0}}", x)

    def loaded(self, place: str, dtype: np.dtype[Any]) -> CScalar:
        """Return the value of an element in memory."""
        if dtype == HALF:
            return CScalar(f"{self._helpers.function('half_value')}({place})", dtype)
        return CScalar(f"{place} != 0" if dtype.kind == "b" else place, dtype)

    def stored(self, x: CScalar) -> str:
        """Return the text of what is written to memory for a value."""
        if x.dtype == HALF:
            return f"{self._helpers.function('half_bits')}({x.text})"
        return f"({x.text})" if x.dtype.kind == "b" and not x.is_name else x.text


def element(
    builder: CScalarBuilder, op: PerElement, inputs: Sequence[CScalar], dtype: np.dtype[Any]
) -> CScalar:
    """Return one element of the result of ``op``, which has the dtype ``dtype``.

    Raises
    ------
    NotImplementedError
        If there is no code for it.
    """
    wanted = op.operand_dtypes(*[value.dtype for value in inputs])
    operands = [builder.cast(x, want) for x, want in zip(inputs, wanted, strict=True)]
    is_extra = not type(op).element and op.name in EXTRA
    made = builder.call(op.name, *operands) if is_extra else op.scalar(builder, *operands)
    return builder.cast(made, dtype)
