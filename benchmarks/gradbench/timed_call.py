"""What a program gives for one input: a function to be timed, and how its result is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Input = Any
"""An input as the suite sends it: what JSON can hold."""


@dataclass(frozen=True)
class TimedCall:
    """A call that the suite wants timed.

    Parameters
    ----------
    call
        What is timed.  The first call compiles, as it does in the suite's tool for JAX.
    arguments
        The input as arrays; making them is not timed, as in all tools of the suite.
    answer
        Makes JSON of the result; not timed either.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    answer: Callable[[Any], Any]

    def run(self, min_runs: int, min_seconds: float) -> tuple[Any, list[int]]:
        """Return the answer, and the nanoseconds of each call."""
        times: list[int] = []
        call, arguments, now = self.call, self.arguments, time.perf_counter_ns
        while len(times) < min_runs or sum(times) < min_seconds * 1e9:
            start = now()
            result = call(*arguments)
            times.append(now() - start)
        return self.answer(result), times


def to_list(array: Any) -> list[Any]:
    """Return an array as nested lists."""
    return array.tolist()
