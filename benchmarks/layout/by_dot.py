"""The same diagrams laid out by Graphviz: its nodes have the sizes that symad's have."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from symad.drawing.layout import Diagram, DiagramLayout

_INCH = 72
_GRAPH = "graph [newrank=true nodesep=0.3 ranksep=0.45 pad=0 margin=12]"
_ROOM = (
    '<<TABLE BORDER="0" CELLSPACING="0" FIXEDSIZE="TRUE" WIDTH="%d" HEIGHT="%d">'
    "<TR><TD></TD></TR></TABLE>>"
)
_SECONDS = 60


def lay_out(diagram: Diagram) -> DiagramLayout | None:
    """Return the layout that ``dot`` makes under the same conditions: rows, bands, frames.

    None if it takes more than a minute.
    """
    text = "\n".join(_text(diagram))
    try:
        done = subprocess.run(
            ["dot", "-Tjson"], input=text, capture_output=True, text=True, check=True,
            timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    _, _, width, height = (float(side) for side in found["bb"].split(","))
    curves = {
        edge["id"]: [
            (float(x), height - float(y))
            for x, y in (place.split(",") for place in edge["pos"].split() if place[0] not in "se")
        ]
        for edge in found.get("edges", ())
        if "id" in edge and "pos" in edge
    }
    return DiagramLayout((width, height), {}, curves, [])


def _text(diagram: Diagram) -> Iterator[str]:
    yield f'digraph {{ {_GRAPH}; node [fixedsize=true shape=box label=""];'
    bands = sorted({item.band for item in diagram.items})
    for band in bands:
        yield from _frame(diagram, band, ())
    heads = [f"start{band}" for band in bands]
    yield f"{{rank=min; {' -> '.join(heads)} [style=invis]}}"
    for row in diagram.rows:
        yield f"{{rank=same; {' -> '.join(row)} [style=invis]}}"
    for link in diagram.links:
        ends = (link.head, link.tail, " dir=back") if link.rises else (link.tail, link.head, "")
        constraint = "" if link.ranks else " constraint=false"
        yield f"{ends[0]} -> {ends[1]} [id={link.id}{ends[2]}{constraint}];"
    yield "}"


def _frame(diagram: Diagram, band: int, scope: tuple[str, ...]) -> Iterator[str]:
    """Yield the cluster of a frame, with all that stands in it."""
    width, height = diagram.titles[band, scope]
    number = list(diagram.titles).index((band, scope))
    yield f"subgraph cluster_{number} {{ margin=10; labeljust=l; label={_ROOM % (width, height)};"
    if not scope:
        yield f"start{band} [shape=point width=0 style=invis group=start];"
    for item in diagram.items:
        if (item.band, item.scope) == (band, scope):
            sides = (side / _INCH for side in item.size)
            yield "{} [width={:.3f} height={:.3f}];".format(item.id, *sides)
    for other, inner in diagram.titles:
        if other == band and len(inner) == len(scope) + 1 and inner[: len(scope)] == scope:
            yield from _frame(diagram, band, inner)
    yield "}"
