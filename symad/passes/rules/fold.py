"""Constant folding: nodes that depend on no input are computed once, while compiling."""

from __future__ import annotations

import math

import numpy as np

from symad.graph.node import Constant, Node, computed
from symad.graph.op import Op
from symad.ops.adjoint import stop_gradient
from symad.ops.arithmetic import sqrt
from symad.ops.body import WithBody
from symad.ops.join import stack
from symad.ops.shape import BroadcastTo
from symad.passes.grade import Grade
from symad.passes.rule import Procedure, is_scalar
from symad.types import TensorType

_SMALL = 64
"""A result with at most this many elements may be larger than its operands."""

_VIEWS_OF_NUMBERS = (BroadcastTo, WithBody)
"""Ops that are not folded: a broadcast number needs no memory, and rules recognise it."""


def _fold(node: Node) -> Node | None:
    """Return a node computed from constants alone as a constant, unless that takes more memory."""
    arrays = [source.value[()] for source in node.inputs if isinstance(source, Constant)]
    if len(arrays) != len(node.inputs) or isinstance(node.op, _VIEWS_OF_NUMBERS):
        return None
    if not isinstance(node.type, TensorType) or not node.type.is_static:
        return None
    size = math.prod(node.type.shape)  # type: ignore[arg-type]
    if size > max(_SMALL, sum(np.size(array) for array in arrays)):
        return None
    assert node.op is not None
    try:
        with np.errstate(all="ignore"):
            return Constant(computed(node.op.kernel(), *arrays), node.type.dtype)
    except Exception:  # it fails in the same way when it runs, with an error that names the line
        return None


FOLD = (
    Procedure(
        "fold constants",
        _fold,
        "f(constants) = constant",
        (Op,),
        (
            lambda: stop_gradient(Constant(2.0)),
            lambda: stack([sqrt(Constant(2.0)), Constant(1.0)]),
            lambda: Constant([[1.0, 2.0]]) @ Constant([3.0, -4.0]),
        ),
        grade=Grade.EXACT,
        when=lambda kind, heads: set(heads) == {Constant},
    ),
)

NUMBERS = (
    Procedure(
        "fold numbers",
        lambda node: _fold(node) if all(map(is_scalar, node.inputs)) else None,
        "f(numbers) = number",
        (Op,),
        (lambda: Constant(2.0) * Constant(3.0),),
        grade=Grade.EXACT,
        when=lambda kind, heads: set(heads) == {Constant},
    ),
)
"""The same for numbers only, whose cost is small."""
