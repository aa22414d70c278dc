"""Checks of answers: an exercise is a function that raises :class:`Wrong` with a hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symad as sm

Test = Callable[[Any], None]
EXERCISES: dict[str, Test] = {}
"""All exercises by name, such as ``"tensors 2"``."""


class Wrong(Exception):
    """The answer is wrong; the message is a hint."""


class Verdict:
    """Whether an answer is right, with a hint if it is not.

    Attributes
    ----------
    right : bool
    message : str
    """

    def __init__(self, right: bool, message: str) -> None:
        self.right = right
        self.message = message

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message


def exercise(name: str) -> Callable[[Test], Test]:
    """Register a test of answers."""

    def register(test: Test) -> Test:
        EXERCISES[name] = test
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
        True or false; displayed as a sentence.

    Raises
    ------
    KeyError
        If there is no such exercise.

    Examples
    --------
    >>> check("four ways 1")
    Not answered yet.
    >>> check("four ways 1", 1)
    Not yet: Halve the step: by what power of two does the error shrink?
    >>> bool(check("four ways 1", 2))
    True
    """
    test = EXERCISES[name]
    if answer is ...:
        return Verdict(False, "Not answered yet.")
    try:
        test(answer)
    except Wrong as wrong:
        return Verdict(False, f"Not yet: {wrong}")
    except Exception as error:  # an answer may be code of any kind
        return Verdict(False, f"Not yet: {type(error).__name__}: {error}")
    return Verdict(True, "Right.")


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
