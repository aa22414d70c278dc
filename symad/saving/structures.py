"""Nested structures of nodes as data: what :func:`symad.compile` takes and returns."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from symad.errors import SavedGraphError
from symad.graph.node import Node
from symad.saving.attributes import GraphParts, PartNumbers, read_attribute, shown, write_attribute


def write_structure(to: PartNumbers, value: Any, numbers: dict[Node, int]) -> Any:
    """Return a nested structure of nodes as JSON has it; a node is its number in its graph."""
    if isinstance(value, Node):
        return numbers[value]
    if isinstance(value, dict):
        try:
            keys = [write_attribute(to, key) for key in value]
        except SavedGraphError as error:
            raise SavedGraphError(f"a key of a dict: {error.message}") from None
        items = [write_structure(to, item, numbers) for item in value.values()]
        return {"dict": [list(pair) for pair in zip(keys, items, strict=True)]}
    if not isinstance(value, (list, tuple)):
        raise SavedGraphError(
            f"{value!r:.60} is not a node",
            remedy="Save a compiled function, a node, or a tuple, list or dict of nodes.",
        )
    items = [write_structure(to, item, numbers) for item in value]
    if isinstance(value, list):
        return {"list": items}
    fields = getattr(type(value), "_fields", None)
    if fields is None:
        return {"tuple": items}
    return {"record": type(value).__name__, "fields": [*fields], "items": items}


def read_structure(of: GraphParts, data: Any, nodes: Sequence[Node]) -> Any:
    """Return the nested structure of nodes that was written."""
    if not isinstance(data, dict):
        if type(data) is int and 0 <= data < len(nodes):
            return nodes[data]
        raise SavedGraphError(f"{shown(data)} is not the number of a node")
    keys = tuple(data)
    if keys == ("dict",) and isinstance(data["dict"], list):
        return _read_dict(of, data["dict"], nodes)
    kind = keys[-1] if keys else ""
    given = data.get(kind)
    if isinstance(given, list):
        items = [read_structure(of, item, nodes) for item in given]
        if keys == ("list",):
            return items
        if keys == ("tuple",):
            return tuple(items)
        if keys == ("record", "fields", "items"):
            return _record(data["record"], data["fields"], len(items))(*items)
    raise SavedGraphError("it is not a nested structure of nodes")


def _read_dict(of: GraphParts, pairs: list[Any], nodes: Sequence[Node]) -> dict[Any, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise SavedGraphError("the items of a dict are pairs")
    keys = [read_attribute(of, key) for key, _ in pairs]
    found = {
        key: read_structure(of, item, nodes) for key, (_, item) in zip(keys, pairs, strict=True)
    }
    if len(found) != len(pairs):
        raise SavedGraphError("a key of a dict is repeated")
    return found


def _record(name: Any, fields: Any, count: int) -> type[Any]:
    """Return a class of tuples whose items have names, made without evaluating code."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SavedGraphError(f"{shown(name)} is not the name of a class")
    names = fields if isinstance(fields, list) else []
    if len(names) != count or len({str(n) for n in names}) != count:
        raise SavedGraphError(f"{name} needs a name for each item")
    for field in names:
        if not isinstance(field, str) or not field.isidentifier() or field.startswith("_"):
            raise SavedGraphError(f"{shown(field)} is not the name of an item")

    def new(cls: type[Any], *items: Any) -> Any:
        return tuple.__new__(cls, items)

    items = {field: property(itemgetter(k)) for k, field in enumerate(names)}
    members = {**items, "__slots__": (), "_fields": tuple(names), "__new__": new}
    return type(name, (tuple,), members)
