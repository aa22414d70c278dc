"""Formulas as MathML, which browsers set themselves: no script, no fonts from elsewhere."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def to_mathml(latex: str, display: str = "inline") -> str:
    """Return a formula as MathML; names of functions are set upright."""
    upright = re.sub(
        r"\\operatorname\{([^{}]*)\}", lambda m: rf"\text{{{m[1].replace(chr(92), '')}}}", latex
    )
    return str(convert(upright, display=display))


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
