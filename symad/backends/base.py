"""The base class of backends, which turn graphs into programs, and their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from symad.graph.graph import Graph
from symad.graph.node import Node, Parameter
from symad.passes.grade import Grade
from symad.records import dataclass
from symad.types import Type

if TYPE_CHECKING:
    from symad.plan.plan import Plan

BackendName = Literal["auto", "numpy", "native", "jax"]
"""The names of the built-in backends."""


class Program(Protocol):
    """A plan that is ready to run; calls share no state, so several threads may run it."""

    @property
    def plan(self) -> Plan:
        """The plan that is run."""

    def __call__(self, values: Sequence[Any], targets: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs for ``values``, one for each input of the graph.

        If ``targets`` has an array for an output, the program may write the output there and return
        that array.  The array is contiguous, has the type of the output, and shares no memory.
        """

    def profile(self, values: Sequence[Any]) -> list[tuple[Node, float]]:
        """Run once, and return the computed nodes in order, each with its seconds."""


class DirectProgram(Program, Protocol):
    """A program that can take the values of a call without intermediate Python code."""

    def entry(
        self, outputs: Any, fallback: Callable[..., Any], name: str
    ) -> Callable[..., Any] | None:
        """Return a function that takes a value for each input of the graph, or ``None``.

        Parameters
        ----------
        outputs : nested structure
            The structure of the result of a call.
        fallback : callable
            Called with the same values if they are not what the function expects.
        name : str
        """


Mark = np.ndarray[Any, np.dtype[np.int64]]
"""One number, which calls replace."""

Key = tuple[Any, ...]
"""What the program of a call depends on: for each value its shape, or, of a size, the number."""


@dataclass(frozen=True, slots=True)
class CallForm:
    """What the calls of a function pass, and what they leave.

    Attributes
    ----------
    arguments : tuple
        The nodes of each argument, in their structure.
    names : dict from str to int
        The index of each argument that may be given by name.
    parameters : tuple of Parameter
        Those whose values follow those of the nodes.
    updated : tuple of Parameter
        Those that get new values.  The results of an entry are then a pair: what the call returns,
        and these values in a tuple.
    sizes : frozenset of int
        The indices of nodes whose numbers are part of the key.
    """

    arguments: tuple[Any, ...]
    names: Mapping[str, int]
    parameters: tuple[Parameter, ...]
    updated: tuple[Parameter, ...]
    sizes: frozenset[int]


@dataclass(frozen=True, slots=True)
class DirectEntry:
    """An entry of a program, for calls with one key; ``number`` tells entries apart."""

    key: Key
    call: Callable[..., Any]
    number: int


class Dispatcher(Protocol):
    """Makes functions that find the entry for the arguments of a call."""

    def call_of(
        self, entries: Sequence[DirectEntry], fallback: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a function that calls one of ``entries`` with the values of the call's arguments.

        It stores the new values of parameters, and notes the number of the entry.  Where the
        arguments are not as expected, it calls ``fallback`` with them.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """How functions are compiled.

    Attributes
    ----------
    backend : Backend
    threads : int
        The number of threads that share large arrays.
    grade : Grade
        How exact rewrites must be.
    recompute : bool
        Whether cheap residuals are recomputed instead of stored.
    fastmath : bool
        Whether machine code may reassociate and contract arithmetic on floats.
    device : str
        The device of a backend that has several; empty for its default.
    mesh : tuple of (str, int)
        The names of dimensions that devices share, and how many share each.
    """

    backend: Backend
    threads: int = 1
    grade: Grade = Grade.ROUNDING
    recompute: bool = False
    fastmath: bool = False
    device: str = ""
    mesh: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What a program is made of.

    Attributes
    ----------
    graph : Graph
    types : tuple of Type
        The concrete types of its inputs.
    settings : Settings
    workspace : optional
        The result of :meth:`Backend.workspace`.
    results : nested structure
        What the function returns.
    """

    graph: Graph
    types: tuple[Type, ...]
    settings: Settings
    workspace: Any
    results: Any


Made: TypeAlias = tuple[Program, int]
"""A program, and the bytes that a call needs if they are worth checking, else 0."""


class Backend:
    """Runs plans.

    A backend needs a :attr:`name` and :meth:`emit`.  The other methods are the stages of the
    pipeline between the last graph and the program; their defaults suit a backend that runs a plan
    op by op.

    Attributes
    ----------
    name : str
        The name for :func:`symad.compile`, if the backend is registered.
    fuses : bool
        Whether it computes elementwise ops and reductions as loop nests: the pipeline then
        decomposes ops and fuses those for which :meth:`supports` returns true.
    unwanted_rules : frozenset of str
        The rewrite rules that make its programs slower, and are left out.
    fixes_sizes : bool
        Whether inputs that decide sizes are constants in its programs, one for each number.
    has_devices : bool
        Whether it takes ``device`` and ``mesh``.
    keeps_memory : bool
        Whether calls reuse the memory of previous calls.
    describes : bool
        Whether programs can be made of a :meth:`description`.
    checks_entries : bool
        Whether entries check shapes, so that a call may go to one directly; else all calls go
        through :meth:`dispatcher`.
    """

    name: ClassVar[str]
    fuses: ClassVar[bool] = False
    unwanted_rules: ClassVar[frozenset[str]] = frozenset()
    fixes_sizes: ClassVar[bool] = False
    has_devices: ClassVar[bool] = False
    keeps_memory: ClassVar[bool] = False
    describes: ClassVar[bool] = False
    checks_entries: ClassVar[bool] = True

    def supports(self, node: Node) -> bool:
        """Return whether the backend has its own code for an op on these types.

        NumPy's kernels compute all other ops.
        """
        return True

    def dispatcher(self, form: CallForm, latest: Mark) -> Dispatcher | None:
        """Return what finds the entry for a call, or ``None`` if Python code does that.

        Calls write the number of their entry to ``latest``.
        """
        return None

    def workspace(
        self, graph: Graph, settings: Settings, updated: Sequence[Parameter] = ()
    ) -> Any:
        """Return the state that the programs of one function share, for all input shapes.

        The graph is the one that was written; what the backend cannot run is an error here.  Its
        last outputs are the new values of the ``updated`` parameters.
        """
        return None

    def lasting_program(self, request: CompileRequest, make: Callable[[], Made]) -> Made:
        """Return what ``make`` returns, or the same program as an earlier process left it.

        What is not known of that, such as its plan, is made when it is asked for.
        """
        return make()

    def description(self, plan: Any) -> Any:
        """Return a program as nested lists and tuples of numbers and names, or ``None``."""
        raise NotImplementedError(f"backend {self.name!r} has no description()")

    def described_program(
        self, description: Any, request: CompileRequest, make: Callable[[], Program]
    ) -> Program | None:
        """Return the program of a description, or ``None`` if code that it calls is gone.

        Its plan is that of the program that ``make`` returns.
        """
        return None

    def schedule(self, graph: Graph, settings: Settings) -> Any:
        """Return the schedule: the parts that run together, in order."""
        return graph

    def lower(self, schedule: Any, settings: Settings) -> Any:
        """Return the schedule with the code for each part."""
        return schedule

    def assign_buffers(self, lowered: Any, settings: Settings) -> Plan:
        """Return the plan: the storage and the lifetime of each value."""
        from symad.plan.plan import make_plan  # slow to import

        return make_plan(lowered)

    def emit(self, plan: Any, settings: Settings, workspace: Any) -> Program:
        """Return the program that runs a plan."""
        raise NotImplementedError(f"backend {self.name!r} has no emit()")

    def __str__(self) -> str:
        return self.name
