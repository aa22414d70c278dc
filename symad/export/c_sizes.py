"""Sizes that C code takes as arguments: a file is a template of which examples are known.

Passes and code see numbers, so a graph is written for several examples of its dimensions, primes
beyond all sizes at which something else would be done.  The texts must be the same but for numbers,
and each number that differs must be the same polynomial of the dimensions in all examples, or a
float one divided by one: that takes its place.  More examples are used than a polynomial has
coefficients, so that others do not fit by chance.

What holds for large sizes need not hold for small ones: ``x[:10]`` has 10 elements, or fewer.  So
the shapes of all nodes are compared with those of small sizes, and the code refuses sizes below the
least for which they agree.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from symad.errors import ExportError, SymadError
from symad.graph.graph import Graph
from symad.ops.body import WithBody

_PRIMES = (
    2099, 2377, 2521, 2749, 3019, 3257, 3469, 3677, 3907, 4127, 4357, 4591, 4813, 5023, 5261, 5483,
    5711, 5939, 6163, 6389, 6607, 6833, 7057, 7283, 7507, 7727, 7951, 8179, 8387, 8609, 8831, 9059,
)  # fmt: skip
"""Sizes that are no multiple of anything, and in no simple ratio."""
_MORE = 2
"""How many examples there are beyond the coefficients of a polynomial."""
_DEGREE = {1: 4, 2: 3, 3: 2}
"""The highest degree of a polynomial, by the number of dimensions."""
_SMALL = (1, 2, 3, 4, 5, 7, 8, 11, 16, 31, 64, 127, 256, 509, 1021, 2039)

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?f?(?![\w.])")
_SIZES = tuple[int, ...]


def examples_of(dims: Sequence[str]) -> list[dict[str, int]]:
    """Return examples of the sizes of some dimensions.

    Raises
    ------
    ExportError
        If there are too many dimensions.
    """
    if len(dims) not in _DEGREE:
        raise ExportError(
            f"the sizes of {len(dims)} dimensions are not known: {', '.join(dims)}",
            remedy=f"Give some, up to {max(_DEGREE)} others: sm.export_c(f, path, sizes={{...}}).",
        )
    count = len(_monomials(len(dims))) + _MORE
    step = len(_PRIMES) // 3
    return [
        {name: _PRIMES[(k * (d + 1) + d * step) % len(_PRIMES)] for d, name in enumerate(dims)}
        for k in range(count)
    ]


def _monomials(count: int) -> list[tuple[int, ...]]:
    """Return the exponents of each monomial, lowest degrees first."""
    degrees = itertools.product(range(_DEGREE[count] + 1), repeat=count)
    return sorted((d for d in degrees if sum(d) <= _DEGREE[count]), key=lambda d: (sum(d), d))


class SizeFormulas:
    """Finds polynomials of some sizes that have given values in all examples.

    Parameters
    ----------
    names : sequence of str
        The dimensions, as they are written in formulas.
    examples : sequence of tuple of int
        Their sizes.
    """

    def __init__(self, names: Sequence[str], examples: Sequence[_SIZES]) -> None:
        self._names, self._examples = names, examples
        self._exponents = _monomials(len(names))
        rows = [[self._value(m, sizes) for m in self._exponents] for sizes in examples]
        self._inverse = _inverse(rows[: len(self._exponents)])
        self._rows = rows
        self._known: dict[tuple[str, ...], str | None] = {}

    @staticmethod
    def _value(exponents: tuple[int, ...], sizes: _SIZES) -> int:
        return math.prod(n**e for n, e in zip(sizes, exponents, strict=True))

    def text(self, numbers: tuple[str, ...]) -> str | None:
        """Return the formula for a number that is written differently in each example."""
        if numbers not in self._known:
            is_float = any(c in number for number in numbers for c in ".ef")
            self._known[numbers] = (self._float if is_float else self._integer)(numbers)
        return self._known[numbers]

    def coefficients(self, values: Sequence[int]) -> list[int] | None:
        """Return the integer coefficients of the polynomial with these values, if there is one."""
        first = values[: len(self._inverse)]
        found = [sum(a * b for a, b in zip(row, first, strict=True)) for row in self._inverse]
        if any(c.denominator != 1 for c in found):
            return None
        whole = [int(c) for c in found]
        for row, value in zip(self._rows, values, strict=True):
            if sum(a * b for a, b in zip(row, whole, strict=True)) != value:
                return None
        return whole

    def at(self, coefficients: Sequence[int], sizes: _SIZES) -> int:
        """Return the value of a polynomial for some sizes."""
        terms = zip(self._exponents, coefficients, strict=True)
        return sum(c * self._value(m, sizes) for m, c in terms if c)

    def _integer(self, numbers: Sequence[str]) -> str | None:
        found = self.coefficients([int(number) for number in numbers])
        return None if found is None else self._formula(found)

    def _formula(self, coefficients: Sequence[int]) -> str:
        text = ""
        for exponents, c in reversed([*zip(self._exponents, coefficients, strict=True)]):
            if not c:
                continue
            factors = [n for n, e in zip(self._names, exponents, strict=True) for _ in range(e)]
            if abs(c) != 1 or not factors:
                factors.insert(0, str(abs(c)))
            sign = "-" if c < 0 else "+"
            term = " * ".join(factors)
            text = f"{text} {sign} {term}" if text else term if c > 0 else f"-{term}"
        return text if re.fullmatch(r"\w+", text) else f"({text})"

    def _float(self, numbers: Sequence[str]) -> str | None:
        """Return a polynomial, or a number divided by a monomial, that has exactly these values."""
        single = numbers[0].endswith("f")
        type_, to = ("float", np.float32) if single else ("double", np.float64)
        values = [to(number.rstrip("f")) for number in numbers]
        if all(value == int(value) for value in values):
            found = self.coefficients([int(value) for value in values])
            if found is not None:
                return f"({type_}){self._formula(found)}"
        for exponents in self._exponents[1:]:
            sizes = [self._value(exponents, example) for example in self._examples]
            product = float(values[0]) * sizes[0]
            for above in (float(round(product)), product):
                if all(to(above / n) == v for n, v in zip(sizes, values, strict=True)):
                    terms = zip(self._names, exponents, strict=True)
                    below = " * ".join(name for name, e in terms for _ in range(e))
                    return f"({type_})({above!r} / (double)({below}))"
        return None


def _inverse(rows: Sequence[Sequence[int]]) -> list[list[Fraction]]:
    """Return the inverse of a matrix, by Gauss and Jordan."""
    count = len(rows)
    work = [
        [*map(Fraction, row), *(Fraction(i == k) for k in range(count))]
        for i, row in enumerate(rows)
    ]
    for k in range(count):
        best = next(i for i in range(k, count) if work[i][k])
        work[k], work[best] = work[best], work[k]
        pivot = work[k][k]
        work[k] = [value / pivot for value in work[k]]
        for i in range(count):
            factor = work[i][k]
            if i != k and factor:
                work[i] = [a - factor * b for a, b in zip(work[i], work[k], strict=True)]
    return [row[count:] for row in work]


def template(texts: Sequence[str], formulas: SizeFormulas) -> str:
    """Return the text with formulas in place of the numbers that differ between examples.

    Raises
    ------
    ExportError
        If the texts differ in something else, or there is no formula for a number.
    """
    parts = [_NUMBER.split(text) for text in texts]
    if any(part != parts[0] for part in parts[1:]):
        raise _no_formula("what is computed depends on them")
    made = [parts[0][0]]
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    for numbers, rest in zip(columns, parts[0][1:], strict=True):
        text = numbers[0] if len(set(numbers)) == 1 else formulas.text(numbers)
        if text is None:
            raise _no_formula(f"there is no formula for the number {numbers[0]}")
        made += (text, rest)
    return "".join(made)


def _no_formula(why: str) -> ExportError:
    return ExportError(
        f"sizes that are not known cannot be arguments in C: {why}",
        remedy="Give them: sm.export_c(f, path, sizes={'batch': 100}).",
    )


Specialised = Callable[[Mapping[str, int]], Graph]


def least_sizes(
    dims: Sequence[str],
    examples: Sequence[Mapping[str, int]],
    formulas: SizeFormulas,
    specialised: Specialised,
) -> list[int]:
    """Return the least size of each dimension for which all shapes are as in the examples."""
    shapes = [_shapes(specialised(example)) for example in examples]
    if any(len(found) != len(shapes[0]) for found in shapes):
        raise _no_formula("what is computed depends on them")
    wanted = [formulas.coefficients(values) for values in zip(*shapes, strict=True)]
    if None in wanted:
        raise _no_formula("a size is no polynomial of them")

    def agrees(dim: str, n: int) -> bool:
        sizes = {**examples[0], dim: n}
        try:
            found = _shapes(specialised(sizes))
        except SymadError:
            return False
        numbers = tuple(sizes[name] for name in dims)
        return found == [formulas.at(c, numbers) for c in wanted if c is not None]

    return [_least(partial(agrees, dim)) for dim in dims]


def _least(agrees: Callable[[int], bool]) -> int:
    """Return the least size from which on all sizes agree."""
    wrong = max((n for n in _SMALL if not agrees(n)), default=0)
    right = min(n for n in (*_SMALL, _PRIMES[0]) if n > wrong)
    while right - wrong > 1:
        middle = (right + wrong) // 2
        wrong, right = (wrong, middle) if agrees(middle) else (middle, right)
    return right


def _shapes(graph: Graph) -> list[int]:
    """Return the sizes of all axes of all nodes, in bodies as well."""
    found: list[int] = []
    pending = [graph]
    while pending:
        graph = pending.pop()
        for node in (*graph.inputs, *graph.nodes):
            shape = getattr(node.type, "shape", ())
            found += [n for n in shape if isinstance(n, int)] if isinstance(shape, tuple) else []
            if isinstance(node.op, WithBody):
                pending += node.op.bodies
    return found
