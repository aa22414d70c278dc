"""The reference backend: runs a plan with NumPy, one kernel after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.backends.base import Backend, Settings
from symad.errors import EvaluationError, SymadError
from symad.graph.node import Node
from symad.graph.op import Op
from symad.ops.body import WithBody
from symad.records import cached_property
from symad.types import TensorType

if TYPE_CHECKING:
    from symad.plan.plan import Instruction, Plan

_Array = np.ndarray[Any, Any]
KernelOf = Callable[[Op], Callable[..., Any]]
_Code = tuple[Callable[..., Any], tuple[int, ...], int, tuple[int, ...], int | None]


class NumpyBackend(Backend):
    """Runs plans with NumPy: always available, and the reference for all other backends."""

    name = "numpy"

    def emit(self, plan: Plan, settings: Settings, workspace: Any) -> NumpyProgram:
        return numpy_program(plan)


class NumpyProgram:
    """A plan that is ready to run; calls share no state, so several threads may run it.

    Parameters
    ----------
    plan : Plan
    registers : list
        All registers before a call: constants have their values.
    code : list
        The function of each instruction, with its registers.
    """

    def __init__(self, plan: Plan, registers: list[Any], code: list[_Code]) -> None:
        self.plan = plan
        self._registers = registers
        self._code = code

    def __call__(
        self, values: Sequence[Any], targets: Sequence[_Array | None] | None = None
    ) -> list[Any]:
        """Run on ``values``, one for each input of the graph, and return the outputs.

        Parameters
        ----------
        values : sequence
        targets : sequence of array or None, optional
            For each output, contiguous, unshared memory of its type, which is returned with the
            result.

        Raises
        ------
        EvaluationError
            If a kernel fails; it names the node, its input types and the user's line.
        """
        registers = self._start(values)
        if targets:
            registers += targets
        step = 0
        try:
            with np.errstate(all="ignore"):
                for code in self._code_into if targets else self._code:
                    _run(code, registers)
                    step += 1
        except Exception as error:
            raise failure_of(self.plan.instructions[step].node, error) from error
        found = [registers[register] for register in self.plan.outputs]
        results: list[Any] = []
        try:
            for value, copied, target in zip(
                found, self.plan.copied, targets or [None] * len(found), strict=True
            ):
                results.append(result_into(value, copied, target))
        except MemoryError as error:  # a broadcast array takes no memory before it is copied
            raise failure_of(self.plan.graph.outputs[len(results)], error) from error
        return results

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return the node of each instruction and its time in seconds."""
        registers = self._start(values)
        times = []
        with np.errstate(all="ignore"):
            for step, code in zip(self.plan.instructions, self._code, strict=True):
                begin = perf_counter()
                try:
                    _run(code, registers)
                except Exception as error:
                    raise failure_of(step.node, error) from error
                times.append((step.node, perf_counter() - begin))
        return times

    def _start(self, values: Sequence[Any]) -> list[Any]:
        """Return all registers before the first instruction."""
        registers = self._registers.copy()
        for register, value in zip(self.plan.inputs, values, strict=True):
            registers[register] = value
        return registers

    @cached_property
    def _code_into(self) -> list[_Code]:
        """The code that writes outputs to their targets, which are additional registers."""
        outputs = zip(self.plan.graph.outputs, self.plan.copied, strict=True)
        places = {
            node: place
            for place, (node, copied) in enumerate(outputs, self.plan.registers)
            if not copied and isinstance(node.type, TensorType) and node.type.ndim
        }
        found: list[_Code] = []
        for step, code in zip(self.plan.instructions, self._code, strict=True):
            kernel, inputs, output, frees, overwrites = code
            if isinstance(kernel, np.ufunc):
                overwrites = places.get(step.node, overwrites)
            found.append((kernel, inputs, output, frees, overwrites))
        return found


def numpy_program(plan: Plan, kernel_of: KernelOf | None = None) -> NumpyProgram:
    """Return the program that runs a plan, one kernel after another.

    Parameters
    ----------
    plan : Plan
    kernel_of : callable, optional
        Returns the function of arrays that computes an op; :func:`kernel_of` by default.

    Examples
    --------
    >>> import symad as sm
    >>> from symad.plan.plan import make_plan
    >>> x = sm.Variable("x", shape=())
    >>> numpy_program(make_plan(sm.Graph([x * x, x + 1])))([3.0])
    [np.float64(9.0), np.float64(4.0)]
    """
    registers: list[Any] = [None] * plan.registers
    for register, constant in plan.constants:
        registers[register] = constant.value[()]
    find = _kernel_of if kernel_of is None else kernel_of
    return NumpyProgram(plan, registers, [_code_of(step, find) for step in plan.instructions])


def _code_of(step: Instruction, kernel_of: KernelOf) -> _Code:
    assert step.node.op is not None
    kernel = kernel_of(step.node.op)
    overwrites = step.overwrites if isinstance(kernel, np.ufunc) else None
    return kernel, step.inputs, step.output, step.frees, overwrites


def kernel_of(op: Op) -> Callable[..., Any]:
    """Return the function of arrays that computes an op."""
    if isinstance(op, WithBody):
        from symad.plan.plan import make_plan

        return op.kernel_of(*[numpy_program(make_plan(body)) for body in op.bodies])
    return op.kernel()


_kernel_of = kernel_of


def _run(code: _Code, registers: list[Any]) -> None:
    kernel, inputs, output, frees, overwrites = code
    arguments = [registers[register] for register in inputs]
    if overwrites is None:
        registers[output] = kernel(*arguments)
    else:
        registers[output] = kernel(*arguments, out=registers[overwrites])
    for register in frees:
        registers[register] = None


def result_of(value: Any, copied: bool) -> Any:
    """Return an output that the caller may keep and modify."""
    if isinstance(value, dict):
        return {key: result_of(item, copied) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(result_of(item, copied) for item in value)
    if not isinstance(value, np.ndarray):
        return value.copy() if copied and hasattr(value, "tocsr") else value
    if value.ndim == 0:
        return value[()]
    return value.copy() if copied else value


def result_into(value: Any, copied: bool, target: _Array | None) -> Any:
    """Return ``target`` with the value of an output; without a target, see :func:`result_of`."""
    if target is None:
        return result_of(value, copied)
    if value is not target:
        np.copyto(target, value)
    return target


def failure_of(node: Node, error: Exception) -> EvaluationError:
    """Return the error for a failed kernel: the op, its input types, the user's line."""
    types = ", ".join(str(source.type) for source in node.inputs)
    reason = error.message if isinstance(error, SymadError) else f"{type(error).__name__}: {error}"
    what = f"{node.op.name if node.op else node.label}({types}) failed: {reason}"
    if node.role is not None:
        edge_end = node.role.consumer
        consumer = node.role.node if edge_end is None else edge_end
        what += f"\n  it is the {node.role.kind} of the derivative of {consumer.label!r}"
    remedy = error.remedy if isinstance(error, SymadError) else ""
    return EvaluationError(what, where=node.site.describe(), remedy=remedy)
