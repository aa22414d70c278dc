"""Nested Python structures of nodes or values, which gradients and compile take and return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from symad.errors import SymadError

Nested: TypeAlias = Sequence[Any] | dict[Any, Any]
"""A container of nodes, values or further structures."""



def is_nested(value: Any) -> bool:
    """Return whether ``value`` is a tuple, a list or a dict, not a leaf."""
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


def matching_leaves(
    template: Any, value: Any, path: str, error: type[SymadError]
) -> list[Any]:
    """Return the leaves of ``value``, which must have the structure of ``template``, in its order.

    Items of dicts are matched by key, those of lists and tuples by position.  Where ``None``
    replaces a structure, all its leaves are ``None``.

    Parameters
    ----------
    template, value : nested structures
    path : str
        What ``value`` is, for messages.
    error : class of errors
        What to raise if the structures differ.

    Examples
    --------
    >>> from symad.errors import FeedError
    >>> matching_leaves({"a": "x", "b": ["y", "z"]}, {"b": None, "a": 1}, "out", FeedError)
    [1, None, None]
    """
    if value is None:
        return [None for _ in leaves(template)]
    if isinstance(template, dict):
        if not isinstance(value, dict) or set(value) != set(template):
            keys = list(template)
            raise error(f"{path} needs a dict with the keys {keys}{_odd(template, value)}")
        pairs = [(item, value[key], key) for key, item in template.items()]
    elif is_nested(template):
        if not is_sequence(value) or len(value) != len(template):
            raise error(f"{path} needs a sequence of {len(template)} values{_odd(template, value)}")
        pairs = [(item, v, i) for i, (item, v) in enumerate(zip(template, value, strict=True))]
    else:
        return [value]
    return [leaf for t, v, k in pairs for leaf in matching_leaves(t, v, f"{path}[{k!r}]", error)]


def _odd(template: Any, value: Any) -> str:
    """Return what is wrong with ``value``: missing or unknown keys, or its type."""
    if not isinstance(value, type(template)) and not (is_sequence(template) and is_sequence(value)):
        return f", not a value of type {type(value).__name__}"
    if not isinstance(value, dict):
        return f", not of {len(value)}"
    missing = [repr(key) for key in template if key not in value]
    unknown = [repr(key) for key in value if key not in template]
    parts = [f"{', '.join(missing)} missing"] if missing else []
    parts += [f"{', '.join(unknown)} not in it"] if unknown else []
    return f": {' and '.join(parts)}"


def is_sequence(value: Any) -> bool:
    """Return whether ``value`` is a list or a tuple."""
    return isinstance(value, (list, tuple))


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
