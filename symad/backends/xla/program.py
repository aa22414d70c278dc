"""A graph as one XLA program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from time import perf_counter
from typing import Any

import numpy as np

from symad.backends.numpy import numpy_program
from symad.backends.xla.interpreter import Interpreter, Scope
from symad.backends.xla.placement import DevicePlacement
from symad.backends.xla.results import Results, form_of, leaf_types
from symad.backends.xla.translations import in_64_bits, jax
from symad.errors import EvaluationError
from symad.graph.nested import is_nested, leaves, rebuild
from symad.graph.node import Node, Parameter
from symad.plan.plan import Plan, make_plan
from symad.records import cached_property
from symad.types import TensorType


class XlaProgram:
    """A graph that XLA compiles as a whole at the first call.

    Parameters
    ----------
    plan : Plan
    placement : DevicePlacement
    is_fast : bool
        Whether products may be less exact than their dtype where a device is faster then.
    """

    def __init__(self, plan: Plan, placement: DevicePlacement, is_fast: bool = False) -> None:
        self.plan = plan
        self._placement = placement
        self._config, self._in_64_bits = jax.config, jax.enable_x64
        self._precision = "default" if is_fast else "highest"
        self._given = [form_of(node.type) for node in plan.graph.inputs]
        self._is_flat = not any(map(is_nested, self._given))
        in_memory = placement.is_on_cpu and not placement.parts
        self._results = Results(plan.graph, placement.state, in_memory)
        nodes = placement.inputs if self._is_flat else ()
        self._parameters = [k for k, node in enumerate(nodes) if isinstance(node, Parameter)]

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs as NumPy arrays.

        Raises
        ------
        EvaluationError
            If a value is an error for NumPy, or XLA fails.
        """
        try:
            if self._config.jax_enable_x64:
                return self._run(values)
            with self._in_64_bits(True):
                return self._run(values)
        except jax.errors.JaxRuntimeError as error:
            raise EvaluationError(f"XLA failed: {error}") from error

    def _run(self, values: Sequence[Any]) -> list[Any]:
        flat: Any = self._placed(values) if self._is_flat else leaves(list(values))
        found = self._results.take(self.compiled(*flat))
        if found is None:  # NumPy decides, and names the node and its line
            return numpy_program(make_plan(self.plan.graph))(values)
        return found

    def _placed(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return values of which those of parameters are where XLA needs them."""
        if not self._parameters:
            return values
        flat, shardings = list(values), self._placement.shardings
        for k in self._parameters:
            sharding = None if shardings is None else shardings[k]
            flat[k] = self._placement.state.on_device(k, flat[k], sharding)
        return flat

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a function for arrays and numbers of the right shapes, whose dtypes it checks."""
        types = [node.type for node in self.plan.graph.inputs if isinstance(node.type, TensorType)]
        if len(types) < len(self.plan.graph.inputs):
            return None
        dtypes = [(k, t.dtype) for k, t in enumerate(types) if t.shape]
        exact = tuple([np.ndarray if t.shape else t.dtype.type for t in types])
        usual = tuple([float if kind is np.float64 else kind for kind in exact])
        has_numbers, arrange = len(dtypes) < len(types), _arrangement(outputs)
        config, compiled, take = self._config, self.compiled, self._results.take
        in_64_bits, placed = self._in_64_bits, self._placed

        def call(*values: Any) -> Any:
            if has_numbers and (kinds := tuple(map(type, values))) != exact:
                if kinds != usual:
                    return fallback(*values)
                values = tuple([np.float64(v) if type(v) is float else v for v in values])
            for k, dtype in dtypes:
                if values[k].dtype != dtype:
                    return fallback(*values)
            try:
                if config.jax_enable_x64:
                    found = take(compiled(*placed(values)))
                else:
                    with in_64_bits(True):
                        found = take(compiled(*placed(values)))
            except jax.errors.JaxRuntimeError:
                found = None
            if found is None:  # which says what has failed
                found = self(values)
            return arrange(found)

        return call

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run the ops one by one, and return each node with its time in seconds.

        In a call, XLA fuses them and takes less time.
        """
        graph, times = self.plan.graph, []
        with in_64_bits(), jax.default_matmul_precision(self._precision):
            placed = self._shardings().get("in_shardings")
            flat = iter(jax.device_put(tuple(leaves(list(values))), placed))
            given = [rebuild(form, flat) for form in self._given]
            begin = perf_counter()
            for node, value in Interpreter().steps(graph, given):
                jax.block_until_ready(value)
                end = perf_counter()
                if node.op is not None:
                    times.append((node, end - begin))
                begin = end
        return times

    @cached_property
    def compiled(self) -> Any:
        """JAX's compiled function: from the leaves of the inputs to what :class:`Results` takes."""

        def traced(*flat: Any) -> list[Any]:
            run = Interpreter(place_of, is_checked=True, on_cpu=self._placement.is_on_cpu)
            outputs = self._outputs(run, flat)
            return self._results.packed(outputs, run.has_failed(), flat)

        return jax.jit(traced, **self._shardings())

    def lowered(self, scope: Scope | None = None, name: str = "program") -> Any:
        """Return JAX's lowered form of the program, without checks of values.

        Parameters
        ----------
        scope : callable, optional
            Returns the name of a node in its locations.
        name : str
            The name of the function.
        """

        def traced(*flat: Any) -> list[Any]:
            return self._outputs(Interpreter(scope), flat)

        traced.__name__ = name
        types = [t for node in self.plan.graph.inputs for t in leaf_types(node.type)]
        given = [jax.ShapeDtypeStruct(t.shape, t.dtype) for t in types]
        with in_64_bits():
            return jax.jit(traced, keep_unused=True, **self._shardings()).lower(*given)

    def _outputs(self, run: Interpreter, flat: Sequence[Any]) -> list[Any]:
        rest = iter(flat)
        values = [rebuild(form, rest) for form in self._given]
        with jax.default_matmul_precision(self._precision):
            return list(leaves(run.outputs(self.plan.graph, values)))

    def _shardings(self) -> dict[str, Any]:
        found = self._placement.shardings
        return {} if found is None else {"in_shardings": tuple(leaves(list(found)))}


def _arrangement(outputs: Any) -> Callable[[list[Any]], Any]:
    """Return what makes a structure like the outputs of a list of its leaves."""
    if not is_nested(outputs):
        return itemgetter(0)
    if type(outputs) in (list, tuple) and not any(map(is_nested, outputs)):
        return type(outputs)
    if type(outputs) is tuple and not is_nested(outputs[0]):  # a result, and updates
        rest = _arrangement(outputs[1]) if len(outputs) == 2 else None
        if rest is tuple:
            return lambda found: (found[0], tuple(found[1:]))
    return lambda found: rebuild(outputs, iter(found))


def place_of(node: Node) -> str:
    """Return the label and the source line of a node, as XLA's messages and profiles show them."""
    return f"{node.label} ({node.site.place(short=True)})"
