"""What a page shows of the values of arrays: numbers, statistics, and how axes are used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symad.graph.node import Node
from symad.notation.values import summarise
from symad.notation.view import Values
from symad.ops.adjoint import BroadcastLike, SumLike
from symad.ops.base import PerElement
from symad.ops.product import Matmul
from symad.ops.reduce import Reduction
from symad.ops.shape import BroadcastTo
from symad.types import normalize_axes

_MOST_NUMBERS = 256  # of an array, which is otherwise shown coarsely
_COARSE = 16  # rows and columns of such a picture
_DIGITS = 5


def tensor_data(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return an array for the page.

    Returns
    -------
    dict
        ``s`` shape, ``t`` short text, ``m`` minimum, maximum, mean and norm, ``x`` 1 if a number
        is not finite, and the elements ``d``; or, of a large array, means of blocks ``g``.
    """
    numbers = array.astype(float) if array.dtype.kind in "biuf" else np.abs(array)
    with np.errstate(all="ignore"):
        statistics = [
            numbers.min(initial=math.inf), numbers.max(initial=-math.inf),
            numbers.mean() if numbers.size else math.nan, np.linalg.norm(numbers),
        ]  # fmt: skip
        data: dict[str, Any] = {
            "s": list(array.shape),
            "t": summarise(array),
            "m": [_number(value) for value in statistics],
        }
        if not np.all(np.isfinite(numbers)):
            data["x"] = 1
        if array.size <= _MOST_NUMBERS:
            data["d"] = [_number(value) for value in numbers.flat]
        else:
            data["g"] = [[_number(value) for value in row] for row in _coarse(numbers)]
    return data


def _number(value: Any) -> float | int | str:
    """Return a number with few digits; text if it is not finite, which JSON does not know."""
    number = float(value)
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    short = float(f"{number:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 10**_DIGITS else short


def _coarse(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the means of blocks of the first matrix in an array."""
    matrix = array.reshape(-1, array.shape[-1])
    rows, columns = (np.array_split(np.arange(n), min(n, _COARSE)) for n in matrix.shape)
    return np.array([[matrix[np.ix_(r, c)].mean() for c in columns] for r in rows])


def forms_of(
    nodes: Sequence[Node], ids: Mapping[Node, str], view: Any, values: Values
) -> dict[str, list[Any]]:
    """Return, by id, how nodes use the axes of their inputs: the form, then what it needs.

    ``["matmul", id, id]``; ``["each", id, ...]`` of an op per element; ``["sum", axes, id]``;
    ``["copy", id]`` of broadcasting.
    """
    found: dict[str, list[Any]] = {}
    for node in nodes:
        sources = [source.node for source in view.sources(node) if not source.shape_only]
        arrays = [values.get(n) for n in (node, *sources)]
        if node.op is None or not all(n in ids for n in sources):
            continue
        if not all(isinstance(x, (np.ndarray, np.generic)) for x in arrays):
            continue
        form = _form(node, [ids[source] for source in sources], values)
        if form and any(isinstance(x, np.ndarray) and x.ndim for x in arrays):
            found[ids[node]] = form
    return found


def _form(node: Node, inputs: list[str], values: Values) -> list[Any]:
    op = node.op
    if isinstance(op, Matmul):
        return ["matmul", *inputs]
    if isinstance(op, PerElement) and len(inputs) > 1:
        return ["each", *inputs]
    if isinstance(op, (BroadcastTo, BroadcastLike)):
        return ["copy", *inputs[:1]]
    if not isinstance(op, (Reduction, SumLike)) or node.inputs[0] not in values:
        return []
    before = np.shape(values[node.inputs[0]])
    if isinstance(op, Reduction):
        return ["sum", list(normalize_axes(op.axis, len(before))), *inputs[:1]]
    after = (0,) * (len(before) - np.ndim(values[node])) + np.shape(values[node])
    axes = [axis for axis, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return ["sum", axes, *inputs[:1]]
