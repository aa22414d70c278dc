"""Rules that decompose structures and sum nodes into tensors and plain sums."""

from __future__ import annotations

from functools import reduce
from typing import Any

from symad.graph.node import Node, apply
from symad.ops.adjoint import AddN, add_n
from symad.ops.arithmetic import add
from symad.ops.structure import MakeStructure, StructureItem, structure, structure_item
from symad.passes.grade import Grade
from symad.passes.rule import AnyRule, Procedure
from symad.types import StructureType


def _item_of_made(node: Node) -> Node | None:
    """Return the item that was put into the structure."""
    made = node.inputs[0]
    assert isinstance(node.op, StructureItem)
    if not isinstance(made.op, MakeStructure):
        return None
    return made.inputs[made.op.slot_of(node.op.key)]


def _sum_of_structures(node: Node) -> Node | None:
    """Return the structure of the sums of items; an absent item is zero."""
    type_ = node.type
    if not isinstance(type_, StructureType):
        return None
    items: dict[Any, list[Node]] = {key: [] for key in type_.keys}
    for term in node.inputs:
        for key, item in _items(term):
            items[key].append(item)
    sums = [_total(terms) for terms in items.values() if terms]
    there = tuple(item is not None for _, item in type_.fields)
    return apply(MakeStructure(type_.kind, type_.keys, there), *sums)


def _items(node: Node) -> list[tuple[Any, Node]]:
    """Return the items of a structure that are present, by key."""
    assert isinstance(node.type, StructureType)
    present = [key for key, type_ in node.type.fields if type_ is not None]
    if isinstance(node.op, MakeStructure):
        return list(zip(present, node.inputs, strict=True))
    return [(key, structure_item(node, key)) for key in present]


def _total(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else add_n(terms)


def _sum_of_terms(node: Node) -> Node | None:
    """Return additions from left to right, as the sum node computes it."""
    if isinstance(node.type, StructureType):
        return None
    return reduce(add, node.inputs)


def _two_parts(a: Any, b: Any) -> Node:
    return add_n([structure({"a": a, "b": b}), structure({"a": b, "b": a})])


STRUCTURES: tuple[AnyRule, ...] = (
    Procedure(
        "item of a structure", _item_of_made, "make_structure(..., x, ...)[k] = x",
        (StructureItem,), (lambda x, y: structure({"a": x, "b": y})["b"],),
    ),
    Procedure(
        "sum of structures", _sum_of_structures, "{k: x} + {k: y} = {k: x + y}",
        (AddN,), (_two_parts,),
    ),
    Procedure(
        "sum of terms", _sum_of_terms, "add_n(x, y, z) = (x + y) + z",
        (AddN,), (lambda x, y, z: add_n([x, y, z]), lambda x, y: add_n([x, y])),
        grade=Grade.EXACT,
    ),
)  # fmt: skip
