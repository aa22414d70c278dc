"""Functions that mix the elements of a dimension are refused, with their line; others are right."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.distribution.split import split
from symad.errors import DistributionError
from symad.graph.node import Node
from tests.distribution.support import check_in_chunks

RNG = np.random.default_rng(5)
N = 7
X = sm.Variable("X", shape=("batch", 4))
Z = sm.Variable("Z", shape=(3, "batch"))
T = sm.Variable("T", shape=("batch", 2))
LABELS = sm.Variable("labels", shape=("batch",), dtype="int64")
W = sm.Variable("W", shape=(4, 2))
V = sm.Variable("V", shape=(4,))
K = sm.Variable("K", shape=(), dtype="int64")
IMAGES = sm.Variable("images", shape=("batch", 1, 6, 6))
TOKENS = sm.Variable("tokens", shape=("batch", "time"), dtype="int64")
SERIES = sm.Variable("series", shape=("batch", "time", 4))
FREE = sm.Variable("free")
UNNAMED = sm.Variable("unnamed", shape=(None, 4))

VALUES: dict[Node, Any] = {
    X: RNG.normal(size=(N, 4)),
    Z: RNG.normal(size=(3, N)),
    T: RNG.normal(size=(N, 2)),
    LABELS: RNG.integers(0, 2, N),
    W: RNG.normal(size=(4, 2)),
    V: RNG.normal(size=4),
    K: np.int64(2),
    IMAGES: RNG.normal(size=(N, 1, 6, 6)),
    TOKENS: RNG.integers(0, 4, (N, 5)),
    SERIES: RNG.normal(size=(N, 5, 4)),
}

Build = Callable[[], Any]
REFUSED: list[tuple[str, Build]] = []
ACCEPTED: list[Build] = []


def refused(why: str) -> Callable[[Build], Build]:
    """Add a function that is refused at its line that ends with ``# here``, for such a reason."""

    def put(build: Build) -> Build:
        REFUSED.append((why, build))
        return build

    return put


def accepted(build: Build) -> Build:
    ACCEPTED.append(build)
    return build


def net(x: Node) -> Node:
    return sm.tanh(x @ W)


ROUND, PAIRS, ALONG = "second round", "pairs every element", "along the dimension"
OWN, PLACES = "elements of its own", "by their positions"


@refused(ROUND)
def batch_norm() -> Any:
    centred = X - sm.mean(X, axis=0)  # here
    return sm.sum(centred / sm.sqrt(sm.mean(centred**2, axis=0) + 1e-5) * V)


@refused(ROUND)
def batch_norm_of_library() -> Any:
    return sm.nn.batch_norm(X, V, V)  # here


@refused(ALONG)
def softmax_over_batch() -> Any:
    return sm.sum(sm.softmax(X, axis=0) * V)  # here


@refused(ALONG)
def log_softmax_over_all() -> Any:
    return sm.log_softmax(X, axis=None)  # here


@refused(ALONG)
def softmax_after_transpose() -> Any:
    rows = X.T
    return sm.softmax(rows)  # here


@refused(ALONG)
def running_sum() -> Any:
    return sm.sum(sm.cumsum(X, axis=0) ** 2)  # here


@refused(ALONG)
def running_product_of_flat() -> Any:
    flat = sm.reshape(X, (-1,))
    return sm.cumprod(flat, axis=0)  # here


@refused(ALONG)
def running_maximum() -> Any:
    return sm.cummax(Z, axis=1)  # here


@refused(ALONG)
def sorted_batch() -> Any:
    return sm.sort(X, axis=0)  # here


@refused(ALONG)
def ranks() -> Any:
    return sm.argsort(X[:, 0])  # here


@refused(ALONG)
def reversed_batch() -> Any:
    return X * sm.flip(X, axis=0)  # here


@refused(PLACES)
def reversed_by_a_slice() -> Any:
    return X[::-1]  # here


@refused(ALONG)
def neighbours() -> Any:
    return X - sm.roll(X, 1, axis=0)  # here


@refused(PLACES)
def differences() -> Any:
    return X[1:] - X[:-1]  # here


@refused(PLACES)
def every_second() -> Any:
    return sm.sum(X[::2])  # here


@refused(PLACES)
def first_element() -> Any:
    return X - X[0]  # here


@refused(PLACES)
def shuffled() -> Any:
    return X[LABELS]  # here


@refused(PAIRS)
def taken_by_a_permutation() -> Any:
    order = sm.broadcast_to(LABELS[:, None], (X.shape[0], 4))
    return sm.take_along_axis(X, order, axis=0)  # here


@refused(ROUND)
def centred_by_a_sum() -> Any:
    total = sm.sum(X, axis=0)
    return X - total / X.shape[0]  # here


@refused(PAIRS)
def gram() -> Any:
    return X @ X.T  # here


@refused(PAIRS)
def gram_by_einsum() -> Any:
    return sm.einsum("id,jd->ij", X, X)  # here


@refused(PAIRS)
def distances() -> Any:
    gaps = X[:, None, :] - X[None, :, :]  # here
    return sm.sum(gaps**2)


@refused(PAIRS)
def attention_between_examples() -> Any:
    scores = (X @ W) @ (X @ W).T  # here
    return sm.softmax(scores) @ X


@refused("computed from all its elements")
def kernel_row_by_row() -> Any:
    return sm.vmap(lambda row: sm.sum(sm.exp(-((X - row) ** 2)), axis=1))(X)  # here


@refused("computed from all its elements")
def row_against_the_mean() -> Any:
    return sm.vmap(lambda row: row @ sm.sum(X, axis=0))(X)  # here


@refused(ROUND)
def slopes_of_a_norm() -> Any:
    return sm.gradients(sm.linalg.norm(X), X)  # here


@refused(ROUND)
def slopes_of_the_largest() -> Any:
    return sm.gradients(sm.max(X), X)  # here


@refused(ALONG)
def slopes_of_logsumexp() -> Any:
    return sm.gradients(sm.logsumexp(X, axis=0)[0], X)  # here


@refused(ROUND)
def slopes_of_a_variance() -> Any:
    return sm.gradients(sm.var(X), X)  # here


@refused(ROUND)
def slopes_of_a_square_of_the_loss_for_each_example() -> Any:
    loss = sm.mean(sm.tanh(X * V) ** 2)  # here
    return sm.gradients(loss**2, X)


@refused(ROUND)
def scaled_by_the_sum() -> Any:
    return X / sm.sum(X)  # here


@refused(ROUND)
def squares_of_scaled_values() -> Any:
    shares = X / sm.sum(X)
    return sm.sum(shares**2)  # here


@refused(ROUND)
def shares_beside_weights() -> Any:
    return sm.sum(sm.add_n([X / sm.sum(X), V]), axis=0)  # here


@refused(ROUND)
def reciprocal_shares() -> Any:
    return sm.sum(1 / (X / sm.sum(X)))  # here


@refused(ROUND)
def hessian_of_a_logarithm() -> Any:
    return sm.hessian(sm.log(sm.mean(sm.softplus(X @ V))), V)  # here


@refused(ROUND)
def mapped_shares() -> Any:
    shares = sm.vmap(lambda row, c: sm.sin(row * c), in_axes=(0, None))(X, sm.sum(X))  # here
    return sm.sum(shares)


@refused(ROUND)
def sines_of_shares_in_a_loop() -> Any:
    shares = X / sm.sum(X)
    return sm.sum(sm.fori_loop(0, 2, lambda i, c: sm.sin(c), shares))  # here


@refused(ROUND)
def centred_by_hand() -> Any:
    rest = X + sm.broadcast_like(-sm.mean(X), X)  # here
    return sm.sum(rest * V)


@refused(ROUND)
def centred_by_a_number() -> Any:
    return sm.sum(sm.relu(X - sm.mean(X)))  # here


@refused("round of communication in each step")
def quotients_by_sums_in_a_loop() -> Any:
    return sm.fori_loop(0, 3, lambda i, c: c + V / sm.sum(X), sm.zeros(4))  # here


@refused("becomes a result")
def results_that_replace_a_carry() -> Any:
    def step(c: Node, e: Node) -> Any:
        return sm.logsumexp(X * e, axis=0), c

    return sm.scan(step, sm.zeros(4), sm.constant([1.0, 2.0]))[1]  # here


@refused("round of communication in each step")
def choices_of_sums_in_a_loop() -> Any:
    def step(i: Node, c: Node) -> Node:
        return c + sm.where(V > 0, sm.sum(X, axis=0), 1.0)

    return sm.fori_loop(0, 3, step, sm.zeros(4))  # here


@accepted
def chosen_sums_in_a_loop() -> Any:
    def step(i: Node, c: Node) -> Node:
        return c + sm.where(V > 0, sm.sum(X, axis=0) / 2, 0) * V - sm.sum(X) * i

    return sm.fori_loop(0, 3, step, sm.zeros(4))


@refused("round of communication in each step")
def products_of_sums_in_a_loop() -> Any:
    def step(i: Node, c: Node) -> Node:
        return c + sm.sum(X * i) * sm.sum(X)

    return sm.fori_loop(0, 3, step, sm.constant(0.0))  # here


@refused(ALONG)
def logarithm_of_the_likelihood() -> Any:
    total = sm.sum(sm.exp(X @ V))
    return sm.gradients(sm.log(total), V)  # here


@refused(ROUND)
def hard_examples_only() -> Any:
    losses = sm.sum((net(X) - T) ** 2, axis=1)
    return sm.sum(sm.where(losses > sm.mean(losses), losses, 0))  # here


@refused(ROUND)
def clipped_by_the_batch() -> Any:
    return sm.minimum(X, sm.max(X) * 0.5)  # here


@refused(ROUND)
def scaled_to_one() -> Any:
    return X / sm.linalg.norm(X, axis=0)  # here


@refused(OWN)
def weights_of_its_own() -> Any:
    weights = sm.constant(np.linspace(0, 1, N))
    return sm.sum(weights[:, None] * X)  # here


@refused(OWN)
def without_a_name() -> Any:
    return sm.sum(UNNAMED * X)  # here


@refused(OWN)
def counted_positions() -> Any:
    return X[:, 0] * sm.arange(X.shape[0])  # here


@refused(PLACES)
def picked_by_shifted_positions() -> Any:
    return X[sm.arange(X.shape[0]) - 1, LABELS]  # here


@refused(PLACES)
def picked_from_the_flattened() -> Any:
    return sm.ravel(X)[sm.arange(X.shape[0])]  # here


@refused(PAIRS)
def picked_for_all_labels() -> Any:
    return X[:, LABELS]  # here


@refused(PLACES)
def positions_in_reverse() -> Any:
    n = X.shape[0]
    return X[sm.arange(n - 1, -1, -1), LABELS]  # here


@refused(OWN)
def dropout() -> Any:
    return sm.nn.dropout(sm.random.key(K), X)  # here


@refused(OWN)
def noise() -> Any:
    return X + sm.random.normal(sm.random.key(K), (X.shape[0], 4))  # here


@refused("adds elements")
def padded() -> Any:
    return sm.pad(X, ((1, 0), (0, 0)))  # here


@refused("joins arrays")
def appended() -> Any:
    return sm.concat([X, X], axis=0)  # here


@refused(OWN)
def with_a_bias_row() -> Any:
    return sm.concat([X, sm.ones((1, 4))], axis=0)  # here


@refused("no multiple")
def square_of_the_size() -> Any:
    n = X.shape[0]
    return sm.sum(sm.ones((n * n,))) + sm.sum(X)  # here


@refused("no multiple")
def one_more_than_the_size() -> Any:
    return sm.zeros((X.shape[0] + 1,))  # here


@refused("reshape")
def mixed_by_a_reshape() -> Any:
    return sm.reshape(Z, (-1,))  # here


@refused("reshape")
def cut_into_pairs() -> Any:
    return sm.reshape(X, (-1, 2, 4))  # here


@refused("one after the other")
def recurrence_over_the_batch() -> Any:
    return sm.scan(lambda c, x: (sm.tanh(c + x), c), V, X)[0]  # here


@refused("round of communication in each step")
def descent_in_a_loop() -> Any:
    def step(w: Node) -> Node:
        return w - 0.1 * sm.sum(X * (X @ w)[:, None], axis=0)

    return sm.fori_loop(0, 3, lambda i, w: step(w), V)  # here


@refused("goes on depends")
def until_all_are_small() -> Any:
    return sm.while_loop(lambda x: sm.max(x) > 1, lambda x: x * 0.5, X)  # here


@refused(ROUND)
def branch_by_the_batch() -> Any:
    return sm.cond(sm.sum(X) > 0, lambda x: x, lambda x: -x, X)  # here


@refused("whole matrices")
def singular_values() -> Any:
    return sm.linalg.svdvals(X)  # here


@refused("solves equations")
def least_squares() -> Any:
    return sm.linalg.solve(Z.T, Z.T)  # here


@refused("windows")
def smoothed() -> Any:
    rows = sm.moveaxis(IMAGES, 0, 2)
    return sm.nn.avg_pool(rows, 2)  # here


@refused("selects by positions")
def lower_part() -> Any:
    return sm.tril(X)  # here


@refused("number of axes")
def of_unknown_rank() -> Any:
    return X * FREE  # here


@refused(ALONG)
def median() -> Any:
    return sm.median(X, axis=0)  # here


@refused("do not follow the order of chunks")
def position_in_rows() -> Any:
    return sm.argmax(Z)  # here


@pytest.mark.parametrize(("why", "build"), REFUSED, ids=[b.__name__ for _, b in REFUSED])
def test_refused_with_the_line(why: str, build: Build) -> None:
    outputs = build()
    with pytest.raises(DistributionError) as caught:
        split(sm.Graph(outputs if isinstance(outputs, list) else [outputs]), "batch")
    lines, first = inspect.getsourcelines(build)
    (here,) = [first + k for k, line in enumerate(lines) if line.rstrip().endswith("# here")]
    assert why in caught.value.message, str(caught.value)
    assert f"test_proof.py:{here}" in caught.value.where, str(caught.value)


# What may be computed in chunks


@accepted
def sums_of_each_kind() -> Any:
    return [sm.sum(X), sm.sum(X, axis=0), sm.sum(X, axis=1), sm.sum(X, axis=0, keepdims=True)]


@accepted
def means() -> Any:
    return [sm.mean(X), sm.mean(X, axis=0), sm.mean(X, axis=1), sm.mean(Z, axis=1), sm.mean(LABELS)]


@accepted
def loss_with_a_regulariser() -> Any:
    return sm.mean((net(X) - T) ** 2) + 0.1 * sm.sum(W**2)


@accepted
def its_gradient() -> Any:
    loss = sm.mean((net(X) - T) ** 2) + 0.1 * sm.sum(W**2)
    return [loss, sm.gradients(loss, W)]


@accepted
def its_hessian() -> Any:
    return sm.hessian(sm.mean((net(X) - T) ** 2) + 0.1 * sm.sum(W**4), W)


@accepted
def hessian_times_a_vector() -> Any:
    loss = sm.mean(sm.softplus(X @ V)) + sm.sum(V**4)
    return sm.hessian_vector_product(loss, V, sm.sin(V))


@accepted
def gauss_newton() -> Any:
    slopes = sm.vmap(lambda x: sm.gradients(sm.sum(net(x)), W))(X)
    return sm.einsum("nij,nkl->ijkl", slopes, slopes) / X.shape[0]


@accepted
def jacobian_of_sums() -> Any:
    return sm.jacobian(sm.sum(net(X), axis=0), W)


@accepted
def jacobian_of_all_by_columns() -> Any:
    return sm.jacobian(net(X), W, mode="forward")


@accepted
def per_example_gradients() -> Any:
    return sm.vmap(lambda x, t: sm.gradients(sm.sum((net(x) - t) ** 2), W))(X, T)


@accepted
def clipped_per_example_gradients() -> Any:
    each = sm.vmap(lambda x, t: sm.gradients(sm.sum((net(x) - t) ** 2), W))(X, T)
    norms = sm.sqrt(sm.sum(each**2, axis=(1, 2), keepdims=True))
    return sm.sum(each * sm.minimum(1, 1 / norms), axis=0) / X.shape[0]


@accepted
def gradient_for_each_example_of_a_mean() -> Any:
    return sm.gradients(sm.mean(net(X) ** 2), X)


@accepted
def classification() -> Any:
    loss = sm.nn.cross_entropy(net(X), LABELS)
    hits = sm.mean(sm.equal(sm.argmax(net(X), axis=1), LABELS))
    return [loss, hits, sm.gradients(loss, W)]


@accepted
def binary_classification() -> Any:
    loss = sm.nn.binary_cross_entropy_with_logits(X @ V, LABELS.astype("float64"))
    return [loss, sm.gradients(loss, V), sm.hessian(loss, V)]


@accepted
def losses_of_each_example() -> Any:
    return sm.nn.cross_entropy(net(X), LABELS, reduction="none")


@accepted
def other_losses() -> Any:
    return [sm.nn.huber(net(X), T), sm.nn.l1(net(X), T), sm.nn.kl_divergence(net(X), net(X) ** 2)]


@accepted
def variance() -> Any:
    return [sm.var(X), sm.var(X, axis=0, correction=1), sm.var(Z, axis=1, keepdims=True)]


@accepted
def deviation() -> Any:
    return [sm.std(X), sm.std(X, axis=0), sm.std(sm.tanh(Z), axis=1, correction=1)]


@accepted
def norms() -> Any:
    return [sm.linalg.norm(X), sm.linalg.norm(X, axis=0), sm.linalg.norm(X, 1, axis=0)]


@accepted
def extremes() -> Any:
    return [sm.max(X), sm.min(X, axis=0), sm.ptp(X, axis=0), sm.max(sm.abs(X)) * 2]


@accepted
def positions() -> Any:
    return [sm.argmax(X), sm.argmin(X, axis=0), sm.argmax(Z, axis=1, keepdims=True)]


@accepted
def probabilities() -> Any:
    return [sm.logsumexp(X, axis=0), sm.logsumexp(X @ V) - sm.log(sm.sum(V**2))]


@accepted
def truths() -> Any:
    return [sm.any(X > 2), sm.all(X > -9, axis=0), sm.count_nonzero(X > 0), sm.prod(X[:, 0])]


@accepted
def moments_of_second_order() -> Any:
    return X.T @ X / X.shape[0] + sm.eye(4)


@accepted
def covariance_from_sums() -> Any:
    mean = sm.mean(X, axis=0)
    return (X.T @ X) / X.shape[0] - sm.outer(mean, mean)


@accepted
def normal_equations() -> Any:
    return sm.linalg.solve(X.T @ X + sm.eye(4), X.T @ T)


@accepted
def einsums() -> Any:
    return [
        sm.einsum("nd,ne,de->", X, X, sm.outer(V, V)),
        sm.einsum("nd,dk->kn", X, W),
        sm.einsum("...d,d->...", X, V),
        sm.tensordot(X, Z, axes=(0, 1)),
    ]


@accepted
def normalised_features() -> Any:
    return [sm.softmax(X), sm.nn.layer_norm(X, V, V), sm.cumsum(X, axis=1), sm.sort(X, axis=1)]


@accepted
def dimension_second() -> Any:
    loss = sm.mean(sm.tanh(W[:3].T @ Z) ** 2)
    return [loss, sm.gradients(loss, W), sm.sum(Z, axis=0)]


@accepted
def two_inputs_on_different_axes() -> Any:
    return [X.T * Z[0], Z @ X, sm.sum(X * Z.T[:, :1])]


@accepted
def masked() -> Any:
    mask = (LABELS > 0)[:, None]
    return sm.sum(sm.where(mask, X, 0), axis=0) / sm.maximum(sm.sum(mask), 1)


@accepted
def masked_gradient() -> Any:
    mask = X @ V > 0
    return sm.gradients(sm.sum(sm.where(mask, sm.sqrt(sm.abs(X @ V)), 0)), V)


@accepted
def weighted_mean() -> Any:
    weights = sm.exp(X[:, 0])
    return sm.sum(weights * X[:, 1]) / sm.sum(weights)


@accepted
def shares_that_are_summed() -> Any:
    shares = X / sm.sum(sm.abs(X))
    return [sm.sum(shares @ W, axis=0), sm.sum(shares * 2 + shares @ W @ W.T)]


@accepted
def shares_times_other_sums() -> Any:
    total, most = sm.sum(sm.abs(X)), sm.max(X)
    shares = X / total
    made = most * shares + shares * most / sm.sum(LABELS) + most * (3.0 / (X**2 + 1)) - -shares
    return [sm.sum(made, axis=0), sm.sum(total / (X**2 + 1))]


@accepted
def shares_that_broadcast() -> Any:
    total, most = sm.sum(sm.abs(X)), sm.max(X)
    both = X[:, :1] / total + X / most
    chosen = sm.where(X > 0, X[:, :1] / total, 0) - X * most
    return [sm.sum(both, axis=0), sm.sum(both), sm.sum(chosen @ W, axis=0), sm.mean(chosen, axis=0)]


@accepted
def gradient_of_a_masked_mean() -> Any:
    mask = LABELS > 0
    losses = sm.sum((net(X) - T) ** 2, axis=1)
    loss = sm.sum(sm.where(mask, losses, 0)) / sm.sum(mask)
    return [loss, sm.gradients(loss, W)]


@accepted
def gradient_of_a_weighted_mean() -> Any:
    weights = sm.exp(X @ V)
    loss = sm.sum(weights * sm.sum(net(X), axis=1)) / sm.sum(weights)
    return [loss, *sm.gradients(loss, [V, W])]


@accepted
def gradient_of_a_root_of_the_loss() -> Any:
    loss = sm.sqrt(sm.mean((net(X) - T) ** 2)) + sm.sum(W**2)
    return [loss, sm.gradients(loss, W)]


@accepted
def gradient_of_a_norm_of_largest_features() -> Any:
    total = sm.mean(sm.max(X * V, axis=1) ** 2)
    return [sm.gradients(sm.sqrt(total), V), sm.gradients(sm.log(sm.sum(X * V)) ** 2, V)]


@accepted
def masked_mean_of_mapped_losses() -> Any:
    losses = sm.vmap(lambda x, t: sm.sum((net(x) - t) ** 2))(X, T)
    mask = LABELS > 0
    loss = sm.sum(sm.where(mask, losses, 0)) / sm.sum(mask)
    return [loss, sm.gradients(loss, W)]


@accepted
def logarithm_of_a_recurrence() -> Any:
    steps = sm.constant(RNG.normal(size=(3, 4)))
    last, each = sm.scan(lambda c, e: (sm.tanh(c * V + e), sm.sum(c**2, axis=1)), X, steps)
    loss = sm.log(sm.mean(last**2)) + sm.sqrt(sm.mean(each))
    return [loss, sm.gradients(loss, V)]


@accepted
def root_of_a_loss_with_a_branch() -> Any:
    chosen = sm.cond(sm.sum(V) > 0, lambda x: sm.sin(x * V), lambda x: x * V * 2, X)
    last = sm.while_loop(lambda c: c[1] < K, lambda c: (c[0] * V, c[1] + 1), (chosen, 0))[0]
    return sm.gradients(sm.sqrt(sm.mean(last**2)), V)


@accepted
def gradient_of_the_square_of_the_loss() -> Any:
    return sm.gradients(sm.mean(sm.softplus(net(X))) ** 2, W)


@accepted
def gradient_of_a_square_and_of_a_sum() -> Any:
    h = net(X)
    loss = sm.mean(h**2)
    return sm.gradients(loss**2 + sm.sum(h) + sm.sum(W**2), W)


@accepted
def gradient_of_a_product_of_losses() -> Any:
    h = net(X)
    first, second = sm.mean(h**2), sm.mean(sm.abs(h - T))
    return sm.gradients(sm.log(first) * second / (1 + first * second), W)


@accepted
def gradient_of_a_deep_network_under_a_logarithm() -> Any:
    h = sm.relu(sm.softmax(net(X)) @ W.T)
    picked = sm.take_along_axis(h, LABELS[:, None], axis=1)
    return sm.gradients(sm.log(sm.mean(picked[:, 0] ** 2) + sm.sum(V**2)), [V, W])


@accepted
def embedding() -> Any:
    rows = W[LABELS]
    return [rows, sm.gradients(sm.sum(sm.sin(rows) * T), W)]


@accepted
def picked_by_labels() -> Any:
    chosen = sm.take_along_axis(X, LABELS[:, None], axis=1)
    return [chosen, sm.gradients(sm.sum(chosen**2), X)]


@accepted
def picked_by_positions() -> Any:
    n = X.shape[0]
    chosen = sm.log_softmax(net(X))[sm.arange(n), LABELS]
    return [chosen, sm.gradients(-sm.mean(chosen), W), sm.set_at(X, (sm.arange(n), LABELS), 0.0)]


@accepted
def one_hot() -> Any:
    return sm.sum(sm.one_hot(LABELS, 2), axis=0)


@accepted
def histogram_by_scatter() -> Any:
    return sm.scatter_add(X[:, 0], sm.zeros(3), LABELS)


@accepted
def columns() -> Any:
    return [X[:, 1], X[:, ::-1], X[..., :2], X[:, [0, 0, 3]], X[:, None, 2:], X[:, :K]]


@accepted
def flattened() -> Any:
    flat = sm.reshape(X, (-1,))
    return [sm.sum(flat * flat), flat, sm.mean(flat), sm.reshape(flat, (X.shape[0], 4)) * X]


@accepted
def batches_of_images() -> Any:
    flat = sm.reshape(IMAGES, (IMAGES.shape[0], -1))
    return [sm.mean(flat @ sm.ones((36, 2)), axis=0), sm.nn.max_pool(IMAGES, 2)]


@accepted
def convolution() -> Any:
    kernel = sm.reshape(W, (2, 1, 2, 2))
    loss = sm.mean(sm.relu(sm.nn.conv(IMAGES, kernel)))
    return [loss, sm.gradients(loss, W)]


@accepted
def sizes() -> Any:
    n = X.shape[0]
    return [sm.sum(X) / n, X * n, sm.size(X) * V, sm.zeros((n, 2)) + T, sm.full((n,), V[0])]


@accepted
def joined_features() -> Any:
    ones = sm.ones((X.shape[0], 1))
    return [sm.concat([X, T], axis=1), sm.stack([X, X * 2]), sm.concat([X, ones], axis=1)]


@accepted
def recurrence_for_each_example() -> Any:
    steps = sm.constant(RNG.normal(size=(3, 4)))
    last, all_steps = sm.scan(lambda c, e: (sm.tanh(c * V + e), sm.sum(c**2)), X, steps)
    return [last, all_steps, sm.gradients(sm.sum(last), V)]


@accepted
def recurrence_over_time_axis() -> Any:
    rows = sm.moveaxis(IMAGES[:, 0], 1, 0)
    last, _ = sm.scan(lambda h, x: (sm.tanh(h + x), None), rows[0] * 0, rows)
    return [sm.mean(last), sm.gradients(sm.mean(last), IMAGES)]


@accepted
def hessian_through_a_loop() -> Any:
    last = sm.fori_loop(0, 3, lambda i, c: sm.sin(c * V), X)
    return sm.hessian(sm.mean(last**2), V)


@accepted
def known_number_of_steps() -> Any:
    return sm.while_loop(lambda c: c[1] < K, lambda c: (c[0] * V, c[1] + 1), (X, 0))[0]


@accepted
def sums_in_a_loop() -> Any:
    return sm.fori_loop(0, 3, lambda i, c: c + sm.sum(X * V, axis=0) * (i + 1), sm.zeros(4))


@accepted
def branch_by_a_parameter() -> Any:
    y = sm.cond(V[0] > 0, lambda x: sm.sum(x * V), lambda x: sm.sum(x), X)
    return [y, sm.gradients(y, V)]


@accepted
def custom_function() -> Any:
    f = sm.custom(lambda x, v: sm.mean(x @ v) ** 2 + sm.sum(v), name="f")
    return f(X, V)


@accepted
def map_over_features() -> Any:
    return sm.vmap(lambda column: sm.mean(column) ** 2 + sm.max(column), in_axes=1)(X)


@accepted
def map_over_weights() -> Any:
    made = sm.vmap(lambda w: sm.log(sm.sum(sm.exp(X @ w))) + sm.sum(w), in_axes=1)(W)
    return [made, sm.vmap(lambda w: X @ w, in_axes=1)(W), sm.vmap(lambda w: w * 2)(W)]


@accepted
def map_of_statistics() -> Any:
    return [sm.vmap(sm.var, in_axes=1)(X), sm.vmap(sm.argmax, in_axes=1)(X)]


@accepted
def matrices_of_each_example() -> Any:
    stack = IMAGES[:, 0] + 9 * sm.eye(6)
    return [sm.linalg.det(stack), sm.linalg.inv(stack), sm.mean(sm.linalg.slogdet(stack)[1])]


@accepted
def systems_with_shared_matrix() -> Any:
    return sm.linalg.solve(sm.eye(3) * 2, Z)


@accepted
def structures() -> Any:
    made = sm.structure({"sum": sm.sum(X), "rows": X * 2})
    return [made["sum"] ** 2, made["rows"]]


@accepted
def structures_as_results() -> Any:
    return sm.structure({"sum": sm.sum(X), "rows": [X * 2, W]})


@accepted
def gradient_through_a_structure() -> Any:
    made = sm.identity(sm.structure((X @ V, V * 2)))
    return sm.gradients(sm.sum(made[0] ** 2) + sm.sum(made[1] ** 2), V)


@accepted
def sums_of_whole_positions() -> Any:
    return [sm.sum(sm.arange(X.shape[0])), sm.sum(X)]


@accepted
def multiples_of_the_size() -> Any:
    n = X.shape[0]
    return [sm.sum(sm.ones((n * 4,)) * sm.ravel(X)), sm.ones((2, n)) * Z[:2]]


@accepted
def stacked_sums() -> Any:
    return sm.stack([sm.sum(X), sm.max(X), sm.sum(V)]) / sm.mean(X**2)


@accepted
def only_the_weights() -> Any:
    return [sm.sum(W) * 2, sm.sum(X)]


@accepted
def values_of_another_dtype() -> Any:
    y = X.astype("float32")
    return [sm.mean(y.astype("float16")), sm.sum(y, axis=0), sm.sum(X > 0, axis=0), sm.mean(y)]


def next_token_losses() -> Node:
    """Return those of a small transformer, for all tokens but the first."""
    h = sm.nn.embedding(TOKENS, sm.concat([W, W**2], axis=1))
    mask = sm.tri(TOKENS.shape[1], dtype="bool")
    mixed = sm.softmax(sm.where(mask, h @ h.mT, -np.inf)) @ h
    logits = sm.nn.layer_norm(h + mixed, V, V)[:, :-1]
    targets = sm.reshape(TOKENS[:, 1:], (-1,))
    return sm.nn.cross_entropy(sm.reshape(logits, (-1, 4)), targets, reduction="none")


@accepted
def transformer() -> Any:
    loss = sm.mean(next_token_losses())
    return [loss, *sm.gradients(loss, [V, W])]


@accepted
def transformer_on_some_tokens() -> Any:
    kept = sm.reshape(TOKENS[:, 1:], (-1,)) > 1
    loss = sm.sum(sm.where(kept, next_token_losses(), 0)) / sm.sum(kept)
    return [loss, *sm.gradients(loss, [V, W])]


@accepted
def recurrence_with_checkpoints() -> Any:
    start, rows = sm.zeros((SERIES.shape[0], 4)), sm.moveaxis(SERIES, 1, 0)
    last, _ = sm.scan(lambda h, x: (sm.tanh(h * V + x), None), start, rows, checkpoint=2)
    return sm.gradients(sm.mean(last**2), V)


@accepted
def convolution_over_time() -> Any:
    made = sm.nn.conv(sm.moveaxis(SERIES, 2, 1), sm.reshape(W, (2, 4, 1)))
    return [sm.mean(made), sm.gradients(sm.mean(sm.relu(made)), W)]


@pytest.mark.parametrize("build", ACCEPTED, ids=[build.__name__ for build in ACCEPTED])
def test_accepted_and_right(build: Build) -> None:
    outputs = build()
    graph = sm.Graph(outputs if isinstance(outputs, list) else [outputs, sm.sum(X)])
    assert check_in_chunks(graph, [VALUES[x] for x in graph.inputs]), split(graph, "batch")
