"""Layer normalisation, x̂ = (x − mean) / √(variance + ε) along rows, in Σ (x̂ · gain + bias) · t."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.builders import by_library, in_numpy, same_for
from benchmarks.workload import Target, Workload

EPSILON = 1e-5


def inputs(rows: int, features: int, dtype: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    shapes = ((rows, features), (features,), (features,), (rows, features))
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def loss(lib: Any, x: Any, gain: Any, bias: Any, t: Any) -> Any:
    centred = x - lib.mean(x, axis=1, keepdims=True)
    variance = lib.mean(centred**2, axis=1, keepdims=True)
    return lib.sum((centred / lib.sqrt(variance + EPSILON) * gain + bias) * t)


def loss_in_torch(torch: Any, x: Any, gain: Any, bias: Any, t: Any) -> Any:
    normal = torch.nn.functional.layer_norm(x, x.shape[1:], gain, bias, EPSILON)
    return torch.sum(normal * t)


def by_hand(x: Any, gain: Any, bias: Any, t: Any) -> tuple[Any, ...]:
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + EPSILON)
    normal = centred * scale
    adjoint = t * gain
    along = np.mean(adjoint * normal, axis=1, keepdims=True)
    slope = scale * (adjoint - adjoint.mean(axis=1, keepdims=True) - normal * along)
    return np.sum((normal * gain + bias) * t), slope, (normal * t).sum(axis=0), t.sum(axis=0)


LIBRARIES = ("symad", "jax", "pytensor", "autograd")


def _layer_norm(dtype: str, **facts: Any) -> Workload:
    return Workload(
        title=f"layer norm, 512×512 {dtype}, value and three gradients",
        inputs=partial(inputs, dtype=dtype),
        size=(512, 512),
        tiny=(4, 6),
        reference=by_hand,
        implementations={
            **by_library({**same_for(LIBRARIES, loss), "torch": loss_in_torch}, wrt=(0, 1, 2)),
            "numpy": in_numpy(by_hand),
        },
        targets=(Target(1.0, "jax"), Target(1.0, "torch")),
        **facts,
    )


LAYER_NORM = _layer_norm("float64", name="layer-norm")
LAYER_NORM_32 = _layer_norm("float32", name="layer-norm-32", tolerance=1e-3, once=False)
