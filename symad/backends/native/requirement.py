"""The requirement of native code: llvmlite, in a supported version."""

from __future__ import annotations

import re
from functools import cache

from symad.records import dataclass

LEAST_VERSION = (0, 46)
"""The oldest supported version of llvmlite."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The reason why native code is unavailable, and a remedy."""

    message: str
    remedy: str


@cache
def missing() -> Missing | None:
    """Return why native code is unavailable, or ``None`` if it is; checked once per process."""
    needed = ".".join(map(str, LEAST_VERSION))
    remedy = f'Run `pip install "llvmlite>={needed}"`, or use backend="numpy".'
    version = found_version()
    if version is None:
        return Missing(f"native code needs llvmlite {needed}, which is not installed", remedy)
    if _numbers(version) < LEAST_VERSION:
        return Missing(f"native code needs llvmlite {needed}, but {version} is installed", remedy)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version.

    Examples
    --------
    >>> _numbers("0.46.0rc1"), _numbers("1.2.dev0")
    ((0, 46, 0), (1, 2))
    """
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def found_version() -> str | None:
    """Return the installed version of llvmlite, or ``None``."""
    try:
        from llvmlite import __version__
    except ImportError:
        return None
    return str(__version__)
