"""symad.demo: readers, models and training, against NumPy written by hand, JAX and real digits."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.demo import models, run, training
from symad.demo.data import load_digits, parse_mnist
from symad.demo.idx import DataError, read_idx
from symad.errors import FeedError, MissingExtraError

Array = np.ndarray[Any, Any]
MNIST = Path(
    os.environ.get("SYMAD_MNIST")
    or Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist"
)


def idx_bytes(array: Array, code: int, sizes: tuple[int, ...] | None = None) -> bytes:
    """Return an IDX file; ``sizes`` overrides what its header says."""
    sizes = array.shape if sizes is None else sizes
    header = struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10
LABELS = np.array([7, 2], np.uint8)
IMAGE_FILE = idx_bytes(PIXELS, 0x08)
LABEL_FILE = idx_bytes(LABELS, 0x08)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write_file(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


@pytest.fixture(scope="session")
def mnist() -> tuple[Array, Array]:
    images, labels = MNIST / "t10k-images-idx3-ubyte.gz", MNIST / "t10k-labels-idx1-ubyte.gz"
    if not images.exists():
        pytest.skip("the MNIST test digits are not at hand: set SYMAD_MNIST to their folder")
    return parse_mnist(images, labels)


# ---- readers


def packed(data: bytes) -> bytes:
    """Return gzip data without the time, so that all workers name the tests alike."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("pack", [packed, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize(
    "code, dtype",
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_read_idx_returns_what_was_written(
    write: Any, code: int, dtype: str, pack: Callable[[bytes], bytes]
) -> None:
    array = np.array([[1, 2, 3], [-4, 5, 100]]).astype(dtype)
    found = read_idx(write("a.idx", pack(idx_bytes(array, code))))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.dtype(dtype) and found.dtype.isnative and found.flags.writeable


def test_read_idx_of_an_empty_array(write: Any) -> None:
    assert read_idx(write("a", idx_bytes(np.zeros((0, 3), np.uint8), 0x08))).shape == (0, 3)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "cannot begin with"),
        (b"<html>not found</html>", "cannot begin with the bytes b'<htm'"),
        (b"\0\0\x07\x01" + bytes(8), "cannot begin with"),
        (IMAGE_FILE[:10], "ends inside its header"),
        (IMAGE_FILE[:-1], r"shape \(2, 3, 4\), 24 bytes, but only 23 follow"),
        (IMAGE_FILE + b"\0", "has data after its array"),
        (packed(IMAGE_FILE + b"\0"), "has data after its array"),
        (packed(IMAGE_FILE)[:-9], "gzip data is damaged or truncated"),
        (packed(IMAGE_FILE)[:-5] + b"\0" + packed(IMAGE_FILE)[-4:], "gzip data"),
        (b"\x1f\x8b", "gzip data is damaged or truncated"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "declares 255 axes"),
        (idx_bytes(PIXELS[:0], 0x08, (0, 2**32 - 1, 2**32 - 1)), "impossible shape"),
    ],
)
def test_damaged_idx_files_are_refused(write: Any, content: bytes, message: str) -> None:
    path = write("digits.gz", content)
    with pytest.raises(DataError, match=message) as failure:
        read_idx(path)
    assert str(path) in str(failure.value) and failure.value.remedy
    assert isinstance(pickle.loads(pickle.dumps(failure.value)), DataError)


@pytest.mark.parametrize("pack", [packed, bytes], ids=["gzip", "plain"])
def test_a_lying_header_takes_no_memory(write: Any, pack: Callable[[bytes], bytes]) -> None:
    path = write("liar", pack(idx_bytes(PIXELS, 0x0E, (2**31, 2**10))))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="17592186044416 bytes, but only 24 follow"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_parse_mnist(write: Any) -> None:
    images, labels = parse_mnist(
        write("images.gz", packed(IMAGE_FILE)), write("labels.gz", packed(LABEL_FILE))
    )
    assert images.dtype == np.float32 and labels.dtype == np.uint8
    np.testing.assert_array_equal(images, PIXELS.reshape(2, 12).astype(np.float32) / 255)
    np.testing.assert_array_equal(labels, LABELS)


def test_parse_mnist_refuses_swapped_files(write: Any) -> None:
    images, labels = write("images", IMAGE_FILE), write("labels", LABEL_FILE)
    with pytest.raises(DataError, match="magic number 2049, but 2051 is needed") as failure:
        parse_mnist(labels, images)
    assert "labels have 2049" in failure.value.remedy


def test_parse_mnist_refuses_counts_that_differ(write: Any) -> None:
    labels = write("labels", idx_bytes(np.zeros(3, np.uint8), 0x08))
    with pytest.raises(DataError, match="has 2 images, but .* has 3 labels"):
        parse_mnist(write("images", IMAGE_FILE), labels)


def test_parse_mnist_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        parse_mnist(tmp_path / "nowhere", tmp_path / "nowhere")


def test_the_real_mnist_digits(mnist: tuple[Array, Array]) -> None:
    images, labels = mnist
    assert images.shape == (10_000, 784) and images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert abs(float(images.mean(dtype=np.float64)) - 0.132515) < 1e-6


def test_load_digits_splits_in_the_same_way_each_time() -> None:
    digits, again = load_digits(), load_digits()
    np.testing.assert_array_equal(digits.held_out_images, again.held_out_images)
    assert digits.train_images.shape == (1438, 64) and digits.held_out_images.shape == (359, 64)
    assert digits.train_images.dtype == np.float32 and digits.train_images.max() == 1
    counts = np.bincount(digits.train_labels) + np.bincount(digits.held_out_labels)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_load_digits_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "symad\[demo\]"'):
        load_digits()


# ---- losses and models


def softmax_rows(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def random_batch(count: int, pixels: int, classes: int = 10) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    images = rng.uniform(0, 1, (count, pixels)).astype(np.float32)
    return images, rng.integers(0, classes, count).astype(np.uint8)


def test_softmax_loss_of_zero_logits_is_ln_10() -> None:
    logits, labels = sm.Variable("z", ("batch", 10)), sm.Variable("y", ("batch",), "int64")
    loss = models.softmax_loss(logits, labels)
    assert f"{loss.eval({logits: np.zeros((6, 10)), labels: np.arange(6)}):.6f}" == "2.302585"


def test_softmax_loss_and_gradient_at_huge_logits() -> None:
    z = np.array([[1000.0, 0.0, -1000.0], [0.0, 800.0, 800.0]])
    y = np.array([1, 2])
    logits, labels = sm.Variable("z", (2, 3)), sm.Variable("y", (2,), "int64")
    loss = models.softmax_loss(logits, labels)
    value, slope = sm.compile([logits, labels], [loss, sm.gradients(loss, logits)])(z, y)
    assert value == pytest.approx((1000 + np.log(2)) / 2, rel=1e-14)
    np.testing.assert_allclose(slope, (softmax_rows(z) - np.eye(3)[y]) / 2, atol=1e-15)


def test_cross_entropy_of_softmax_is_the_softmax_loss() -> None:
    z = np.random.default_rng(0).normal(0, 3, (5, 4))
    logits, labels = sm.constant(z), sm.constant([0, 3, 1, 2, 2])
    layered = models.cross_entropy(sm.softmax(logits, axis=1), labels).eval()
    np.testing.assert_allclose(layered, models.softmax_loss(logits, labels).eval(), rtol=1e-13)


def test_accuracy() -> None:
    logits = sm.constant([[3.0, 1.0], [0.0, 1.0], [2.0, 1.0], [0.0, 5.0]])
    assert models.accuracy(logits, sm.constant([0, 1, 1, 1])).eval() == 0.75


def sgd_by_hand(x: Array, y: Array, w1: Array, w2: Array, rate: float, batch: int) -> Any:
    """One epoch on ReLU(X W1) W2 in plain NumPy."""
    for start in range(0, len(x), batch):
        rows, labels = x[start : start + batch], y[start : start + batch]
        hidden = np.maximum(rows @ w1, 0)
        slope = softmax_rows(hidden @ w2) - np.eye(w2.shape[1], dtype=w2.dtype)[labels]
        slope /= len(rows)
        back = (slope @ w2.T) * (hidden > 0)
        w1, w2 = w1 - rate * (rows.T @ back), w2 - rate * (hidden.T @ slope)
    return w1, w2


@pytest.mark.parametrize("batch", [100, 32, 250, 1000], ids=lambda n: f"batch {n}")
def test_nn_epoch_equals_numpy_by_hand(batch: int) -> None:
    x, y = random_batch(250, 30)
    w1, w2 = (weight.astype(np.float64) for weight in models.initial_weights(30, 20, 10))
    kept = w1.copy()
    found = training.nn_epoch(x.astype(np.float64), y, w1, w2, learning_rate=0.2, batch=batch)
    expected = sgd_by_hand(x.astype(np.float64), y, w1, w2, 0.2, batch)
    for new, by_hand in zip(found, expected, strict=True):
        np.testing.assert_allclose(new, by_hand, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(w1, kept)


def test_nn_epoch_stays_in_float32() -> None:
    x, y = random_batch(250, 30)
    w1, w2 = models.initial_weights(30, 20, 10)
    found = training.nn_epoch(x, y, w1, w2, learning_rate=0.2, batch=100)
    for new, by_hand in zip(found, sgd_by_hand(x, y, w1, w2, 0.2, 100), strict=True):
        assert new.dtype == np.float32
        np.testing.assert_allclose(new, by_hand, rtol=1e-4, atol=1e-6)


def test_softmax_regression_epoch_equals_numpy_by_hand() -> None:
    x, y = random_batch(230, 12)
    weights = np.zeros((12, 10))
    found = training.softmax_regression_epoch(x.astype(np.float64), y, weights, 0.5, 100)
    for start in range(0, 230, 100):
        rows, labels = x[start : start + 100].astype(np.float64), y[start : start + 100]
        slope = softmax_rows(rows @ weights) - np.eye(10)[labels]
        weights = weights - 0.5 * rows.T @ slope / len(rows)
    np.testing.assert_allclose(found, weights, rtol=1e-12, atol=1e-15)


def test_run_epoch_returns_the_mean_loss_per_image() -> None:
    x, y = random_batch(7, 5)
    model = models.softmax_regression(np.zeros((5, 10), np.float32))
    step = training.gradient_step(model, learning_rate=0.0)
    assert training.run_epoch(step, x, y, batch=3) == pytest.approx(np.log(10), rel=1e-6)


@pytest.mark.parametrize("images, labels, batch", [(3, 2, 1), (0, 0, 1), (3, 3, 0)])
def test_run_epoch_refuses_what_makes_no_batches(images: int, labels: int, batch: int) -> None:
    model = models.softmax_regression(np.zeros((5, 10), np.float32))
    step = training.gradient_step(model, 0.1)
    with pytest.raises(FeedError, match="cannot make batches"):
        x, y = np.zeros((images, 5), np.float32), np.zeros(labels, np.uint8)
        training.run_epoch(step, x, y, batch)
    assert not model.parameters[0].value.any()


def test_the_gradients_of_the_regularised_network_are_those_of_the_text() -> None:
    rng = np.random.default_rng(5)
    w1, w2 = rng.normal(size=(6, 8)), rng.normal(size=(10, 6))
    x, y, strength = rng.normal(size=(8, 4)), np.array([1, 0, 9, 1]), 0.3
    model = models.regularised_network(w1, w2, strength)
    loss, (slope1, slope2) = sm.compile(
        [model.images, model.labels], (model.loss, sm.gradients(model.loss, model.parameters))
    )(x, y)
    h = np.maximum(w1 @ x, 0)
    o = w2 @ h
    o_bar = (softmax_rows(o.T) - np.eye(10)[y]).T / 4
    z_bar = (w2.T @ o_bar) * (h > 0)
    np.testing.assert_allclose(slope2, o_bar @ h.T + strength * w2, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(slope1, z_bar @ x.T + strength * w1, rtol=1e-11, atol=1e-13)
    data_loss = -np.log(softmax_rows(o.T)[np.arange(4), y]).mean()
    penalty = strength / 2 * ((w1**2).sum() + (w2**2).sum())
    assert loss == pytest.approx(data_loss + penalty, rel=1e-12)


def test_the_regularised_network_is_drawn_with_squares_and_circles() -> None:
    weights1, weights2 = (weight.T for weight in models.initial_weights(6, 4, 3))
    model = models.regularised_network(weights1, weights2, 0.1)
    drawing = sm.draw(model.loss)

    def shape(node: sm.Node) -> str:
        found = re.search(rf'\b{drawing.ids[node]} \[.*? shape="?(\w+)', drawing.source)
        assert found, f"{node} is drawn"
        return found[1]

    for variable in (model.images, model.labels, *model.parameters):
        assert shape(variable) in ("box", "square")
    operations = [node for node in sm.Graph([model.loss]).nodes if node.op is not None]
    assert {shape(node) for node in operations} <= {"ellipse", "oval", "circle"}
    assert "loss" in drawing.source and "penalty" in drawing.source


def test_the_gradients_of_the_layered_network_agree_with_jax() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    images, y = random_batch(64, 784)
    x = models.with_ones(images)
    w1, w2 = models.initial_weights(785, 100, 10)

    def jax_loss(w1: Any, w2: Any) -> Any:
        p = jax.nn.softmax(jax.nn.relu(x @ w1) @ w2, axis=1)
        return -jnp.log(p)[jnp.arange(64), y].mean()

    model = models.layered_network(w1, w2)
    loss, slopes = sm.compile(
        [model.images, model.labels], (model.loss, sm.gradients(model.loss, model.parameters))
    )(x, y)
    expected_loss, expected = jax.value_and_grad(jax_loss, argnums=(0, 1))(w1, w2)
    np.testing.assert_allclose(loss, expected_loss, rtol=2e-6)
    for slope, by_jax in zip(slopes, expected, strict=True):
        assert slope.dtype == np.float32
        np.testing.assert_allclose(slope, by_jax, rtol=1e-4, atol=2e-6 * np.abs(by_jax).max())


# ---- learning


def test_full_batch_descent_reports_each_epoch(mnist: tuple[Array, Array]) -> None:
    images, labels = models.with_ones(mnist[0][:1000]), mnist[1][:1000]
    model = models.layered_network(*models.initial_weights(785, 100, 10))
    lines: list[str] = []
    history = training.full_batch_descent(
        model, images, labels, learning_rate=0.2, report=lines.append
    )
    losses = [loss for loss, _ in history]
    assert len(lines) == len(losses) == 50
    assert lines[0] == f"epoch  1: loss {losses[0]:.4f}, accuracy {history[0][1]:.1%}"
    assert losses[0] == pytest.approx(np.log(10), abs=0.2)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.4 and history[-1][1] > 0.9


def test_mnist_is_learnt(mnist: tuple[Array, Array]) -> None:
    images, labels = mnist
    model = models.two_layer_network(*models.initial_weights(784, 100, 10))
    step = training.gradient_step(model, learning_rate=0.4)
    for _ in range(3):
        training.run_epoch(step, images[:8000], labels[:8000], batch=50)
    right = sm.compile([model.images, model.labels], models.accuracy(model.logits, model.labels))
    assert right(images[8000:], labels[8000:]) > 0.93


def test_softmax_regression_learns_mnist_in_one_epoch(mnist: tuple[Array, Array]) -> None:
    images, labels = mnist
    zeros = np.zeros((784, 10), np.float32)
    weights = training.softmax_regression_epoch(images[:8000], labels[:8000], zeros)
    assert np.mean((images[8000:] @ weights).argmax(axis=1) == labels[8000:]) > 0.87


def test_logistic_regression_equals_numpy_by_hand() -> None:
    digits = load_digits()
    x = digits.train_images.astype(np.float64)
    y = (digits.train_labels == 0).astype(np.float64)
    weights, losses = training.logistic_regression(x, y, learning_rate=0.5, steps=60)
    by_hand = np.zeros(x.shape[1])
    for _ in range(60):
        by_hand = by_hand - 0.5 * x.T @ (1 / (1 + np.exp(-x @ by_hand)) - y) / len(x)
    np.testing.assert_allclose(weights, by_hand, rtol=1e-10, atol=1e-13)
    assert losses[0] == pytest.approx(np.log(2)) and losses == sorted(losses, reverse=True)
    is_zero = digits.held_out_images @ weights > 0
    assert np.mean(is_zero == (digits.held_out_labels == 0)) > 0.97


# ---- the demo itself


def test_the_demo_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.run_demo(tmp_path / "out") == 0
    printed, warned = capsys.readouterr()
    assert not warned, "no progress bar where nobody watches"
    for step in ("v7 = v6 − v5 = 11.652", "v̇7 = v̇6 − v̇5 = 5.5", "−0.284 + 2 = 1.716"):
        assert step in printed
    assert "10,000 calls" in printed and "µs per call" in printed
    assert "epoch  10: loss" in printed
    for name in ("forward.svg", "forward.png", "extended.svg", "extended.png", "loss.png"):
        path = tmp_path / "out" / name
        assert f"saved {path}" in printed
        start = path.read_bytes()[:200]
        assert start.startswith(b"\x89PNG") if path.suffix == ".png" else b"<?xml" in start


def test_the_digits_are_learnt_to_the_goal(capsys: pytest.CaptureFixture[str]) -> None:
    history = run.learn_digits(load_digits())
    assert history.accuracy[-1] >= run.GOAL == 0.95
    assert history.train_loss[-1] < 0.1 < history.train_loss[0]


def test_the_demo_fails_if_too_little_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("show_traces", "time_calls"):
        monkeypatch.setattr(run, stage, lambda: None)
    monkeypatch.setattr(run, "draw_graphs", lambda folder: None)
    monkeypatch.setattr(run, "learn_digits", lambda digits: run.History([1.0], [1.0], [0.9]))
    assert run.run_demo(tmp_path) == 1
    assert "below the goal of 95%" in capsys.readouterr().err


def test_the_loss_curve_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'pip install "symad\[demo\]"'):
        run.plot_losses(run.History(), tmp_path / "loss.png")


def test_a_progress_bar_where_somebody_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run.learn_digits(load_digits(), epochs=2)
    printed, shown = capsys.readouterr()
    assert "training" in shown and "2/2" in shown and "accuracy=" in shown
    assert "epoch   1" not in printed


def test_a_training_without_tqdm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run.learn_digits(load_digits(), epochs=1)
    printed, shown = capsys.readouterr()
    assert not shown and "epoch   1: loss" in printed
