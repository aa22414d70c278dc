"""Sparsity: which elements of a derivative can differ from zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from symad.autodiff.colouring import Array, compressed
from symad.graph.node import Node
from symad.records import dataclass

_MOST_CELLS = 200
"""The most cells of a picture along an axis; in larger patterns, a cell stands for several
elements."""


class Products(NamedTuple):
    """How many products with vectors give all elements of a derivative.

    Attributes
    ----------
    columns : int
        By pushforwards, one for each colour of the columns, and pullbacks for a few dense rows.
    rows : int
        By pullbacks, one for each colour of the rows, and pushforwards for a few dense columns.
    """

    columns: int
    rows: int


@dataclass(frozen=True, eq=False)
class Sparsity:
    """The elements of a derivative ∂y/∂x that can differ from zero, as a sparse matrix.

    :func:`symad.sparsity` makes it.

    Attributes
    ----------
    shape : (int, int)
        The number of elements of ``y`` and of x.
    indptr, indices : array of int
        The pattern in CSR form: the columns of row i are ``indices[indptr[i]:indptr[i + 1]]``.
    dense : tuple of Node
        The nodes each of whose elements is taken to depend on everything on which the node depends,
        because an index is computed or no rule is known for the op.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(4,))
    >>> pattern = sm.sparsity(x[1:] * x[:-1], x)
    >>> pattern
    <Sparsity of 6 in 3 × 4 elements: 2 products by columns, 2 by rows>
    >>> pattern.toarray().astype(int)
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """

    shape: tuple[int, int]
    indptr: Array
    indices: Array
    dense: tuple[Node, ...] = ()

    @property
    def nnz(self) -> int:
        """The number of elements that can differ from zero."""
        return len(self.indices)

    @property
    def coordinates(self) -> tuple[Array, Array]:
        """The row and the column of each element, row by row."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.indices

    @property
    def T(self) -> Sparsity:
        """The pattern of the transposed derivative."""
        rows, columns = self.coordinates
        order = np.argsort(columns, kind="stable")
        ends = np.cumsum(np.bincount(columns, minlength=self.shape[1]))
        return Sparsity(self.shape[::-1], np.r_[0, ends], rows[order], self.dense)

    def toarray(self) -> Array:
        """Return the pattern as an array of booleans."""
        found = np.zeros(self.shape, bool)
        found[self.coordinates] = True
        return found

    @property
    def colours(self) -> Products:
        """The number of products with vectors that give all elements, in both directions."""
        rows, columns = self.coordinates
        return Products(
            compressed(rows, columns, self.shape).products,
            compressed(columns, rows, self.shape[::-1]).products,
        )

    def __repr__(self) -> str:
        (m, n), (columns, rows) = self.shape, self.colours
        text = f"{self.nnz} in {m} × {n} elements: {columns} products by columns, {rows} by rows"
        if self.dense:
            text += f"; taken dense: {', '.join(map(_with_line, self.dense))}"
        return f"<Sparsity of {text}>"

    def svg(self) -> str:
        """Return a picture of the pattern as SVG: each element that can differ from zero is dark.

        In large patterns, a cell stands for several elements, and is the darker the more of them
        can differ from zero.
        """
        rows, columns = self.coordinates
        step = max(1, -(-max(self.shape) // _MOST_CELLS))
        height, width = (-(-size // step) for size in self.shape)
        share = np.zeros((height, width))
        np.add.at(share, (rows // step, columns // step), 1)
        share /= max(1.0, share.max(initial=0))
        cells = "".join(
            f'<rect x="{j}" y="{i}" width="1" height="1" opacity="{0.3 + 0.7 * share[i, j]:.2f}"/>'
            for i, j in zip(*np.nonzero(share), strict=True)
        )
        scale = max(1, 400 // max(height, width, 1))
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" shape-rendering="crispEdges" '
            f'width="{width * scale + 2}" height="{height * scale + 2}" '
            f'viewBox="-0.5 -0.5 {width + 1} {height + 1}">'
            f'<rect width="{width}" height="{height}" fill="white" stroke="gray" '
            f'stroke-width="0.1"/><g fill="#1f4e79">{cells}</g></svg>'
        )

    _repr_svg_ = svg


def _with_line(node: Node) -> str:
    return f"{node.label} ({node.site.describe()})"
