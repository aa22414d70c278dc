"""Finding the node that was made before for the same op on the same inputs."""

from __future__ import annotations

from typing import Any

from symad.graph.node import Constant, Node
from symad.graph.op import Op

_COMPARED_BYTES = 65536
"""Larger constants are shared only if they are the same node: reading them would cost more."""


class Interner:
    """Finds the node that was made before for the same op on the same inputs.

    Operands of a commutative op count as the same in either order.  Sums of three and more are told
    apart by their order, in which they are rounded.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}
        self._number: dict[Node, int] = {}

    def intern(self, node: Node) -> Node:
        """Return the first node that equals ``node``, whose inputs must be interned."""
        if node.op is not None:
            key: Any = (node.op, self._operands(node.op, node.inputs))
        elif isinstance(node, Constant) and node.value.nbytes <= _COMPARED_BYTES:
            key = (node.type, node.value.tobytes())
        else:
            return node
        known = self._known.setdefault(key, node)
        if known is node or known.type != node.type or not _is_same_op(known.op, node.op):
            return node
        return known

    def _operands(self, op: Op, inputs: tuple[Node, ...]) -> tuple[Node, ...]:
        if len(inputs) == 2 and op.commutative and not op.order_shows:
            a, b = inputs
            return inputs if self._order(a) <= self._order(b) else (b, a)
        return inputs

    def _order(self, node: Node) -> int:
        return self._number.setdefault(node, len(self._number))


def _is_same_op(a: Op | None, b: Op | None) -> bool:
    """Return whether ops that are equal are so in the sign of attributes that are 0 as well."""
    return a is b or repr(a) == repr(b)
