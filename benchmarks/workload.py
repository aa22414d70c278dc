"""Workloads: the work to measure, its implementations, and the targets of symad."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Builder = Callable[..., "Implementation"]


class WrongAnswer(Exception):
    """An implementation returns a wrong answer."""


@dataclass(frozen=True)
class Implementation:
    """A function that is ready to be called again and again.

    Attributes
    ----------
    call : callable
        The timed function; its results are NumPy arrays, NumPy scalars or Python floats.
    arguments : tuple
        The arguments of the call.
    answer : callable
        Returns the values to check from the first result.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    answer: Callable[[Any], Sequence[Any]] = tuple


@dataclass(frozen=True)
class Target:
    """A target: ``subject`` takes at most ``limit`` times as long as the fastest of ``peer``.

    Attributes
    ----------
    limit : float
        A ratio, or seconds if there is no peer.
    peer : str or None
        A label, or a library, which means its fastest variant.
    subject : str
        The label that the target is about.
    as_speedup : bool
        Whether it is written as "1 / limit times faster".
    """

    limit: float
    peer: str | None = None
    subject: str = "symad"
    as_speedup: bool = False


def times_faster(factor: float, peer: str, subject: str = "symad") -> Target:
    """Return the target that ``subject`` is at least ``factor`` times as fast as ``peer``."""
    return Target(1 / factor, peer, subject, as_speedup=True)


@dataclass(frozen=True)
class Workload:
    """One piece of work.

    Attributes
    ----------
    name : str
        Its name on the command line.
    title : str
        Its title in the report.
    inputs : callable
        Makes the inputs, arrays or floats, from ``size`` or ``tiny``.
    size, tiny : tuple of int
        The size to measure, and a size that is small enough for tests.
    reference : callable
        Computes the answer from the inputs in plain NumPy.
    implementations : dict from label to Builder
        A label is the name of a library, optionally with a variant: "jax, arrays on device".  A
        builder takes the inputs; it imports its library itself.
    targets : tuple of Target
    tolerance : float
        The largest error accepted, relative to the largest entry of an array.
    threads : int
        The number of cores that the process may use.
    once : bool
        Whether to measure the time to the first answer and the peak memory too.
    """

    name: str
    title: str
    inputs: Callable[..., tuple[Any, ...]]
    size: tuple[int, ...]
    tiny: tuple[int, ...]
    reference: Callable[..., Sequence[Any]]
    implementations: Mapping[str, Builder]
    targets: tuple[Target, ...] = field(default=())
    tolerance: float = 1e-9
    threads: int = 1
    once: bool = True


def library_of(label: str) -> str:
    """Return the library of a label, which may also name a variant.

    Examples
    --------
    >>> library_of("jax, arrays on device")
    'jax'
    """
    return label.partition(", ")[0]


def built(workload: Workload, label: str, inputs: Sequence[Any]) -> Implementation:
    """Return an implementation whose first answer has been checked.

    Raises
    ------
    WrongAnswer
        If a value is not a NumPy or Python value, differs from the reference in dtype or shape, or
        is too far from it.
    """
    implementation = workload.implementations[label](*inputs)
    got = implementation.answer(implementation.call(*implementation.arguments))
    check_answer(got, workload.reference(*inputs), workload.tolerance)
    return implementation


def check_answer(got: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    """Raise :class:`WrongAnswer` unless ``got`` agrees with ``expected``."""
    if len(got) != len(expected):
        raise WrongAnswer(f"{len(got)} values instead of {len(expected)}")
    for i, (value, right) in enumerate(zip(got, expected, strict=True)):
        if not isinstance(value, (float, np.generic, np.ndarray)):
            raise WrongAnswer(f"value {i} is a {type(value).__name__}, not NumPy's")
        found, wanted = np.asarray(value), np.asarray(right)
        if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
            raise WrongAnswer(
                f"value {i} is {found.dtype}{found.shape}, not {wanted.dtype}{wanted.shape}"
            )
        error = float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))
        if not error <= tolerance:  # NaN is wrong too
            raise WrongAnswer(f"value {i} is wrong by {error:.1e}, and {tolerance:.0e} is allowed")
