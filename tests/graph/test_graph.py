"""Graph, traversal, provenance, text form, rebuilding and pickling."""

import pickle

import numpy as np
import pytest

import symad as sm
from symad.errors import GraphError, GraphTypeError, InternalError
from symad.graph.graph import rebuild, replace_inputs, verify
from symad.graph.node import Node
from symad.graph.traverse import topological_order


def test_topological_order_is_depth_first_left_to_right_each_once():
    a, b = sm.Variable("a"), sm.Variable("b")
    left = sm.sin(a)
    right = sm.cos(b)
    y = left * right + left
    assert topological_order([y]) == [a, left, b, right, y.inputs[0], y]


def test_the_same_operand_twice():
    a = sm.Variable("a")
    assert topological_order([a * a]) != []
    assert (a * a).eval({a: 3.0}) == 9.0


def test_a_cycle_is_refused():
    x = sm.Variable("x")
    y = sm.sin(x)
    z = sm.cos(y)
    y.inputs = (z,)  # only tampering can make one
    with pytest.raises(GraphError, match="depends on itself"):
        topological_order([z])


def test_foreign_objects_are_refused():
    with pytest.raises(GraphTypeError, match="3.0 is not a node"):
        sm.Graph([3.0])


def test_text_form_is_deterministic():
    def build():
        x = sm.Variable("X", shape=("batch", 2), dtype="float32")
        w = sm.parameter("w", np.ones(2, "float32"))
        return str(sm.Graph([sm.sum(sm.exp(x @ w), axis=0)]))

    assert build() == build()
    assert build().splitlines()[0] == 'graph(%0: f32[batch,2] "X", %1: parameter f32[2] "w")'


def test_scopes_nest():
    x = sm.Variable("x")
    with sm.scope("model"):
        with sm.scope("layer"):
            y = sm.sin(x)
        z = sm.cos(y)
    assert (x.scope, y.scope, z.scope) == ((), ("model", "layer"), ("model",))


def test_adjoints_live_in_the_scope_of_their_forward_node():
    x = sm.Variable("x")
    with sm.scope("layer"):
        y = sm.sin(x)
    assert sm.gradients(y, x).scope == ("layer",)


def test_sites_are_the_users_lines():
    x = sm.Variable("x")
    y = np.sin(x)  # through NumPy
    z = x.sum()  # through a method
    assert y.site.describe().endswith("# through NumPy")
    assert z.site.describe().endswith("# through a method")


def test_consumers():
    x = sm.Variable("x")
    y = x * x
    assert sm.Graph([y]).consumers() == {x: [(y, 0), (y, 1)], y: []}


def test_rebuild_hands_on_provenance():
    x = sm.Variable("x")
    with sm.scope("layer"):
        y = sm.sin(x)
    g = sm.gradients(sm.exp(y), x)
    copy = rebuild(
        sm.Graph([g]), lambda node, inputs: Node(node.op, inputs, node.type), {}
    ).outputs[0]
    assert copy is not g
    assert (copy.scope, copy.site, copy.role) == (g.scope, g.site, g.role)


def test_rebuild_keeps_what_does_not_change():
    x = sm.Variable("x")
    graph = sm.Graph([sm.sin(x) + 1])
    assert rebuild(graph, replace_inputs).outputs[0] is graph.outputs[0]


def test_verify_finds_a_wrong_type():
    x = sm.Variable("x", shape=(3,))
    y = sm.sin(x)
    verify(sm.Graph([y]))
    y.type = x.type.with_dtype("float32")
    with pytest.raises(InternalError, match="infers f64"):
        verify(sm.Graph([y]))


def test_pickling_keeps_identity_provenance_and_roles():
    x = sm.Variable("x")
    with sm.scope("layer"):
        y = sm.sin(x) * x
    g = sm.gradients(y, x)
    copy = pickle.loads(pickle.dumps(sm.Graph([y, g, y])))
    y2, g2, y3 = copy.outputs
    assert y2 is y3
    assert str(copy) == str(sm.Graph([y, g, y]))
    assert y2.scope == ("layer",) and y2.site.describe() == y.site.describe()
    (x2,) = copy.inputs
    roles = [n.role for n in copy.nodes if n.role is not None]
    assert {role.node for role in roles} <= set(copy.nodes) and any(r.node is x2 for r in roles)


def test_a_single_node_pickles():
    x = sm.Variable("x")
    y = pickle.loads(pickle.dumps(sm.sin(x) + 1))
    (x2,) = sm.Graph([y]).inputs
    assert y.eval({x2: 0.0}) == 1.0


def test_items_of_a_sequence_are_counted_from_either_end():
    a, b, c = (sm.Variable(name, shape=(n,)) for name, n in (("a", 1), ("b", 2), ("c", 3)))
    items = sm.structure([a, (b, c), c])
    assert [items[k].type for k in (-1, -3)] == [c.type, a.type]
    assert items[-2][-1].type == c.type and items[-2][0].type == b.type
    for wrong in (3, -4):
        with pytest.raises(sm.SymadError):
            items[wrong]
