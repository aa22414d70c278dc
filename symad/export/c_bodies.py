"""Ops with bodies in C: each body is a function, which loops call with pointers to its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.export.c_arrays import Strided
from symad.export.c_code import CCode
from symad.export.c_ops import Arrays, missing
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.loops import While
from symad.passes.stack_bounds import GIVE_MAX_STEPS, has_stacks
from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """A function for a graph: its name, and how many doubles its work takes."""

    name: str
    work: int


Compiled = Callable[[Graph], Body]
Bodies = Callable[[CCode, Node, Arrays, Arrays, Sequence[Body]], None]


class _Calls:
    """The arrays of pointers by which a body is called, and its work."""

    def __init__(self, code: CCode, body: Body, inputs: int, outputs: int) -> None:
        self._code, self._body = code, body
        new = code.function.file.new
        self._given, self._made = new("a"), new("a")
        code.add(f"const double *{self._given}[{max(inputs, 1)}];")
        code.add(f"double *{self._made}[{max(outputs, 1)}];")
        self._work = code.function.doubles(body.work) if body.work else "NULL"

    def give(self, k: int, pointer: str) -> None:
        """Set the pointer to an input."""
        self._code.add(f"{self._given}[{k}] = (const double *)({pointer});")

    def make(self, k: int, pointer: str) -> None:
        """Set the pointer to an output."""
        self._code.add(f"{self._made}[{k}] = (double *)({pointer});")

    def run(self) -> None:
        """Call the body."""
        arguments = f"{self._given}, {self._made}, {self._work}, sizes, message"
        self._code.add(f"if ({self._body.name}({arguments})) return 1;")


def _row(array: Strided, step: str) -> str:
    """Return a pointer to a row of a contiguous array."""
    size = array.size // max(array.shape[0], 1)
    return array.pointer() if step == "0" else f"{array.pointer()} + {step} * {size}"


def _call(
    code: CCode, node: Node, inputs: Arrays, outputs: Arrays, bodies: Sequence[Body]
) -> None:
    calls = _Calls(code, bodies[0], len(inputs), len(outputs))
    _give(calls, 0, [array.pointer() for array in inputs])
    _make(calls, 0, [array.pointer() for array in outputs])
    calls.run()


def _give(calls: _Calls, first: int, pointers: Sequence[str]) -> None:
    for k, pointer in enumerate(pointers, first):
        calls.give(k, pointer)


def _make(calls: _Calls, first: int, pointers: Sequence[str]) -> None:
    for k, pointer in enumerate(pointers, first):
        calls.make(k, pointer)


def _map(code: CCode, node: Node, inputs: Arrays, outputs: Arrays, bodies: Sequence[Body]) -> None:
    op: Any = node.op
    calls = _Calls(code, bodies[0], len(inputs), len(outputs))
    _give(calls, op.sequences, [array.pointer() for array in inputs[op.sequences :]])
    with code.loop(inputs[0].shape[0]) as step:
        _give(calls, 0, [_row(array, step) for array in inputs[: op.sequences]])
        _make(calls, 0, [_row(array, step) for array in outputs])
        calls.run()


def _branch(
    code: CCode, node: Node, inputs: Arrays, outputs: Arrays, bodies: Sequence[Body]
) -> None:
    index = code.scalars.cast(code.load(inputs[0], []), np.dtype("int64"))
    name = code.scalars.named(index)
    code.fails(
        f"{name} < 0 || {name} >= {len(bodies)}",
        f"the index of a branch is not between 0 and {len(bodies) - 1}",
    )
    for number, body in enumerate(bodies):
        with code.block(f"if ({name} == {number})"):
            _call(code, node, inputs[1:], outputs, [body])


class _Carries:
    """The carries of a loop, in two buffers in turn; the results are the last ones."""

    def __init__(self, code: CCode, first: Arrays, results: Arrays) -> None:
        self._code, self._results = code, results
        pairs = [[code.scratch(array.shape, array.dtype) for _ in "12"] for array in first]
        self._names = [[code.function.file.new("a") for _ in "12"] for _ in first]
        for array, pair, (now, then) in zip(first, pairs, self._names, strict=True):
            code.copy(array, pair[0])
            code.add(f"double *{now} = (double *){pair[0].name};")
            code.add(f"double *{then} = (double *){pair[1].name};")

    def give(self, *calls: _Calls) -> None:
        """Pass the carries to bodies."""
        for k, (now, _) in enumerate(self._names):
            for call in calls:
                call.give(k, now)

    def make(self, calls: _Calls) -> None:
        """Let a body write the new carries."""
        for k, (_, then) in enumerate(self._names):
            calls.make(k, then)

    def swap(self) -> None:
        """Take the new carries for the old ones."""
        for now, then in self._names:
            with self._code.block():
                self._code.add(f"double *const old = {now};", f"{now} = {then};", f"{then} = old;")

    def finish(self) -> None:
        """Copy the last carries to the results."""
        for (now, _), result in zip(self._names, self._results, strict=True):
            if result.size:
                size = f"{result.size} * sizeof *{result.name}"
                self._code.add(f"memcpy({result.name}, {now}, {size});")


def _scan(code: CCode, node: Node, inputs: Arrays, outputs: Arrays, bodies: Sequence[Body]) -> None:
    op: Any = node.op
    length, first, rest = inputs[0], inputs[1 : 1 + op.carries], inputs[1 + op.carries :]
    rows, shared = rest[: op.sequences], rest[op.sequences :]
    steps = code.scalars.named(code.scalars.cast(code.load(length, []), np.dtype("int64")))
    code.fails(f"{steps} < 0", "the number of steps of a loop is negative")
    differs = ">" if op.length in code.function.file.bounds else "!="
    for array in (*rows, *outputs[op.carries :]):
        why = "a loop has another number of steps than rows"
        code.fails(f"{steps} {differs} {array.shape[0]}", why)
    calls = _Calls(code, bodies[0], len(inputs) - 1, len(outputs))
    carries = _Carries(code, first, outputs[: op.carries])
    _give(calls, op.carries + op.sequences, [array.pointer() for array in shared])
    with code.loop(steps, op.backwards) as step:
        carries.give(calls)
        carries.make(calls)
        _give(calls, op.carries, [_row(array, step) for array in rows])
        _make(calls, op.carries, [_row(array, step) for array in outputs[op.carries :]])
        calls.run()
        carries.swap()
    carries.finish()


def _while(
    code: CCode, node: Node, inputs: Arrays, outputs: Arrays, bodies: Sequence[Body]
) -> None:
    op: Any = node.op
    first, shared, count = inputs[: op.carries], inputs[op.carries :], outputs[-1]
    truth = code.scratch((), np.dtype(bool))
    goes_on, calls = (_Calls(code, body, len(inputs), len(outputs)) for body in bodies)
    goes_on.make(0, truth.name)
    carries = _Carries(code, first, outputs[: op.carries])
    for call in (goes_on, calls):
        _give(call, op.carries, [array.pointer() for array in shared])
    steps = code.function.file.new("s")
    code.add(f"int64_t {steps};")
    with code.block(f"for ({steps} = 0;; {steps}++)"):
        carries.give(goes_on, calls)
        goes_on.run()
        code.add(f"if (!{truth.at([])}) break;")
        if op.max_steps is not None:
            code.fails(
                f"{steps} == {op.max_steps}",
                f"{op.label} did not end within max_steps={op.max_steps}",
            )
        carries.make(calls)
        _make(calls, op.carries, [_row(array, steps) for array in outputs[op.carries : -1]])
        calls.run()
        carries.swap()
    carries.finish()
    code.add(f"{count.at([])} = {steps};")


BODIES: dict[str, Bodies] = {
    "call": _call, "map": _map, "branch": _branch, "scan": _scan, "while_loop": _while,
}  # fmt: skip
"""From the name of an op with bodies to what it is in C."""


def require_bound(node: Node) -> None:
    """Raise an error if a loop leaves a row for each step, and may have any number of steps."""
    op = node.op
    if isinstance(op, While) and has_stacks(op) and op.max_steps is None:
        why = "the number of steps has no bound, and memory is not allocated"
        raise missing(node, why, GIVE_MAX_STEPS)


def write_body(
    code: CCode, node: Node, inputs: Arrays, outputs: Arrays, compiled: Compiled
) -> None:
    """Append the statements of an op with bodies.

    Raises
    ------
    ExportError
        If C has nothing for it.
    """
    op: Any = node.op
    if op.name not in BODIES:
        raise missing(node, f"{op.name} is not there")
    arrays = [code.contiguous(array) for array in inputs]
    BODIES[op.name](code, node, arrays, outputs, [compiled(body) for body in op.bodies])
