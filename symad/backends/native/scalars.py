"""One element of an elementwise op as LLVM instructions: what :class:`ScalarBuilder` asks for.

Arithmetic is IEEE 754 without any licence to reassociate or to contract; integers wrap around.
Functions of the C library, and their vector forms, are within 4 ulps of NumPy's; of SciPy's too,
except where those lose digits: ``erfc`` of large numbers, ``gammaln`` near its zeros below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from symad.backends.native.jit import has_symbol, vector_unit
from symad.graph.scalar import Value
from symad.ops.base import PerElement

_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")

_INTRINSICS = {"ceil", "copysign", "fabs", "floor", "rint", "sqrt", "trunc"}
"""Functions that are instructions, not calls."""

_LANES = {"e": 512, "d": 256, "b": 128}
"""Bits of a vector by the letter that the vector function ABI has for the instruction set."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """An LLVM value and the dtype it stands for: LLVM's integers have no sign."""

    value: Any
    dtype: np.dtype[Any]


def llvm_type(dtype: np.dtype[Any]) -> Any:
    """Return the LLVM type of a value in a register; a boolean has one bit.

    Raises
    ------
    NotImplementedError
        For float16 on processors that cannot convert it.
    """
    from llvmlite import ir

    if dtype.kind == "b":
        return ir.IntType(1)
    if dtype.kind in "iu":
        return ir.IntType(8 * dtype.itemsize)
    if dtype.itemsize == 2 and not _converts_half():
        raise NotImplementedError("this processor has no float16")
    return {2: ir.HalfType, 4: ir.FloatType, 8: ir.DoubleType}[dtype.itemsize]()


@cache
def _converts_half() -> bool:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return bool(features.get("f16c", "sse2" not in features))


class LLVMScalarBuilder:
    """Appends to the block of an ``llvmlite.ir.IRBuilder``.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    vectorise : bool
        Whether calls of mathematical functions shall tell of their vector forms, for loops; then
        finish the module with :func:`keep_vector_functions`.
    """

    def __init__(self, builder: Any, vectorise: bool = False) -> None:
        self.builder = builder
        self._vectorise = vectorise

    def dtype(self, x: Scalar) -> np.dtype[Any]:
        return x.dtype

    def constant(self, value: float | int | bool, dtype: np.dtype[Any]) -> Scalar:
        number = dtype.type(value).item()
        if dtype.kind == "i" and number < 0:
            number += 1 << 8 * dtype.itemsize
        return Scalar(llvm_type(dtype)(number), dtype)

    def add(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fadd", "or_" if x.dtype.kind == "b" else "add", x, y)

    def subtract(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fsub", "sub", x, y)

    def multiply(self, x: Scalar, y: Scalar) -> Scalar:
        return self._arithmetic("fmul", "mul", x, y)

    def divide(self, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.fdiv(x.value, y.value), x.dtype)

    def truncated_divide(self, x: Scalar, y: Scalar) -> Scalar:
        """Division of integers traps where y is 0 or the quotient overflows: there, divide by 1."""
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

    def negate(self, x: Scalar) -> Scalar:
        negate = self.builder.fneg if x.dtype.kind == "f" else self.builder.neg
        return Scalar(negate(x.value), x.dtype)

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

    def select(self, condition: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self.builder.select(condition.value, x.value, y.value), x.dtype)

    def call(self, function: str, *arguments: Scalar) -> Scalar:
        """Call a function of C; of float16, in float32.

        Raises
        ------
        NotImplementedError
            For integers, and where the C library does not have the function.
        """
        dtype = arguments[0].dtype
        if dtype.kind != "f":
            raise NotImplementedError(f"{function} of {dtype} has no code for one element")
        if dtype.itemsize == 2:
            wide = [self.cast(argument, _FLOAT32) for argument in arguments]
            return self.cast(self.call(function, *wide), dtype)
        values = [argument.value for argument in arguments]
        if function in _INTRINSICS:
            called = self._intrinsic(function, [value.type for value in values])
        else:
            called = self._declare(function, dtype, values)
        return Scalar(self.builder.call(called, values), dtype)

    def cast(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        """Convert as C does on x86, where NumPy leaves a conversion undefined.

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
        name = on_floats if x.dtype.kind == "f" else on_integers
        return Scalar(getattr(self.builder, name)(x.value, y.value), x.dtype)

    def _compare(self, relation: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype != y.dtype:  # of signed with unsigned, which share no dtype
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
        type_, signed = llvm_type(dtype), x.dtype.kind == "i"
        if dtype.kind == "f":
            if dtype.itemsize == 2:
                return self._from_float(self._from_integer(x, _FLOAT32), dtype)
            convert = self.builder.sitofp if signed else self.builder.uitofp
        elif llvm_type(x.dtype).width > type_.width:
            convert = self.builder.trunc
        else:
            convert = self.builder.sext if signed else self.builder.zext
        return Scalar(convert(x.value, type_), dtype)

    def _from_float(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        if dtype.kind != "f":
            return self._float_to_integer(x, dtype)
        if {x.dtype.itemsize, dtype.itemsize} == {2, 8}:
            if x.dtype.itemsize == 8:
                raise NotImplementedError("float64 is not rounded to float16 here")
            x = self._from_float(x, _FLOAT32)
        wider = dtype.itemsize > x.dtype.itemsize
        convert = self.builder.fpext if wider else self.builder.fptrunc
        return Scalar(convert(x.value, llvm_type(dtype)), dtype)

    def _float_to_integer(self, x: Scalar, dtype: np.dtype[Any]) -> Scalar:
        """What does not fit becomes the lowest integer, cut to the size that is wanted."""
        if x.dtype.itemsize == 2:
            x = self._from_float(x, _FLOAT32)
        if dtype.kind == "u" and dtype.itemsize == 8:
            return self._float_to_uint64(x)
        small = dtype.itemsize < 4 or (dtype.itemsize == 4 and dtype.kind == "i")
        signed = np.dtype("int32" if small else "int64")
        lowest, end = np.iinfo(signed).min, -float(np.iinfo(signed).min)
        fits = self.logical_and(
            self.less_equal(self.constant(-end, x.dtype), x),
            self.less(x, self.constant(end, x.dtype)),
        )
        converted = Scalar(self.builder.fptosi(x.value, llvm_type(signed)), signed)
        return self.cast(self.select(fits, converted, self.constant(lowest, signed)), dtype)

    def _float_to_uint64(self, x: Scalar) -> Scalar:
        """The upper half of the range is converted less 2^63, which is then added again."""
        int64, uint64 = np.dtype("int64"), np.dtype("uint64")
        half = self.constant(2.0**63, x.dtype)
        low = self.cast(self._float_to_integer(x, int64), uint64)
        high = self.cast(self._float_to_integer(self.subtract(x, half), int64), uint64)
        high = self.add(high, self.constant(1 << 63, uint64))
        return self.select(self.less_equal(half, x), high, low)

    def _intrinsic(self, function: str, types: Sequence[Any]) -> Any:
        from llvmlite import ir

        signature = ir.FunctionType(types[0], types)
        return self.builder.module.declare_intrinsic(f"llvm.{function}", types[:1], signature)

    def _declare(self, function: str, dtype: np.dtype[Any], values: Sequence[Any]) -> Any:
        """Return the C function for ``dtype``, declared as one that only computes a value."""
        from llvmlite import ir

        name = function if dtype == _FLOAT64 else f"{function}f"
        module = self.builder.module
        if name in module.globals:
            return module.globals[name]
        if not has_symbol(name):
            raise NotImplementedError(f"the C library has no {name}")
        type_ = llvm_type(dtype)
        declared = ir.Function(module, ir.FunctionType(type_, [type_] * len(values)), name)
        # LLVM knows these attributes, llvmlite's own list of them does not.
        set.update(declared.attributes, ("memory(none)", "nounwind", "willreturn"))
        if self._vectorise:
            self._add_vector_form(declared, 8 * dtype.itemsize, len(values))
        return declared

    def _add_vector_form(self, scalar: Any, bits: int, arity: int) -> None:
        """Tell of the vector form of a function, as the x86-64 vector function ABI names it."""
        from llvmlite import ir

        letter = vector_unit().letter
        if not letter:
            return
        lanes = _LANES[letter] // bits
        shape = f"N{lanes}{'v' * arity}_{scalar.name}"
        name = f"_ZGV{letter}{shape}"
        if not has_symbol(name):
            return
        vector = ir.VectorType(scalar.ftype.return_type, lanes)
        ir.Function(self.builder.module, ir.FunctionType(vector, [vector] * arity), name)
        variant = f'"vector-function-abi-variant"="_ZGV_LLVM_{shape}({name})"'
        set.add(scalar.attributes, variant)


def keep_vector_functions(module: Any) -> None:
    """Keep the vector functions that were declared in ``module``, which nothing calls yet."""
    from llvmlite import ir

    found = [f for name, f in module.globals.items() if name.startswith("_ZGV")]
    if not found:
        return
    pointer = ir.IntType(8).as_pointer()
    kept = ir.ArrayType(pointer, len(found))
    used = ir.GlobalVariable(module, kept, "llvm.compiler.used")
    used.initializer = ir.Constant(kept, [function.bitcast(pointer) for function in found])
    used.linkage, used.section = "appending", "llvm.metadata"


def element(
    builder: LLVMScalarBuilder, op: PerElement, inputs: Sequence[Scalar], dtype: np.dtype[Any]
) -> Value:
    """Return one element of the result of ``op``, which is of ``dtype``.

    Raises
    ------
    NotImplementedError
        If there is no code for it.
    """
    wanted = op.operand_dtypes(*[value.dtype for value in inputs])
    operands = [builder.cast(x, want) for x, want in zip(inputs, wanted, strict=True)]
    return builder.cast(op.scalar(builder, *operands), dtype)
