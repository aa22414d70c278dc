"""The types of the inputs of a function that is not called: declared, or those of its last call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symad.errors import ExportError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.types import StructureType, TensorType, Type, UnknownShape


def call_types(graph: Graph, latest: Sequence[Type]) -> list[Type]:
    """Return the type of each input, those of the latest call for inputs that declare no shape.

    Raises
    ------
    ExportError
        If a shape is not known.
    """
    nodes = graph.inputs
    types = [node.type for node in nodes]
    if any(map(_is_open, types)):
        types = list(latest)
    for node, type_ in zip(nodes, types, strict=True):
        if _is_open(type_):
            raise ExportError(
                f"the shape of the input {node.label!r} is not known",
                where=node.site.describe(),
                remedy="Declare it: sm.Variable('x', shape=(3,)), or call the function once.",
            )
    return types


def sized_types(graph: Graph, latest: Sequence[Type], sizes: Mapping[str, int]) -> list[Type]:
    """Return the type of each input, with sizes for its named dimensions.

    Raises
    ------
    ExportError
        If a size is not known.
    """
    pairs = zip(graph.inputs, call_types(graph, latest), strict=True)
    return [_sized(node, type_, sizes) for node, type_ in pairs]


def _is_open(type_: Type | None) -> bool:
    """Return whether a type has a size that is neither known nor named."""
    if isinstance(type_, StructureType):
        return any(_is_open(item) for _, item in type_.fields)
    if not isinstance(type_, TensorType) or isinstance(type_.shape, UnknownShape):
        return True
    return not all(isinstance(dim, (int, str)) for dim in type_.shape)


def _sized(node: Node, type_: Type | None, sizes: Mapping[str, int]) -> Type:
    if isinstance(type_, StructureType):
        items = tuple((key, _sized(node, item, sizes)) for key, item in type_.fields)
        return StructureType(type_.kind, items)
    assert isinstance(type_, TensorType) and not isinstance(type_.shape, UnknownShape)
    shape = tuple(sizes.get(d, d) if isinstance(d, str) else d for d in type_.shape)
    if not all(isinstance(dim, int) for dim in shape):
        raise ExportError(
            f"the size of {node.label!r}: {type_} is not known",
            where=node.site.describe(),
            remedy="Declare it, or give it: sm.export_c(f, path, sizes={'batch': 100}).",
        )
    return type_.with_shape(shape)
