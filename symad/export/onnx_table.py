"""The table of what each op is in ONNX; elementwise ops are described by their elements.

The modules that fill it are imported by :mod:`symad.export.onnx_bodies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Translation = Callable[..., Any]
"""A function of a builder and arrays, with the attributes of the op as keywords."""

TABLE: dict[str, Translation] = {}
"""From the name of an op to what it is in ONNX."""

PROMOTING: set[str] = set()
"""Ops that compute in the dtype of their result."""


def translates(*names: str, promotes: bool = False) -> Callable[[Translation], Translation]:
    """Put a function in the table; if it ``promotes``, it gets arrays of the dtype of the result.

    Such arrays are float32 in place of float16.
    """

    def put(function: Translation) -> Translation:
        TABLE.update(dict.fromkeys(names, function))
        if promotes:
            PROMOTING.update(names)
        return function

    return put
