"""Programs of scalars: a native function, whose code is known or made when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from symad.backends.native.jit import CompiledModule
from symad.backends.native.number_code import NumberCode, form_of_results, is_simple
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.records import cached_property, replace

if TYPE_CHECKING:
    from symad.backends.native.scalar_function import ScalarFunctions
    from symad.backends.numpy import NumpyProgram
    from symad.plan.plan import Plan

class NumberProgram:
    """A plan of scalars as a native function, or run by NumPy's kernels if there is none.

    Parameters
    ----------
    make_plan : callable
        Returns the plan.
    is_fast : bool
        Whether arithmetic may be reassociated and contracted.
    known : mapping
        Machine code that is known already, by the form of what it returns.
    """

    def __init__(
        self,
        make_plan: Callable[[], Plan],
        is_fast: bool,
        known: Mapping[str, CompiledModule] = MappingProxyType({}),
    ) -> None:
        self._make_plan, self._is_fast, self._known = make_plan, is_fast, known
        self._form: Any = None  # that of the last function

    @cached_property
    def _plan(self) -> Plan:
        return self._make_plan()

    @cached_property
    def _functions(self) -> ScalarFunctions:
        from symad.backends.native.scalar_function import ScalarFunctions

        return ScalarFunctions(self._plan, self._is_fast)

    @cached_property
    def kernels(self) -> NumpyProgram:
        """The program that computes the same by NumPy's kernels."""
        from symad.backends.numpy import numpy_program

        return numpy_program(self._plan)

    @cached_property
    def plan(self) -> Plan:
        """The plan, which says what NumPy computes, and why."""
        found = self._functions.by_numpy
        if not found:
            return self._plan
        stored = {node: f"by NumPy: {reason}" for node, reason in found.items()}
        return replace(self._plan, placement=replace(self._plan.placement, stored=stored))

    @cached_property
    def _run(self) -> Callable[..., Any]:
        """Takes the inputs, and returns the outputs in any structure."""
        if self._form is None:
            self._form = list(self._plan.graph.outputs)
        by_kernels = lambda *values: self.kernels(values)  # noqa: E731
        return self.entry(self._form, by_kernels) or by_kernels

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs, as :meth:`entry` does."""
        return list(leaves(self._run(*values)))

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run the kernels once, and return each node with its time in seconds."""
        return self.kernels.profile(values)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str = "function"
    ) -> Callable[..., Any] | None:
        """Return the native function, or ``None``.

        Its code also serves other calls: they need the same numbers, in whatever structure.
        """
        known = self._known.get(repr(form_of_results(outputs)))
        made: Callable[..., Any] | None
        if known is not None:
            made = NumberCode.of(known, outputs).function(fallback, name)
        else:
            made = self._functions.function(outputs, fallback, name)
        if made is not None:
            self._form = outputs
        return made

    def description(self, outputs: Any) -> str | None:
        """Return the key of the code for results of a structure, if it is one function."""
        code = self._functions.code(outputs) if is_simple(outputs) else None
        return None if code is None else code.module.key
