"""What is exported."""

from __future__ import annotations

from typing import Any

from symad.errors import ExportError
from symad.runtime.function import Function


def require_compiled(function: Any) -> None:
    """Raise an error if something is not a compiled function.

    Raises
    ------
    ExportError
    """
    if not isinstance(function, Function):
        raise ExportError(
            f"{function!r:.60} is not a compiled function",
            remedy="Compile it with sm.compile(inputs, outputs).",
        )
