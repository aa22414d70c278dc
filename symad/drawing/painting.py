"""Paints SVG as PNG and PDF, by the package typst: text stays text, and fonts are embedded."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symad.drawing.layout.curves import Point
from symad.errors import RenderError

DOTS = 144.0
"""The resolution of images, in dots per inch."""

_MOST_DOTS, _LONGEST = 5e7, 30_000.0  # larger images, or longer sides, are too large for programs
_INCH = 72.0
_VIEW_BOX = re.compile(r'viewBox="\S+ \S+ (\S+) ([^"]+)"')
_PAGES = b"""\
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#for name in sys.inputs.keys().sorted() {
  page(image(bytes(sys.inputs.at(name)), format: "svg"))
}
"""


def can_paint() -> bool:
    """Return whether the package typst is installed."""
    return importlib.util.find_spec("typst") is not None


def resolution(size: Point, dots: float = DOTS) -> float:
    """Return a resolution: ``dots`` per inch, or fewer if the image would be too large.

    Examples
    --------
    >>> resolution((800.0, 600.0)), round(resolution((8000.0, 6000.0)), 1)
    (144.0, 73.5)
    """
    width, height = size
    most = min(math.sqrt(_MOST_DOTS / (width * height)), _LONGEST / max(width, height))
    return min(dots, most * _INCH)


def paint(pages: Sequence[str], format: str, dots: float = DOTS) -> list[bytes]:
    """Return pictures, given as SVG text, as PNG images, or as the pages of one PDF file.

    Images have ``dots`` per inch, or fewer if one of them would be too large.

    Raises
    ------
    RenderError
        If the package typst is not installed, or fails.
    """
    if not can_paint():
        raise RenderError(
            f"drawing {format.upper()} needs the package typst, which is not installed",
            remedy="Run `pip install symad[render]`, or save the picture as SVG.",
        )
    import typst

    from symad.drawing.render import substitute_fonts

    fonts: list[str] = [str(folder) for folder in [substitute_fonts()] if folder]
    dots = min(resolution(_size(page), dots) for page in pages)
    names = {f"{number:09}": page for number, page in enumerate(pages)}
    new_compiler: Any = typst.Compiler
    try:
        compiler = new_compiler(_PAGES, font_paths=fonts, sys_inputs=names)
        made = compiler.compile(format=format, ppi=dots, timestamp=0, pdf_tags=False)
    except typst.TypstError as error:
        raise RenderError(f"typst failed: {error}") from error
    return made if isinstance(made, list) else [made]


def _size(svg: str) -> Point:
    found = _VIEW_BOX.search(svg)
    assert found is not None
    return float(found[1]), float(found[2])


def save_svg(path: str | os.PathLike[str], svg: str) -> None:
    """Write a picture, given as SVG text, to a file in the format of its suffix.

    Raises
    ------
    RenderError
        If the suffix is not .svg, .png or .pdf, or as in :func:`paint`.
    """
    target = Path(path)
    format = target.suffix.lower().removeprefix(".")
    if format not in ("svg", "png", "pdf"):
        raise unknown_format(path, "svg", "png", "pdf")
    target.write_bytes(svg.encode() if format == "svg" else paint([svg], format)[0])


def unknown_format(path: str | os.PathLike[str], *formats: str) -> RenderError:
    """Return the error for a file name with another suffix than those of ``formats``."""
    *first, last = (f".{format}" for format in formats)
    return RenderError(
        f"the format of {str(path)!r} is unknown",
        remedy=f"Use a name that ends in {', '.join(first)} or {last}.",
    )
