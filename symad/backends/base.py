"""What a backend is: a class that turns graphs into programs, and the settings that it follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.passes.rule import Grade
from symad.plan.plan import Plan, make_plan


class Program(Protocol):
    """A plan ready to run; calls share nothing, so that threads may run one program at once."""

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


@dataclass(frozen=True, slots=True)
class CallMark:
    """A number that calls write to the first place of an array of 64-bit integers."""

    place: np.ndarray[Any, np.dtype[np.int64]]
    number: int


@runtime_checkable
class DirectProgram(Program, Protocol):
    """A program that can also take the arguments of a call without any Python in between."""

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str, mark: CallMark
    ) -> Callable[..., Any] | None:
        """Return a function that takes arguments as Python passes them, ``None`` if there is none.

        Parameters
        ----------
        outputs : nested structure
            What a call returns.
        fallback : callable
            Called with the same arguments if they are not what the function expects.
        name : str
        mark : CallMark
            Left by each call, except where all values are numbers.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """How functions are compiled.

    Attributes
    ----------
    backend : Backend
    threads : int
        Between how many threads large arrays are split.
    grade : Grade
        How exact rewrites must be.
    recompute : bool
        Whether cheap residuals are computed again rather than kept.
    fastmath : bool
        Whether machine code may reassociate and contract arithmetic on floats.
    """

    backend: Backend
    threads: int = 1
    grade: Grade = Grade.ROUNDING
    recompute: bool = False
    fastmath: bool = False


class Backend:
    """Runs plans.

    A backend needs a :attr:`name` and :meth:`emit`.  The other methods are the stages of the
    pipeline between the last graph and the program; what they do by default suits a backend that
    runs a plan op by op.

    Attributes
    ----------
    name : str
        By which :func:`symad.compile` knows it, if it is registered.
    fuses : bool
        Whether it computes elementwise ops and reductions as loop nests: then the pipeline writes
        ops out and makes nests of what :meth:`supports` says yes to.
    keeps_memory : bool
        Whether calls use the memory of those before them again, rather than new memory.
    """

    name: ClassVar[str]
    fuses: ClassVar[bool] = False
    keeps_memory: ClassVar[bool] = False

    def supports(self, node: Node) -> bool:
        """Return whether the backend has code of its own for an op of these types.

        What it has none for is computed by NumPy's kernels.
        """
        return True

    def workspace(self) -> Any:
        """Return what the programs of one function share, whatever the shapes of their inputs."""
        return None

    def schedule(self, graph: Graph, settings: Settings) -> Any:
        """Return what runs together, and in which order."""
        return graph

    def lower(self, schedule: Any, settings: Settings) -> Any:
        """Return the schedule with the code that computes each part of it."""
        return schedule

    def assign_buffers(self, lowered: Any, settings: Settings) -> Plan:
        """Return the plan: where each value is stored, and for how long."""
        return make_plan(lowered)

    def emit(self, plan: Any, settings: Settings, workspace: Any) -> Program:
        """Return the program that runs a plan."""
        raise NotImplementedError(f"backend {self.name!r} has no emit()")

    def __str__(self) -> str:
        return self.name
