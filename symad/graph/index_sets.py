"""Sets of element numbers with labels, for finding which elements depend on which.

Each element of an input has a number, and each element of a value the *label* of a set of such
numbers: a value of shape (3, 4) has an integer array of labels of shape (3, 4).  An op that moves
elements does the same with their labels, so its kernel computes the labels of its result.  Ops that
combine elements join their sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.light_scipy import scipy_module
from symad.types import TensorType, Type, normalize_axes

Labels = Any
"""An integer array; for a structure, a dict of labels by key."""


def labels_shape(type_: Type) -> tuple[int, ...]:
    """Return the shape of the labels of an array.

    If the number of rows is not known, one row of labels is that of all rows.

    Raises
    ------
    ShapeError
        If another size is not known.
    """
    assert isinstance(type_, TensorType)
    if type_.is_static:
        return type_.shape  # type: ignore[return-value]
    _, *others = type_.shape if isinstance(type_.shape, tuple) else (None, None)
    if not all(isinstance(size, int) for size in others):
        raise ShapeError(
            "the pattern of a sparse derivative depends on sizes that are known only when it runs",
            remedy="Declare all shapes, or leave out sparse=True.",
        )
    return (1, *others)


NONE = 0
"""The label of the empty set."""
ALL = 1
"""The label of the set of all numbers: joining it to others takes no time."""

_MOST = 1 << 29
"""The most elements of patterns that are looked for."""
_FEW = 16
"""If two sets have fewer numbers on average, equal pairs of sets are not looked for."""


class IndexSets:
    """Sets of the numbers from 0 to ``size`` - 1.

    Parameters
    ----------
    size : int
    value : callable
        Takes a node, and returns its value if constants alone settle it, else ``None``.

    Attributes
    ----------
    dense : list of Node
        The nodes whose elements are taken to depend on everything, because values settle what they
        select or no rule is known.

    Examples
    --------
    >>> sets = IndexSets(3, lambda node: None)
    >>> labels = sets.single((3,))
    >>> sets.rows(sets.joined(labels[1:], labels[:-1]))
    (array([0, 2, 4]), array([0, 1, 1, 2]))
    """

    def __init__(self, size: int, value: Callable[[Any], Any]) -> None:
        self.size = size
        self.value = value
        self.dense: list[Any] = []
        ends = np.arange(size - 2, 2 * size + 1)  # none, all, one each
        ends[:2] = 0
        self._ends: Any = ends
        self._numbers: Any = np.tile(np.arange(size, dtype=np.int32), 2)
        self._unions: dict[tuple[int, int], tuple[Labels, Labels, Labels]] = {}

    def single(self, shape: tuple[int, ...], start: int = 0) -> Labels:
        """Return labels of sets of one number each, which count up from ``start``."""
        return np.arange(math.prod(shape)).reshape(shape) + (start + ALL + 1)

    def rows(self, labels: Labels) -> tuple[Any, Any]:
        """Return the sets of ``labels`` as the row ends and the sorted columns of a CSR matrix."""
        self.require(int(np.diff(self._ends)[labels].sum()))
        chosen = self._table()[np.ravel(labels)]
        chosen.sort_indices()
        return chosen.indptr, chosen.indices

    def joined(self, *labels: Labels) -> Labels:
        """Return the unions of sets, element by element; the arrays broadcast."""
        total, *others = np.broadcast_arrays(*labels)
        for other in others:
            if not np.array_equal(total, other):
                total = self._union(total, other)
        return total

    def _union(self, a: Labels, b: Labels) -> Labels:
        """Return the union; that of the same arrays, which derivatives repeat, is known."""
        key = hash(a.tobytes()), hash(b.tobytes())
        if key not in self._unions or not all(map(np.array_equal, self._unions[key], (a, b))):
            self._unions[key] = a, b, self._new_union(a, b)
        return self._unions[key][2]

    def _new_union(self, a: Labels, b: Labels) -> Labels:
        left, right, back = a.ravel(), b.ravel(), None
        sizes = np.diff(self._ends)
        if sizes[left].sum() + sizes[right].sum() > _FEW * left.size:
            pairs, back = np.unique(left * len(sizes) + right, return_inverse=True)
            left, right = np.divmod(pairs, len(sizes))
        places = np.tile(np.arange(left.size), 2)
        both = self.united(places, np.concatenate([left, right]), left.shape)
        sizes = np.diff(self._ends)
        for known in (right, left):  # one of which may contain the other
            both = np.where(sizes[both] == sizes[known], known, both)
        return (both if back is None else both[back]).reshape(a.shape)

    def along(self, labels: Labels, axes: Any, keepdims: bool = True) -> Labels:
        """Return the unions along ``axes`` (``None``: along all)."""
        reduced = normalize_axes(axes, labels.ndim)
        kept = tuple(1 if k in reduced else size for k, size in enumerate(labels.shape))
        places = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), labels.shape)
        result = self.united(places, labels, kept)
        return result if keepdims else np.squeeze(result, axis=reduced)

    def united(self, places: Any, labels: Labels, shape: tuple[int, ...]) -> Labels:
        """Return labels of ``shape``: at each place the union of the sets that go there.

        Parameters
        ----------
        places : array of int
            The flat position for each of ``labels``, which broadcast to it.
        """
        labels = np.broadcast_to(labels, places.shape).ravel()
        kept = labels != NONE
        places, labels = places.ravel()[kept], labels[kept]
        result = np.zeros(math.prod(shape), np.intp)
        result[places] = labels
        result[places[labels == ALL]] = ALL
        several = np.zeros(result.size, bool)
        several[places[labels != result[places]]] = True
        several &= result != ALL
        if several.any():
            inside = several[places]
            number = np.cumsum(several) - 1
            result[several] = self._add(number[places[inside]], labels[inside])
        return result.reshape(shape)

    def require(self, count: int) -> None:
        """Raise an error if a pattern of ``count`` elements is too large."""
        if count > _MOST:
            raise ShapeError(
                f"the pattern of a sparse derivative may have {count} elements, more than {_MOST}",
                remedy="Leave out sparse=True, or differentiate parts of y or x.",
            )

    def _add(self, rows: Any, labels: Any) -> Any:
        """Add one set for each row, the union of the sets in it, and return their labels."""
        csr_array = scipy_module("scipy.sparse").csr_array
        self.require(int(np.diff(self._ends)[labels].sum()))
        known, count = len(self._ends) - 1, int(rows.max()) + 1
        chooser = csr_array((np.ones(rows.size, bool), (rows, labels)), shape=(count, known))
        made = chooser @ self._table()
        self._ends = np.concatenate([self._ends, made.indptr[1:] + self._ends[-1]])
        self._numbers = np.concatenate([self._numbers, made.indices])
        return np.where(np.diff(made.indptr) == self.size, ALL, np.arange(known, known + count))

    def _table(self) -> Any:
        csr_array = scipy_module("scipy.sparse").csr_array
        ones = np.ones(self._numbers.size, bool)
        return csr_array((ones, self._numbers, self._ends), shape=(len(self._ends) - 1, self.size))
