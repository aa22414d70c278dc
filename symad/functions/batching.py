"""vmap: a function of one element as a function of many."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from symad.errors import GraphTypeError, ShapeError
from symad.graph.nested import is_nested, leaves, leaves_with_paths, rebuild
from symad.graph.node import Node, apply, reporting
from symad.graph.traverse import topological_order
from symad.ops.base import as_node, register
from symad.ops.control import Map, close_over, element_type, placeholder
from symad.ops.permute import moveaxis
from symad.ops.structure import items_of, structure
from symad.types import Dimension, StructureType, TensorType


@register
def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return ``function``, which is written for one element, as a function of arrays of them.

    Parameters
    ----------
    function : callable
        Takes and returns nodes, nested structures of them, and structure nodes.  It may use nodes
        from outside, which are the same for all elements, and compute gradients.
    in_axes : int, None, or nested structure of these
        Along which axis of each positional argument its elements are; negative ones count from the
        last.  ``None``: the argument is the same for all elements, and is passed as it is.  One
        value applies to all arguments, a tuple has one entry for each; an entry applies to all
        arrays of its argument, or is a structure like it.  Keyword arguments have their elements
        along axis 0.
    out_axes : int, None, or nested structure of these
        Where the axis of the elements is in each result.  ``None``: the result must be the same for
        all elements, and has no such axis.

    Returns
    -------
    callable
        It makes one node for each result.  The function is called once for all elements.

    Raises
    ------
    ShapeError
        If numbers of elements differ, or an argument or a result lacks the axis.
    GraphTypeError
        If no argument has elements, ``in_axes`` or ``out_axes`` do not match, or a result for which
        ``out_axes`` is ``None`` depends on the elements.

    Examples
    --------
    >>> import symad as sm
    >>> x, w = sm.Variable("x", shape=("batch", 3)), sm.Variable("w", shape=(3,))
    >>> loss = lambda row, w: sm.sin(row @ w)
    >>> each = sm.vmap(lambda row, w: sm.gradients(loss(row, w), w), in_axes=(0, None))(x, w)
    >>> each.type
    f64[batch,3]
    >>> each.eval({x: [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], w: [0.0, 0.0, 0.0]})
    array([[0., 0., 0.],
           [1., 2., 3.]])
    """

    @functools.wraps(function)
    def mapped(*args: Any, **keywords: Any) -> Any:
        with reporting("vmap"):
            given = _arguments(function, args, keywords, in_axes)
            _check_lengths(given)
        sequences = [x for one in given for x in one.sequences]
        elements = [placeholder(x, element_type(x.type)) for x in sequences]
        rest = iter(elements)
        inside = iter([one.inside(rest) for one in given])
        result = function(*rebuild(args, inside), **rebuild(keywords, inside))
        with reporting("vmap"):
            return _stacked(result, out_axes, elements, sequences)

    return mapped


@dataclass(frozen=True)
class _Argument:
    """An array, a structure node or another value in the arguments.

    Attributes
    ----------
    name : str
    value : object
    sequences : sequence of Node
        The arrays in it with their elements along the first axis; none if it is passed as it is.
    """

    name: str
    value: Any
    sequences: Sequence[Node]

    def inside(self, elements: Iterator[Node]) -> Any:
        """Return the value for one element, whose arrays are the next ``elements``."""
        if not self.sequences:
            return self.value
        return _like(self.value, elements) if isinstance(self.value, Node) else next(elements)

    def lengths(self) -> list[Dimension]:
        """Return how many elements the arrays have, where that is known."""
        shapes = [x.type.shape for x in self.sequences if isinstance(x.type, TensorType)]
        return [shape[0] for shape in shapes if isinstance(shape, tuple)]


def _like(node: Node, arrays: Iterator[Node]) -> Node:
    """Return a node of the structure of ``node`` made of ``arrays``."""
    if not isinstance(node.type, StructureType):
        return next(arrays)
    return structure(rebuild(_opened(node.type), arrays))


def _opened(type_: Any) -> Any:
    """Return the types in a structure as a nested Python structure."""
    if not isinstance(type_, StructureType):
        return type_
    items = {key: _opened(item) for key, item in type_.fields}
    kinds: dict[str, Any] = {"dict": dict, "list": lambda x: list(x.values())}
    return kinds.get(type_.kind, lambda x: tuple(x.values()))(items)


def _arguments(function: Any, args: Any, keywords: Any, in_axes: Any) -> list[_Argument]:
    """Return the leaves of the arguments, with the names that errors give them."""
    names = [f"argument {name}" for name in _parameter_names(function, len(args))]
    if not isinstance(in_axes, (tuple, list)):
        in_axes = (in_axes,) * len(args)
    if len(in_axes) != len(args):
        raise GraphTypeError(f"in_axes has {len(in_axes)} entries for {len(args)} arguments")
    triples = [
        *zip(names, args, in_axes, strict=True),
        *((f"argument {name}", value, 0) for name, value in keywords.items()),
    ]
    leaves = [leaf for triple in triples for leaf in _with_axes(*triple, "in_axes")]
    found = [_argument(name, value, axis) for name, value, axis in leaves]
    if not any(one.sequences for one in found):
        raise GraphTypeError(
            "no argument has elements", remedy="Give an axis for one of them in in_axes."
        )
    return found


def _parameter_names(function: Any, count: int) -> list[str]:
    """Return the names of the first ``count`` positional parameters, or their numbers."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return [*names, *map(str, range(len(names), count))][:count]


def _with_axes(name: str, value: Any, axes: Any, what: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, leaf and axis for each leaf of ``value``; ``axes`` may stop at any level."""
    if axes is None or isinstance(axes, int):
        yield from ((name + path, leaf, axes) for path, leaf in leaves_with_paths(value))
        return
    if not is_nested(value) or _keys(axes) != _keys(value):
        raise GraphTypeError(f"{what} has {axes!r} for {name}, which has another structure")
    for key in _keys(value):
        yield from _with_axes(f"{name}[{key!r}]", value[key], axes[key], what)


def _keys(value: Any) -> list[Any]:
    """Return the keys or positions of the items of a nested structure, in an order of their own."""
    keys = value if isinstance(value, dict) else range(len(value)) if is_nested(value) else ()
    return sorted(keys, key=repr)


def _argument(name: str, value: Any, axis: int | None) -> _Argument:
    if axis is None or value is None:
        return _Argument(name, value, ())
    arrays = items_of(as_node(value))
    for array in arrays:
        if array.ndim is not None and not -array.ndim <= axis < array.ndim:
            raise ShapeError(
                f"{name} has elements along axis {axis}, but is {array.type}",
                remedy="Give another axis in in_axes, None if it is the same for all elements.",
            )
    return _Argument(name, value, [moveaxis(x, axis, 0) if axis else x for x in arrays])


def _check_lengths(arguments: Sequence[_Argument]) -> None:
    """Check that all numbers of elements that are known are the same."""
    known = [(n, one.name) for one in arguments for n in one.lengths() if isinstance(n, int)]
    for count, name in known[1:]:
        first, other = known[0]
        if count != first:
            raise ShapeError(f"{other} has {first} elements, but {name} has {count}")


def _stacked(
    result: Any, out_axes: Any, elements: Sequence[Node], sequences: Sequence[Node]
) -> Any:
    """Return the results for all elements, from those for one, in the same structure."""
    moving = _depend_on(elements, [leaf for leaf in leaves(result) if isinstance(leaf, Node)])
    found = []
    for name, leaf, axis in _with_axes("result", result, out_axes, "out_axes"):
        if leaf is None or (axis is None and leaf not in moving):
            found.append(leaf)
            continue
        if axis is None:
            raise GraphTypeError(
                f"{name} depends on the elements, but its axis in out_axes is None",
                where=leaf.site.describe(),
            )
        node = as_node(leaf)
        arrays = [_mapped(x, axis, name, elements, sequences) for x in items_of(node)]
        found.append(_like(node, iter(arrays)))
    return rebuild(result, iter(found))


def _depend_on(elements: Sequence[Node], nodes: Sequence[Node]) -> set[Node]:
    """Return the nodes, and those they are computed from, that depend on the elements."""
    moving = set(elements)
    for node in topological_order(nodes, stop=moving):
        if any(source in moving for source in node.inputs):
            moving.add(node)
    return moving


def _mapped(
    output: Node, axis: int, name: str, elements: Sequence[Node], sequences: Sequence[Node]
) -> Node:
    """Return one array of the results for all elements, which are along ``axis``."""
    body, captured = close_over(output, elements)
    result = apply(Map(body, len(elements)), *sequences, *captured)
    if result.ndim is not None and not -result.ndim <= axis < result.ndim:
        raise ShapeError(f"{name} has {result.ndim} axes, but its axis in out_axes is {axis}")
    return moveaxis(result, 0, axis) if axis else result
