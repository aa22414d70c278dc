"""Saves text to a file and checks its suffix."""

from __future__ import annotations

import os
from pathlib import Path

from symad.errors import RenderError


def save_text(path: str | os.PathLike[str], text: str, *suffixes: str) -> None:
    """Write ``text`` to a file whose name ends in one of ``suffixes``.

    Raises
    ------
    RenderError
        If the name has another suffix.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise RenderError(f"{str(path)!r} does not end in {suffixes[0]}")
    target.write_text(text, encoding="utf-8")
