"""Writes the page: story, pictures and assets in one self-contained file that loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from symad.drawing.style import hue_class, hue_of
from symad.inspection.linked_page import content_policy
from symad.notation.roles import Part

_SCRIPTS = (
    "numbers.js", "story.js", "markup.js", "picture.js", "panels.js", "folding.js", "presenter.js",
    "search.js", "quiz.js", "tensors.js", "compare.js", "player.js",
)  # fmt: skip
_PARTS = (
    Part(0, "forward"),
    Part(1, "tangent"),
    *(Part(generation, "adjoint") for generation in (1, 2, 3)),
)


def write_page(title: str, data: dict[str, Any], pictures: Sequence[str], evaluate: str) -> str:
    """Return the page as HTML.

    A content security policy allows only the style and the script of the page, which it identifies
    by their hashes: no text of the user can be executed.

    Parameters
    ----------
    title : str
    data : dict
        The story, as JSON values.
    pictures : sequence of str
        SVG.
    evaluate : str
        A JavaScript expression for the function that computes all values, or ``null``.
    """
    style = "\n".join([_palette(), _short("player.css")])
    scripts = ["editor.js", *_SCRIPTS] if "editor" in data else _SCRIPTS
    script = "\n".join(
        ['"use strict";', f"const evaluateGraph = {evaluate};", *map(_short, scripts)]
    )
    parts = {
        "title": escape(title),
        "policy": content_policy(script, style, images="blob: data:"),
        "style": style,
        "pictures": "".join(pictures),
        "data": _embedded(data),
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("player.html"))


def _asset(name: str) -> str:
    return files("symad.player").joinpath("assets", name).read_text(encoding="utf-8")


def _short(name: str) -> str:
    """Return a style or a script without indentation and comment lines."""
    lines = (line.strip() for line in _asset(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _embedded(data: dict[str, Any]) -> str:
    """Return JSON that is safe inside an HTML script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_UNSAFE = re.compile("[<\u2028\u2029\ud800-\udfff]")
"""Characters that end a script, line separators of old JavaScript, and surrogates (not UTF-8)."""


def _palette() -> str:
    """Return the colours of pictures as CSS custom properties, one set for each part."""
    rules = []
    for part in _PARTS:
        hue, name = hue_of(part), hue_class(part)
        rules.append(
            f"--{name}-strong:{hue.strong};--{name}-pale:{hue.pale};--{name}-ground:{hue.ground}"
        )
    return f":root{{{';'.join(rules)}}}"
