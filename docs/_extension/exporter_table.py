"""What goes where: each op, and the systems in which it can be written."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import op_table

import symad
from symad.errors import ExportError
from symad.export.c_file import source_of
from symad.export.onnx_file import onnx_model
from symad.graph.op import OP_CLASSES, Op
from symad.graph.traverse import topological_order
from symad.passes.specialise import specialise


def _write_onnx(function: symad.Function) -> None:
    types = [node.type for node in function.graph.inputs]
    onnx_model(function, specialise(function.graph, types))


EXPORTERS: dict[str, tuple[str, Callable[[symad.Function], Any]]] = {
    "JAX": ("jax", symad.to_jax),
    "ONNX": ("onnx", _write_onnx),
    "C": ("numpy", lambda function: source_of(function, "f", {})),
}
"""The columns: the package that each needs, and what raises an ExportError for what is lacking."""

_HEAD = """# What goes where

[JAX](../howto/jax.md), [ONNX](../howto/run_it_in_onnx_runtime.md) and
[C](../howto/call_a_gradient_from_c.md) have these ops. An op without a mark is refused by an error
that names the node and your line, before anything is written. Loops, branches, maps and calls stay
what they are. The marks are made by writing a sample of each op.

"""


def page() -> str:
    """Return the page as Markdown; a system that is not installed has no column."""
    names = [name for name, (needs, _) in EXPORTERS.items() if importlib.util.find_spec(needs)]
    lines = ["| op | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, op_class in sorted(OP_CLASSES.items()):
        marks = ["✓" if _is_written(op_class, EXPORTERS[system][1]) else "" for system in names]
        lines.append("| " + " | ".join([op_table.linked(name), *marks]) + " |")
    return _HEAD + "\n".join(lines) + "\n"


def _is_written(op_class: type[Op], write: Callable[[symad.Function], Any]) -> bool:
    """Return whether a sample of an op can be written."""
    for sample in op_class.samples:
        node = op_table.example(sample, op_class)
        if node is not None:
            inputs = [x for x in topological_order([node]) if isinstance(x, symad.Variable)]
            try:
                write(symad.compile(inputs, node))
            except ExportError:
                return False
            return True
    return False
