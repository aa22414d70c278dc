"""What a worker does: it loads a saved graph once, and computes groups of neighbouring chunks.

The results of the chunks of a group are merged here, in a fixed order, so that it plays no part in
the result which worker computes which group.  Nothing in this module refers to the caller: all that
a worker needs is in the arguments of :func:`run_group`.
"""

from __future__ import annotations

import io
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from time import perf_counter
from typing import Any

import numpy.ma  # noqa: F401 (loaded on first use, it is seen half loaded by other threads)

from symad.distribution.combine import Merge, merge_tree
from symad.errors import SymadError
from symad.records import dataclass
from symad.runtime.function import Function
from symad.saving.files import fingerprint, load, save

_MOST_KEPT = 16
"""The most functions that a worker keeps."""

_kept: OrderedDict[str, Function] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class ChunkProgram:
    """What workers compute for each chunk, as it travels to them.

    Attributes
    ----------
    version : str
        That of symad.
    meaning, content : str
        The hashes of the saved function: see :func:`symad.fingerprint`.
    data : bytes, or where they are
        The saved function.  Its inputs are the chunked ones, then those that all chunks share.
    merges : tuple of Merge
    """

    version: str
    meaning: str
    content: str
    data: Any
    merges: tuple[Merge, ...]

    @classmethod
    def of(cls, function: Function, merges: Sequence[Merge]) -> ChunkProgram:
        """Return the program of a function."""
        file = io.BytesIO()
        found = save(function, file)
        return cls(_version(), found.meaning, found.content, file.getvalue(), tuple(merges))


@dataclass(frozen=True, slots=True)
class GroupResult:
    """The merged results of a group, and how long a worker computed them."""

    values: list[Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class GroupFailure:
    """The number of the chunk that failed, or ``None`` if the program is refused, and why."""

    chunk: int | None
    error: SymadError


def run_group(
    program: ChunkProgram, first: int, pieces: Sequence[Sequence[Any]], shared: Sequence[Any]
) -> GroupResult | GroupFailure:
    """Return the merged results of neighbouring chunks.

    Parameters
    ----------
    program : ChunkProgram
    first : int
        The number of the first chunk.
    pieces : sequence
        For each chunked input, the value for each chunk.
    shared : sequence
        The values of the other inputs.

    Any of these values may have a method ``open`` that returns it.
    """
    start = perf_counter()
    results: list[Any] = []
    try:
        function = _loaded(program)
    except SymadError as error:
        return GroupFailure(None, error)
    try:
        rest = [opened(value) for value in shared]
        for chunk in zip(*pieces, strict=True):
            results.append(function(*map(opened, chunk), *rest))
        merged = merge_tree(program.merges, results)
    except Exception as error:
        number = min(len(results), len(pieces[0]) - 1)
        return GroupFailure(first + number, _as_symad_error(error))
    return GroupResult(merged, perf_counter() - start)


def merge_groups(
    program: ChunkProgram, outcomes: Sequence[GroupResult | GroupFailure]
) -> GroupResult | GroupFailure:
    """Return the outcome of neighbouring groups together, which are an aligned block of 2ᵏ."""
    results = []
    for outcome in outcomes:
        if isinstance(outcome, GroupFailure):
            return outcome
        results.append(outcome)
    merged = merge_tree(program.merges, [result.values for result in results])
    return GroupResult(merged, sum(result.seconds for result in results))


def _loaded(program: ChunkProgram) -> Function:
    """Return the function of a program, which is loaded once."""
    with _lock:
        found = _kept.get(program.content)
        if found is None:
            found = _kept[program.content] = _load(program)
            if len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(program.content)
    return found


def _load(program: ChunkProgram) -> Function:
    where = f"the worker, process {os.getpid()},"
    if program.version != _version():
        raise SymadError(
            f"{where} has symad {_version()}, but the caller has {program.version}",
            remedy="Install the same version everywhere.",
        )
    data = opened(program.data)
    function: Function = load(io.BytesIO(data))
    if fingerprint(function).meaning != program.meaning:
        raise SymadError(
            f"{where} gives the function another hash than the caller: their symads differ",
            remedy="Install the same version everywhere.",
        )
    return function


def opened(value: Any) -> Any:
    """Return a value wherever it is."""
    return value.open() if hasattr(value, "open") else value


def _version() -> str:
    """Return the version of symad, which imports this module only when asked for it."""
    return str(sys.modules["symad"].__version__)


def _as_symad_error(error: Exception) -> SymadError:
    """Return an error that can travel, whatever was raised."""
    if isinstance(error, SymadError):
        return SymadError(error.message, where=error.where, remedy=error.remedy)
    return SymadError(f"{type(error).__name__}: {error}")
