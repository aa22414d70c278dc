"""Hessians, Jacobians, gradients for each example and third derivatives: maps of derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.builders import in_numpy
from benchmarks.workload import Builder, Implementation, Target, Workload

Array = np.ndarray[Any, Any]
Written = Callable[..., Any]
"""Returns outputs, given a library and its inputs."""


def _symad(write: Written) -> Builder:
    def build(*inputs: Any) -> Implementation:
        import symad as sm

        variables = [sm.Variable(f"x{i}", x.shape) for i, x in enumerate(inputs)]
        return Implementation(sm.compile(variables, write(sm, *variables)), inputs)

    return build


def _jax(write: Written, on_device: bool) -> Builder:
    def build(*inputs: Any) -> Implementation:
        import jax
        import jax.numpy as jnp

        compiled = jax.jit(lambda *arguments: write(jnp, *arguments))

        def call(*arguments: Any) -> list[Array]:
            return [np.asarray(result) for result in compiled(*arguments)]

        given = [jnp.asarray(x).block_until_ready() for x in inputs] if on_device else inputs
        return Implementation(call, given)

    return build


def _workload(
    name: str, title: str, inputs: Any, sizes: tuple[Any, Any], reference: Any, in_symad: Written,
    in_jax: Written, limit: float,
) -> Workload:  # fmt: skip
    return Workload(
        name=name,
        title=title,
        inputs=inputs,
        size=sizes[0],
        tiny=sizes[1],
        reference=reference,
        implementations={
            "symad": _symad(in_symad),
            "jax": _jax(in_jax, on_device=False),
            "jax, arrays on device": _jax(in_jax, on_device=True),
            "numpy": in_numpy(reference),
        },
        targets=(Target(limit, "jax"),),
    )


def _hessians(function: Written) -> tuple[Written, Written]:
    """Return the Hessian of ``function(lib, x, *data)`` by x, in symad and in JAX."""

    def in_symad(sm: Any, x: Any, *data: Any) -> Any:
        return [sm.hessian(function(sm, x, *data), x)]

    def in_jax(jnp: Any, x: Any, *data: Any) -> Any:
        import jax

        return [jax.hessian(lambda x: function(jnp, x, *data))(x)]

    return in_symad, in_jax


# Rosenbrock's function


def _rosenbrock(lib: Any, x: Any) -> Any:
    return lib.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def _point(size: int) -> tuple[Array]:
    return (np.random.default_rng(0).normal(size=size),)


def _rosenbrock_by_hand(x: Array) -> list[Array]:
    diagonal = np.zeros_like(x)
    diagonal[:-1] += 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diagonal[1:] += 200
    beside = -400 * x[:-1]
    return [np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)]


# A network with one hidden layer, whose parameters are one vector


def _network(lib: Any, parameters: Any, x: Any, y: Any) -> Any:
    inputs = x.shape[1]
    hidden = (parameters.shape[0] - 1) // (inputs + 2)
    weights = lib.reshape(parameters[: inputs * hidden], (inputs, hidden))
    bias, out, shift = (
        parameters[inputs * hidden : (inputs + 1) * hidden],
        parameters[(inputs + 1) * hidden : (inputs + 2) * hidden],
        parameters[-1],
    )
    return lib.mean((lib.tanh(x @ weights + bias) @ out + shift - y) ** 2)


def _network_inputs(examples: int, inputs: int, hidden: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(inputs + 2) * hidden + 1) / 2
    return parameters, rng.normal(size=(examples, inputs)), rng.normal(size=examples)


def _network_by_hand(parameters: Array, x: Array, y: Array) -> list[Array]:
    """2/N (Jᵀ J + Σ r_n ∇² f_n), where only parameters of the same hidden unit interact in f_n."""
    examples, inputs = x.shape
    hidden = (len(parameters) - 1) // (inputs + 2)
    wide = np.column_stack([x, np.ones(examples)])
    into = parameters[: (inputs + 1) * hidden].reshape(inputs + 1, hidden)
    out, shift = parameters[(inputs + 1) * hidden : -1], parameters[-1]
    t = np.tanh(wide @ into)
    slope, rest = 1 - t**2, t @ out + shift - y
    first = (wide[:, :, None] * (slope * out)[:, None, :]).reshape(examples, -1)
    jacobian = np.column_stack([first, t, np.ones(examples)])
    curved = np.zeros((len(parameters), len(parameters)))
    for k in range(hidden):
        own = np.arange(inputs + 1) * hidden + k
        bend = rest * out[k] * -2 * t[:, k] * slope[:, k]
        curved[np.ix_(own, own)] = (wide * bend[:, None]).T @ wide
        beside = (inputs + 1) * hidden + k
        curved[own, beside] = curved[beside, own] = wide.T @ (rest * slope[:, k])
    return [2 / examples * (jacobian.T @ jacobian + curved)]


# A function from few numbers to many


def _wave(lib: Any, x: Any, a: Any) -> Any:
    z = a @ x
    return lib.sin(z) * lib.exp(-(z**2))


def _wave_inputs(rows: int, columns: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=columns), rng.normal(size=(rows, columns))


def _wave_by_hand(x: Array, a: Array) -> list[Array]:
    z = a @ x
    return [((np.cos(z) - 2 * z * np.sin(z)) * np.exp(-(z**2)))[:, None] * a]


def _wave_in_symad(sm: Any, x: Any, a: Any) -> Any:
    return [sm.jacobian(_wave(sm, x, a), x)]


def _wave_in_jax(jnp: Any, x: Any, a: Any) -> Any:
    import jax

    return [jax.jacfwd(lambda x: _wave(jnp, x, a))(x)]


# Gradients for each example


def _loss(lib: Any, weights: Any, bias: Any, out: Any, x: Any, y: Any) -> Any:
    return (lib.tanh(x @ weights + bias) @ out - y) ** 2


def _examples(count: int, inputs: int, hidden: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(inputs, hidden)) / 3, rng.normal(size=hidden)
    return (*parameters, rng.normal(size=hidden), rng.normal(size=(count, inputs)),
            rng.normal(size=count))  # fmt: skip


def _each_by_hand(weights: Array, bias: Array, out: Array, x: Array, y: Array) -> list[Array]:
    t = np.tanh(x @ weights + bias)
    error = 2 * (t @ out - y)[:, None]
    back = error * out * (1 - t**2)
    return [x[:, :, None] * back[:, None, :], back, error * t]


def _each_in_symad(sm: Any, *inputs: Any) -> Any:
    parameters = list(inputs[:3])
    each = sm.vmap(lambda x, y: sm.gradients(_loss(sm, *parameters, x, y), parameters))
    return each(*inputs[3:])


def _each_in_jax(jnp: Any, *inputs: Any) -> Any:
    import jax

    gradient = jax.grad(lambda *arguments: _loss(jnp, *arguments), (0, 1, 2))
    return jax.vmap(gradient, (None, None, None, 0, 0))(*inputs)


# Third derivatives


def _surface(lib: Any, x: Any) -> Any:
    return lib.exp(x[0]) * lib.sin(x[1]) + x[0] ** 2 * x[1] ** 2


def _third_by_hand(x: Array) -> list[Array]:
    result = np.empty((2, 2, 2))
    for index in np.ndindex(2, 2, 2):
        result[index] = np.exp(x[0]) * np.sin(x[1] + sum(index) * np.pi / 2)
        result[index] += {1: 4 * x[1], 2: 4 * x[0]}.get(sum(index), 0)
    return [result]


def _third_in_symad(sm: Any, x: Any) -> Any:
    return [sm.jacobian(sm.jacobian(sm.jacobian(_surface(sm, x), x), x), x)]


def _third_in_jax(jnp: Any, x: Any) -> Any:
    import jax

    return [jax.jacfwd(jax.jacfwd(jax.jacrev(lambda x: _surface(jnp, x))))(x)]


DERIVATIVES = (
    *(
        _workload(f"hessian-rosenbrock-{n}", f"Hessian of Rosenbrock's function of {n} numbers",
                  _point, ((n,), (4,)), _rosenbrock_by_hand, *_hessians(_rosenbrock), 0.7)
        for n in (50, 200)
    ),
    *(
        _workload(f"hessian-network-{n}", f"Hessian of a network with {n} parameters, 64 examples",
                  _network_inputs, (size, (3, 2, 2)), _network_by_hand, *_hessians(_network), 0.7)
        for n, size in ((49, (64, 4, 8)), (199, (64, 9, 18)))
    ),
    _workload("jacobian-200x5", "Jacobian of 200 numbers by 5", _wave_inputs, ((200, 5), (4, 2)),
              _wave_by_hand, _wave_in_symad, _wave_in_jax, 0.6),
    _workload("gradients-each", "gradients of a network for each of 500 examples", _examples,
              ((500, 20, 30), (3, 2, 2)), _each_by_hand, _each_in_symad, _each_in_jax, 0.6),
    _workload("third-derivatives", "third derivatives by 2 numbers, by nested Jacobians", _point,
              ((2,), (2,)), _third_by_hand, _third_in_symad, _third_in_jax, 0.1),
)  # fmt: skip
