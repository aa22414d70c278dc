"""compile and Executor, which turn graphs into functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from symad.backends.base import Backend, BackendName, Settings
from symad.errors import FeedError, GraphError, GraphTypeError
from symad.graph.collector import collector_paused
from symad.graph.graph import Graph, replace_inputs
from symad.graph.graph import rebuild as rebuild_graph
from symad.graph.nested import leaves, leaves_with_paths, rebuild
from symad.graph.node import Node, Parameter, Variable
from symad.graph.op import explained
from symad.graph.traverse import topological_order
from symad.ops.adjoint import broadcast_like, match
from symad.ops.base import as_node, register
from symad.passes.grade import Grade
from symad.runtime.function import Function
from symad.types import TensorType, compatible_shapes

RewritesName = Literal["exact", "rounding", "finite"]


@explained
def compile(
    inputs: Any,
    outputs: Any,
    updates: Mapping[Parameter, Any] | None = None,
    givens: Mapping[Node, Any] | None = None,
    backend: BackendName | Backend = "auto",
    name: str | None = None,
    threads: int = 1,
    rewrites: RewritesName = "rounding",
    recompute: bool = False,
    fastmath: bool = False,
    device: str | None = None,
    mesh: Mapping[str, int] | None = None,
) -> Function:
    """Compile a graph into a function that can be called repeatedly.

    Parameters
    ----------
    inputs : sequence of Node, or nested structures of nodes
        The arguments of the function, in order; any node may be an input.
    outputs : Node or nested structure of nodes
        The results of the function, in the same structure.
    updates : dict from Parameter to Node, optional
        New values of parameters: all are computed from the old ones and stored together.
    givens : dict from Node to Node, optional
        Replacements for other nodes.
    backend : {"auto", "numpy", "native", "jax"} or Backend
        ``"auto"`` is native code if llvmlite is installed, else NumPy.  ``"jax"`` gives the graph
        to XLA, for CPU, GPU and TPU, if JAX is installed.
    name : str, optional
        The name in messages and printed output.
    threads : int
        The number of threads between which large arrays are split.
    rewrites : {"exact", "rounding", "finite"}
        How exact rewrites must be: bitwise; up to rounding, or nearer to the true value; or correct
        only for finite numbers inside the domain of each function.
    recompute : bool
        Whether the backward part of derivatives recomputes the results of elementwise ops on values
        that are kept anyway, instead of keeping them.  This needs less memory and more operations;
        :attr:`Function.trade` reports how much.  Results are bitwise the same, except that machine
        code may sum rows in another order.
    fastmath : bool
        Whether machine code may reassociate sums and products, contract them into fused operations,
        divide by multiplying with a reciprocal, and lose the sign of a zero.  Sums are then not
        compensated.  NaN and infinities are preserved.  The NumPy backend ignores it.
    device : str, optional
        With ``"jax"``: ``"cpu"``, ``"gpu"``, ``"tpu"``, or one of several, ``"gpu:1"``.  By
        default, the one that JAX chooses.
    mesh : dict from str to int, optional
        With ``"jax"``: how many devices share the dimensions of a name, ``{"batch": 4}``.  XLA
        divides the work and adds the communication.

    Returns
    -------
    Function

    Raises
    ------
    GraphError
        If an output depends on a variable that is not an input, or an input is named twice.
    GraphTypeError
        If an input is not a node, an updated node is not a parameter, or its new value does not
        have its dtype and shape; or there is no such device.
    ExportError
        If the backend has nothing for an op; the message names the node and your line.
    MissingExtraError
        If JAX is needed and not installed.

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
    if not isinstance(threads, int) or threads < 1:
        raise GraphTypeError(f"threads is {threads!r}, which is not a number of threads")
    from symad.backends.select import choose_backend  # slow to import

    chosen = choose_backend(backend)
    how = _grade(rewrites), bool(recompute), bool(fastmath)
    settings = Settings(chosen, threads, *how, *_devices(chosen, device, mesh))
    for path, leaf in leaves_with_paths(inputs):
        if not isinstance(leaf, Node):
            raise GraphTypeError(f"inputs{path} is {leaf!r}, which is not a node")
    fetched = [as_node(leaf) for leaf in leaves(outputs)]
    fed = list(leaves(inputs))
    if len(set(fed)) != len(fed):
        raise GraphError("an input is named twice")
    new_values = [_new_value(target, value) for target, value in _items("updates", updates)]
    everything = [*fetched, *new_values]
    if givens:
        everything = _substitute(everything, fed, givens)
    results = rebuild(outputs, iter(everything[: len(fetched)]))
    stored = dict(zip(updates or {}, everything[len(fetched) :], strict=True))
    with collector_paused():
        graph = Graph.with_leaves(everything, fed, Parameter)
        unread = [parameter for parameter in stored if parameter not in graph.inputs]
        if unread:
            graph = Graph(everything, [*graph.inputs, *unread])
    return Function(graph, inputs, results, stored, settings, name or "function")


def _items(what: str, given: Mapping[Any, Any] | None) -> Iterable[tuple[Any, Any]]:
    if not isinstance(given, Mapping | None):
        raise GraphTypeError(f"{what} is {given!r:.60}, which is not a dict")
    return (given or {}).items()


def _grade(rewrites: str) -> Grade:
    names = {grade.name.lower(): grade for grade in Grade}
    if rewrites not in names:
        raise GraphTypeError(f"rewrites is {rewrites!r}; it must be one of {', '.join(names)}")
    return names[rewrites]


def _devices(
    backend: Backend, device: str | None, mesh: Mapping[str, int] | None
) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the settings of devices, checked as far as they are not a matter of the backend."""
    if (device or mesh) and not backend.has_devices:
        raise GraphTypeError(
            f"the {backend} backend runs on the CPU: it takes no device or mesh",
            remedy='Compile with backend="jax".',
        )
    if not isinstance(device, str | None):
        raise GraphTypeError(f"device is {device!r}, which is not the name of one")
    axes = tuple((mesh or {}).items())
    for name, count in axes:
        if not isinstance(name, str) or type(count) is not int or count < 1:
            raise GraphTypeError(
                f"mesh is {mesh!r}; it is a dict from names of dimensions to numbers of devices"
            )
    return device or "", axes


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
    new = {old: as_node(value, like=old) for old, value in _items("givens", givens)}
    reached = Graph.with_leaves(outputs, [*fed, *new], Variable)
    return list(rebuild_graph(reached, replace_inputs, new).outputs)


class Executor:
    """Runs nodes for a dictionary of fed nodes; compiled once per set of fed nodes.

    Parameters
    ----------
    nodes : Node or nested structure of nodes
        The nodes to evaluate.
    backend : {"auto", "numpy", "native", "jax"} or Backend
        As for :func:`compile`.

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

    def __init__(self, nodes: Any, backend: BackendName | Backend = "auto") -> None:
        self.nodes = nodes
        from symad.backends.select import choose_backend

        self.backend = choose_backend(backend)
        self._functions: dict[tuple[Node, ...], Function] = {}

    def run(self, feed: Mapping[Node, Any] | None = None) -> Any:
        """Return the values of the nodes for ``feed``.

        Parameters
        ----------
        feed : dict from Node to value
            Any nodes: one dictionary may serve several executors, so that a node on which these
            results do not depend is accepted.

        Raises
        ------
        FeedError
            If a variable has no value, a value does not fit, or a key is not a node.
        """
        feed = feed or {}
        function = self.function(feed)
        return function(*[feed[node] for node in leaves(function.inputs)])

    def function(self, feed: Mapping[Node, Any] | None = None) -> Function:
        """Return the function of the relevant nodes of ``feed``, in its order."""
        fed = tuple(feed or {})
        function = self._functions.get(fed)
        if function is None:
            function = self._functions[fed] = self._compile(fed)
        return function

    def _compile(self, fed: tuple[Any, ...]) -> Function:
        fetched = [as_node(leaf) for leaf in leaves(self.nodes)]
        for key in fed:
            if not isinstance(key, Node):
                raise FeedError(
                    f"a feed is a dict from nodes to values; {key!r} is not a node",
                    remedy="Give the node itself: {x: 1.0}, not its name.",
                )
        order = topological_order(fetched, stop=set(fed))
        missing = [
            node
            for node in order
            if isinstance(node, Variable) and not isinstance(node, Parameter) and node not in fed
        ]
        if missing:
            names = ", ".join(repr(node.name) for node in missing)
            given = ", ".join(repr(node.label) for node in fed) or "nothing"
            raise FeedError(
                f"no value was fed for {names} (fed: {given})", where=missing[0].site.describe()
            )
        needed = set(order)
        outputs = rebuild(self.nodes, iter(fetched))
        inputs = tuple([node for node in fed if node in needed])
        known = self._functions.get(inputs)
        return known or compile(inputs, outputs, backend=self.backend, name="executor")


@register
def eval(node: Node, feed: Mapping[Node, Any] | None = None) -> Any:
    """Return the value of ``node``, for interactive use.

    Each call compiles the graph again: use :func:`compile` or :class:`Executor` for repeated calls.

    Parameters
    ----------
    node : Node
    feed : dict from Node to value, optional
        As for :meth:`Executor.run`.

    Raises
    ------
    FeedError
        If a variable has no value, a value does not fit, or a key is not a node.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> (x + 1).eval({x: 2.0})
    np.float64(3.0)
    """
    return Executor(node, backend="numpy").run(feed)  # for a single call, no machine code
