"""Deprecated name of :mod:`symad.demo.visit_orders`; to be removed in version 0.3."""

from __future__ import annotations

import warnings
from typing import Any

from symad.demo import visit_orders

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name not in ("compare_orders", "doubling_chain"):
        raise AttributeError(f"module 'symad.demo.order' has no attribute {name!r}")
    text = f"symad.demo.order.{name} has moved: use symad.demo.{name}"
    warnings.warn(text, DeprecationWarning, stacklevel=2)
    return getattr(visit_orders, name)
