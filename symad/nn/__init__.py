"""Functions for neural networks, composed of ops, with channels first: (batch, channels, sizes...).

State is explicit: weights are arguments, dropout takes a key of :mod:`symad.random`, and what a
step changes are parameters that a compiled function updates (see :mod:`symad.optimise`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symad.functions.absent import absent
from symad.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu6,
    selu,
    silu,
    softsign,
    swish,
)
from symad.nn.convolution import avg_pool, conv, conv_transpose, max_pool
from symad.nn.layers import dropout, embedding, scaled_dot_product_attention
from symad.nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber,
    kl_divergence,
    l1,
    mse,
    nll,
)
from symad.nn.normalization import batch_norm, group_norm, layer_norm, rms_norm
from symad.ops.comparison import relu
from symad.ops.exponential import sigmoid, softplus
from symad.ops.gather import one_hot
from symad.ops.nn import log_softmax, logsumexp, softmax
from symad.ops.trigonometric import tanh

__all__ = [
    "avg_pool", "batch_norm", "binary_cross_entropy_with_logits", "celu", "conv", "conv_transpose",
    "cross_entropy", "dropout", "elu", "embedding", "gelu", "glu", "group_norm", "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "huber", "kl_divergence", "l1", "layer_norm",
    "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "max_pool", "mish", "mse", "nll",
    "one_hot", "relu", "relu6", "rms_norm", "scaled_dot_product_attention", "selu", "sigmoid",
    "silu", "softmax", "softplus", "softsign", "swish", "tanh",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers see that other names do not exist

    def __getattr__(name: str) -> Any:
        raise absent(__name__, name)
