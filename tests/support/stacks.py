"""Derivatives that go back through while loops, whose numbers of steps are not known."""

from __future__ import annotations

from typing import Any

import symad as sm


def stacks_of_while_loops() -> tuple[list[Any], list[Any]]:
    """Return gradients of order 1 and 2, a Hessian, and a gradient through loops in a loop."""
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=(3, 3))

    def grown(start: Any, step: Any) -> Any:
        return sm.while_loop(lambda c: sm.sum(c * c) < 100, step, start, max_steps=50)

    y = sm.sum(grown(x, lambda c: sm.tanh(w @ c) * 2 + c))
    first = sm.gradients(y, [x, w])
    second = sm.gradients(sm.sum(first[0] ** 2) + sm.sum(first[1] ** 3), [x, w])
    nested, _ = sm.scan(
        lambda c, row: (c * 0.3 + grown(row, lambda s: s * 1.7 + c * 0.1), None), x, w
    )
    return [x, w], [y, *first, *second, sm.hessian(y, x), *sm.gradients(sm.sum(nested), [x, w])]
