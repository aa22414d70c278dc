"""Object files of LLVM in memory: what symad loads itself, and what it leaves to llvmlite."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from symad.backends.native import jit, loader
from symad.errors import InternalError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="left to llvmlite here"
)

SINE = """
declare double @sin(double)
define double @f(double %x) {
  %y = call double @sin(double %x)
  %z = fadd double %y, 0.3125
  ret double %z
}
define internal double @hidden(double %x) noinline {
  ret double %x
}
"""
COUNTER = """
@count = internal global i64 40
define i64 @f() {
  %old = load i64, i64* @count
  %new = add i64 %old, 1
  store i64 %new, i64* @count
  ret i64 %new
}
"""
TABLE = """
@table = internal constant [4 x i64] [i64 2, i64 3, i64 5, i64 7], align 64
define i64 @f(i64 %k) {
  %place = getelementptr [4 x i64], [4 x i64]* @table, i64 0, i64 %k
  %value = load i64, i64* %place
  ret i64 %value
}
"""


def load(text: str) -> object:
    code = jit._compile(text, "test")
    return loader.load(code.image, code.exported, jit._address_of)


def mapped(address: int) -> bool:
    lines = Path("/proc/self/maps").read_text().splitlines()
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines]
    return any(begin <= address < end for begin, end in ranges)


def test_functions_constants_and_calls_of_libraries() -> None:
    assert load(SINE) is not None and load(TABLE) is not None
    address = jit.compile_module(SINE).address
    with pytest.raises(InternalError, match="hidden"):
        address("hidden")
    module = jit.compile_module(TABLE)
    f = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(module.address("f"))
    assert [f(k) for k in range(4)] == [2, 3, 5, 7]


def test_code_is_unloaded_when_nothing_refers_to_it() -> None:
    module = jit.compile_module(SINE.replace("0.3125", "0.4375"))
    memory, address = module.memory, module.address("f")
    del module
    gc.collect()
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address)(0.0) == 0.4375
    del memory
    gc.collect()
    assert not mapped(address)


def test_what_is_loaded_cannot_be_written_to() -> None:
    module = jit.compile_module(SINE)
    begin = next(
        line
        for line in Path("/proc/self/maps").read_text().splitlines()
        if int(line.split("-")[0], 16) <= module.address("f") < int(line.split("-")[1][:12], 16)
    )
    assert begin.split()[1].startswith("r-x")


@pytest.mark.parametrize("other", ["writable data", "another machine", "no object", "no memory"])
def test_everything_else_is_left_to_llvmlite(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = jit._compile(COUNTER if other == "writable data" else TABLE, "test")
    image = bytearray(code.image)
    if other == "another machine":
        image[18] = 183  # AArch64
    if other == "no object":
        image[:4] = b"\xcf\xfa\xed\xfe"  # as on macOS
    if other == "no memory":
        monkeypatch.setattr(loader, "_protect", lambda: lambda *_: -1)
    assert loader.load(bytes(image), code.exported, jit._address_of) is None
    module = jit.compile_module(COUNTER)
    f = ctypes.CFUNCTYPE(ctypes.c_int64)(module.address("f"))
    assert f() + 1 == f()


def test_a_function_that_nobody_has_is_an_error() -> None:
    code = jit._compile(SINE, "test")
    image = code.image.replace(b"\0sin\0", b"\0s.n\0")
    assert loader.load(image, code.exported, jit._address_of) is None
    with pytest.raises(InternalError, match="cannot be linked"):
        jit._link(jit._ObjectFile(code.exported, image), "test")


CONSTANT = "define i64 @f() {{\n  ret i64 {}\n}}\ndefine i64 @g() {{\n  ret i64 -{}\n}}"


def test_code_behind_jumps_is_replaced_and_freed() -> None:
    """What has the address of a function calls the code of today."""
    code = jit._compile(CONSTANT.format(3, 5), "test")
    loaded = loader.load_behind_jumps(code.image, code.exported, jit._address_of)
    assert loaded is not None
    memory, addresses = loaded
    f, g = (ctypes.CFUNCTYPE(ctypes.c_int64)(addresses[name]) for name in "fg")
    assert (f(), g()) == (3, -5)
    other = loader.load(jit._compile(CONSTANT.format(7, 11), "test").image, "fg", jit._address_of)
    assert other is not None
    loader.redirect(memory, *other)
    assert (f(), g()) == (7, -11)
    places = [addresses["f"], other[1]["f"]]
    del other, loaded
    gc.collect()
    assert all(map(mapped, places)) and (f(), g()) == (7, -11)
    del memory
    assert not any(map(mapped, places))
