"""Products that are used transposed are made that way round: (Aᵀ B)ᵀ = Bᵀ A.

Transposing an operand of a product costs nothing, transposing its result a copy.  Derivatives have
such products: that for the B of A Bᵀ is (Aᵀ v̄)ᵀ.
"""

from __future__ import annotations

from typing import NamedTuple

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.ops.arithmetic import Divide, Multiply
from symad.ops.permute import PermuteDims, permute_dims
from symad.ops.product import Matmul, matmul
from symad.passes.rewrite import closed
from symad.passes.shapes import static_shape


class _Product(NamedTuple):
    """A product of matrices, and its multiples by numbers, each made of the one before it.

    Attributes
    ----------
    node : Node
    multiples : tuple of (node, slot)
        Which input of a multiple is the one before it.
    """

    node: Node
    multiples: tuple[tuple[Node, int], ...]


def turn_products(graph: Graph) -> Graph:
    """Return ``graph`` with products the way round in which they are used.

    Products that have another use are left as they are, and so are those of two matrices as they
    stand, which rules on views take out of transpositions.

    Examples
    --------
    >>> import symad as sm
    >>> A, B = sm.Variable("A", shape=(5, 3)), sm.Variable("B", shape=(5, 7))
    >>> product = 2 * (sm.permute_dims(A, (1, 0)) @ B)
    >>> print(turn_products(sm.Graph([sm.permute_dims(product, (1, 0))], [A, B])))
    graph(%0: f64[5,3] "A", %1: f64[5,7] "B")
      %2: f64[] = constant 2.0
      %3: f64[7,5] = permute_dims(%1, axes=(1, 0))
      %4: f64[7,3] = matmul(%3, %0)
      %5: f64[7,3] = multiply(%2, %4)
      return %5
    """
    graph = closed(graph)
    products = _turnable(graph)
    if not products:
        return graph
    made: dict[Node, Node] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        made.update(zip(node.inputs, inputs, strict=True))
        product = products.get(node)
        if product is None:
            return replace_inputs(node, inputs)
        left, right = (made[source] for source in product.node.inputs)
        result = matmul(_transposed(right), _transposed(left))
        for multiple, slot in product.multiples:
            number = made[multiple.inputs[1 - slot]]
            assert multiple.op is not None
            result = apply(multiple.op, *((number, result) if slot else (result, number)))
        return result

    return rebuild(graph, visit)


def _turnable(graph: Graph) -> dict[Node, _Product]:
    """Return the products that only a transposition uses, by that; each node is looked at once."""
    turned = [node for node in graph.nodes if _is_transposition(node)]
    if not turned:
        return {}
    uses = graph.use_counts()
    found = {}
    for node in turned:
        source, multiples = node.inputs[0], []
        while uses[source] == 1 and (slot := _slot_of_multiple(source)) is not None:
            multiples.append((source, slot))
            source = source.inputs[slot]
        if uses[source] == 1 and _is_turnable(source):
            found[node] = _Product(source, tuple(reversed(multiples)))
    return found


def _slot_of_multiple(node: Node) -> int | None:
    """Return which input a node multiplies or divides by a number, ``None`` if it does not."""
    if isinstance(node.op, (Multiply, Divide)) and node.inputs[1].ndim == 0:
        return 0
    return 1 if isinstance(node.op, Multiply) and node.inputs[0].ndim == 0 else None


def _is_transposition(node: Node) -> bool:
    """Return whether the last two axes are swapped, and no others."""
    ndim = node.ndim
    if not isinstance(node.op, PermuteDims) or ndim is None or ndim < 2:
        return False
    return node.op.order(ndim) == (*range(ndim - 2), ndim - 1, ndim - 2)


def _is_turnable(node: Node) -> bool:
    """Return whether a node is a product of matrices, one of them transposed."""
    if not isinstance(node.op, Matmul) or not any(map(_is_transposition, node.inputs)):
        return False
    return all((static_shape(source) or ())[1:] for source in node.inputs)


def _transposed(x: Node) -> Node:
    if _is_transposition(x):
        return x.inputs[0]
    ndim = len(static_shape(x) or ())
    return permute_dims(x, (*range(ndim - 2), ndim - 1, ndim - 2))
