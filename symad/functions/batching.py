"""vmap: a function of one element as a function of many."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from symad.errors import GraphTypeError, ShapeError
from symad.graph.nested import is_nested, leaves_with_paths, rebuild
from symad.graph.node import Node, apply, reporting
from symad.graph.provenance import isolated, tracing
from symad.graph.traverse import topological_order
from symad.ops.base import register, tensor_types
from symad.ops.body import called, close_over, placeholder, results_of
from symad.ops.control import Map, element_type
from symad.ops.permute import moveaxis
from symad.ops.structure import flat_nodes, nest
from symad.types import UnknownShape


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
    @isolated
    def mapped(*args: Any, **keywords: Any) -> Any:
        with reporting("vmap"):
            given = _leaves_of(function, args, keywords, in_axes)
            arrays = [leaf.sequences() for leaf in given]
            _check_lengths(given, arrays)
        sequences = [x for group in arrays for x in group]
        elements = [placeholder(x, element_type(x.type)) for x in sequences]
        with tracing() as made:
            inside = _for_one(given, arrays, elements)
            more = rebuild(args, inside), rebuild(keywords, inside)
            result = called("the function of vmap", function, *more[0], **more[1])
            with reporting("vmap"):
                found = [_Leaf(*one) for one in _with_axes("result", result, out_axes, "out_axes")]
            outputs = [[] if one.axis is None else flat_nodes(one.value) for one in found]
        with reporting("vmap"):
            _check_shared(found, elements)
            body, captured = close_over([x for group in outputs for x in group], elements, made)
            stacks = iter(results_of(apply(Map(body, len(elements)), *sequences, *captured)))
            groups = [list(islice(stacks, len(group))) for group in outputs]
            return rebuild(result, map(_Leaf.stacked, found, groups))

    return mapped


class _Leaf(NamedTuple):
    """A leaf of arguments or results: its name in errors, and the axis of the elements."""

    name: str
    value: Any
    axis: int | None

    def sequences(self) -> list[Node]:
        """Return the arrays in the value with the axis of the elements first."""
        if self.axis is None:
            return []
        arrays = flat_nodes(self.value)
        for array in arrays:
            if array.ndim is not None and not -array.ndim <= self.axis < array.ndim:
                raise ShapeError(
                    f"{self.name} has elements along axis {self.axis}, but is {array.type}",
                    remedy="Give another axis in in_axes, None if it is the same for all elements.",
                )
        return [moveaxis(x, self.axis, 0) if self.axis else x for x in arrays]

    def stacked(self, arrays: Sequence[Node]) -> Any:
        """Return the value of all elements, made of ``arrays``, which have their axis first."""
        if self.axis is None or self.value is None:
            return self.value
        for x in arrays:
            if x.ndim is not None and not -x.ndim <= self.axis < x.ndim:
                raise ShapeError(
                    f"{self.name} has {x.ndim} axes, but its axis in out_axes is {self.axis}"
                )
        return nest(
            self.value, iter([moveaxis(x, 0, self.axis) if self.axis else x for x in arrays])
        )


def _leaves_of(function: Any, args: Any, keywords: Any, in_axes: Any) -> list[_Leaf]:
    """Return the leaves of the arguments."""
    names = [f"argument {name}" for name in _parameter_names(function, len(args))]
    if not isinstance(in_axes, (tuple, list)):
        in_axes = (in_axes,) * len(args)
    if len(in_axes) != len(args):
        raise GraphTypeError(f"in_axes has {len(in_axes)} entries for {len(args)} arguments")
    triples = [
        *zip(names, args, in_axes, strict=True),
        *((f"argument {name}", value, 0) for name, value in keywords.items()),
    ]
    return [_Leaf(*leaf) for triple in triples for leaf in _with_axes(*triple, "in_axes")]


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
    if not is_nested(axes):
        raise GraphTypeError(f"{axes!r} is not an axis", remedy="An axis is an integer or None.")
    if not is_nested(value) or set(_keys(axes)) != set(_keys(value)):
        raise GraphTypeError(f"{what} has {axes!r} for {name}, which has another structure")
    for key in _keys(value):
        yield from _with_axes(f"{name}[{key!r}]", value[key], axes[key], what)


def _keys(value: Any) -> list[Any]:
    """Return the keys or positions of the items of a nested structure, in order."""
    return list(value) if isinstance(value, dict) else list(range(len(value)))


def _for_one(
    given: Sequence[_Leaf], arrays: Sequence[Sequence[Node]], elements: Sequence[Node]
) -> Iterator[Any]:
    """Return the leaves of the arguments for one element."""
    rest = iter(elements)
    pairs = zip(given, arrays, strict=True)
    return iter([nest(leaf.value, rest) if group else leaf.value for leaf, group in pairs])


def _check_lengths(leaves_: Sequence[_Leaf], sequences: Sequence[Sequence[Node]]) -> None:
    """Check that there are elements, and that all numbers of them that are known are the same."""
    if not any(sequences):
        raise GraphTypeError(
            "no argument has elements", remedy="Give an axis for one of them in in_axes."
        )
    first, name = None, ""
    for leaf, arrays in zip(leaves_, sequences, strict=True):
        shapes = [type_.shape for type_ in tensor_types(*[x.type for x in arrays])]
        for count in [shape[0] for shape in shapes if not isinstance(shape, UnknownShape)]:
            if first is None and isinstance(count, int):
                first, name = count, leaf.name
            elif isinstance(count, int) and count != first:
                raise ShapeError(f"{name} has {first} elements, but {leaf.name} has {count}")


def _check_shared(results: Sequence[_Leaf], elements: Sequence[Node]) -> None:
    """Check that results without an axis of elements do not depend on the elements."""
    shared = [one for one in results if one.axis is None and isinstance(one.value, Node)]
    moving = set(elements)
    for node in topological_order([one.value for one in shared], stop=moving):
        if any(source in moving for source in node.inputs):
            moving.add(node)
    for name, node, _ in shared:
        if node in moving:
            raise GraphTypeError(
                f"{name} depends on the elements, but its axis in out_axes is None",
                where=node.site.describe(),
            )
