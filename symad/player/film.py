"""The steps of a page as pictures without a browser: SVG, PNG, PDF, TikZ and animations."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from symad.drawing import painting
from symad.drawing.frame_titles import Ground, Text
from symad.drawing.graphviz_paint import to_placed_dot
from symad.drawing.metrics import broken
from symad.drawing.picture import BIG, MIDDLE, Arrow, Picture, Shape, TextLine
from symad.drawing.placed_picture import Figure, PlacedPicture, place_picture
from symad.drawing.svg import to_svg
from symad.errors import MissingExtraError, RenderError, did_you_mean
from symad.notation.values import format_number
from symad.player.glyphs import Glyphs
from symad.player.pdf_pages import joined_pdf, split_images, split_pdf
from symad.player.plain_maths import plain_maths
from symad.player.story import Chapter, Story, StoryStep
from symad.player.tikz import to_tikz
from symad.records import cached_property, replace
from symad.replacing import replacing

_NARROWEST = 560.0  # a picture, so that its caption has room
_LEADING = 1.5  # of captions, relative to the size of their font
_SECONDS = 1.5  # for a step of an animation
_DOTS, _COLOURS = 72.0, 128  # of an animation: per inch, and in all
_ALIKE = {"jpeg": "png", "jpg": "png", "eps": "pdf", "ps": "pdf", "apng": "gif"}


class Film:
    """The steps of a page, as pictures with captions.

    Parameters
    ----------
    story : Story
    pictures : sequence of Picture
        Of the chapters, by index.
    glyphs : Glyphs
    """

    def __init__(self, story: Story, pictures: Sequence[Picture], glyphs: Glyphs) -> None:
        self._story = story
        self._pictures = pictures
        self._glyphs = glyphs
        self._placed: dict[int, PlacedPicture] = {}
        self._heights: dict[int, float] = {}  # of the longest caption of each picture

    @cached_property
    def _steps(self) -> list[tuple[Chapter, StoryStep]]:
        return [(chapter, step) for chapter in self._story.chapters for step in chapter.steps]

    @cached_property
    def _shown(self) -> list[frozenset[str]]:
        """What is shown at each step: what earlier ones have shown and not hidden."""
        found, shown = [], set[str]()
        for _, step in self._steps:
            shown = (set() if step.clear else shown).difference(step.hide).union(step.show)
            found.append(frozenset(shown))
        return found

    # Files

    def save(self, path: str | os.PathLike[str], step: int | None = None) -> None:
        """Write a step, counted from 1, or all of them, in the format of the suffix."""
        target = Path(path)
        format = target.suffix.lower().removeprefix(".")
        if format not in _WRITERS:
            raise RenderError(f"the format of {str(path)!r} is unknown", remedy=_remedy(format))
        numbers = range(len(self._steps)) if step is None else [self._index(step)]
        written = _WRITERS[format](self, list(numbers))
        if len(written) == 1:
            _write(target, written[0])
            return
        digits = len(str(len(self._steps)))
        for number, content in zip(numbers, written, strict=True):
            _write(target.with_stem(f"{target.stem}-{number + 1:0{digits}}"), content)

    def _index(self, step: int) -> int:
        if isinstance(step, bool) or not isinstance(step, int):
            raise RenderError(f"a step is a number, not {step!r}")
        if not 1 <= step <= len(self._steps):
            raise RenderError(
                f"there is no step {step}", remedy=f"The steps are 1 to {len(self._steps)}."
            )
        return step - 1

    def svgs(self, steps: Sequence[int]) -> list[bytes]:
        """Return steps as SVG files."""
        return [to_svg(self.frame(step)).encode() for step in steps]

    def tikz(self, steps: Sequence[int]) -> list[bytes]:
        """Return steps as TikZ pictures, for a document in LaTeX."""
        return [to_tikz(self.frame(step)).encode() for step in steps]

    def pngs(self, steps: Sequence[int], dots: float = painting.DOTS) -> list[bytes]:
        """Return steps as PNG images."""
        frames = list(map(self.frame, steps))
        if painting.can_paint():
            return painting.paint(list(map(to_svg, frames)), "png", dots)
        return split_images(_by_graphviz(frames, "png", dots))

    def pdf(self, steps: Sequence[int]) -> list[bytes]:
        """Return one PDF file with a page for each step."""
        frames = list(map(self.frame, steps))
        if painting.can_paint():
            return painting.paint(list(map(to_svg, frames)), "pdf")
        return [joined_pdf(split_pdf(_by_graphviz(frames, "pdf", painting.DOTS)))]

    def gif(self, steps: Sequence[int]) -> list[bytes]:
        """Return an animated GIF."""
        return [_animation(self.pngs(steps, _DOTS), "GIF")]

    def webp(self, steps: Sequence[int]) -> list[bytes]:
        """Return an animated WebP."""
        return [_animation(self.pngs(steps, _DOTS), "WEBP", lossless=True, method=2)]

    # Frames

    def frame(self, number: int) -> PlacedPicture:
        """Return the picture of a step, with its caption below; the first step has number 0."""
        chapter, step = self._steps[number]
        placed, shown = self._place(chapter.picture), self._shown[number]
        figures = [f for f in placed.figures if f.shape.box.id in shown]
        shafts = [s for s in placed.shafts if s.arrow.id in shown]
        width = max(placed.size[0], _NARROWEST)
        caption = list(self._caption(step, placed.size[1], width - 2 * placed.margin))
        height = placed.size[1] + self._caption_height(chapter.picture)
        return replace(
            placed,
            size=(width, height),
            grounds=list(_seen(placed.grounds, figures)),
            shafts=[replace(s, arrow=_lit_arrow(s.arrow, step)) for s in shafts],
            figures=[self._figure(f, step, shown) for f in figures],
            notes=[note for note in placed.notes if _note_key(note.arrow) in shown],
            legend=caption,
        )

    def _place(self, picture: int) -> PlacedPicture:
        if picture not in self._placed:
            self._placed[picture] = place_picture(self._pictures[picture])
        return self._placed[picture]

    def _figure(self, figure: Figure, step: StoryStep, shown: Collection[str]) -> Figure:
        """Return a node as a step shows it: without values that are not known yet."""
        texts = [t for t in figure.texts if not t.line.key or t.line.key in shown]
        missing = sum(text.line.size for text in figure.texts) - sum(t.line.size for t in texts)
        drop = 0.65 * missing
        texts = [Text(self._line(t.line), (t.place[0], t.place[1] + drop), True) for t in texts]
        shape = _lit_shape(figure.shape, step)
        look = {**shape.look, "shape": figure.look["shape"]}
        return replace(figure, shape=shape, look=look, texts=texts)

    def _line(self, line: TextLine) -> TextLine:
        return line if line.value is None else replace(line, text=self._value(line.value))

    def _value(self, place: int) -> str:
        value: Any = self._story.values[place]
        if isinstance(value, (list, dict)):
            return str(value[0] if isinstance(value, list) else value["t"])
        return "" if value is None else format_number(float(value))

    # Captions

    def _caption(self, step: StoryStep, top: float, width: float) -> Iterator[Text]:
        for line, size in self._caption_lines(step, width):
            top += _LEADING * size
            yield Text(TextLine(line, size), (0.0, top))

    def _caption_lines(self, step: StoryStep, width: float) -> list[tuple[str, int]]:
        rows = [(row, BIG) for row in broken(self._spelled(step.say), BIG, width)]
        for formula in step.maths:
            text = self._spelled(plain_maths(formula))
            rows += [(row, MIDDLE) for row in broken(text, MIDDLE, width)]
        return rows

    def _spelled(self, text: str) -> str:
        return self._glyphs.plain(text, self._value)

    def _caption_height(self, picture: int) -> float:
        """Return the height of the longest caption of a picture, which all its frames leave."""
        if picture not in self._heights:
            placed = self._place(picture)
            width = max(placed.size[0], _NARROWEST) - 2 * placed.margin
            steps = [step for chapter, step in self._steps if chapter.picture == picture]
            rows = [self._caption_lines(step, width) for step in steps]
            most = max(sum(size for _, size in lines) for lines in rows)
            self._heights[picture] = _LEADING * most + placed.margin
        return self._heights[picture]


def _by_graphviz(frames: Iterable[PlacedPicture], format: str, dots: float) -> bytes:
    """Return frames as painted by one process of Graphviz, one after the other."""
    from symad.drawing.render import render  # a page needs no Graphviz

    return render("".join(to_placed_dot(frame, dots) for frame in frames), format, "nop2")[0]


_WRITERS: dict[str, Callable[[Film, Sequence[int]], list[bytes]]] = {
    "svg": Film.svgs,
    "png": Film.pngs,
    "pdf": Film.pdf,
    "gif": Film.gif,
    "webp": Film.webp,
    "tex": Film.tikz,
}


def _remedy(format: str) -> str:
    known = ["html", *_WRITERS]
    near = _ALIKE.get(format)
    hint = f" Did you mean {near!r}?" if near else did_you_mean(format, known)
    return f"Use a name that ends in {', '.join(f'.{name}' for name in known)}.{hint}"


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def _seen(grounds: Sequence[Ground], figures: Sequence[Figure]) -> Iterator[Ground]:
    """Yield the backgrounds of the parts, and of the scopes that contain a visible node."""
    for ground in grounds:
        scope = ground.frame.scope
        boxes = (f.shape.box for f in figures if f.shape.box.part == ground.part)
        if not scope or any(box.scope[: len(scope)] == scope for box in boxes):
            yield ground


def _lit_shape(shape: Shape, step: StoryStep) -> Shape:
    """Return a shape with its emphasis, and the id that arrows use for its place."""
    box = replace(shape.box, id=shape.place)
    return replace(shape, box=box, emphasis=_emphasis(shape.box.id, step))


def _note_key(arrow: Arrow) -> str:
    """Return what a step shows with the note of an arrow: a count belongs to the arrow itself."""
    return arrow.id if arrow.counts else f"b-{arrow.id}"


def _lit_arrow(arrow: Arrow, step: StoryStep) -> Arrow:
    return replace(arrow, emphasis=_emphasis(arrow.id, step))


def _emphasis(name: str, step: StoryStep) -> str:
    return "now" if name in step.now else "use" if name in step.use else ""


def _animation(images: Sequence[bytes], format: str, **settings: Any) -> bytes:
    """Return images as an animation; each is put on a white ground of the largest size."""
    from io import BytesIO

    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError(
            "animations need Pillow, which is not installed", remedy="pip install symad[film]"
        ) from None
    opened = [Image.open(BytesIO(image)).convert("RGB") for image in images]
    size = max(one.width for one in opened), max(one.height for one in opened)
    frames = [Image.new("RGB", size, "white") for _ in opened]
    for frame, one in zip(frames, opened, strict=True):
        frame.paste(one, ((size[0] - one.width) // 2, 0))
    fullest = max(frames, key=lambda frame: len(frame.getcolors(size[0] * size[1]) or ()))
    palette = fullest.quantize(_COLOURS, dither=Image.Dither.NONE)
    first, *others = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
    file = BytesIO()
    first.save(file, format, save_all=True, append_images=others, loop=0,
               duration=int(1000 * _SECONDS), **settings)  # fmt: skip
    return file.getvalue()
