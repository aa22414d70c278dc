"""Errors of values: where NumPy raises an error, and JAX does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.backends.xla.translations import canonical, jnp
from symad.graph.op import Op
from symad.ops.factorisation import Cholesky
from symad.ops.gather import AddAlongAxis, TakeAlongAxis
from symad.ops.index import ScatterSum
from symad.ops.linear_system import SolveTriangular


def failure_of(op: Op, arguments: Sequence[Any], result: Any) -> Any:
    """Return an array of booleans that is true where a value may be an error, or ``None``.

    An index may be out of range.  A matrix may have no inverse or no factor: then something in the
    result is not finite, and so is the sum.
    """
    if isinstance(op, ScatterSum):
        like = arguments[len(op.keys)]
        return _either([_outside(key, like, place) for key, _, place in op.parts(arguments)])
    if hasattr(op, "indexed"):
        subscripted: Any = op
        x, indices = subscripted.indexed(arguments), arguments[subscripted.operands :]
        return _outside(subscripted.key, x, indices)
    if isinstance(op, (TakeAlongAxis, AddAlongAxis)):
        x = arguments[isinstance(op, AddAlongAxis)]
        return _is_outside(arguments[-1], np.shape(x)[op.axis])
    if op.name == "power" and np.dtype(result.dtype).kind in "iu":
        return jnp.asarray(arguments[1]) < 0
    if isinstance(op, SolveTriangular):
        diagonal = jnp.diagonal(arguments[0], axis1=-2, axis2=-1)
        return None if op.unit_diagonal else jnp.any(diagonal == 0)
    if op.may_fail:
        results = result if isinstance(result, tuple) else (result,)
        if isinstance(op, Cholesky):  # all or nothing is NaN
            results = (jnp.diagonal(result, axis1=-2, axis2=-1),)
        sums = [jnp.sum(x) for x in results]
        return ~jnp.isfinite(sum(sums[1:], sums[0]))
    return None


def _outside(key: Sequence[Any], x: Any, indices: Sequence[Any]) -> Any:
    """Return whether an index of a subscript of ``x`` is out of range; slices never are."""
    rest, sizes = iter(indices), list(np.shape(x))
    entries = [entry for entry in key if entry is not None]
    found = []
    for place, entry in enumerate(entries):
        if entry is Ellipsis:
            del sizes[: len(sizes) - (len(entries) - place - 1)]
        elif isinstance(entry, tuple):
            del sizes[0]
            for _ in range(entry.count("?")):
                next(rest)
        else:
            index, size = next(rest) if isinstance(entry, str) else entry, sizes.pop(0)
            found.append(_is_outside(index, size))
    return _either(found)


def _is_outside(index: Any, size: int) -> Any:
    if isinstance(index, (int, np.ndarray, np.generic)):
        known = np.asarray(index, np.int64)
        return bool(np.any((known < -size) | (known >= size))) or None
    signed = index.astype(canonical("int64"))
    return (signed < -size) | (signed >= size)


def _either(found: Sequence[Any]) -> Any:
    """Return whether one of several has failed; ``None`` is something that cannot fail."""
    masks = [mask for mask in found if mask is not None]
    if len(masks) < 2:
        return masks[0] if masks else None
    return jnp.stack([jnp.any(mask) for mask in masks])
