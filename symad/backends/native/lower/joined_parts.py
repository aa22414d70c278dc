"""Parts of joins that are computed where the join has them, without a copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from symad.backends.native.lower.bodies import TABLE
from symad.backends.native.lower.views import root_of
from symad.graph.node import Node
from symad.ops.structure import StructureItem
from symad.passes.fuse import shape_of
from symad.passes.pieces import Piece, pieces_of

Result = tuple[Node, Any]
"""A node, and the key of one of its results or ``None``."""
Places = Mapping[Result, tuple[Node, Piece]]
"""The join that reads a result, and which of its places that is."""


def places_of_parts(
    joins: Sequence[Node], nodes: Sequence[Node], kept: Collection[Node]
) -> Places:
    """Return, for results that only a join reads, the join and which of its places they are.

    Parameters
    ----------
    joins, nodes : sequence of Node
        The joins among the computed nodes of a segment, and all of these.
    kept : collection of Node
        Those that others need.
    """
    computed = set(nodes)
    uses = Counter(root_of(source, computed) for node in nodes for source in node.inputs)
    return {
        _result_of(piece.source): (join, piece)
        for join in joins
        for piece in _pieces(join)
        if piece.source in computed
        and piece.source not in kept
        and uses[piece.source] == 1
        and type(_result_of(piece.source)[0].op) not in TABLE
    }


def _pieces(join: Node) -> Sequence[Piece]:
    """Return the pieces of a join along its first axis with several places."""
    shape = shape_of(join)
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    return pieces_of(join, len(shape) - axes[0]) if axes else ()


def _result_of(node: Node) -> Result:
    if isinstance(node.op, StructureItem):
        return node.inputs[0], node.op.key
    return node, None
