"""Matrix products: the order in which chains are computed, and their transposition.

Parentheses are placed so that a chain costs least: (A B) x costs more than A (B x).  A product that
is used transposed is computed transposed: (Aᵀ B)ᵀ = Bᵀ A.  Transposing an operand of a product
costs nothing; transposing its result costs a copy.  Derivatives contain such products: the one for
B in A Bᵀ is (Aᵀ v̄)ᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from symad.graph.graph import Graph, rebuild, replace_inputs
from symad.graph.node import Node, apply
from symad.ops.arithmetic import Divide, Multiply
from symad.ops.permute import PermuteDims, permute_dims
from symad.ops.product import Matmul, matmul
from symad.passes.rewrite import closed
from symad.passes.rule import static_shape
from symad.records import dataclass

# The order of products

_LONGEST = 16
"""The most factors that are ordered together: the time grows with the cube of their number."""

_Splits = dict[tuple[int, int], int]
"""For the product of the factors from i to j, the factor after which it is split."""


@dataclass(frozen=True)
class _Chain:
    """A product of several factors.

    Attributes
    ----------
    factors : tuple of Node
        Matrices; the first and the last may be vectors.
    cost : int
        The multiplications that the product needs in the order in which it is written.
    """

    factors: tuple[Node, ...]
    cost: int


def order_products(graph: Graph) -> Graph:
    """Return ``graph`` with chains of matrix products in their cheapest order.

    Products that have another use are left as they are.

    Examples
    --------
    >>> import symad as sm
    >>> A, B = sm.Variable("A", shape=(50, 50)), sm.Variable("B", shape=(50, 50))
    >>> x = sm.Variable("x", shape=(50,))
    >>> print(order_products(sm.Graph([A @ B @ x], [A, B, x])))
    graph(%0: f64[50,50] "A", %1: f64[50,50] "B", %2: f64[50] "x")
      %3: f64[50] = matmul(%1, %2)
      %4: f64[50] = matmul(%0, %3)
      return %4
    """
    if not graph.has(Matmul):
        return graph
    graph = closed(graph)
    chains = _chains(graph)
    better: dict[Node, _Splits] = {}
    for node, chain in chains.items():
        cost, splits = _best_order(_sizes(chain.factors))
        if cost < chain.cost:
            better[node] = splits
    if not better:
        return graph
    made: dict[Node, Node] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        made.update(zip(node.inputs, inputs, strict=True))
        if node not in better:
            return replace_inputs(node, inputs)
        return _product([made[factor] for factor in chains[node].factors], better[node])

    return rebuild(graph, visit)


def _chains(graph: Graph) -> dict[Node, _Chain]:
    """Return the chain that ends at each product, unless the product is inside a longer chain."""
    uses = graph.use_counts()
    chains: dict[Node, _Chain] = {}
    for node in graph.nodes:
        if not _is_plain_product(node):
            continue
        left, right = (_part(source, chains if uses[source] == 1 else {}) for source in node.inputs)
        if left.factors[-1].ndim != 2:  # (A x) y is not a chain: x is a column, A x a row
            left = _Chain((node.inputs[0],), 0)
        if right.factors[0].ndim != 2 and len(right.factors) > 1:
            right = _Chain((node.inputs[1],), 0)
        factors = left.factors + right.factors
        if len(factors) > _LONGEST:
            left, right = (_Chain((source,), 0) for source in node.inputs)
            factors = left.factors + right.factors
        for part, source in zip((left, right), node.inputs, strict=True):
            if len(part.factors) > 1:
                del chains[source]
        sizes = _sizes(factors)
        split = len(left.factors)
        chains[node] = _Chain(factors, left.cost + right.cost + sizes[0] * sizes[split] * sizes[-1])
    return chains


def _is_plain_product(node: Node) -> bool:
    """Return whether ``node`` multiplies matrices or vectors of one floating dtype."""
    if not isinstance(node.op, Matmul) or node.dtype.kind != "f":
        return False
    return all(
        source.dtype == node.dtype and static_shape(source) is not None and source.ndim in (1, 2)
        for source in node.inputs
    )


def _part(source: Node, chains: dict[Node, _Chain]) -> _Chain:
    return chains.get(source) or _Chain((source,), 0)


def _sizes(factors: Sequence[Node]) -> list[int]:
    """Return the sizes p such that factor i is a matrix of p[i] rows and p[i + 1] columns."""
    shapes = [static_shape(factor) or () for factor in factors]
    first, last = shapes[0], shapes[-1]
    columns = last[1] if len(last) == 2 else 1
    return [first[0] if len(first) == 2 else 1, *(shape[0] for shape in shapes[1:]), columns]


def _best_order(sizes: Sequence[int]) -> tuple[int, _Splits]:
    """Return the least number of multiplications, and the splits that achieve it.

    The cost of the factors from i to j is the least, over the factor k after which they are split,
    of cost(i, k) + cost(k + 1, j) + p[i] p[k + 1] p[j + 1].
    """
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits: _Splits = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            ends = sizes[i] * sizes[j + 1]
            cost[i, j], splits[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + ends * sizes[k + 1], k) for k in range(i, j)
            )
    return cost[0, count - 1], splits


def _product(factors: Sequence[Node], splits: _Splits) -> Node:
    """Return the product in the order given by ``splits``; the depth is at most 16 factors."""

    def between(i: int, j: int) -> Node:
        if i == j:
            return factors[i]
        k = splits[i, j]
        return matmul(between(i, k), between(k + 1, j))

    return between(0, len(factors) - 1)


# Products that are used transposed


class _Product(NamedTuple):
    """A product of matrices, and its multiples by numbers, each computed from the previous one.

    Attributes
    ----------
    node : Node
    multiples : tuple of (node, slot)
        Each multiple, and which of its inputs is the previous one.
    """

    node: Node
    multiples: tuple[tuple[Node, int], ...]


def transpose_products(graph: Graph) -> Graph:
    """Return ``graph`` with products transposed where they are only used transposed.

    Products that have another use are left as they are, and so are those of two untransposed
    matrices, which rules on views handle.

    Examples
    --------
    >>> import symad as sm
    >>> A, B = sm.Variable("A", shape=(5, 3)), sm.Variable("B", shape=(5, 7))
    >>> product = 2 * (sm.permute_dims(A, (1, 0)) @ B)
    >>> print(transpose_products(sm.Graph([sm.permute_dims(product, (1, 0))], [A, B])))
    graph(%0: f64[5,3] "A", %1: f64[5,7] "B")
      %2: f64[] = constant 2.0
      %3: f64[7,5] = permute_dims(%1, axes=(1, 0))
      %4: f64[7,3] = matmul(%3, %0)
      %5: f64[7,3] = multiply(%2, %4)
      return %5
    """
    if not graph.has(Matmul):
        return graph
    graph = closed(graph)
    products = _transposable(graph)
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


def _transposable(graph: Graph) -> dict[Node, _Product]:
    """Return the products used only by a transposition, by that; each node is visited once."""
    transposed = [node for node in graph.nodes if _is_transposition(node)]
    if not transposed:
        return {}
    uses = graph.use_counts()
    found = {}
    for node in transposed:
        source, multiples = node.inputs[0], []
        while uses[source] == 1 and (slot := _slot_of_multiple(source)) is not None:
            multiples.append((source, slot))
            source = source.inputs[slot]
        if uses[source] == 1 and _is_transposable(source):
            found[node] = _Product(source, tuple(reversed(multiples)))
    return found


def _slot_of_multiple(node: Node) -> int | None:
    """Return which input a node multiplies or divides by a number, ``None`` if it does not."""
    if isinstance(node.op, (Multiply, Divide)) and node.inputs[1].ndim == 0:
        return 0
    return 1 if isinstance(node.op, Multiply) and node.inputs[0].ndim == 0 else None


def _is_transposition(node: Node) -> bool:
    """Return whether the last two axes are swapped, and no others."""
    return isinstance(node.op, PermuteDims) and node.op.transposes_matrices


def _is_transposable(node: Node) -> bool:
    """Return whether a node is a product of matrices, one of them transposed."""
    if not isinstance(node.op, Matmul) or not any(map(_is_transposition, node.inputs)):
        return False
    return all((static_shape(source) or ())[1:] for source in node.inputs)


def _transposed(x: Node) -> Node:
    if _is_transposition(x):
        return x.inputs[0]
    ndim = len(static_shape(x) or ())
    return permute_dims(x, (*range(ndim - 2), ndim - 1, ndim - 2))
