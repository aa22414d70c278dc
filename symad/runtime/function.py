"""Function: a compiled graph, which can be called repeatedly with new values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from symad.backends.base import CallMark, DirectProgram, Program, Settings
from symad.graph.collector import collector_paused
from symad.graph.graph import Graph
from symad.graph.nested import leaves, rebuild
from symad.graph.node import Node, Parameter
from symad.runtime.inputs import Binding, accept, type_of
from symad.runtime.introspection import OfInstances, documentation_of, signature_of
from symad.runtime.out_argument import Targets
from symad.types import Dimension, Type
from symad.visible import visible

if TYPE_CHECKING:
    from symad.backends.source import SourceWriter
    from symad.plan.plan import Plan
    from symad.runtime.pipeline import Optimised
    from symad.runtime.recompute_savings import Trade

_CACHED_PROGRAMS = 64
"""The most input signatures for which one function keeps a program."""
_CHAINED = 4
"""The most native functions that a call tries in turn before it uses the general path."""


@dataclass(eq=False, slots=True)
class Specialisation:
    """The program of a function for one signature of its inputs.

    Attributes
    ----------
    program : Program
    passes : Optimised
    memory : int
        The bytes that a call needs besides the inputs, if they are worth checking, else 0.
    was_entered : bool
        Whether calls go directly to native code, if they can.
    """

    program: Program
    passes: Optimised
    memory: int
    was_entered: bool = False


class Function:
    """A compiled graph, which can be called repeatedly with new values.

    Made by :func:`symad.compile`.  Calls are thread-safe.  The first call with new input shapes
    specialises the graph for them, which takes milliseconds; the result is kept.

    Attributes
    ----------
    name : str
    graph : Graph
        The compiled graph: all outputs, then the new values of the updated parameters.
    inputs, outputs : nested structures of nodes
        As given to :func:`symad.compile`.
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
        self._held = _Locks([parameter.lock for parameter in sorted(self.parameters, key=id)])
        self._specialisations: OrderedDict[Any, Specialisation] = OrderedDict()
        self._latest: Specialisation | None = None
        self._entered: list[Specialisation] = []
        self._mark = np.zeros(1, np.int64)
        self._workspace = settings.backend.workspace()
        self._lock = threading.Lock()

    def __call__(self, *args: Any, out: Any = None, **keywords: Any) -> Any:
        """Return the outputs for the given inputs, in the structure given to :func:`symad.compile`.

        Parameters
        ----------
        *args, **keywords
            A value for each input, in order or by name.
        out : nested structure of arrays, optional
            Like the outputs: arrays of exactly their dtypes and shapes, to which they are written
            and which are returned; for ``None`` the call makes an array.  They may be views and
            share memory with inputs, but not with each other.  If the call fails, their contents
            are undefined.  An input named ``out`` has precedence over this keyword.

        Raises
        ------
        FeedError
            If an input is missing, unknown, given twice, or of the wrong type or shape, or
            something in ``out`` does not match.
        EvaluationError
            If an op fails, or the call needs more memory than available; no parameter is changed
            then.

        Examples
        --------
        >>> import numpy as np
        >>> import symad as sm
        >>> x = sm.Variable("x", shape=(2,))
        >>> f = sm.compile([x], [x + 1, sm.sum(x)])
        >>> place = np.zeros((2, 2))
        >>> f([3.0, 4.0], out=[place[0], None])
        [array([4., 5.]), np.float64(7.0)]
        >>> place
        array([[4., 5.],
               [0., 0.]])
        """
        if out is not None and self._binding.takes_out:
            keywords["out"], out = out, None
        sizes: dict[Dimension, int] = {}
        given = self._binding.values(args, keywords)
        pairs = zip(given, self._binding.nodes, strict=True)
        values = [accept(value, node, sizes) for value, node in pairs]
        if not self.parameters:
            return rebuild(self.outputs, iter(self._run(values, out)))
        with self._held:
            values += [parameter.value for parameter in self.parameters]
            results = self._run(values, out)
            self._store(results)
        return rebuild(self.outputs, iter(results))

    def arguments(self, *args: Any, **keywords: Any) -> list[Any]:
        """Return the checked value of each input of :attr:`graph` for a call with these arguments,
        those of the parameters last.

        Raises
        ------
        FeedError
            As for a call.
        """
        sizes: dict[Dimension, int] = {}
        given = self._binding.values(args, keywords)
        pairs = zip(given, self._binding.nodes, strict=True)
        values = [accept(value, node, sizes) for value, node in pairs]
        return values + [parameter.value for parameter in self.parameters]

    def _run(self, values: Sequence[Any], out: Any) -> list[Any]:
        found = self._find(values)
        if out is None:
            return found.program(values)
        types = [node.type for node in found.passes.graph.outputs]
        targets = Targets(out, self.outputs, types)
        results = found.program(values, targets.direct(len(types), values))
        targets.check(results)
        return targets.fill(results)

    def _store(self, results: Sequence[Any]) -> None:
        """Replace all updated parameters together: their new values come last."""
        new_values = results[len(results) - len(self.updates) :]
        for parameter, value in zip(self.updates, new_values, strict=True):
            parameter.adopt(value)

    def _find(self, values: Sequence[Any]) -> Specialisation:
        """Return the program for the shapes of ``values``, made on first use."""
        key = tuple([_signature(value) for value in values])  # a list is faster than a generator
        found = self._specialisations.get(key)
        if found is None:
            found = self._specialise([type_of(value) for value in values])
            self._check_memory(found)
            with self._lock:
                self._specialisations[key] = found
                if len(self._specialisations) > _CACHED_PROGRAMS:
                    self._specialisations.popitem(last=False)
        else:
            if not found.was_entered:  # not worthwhile for shapes that occur once
                self._enter_natively(found)
            if not self.settings.backend.keeps_memory:
                self._check_memory(found)
        self._latest, self._mark[0] = found, 0
        return found

    def _specialise(self, types: Sequence[Type]) -> Specialisation:
        # What only the compiler needs is slow to import.
        from symad.runtime.memory_check import is_worth_checking
        from symad.runtime.pipeline import compile_graph

        with collector_paused():
            passes, program = compile_graph(self.graph, types, self.settings, self._workspace)
        memory = program.plan.lower_bound or 0 if is_worth_checking(passes.graph) else 0
        return Specialisation(program, passes, memory)

    def _check_memory(self, found: Specialisation) -> None:
        if found.memory:
            from symad.runtime.memory_check import check_memory

            check_memory(found.memory, found.program.plan, self.name)

    def _enter_natively(self, found: Specialisation) -> None:
        """Let calls with such values go directly to native code, if the whole program is native.

        Python looks ``__call__`` up in the class, so this function gets its own class.  An entry
        that does not match the values of a call passes them on to the previous entry.
        """
        with self._lock:
            if found.was_entered:  # by another thread
                return
            found.was_entered = True
            if not self._binding.is_flat:
                return
            if len(self._entered) == _CHAINED:
                self._entered = []
            fallback = type(self).__call__ if self._entered else self._call
            mark = CallMark(self._mark, len(self._entered) + 1)
            entry = self._entry(found.program, fallback, mark)
            if entry is not None:
                self._entered.append(found)
                self.__class__ = type("Function", (Function,), {"__call__": entry})

    def _entry(
        self, program: Program, fallback: Callable[..., Any], mark: CallMark
    ) -> Callable[..., Any] | None:
        """Return a native entry for calls, which passes other arguments on to ``fallback``."""
        if not isinstance(program, DirectProgram):
            return None
        if not self.parameters:
            return program.entry(self.outputs, fallback, self.name, mark)
        run = program.entry(list(self.graph.outputs), lambda *values: None, self.name, mark)
        if run is None:
            return None

        def call(*args: Any, **keywords: Any) -> Any:
            if not keywords:
                with self._held:
                    results = run(*args, *[parameter.value for parameter in self.parameters])
                    if results is not None:
                        self._store(results)
                        return rebuild(self.outputs, iter(results))
            return fallback(*args, **keywords)

        return staticmethod(call)  # as a builtin, it does not receive the called function

    def _call(self, *args: Any, **keywords: Any) -> Any:
        return Function.__call__(self, *args, **keywords)

    def specialised(self, values: Sequence[Any] | None = None) -> Specialisation:
        """Return the program that a call runs.

        Parameters
        ----------
        values : sequence, optional
            As returned by :meth:`arguments`.  By default, the program of the latest call, or before
            the first call the one for the declared types.
        """
        if values is not None:
            return self._find(values)
        number = int(self._mark[0])
        if number:
            return self._entered[number - 1]
        if self._latest is not None:
            return self._latest
        return self._specialise([node.type for node in self.graph.inputs])

    @property
    def passes(self) -> Optimised:
        """The report of each step of the pipeline for the latest call.

        For passes: nodes before and after, time, rules used; for the later stages: time.
        """
        return self.specialised().passes

    @property
    def plan(self) -> Plan:
        """The plan of the latest call; before the first call, the plan for the declared types."""
        return self.specialised().program.plan

    @property
    def trade(self) -> Trade | None:
        """The memory saved and operations added by ``recompute=True`` in the latest call.

        ``None`` if it was not requested, or sizes are not known.

        Examples
        --------
        >>> import symad as sm
        >>> x, w = sm.Variable("x", shape=(99, 99)), sm.Variable("w", shape=(99, 99))
        >>> y = sm.exp(sm.sin(x @ w))
        >>> slope = sm.gradients(sm.sum((sm.sin(y @ w) @ w) ** 2), w)
        >>> print(sm.compile([x, w], slope, backend="numpy", recompute=True).trade)
        memory 470 kB -> 392 kB (-16.7 %), operations 1.607e+07 -> 1.627e+07 (+1.2 %)
        """
        if not self.settings.recompute:
            return None
        from symad.graph.cost import total_cost
        from symad.runtime.pipeline import compile_graph
        from symad.runtime.recompute_savings import Trade

        found = self.specialised()
        types = [node.type for node in found.passes.graph.inputs]
        settings = replace(self.settings, recompute=False)
        passes, program = compile_graph(self.graph, types, settings, settings.backend.workspace())
        before, after = program.plan.lower_bound, found.program.plan.lower_bound
        if before is None or after is None:
            return None
        flops = [total_cost(graph).flops for graph in (passes.graph, found.passes.graph)]
        return Trade(before, after, *flops)

    @property
    def source(self) -> str:
        """The optimised graph as readable, executable NumPy source.

        Values have the names of the graph as written: ``v3``, ``v4_bar`` for v̄4,
        ``v4_bar_6`` for v̄4→6; ``t1``, ... are steps without a name there.

        Arrays that are too large to write out are looked up in a dictionary
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
            v1 = x
            c1 = np.float64(2.0)
            v2 = np.sin(v1)  # f64[...], ...
            v3 = np.multiply(v2, c1)  # f64[...], ...
            return v3
        <BLANKLINE>
        """
        from symad.backends.source import SourceWriter

        return self.write_source(SourceWriter())

    @property
    def constants(self) -> dict[str, Any]:
        """The arrays that :attr:`source` looks up by name."""
        from symad.backends.source import SourceWriter

        writer = SourceWriter()
        self.write_source(writer)
        return writer.constants

    def write_source(self, writer: SourceWriter) -> str:
        """Return :attr:`source`, and give ``writer`` its names and constants.

        The outputs come in their structure; with updates, a dict of new values follows.
        """
        form: Any = self.outputs
        if self.updates:
            form = (form, {parameter.label: new for parameter, new in self.updates.items()})
        from symad.plan.plan import make_plan

        return writer.module(make_plan(self.passes.graph), self.name, form)

    def __reduce__(self) -> tuple[Callable[..., Function], tuple[Any, ...]]:
        index = {node: i for i, node in enumerate(self.graph.inputs)}
        inputs = rebuild(self.inputs, iter(range(len(self._binding.nodes))))
        outputs = rebuild(self.outputs, iter(range(len(self.graph.outputs))))
        updates = [index[parameter] for parameter in self.updates]
        return _restore, (self.graph, inputs, outputs, updates, self.settings, self.name)

    @property
    def __name__(self) -> str:
        return self.name

    __signature__ = OfInstances(lambda f: signature_of(f.inputs, f.outputs))

    def __repr__(self) -> str:
        inputs = ", ".join(f"{visible(n.label)}: {n.type}" for n in self._binding.nodes)
        return f"<Function {visible(self.name)}({inputs}), {len(self.graph)} nodes>"


Function.__doc__ = OfInstances(  # type: ignore[assignment]
    lambda f: documentation_of(f.name, f.inputs, f.outputs), Function.__doc__
)


class _Locks:
    """Several locks, always taken in the same order, as one."""

    def __init__(self, locks: Sequence[Any]) -> None:
        self._locks = locks

    def __enter__(self) -> None:
        taken = 0
        try:
            for lock in self._locks:
                lock.acquire()
                taken += 1
        except BaseException:  # Ctrl-C while waiting
            for lock in self._locks[:taken]:
                lock.release()
            raise

    def __exit__(self, *error: object) -> None:
        for lock in self._locks:
            lock.release()


def _signature(value: Any) -> Any:
    return type_of(value) if isinstance(value, (dict, tuple, list)) else value.shape


def _restore(
    graph: Graph, inputs: Any, outputs: Any, updates: list[int], settings: Settings, name: str
) -> Function:
    """Return a function from its parts, in which nodes are given by their indices in the graph."""
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
