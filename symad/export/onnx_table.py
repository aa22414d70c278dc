"""The tables of what ops and functions are in ONNX.

The modules that fill it are imported by :mod:`symad.export.onnx_bodies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Translation = Callable[..., Any]
"""A function of a builder and arrays, with the attributes of the op as keywords."""

TABLE: dict[str, Translation] = {}
"""From the name of an op to what it is in ONNX."""

FORMULAS: dict[str, Translation] = {}
"""Functions of C's library, and others, in ONNX: functions of a builder and arrays."""

PROMOTING: set[str] = set()
"""Ops that compute in the dtype of their result."""


def translates(*names: str, promotes: bool = False) -> Callable[[AnyFunction], AnyFunction]:
    """Put a function in the table; if it ``promotes``, it gets arrays of the dtype of the result.

    Such arrays are float32 in place of float16.
    """

    def put(function: AnyFunction) -> AnyFunction:
        TABLE.update(dict.fromkeys(names, function))
        if promotes:
            PROMOTING.update(names)
        return function

    return put
