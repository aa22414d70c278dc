"""The search for the origin of a NaN or an infinity in a graph that is run node by node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from symad.backends.evaluation import Evaluation
from symad.errors import EvaluationError
from symad.graph.nested import leaves
from symad.graph.node import Node
from symad.ops.base import PerElement
from symad.records import dataclass, field
from symad.types import TensorType


@dataclass(frozen=True, slots=True)
class State:
    """Non-finite elements in the value of a node.

    Attributes
    ----------
    nan, infinite : bool
        Whether some element is NaN; whether some element is infinite.
    made : bool
        Whether some element that is not finite was computed from finite elements.
    nan_made : bool
        Whether some NaN was computed from elements that are not NaN.
    culprits : tuple of Node
        The inputs whose infinities produced a NaN.
    """

    nan: bool
    infinite: bool
    made: bool = False
    nan_made: bool = False
    culprits: tuple[Node, ...] = ()


@dataclass(slots=True)
class NonFinite:
    """The states of all values that are not finite, in the order of computation."""

    states: dict[Node, State] = field(default_factory=dict)
    order: dict[Node, int] = field(default_factory=dict)

    def origins(self, outputs: Iterable[Node]) -> tuple[Node, Node | None] | None:
        """Return the first node to blame for values in ``outputs`` that are not finite, if any.

        Returns
        -------
        origin : Node
            The node that computed a NaN or an infinity from finite values, or an input with one.
        turned : Node or None
            The node that computed the first NaN from infinities; ``None`` if that is the origin, or
            there is no NaN.
        """
        bad = [node for node in outputs if node in self.states]
        if not bad:
            return None
        with_nan = [node for node in bad if self.states[node].nan]
        if not with_nan:
            return self._first(self._reach(bad, nan=False)), None
        turned = self._first(self._reach(with_nan, nan=True))
        culprits = self.states[turned].culprits
        if not culprits:
            return turned, None
        return self._first(self._reach(culprits, nan=False)), turned

    def _reach(self, nodes: Iterable[Node], nan: bool) -> list[Node]:
        """Return the nodes that produced a NaN, or an infinity, and lead to ``nodes``."""
        found: list[Node] = []
        seen: set[Node] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            state = self.states[node]
            if state.nan_made if nan else state.made:
                found.append(node)
            for source in _read(node):
                known = self.states.get(source)
                if known is not None and (known.nan if nan else known.infinite):
                    pending.append(source)
        return found or list(seen)

    def _first(self, nodes: Sequence[Node]) -> Node:
        return min(nodes, key=self.order.__getitem__)


def scan(
    evaluation: Evaluation, first: int = 0
) -> tuple[NonFinite, list[Node], EvaluationError | None]:
    """Run a graph; return the states that are not finite, the affected outputs, and an error.

    If a kernel fails on values that are not finite, these count as outputs, and the error is
    returned.

    Parameters
    ----------
    evaluation : Evaluation
    first : int
        The index of the first output that counts.

    Raises
    ------
    EvaluationError
        If a kernel fails on finite values.
    """
    graph, found = evaluation.graph, NonFinite()
    place = {node: i for i, node in enumerate(graph.nodes)}
    for node, value in evaluation.leaves().items():
        nan, infinite = _has_nan(value), _has_infinity(value)
        if nan or infinite:
            found.states[node] = State(nan, infinite, made=True, nan_made=nan)
            found.order[node] = place.get(node, -1)
    try:
        for node, arguments, value in evaluation:
            state = _state(node, arguments, value)
            if state is not None:
                found.states[node] = state
                found.order[node] = place[node]
    except EvaluationError as error:
        assert evaluation.node is not None
        bad = [source for source in evaluation.node.inputs if source in found.states]
        if not bad:
            raise
        return found, bad, error
    return found, [node for node in graph.outputs[first:] if node in found.states], None


def _state(node: Node, arguments: Sequence[Any], value: Any) -> State | None:
    if all(np.isfinite(array).all() for array in float_arrays(value)):
        return None
    nan, infinite = _has_nan(value), _has_infinity(value)
    read = [(node.inputs[slot], arguments[slot]) for slot in slots_read(node)]
    if isinstance(node.op, PerElement) and isinstance(node.type, TensorType):
        fine = np.isfinite(value)
        born = np.isnan(value)
        for _, argument in read:
            fine = fine | ~np.isfinite(argument)
            born = born & ~np.isnan(argument)
        nan_made = bool(np.any(born))
        guilty = [source for source, a in read if nan_made and np.any(born & np.isinf(a))]
        return State(nan, infinite, not np.all(fine), nan_made, tuple(guilty))
    nan_made = nan and not any(_has_nan(argument) for _, argument in read)
    guilty = [source for source, a in read if nan_made and _has_infinity(a)]
    made = not any(_has_nan(a) or _has_infinity(a) for _, a in read)
    return State(nan, infinite, made, nan_made, tuple(guilty))


def slots_read(node: Node) -> list[int]:
    """Return the slots of the arguments whose values are read."""
    assert node.op is not None
    return [slot for slot in range(len(node.inputs)) if node.op.reads(slot)]


def _read(node: Node) -> list[Node]:
    return [] if node.op is None else [node.inputs[slot] for slot in slots_read(node)]


def _has_nan(value: Any) -> bool:
    return any(np.isnan(array).any() for array in float_arrays(value))


def _has_infinity(value: Any) -> bool:
    return any(np.isinf(array).any() for array in float_arrays(value))


def float_arrays(value: Any) -> Iterator[Any]:
    """Yield the floating-point arrays in a value, which may be a structure with absent items, or
    the elements of a sparse matrix."""
    for leaf in leaves(value):
        if leaf is not None and leaf.dtype.kind == "f":
            yield leaf.data if hasattr(leaf, "tocsr") else leaf
