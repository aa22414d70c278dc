"""Samples: inputs on which the tests try each op.

A :class:`Sample` defines how to call an op and which inputs to draw for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from symad.records import dataclass

Array = np.ndarray[Any, Any]
Draw: TypeAlias = "Callable[[np.random.Generator, Any], Array]"
"""Draws an array, given a random generator and the floating dtype of the test; the quoted type
avoids importing ``numpy.random`` with symad."""


def reals(*shape: int, low: float = -2.0, high: float = 2.0) -> Draw:
    """Draw real numbers, uniformly from ``[low, high]``."""
    return lambda rng, dtype: rng.uniform(low, high, shape).astype(dtype)


def away_from_zero(*shape: int, low: float = 0.3, high: float = 2.0) -> Draw:
    """Draw real numbers of either sign whose magnitude is in ``[low, high]``."""

    def draw(rng: np.random.Generator, dtype: Any) -> Array:
        size = rng.uniform(low, high, shape)
        return np.asarray(size * rng.choice([-1.0, 1.0], shape)).astype(dtype)

    return draw


def distinct(*shape: int, gap: float = 0.25) -> Draw:
    """Draw real numbers that differ pairwise by at least ``gap``: no ties, no kinks nearby."""

    def draw(rng: np.random.Generator, dtype: Any) -> Array:
        count = int(np.prod(shape))
        values = (rng.permutation(count) - count / 2 + 0.37) * gap
        return values.reshape(shape).astype(dtype)

    return draw


def integers(*shape: int, low: int = -5, high: int = 6, dtype: Any = "int64") -> Draw:
    """Draw integers from ``low`` up to but not including ``high``."""
    return lambda rng, _: rng.integers(low, high, shape).astype(dtype)


def booleans(*shape: int) -> Draw:
    """Draw booleans."""
    return lambda rng, _: rng.integers(0, 2, shape).astype(bool)


def fixed(value: Any, dtype: Any = None) -> Draw:
    """Return the same array each time; a floating one has the dtype of the test by default."""
    array = np.asarray(value)
    floating = array.dtype.kind == "f"
    return lambda rng, wanted: array.astype(dtype or (wanted if floating else array.dtype))


def well_conditioned(*shape: int) -> Draw:
    """Draw matrices whose singular values are evenly spaced from 1 to 3."""

    def draw(rng: np.random.Generator, dtype: Any) -> Array:
        rows, columns = shape[-2:]
        rank = min(rows, columns)
        left = _orthonormal(rng, *shape[:-1], rank)
        right = _orthonormal(rng, *shape[:-2], columns, rank)
        return _stretched(left, right).astype(dtype)

    return draw


def positive_definite(*shape: int) -> Draw:
    """Draw symmetric matrices whose eigenvalues are evenly spaced from 1 to 3."""

    def draw(rng: np.random.Generator, dtype: Any) -> Array:
        axes = _orthonormal(rng, *shape)
        return _stretched(axes, axes).astype(dtype)

    return draw


def _orthonormal(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(np.linalg.qr(rng.standard_normal(shape))[0])


def _stretched(left: Array, right: Array) -> Array:
    return np.asarray((left * np.linspace(1.0, 3.0, left.shape[-1])) @ right.mT)


@dataclass(frozen=True)
class Sample:
    """One way of calling an op in the tests.

    Attributes
    ----------
    call : callable
        Takes one node for each of ``inputs`` and returns the node to test.
    inputs : sequence of Draw
    reference : callable, optional
        An independent NumPy or SciPy function of the same arrays; without it, only the JAX
        comparison and the derivative checks are independent.
    order : int
        The highest order of derivatives to check: 2 unless a kink or the cost forbids it.
    label : str
        Distinguishes the samples of one op.
    signed_zeros : bool
        Whether the signs of zeros in the result count: then they must be those of ``reference``.
    needs : {"", "rank", "shape"}
        What must be known of the inputs' shapes when the graph is built and differentiated:
        nothing, the number of axes, or all sizes.  The tests check that knowing less is an error.
    """

    call: Callable[..., Any]
    inputs: Sequence[Draw]
    reference: Callable[..., Any] | None = None
    order: int = 2
    label: str = ""
    signed_zeros: bool = False
    needs: str = ""


def special_points(
    call: Callable[..., Any], inputs: Sequence[Draw], reference: Callable[..., Any]
) -> Sample:
    """Return a sample at 0, ±inf, NaN and the like: signs of zeros count, derivatives do not."""
    return Sample(call, inputs, reference, order=0, label="special", signed_zeros=True)
