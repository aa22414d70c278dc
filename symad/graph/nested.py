"""Nested Python structures of nodes or values: what gradients and compile take and return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

Nested: TypeAlias = Sequence[Any] | dict[Any, Any]
"""What holds nodes or values, or structures of them in turn."""


def is_nested(value: Any) -> bool:
    """Return whether ``value`` is a tuple, a list or a dict, as against a leaf."""
    return isinstance(value, (tuple, list, dict))


def leaves(value: Any) -> Iterator[Any]:
    """Yield the leaves of a nested structure in order.

    Examples
    --------
    >>> list(leaves({"a": [1, 2], "b": (3,)}))
    [1, 2, 3]
    """
    for _, leaf in leaves_with_paths(value):
        yield leaf


def leaves_with_paths(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield pairs of a leaf's path, such as ``"['a'][0]"``, and the leaf."""
    if not is_nested(value):
        yield path, value
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield from leaves_with_paths(item, f"{path}[{key!r}]")


def rebuild(template: Any, values: Iterator[Any]) -> Any:
    """Return a structure like ``template`` whose leaves are taken from ``values``.

    Examples
    --------
    >>> rebuild({"a": [0, 0], "b": (0,)}, iter("xyz"))
    {'a': ['x', 'y'], 'b': ('z',)}
    """
    if isinstance(template, dict):
        return {key: rebuild(item, values) for key, item in template.items()}
    if isinstance(template, list):
        return [rebuild(item, values) for item in template]
    if isinstance(template, tuple):
        items = [rebuild(item, values) for item in template]
        named = hasattr(template, "_fields")
        return type(template)(*items) if named else tuple(items)
    return next(values)


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """Return ``value`` with ``function`` applied to each leaf."""
    return rebuild(value, map(function, leaves(value)))
