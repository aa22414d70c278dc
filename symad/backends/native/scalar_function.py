"""Scalar functions: a whole plan as a native function with CPython's calling convention.

The plan alone says how.  A small one is one function of LLVM's: its cost is the conversion of
arguments and results, not its arithmetic; see ``cpython.py``.  All functions of the same structure
share their code.  A larger one is a program with an entry that all programs share, see
``scalar_entry.py``: chunks of machine code (``scalar_chunks.py``) or, since these take time to
build, instructions of which the code is there already (``scalar_program.py``).  All have the same
bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from symad.backends.native.cpython import can_count_references, can_read_numbers
from symad.backends.native.jit import Effort, Latest, stored_module
from symad.backends.native.number_code import (
    EXPORTED,
    NumberCode,
    form_of_results,
    is_simple,
    keys_of,
    objects_by_note,
)
from symad.backends.native.object_writer import NumberFunctionWriter
from symad.backends.native.scalar_builder import Scalar, element
from symad.disk import formulas_of
from symad.graph.node import Node
from symad.ops.base import PerElement
from symad.plan.plan import Plan
from symad.records import cached_property
from symad.types import TensorType

if TYPE_CHECKING:
    from symad.backends.native.scalar_program import ScalarProgram

MOST_INSTRUCTIONS = 300
"""Plans with more instructions become programs: LLVM's time for one function is 1 ms for each, and
grows."""

MOST_CHUNKED = 20_000
"""Programs with more instructions are not chunks: these take 8 µs each to build, others 1 µs."""

MOST_IRREGULAR = 200_000
"""The same for programs whose instructions come in no regular order: the processor does not predict
the jumps between them, and they take four times as long as chunks."""

_INSTRUCTIONS_PER_NUMBER = 10
"""The instructions counted for an argument or a result: type checks, and making objects."""


def native_function(
    plan: Plan,
    outputs: Any,
    fallback: Callable[..., Any],
    name: str = "function",
    is_fast: bool = False,
) -> Callable[..., Any] | None:
    """Return a built-in function that computes a plan of numbers only.

    Parameters
    ----------
    plan : Plan
        The plan of a graph whose values are all known to be scalars.
    outputs : nested structure
        The structure of the result: tuples, lists and dicts whose leaves represent the outputs of
        the plan in order.
    fallback : callable
        Called with the same arguments if there are keywords, if their number is wrong, or if one is
        neither a Python number that its input accepts unchanged nor a NumPy scalar of exactly its
        dtype.
    name : str
    is_fast : bool
        Whether arithmetic on floats may be reassociated and contracted.

    Returns
    -------
    builtin_function_or_method or None
        ``None`` if the plan contains an array or a structure, or if llvmlite or CPython is missing.
        What has no native code is computed by NumPy.
    """
    return ScalarFunctions(plan, is_fast).function(outputs, fallback, name)


class ScalarFunctions:
    """Makes the native functions of a plan.

    Parameters
    ----------
    plan : Plan
    is_fast : bool
    """

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        self._plan, self._is_fast = plan, is_fast
        self._is_scalar = _is_plain(plan) and can_read_numbers()
        numbers = len(plan.inputs) + len(plan.outputs)
        count = len(plan.instructions) + _INSTRUCTIONS_PER_NUMBER * numbers
        self._is_small = self._is_scalar and count <= MOST_INSTRUCTIONS
        self._form: Any = list(plan.graph.outputs)  # that of the last function

    def function(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a function, or ``None``: see :func:`native_function`."""
        if not is_simple(outputs):
            return None
        self._form = outputs
        code = self.code(outputs)
        if code is not None:
            return code.function(fallback, name)
        if self._program is None:
            return None
        from symad.backends.native.scalar_entry import program_function

        return program_function(self._plan, self._program, outputs, fallback, name)

    @property
    def by_numpy(self) -> Mapping[Node, str]:
        """The nodes that NumPy computes, and why."""
        if self.code(self._form) is not None:
            return {}
        if self._program is None:
            return dict.fromkeys(self._plan.order, "there is no native code for numbers here")
        return {call.node: call.reason for call in self._program.by_numpy}

    def code(self, outputs: Any) -> NumberCode | None:
        """Return the code of one function, if the plan is small and has native code."""
        if not self._is_small:
            return None
        key = _structure_of(self._plan, outputs, self._is_fast)
        return _codes.get(key, lambda: _code_for(self._plan, outputs, self._is_fast))

    @cached_property
    def _program(self) -> ScalarProgram | None:
        """The program of the plan, if it can have one."""
        from symad.backends.native.scalar_chunks import chunked_program
        from symad.backends.native.scalar_instructions import can_run_programs
        from symad.backends.native.scalar_program import is_regular, scalar_program

        if not self._is_scalar or not can_run_programs():
            return None
        count = len(self._plan.instructions)
        if count <= MOST_CHUNKED or (count <= MOST_IRREGULAR and not is_regular(self._plan)):
            try:
                return chunked_program(self._plan, self._is_fast)
            except NotImplementedError:
                pass
        return scalar_program(self._plan, self._is_fast)


_codes: Latest[NumberCode | None] = Latest(256)
"""``None`` where there is no code for an op."""


def _structure_of(plan: Plan, outputs: Any, is_fast: bool) -> Any:
    """Return a key of everything that the machine code of a function depends on."""
    inputs = [node.dtype for node in plan.graph.inputs]
    constants = [(register, c.dtype, c.value.tobytes()) for register, c in plan.constants]
    steps = []
    for step in plan.instructions:
        op = step.node.op
        steps.append((type(op), repr(op), step.inputs, step.output, step.node.dtype))
    registers = plan.inputs, plan.outputs
    return is_fast, registers, *map(tuple, (inputs, constants, steps)), form_of_results(outputs)


def _code_for(plan: Plan, outputs: Any, is_fast: bool) -> NumberCode | None:
    objects = objects_by_note(outputs)
    notes = {id(value): note for note, value in reversed(objects.items())}

    def make() -> tuple[Any, list[str]]:
        from symad.backends.native import ir

        module = ir.Module("function")
        writer = NumberFunctionWriter(module, EXPORTED, is_fast)
        writer.finish(outputs, _results(writer, plan))
        return module, [notes.get(id(value)) or str(value) for value in writer.kept()]

    structure, effort = None, Effort.FULL if is_fast else Effort.QUICK
    formulas = formulas_of(node.op for node in plan.order)
    if formulas is not None and all(type(key) in (str, int) for key in keys_of(outputs)):
        structure = _structure_of(plan, outputs, is_fast), can_count_references(), formulas
    try:
        module = stored_module(structure, make, "function", effort)
    except NotImplementedError:
        return None
    return NumberCode.of(module, outputs)


def _results(writer: NumberFunctionWriter, plan: Plan) -> list[Scalar]:
    """Write the instructions of a plan."""
    registers: list[Any] = [None] * plan.registers
    values = writer.arguments([node.dtype for node in plan.graph.inputs])
    for register, value in zip(plan.inputs, values, strict=True):
        registers[register] = value
    for register, constant in plan.constants:
        number = constant.value.item()
        registers[register] = writer.scalars.constant(number, constant.value.dtype)
    for step in plan.instructions:
        op = step.node.op
        assert isinstance(op, PerElement)
        inputs = [registers[register] for register in step.inputs]
        registers[step.output] = element(writer.scalars, op, inputs, step.node.dtype)
    return [registers[register] for register in plan.outputs]


def _is_plain(plan: Plan) -> bool:
    """Return whether a plan has only scalars, and ops that are defined for one element."""
    types, kinds = plan.graph.types(), {type(node.op) for node in plan.order}
    are_scalars = all(isinstance(type_, TensorType) and type_.shape == () for type_ in types)
    return are_scalars and all(issubclass(kind, PerElement) for kind in kinds)
