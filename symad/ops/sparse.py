"""Sparse matrices: products with constant ones, and the sparse results of compiled functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, InternalError, ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Constant, Node, apply, reporting
from symad.graph.op import Op
from symad.graph.sample import Sample, integers, reals
from symad.light_scipy import scipy_module
from symad.ops.base import (
    FixedLinear,
    as_node,
    as_number,
    as_truth,
    is_sparse,
    tensor_types,
    ufunc_dtype,
)
from symad.ops.batching import shape_of
from symad.types import (
    Shape,
    SparseType,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    as_dtype,
)


class SparseValue(Op):
    """An op whose value is a sparse matrix, which can be returned, multiplied and transposed."""

    def times(self, matrix: Node, x: Node) -> Node:
        """Return the product ``matrix @ x``."""
        raise InternalError(f"{self.name} has no product")

    def transposed(self, matrix: Node) -> Node:
        """Return the transpose of ``matrix``."""
        raise InternalError(f"{self.name} has no transpose")


def sparse_product(x: Any, y: Any) -> Node:
    """Return ``x @ y``, where an operand is sparse.

    Raises
    ------
    GraphTypeError
        If both are sparse.
    """
    if is_sparse(x) and is_sparse(y):
        raise GraphTypeError(
            "a product of two sparse matrices is not supported",
            remedy="Multiply with a vector first, A @ (B @ x), or take A.toarray().",
        )
    matrix, other = (x, as_node(y)) if is_sparse(x) else (y, as_node(x))
    if not isinstance(matrix, Node):
        return _constant_product(matrix, other, is_sparse(x))
    assert isinstance(matrix.op, SparseValue)
    if is_sparse(x):
        return matrix.op.times(matrix, other)
    matrix = sparse_transpose(matrix)
    assert isinstance(matrix.op, SparseValue)
    if other.ndim == 1:
        return matrix.op.times(matrix, other)
    return matrix.op.times(matrix, other.T).T


def sparse_transpose(matrix: Any) -> Node:
    """Return the transpose of a sparse matrix, which must be a node."""
    if not isinstance(matrix, Node):
        raise GraphTypeError("a constant sparse matrix is transposed by SciPy: A.T")
    assert isinstance(matrix.op, SparseValue)
    return matrix.op.transposed(matrix)


def _constant_product(matrix: Any, x: Node, on_left: bool) -> Node:
    """Return the product with a matrix or array of SciPy's, of whatever format."""
    with reporting("matmul", x):
        if matrix.ndim != 2:
            raise ShapeError(f"a sparse matrix has two axes; this has {matrix.ndim}")
        dtype = as_dtype(matrix.dtype)
        csr = matrix.tocsr(copy=True)
        csr.sum_duplicates()
    return _multiply(csr.astype(dtype), x, on_left)


def _multiply(csr: Any, x: Node, on_left: bool) -> Node:
    parts = [Constant(part) for part in (csr.data, csr.indices, csr.indptr)]
    return apply(SparseMatmul(csr.shape, on_left), *parts, x)


def _as_csr(data: Any, columns: Any, ends: Any, shape: tuple[int, int]) -> Any:
    csr_array = scipy_module("scipy.sparse").csr_array
    return csr_array((data, columns, ends), shape=shape)


def _sparse_matmul(
    data: Any, columns: Any, ends: Any, x: Any, shape: tuple[int, int], on_left: bool
) -> Any:
    dtype = ufunc_dtype(np.matmul, data.dtype, x.dtype)
    within = np.float32 if dtype == np.float16 else dtype  # which SciPy lacks
    matrix = _as_csr(data.astype(within, copy=False), columns, ends, shape)
    x = x.astype(within, copy=False)
    if x.ndim < 3:
        result = matrix @ x if on_left else x @ matrix
    elif on_left:
        rows = np.moveaxis(x, -2, 0)
        result = (matrix @ rows.reshape(shape[1], -1)).reshape(shape[0], *rows.shape[1:])
        result = np.moveaxis(result, 0, -2)
    else:
        result = (x.reshape(-1, shape[0]) @ matrix).reshape(*x.shape[:-1], shape[1])
    return result.astype(dtype, copy=False)


def _sample_product(x: Node, on_left: bool) -> Node:
    csr_array = scipy_module("scipy.sparse").csr_array
    return _constant_product(csr_array(_DENSE), x, on_left)


_DENSE = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 3.0], [0.5, 0.0, 0.0]])


class SparseMatmul(FixedLinear):
    """The product of a constant sparse matrix in CSR form and ``x``, or of ``x`` and the matrix.

    The inputs are the elements, their columns, the ends of the rows, and ``x``; the matrix is
    constant, so only ``x`` has a derivative, by the transposed matrix.
    """

    matrix_shape: tuple[int, int]
    on_left: bool

    name = "sparse_matmul"
    counted_as = "products"
    numpy = staticmethod(_sparse_matmul)
    samples = (
        Sample(lambda x: _sample_product(x, True), [reals(3)], lambda x: _DENSE @ x),
        Sample(lambda x: _sample_product(x, False), [reals(4)], lambda x: x @ _DENSE,
               label="right"),
        Sample(lambda x: _sample_product(x, True), [reals(3, 2)], lambda x: _DENSE @ x,
               label="matrix"),
        Sample(lambda x: _sample_product(x, False), [reals(2, 4)], lambda x: x @ _DENSE,
               label="right, matrix"),
        Sample(lambda x: _sample_product(x, True), [reals(2, 3, 1)], lambda x: _DENSE @ x,
               label="stack"),
        Sample(lambda x: _sample_product(x, False), [reals(2, 0, 4)], lambda x: x @ _DENSE,
               label="right, empty stack"),
        Sample(lambda n: _sample_product(n, True), [integers(3)], lambda n: _DENSE @ n,
               label="integers"),
    )  # fmt: skip

    def attributes(self) -> dict[str, Any]:
        return {"shape": self.matrix_shape, "on_left": self.on_left}

    def infer(self, *types: Any) -> Type:
        data, _, _, x = tensor_types(*types)
        dtype = ufunc_dtype(np.matmul, data.dtype, x.dtype)
        return TensorType(dtype, self._result_shape(x.shape))

    def _result_shape(self, shape: Shape) -> Shape:
        if isinstance(shape, UnknownShape):
            return UnknownShape.fresh()
        if not shape:
            raise ShapeError("a scalar has no axis to sum over", remedy="Multiply with * instead.")
        summed, kept = self.matrix_shape[self.on_left], self.matrix_shape[not self.on_left]
        axis = -1 if len(shape) == 1 or not self.on_left else -2
        if isinstance(shape[axis], int) and shape[axis] != summed:
            raise ShapeError(
                f"axis {axis} has size {shape[axis]}, but the axis of the sparse matrix with which "
                f"it is summed has size {summed}",
                remedy="Transpose the matrix, or reshape the other operand.",
            )
        result = list(shape)
        result[axis] = kept
        return tuple(result)

    def flops(self, result: Any, *types: Any) -> int:
        summed = max(1, self.matrix_shape[self.on_left])
        return 2 * int(types[0].size) * int(types[3].size) // summed

    def differentiable(self, slot: int) -> bool:
        return slot == 3

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return _multiply(self._matrix(inputs).T.tocsr(), adjoint, self.on_left)

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return apply(self, *inputs[:3], tangent)

    def _matrix(self, inputs: Sequence[Node]) -> Any:
        data, columns, ends = (self._constant(node).value for node in inputs[:3])
        return _as_csr(data, columns, ends, self.matrix_shape)

    def _constant(self, node: Node) -> Constant:
        if not isinstance(node, Constant):
            raise InternalError("the sparse matrix of a product is not constant")
        return node

    def reverse_active(
        self, slot: int, adjoint: Node, active: Callable[[], Node], out: Node, *inputs: Node
    ) -> Node | None:
        if np.isfinite(self._constant(inputs[0]).value).all():
            return self.reverse(slot, adjoint, out, *inputs)
        return Op.reverse_active(self, slot, adjoint, active, out, *inputs)

    def active_input(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        reached = abs(self._matrix(inputs).T.tocsr()) > 0
        return as_truth(_multiply(reached.astype(np.float32), as_number(active), self.on_left))

    def active_output(self, slot: int, active: Node, out: Node, *inputs: Node) -> Node:
        reached = abs(self._matrix(inputs)) > 0
        return as_truth(_multiply(reached.astype(np.float32), as_number(active), self.on_left))

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        matrix = self._matrix(inputs).tocoo()
        rows, columns = matrix.coords if self.on_left else matrix.coords[::-1]
        shape = shape_of(out)
        axis = -1 if len(shape) == 1 or not self.on_left else -2
        moving = np.moveaxis(labels[3], axis, -1)
        places = np.moveaxis(np.arange(out.size).reshape(shape), axis, -1)
        return sets.united(places[..., rows], moving[..., columns], shape)


class Package(Op):
    """An op that only puts arrays into an object, and computes nothing.

    Its kernel copies the arrays.  Native calls make the object last, of arrays of their own.
    """

    def packer(self) -> Callable[..., Any]:
        """Return the function that makes the object of the arrays, which it may keep."""
        raise InternalError(f"{self.name} has no packer")


def _packed_copies(*arrays: Any, shape: tuple[int, int]) -> Any:
    return _packer(shape)(*(array.copy() for array in arrays))


@lru_cache(maxsize=64)
def _packer(shape: tuple[int, int]) -> Callable[..., Any]:
    """Return what makes a matrix as SciPy does, except that it trusts the arrays."""
    csr_array = scipy_module("scipy.sparse").csr_array
    usual = vars(csr_array(shape))
    others = {name: usual[name] for name in usual if name not in ("data", "indices", "indptr")}
    new, size, most = csr_array.__new__, usual.get("_shape"), usual.get("maxprint")

    def pack(data: Any, indices: Any, indptr: Any) -> Any:
        matrix: Any = new(csr_array)
        matrix._shape, matrix.maxprint = size, most
        matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
        return matrix

    def pack_otherwise(data: Any, indices: Any, indptr: Any) -> Any:
        matrix = new(csr_array)
        vars(matrix).update(others, data=data, indices=indices, indptr=indptr)
        return matrix

    return pack if others.keys() == {"_shape", "maxprint"} else pack_otherwise  # half as fast


class AssembleCsr(Package):
    """Make a ``scipy.sparse.csr_array`` of its elements, their columns, and the ends of the rows.

    The result owns its arrays: nothing that is done to it changes another one.
    """

    matrix_shape: tuple[int, int]

    name = "assemble_csr"
    numpy = staticmethod(_packed_copies)
    samples = (
        Sample(
            lambda x: apply(AssembleCsr((2, 3)), x, *map(as_node, ([2, 0, 1], [0, 1, 3]))),
            [reals(3)],
            lambda x: np.array([[0, 0, x[0]], [x[1], x[2], 0]]),
            order=0,
        ),
    )

    def attributes(self) -> dict[str, Any]:
        return {"shape": self.matrix_shape}

    def infer(self, *types: Any) -> Type:
        data, *_ = tensor_types(*types)
        stored = data.shape[0] if isinstance(data.shape, tuple) else UnknownDim()
        return SparseType(data.dtype, self.matrix_shape, stored)

    def packer(self) -> Callable[..., Any]:
        return _packer(self.matrix_shape)

    def differentiable(self, slot: int) -> bool:
        return False
