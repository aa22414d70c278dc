"""LLVM's text, as symad writes it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from symad.backends.native import ir
from symad.backends.native.jit import compile_module, converts_half
from symad.errors import InternalError

WORD = ir.IntType(64)
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e-310, 6e-8, 65504.0, 3.5e38, np.inf, -np.inf, np.nan]
TYPES: list[tuple[str, ir.Type]] = [
    ("float64", ir.DoubleType()), ("float32", ir.FloatType()), ("float16", ir.HalfType()),
    ("int64", ir.IntType(64)), ("uint32", ir.IntType(32)), ("int8", ir.IntType(8)),
]  # fmt: skip


def begin(module: ir.Module, name: str, *arguments: ir.Type) -> tuple[Any, ir.IRBuilder]:
    function = ir.Function(module, ir.FunctionType(WORD, arguments), name)
    return function.args, ir.IRBuilder(function.append_basic_block())


def call(module: ir.Module, name: str, *arguments: int) -> int:
    code = compile_module(module)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))
    return int(function(code.address(name))(*arguments))


@pytest.mark.parametrize(("name", "type_"), TYPES, ids=[name for name, _ in TYPES])
def test_constants_have_their_bits(name: str, type_: ir.Type) -> None:
    """Alone, and in a lane of a vector."""
    if name == "float16" and not converts_half():
        pytest.skip("this processor has no float16")
    dtype, module = np.dtype(name), ir.Module()
    with np.errstate(over="ignore"):
        numbers = np.array(FLOATS).astype(dtype) if dtype.kind == "f" else np.arange(5, dtype=dtype)
    bits = ir.IntType(8 * dtype.itemsize)
    for k, number in enumerate(numbers):
        _, builder = begin(module, f"alone{k}")
        builder.ret(builder.zext(builder.bitcast(type_(number.item()), bits), WORD))
        _, builder = begin(module, f"lane{k}")
        vector = ir.VectorType(type_, 4)([0, type_(number.item()), 1, 1])
        lane = builder.extract_element(vector, ir.IntType(32)(1))
        builder.ret(builder.zext(builder.bitcast(lane, bits), WORD))
    code = compile_module(module)
    for k, number in enumerate(numbers):
        want = int.from_bytes(number.tobytes(), "little")
        for form in ("alone", "lane"):
            made = ctypes.CFUNCTYPE(ctypes.c_uint64)(code.address(f"{form}{k}"))()
            assert made == want or np.isnan(number)


def test_zeros_are_written_without_a_number() -> None:
    types = WORD, ir.PointerType(), ir.DoubleType(), ir.VectorType(WORD, 2)
    zeros = "i64 0", "ptr null", "double 0x0", "<2 x i64> zeroinitializer"
    assert tuple(str(type_(None)) for type_ in types) == zeros
    assert str(WORD(ir.Undefined)) == "i64 undef"


def test_what_belongs_to_the_entry_is_written_before_its_jump() -> None:
    """Sum of squares below n, in a variable that is made while the loop is written."""
    module = ir.Module()
    (n,), builder = begin(module, "f", WORD)
    head, body, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
    start = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(WORD)
    k.add_incoming(WORD(0), start)
    with builder.goto_entry_block():
        total = builder.alloca(WORD)
        builder.store(WORD(0), total)
    builder.cbranch(builder.icmp_signed("<", k, n), body, done)
    builder.position_at_end(body)
    with builder.if_else(builder.icmp_unsigned("==", k, WORD(2)), likely=False) as (two, other):
        with two:
            builder.store(builder.add(builder.load(total), WORD(4)), total)
        with other:
            builder.store(builder.add(builder.load(total), builder.mul(k, k)), total)
    k.add_incoming(builder.add(k, WORD(1)), builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    with builder.if_then(builder.icmp_signed(">", n, WORD(100)), likely=False):
        builder.ret(builder.neg(WORD(1)))
    builder.ret(builder.load(total))
    assert [call(module, "f", n) for n in (0, 1, 4, 101)] == [0, 0, 14, -1]


def test_switches_take_their_cases() -> None:
    module = ir.Module()
    (n,), builder = begin(module, "f", WORD)
    blocks = [builder.append_basic_block(name) for name in ("three", "five", "else")]
    switch = builder.switch(n, blocks[-1])
    for number, block in zip((3, 5), blocks, strict=False):
        switch.add_case(WORD(number), block)
    for number, block in enumerate(blocks):
        builder.position_at_end(block)
        builder.ret(builder.not_(WORD(number)))
    assert [call(module, "f", n) for n in (3, 5, 4)] == [-1, -2, -3]


def test_llvm_finds_wrong_types() -> None:
    module = ir.Module()
    (n,), builder = begin(module, "f", WORD)
    builder.ret(builder.add(n, ir.DoubleType()(1.0)))
    with pytest.raises(InternalError, match="integer constant must have integer type|invalid"):
        compile_module(module)
    with pytest.raises(AssertionError, match="one end"):
        builder.ret_void()
