"""einsum: sums of products over named axes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.index_sets import IndexSets
from symad.graph.node import Node, apply, infer_type, reporting
from symad.graph.op import explained
from symad.graph.sample import Sample, integers, reals
from symad.ops.adjoint import cast, identity
from symad.ops.base import Linear, Multilinear, as_nodes, promoted, register, tensor_types
from symad.ops.batching import aligned, shape_of
from symad.ops.permute import moveaxis, permute_dims
from symad.ops.reduce import sum as sum_of
from symad.ops.triangle import diagonal
from symad.types import (
    Dimension,
    Shape,
    TensorType,
    Type,
    UnknownDim,
    UnknownShape,
    broadcast_shapes,
    format_shape,
)

_ELLIPSIS = "..."


def _letters(term: str) -> str:
    return term.replace(_ELLIPSIS, "")


def _read(subscripts: str) -> tuple[list[str], str]:
    """Return the terms of the operands and of the result.

    Without ``->``, the result has, after the ellipsis, the letters that appear once, in order.
    """
    operands, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = operands.split(",")
    if not arrow:
        times = Counter("".join(map(_letters, terms)))
        dots = _ELLIPSIS if _ELLIPSIS in operands else ""
        result = dots + "".join(sorted(letter for letter, n in times.items() if n == 1))
    for term in (*terms, result):
        letters = _letters(term)
        if term.count(_ELLIPSIS) > 1 or (letters and not (letters.isascii() and letters.isalpha())):
            raise ShapeError(
                f"{subscripts!r} is invalid at {term!r}",
                remedy='Subscripts are letters, commas, "..." and "->": "...ij,jk->...ik".',
            )
    return terms, result


def _check_terms(terms: Sequence[str], result: str, count: int) -> None:
    if len(terms) != count:
        raise ShapeError(f"the subscripts are for {len(terms)} operands, but there are {count}")
    letters = _letters(result)
    strange = set(letters).difference(*terms)
    if strange:
        raise ShapeError(f"the result {result!r} has {min(strange)!r}, which no operand has")
    if len(set(letters)) != len(letters):
        raise ShapeError(f"the result {result!r} has a letter twice")
    if (_ELLIPSIS in result) != any(_ELLIPSIS in term for term in terms):
        raise ShapeError(
            '"..." must be in the result and in an operand, or in neither',
            remedy="Sum over its axes with sm.sum.",
        )


def _einsum(*operands: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *promoted(*operands), optimize=True)


class Einsum(Multilinear):
    """A sum of products over named axes, in a form whose gradients have the same form.

    There are at least two operands.  In the term of each, the letters differ and the ellipsis, if
    any, comes first; a letter that no other operand has is in the result.  :func:`einsum` converts
    the user's operands to this form.
    """

    subscripts: str

    name = "einsum"
    counted_as = "products"
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
        Sample(
            lambda a, b: einsum("iji,kj->jk", a, b),
            [reals(2, 3, 2), reals(4, 3)],
            lambda a, b: np.trace(a, axis1=0, axis2=2)[:, None] * b.T,
            label="diagonal, sums",
        ),
        Sample(
            lambda a, b, c: einsum("ij,jk,ki->i", a, b, c),
            [reals(2, 3), reals(3, 4), reals(4, 2)],
            lambda a, b, c: np.diagonal(a @ b @ c),
            label="three operands",
        ),
        Sample(lambda a, b: einsum("ij,ij->j", a, b), [reals(3, 1), reals(3, 1)], label="size 1"),
        Sample(lambda a: einsum("i,i->", a, a), [reals(3)], label="same operand twice"),
        Sample(lambda a, b: einsum("i,ij->j", a, b), [reals(0), reals(0, 2)], label="empty sum"),
        Sample(lambda a, b: einsum(",i->i", a, b), [reals(), reals(3)], label="scalar"),
        Sample(lambda a, b: einsum("ij,j->i", a, b), [integers(3, 2), reals(2)], label="integers"),
    )

    def infer(self, *types: Any) -> Type:
        tensors = tensor_types(*types)
        terms, result = _read(self.subscripts)
        _check_terms(terms, result, len(types))
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

    def flops(self, result: Any, *types: Any) -> int:
        """Count one loop nest over all axes, with one operation per operand at each point.

        With more than two operands, it is computed as several products, which cost less.
        """
        terms, _ = _read(self.subscripts)
        sizes: dict[str, Any] = {}
        batches = [_read_sizes(term, x.shape, sizes) for term, x in zip(terms, types, strict=True)]
        batch = TensorType(result.dtype, broadcast_shapes(*batches))
        points: int = math.prod(sizes.values())
        return len(types) * points * batch.size

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        terms, result = _read(self.subscripts)
        wanted = terms.pop(slot)
        if _ELLIPSIS in result and _ELLIPSIS not in wanted:
            wanted = _ELLIPSIS + wanted
        others = inputs[:slot] + inputs[slot + 1 :]
        return contract([adjoint, *others], [result, *terms], wanted)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        terms, result = _read(self.subscripts)
        pairs = list(zip(terms, batched, strict=True))
        if _ELLIPSIS not in result:
            free = next(i for i in ascii_lowercase + ascii_uppercase if i not in self.subscripts)
            joined = ",".join(free + term if stacks else term for term, stacks in pairs)
            return apply(Einsum(f"{joined}->{free}{result}"), *inputs)
        # The ellipsis comes first in each term: its axes are one more, that of the elements.
        before, _, after = result.partition(_ELLIPSIS)
        width = len(shape_of(out)) - len(before + after)
        joined = ",".join(_ELLIPSIS + _letters(term) if stacks else term for term, stacks in pairs)
        operands = [
            aligned(x, width + len(_letters(term))) if stacks else x
            for x, (term, stacks) in zip(inputs, pairs, strict=True)
        ]
        return moveaxis(apply(Einsum(f"{joined}->{result}"), *operands), len(before), 0)

    def decompose(self, *inputs: Node) -> Node | None:
        if len(inputs) == 2:
            return None
        terms, result = _read(self.subscripts)
        nodes = list(inputs)
        shapes = [np.broadcast_to(0.0, shape_of(node)) for node in nodes]
        path, _ = np.einsum_path(self.subscripts, *shapes, optimize="greedy")
        for places in path[1:]:
            chosen = sorted(places, reverse=True)
            pair = [nodes.pop(k) for k in chosen], [terms.pop(k) for k in chosen]
            kept = {letter for term in (*terms, result) for letter in _letters(term)}
            letters = dict.fromkeys(i for term in pair[1] for i in _letters(term) if i in kept)
            dots = _ELLIPSIS if any(_ELLIPSIS in term for term in pair[1]) else ""
            terms.append(dots + "".join(letters) if terms else result)
            nodes.append(contract(*pair, terms[-1]))
        return nodes[0]

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        terms, result = _read(self.subscripts)
        if not result.startswith(_ELLIPSIS) and _ELLIPSIS in result:
            return None
        parts = []
        for term, array in zip(terms, labels, strict=True):
            if array is not None:
                summed = [_axis(term, k) for k, i in enumerate(_letters(term)) if i not in result]
                kept = "".join(i for i in term if i in result)
                order = "".join(i for i in result if i in term)
                missing = [k - len(result) for k, i in enumerate(result) if i not in term + "."]
                joined = np.einsum(f"{kept}->{order}", sets.along(array, tuple(summed), False))
                parts.append(np.expand_dims(joined, missing))
        return np.broadcast_to(sets.joined(*parts), shape_of(out))


def _read_sizes(term: str, shape: Shape, sizes: dict[str, Dimension]) -> Shape:
    """Add the sizes of the letters of ``term`` to ``sizes``; return the axes of its ellipsis."""
    before, dots, after = term.partition(_ELLIPSIS)
    if isinstance(shape, UnknownShape):
        for letter in before + after:
            sizes.setdefault(letter, UnknownDim())
        return shape if dots else ()
    count = len(before) + len(after)
    if len(shape) < count or (len(shape) > count and not dots):
        raise ShapeError(f"{term!r} does not name the axes of an operand {format_shape(shape)}")
    split = len(shape) - len(after)
    for letter, size in zip(before + after, shape[: len(before)] + shape[split:], strict=True):
        sizes[letter] = _same_size(sizes.get(letter, size), size, f"axes named {letter!r}")
    return shape[len(before) : split]


def _same_size(a: Dimension, b: Dimension, what: str) -> Dimension:
    """Return the size of axes that must agree: a known size if there is one."""
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(
            f"the {what} have sizes {a} and {b}",
            remedy='Axes that broadcast are written "...".',
        )
    return b if isinstance(b, int) or isinstance(a, UnknownDim) else a


def _from_lists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the subscripts and operands of ``einsum(x, [0, 1], y, [1, 2], [0, 2])``."""
    *pairs, result = arguments if len(arguments) % 2 else (*arguments, None)
    operands, lists = tuple(pairs[::2]), pairs[1::2]
    subscripts = ",".join(map(_term_of, lists))
    return subscripts if result is None else f"{subscripts}->{_term_of(result)}", operands


def _term_of(indices: Any) -> str:
    letters = ascii_uppercase + ascii_lowercase  # sorted, as results without a list are
    try:
        return "".join(_ELLIPSIS if i is Ellipsis else letters[range(52)[i]] for i in indices)
    except (TypeError, IndexError):
        raise GraphTypeError(
            f"{indices!r} is not a list of the axes of an operand",
            remedy='Write einsum("ij,jk->ik", a, b), or einsum(a, [0, 1], b, [1, 2], [0, 2]) with '
            "integers from 0 to 51.",
        ) from None


@explained
def einsum(subscripts: Any, *operands: Any, optimize: Any = None) -> Node:
    """Sum products of elements over named axes: Einstein's summation convention.

    Parameters
    ----------
    subscripts : str, or Operand
        A letter for each axis of each operand, and after ``->`` those of the result, as in
        ``"ij,jk->ik"``; the other letters are summed over.  Without ``->`` the result has the
        letters that appear once, in alphabetic order.  A letter that one operand has twice takes
        its diagonal.  ``...`` denotes axes that broadcast.
    *operands : Node, array or number
        Instead of subscripts, a list of integers may follow each operand, one for each axis, with
        the list of the result at the end: ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.
    optimize : object
        Ignored: symad chooses the order of the products.

    Returns
    -------
    Node
        It has the dtype that the operands promote to.

    Raises
    ------
    ShapeError
        If the subscripts are invalid, or do not match the operands.

    Notes
    -----
    The sum is linear in each operand.  The adjoint of an operand is the sum of products of the
    result's adjoint and the other operands, with the axes of that operand.  Diagonals and sums over
    a letter that only one operand has are separate nodes, computed first.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.constant([[1.0, 2.0], [3.0, 4.0]]), sm.constant([1.0, 10.0])
    >>> sm.einsum("ij,j->i", a, b).eval()
    array([21., 43.])
    >>> sm.einsum("ii", a).eval()
    np.float64(5.0)
    """
    if not isinstance(subscripts, str):
        with reporting("einsum"):
            subscripts, operands = _from_lists((subscripts, *operands))
    nodes = as_nodes(*operands)
    infer_type(Einsum(subscripts), nodes)  # so that an error names the user's terms
    terms, result = _read(subscripts)
    return contract(nodes, terms, result)


register(einsum)


def contract(nodes: Sequence[Node], terms: Sequence[str], result: str) -> Node:
    """Return the sum of products, with the operands converted to the form of :class:`Einsum`."""
    times = Counter(letter for term in (*terms, result) for letter in set(_letters(term)))
    prepared = []
    for node, term in zip(nodes, terms, strict=True):
        node, term = _ellipsis_first(*_take_diagonals(node, term))
        lone = [i for i in _letters(term) if times[i] == 1]
        prepared.append(_sum_away(node, term, lone))
    if len(prepared) == 1:
        node = _permuted(*prepared[0], result)
        return identity(node) if node is nodes[0] else node
    subscripts = ",".join(term for _, term in prepared)
    return apply(Einsum(f"{subscripts}->{result}"), *[node for node, _ in prepared])


def _axis(term: str, position: int) -> int:
    """Return the axis of the letter at ``position`` among those of ``term``."""
    letters = _letters(term)
    counted_from_back = _ELLIPSIS in term and position >= term.index(_ELLIPSIS)
    return position - len(letters) if counted_from_back else position


def _take_diagonals(node: Node, term: str) -> tuple[Node, str]:
    """Return the operand with each letter that it has twice replaced by one axis at the end."""
    letter = next((i for i in term if i != "." and term.count(i) > 1), None)
    while letter is not None:
        letters = _letters(term)
        first = letters.index(letter)
        second = letters.index(letter, first + 1)
        axes = _axis(term, first), _axis(term, second)
        node = diagonal(_square(node, *axes), 0, *axes)
        term = term.replace(letter, "", 2) + letter
        letter = next((i for i in term if i != "." and term.count(i) > 1), None)
    return node, term


def _same(x: Any, axis1: int, axis2: int) -> Any:
    return x


class SquareAxes(Linear):
    """Return ``x`` after checking that two axes have the same size, as soon as it is known."""

    axis1: int
    axis2: int

    name = "square_axes"
    elements = "moved"
    numpy = staticmethod(_same)
    is_view = True
    samples = (
        Sample(lambda x: apply(SquareAxes(0, -1), x), [reals(2, 3, 2)]),
        Sample(lambda x: apply(SquareAxes(0, 1), x) * 2, [reals(0, 0)], label="empty"),
    )

    def infer(self, *types: Any) -> Type:
        (x,) = tensor_types(*types)
        if not isinstance(x.shape, UnknownShape):
            _same_size(x.shape[self.axis1], x.shape[self.axis2], "axes of a diagonal")
        return x

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint

    def specialise(self, *inputs: Node) -> Node | None:
        (x,) = tensor_types(infer_type(self, inputs))
        return inputs[0] if x.is_static else None


def _square(node: Node, axis1: int, axis2: int) -> Node:
    """Return ``node`` with two axes of the same size, checked later if they are not known."""
    (x,) = tensor_types(node.type)
    known = not isinstance(x.shape, UnknownShape) and x.shape[axis1] == x.shape[axis2]
    return node if known else apply(SquareAxes(axis1, axis2), node)


def _ellipsis_first(node: Node, term: str) -> tuple[Node, str]:
    if _ELLIPSIS not in term:
        return node, term
    first = _ELLIPSIS + _letters(term)
    return _permuted(node, term, first), first


def _permuted(node: Node, term: str, result: str) -> Node:
    """Return ``node``, whose axes are named by ``term``, with its axes as in ``result``."""
    if term == result:
        return node
    names, wanted = _letters(term), _letters(result)
    if _ELLIPSIS not in term:
        return permute_dims(node, tuple(names.index(letter) for letter in wanted))
    source = tuple(_axis(term, names.index(letter)) for letter in wanted)
    return moveaxis(node, source, tuple(_axis(result, i) for i in range(len(wanted))))


def _sum_away(node: Node, term: str, letters: Sequence[str]) -> tuple[Node, str]:
    """Return the operand summed over ``letters``, in its own dtype."""
    if not letters:
        return node, term
    axes = tuple(_axis(term, _letters(term).index(letter)) for letter in letters)
    total = cast(sum_of(node, axis=axes), node.dtype)
    return total, "".join(i for i in term if i not in letters)
