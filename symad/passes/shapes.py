"""The shape of a node of a specialised graph."""

from __future__ import annotations

from typing import cast

from symad.graph.node import Node
from symad.types import TensorType


def static_shape(node: Node) -> tuple[int, ...] | None:
    """Return the shape of ``node``, ``None`` unless all of it is known."""
    type_ = node.type
    if not isinstance(type_, TensorType) or not type_.is_static:
        return None
    return cast(tuple[int, ...], type_.shape)
