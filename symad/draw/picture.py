"""Drawing: a picture of a graph, as DOT, SVG, PNG or PDF, and in a notebook."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symad.draw.dot import to_dot
from symad.draw.fold import Box, make_boxes
from symad.draw.labels import Labels
from symad.draw.marks import Mark, marked
from symad.draw.render import FORMATS, find_renderer, render
from symad.draw.scene import make_scene
from symad.draw.svg import to_svg
from symad.draw.view import View
from symad.errors import RenderError
from symad.graph.node import Node

_PNG_RESOLUTION = 144


class Drawing:
    """A picture of a graph; made by :func:`symad.draw`.

    Attributes
    ----------
    dot : str
        The picture as DOT text.
    notes : tuple of str
        What the picture leaves out: it says the same below the graph.
    ids : dict
        From each node to the ``id`` of what shows it, in DOT and in SVG.
    edge_ids : dict
        From each argument (node, slot) to the ``id`` of its arrow, in DOT and in SVG: ``e``, the
        numbers of both boxes, and the slot.  An argument inside of a folded box has none, and two
        that are drawn as one arrow between folded boxes have the same.
    """

    def __init__(
        self, view: View, limit: int, marks: Mapping[Node, Mark] | None = None, shares: str = ""
    ) -> None:
        labels = Labels(view)
        boxes, note = make_boxes(view, labels, limit)
        self.notes: tuple[str, ...] = (note,) if note else ()
        self.ids: dict[Node, str] = _ids(view, boxes)
        scene = make_scene(view, labels, boxes, self.notes)
        self._scene = marked(scene, marks, shares) if marks else scene
        self.edge_ids: dict[tuple[Node, int], str] = self._scene.edge_ids
        self.dot = to_dot(self._scene)
        self._count = len(view.nodes)
        self._drawn: dict[str, bytes] = {}
        self._rendered_by = ""

    @property
    def rendered_by(self) -> str:
        """What drew the picture, or would: ``"dot"``, ``"pygraphviz"`` or ``"symad"``."""
        return self._rendered_by or find_renderer() or "symad"

    def svg(self) -> str:
        """Return the picture as SVG text; where there is no Graphviz, symad lays it out.

        Raises
        ------
        RenderError
            If there is a Graphviz, and it fails.
        """
        return self._render("svg").decode()

    def png(self) -> bytes:
        """Return the picture as PNG, at 144 dots per inch.

        Raises
        ------
        RenderError
            If there is no Graphviz, or it fails.
        """
        return self._render("png")

    def pdf(self) -> bytes:
        """Return the picture as PDF; see :meth:`png` for errors."""
        return self._render("pdf")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format that its name ends in.

        Raises
        ------
        RenderError
            If the name ends in none of .svg, .png, .pdf and .dot, or if there is no Graphviz for
            PNG and PDF.
        """
        target = Path(path)
        format = target.suffix.lower().removeprefix(".")
        if format == "dot":
            target.write_text(self.dot, encoding="utf-8")
        elif format in FORMATS:
            target.write_bytes(self._render(format))
        else:
            raise RenderError(
                f"{str(path)!r} does not say in which format to draw",
                remedy="Let the name end in .svg, .png, .pdf or .dot.",
            )

    def _render(self, format: str) -> bytes:
        if format not in self._drawn:
            text = self.dot
            if format == "png":
                text = text.replace("{\n", f"{{\n  dpi={_PNG_RESOLUTION};\n", 1)
            if format == "svg" and not find_renderer():
                self._drawn[format], self._rendered_by = to_svg(self._scene).encode(), "symad"
            else:
                self._drawn[format], self._rendered_by = render(text, format)
        return self._drawn[format]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except RenderError as error:
            return {"text/plain": f"{self!r}: {error}"}

    def __repr__(self) -> str:
        return f"<Drawing of {self._count:,} nodes>"


def _ids(view: View, boxes: list[Box]) -> dict[Node, str]:
    ids = {node: box.id for box in boxes for node in box.nodes}
    hidden = {node: ids[behind] for node, behind in view.through.items() if behind in ids}
    return ids | hidden
