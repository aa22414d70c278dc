"""What is not taken has no part in derivatives, of any mode, order and shape.

The whole families take hours; ``SYMAD_MASKS=2000 pytest tests/autodiff/test_masks.py`` draws so
many members of each instead of the few that run every time, ``SYMAD_MASKS_SEED=1`` others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import pytest

import symad as sm
from tests.support.masked_programs import (
    Member,
    RowMember,
    run,
    sample,
    sample_rows,
)

COUNT = int(os.environ.get("SYMAD_MASKS", "96"))
SEED = int(os.environ.get("SYMAD_MASKS_SEED", "0"))
BATCHES = 8

EVERY = COUNT // BATCHES
NATIVE = 8
"""One member in so many runs as machine code too."""


def check(member: Member | RowMember, variables: list[Any], result: Any, fed: list[Any]) -> None:
    """Compare a program as it is written, and one in eight as machine code, with its branches."""
    wanted = member.expected()
    assert np.all(np.isfinite(wanted)), f"what is wanted of {member}"
    backends = ("numpy", "native") if crc32(str(member).encode()) % NATIVE == 0 else ("numpy",)
    for backend in backends:
        got = run(variables, result, fed, backend)
        np.testing.assert_allclose(
            np.broadcast_to(got, wanted.shape), wanted, 1e-6, 1e-9, err_msg=f"{member}, {backend}"
        )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_elementwise_branches(batch: int) -> None:
    for member in sample(EVERY, SEED * BATCHES + batch):
        x, b, result = member.program()
        check(member, [x, b], result, list(member.points()))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_branches_that_mix_elements(batch: int) -> None:
    for member in sample_rows(EVERY, SEED * BATCHES + batch):
        check(member, *member.program(), member.fed())


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("shapes", [((), ()), (None, None), (("n",), ("m",))])
def test_the_pole_of_a_quotient(backend: str, shapes: Any) -> None:
    x, b = (sm.Variable(name, shape=shape) for name, shape in zip("xb", shapes, strict=True))
    y = sm.where(sm.not_equal(x, 0), 1 / x, b)
    at = (0.0, 1.0) if shapes[0] in ((), None) else ([0.0], [1.0])
    got = sm.compile([x, b], sm.gradients(y, [x, b]), backend=backend)(*at)
    np.testing.assert_array_equal(np.ravel(got), [0.0, 1.0])


def elu(x: Any) -> Any:
    return sm.where(x > 0, x, sm.exp(x) - 1)


SECOND: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "log squared": (lambda s: sm.where(s > 0, sm.log(s) * sm.log(s), 0), 0.0, 0.0),
    "root squared": (lambda x: sm.where(x > 0, sm.sqrt(x), 0) ** 2, 0.0, 0.0),
    "exp of a root": (lambda x: sm.exp(sm.where(x > 0, sm.sqrt(x), 0)), 0.0, 0.0),
    "sine of a root": (lambda x: sm.sin(sm.where(x > 0, sm.sqrt(x), 0)), 0.0, 0.0),
    "elu squared": (lambda x: elu(x) ** 2, 1000.0, 2.0),
    "cut off": (lambda r: sm.where(r > 0, sm.where(1 / r < 9, 1 / r, 9.0), 0.0), 0.0, 0.0),
}


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("shape", [(), None, ("n",)])
def test_second_derivatives(name: str, shape: Any) -> None:
    write, at, wanted = SECOND[name]
    x = sm.Variable("x", shape=shape)
    fed = [at] if shape == ("n",) else at
    y = write(x)
    first = sm.gradients(y, x)
    for second in (sm.gradients(first, x), sm.pushforward(first, x, 1.0),
                   sm.gradients(sm.pushforward(y, x, 1.0), x)):  # fmt: skip
        np.testing.assert_array_equal(np.ravel(second.eval({x: fed})), [wanted])
    np.testing.assert_array_equal(np.ravel(sm.hessian(y, x).eval({x: fed})), [wanted])


def test_pairwise_potential_with_a_masked_diagonal() -> None:
    points = sm.Variable("points", shape=("n", 2))
    squares = sm.sum((points[:, None] - points[None, :]) ** 2, axis=-1)
    others = sm.constant(~np.eye(3, dtype=bool))
    energy = sm.sum(sm.where(others, 1 / sm.sqrt(squares), 0.0))
    at = np.array([[0.0, 0.0], [1.0, 0.5], [-0.3, 2.0]])
    gradient, hessian = sm.gradients(energy, points), sm.hessian(energy, points)
    assert np.isfinite(gradient.eval({points: at})).all()
    got = hessian.eval({points: at})
    f = sm.compile([points], gradient)
    step = 1e-6 * np.eye(6).reshape(6, 3, 2)
    wanted = [(f(at + h) - f(at - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(got.reshape(6, 3, 2), wanted, rtol=1e-5, atol=1e-7)


def test_missing_data_have_no_part() -> None:
    x, w = sm.Variable("x", shape=(3,)), sm.Variable("w", shape=(3,))
    residual = sm.where(sm.isnan(x), 0.0, x * w - 1)
    gradient = sm.gradients(sm.sum(residual**2), w)
    got = gradient.eval({x: [1.0, np.nan, 2.0], w: [3.0, 4.0, 5.0]})
    np.testing.assert_array_equal(got, [4.0, 0.0, 36.0])


def test_a_deep_chain_of_choices_costs_the_same_at_each_step() -> None:
    x = sm.Variable("x", shape=())
    sizes = []
    for depth in (50, 100, 200):
        y = x
        for k in range(depth):
            y = sm.where(x > k / 1000, sm.sin(y), y * 0.5)
        sizes.append(len(sm.Graph([sm.gradients(y, x)])))
    assert sizes[2] - sizes[1] <= 2 * (sizes[1] - sizes[0]) + 2


def test_nested_choices_cost_the_same_at_each_level() -> None:
    x = sm.Variable("x", shape=())
    sizes = []
    for depth in (50, 100, 200):
        y = sm.log(x)
        for k in range(depth):
            y = sm.where(x > k / 1000, sm.sin(y), 0.0)
        sizes.append(len(sm.Graph([sm.gradients(y, x)])))
    assert sizes[2] - sizes[1] <= 2 * (sizes[1] - sizes[0]) + 2


def test_two_builds_make_the_same_graph() -> None:
    def build() -> str:
        x = sm.Variable("x")
        y = x
        for k in range(6):
            y = sm.where(x > k, sm.sqrt(y), sm.where(y < k, y / x, sm.maximum(x, y)))
        return str(sm.Graph([sm.gradients(sm.gradients(y, x), x)]))

    assert build() == build()


# Rules of one's own receive an adjoint of zero


def test_a_rule_of_ones_own_under_a_mask() -> None:
    log = sm.custom(lambda x: sm.log(x), reverse=lambda v, y, x: v / x, name="log")
    x = sm.Variable("x", shape=(2,))
    gradient = sm.gradients(sm.where(x > 0, log(x), 0.0), x)
    np.testing.assert_array_equal(gradient.eval({x: [0.0, 2.0]}), [0.0, 0.5])


def test_a_rule_for_what_has_no_derivative_under_a_mask() -> None:
    straight_through = sm.custom(sm.round, reverse=lambda v, y, x: v)
    x = sm.Variable("x", shape=(2,))
    gradient = sm.gradients(sm.where(x > 0, straight_through(x), 0.0), x)
    np.testing.assert_array_equal(gradient.eval({x: [-1.0, 2.0]}), [0.0, 1.0])


# Structures and matrices


def test_a_choice_passes_through_structures() -> None:
    x, c = sm.Variable("x", shape=(2,)), sm.Variable("c", shape=(2,), dtype="bool")
    d = sm.structure({"root": sm.sqrt(x), "rest": (x, sm.log(x))})
    y = sm.where(c, d["root"] * d["rest"][1], 0.0)
    got = sm.gradients(sm.gradients(y, x), x).eval({x: [0.0, 1.0], c: [False, True]})
    np.testing.assert_allclose(got, [0.0, 0.0], atol=1e-12)


MATRICES: dict[str, Callable[[Any], Any]] = {
    "eigenvectors": lambda a: sm.linalg.eigh(a).eigenvectors[:, 0, 0] ** 2,
    "singular vectors": lambda a: sm.linalg.svd(a).U[:, 0, 0] ** 2,
    "both": lambda a: sm.linalg.svd(a).U[:, 0, 0] ** 2 * sm.linalg.svd(a).S[:, 1],
    "determinant": lambda a: sm.log(sm.linalg.det(a)),
    "eigenvalues": lambda a: sm.sum(1 / sm.linalg.eigvalsh(a), axis=1),
    "singular values": lambda a: sm.sum(sm.log(sm.linalg.svdvals(a)), axis=1),
    "pseudo-inverse": lambda a: 1 / sm.linalg.pinv(a)[:, 0, 1],
    "full factors": lambda a: sm.linalg.svd(1 / a, full_matrices=True).U[:, 0, 0] ** 2,
    "complete basis": lambda a: sm.linalg.qr(1 / a, mode="complete").R[:, 0, 0] ** 2,
    "norm of order 3": lambda a: sm.linalg.vector_norm(1 / a, axis=(1, 2), ord=3),
    "norm of order -2": lambda a: sm.linalg.vector_norm(1 / a, axis=(1, 2), ord=-2) ** 2,
    "nuclear norm": lambda a: sm.linalg.matrix_norm(1 / a, ord="nuc"),
    "products": lambda a: sm.vecdot(
        1 / a, sm.linalg.cross(a[..., :1] * [1, 2, 3], a[..., 1:] * [2, 1, 1])[..., :2]
    )[:, 0],
    "cumulative": lambda a: sm.cumulative_prod(1 / a, axis=1, include_initial=True)[:, 2, 0],
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrices_of_a_stack_that_are_not_taken(name: str) -> None:
    a = sm.Variable("a", shape=("n", 2, 2))
    c = sm.Variable("c", shape=("n",), dtype="bool")
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    y = sm.where(c, MATRICES[name](a), 0.0)
    fed, alone = {c: [True, False], a: np.stack([good, 0 * good])}, {c: [True], a: good[None]}
    gradient = sm.gradients(y, a)
    for result in (gradient, sm.pushforward(y, a, np.ones((2, 2))),
                   sm.pushforward(gradient, a, good)):  # fmt: skip
        got, wanted = result.eval(fed), result.eval(alone)
        np.testing.assert_allclose(got[:1], wanted, rtol=1e-9)
        np.testing.assert_array_equal(got[1], np.zeros_like(wanted[0]))


FAILING: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda a: sm.sum(sm.log(sm.diagonal(sm.linalg.cholesky(a), 0, -2, -1)), axis=-1),
    "inv": lambda a: sm.linalg.inv(a)[:, 0, 1],
    "solve": lambda a: sm.linalg.solve(a, sm.constant([1.0, 2.0]))[:, 0],
    "solve, matrix": lambda a: sm.linalg.solve(a, sm.constant([[1.0], [2.0]]))[:, 0, 0],
    "solve_triangular": lambda a: sm.linalg.solve_triangular(a, sm.constant([1.0, 2.0]))[:, 0],
    "slogdet": lambda a: sm.linalg.slogdet(a).logabsdet,
    "svd": lambda a: sm.linalg.svd(sm.log(a)).S[:, 0],
    "eigh": lambda a: sm.linalg.eigh(1 / a).eigenvalues[:, 0],
    "qr": lambda a: sm.linalg.qr(1 / a).R[:, 0, 0],
    "pinv": lambda a: sm.linalg.pinv(1 / a)[:, 0, 0],
    "complete qr": lambda a: sm.linalg.qr(1 / a, mode="complete").Q[:, 0, 0],
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", FAILING)
def test_linear_algebra_that_fails_where_it_is_not_taken(name: str, backend: str) -> None:
    a, c = sm.Variable("a", shape=("n", 2, 2)), sm.Variable("c", shape=("n",), dtype="bool")
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    y = sm.where(c, FAILING[name](a), 0.0)
    gradient = sm.gradients(y, a)
    f = sm.compile([a, c], [y, gradient, sm.pushforward(gradient, a, good)], backend=backend)
    got = f(np.stack([good, 0 * good]), np.array([True, False]))
    wanted = f(good[None], np.array([True]))
    for one, alone in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one[:1], alone, rtol=1e-9)
        np.testing.assert_array_equal(one[1], np.zeros_like(alone[0]))


def test_linear_algebra_that_fails_is_an_error_where_it_is_taken() -> None:
    a = sm.Variable("a", shape=(2, 2))
    inverse = sm.linalg.inv(a)
    for y in (inverse, [inverse, sm.where(sm.sum(a) > 0, inverse, 0.0)]):
        with pytest.raises(sm.errors.EvaluationError):
            sm.compile([a], y)(np.zeros((2, 2)))


# Zeros by position

SINGULAR: dict[str, Callable[[Any], Any]] = {
    "sqrt": sm.sqrt,
    "log": sm.log,
    "reciprocal": lambda u: 1 / u,
    "cbrt": sm.cbrt,
    "exp": lambda u: sm.exp(1e3 * (1 - u)),
    "sine of a logarithm": lambda u: sm.sin(sm.log(u)),
    "running sum": lambda u: sm.cumsum(sm.sqrt(u)),
    "padded": lambda u: sm.sqrt(sm.pad(u, 1)),
    "joined": lambda u: sm.sqrt(sm.concat([u, [0.0]])),
    "rows": lambda u: sm.logsumexp(sm.sqrt(sm.outer(u, [1.0, 2.0])), axis=1),
    "mapped": lambda u: sm.map_over(lambda e: sm.sqrt(e) * 2, [u]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_one_singular_element_spoils_only_its_own(name: str) -> None:
    u = sm.Variable("u", shape=(3,))
    y = SINGULAR[name](u)
    rows, columns = (
        sm.jacobian(y, u, mode=mode).eval({u: [1.0, 1.0, 0.0]}) for mode in ("reverse", "forward")
    )
    np.testing.assert_array_equal(rows, columns)
    assert np.isfinite(rows[:, :2]).all()


def test_a_power_by_one_exponent() -> None:
    y, t = sm.Variable("y", shape=(3,)), sm.Variable("t", shape=())
    fed = {y: [1.0, 2.0, -1.0], t: 1.5}
    for mode in ("reverse", "forward"):
        second = sm.jacobian(sm.jacobian(y**t, t, mode=mode), t, mode=mode).eval(fed)
        np.testing.assert_allclose(second, [0.0, 2**1.5 * np.log(2) ** 2, np.nan])


READS: dict[str, Callable[[Any], Any]] = {
    "elements": lambda s: s[0] + s[1],
    "slice": lambda s: sm.sum(s[:2]),
    "array": lambda s: sm.sum(s[[0, 1, 1]]),
    "largest": sm.max,
    "sorted": lambda s: sm.sum(sm.sort(s)[1:]),
    "taken": lambda s: sm.take_along_axis(s, sm.constant([0]), 0)[0],
    "overwritten": lambda s: sm.sum(sm.set_at(s, 2, 5.0)),
    "triangle": lambda s: sm.sum(sm.triu(sm.expand_dims(s, 0))[0, :2]),
}


@pytest.mark.parametrize("name", READS)
def test_what_is_not_read_has_no_part(name: str) -> None:
    u = sm.Variable("u", shape=(3,))
    y = READS[name](sm.sqrt(u))
    first = sm.gradients(y, u)
    for result in (first, sm.gradients(first, u), sm.pushforward(first, u, 1.0)):
        got = result.eval({u: [1.0, 4.0, 0.0]})
        assert np.isfinite(got).all() and got[2] == 0


@pytest.mark.parametrize("shape", [None, ("n",), (2,)], ids=["undeclared", "named", "declared"])
def test_a_mask_of_a_map_over_what_is_computed(shape: Any) -> None:
    """The condition inside of the map may take its shape from the adjoint."""
    x = sm.Variable("x", shape=shape)
    y = sm.where(x > 0, sm.map_over(lambda e: e * e, [x * 2]), 0.0)
    at = {x: np.array([1.0, -2.0])}
    gradient = sm.gradients(y, x)
    assert gradient.eval(at).tolist() == [8, 0]
    assert sm.gradients(gradient, x).eval(at).tolist() == [8, 0]
    assert sm.pushforward(gradient, x, sm.ones_like(x)).eval(at).tolist() == [8, 0]
    assert sm.gradients(sm.pushforward(y, x, sm.ones_like(x)), x).eval(at).tolist() == [8, 0]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_factors_that_a_choice_discards_do_not_fail_in_bodies(backend: str) -> None:
    """Of maps, Jacobians in both modes, Hessians and functions with rules of their own."""
    a, c = sm.Variable("a", shape=(2, 2)), sm.Variable("c", shape=(), dtype="bool")
    own = sm.custom(lambda a: sm.sum(sm.linalg.cholesky(a)), reverse=lambda v, y, a: v * a)
    rows = sm.Variable("rows", shape=(3, 2, 2))
    whole = sm.where(c, sm.sum(sm.map_over(lambda a: sm.linalg.cholesky(a), [rows])), 0.0)
    y = sm.where(c, sm.sum(sm.linalg.cholesky(a)), 0.0)
    by_own = sm.where(c, own(a), 0.0)
    outputs = [
        sm.hessian(y, a), sm.jacobian(y * a[0], a, mode="forward"), sm.gradients(by_own, a),
        sm.gradients(whole, rows),
    ]  # fmt: skip
    bad = -np.eye(2)
    f = sm.compile([a, rows, c], outputs, backend=backend)
    hessian, jacobian, first, by_rows = f(bad, np.stack([bad] * 3), False)
    assert not hessian.any() and not jacobian.any() and not first.any() and not by_rows.any()
    each = sm.map_over(lambda a: sm.where(a[0, 0] > 0, sm.linalg.cholesky(a)[0, 0], 0.0), [rows])
    found = sm.compile([rows], each, backend=backend)(np.stack([4 * np.eye(2), bad, np.eye(2)]))
    assert found.tolist() == [2.0, 0.0, 1.0]
    exposed = sm.map_over(lambda a: sm.linalg.cholesky(a)[0, 0], [rows])
    with pytest.raises(sm.errors.EvaluationError):
        sm.compile([rows], exposed, backend=backend)(np.stack([bad] * 3))


def _rows(step: Callable[..., Any], u: Any) -> Any:
    return sm.scan(step, sm.constant(0.5), u)[1]


THROUGH: dict[str, Callable[[Any], Any]] = {
    "before a loop": lambda u: _rows(lambda c, e: (sm.tanh(c + e), c * e), sm.sqrt(u)),
    "in a loop": lambda u: _rows(lambda c, e: (sm.tanh(c) * sm.sqrt(e), c + sm.sqrt(e)), u),
    "and a choice": lambda u: _rows(
        lambda c, e: (sm.where(c > 0, c * e, 0.1), sm.maximum(c, e) * e), sm.sqrt(u)
    ),
    "in a map": lambda u: sm.map_over(lambda e: sm.sqrt(e) * 2, [u]),
    "before a map": lambda u: sm.map_over(lambda e: e * e + e, [sm.sqrt(u)]),
    "in both loops": lambda u: _rows(
        lambda c, e: (sm.tanh(c + e), c * e), _rows(lambda c, e: (c * 0.5, sm.sqrt(e) + c), u)
    ),
    "in a loop in a loop": lambda u: _rows(
        lambda c, e: (
            c * 0.5, sm.sum(sm.scan(lambda d, f: (d * f, d + f), c, sm.stack([e, c]))[1][:1])
        ),
        sm.sqrt(u),
    ),
    "in a custom function": lambda u: sm.custom(lambda e: e * sm.tanh(e))(sm.sqrt(u)),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", THROUGH)
def test_rows_that_are_not_read_have_no_part(name: str, backend: str) -> None:
    """A condition on rows is followed through loops, also where the loop does not need it."""
    u, good = sm.Variable("u", shape=(4,)), sm.Variable("good", shape=(2,))
    found = []
    for x, whole in ((u, THROUGH[name](u)), (good, THROUGH[name](good))):
        y = whole[1] + sm.sum(whole[:2] ** 2)
        first = sm.gradients(y, x)
        tangent = sm.pushforward(first, x, sm.ones_like(x))
        results = [first, sm.gradients(sm.sum(first), x), tangent,
                   sm.gradients(sm.pushforward(y, x, sm.ones_like(x)), x)]  # fmt: skip
        value = np.array([1.0, 4.0, 0.0, 0.0])[: x.type.shape[0]]  # type: ignore[union-attr]
        found.append(sm.compile([x], results, backend=backend)(value))
    for got, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(got, [*wanted, 0, 0], rtol=1e-12)


def _ops(nodes: Any) -> set[str]:
    """Return the names of all ops, with those in bodies."""
    bodies = [body for n in nodes for body in getattr(n.op, "bodies", ())]
    inside = [_ops(body.nodes) for body in bodies]
    return {n.op.name for n in nodes if n.op is not None}.union(*inside)


@pytest.mark.parametrize("divisor", [2.0, np.array([0.5, -3.0]), 0.0])
def test_quotients_by_constants_need_no_masks_unless_one_is_zero(divisor: Any) -> None:
    x = sm.Variable("x", shape=2)
    last, stack = sm.scan(lambda c, e: (c / divisor + e, c / divisor), x, sm.constant([1.0, 2.0]))
    for y in (x / divisor, sm.sin(x / divisor), last, stack[0]):
        nodes = sm.Graph([sm.gradients(sm.sum(y[:1]), x)]).nodes
        assert ("where" not in _ops(nodes)) == bool(np.all(divisor))


@pytest.mark.parametrize("order", [1, 2])
def test_loops_with_finite_slopes_need_no_masks(order: int) -> None:
    w, x = sm.Variable("w", shape=(4, 2)), sm.Variable("x", shape=(5, 2))

    def step(h: Any, e: Any) -> Any:
        z = w @ (h + e)
        gates = 1 / (1 + sm.exp(-z[:2]))  # the stable form of which has finite slopes
        return gates * sm.tanh(z[2:]), h * gates

    last, stack = sm.scan(step, sm.zeros(2), x)
    y = sm.sum(stack[-1] ** 2) + sm.sum(stack[1:3] * last)
    result = sm.gradients(y, w)
    if order == 2:
        result = sm.hessian_vector_product(y, w, sm.ones((4, 2)))
    f = sm.compile([w, x], [result, sm.gradients(y, x)], backend="numpy")
    f(np.ones((4, 2)), np.ones((5, 2)))
    assert not _ops(f.passes.graph.nodes) & {"where", "not_equal", "logical_or"}
