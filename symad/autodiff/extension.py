"""The record of an extension: the adjoint of each node, and how it was built."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from typing import NamedTuple, TypeAlias

from symad.graph.node import Node
from symad.records import cached_property


class Edge(NamedTuple):
    """The forward edge from ``source`` (k) to argument ``slot`` of ``consumer`` (i).

    Attributes
    ----------
    source, consumer : Node
    slot : int

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> y = x * x
    >>> sm.extend(y, x).partials[sm.Edge(x, y, 0)].eval({x: 3.0})
    np.float64(3.0)
    """

    source: Node
    consumer: Node
    slot: int


class Visit(NamedTuple):
    """The algorithm reaches ``node``, which has received ``contributions``."""

    node: Node
    contributions: tuple[Node, ...]


class Summed(NamedTuple):
    """The adjoint of ``node`` is known: the sum node of its contributions, or the only one."""

    node: Node
    adjoint: Node


class Propagated(NamedTuple):
    """The partial adjoint of ``edge`` is stored at its source.

    Attributes
    ----------
    edge : Edge
    product : Node
        The node built by the op's rule, or the identity node if the local derivative is 1.
    partial : Node
        The same after shape and dtype repair; it is ``product`` if none was needed.
    """

    edge: Edge
    product: Node
    partial: Node


Step = Visit | Summed | Propagated

Partial: TypeAlias = tuple[int, Node, Node]
"""The slot of an input that got a partial adjoint, and the product and the partial adjoint of
:class:`Propagated`."""

Visited: TypeAlias = tuple[Node, Sequence[Node], Node, Sequence[Partial]]
"""A visited node, its contributions, its adjoint, and for each input that got a partial adjoint
its slot, the product and the partial adjoint."""


class Extension:
    """The result of :func:`symad.extend`.

    Attributes
    ----------
    outputs : tuple of Node
        The differentiated nodes.
    targets : tuple of Node
        The variables of differentiation.
    seeds : dict
        From each output to its seed node.
    adjoints : dict
        From each visited node i to its adjoint v̄_i.
    partials : dict
        From each edge k → i to its partial adjoint v̄_{k→i}.
    steps : list of Step
        The steps of the algorithm, in order.
    generation : int
        1 for a first derivative, 2 for the derivative of a graph that contains one, ...
    visits : sequence of Visited
        The visited nodes in order.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x")
    >>> record = sm.extend(x * x, x)
    >>> record
    <Extension of generation 1: 2 adjoints, 2 partial adjoints>
    >>> [type(step).__name__ for step in record.steps]
    ['Visit', 'Summed', 'Propagated', 'Propagated', 'Visit', 'Summed']
    """

    outputs: tuple[Node, ...]
    targets: tuple[Node, ...]
    seeds: dict[Node, Node]
    adjoints: dict[Node, Node]
    generation: int
    visits: MutableSequence[Visited]

    def __init__(
        self,
        outputs: tuple[Node, ...],
        targets: tuple[Node, ...],
        generation: int,
        visits: MutableSequence[Visited],
    ) -> None:
        self.outputs, self.targets, self.generation = outputs, targets, generation
        self.seeds, self.adjoints, self.visits = {}, {}, visits

    @cached_property
    def partials(self) -> dict[Edge, Node]:
        """The partial adjoint of each edge."""
        steps = (step for step in self.steps if isinstance(step, Propagated))
        return {step.edge: step.partial for step in steps}

    @cached_property
    def steps(self) -> list[Step]:
        """The steps of the algorithm in order."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        for node, contributions, adjoint, partials in self.visits:
            yield Visit(node, tuple(contributions))
            yield Summed(node, adjoint)
            for slot, product, partial in partials:
                yield Propagated(Edge(node.inputs[slot], node, slot), product, partial)

    def __repr__(self) -> str:
        return (
            f"<Extension of generation {self.generation}: {len(self.adjoints)} adjoints, "
            f"{len(self.partials)} partial adjoints>"
        )
