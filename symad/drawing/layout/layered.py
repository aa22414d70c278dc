"""Layered layout: ranks, then the order in each layer, then positions, heights and curves.

A network simplex assigns layers so that arrows are short.  Long arrows get a bend in each layer
that they pass.  Sweeps over the layers reduce crossings (Sugiyama, Tagawa and Toda 1981).  The same
simplex computes the positions (Gansner, Koutsofios, North and Vo 1993).  Order and positions
respect frames, around bands and scopes: a frame contains only its own elements.  Long arrows from
or to the same node share bends, so that they run in a bundle as far as possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from symad.drawing.layout.bends import FEW, Element, Ordering, Scope
from symad.drawing.layout.curves import Point
from symad.drawing.layout.heights import Heights, LayoutFrame
from symad.drawing.layout.layer_order import order
from symad.drawing.layout.positions import place
from symad.drawing.layout.ranks import ranks
from symad.drawing.layout.routes import Router
from symad.drawing.layout.spacing import Spacing
from symad.records import dataclass, replace

_WEIGHT = 10_000_000  # of an arrow
_ALONE = 200_000  # what one weighs more that shares its ends with no other
_EARLY, _EARLY_UP = 10_000, 1_000  # and one from the beginning of the graph


@dataclass(frozen=True, slots=True)
class Item:
    """A node to be placed.

    Attributes
    ----------
    id : str
    band : int
        Bands are placed side by side.
    scope : Scope
        The frames around it, from the outermost.
    size : (float, float)
        Width and height.
    """

    id: str
    band: int
    scope: Scope
    size: Point


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow.

    Attributes
    ----------
    id, tail, head : str
    ranks : bool
        Whether its ends must have different heights.
    rises : bool
        Whether its head is the higher end.
    ordered : bool
        Whether it should arrive at its head left of later links.
    """

    id: str
    tail: str
    head: str
    ranks: bool = True
    rises: bool = False
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class Diagram:
    """The input of a layout.

    Attributes
    ----------
    items : list of Item
        In an order that is kept unless arrows contradict it.
    links : list of Link
        Arrows from an item to itself are ignored.
    rows : list of list of str
        Ids of items at the same height.
    titles : dict from (int, Scope) to (float, float)
        For each frame, a band and a scope, the size of its title.
    direction : {"TB", "LR"}
        Whether arrows lead down, with the bands side by side, or to the right, with the bands one
        above the other.
    """

    items: Sequence[Item]
    links: Sequence[Link]
    rows: Sequence[Sequence[str]]
    titles: dict[tuple[int, Scope], Point]
    direction: str = "TB"


@dataclass(frozen=True, slots=True)
class DiagramLayout:
    """Positions, measured from the top left.

    Attributes
    ----------
    size : (float, float)
    centres : dict from str to point
        The centre of each item.
    curves : dict from str to list of points
        For each link a Bézier curve of 3n + 1 points, from the border of the tail's rectangle to
        that of the head's.
    frames : list of LayoutFrame
        Outer before inner ones.
    """

    size: Point
    centres: dict[str, Point]
    curves: dict[str, list[Point]]
    frames: list[LayoutFrame]


def lay_out(diagram: Diagram, spacing: Spacing = Spacing.normal) -> DiagramLayout:
    """Return the layout of a diagram, with the gaps in ``spacing``.

    Examples
    --------
    >>> items = [Item(name, 0, (), (40.0, 30.0)) for name in "abc"]
    >>> links = [Link("ab", "a", "b"), Link("ac", "a", "c")]
    >>> layout = lay_out(Diagram(items, links, [], {(0, ()): (60.0, 20.0)}))
    >>> a, b, c = (layout.centres[name] for name in "abc")
    >>> a[1] < b[1] == c[1], b[0] <= a[0] < c[0]
    (True, True)
    """
    is_turned = diagram.direction == "LR"  # laid out downwards, then mirrored at the diagonal
    if is_turned:
        items = [replace(item, size=item.size[::-1]) for item in diagram.items]
        diagram = replace(diagram, items=items)
    ordering = arrange(diagram, spacing)
    places = place(ordering, diagram.titles, spacing, is_turned)
    sizes = [item.size for item in diagram.items]
    heights = Heights(
        ordering, places, [height for _, height in sizes], diagram.titles, spacing, is_turned
    )
    router = Router(ordering, places, heights, sizes)
    frames = heights.frames()
    found = DiagramLayout(
        (max(places.rights, default=0.0), max((frame.bottom for frame in frames), default=0.0)),
        {item.id: (places.middles[n], heights.middle(n)) for n, item in enumerate(diagram.items)},
        {link.id: router.curve(n) for n, link in enumerate(diagram.links) if ordering.paths[n]},
        frames,
    )
    return _mirrored(found) if is_turned else found


def _mirrored(layout: DiagramLayout) -> DiagramLayout:
    """Return a layout with x and y exchanged."""
    return DiagramLayout(
        layout.size[::-1],
        {name: (y, x) for name, (x, y) in layout.centres.items()},
        {name: [(y, x) for x, y in curve] for name, curve in layout.curves.items()},
        [LayoutFrame(f.band, f.scope, f.top, f.left, f.bottom, f.right) for f in layout.frames],
    )


def arrange(diagram: Diagram, spacing: Spacing = Spacing.normal) -> Ordering:
    """Return the layers of a diagram, in order."""
    place_of = {item.id: number for number, item in enumerate(diagram.items)}
    ends = [(place_of[link.tail], place_of[link.head]) for link in diagram.links]
    ranking = [(link, ends) for link, ends in zip(diagram.links, ends, strict=True) if link.ranks]
    below = [(head, tail) if link.rises else (tail, head) for link, (tail, head) in ranking]
    rows = [[place_of[name] for name in row] for row in diagram.rows]
    frames: dict[tuple[int, Hashable], list[int]] = {}  # the outermost in each band
    for number, item in enumerate(diagram.items):
        if item.scope:
            frames.setdefault((item.band, item.scope[0]), []).append(number)
    weights = _weights(ranking)
    widths = [(item.band, item.size[0] + spacing.nodes) for item in diagram.items]
    layers = ranks(len(diagram.items), below, rows, weights, list(frames.values()), widths)
    elements = [
        Element(layer, item.band, item.scope, item.size[0])
        for item, layer in zip(diagram.items, layers, strict=True)
    ]
    return order(elements, ends, [link.ordered for link in diagram.links], spacing)


def _weights(ranking: Sequence[tuple[Link, tuple[int, int]]]) -> list[int]:
    """Return the weight of the length of each arrow.

    Long arrows with the same tail or head run together and take the space of one.  Of the others,
    early arrows should be short, so that nodes follow their inputs; falling arrows have priority
    over rising arrows.
    """
    leaving = Counter(tail for _, (tail, _) in ranking)
    arriving = Counter(head for _, (_, head) in ranking)
    last = max(leaving, default=0) + 1
    weights = []
    for link, (tail, head) in ranking:
        together = max(leaving[tail], arriving[head])
        alone = _ALONE // together if together > FEW else _ALONE
        early = (_EARLY_UP if link.rises else _EARLY) * (last - tail) // last
        weights.append(_WEIGHT + alone + early)
    return weights
