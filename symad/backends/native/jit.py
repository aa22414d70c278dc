"""LLVM text to machine code of this process: parse, optimise for the host, link, give addresses.

Everything of llvmlite is imported on first use.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

from symad.errors import InternalError, MissingExtraError

_LOCK = threading.RLock()
"""LLVM's global context must not be used by two threads at once."""

_MATH_LIBRARIES = ("libm.so.6", "libmvec.so.1") if sys.platform == "linux" else ()


class CompiledModule:
    """Machine code that stays loaded as long as this object lives."""

    def __init__(self, engine: Any, name: str) -> None:
        self._engine = engine
        self.name = name

    def address(self, function: str) -> int:
        """Return the address of a function.

        Raises
        ------
        InternalError
            If the module does not define it.
        """
        with _LOCK:
            result = int(self._engine.get_function_address(function))
        if not result:
            raise InternalError(f"native module {self.name!r} has no function {function!r}")
        return result


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """What vector code for this machine looks like.

    Attributes
    ----------
    bits : int
        The width of the widest registers.
    letter : str
        How the vector function ABI names the instruction set: ``e`` for AVX-512, ``d`` for AVX2,
        ``b`` for SSE; empty where the C library has no vector functions for it.
    """

    bits: int
    letter: str


@dataclass(frozen=True, slots=True)
class _Host:
    machine: Any
    vectors: VectorUnit


@cache
def available() -> bool:
    """Return whether native code can be made here."""
    try:
        _host()
    except MissingExtraError:
        return False
    return True


@cache
def has_symbol(name: str) -> bool:
    """Return whether native code can call the C function ``name``."""
    _host()
    with _LOCK:
        return bool(_binding().address_of_symbol(name))


def vector_unit() -> VectorUnit:
    """Return what vector code for this machine looks like."""
    return _host().vectors


def add_symbol(name: str, address: int) -> None:
    """Let native code call the function at ``address`` by ``name``; it must never be freed."""
    _host()
    with _LOCK:
        _binding().add_symbol(name, address)


def _binding() -> Any:
    try:
        import llvmlite.binding
    except ImportError:
        raise MissingExtraError(
            "native code needs llvmlite, which is not installed",
            remedy='Install it with: pip install "symad[native]"; or use backend="numpy".',
        ) from None
    return llvmlite.binding


@cache
def _host() -> _Host:
    binding = _binding()
    with _LOCK:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        features = binding.get_host_cpu_features()
        for library in _MATH_LIBRARIES:
            _load(binding, library)
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(),
            # Vectors as wide as the machine has them, also where LLVM would rather take half.
            features=features.flatten() + (",-prefer-256-bit" if "avx512f" in features else ""),
            opt=3,
            jit=True,
        )
    return _Host(machine, _vector_unit(features))


def _vector_unit(features: Any) -> VectorUnit:
    if features.get("avx512f"):
        unit = VectorUnit(512, "e")
    elif features.get("avx2"):
        unit = VectorUnit(256, "d")
    elif features.get("sse2"):
        unit = VectorUnit(128, "b")
    else:
        return VectorUnit(128, "")
    probe = f"_ZGV{unit.letter}N{unit.bits // 64}v_atanh"  # since glibc 2.35
    return unit if _binding().address_of_symbol(probe) else VectorUnit(unit.bits, "")


def _load(binding: Any, library: str) -> None:
    """Load a shared library, if there is one of that name, so that its functions can be called."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return
    binding.load_library_permanently(library)


_serial = itertools.count()


def compile_module(ir: Any, name: str = "module") -> CompiledModule:
    """Return the machine code of a module, optimised for this machine.

    Parameters
    ----------
    ir : llvmlite.ir.Module or str
    name : str
        For error messages.

    Raises
    ------
    MissingExtraError
        If llvmlite is not installed.
    InternalError
        If the text is not valid, or calls a function that this process does not have.
    """
    binding = _binding()
    host = _host()
    with _LOCK:
        try:
            module = binding.parse_assembly(str(ir))
            module.verify()
        except RuntimeError as error:
            raise InternalError(f"native module {name!r} is not valid: {error}") from None
        module.name = f"{name}.{next(_serial)}"
        _require_symbols(binding, module, name)
        _optimise(binding, module, host.machine)
        engine = binding.create_mcjit_compiler(module, _fresh_machine(binding))
        engine.finalize_object()
    return CompiledModule(engine, name)
