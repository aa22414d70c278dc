"""Counts scalar operations of a graph: multiplications, additions, and function calls.

Divisions, squares and reciprocals count as multiplications; subtractions and negations count as
additions.  All other computations (sin, exp, a power, a comparison) are functions, with one call
per element of the result.  Moving, copying and converting numbers is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symad.graph.node import Node
from symad.ops.body import WithBody
from symad.records import dataclass
from symad.types import TensorType


@dataclass(frozen=True, slots=True)
class Operations:
    """Numbers of scalar operations; they can be added, and multiplied by a count.

    Attributes
    ----------
    multiplications, additions, functions : int

    Examples
    --------
    >>> 2 * Operations(1, 2, 0) + Operations(functions=1)
    Operations(multiplications=2, additions=4, functions=1)
    """

    multiplications: int = 0
    additions: int = 0
    functions: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(
            self.multiplications + other.multiplications,
            self.additions + other.additions,
            self.functions + other.functions,
        )

    def __rmul__(self, times: int) -> Operations:
        return Operations(
            times * self.multiplications, times * self.additions, times * self.functions
        )


def operations_of(node: Node) -> Operations:
    """Return the operations of one node; its type and those of its inputs must be concrete.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3, 4))
    >>> operations_of(x @ sm.Variable("w", shape=(4, 5)))
    Operations(multiplications=60, additions=45, functions=0)
    """
    op = node.op
    if isinstance(op, WithBody):
        return _operations_inside(op, op.steps(*[source.type for source in node.inputs]))
    if op is None or not isinstance(node.type, TensorType) or not node.type.is_static:
        return Operations()
    size = size_of(node.type)
    work = op.flops(node.type, *[source.type for source in node.inputs])
    match op.counted_as:
        case "multiplications":
            return Operations(multiplications=work)
        case "additions":
            return Operations(additions=work)
        case "sums":
            return Operations(additions=max(0, size_of(node.inputs[0].type) - size))
        case "products":
            return Operations(work // 2, max(0, work - work // 2 - size))
    return Operations(functions=size if work else 0)


def _operations_inside(op: WithBody, steps: int) -> Operations:
    """Return the operations of ``steps`` runs of the bodies."""
    inside = [node for b in op.bodies for node in b.nodes if node not in set(b.inputs)]
    return steps * operations_of_all(inside)


def operations_of_all(nodes: Iterable[Node]) -> Operations:
    """Return the total operations of some nodes."""
    total = Operations()
    for node in nodes:
        total += operations_of(node)
    return total


def size_of(type_: Any) -> int:
    """Return the number of elements of a value of a concrete type."""
    size = 1
    for dim in type_.shape:
        size *= dim
    return size
