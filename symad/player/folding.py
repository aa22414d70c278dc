"""Pictures of a graph in which frames are closed: one box for everything inside a frame.

A page opens a graph that is too large for it with all frames closed, and opens one at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from symad.drawing.fold import Box, Frame
from symad.drawing.picture import MIDDLE, Arrow, Picture, Shape, TextLine
from symad.graph.node import Node
from symad.notation.roles import Kind, Part
from symad.notation.values import counted
from symad.player.glyphs import Glyphs
from symad.player.played_graph import tip_of
from symad.records import dataclass, replace

_MOST_FRAMES = 12
_MOST_BOXES = 600  # that all pictures with one open frame add to the page


@dataclass(frozen=True)
class FoldedPicture:
    """A picture, some of whose boxes and arrows represent several of another picture.

    Attributes
    ----------
    picture : Picture
    members : dict from str to list of str
        From the id of each box and arrow to the ids of those that it represents.
    opened : Frame or None
        The only frame that is open.
    """

    picture: Picture
    members: dict[str, list[str]]
    opened: Frame | None = None


def frames_of(picture: Picture) -> list[Frame]:
    """Return the outermost frames of a picture that contain several boxes, in order."""
    inside: dict[Frame, int] = {}
    for shape in picture.shapes:
        for frame in shape.box.scope[:1]:
            inside[frame] = inside.get(frame, 0) + 1
    return [frame for frame, count in inside.items() if count > 1]


def folded_pictures(picture: Picture, glyphs: Glyphs) -> Iterator[FoldedPicture]:
    """Yield the picture with all frames closed, then with each open, unless that is too much."""
    frames = frames_of(picture)
    if not frames:
        return
    yield _Folder(picture, frames, glyphs, "0").folded()
    if len(frames) > _MOST_FRAMES or len(frames) * len(picture.shapes) > _MOST_BOXES:
        return
    for number, opened in enumerate(frames, 1):
        closed = [frame for frame in frames if frame != opened]
        yield replace(_Folder(picture, closed, glyphs, f"{number}").folded(), opened=opened)


def renamed(picture: Picture, name: str) -> Picture:
    """Return a picture whose ids differ from those of all other pictures of a page."""
    return _Folder(picture, (), Glyphs(), name).folded().picture


class _Folder:
    """Closes frames of a picture; ``name`` distinguishes its ids from those of other pictures."""

    def __init__(
        self, picture: Picture, closed: Collection[Frame], glyphs: Glyphs, name: str
    ) -> None:
        self._picture = picture
        self._glyphs = glyphs
        self._name = name
        self._inside: dict[tuple[Part, Frame], list[Shape]] = {}
        self._box_of: dict[str, Box] = {}
        for shape in picture.shapes:
            box = shape.box
            if box.scope and box.scope[0] in closed:
                self._inside.setdefault((box.part, box.scope[0]), []).append(shape)
            else:
                self._box_of[box.id] = replace(box, id=self._id(box))
        for (part, frame), shapes in self._inside.items():
            nodes = dict.fromkeys(node for shape in shapes for node in shape.box.nodes)
            whole = Box(self._id(shapes[0].box), part, (), tuple(nodes), frame.title)
            self._box_of |= {shape.box.id: whole for shape in shapes}

    def _id(self, box: Box) -> str:
        return f"s{self._name}-{box.id[1:]}"

    def folded(self) -> FoldedPicture:
        """Return the picture."""
        shapes: dict[str, Shape] = {}
        members: dict[str, list[str]] = {}
        for shape in self._picture.shapes:
            box = self._box_of[shape.box.id]
            members.setdefault(box.id, []).append(shape.box.id)
            if box.id not in shapes:
                shapes[box.id] = self._shape(shape, box)
        arrows = list(self._arrows(members))
        return FoldedPicture(Picture(list(shapes.values()), arrows, self._rows()), members)

    def _shape(self, first: Shape, box: Box) -> Shape:
        if box.node is not None or first.box.node is None:
            return replace(first, box=box)
        inside = self._inside[box.part, first.box.scope[0]]
        lines = (
            self._glyphs.symbol_line(self._glyphs.text(box.title)),
            TextLine(counted(len(inside), "node"), MIDDLE),
        )
        requested = any(shape.requested for shape in inside)
        return Shape(box, Kind.FOLDED, lines, tip_of(Kind.FOLDED, lines), requested)

    def _arrows(self, members: dict[str, list[str]]) -> Iterator[Arrow]:
        """Yield the arrows; several between the same boxes are one if a box is folded."""
        found: dict[str, Arrow] = {}
        passing: dict[str, set[Node]] = {}
        for arrow in self._picture.arrows:
            start, end = self._box_of[arrow.source.id], self._box_of[arrow.target.id]
            if start is end:
                continue
            new = replace(arrow, source=start, target=end)
            if start.node is None or end.node is None:
                new = replace(new, slot=-1, note=None, repaired=False, shape_only=False)
                passing.setdefault(new.id, set()).update(self._values(arrow))
            members.setdefault(new.id, []).append(arrow.id)
            if new.id not in found or new.ranks:
                found[new.id] = new
        for name, arrow in found.items():
            yield arrow.counting(passing.get(name, ()))

    def _values(self, arrow: Arrow) -> Collection[Node]:
        """Return the values that pass along an arrow."""
        source = arrow.source.node
        return self._picture.passing.get(arrow.id, ()) if source is None else {source}

    def _rows(self) -> list[list[Box]]:
        """Return the rows of boxes that represent one node, and those of the closed frames."""
        rows = [[self._box_of[box.id] for box in row] for row in self._picture.rows]
        whole: dict[Frame, list[Box]] = {}
        for (_, frame), shapes in sorted(self._inside.items(), key=lambda item: item[0][0]):
            whole.setdefault(frame, []).append(self._box_of[shapes[0].box.id])
        alone = [row for row in rows if all(box.node is not None for box in row)]
        return alone + list(whole.values())
