"""Programs: what backends make of graphs, and which backend makes it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from symad.backends.native.memory_pool import Memory
from symad.backends.numpy import NumpyProgram
from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.ops.base import PerElement
from symad.passes.grade import Grade
from symad.plan.plan import Plan, make_plan
from symad.types import TensorType


@dataclass(frozen=True, slots=True)
class Mark:
    """A number that calls write to the first place of an array of 64-bit integers."""

    place: np.ndarray[Any, np.dtype[np.int64]]
    number: int


class Program(Protocol):
    """A graph ready to run; calls share nothing, so that threads may run one program at once."""

    keeps_memory: ClassVar[bool]
    """Whether calls use the memory of those before them again, rather than new memory."""

    @property
    def plan(self) -> Plan:
        """What is run."""

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs for ``values``, one for each input of the graph.

        Where ``targets`` has an array for an output, it may be written there, and that array
        returned: it is contiguous, of the type of the output, and shares memory with nothing else.
        """

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return what was computed one after another, each with its seconds."""

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str, mark: Mark
    ) -> Callable[..., Any] | None:
        """Return a native function that takes arguments as Python passes them, or ``None``.

        Parameters
        ----------
        outputs : nested structure
            What a call returns.
        fallback : callable
            Called with the same arguments if they are not what the native function expects.
        name : str
        mark : Mark
            Left by each call, except where all values are numbers.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """How functions are compiled.

    Attributes
    ----------
    backend : str
        ``"numpy"`` or ``"native"``.
    threads : int
        Between how many threads large arrays are split.
    grade : Grade
        How exact rewrites must be.
    recompute : bool
        Whether cheap residuals are computed again rather than kept.
    fastmath : bool
        Whether machine code may reassociate and contract arithmetic on floats.
    """

    backend: str
    threads: int
    grade: Grade
    recompute: bool = False
    fastmath: bool = False


def choose_backend(name: str) -> str:
    """Return the backend that ``name`` stands for.

    Raises
    ------
    GraphTypeError
        If there is none of that name, or it is not installed.
    """
    has_llvm = importlib.util.find_spec("llvmlite") is not None
    if name == "auto":
        return "native" if has_llvm else "numpy"
    if name not in ("numpy", "native"):
        raise GraphTypeError(
            f"there is no backend {name!r}", remedy='Use "auto", "numpy" or "native".'
        )
    if name == "native" and not has_llvm:
        raise GraphTypeError(
            "the native backend needs llvmlite", remedy="Run `pip install symad[native]`."
        )
    return name


def make_program(graph: Graph, settings: Settings, memory: Memory) -> Program:
    """Return a program for a specialised graph; native code works in ``memory``."""
    plan = plan_for(graph, settings)
    if settings.backend == "numpy":
        return NumpyProgram(plan)
    if is_of_numbers(graph):
        return NumberProgram(plan, settings.fastmath)
    from symad.backends.native.program import NativeProgram

    return NativeProgram(plan, settings.threads, settings.fastmath, memory)


def plan_for(graph: Graph, settings: Settings) -> Plan:
    """Return the plan of a specialised graph, as the backend runs it."""
    if settings.backend == "numpy" or is_of_numbers(graph):
        return make_plan(graph)
    from symad.backends.native.program import native_graph

    return make_plan(native_graph(graph))


def is_of_numbers(graph: Graph) -> bool:
    """Return whether nothing has axes, and all ops are elementwise."""
    return all(
        isinstance(node.type, TensorType)
        and node.type.shape == ()
        and (node.op is None or isinstance(node.op, PerElement))
        for node in (*graph.inputs, *graph.nodes)
    )


class NumberProgram(NumpyProgram):
    """A plan of numbers as a native function; by NumPy's kernels where there can be none."""

    def __init__(self, plan: Plan, is_fast: bool) -> None:
        super().__init__(plan)
        self._is_fast = is_fast
        self._run = self._native(list(plan.graph.outputs), self._by_kernels)

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs, as :meth:`entry` makes them; see :class:`Program`."""
        return self._by_kernels(*values) if self._run is None else self._run(*values)

    def _by_kernels(self, *values: Any) -> list[Any]:
        return super().__call__(values)

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str, mark: Mark
    ) -> Callable[..., Any] | None:
        """Return the native function; it leaves no mark."""
        return self._native(outputs, fallback, name)

    def _native(
        self, outputs: Any, fallback: Callable[..., Any], name: str = "function"
    ) -> Callable[..., Any] | None:
        from symad.backends.native.scalar_function import native_function

        return native_function(self.plan, outputs, fallback, name, self._is_fast)
