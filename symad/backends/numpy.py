"""The reference backend: runs a plan with NumPy, one kernel after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.errors import EvaluationError, SymadError
from symad.ops.control import WithBody
from symad.plan.plan import Instruction, Plan, make_plan

_Code = tuple[Callable[..., Any], tuple[int, ...], int, tuple[int, ...], int | None]


class NumpyProgram:
    """A plan ready to run; calls share nothing, so threads may run one program at once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._registers: list[Any] = [None] * plan.registers
        for register, constant in plan.constants:
            self._registers[register] = constant.value[()]
        self._code: list[_Code] = [self._code_of(step) for step in plan.instructions]

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on ``values``, one for each input of the graph, and return the outputs.

        Raises
        ------
        EvaluationError
            If a kernel fails; it names the node, its input types and the user's line.
        """
        registers = self._registers.copy()
        for register, value in zip(self.plan.inputs, values, strict=True):
            registers[register] = value
        step = 0
        try:
            with np.errstate(all="ignore"):
                for kernel, inputs, output, frees, overwrites in self._code:
                    arguments = [registers[register] for register in inputs]
                    if overwrites is None:
                        registers[output] = kernel(*arguments)
                    else:
                        registers[output] = kernel(*arguments, out=registers[overwrites])
                    for register in frees:
                        registers[register] = None
                    step += 1
        except Exception as error:
            raise _failure(self.plan.instructions[step], error) from error
        pairs = zip(self.plan.outputs, self.plan.copied, strict=True)
        return [_result(registers[register], copied) for register, copied in pairs]

    def kernel_of(self, step: Instruction) -> Callable[..., Any]:
        """Return the function of arrays that computes an instruction."""
        op = step.node.op
        assert op is not None
        if isinstance(op, WithBody):
            return op.kernel_of(NumpyProgram(make_plan(op.body)))
        return op.kernel()

    def _code_of(self, step: Instruction) -> _Code:
        kernel = self.kernel_of(step)
        overwrites = step.overwrites if isinstance(kernel, np.ufunc) else None
        return kernel, step.inputs, step.output, step.frees, overwrites


def _result(value: Any, copied: bool) -> Any:
    """Return an output as the caller may keep and change it."""
    if isinstance(value, dict):
        return {key: _result(item, copied) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_result(item, copied) for item in value)
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 0:
        return value[()]
    return value.copy() if copied else value


def _failure(step: Instruction, error: Exception) -> EvaluationError:
    node = step.node
    assert node.op is not None
    types = ", ".join(str(source.type) for source in node.inputs)
    reason = error.message if isinstance(error, SymadError) else f"{type(error).__name__}: {error}"
    what = f"{node.op.name}({types}) failed: {reason}"
    if node.role is not None:
        edge_end = node.role.consumer
        consumer = node.role.node if edge_end is None else edge_end
        what += f"\n  it is the {node.role.kind} of the derivative of {consumer.label!r}"
    return EvaluationError(what, where=node.site.describe())
