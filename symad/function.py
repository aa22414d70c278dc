"""Function: a compiled graph, called again and again with new values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from symad.backends.program import Program, Settings, make_entry, make_program
from symad.backends.source import SourceWriter
from symad.binding import Binding
from symad.feed import accept, type_of
from symad.graph.graph import Graph
from symad.graph.nested import leaves, rebuild
from symad.graph.node import Node, Parameter
from symad.passes.specialise import specialise
from symad.plan.plan import Plan, make_plan
from symad.types import Dimension, Type

if TYPE_CHECKING:
    from symad.passes.pipeline import Optimised

_CACHED_PROGRAMS = 64
"""How many input signatures one function keeps a program for."""


@dataclass(frozen=True, slots=True)
class Specialisation:
    """What a function runs for one signature of its inputs."""

    program: Program
    passes: Optimised


class Function:
    """A compiled graph, to be called again and again with new values.

    Made by :func:`symad.compile`.  Calls are thread-safe.  The first call with new input shapes
    specialises the graph for them, which takes milliseconds; the result is kept.

    Attributes
    ----------
    name : str
    graph : Graph
        What was compiled: all outputs, then the new values of the updated parameters.
    inputs, outputs : nested structures of nodes
        As they were given to :func:`symad.compile`.
    parameters : tuple of Parameter
        All parameters that are read or updated.
    updates : dict
        From each updated parameter to its new value.
    settings : Settings
        The backend, the number of threads, and which rewrites may be used.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=("n",))
    >>> f = sm.compile([x], sm.sum(x * x), name="squares")
    >>> f
    <Function squares(x: f64[n]), 3 nodes>
    >>> f([3.0, 4.0]), f(x=[1.0, 2.0, 3.0])
    (np.float64(25.0), np.float64(14.0))
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Any,
        outputs: Any,
        updates: Mapping[Parameter, Node],
        settings: Settings,
        name: str,
    ) -> None:
        self.name = name
        self.graph = graph
        self.inputs = inputs
        self.outputs = outputs
        self.updates = dict(updates)
        self.settings = settings
        self._binding = Binding(name, inputs)
        state = graph.inputs[len(self._binding.nodes) :]
        self.parameters = cast(tuple[Parameter, ...], state)
        self._locks = [parameter.lock for parameter in sorted(self.parameters, key=id)]
        self._specialisations: OrderedDict[Any, Specialisation] = OrderedDict()
        self._latest: Specialisation | None = None
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return the outputs for the given inputs, in the structure they were asked for.

        Raises
        ------
        FeedError
            If an input is missing, unknown, given twice, or of the wrong type or shape.
        EvaluationError
            If an op fails; no parameter has changed then.
        """
        sizes: dict[Dimension, int] = {}
        given = self._binding.values(args, keywords)
        pairs = zip(given, self._binding.nodes, strict=True)
        values = [accept(value, node, sizes) for value, node in pairs]
        if not self.parameters:
            return rebuild(self.outputs, iter(self._program(values)(values)))
        with ExitStack() as stack:
            for lock in self._locks:
                stack.enter_context(lock)
            values += [parameter.value for parameter in self.parameters]
            results = self._program(values)(values)
            self._store(results[len(results) - len(self.updates) :])
        return rebuild(self.outputs, iter(results))

    def _store(self, new_values: Sequence[Any]) -> None:
        """Replace all updated parameters together."""
        for parameter, value in zip(self.updates, new_values, strict=True):
            parameter.adopt(value)

    def _program(self, values: Sequence[Any]) -> Program:
        """Return the program for the shapes of ``values``, making it if there is none."""
        key = tuple([_signature(value) for value in values])  # a list is faster than a generator
        found = self._specialisations.get(key)
        if found is None:
            found = self._specialise([type_of(value) for value in values])
            with self._lock:
                self._specialisations[key] = found
                if len(self._specialisations) > _CACHED_PROGRAMS:
                    self._specialisations.popitem(last=False)
            self._enter_natively(found)
        self._latest = found
        return found.program

    def _specialise(self, types: Sequence[Type]) -> Specialisation:
        from symad.passes.pipeline import optimise  # its rules take time to import

        passes = optimise(specialise(self.graph, types), self.settings.grade)
        return Specialisation(make_program(passes.graph, self.settings), passes)

    def _enter_natively(self, found: Specialisation) -> None:
        """Let calls with numbers go straight to native code, if there is any for them.

        Python looks ``__call__`` up in the class, so this function gets a class of its own.
        """
        if self.parameters:
            return
        entry = make_entry(
            found.passes.graph, self.inputs, self.outputs, self._call, self.settings, self.name
        )
        if entry is not None:
            self.__class__ = type("Function", (Function,), {"__call__": entry})

    def _call(self, *args: Any, **keywords: Any) -> Any:
        return Function.__call__(self, *args, **keywords)

    def specialised(self) -> Specialisation:
        """Return what the latest call ran; before the first call, what the declared types give."""
        if self._latest is not None:
            return self._latest
        return self._specialise([node.type for node in self.graph.inputs])

    @property
    def passes(self) -> Optimised:
        """What each pass did for the latest call: nodes before and after, time, rules used."""
        return self.specialised().passes

    @property
    def plan(self) -> Plan:
        """The plan of the latest call; before the first call, the plan for the declared types."""
        return self.specialised().program.plan

    @property
    def source(self) -> str:
        """The graph that runs as readable NumPy source that runs too.

        Arrays that are too large to be written out are looked up in a dictionary
        :attr:`constants`.

        Examples
        --------
        >>> import symad as sm
        >>> x = sm.Variable("x")
        >>> print(sm.compile([x], sm.sin(x) * 2, name="f").source)  # doctest: +ELLIPSIS
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def f(x):
            c1 = np.float64(2.0)
            v1 = np.sin(x)  # f64[...], ...
            v2 = np.multiply(v1, c1)  # f64[...], ...
            return v2
        <BLANKLINE>
        """
        return self._write_source(SourceWriter())

    @property
    def constants(self) -> dict[str, Any]:
        """The arrays that :attr:`source` looks up by name."""
        writer = SourceWriter()
        self._write_source(writer)
        return writer.constants

    def _write_source(self, writer: SourceWriter) -> str:
        """The outputs come in their structure; with updates, a dict of new values follows."""
        form: Any = self.outputs
        if self.updates:
            form = (form, {parameter.label: new for parameter, new in self.updates.items()})
        return writer.module(make_plan(self.passes.graph), self.name, form)

    def __reduce__(self) -> tuple[Callable[..., Function], tuple[Any, ...]]:
        index = {node: i for i, node in enumerate(self.graph.inputs)}
        inputs = rebuild(self.inputs, iter(range(len(self._binding.nodes))))
        outputs = rebuild(self.outputs, iter(range(len(self.graph.outputs))))
        updates = [index[parameter] for parameter in self.updates]
        return _restore, (self.graph, inputs, outputs, updates, self.settings, self.name)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{node.label}: {node.type}" for node in self._binding.nodes)
        return f"<Function {self.name}({inputs}), {len(self.graph)} nodes>"


def _signature(value: Any) -> Any:
    return type_of(value) if isinstance(value, (dict, tuple, list)) else value.shape


def _restore(
    graph: Graph, inputs: Any, outputs: Any, updates: list[int], settings: Settings, name: str
) -> Function:
    """Return a function from its parts, in which nodes are given by their places in the graph."""
    count = len(list(leaves(outputs)))
    pairs = zip(updates, graph.outputs[count:], strict=True)
    stored = {cast(Parameter, graph.inputs[place]): new for place, new in pairs}
    return Function(
        graph,
        rebuild(inputs, iter(graph.inputs)),
        rebuild(outputs, iter(graph.outputs)),
        stored,
        settings,
        name,
    )
