"""Errors of native code: what failed is computed again by NumPy, and nothing else.

Machine code only leaves which call failed, and in which step of a loop.  Machine code computes the
arguments of that call once more, and the carries before that step.  NumPy then computes the op, or
the one step, for an error that says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.backends.numpy import failure_of
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Variable, apply
from symad.ops.body import Program, WithBody, results_of
from symad.ops.control import Map
from symad.ops.loops import Scan, While, in_step

Compile = Callable[[Graph], Program]
"""Returns the native program of a graph."""


def compute_again(
    node: Node, step: int, inputs: Sequence[Node], values: Sequence[Any], compiled: Compile
) -> None:
    """Compute a node whose machine code failed; raise an error if it fails again.

    Parameters
    ----------
    node : Node
    step : int
        How many steps of a loop had been done; -1 if it is no loop, or failed before the first.
    inputs, values : sequence
        The inputs of the graph and their values.
    compiled : callable
    """
    op = node.op
    assert op is not None
    given = compiled(Graph(node.inputs, inputs))(values)
    try:
        with np.errstate(all="ignore"):
            if step >= 0 and isinstance(op, (Map, Scan, While)):
                _run_step(op, step, given, compiled)
            elif isinstance(op, WithBody):
                op.kernel_of(*map(compiled, op.bodies))(*given)
            else:
                op.kernel()(*given)
    except Exception as error:
        raise failure_of(node, error) from error


def _run_step(
    op: Map | Scan | While, step: int, given: Sequence[Any], compiled: Compile
) -> None:
    """Run one step of a loop: the condition, if it has one, and the body."""
    first = 0 if isinstance(op, Map) else op.carries
    end, arguments = op.own_inputs(), given[op.leading :]
    carry, rows, shared = arguments[:first], arguments[first:end], arguments[end:]
    *_, body = op.bodies
    if isinstance(op, Map):
        compiled(body)([*(row[step] for row in rows), *shared])
        return
    is_backwards = isinstance(op, Scan) and op.backwards
    number = len(rows[0]) - 1 - step if is_backwards and rows else step
    done = slice(number + 1, None) if is_backwards else slice(step)
    if step and carry:
        carry = _after(op, step, carry, [row[done] for row in rows], shared, compiled)
    if isinstance(op, While):
        in_step(compiled(op.condition), step, [*carry, *shared])
        op.require_fewer_steps(step)
    in_step(compiled(body), number, [*carry, *(row[number] for row in rows), *shared])


def _after(
    op: Scan | While,
    steps: int,
    carry: Sequence[Any],
    rows: Sequence[Any],
    shared: Sequence[Any],
    compiled: Compile,
) -> list[Any]:
    """Return the carries after so many steps, of which ``rows`` has the elements."""
    body, values = op.bodies[-1], [*carry, *rows, *shared]
    leaves = [Variable(f"x{k}", np.shape(v), np.asarray(v).dtype) for k, v in enumerate(values)]
    only = Graph(body.outputs[: op.carries], body.inputs)
    is_backwards = isinstance(op, Scan) and op.backwards
    loop = apply(Scan(only, op.carries, len(rows), steps, is_backwards), Constant(steps), *leaves)
    return compiled(Graph(results_of(loop), leaves))(values)
