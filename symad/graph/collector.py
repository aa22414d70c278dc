"""Pausing Python's cyclic garbage collector while many nodes are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 100_000
"""The new objects from which on they are not visited when the collector resumes."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector: nodes form no cycles, and it would visit all of them again and again.

    If much was made meanwhile, it counts as old when it resumes, as if it had been visited already.
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
        if gc.get_count()[0] > _MANY and not gc.get_freeze_count():  # else some are to stay frozen
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        gc.enable()
