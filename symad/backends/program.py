"""Programs: what backends make of graphs, and which backend makes it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from symad.backends.numpy import NumpyProgram
from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.passes.grade import Grade
from symad.plan.plan import Plan, make_plan
from symad.types import TensorType


class Program(Protocol):
    """A graph ready to run; calls share nothing, so that threads may run one program at once."""

    @property
    def plan(self) -> Plan:
        """What is run."""

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Return the outputs for ``values``, one for each input of the graph."""


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
    """

    backend: str
    threads: int
    grade: Grade


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


def make_program(graph: Graph, settings: Settings) -> Program:
    """Return a program for a specialised graph."""
    if settings.backend == "native":
        from symad.backends.native.program import build, native_graph

        return build(make_plan(native_graph(graph)), settings.threads)
    return NumpyProgram(make_plan(graph))


def make_entry(
    graph: Graph,
    inputs: Any,
    outputs: Any,
    fallback: Callable[..., Any],
    settings: Settings,
    name: str,
) -> Callable[..., Any] | None:
    """Return a native function that takes arguments as Python passes them, or ``None``.

    Parameters
    ----------
    graph : Graph
        Specialised.
    inputs, outputs : nested structures
        What a call takes and returns.
    fallback : callable
        Called with the same arguments if they are not what the native function expects.
    settings : Settings
    name : str
    """
    if settings.backend != "native" or not isinstance(inputs, (list, tuple)):
        return None
    if any(isinstance(argument, (list, tuple, dict)) for argument in inputs):
        return None
    if any(node.type.ndim != 0 for node in graph.inputs if isinstance(node.type, TensorType)):
        return None  # said before a plan is made, which new shapes of arrays would wait for
    from symad.backends.native.entry import native_function

    return native_function(make_plan(graph), outputs, fallback, name)
