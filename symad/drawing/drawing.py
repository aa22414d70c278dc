"""The class ``Drawing``: a picture of a graph, as DOT, SVG, PNG or PDF, and in a notebook.

symad computes the layout, the same in all formats and on all machines, unless the engine is
Graphviz.  PNG and PDF are painted from the SVG by typst or, if that is missing, by Graphviz.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from symad.drawing import painting
from symad.drawing.compose import compose
from symad.drawing.dot import to_dot
from symad.drawing.fold import Box
from symad.drawing.levels import Fold, Level, make_levels
from symad.drawing.marks import NodeMark, marked
from symad.drawing.node_text import NodeText
from symad.drawing.placed_picture import PlacedPicture, place_picture
from symad.drawing.selection import selected
from symad.drawing.svg import to_svg
from symad.drawing.themes import THEMES
from symad.graph.node import Node
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.records import cached_property, replace

if TYPE_CHECKING:
    import graphviz


class Drawing:
    """A picture of a graph; made by :func:`symad.draw`.

    Attributes
    ----------
    source : str
        The picture as DOT text without positions, for a layout by Graphviz.
    notes : tuple of str
        Notes on what the picture leaves out, which it also shows below the graph.
    ids : dict
        From each node to the ``id`` of its box, in DOT and in SVG.
    edge_ids : dict
        From each argument (node, slot) to the ``id`` of its arrow, in DOT and in SVG: ``e``, the
        numbers of both boxes, and the slot.  An argument inside a folded box has none, and
        arguments that are drawn as one arrow between folded boxes share one.
    """

    def __init__(
        self,
        view: View,
        limit: int,
        marks: Mapping[Node, NodeMark] | None = None,
        shares: str = "",
        engine: str = "symad",
        fold: Fold = None,
        direction: str = "TB",
        theme: str = "light",
        show: str = "all",
        highlight: Collection[Node] = (),
    ) -> None:
        labels = labels_of(view)
        text = NodeText(view, labels)
        highlighted = set(map(view.behind, highlight))
        view = selected(view, labels, show, highlighted)
        levels, note = make_levels(view, labels, limit, fold)
        self.notes: tuple[str, ...] = (note,) if note else ()
        self.ids: dict[Node, str] = _ids(view, levels)
        picture = compose(view, labels, levels, text, self.notes, highlighted=highlighted)
        picture = marked(picture, marks, shares) if marks else picture
        self._theme, self._direction = THEMES[theme], direction
        self._picture = replace(picture, legend=list(map(self._theme.swatch, picture.legend)))
        self.edge_ids: dict[tuple[Node, int], str] = dict(self._picture.edge_ids)
        self.source = to_dot(self._picture, self._theme, direction)
        self._engine = engine
        self._count = len(view.nodes)
        self._drawn: dict[str, tuple[bytes, str]] = {}
        self._rendered_by = "symad"

    @property
    def rendered_by(self) -> str:
        """The last renderer used: ``"symad"``, ``"typst"``, ``"dot"`` or ``"pygraphviz"``."""
        return self._rendered_by

    @property
    def dot(self) -> str:
        """The old name of ``source``."""
        warnings.warn("Drawing.dot is now called Drawing.source", DeprecationWarning, stacklevel=2)
        return self.source

    def to_graphviz(self) -> graphviz.Source:
        """Return the picture for the package ``graphviz``, which computes a new layout.

        Examples
        --------
        >>> import symad as sm
        >>> x = sm.Variable("x")
        >>> source = sm.draw(sm.sin(x)).to_graphviz()
        >>> source.source.splitlines()[0]
        'digraph symad {'
        >>> source.render("sine", format="svg", cleanup=True)  # doctest: +SKIP
        'sine.svg'
        """
        import graphviz

        return graphviz.Source(self.source)

    def svg(self) -> str:
        """Return the picture as SVG text.

        Raises
        ------
        RenderError
            If the engine is Graphviz, and it is not installed or fails.
        """
        return self._render("svg").decode()

    def png(self) -> bytes:
        """Return the picture as PNG, at 144 dots per inch, or fewer for a very large picture.

        Raises
        ------
        RenderError
            If neither typst nor Graphviz is installed, or if the one that is used fails.
        """
        return self._render("png")

    def pdf(self) -> bytes:
        """Return the picture as PDF; see :meth:`png` for errors."""
        return self._render("pdf")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format of its suffix.

        Raises
        ------
        RenderError
            If the suffix is not .svg, .png, .pdf or .dot, or if PNG or PDF is requested and
            neither typst nor Graphviz is installed.
        """
        from pathlib import Path

        target = Path(path)
        format = target.suffix.lower().removeprefix(".")
        if format == "dot":
            target.write_text(self.source, encoding="utf-8")
        elif format in ("svg", "png", "pdf"):
            target.write_bytes(self._render(format))
        else:
            raise painting.unknown_format(path, "svg", "png", "pdf", "dot")

    def _render(self, format: str) -> bytes:
        if format not in self._drawn:
            self._drawn[format] = self._by_symad(format) or self._by_graphviz(format)
        picture, self._rendered_by = self._drawn[format]
        return picture

    def _by_symad(self, format: str) -> tuple[bytes, str] | None:
        """Return the picture that is symad's own SVG, or painted from it, if that is possible."""
        if self._engine != "symad" or (format != "svg" and not painting.can_paint()):
            return None
        svg = to_svg(self._placed, self._theme)
        if format == "svg":
            return svg.encode(), "symad"
        return painting.paint([svg], format)[0], "typst"

    def _by_graphviz(self, format: str) -> tuple[bytes, str]:
        from symad.drawing.graphviz_paint import to_placed_dot
        from symad.drawing.render import render

        if self._engine == "dot":
            return render(self.source, format)
        return render(to_placed_dot(self._placed, theme=self._theme), format, "nop2")

    @cached_property
    def _placed(self) -> PlacedPicture:
        return place_picture(self._picture, direction=self._direction)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing of {self._count:,} nodes>"


def _ids(view: View, levels: list[Level]) -> dict[Node, str]:
    boxes: dict[Node, Box] = {}
    for level in reversed(levels):
        boxes |= level.box_of
    ids = {node: box.id for node, box in boxes.items()}
    hidden = {node: ids[behind] for node, behind in view.through.items() if behind in ids}
    return ids | hidden
