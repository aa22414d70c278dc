"""Builders: one function of arrays, its value and gradients compiled by each library.

A function is written as ``function(lib, *inputs)``, where ``lib`` is the array namespace of the
library that differentiates it, and usually one text serves them all.  The gradients are those of
the sum of the value, as the seed of ones gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Implementation

Function = Callable[..., Any]


def by_library(functions: Mapping[str, Function], wrt: Sequence[int]) -> dict[str, Builder]:
    """Return builders of the value of a function and its gradients, for all variants.

    Parameters
    ----------
    functions : dict from library to function
        The function for each library.
    wrt : sequence of int
        The inputs to differentiate with respect to; if empty, only the value is computed.
    """
    variants: dict[str, dict[str, Callable[[Function, Sequence[int]], Builder]]] = {
        "symad": {"symad": symad_builder},
        "jax": {
            "jax": partial(jax_builder, on_device=False),
            "jax, arrays on device": partial(jax_builder, on_device=True),
        },
        "torch": {
            "torch": partial(torch_builder, compiled=False, as_tensors=False),
            "torch, tensors in": partial(torch_builder, compiled=False, as_tensors=True),
            "torch, compiled": partial(torch_builder, compiled=True, as_tensors=True),
        },
        "pytensor": {
            "pytensor": partial(pytensor_builder, linker=None),
            "pytensor, C": partial(pytensor_builder, linker="cvm"),
        },
        "casadi": {
            "casadi": partial(casadi_builder, buffered=False),
            "casadi, buffers": partial(casadi_builder, buffered=True),
        },
        "autograd": {"autograd": autograd_builder},
    }
    return {
        label: builder(function, wrt)
        for library, function in functions.items()
        for label, builder in variants[library].items()
    }


def same_for(libraries: Iterable[str], function: Function) -> dict[str, Function]:
    """Return ``function`` for each library named."""
    return dict.fromkeys(libraries, function)


def in_numpy(function: Callable[..., Sequence[Any]]) -> Builder:
    """Return the builder of a function that runs as written."""
    return lambda *inputs: Implementation(function, inputs)


def symad_builder(
    function: Function,
    wrt: Sequence[int],
    shapes_declared: bool = True,
    given_outputs: bool = False,
    **options: Any,
) -> Builder:
    """Build with symad; ``options`` are those of ``compile``.

    With ``given_outputs``, the results are written to arrays of the caller.
    """

    def build(*inputs: Any) -> Implementation:
        import symad as sm

        variables = [
            sm.Variable(
                f"x{i}", np.shape(value) if shapes_declared else None, np.asarray(value).dtype
            )
            for i, value in enumerate(inputs)
        ]
        value = function(sm, *variables)
        gradients = sm.gradients(value, [variables[i] for i in wrt]) if wrt else []
        compiled = sm.compile(variables, [value, *gradients], **options)
        if not given_outputs:
            return Implementation(compiled, inputs)
        out = [np.empty_like(result) for result in compiled(*inputs)]
        return Implementation(lambda *arguments: compiled(*arguments, out=out), inputs)

    return build


def jax_builder(function: Function, wrt: Sequence[int], on_device: bool) -> Builder:
    """Build with ``jax.jit``; arrays come from NumPy or are already on the device."""

    def build(*inputs: Any) -> Implementation:
        import jax
        import jax.numpy as jnp

        def value_and_gradients(*arguments: Any) -> tuple[Any, ...]:
            def of_chosen(*chosen: Any) -> Any:
                replaced = dict(zip(wrt, chosen, strict=True))
                return function(jnp, *(replaced.get(i, a) for i, a in enumerate(arguments)))

            value, pullback = jax.vjp(of_chosen, *(arguments[i] for i in wrt))
            return (value, *(pullback(jnp.ones_like(value)) if wrt else ()))

        compiled = jax.jit(value_and_gradients)

        def call(*arguments: Any) -> list[Any]:
            return [np.asarray(result) for result in compiled(*arguments)]

        if on_device:
            return Implementation(call, [jnp.asarray(x).block_until_ready() for x in inputs])
        return Implementation(call, inputs)

    return build


def torch_builder(
    function: Function, wrt: Sequence[int], compiled: bool, as_tensors: bool
) -> Builder:
    """Build with PyTorch, eager or compiled; tensors are made in the call or before it.

    A tensor made from an array shares its memory.
    """

    def build(*inputs: Any) -> Implementation:
        import torch

        run = partial(function, torch)
        if compiled:
            run = torch.compile(run, fullgraph=True, dynamic=False)
        chosen = set(wrt)

        def to_tensors(arguments: Iterable[Any]) -> list[Any]:
            tensors = [
                torch.from_numpy(x)
                if isinstance(x, np.ndarray)
                else torch.tensor(x, dtype=torch.float64)
                for x in arguments
            ]
            for i in chosen:
                tensors[i].requires_grad_()
            return tensors

        def call_on_tensors(*tensors: Any) -> list[Any]:
            value = run(*tensors)
            seed = torch.ones_like(value) if value.ndim else None
            slopes = torch.autograd.grad(value, [tensors[i] for i in wrt], seed) if wrt else ()
            return [value.detach().numpy(), *(slope.numpy() for slope in slopes)]

        def call(*arguments: Any) -> list[Any]:
            return call_on_tensors(*to_tensors(arguments))

        if as_tensors:
            return Implementation(call_on_tensors, to_tensors(inputs))
        return Implementation(call, inputs)

    return build


def pytensor_builder(function: Function, wrt: Sequence[int], linker: str | None) -> Builder:
    """Build with PyTensor's default linker or the one named; shapes are declared.

    Arrays are not checked (``trust_input``), as its documentation recommends for speed.
    """

    def build(*inputs: Any) -> Implementation:
        import pytensor
        import pytensor.tensor as pt

        variables = [
            pt.tensor(f"x{i}", dtype=np.asarray(value).dtype.name, shape=np.shape(value))
            for i, value in enumerate(inputs)
        ]
        with pytensor.config.change_flags(floatX=variables[0].dtype):  # the dtype of Python floats
            value = function(pt, *variables)
            slopes = pytensor.grad(value.sum(), [variables[i] for i in wrt]) if wrt else []
        mode = pytensor.compile.mode.Mode(linker=linker, optimizer="fast_run") if linker else None
        compiled = pytensor.function(variables, [value, *slopes], mode=mode)
        compiled.trust_input = all(isinstance(value, np.ndarray) for value in inputs)
        return Implementation(compiled, inputs)

    return build


def autograd_builder(function: Function, wrt: Sequence[int]) -> Builder:
    """Build with autograd, which records the function again in each call."""

    def build(*inputs: Any) -> Implementation:
        import autograd
        import autograd.numpy as anp

        run = partial(function, anp)
        if not wrt:
            return Implementation(lambda *arguments: [run(*arguments)], inputs)
        record = autograd.make_vjp(run, tuple(wrt))

        def call(*arguments: Any) -> list[Any]:
            pullback, value = record(*arguments)
            return [value, *pullback(anp.ones(np.shape(value)))]

        return Implementation(call, inputs)

    return build


def casadi_builder(function: Function, wrt: Sequence[int], buffered: bool) -> Builder:
    """Build with CasADi's scalar graphs; called directly or through its buffers.

    CasADi's matrices are column-major, and its vectors are columns.
    """

    def build(*inputs: Any) -> Implementation:
        import casadi

        symbols = [casadi.SX.sym(f"x{i}", *np.shape(x)) for i, x in enumerate(inputs)]
        value = function(casadi, *symbols)
        slopes = [casadi.gradient(value, symbols[i]) for i in wrt]
        compiled = casadi.Function("compiled", symbols, [value, *slopes])
        shapes = [(), *(np.shape(inputs[i]) for i in wrt)]

        def call(*arguments: Any) -> list[Any]:
            results = compiled(*arguments)
            pairs = zip(results, shapes, strict=True)
            return [r.toarray().reshape(shape) if shape else float(r) for r, shape in pairs]

        if not buffered:
            return Implementation(call, inputs)
        return Implementation(_through_buffers(compiled, map(np.shape, inputs), shapes), inputs)

    return build


def _through_buffers(
    compiled: Any, taken: Iterable[tuple[int, ...]], given: Iterable[tuple[int, ...]]
) -> Callable[..., list[Any]]:
    """Return a function that copies into the buffers of ``compiled``, runs it, and copies out."""
    buffer, run = compiled.buffer()
    arguments = [np.empty(shape[::-1]) for shape in taken]
    results = [np.empty(shape[::-1]) for shape in given]
    for i, array in enumerate(arguments):
        buffer.set_arg(i, array.reshape(-1).data)
    for i, array in enumerate(results):
        buffer.set_res(i, array.reshape(-1).data)
    places = [array.T for array in arguments]
    columns = [array.T for array in results]

    def call(*values: Any) -> list[Any]:
        for place, value in zip(places, values, strict=True):
            place[...] = value
        run()
        return [column.copy() for column in columns]

    vars(call)["buffer"] = buffer  # it owns the memory that `run` uses, and must live as long
    return call
