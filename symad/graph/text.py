"""The text form of a graph: typed, deterministic, diffable."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from symad.graph.node import Constant, Node, Parameter

if TYPE_CHECKING:
    from symad.graph.graph import Graph


def format_graph(graph: Graph) -> str:
    """Return one line per node; see :class:`symad.graph.graph.Graph` for an example."""
    names: dict[Node, str] = {}
    inputs = set(graph.inputs)
    head = []
    for node in graph.inputs:
        names[node] = f"%{len(names)}"
        kind = "parameter " if isinstance(node, Parameter) else ""
        head.append(f"{names[node]}: {kind}{node.type} {node.label!r}".replace("'", '"'))
    lines = [f"graph({', '.join(head)})"]
    for node in graph.nodes:
        if node in inputs:
            continue
        names[node] = f"%{len(names)}"
        note = f"  # {node.name}" if node.name else ""
        lines.append(f"  {names[node]}: {node.type} = {_right_side(node, names)}{note}")
    lines.append(f"  return {', '.join(names[node] for node in graph.outputs)}")
    return "\n".join(lines)


def _right_side(node: Node, names: Mapping[Node, str]) -> str:
    if isinstance(node, Constant):
        return f"constant {format_value(node.value)}"
    assert node.op is not None
    arguments = [names[source] for source in node.inputs]
    attributes = node.op.attributes()
    arguments += [f"{key}={format_attribute(value)}" for key, value in attributes.items()]
    return f"{node.op.name}({', '.join(arguments)})"


def format_attribute(value: Any) -> str:
    """Return an attribute of an op as text; a graph goes on lines of its own."""
    if hasattr(value, "outputs"):
        return "\n" + textwrap.indent(str(value), "    ") + "\n  "
    return getattr(value, "__qualname__", None) or repr(value)


def format_value(value: Any) -> str:
    """Return an array on one line, shortened where it is long."""
    if value.ndim == 0:
        return repr(value.item())
    if value.size > 8:
        first = ", ".join(f"{item:.6g}" for item in value.ravel()[:4].tolist())
        return f"[{first}, ...]"
    return repr(value.tolist())
