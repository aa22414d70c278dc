"""Machine code that LLVM emits without optimising it once more, for tests of what it computes.

LLVM's passes are run as always; only instructions are selected, and registers chosen, in a quarter
of the time.  Numbers have the same bits.  It is stored under keys of its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import symad.disk as disk
from symad.backends.native import jit
from symad.backends.native.jit import Effort

_MARK = "quick code"
_usual_host, _usual_identity = jit._make_host, disk._identity


class _QuickHost(jit._Host):
    """A host that emits all code with the least effort."""

    def machine(self, effort: Effort) -> Any:
        return super().machine(Effort.NONE)


@cache
def _host() -> Any:
    host = _QuickHost(_usual_host()._flags)
    host.target = f"{host.target} {_MARK}"
    return host


@cache
def _identity() -> str:
    identity = _usual_identity()
    return identity and f"{identity} {_MARK}"


def emit_quick_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test emit such code."""
    monkeypatch.setattr(jit, "_make_host", _host)
    monkeypatch.setattr(disk, "_identity", _identity)
