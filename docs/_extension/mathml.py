"""Formulas as MathML, which browsers set themselves: no script, no fonts from elsewhere."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

_MATHML = "http://www.w3.org/1998/Math/MathML"
_ROWS = {f"{{{_MATHML}}}{name}" for name in ("math", "mrow", "mstyle", "msqrt", "mtd")}
_HAS_ROOM = {f"{{{_MATHML}}}{name}" for name in ("mo", "mspace")}
_PRIMES = ("′", "″", "‴")
ElementTree.register_namespace("", _MATHML)
_OPERATOR = re.compile(r"\\operatorname\{([^{}]*)\}")


def to_mathml(latex: str, display: str = "inline") -> str:
    """Return a formula as MathML; names of functions are upright and have room, as TeX sets them.

    Examples
    --------
    >>> "<mi>sin</mi><mspace" in to_mathml(r"\\sin x")
    True
    """
    upright = _OPERATOR.sub(lambda found: rf"\text{{{found[1].replace(chr(92), '')}}}", latex)
    root = ElementTree.fromstring(convert(upright, display=display))
    for element in list(root.iter()):
        if element.tag in _ROWS:
            _give_room(element)
        elif element.tag.endswith("msup") and (element[1].text or " ") in _PRIMES:
            _set_beside(element)
    return ElementTree.tostring(root, encoding="unicode")


def _give_room(row: ElementTree.Element) -> None:
    """Put thin spaces between the names of functions and what they stand beside."""
    spaced = list(row)[:1]
    for before, after in pairwise(row):
        opens = "".join(after.itertext()).startswith("(")
        beside = (_is_name(before) and not opens) or _is_name(after)
        if beside and _HAS_ROOM.isdisjoint({before.tag, after.tag}):
            spaced.append(ElementTree.Element(f"{{{_MATHML}}}mspace", {"width": "0.17em"}))
        spaced.append(after)
    row[:] = spaced


def _set_beside(power: ElementTree.Element) -> None:
    """Let a prime stand beside its letter: fonts have it raised already."""
    power.tag, power[1].tag = f"{{{_MATHML}}}mrow", f"{{{_MATHML}}}mi"


def _is_name(element: ElementTree.Element) -> bool:
    """Return whether an element is the name of a function, perhaps with an exponent."""
    is_script = element.tag.endswith(("msub", "msup"))
    name = element[0] if is_script else element
    return name.tag.endswith(("mi", "mtext")) and len((name.text or "").strip()) > 1


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    attributes = {"class": "math", "role": "math"}
    self.body.append(self.starttag(node, "div", **attributes))
    self.body.append(to_mathml(node.astext(), "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
