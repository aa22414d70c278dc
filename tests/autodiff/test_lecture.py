"""The gradient pass is the lecture's algorithm, node for node."""

import numpy as np
import pytest

import symad as sm
from symad.autodiff.extension import Edge, Propagated, Summed, Visit
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order


@pytest.fixture(params=[None, ()], ids=["any shape", "scalar"])
def shared_exponential(request):
    """f = (exp(v1) + 1) · exp(v1) with exp(v1) shared."""
    v1 = sm.Variable("v1", shape=request.param)
    v2 = sm.exp(v1)
    v3 = v2 + 1
    v4 = v3 * v2
    return v1, v2, v3, v4


def test_raw_extension_has_exactly_the_lectures_nodes(shared_exponential):
    v1, v2, v3, v4 = shared_exponential
    forward = set(topological_order([v4]))
    record = sm.extend(v4, v1)
    added = [node for node in topological_order([record.adjoints[v1]]) if node not in forward]
    assert [node.role.kind for node in added] == [
        RoleKind.SEED,
        RoleKind.PARTIAL,
        RoleKind.PARTIAL,
        RoleKind.PARTIAL,
        RoleKind.SUM,
        RoleKind.PARTIAL,
    ]
    seed, product_3, product_2 = (
        record.seeds[v4],
        *(record.partials[edge] for edge in [Edge(v3, v4, 0), Edge(v2, v4, 1)]),
    )
    identity = record.partials[Edge(v2, v3, 0)]
    assert product_3.op.name == "multiply" and product_3.inputs == (seed, v2)
    assert product_2.op.name == "multiply" and product_2.inputs == (seed, v3)
    assert identity.op.name == "identity" and identity.inputs == (product_3,)
    total = record.adjoints[v2]
    assert total.op.name == "add_n" and set(total.inputs) == {product_2, identity}
    last = record.adjoints[v1]
    assert last.op.name == "multiply" and last.inputs == (total, v2)
    assert len(added) == 6


def test_one_contribution_needs_no_sum_node(shared_exponential):
    _, _, v3, v4 = shared_exponential
    record = sm.extend(v4, v3)
    assert record.adjoints[v3] is record.partials[Edge(v3, v4, 0)]


def test_steps_tell_the_algorithm_in_order(shared_exponential):
    v1, v2, v3, v4 = shared_exponential
    record = sm.extend(v4, v1)
    assert [step.node for step in record.steps if isinstance(step, Visit)] == [v4, v3, v2, v1]
    assert [step.node for step in record.steps if isinstance(step, Summed)] == [v4, v3, v2, v1]
    edges = [
        (step.edge.source, step.edge.consumer)
        for step in record.steps
        if isinstance(step, Propagated)
    ]
    assert edges == [(v3, v4), (v2, v4), (v2, v3), (v1, v2)]


def test_only_nodes_between_targets_and_output_get_adjoints():
    a, b, c = sm.Variable("a"), sm.Variable("b"), sm.Variable("c")
    left, right = sm.sin(a), sm.exp(b) * c
    record = sm.extend(left * right, a)
    assert set(record.adjoints) == {left * right for _ in ()} | {record.outputs[0], left, a}


def test_forward_nodes_are_not_touched():
    x = sm.Variable("x")
    y = sm.sin(x) * x
    before = str(sm.Graph([y]))
    sm.gradients(y, x)
    assert str(sm.Graph([y])) == before


def test_roles_name_edge_and_generation():
    x = sm.Variable("x")
    y = sm.sin(x)
    first = sm.gradients(y, x)
    assert (first.role.kind, first.role.generation) == (RoleKind.PARTIAL, 1)
    assert first.role.node is x and first.role.consumer is y and first.role.slot == 0
    cosine = first.inputs[1]
    assert cosine.op.name == "cos" and cosine.role.kind is RoleKind.LOCAL
    second = sm.gradients(first, x)
    assert second.role.generation == 2


def test_adjoints_come_from_the_forward_line():
    x = sm.Variable("x")
    y = sm.sin(x)  # the forward line
    gradient = sm.gradients(y, x)
    assert gradient.site.describe().endswith("y = sm.sin(x)  # the forward line")


def running_example():
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    v3 = sm.log(x1)
    v4 = x1 * x2
    v5 = sm.sin(x2)
    v6 = v3 + v4
    v7 = v6 - v5
    return x1, x2, v3, v4, v5, v6, v7


def test_running_example_reverse_trace():
    *nodes, v7 = running_example()
    x1, x2 = nodes[:2]
    record = sm.extend(v7, [x1, x2])
    order = [v7, nodes[5], nodes[4], nodes[3], nodes[2], x2, x1]
    values = sm.Executor([record.adjoints[node] for node in order]).run({x1: 2.0, x2: 5.0})
    np.testing.assert_allclose(values, [1, 1, -1, 1, 1, 1.716, 5.5], atol=5e-4)


def test_running_example_forward_traces():
    x1, x2, v3, v4, v5, v6, v7 = running_example()
    feed = {x1: 2.0, x2: 5.0}
    order = [x1, v3, v4, v6, v7]
    values = sm.Executor(order).run(feed)
    np.testing.assert_allclose(values, [2, 0.693, 10, 10.693, 11.652], atol=5e-4)
    tangents = sm.tangents(v7, x1)
    assert x2 not in tangents and v5 not in tangents  # zero
    moved = [tangents[node].eval(feed) for node in order]
    np.testing.assert_allclose(moved, [1, 0.5, 5, 5.5, 5.5], atol=5e-4)


def test_why_a_topological_order():
    """a = 1; b = a + a; c = b + b; ...: each node is visited once, with its whole adjoint."""
    a = sm.Variable("a")
    b = a
    for _ in range(40):
        b = b + b
    record = sm.extend(b, a)
    assert record.adjoints[a].eval({a: 1.0}) == 2.0**40
    assert len(record.partials) == 80


def test_structures_have_structures_for_adjoints():
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure({"cat": a0, "dog": a1})
    v = sm.exp(d["cat"])
    record = sm.extend(v, d)
    adjoint = record.adjoints[d].eval({a0: 1.0, a1: 2.0})
    assert adjoint["cat"] == pytest.approx(np.e) and adjoint["dog"] is None
    full = sm.gradients(v, d).eval({a0: 1.0, a1: 2.0})
    assert full["cat"] == pytest.approx(np.e) and full["dog"] == 0.0


def test_structure_adjoints_add_item_by_item():
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure([a0, (a1, a0)])
    y = d[0] * d[1][0] + d[1][1] ** 3
    g0, g1 = sm.gradients(y, [a0, a1])
    np.testing.assert_allclose(sm.Executor([g0, g1]).run({a0: 2.0, a1: 5.0}), [5.0 + 3 * 4.0, 2.0])
    second = sm.gradients(g0, a0)
    assert second.eval({a0: 2.0, a1: 5.0}) == pytest.approx(12.0)


def test_gradient_of_gradient_to_fourth_order():
    x = sm.Variable("x")
    y = sm.sin(x) * x
    expected = [
        lambda x: np.sin(x) + x * np.cos(x),
        lambda x: 2 * np.cos(x) - x * np.sin(x),
        lambda x: -3 * np.sin(x) - x * np.cos(x),
        lambda x: -4 * np.cos(x) + x * np.sin(x),
    ]
    for value in expected:
        y = sm.gradients(y, x)
        assert y.eval({x: 0.7}) == pytest.approx(value(0.7), rel=1e-13)
