"""compile, Function and Executor: the one place where everything meets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, cast

from symad.backends.numpy import NumpyProgram
from symad.backends.source import SourceWriter
from symad.errors import FeedError, GraphError, GraphTypeError, did_you_mean
from symad.feed import accept, type_of
from symad.graph.graph import Graph, replace_inputs
from symad.graph.graph import rebuild as rebuild_graph
from symad.graph.nested import leaves, leaves_with_paths, rebuild
from symad.graph.node import Node, Parameter, Variable
from symad.graph.traverse import topological_order
from symad.ops.adjoint import broadcast_like, match
from symad.ops.base import as_node, register
from symad.passes.specialise import specialise
from symad.plan.plan import Plan, make_plan
from symad.types import Dimension, TensorType, compatible_shapes

_CACHED_PROGRAMS = 64
"""How many input signatures one function keeps a program for."""


class Function:
    """A compiled graph, to be called again and again with new values.

    Made by :func:`compile`.  Calls are thread-safe.  The first call with new input shapes
    specialises the graph for them, which takes milliseconds; the result is kept.

    Attributes
    ----------
    name : str
    graph : Graph
        What was compiled: all outputs, then the new values of the updated parameters.
    inputs, outputs : nested structures of nodes
        As they were given to :func:`compile`.
    parameters : tuple of Parameter
        All parameters that are read or updated.
    updates : dict
        From each updated parameter to its new value.

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
        self, inputs: Any, outputs: Any, updates: Mapping[Parameter, Node], name: str
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.updates = dict(updates)
        self._fed = tuple(leaves(inputs))
        self._top_level = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        fetched = [*leaves(outputs), *self.updates.values()]
        found = [node for node in Graph(fetched, _all_inputs(fetched, self._fed)).inputs]
        self.parameters = tuple(
            node for node in (*found, *self.updates) if isinstance(node, Parameter)
        )
        self.parameters = tuple(dict.fromkeys(p for p in self.parameters if p not in self._fed))
        self.graph = Graph(fetched, (*self._fed, *self.parameters))
        self._start()

    def _start(self) -> None:
        self._programs: OrderedDict[Any, NumpyProgram] = OrderedDict()
        self._lock = threading.Lock()
        self._is_flat = all(isinstance(node, Node) for node in self._top_level)
        self._latest: NumpyProgram | None = None
        locks = sorted(self.parameters, key=id)
        self._parameter_locks = tuple(parameter.lock for parameter in locks)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return the outputs for the given inputs, in the structure they were asked for.

        Raises
        ------
        FeedError
            If an input is missing, unknown, given twice, or of the wrong type or shape.
        EvaluationError
            If an op fails; no parameter has changed then.
        """
        if keywords or len(args) != len(self._top_level):
            args = self._bind(args, keywords)
        fed = args if self._is_flat else self._flatten(args)
        sizes: dict[Dimension, int] = {}
        values = [accept(v, node, sizes) for v, node in zip(fed, self._fed, strict=True)]
        if not self.parameters:
            return rebuild(self.outputs, iter(self._program(values)(values)))
        with ExitStack() as stack:
            for lock in self._parameter_locks:
                stack.enter_context(lock)
            values += [parameter.value for parameter in self.parameters]
            results = self._program(values)(values)
            self._store(results[len(results) - len(self.updates) :])
        return rebuild(self.outputs, iter(results))

    def _store(self, new_values: Sequence[Any]) -> None:
        """Replace all updated parameters together."""
        for parameter, value in zip(self.updates, new_values, strict=True):
            parameter.value = value

    def _bind(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """Return all inputs in order, from positions and names."""
        if len(args) > len(self._top_level):
            raise FeedError(
                f"{self.name} takes {len(self._top_level)} inputs, but {len(args)} were given"
            )
        names = [
            node.label if isinstance(node, Node) else f"input{i}"
            for i, node in enumerate(self._top_level)
        ]
        for name in keywords:
            if name not in names:
                raise FeedError(
                    f"{self.name} has no input {name!r}.{did_you_mean(name, names)}",
                    remedy=f"Its inputs are {', '.join(names)}.",
                )
            if names.count(name) > 1:
                raise FeedError(f"{self.name} has several inputs named {name!r}: give positions")
            if names.index(name) < len(args):
                raise FeedError(f"{self.name} was given {name!r} twice")
        missing = [name for name in names[len(args) :] if name not in keywords]
        if missing:
            raise FeedError(f"{self.name} was not given {', '.join(map(repr, missing))}")
        return (*args, *(keywords[name] for name in names[len(args) :]))

    def _flatten(self, args: tuple[Any, ...]) -> list[Any]:
        """Return the values of nested inputs in order."""
        found: list[Any] = []
        for template, value in zip(self._top_level, args, strict=True):
            found += _matching_leaves(template, value, "")
        return found

    def _program(self, values: Sequence[Any]) -> NumpyProgram:
        """Return the program for the shapes of ``values``, making it if there is none."""
        key = tuple([_signature(value) for value in values])
        program = self._programs.get(key)
        if program is None:
            program = self._specialise(key, values)
        self._latest = program
        return program

    def _specialise(self, key: Any, values: Sequence[Any]) -> NumpyProgram:
        graph = specialise(self.graph, [type_of(value) for value in values])
        program = NumpyProgram(make_plan(graph))
        with self._lock:
            self._programs[key] = program
            if len(self._programs) > _CACHED_PROGRAMS:
                self._programs.popitem(last=False)
        return program

    @property
    def plan(self) -> Plan:
        """The plan of the latest call; before the first call, the plan for the declared types."""
        return self._latest.plan if self._latest else make_plan(self.graph)

    @property
    def source(self) -> str:
        """The plan as readable NumPy source that runs.

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
        return writer.module(self.plan, self.name, form)

    def __getstate__(self) -> dict[str, Any]:
        index = {node: i for i, node in enumerate(self.graph.inputs)}
        return {
            "name": self.name,
            "graph": self.graph,
            "inputs": rebuild(self.inputs, iter(range(len(self._fed)))),
            "outputs": rebuild(self.outputs, iter(range(len(self.graph.outputs)))),
            "updates": [index[parameter] for parameter in self.updates],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name, self.graph = state["name"], state["graph"]
        nodes, outputs = self.graph.inputs, self.graph.outputs
        self._fed = nodes[: len(list(leaves(state["inputs"])))]
        self.inputs = rebuild(state["inputs"], iter(self._fed))
        self.outputs = rebuild(state["outputs"], iter(outputs))
        self._top_level = self.inputs if isinstance(self.inputs, (list, tuple)) else [self.inputs]
        count = len(list(leaves(state["outputs"])))
        self.updates = {
            cast(Parameter, nodes[i]): new
            for i, new in zip(state["updates"], outputs[count:], strict=True)
        }
        self.parameters = tuple(n for n in nodes[len(self._fed) :] if isinstance(n, Parameter))
        self._start()

    def __repr__(self) -> str:
        inputs = ", ".join(f"{node.label}: {node.type}" for node in self._fed)
        return f"<Function {self.name}({inputs}), {len(self.graph)} nodes>"


def _signature(value: Any) -> Any:
    if isinstance(value, (dict, tuple, list)):
        return type_of(value)
    return value.shape


def _matching_leaves(template: Any, value: Any, path: str) -> list[Any]:
    """Return the leaves of ``value``, which must have the structure of ``template``."""
    if isinstance(template, dict):
        if not isinstance(value, dict) or set(value) != set(template):
            raise FeedError(f"input{path} needs a dict with the keys {list(template)}")
        pairs = [(item, value[key], key) for key, item in template.items()]
    elif isinstance(template, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(template):
            raise FeedError(f"input{path} needs a sequence of {len(template)} values")
        pairs = [(item, v, i) for i, (item, v) in enumerate(zip(template, value, strict=True))]
    else:
        return [value]
    return [leaf for t, v, k in pairs for leaf in _matching_leaves(t, v, f"{path}[{k!r}]")]


def _all_inputs(outputs: Sequence[Node], fed: Sequence[Node]) -> tuple[Node, ...]:
    """Return ``fed`` and the parameters that the outputs depend on besides.

    Raises
    ------
    GraphError
        If the outputs depend on a variable that is not fed.
    """
    order = topological_order(outputs, stop=set(fed))
    parameters = [n for n in order if isinstance(n, Parameter) and n not in fed]
    return (*fed, *parameters)


def compile(
    inputs: Any,
    outputs: Any,
    updates: Mapping[Parameter, Any] | None = None,
    givens: Mapping[Node, Any] | None = None,
    backend: str = "auto",
    name: str | None = None,
) -> Function:
    """Compile a graph into a function that can be called again and again.

    Parameters
    ----------
    inputs : sequence of Node, or nested structures of nodes
        What the function takes, in order; any node may be an input.
    outputs : Node or nested structure of nodes
        What it returns, in the same structure.
    updates : dict from Parameter to Node, optional
        New values of parameters: all are computed from the old ones and stored together.
    givens : dict from Node to Node, optional
        Nodes to put in place of others.
    backend : {"auto", "numpy"}
    name : str, optional
        For messages and printing.

    Returns
    -------
    Function

    Raises
    ------
    GraphError
        If an output depends on a variable that is not an input, or an input is named twice.
    GraphTypeError
        If an input is not a node, what is updated is not a parameter, or its new value does not
        have its dtype and shape.

    Examples
    --------
    >>> import symad as sm
    >>> x, w = sm.Variable("x", shape=("n",)), sm.parameter("w", 3.0)
    >>> f = sm.compile([x], {"y": w * x}, updates={w: w + 1})
    >>> f([1.0, 2.0])
    {'y': array([3., 6.])}
    >>> f(x=[1.0])
    {'y': array([4.])}
    """
    if backend not in ("auto", "numpy"):
        raise GraphTypeError(f"there is no backend {backend!r}", remedy='Use "auto" or "numpy".')
    for path, leaf in leaves_with_paths(inputs):
        if not isinstance(leaf, Node):
            raise GraphTypeError(f"inputs{path} is {leaf!r}, which is not a node")
    fetched = [as_node(leaf) for leaf in leaves(outputs)]
    fed = list(leaves(inputs))
    if len(set(fed)) != len(fed):
        raise GraphError("an input is named twice")
    new_values = [_new_value(target, value) for target, value in (updates or {}).items()]
    everything = [*fetched, *new_values]
    if givens:
        everything = _substitute(everything, fed, givens)
    results = rebuild(outputs, iter(everything[: len(fetched)]))
    stored = dict(zip(updates or {}, everything[len(fetched) :], strict=True))
    return Function(inputs, results, stored, name or "function")


def _new_value(target: Any, value: Any) -> Node:
    if not isinstance(target, Parameter):
        raise GraphTypeError(
            f"{target!r} cannot be updated: it is not a parameter",
            remedy='Make it with sm.parameter("name", initial_value).',
        )
    node = as_node(value, like=target)
    new, old = node.type, target.type
    if not isinstance(new, TensorType) or not isinstance(old, TensorType):
        raise GraphTypeError(f"parameter {target.name!r} cannot become a structure")
    if not compatible_shapes(old.shape, new.shape) or new.dtype != old.dtype:
        raise GraphTypeError(
            f"parameter {target.name!r} is {old} and cannot be updated to {new}",
            where=node.site.describe(),
            remedy="Sum or reshape the new value, or cast it with .astype(...).",
        )
    return match(node, target, broadcast_like)


def _substitute(outputs: list[Node], fed: list[Node], givens: Mapping[Node, Any]) -> list[Node]:
    new = {old: as_node(value, like=old) for old, value in givens.items()}
    reached = Graph(outputs, _all_variables(outputs, [*fed, *new]))
    return list(rebuild_graph(reached, replace_inputs, new).outputs)


def _all_variables(outputs: Sequence[Node], fed: Sequence[Node]) -> tuple[Node, ...]:
    order = topological_order(outputs, stop=set(fed))
    return (*fed, *[n for n in order if isinstance(n, Variable) and n not in set(fed)])


class Executor:
    """Runs nodes for feeds of any nodes, as a dictionary; compiled once per set of fed nodes.

    Parameters
    ----------
    nodes : Node or nested structure of nodes
        What to fetch.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = sm.exp(x)
    >>> z = y + 1
    >>> executor = sm.Executor([y, z])
    >>> executor.run({x: 0.0})
    [np.float64(1.0), np.float64(2.0)]
    >>> executor.run({y: 5.0})
    [np.float64(5.0), np.float64(6.0)]
    """

    def __init__(self, nodes: Any) -> None:
        self.nodes = nodes
        self._functions: dict[tuple[Node, ...], Function] = {}

    def run(self, feed: Mapping[Node, Any] | None = None) -> Any:
        """Return the values of the nodes for ``feed``.

        Raises
        ------
        FeedError
            If a variable has no value, or a fed node plays no part.
        """
        fed = tuple(feed or {})
        function = self._functions.get(fed)
        if function is None:
            function = self._functions[fed] = self._compile(fed)
        return function(*(feed or {}).values())

    def _compile(self, fed: tuple[Any, ...]) -> Function:
        fetched = [as_node(leaf) for leaf in leaves(self.nodes)]
        for key in fed:
            if not isinstance(key, Node):
                raise FeedError(f"a feed is a dict from nodes to values; {key!r} is not a node")
        order = topological_order(fetched, stop=set(fed))
        missing = [
            node
            for node in order
            if isinstance(node, Variable) and not isinstance(node, Parameter) and node not in fed
        ]
        given = ", ".join(repr(node.label) for node in fed) or "nothing"
        if missing:
            names = ", ".join(repr(node.name) for node in missing)
            raise FeedError(
                f"no value was fed for {names} (fed: {given})", where=missing[0].site.describe()
            )
        extra = set(fed).difference(order)
        if extra:
            names = ", ".join(sorted(repr(node.label) for node in extra))
            raise FeedError(f"{names} was fed, but the result does not depend on it")
        return compile(list(fed), rebuild(self.nodes, iter(fetched)), name="executor")


@register
def eval(node: Node, feed: Mapping[Node, Any] | None = None) -> Any:
    """Return the value of ``node``, for a quick look; a feed that plays no part is ignored.

    Each call compiles anew: use :func:`compile` or :class:`Executor` for repeated calls.

    Parameters
    ----------
    node : Node
    feed : dict from Node to value, optional

    Raises
    ------
    FeedError
        If a variable has no value, or one that does not fit.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> (x + 1).eval({x: 2.0})
    np.float64(3.0)
    """
    needed = set(topological_order([node], stop=set(feed or {})))
    return Executor(node).run({key: v for key, v in (feed or {}).items() if key in needed})
