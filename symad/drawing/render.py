"""Runs Graphviz, from DOT to PNG, PDF and more: ``dot`` if installed, else pygraphviz.

Either runs in a separate process, which isolates its font settings, its output and its failures.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symad.errors import RenderError

_PAINTED = ("png", "pdf")  # with the fonts of this machine
_SECONDS = 120
_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=sys.argv[2]))
"""
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
_FONT_FILES = (".ttf", ".otf", ".ttc", ".pfb")


def find_renderer() -> str:
    """Return the renderer to use: ``"dot"``, ``"pygraphviz"``, or ``None``.

    Examples
    --------
    >>> find_renderer() in ("dot", "pygraphviz", "")
    True
    """
    if shutil.which("dot"):
        return "dot"
    return "pygraphviz" if importlib.util.find_spec("pygraphviz") else ""


def render(dot: str, format: str, engine: str = "dot") -> tuple[bytes, str]:
    """Return a picture and the name of its renderer.

    Parameters
    ----------
    dot : str
    format : str
        A format name of Graphviz.
    engine : str
        An engine of Graphviz: ``"dot"`` computes a layout, ``"nop2"`` uses given positions.

    Raises
    ------
    RenderError
        If Graphviz is not installed, or fails.
    """
    renderer = find_renderer()
    if not renderer:
        raise RenderError(
            f"drawing {format.upper()} needs Graphviz, which is not installed",
            remedy="Run `pip install symad[render]`, or install Graphviz so that `dot` is on the "
            "PATH. SVG that symad lays out needs neither: draw(...).save('graph.svg').",
        )
    program = shutil.which("dot")
    if program:
        command = [program, f"-K{engine}", f"-T{format}"]
    else:
        command = [sys.executable, "-c", _PYGRAPHVIZ, format, engine]
    with _fonts(format) as environment:
        return _run(command, dot, environment, renderer), renderer


def _run(command: list[str], dot: str, environment: dict[str, str], renderer: str) -> bytes:
    try:
        done = subprocess.run(
            command, input=dot.encode(), capture_output=True, env=environment, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{renderer} needs more than {_SECONDS} seconds to lay out this picture",
            remedy="Fold more nodes: draw(..., limit=60).",
        ) from None
    except OSError as error:
        raise RenderError(f"{renderer} cannot be started: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RenderError(f"{renderer} failed: {said[-1] if said else done.returncode}")
    return done.stdout


@contextmanager
def _fonts(format: str) -> Iterator[dict[str, str]]:
    """Yield the environment for a renderer; if no fonts are installed, it uses matplotlib's."""
    environment = dict(os.environ)
    if _has_fonts():
        yield environment
        return
    folder = substitute_fonts()
    if folder is None:
        if format in _PAINTED:
            warnings.warn(
                f"no fonts were found, so the text of this {format.upper()} may be missing: "
                "install fonts, or matplotlib, which includes some",
                stacklevel=2,
            )
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="symad-fonts-") as cache:
        config = Path(cache, "fonts.conf")
        config.write_text(
            '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>'
            f"<dir>{folder}</dir><cachedir>{cache}</cachedir></fontconfig>\n",
            encoding="utf-8",
        )
        yield environment | {"FONTCONFIG_FILE": str(config)}


def _has_fonts() -> bool:
    """Return whether fontconfig is configured, or finds a font in its default folders."""
    if not sys.platform.startswith("linux"):
        return True
    if "FONTCONFIG_FILE" in os.environ or "FONTCONFIG_PATH" in os.environ:
        return True
    folders = (Path(folder).expanduser() for folder in _FONT_FOLDERS)
    return Path("/etc/fonts/fonts.conf").exists() and any(map(_holds_font, folders))


def _holds_font(folder: Path) -> bool:
    files = (name for _, _, names in os.walk(folder) for name in names)
    return any(name.lower().endswith(_FONT_FILES) for name in files)


def substitute_fonts() -> Path | None:
    """Return the folder with matplotlib's fonts if no others are installed."""
    if _has_fonts():
        return None
    found = importlib.util.find_spec("matplotlib")
    if found is None or not found.origin:
        return None
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return folder if folder.is_dir() else None
