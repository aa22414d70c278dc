"""Loop nests over arrays: the machine code of :class:`Fused` ops.

A nest has an outer loop over rows and, for each row, one inner loop per *stage*.  A stage computes
the reductions along the row that need no other reduction of the same row but those of the stages
before it; what is made per row is computed between the stages.  A row that several stages read
stays in the cache.  LLVM turns inner loops into vector code, with the vector functions of the C
library.

Sizes, strides and numbers come in at run time, so that one machine code serves all batch sizes;
the code is kept, by the structure of the nest.

Sums are made in blocks of 512 elements, each in several accumulators; the sums of the blocks are
added with Neumaier's compensation.  The error is smaller than that of NumPy's pairwise summation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from symad.backends.native import jit
from symad.backends.native.scalars import (
    LLVMScalarBuilder,
    Scalar,
    element,
    keep_vector_functions,
    llvm_type,
)
from symad.graph.node import Constant, Node
from symad.ops.base import PerElement
from symad.ops.fused import Fused
from symad.ops.reduce import Reduction, Sum
from symad.passes.fuse import Shape, reduced_axes, shape_of

BLOCK = 512
"""How many elements are summed without compensation."""
RAGGED_ROW = 4096
"""Where all operands are one contiguous line, it is cut into rows of so many elements."""

_RECOMPUTED = 6
"""What takes no more instructions is computed again in a later stage, not stored."""
_CALL = 20
"""What a call counts for."""


def supports(node: Node) -> bool:
    """Return whether there is code for one element of an elementwise node."""
    op = node.op
    if not isinstance(op, PerElement):
        return False
    return cost_of(op, tuple(source.dtype for source in node.inputs), node.dtype) is not None
