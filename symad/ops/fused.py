"""The fused op: one loop nest, which a backend that generates code computes in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.errors import ShapeError
from symad.graph.graph import Graph
from symad.graph.node import Node, apply
from symad.graph.op import call
from symad.graph.sample import Sample, reals
from symad.ops.base import tensor_types
from symad.ops.body import WithOneBody, placeholder, result_type
from symad.types import Type


def _two_at_once(x: Node) -> Node:
    row = placeholder(x)
    exponential = call("exp", row)
    total = call("sum", exponential, axis=-1, keepdims=True)
    op = Fused(Graph([exponential / total, total], [row]), (2, 3), 1)
    made = apply(op, x)
    return made[0] * made[1]


class Fused(WithOneBody):
    """Compute the body's outputs in one loop nest; the value is a tuple if there are several.

    :func:`symad.passes.fuse.fuse` makes it after differentiation; it has no derivative.

    Attributes
    ----------
    body : Graph
        Elementwise ops over ``space``; reductions of them; elementwise ops on reductions along the
        axes from ``split`` on, one result for each row, and on those broadcast back.
    space : tuple of int
        The axes of the loop nest.
    split : int or None
        How many of the axes are before those of a row; ``None`` if nothing is computed per row.
    """

    space: tuple[int, ...]
    split: int | None = None

    name = "fused"
    samples = (Sample(_two_at_once, [reals(2, 3)], np.exp, order=0, needs="shape"),)

    def infer(self, *types: Any) -> Type:
        taken = tensor_types(*[node.type for node in self.body.inputs])
        if not all(type_.is_static for type_ in taken):
            raise ShapeError("a loop nest needs known shapes")
        return result_type([node.type for node in self.body.outputs])

    def differentiable(self, slot: int) -> bool:
        return False
