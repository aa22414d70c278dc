"""Machine code kept on disk, so that another process need not make it again.

The environment variable ``SYMAD_CACHE_DIR`` names the folder; set to nothing it turns the cache
off.  Otherwise the folder is ``symad`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.  What lies there
is run, so the folder must belong to the user, and nobody else may be able to write to it; any
other folder is left alone.  Files appear whole or not at all, and carry a digest of their contents,
so processes may share the folder, and what is damaged is made anew.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from contextlib import suppress

_MOST_BYTES = 1 << 28
"""When a process first adds to a folder that holds more, the oldest half goes."""
_SUFFIX = ".code"
_DIGEST = 32
_pruned: set[str] = set()
_serial = itertools.count()


def load(key: str) -> bytes | None:
    """Return what was stored under ``key``, if it is there and undamaged."""
    folder = _folder()
    if folder is None or not _is_ours(folder):
        return None
    try:
        with open(os.path.join(folder, key + _SUFFIX), "rb") as file:
            content = file.read()
    except OSError:
        return None
    digest, code = content[:_DIGEST], content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == digest else None


def store(key: str, code: bytes) -> None:
    """Keep ``code`` under ``key``; where the folder cannot be written to, do nothing."""
    folder = _folder()
    if folder is None:
        return
    with suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not _is_ours(folder):
            return
        if folder not in _pruned:
            _pruned.add(folder)
            _prune(folder)
        _write(os.path.join(folder, key + _SUFFIX), hashlib.sha256(code).digest() + code)


def _write(path: str, content: bytes) -> None:
    """Write a file under a name of this process, then give it its own."""
    draft = f"{path}.{os.getpid()}.{next(_serial)}"
    try:
        with open(draft, "xb") as file:
            file.write(content)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _folder() -> str | None:
    chosen = os.environ.get("SYMAD_CACHE_DIR")
    if chosen is not None:
        return os.path.abspath(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    # Relative paths are to be ignored: https://specifications.freedesktop.org/basedir-spec
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "symad") if os.path.isabs(base) else None


def _is_ours(folder: str) -> bool:
    """Return whether nobody but this user can put files into the folder."""
    if not hasattr(os, "geteuid"):
        return True  # access lists, not modes, protect the home folder
    try:
        state = os.lstat(folder)
    except OSError:
        return False
    is_open = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not is_open


def _prune(folder: str) -> None:
    """Remove the older half of the files if they have become too many."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _SUFFIX in entry.name:  # drafts of processes that died as well
                state = entry.stat(follow_symlinks=False)
                files.append((state.st_mtime, state.st_size, entry.path))
    if sum(size for _, size, _ in files) <= _MOST_BYTES:
        return
    files.sort()
    for _, _, path in files[: (len(files) + 1) // 2]:
        with suppress(OSError):
            os.unlink(path)
