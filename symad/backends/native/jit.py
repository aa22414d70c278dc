"""Compiles LLVM text to machine code in this process: parse, optimise for the host, link.

Machine code is compiled once for all processes (see ``disk.py``).  It is stored under a key made of
the structure of what it computes: then neither text is written, which takes milliseconds, nor
llvmlite imported, which takes 15.  Other code is stored under a key made of its text.

llvmlite is imported on first use.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

import symad.disk as disk
from symad.backends.native import loader
from symad.backends.native.signals import DeferredSignals
from symad.errors import InternalError, MissingExtraError
from symad.records import cached_property, dataclass, replace

if TYPE_CHECKING:
    from symad.backends.native.postponed import PostponedJobs

Value = TypeVar("Value")

_LOCK = threading.RLock()
"""Guards LLVM's global context, which only one thread may use at a time."""

_ADDED: dict[str, int] = {}
"""The addresses of functions outside the C library, by name."""

_FOUND: set[str] = set()
"""Functions of the C library that native code can call."""


class Effort(Enum):
    """How much LLVM optimises, which takes most of the time until a function first returns."""

    NONE = 0
    """No passes: the time is proportional to the length of the text."""
    LOW = 1
    """Functions are inlined, variables become registers.  Code that is written with vectors is as
    fast as with all passes, which take five times as long."""
    FULL = 3
    """All passes, for code that leaves vectors, or the use of memory, to LLVM."""
    QUICK = -1
    """None at first, where such code can be replaced, and low when there is time: a fifth to a half
    of the time until the first call.  For code of which some runs once in a call, or that takes
    less than twice as long without passes."""

    @property
    def level(self) -> int:
        """That of LLVM's code generator."""
        return Effort.LOW.value if self is Effort.QUICK else self.value

    @staticmethod
    def of_arithmetic(is_fast: bool) -> Effort:
        """Return what pays: only arithmetic that may be reassociated gains from all passes."""
        return Effort.FULL if is_fast else Effort.LOW

    @staticmethod
    def of_size(numbers: int) -> Effort:
        """Return what pays for loops that compute so many numbers: without passes, they take up to
        twice the time."""
        return Effort.QUICK if numbers < _LARGE else Effort.LOW


_LARGE = 1 << 18
"""With more numbers, some hundred calls would lose what the first one gains."""


_OPTIONS = {
    "speed_level": 3,
    "loop_vectorization": True,
    # Wider copies of a loop were no faster, and took 40 % longer to compile.
    "loop_interleaving": False,
    "loop_unrolling": False,
    "slp_vectorization": False,
}

_MATH_LIBRARIES = ("libm.so.6", "libmvec.so.1") if sys.platform == "linux" else ()
"""The libraries of functions besides that of this process, on systems where names lead to the
addresses that LLVM would find."""


@contextmanager
def _alone() -> Iterator[None]:
    """Do something without interference by other threads or signals."""
    with _LOCK, DeferredSignals():
        yield


@contextmanager
def _llvm() -> Iterator[Any]:
    """Yield LLVM's binding, without interference by other threads or signals."""
    with _alone():
        yield _binding()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CompiledModule:
    """Machine code that stays loaded while this object, or its memory, exists.

    Attributes
    ----------
    name : str
        For error messages.
    memory : object
    addresses : mapping
        The address of each exported function.
    notes : tuple of str
        What the code expects; a line each.
    key : str
        What the code is stored under, for :func:`known_module`; empty if it is not stored.
    """

    name: str
    memory: Any
    addresses: Mapping[str, int]
    notes: tuple[str, ...] = ()
    key: str = ""

    def address(self, function: str) -> int:
        """Return the address of an exported function.

        Raises
        ------
        InternalError
            If there is no such function.
        """
        try:
            return self.addresses[function]
        except KeyError:
            raise InternalError(
                f"native module {self.name!r} has no function {function!r}"
            ) from None


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """The vector instructions of this machine.

    Attributes
    ----------
    bits : int
        The width of the widest registers.
    letter : str
        The letter of the instruction set in the vector function ABI: ``e`` for AVX-512, ``d`` for
        AVX2, ``b`` for SSE; empty if the C library has no vector functions for it.
    """

    bits: int
    letter: str


class _Host:
    """What LLVM makes code with, on this machine.

    Attributes
    ----------
    target : str
        What the machine code depends on.
    """

    def __init__(self, flags: str) -> None:
        binding = _binding()
        versions = binding.llvm_version_info, binding.get_process_triple()
        self.target = f"{binding.get_host_cpu_name()} {flags} {versions!r}"
        self._flags = flags
        self._machines: dict[Effort, Any] = {}

    def machine(self, effort: Effort) -> Any:
        """Return what emits code with an effort."""
        if effort not in self._machines:
            self._machines[effort] = self._new_machine(effort.level)
        return self._machines[effort]

    @cached_property
    def linker(self) -> Any:
        """LLVM's linker, which symad's own loader replaces on most systems."""
        for library in _MATH_LIBRARIES:
            _load(_binding(), library)
        machine = self._new_machine(3)  # it will belong to the linker
        return _binding().create_lljit_compiler(machine, suppress_errors=True)

    def _new_machine(self, level: int) -> Any:
        binding = _binding()
        return binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=self._flags, opt=level, jit=True
        )


@cache
def available() -> bool:
    """Return whether native code is available, without the time to load LLVM."""
    try:
        import llvmlite  # noqa: F401
    except ImportError:
        return False
    return True


def has_symbol(name: str) -> bool:
    """Return whether native code can call the C function ``name``."""
    if name not in _FOUND:
        if not _address_of(name):
            return False
        _FOUND.add(name)
    return True


def vector_unit() -> VectorUnit:
    """Return the vector instructions of this machine."""
    return _processor()[0]


def converts_half() -> bool:
    """Return whether this machine converts float16."""
    return _processor()[1]


@cache
def _processor() -> tuple[VectorUnit, bool]:
    bits, letter, has_half = disk.remembered("processor", _describe_processor).split(",")
    return VectorUnit(int(bits), letter), bool(has_half)


def _describe_processor() -> str:
    with _llvm() as binding:
        features = binding.get_host_cpu_features()
    unit = _vector_unit(features)
    has_half = features.get("f16c", "sse2" not in features)
    return f"{unit.bits},{unit.letter},{'yes' if has_half else ''}"


def _address_of(name: str) -> int | None:
    """Return the address of a function of this process, where LLVM finds it too."""
    if name in _ADDED:
        return _ADDED[name]
    if not _MATH_LIBRARIES:
        _host()
        with _llvm() as binding:
            return int(binding.address_of_symbol(name) or 0)
    for library in (ctypes.pythonapi, *_libraries()):
        with suppress(AttributeError):
            return ctypes.cast(library[name], ctypes.c_void_p).value
    return None


@cache
def _libraries() -> list[ctypes.CDLL]:
    found = []
    for name in _MATH_LIBRARIES:
        with suppress(OSError):
            found.append(ctypes.CDLL(name))
    return found


def add_symbol(name: str, address: int) -> None:
    """Make the function at ``address`` callable by ``name``; it must never be freed."""
    with _LOCK:
        _ADDED[name] = address


@cache
def _binding() -> Any:
    from symad.backends.native.light_llvmlite import llvmlite_binding

    try:
        return llvmlite_binding()
    except ImportError:
        raise MissingExtraError(
            "native code needs llvmlite, which is not installed",
            remedy='Install it with: pip install "symad[native]"; or use backend="numpy".',
        ) from None


def _host() -> _Host:
    with _LOCK:  # two hosts would unload each other's code
        return _make_host()


@cache
def _make_host() -> _Host:
    inner = getattr(_binding().ffi.lib, "_lock", None)  # that of llvmlite
    if inner is not None:
        _HELD.append(inner)
    with _llvm() as binding:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        features = binding.get_host_cpu_features()
        # Vectors of full width, even if LLVM prefers half of it.
        return _Host(features.flatten() + (",-prefer-256-bit" if features.get("avx512f") else ""))


def hold_in_forks(locks: Sequence[Any]) -> None:
    """Make forks wait for the locks, in this order: in a child, no thread would release them."""

    def release() -> None:
        for lock in reversed(locks):
            lock.__exit__(None, None, None)

    def acquire() -> None:
        for lock in locks:
            lock.__enter__()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)


_HELD: list[Any] = [_LOCK]
"""The locks of code generation, in the order in which threads take them."""
hold_in_forks(_HELD)


class Latest(Generic[Value]):
    """A cache of the most recently used values by key; threads and forks may share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Any, Value] = OrderedDict()
        self._lock = threading.RLock()  # the garbage collector may run code that calls this
        hold_in_forks([self._lock])

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Any, make: Callable[[], Value]) -> Value:
        """Return the value for ``key``, created by ``make`` if it is missing."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


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
    return unit if has_symbol(probe) else VectorUnit(unit.bits, "")


def _load(binding: Any, library: str) -> None:
    """Load a shared library, if it exists, so that its functions can be called."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return
    binding.load_library_permanently(library)


_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Machine code in memory: ``memory`` is a weak reference, which says whether it is in use.

    ``tracker`` is what llvmlite's linker needs to unload the code, or ``None``.
    """

    memory: weakref.ref[Any]
    addresses: Mapping[str, int]
    tracker: Any
    notes: tuple[str, ...]


_loaded: OrderedDict[str, _Loaded] = OrderedDict()
"""The machine code of this process, by its key."""

_CHECKED = 4
"""For each module that is compiled, so many others are checked for being in use."""


def compile_module(
    ir: Any,
    name: str = "module",
    effort: Effort = Effort.LOW,
    key: str | None = None,
    notes: Iterable[str] = (),
) -> CompiledModule:
    """Return the machine code of a module, optimised for this machine.

    Parameters
    ----------
    ir : Module or str
        Functions with bodies are exported unless they are ``internal`` or ``private``.
    name : str
        For error messages.
    effort : Effort
    key : str or None
        What the code is stored under, instead of a key made of the text.
    notes : iterable of str
        What the code expects; a line each.

    Raises
    ------
    MissingExtraError
        If llvmlite is not installed.
    InternalError
        If the text is invalid, or calls a function that does not exist in this process.
    """
    text = str(ir)
    key = key or key_of(text, effort)
    is_portable = _is_portable(text)
    _postponed().is_busy.set()
    with _llvm():
        known = _known(key, name) if is_portable else _loaded_module(key, name)
        if known is not None:
            return replace(known, notes=tuple(notes))
        if effort is Effort.QUICK:
            quick = _compiled_quickly(key, text, name, tuple(notes)) if is_portable else None
            if quick is not None:
                return quick
            effort = Effort.LOW
        code = replace(_compile(text, name, effort), notes=tuple(notes))
        made = _load_code(key, code, name)
        if is_portable:
            disk.store(key, _pack(code))
    return made if is_portable else replace(made, key="")


def _compiled_quickly(
    key: str, text: str, name: str, notes: tuple[str, ...]
) -> CompiledModule | None:
    """Return code that is replaced when there is time; ``None`` if that is impossible."""
    if not loader.is_for_this_machine() or not _postponed().has_room:
        return None
    code = _compile(text, name, Effort.NONE)
    loaded = loader.load_behind_jumps(code.image, code.exported, _address_of)
    if loaded is None:
        return None
    memory, addresses = loaded
    kept = weakref.ref(memory)

    def improve() -> None:
        with _llvm():
            better = replace(_compile(text, name, Effort.LOW), notes=notes)
            disk.store(key, _pack(better))
            memory, other = kept(), loader.load(better.image, better.exported, _address_of)
            if memory is not None and other is not None:
                loader.redirect(memory, *other)

    _postponed().add(improve)
    _loaded[key] = _Loaded(kept, addresses, None, notes)
    return CompiledModule(name, memory, addresses, notes, key)


@cache
def _postponed() -> PostponedJobs:
    from symad.backends.native.postponed import PostponedJobs

    return PostponedJobs()


Written = tuple[Any, Iterable[str]]
"""A module of LLVM, and notes of one line each about what its code expects."""


def stored_module(
    structure: Any, make: Callable[[], Written], name: str, effort: Effort = Effort.LOW
) -> CompiledModule:
    """Return the machine code for a structure.

    Parameters
    ----------
    structure
        Everything that the code depends on, besides sources and machine, in a form whose ``repr``
        says it; ``None`` if there is no such form.
    make : callable
        Writes the module.
    name : str
        For error messages.
    effort : Effort
    """
    key = None if structure is None else disk.lasting_key("code", effort.name, structure)
    known = None if key is None else known_module(key, name)
    if known is not None:
        return known
    module, notes = make()
    return compile_module(module, name, effort, key, notes)


def known_module(key: str, name: str) -> CompiledModule | None:
    """Return the machine code that is stored under a key, if there is any."""
    with _alone():
        return _known(key, name)


def _known(key: str, name: str) -> CompiledModule | None:
    loaded = _loaded_module(key, name)
    content = disk.load(key) if loaded is None else None
    return loaded if content is None else _load_code(key, _unpack(content), name)


def _load_code(key: str, code: _ObjectFile, name: str) -> CompiledModule:
    memory, addresses, tracker = _link(code, name)
    _loaded[key] = _Loaded(weakref.ref(memory), addresses, tracker, code.notes)
    return CompiledModule(name, memory, addresses, code.notes, key)


def _loaded_module(key: str, name: str) -> CompiledModule | None:
    _unload()
    known = _loaded.get(key)
    memory = None if known is None else known.memory()
    if known is None or memory is None:
        return None
    return CompiledModule(name, memory, known.addresses, known.notes, key)


def _unload() -> None:
    """Check a few modules in turn, and forget those that are no longer in use.

    The callback of a weak reference would do this at once.  But when a signal handler, such as
    that for Ctrl-C, raises an exception during a callback, Python prints and drops it.
    """
    for _ in range(min(_CHECKED, len(_loaded))):
        key, module = _loaded.popitem(last=False)
        if module.memory() is not None:
            _loaded[key] = module
        elif module.tracker is not None:
            module.tracker.close()


def key_of(text: str, effort: Effort = Effort.LOW) -> str:
    """Return a key for the machine code of a text, with everything that the code depends on."""
    parts = text, _host().target, effort.name, repr(_OPTIONS)
    key: str = disk.hash_of(*map(str.encode, parts)).hexdigest()
    return key


def _is_portable(text: str) -> bool:
    """Return whether other processes may use the code: it contains no addresses."""
    return not re.search(r"inttoptr \(|inttoptr i\d+ \d", text)


@dataclass(frozen=True, slots=True)
class _ObjectFile:
    """An object file, the functions that it exports, and what it expects."""

    exported: tuple[str, ...]
    image: bytes
    notes: tuple[str, ...] = ()


def _pack(code: _ObjectFile) -> bytes:
    lines = " ".join(code.exported), str(len(code.notes)), *code.notes
    return "\n".join(lines).encode() + b"\n" + code.image


def _unpack(content: bytes) -> _ObjectFile:
    names, count, rest = content.split(b"\n", 2)
    *notes, image = rest.split(b"\n", int(count))
    return _ObjectFile(tuple(names.decode().split()), image, tuple(n.decode() for n in notes))


def _compile(text: str, name: str, effort: Effort = Effort.LOW) -> _ObjectFile:
    module = _optimised(text, name, effort)
    hidden = (_binding().Linkage.internal, _binding().Linkage.private)
    exported = tuple(
        function.name
        for function in module.functions
        if not function.is_declaration and function.linkage not in hidden
    )
    return _ObjectFile(exported, _host().machine(effort).emit_object(module))


def object_file(ir: Any, name: str, effort: Effort = Effort.LOW) -> bytes:
    """Return a module as an object file for linkers and any processor of this machine's family."""
    with _llvm() as binding:
        module = _optimised(ir, name, effort)
        target = binding.Target.from_default_triple()
        machine = target.create_target_machine(opt=effort.level, reloc="pic", codemodel="small")
        made: bytes = machine.emit_object(module)
        return made


def optimised_text(ir: Any, effort: Effort = Effort.LOW) -> str:
    """Return the text of a module after optimisation."""
    with _llvm():
        return str(_optimised(ir, "text", effort))


def _parsed(ir: Any, name: str, effort: Effort) -> Any:
    """Return a module for this machine, parsed and checked."""
    binding, host = _binding(), _host()
    try:
        module = binding.parse_assembly(str(ir))
        machine = host.machine(effort)
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"native module {name!r} is invalid: {error}") from None
    _require_symbols(module, name)
    return module


def _optimised(ir: Any, name: str, effort: Effort) -> Any:
    """Return a module, parsed and optimised for this machine."""
    binding, module = _binding(), _parsed(ir, name, effort)
    if effort is Effort.NONE:
        return module
    options = binding.create_pipeline_tuning_options()
    for option, value in _OPTIONS.items():
        setattr(options, option, value)
    builder = binding.create_pass_builder(_host().machine(effort), options)
    if effort is Effort.FULL:
        manager = builder.getModulePassManager()
    else:
        manager = binding.create_new_module_pass_manager()
        manager.add_always_inliner_pass()
        manager.add_sroa_pass()
        manager.add_simplify_cfg_pass()
    try:
        manager.run(module, builder)
    finally:
        _dispose(manager)
    return module


def _dispose(manager: Any) -> None:
    """Free a pass manager: llvmlite inherits an empty ``_dispose`` and does not free it."""
    ffi = _binding().ffi
    free = getattr(ffi.lib, "LLVMPY_DisposeNewModulePassManger", None)
    if type(manager)._dispose is ffi.ObjectRef._dispose and free is not None:
        free(manager)
        manager.detach()
    else:
        manager.close()


def _require_symbols(module: Any, name: str) -> None:
    """Raise an error if the module calls a function that does not exist in this process."""
    for function in module.functions:
        called = function.name
        if function.is_declaration and not called.startswith("llvm.") and not has_symbol(called):
            raise InternalError(
                f"native module {name!r} calls {called!r}, which this machine does not have"
            )


def _link(code: _ObjectFile, name: str) -> tuple[Any, Mapping[str, int], Any]:
    """Load an object file, and return the memory, the addresses, and llvmlite's tracker, if any.

    A function that nobody has is an error, not a crash.
    """
    loaded = loader.load(code.image, code.exported, _address_of)
    if loaded is not None:
        return *loaded, None
    library = _binding().JITLibraryBuilder().add_object_img(code.image).add_current_process()
    for function, address in _ADDED.items():
        library.import_symbol(function, address)
    for function in code.exported:
        library.export_symbol(function)
    try:
        tracker = library.link(_host().linker, f"{name}.{next(_serial)}")
    except RuntimeError as error:
        raise InternalError(f"native module {name!r} cannot be linked: {error}") from None
    addresses = {function: int(tracker[function]) for function in code.exported}
    # The garbage collector does not track arrays.  Before it frees a cycle of objects, it clears
    # weak references and runs finalisers, some of which may still call functions.
    return np.empty(0), addresses, tracker
