"""Marks on a picture: lines and colours that show the share of each node."""

from __future__ import annotations

from collections.abc import Mapping

from symad.drawing.picture import Picture, Shape, Swatch, TextLine
from symad.graph.node import Node
from symad.notation.escape import visible
from symad.records import dataclass, replace

_CELLS = 8
_STOPS = ((255, 255, 255), (255, 236, 170), (255, 196, 92), (255, 143, 66))
"""The colours of shares 0 to 1: light enough for near-black text, darker for larger shares."""


@dataclass(frozen=True, slots=True)
class NodeMark:
    """The mark on one node.

    Attributes
    ----------
    text : str
        Text below the label; empty for none.
    share : float or None
        From 0 to 1, shown as a fill colour and a bar; the shares in a folded box add up.
    """

    text: str = ""
    share: float | None = None


def marked(picture: Picture, marks: Mapping[Node, NodeMark], what: str) -> Picture:
    """Return a picture with marks.

    Parameters
    ----------
    picture : Picture
    marks : dict from Node to NodeMark
    what : str
        The description of shares in the legend; empty if there are none.
    """
    shapes = [_marked(shape, marks, bool(what)) for shape in picture.shapes]
    legend = list(picture.legend)
    if what:
        legend += [Swatch("█", f"{share:.0%} {what}", heat(share)) for share in (0.02, 0.2, 1.0)]
    return replace(picture, shapes=shapes, legend=legend)


def heat(share: float) -> str:
    """Return the colour of a share, on a scale that spreads small shares.

    Examples
    --------
    >>> heat(0.0), heat(1.0)
    ('#ffffff', '#ff8f42')
    """
    place = min(max(share, 0.0), 1.0) ** 0.5 * (len(_STOPS) - 1)
    low = min(int(place), len(_STOPS) - 2)
    pairs = zip(_STOPS[low], _STOPS[low + 1], strict=True)
    return "#" + "".join(f"{round(a + (place - low) * (b - a)):02x}" for a, b in pairs)


def bar(share: float, cells: int = _CELLS) -> str:
    """Return a share as a bar of blocks; empty below half a block.

    Examples
    --------
    >>> bar(0.5)
    '████░░░░'
    """
    full = round(min(max(share, 0.0), 1.0) * cells)
    return "█" * full + "░" * (cells - full) if full else ""


def _marked(shape: Shape, marks: Mapping[Node, NodeMark], filled: bool) -> Shape:
    found = [marks[node] for node in shape.box.nodes if node in marks]
    lines = [TextLine(visible(mark.text, 60)) for mark in found if mark.text and len(found) == 1]
    shares = [mark.share for mark in found if mark.share is not None]
    fill = heat(sum(shares)) if filled else ""
    if shares:
        lines.append(TextLine(f"{bar(sum(shares))} {sum(shares):.1%}".strip()))
    return replace(shape, fill=fill, lines=(*shape.lines, *lines))
