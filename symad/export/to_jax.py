"""to_jax: a compiled function as a function of JAX arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from symad.backends.xla.interpreter import evaluate, require_translations
from symad.backends.xla.translations import canonical, jnp, require_jax
from symad.export.functions import require_compiled
from symad.graph.nested import map_leaves, rebuild
from symad.graph.op import explained
from symad.passes.loops import prune_loops
from symad.passes.specialise import specialise
from symad.runtime.function import Function
from symad.runtime.inputs import Binding
from symad.types import StructureType, TensorType, Type


@explained
def to_jax(function: Function) -> Callable[..., Any]:
    """Return a compiled function as a pure function of JAX arrays.

    It can be compiled by ``jax.jit``, differentiated, mapped by ``jax.vmap`` and run on any device.
    The graph is the one that was written: XLA optimises it.

    Parameters
    ----------
    function : Function

    Returns
    -------
    callable
        It takes the arguments of ``function`` and returns JAX arrays in the structure of its
        outputs.

    Raises
    ------
    ExportError
        If JAX has nothing for an op; the message names the node and your line.  At a call, if a
        size would have to be an array.
    MissingExtraError
        If JAX is not installed.

    Notes
    -----
    Parameters: if there are any, the first argument is a list of their values, in the order of
    ``function.parameters``.  If some are updated, the result is a pair: the outputs, and the list
    of new values.

    dtypes are those of the graph if JAX's 64 bits are switched on (``jax_enable_x64``), else they
    have at most 32 bits.

    JAX raises no errors for values: the index of a branch is clipped, a loop that does not end
    within ``max_steps`` gives NaN, and matrices without an inverse or a factor give NaN or
    infinities.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> y = sm.sum(sm.sin(x) * x)
    >>> g = sm.compile([x], {"y": y, "slope": sm.gradients(y, x)})
    >>> f = sm.to_jax(g)  # doctest: +SKIP
    >>> import jax  # doctest: +SKIP
    >>> jax.jit(f)([0.0, 1.0])  # doctest: +SKIP
    {'slope': Array([0.       , 1.3817733], dtype=float32), 'y': Array(0.841471, dtype=float32)}
    """
    require_compiled(function)
    require_jax()
    require_translations(function.graph)
    specialised = lru_cache(64)(lambda *types: prune_loops(specialise(function.graph, types)))
    binding = Binding(function.name, function.inputs)
    first = len(binding.nodes)

    def run(*args: Any, **keywords: Any) -> Any:
        values: list[Any] = []
        if function.parameters:
            values, args = list(args[0]), args[1:]
        given = [*binding.values(args, keywords), *values]
        pairs = zip(given, function.graph.inputs, strict=True)
        arrays = [_as_arrays(value, node.type) for value, node in pairs]
        pairs = zip(function.graph.inputs, arrays, strict=True)
        types = [_with_shape(node.type, array) for node, array in pairs]
        results = [map_leaves(_as_result, y) for y in evaluate(specialised(*types), arrays)]
        outputs = rebuild(function.outputs, iter(results))
        if not function.updates:
            return outputs
        changed = dict(zip(function.updates, results[-len(function.updates) :], strict=True))
        kept = zip(function.parameters, given[first:], strict=True)
        return outputs, [changed.get(parameter, value) for parameter, value in kept]

    run.__name__ = function.name
    return run


def _as_result(value: Any) -> Any:
    return None if value is None else jnp.asarray(value)


def _as_arrays(value: Any, type_: Type | None) -> Any:
    """Return a value as JAX arrays, of the dtypes of a type."""
    if isinstance(type_, StructureType):
        items = {key: _as_arrays(value[key], item) for key, item in type_.fields}
        return items if type_.kind == "dict" else tuple(items.values())
    assert isinstance(type_, TensorType)
    return jnp.asarray(value, canonical(type_.dtype))


def _with_shape(type_: Type | None, value: Any) -> Any:
    """Return a type with the shapes that a value has."""
    if isinstance(type_, StructureType):
        items = [(key, _with_shape(item, value[key])) for key, item in type_.fields]
        return StructureType(type_.kind, tuple(items))
    assert isinstance(type_, TensorType)
    return TensorType(type_.dtype, tuple(value.shape))
