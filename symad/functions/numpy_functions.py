"""NumPy's functions on nodes where symad's own differ in signature or in meaning.

Each function has NumPy's parameters, as far as they mean something for nodes;
:mod:`symad.functions.numpy_protocol` refuses the others.  The tests compare every parameter with
the installed NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from symad.errors import GraphTypeError, ShapeError
from symad.graph.node import Node
from symad.graph.op import call
from symad.ops.adjoint import broadcast_like, cast
from symad.ops.base import as_node, as_nodes
from symad.ops.comparison import maximum, minimum
from symad.ops.comparison import where as choose
from symad.ops.permute import matrix_transpose, moveaxis
from symad.ops.size import size as size_of
from symad.types import as_dtype

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

SIGNATURES: dict[str, Callable[..., Any]] = {}
"""Functions of nodes with NumPy's signatures, by their path below ``numpy``."""


def at(*paths: str) -> Callable[[AnyFunction], AnyFunction]:
    """Enter a function in :data:`SIGNATURES`."""

    def enter(function: AnyFunction) -> AnyFunction:
        SIGNATURES.update(dict.fromkeys(paths, function))
        return function

    return enter


def _as(x: Any, dtype: Any) -> Node:
    return as_node(x) if dtype is None else cast(as_node(x), dtype)


def _in(dtype: Any, name: str, a: Any, *args: Any, **keywords: Any) -> Node:
    """Call a function that adds or multiplies, in ``dtype``, which is also that of the result."""
    return _as(call(name, _as(a, dtype), *args, **keywords), dtype)


def _kept(x: Any, where: Any, neutral: Any) -> Node:
    """Return ``x`` with another value where NumPy's argument ``where`` is false."""
    node = as_node(x)
    return node if where is True else choose(_mask(where, node), node, neutral)


def _mask(where: Any, x: Node) -> Node:
    return broadcast_like(as_node(where), x)


def _float(dtype: Any) -> Any:
    """Return a dtype in which means are computed; NumPy would round them to integers."""
    if dtype is not None and as_dtype(dtype).kind != "f":
        raise GraphTypeError(f"a mean of dtype {dtype} is not available for symad nodes",
                             remedy="Cast the result: sm.mean(x).astype(dtype).")  # fmt: skip
    return dtype


# Reductions


@at("sum")
def _sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None,
         where: Any = True) -> Node:  # fmt: skip
    total = _in(dtype, "sum", _kept(a, where, 0), axis=axis, keepdims=keepdims)
    return total if initial is None else total + cast(as_node(initial), total.dtype)


@at("prod")
def _prod(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None,
          where: Any = True) -> Node:  # fmt: skip
    product = _in(dtype, "prod", _kept(a, where, 1), axis=axis, keepdims=keepdims)
    return product if initial is None else product * cast(as_node(initial), product.dtype)


@at("mean")
def _mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False,
          where: Any = True) -> Node:  # fmt: skip
    x = _as(a, _float(dtype))
    if where is True:
        return call("mean", x, axis=axis, keepdims=keepdims)
    total, count = (call("sum", _kept(term, where, 0), axis=axis, keepdims=keepdims)
                    for term in (x, call("ones_like", x)))  # fmt: skip
    return total / count


@at("max", "amax")
def _max(a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None,
         where: Any = True) -> Node:  # fmt: skip
    return _extreme("max", maximum, a, axis, keepdims, initial, where)


@at("min", "amin")
def _min(a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None,
         where: Any = True) -> Node:  # fmt: skip
    return _extreme("min", minimum, a, axis, keepdims, initial, where)


def _extreme(name: str, combine: Any, a: Any, axis: Any, keepdims: Any, initial: Any,
             where: Any) -> Node:  # fmt: skip
    if initial is None:
        if where is not True:
            raise GraphTypeError("where= needs initial=, since there may be no element")
        return call(name, a, axis=axis, keepdims=keepdims)
    x = as_node(a)
    first = cast(as_node(initial), x.dtype)
    result: Node = combine(call(name, _kept(x, where, first), axis=axis, keepdims=keepdims), first)
    return result


@at("any")
def _any(a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Node:
    return call("any", _kept(a, where, 0), axis=axis, keepdims=keepdims)


@at("all")
def _all(a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Node:
    return call("all", _kept(a, where, 1), axis=axis, keepdims=keepdims)


@at("var")
def _var(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
         correction: Any = 0) -> Node:  # fmt: skip
    return call("var", _as(a, _float(dtype)), axis, correction=correction or ddof,
                keepdims=keepdims)  # fmt: skip


@at("std")
def _std(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: Any = False,
         correction: Any = 0) -> Node:  # fmt: skip
    return call("std", _as(a, _float(dtype)), axis, correction=correction or ddof,
                keepdims=keepdims)  # fmt: skip


@at("cumsum")
def _cumsum(a: Any, axis: Any = None, dtype: Any = None) -> Node:
    return _in(dtype, "cumsum", a, axis)


@at("cumprod")
def _cumprod(a: Any, axis: Any = None, dtype: Any = None) -> Node:
    return _in(dtype, "cumprod", a, axis)


@at("trace")
def _trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None) -> Node:
    return _in(dtype, "linalg.trace", a, offset, axis1, axis2)


# Element by element


@at("clip")
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None,
          max: Any = None) -> Node:  # fmt: skip
    return call("clip", a, a_min if min is None else min, a_max if max is None else max)


@at("divmod")
def _divmod(x1: Any, x2: Any) -> tuple[Node, Node]:
    return call("floor_divide", x1, x2), call("mod", x1, x2)


@at("where")
def _where(condition: Any, x: Any = None, y: Any = None, /) -> Node:
    if x is None and y is None:
        raise GraphTypeError(
            "the positions where a condition holds are as many as its values say, and shapes of "
            "nodes do not depend on values",
            remedy="Write sm.where(condition, x, y) for a choice.",
        )
    return choose(condition, x, y)


# Types and shapes


@at("can_cast")
def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    source = from_.dtype if isinstance(from_, Node) else from_
    return bool(np.can_cast(source, as_dtype(to), casting))


@at("ndim")
def _ndim(a: Any) -> int:
    node = as_node(a)
    if node.ndim is None:
        raise ShapeError("the number of axes is not known",
                         remedy="Declare the shape of the variable.")  # fmt: skip
    return node.ndim


@at("size")
def _size(a: Any, axis: Any = None) -> Any:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return math.prod(size_of(a, one) for one in axes)


@at("atleast_1d")
def _atleast_1d(*arys: Any) -> Any:
    return _each("atleast_1d", arys)


@at("atleast_2d")
def _atleast_2d(*arys: Any) -> Any:
    return _each("atleast_2d", arys)


def _each(name: str, arrays: tuple[Any, ...]) -> Any:
    results = tuple(call(name, array) for array in arrays)
    return results[0] if len(results) == 1 else results


@at("take")
def _take(a: Any, indices: Any, axis: Any = None, mode: Any = "raise") -> Node:
    count = size_of(as_node(a), axis)
    if mode == "wrap":
        indices = as_node(indices) % count
    elif mode == "clip":
        indices = call("clip", indices, 0, count - 1)
    elif mode != "raise":
        raise GraphTypeError(f"{mode!r} is not a mode of take")
    return call("take", a, indices, axis)


# New arrays and arrays joined


@at("full_like")
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", shape: Any = None,
               ) -> Node:  # fmt: skip
    if shape is None:
        return call("full_like", a, fill_value, dtype)
    return call("full", shape, fill_value, dtype or as_node(a).dtype)


@at("zeros_like")
def _zeros_like(a: Any, dtype: Any = None, order: Any = "K", shape: Any = None) -> Node:
    return _full_like(a, 0, dtype, order, shape)


@at("ones_like")
def _ones_like(a: Any, dtype: Any = None, order: Any = "K", shape: Any = None) -> Node:
    return _full_like(a, 1, dtype, order, shape)


@at("linspace")
def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: Any = False,
              dtype: Any = None, axis: Any = 0) -> Any:  # fmt: skip
    if dtype is not None and as_dtype(dtype).kind != "f":
        raise GraphTypeError(
            f"dtype {dtype} is not available for symad nodes",
            remedy="Round down: sm.floor(sm.linspace(...)).astype(dtype).",
        )
    first, last = as_nodes(start, stop)
    numbers = call("linspace", first, last, num, endpoint, dtype)
    result = numbers if axis == 0 else moveaxis(numbers, 0, axis)
    gaps = num - 1 if endpoint else num
    return (result, (last - first) / (gaps if gaps > 0 else np.nan)) if retstep else result


@at("concatenate")
def _concatenate(arrays: Any, axis: Any = 0, dtype: Any = None, casting: Any = "same_kind") -> Node:
    return call("concat", _parts(arrays, dtype, casting), axis)


@at("stack")
def _stack(arrays: Any, axis: Any = 0, dtype: Any = None, casting: Any = "same_kind") -> Node:
    return call("stack", _parts(arrays, dtype, casting), axis)


@at("hstack")
def _hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Node:
    return call("hstack", _parts(tup, dtype, casting))


@at("vstack")
def _vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Node:
    return call("vstack", _parts(tup, dtype, casting))


def _parts(arrays: Any, dtype: Any, casting: Any) -> Any:
    """Return arrays to join in ``dtype``, if ``casting`` allows that."""
    if dtype is None:
        return arrays
    nodes = [as_node(array) for array in arrays]
    for node in nodes:
        if not np.can_cast(node.dtype, as_dtype(dtype), casting):
            raise GraphTypeError(f"cannot cast {node.dtype} to {dtype} with casting {casting!r}")
    return [cast(node, dtype) for node in nodes]


# Linear algebra


@at("linalg.diagonal")
def _linalg_diagonal(x: Any, /, *, offset: Any = 0) -> Node:
    return call("diagonal", x, offset, -2, -1)


@at("linalg.trace")
def _linalg_trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Node:
    return _in(dtype, "linalg.trace", x, offset, -2, -1)


@at("linalg.outer")
def _linalg_outer(x1: Any, x2: Any, /) -> Node:
    if (as_node(x1).ndim or 1, as_node(x2).ndim or 1) != (1, 1):
        raise ShapeError("two vectors are needed", remedy="Use sm.outer, which flattens arrays.")
    return call("outer", x1, x2)


@at("linalg.cholesky")
def _cholesky(a: Any, /, *, upper: Any = False) -> Node:
    if not upper:
        return call("linalg.cholesky", a)
    return matrix_transpose(call("linalg.cholesky", matrix_transpose(a)))


@at("linalg.eigh")
def _eigh(a: Any, UPLO: Any = "L") -> Any:
    return call("linalg.eigh", _lower(a, UPLO))


@at("linalg.eigvalsh")
def _eigvalsh(a: Any, UPLO: Any = "L") -> Node:
    return call("linalg.eigvalsh", _lower(a, UPLO))


def _lower(a: Any, triangle: Any) -> Node:
    """Return symmetric matrices given by a triangle so that it is the lower one."""
    if triangle not in ("L", "U", "l", "u"):
        raise GraphTypeError(f"UPLO is 'L' or 'U', not {triangle!r}")
    return as_node(a) if triangle in "Ll" else matrix_transpose(a)


@at("linalg.qr")
def _qr(a: Any, mode: Any = "reduced") -> Any:
    if mode not in ("reduced", "r"):
        raise GraphTypeError(f"mode={mode!r} is not available for symad nodes",
                             remedy="Use mode='reduced' or mode='r'.")  # fmt: skip
    pair: Any = call("linalg.qr", a)
    return pair if mode == "reduced" else pair[1]


@at("linalg.svd")
def _svd(a: Any, full_matrices: Any = True, compute_uv: Any = True) -> Any:
    if not compute_uv:
        return call("linalg.svdvals", a)
    return call("linalg.svd", a, full_matrices)
