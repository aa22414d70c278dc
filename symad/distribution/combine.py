"""How the results of chunks are merged: pure functions of arrays, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.records import dataclass

Arrays = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """How results of two neighbouring chunks, or groups of chunks, become that of both.

    It is data, so that workers can be told about it: calling it merges.

    Attributes
    ----------
    name : str
        A key of :data:`MERGES`, or ``"aligned"`` for values that are concatenated.
    axis : int
        The axis along which aligned values are concatenated.

    Examples
    --------
    >>> Merge("sum")((1.0,), (2.0,))
    (np.float64(3.0),)
    """

    name: str
    axis: int = 0

    @property
    def width(self) -> int:
        """How many consecutive results of a worker it merges."""
        return WIDTHS.get(self.name, 1)

    @property
    def is_aligned(self) -> bool:
        """Whether results are concatenated, so that they are as long as the dimension."""
        return self.name == "aligned"

    def __call__(self, left: Sequence[Any], right: Sequence[Any]) -> Arrays:
        """Return the merged results, as many as the width."""
        if self.is_aligned:
            return (np.concatenate([left[0], right[0]], axis=self.axis),)
        with np.errstate(all="ignore"):
            return MERGES[self.name](tuple(left), tuple(right))


def _elementwise(ufunc: np.ufunc) -> Callable[[Arrays, Arrays], Arrays]:
    return lambda left, right: (ufunc(left[0], right[0]),)


def _moments(left: Arrays, right: Arrays) -> Arrays:
    """Merge counts, means, and sums of squared distances from the mean.

    Chan, Golub and LeVeque: Updating formulae and a pairwise algorithm for computing sample
    variances, 1979.
    """
    (n, mean, square), (n2, mean2, square2) = left, right
    total, dtype = n + n2, np.result_type(mean)
    step = np.where(n * n2 == 0, 0, mean2 - mean)  # the mean of no elements is NaN
    share = np.asarray(n2 / np.maximum(total, 1)).astype(dtype)
    both = square + square2 + step * step * share * np.asarray(n).astype(dtype)
    return total, np.where(n == 0, mean2, mean + step * share)[()], both


def _position(beats: Callable[[Any, Any], Any]) -> Callable[[Arrays, Arrays], Arrays]:
    """Merge extreme values, their positions, and numbers of elements; the first extreme counts."""

    def merge(left: Arrays, right: Arrays) -> Arrays:
        (value, at, n), (value2, at2, n2) = left, right
        is_later = beats(value2, value) | ((value2 != value2) & (value == value))
        where: Any = np.where(is_later, at2 + n, at)
        extreme: Any = np.where(is_later, value2, value)
        return extreme[()], where[()], n + n2

    return merge


MERGES: dict[str, Callable[[Arrays, Arrays], Arrays]] = {
    "same": lambda left, right: left,
    "sum": _elementwise(np.add),
    "prod": _elementwise(np.multiply),
    "max": _elementwise(np.maximum),
    "min": _elementwise(np.minimum),
    "any": _elementwise(np.logical_or),
    "all": _elementwise(np.logical_and),
    "logsumexp": _elementwise(np.logaddexp),
    "norm": _elementwise(np.hypot),
    "moments": _moments,
    "argmax": _position(np.greater),
    "argmin": _position(np.less),
}
WIDTHS = {"moments": 3, "argmax": 3, "argmin": 3}


def merge_results(merges: Sequence[Merge], left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Return all results of two neighbouring chunks, or groups of chunks, merged."""
    merged: list[Any] = []
    for merge in merges:
        part = slice(len(merged), len(merged) + merge.width)
        merged += merge(left[part], right[part])
    return merged


def merge_tree(merges: Sequence[Merge], results: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the merged results of consecutive chunks: neighbours first, then neighbouring pairs.

    The chunks of an aligned block of 2ᵏ (those from i 2ᵏ to (i + 1) 2ᵏ, or to the last) may be
    merged by themselves first, wherever that is: the result has the same bits.

    Examples
    --------
    >>> merge_tree([Merge("sum")], [[1.0], [2.0], [3.0]])
    [np.float64(6.0)]
    """
    level = [list(each) for each in results]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        last = level[-1:] if len(level) % 2 else []
        level = [merge_results(merges, *pair) for pair in pairs] + last
    return level[0]
