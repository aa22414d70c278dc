"""Tables of functions and ops that forget what a test has entered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from symad.graph.op import OP_CLASSES
from symad.graph.operators import FUNCTIONS, NUMPY_NAMES


@contextmanager
def restored() -> Iterator[None]:
    """Forget what is entered, except by modules of symad, which are loaded only once."""
    tables: tuple[dict[str, Any], ...] = (OP_CLASSES, FUNCTIONS)
    before, names = [dict(table) for table in tables], set(NUMPY_NAMES)
    yield
    for table, known in zip(tables, before, strict=True):
        for name, value in list(table.items()):
            defined_in = getattr(value, "__module__", None) or ""
            if name not in known and not defined_in.startswith("symad."):
                del table[name]
        table.update(known)
    for path in set(NUMPY_NAMES) - names:
        if NUMPY_NAMES[path] not in FUNCTIONS:
            del NUMPY_NAMES[path]
