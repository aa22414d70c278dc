"""Progress of a call: a bar on a terminal or in a notebook, if tqdm is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from symad.errors import MissingExtraError

_PATIENCE = 1.0
"""How many seconds a call may take before a bar is shown that was not asked for."""


@contextmanager
def progress_bar(wanted: bool | None, total: int) -> Iterator[Callable[[int], Any]]:
    """Return a function that advances a bar by a number of chunks; the bar goes when all is done.

    Parameters
    ----------
    wanted : bool, optional
        By default, if there is somebody who could see it, and the call takes long.
    total : int

    Raises
    ------
    MissingExtraError
        If it is wanted, but tqdm is not installed.
    """
    has_tqdm = find_spec("tqdm") is not None
    if wanted and not has_tqdm:
        raise MissingExtraError(
            "a progress bar requires tqdm, which is not installed",
            remedy='Install it: pip install "symad[distributed]".',
        )
    if wanted is False or not has_tqdm or not (wanted or is_watched()):
        yield lambda chunks: None
        return
    from tqdm.auto import tqdm

    delay = 0.0 if wanted else _PATIENCE
    with tqdm(total=total, unit="chunk", leave=False, delay=delay) as bar:
        yield bar.update


def is_watched() -> bool:
    """Return whether somebody could see a progress bar: on a terminal, or in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"
