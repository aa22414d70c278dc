"""The listing: a page with the optimised graph of a function, its NumPy source and its plan."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from symad.backends.source import SourceWriter
from symad.drawing.drawing import Drawing
from symad.errors import GraphTypeError
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.inspection.linked_page import PageBlock, PageLine, write_listing
from symad.inspection.saving import save_text
from symad.inspection.timing import nodes_inside
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.ops.fused import Fused
from symad.ops.structure import StructureItem
from symad.runtime.function import Function
from symad.visible import visible

_HEIGHT = 720  # of the frame in a notebook, in pixels


class Listing:
    """An optimised graph, its source and its plan, side by side; made by :func:`symad.listing`.

    Attributes
    ----------
    drawing : Drawing
        The graph after all passes.
    source : str
        The NumPy source of the same graph.
    """

    def __init__(self, function: Function, limit: int) -> None:
        self._function = function
        view = View(function.passes.graph)
        self.drawing = Drawing(view, limit)
        writer = SourceWriter()
        self.source = function.write_source(writer)
        self._labels = labels_of(view)
        self._names = writer.names

    @property
    def html(self) -> str:
        """The page: one self-contained file."""
        blocks = [
            PageBlock("NumPy source", list(self._source_lines())),
            PageBlock(f"plan ({self._function.settings.backend})", list(self._plan_lines())),
        ]
        title = f"{visible(self._function.name)}: the graph that runs, and its code"
        return write_listing(title, self.drawing.svg(), blocks)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file with the suffix ``.html``.

        Raises
        ------
        RenderError
            If the file has another suffix.
        """
        save_text(path, self.html, ".html", ".htm")

    def _source_lines(self) -> Iterator[PageLine]:
        lines = self.source.splitlines()
        start = max(place for place, line in enumerate(lines) if line.startswith("def "))
        inputs = [node for node in self._names if node.op is None and not _is_constant(node)]
        of_name = {name: node for node, name in self._names.items()}
        for place, line in enumerate(lines):
            if place < start:
                yield PageLine(line)
            elif place == start:
                yield PageLine(line, "", self._ids(inputs))
            else:
                node = of_name.get(line.split(" = ")[0].strip())
                yield PageLine(line) if node is None else self._line(line, [node])

    def _plan_lines(self) -> Iterator[PageLine]:
        """Yield the rows of the plan; a fused row belongs to all nodes that it computes."""
        plan = self._function.plan
        of = self._drawn_nodes(plan.graph)
        head, *rows = str(plan).splitlines()
        nodes = [*plan.graph.inputs, *(constant for _, constant in plan.constants)]
        owners = [of.get(node, []) for node in nodes]
        for step in plan.instructions:
            inside = nodes_inside(step.node)
            owners.append([n for node in (step.node, *inside) for n in of.get(node, [])])
        owners.append([n for node in plan.graph.outputs for n in of.get(node, [])])
        yield PageLine(head)
        for row, owner in zip(rows, owners, strict=True):
            yield self._line(row, list(dict.fromkeys(owner)))

    def _drawn_nodes(self, graph: Graph) -> dict[Node, list[Node]]:
        """Return the nodes of the picture that each node of ``graph`` computes."""
        found: dict[Node, list[Node]] = {}
        drawn = self._function.passes.graph
        if graph is drawn or graph.lineage is None:
            return {node: [node] for node in drawn.nodes}
        for node, heir in graph.lineage.heirs.items():
            found.setdefault(heir, []).append(node)
            if isinstance(heir.op, StructureItem) and isinstance(heir.inputs[0].op, Fused):
                found.setdefault(heir.inputs[0], []).append(node)
        return found

    def _line(self, text: str, nodes: list[Node]) -> PageLine:
        symbols = self._labels.written(nodes[0]) if len(nodes) == 1 else []
        return PageLine(text, symbols[0].subscripted if symbols else "", self._ids(nodes))

    def _ids(self, nodes: list[Node]) -> tuple[str, ...]:
        ids: Mapping[Node, str] = self.drawing.ids
        return tuple(dict.fromkeys(ids[node] for node in nodes if node in ids))

    def _repr_html_(self) -> str:
        page = escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" title="listing" '
            f'width="100%" height="{_HEIGHT}" style="border:1px solid #d0d7de"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Listing of {visible(self._function.name)}: {len(self.source.splitlines())} lines>"


def make_listing(function: Function, limit: int) -> Listing:
    """Return the listing of a function."""
    if not isinstance(function, Function):
        raise GraphTypeError(
            f"{function!r} is not a compiled function",
            remedy="Compile nodes first: sm.compile(inputs, outputs).",
        )
    return Listing(function, limit)


def _is_constant(node: Any) -> bool:
    return isinstance(node, Constant)
