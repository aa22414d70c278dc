"""Programs of one segment whose code an earlier process has stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symad.backends.native.memory_pool import Memory
from symad.backends.native.packed_segment import unpacked_code
from symad.backends.native.program import NativeProgram, Segment
from symad.backends.native.runtime import runtime
from symad.graph.node import Node
from symad.types import TensorType


def recalled_program(
    content: Any, memory: Memory, compiled: Callable[[], Any]
) -> NativeProgram | None:
    """Return the program of a described segment, ``None`` if this process lacks some of its code.

    What only the nodes tell is found by ``compiled``, which returns the same program.
    """
    found = runtime()
    code = None if found is None else unpacked_code(content)
    if found is None or code is None:
        return None
    inputs = [Node(None, (), TensorType(t.dtype, t.shape)) for t in code.inputs]
    segment = Segment(code, inputs, lambda: compiled().kernels, found, memory)
    segment.enter()
    return _RecalledProgram(compiled, segment)


class _RecalledProgram(NativeProgram):
    """A program whose nodes are known only to the compiled program."""

    def __init__(self, compiled: Callable[[], Any], whole: Segment) -> None:
        form = [None] * len(whole.code.outputs)
        super().__init__(lambda: compiled().plan, form, whole)
        self._compiled = compiled

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        found: list[tuple[Node, float]] = self._compiled().profile(values)
        return found
