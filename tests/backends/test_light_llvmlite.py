"""llvmlite's binding is imported without what symad does not need, and works as ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from symad.backends.native.light_llvmlite import _Resources

pytest.importorskip("llvmlite")

PROGRAM = """
import sys
from symad.backends.native import jit
jit.optimised_text("")
light = {"llvmlite.ir", "importlib.resources", "zipfile", "tempfile"} & sys.modules.keys()
from llvmlite.binding import typeref, parse_assembly
import importlib.resources, llvmlite.ir
module = parse_assembly("define i64 @f(i64 %x) { ret i64 %x }")
(function,) = module.functions
print(light, function.global_value_type.as_ir(llvmlite.ir.global_context))
print(importlib.resources.files("llvmlite").joinpath("__init__.py").is_file())
"""


def test_others_find_all_of_it() -> None:
    run = [sys.executable, "-c", PROGRAM]
    said = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said.stdout == "set() i64 (i64)\nTrue\n" and not said.stderr


def test_another_thread_may_read_resources_meanwhile() -> None:
    resources = _Resources("importlib.resources")
    with resources.as_file(resources.files("symad") / "py.typed") as path:
        assert path.is_file()
