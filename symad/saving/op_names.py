"""The ops that saved graphs may have, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import cast

from symad import ops as _ops
from symad.graph.op import OP_CLASSES, Op, resolve

OUTSIDE_THE_TABLE = {"sparse_jacobian": "symad.autodiff.sparse.SparseJacobian"}
"""Ops that never run, since they become others when shapes are known."""


def find_op(name: str) -> type[Op] | None:
    """Return the class of an op; the modules of the op table are imported if it is not known.

    Examples
    --------
    >>> find_op("sin"), find_op("os.system")
    (<class 'symad.ops.trigonometric.Sin'>, None)
    """
    if name in OUTSIDE_THE_TABLE:
        return cast(type[Op], resolve(OUTSIDE_THE_TABLE[name]))
    if name not in OP_CLASSES:
        _import_all()
    return OP_CLASSES.get(name)


@cache
def _import_all() -> None:
    """Import all modules of the op table, some of which are imported on first use."""
    for module in iter_modules(_ops.__path__):
        import_module(f"{_ops.__name__}.{module.name}")


def is_found(op: Op) -> bool:
    """Return whether an op would be found by its name."""
    return find_op(op.name) is type(op)
