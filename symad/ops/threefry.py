"""Threefry-2x32, the counter-based generator of random bits behind :mod:`symad.random`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Node, apply
from symad.graph.sample import Sample, integers
from symad.graph.scalar import ScalarBuilder, Value
from symad.ops.base import Elementwise, as_node, tensor_types
from symad.types import Type

WORD, PAIR = np.dtype("uint32"), np.dtype("uint64")

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_BLOCK = 1 << 14


def _words(
    add: Callable[..., Any],
    xor: Callable[..., Any],
    rotate: Callable[..., Any],
    constant: Callable[[int], Any],
    *inputs: Any,
) -> tuple[Any, Any]:
    """Return the two words of Threefry-2x32 with 20 rounds.

    From J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as
    1, 2, 3", SC11.
    """
    first, second, high, low = inputs
    keys = (first, second, xor(xor(first, second), constant(_PARITY)))
    x, y = add(high, first), add(low, second)
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            x = add(x, y)
            y = xor(rotate(y, bits), x)
        x = add(x, keys[(group + 1) % 3])
        y = add(add(y, keys[(group + 2) % 3]), constant(group + 1))
    return x, y


def _rotate(x: Any, bits: int) -> Any:
    return (x << WORD.type(bits)) | (x >> WORD.type(32 - bits))


def _threefry(first: Any, second: Any, high: Any, low: Any, part: str) -> Any:
    words = [np.asarray(word) for word in (first, second, high, low)]
    shape = np.broadcast_shapes(*[word.shape for word in words])
    flat = [x.reshape(1) if x.size == 1 else np.broadcast_to(x, shape).ravel() for x in words]
    result = np.empty(math.prod(shape), PAIR if part == "joined" else WORD)
    for start in range(0, result.size, _BLOCK):  # which stays in the cache
        here = slice(start, start + _BLOCK)
        inputs = [x if x.size == 1 else x[here] for x in flat]
        x, y = _words(np.add, np.bitwise_xor, _rotate, lambda n: np.array([n], WORD), *inputs)
        if part == "joined":
            result[here] = (x.astype(PAIR) << PAIR.type(32)) | y
        else:
            result[here] = {"first": x, "second": y}.get(part, x ^ y)
    return result.reshape(shape)[()]


class Threefry(Elementwise):
    """Random bits from two words of a key and two words of a counter, each a uint32.

    ``part`` says which bits of the two words of the result: the ``"first"`` or the ``"second"``
    word, their exclusive or (``"mixed"``), or both as a uint64 (``"joined"``).
    """

    part: str

    name = "threefry"
    in_expressions = False
    operations = 110
    numpy = staticmethod(_threefry)
    samples = tuple(
        Sample(lambda a, b, high, low, part=part: threefry(a, b, high, low, part),
               [integers(high=2**32, low=0, dtype="uint32")] * 2
               + [integers(2, 1, high=2, low=0, dtype="uint32"),
                  integers(3, low=0, high=2**32, dtype="uint32")], label=part)
        for part in ("first", "second", "mixed", "joined")
    )  # fmt: skip

    def infer(self, *types: Any) -> Type:
        if any(x.dtype != WORD for x in tensor_types(*types)):
            raise GraphTypeError(
                "the words of a key and of a counter must be uint32",
                remedy="Make a key with sm.random.key(seed), sm.random.split or sm.random.fold_in.",
            )
        return super().infer(*types)

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return PAIR if self.part == "joined" else WORD

    def operand_dtypes(self, *dtypes: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        return dtypes

    def scalar(self, builder: ScalarBuilder, *inputs: Value) -> Value:
        b = builder

        def constant(number: int) -> Value:
            return b.constant(number, WORD)

        def rotate(x: Value, bits: int) -> Value:
            high, low = b.left_shift(x, constant(bits)), b.right_shift(x, constant(32 - bits))
            return b.bitwise_or(high, low)

        x, y = _words(b.add, b.bitwise_xor, rotate, constant, *inputs)
        if self.part == "joined":
            high = b.multiply(b.cast(x, PAIR), b.constant(2**32, PAIR))
            return b.add(high, b.cast(y, PAIR))
        return {"first": x, "second": y}.get(self.part) or b.bitwise_xor(x, y)


def threefry(first: Node, second: Node, high: Any, low: Any, part: str) -> Node:
    """Return bits for each counter: see :class:`Threefry`."""
    return apply(Threefry(part), first, second, as_node(high), as_node(low))
