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
from symad.records import replace

_MARK = "quick code"
_usual_host, _usual_identity = jit._make_host, disk._identity


@cache
def _host() -> Any:
    host = _usual_host()
    machines = dict.fromkeys(Effort, host.machines[Effort.NONE])
    return replace(host, machines=machines, target=f"{host.target} {_MARK}")


@cache
def _identity() -> str:
    identity = _usual_identity()
    return identity and f"{identity} {_MARK}"


def emit_quick_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test emit such code."""
    monkeypatch.setattr(jit, "_make_host", _host)
    monkeypatch.setattr(disk, "_identity", _identity)
