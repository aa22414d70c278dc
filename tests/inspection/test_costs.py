"""What ops and graphs cost: every op, counts against numbers that count, and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import FeedError, ShapeError
from symad.graph.cost import ELEMENTARY, Cost, cost_of, total_cost
from symad.graph.node import Node
from symad.graph.op import OP_CLASSES
from symad.passes.specialise import specialise
from symad.types import StructureType, TensorType
from tests.ops.test_op_table import CASES, for_each_case
from tests.support.op_checks import Case, build
from tests.support.random_graphs import random_graph

WITHOUT_OPERATIONS = {
    "after", "arange", "array_index", "assemble_csr", "axis_size", "broadcast_like",
    "broadcast_to", "cast", "concat", "concat_part", "concat_place", "diag", "diagonal",
    "diagonal_place", "element_count", "equal_part", "expand_dims", "flip", "from_columns",
    "identity", "identity_matrix", "index", "index_last", "item", "make_structure",
    "matrix_transpose", "moveaxis", "one_hot", "ones_like", "pad", "permute_dims", "repeat",
    "reshape", "reshape_like", "reshape_outer", "roll", "set_at", "shape", "size", "sized_axis",
    "square_axes", "squeeze", "stack", "stop_gradient", "swapaxes", "take_along_axis", "tile",
    "to_columns", "transpose", "tril", "triu", "unit_length", "unit_vectors", "windows",
    "zeros_like",
}  # fmt: skip
"""Ops that move, fill or cast; any other op must say how many operations it takes."""


def static_nodes(case: Case) -> Iterator[Node]:
    """Yield the nodes of a sample that apply its op, if all their sizes are known."""
    built = build(case)
    for node in sm.Graph(built.outputs, built.inputs).nodes:
        types = [node.type, *(source.type for source in node.inputs)]
        if isinstance(node.op, case.op_class) and all(map(is_static, types)):
            yield node


def is_static(type_: Any) -> bool:
    if isinstance(type_, StructureType):
        return all(item is None or is_static(item) for _, item in type_.fields)
    return bool(type_.is_static)


@for_each_case
def test_every_op_has_a_cost(case: Case) -> None:
    for node in static_nodes(case):
        cost = cost_of(node)
        assert cost.nodes == 1
        assert all(type(n) is int and n >= 0 for n in (cost.flops, cost.bytes_moved))


@pytest.mark.parametrize("name", sorted(OP_CLASSES))
def test_an_op_that_computes_counts_its_operations(name: str) -> None:
    cases = [case for case in CASES if case.op_class.name == name]
    nodes = [node for case in cases for node in static_nodes(case)]
    if name == "while_loop":  # whose number of steps is not known
        return
    most = max((cost_of(node).flops for node in nodes), default=0)
    assert (most == 0) == (name in WITHOUT_OPERATIONS), (
        f"{name} counts at most {most} operations: say how many in its `operations` or `flops()`, "
        "or list it above if it only moves numbers"
    )


class Counted:
    """A number that counts what is done with it."""

    done = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def _do(self, other: Any, result: Callable[[Any, Any], Any]) -> Counted:
        Counted.done += 1
        return Counted(result(self.value, getattr(other, "value", other)))

    def __add__(self, other: Any) -> Counted:
        return self._do(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Counted:
        return self._do(other, lambda a, b: a - b)

    def __mul__(self, other: Any) -> Counted:
        return self._do(other, lambda a, b: a * b)

    def __truediv__(self, other: Any) -> Counted:
        return self._do(other, lambda a, b: a / b)

    def __neg__(self) -> Counted:
        return self._do(0, lambda a, _: -a)

    def __radd__(self, other: Any) -> Counted:
        return self + other


def counted(shape: tuple[int, ...]) -> Any:
    array = np.empty(shape, object)
    for index in np.ndindex(shape):
        array[index] = Counted(1.0 + sum(index))
    return array


A = sm.Variable("A", shape=(3, 4))
B = sm.Variable("B", shape=(4, 5))
S = sm.Variable("S", shape=(6, 3, 4))


@pytest.mark.parametrize(
    ("node", "missing"),
    [
        (A + A, 0), (A - A, 0), (A * A, 0), (A / A, 0), (-A, 0), (A + A[0], 0), (sm.square(A), 0),
        (A @ B, 15), (S @ B, 90), (B @ sm.Variable("v", shape=(5,)), 4),
        (sm.sum(A), 1), (sm.sum(A, axis=1), 3), (sm.sum(S, axis=(0, 2)), 3),
        (sm.prod(A, axis=0), 4), (sm.cumsum(A, axis=1), 3),
        (sm.einsum("ij,jk->ik", A, B), 15), (sm.add_n([A, A, A, A]), 0),
    ],
    ids=lambda value: value.label if isinstance(value, Node) else str(value),
)  # fmt: skip
def test_counts_are_those_of_numbers_that_count(node: Node, missing: int) -> None:
    """A sum of n terms counts n, and takes n − 1: ``missing`` is one for each sum."""
    assert node.op is not None
    arrays = [counted(source.type.shape) for source in node.inputs]  # type: ignore[union-attr]
    Counted.done = 0
    if node.op.name == "einsum":
        np.matmul(*arrays)  # NumPy has no einsum of objects that sums
    else:
        node.op.kernel()(*arrays)
    assert cost_of(node).flops == Counted.done + missing


def matrix(*shape: int) -> Node:
    return sm.Variable("M", shape=shape)


@pytest.mark.parametrize(
    ("node", "flops"),
    [
        (sm.linalg.cholesky(matrix(6, 6)), 6**3 // 3),
        (sm.linalg.solve(matrix(6, 6), matrix(6, 2)), 2 * 6**3 // 3 + 2 * 36 * 2),
        (sm.linalg.solve_triangular(matrix(6, 6), matrix(6)), 36),
        (sm.linalg.inv(matrix(5, 6, 6)), 5 * 2 * 6**3),
        (sm.linalg.det(matrix(6, 6)), 2 * 6**3 // 3),
        (sm.linalg.lu(matrix(6, 4))[0].inputs[0], 6 * 4**2),
        (sm.linalg.lu(matrix(4, 6))[1].inputs[0], 6 * 4**2),
        (sm.linalg.svdvals(matrix(8, 3)), 4 * 8 * 9 - 36),
        (sm.linalg.svdvals(matrix(3, 8)), 4 * 8 * 9 - 36),
        (sm.argsort(matrix(8, 3), axis=0), 8 * 3 * 3),
        (sm.argsort(matrix(3, 9)), 3 * 9 * 4),
        (sm.exp(matrix(7)), 7 * ELEMENTARY),
        (sm.softmax(matrix(2, 5)), 10 * (ELEMENTARY + 4)),
        (sm.map_over(lambda row: sm.exp(row) + row, [matrix(4, 3)]), 12 * (ELEMENTARY + 1)),
        (sm.custom(lambda x: x * x + x)(matrix(3)), 6),
    ],
    ids=lambda value: value.label if isinstance(value, Node) else str(value),
)
def test_exact_counts(node: Node, flops: int) -> None:
    assert cost_of(node).flops == flops


def test_bytes() -> None:
    x = sm.Variable("x", shape=(3, 4), dtype="float32")
    assert cost_of(x + x) == Cost(1, 12, 96, 48)
    assert cost_of(sm.reshape(x, (12,))).bytes_moved == 0
    assert cost_of(sm.ones_like(x)).bytes_read == 0  # only the shape matters
    assert cost_of(x).nodes == 0


def test_an_unknown_size_names_the_line() -> None:
    x = sm.Variable("x", shape=("n",))
    with pytest.raises(ShapeError, match=r"(?s)cost of <exp.*size of f64\[n\].*test_costs") as info:
        cost_of(sm.exp(x))
    assert "Feed" in info.value.remedy


# The ledger


def lecture() -> tuple[list[sm.Variable], Node, list[Node]]:
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return [x1, x2], y, sm.gradients(y, [x1, x2])


def test_the_running_example_by_hand() -> None:
    xs, y, gradients = lecture()
    ledger = sm.cost([y, *gradients], dict(zip(xs, [2.0, 5.0], strict=True)))
    # Forward: ln, ·, +, sin, −.  Backward: −v̄, ÷, two products, cos and its product, two sums.
    assert ledger.written.forward.flops == 2 * ELEMENTARY + 3
    assert ledger.written.whole.flops == 3 * ELEMENTARY + 10
    assert ledger.written.whole.nodes == sum(
        node.op is not None for node in sm.Graph([y, *gradients]).nodes
    )
    assert ledger.written.factor == pytest.approx(40 / 23)


def test_the_last_stage_is_what_runs() -> None:
    xs, y, gradients = lecture()
    f = sm.compile(xs, [y, *gradients], backend="numpy")
    f(2.0, 5.0)
    assert sm.cost(f).final.whole == total_cost(f.passes.graph)
    assert sm.cost(f).stages == sm.cost(f, 2.0, 5.0).stages
    names = [stage.name for stage in sm.cost(f).stages]
    assert names == ["as written", *(r.name for r in f.passes.reports)]


def test_fusing_saves_bytes() -> None:
    pytest.importorskip("llvmlite")
    x = sm.Variable("x", shape=(1000,))
    f = sm.compile([x], sm.sum(sm.exp(sm.sin(x)) * x), backend="native")
    *_, before, after = sm.cost(f).stages
    assert after.name == "fuse"
    assert after.whole.bytes_moved == 8 * 1001 < before.whole.bytes_moved
    assert after.whole.flops == before.whole.flops


def test_types_do_in_place_of_values() -> None:
    x = sm.Variable("x", shape=("n", 784))
    y = sm.sum(x * x)
    f = sm.compile([x], [y, sm.gradients(y, x)])
    by_type = sm.cost(f, {x: TensorType(np.dtype("float64"), (32, 784))})
    assert by_type.stages == sm.cost(f, np.zeros((32, 784))).stages
    assert f([[1.0] * 784])[0] == 784  # looking has changed nothing
    with pytest.raises(FeedError, match="does not allow f32"):
        sm.cost(f, {x: TensorType(np.dtype("float32"), (32, 784))})


def test_without_derivatives_there_is_no_factor() -> None:
    x = sm.Variable("x", shape=(3,))
    ledger = sm.cost(sm.exp(x), {x: [1.0, 2.0, 3.0]})
    assert ledger.generation == 0
    assert "factor" not in str(ledger)


def test_the_derivative_of_a_derivative() -> None:
    x = sm.Variable("x", shape=(3,))
    y = sm.sum(sm.sin(x) * x)
    second = sm.gradients(sm.sum(sm.gradients(y, x) * x), x)
    ledger = sm.cost(second, {x: [1.0, 2.0, 3.0]})
    assert (ledger.generation, ledger.bound) == (2, 25)
    assert ledger.written.forward == total_cost(sm.Graph([y]))


def test_a_gradient_that_needs_less_than_the_function() -> None:
    x, z = sm.Variable("x", shape=(3,)), sm.Variable("z", shape=(3,))
    gradient = sm.gradients(sm.sum(x * x) + sm.sum(sm.exp(z)), x)
    assert sm.cost(sm.compile([x], gradient)).written.whole.flops > 0


@pytest.mark.parametrize("seed", range(40))
def test_cheap_gradient(seed: int) -> None:
    """What runs for a function of + − × alone stays below the bound of Baur and Strassen."""
    rng = np.random.default_rng(seed)
    xs = [sm.Variable(f"x{i}", shape=()) for i in range(4)]
    pool: list[Node] = list(xs)
    for _ in range(30):
        a, b = (pool[i] for i in rng.integers(0, len(pool), 2))
        pool.append([a + b, a - b, a * b][rng.integers(3)])
    y = sm.add_n(pool[-8:])
    needed = [x for x in xs if x in sm.Graph([y]).nodes]
    ledger = sm.cost([y, *sm.gradients(y, needed)], dict.fromkeys(needed, 1.5))
    assert 1 <= ledger.final.factor <= ledger.bound
    assert ledger.written.factor <= ledger.bound


@pytest.mark.parametrize("seed", range(10))
def test_costs_of_random_graphs_add_up(seed: int) -> None:
    random = random_graph(seed)
    types = [TensorType(a.dtype, a.shape) for a in random.arrays]
    graph = specialise(random.graph, types)
    total = Cost()
    for node in graph.nodes:
        total += cost_of(node)
    assert total_cost(graph) == total
    assert total.nodes == sum(node.op is not None for node in graph.nodes)


def test_feeds_that_do_not_fit() -> None:
    x = sm.Variable("x", shape=())
    f = sm.compile([x], x + 1)
    with pytest.raises(FeedError, match="has no value for 'x'"):
        sm.cost(f, {sm.Variable("z"): 1.0})
    assert str(sm.cost(f, {x: 1.0, sm.Variable("z"): 1.0})) == str(sm.cost(f, {x: 1.0}))
    with pytest.raises(FeedError, match="one dict"):
        sm.cost(x + 1, 1.0)
