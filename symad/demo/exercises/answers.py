"""Checks of answers: an exercise is a function that raises :class:`Wrong` with a hint."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from traceback import walk_tb
from typing import Any, NamedTuple

import numpy as np

import symad as sm
from symad.errors import SymadError, did_you_mean
from symad.visible import visible

Test = Callable[[Any], None]
_LONGEST = 1000
"""The characters of a message; an answer may raise an error with any text."""
_LONGEST_REASON = 160


class Exercise(NamedTuple):
    """What tests an answer, and the form of an answer: "a number"."""

    test: Test
    form: str


_NUMBERS = ("a number", "a whole number")

EXERCISES: dict[str, Exercise] = {}
"""All exercises by name, such as ``"tensors 2"``."""

SOLVED: set[str] = set()
"""The exercises that were answered right in this process."""


class Wrong(Exception):
    """The answer is wrong; the message is a hint."""


class NoSuchExercise(SymadError, KeyError):
    """There is no exercise by that name."""

    __str__ = SymadError.__str__


class Verdict:
    """Whether an answer is right, with a hint if it is not.

    Attributes
    ----------
    right : bool
    message : str
    answered : bool
        Whether there is an answer.
    """

    def __init__(self, right: bool, message: str, answered: bool = True) -> None:
        self.right = right
        self.message = visible(message, _LONGEST)
        self.answered = answered

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        """Green, orange, or grey without an answer; a sign says the same without colour."""
        colour, sign = ("#1a7f37", "✓") if self.right else ("#b35900", "✗")
        if not self.answered:
            colour, sign = "#59636e", "…"
        bar = f"border-left:4px solid {colour};padding:2px 10px"
        text = escape(self.message)
        return f'<div style="{bar}"><b style="color:{colour}">{sign}</b> {text}</div>'


def exercise(name: str, form: str) -> Callable[[Test], Test]:
    """Register a test of answers of a form, such as "a pair (y, x) of nodes"."""

    def register(test: Test) -> Test:
        EXERCISES[name] = Exercise(test, form)
        return test

    return register


def check(name: str, answer: Any = ...) -> Verdict:
    """Return whether ``answer`` is a right answer to an exercise.

    Parameters
    ----------
    name : str
        The notebook and the number, such as ``"tensors 2"``.
    answer : object
        The answer to the exercise; ``...`` means no answer yet.

    Returns
    -------
    Verdict
        True or false; displayed as a sentence, in a notebook with a colour.

    Raises
    ------
    NoSuchExercise
        The message names the exercises that there are.

    Examples
    --------
    >>> check("four ways 1")
    Not answered yet.
    >>> check("four ways 1", 1)
    Not yet: Halve the step: by what power of two does the error shrink?
    >>> check("four ways 1", "two")
    Not yet: Give a number.
    >>> bool(check("four ways 1", 2))
    True
    """
    if name not in EXERCISES:
        raise NoSuchExercise(
            f"there is no exercise {name!r}.{did_you_mean(str(name), EXERCISES)}",
            remedy=f"There are {', '.join(sorted(EXERCISES))}.",
        )
    test, form = EXERCISES[name]
    if answer is ...:
        return Verdict(False, "Not answered yet.", answered=False)
    if form in _NUMBERS and not isinstance(answer, sm.Node) and not _is_number(answer):
        return Verdict(False, f"Not yet: Give {form}.")
    try:
        test(answer)
    except Wrong as wrong:
        return Verdict(False, f"Not yet: {wrong}")
    except SymadError as error:
        reason = visible(error.message, _LONGEST_REASON).rstrip(".")
        return Verdict(False, f"Not yet: {reason}. An answer is {form}.")
    except Exception as error:  # an answer may be code of any kind
        if form.startswith("a function") and _is_raised_outside(error):
            return Verdict(False, f"Not yet: your function raises {type(error).__name__}: {error}")
        return Verdict(False, f"Not yet: Give {form}.")
    SOLVED.add(name)
    return Verdict(True, f"Right. {len(SOLVED)} of {len(EXERCISES)} exercises are solved.")


def _is_number(answer: Any) -> bool:
    """Return whether an answer is one real number, of any type."""
    if answer is None or isinstance(answer, (bool, np.bool_, str)):
        return False
    try:
        return np.asarray(answer, dtype=float).ndim == 0
    except (TypeError, ValueError):
        return False


def _is_raised_outside(error: Exception) -> bool:
    """Return whether an error was raised in code that an exercise called, not in its own code."""
    *_, (innermost, _) = walk_tb(error.__traceback__)
    return not str(innermost.f_globals.get("__name__")).startswith(__package__)


def require(condition: Any, hint: str) -> None:
    """Reject the answer with a hint unless ``condition`` holds."""
    if not condition:
        raise Wrong(hint)


def close(a: Any, b: Any) -> bool:
    """Return whether numbers or arrays agree, shapes included, to six digits."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


def adjoint_of(y: sm.Node, x: sm.Node) -> sm.Node:
    """Return the adjoint of ``x``."""
    return sm.extend(y, [x]).adjoints[x]
