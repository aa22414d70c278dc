"""The lecture's demonstrations: backpropagation beside extension, and the order of the visits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symad as sm
from symad import demo
from symad.demo.backpropagation import RULES
from symad.errors import FeedError, GradientError
from symad.graph.node import Node


def network() -> tuple[sm.Node, dict[sm.Node, Any]]:
    rng = np.random.default_rng(0)
    x, w, b, c = (sm.Variable(name) for name in "XWbc")
    hidden = sm.tanh(x @ w + b)
    y = sm.sum(sm.relu(hidden - 0.1) * sm.exp(-hidden) / (2.0 + sm.cos(c)) + hidden**2 * c)
    feed = {
        x: rng.normal(size=(4, 3)),
        w: rng.normal(size=(3, 2)),
        b: rng.normal(size=2),
        c: np.array([[0.3], [0.7], [-0.2], [1.1]]),
    }
    return y, feed


def test_backpropagation_has_the_adjoints_of_the_extension() -> None:
    y, feed = network()
    found = demo.backpropagate(y, feed)
    record = sm.extend(y, list(feed))
    expected = sm.Executor(list(record.adjoints.values())).run(feed)
    for node, value in zip(record.adjoints, expected, strict=True):
        np.testing.assert_allclose(found.adjoints[node], value, rtol=1e-12, atol=1e-12)
    partials = sm.Executor(list(record.partials.values())).run(feed)
    for edge, value in zip(record.partials, partials, strict=True):
        number = found.partials[edge.consumer, edge.slot]
        np.testing.assert_allclose(number, value, rtol=1e-12, atol=1e-12)
    assert found.rules_run == len(record.partials)


@pytest.mark.parametrize("name", RULES)
def test_each_rule(name: str) -> None:
    function = getattr(sm, name)
    count = 2 if name in ("add", "subtract", "multiply", "divide", "power", "matmul") else 1
    xs = [sm.Variable(letter) for letter in "ab"[:count]]
    rng = np.random.default_rng(1)
    shape = (3, 3)
    feed = {x: rng.uniform(0.3, 2.0, shape) for x in xs}
    y = function(*xs)
    expected = sm.Executor(sm.gradients(y, xs)).run(feed)
    found = demo.backpropagate(y, feed)
    for x, gradient in zip(xs, expected, strict=True):
        np.testing.assert_allclose(found.adjoints[x], gradient, rtol=1e-12)


def test_a_graph_with_parameters() -> None:
    x, w = sm.Variable("x", shape=(3,)), sm.parameter("w", [1.0, -2.0, 0.5])
    found = demo.backpropagate(sm.mean(x * w), {x: [3.0, 6.0, 9.0]})
    np.testing.assert_allclose(found.adjoints[w], [1.0, 2.0, 3.0])
    assert "v̄2 is known" in str(demo.compare_with_extension(sm.sum(w * w), {}))


def test_backpropagation_makes_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    y, feed = network()
    made: list[object] = []
    original = Node.__init__

    def counting(self: Node, *args: Any, **keywords: Any) -> None:
        made.append(self)
        original(self, *args, **keywords)

    monkeypatch.setattr(Node, "__init__", counting)
    demo.backpropagate(y, feed)
    assert not made
    sm.extend(y, list(feed))
    assert made


def test_what_backpropagation_refuses() -> None:
    x = sm.Variable("x")
    with pytest.raises(GradientError, match="no rule for 'erf'"):
        demo.backpropagate(sm.erf(x), {x: 1.0})
    with pytest.raises(GradientError, match="sums over all axes only"):
        demo.backpropagate(sm.sum(x, axis=0), {x: np.ones((2, 2))})
    with pytest.raises(FeedError, match="'x'"):
        demo.backpropagate(sm.sin(x), {})


def test_side_by_side() -> None:
    shown = demo.compare_with_extension()
    rows = {row[0]: row[1:] for row in shown.table.rows}
    assert rows["v5 → v2"] == ("v̄2→5 = −0.284", "v̄2→5 = v̄5·cos v2")
    assert rows["v̄2 is known"] == ("v̄2 = 1.716", "v̄2 = v̄2→5 + v̄2→4 (sum)")
    assert rows["v7 → v6"] == ("v̄6→7 = 1", "v̄6→7 = v̄7·1 (identity)")
    assert rows["v̄6 is known"] == ("v̄6 = 1", "v̄6: the same node")
    assert "v̄1 = 5.5" in shown.text and "| v̄1 is known |" in shown.markdown
    assert shown.html.count("<table>") == 2


def test_the_summary_counts() -> None:
    y, feed = network()
    shown = demo.compare_with_extension(y, feed)
    first, again, second = shown.summary.rows
    record = sm.extend(y, list(feed))
    rules = len(record.partials)
    assert first[1] == f"{rules} rules run" and again[1] == f"{rules} rules run again"
    assert first[2].startswith(f"{rules} rules run and make ")
    f = sm.compile(list(feed), [y, *sm.gradients(y, list(feed))], backend="numpy")
    f(*feed.values())
    runs = sum(node.op is not None for node in f.passes.graph.nodes)
    assert again[2].startswith(f"{runs} operations (")
    assert second[1] == "none: the adjoints are numbers" and second[2].endswith(" more nodes")


# The order


def test_the_doubling_chain() -> None:
    start, y = demo.doubling_chain(6)
    orders = demo.compare_orders(y, {start: 1.0})
    assert orders.topological.total == 7 and orders.at_once.total == 2**7 - 1
    assert orders.depth_first.total == 7
    right = [2**i for i in range(7)]
    nodes = orders.nodes
    assert [orders.topological.adjoints[node] for node in nodes] == right
    assert [orders.at_once.adjoints[node] for node in nodes] == right
    assert [orders.at_once.visits[node] for node in nodes] == right
    assert [orders.depth_first.adjoints[node] for node in nodes] == [1, 2, 2, 2, 2, 2, 2]
    assert str(orders).count("✗") == 5 + 1


def test_depth_first_depends_on_how_it_was_written() -> None:
    x = sm.Variable("x")
    z = sm.exp(x)
    for y in ((z + 1) * z, z * (z + 1)):
        orders = demo.compare_orders(y, {x: 0.0})
        exact = sm.gradients(y, x).eval({x: 0.0})
        assert orders.topological.adjoints[x] == orders.at_once.adjoints[x] == exact == 3.0
        assert orders.depth_first.adjoints[x] != exact
    product = demo.compare_orders(sm.sin(x) * 2.0, {x: 0.0})  # one path: any order will do
    assert "✗" not in str(product.table.rows)


def test_a_walk_that_would_not_end_is_counted_only() -> None:
    start, y = demo.doubling_chain(300)
    orders = demo.compare_orders(y, {start: 1.0})
    assert not orders.at_once.adjoints
    assert orders.at_once.total == 2**301 - 1
    assert orders.topological.adjoints[start] == 2.0**300
    assert "not run" in str(orders) and orders.html and orders.markdown
