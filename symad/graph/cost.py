"""The cost of running a graph: operations on numbers, and bytes that are moved.

One addition, multiplication, division, square root, comparison or choice of a number is one
operation.  An elementary function (exp, log, sin, tanh) counts as :data:`ELEMENTARY`, about the
length of the polynomial that a mathematical library evaluates, and a special function (gamma, erf)
as :data:`SPECIAL`.  Moving, casting and filling take no operations, only bytes.
"""

from __future__ import annotations

from symad.errors import SymadError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.records import dataclass

ELEMENTARY = 10
SPECIAL = 30


@dataclass(frozen=True, slots=True)
class Cost:
    """The total cost of some nodes; costs can be added.

    Attributes
    ----------
    nodes : int
        How many nodes are computed by an op.
    flops : int
        Operations on numbers, of whichever dtype.
    bytes_read, bytes_written : int
        The bytes of all inputs and results, each counted in full at every use.  Views move nothing.

    Examples
    --------
    >>> Cost(1, 10, 8, 8) + Cost(1, 1, 16, 8)
    Cost(nodes=2, flops=11, bytes_read=24, bytes_written=16)
    """

    nodes: int = 0
    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def bytes_moved(self) -> int:
        """The sum of the bytes read and the bytes written."""
        return self.bytes_read + self.bytes_written

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.nodes + other.nodes,
            self.flops + other.flops,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )


def cost_of(node: Node) -> Cost:
    """Return the cost of one node; a leaf costs nothing.

    Raises
    ------
    ShapeError
        If a size is not known; the message names the node and the user's line.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=(3, 4))
    >>> cost_of(x @ sm.Variable("w", shape=(4, 5)))
    Cost(nodes=1, flops=120, bytes_read=256, bytes_written=120)
    """
    if node.op is None:
        return Cost()
    types = [source.type for source in node.inputs]
    try:
        read, written = node.op.traffic(node.type, *types)
        return Cost(1, node.op.flops(node.type, *types), read, written)
    except SymadError as error:
        raise type(error)(
            f"the cost of {node!r}: {error.message}",
            where=node.site.describe(),
            remedy=error.remedy,
        ) from None


def total_cost(graph: Graph) -> Cost:
    """Return the total cost of all nodes that the graph computes; see :func:`cost_of`."""
    given = set(graph.inputs)
    total = Cost()
    for node in graph.nodes:
        if node not in given:
            total += cost_of(node)
    return total
