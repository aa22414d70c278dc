"""The check of available memory: calls that need more are refused before they start."""

from __future__ import annotations

from collections.abc import Iterator

from symad.backends.base import Program
from symad.errors import EvaluationError

_GROUPS = "/sys/fs/cgroup"


def check_memory(needed: int, program: Program, name: str) -> None:
    """Refuse a call that needs more memory than available.

    Raises
    ------
    EvaluationError
        With the needed and the available memory, and the value that needs most.
    """
    there_is = available_memory()
    if there_is is None or needed <= there_is:
        return
    use = program.plan.memory
    assert use is not None
    largest = max(use.at(use.peak_step), key=lambda block: block.size)
    node = largest.values[-1]
    most = format_bytes(largest.size)
    raise EvaluationError(
        f"{name} needs {format_bytes(needed)} of memory besides its inputs, but only "
        f"{format_bytes(there_is)} is available; {most} of that is for {node.label}: {node.type}",
        where=node.site.describe(),
        remedy="Feed smaller arrays, a few at a time, or use float32.",
    )


def available_memory() -> int | None:
    """Return how many bytes this process can still allocate, swap included; ``None`` if unknown.

    On Linux this is the least of the memory available in the system and the memory left by the
    limits of control groups, such as those of containers.  On other systems it is unknown.
    """
    system = _fields("/proc/meminfo")
    if "MemAvailable:" not in system:
        return None
    free = 1024 * (system["MemAvailable:"] + system.get("SwapFree:", 0))
    return min([free, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield the memory left in each control group of this process; file caches count as free."""
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = _GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = f"{_GROUPS}/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folders = [folder for folder in path.split("/") if folder]
        for depth in reversed(range(len(folders) + 1)):
            group = "/".join([root, *folders[:depth]])
            limit, used = (_text(f"{group}/{name}").strip() for name in names[:2])
            if limit.isdigit() and used.isdigit():
                caches = _fields(f"{group}/memory.stat").get(names[2], 0)
                yield max(0, int(limit) - int(used) + caches)


def _fields(path: str) -> dict[str, int]:
    """Return the numbers of a file of lines ``name number ...``."""
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def format_bytes(size: float) -> str:
    """Return bytes as text of three digits.

    Examples
    --------
    >>> format_bytes(80), format_bytes(1.5e9), format_bytes(8e18)
    ('80 B', '1.5 GB', '8e+06 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
