"""Formulas as MathML, which browsers set themselves: no script, no fonts from elsewhere."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from symad.notation.mathml import document


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(document(node.astext()))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    attributes = {"class": "math", "role": "math"}
    self.body.append(self.starttag(node, "div", **attributes))
    self.body.append(document(node.astext(), "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
