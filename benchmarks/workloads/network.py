"""One step of gradient descent of ReLU(X W1) W2 with the softmax loss; weights are kept.

Images and labels are NumPy arrays, the loss is returned as a number, and the weights stay where the
library keeps its state.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Implementation, Target, Workload
from benchmarks.workloads.cross_entropy import by_hand as cross_entropy
from benchmarks.workloads.cross_entropy import (
    in_autograd,
    in_jax,
    in_pytensor,
    in_symad,
    in_torch,
)

RATE = np.float32(0.01)


def inputs(batch: int, pixels: int, hidden: int, classes: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    images = rng.random((batch, pixels), np.float32)
    labels = rng.integers(0, classes, batch)
    first = rng.standard_normal((pixels, hidden), np.float32) * np.float32(np.sqrt(2 / pixels))
    second = rng.standard_normal((hidden, classes), np.float32) * np.float32(np.sqrt(2 / hidden))
    return images, labels, first, second


def step_by_hand(images: Any, labels: Any, first: Any, second: Any) -> Any:
    """Update the weights in place and return the loss."""
    hidden = np.maximum(images @ first, 0)
    loss, logits_adjoint = cross_entropy(hidden @ second, labels)
    hidden_adjoint = (logits_adjoint @ second.T) * (hidden > 0)
    second -= RATE * (hidden.T @ logits_adjoint)
    first -= RATE * (images.T @ hidden_adjoint)
    return loss


def one_step(images: Any, labels: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Return the loss and the weights after a step, without changing the given weights."""
    first, second = first.copy(), second.copy()
    return step_by_hand(images, labels, first, second), first, second


def in_numpy(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
    weights = first.copy(), second.copy()

    def call(images: Any, labels: Any) -> Any:
        return step_by_hand(images, labels, *weights)

    return Implementation(call, (images, labels), lambda loss: [loss, *weights])


def products_alone(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
    """The five matrix products of the step and nothing else, into preallocated arrays."""
    hidden, logits = images @ first, images @ first @ second
    hidden_adjoint = logits @ second.T
    slopes = np.empty_like(first), np.empty_like(second)

    def call(images: Any) -> None:
        np.matmul(images, first, out=hidden)
        np.matmul(hidden, second, out=logits)
        np.matmul(logits, second.T, out=hidden_adjoint)
        np.matmul(hidden.T, logits, out=slopes[1])
        np.matmul(images.T, hidden_adjoint, out=slopes[0])

    # It has no answer of its own: the implementation that is compared with it is checked.
    return Implementation(call, (images,), lambda _: one_step(images, labels, first, second))


def symad_step(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
    import symad as sm

    x = sm.Variable("X", ("batch", images.shape[1]), images.dtype)
    y = sm.Variable("y", ("batch",), labels.dtype)
    weights = sm.parameter("W1", first), sm.parameter("W2", second)
    loss = in_symad(sm, sm.relu(x @ weights[0]) @ weights[1], y)
    slopes = sm.gradients(loss, weights)
    updates = {w: w - RATE * slope for w, slope in zip(weights, slopes, strict=True)}
    step = sm.compile([x, y], loss, updates=updates)
    return Implementation(step, (images, labels), lambda loss: [loss, *(w.value for w in weights)])


def jax_step(on_device: bool) -> Builder:
    def build(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
        import jax
        import jax.numpy as jnp

        def loss_of(weights: Any, x: Any, y: Any) -> Any:
            return in_jax(jnp, jnp.maximum(x @ weights[0], 0) @ weights[1], y)

        def updated(weights: Any, x: Any, y: Any) -> Any:
            loss, slopes = jax.value_and_grad(loss_of)(weights, x, y)
            return loss, [w - RATE * slope for w, slope in zip(weights, slopes, strict=True)]

        step = jax.jit(updated, donate_argnums=0)
        weights = [jnp.array(first), jnp.array(second)]

        def call(images: Any, labels: Any) -> Any:
            nonlocal weights
            loss, weights = step(weights, images, labels)
            for weight in weights:
                weight.block_until_ready()  # the step is done when its weights exist
            return np.asarray(loss)

        fed = [jnp.asarray(images), jnp.asarray(labels)] if on_device else (images, labels)
        return Implementation(call, fed, lambda loss: [loss, *map(np.array, weights)])

    return build


def torch_step(compiled: bool) -> Builder:
    def build(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
        import torch

        weights = [torch.tensor(w, requires_grad=True) for w in (first, second)]

        def loss_of(x: Any, y: Any) -> Any:
            return in_torch(torch, torch.relu(x @ weights[0]) @ weights[1], y)

        run = torch.compile(loss_of, fullgraph=True) if compiled else loss_of

        def call(images: Any, labels: Any) -> Any:
            loss = run(torch.from_numpy(images), torch.from_numpy(labels))
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, slope in zip(weights, slopes, strict=True):
                    weight.sub_(slope, alpha=float(RATE))
            return loss.detach().numpy()

        return Implementation(
            call, (images, labels), lambda loss: [loss, *(w.detach().numpy() for w in weights)]
        )

    return build


def pytensor_step(linker: str | None) -> Builder:
    def build(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
        import pytensor
        import pytensor.tensor as pt

        x = pt.tensor("X", dtype="float32", shape=(None, images.shape[1]))
        y = pt.tensor("y", dtype="int64", shape=(None,))
        weights = [pytensor.shared(w, shape=w.shape) for w in (first, second)]
        loss = in_pytensor(pt, pt.maximum(x @ weights[0], np.float32(0)) @ weights[1], y)
        slopes = pytensor.grad(loss, weights)
        updates = [(w, w - RATE * slope) for w, slope in zip(weights, slopes, strict=True)]
        mode = pytensor.compile.mode.Mode(linker=linker, optimizer="fast_run") if linker else None
        step = pytensor.function([x, y], loss, updates=updates, mode=mode)
        step.trust_input = True
        return Implementation(
            step, (images, labels), lambda loss: [loss, *(w.get_value() for w in weights)]
        )

    return build


def autograd_step(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
    import autograd
    import autograd.numpy as anp

    weights = [first.copy(), second.copy()]

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        return in_autograd(anp, anp.maximum(x @ weights[0], 0) @ weights[1], y)

    value_and_slopes = autograd.value_and_grad(loss_of)

    def call(images: Any, labels: Any) -> Any:
        loss, slopes = value_and_slopes(weights, images, labels)
        for weight, slope in zip(weights, slopes, strict=True):
            weight -= RATE * slope
        return loss

    return Implementation(call, (images, labels), lambda loss: [loss, *weights])


STEPS = {
    "symad": symad_step,
    "numpy": in_numpy,
    "jax": jax_step(on_device=False),
    "torch": torch_step(compiled=False),
    "torch, compiled": torch_step(compiled=True),
    "pytensor": pytensor_step(linker=None),
    "pytensor, C": pytensor_step(linker="cvm"),
    "autograd": autograd_step,
}

NETWORK_STEP = Workload(
    name="network-step",
    title="784-100-10 network, batch 100, float32, weights updated",
    inputs=inputs,
    size=(100, 784, 100, 10),
    tiny=(5, 7, 6, 3),
    reference=one_step,
    implementations={
        **STEPS,
        "jax, arrays on device": jax_step(on_device=True),
        "numpy, five products alone": products_alone,
    },
    targets=(Target(1.15, "numpy, five products alone"),),
    tolerance=1e-4,
)


def with_new_sizes(build: Builder) -> Builder:
    """Call a step, built and called with the smallest batch, with a different size each time."""

    def build_and_vary(images: Any, labels: Any, first: Any, second: Any) -> Implementation:
        fewest = len(images) // 4
        step = build(images[:fewest], labels[:fewest], first, second)
        step.call(*step.arguments)
        sizes = itertools.cycle(range(fewest + 1, len(images) + 1))

        def call() -> Any:
            size = next(sizes)
            return step.call(images[:size], labels[:size])

        return Implementation(call, (), step.answer)

    return build_and_vary


def two_steps(images: Any, labels: Any, first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Return the result of :func:`with_new_sizes` after its first new size."""
    fewest = len(images) // 4
    _, first, second = one_step(images[:fewest], labels[:fewest], first, second)
    return one_step(images[: fewest + 1], labels[: fewest + 1], first, second)


NEW_BATCH_SIZE = Workload(
    name="new-batch-size",
    title="the network step, compiled for batch 100, with a batch size of 101 to 400 not seen yet",
    inputs=inputs,
    size=(400, 784, 100, 10),
    tiny=(20, 7, 6, 3),
    reference=two_steps,
    implementations={label: with_new_sizes(step) for label, step in STEPS.items()},
    targets=(Target(0.005),),
    tolerance=1e-4,
    once=False,
)
