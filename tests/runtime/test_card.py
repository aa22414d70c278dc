"""The card of a compiled function, and the tables of its plan and its passes, in a notebook."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.graph.op import OP_CLASSES
from symad.ops.base import Unary, register


def words(page: str) -> str:
    """Return the text of a page, with a bar between elements."""
    return unescape(re.sub(r"(<[^>]*>)+", "|", page))


def squares(**settings: Any) -> sm.Function:
    x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", 2.0)
    y = sm.sum(w * x * x)
    return sm.compile([x], {"y": y, "slope": sm.gradients(y, x)}, name="squares", **settings)


def test_a_function_that_was_not_called_is_not_compiled_for_its_card() -> None:
    f = squares(backend="numpy")
    text = words(f._repr_html_())
    signature = "squares(x: f64[n], *, out=None) -> {'y': f64[], 'slope': f64[n]}"
    assert f"|squares|, compiled, numpy backend|{signature}|" in text and "Not called yet." in text
    assert "|input|x|f64[n]|parameter|w|f64[]|result['y']|sum(w * x * x)|f64[]|" in text
    assert f._latest is None


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_card_has_the_shapes_of_the_latest_call_and_the_speed(backend: Any) -> None:
    f = squares(backend=backend)
    for size in (3, 4):
        f(np.ones(size))
        text = words(f._repr_html_())
        assert f"|input|x|f64[n]|f64[{size}]|" in text and f"|f64[n]|f64[{size}]|" in text
        assert re.search(r"after all passes; [\d,]+ operations per call, [\d.,e+]+ µs", text)


def test_structures_and_sizes_are_inputs() -> None:
    x, n = sm.Variable("x", shape=("n",)), sm.Variable("k", shape=(), dtype="int64")
    f = sm.compile({"data": [x, n]}, sm.sum(x[:n]))
    assert f({"data": [np.arange(4.0), 3]}) == 3.0
    text = words(f._repr_html_())
    assert "|input|k|i64[]|i64[]|" in text and "µs" not in text


def test_labels_are_measured_too() -> None:
    scores, labels = sm.Variable("z", shape=("n", 3)), sm.Variable("y", ("n",), "int64")
    right = sm.take_along_axis(scores, sm.expand_dims(labels, 1), axis=1)
    f = sm.compile([scores, labels], sm.mean(right), backend="numpy")
    f(np.ones((2, 3)), [2, 1])
    assert "µs" in words(f._repr_html_())


def test_a_card_changes_nothing_and_runs_no_code_of_the_users() -> None:
    """What has effects, may fail or may not end is not run to measure its time."""
    runs = []

    class Noted(Unary):
        """Return x."""

        name = "noted_for_a_card"
        numpy = staticmethod(lambda x: runs.append(1) or x)
        chain = (lambda v, y, x: v,)

    noted = register(Noted())
    del OP_CLASSES["noted_for_a_card"]
    x, w = sm.Variable("x", shape=()), sm.parameter("w", 1.0)
    matrix = sm.Variable("A", shape=(2, 2))
    forever = sm.while_loop(lambda c: c > 0.5, lambda c: c / 2 if False else c * x, x)
    cases = [
        (sm.compile([], w, updates={w: w + 1}), ()),
        (sm.compile([x], noted(x), backend="numpy"), (1.0,)),
        (sm.compile([matrix], sm.linalg.inv(matrix)), (np.eye(2) * 2,)),
        (sm.compile([x], forever), (0.25,)),
    ]
    for function, arguments in cases:
        function(*arguments)
        before = len(runs), w.value.item()
        assert "per call." in words(function._repr_html_())
        assert before == (len(runs), w.value.item())


def test_a_card_of_many_results_is_cut() -> None:
    x = sm.Variable("x", shape=())
    f = sm.compile([x], [x * k for k in range(1000)], backend="numpy")
    page = f._repr_html_()
    assert page.count("<tr>") == 21 and "981 more rows" in page
    assert "…</code>" in page


def test_large_functions_are_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No work is counted and no names are made, which would take time for each node."""
    monkeypatch.setattr("symad.runtime.card.MOST_NODES", 10)
    monkeypatch.setattr("symad.plan.plan._MOST_NAMED", 10)
    x = sm.Variable("x", shape=())
    f = sm.compile([x], sum((x**k for k in range(1, 20)), x), backend="numpy")
    f(1.0)
    monkeypatch.setattr("symad.runtime.card.total_cost", None)
    monkeypatch.setattr("symad.plan.plan.plan_rows", None)
    assert " nodes|" in words(f._repr_html_()) and "instructions: print(plan)" in words(
        f.plan._repr_html_()
    )


def test_plan_and_passes_are_tables() -> None:
    f = squares(backend="numpy")
    f(np.ones(3))
    rows = [line.split() for line in str(f.plan).splitlines()]
    page = f.plan._repr_html_()
    assert page.count("<tr>") == len(rows) and "more rows" not in page
    assert all(word in words(page) for row in rows for word in row)
    passes = f.passes._repr_html_()
    assert passes.count("<tr>") == len(str(f.passes).splitlines()) and "|rewrite|" in words(passes)


def test_a_long_plan_is_cut() -> None:
    x = sm.Variable("x", shape=())
    y = x
    for _ in range(300):
        y = sm.sin(y)
    page = sm.compile([x], y, backend="numpy").plan._repr_html_()
    assert page.count("<tr>") == 201 and "102 more rows: print(plan)" in page
    assert "|return|" in words(page)
