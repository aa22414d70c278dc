"""The user's lines that made the nodes of a page, or the expression that was read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symad.expression import Expression
from symad.graph.node import Node
from symad.graph.provenance import Site
from symad.notation.escape import visible

_LONGEST = 120


def source_rows(
    drawn: Iterable[tuple[str, Node]], expression: Expression | None = None
) -> list[dict[str, Any]]:
    """Return the lines that made the drawn nodes, with their ids; or the expression with spans."""
    pairs = list(drawn)
    if expression is not None:
        return [_expression_row(pairs, expression)]
    nodes: dict[tuple[str, int], dict[str, None]] = {}
    for name, node in pairs:
        nodes.setdefault((node.site.filename, node.site.line), {})[name] = None
    rows = []
    for (filename, line), ids in sorted(nodes.items()):
        site = Site(filename, line)
        text = visible(site.source, _LONGEST)
        rows.append({"w": visible(site.place(short=True)), "t": text, "n": " ".join(ids)})
    return rows


def _expression_row(pairs: Iterable[tuple[str, Node]], expression: Expression) -> dict[str, Any]:
    """Return the expression, and for each span the ids of what it made, outer spans first."""
    spans = expression.spans
    longest: dict[int, tuple[int, int]] = {}
    for span in spans.values():
        longest[span[0]] = max(longest.get(span[0], span), span)
    found: dict[tuple[int, int], list[str]] = {}
    for name, node in pairs:
        written = node if node in spans or node.role is None else node.role.node
        known = spans.get(written) or longest.get(node.site.line - 1)
        if known is not None:
            found.setdefault(known, []).append(name)
    outer_first = sorted(found, key=lambda span: (span[0], -span[1]))
    rows = [[*span, " ".join(dict.fromkeys(found[span]))] for span in outer_first]
    return {"w": "expression", "t": expression.text, "s": rows}
