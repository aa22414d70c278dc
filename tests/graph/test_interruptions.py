"""An exception between any two steps of what sets the context of new nodes leaves nothing set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph import provenance
from symad.graph.graph import Graph, rebuild, replace_inputs

X = sm.Variable("x", shape=(3,))
Y = sm.sum(sm.exp(X) * X)

WORK: dict[str, Callable[[], Any]] = {
    "gradients": lambda: sm.gradients(Y, X),
    "pushforward": lambda: sm.pushforward(Y, X, np.ones(3)),
    "hessian": lambda: sm.hessian(Y, X, sparse=True),
    "compile": lambda: sm.compile([X], [Y, sm.exp(Y)], backend="numpy")(np.ones(3)),
    "rebuild": lambda: rebuild(Graph([Y]), replace_inputs),
    "scan": lambda: sm.scan(lambda c, e: (sm.sin(c) + e, c), sm.sum(X), X),
    "while_loop": lambda: sm.while_loop(lambda c: c < 10, lambda c: c * 2, sm.sum(X)),
    "cond": lambda: sm.cond(sm.sum(X) > 0, sm.sin, sm.cos, X),
    "map_over": lambda: sm.map_over(sm.sin, [X]),
    "vmap": lambda: sm.vmap(lambda e: sm.cumsum(e) + 1)(sm.outer(X, X)),
    "custom": lambda: sm.custom(lambda e: e * 2)(X),
    "fixed_point": lambda: sm.fixed_point(lambda c: sm.cos(c) + 0 * sm.sum(X), 0.5),
}


class _Interruption(BaseException):
    pass


def _interrupted(work: Callable[[], Any], at: int) -> int:
    """Raise an exception at one step of the watched functions; return how many steps there were."""
    codes = {provenance.creating.__enter__.__code__, provenance.creating.__exit__.__code__}
    codes.add(provenance.tracing.__wrapped__.__code__)  # type: ignore[attr-defined]
    steps = 0

    def inside(frame: Any, event: str, argument: Any) -> Any:
        nonlocal steps
        if event == "opcode":
            steps += 1
            if steps == at:
                raise _Interruption
        return inside

    def entered(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        return inside

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    except _Interruption:
        pass
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize("name", WORK)
def test_an_interruption_leaves_the_context_of_new_nodes(name: str) -> None:
    creation, trace = provenance.current_creation(), provenance.current_trace()
    count = _interrupted(WORK[name], 0)
    assert count > 0
    first = range(1, min(count, 60))
    for at in (*first, *np.random.default_rng(0).integers(1, count, 20).tolist()):
        _interrupted(WORK[name], at)
        assert provenance.current_creation() is creation
        assert provenance.current_trace() is trace
