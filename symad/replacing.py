"""Files that are complete or not there: a new file takes the place of an old one at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Write to a new file, which takes the place of the old one only if all goes well.

    Raises
    ------
    OSError
        If it cannot be written; it names ``path``.
    """
    target = os.fspath(path)
    part = f"{target}.{os.getpid()}.part"
    try:
        file = open(part, "wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None
    try:
        with file:
            yield file
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
