"""Remedies for a NaN or an infinity, chosen by its op and by the inputs of the op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symad.graph.node import Node
from symad.graph.op import Op
from symad.graph.provenance import Role, RoleKind


def remedy_of(node: Node, inputs: Sequence[Any], value: Any) -> str:
    """Return a remedy for ``value``, which ``node`` computed from ``inputs``; empty if unknown.

    Parameters
    ----------
    node : Node
    inputs : sequence
        The numbers it was computed from, or whole arrays.
    value : number
        NaN or infinite.
    """
    assert node.op is not None
    differentiated = _differentiated(node.role)
    born_infinite = bool(np.isinf(value)) and _finite(inputs)
    if differentiated is not None and (node.op.has_poles or not born_infinite):
        if differentiated.derivative_domain:
            return differentiated.derivative_domain
    return _of_op(node.op, inputs, value) or (_overflow(node) if born_infinite else "")


def _of_op(op: Op, inputs: Sequence[Any], value: Any) -> str:
    """Return the remedy that the op declares; a plain string does not apply to overflow."""
    domain = type(op).domain
    if isinstance(domain, str):
        return domain if np.isnan(value) or op.has_poles else ""
    return domain(value, *inputs) if all(np.ndim(x) == 0 for x in inputs) else ""


def _differentiated(role: Role[Node] | None) -> Op | None:
    """Return the forward op whose rule made a node."""
    if role is None or role.kind not in (RoleKind.TANGENT, RoleKind.PARTIAL, RoleKind.LOCAL):
        return None
    return role.node.op if role.consumer is None else role.consumer.op


def _overflow(node: Node) -> str:
    wider = "cast to float64, " if node.dtype != np.float64 else ""
    return (
        f"The result exceeds the largest {node.dtype}, {np.finfo(node.dtype).max:.1e}: {wider}"
        "scale the values, or work with logarithms."
    )


def _finite(inputs: Sequence[Any]) -> bool:
    return all(np.all(np.isfinite(x)) for x in inputs if hasattr(x, "dtype"))
