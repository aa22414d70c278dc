"""Counts the operations in formulas from symbolic differentiation without writing them out.

Textbooks differentiate formulas: D(u·w) = Du·w + u·Dw, with Dx = 1 for the variable itself and
without terms whose derivative is 0.  A formula is a tree: a value that is used twice is written out
twice, with everything inside it.  The counts are computed on the graph, once for each node:

    T(v)   = operations of v + Σ T(inputs)                       the formula of v, written out
    S(v)   = Σ_x of the operations in D_x v                      all partial derivatives of v

where S(v) sums over the inputs u of v: S(u), and once for each x that u depends on, the operations
of the rule and of the formulas that it writes out.  The counts grow exponentially; the work does
not.
"""

from __future__ import annotations

from collections.abc import Sequence

from symad.explaining.counts import Operations, operations_of, size_of
from symad.graph.node import Node
from symad.graph.traverse import topological_order
from symad.passes.rule import is_scalar
from symad.records import dataclass
from symad.types import TensorType

_NONE = Operations()


@dataclass(frozen=True, slots=True)
class Expansion:
    """The numbers of operations in formulas, written out.

    Attributes
    ----------
    formula : Operations
        For y.
    derivatives : Operations
        For all its partial derivatives together.
    """

    formula: Operations
    derivatives: Operations


def expand(y: Node, xs: Sequence[Node]) -> Expansion:
    """Return how many operations ``y`` and its derivatives take if nothing is shared.

    Parameters
    ----------
    y : Node
        All types in its graph must be concrete.
    xs : sequence of Node

    Examples
    --------
    >>> import symad as sm
    >>> xs = [sm.Variable(f"x{i}", shape=()) for i in range(5)]
    >>> product = xs[0]
    >>> for x in xs[1:]:
    ...     product = product * x
    >>> expand(product, xs).derivatives.multiplications  # n(n − 2)
    15
    """
    walk = _Walk(xs)
    for node in topological_order([y]):
        walk.visit(node)
    return Expansion(walk.formula[y], walk.derivatives.get(y, _NONE))


class _Walk:
    """The formula sizes of all visited nodes; the bits of an integer represent a set of xs."""

    def __init__(self, xs: Sequence[Node]) -> None:
        self.formula: dict[Node, Operations] = {}
        self.derivatives: dict[Node, Operations] = {}
        self._depends: dict[Node, int] = {x: 1 << i for i, x in enumerate(xs)}
        self._ones = {x: bit for x, bit in self._depends.items() if is_scalar(x)}
        """The xs with respect to which a node has the derivative 1."""
        self._targets = set(xs)
        self._sizes: dict[int, int] = {}  # from a size to the xs of this size
        for x, bit in self._depends.items():
            size = size_of(x.type)
            self._sizes[size] = self._sizes.get(size, 0) | bit

    def visit(self, node: Node) -> None:
        """Compute the sizes for a node whose inputs are known."""
        total = operations_of(node)
        for source in node.inputs:
            total += self.formula[source]
        self.formula[node] = total
        if node not in self._targets and node.op is not None and node.type.is_float:
            self._differentiate(node)

    def _differentiate(self, node: Node) -> None:
        assert node.op is not None
        depends = several = ones = terms = 0
        total = _NONE
        if node.op.name == "subtract":  # Du − Dw: negation and sum are one operation
            both = self._depends.get(node.inputs[0], 0) & self._depends.get(node.inputs[1], 0)
            total += -self._count(both) * _addition(node)
        for slot, source in enumerate(node.inputs):
            inside = self._depends.get(source, 0)
            if not inside or not node.op.differentiable(slot):
                continue
            rule, handed_on = self._rule(node, slot)
            ones |= self._ones.get(source, 0) if handed_on else 0
            several |= depends & inside
            depends |= inside
            terms += self._count(inside)
            total += rule + self.derivatives.get(source, _NONE)
        if depends:
            self._depends[node] = depends
            self._ones[node] = ones & ~several
            self.derivatives[node] = total + (terms - self._count(depends)) * _addition(node)

    def _count(self, bits: int) -> int:
        """Return the number of elements in a set of xs."""
        return sum(size * (bits & mask).bit_count() for size, mask in self._sizes.items())

    def _rule(self, node: Node, slot: int) -> tuple[Operations, bool]:
        """Return the size of what the rule of one input writes for all xs, and whether it is empty.

        A derivative of the input that is 1 is not written as a factor.
        """
        source = node.inputs[slot]
        assert node.op is not None
        tangent = Node(None, (), source.type, "D")
        given: list[Node | None] = [None] * len(node.inputs)
        given[slot] = tangent
        terms = node.op.forward_terms(given, node, *node.inputs)
        made = [term for term in terms if term is not None]
        self.formula[tangent] = _NONE
        once = ones = _NONE
        for term in made:
            once += self._written(term)
            if _is_factor(tangent, term):
                ones += Operations(multiplications=size_of(term.type))
        del self.formula[tangent]
        without = self._ones.get(source, 0).bit_count()
        total = self._count(self._depends[source]) * once + -without * ones
        return total, made == [tangent]

    def _written(self, term: Node) -> Operations:
        """Return the size of the formula of a term of a rule, with its inputs written out."""
        sizes: dict[Node, Operations] = {}
        for node in topological_order([term], stop=self.formula):
            if node not in self.formula:
                total = operations_of(node)
                for source in node.inputs:
                    total += sizes[source] if source in sizes else self.formula[source]
                sizes[node] = total
        return sizes[term] if term in sizes else self.formula[term]


def _addition(node: Node) -> Operations:
    """Return the cost of one addition of values like that of ``node``; items count separately."""
    is_array = isinstance(node.type, TensorType)
    return Operations(additions=size_of(node.type) if is_array else 0)


def _is_factor(x: Node, product: Node) -> bool:
    return product.op is not None and product.op.name == "multiply" and x in product.inputs
