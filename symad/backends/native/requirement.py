"""What native code needs, and whether it is there: llvmlite, of a version that works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

LEAST_VERSION = (0, 46)
"""Of llvmlite: what is older fails."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no native code here, and what to do about it."""

    message: str
    remedy: str


@cache
def missing() -> Missing | None:
    """Return why there is no native code here, ``None`` if there is; found out once a process."""
    needed = ".".join(map(str, LEAST_VERSION))
    remedy = f'Run `pip install "llvmlite>={needed}"`, or use backend="numpy".'
    version = found_version()
    if version is None:
        return Missing(f"native code needs llvmlite {needed}, which is not installed", remedy)
    if _numbers(version) < LEAST_VERSION:
        return Missing(f"native code needs llvmlite {needed}, and {version} is installed", remedy)
    return None


def found_version() -> str | None:
    """Return the version of llvmlite that is installed, ``None`` if there is none."""
    try:
        from llvmlite import __version__
    except ImportError:
        return None
    return str(__version__)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with.

    Examples
    --------
    >>> _numbers("0.46.0rc1"), _numbers("1.2.dev0")
    ((0, 46, 0), (1, 2))
    """
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
