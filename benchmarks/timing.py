"""Times of several functions, measured in turns, and statistics of their ratios."""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Batch = Callable[[int], float]
"""Makes the given number of calls and returns their total time in seconds."""


class Spread(NamedTuple):
    """The quartiles of a sample."""

    low: float
    median: float
    high: float


def batch_of(
    call: Callable[..., Any],
    arguments: Sequence[Any],
    clock: Callable[[], float] = time.perf_counter,
) -> Batch:
    """Return a loop over ``call(*arguments)``, written as a user would write the call.

    A generic ``call(*arguments)`` would take as much time as a native function of two floats
    itself.  As in :mod:`timeit`, the garbage collector is off during the loop.
    """
    names = ", ".join(f"argument{i}" for i in range(len(arguments)))
    unpack = f"{names}, = arguments" if arguments else "pass"
    timer = timeit.Timer(
        f"call({names})",
        f"call = function; {unpack}",
        clock,
        {"function": call, "arguments": tuple(arguments)},
    )
    return timer.timeit


def calls_per_batch(batch: Batch, least: float) -> int:
    """Return a power of two of calls that takes at least ``least`` seconds; also warms up."""
    count = 1
    while batch(count) < least:
        count *= 2
    return count


def interleaved(batches: Mapping[str, Batch], rounds: int, least: float) -> dict[str, list[float]]:
    """Return seconds per call of each function, once for each round.

    A round runs one batch of each, one after the other.  If the machine slows down for longer than
    a round, it slows all of them down and does not change the ratios within the round.
    """
    counts = {label: calls_per_batch(batch, least) for label, batch in batches.items()}
    times: dict[str, list[float]] = {label: [] for label in batches}
    for _ in range(rounds):
        for label, batch in batches.items():
            times[label].append(batch(counts[label]) / counts[label])
    return times


def spread(sample: Sequence[float]) -> Spread:
    """Return the quartiles of a sample.

    Examples
    --------
    >>> spread([4.0, 1.0, 3.0, 2.0, 5.0])
    Spread(low=2.0, median=3.0, high=4.0)
    """
    if len(sample) == 1:
        return Spread(sample[0], sample[0], sample[0])
    return Spread(*statistics.quantiles(sample, n=4, method="inclusive"))


def ratio(times: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the quartiles of the ratios of ``times`` to ``others``, round by round.

    Examples
    --------
    >>> ratio([1.0, 10.0, 1.0], [2.0, 20.0, 4.0])  # the second round was disturbed
    Spread(low=0.375, median=0.5, high=0.5)
    """
    return spread([mine / other for mine, other in zip(times, others, strict=True)])


def fastest(times: Mapping[str, Sequence[float]]) -> str:
    """Return the label with the smallest median."""
    return min(times, key=lambda label: statistics.median(times[label]))
