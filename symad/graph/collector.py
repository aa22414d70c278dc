"""Pausing Python's cyclic garbage collector while many nodes are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector: nodes form no cycles, and it would visit all of them again and again.

    In several threads at once, the first that ends resumes it.

    Examples
    --------
    >>> import gc
    >>> with collector_paused():
    ...     print(gc.isenabled())
    False
    >>> gc.isenabled()
    True
    """
    if not gc.isenabled():  # by the user, or by another thread, which resumes it
        yield
        return
    try:
        gc.disable()
        yield
    finally:
        gc.enable()
