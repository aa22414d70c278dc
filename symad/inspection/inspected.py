"""The subject of an inspection: a compiled function and its arguments, or nodes and a feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symad.errors import FeedError
from symad.graph.graph import Graph
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.records import dataclass
from symad.runtime.compiler import Executor
from symad.runtime.function import Function
from symad.runtime.inputs import accept, type_of
from symad.types import Dimension, TensorType, Type, compatible_shapes


@dataclass(frozen=True, slots=True)
class Subject:
    """A function and its input values.

    Attributes
    ----------
    function : Function
        The inspected function; for nodes, the function compiled from them.
    values : list or None
        One value for each input of its graph, with parameters last; a type if only the type of an
        input is given.  ``None`` if nothing is given.
    """

    function: Function
    values: list[Any] | None

    @property
    def types(self) -> list[Type]:
        """The types of the given inputs, else those of the latest call, else the declared types."""
        if self.values is not None:
            return [_type(value) for value in self.values]
        return [node.type for node in self.function.specialised().passes.graph.inputs]


def subject_of(target: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> Subject:
    """Return the subject of an inspection.

    Parameters
    ----------
    target : Function, or Node, Graph or nested structure of nodes
    args, keywords
        The arguments of a function, as in a call, or one dict from nodes to values, or to types
        if types suffice; nodes that play no part may be in it.

    Raises
    ------
    FeedError
        If a value is missing, unknown, or does not fit.
    """
    feed = args[0] if len(args) == 1 and not keywords and _is_feed(args[0]) else None
    if not isinstance(target, Function):
        if keywords or len(args) > 1 or (args and feed is None and args[0] is not None):
            raise FeedError(
                "nodes are fed by one dict from nodes to values",
                remedy="Write {x: 1.0}, or compile the nodes and give arguments.",
            )
        nodes = target.outputs if isinstance(target, Graph) else target
        function = Executor(nodes, backend="numpy").function(feed)
        return Subject(function, _fed(function, feed or {}))
    if feed is not None:
        return Subject(target, _fed(target, feed))
    if not args and not keywords and list(leaves(target.inputs)):
        return Subject(target, None)
    return Subject(target, target.arguments(*args, **keywords))


def given_values(subject: Subject) -> list[Any]:
    """Return the values of all inputs.

    Raises
    ------
    FeedError
        If a value is missing, or only its type is given.
    """
    values = subject.values
    if values is None or any(isinstance(value, TensorType) for value in values):
        raise FeedError(
            f"{subject.function.name} must run, but its inputs have no values",
            remedy="Give its arguments, or a dict from nodes to values.",
        )
    return values


def _is_feed(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, Node) for key in value)


def _type(value: Any) -> Type:
    return value if isinstance(value, TensorType) else type_of(value)


def _fed(function: Function, feed: Mapping[Node, Any]) -> list[Any]:
    """Return the values or types of a feed in the order of the function's inputs."""
    inputs = list(leaves(function.inputs))
    missing = [node.label for node in inputs if node not in feed]
    if missing:
        known = ", ".join(node.label for node in inputs)
        raise FeedError(
            f"the feed has no value for {missing[0]!r}; the inputs of {function.name} are: {known}"
        )
    sizes: dict[Dimension, int] = {}
    values = [_accept(feed[node], node, sizes) for node in inputs]
    return values + [parameter.value for parameter in function.parameters]


def _accept(value: Any, node: Node, sizes: dict[Dimension, int]) -> Any:
    if not isinstance(value, TensorType):
        return accept(value, node, sizes)
    declared = node.type
    fits = isinstance(declared, TensorType) and value.dtype == declared.dtype
    if not fits or not compatible_shapes(declared.shape, value.shape):  # type: ignore[union-attr]
        raise FeedError(f"{node.label!r} has the type {declared}, which does not allow {value}")
    return value
