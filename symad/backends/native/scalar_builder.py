"""Elementwise ops as LLVM instructions: an implementation of :class:`ScalarBuilder`.

The same instructions work on vectors, with one element in each lane.

Arithmetic follows strict IEEE 754, without reassociation or contraction, unless ``is_fast`` is set;
integers wrap around.
Functions of the C library, their vector forms, and those that ``vector_math.py`` writes, are
within 4 ulps of NumPy's; of SciPy's too, except where SciPy loses digits: ``erfc`` of large
numbers, ``gammaln`` near its zeros below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import converts_half, has_symbol, vector_unit
from symad.backends.native.vector_division import has_quotient, quotient_by
from symad.backends.native.vector_math import (
    exponential,
    hyperbolic_tangent,
    natural_logarithm,
    sine_or_cosine,
)
from symad.backends.native.vector_power import power
from symad.graph.scalar import Value
from symad.ops.base import PerElement

_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")

_INTRINSICS = {"ceil", "copysign", "fabs", "floor", "rint", "sqrt", "trunc"}
"""Functions that are instructions, not calls."""

_WRITTEN: dict[tuple[str, np.dtype[Any]], Callable[..., Value]] = {
    ("exp", _FLOAT32): exponential,
    ("exp", _FLOAT64): exponential,
    ("log", _FLOAT64): natural_logarithm,
    ("tanh", _FLOAT32): hyperbolic_tangent,
    ("tanh", _FLOAT64): hyperbolic_tangent,
    ("pow", _FLOAT32): power,
    ("pow", _FLOAT64): power,
}
"""Functions of vectors that are written here."""
_LONG = {"pow"}
"""Those for which a call costs nothing: copies would only take LLVM time."""

_LICENCE = ("reassoc", "nsz", "arcp", "contract", "afn")
"""The flags of fast arithmetic: all of LLVM's, except those that ignore NaN and infinities."""

_LETTERS = {512: "e", 256: "d", 128: "b"}
"""The letter of the instruction set in the vector function ABI, by the bits of a vector."""


class Scalar:
    """An LLVM value and its dtype: LLVM's integers do not record signedness."""

    __slots__ = ("dtype", "value")

    def __init__(self, value: Any, dtype: np.dtype[Any]) -> None:
        self.value, self.dtype = value, dtype


def llvm_type(dtype: np.dtype[Any]) -> Any:
    """Return the LLVM type of a value in a register, where a boolean takes one bit.

    Raises
    ------
    NotImplementedError
        For float16 on processors that cannot convert it.
    """
    from symad.backends.native import ir

    if dtype.kind == "b":
        return ir.IntType(1)
    if dtype.kind in "iu":
        return ir.IntType(8 * dtype.itemsize)
    if dtype.itemsize == 2 and not converts_half():
        raise NotImplementedError("this processor has no float16")
    return {2: ir.HalfType, 4: ir.FloatType, 8: ir.DoubleType}[dtype.itemsize]()


def has_type(dtype: np.dtype[Any]) -> bool:
    """Return whether ``dtype`` has a type: see :func:`llvm_type`."""
    return dtype.kind != "f" or dtype.itemsize != 2 or converts_half()


class LLVMScalarBuilder:
    """Appends to the block of an ``IRBuilder``.

    Parameters
    ----------
    builder : IRBuilder
    lanes : int
        The number of elements that are computed at once, as vectors; 0 for one scalar.
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.
    """

    def __init__(self, builder: Any, lanes: int = 0, is_fast: bool = False) -> None:
        self.builder = builder
        self.lanes = lanes
        self._licence = _LICENCE if is_fast else ()

    def type_of(self, dtype: np.dtype[Any]) -> Any:
        """Return the LLVM type of values of ``dtype``."""
        from symad.backends.native import ir

        type_ = llvm_type(dtype)
        return ir.VectorType(type_, self.lanes) if self.lanes else type_

    def dtype(self, x: Scalar) -> np.dtype[Any]:
        return x.dtype

    def constant(self, value: float | int | bool, dtype: np.dtype[Any]) -> Scalar:
        number = dtype.type(value).item()
        if dtype.kind == "i" and number < 0:
            number += 1 << 8 * dtype.itemsize
        single = llvm_type(dtype)(number)
        return Scalar(self.type_of(dtype)([single] * self.lanes) if self.lanes else single, dtype)

    def add(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fadd", "or_" if x.dtype.kind == "b" else "add", x, y)

    def subtract(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fsub", "sub", x, y)

    def multiply(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fmul", "mul", x, y)

    def divide(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.fdiv(x.value, y.value, flags=self._licence), x.dtype)

    def truncated_divide(self, x: Scalar, y: Scalar) -> Scalar:
        """Divide integers; divide by 1 if y is 0 or the quotient overflows, which would trap."""
        known = self._known_number(y)
        if known is not None and has_quotient(x.dtype, known):
            fast: Scalar = quotient_by(self, x, known)
            return fast
        zero, one = self.constant(0, y.dtype), self.constant(1, y.dtype)
        by_zero = self.equal(y, zero)
        if x.dtype.kind == "u":
            divisor = self.select(by_zero, one, y)
            quotient = Scalar(self.builder.udiv(x.value, divisor.value), x.dtype)
            return self.select(by_zero, zero, quotient)
        by_minus_one = self.equal(y, self.constant(-1, y.dtype))
        divisor = self.select(self.logical_or(by_zero, by_minus_one), one, y)
        quotient = Scalar(self.builder.sdiv(x.value, divisor.value), x.dtype)
        negated = self.select(by_minus_one, self.negate(x), quotient)
        return self.select(by_zero, zero, negated)

    def _known_number(self, x: Scalar) -> int | None:
        """Return the integer in all lanes of a vector, if it is a constant."""
        from symad.backends.native import ir

        if not self.lanes or not isinstance(x.value, ir.Constant):
            return None
        bits = int(x.value.constant[0].constant).to_bytes(8, "little")[: x.dtype.itemsize]
        return int.from_bytes(bits, "little", signed=x.dtype.kind == "i")

    def negate(self, x: Scalar) -> Scalar:
        if x.dtype.kind == "f":
            return Scalar(self.builder.fneg(x.value), x.dtype)
        return self.subtract(self.constant(0, x.dtype), x)

    def less(self, x: Scalar, y: Scalar) -> Scalar:
        return self._compare("<", x, y)

    def less_equal(self, x: Scalar, y: Scalar) -> Scalar:
        return self._compare("<=", x, y)

    def equal(self, x: Scalar, y: Scalar) -> Scalar:
        return self._compare("==", x, y)

    def logical_and(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.and_(x.value, y.value), x.dtype)

    def logical_or(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.or_(x.value, y.value), x.dtype)

    def logical_not(self, x: Scalar) -> Scalar:
        return Scalar(self.builder.not_(x.value), x.dtype)

    bitwise_and, bitwise_or = logical_and, logical_or

    def bitwise_xor(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.xor(x.value, y.value), x.dtype)

    def left_shift(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.shl(x.value, y.value), x.dtype)

    def right_shift(self, x: Scalar, y: Scalar) -> Scalar:
        shift = self.builder.ashr if x.dtype.kind == "i" else self.builder.lshr
        return Scalar(shift(x.value, y.value), x.dtype)

    def select(self, condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.select(condition.value, x.value, y.value), x.dtype)

    def call(self, function: str, *arguments: Scalar) -> Scalar:
        """Call a function of the C library; float16 is computed in float32.

        Raises
        ------
        NotImplementedError
            For integers, and if the C library does not have the function.
        """
        dtype = arguments[0].dtype
        if dtype.kind != "f":
            raise NotImplementedError(f"{function} of {dtype} has no code for one element")
        if dtype.itemsize == 2:
            wide = [self.cast(argument, _FLOAT32) for argument in arguments]
            return self.cast(self.call(function, *wide), dtype)
        if function in _INTRINSICS:
            return self.intrinsic(function, *arguments)
        if self.lanes and (function, dtype) in _WRITTEN:
            return self._function(function, _WRITTEN[function, dtype], *arguments)
        if function in ("sin", "cos") and dtype == _FLOAT64 and not self.lanes:
            circular: Scalar = sine_or_cosine(self, function, *arguments)
            return circular
        return self.call_library(function, *arguments)

    def call_library(self, function: str, *arguments: Scalar) -> Scalar:
        """Call a function of the C library; see :meth:`call`."""
        dtype = arguments[0].dtype
        name = function if dtype == _FLOAT64 else f"{function}f"
        if not has_symbol(name):
            raise NotImplementedError(f"the C library has no {name}")
        values = [argument.value for argument in arguments]
        return Scalar(self._call(name, dtype, values), dtype)

    def unless(self, condition: Scalar, value: Scalar, otherwise: Callable[[], Scalar]) -> Scalar:
        """Return ``value`` where ``condition`` holds, which is likely for all lanes."""
        here = self.builder.block
        always = self.over_lanes("and", condition) if self.lanes else condition
        with self.builder.if_then(self.builder.not_(always.value), likely=False):
            other = otherwise()
            if self.lanes:
                other = self.select(condition, value, other)
            there = self.builder.block
        chosen = self.builder.phi(value.value.type)
        chosen.add_incoming(value.value, here)
        chosen.add_incoming(other.value, there)
        return Scalar(chosen, value.dtype)

    def cast(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        """Convert as :class:`symad.ops.adjoint.Cast` does.

        Raises
        ------
        NotImplementedError
            From float64 to float16, which takes more than one correct rounding.
        """
        if x.dtype == dtype:
            return x
        if dtype.kind == "b":
            return self._is_true(x)
        if x.dtype.kind == "f":
            return self._from_float(x, dtype)
        return self._from_integer(x, dtype)

    def _arithmetic(self, on_floats: str, on_integers: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype.kind == "f":
            made = getattr(self.builder, on_floats)(x.value, y.value, flags=self._licence)
        else:
            made = getattr(self.builder, on_integers)(x.value, y.value)
        return Scalar(made, x.dtype)

    def _compare(self, relation: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype != y.dtype:  # signed and unsigned, which have no common dtype
            raise NotImplementedError(f"{x.dtype} and {y.dtype} are not compared here")
        compare = {
            "f": self.builder.fcmp_ordered,
            "i": self.builder.icmp_signed,
        }.get(x.dtype.kind, self.builder.icmp_unsigned)
        return Scalar(compare(relation, x.value, y.value), np.dtype(bool))

    def _is_true(self, x: Scalar) -> Scalar:
        """NaN is true."""
        compare = self.builder.fcmp_unordered if x.dtype.kind == "f" else self.builder.icmp_unsigned
        zero = self.constant(0, x.dtype)
        return Scalar(compare("!=", x.value, zero.value), np.dtype(bool))

    def _from_integer(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        signed = x.dtype.kind == "i"
        if dtype.kind == "f":
            if dtype.itemsize == 2:
                return self._from_float(self._from_integer(x, _FLOAT32), dtype)
            convert = self.builder.sitofp if signed else self.builder.uitofp
        elif llvm_type(x.dtype).width > llvm_type(dtype).width:
            convert = self.builder.trunc
        else:
            convert = self.builder.sext if signed else self.builder.zext
        return Scalar(convert(x.value, self.type_of(dtype)), dtype)

    def _from_float(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        if dtype.kind != "f":
            return self._float_to_integer(x, dtype)
        if {x.dtype.itemsize, dtype.itemsize} == {2, 8}:
            if x.dtype.itemsize == 8:
                raise NotImplementedError("float64 is not rounded to float16 here")
            x = self._from_float(x, _FLOAT32)
        wider = dtype.itemsize > x.dtype.itemsize
        convert = self.builder.fpext if wider else self.builder.fptrunc
        return Scalar(convert(x.value, self.type_of(dtype)), dtype)

    def _float_to_integer(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        """Convert to integers: NaN becomes 0, and values out of range the nearest integer."""
        if x.dtype.itemsize == 2:
            x = self._from_float(x, _FLOAT32)
        range_ = np.iinfo(dtype)
        least, above = (self.constant(float(n), x.dtype) for n in (range_.min, range_.max + 1))
        convert = self.builder.fptosi if dtype.kind == "i" else self.builder.fptoui
        inside = Scalar(convert(x.value, self.type_of(dtype)), dtype)  # poison outside
        most, zero = self.constant(range_.max, dtype), self.constant(0, dtype)
        below = self.select(self.less(x, above), inside, most)
        bounded = self.select(self.less(x, least), self.constant(range_.min, dtype), below)
        return self.select(self.equal(x, x), bounded, zero)

    def multiply_add(self, x: Scalar, y: Scalar, z: Scalar) -> Scalar:
        """Return x y + z of floats, rounded once if the machine has an instruction for it."""
        return self.intrinsic("fmuladd", x, y, z)

    def can_scale(self, dtype: np.dtype[Any]) -> bool:
        """Return whether the machine has an instruction for :meth:`scale`."""
        return vector_unit().letter == "e" and self.lanes * dtype.itemsize == 64

    def scale(self, x: Scalar, n: Scalar) -> Scalar:
        """Return x 2ⁿ of vectors of floats, rounded once; ``n`` holds integers as floats."""
        from symad.backends.native import ir

        every_lane, as_set = ir.IntType(self.lanes)(-1), ir.IntType(32)(4)
        operands = [x.value, n.value, x.value, every_lane, as_set]
        letter = "s" if x.dtype == _FLOAT32 else "d"
        name = f"llvm.x86.avx512.mask.scalef.p{letter}.512"
        declared = self._declare(name, self.type_of(x.dtype), operands)
        return Scalar(self.builder.call(declared, operands), x.dtype)

    def reinterpret(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        """Return the bits of ``x`` as a value of another dtype of that size."""
        return Scalar(self.builder.bitcast(x.value, self.type_of(dtype)), dtype)

    def in_pairs(self, x: Scalar) -> tuple[LLVMScalarBuilder, Scalar]:
        """Return two lanes of 32 bits each as one of 64, and a builder for those."""
        pairs = LLVMScalarBuilder(self.builder, self.lanes // 2)
        return pairs, pairs.reinterpret(x, np.dtype("uint64"))

    def shift_left(self, x: Scalar, bits: int) -> Scalar:
        """Return an integer shifted left."""
        return self.left_shift(x, self.constant(bits, x.dtype))

    def shift_right(self, x: Scalar, bits: int) -> Scalar:
        """Return an integer shifted right."""
        return self.right_shift(x, self.constant(bits, x.dtype))

    def with_sign_flipped(self, x: Scalar, n: Scalar, bit: int) -> Scalar:
        """Return a float64, negated if the sign bit of a 64-bit integer is set."""
        moved = self.shift_left(n, 63 - bit)
        sign = self.logical_and(moved, self.constant(np.iinfo(n.dtype).min, n.dtype))
        bits = self.builder.xor(self.reinterpret(x, n.dtype).value, sign.value)
        return self.reinterpret(Scalar(bits, n.dtype), x.dtype)

    def repeat(self, x: Scalar) -> Scalar:
        """Return a vector whose lanes are all ``x``."""
        from symad.backends.native import ir

        if isinstance(x.value, ir.Constant) and x.dtype.kind in "iu":  # it may be a divisor
            return Scalar(self.type_of(x.dtype)([x.value] * self.lanes), x.dtype)
        first = ir.IntType(32)(0)
        undefined = ir.Constant(self.type_of(x.dtype), ir.Undefined)
        single = self.builder.insert_element(undefined, x.value, first)
        zeros = ir.Constant(ir.VectorType(first.type, self.lanes), None)
        return Scalar(self.builder.shuffle_vector(single, undefined, zeros), x.dtype)

    def over_lanes(self, operation: str, vector: Scalar, flag: str = "") -> Scalar:
        """Return LLVM's ``vector.reduce`` of all lanes; ``flag`` is a fast-math flag."""
        single = llvm_type(vector.dtype)
        operands = [single(-0.0)] if operation == "fadd" else []
        operands.append(vector.value)
        name = f"llvm.vector.reduce.{operation}.{self._suffix(vector.dtype)}"
        function = self._declare(name, single, operands)
        flags = (flag,) if flag else ()
        return Scalar(self.builder.call(function, operands, fastmath=flags), vector.dtype)

    def intrinsic(self, function: str, *operands: Scalar, flags: Sequence[str] = ()) -> Scalar:
        """Call an intrinsic of LLVM whose result has the type of the first operand.

        Parameters
        ----------
        function : str
        *operands : Scalar
        flags : sequence of str
            Fast-math flags.
        """
        dtype, values = operands[0].dtype, [operand.value for operand in operands]
        name = f"llvm.{function}.{self._suffix(dtype)}"
        declared = self._declare(name, self.type_of(dtype), values)
        return Scalar(self.builder.call(declared, values, fastmath=flags), dtype)

    def _suffix(self, dtype: np.dtype[Any]) -> str:
        """Return the type suffix in the names of LLVM's intrinsics."""
        lanes = f"v{self.lanes}" if self.lanes else ""
        return f"{lanes}{llvm_type(dtype).intrinsic_name}"

    def _call(self, name: str, dtype: np.dtype[Any], values: Sequence[Any]) -> Any:
        """Call a C function: its vector form, or the function for each lane."""
        if not self.lanes:
            return self.builder.call(self._declare(name, llvm_type(dtype), values), values)
        form = _vector_form(name, 8 * dtype.itemsize, self.lanes, len(values))
        if form is not None:
            return self.builder.call(self._declare(form, self.type_of(dtype), values), values)
        from symad.backends.native import ir

        result, index = values[0], ir.IntType(32)
        for lane in range(self.lanes):
            single = [self.builder.extract_element(value, index(lane)) for value in values]
            made = self.builder.call(self._declare(name, llvm_type(dtype), single), single)
            result = self.builder.insert_element(result, made, index(lane))
        return result

    def _function(self, name: str, make: Callable[..., Scalar], *arguments: Scalar) -> Scalar:
        """Call a function that ``make`` writes; LLVM puts short ones in place of the call."""
        from symad.backends.native import ir

        dtype, values = arguments[0].dtype, [argument.value for argument in arguments]
        full = f"{name}.{self._suffix(dtype)}"
        module = self.builder.module
        if full not in module.globals:
            type_ = ir.FunctionType(self.type_of(dtype), [value.type for value in values])
            written = ir.Function(module, type_, full)
            written.linkage = "internal"
            if name not in _LONG:
                written.attributes.add("alwaysinline")
            inner = LLVMScalarBuilder(ir.IRBuilder(written.append_basic_block()), self.lanes)
            result = make(inner, *(Scalar(value, dtype) for value in written.args))
            inner.builder.ret(result.value)
        return Scalar(self.builder.call(module.globals[full], values), dtype)

    def _declare(self, name: str, result: Any, operands: Sequence[Any]) -> Any:
        """Return a function of such operands, declared as free of side effects."""
        from symad.backends.native import ir

        module = self.builder.module
        if name in module.globals:
            return module.globals[name]
        signature = ir.FunctionType(result, [operand.type for operand in operands])
        declared = ir.Function(module, signature, name)
        if not name.startswith("llvm."):
            # LLVM supports these attributes, but llvmlite's list lacks them.
            set.update(declared.attributes, ("memory(none)", "nounwind", "willreturn"))
        return declared


def keep_calls(function: Any) -> None:
    """Have LLVM keep calls in a function: it would take pow(x, 2) for x², whose bits may differ.

    So they do not depend on whether an operand is a constant in the code.
    """
    set.add(function.attributes, '"no-builtins"')


@cache
def _vector_form(name: str, bits: int, lanes: int, arity: int) -> str | None:
    """Return the C library's vector form of a function, named by the x86-64 vector ABI."""
    letter = _LETTERS.get(bits * lanes)
    if letter is None or not vector_unit().letter:
        return None
    form = f"_ZGV{letter}N{lanes}{'v' * arity}_{name}"
    return form if has_symbol(form) else None


def element(
    builder: LLVMScalarBuilder, op: PerElement, inputs: Sequence[Scalar], dtype: np.dtype[Any]
) -> Value:
    """Return one element of the result of ``op``, which has the dtype ``dtype``.

    Raises
    ------
    NotImplementedError
        If there is no code for it.
    """
    wanted = op.operand_dtypes(*[value.dtype for value in inputs])
    operands = [builder.cast(x, want) for x, want in zip(inputs, wanted, strict=True)]
    return builder.cast(op.scalar(builder, *operands), dtype)
