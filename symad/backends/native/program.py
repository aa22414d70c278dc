"""Programs that are ready to run: native code, and NumPy's kernels for ops that have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from symad.backends.native.call_table import CallConvention
from symad.backends.native.packages import Form, packed, unpacked
from symad.backends.native.segment import Segment
from symad.graph.nested import rebuild
from symad.graph.node import Node
from symad.records import dataclass

if TYPE_CHECKING:
    from symad.backends.numpy import NumpyProgram
    from symad.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class RegisterCall:
    """Call ``run`` with the values of some registers.

    Attributes
    ----------
    run : callable
    inputs : tuple of int
    outputs : tuple of int
        The registers of the results: a list for a segment, one for a kernel.
    frees : tuple of int
        The registers that are no longer needed after it.
    source : Node or Segment
    targets : tuple of int or None
        The index of the program's output for each array that a segment makes; memory for these
        outputs may be passed after the inputs.
    """

    run: Callable[..., Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frees: tuple[int, ...]
    source: Node | Segment
    targets: tuple[int | None, ...]


class NativeProgram:
    """A plan that is ready to run; calls share no state, so several threads may run it.

    Large buffers are kept between calls; a returned buffer is reused only when nothing refers to it
    any more.

    Parameters
    ----------
    make_plan : callable
        Returns the plan that is run, node by node.
    form : Form
    whole : Segment or None
        The segment that takes all inputs and returns all outputs, if there is one; else
    calls : sequence of RegisterCall
        are run on registers: those of the inputs, and
    registers : sequence
        the others as they are before a call;
    outputs : sequence of (int, bool)
        of which the outputs are some, that may have to be copied.
    """

    def __init__(
        self,
        make_plan: Callable[[], Plan],
        form: Form,
        whole: Segment | None,
        calls: Sequence[RegisterCall] = (),
        registers: Sequence[Any] = (),
        outputs: Sequence[tuple[int, bool]] = (),
    ) -> None:
        self._make_plan, self._form = make_plan, form
        self._whole, self._steps = whole, calls
        self._registers, self._outputs = registers, outputs

    @cached_property
    def plan(self) -> Plan:
        """The plan that is run, node by node."""
        return self._make_plan()

    def packed(self, outputs: Any) -> Any:
        """Return what another process can make the same program of, if it is one segment.

        Raises
        ------
        NotStorable
            If it calls something that only this process has.
        """
        if self._whole is None or any(self._form):
            return None
        from symad.backends.native.packed_segment import packed_code

        return packed_code(self._whole.code)

    @property
    def kernels(self) -> NumpyProgram:
        """The program that computes the same by NumPy's kernels, if there is one segment."""
        assert self._whole is not None
        return self._whole.kernels

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Run on ``values``, one for each input of the graph, and return the outputs.

        If ``targets`` has an array for an output, the output may be written there and returned.

        Raises
        ------
        EvaluationError
            If an op fails; it names the node, its input types and the user's line.
        """
        targets = unpacked(targets or (), self._form)
        if self._whole is not None:
            return packed(self._whole.run(*values, *targets), self._form)
        registers = [*values, *self._registers]
        with np.errstate(all="ignore"):
            for step in self._steps:
                _run(step, registers, targets)
        return packed(self._results(registers), self._form)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a native function that takes arguments as passed by Python, or ``None``.

        See :meth:`symad.backends.base.DirectProgram.entry`.
        """
        if self._whole is None:
            return None
        if any(self._form):
            outputs = rebuild(outputs, iter(self._form))
        return self._whole.entry(CallConvention(fallback, outputs))

    def _results(self, registers: Sequence[Any]) -> list[Any]:
        from symad.backends.numpy import result_of

        return [result_of(registers[place], copied) for place, copied in self._outputs]

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return the computed nodes in order, each with its seconds."""
        if self._whole is not None:
            return self._whole.profile(values)
        registers = [*values, *self._registers]
        times: list[tuple[Node, float]] = []
        with np.errstate(all="ignore"):
            for step in self._steps:
                if isinstance(step.source, Segment):
                    times += step.source.profile([registers[k] for k in step.inputs])
                begin = perf_counter()
                _run(step, registers, ())
                if isinstance(step.source, Node):
                    times.append((step.source, perf_counter() - begin))
        return times


def _run(step: RegisterCall, registers: list[Any], targets: Sequence[Any]) -> None:
    arguments = [registers[place] for place in step.inputs]
    if targets:
        arguments += [None if k is None else targets[k] for k in step.targets]
    if isinstance(step.source, Segment):
        for place, value in zip(step.outputs, step.run(*arguments), strict=True):
            registers[place] = value
    else:
        try:
            registers[step.outputs[0]] = step.run(*arguments)
        except Exception as error:
            from symad.backends.numpy import failure_of

            raise failure_of(step.source, error) from error
    for place in step.frees:
        registers[place] = None
