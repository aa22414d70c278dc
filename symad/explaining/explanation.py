"""Explanations: the derivation of derivatives, the passes, and what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symad.errors import GradientError
from symad.explaining.compilation import Compilation
from symad.explaining.derivation import Derivations, forward_section
from symad.explaining.names import Spelled
from symad.graph.node import Node
from symad.notation.view import View
from symad.runtime.values import node_values
from symad.tables.document import Document, Section


class Explanation(Document):
    """How derivatives are built and compiled; made by :func:`symad.explain`.

    Attributes
    ----------
    sections : tuple of Section
        The forward graph; the derivatives, one section for each extension of the graph; the passes;
        what runs.
    """

    def __repr__(self) -> str:
        lines = sum(len(section.lines) for section in self.sections)
        return f"<Explanation of {lines:,} lines>"


def explain_nodes(
    nodes: Sequence[Node], feed: Mapping[Node, Any] | None, made: Sequence[Node] = ()
) -> Explanation:
    """Return the explanation of the derivatives in the graph of ``nodes``.

    Parameters
    ----------
    nodes : sequence of Node
    feed : dict from Node to value, optional
    made : sequence of Node
        All nodes that the extension made, even if ``nodes`` do not depend on them.

    Raises
    ------
    GradientError
        If there are no derivatives.
    """
    # Includes the differentiated nodes, even if the derivatives do not use them.
    outside = View([*nodes, *made]).related
    values = None if feed is None else node_values(outside, feed)
    spelled = Spelled(View(outside, values, opened=True))
    derivations = Derivations(spelled)
    sections: list[Section] = []
    for generation in range(max(spelled.labels.generations.values()) + 1):
        sections += [forward_section(spelled, generation), *derivations.sections(generation + 1)]
    if len(sections) < 2:
        raise GradientError(
            f"there is nothing to explain: {nodes[0]!r} depends on no derivative",
            where=nodes[0].site.describe(),
            remedy="Explain sm.gradients(y, x), or write sm.explain(y, x).",
        )
    compilation = Compilation(nodes, spelled)
    sections += [compilation.passes_section(), compilation.result_section()]
    return Explanation([section for section in sections if section.lines])
