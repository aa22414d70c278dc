"""Products of arrays: matmul, einsum, and what is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node, apply, infer_type
from symad.graph.operators import call
from symad.graph.sample import Sample, integers, reals
from symad.ops.adjoint import SumLike, cast, identity
from symad.ops.base import Multilinear, Operand, as_nodes, register, tensor_types, ufunc_dtype
from symad.types import (
    Dimension,
    KnownRank,
    Shape,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    broadcast_shapes,
    format_shape,
    join_dims,
    normalize_axis,
)


class SumLikeMatrix(SumLike):
    """As ``sum_like``, for a ``like`` that was taken to be a matrix while its rank was not known.

    The gradient of a matmul whose operands have no known rank ends in this node, which checks the
    assumption when the graph is specialised.
    """

    name = "sum_like_matrix"
    samples = (
        Sample(lambda x, y: sum_like_matrix(x, y), [reals(4, 3, 2), reals(3, 2)]),
        Sample(lambda x, y: sum_like_matrix(x, y), [reals(3, 2), reals(3, 1)], label="size 1"),
    )

    def check(self, x: TensorType, like: TensorType) -> None:
        if like.ndim is not None and like.ndim < 2:
            raise ShapeError(
                "the gradient of this matmul was made for matrices, because the number of axes of "
                f"its operands was not known, but one of them has shape {format_shape(like.shape)}",
                remedy='Declare how many axes it has, as in Variable("v", shape=("n",)).',
            )
        super().check(x, like)


class Matmul(Multilinear):
    r"""Multiply matrices, or stacks of them: the matrix product ``x @ y``.

    Parameters
    ----------
    x : (..., m, n) or (n,)
    y : (..., n, p) or (n,)
        A vector counts as a row on the left and as a column on the right, and the result lacks
        that axis.  Leading axes broadcast.

    Returns
    -------
    Node
        (..., m, p), of the dtype that NumPy gives.

    Raises
    ------
    ShapeError
        If an operand is a scalar, or the sizes of the axis summed over differ.

    Notes
    -----
    For Z = X Y, the adjoints are X̄ = Z̄ Yᵀ and Ȳ = Xᵀ Z̄, summed over broadcast leading axes.  An
    operand whose number of axes is not known counts as a matrix in the gradient; this is checked
    when values are fed.

    Examples
    --------
    >>> import symad as sm
    >>> X, W = sm.Variable("X", shape=("batch", 784)), sm.Variable("W", shape=(784, 10))
    >>> (X @ W).type
    f64[batch,10]
    >>> (sm.constant([1.0, 2.0]) @ sm.constant([[1.0], [10.0]])).eval()
    array([21.])
    """

    name = "matmul"
    numpy = np.matmul
    text = "{0} @ {1}"
    latex = "{0} {1}"
    precedence = 2
    samples = (
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(2, 4)]),
        Sample(lambda a, b: a @ b, [reals(2), reals(2)], label="vectors"),
        Sample(lambda a, b: a @ b, [reals(2), reals(2, 3)], label="vector, matrix"),
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(2)], label="matrix, vector"),
        Sample(lambda a, b: a @ b, [reals(2), reals(4, 2, 3)], label="vector, stack"),
        Sample(lambda a, b: a @ b, [reals(4, 3, 2), reals(2)], label="stack, vector"),
        Sample(lambda a, b: a @ b, [reals(4, 3, 2), reals(2, 5)], label="stack, matrix"),
        Sample(lambda a, b: a @ b, [reals(3, 2), reals(4, 2, 5)], label="matrix, stack"),
        Sample(lambda a, b: a @ b, [reals(4, 1, 3, 2), reals(3, 2, 2)], label="broadcast stacks"),
        Sample(lambda a, b: a @ b, [reals(1, 3, 1), reals(2, 1, 1)], label="size 1"),
        Sample(lambda a, b: a @ b, [reals(3, 0), reals(0, 2)], label="empty sum"),
        Sample(lambda a: a @ a, [reals(3, 3)], label="same operand twice"),
        Sample(lambda a, b: a @ b, [integers(3, 2), reals(2, 4)], label="integers"),
    )

    def __call__(self, x: Operand, y: Operand) -> Node:
        return apply(self, *as_nodes(x, y))

    def infer(self, *types: Any) -> Type:
        x, y = tensor_types(*types)
        return TensorType(ufunc_dtype(np.matmul, x.dtype, y.dtype), _matmul_shape(x.shape, y.shape))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        x, y = inputs
        if x.ndim == 1 and y.ndim == 1:
            return adjoint * inputs[1 - slot]
        if x.ndim == 1:
            return _times_column(y, adjoint) if slot == 0 else _columns_by_rows(x, adjoint)
        if y.ndim == 1:
            return _columns_by_rows(adjoint, y) if slot == 0 else _times_column(x.mT, adjoint)
        product = adjoint @ y.mT if slot == 0 else x.mT @ adjoint
        other = inputs[1 - slot]
        if inputs[slot].ndim is None and other.ndim != 2:
            return sum_like_matrix(product, inputs[slot])
        return product


def _matmul_shape(x: Shape, y: Shape) -> Shape:
    if x == () or y == ():
        raise ShapeError("a scalar has no axis to sum over", remedy="Multiply with * instead.")
    if isinstance(x, UnknownShape) or isinstance(y, UnknownShape):
        return UnknownShape.fresh()
    _require_equal(x[-1], y[-2] if len(y) > 1 else y[-1], x, y)
    rows: KnownRank = x[-2:-1]
    columns: KnownRank = y[-1:] if len(y) > 1 else ()
    batch = broadcast_shapes(x[:-2], y[:-2])
    assert not isinstance(batch, UnknownShape)
    return (*batch, *rows, *columns)


def _require_equal(last: Dimension, first: Dimension, x: Shape, y: Shape) -> None:
    if isinstance(last, int) and isinstance(first, int) and last != first:
        raise ShapeError(
            f"the last axis of {format_shape(x)} has size {last}, and the axis of "
            f"{format_shape(y)} that it is summed with has size {first}",
            remedy="Transpose or reshape an operand: (..., m, n) @ (..., n, p).",
        )


def _times_column(matrix: Node, vector: Node) -> Node:
    """Return ``matrix @ vector`` for stacks of both."""
    if matrix.ndim == 2:
        return matrix @ vector
    product: Node = call("squeeze", matrix @ call("expand_dims", vector, -1), -1)
    return product


def _columns_by_rows(x: Node, y: Node) -> Node:
    """Return the products of the elements of the last axes of ``x`` and ``y``."""
    product: Node = call("expand_dims", x, -1) * call("expand_dims", y, -2)
    return product


sum_like_matrix = SumLikeMatrix()
matmul = register(Matmul())


_ELLIPSIS = "..."


def _split(subscripts: str) -> tuple[list[str], str]:
    """Return the terms of the operands and of the result of explicit subscripts."""
    operands, _, result = subscripts.partition("->")
    return operands.split(","), result


def _letters(term: str) -> str:
    return term.replace(_ELLIPSIS, "")


def _explicit(subscripts: Any, count: int) -> str:
    """Return checked subscripts with an explicit result, for ``count`` operands.

    Without one, the result has, after the ellipsis, the letters that appear once, in order.
    """
    if not isinstance(subscripts, str):
        raise GraphTypeError(
            f"the subscripts of einsum must be text, not {subscripts!r}",
            remedy='Write einsum("ij,jk->ik", a, b).',
        )
    operands, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = operands.split(",")
    if not arrow:
        times = Counter(_letters(operands.replace(",", "")))
        dots = _ELLIPSIS if _ELLIPSIS in operands else ""
        result = dots + "".join(sorted(letter for letter, n in times.items() if n == 1))
    if len(terms) != count:
        raise ShapeError(f"{subscripts!r} is for {len(terms)} operands, but there are {count}")
    for term in (*terms, result):
        letters = _letters(term)
        if term.count(_ELLIPSIS) > 1 or (letters and not (letters.isascii() and letters.isalpha())):
            raise ShapeError(
                f"{subscripts!r} cannot be read at {term!r}",
                remedy='Subscripts are letters, commas, "..." and "->": "...ij,jk->...ik".',
            )
    _check_result(subscripts, terms, result)
    return f"{','.join(terms)}->{result}"


def _check_result(subscripts: str, terms: Sequence[str], result: str) -> None:
    letters = _letters(result)
    strange = set(letters).difference(*terms)
    if strange:
        raise ShapeError(f"the result of {subscripts!r} has {min(strange)!r}, which no operand has")
    if len(set(letters)) != len(letters):
        raise ShapeError(f"the result of {subscripts!r} has a subscript twice")
    if (_ELLIPSIS in result) != any(_ELLIPSIS in term for term in terms):
        raise ShapeError(
            f'"..." must be in the result of {subscripts!r} and in an operand, or in neither',
            remedy="Sum over the axes it stands for with sm.sum.",
        )


def _einsum(*operands: Any, subscripts: str) -> Any:
    if len(operands) == 1:
        return np.einsum(subscripts, operands[0]).copy()
    return np.einsum(subscripts, *operands, optimize=True)


@dataclass(frozen=True)
class Einsum(Multilinear):
    """A sum of products over named axes, in the form in which its gradient is another one.

    In each term the letters differ and the ellipsis, if any, comes first; a letter that only one
    operand has is in the result.  :func:`einsum` brings the user's operands into this form.
    """

    subscripts: str

    name = "einsum"
    numpy = staticmethod(_einsum)
    samples = (
        Sample(lambda a, b: einsum("ij,jk->ik", a, b), [reals(3, 2), reals(2, 4)]),
        Sample(lambda a, b: einsum("ij,jk", a, b), [reals(3, 2), reals(2, 4)], label="implicit"),
        Sample(
            lambda a, b: einsum("...ij,kj->...ik", a, b),
            [reals(5, 3, 2), reals(4, 2)],
            label="ellipsis",
        ),
        Sample(
            lambda a, b: einsum("i...,j...->...ij", a, b),
            [reals(2, 3, 1), reals(4, 5)],
            lambda a, b: np.einsum("ikl,jl->klij", np.repeat(a, 5, 2), b),
            label="broadcast ellipsis",
        ),
        Sample(lambda a: einsum("ii->i", a), [reals(3, 3)], np.diagonal, label="diagonal"),
        Sample(lambda a: einsum("ii", a), [reals(3, 3)], np.trace, label="trace"),
        Sample(
            lambda a, b: einsum("iji,kj->jk", a, b),
            [reals(2, 3, 2), reals(4, 3)],
            lambda a, b: np.trace(a, axis1=0, axis2=2)[:, None] * b.T,
            label="diagonal, sums",
        ),
        Sample(
            lambda a: einsum("i...j->j", a.reshape((2, 3))), [reals(6)], order=0, label="no axes"
        ),
        Sample(
            lambda a: einsum("i...j->j...", a),
            [reals(2, 3, 4)],
            lambda a: np.moveaxis(a.sum(0), 1, 0),
            label="one operand",
        ),
        Sample(
            lambda a, b, c: einsum("ij,jk,ki->i", a, b, c),
            [reals(2, 3), reals(3, 4), reals(4, 2)],
            lambda a, b, c: np.diagonal(a @ b @ c),
            label="three operands",
        ),
        Sample(
            lambda a, b: einsum("ij,ij->j", a, b), [reals(3, 1), reals(3, 4)], label="size 1"
        ),
        Sample(lambda a: einsum("i,i->", a, a), [reals(3)], label="same operand twice"),
        Sample(lambda a, b: einsum("i,ij->j", a, b), [reals(0), reals(0, 2)], label="empty sum"),
        Sample(lambda a, b: einsum(",i->i", a, b), [reals(), reals(3)], label="scalar"),
        Sample(lambda a, b: einsum("ij,j->i", a, b), [integers(3, 2), reals(2)], label="integers"),
    )

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        terms, result = _split(self.subscripts)
        sizes: dict[str, Dimension] = {}
        batches: list[Shape] = []
        for term, tensor in zip(terms, tensors, strict=True):
            batches.append(_read_sizes(term, tensor.shape, sizes))
        dtype = np.result_type(*[tensor.dtype for tensor in tensors])
        batch = broadcast_shapes(*batches)
        if isinstance(batch, UnknownShape):
            return TensorType(dtype, UnknownShape.fresh())
        before, _, after = result.partition(_ELLIPSIS)
        left, right = [sizes[i] for i in before], [sizes[i] for i in after]
        return TensorType(dtype, (*left, *batch, *right))

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        terms, result = _split(self.subscripts)
        wanted = terms.pop(slot)
        if _ELLIPSIS in result and _ELLIPSIS not in wanted:
            wanted = _ELLIPSIS + wanted
        others = inputs[:slot] + inputs[slot + 1 :]
        return _contract([adjoint, *others], [result, *terms], wanted)


def _read_sizes(term: str, shape: Shape, sizes: dict[str, Dimension]) -> Shape:
    """Add the sizes of the letters of ``term`` to ``sizes``; return the axes of its ellipsis."""
    before, dots, after = term.partition(_ELLIPSIS)
    if isinstance(shape, UnknownShape):
        for letter in before + after:
            sizes[letter] = join_dims(sizes.get(letter, 1), UnknownDim())
        return shape if dots else ()
    count = len(before) + len(after)
    if len(shape) < count or (len(shape) > count and not dots):
        raise ShapeError(f"{term!r} does not name the axes of an operand {format_shape(shape)}")
    split = len(shape) - len(after)
    for letter, size in zip(before + after, shape[: len(before)] + shape[split:], strict=True):
        try:
            sizes[letter] = join_dims(sizes.get(letter, 1), size)
        except ShapeError:
            raise ShapeError(
                f"the axes named {letter!r} have sizes {sizes[letter]} and {size}"
            ) from None
    return shape[len(before) : split]


def einsum(subscripts: str, *operands: Operand) -> Node:
    """Sum products of elements over named axes: Einstein's summation convention.

    Parameters
    ----------
    subscripts : str
        A letter for each axis of each operand, and after ``->`` those of the result, as in
        ``"ij,jk->ik"``; the other letters are summed over.  Without ``->`` the result has the
        letters that appear once, in alphabetic order.  A letter that one operand has twice takes
        its diagonal.  ``...`` stands for axes that broadcast.
    *operands : Node, array or number

    Returns
    -------
    Node
        Of the dtype that the operands promote to.

    Raises
    ------
    ShapeError
        If the subscripts cannot be read, or do not fit the operands.

    Notes
    -----
    The sum is linear in each operand, and the adjoint of one is the sum of products of the result's
    adjoint with the other operands, whose result is named as that operand.  Diagonals and sums over
    a letter that only one operand has are nodes of their own, taken first.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([1.0, 10.0])
    >>> sm.einsum("ij,j->i", a, b).eval()
    array([21., 43.])
    >>> sm.einsum("ii", a).eval()
    np.float64(5.0)
    """
    explicit = _explicit(subscripts, len(operands))
    nodes = as_nodes(*operands)
    infer_type(Einsum(explicit), nodes)  # for an error in the user's own terms
    terms, result = _split(explicit)
    return _contract(nodes, terms, result)


register(einsum)


def _contract(nodes: Sequence[Node], terms: Sequence[str], result: str) -> Node:
    """Return the sum of products, with the operands brought into the form of :class:`Einsum`."""
    times = Counter(letter for term in (*terms, result) for letter in set(_letters(term)))
    prepared = []
    for node, term in zip(nodes, terms, strict=True):
        node, term = _ellipsis_first(*_take_diagonals(node, term))
        lone = [i for i in _letters(term) if times[i] == 1]
        prepared.append(_sum_away(node, term, lone))
    operands = [node for node, _ in prepared]
    subscripts = f"{','.join(term for _, term in prepared)}->{result}"
    if len(operands) > 1:
        return apply(Einsum(subscripts), *operands)
    [(node, term)] = prepared
    if term == result:
        return identity(node) if node is nodes[0] else node
    if _ELLIPSIS in term:
        return apply(Einsum(subscripts), node)
    permuted: Node = call("permute_dims", node, tuple(term.index(i) for i in result))
    return permuted


def _axis(term: str, position: int) -> int:
    """Return the axis of the letter at ``position`` among those of ``term``."""
    letters = _letters(term)
    counted_from_back = _ELLIPSIS in term and position >= term.index(_ELLIPSIS)
    return position - len(letters) if counted_from_back else position


def _take_diagonals(node: Node, term: str) -> tuple[Node, str]:
    """Return the operand with one axis, at the end, for each letter that it has twice."""
    letter = next((i for i in term if i != "." and term.count(i) > 1), None)
    while letter is not None:
        letters = _letters(term)
        first = letters.index(letter)
        second = letters.index(letter, first + 1)
        node = call("diagonal", node, 0, _axis(term, first), _axis(term, second))
        term = term.replace(letter, "", 2) + letter
        letter = next((i for i in term if i != "." and term.count(i) > 1), None)
    return node, term


def _ellipsis_first(node: Node, term: str) -> tuple[Node, str]:
    if _ELLIPSIS not in term or term.startswith(_ELLIPSIS):
        return node, term
    first = _ELLIPSIS + _letters(term)
    return apply(Einsum(f"{term}->{first}"), node), first


def _sum_away(node: Node, term: str, letters: Sequence[str]) -> tuple[Node, str]:
    """Return the operand summed over ``letters``, in its own dtype."""
    if not letters:
        return node, term
    axes = tuple(_axis(term, _letters(term).index(letter)) for letter in letters)
    total = cast(call("sum", node, axis=axes), node.dtype)
    return total, "".join(i for i in term if i not in letters)


def _letters_for(count: int) -> str:
    return "".join(chr(ord("a") + i) if i < 26 else chr(ord("A") + i - 26) for i in range(count))


def _require_ranks(name: str, *nodes: Node) -> list[int]:
    """Return the numbers of axes of ``nodes``.

    Raises
    ------
    ShapeError
        If one is not known.
    """
    ranks = [node.ndim for node in nodes]
    for node, rank in zip(nodes, ranks, strict=True):
        if rank is None:
            raise ShapeError(
                f"{name} needs to know how many axes {node!r} has",
                where=user_line(),
                remedy='Declare it, as in Variable("x", shape=(None, None)), or use matmul.',
            )
    return [rank for rank in ranks if rank is not None]
