"""How a value on a chunk of a dimension is related to the value for the whole dimension."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

from symad.records import dataclass
from symad.types import Dimension, UnknownDim


@dataclass(frozen=True, slots=True)
class Monomial:
    """A product of sizes: a number, and symbolic dimensions with exponents."""

    number: int
    symbols: frozenset[tuple[Dimension, int]] = frozenset()

    def over(self, other: Monomial) -> Monomial | None:
        """Return the quotient, ``None`` if it is not a product of sizes."""
        if other.number == 0 or self.number % other.number:
            return None
        left = Counter(dict(self.symbols))
        left.subtract(dict(other.symbols))
        if min(left.values(), default=0) < 0:
            return None
        return Monomial(self.number // other.number, _powers(left))

    def __mul__(self, other: Monomial) -> Monomial:
        powers = Counter(dict(self.symbols)) + Counter(dict(other.symbols))
        return Monomial(self.number * other.number, _powers(powers))


def _powers(counted: Counter[Any]) -> frozenset[tuple[Dimension, int]]:
    return frozenset((dim, n) for dim, n in counted.items() if n)


def product_of(dims: Iterable[Dimension]) -> Monomial:
    """Return the product of dimensions.

    Examples
    --------
    >>> product_of((2, "batch", 3)) == product_of(("batch", 6))
    True
    """
    known = list(dims)
    number = math.prod(dim for dim in known if isinstance(dim, int))
    return Monomial(number, _powers(Counter(dim for dim in known if not isinstance(dim, int))))


ONE = Monomial(1)


@dataclass(frozen=True, slots=True)
class Replicated:
    """The same on every chunk as for the whole dimension."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """The values on the chunks, concatenated along ``axis``, are that for the whole dimension.

    The axis is ``times`` as long as the dimension.
    """

    axis: int
    times: Monomial = ONE


def agree(a: State, b: State) -> bool:
    """Return whether values are aligned on the same axis, as far as sizes are known.

    Axes of unknown sizes that meet are equally long, or else the whole function fails.
    """
    if not isinstance(a, Aligned) or not isinstance(b, Aligned) or a.axis != b.axis:
        return False
    symbols = {dim for dim, _ in a.times.symbols | b.times.symbols}
    return a.times == b.times or any(isinstance(dim, UnknownDim) for dim in symbols)


@dataclass(frozen=True, slots=True)
class Positions(Aligned):
    """The positions 0, 1, ... of the elements in the chunk, which only select these elements."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The values on the chunks, merged, are that for the whole dimension."""

    merge: str


@dataclass(frozen=True, slots=True)
class Combined:
    """Computed from merged values, so it is known to the caller only."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """A sum of aligned values, each times a combined number; the walk has the terms."""


@dataclass(frozen=True, slots=True)
class Items:
    """A structure with such items, in order."""

    items: tuple[State, ...]


State: TypeAlias = Replicated | Aligned | Partial | Combined | Scaled | Items
REPLICATED = Replicated()
COMBINED = Combined()
SCALED = Scaled()
SUM = Partial("sum")


class Mixed(Exception):
    """An op needs elements of several chunks at once."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy


class SecondRound(Mixed):
    """A value that is combined over the dimension comes back to single elements."""

    def __init__(self) -> None:
        super().__init__(
            "this needs a second round of communication: a value that is combined over the "
            "dimension comes back to single elements",
            "Return the combined value, and use it in a second function.",
        )
