"""An op that delays a value until another one has been computed, to save memory."""

from __future__ import annotations

from typing import Any

from symad.graph.node import Node, apply
from symad.graph.sample import Sample, reals
from symad.ops.base import Linear
from symad.types import Type


def _first(x: Any, earlier: Any) -> Any:
    return x


class After(Linear):
    """Return ``x``, but not before ``earlier`` has been computed.

    :func:`symad.passes.recompute.recompute` makes it, so that values recomputed from ``x`` are
    distinct from the earlier ones and are computed late.
    """

    name = "after"
    elements = "moved"
    numpy = staticmethod(_first)
    is_view = True
    samples = (Sample(lambda x, y: apply(After(), x, y * y), [reals(3), reals(2)]),)

    def infer(self, *types: Any) -> Type:
        result: Type = types[0]
        return result

    def differentiable(self, slot: int) -> bool:
        return slot == 0

    def reads(self, slot: int) -> bool:
        return slot == 0

    def reverse(self, slot: int, adjoint: Node, out: Node, *inputs: Node) -> Node | None:
        return adjoint
