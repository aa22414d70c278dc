"""Numbers that record what is computed from them, so that it can be computed for other numbers.

A program depends on the sizes of its inputs in two ways: numbers in it are computed from them, and
they decide which program it is.  While a program is made, :class:`Traced` numbers may stand for
sizes.  A :class:`Tape` then has each computation with them, and the answer to each question about
them.  For other sizes for which all answers are the same, these steps give the numbers in the
program that would be made for them.  :func:`symad.graph.node.computed` lets a function be a step.

A traced number is not an ``int``, although ``isinstance`` takes it for one.  Whatever needs its
value must ask for it, by ``__index__`` or ``__float__``, and the program is not recorded then.  So
nothing that depends on a size is missed.  Only what dictionaries ask cannot be noted: numbers that
they hold must differ from all others that they may hold.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

OTHERS = (1000003, 1000033, 1000037, 1000039, 1000081, 1000099, 1000117, 1000121)
"""Sizes that do not occur: numbers that are equal for them have the same hash."""
_MOST_STEPS = 20_000
_PLAIN = (int, float, str, bytes, type(None), np.generic, np.dtype)
"""Types of operands that are equal if they are written in the same way."""


class TapeError(BaseException):
    """A program cannot be recorded; no error that the maker of the program may expect."""


class Tape:
    """The steps from some numbers to others, and the answers that depend on them.

    Parameters
    ----------
    values : sequence of int
        The numbers to begin with, not more than :data:`OTHERS`.

    Attributes
    ----------
    variables : list of Traced
        The numbers to begin with, which stand for any.
    values : list
        All numbers, with constants.
    steps : list
        The function that computed each, and the places of its operands; ``None`` for variables and
        constants.
    answers : dict from int to bool
        The answers, by the places of the questions.
    hashed : dict
        The place of a number for each hash that was asked for.

    Examples
    --------
    >>> tape = Tape([3])
    >>> (n,) = tape.variables
    >>> recording = Recording(tape, ("words", [8 * n if n < 10 else n]))
    >>> recording([5]), recording([50])
    (('words', [40]), None)
    """

    def __init__(self, values: Sequence[int]) -> None:
        self.steps: list[tuple[Callable[..., Any], tuple[int, ...]] | None] = []
        self.values: list[Any] = []
        self.answers: dict[int, bool] = {}
        self.hashed: dict[Hashable, int] = {}
        self._known: dict[Any, Traced] = {}
        self.variables = [self._add(*pair) for pair in zip(values, OTHERS, strict=False)]

    def apply(self, function: Callable[..., Any], *operands: Any) -> Traced:
        """Return the result of a function that depends on nothing but its operands."""
        if has_traced(function):
            raise TapeError("a kernel has traced attributes")
        traced = [self._traced(operand) for operand in operands]
        key = function, *[each.index for each in traced]
        found = self._known.get(key)
        if found is None:
            value = function(*[each.value for each in traced])
            other = _attempt(function, [each.other for each in traced])
            if np.shape(value) != np.shape(other):
                raise TapeError("a size is that of an array on the tape")
            found = self._known[key] = self._add(value, other, (function, key[1:]))
        return found

    def answer(self, question: Callable[..., Any], *operands: Any) -> bool:
        """Return the answer to a question, on which the program depends from now on."""
        made = self.apply(question, *operands)
        self.answers[made.index] = found = bool(made.value)
        return found

    def close(self) -> None:
        """Forget all steps: caches may keep some of the numbers."""
        for held in (self.values, self.steps, self.answers, self.hashed, self._known):
            held.clear()

    def _traced(self, operand: Any) -> Traced:
        if type(operand) is Traced:
            if operand.tape is not self:
                raise TapeError("a number is on another tape")
            return operand
        if isinstance(operand, _PLAIN) or operand is _NO_INDICES:
            key: Any = type(operand), repr(operand)
        elif isinstance(operand, np.ndarray) and operand.dtype != object:
            key = id(operand)
        else:  # traced numbers may be in it
            raise TapeError(f"an operand is a {type(operand).__name__}")
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._add(operand, operand)
        return found

    def _add(self, value: Any, other: Any, step: Any = None) -> Traced:
        if len(self.values) >= _MOST_STEPS:
            raise TapeError("too many steps")
        self.values.append(value)
        self.steps.append(step)
        return Traced(self, len(self.values) - 1, value, other)


def _attempt(function: Callable[..., Any], operands: Sequence[Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(*operands)
    except Exception:  # for sizes that do not occur
        return object()


class Traced:
    """A number, a NumPy scalar, a read-only array or its bytes, on a tape.

    Attributes
    ----------
    tape : Tape
    index : int
        Its place on the tape.
    value
        That for the sizes for which the program is made.
    other
        That for sizes that do not occur.
    """

    __slots__ = ("index", "other", "tape", "value")

    def __init__(self, tape: Tape, index: int, value: Any, other: Any) -> None:
        self.tape, self.index, self.value, self.other = tape, index, value, other

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.value)

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return lambda *given: self.tape.apply(_METHODS[name], self, *given)
        if name in _OF_TYPE:
            return getattr(self.value, name)
        if hasattr(self.value, name):
            raise TapeError(f"{name} of a traced number")
        raise AttributeError(name)

    def __hash__(self) -> int:
        if type(self.other) is type(self.value) and self.other == self.value:
            self.tape.answer(_are_same, self, self.value)
            return hash(self.value)
        self.tape.hashed.setdefault((type(self.value), self.other), self.index)
        return hash((id(self.tape), self.other))

    def __repr__(self) -> str:
        return f"<{self.other!r}>"

    def __bool__(self) -> bool:
        return self.tape.answer(bool, self)

    def __divmod__(self, by: Any) -> tuple[Any, Any]:
        return self // by, self % by

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.required(), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            raise TapeError(f"{ufunc.__name__}.{method} of a traced number")
        return self.tape.apply(ufunc, *operands)

    def __reduce__(self) -> NoReturn:
        raise TapeError("a traced number is copied")

    def required(self) -> Any:
        """Return the value if it does not depend on sizes, as far as the other value shows."""
        if not _are_same(self.value, self.other):
            raise TapeError("a size must be known")
        self.tape.answer(_are_same, self, self.value)
        return self.value


def _are_same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.tobytes() == b.tobytes())
    return type(a) is type(b) and repr(a) == repr(b)


# The operators of traced numbers

_NO_INDICES = ()
_OF_TYPE = {"dtype", "shape", "ndim", "size", "nbytes", "itemsize", "flags", "__array_interface__"}
"""Attributes that are the same for all numbers in an array, or where it is in memory."""
_METHODS: dict[str, Callable[..., Any]] = {
    "item": lambda array: array.item(),
    "tobytes": lambda array: array.tobytes(),
    "all": lambda array: array.all(),
    "any": lambda array: array.any(),
    "bit_length": int.bit_length,
    "is_integer": lambda number: number.is_integer(),
}
_OF_TWO = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift",
           "rshift")  # fmt: skip
_OF_ONE = ("neg", "pos", "abs", "invert")
_QUESTIONS = ("eq", "ne", "lt", "le", "gt", "ge")
_DEMANDS: dict[str, Callable[..., Any]] = {
    "index": operator.index, "int": int, "float": float, "complex": complex, "str": str,
    "format": format, "len": len, "iter": iter, "bytes": bytes, "round": round,
}  # fmt: skip


def _add_operators() -> None:
    found: dict[str, Callable[..., Any]] = {"getitem": _recorded(operator.getitem)}
    for name in (*_OF_TWO, *_OF_ONE):
        found[name] = _recorded(getattr(operator, f"__{name}__"))
    for name in _OF_TWO:
        found[f"r{name}"] = _reflected(getattr(operator, f"__{name}__"))
    for name in _QUESTIONS:
        found[name] = _asked(getattr(operator, name))
    for name, convert in _DEMANDS.items():
        found[name] = _demanded(convert)
    for name, method in found.items():
        setattr(Traced, f"__{name}__", method)


def _recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *rest: a.tape.apply(function, a, *rest)


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: a.tape.apply(function, b, a)


def _asked(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(a: Traced, b: Any) -> Any:
        is_value = isinstance(b, (*_PLAIN, np.ndarray))
        return a.tape.answer(function, a, b) if is_value else NotImplemented

    return method


def _demanded(convert: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *rest: convert(a.required(), *rest)


_add_operators()


class Recording:
    """The steps from some numbers to others, as far as a result needs them.

    Parameters
    ----------
    tape : Tape
    content : nested lists and tuples
        The result, with traced numbers.
    others : iterable
        The values that are in dictionaries with traced numbers, which must not be equal to them.
    """

    def __init__(self, tape: Tape, content: Any, others: Iterable[Hashable] = ()) -> None:
        self._content, self._others = content, frozenset(others)
        self._hashed = {place: type(tape.values[place]) for place in tape.hashed.values()}
        needed = {*tape.answers, *self._hashed, *_places(content)}
        self._values = list(tape.values)
        steps = []
        for place in reversed(range(len(self._values))):
            step = tape.steps[place]
            if step is None:
                continue
            self._values[place] = None
            if place in needed:
                needed.update(step[1])
                steps.append((place, *step, tape.answers.get(place)))
        self._steps = steps[::-1]
        self._content = _untied(content)

    def __call__(self, numbers: Sequence[int]) -> Any:
        """Return the result for other numbers, ``None`` if it may not be of this form."""
        values = list(self._values)
        values[: len(numbers)] = numbers
        try:
            for place, function, operands, answer in self._steps:
                made = values[place] = function(*[values[k] for k in operands])
                if answer is not None and bool(made) is not answer:
                    return None
        except Exception:  # of what the maker of the program would have run into, too
            return None
        found = {(kind, values[place]) for place, kind in self._hashed.items()}
        if len(found) < len(self._hashed) or any(v in self._others for _, v in found):
            return None
        return _filled(self._content, values)


class _Place(int):
    """Stands for the number at a place on a tape."""


def has_traced(content: Any) -> bool:
    """Return whether traced numbers are in nested lists and tuples, or bound to a function."""
    return bool(_places(content))


def _places(content: Any) -> list[int]:
    if type(content) is Traced:
        return [content.index]
    if isinstance(content, partial):
        content = [*content.args, *content.keywords.values()]
    if isinstance(content, (list, tuple)):
        return [place for item in content for place in _places(item)]
    return []


def _untied(content: Any) -> Any:
    if type(content) is Traced:
        return _Place(content.index)
    if isinstance(content, (list, tuple)):
        return type(content)([_untied(item) for item in content])
    return content


def _filled(content: Any, values: Sequence[Any]) -> Any:
    if type(content) is _Place:
        return values[content]
    if isinstance(content, (list, tuple)):
        return type(content)([_filled(item, values) for item in content])
    return content
