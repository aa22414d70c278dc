"""Attention, softmax(q kᵀ / √d) v for each head, in Σ attention · t."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy
from benchmarks.workload import Target, Workload


def inputs(heads: int, positions: int, features: int, dtype: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((4, heads, positions, features)).astype(dtype))


def _loss(lib: Any, softmax: Any, q: Any, k: Any, v: Any, t: Any) -> Any:
    scores = q @ lib.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    return lib.sum((softmax(scores) @ v) * t)


def in_symad(sm: Any, *inputs: Any) -> Any:
    return _loss(sm, partial(sm.softmax, axis=-1), *inputs)


def in_jax(jnp: Any, *inputs: Any) -> Any:
    import jax

    return _loss(jnp, partial(jax.nn.softmax, axis=-1), *inputs)


def in_torch(torch: Any, q: Any, k: Any, v: Any, t: Any) -> Any:
    return torch.sum(torch.nn.functional.scaled_dot_product_attention(q, k, v) * t)


def in_pytensor(pt: Any, q: Any, k: Any, v: Any, t: Any) -> Any:
    softmax = partial(pt.special.softmax, axis=-1)
    scores = pt.matmul(q, pt.swapaxes(k, -1, -2)) / math.sqrt(q.type.shape[-1])
    return pt.sum(pt.matmul(softmax(scores), v) * t)


def in_autograd(anp: Any, *inputs: Any) -> Any:
    def softmax(scores: Any) -> Any:
        powers = anp.exp(scores - anp.max(scores, axis=-1, keepdims=True))
        return powers / anp.sum(powers, axis=-1, keepdims=True)

    return _loss(anp, softmax, *inputs)


def by_hand(q: Any, k: Any, v: Any, t: Any) -> tuple[Any, ...]:
    scale = 1 / math.sqrt(q.shape[-1])
    scores = q @ k.swapaxes(-1, -2) * scale
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = powers / powers.sum(axis=-1, keepdims=True)
    weights_adjoint = t @ v.swapaxes(-1, -2)
    mean = np.sum(weights_adjoint * weights, axis=-1, keepdims=True)
    scores_adjoint = weights * (weights_adjoint - mean) * scale
    return (
        np.sum((weights @ v) * t),
        scores_adjoint @ k,
        scores_adjoint.swapaxes(-1, -2) @ q,
        weights.swapaxes(-1, -2) @ t,
    )


def _attention(dtype: str, **facts: Any) -> Workload:
    return Workload(
        title=f"attention, 4 heads of 128×64 {dtype}, value and three gradients",
        inputs=partial(inputs, dtype=dtype),
        size=(4, 128, 64),
        tiny=(2, 5, 3),
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
                wrt=(0, 1, 2),
            ),
            "numpy": in_numpy(by_hand),
        },
        targets=(Target(1.0, "jax"), Target(1.0, "torch")),
        **facts,
    )


ATTENTION = _attention("float64", name="attention")
ATTENTION_32 = _attention("float32", name="attention-32", tolerance=1e-3, once=False)
