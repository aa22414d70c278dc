"""A layered layout: ranks, then the order in each layer, then places, heights and curves.

Layers come from a network simplex that makes arrows short; long arrows get bends, one for each
layer that they pass; sweeps over the layers order them against crossings (Sugiyama, Tagawa and Toda
1981); the same simplex finds the places (Gansner, Koutsofios, North and Vo 1993).  Frames, around
bands and scopes, are part of the order and of the places: nothing foreign stands inside of one.
Long arrows from one node, or to one, share their bends: they run as a bundle as far as they can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from symad.drawing.layout.curves import Point
from symad.drawing.layout.heights import Heights, LayoutFrame
from symad.drawing.layout.layer_order import FEW, Element, Ordering, order
from symad.drawing.layout.positions import place
from symad.drawing.layout.ranks import ranks
from symad.drawing.layout.routes import Router
from symad.drawing.layout.spacing import Spacing

_WEIGHT = 10_000_000  # of an arrow
_ALONE = 200_000  # what one weighs more that shares its ends with no other
_EARLY, _EARLY_UP = 10_000, 1_000  # and one from the beginning of the graph


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be placed.

    Attributes
    ----------
    id : str
    band : int
        Bands stand side by side.
    scope : tuple of str
        The frames that it stands inside, from the outermost.
    size : (float, float)
        Width and height.
    """

    id: str
    band: int
    scope: tuple[str, ...]
    size: Point


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow.

    Attributes
    ----------
    id, tail, head : str
    ranks : bool
        Whether its ends must stand at different heights.
    rises : bool
        Whether its head is the higher end.
    ordered : bool
        Whether it is to arrive at its head left of those that are given after it.
    """

    id: str
    tail: str
    head: str
    ranks: bool = True
    rises: bool = False
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class Diagram:
    """What is to be laid out.

    Attributes
    ----------
    items : list of Item
        In an order that is kept where arrows do not speak against it.
    links : list of Link
        Arrows from one item to itself are left out.
    rows : list of list of str
        Ids of items that stand at the same height.
    titles : dict from (int, tuple of str) to (float, float)
        For each frame, a band and a scope, the size of its title.
    """

    items: Sequence[Item]
    links: Sequence[Link]
    rows: Sequence[Sequence[str]]
    titles: dict[tuple[int, tuple[str, ...]], Point]


@dataclass(frozen=True, slots=True)
class DiagramLayout:
    """Places, from the top left.

    Attributes
    ----------
    size : (float, float)
    centres : dict from str to point
        Of each item.
    curves : dict from str to list of points
        For each link a Bézier curve, of 3n + 1 points, from the border of the tail's rectangle to
        that of the head's.
    frames : list of LayoutFrame
        Outer before inner ones.
    """

    size: Point
    centres: dict[str, Point]
    curves: dict[str, list[Point]]
    frames: list[LayoutFrame]


def lay_out(diagram: Diagram, spacing: Spacing = Spacing.normal) -> DiagramLayout:
    """Return the layout of a diagram, with gaps as ``spacing`` gives them.

    Examples
    --------
    >>> items = [Item(name, 0, (), (40.0, 30.0)) for name in "abc"]
    >>> links = [Link("ab", "a", "b"), Link("ac", "a", "c")]
    >>> layout = lay_out(Diagram(items, links, [], {(0, ()): (60.0, 20.0)}))
    >>> a, b, c = (layout.centres[name] for name in "abc")
    >>> a[1] < b[1] == c[1], b[0] <= a[0] < c[0]
    (True, True)
    """
    ordering = arrange(diagram, spacing)
    places = place(ordering, {frame: size[0] for frame, size in diagram.titles.items()}, spacing)
    sizes = [item.size for item in diagram.items]
    titles = {frame: size[1] for frame, size in diagram.titles.items()}
    heights = Heights(ordering, places, [height for _, height in sizes], titles, spacing)
    router = Router(ordering, places, heights, sizes)
    frames = heights.frames()
    return DiagramLayout(
        (max(places.rights, default=0.0), max((frame.bottom for frame in frames), default=0.0)),
        {item.id: (places.middles[n], heights.middle(n)) for n, item in enumerate(diagram.items)},
        {link.id: router.curve(n) for n, link in enumerate(diagram.links) if ordering.paths[n]},
        frames,
    )


def arrange(diagram: Diagram, spacing: Spacing = Spacing.normal) -> Ordering:
    """Return the layers of a diagram, in order."""
    place_of = {item.id: number for number, item in enumerate(diagram.items)}
    ends = [(place_of[link.tail], place_of[link.head]) for link in diagram.links]
    ranking = [(link, ends) for link, ends in zip(diagram.links, ends, strict=True) if link.ranks]
    below = [(head, tail) if link.rises else (tail, head) for link, (tail, head) in ranking]
    rows = [[place_of[name] for name in row] for row in diagram.rows]
    frames: dict[tuple[int, str], list[int]] = {}  # the outermost in each band
    for number, item in enumerate(diagram.items):
        if item.scope:
            frames.setdefault((item.band, item.scope[0]), []).append(number)
    weights = _weights(ranking)
    widths = [(item.band, item.size[0] + spacing.nodes) for item in diagram.items]
    if not spacing.narrow:
        widths = []
    layers = ranks(len(diagram.items), below, rows, weights, list(frames.values()), widths)
    elements = [
        Element(layer, item.band, item.scope, item.size[0])
        for item, layer in zip(diagram.items, layers, strict=True)
    ]
    return order(elements, ends, [link.ordered for link in diagram.links], spacing)


def _weights(ranking: Sequence[tuple[Link, tuple[int, int]]]) -> list[int]:
    """Return how much the length of each arrow counts, where several layouts are as short.

    Long arrows of one tail or one head run together, and take the room of one.  Of the others early
    ones are short, so that nodes follow their inputs; those that fall have the say before those
    that rise.
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
