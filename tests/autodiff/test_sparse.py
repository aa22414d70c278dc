"""Sparse derivatives against dense ones, their patterns, and the number of products."""

from __future__ import annotations

import pickle
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import symad as sm
from symad.autodiff.colouring import Allowed, compress, compressed
from symad.errors import EvaluationError, FeedError, GradientError, GraphTypeError, ShapeError
from symad.graph.nested import leaves
from symad.graph.node import apply
from symad.graph.op import OP_CLASSES
from symad.graph.operators import FUNCTIONS
from symad.ops.base import Linear
from symad.ops.control import Map
from symad.ops.sparse import _packer
from symad.types import TensorType
from tests.support.op_checks import Case, build, cases_of, run
from tests.support.random_graphs import random_graph

Array = np.ndarray[Any, Any]
BACKENDS = ["numpy", "native"]

CASES = [case for name in sorted(OP_CLASSES) for case in cases_of(OP_CLASSES[name])]


def assert_same(found: Any, dense: Any) -> None:
    """A sparse matrix is canonical, and has the elements of a dense Jacobian, NaN included."""
    assert isinstance(found, sparse.csr_array)
    assert found.has_sorted_indices and found.has_canonical_format
    want = np.asarray(dense).reshape(found.shape)
    stored = np.zeros(found.shape, bool)
    stored[found.tocoo().coords] = True
    assert np.all(stored | (want == 0)), "an element outside the pattern is not 0"
    np.testing.assert_allclose(found.toarray(), want, rtol=1e-10, atol=1e-12)


def smooth_pairs(nodes: Any, variables: Any) -> list[tuple[Any, Any]]:
    return [
        (y, x)
        for y in nodes
        if y.type.is_float and isinstance(y.type, TensorType)
        for x in variables
        if x.type.is_float
    ]


# Every op


VALUES_DECIDE = {
    "add_along_axis", "arange", "array_index-node", "branch", "ceil", "cholesky", "cofactors",
    "convolve-integers", "cummax", "cummin", "cumprod-zeros", "floor", "floor_divide", "fmod",
    "index-nodes", "linear_recurrence", "log_softmax", "logsumexp-large", "lu", "max", "maximum",
    "min", "minimum", "pinv", "power", "power_slope", "prod-zeros", "qr", "relu", "round",
    "scatter_sum-arrays and nodes", "sinc", "slogdet", "softmax", "sort", "solve_triangular", "std",
    "take_along_axis", "trunc", "unit_vectors", "var", "where", "xlog1py", "xlogy",
}  # fmt: skip
"""The ops, or samples of them, with elements that are zero only for these values."""


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_every_op(case: Case) -> None:
    """Sparse Jacobians are those of reverse mode, and patterns are no larger than they must be."""
    built = build(case)
    pairs = smooth_pairs(built.outputs, built.inputs) if case.sample.order else []
    dense = [sm.jacobian(y, x) for y, x in pairs]
    found = [sm.jacobian(y, x, sparse=True) for y, x in pairs]
    answers = run(built.inputs, [found, dense], built.arrays)
    may_be_zero = case.id in VALUES_DECIDE or case.op_class.name in VALUES_DECIDE
    for matrix, array in zip(*answers, strict=True):
        assert_same(matrix, array)
        assert may_be_zero or np.all(matrix.data != 0)


SMOOTH = [
    case for case in CASES if case.sample.order > 1 and case.op_class.name not in ("qr", "svd")
]


@pytest.mark.parametrize("case", SMOOTH[::3], ids=[case.id for case in SMOOTH[::3]])
def test_second_order(case: Case) -> None:
    """Sparse Hessians of the sum of squares are the dense ones."""
    built = build(case)
    squares = [sm.sum(y * y) for y in built.outputs if y.type.is_float]
    if squares:
        total = sm.add_n(squares)
        moving = [x for x in built.inputs if x.type.is_float and depends(total, x)]
        answers = run(
            built.inputs,
            [sm.hessian(total, moving, sparse=True), sm.hessian(total, moving)],
            built.arrays,
        )
        for matrix, array in zip(*answers, strict=True):
            assert_same(matrix, array)


def depends(y: Any, x: Any) -> bool:
    return sm.gradients(y, x, unused="none") is not None


@pytest.mark.parametrize("first", range(0, 60, 10))
@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
def test_random_graphs(first: int, mode: Any) -> None:
    for seed in range(first, first + 10):
        sample = random_graph(seed)
        if sample.is_float32:
            continue
        pairs = smooth_pairs(sample.graph.outputs, sample.graph.inputs)
        found = [sm.jacobian(y, x, mode=mode, sparse=True) for y, x in pairs]
        dense = [sm.jacobian(y, x) for y, x in pairs]
        answers = run(list(sample.graph.inputs), [found, dense], sample.arrays)
        for matrix, array in zip(*answers, strict=True):
            assert_same(matrix, array)


# Patterns


def pattern_of(y: Any, x: Any) -> Array:
    found: Array = sm.sparsity(y, x).toarray()
    return found


def band(rows: int, columns: int, *offsets: int) -> Array:
    found = np.zeros((rows, columns), bool)
    for offset in offsets:
        found |= np.eye(rows, columns, offset, dtype=bool)
    return found


def test_bands() -> None:
    x = sm.Variable("x", shape=(9,))
    np.testing.assert_array_equal(pattern_of(x[1:] - x[:-1], x), band(8, 9, 0, 1))
    np.testing.assert_array_equal(pattern_of(sm.diff(x, 2), x), band(7, 9, 0, 1, 2))
    y = sm.set_at(x, slice(2, 5), x[:3] * x[6:])
    rows, columns = np.nonzero(pattern_of(y, x)[2:5])
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (0, 6), (1, 1), (1, 7), (2, 2), (2, 8)]


def test_blocks() -> None:
    x = sm.Variable("x", shape=(3, 2))
    weights = sm.Variable("w", shape=(2, 4))
    found = sm.sparsity(sm.tanh(x @ weights), x)
    np.testing.assert_array_equal(found.toarray(), np.kron(np.eye(3), np.ones((4, 2))) > 0)
    assert found.colours == (2, 4)
    np.testing.assert_array_equal(
        pattern_of(sm.softmax(x), x), np.kron(np.eye(3), np.ones((2, 2))) > 0
    )
    np.testing.assert_array_equal(pattern_of(sm.cumsum(x[0]), x)[:, :3], [[1, 0, 0], [1, 1, 0]])


def test_constant_positions() -> None:
    """Positions that constants settle are known, however they are computed and however many."""
    x = sm.Variable("x", shape=(200,))
    order = 199 - 2 * sm.arange(100)
    np.testing.assert_array_equal(pattern_of(x[order], x), np.eye(200, dtype=bool)[::-2])
    even = sm.equal(sm.arange(200) % 2, 0)
    found = pattern_of(sm.where(even, x, x[0]), x)
    assert found.sum() == 200 and found[1, 0] and not found[1, 1]


def test_computed_positions_are_taken_dense() -> None:
    """What a computed index selects may be any element, and the pattern says where."""
    x, index = sm.Variable("x", shape=(4,)), sm.Variable("i", shape=(2,), dtype="int64")
    found = sm.sparsity(x[index] * x[:2], x)
    assert found.toarray().all()
    assert [node.label for node in found.dense] == ["array_index"]
    assert "taken dense: array_index" in repr(found) and "test_sparse.py" in repr(found)
    rows = sm.Variable("m", shape=(3, 4))
    sorted_rows = sm.sparsity(sm.sort(rows, axis=1), rows)
    np.testing.assert_array_equal(sorted_rows.toarray(), np.kron(np.eye(3), np.ones((4, 4))) > 0)
    assert sorted_rows.dense
    assert not sm.sparsity(x * 2, x).dense


def test_an_op_without_a_rule_is_taken_dense() -> None:
    """The default is never too small, also for linear ops, which another rule would serve."""

    class Rotated(Linear):
        numpy = staticmethod(lambda x: x[::-1] - x.mean())

        def infer(self, *types: Any) -> Any:
            return types[0]

        def reverse(self, slot: int, adjoint: Any, out: Any, *inputs: Any) -> Any:
            return apply(self, adjoint)

    Rotated.name = "rotated"
    x = sm.Variable("x", shape=(3,))
    found = sm.sparsity(apply(Rotated(), x), x)
    assert found.toarray().all() and [node.label for node in found.dense] == ["rotated"]


def test_shapes_from_a_feed() -> None:
    x, w = sm.Variable("x"), sm.Variable("w", shape=("n",))
    y = x[1:] * w
    expected = band(3, 4, 1)
    np.testing.assert_array_equal(
        sm.sparsity(y, x, {x: np.zeros(4), w: np.zeros(3)}).toarray(), expected
    )
    types = {x: TensorType(np.dtype("float64"), (4,)), w: TensorType(np.dtype("float64"), (3,))}
    np.testing.assert_array_equal(sm.sparsity(y, x, types).toarray(), expected)
    with pytest.raises(ShapeError, match="not known") as caught:
        sm.sparsity(y, x)
    assert "sm.sparsity(y, x, {x:" in caught.value.remedy
    both = sm.sparsity(y, {"a": x, "b": w}, types)
    assert both["a"].shape == (3, 4) and both["b"].shape == (3, 3)


def test_picture() -> None:
    x = sm.Variable("x", shape=(5,))
    found = sm.sparsity(x[1:] * x[:-1], x)
    root = ElementTree.fromstring(found._repr_svg_())
    marks = [mark for mark in root.iter() if mark.get("opacity")]
    assert len(marks) == found.nnz == 8
    large = sm.Variable("x", shape=(5000,))
    assert len(sm.sparsity(large * 2, large).svg()) < 100_000


# Numbers of products


def products_of(pattern: Any, allowed: Allowed = Allowed.ALL) -> int:
    rows, columns = np.nonzero(pattern)
    found, turned = compress(rows, columns, np.shape(pattern), allowed)
    check_compression(np.asarray(pattern), found, turned, allowed)
    return found.products


def sums(groups: Array) -> Array:
    """Return the sums of the unit vectors of each group."""
    found: Array = (groups == np.arange(groups.max(initial=-1) + 1)[:, None]).astype(float)
    return found


def check_compression(pattern: Array, found: Any, turned: bool, allowed: Allowed) -> None:
    """The elements of a random matrix can be read from the products."""
    rows, columns = np.nonzero(pattern)
    matrix = np.where(pattern, np.random.default_rng(0).uniform(1, 2, pattern.shape), 0)
    if allowed is Allowed.SYMMETRIC:  # which the pattern need not be
        matrix = np.where((pattern > 0) & (pattern.T > 0), matrix + matrix.T, 0)
    seen = matrix.T if turned else matrix
    flat = np.concatenate(
        [(sums(found.columns) @ seen.T).ravel(), (sums(found.rows) @ seen).ravel()]
    )
    np.testing.assert_array_equal(flat[found.places], matrix[rows, columns])


def arrow(n: int) -> Array:
    found = np.eye(n, dtype=bool)
    found[0] = found[:, 0] = True
    return found


def grid(*sizes: int) -> Array:
    """Return which points of a grid are the same or neighbours along an axis."""
    places = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), -1)
    return np.asarray(abs(places[:, None] - places).sum(-1) <= 1)


def spread(n: int, degree: int) -> Array:
    found = np.random.default_rng(0).random((n, n)) < degree / n / 2
    return found | found.T | np.eye(n, dtype=bool)


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        (arrow(400), 3),
        (np.eye(400, dtype=bool) | (np.arange(400) == 7)[:, None], 2),
        (np.eye(400, dtype=bool) | (np.arange(400) == 7), 2),
        (band(50, 50, -1, 0, 1), 3),
        (band(50, 50, -2, -1, 0, 1, 2), 5),
        (np.kron(np.eye(10), np.ones((7, 3))), 3),
        (np.kron(np.eye(10), np.ones((1, 30))), 1),
        (np.ones((5, 200)), 5),
        (np.ones((200, 5)), 5),
        (np.zeros((4, 3)), 0),
        (np.zeros((0, 3)), 0),
        (np.zeros((3, 0)), 0),
        (np.ones((1, 1)), 1),
    ],
)
def test_number_of_products(pattern: Any, most: int) -> None:
    assert products_of(pattern) <= most


def test_one_mode() -> None:
    """With one mode only, dense rows are not set apart."""
    dense_row = np.eye(6, dtype=bool) | (np.arange(6) == 2)[:, None]
    assert products_of(dense_row, Allowed.COLUMNS) == 6
    assert products_of(dense_row, Allowed.ROWS) == 2


def test_symmetric_products() -> None:
    assert products_of(arrow(400), Allowed.SYMMETRIC) <= 2
    assert products_of(band(50, 50, -1, 0, 1), Allowed.SYMMETRIC) <= 3
    assert products_of(np.ones((4, 4)), Allowed.SYMMETRIC) <= 4


@pytest.mark.parametrize("seed", range(40))
def test_random_patterns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    pattern = rng.random(shape) < rng.choice([0.05, 0.2, 0.7])
    for allowed in (Allowed.ALL, Allowed.COLUMNS, Allowed.ROWS):
        assert products_of(pattern, allowed) <= max(shape)
    lines = np.nonzero(pattern)
    ways = [compressed(*lines, shape), compressed(*lines[::-1], shape[::-1])]
    assert products_of(pattern) == min(way.products for way in ways)
    square = rng.random((shape[0],) * 2) < rng.choice([0.05, 0.2, 0.7])
    for each in (square, square | square.T):
        products_of(each, Allowed.SYMMETRIC)


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        (grid(13, 17), 5), (grid(5, 6, 7), 10), (np.kron(*[band(9, 9, -1, 0, 1)] * 2), 9),
        (spread(300, 3), 8), (spread(300, 8), 17), (arrow(400)[::-1, ::-1], 2), (arrow(400), 2),
        (band(60, 60, -1, 0, 1) | arrow(60), 4),
    ],
)  # fmt: skip
def test_columns_of_symmetric_matrices_share_rows(pattern: Any, most: int) -> None:
    """One element of each pair is enough, which takes fewer products than all elements do."""
    assert products_of(pattern, Allowed.SYMMETRIC) == most
    rows, columns = np.nonzero(pattern)
    assert most <= compressed(rows, columns, pattern.shape, sets_apart=False).products


def test_hessians_take_few_products() -> None:
    for n in (5, 400):
        x = sm.Variable("x", shape=(n,))
        y = sm.sum(sm.sin(x) * x[0] * x[-1])
        expanded = FUNCTIONS["specialise"](sm.Graph([sm.hessian(y, x, sparse=True)]), [x.type])
        (products,) = [node for node in expanded.nodes if isinstance(node.op, Map)]
        assert products.type.shape == (3, n)


# The node


def chained(x: Any) -> Any:
    return (sm.sin(x[1:]) - x[:-1] ** 2) * x[1:]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [2, 3, 40])
def test_chain(backend: Any, n: int) -> None:
    x = sm.Variable("x", shape=(n,))
    y = chained(x)
    value = np.linspace(0.2, 1.4, n)
    energy = sm.sum(y**2) * x[0]
    outputs = [
        sm.jacobian(y, x, sparse=True), sm.jacobian(y, x),
        sm.hessian(energy, x, sparse=True), sm.hessian(energy, x),
        sm.jacobian(y, x, sparse=True).T, sm.transpose(sm.jacobian(y, x)),
    ]  # fmt: skip
    f = sm.compile([x], outputs, backend=backend)
    for _ in range(3):  # the later calls may go directly to native code
        answers = f(value)
        for k in range(0, len(answers), 2):
            assert_same(answers[k], answers[k + 1])


def python_functions(call: Any) -> list[str]:
    """Return the names of the Python functions that a call runs."""
    seen: list[str] = []
    sys.setprofile(lambda frame, event, _: event == "call" and seen.append(frame.f_code.co_name))
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen[1:]


FORMS = [
    lambda j, h, y: j,
    lambda j, h, y: [j, h],
    lambda j, h, y: {"J": j, "rest": (y, h, sm.sum(y))},
    lambda j, h, y: (y, [j], {"twice": j, "turned": j.T}),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("parameter", [False, True])
def test_calls_are_native(form: Any, parameter: bool) -> None:
    """Matrices are packed at the end of a native call, in any structure, with updates too."""
    pytest.importorskip("llvmlite")
    x, weights = sm.Variable("x", shape=("n",)), sm.Parameter("w", np.ones(3))
    y = chained(x * weights[0]) if parameter else chained(x)
    outputs = form(sm.jacobian(y, x, sparse=True), sm.hessian(sm.sum(y * y), x, sparse=True), y)
    updates = {weights: weights * 1.0} if parameter else {}
    f = sm.compile([x], outputs, updates)
    general = sm.compile([x], outputs, backend="numpy")
    for value in (np.linspace(0.2, 1.4, 6), np.linspace(0.2, 1.4, 4), np.linspace(0.5, 3, 6)):
        f(value)
        found, expected = f(value), general(value)
        for one, other in zip(leaves(found), leaves(expected), strict=True):
            assert type(one) is type(other)
            dense = [getattr(each, "toarray", lambda each=each: each)() for each in (one, other)]
            np.testing.assert_allclose(*dense, rtol=1e-12, atol=1e-14)
        assert set(python_functions(lambda value=value: f(value))) <= {"pack"}
    for given in ([1, 2, 3, 4, 5, 6], np.arange(12.0)[::2], np.arange(6)):
        np.testing.assert_equal([type(r) for r in leaves(f(given))], [*map(type, leaves(found))])


def test_matrices_are_as_scipy_makes_them() -> None:
    given = np.array([3.0, 0.0, 5.0]), np.array([2, 0, 1], np.int32), np.array([0, 1, 3], np.int32)
    expected = vars(sparse.csr_array(given, shape=(2, 3)))
    found = vars(_packer((2, 3))(*given))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_memory_of_other_results_may_be_given() -> None:
    x = sm.Variable("x", shape=(5,))
    y = chained(x)
    f = sm.compile([x], [sm.jacobian(y, x, sparse=True), y, sm.jacobian(y, x)])
    value, place = np.linspace(0.2, 1.4, 5), np.empty(4)
    for _ in range(2):
        matrix, found, dense = f(value, out=[None, place, None])
        assert found is place
        np.testing.assert_array_equal(place, f(value)[1])
        assert_same(matrix, dense)
    assert f.plan.memory is not None and f.plan.lower_bound > 0


def test_failures_beside_a_sparse_result() -> None:
    """The op that fails is named, and calls go on to be right."""
    x = sm.Variable("x", shape=(2,))
    factor = sm.linalg.cholesky(sm.outer(x, x) + sm.constant(np.eye(2)) * x[0])
    f = sm.compile([x], [factor, sm.jacobian(x * x, x, sparse=True)])
    for _ in range(2):
        np.testing.assert_array_equal(f([1.0, 2.0])[1].toarray(), np.diag([2.0, 4.0]))
        with pytest.raises(EvaluationError, match="cholesky"):
            f(np.array([-1.0, 2.0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_independent(backend: Any) -> None:
    """Whatever is done to one result, the next one is right."""
    x = sm.Variable("x", shape=(6,))
    f = sm.compile([x], sm.jacobian(x[1:] * x[:-1], x, sparse=True), backend=backend)
    value = np.array([1.0, 0.0, 2.0, 3.0, 0.0, 4.0])
    for _ in range(3):
        first = f(value)
        expected = first.toarray()
        first.eliminate_zeros()
        first.data[:] = np.nan
        first.indices[:] = 0
        first.indptr[:] = 0
        np.testing.assert_array_equal(f(value).toarray(), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_of_one_call_are_independent(backend: Any) -> None:
    """Also if they are the same matrix, or have the same elements, which are constant."""
    x, a = sm.Variable("x", shape=(3,)), sm.Variable("a", shape=(3,))
    for y in (2 * x, a * x, a * x**2):
        matrix = sm.jacobian(y, x, sparse=True)
        again = sm.jacobian(y, x, sparse=True)
        f = sm.compile([x, a], [matrix, matrix, again, matrix.T, a], backend=backend)
        given = np.array([1.0, 2.0, 3.0])
        for _ in range(3):
            *found, _ = f(np.ones(3), given)
            expected = found[0].toarray()
            for one in found:
                np.testing.assert_array_equal(one.toarray(), expected)
                one *= 7
                one.data[0] = np.nan
            assert given.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_shapes_known_late(backend: Any) -> None:
    """One function serves all sizes: each gets its own pattern."""
    x, w = sm.Variable("x"), sm.Variable("w", shape=("n",))
    y = x[1:] * w
    f = sm.compile([x, w], [sm.jacobian(y, x, sparse=True), sm.jacobian(y, x)], backend=backend)
    for n in (3, 5, 1):
        found, dense = f(np.arange(n + 1.0), np.arange(1.0, n + 1))
        assert_same(found, dense)
        assert found.nnz == n


def test_products() -> None:
    x, v = sm.Variable("x", shape=(5,)), sm.Variable("v", shape=(5,))
    w, columns = sm.Variable("w", shape=(4,)), sm.Variable("V", shape=(5, 2))
    y = chained(x)
    matrix, dense = sm.jacobian(y, x, sparse=True), sm.jacobian(y, x)
    pairs = [
        (matrix @ v, dense @ v), (w @ matrix, w @ dense), (matrix.T @ w, dense.T @ w),
        (matrix @ columns, dense @ columns), (columns.T @ matrix.T, columns.T @ dense.T),
        (matrix @ [1, 0, 2, 0, 1], dense @ [1, 0, 2, 0, 1]),
        (sm.gradients(sm.sum((matrix @ v) ** 2), x), sm.gradients(sm.sum((dense @ v) ** 2), x)),
        (sm.hessian(sm.sum(y**3), x, sparse=True) @ v, sm.hessian(sm.sum(y**3), x) @ v),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape) for shape in ((5,), (5,), (4,), (5, 2))]
    for found, expected in run([x, v, w, columns], [list(pair) for pair in pairs], arrays):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_fed_inner_nodes() -> None:
    """As with dense derivatives, the value of a fed node is used, and the path through it stays."""
    x = sm.Variable("x", shape=(3,))
    inner = sm.exp(x)
    y = inner[1:] * x[:-1]
    matrix, dense = sm.jacobian(y, x, sparse=True), sm.jacobian(y, x)
    found, expected = sm.compile([x, inner], [matrix, dense])([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert_same(found, expected)
    found, expected = sm.compile([x, y], [matrix, dense])([1.0, 2.0, 3.0], [4.0, 5.0])
    assert_same(found, expected)


@pytest.mark.parametrize("rule", ["reverse", "forward", "both"])
@pytest.mark.parametrize("inside", [False, True])
def test_rules_of_the_user(rule: str, inside: bool) -> None:
    """If only one mode has a rule of the user's own, that mode is used."""
    rules = {
        "reverse": lambda v, y, x: 3 * v,
        "forward": lambda tangents, y, x: 3 * tangents[0],
    }
    chosen = {key: made for key, made in rules.items() if rule in (key, "both")}
    rounded = sm.custom(lambda v: sm.round(v), **chosen)  # type: ignore[arg-type]
    x = sm.Variable("x", shape=(3,))
    y = sm.map_over(rounded, [x]) if inside else rounded(x)
    feed = {x: [0.2, 0.7, 1.4]}
    found = sm.jacobian(y * y, x, sparse=True).eval(feed)
    np.testing.assert_array_equal(found.toarray(), np.diag([0.0, 6.0, 6.0]))
    second = sm.hessian(sm.sum(y * y * x), x, sparse=True).eval(feed)
    mode: Any = "forward" if rule == "forward" else "reverse"
    dense = sm.jacobian(sm.gradients(sm.sum(y * y * x), x), x, mode=mode).eval(feed)
    np.testing.assert_allclose(second.toarray(), dense)


def test_infinite_slopes_elsewhere() -> None:
    """An infinite slope does not reach other elements of its row: 0 · ∞ is not computed."""
    x = sm.Variable("x", shape=(4,))
    y = sm.sqrt(x[:-1]) + x[1:]
    found = sm.jacobian(y, x, sparse=True).eval({x: [0.0, 1.0, 0.0, 4.0]})
    np.testing.assert_array_equal(
        found.toarray(), sm.jacobian(y, x).eval({x: [0.0, 1.0, 0.0, 4.0]})
    )


def test_other_dtypes() -> None:
    x, y = sm.Variable("x", shape=(3,), dtype="float32"), sm.Variable("y", shape=(3,))
    narrow = sm.jacobian(x * x, x, sparse=True).eval({x: [1.0, 2.0, 3.0]})
    assert narrow.dtype == np.float32
    wide = sm.jacobian(x * y, x, sparse=True).eval({x: [1.0, 2.0, 3.0], y: [4.0, 5.0, 6.0]})
    np.testing.assert_array_equal(wide.toarray(), np.diag([4.0, 5.0, 6.0]))


def test_structures_of_variables() -> None:
    a, b = sm.Variable("a", shape=(2,)), sm.Variable("b", shape=(2, 1))
    y = a * b
    feed = {a: [1.0, 2.0], b: [[3.0], [4.0]]}
    found = sm.compile([a, b], sm.jacobian(y, {"a": a, "b": [b]}, sparse=True))(*feed.values())
    np.testing.assert_array_equal(found["a"].toarray(), sm.jacobian(y, a).eval(feed).reshape(4, 2))
    np.testing.assert_array_equal(
        found["b"][0].toarray(), sm.jacobian(y, b).eval(feed).reshape(4, 2)
    )


def test_large_seeds_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds that would be large constants are computed, with the same result."""
    x = sm.Variable("x", shape=(6,))
    total = sm.sum(x**2) * sm.concat([x[:3], x[1:] * x[:-1]])
    value = np.arange(1.0, 7.0)
    expected = sm.jacobian(total, x, sparse=True).eval({x: value})
    monkeypatch.setattr("symad.autodiff.sparse._MOST_CONSTANT", 0)
    for backend in BACKENDS:
        found = sm.compile([x], sm.jacobian(total, x, sparse=True), backend=backend)(value)
        np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-14)


def test_no_dependence() -> None:
    x, y = sm.Variable("x", shape=(3,)), sm.Variable("y", shape=(2,))
    found = sm.compile([x, y], sm.jacobian(y * 2, x, sparse=True))([1, 2, 3], [4, 5])
    assert found.shape == (2, 3) and found.nnz == 0
    assert sm.sparsity(sm.stop_gradient(x), x).nnz == 0


def test_survives_pickling() -> None:
    x = sm.Variable("x", shape=(5,))
    f = sm.compile(
        [x], [sm.jacobian(chained(x), x, sparse=True), sm.hessian(sm.sum(x**3), x, True)]
    )
    value = np.arange(5.0)
    for found, again in zip(f(value), pickle.loads(pickle.dumps(f))(value), strict=True):
        np.testing.assert_array_equal(found.toarray(), again.toarray())


def test_text_and_shape() -> None:
    x = sm.Variable("x", shape=(5,))
    matrix = sm.jacobian(x[1:] * 2, x, sparse=True)
    assert matrix.shape == (4, 5) and matrix.dtype == np.float64
    assert str(matrix) == "sparse_jacobian(x[1:] * 2, x)"
    assert "sparse_jacobian" in str(sm.Graph([matrix]))
    assert "assemble_csr" in str(sm.compile([x], matrix).plan)


def test_inspections() -> None:
    """A NaN in a sparse matrix is found where it came from, and costs are counted."""
    x = sm.Variable("x", shape=(4,))
    matrix = sm.jacobian(sm.log(x[1:]) * x[:-1], x, sparse=True)
    report = sm.find_nan(matrix, {x: [1.0, 2.0, np.nan, 1.0]})
    assert report is not None
    f = sm.compile([x], matrix)
    assert sm.cost(f, np.ones(4)) is not None and sm.profile(f, np.ones(4)) is not None
    assert "sparse_jacobian" in sm.draw(matrix).svg()


# Loops, maps and calls


def test_loops() -> None:
    x = sm.Variable("x", shape=(4,))
    last, all_steps = sm.scan(lambda c, e: (c * e, sm.sin(c) * e), sm.constant(1.0), x)
    np.testing.assert_array_equal(pattern_of(all_steps, x), np.tri(4, dtype=bool))
    assert pattern_of(last, x).all()
    rows = sm.map_over(lambda row: row[1:] * row[:-1], [sm.reshape(x, (2, 2))])
    np.testing.assert_array_equal(pattern_of(rows, x), [[1, 1, 0, 0], [0, 0, 1, 1]])
    chosen = sm.cond(sm.sum(x) > 0, lambda v: v[:2] * v[2], lambda v: v[:2] * v[3], x)
    np.testing.assert_array_equal(pattern_of(chosen, x), [[1, 0, 1, 1], [0, 1, 1, 1]])
    doubled = sm.custom(lambda v: sm.concat([v[:2] * 2, v[2:]]))(x)
    np.testing.assert_array_equal(pattern_of(doubled, x), np.eye(4))


def test_loops_over_nothing() -> None:
    x, w = sm.Variable("x", shape=(0, 3)), sm.Variable("w", shape=(3,))
    mapped = sm.map_over(lambda row: row * w, [x])
    assert sm.sparsity(mapped, x).shape == (0, 0) and sm.sparsity(mapped, w).shape == (0, 3)
    last, _ = sm.scan(lambda c, e: (c * e, c), w, x)
    np.testing.assert_array_equal(pattern_of(last, w), np.eye(3))


def halved(x: Any) -> Any:
    return sm.while_loop(lambda c: sm.sum(c * c) > 3, lambda c: c * 0.5 + sm.sin(c) * 0.1, x)


UNKNOWN_LENGTHS = {
    "elements": (halved, np.eye(4)),
    "neighbours": (
        lambda x: sm.while_loop(
            lambda c: sm.sum(c) < 50, lambda c: sm.concat([c[:1] * 1.5, c[1:] + c[:-1] ** 2]), x
        ),
        np.tri(4),
    ),
    "captured": (
        lambda x: sm.while_loop(
            lambda c: sm.sum(c * c) > 3, lambda c: c * 0.5 + sm.sin(x[::-1]) * 0.1, x
        ),
        np.eye(4) + np.eye(4)[::-1],
    ),
    "in a loop": (
        lambda x: sm.scan(lambda c, e: (halved(c * e), None), x, sm.constant([1.5, 2.5]))[0],
        np.eye(4),
    ),
    "a loop inside": (
        lambda x: sm.while_loop(
            lambda c: sm.sum(c * c) > 3,
            lambda c: sm.scan(
                lambda d, e: (d * 0.5 + sm.sin(d) * e, e), c, sm.constant([0.1, 0.2])
            )[0],
            x,
        ),
        np.eye(4),
    ),
    "a map inside": (
        lambda x: sm.while_loop(
            lambda c: sm.sum(c * c) > 3,
            lambda c: sm.reshape(
                sm.map_over(lambda r: 0.5 * r + 0.1 * sm.sin(r[::-1]), [sm.reshape(c, (2, 2))]),
                (4,),
            ),
            x,
        ),
        np.kron(np.eye(2), np.ones((2, 2))),
    ),
    "unknown count": (
        lambda x: sm.fori_loop(
            0, sm.cast(sm.sum(x * 0) + 3, "int64"), lambda i, c: c * sm.cos(c), x
        ),
        np.eye(4),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN_LENGTHS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_loops_of_unknown_length(case: str, backend: Any) -> None:
    """Any number of steps is allowed for, also in what a loop saves for its derivatives."""
    function, pattern = UNKNOWN_LENGTHS[case]
    x = sm.Variable("x", shape=(4,))
    y = function(x)
    np.testing.assert_array_equal(pattern_of(y, x), pattern > 0)
    energy = sm.sum(y**3)
    outputs = [
        sm.jacobian(y, x, sparse=True), sm.jacobian(y, x),
        sm.jacobian(y, x, "reverse", sparse=True), sm.jacobian(y, x),
        sm.hessian(energy, x, sparse=True), sm.hessian(energy, x),
    ]  # fmt: skip
    f = sm.compile([x], outputs, backend=backend)
    for value in (np.array([0.5, 0.2, 1.0, 2.0]), np.full(4, 0.1), np.full(4, 9.0)):
        found = f(value)
        for sparse_one, dense in zip(found[::2], found[1::2], strict=True):
            assert_same(sparse_one, dense)
        assert found[4].nnz == np.count_nonzero((pattern.T @ pattern) > 0)


_MOVES: list[Any] = [
    sm.sin, lambda v: 0.5 * v * v, lambda v: v[::-1], lambda v: sm.roll(v, 1), lambda v: sm.tanh(v),
    lambda v: sm.concat([v[:2], v[2:] * v[:1]]), lambda v: sm.where(v > 0, v, 0.1 * v),
]  # fmt: skip


def random_loops(random: Any, depth: int) -> Any:
    """Return a function of a vector of 4: moves of elements, in loops, branches and maps."""
    chosen = [_MOVES[k] for k in random.integers(len(_MOVES), size=random.integers(1, 4))]
    inner = random_loops(random, depth - 1) if depth else lambda v: v
    kind, count = random.integers(5), int(random.integers(4))

    def body(v: Any) -> Any:
        for move in chosen:
            v = move(v)
        return inner(v) * 0.7

    def rows_of(v: Any) -> Any:
        return sm.map_over(lambda r: body(sm.concat([r, r * 0.5])), [sm.reshape(v, (2, 2))])

    return {
        0: lambda v: sm.while_loop(lambda c: sm.sum(c * c) > 0.5, lambda c: 0.8 * body(c), v, 9),
        1: lambda v: (
            sm.scan(lambda c, e: (body(c) + e, c * e), v, sm.stack([v] * count))[0]
            if count
            else body(v)
        ),
        2: lambda v: sm.cond(v[0] > 0.3, body, lambda u: u[::-1] * u, v),
        3: lambda v: sm.sum(rows_of(v), axis=0),
        4: lambda v: sm.fori_loop(0, sm.cast(count + 0 * v[0], "int64"), lambda _, c: body(c), v),
    }[int(kind)]


@pytest.mark.parametrize("seed", range(16))
def test_random_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = sm.Variable("x", shape=(4,))
    y = random_loops(random, int(random.integers(3)))(x)
    total = sm.sum(y * y * sm.constant([1.0, 0.0, 2.0, 0.5]))
    found = [
        sm.jacobian(y, x, sparse=True), sm.jacobian(y, x, "forward", sparse=True),
        sm.jacobian(y, x, "reverse", sparse=True), sm.hessian(total, x, sparse=True),
    ]  # fmt: skip
    dense = [*[sm.jacobian(y, x)] * 3, sm.hessian(total, x)]
    for one, other in zip(*run([x], [found, dense], [0.3 * random.normal(size=4)]), strict=True):
        assert_same(one, other)


def test_rows_of_unknown_number_that_are_mixed_are_taken_dense() -> None:
    """Positions among the rows that a loop saves are not known."""
    x = sm.Variable("x", shape=(2,))
    n = sm.cast(sm.sum(x * 0) + 3, "int64")
    _, rows = sm.scan(lambda c, _: (c * 2, c * c), x, length=n)
    for y in (rows[0], sm.sum(rows, axis=0), sm.flip(rows, 0)[1], rows[1:][0]):
        found = sm.sparsity(y, x)
        assert found.toarray().all() and found.dense


# What is refused


def test_patterns_that_are_too_large() -> None:
    """The error names the op and the line before memory is taken."""
    x = sm.Variable("x", shape=(100_000,))
    with pytest.raises(ShapeError, match="cumsum.*may have 5000000000 elements") as caught:
        sm.sparsity(sm.cumsum(x), x)
    assert "test_sparse.py" in caught.value.where and "sparse=True" in caught.value.remedy
    assert sm.sparsity(sm.sum(x / sm.sum(x)), x).nnz == 100_000  # only the result is what counts


@pytest.mark.parametrize(
    "use",
    [
        lambda j, x: j + 1, lambda j, x: j * 2, lambda j, x: sm.sum(j), lambda j, x: j[0],
        lambda j, x: sm.exp(j), lambda j, x: np.sin(j), lambda j, x: sm.stack([j, j]),
        lambda j, x: j.reshape(-1), lambda j, x: sm.jacobian(j, x), lambda j, x: list(j),
        lambda j, x: sm.gradients(j, x), lambda j, x: sm.pushforward(j, x, x),
        lambda j, x: sm.where(x > 0, j, 0), lambda j, x: j.astype("float32"),
    ],
)  # fmt: skip
def test_refused_uses(use: Any) -> None:
    x = sm.Variable("x", shape=(5,))
    with pytest.raises(GraphTypeError, match="sparse matrix") as caught:
        use(sm.jacobian(x * x, x, sparse=True), x)
    assert "J @ v" in caught.value.remedy


def test_refused_operands() -> None:
    x, v = sm.Variable("x", shape=(5,)), sm.Variable("v", shape=(4,))
    matrix = sm.jacobian(x * x, x, sparse=True)
    with pytest.raises(GraphTypeError, match="two sparse"):
        matrix @ matrix
    with pytest.raises(ShapeError):
        matrix @ v
    with pytest.raises(ShapeError, match="vector or a matrix"):
        matrix @ sm.Variable("t", shape=(2, 5, 3))


def test_refused_requests() -> None:
    x, n = sm.Variable("x", shape=(5,)), sm.Variable("n", shape=(5,), dtype="int64")
    with pytest.raises(GradientError, match="mode"):
        sm.jacobian(x, x, mode="sideways", sparse=True)  # type: ignore[call-overload]
    with pytest.raises(GradientError, match="no derivative"):
        sm.jacobian(n, x, sparse=True)
    with pytest.raises(GraphTypeError, match="structure"):
        sm.jacobian(sm.structure({"a": x}), x, sparse=True)
    forward = sm.jacobian(x * x, x, mode="forward", sparse=True)
    with pytest.raises(GradientError, match="mode"):
        x @ forward


def test_out_is_refused() -> None:
    x = sm.Variable("x", shape=(5,))
    f = sm.compile([x], sm.jacobian(x * x, x, sparse=True))
    with pytest.raises(FeedError, match="not an array"):
        f(np.ones(5), out=np.zeros((5, 5)))


def test_an_index_that_a_branch_chooses_is_taken_dense() -> None:
    x = sm.Variable("x", shape=(3,))
    chosen = sm.cond(
        sm.constant(True), lambda: sm.constant(np.int64(1)), lambda: sm.constant(np.int64(0))
    )
    assert sm.sparsity(x[chosen] * x, x).toarray().all()
