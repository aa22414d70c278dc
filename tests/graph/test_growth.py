"""Work grows in proportion to the graph: function calls are counted, no clock is read."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.node import Node
from symad.ops.base import Unary

Program = tuple[Sequence[Node], Node]
"""Variables, and a scalar that depends on them."""


def counted(run: Callable[[], Any]) -> tuple[Any, int]:
    """Return the result, and how many Python functions and generators ran for it."""
    calls, before = 0, sys.gettrace()

    def count(frame: Any, event: str, argument: Any) -> None:  # only of calls: no lines are traced
        nonlocal calls
        calls += 1

    sys.settrace(count)
    try:
        result = run()
    finally:
        sys.settrace(before)
    return result, calls


def work_of(program: Callable[[int], Program], size: int, backend: Any = "numpy") -> list[int]:
    """Return the calls to build, to differentiate, and to compile and run a program."""
    (xs, y), build = counted(lambda: program(size))
    slopes, gradient = counted(lambda: sm.gradients(y, list(xs)))
    values = [np.full([n for n in x.type.shape], 0.5) for x in xs]  # type: ignore[union-attr]
    _, first = counted(lambda: sm.compile(list(xs), [y, slopes], backend=backend)(*values))
    return [build, gradient, first]


def chain(length: int) -> Program:
    x = sm.Variable("x", shape=())
    y: Node = x
    for _ in range(length):
        y = 0.5 * sm.sin(y) * x + 0.3 * y
    return [x], y


def test_each_stage_is_linear_from_a_thousand_nodes_to_fifty_thousand() -> None:
    work_of(chain, 3)  # what is loaded and made once in a process
    lengths = 60, 600, 3_000  # about 16 nodes a step
    found = [work_of(chain, length) for length in lengths]
    for stage in zip(*found, strict=True):
        per_step = [calls / length for calls, length in zip(stage, lengths, strict=True)]
        assert max(per_step) <= 1.1 * per_step[-1], stage


def test_calls_per_node_stay_few() -> None:
    for size in range(5_000):  # a process that has met many shapes is no slower
        sm.Variable("x", shape=(size,))
    work_of(chain, 3)
    xs, y = chain(500)
    nodes = len(sm.Graph([y, sm.gradients(y, xs[0])]))
    build, gradient, first = work_of(chain, 500)
    found = [round(calls / nodes, 1) for calls in (build, gradient, first)]
    assert found[0] <= 3.0 and found[1] <= 6.6 and found[2] <= 16.0, found


def test_ops_that_change_what_is_inferred_are_asked_each_time() -> None:
    class Narrowed(Unary):
        numpy = np.negative

        def infer(self, *types: Any) -> Any:
            return super().infer(*types).with_dtype("float32")

    x, narrowed = sm.Variable("x", shape=(3,)), Narrowed()
    assert [narrowed(x).dtype for _ in range(3)] == [np.dtype("float32")] * 3


def test_a_small_result_is_copied_in_few_calls() -> None:
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=("n",))
    f = sm.compile([x], sm.sin(x), backend="native")
    value, out = np.linspace(0, 1, 8), np.empty(8)
    for _ in range(3):
        f(value, out=out)
    result, calls = counted(lambda: f(value, out=out))
    assert calls <= 32 and result is out, calls
    np.testing.assert_array_equal(out, f(value))


def variables(count: int, *shape: int) -> list[Node]:
    return [sm.Variable(f"x{k}", shape=shape) for k in range(count)]


def energy(y: Node) -> Node:
    return sm.sum(y * y)


def total(terms: Any) -> Node:
    return functools.reduce(sm.add, terms)


def joined(join: Callable[[list[Node]], Node], *shape: int) -> Callable[[int], Program]:
    """Return programs that join many arrays."""

    def program(count: int) -> Program:
        xs = variables(count, *shape)
        return xs, energy(join(xs))

    return program


def taken(parts_of: Callable[[Node, int], Any], *shape: int) -> Callable[[int], Program]:
    """Return programs that take many parts of one array, whose first axis grows."""

    def program(count: int) -> Program:
        x = sm.Variable("x", shape=(count, *shape))
        return [x], total(energy(part) for part in parts_of(x, count))

    return program


WIDE: dict[str, Callable[[int], Program]] = {
    "concat": joined(sm.concat, 2),
    "concat of columns": joined(lambda xs: sm.concat(xs, axis=-1), 2, 2),
    "stack": joined(sm.stack, 2),
    "stack of numbers": joined(sm.stack),
    "vstack": joined(sm.vstack, 2),
    "hstack": joined(sm.hstack, 2),
    "dstack": joined(sm.dstack, 2),
    "column_stack": joined(sm.column_stack, 2),
    "block": joined(lambda xs: sm.block([[x] for x in xs]), 2, 2),
    "block of a row": joined(lambda xs: sm.block([xs]), 2, 2),
    "block_diag": joined(lambda xs: sm.linalg.block_diag(*xs), 1, 2),
    "add_n": joined(sm.add_n, 2),
    "select": joined(lambda xs: sm.select([x > 0 for x in xs], [x * x for x in xs], 0.0), 2),
    "piecewise": joined(
        lambda xs: sm.piecewise(xs[0] + total(xs), [x > 0.5 for x in xs], [sm.sin] * len(xs)), 2
    ),
    "nested list": joined(lambda xs: sm.sum([[x, 2 * x] for x in xs], axis=0)),
    "sum": joined(total),
    "product": joined(lambda xs: functools.reduce(sm.multiply, xs)),
    "maximum": joined(lambda xs: functools.reduce(sm.maximum, xs)),
    "multi_dot": joined(sm.linalg.multi_dot, 2, 2),
    "items": taken(lambda x, n: [sm.sin(x[k]) for k in range(n)]),
    "rows": taken(lambda x, n: list(x), 2),
    "columns": taken(lambda x, n: [x[:, k] for k in range(2)] + [x[k, 0] for k in range(n)], 2),
    "windows": taken(lambda x, n: [x[k : k + 3] for k in range(n)]),
    "by arrays": taken(lambda x, n: [x[[k, 0]] for k in range(n)]),
    "split": taken(lambda x, n: sm.split(x, n), 2),
    "unstack": taken(lambda x, n: sm.unstack(x), 2),
    "items of a structure": joined(lambda xs: total(sm.structure(dict(enumerate(xs)))), 2),
    "set_at": taken(
        lambda x, n: [functools.reduce(lambda y, k: sm.set_at(y, k, sm.sin(y[k])), range(n), x)]
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_ops_of_many_inputs_and_arrays_read_in_many_places(name: str) -> None:
    work_of(WIDE[name], 4)
    few, many = work_of(WIDE[name], 40), work_of(WIDE[name], 160)
    for before, after in zip(few, many, strict=True):
        assert after <= 4.8 * before, (few, many)


@pytest.mark.parametrize("name", ["concat", "stack of numbers", "items", "columns", "by arrays"])
def test_native_code_of_many_parts(name: str) -> None:
    pytest.importorskip("llvmlite")
    work_of(WIDE[name], 40, "native")
    few, many = (work_of(WIDE[name], size, "native")[-1] for size in (40, 160))
    assert many <= 4.4 * few
