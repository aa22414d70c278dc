"""Deprecated aliases of names that moved to :mod:`symad.passes.rules`, until version 0.3."""

from __future__ import annotations

import warnings
from typing import Any

from symad.passes import rules

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name != "all_rules":
        raise AttributeError(f"module 'symad.passes.pipeline' has no attribute {name!r}")
    text = "symad.passes.pipeline.all_rules has moved: use symad.passes.rules.all_rules"
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return rules.all_rules
