"""Function: a compiled graph, which can be called repeatedly with new values."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from symad.backends.base import (
    Backend,
    CallForm,
    CompileRequest,
    DirectEntry,
    DirectProgram,
    Dispatcher,
    Key,
    Made,
    Program,
    Settings,
)
from symad.errors import FeedError
from symad.graph.collector import collector_paused
from symad.graph.graph import Graph
from symad.graph.nested import leaves, matching_leaves, rebuild
from symad.graph.node import Node, Parameter
from symad.records import cached_property, replace
from symad.runtime.inputs import Binding, accept, type_of
from symad.runtime.introspection import OfInstances, documentation_of, signature_of
from symad.runtime.out_argument import Targets
from symad.types import Dimension, TensorType, Type
from symad.visible import visible

if TYPE_CHECKING:
    from symad.backends.source import SourceWriter
    from symad.plan.plan import Plan
    from symad.runtime.pipeline import Optimised
    from symad.runtime.recompute_savings import Trade
    from symad.runtime.size_template import SizeTemplates

Maker = Callable[[CompileRequest, Callable[[], Made]], Made]
"""Returns the program of a request, by a function that runs the pipeline or otherwise."""

_CACHED_PROGRAMS = 64
"""The most input signatures for which one function keeps a program."""
_COPIED_BYTES = 1 << 14
"""The most bytes in ``out`` for which results are copied there: larger ones are written there."""
_MOST_SIZES = 8
"""The length of the longest vector that is a shape."""
_NOTHING: Mapping[int, Any] = MappingProxyType({})


class Specialisation:
    """The program of a function for one signature of its inputs.

    Parameters
    ----------
    request : CompileRequest
    make : callable
        Takes the request and a function that runs the pipeline; returns the program.

    Attributes
    ----------
    graph : Graph
        The graph of the function, with constants for the inputs that are sizes.
    program : Program
    memory : int
        The bytes that a call needs besides the inputs, if they are worth checking, else 0.
    """

    def __init__(self, request: CompileRequest, make: Maker) -> None:
        self.graph, self._request = request.graph, request
        with collector_paused():
            self.program, self.memory = make(request, self._make)

    @property
    def passes(self) -> Optimised:
        """The report of each step of the pipeline, which runs now if the program was known."""
        return self._compiled[0]

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the inputs."""
        return self._request.types

    def known_passes(self, graph: Graph, types: Sequence[Type]) -> Optimised | None:
        """Return the report of the passes if they have run, for a graph and these types."""
        is_same = self.graph is graph and self.types == tuple(types)
        return self._compiled[0] if is_same and "_compiled" in self.__dict__ else None

    @cached_property
    def _compiled(self) -> tuple[Optimised, Program]:
        from symad.runtime.pipeline import compile_graph  # slow to import

        request = self._request
        with collector_paused():
            return compile_graph(
                request.graph, request.types, request.settings, request.workspace
            )

    def _make(self) -> Made:
        passes, program = self._compiled
        return program, program.plan.lower_bound or 0 if passes.is_large else 0


def _as_made(request: CompileRequest, make: Callable[[], Made]) -> Made:
    return make()


class Function:
    """A compiled graph, which can be called repeatedly with new values.

    Made by :func:`symad.compile`.  Calls are thread-safe.  The first call with new input shapes
    specialises the graph for them, which takes milliseconds; the result is kept.

    :func:`symad.save` writes one to a file of data.  It can also be pickled; loading a pickle runs
    the code in it.

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
        self._workspace = settings.backend.workspace(graph, settings, tuple(self.updates))
        self._lock = threading.RLock()  # the garbage collector may run code that calls this
        binding, changed = self._binding, tuple(self.updates)
        given, names = tuple(binding.arguments), binding.names()
        self._sizes = _sizes_of(graph, settings.backend)
        form = CallForm(given, names, self.parameters, changed, self._sizes)
        self._results = (outputs, tuple(self.updates.values())) if changed else outputs
        self._direct = _DirectCalls(form, settings.backend, self._results, name)

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
        given = self._binding.values(args, keywords)
        values = self._accepted(given)
        self._direct.note(given, keywords)
        if not self.parameters:
            return rebuild(self.outputs, iter(self._run(values, out)))
        with self._held:
            values += [parameter.value[()] for parameter in self.parameters]
            results = self._run(values, out)
            self._store(results)
        return rebuild(self.outputs, iter(results))

    def _accepted(self, given: Sequence[Any]) -> list[Any]:
        """Return the values for the inputs, checked and converted."""
        sizes: dict[Dimension, int] = {}
        pairs = zip(given, self._binding.nodes, strict=True)
        return [accept(value, node, sizes) for value, node in pairs]

    def arguments(self, *args: Any, **keywords: Any) -> list[Any]:
        """Return the checked value of each input of :attr:`graph` for a call with these arguments,
        those of the parameters last.

        Raises
        ------
        FeedError
            As for a call.
        """
        values = self._accepted(self._binding.values(args, keywords))
        return values + [parameter.value for parameter in self.parameters]

    def _run(self, values: Sequence[Any], out: Any) -> list[Any]:
        found = self._find(values)
        if out is None:
            return found.program(values)
        types = [node.type for node in self.graph.outputs]
        if not all(type_.is_static for type_ in types):
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
        key = self._key_of(values, self._sizes)
        found = self._specialisations.get(key)
        is_general = self._sizes and not self.settings.backend.fixes_sizes
        if found is None and is_general and len(self._specialisations) >= _CACHED_PROGRAMS:
            key = self._key_of(values, frozenset())  # one program for all further numbers
            found = self._specialisations.get(key)
        if found is None:
            sizes = {k: values[k] for k in self._sizes if not isinstance(key[k], tuple)}
            types = [type_of(value) for value in values]
            found = self._specialise(types, sizes, not self._specialisations)
            self._check_memory(found)
            self._keep(key, found)
        else:
            self._direct.dispatch()  # since the call came in another form than the first
            if not self.settings.backend.keeps_memory:
                self._check_memory(found)
        if self._direct.is_stale:
            self._enter_natively()
        self._latest, self._direct.latest[0] = found, 0
        return found

    def _key_of(self, values: Sequence[Any], sizes: frozenset[int]) -> Key:
        if not sizes:
            return tuple([_signature(value) for value in values])  # faster than a generator
        return tuple([
            _numbers_in(value) if k in sizes else _signature(value)
            for k, value in enumerate(values)
        ])

    def _specialise(
        self,
        types: Sequence[Type],
        sizes: Mapping[int, Any] = _NOTHING,
        is_first: bool = False,
    ) -> Specialisation:
        graph = self.graph
        if sizes:
            from symad.passes.size_inputs import with_sizes  # slow to import

            graph = with_sizes(graph, sizes)
        request = CompileRequest(
            graph, tuple(types), self.settings, self._workspace, self._results
        )
        backend = self.settings.backend
        if is_first:
            return Specialisation(request, backend.lasting_program)
        has_templates = backend.describes and not sizes
        return Specialisation(request, self._templates.program if has_templates else _as_made)

    @cached_property
    def _templates(self) -> SizeTemplates:
        from symad.runtime.size_template import SizeTemplates  # slow to import

        return SizeTemplates()

    def _check_memory(self, found: Specialisation) -> None:
        if found.memory:
            from symad.runtime.memory_check import check_memory

            check_memory(found.memory, found.program, self.name)

    def _keep(self, key: Key, found: Specialisation) -> None:
        """Keep a program, and let calls go directly to its native code, if there is any."""
        with self._lock:
            self._specialisations[key] = found
            if len(self._specialisations) > _CACHED_PROGRAMS:
                dropped, _ = self._specialisations.popitem(last=False)
                self._direct.remove(dropped)
            self._direct.add(key, found.program, self._by_values)

    def _enter_natively(self) -> None:
        """Let calls go directly to native code.

        Python looks ``__call__`` up in the class, so this function gets its own class.
        """
        with self._lock:
            call = self._direct.call(self._call)
            if call is None:
                return
            if type(self) is Function:
                self.__class__ = type("Function", (Function,), {"__call__": call})
            else:
                type(self).__call__ = call  # type: ignore[method-assign]

    def _call(self, *args: Any, out: Any = None, **keywords: Any) -> Any:
        """Take a call that a native function does not; it may still compute what is copied."""
        if out is not None and not (self.updates or self._binding.takes_out):
            targets = Targets(out, self.outputs, [node.type for node in self.graph.outputs])
            if targets.nbytes <= _COPIED_BYTES:
                results = matching_leaves(self.outputs, self(*args, **keywords), "", FeedError)
                targets.check(results)
                return rebuild(self.outputs, iter(targets.fill(results)))
        return Function.__call__(self, *args, out=out, **keywords)

    def _by_values(self, *values: Any) -> Any:
        """Return what a native function returns for these values, where it cannot take them."""
        count = len(self._binding.nodes)
        checked = [*self._accepted(values[:count]), *values[count:]]
        return rebuild(self._results, iter(self._find(checked).program(checked)))

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
        return self._called() or self._specialise([node.type for node in self.graph.inputs])

    def _called(self) -> Specialisation | None:
        """Return the program of the latest call, ``None`` before the first."""
        return self._specialisations.get(self._direct.latest_key(), self._latest)

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
    def address(self) -> int:
        """The address of machine code, ``void f(const double *x, double *out)``, for C.

        ``x`` has all inputs one after another, in C order, those of the parameters last; ``out``
        gets all outputs, and then the new values of parameters, in the same way.  Inputs that
        declare no shape have those of the latest call.  The code never calls Python and has no
        state: any thread may call it at any time.  It stays in memory to the end of the process,
        whether or not this function does.

        Functions of float64 have one, with at most 64 numbers in an array; for others, see
        :func:`symad.export_c`.

        Raises
        ------
        ExportError
            If the function has none.

        Examples
        --------
        >>> import ctypes
        >>> import symad as sm
        >>> x = sm.Variable("x", shape=(2,))
        >>> y = sm.sum(x**2)
        >>> address = sm.compile([x], [y, sm.gradients(y, x)]).address
        >>> doubles = ctypes.POINTER(ctypes.c_double)
        >>> call = ctypes.CFUNCTYPE(None, doubles, doubles)(address)
        >>> out = (ctypes.c_double * 3)()
        >>> call((ctypes.c_double * 2)(3.0, 4.0), out)
        >>> list(out)
        [25.0, 6.0, 8.0]
        """
        from symad.runtime.c_pointer import address_of

        return address_of(self.pointer_graph(), self.settings.fastmath)

    def low_level_callable(self, user_data: Sequence[float] | None = None) -> Any:
        """Return a ``scipy.LowLevelCallable`` of a function that returns one number.

        SciPy's ``quad``, ``nquad`` and similar functions call it without Python.

        Parameters
        ----------
        user_data : sequence of float, optional
            The numbers for the last inputs: SciPy varies the others.

        Returns
        -------
        scipy.LowLevelCallable
            Its signature is ``double (double)`` for one number and ``double (int, double *)`` for
            several; with ``user_data``, ``void *`` follows.  It keeps the code and the numbers;
            this function need not live on.

        Raises
        ------
        ExportError
            If the function has no :attr:`address`, or returns something else.

        Examples
        --------
        >>> from scipy.integrate import quad
        >>> import symad as sm
        >>> x, a = sm.Variable("x", shape=()), sm.Variable("a", shape=())
        >>> f = sm.compile([x, a], sm.exp(-a * x))
        >>> round(quad(f.low_level_callable(user_data=[2.0]), 0, 1)[0], 6)
        0.432332
        """
        from symad.runtime.c_pointer import low_level_callable

        return low_level_callable(self.pointer_graph(), self.settings.fastmath, user_data)

    def pointer_graph(self, what: str = "pointer") -> Graph:
        """Return the graph of which machine code for other languages is made.

        Raises
        ------
        ExportError
            If there is no such code; the message says for ``what``.
        """
        from symad.backends.native.backend import NativeBackend
        from symad.runtime.c_pointer import require_pointer
        from symad.runtime.call_types import sized_types

        types = sized_types(self.graph, self.latest_types(), {})
        graph = self.final_graph(types, NativeBackend())
        require_pointer(graph, what)
        return graph

    def final_graph(self, types: Sequence[Type], backend: Backend) -> Graph:
        """Return the optimised graph that a backend is given, for inputs of some types.

        Passes that have run for the latest call are not run again.
        """
        from symad.runtime.pipeline import Job, final_graph

        settings, found = self.settings, self._called()
        known = None if found is None else found.known_passes(self.graph, types)
        job = Job(settings.grade, types, settings.recompute, backend)
        return final_graph(self.graph, job, known, settings.backend)

    def latest_types(self) -> list[Type]:
        """Return the types of the inputs in the latest call, before the first those declared."""
        found = self._called()
        return [node.type for node in self.graph.inputs] if found is None else [*found.types]

    def latest_graph(self) -> Graph:
        """Return the optimised graph of the latest call, whose inputs have its types."""
        return self.specialised().passes.graph

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
        workspace = settings.backend.workspace(found.graph, settings)
        passes, program = compile_graph(found.graph, types, settings, workspace)
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

    def _repr_html_(self) -> str:
        """Return the card that a notebook shows."""
        from symad.runtime.card import MOST_NODES, card  # not needed to call

        is_shown = self._latest is not None and len(self.graph) <= MOST_NODES
        ran = self.latest_graph() if is_shown else None
        return card(self, ran, may_measure=not (self.updates or self._sizes))


Function.__doc__ = OfInstances(  # type: ignore[assignment]
    lambda f: documentation_of(f.name, f.inputs, f.outputs), Function.__doc__
)


class _DirectCalls:
    """The native functions that calls of a compiled function go to.

    While there is one program, calls go to its entry, if each argument is the value of an input.
    Otherwise, and if a call passes something else, they go to a function that finds the entry.

    Parameters
    ----------
    form : CallForm
    backend : Backend
    results : nested structure
        What an entry returns.
    name : str

    Attributes
    ----------
    is_stale : bool
        Whether :meth:`call` returns something new.
    latest : array
        The number of the entry of the latest call, or 0 if that is not known here.
    """

    def __init__(self, form: CallForm, backend: Backend, results: Any, name: str) -> None:
        self._form, self._backend, self._results, self._name = form, backend, results, name
        self._entries: dict[Key, DirectEntry] = {}
        self._numbers = itertools.count(1)
        self._programs = 0
        self._dispatcher: Dispatcher | None = None
        self._newest: DirectProgram | None = None
        is_direct = backend.checks_entries and not (form.parameters or form.sizes)
        self._is_plain = is_direct and all(
            isinstance(argument, Node) and isinstance(argument.type, TensorType)
            for argument in form.arguments
        )
        self._is_dispatched = not self._is_plain
        self.is_stale = False
        self.latest = np.zeros(1, np.int64)

    def add(self, key: Key, program: Program, by_values: Callable[..., Any]) -> None:
        """Let calls with a key go to a program; ``by_values`` takes what its entry does not."""
        self._programs += 1
        if self._programs > 1:
            self.dispatch()
        if hasattr(program, "entry"):  # isinstance would compute the properties of the program
            direct = cast(DirectProgram, program)
            entry = direct.entry(self._results, by_values, self._name)
            if entry is not None:
                self._newest = direct
                self._entries[key] = DirectEntry(key, entry, next(self._numbers))
                self.is_stale = True

    def remove(self, key: Key) -> None:
        """Forget the entry for a key."""
        self.is_stale |= self._entries.pop(key, None) is not None

    def dispatch(self) -> None:
        """Let the entry be found from now on."""
        self.is_stale |= not self._is_dispatched
        self._is_dispatched = True

    def note(self, given: Sequence[Any], keywords: Mapping[str, Any]) -> None:
        """Let the entry be found if one could not take these arguments as they are."""
        if not self._is_dispatched:
            nodes = self._form.arguments
            if keywords or not all(map(_is_usual, given, nodes)):
                self.dispatch()

    def call(self, general: Callable[..., Any]) -> Callable[..., Any] | None:
        """Return what a call goes to; arguments that are not as expected go to ``general``."""
        self.is_stale = False
        if self._is_dispatched and self._entries:
            if self._dispatcher is None:
                self._dispatcher = self._backend.dispatcher(self._form, self.latest)
            if self._dispatcher is not None:
                general = self._dispatcher.call_of(list(self._entries.values()), general)
                if self._programs > 1 or not self._is_plain:
                    return general
        if not self._is_plain or self._newest is None:
            return None
        if self._programs > 1:
            return general  # which says whose call was the latest
        return self._newest.entry(self._results, general, self._name)

    def latest_key(self) -> Key | None:
        """Return the key of the latest call, or ``None`` if that is not known here."""
        number = self.latest[0]
        return next((key for key, entry in self._entries.items() if entry.number == number), None)


def _is_usual(value: Any, node: Node) -> bool:
    """Return whether every entry takes a value for a node as it is."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    assert isinstance(node.type, TensorType)
    dtype = node.type.dtype
    return type(value) is dtype.type or (type(value) is float and dtype == np.float64)


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


def _sizes_of(graph: Graph, backend: Backend) -> frozenset[int]:
    """Return the indices of inputs for whose numbers a function is compiled."""
    types = (node.type for node in graph.inputs)
    is_wanted = backend.fuses or backend.fixes_sizes
    if not is_wanted or all(isinstance(t, TensorType) and t.dtype.kind == "f" for t in types):
        return frozenset()
    from symad.passes.size_inputs import size_inputs  # slow to import

    return size_inputs(graph)


def _numbers_in(value: Any) -> Any:
    """Return what stands in a key for an input that is a size: a number, or a few as bytes."""
    if value.ndim:
        return value.tobytes() if value.size <= _MOST_SIZES else value.shape
    return int(value)


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
