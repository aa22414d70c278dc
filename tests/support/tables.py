"""Tables of ops and functions that are as before after a test which adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def restored(*tables: dict[str, Any]) -> Iterator[None]:
    """Take out what is added to tables, but for what modules of symad add on their first use."""
    before = [dict(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        for name in set(table) - set(known):
            if not str(getattr(table[name], "__module__", "")).startswith("symad."):
                del table[name]
        table.update(known)
