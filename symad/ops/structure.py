"""Structures as values of the graph: ops that build tuples, lists and dicts, and take items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.index_sets import IndexSets, labels_shape
from symad.graph.nested import is_nested, leaves, rebuild
from symad.graph.node import Node, apply
from symad.graph.op import Op, call, explained
from symad.graph.sample import Sample, reals
from symad.ops.adjoint import zeros_like
from symad.ops.base import Operand, as_node, register
from symad.ops.batching import stacked
from symad.types import StructureType, Type


def _make(*items: Any, kind: str, keys: tuple[Any, ...], present: tuple[bool, ...]) -> Any:
    rest = iter(items)
    values = [next(rest) if there else None for there in present]
    if kind == "dict":
        return dict(zip(keys, values, strict=True))
    return values if kind == "list" else tuple(values)


class MakeStructure(Op):
    """Put the inputs into a tuple, list or dict; items that are not ``present`` are absent."""

    kind: str
    keys: tuple[Any, ...]
    present: tuple[bool, ...]

    name = "make_structure"
    finite_slopes = True
    numpy = staticmethod(_make)
    is_view = True
    samples = (
        Sample(lambda a, b: structure({"cat": a, "dog": b})["cat"], [reals(3), reals(2)]),
        Sample(lambda a, b: structure([a, (b, a)])[1][0] * 2, [reals(3), reals(2)], label="nested"),
    )

    def infer(self, *types: Any) -> Type:
        rest = iter(types)
        pairs = zip(self.keys, self.present, strict=True)
        return StructureType(
            self.kind, tuple([(key, next(rest) if there else None) for key, there in pairs])
        )

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return apply(self, *stacked(batched, inputs))

    def key_of(self, slot: int) -> Any:
        """Return the key under which input ``slot`` is put."""
        pairs = zip(self.keys, self.present, strict=True)
        return [key for key, there in pairs if there][slot]

    def slot_of(self, key: Any) -> int:
        """Return the input that is put under ``key``, which must be present."""
        pairs = zip(self.keys, self.present, strict=True)
        return [k for k, there in pairs if there].index(key)

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return item_or_none(adjoint, self.key_of(slot))

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        found = {self.key_of(slot): array for slot, array in enumerate(labels)}
        return {key: found.get(key) for key in self.keys}

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return only_item(out, self.key_of(slot), tangent)


def _get(value: Any, key: Any) -> Any:
    return value[key]


class StructureItem(Op):
    """Take the item at ``key`` out of a structure."""

    key: Any

    name = "item"
    takes_any_rows = True
    finite_slopes = True
    numpy = staticmethod(_get)
    text = "{0}[{op.key!r}]"
    is_view = True
    samples = (
        Sample(lambda a, b: structure((a, b))[1] * 3, [reals(3), reals(2)]),
        Sample(lambda a: structure({"a": a})["a"], [reals(3)], label="dict"),
    )

    def infer(self, *types: Any) -> Type:
        whole = types[0]
        assert isinstance(whole, StructureType)
        item = whole.item(self.key)
        if item is None:
            raise GraphTypeError(f"the item {self.key!r} is absent (zero) in {whole}")
        return item

    def differentiable(self, slot: int) -> bool:
        return True

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return only_item(inputs[0], self.key, adjoint)

    def dependence(self, sets: IndexSets, labels: Sequence[Any], out: Node, *inputs: Node) -> Any:
        found = labels[0].get(self.key)
        return np.zeros(labels_shape(out.type), int) if found is None else found

    def forward(self, slot: int, tangent: Node, out: Node, *inputs: Node) -> Node | None:
        return item_or_none(tangent, self.key)

    def batch(self, out: Node, batched: Sequence[bool], *inputs: Node) -> Node | None:
        return item_or_none(inputs[0], self.key)


@explained
def structure(value: Any) -> Node:
    """Return a tuple, list or dict of nodes as one node.

    Parameters
    ----------
    value : nested tuple, list or dict of nodes, numbers and arrays

    Raises
    ------
    GraphTypeError
        If a dict has keys that are neither text nor numbers.

    Examples
    --------
    >>> import symad as sm
    >>> a, b = sm.Variable("a"), sm.Variable("b")
    >>> d = sm.structure({"cat": a, "dog": b})
    >>> sm.gradients(d["cat"] ** 2, a).eval({a: 3.0, b: 1.0})
    np.float64(6.0)
    """
    if not is_nested(value):
        return as_node(value)
    kind = "dict" if isinstance(value, dict) else "list" if isinstance(value, list) else "tuple"
    keys = tuple(value) if isinstance(value, dict) else tuple(range(len(value)))
    for key in keys:
        if not isinstance(key, (str, int)):
            raise GraphTypeError(f"{key!r} cannot be a key: use text or an integer")
    items = value.values() if isinstance(value, dict) else value
    inputs = [structure(item) for item in items]
    return apply(MakeStructure(kind, keys, (True,) * len(keys)), *inputs)


def is_structure(node: Node) -> bool:
    """Return whether the value of ``node`` is a structure."""
    return isinstance(node.type, StructureType)


def structure_item(node: Node, key: Any) -> Node:
    """Return the item of a structure at ``key`` as a node."""
    if isinstance(key, int) and key < 0 and isinstance(node.type, StructureType):
        key += len(node.type.fields)
    return apply(StructureItem(key), node)


def item_or_none(node: Node, key: Any) -> Node | None:
    """Return the item at ``key``, or ``None`` if absent; items of a made structure are reused."""
    assert isinstance(node.type, StructureType)
    if node.type.item(key) is None:
        return None
    if isinstance(node.op, MakeStructure):
        return node.inputs[node.op.slot_of(key)]
    return structure_item(node, key)


def only_item(like: Node, key: Any, value: Node) -> Node:
    """Return a structure with the keys of ``like`` in which only ``key`` is present."""
    assert isinstance(like.type, StructureType)
    keys = like.type.keys
    return apply(MakeStructure(like.type.kind, keys, tuple([k == key for k in keys])), value)


def items_of(node: Node) -> list[Node]:
    """Return the tensors in a structure, in order, as nodes."""
    found: list[Node] = []
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item.type, StructureType):
            pending += [structure_item(item, key) for key in reversed(item.type.keys)]
        else:
            found.append(item)
    return found


def flat_nodes(value: Any) -> list[Node]:
    """Return the tensors in a nested structure as nodes, a structure node as its items.

    ``None`` is no value, and is left out.
    """
    found = [as_node(leaf) for leaf in leaves(value) if leaf is not None]
    return [item for node in found for item in items_of(node)]


def nest(form: Any, values: Iterator[Node]) -> Any:
    """Return tensors in the form of ``form``, from which :func:`flat_nodes` would take them."""
    return rebuild(form, (_leaf_like(leaf, values) for leaf in leaves(form)))


def _leaf_like(leaf: Any, values: Iterator[Node]) -> Any:
    if leaf is None:
        return None
    return _value_of(leaf.type, values) if isinstance(leaf, Node) else next(values)


def _value_of(type_: Type | None, values: Iterator[Node]) -> Node:
    if not isinstance(type_, StructureType):
        return next(values)
    items = [_value_of(item, values) for _, item in type_.fields]
    return apply(MakeStructure(type_.kind, type_.keys, (True,) * len(items)), *items)


def adjoint_items(adjoint: Node, count: int) -> Sequence[Node | None]:
    """Return the adjoints of the ``count`` results of an op; ``None`` for zero."""
    return [item_or_none(adjoint, key) for key in range(count)]


def fill_absent(adjoint: Node, like: Node) -> Node:
    """Return ``adjoint`` with zeros where an item of the structure ``like`` is absent."""
    if not isinstance(adjoint.type, StructureType):
        return adjoint
    return _fill(adjoint, like)


def zeros_for(like: Node) -> Node:
    """Return zeros in the structure of ``like``."""
    return _fill(None, like)


def _fill(adjoint: Node | None, like: Node) -> Node:
    if not isinstance(like.type, StructureType):
        return zeros_like(like) if adjoint is None else adjoint
    if adjoint is not None and _is_full(adjoint.type):
        return adjoint
    items = [
        _fill(None if adjoint is None else item_or_none(adjoint, key), structure_item(like, key))
        for key in like.type.keys
    ]
    return apply(MakeStructure(like.type.kind, like.type.keys, (True,) * len(items)), *items)


def _is_full(type_: Type | None) -> bool:
    if isinstance(type_, StructureType):
        return all(_is_full(item) for _, item in type_.fields)
    return type_ is not None


register(structure)


@explained
def get_item(x: Operand, index: Any) -> Node:
    """Return ``x[index]``: an item of a structure, or elements of an array.

    Examples
    --------
    >>> import symad as sm
    >>> sm.constant([1.0, 2.0, 3.0])[1:].eval()
    array([2., 3.])
    """
    node = as_node(x)
    if is_structure(node):
        return structure_item(node, index)
    return call("index_array", node, index)


register(get_item)
