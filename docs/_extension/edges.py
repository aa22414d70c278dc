"""What holds at kinks and edges, by op: the rows of the tables of numerics.md, which are tested."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import symad
from symad.graph.node import Variable
from symad.graph.traverse import topological_order

_ROW = re.compile(r"^\| (`[^|]+`) \| (`[^|]+`) \| (`[^|]+`) \| (`[^|]+`) \|", re.MULTILINE)


def edges_by_op() -> dict[str, list[str]]:
    """Return Markdown for each op that the tables have a row of, alone in an expression."""
    text = (Path(__file__).parent.parent / "numerics.md").read_text("utf-8")
    names = {**vars(symad.special), **vars(symad), "inf": np.inf, "nan": np.nan}
    found: dict[str, list[str]] = {}
    for expression, point, value, derivative in _ROW.findall(text):
        x = Variable("x", shape=np.shape(eval(point.strip("`"), names)))
        order = topological_order([eval(expression.strip("`"), names, {"x": x})])
        ops = [node.op.name for node in order if node.op is not None]
        if len(ops) == 1:
            line = f"{expression} at {point}: {value}, derivative {derivative}"
            found.setdefault(ops[0], []).append(line)
    return found
