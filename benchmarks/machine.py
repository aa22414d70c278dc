"""The measuring environment: libraries, their settings, cores and memory."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path

LIBRARIES = {
    "symad": ("symad",),
    "math": ("math",),
    "numpy": ("numpy", "scipy.linalg"),
    "jax": ("jax", "jax.numpy", "jax.scipy.linalg"),
    "torch": ("torch",),
    "pytensor": ("pytensor", "pytensor.tensor"),
    "casadi": ("casadi",),
    "autograd": ("autograd", "autograd.numpy", "autograd.scipy.linalg"),
}
"""The modules that a user of each library imports."""

DISTRIBUTIONS = (
    "symad numpy scipy llvmlite jax jaxlib torch pytensor numba casadi autograd"
).split()


def is_installed(library: str) -> bool:
    return importlib.util.find_spec(LIBRARIES[library][0]) is not None


def import_library(library: str) -> None:
    for module in LIBRARIES[library]:
        importlib.import_module(module)


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries."""
    found = {"Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """Return the processor, its cores, and the system."""
    lines = _lines_of("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def environment(threads: int, scratch: str) -> dict[str, str]:
    """Return the environment of a worker: thread counts, each peer's settings, empty caches.

    If earlier runs could leave compiled code on disk, compiling would seem to cost nothing.  So
    each worker gets a new folder, ``scratch``, for its caches.
    """
    count = str(threads)
    settings = {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "VECLIB_MAXIMUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "PYTENSOR_FLAGS": f"base_compiledir={scratch}/pytensor",
        "TORCHINDUCTOR_CACHE_DIR": f"{scratch}/torch",
        "XDG_CACHE_HOME": scratch,
        "SYMAD_CACHE_DIR": f"{scratch}/symad",
    }
    return {**os.environ, **settings}


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pin(threads: int) -> None:
    """Pin this process to so many cores, if the system allows it; call it before any import.

    It uses the last cores, because interrupts go to the first ones more often.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def resident_bytes() -> int:
    """Return the memory that this process uses now."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the peak memory of this process since :func:`reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Reset the peak: Linux uses the current size as the new peak."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    for line in _lines_of("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError("peak memory is measured on Linux only")


def _lines_of(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
