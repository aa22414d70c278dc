"""A graph as one XLA program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from symad.backends.numpy import numpy_program
from symad.backends.xla.interpreter import Interpreter, Scope
from symad.backends.xla.placement import Placement
from symad.backends.xla.results import Results, form_of, leaf_types
from symad.backends.xla.translations import in_64_bits, jax
from symad.errors import EvaluationError
from symad.graph.nested import is_nested, leaves, rebuild
from symad.graph.node import Node
from symad.plan.plan import Plan, make_plan
from symad.types import TensorType, total_nbytes

_FEW = 1 << 12
"""The most bytes of arguments that are checked here."""


class XlaProgram:
    """A graph that XLA compiles as a whole at the first call.

    Parameters
    ----------
    plan : Plan
    placement : Placement
    is_fast : bool
        Whether products may be less exact than their dtype where a device is faster then.
    """

    def __init__(self, plan: Plan, placement: Placement, is_fast: bool = False) -> None:
        self.plan = plan
        self._placement = placement
        self._precision = "default" if is_fast else "highest"
        self._given = [form_of(node.type) for node in plan.graph.inputs]
        self._is_flat = not any(map(is_nested, self._given))
        self._results = Results(plan.graph)

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs as NumPy arrays.

        Raises
        ------
        EvaluationError
            If a value is an error for NumPy, or XLA fails.
        """
        try:
            with in_64_bits():
                outputs, failures = self.compiled(*self._flat(values))
                found = self._results.take(outputs, values)
        except jax.errors.JaxRuntimeError as error:
            raise EvaluationError(f"XLA failed: {error}") from error
        if failures and any(np.any(failed) for failed in failures):
            # NumPy decides, and names the node and its line.
            return numpy_program(make_plan(self.plan.graph))(values)
        return found

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a function for calls with a few numbers, whose checks would take most of the time.

        It is not bound to instances.
        """
        types = [node.type for node in self.plan.graph.inputs]
        sizes = total_nbytes(types)
        if not all(isinstance(t, TensorType) for t in types) or sizes is None or sizes > _FEW:
            return None
        expected = [(t.dtype, t.shape, _class_of(t)) for t in types if isinstance(t, TensorType)]

        def call(*values: Any, **keywords: Any) -> Any:
            if keywords or len(values) != len(expected):
                return fallback(*values, **keywords)
            for value, (dtype, shape, kind) in zip(values, expected, strict=True):
                if type(value) is not kind and not (type(value) is float and kind is np.float64):
                    return fallback(*values)
                if shape and (value.shape != shape or value.dtype != dtype):
                    return fallback(*values)
            return rebuild(outputs, iter(self(values)))

        return staticmethod(call)

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run the ops one by one, and return each node with its time in seconds.

        In a call, XLA fuses them and takes less time.
        """
        graph, times = self.plan.graph, []
        with in_64_bits(), jax.default_matmul_precision(self._precision):
            given = jax.device_put(list(values))
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
        """JAX's compiled function: from the leaves of the inputs to those of the outputs, and where
        values are errors."""

        def traced(*flat: Any) -> tuple[list[Any], list[Any]]:
            run = Interpreter(place_of, is_checked=True)
            return self._outputs(run, flat), run.failures

        return jax.jit(traced, **self._shardings())

    def lowered(self, scope: Scope, name: str) -> Any:
        """Return JAX's lowered form of the program, without checks of values.

        Parameters
        ----------
        scope : callable
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

    def _flat(self, values: Sequence[Any]) -> Iterable[Any]:
        return values if self._is_flat else leaves(list(values))


def place_of(node: Node) -> str:
    """Return the label and the source line of a node, as XLA's messages and profiles show them."""
    return f"{node.label} ({node.site.place(short=True)})"


def _class_of(type_: TensorType) -> type:
    return np.ndarray if type_.shape else type_.dtype.type
