"""What a call costs besides its arithmetic: the form of its arguments, and shapes in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.builders import in_numpy
from benchmarks.workload import Builder, Implementation, Target, Workload
from benchmarks.workloads.scalars import example, in_numpy_scalars

TURNS = 64
"""The number of shapes that take turns."""
COUNT = 100
"""The size that is a value."""


def example_builder(form: str) -> Builder:
    """Build the running example for calls of one form."""

    def build(x1: float, x2: float) -> Implementation:
        import symad as sm

        a, b = sm.Variable("a", shape=()), sm.Variable("b", shape=())
        rate = sm.parameter("rate", x2)
        second = rate if form == "a parameter" else b
        y = example(sm, a, second)
        outputs = [y, *sm.gradients(y, [a, second])]
        f = sm.compile(_inputs(form, a, b), outputs, backend="native")
        calls: dict[str, Any] = {
            "flat": (f, x1, x2),
            "a list": (f, [x1, x2]),
            "a dict": (f, {"a": x1, "b": x2}),
            "names": (lambda: f(a=x1, b=x2),),
            "a parameter": (f, x1),
            "arrays without axes": (f, np.array(x1), np.array(x2)),
            "integers of NumPy": (f, np.int64(x1), np.int64(x2)),
        }
        call, *arguments = calls[form]
        return Implementation(call, arguments)

    return build


def _inputs(form: str, a: Any, b: Any) -> list[Any]:
    if form == "a parameter":
        return [a]
    return {"a list": [[a, b]], "a dict": [{"a": a, "b": b}]}.get(form, [a, b])


FORMS = "a list", "a dict", "names", "a parameter", "arrays without axes", "integers of NumPy"

CALL_FORMS = Workload(
    name="call-forms",
    title="the running example, called with structures, names, parameters and other numbers",
    inputs=lambda: (2.0, 5.0),
    size=(),
    tiny=(),
    reference=in_numpy_scalars,
    implementations={
        "symad": example_builder("flat"),
        **{f"symad, {form}": example_builder(form) for form in FORMS},
    },
    targets=tuple(Target(5, "symad", f"symad, {form}") for form in FORMS),
    once=False,
)


def in_turn(x: Any) -> tuple[Any, Any]:
    return np.sum(np.sin(x) * x), np.cos(x) * x + np.sin(x)


def pieces_builder(takes_turns: bool) -> Builder:
    """Build a sum over pieces of an array: each has a size of its own, or all have the same."""

    def build(x: Any) -> Implementation:
        import symad as sm

        v = sm.Variable("v", shape=("n",))
        y = sm.sum(sm.sin(v) * v)
        f = sm.compile([v], [y, sm.gradients(y, v)], backend="native")
        sizes = np.arange(TURNS) + len(x) // TURNS - (TURNS - 1) // 2 if takes_turns else None
        cuts = TURNS if sizes is None else np.cumsum(sizes)[:-1]
        pieces = np.split(x, cuts)

        def call() -> list[Any]:
            return [f(piece) for piece in pieces]

        def answer(results: list[Any]) -> list[Any]:
            return [
                np.sum([value for value, _ in results]),
                np.concatenate([slope for _, slope in results]),
            ]

        return Implementation(call, (), answer)

    return build


SHAPES_IN_TURN = Workload(
    name="shapes-in-turn",
    title=f"Σ sin(x)·x and gradient, {TURNS} pieces of different sizes in turn",
    inputs=lambda n: (np.random.default_rng(0).random(n),),
    size=(100 * TURNS,),
    tiny=(40 * TURNS,),
    reference=in_turn,
    implementations={
        "symad": pieces_builder(takes_turns=True),
        "symad, one size": pieces_builder(takes_turns=False),
    },
    targets=(Target(2, "symad, one size"),),
    once=False,
)


def sized(lib: Any, n: Any, a: Any) -> Any:
    return lib.sum(lib.sin(lib.arange(n) * a))


def sized_by_hand(a: float) -> tuple[Any, Any]:
    k = np.arange(COUNT)
    return np.sum(np.sin(k * a)), np.sum(np.cos(k * a) * k)


def sized_builder(is_value: bool) -> Builder:
    """Build a sum whose number of terms is an input, or a number in the graph."""

    def build(a: float) -> Implementation:
        import symad as sm

        x, n = sm.Variable("x", shape=()), sm.Variable("n", shape=(), dtype="int64")
        y = sized(sm, n if is_value else COUNT, x)
        inputs, given = ([x, n], (a, COUNT)) if is_value else ([x], (a,))
        f = sm.compile(inputs, [y, sm.gradients(y, x)], backend="native")
        return Implementation(f, given)

    return build


SIZE_AS_VALUE = Workload(
    name="size-as-value",
    title=f"Σ sin(k·a) for k < n = {COUNT} and its derivative, n an input",
    inputs=lambda: (0.3,),
    size=(),
    tiny=(),
    reference=sized_by_hand,
    implementations={
        "symad": sized_builder(is_value=True),
        "symad, known": sized_builder(is_value=False),
        "numpy": in_numpy(sized_by_hand),
    },
    targets=(Target(2, "symad, known"),),
    once=False,
)
