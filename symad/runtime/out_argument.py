"""The ``out=`` argument: arrays of the caller, checked before a call and filled by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symad.errors import FeedError
from symad.graph.nested import is_nested, leaves, leaves_with_paths, matching_leaves
from symad.records import cached_property
from symad.types import TensorType, Type, compatible_shapes, dtype_code, format_shape

_Array = np.ndarray[Any, Any]

_MOST_WORK = 10_000
"""The effort to prove that two strided arrays share no byte, before they count as sharing."""


class Targets:
    """The arrays given as ``out=`` for the outputs of one call.

    Parameters
    ----------
    out : nested structure
        Like ``template``; for ``None`` in place of an array or a structure, the call makes one.
    template : nested structure
        The outputs of the function.
    types : sequence of Type
        The types of the outputs, as far as they are known before the call.

    Raises
    ------
    FeedError
        If something is not a writable array of its output's dtype and shape, or two overlap.
    """

    def __init__(self, out: Any, template: Any, types: Sequence[Type]) -> None:
        given = matching_leaves(template, out, "out", FeedError)
        self._arrays = {i: target for i, target in enumerate(given) if target is not None}
        self._template, self._types = template, types
        for i, target in self._arrays.items():
            if not _fits(target, types[i]):
                _check(target, self._paths[i], types[i])
        if len(self._arrays) > 1:
            _check_overlaps([(self._paths[i], target) for i, target in self._arrays.items()])

    @property
    def nbytes(self) -> int:
        """The bytes of all targets."""
        return sum([target.nbytes for target in self._arrays.values()])

    @cached_property
    def _paths(self) -> list[str]:
        """Return how the array for each output is written, for messages."""
        return [f"out{path}" for path, _ in leaves_with_paths(self._template)]

    def direct(self, count: int, values: Iterable[Any]) -> list[_Array | None]:
        """Return, for each of ``count`` outputs, an array that may be written to at any time.

        Parameters
        ----------
        count : int
        values : iterable
            The arrays that are read meanwhile; a target that may share memory with them is filled
            afterwards.
        """
        given = (leaves(value) if is_nested(value) else (value,) for value in values)
        read = [value for part in given for value in part if isinstance(value, np.ndarray)]
        found: list[_Array | None] = [None] * count
        for i, target in self._arrays.items():
            if _is_plain(target, self._types[i]) and not _may_share(target, read):
                found[i] = np.asarray(target)
        return found

    def check(self, results: Sequence[Any]) -> None:
        """Check the shapes of results that were not known before the call."""
        for i, target in self._arrays.items():
            shape = np.shape(results[i])
            if target.shape != shape:
                raise _misfit(target, self._paths[i], TensorType(target.dtype, shape))

    def fill(self, results: Sequence[Any]) -> list[Any]:
        """Return the results, with targets in place of the results written to them."""
        filled = list(results)
        for i, target in self._arrays.items():
            if not _is_same(target, results[i]):
                np.copyto(target, results[i])
            filled[i] = target
        return filled


def _is_plain(target: _Array, type_: Type) -> bool:
    """Return whether a kernel may write to the target, which has the shape of its result."""
    known = isinstance(type_, TensorType) and type_.is_static
    return known and target.flags.c_contiguous and target.flags.aligned


def _may_share(target: _Array, arrays: Iterable[_Array]) -> bool:
    return any(np.may_share_memory(target, array) for array in arrays)


def _is_same(target: _Array, result: Any) -> bool:
    """Return whether the result has been written there; ``direct`` returns subclasses as plain."""
    return result is target or (isinstance(result, np.ndarray) and result.base is target)


def _fits(target: Any, type_: Type) -> bool:
    """Return whether a target is plainly right; :func:`_check` says what is wrong with others."""
    if type(target) is not np.ndarray or not isinstance(type_, TensorType):
        return False
    same = target.shape == type_.shape and target.dtype == type_.dtype  # unknown sizes differ
    return same and bool(target.flags.writeable)


def _check(target: Any, path: str, type_: Type) -> None:
    if not isinstance(type_, TensorType):
        raise FeedError(
            f"{path} is for {type_}, which is not an array",
            remedy="Give None, or compile the items as outputs.",
        )
    if not isinstance(target, np.ndarray) or isinstance(target, np.ma.MaskedArray):
        raise FeedError(f"{path} needs an array or None, not a {type(target).__name__}")
    if target.dtype != type_.dtype or not compatible_shapes(type_.shape, target.shape):
        raise _misfit(target, path, type_)
    if not target.flags.writeable:
        raise FeedError(f"{path} is read-only", remedy="Give an array that can be written to.")


def _misfit(target: _Array, path: str, type_: TensorType) -> FeedError:
    order = "" if target.dtype.isnative else ", of the other byte order"
    return FeedError(
        f"{path} is for {type_}, but an array of shape {format_shape(target.shape)} "
        f"({dtype_code(target.dtype)}{order}) was given"
    )


def _check_overlaps(targets: Sequence[tuple[str, _Array]]) -> None:
    """Check the targets in memory order; targets without elements overlap nothing."""
    spans = [
        (*np.lib.array_utils.byte_bounds(target), path, target)
        for path, target in targets
        if target.size
    ]
    reaching: list[tuple[int, str, _Array]] = []
    for begin, end, path, target in sorted(spans, key=lambda span: span[:2]):
        reaching = [before for before in reaching if before[0] > begin]
        for _, other, array in reaching:
            if _share(array, target):
                raise FeedError(
                    f"{other} and {path} share memory: one result would overwrite the other",
                    remedy="Give each output a separate array, or None.",
                )
        reaching.append((end, path, target))


def _share(one: _Array, other: _Array) -> bool:
    try:
        return np.shares_memory(one, other, max_work=_MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
