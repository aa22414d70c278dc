"""The values of the nodes inside loops that are drawn open, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from symad.drawing.levels import Level
from symad.errors import SymadError
from symad.graph.graph import Graph
from symad.graph.node import Node
from symad.notation.values import summarise
from symad.notation.view import Values
from symad.ops.body import WithBody
from symad.runtime.values import node_values

_MOST_RUNS = 40  # of bodies, the conditions included
_CONDITION = "the condition of "


def steps_of(levels: Sequence[Level], values: Values) -> dict[str, list[list[str]]]:
    """Return, by the id of each box in an outermost loop, its steps and its values in them.

    Parameters
    ----------
    levels : sequence of Level
        The boxes of a picture.
    values : mapping from Node to value
        The values of all nodes outside of loops.
    """
    found: dict[str, list[list[str]]] = {}
    for level in levels[1:]:
        owner = level.owner
        if owner is None or level.around is not levels[0]:
            continue
        if not all(source in values for source in owner.inputs):
            continue
        ids = {node: box.id for node, box in level.box_of.items()}
        try:
            _record(owner, [values[source] for source in owner.inputs], ids, found)
        except (SymadError, NotImplementedError, IndexError):  # for a map, or a step that fails
            continue
    return found


def _record(
    owner: Node, inputs: Sequence[Any], ids: dict[Node, str], found: dict[str, list[list[str]]]
) -> None:
    """Add the steps of a loop to what was found."""
    assert isinstance(owner.op, WithBody)
    for name, body, given in islice(owner.op.runs((), inputs, _outputs), _MOST_RUNS):
        computed = _computed(body, given)
        for node, box in ids.items():
            if node in computed:
                step = [name.removeprefix(_CONDITION), summarise(computed[node])]
                steps = found.setdefault(box, [])
                if step not in steps[-1:]:  # an input of condition and body
                    steps.append(step)


def _computed(body: Graph, given: Sequence[Any]) -> dict[Node, Any]:
    return node_values([*body.inputs, *body.nodes], dict(zip(body.inputs, given, strict=True)))


def _outputs(body: Graph, given: Sequence[Any]) -> list[Any]:
    computed = _computed(body, given)
    return [computed[node] for node in body.outputs]
