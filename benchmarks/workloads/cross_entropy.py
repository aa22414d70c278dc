"""The mean over the batch of log Σ_k exp z_k − z_y, and its gradient (softmax z − onehot y) / n."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy
from benchmarks.workload import Target, Workload


def inputs(rows: int, classes: int, dtype: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((rows, classes)).astype(dtype)
    return logits, rng.integers(0, classes, rows)


def in_symad(sm: Any, logits: Any, labels: Any) -> Any:
    chosen = sm.take_along_axis(logits, sm.expand_dims(labels, 1), axis=1)
    return sm.mean(sm.logsumexp(logits, axis=1) - sm.squeeze(chosen, 1))


def in_jax(jnp: Any, logits: Any, labels: Any) -> Any:
    import jax

    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)


def in_torch(torch: Any, logits: Any, labels: Any) -> Any:
    return torch.nn.functional.cross_entropy(logits, labels)


def in_pytensor(pt: Any, logits: Any, labels: Any) -> Any:
    log_probabilities = pt.special.log_softmax(logits, axis=1)
    return -pt.mean(log_probabilities[pt.arange(labels.shape[0]), labels])


def in_autograd(anp: Any, logits: Any, labels: Any) -> Any:
    from autograd.scipy.special import logsumexp

    return anp.mean(logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels])


def by_hand(logits: Any, labels: Any) -> tuple[Any, Any]:
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    slope = np.exp(shifted)
    total = slope.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, labels])
    slope /= total
    slope[rows, labels] -= 1
    slope /= len(labels)
    return loss, slope


def _cross_entropy(dtype: str, **facts: Any) -> Workload:
    return Workload(
        title=f"softmax cross-entropy, 1000×1000 {dtype} logits, value and gradient",
        inputs=partial(inputs, dtype=dtype),
        size=(1000, 1000),
        tiny=(5, 7),
        reference=by_hand,
        implementations={
            **by_library(
                {
                    "symad": in_symad,
                    "jax": in_jax,
                    "torch": in_torch,
                    "pytensor": in_pytensor,
                    "autograd": in_autograd,
                },
                wrt=(0,),
            ),
            "numpy": in_numpy(by_hand),
        },
        targets=(Target(0.8, "jax"), Target(0.8, "torch")),
        **facts,
    )


CROSS_ENTROPY = _cross_entropy("float64", name="cross-entropy")
CROSS_ENTROPY_32 = _cross_entropy("float32", name="cross-entropy-32", tolerance=1e-4, once=False)
