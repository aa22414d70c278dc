"""Kernels return what their ops promise: results of the dtype and shape of their nodes.

Machine code makes results by their types alone, and calls these kernels for what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest

import symad as sm
from symad.errors import SymadError
from symad.graph.nested import leaves
from symad.graph.node import Constant, Node
from symad.graph.op import OP_CLASSES
from symad.ops.body import WithBody
from symad.passes.specialise import specialise
from symad.runtime.inputs import type_of
from symad.types import StructureType, TensorType
from tests.support.op_checks import Case, cases_of, kernel_of

ALONE = (
    "float16", "float32", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64", "bool",
)  # fmt: skip
MIXED = (
    ("float16", "float32"), ("float16", "float64"), ("float32", "float64"), ("float16", "int8"),
    ("float32", "int8"), ("float32", "int32"), ("float64", "int8"), ("float16", "bool"),
    ("int8", "uint8"), ("int8", "bool"),
)  # fmt: skip
OF_SLOPES = {"at_largest", "power_log"}
"""Ops of adjoints and tangents, which are floats."""
REFUSED = {"power": (ValueError,)}
"""What NumPy says to operands of some values: an integer has no negative integer powers."""
NAMES = [
    name for name, kind in OP_CLASSES.items()
    if kind.__module__.startswith("symad.ops.")
    and not issubclass(kind, WithBody) and name not in OF_SLOPES
]  # fmt: skip


def dtypes_of(count: int) -> Iterator[Sequence[str]]:
    """Yield dtypes for so many operands: all the same, and two in turn."""
    for dtype in ALONE:
        yield [dtype] * count
    for pair in MIXED if count > 1 else ():
        for order in (pair, pair[::-1]):
            yield list(islice(cycle(order), count))


def cast(array: Any, dtype: str) -> Any:
    """Return moderate numbers of a dtype in place of floats; others stay."""
    if array.dtype.kind != "f":
        return array
    if np.dtype(dtype).kind == "f":
        return array.astype(dtype)
    return np.nan_to_num(np.abs(array)).clip(0, 3).round().astype(dtype)


def graphs_of(case: Case) -> Iterator[tuple[sm.Graph, list[Any]]]:
    """Yield what a sample makes of operands of several dtypes, with slopes, and the operands."""
    arrays = case.draw()
    for dtypes in dtypes_of(sum(array.dtype.kind == "f" for array in arrays)):
        rest = iter(dtypes)
        fed = [cast(a, next(rest)) if a.dtype.kind == "f" else a for a in arrays]
        xs = [sm.Variable(f"x{k}", a.shape, a.dtype) for k, a in enumerate(fed)]
        with suppress(SymadError):  # it does not take them
            made = [y for y in leaves(case.sample.call(*xs)) if isinstance(y, Node)]
            outputs = list(made)
            with suppress(SymadError):  # no derivative is defined
                moving = [x for x in xs if x.type.is_float]
                ys = [y for y in made if isinstance(y.type, TensorType) and y.type.is_float]
                outputs += sm.gradients(ys, moving, unused="zero") if ys and moving else []
            yield sm.Graph(outputs, xs), fed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_kernels_return_what_is_promised(name: str) -> None:
    for case in cases_of(OP_CLASSES[name]):
        for graph, arrays in graphs_of(case):
            static = specialise(graph, [type_of(a) for a in arrays])
            with suppress(np.linalg.LinAlgError, *REFUSED.get(name, ())):
                for node, value in values_of(static, arrays):
                    dtypes = " and ".join(str(a.dtype) for a in arrays)
                    assert fits(value, node.type), f"{case.id} of {dtypes}: {node}"


def fits(value: Any, promised: Any) -> bool:
    """Return whether a value has a type."""
    if isinstance(promised, StructureType):
        items = [(value[key], type_) for key, type_ in promised.fields]
        return all(fits(item, type_) for item, type_ in items)
    if not isinstance(promised, TensorType):  # absent, or sparse
        return True
    return bool((value.dtype, value.shape) == (promised.dtype, promised.shape))


def values_of(graph: sm.Graph, arrays: Sequence[Any]) -> Iterator[tuple[Node, Any]]:
    """Yield the nodes that ops compute, and what their kernels return."""
    values = dict(zip(graph.inputs, (a[()] for a in arrays), strict=True))
    for node in graph.nodes:
        if isinstance(node, Constant):
            values[node] = node.value[()]
        elif node.op is not None and not isinstance(node.op, WithBody):
            values[node] = kernel_of(node.op)(*[values[x] for x in node.inputs])
            yield node, values[node]
