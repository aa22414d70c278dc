"""The exceptions that symad raises.

Every error that a user can cause derives from :class:`SymadError`, and its message has up to four
parts: what is wrong, where (the user's file and line), the types involved, and the remedy.
A fault in symad itself is an :class:`InternalError`, which says so and asks for a report.
"""

from __future__ import annotations

from collections.abc import Iterable


class SymadError(Exception):
    """Base of all errors raised by symad; each also derives from a built-in error where one fits.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    where : str, optional
        The user's source line, as :meth:`symad.graph.provenance.Site.describe` formats it.
    remedy : str, optional
        What to do about it.

    Examples
    --------
    >>> import symad as sm
    >>> try:
    ...     sm.Variable("x", shape=(3,)) + sm.Variable("y", shape=(4,))
    ... except sm.SymadError as error:
    ...     print(error.message)
    add(x: f64[3], y: f64[4]): shapes (3,) and (4,) cannot be broadcast together
    """

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        parts = [message]
        if where:
            parts.append(f"  made at {where}")
        if remedy:
            parts.append(f"  {remedy}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.where, self.remedy)


def _rebuild(kind: type[SymadError], message: str, where: str, remedy: str) -> SymadError:
    return kind(message, where=where, remedy=remedy)


class GraphTypeError(SymadError, TypeError):
    """An op was applied to values of a kind or dtype that it does not accept."""


class ShapeError(SymadError, ValueError):
    """Shapes do not match."""


class GradientError(SymadError, ValueError):
    """A requested gradient does not exist."""


class FeedError(SymadError, ValueError):
    """A value is missing, unknown, extra, or of the wrong type or shape for its input."""


class EvaluationError(SymadError, RuntimeError):
    """An op failed while a graph was running."""


class GraphError(SymadError, ValueError):
    """A graph is malformed: a cycle, a foreign object, a missing input."""


class ExpressionError(SymadError, ValueError):
    """The text of an expression is not one that symad can read."""


class MissingExtraError(SymadError, ImportError):
    """A requested feature needs a package that is not installed."""


class SavedGraphError(SymadError, ValueError):
    """Something cannot be saved, or a file is not a saved graph, or is damaged."""


class ExportError(SymadError, ValueError):
    """Another system has nothing for an op of a graph."""


class DistributionError(SymadError, ValueError):
    """A function cannot be computed in chunks of a dimension, or a chunk failed."""


class RenderError(SymadError, RuntimeError):
    """A picture cannot be drawn."""


class InternalError(SymadError, AssertionError):
    """A fault in symad itself."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        remedy = remedy or "This is a fault in symad: please report it with the code that shows it."
        super().__init__(message, where=where, remedy=remedy)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string.

    Examples
    --------
    >>> did_you_mean("weigths", ["weights", "bias"])
    " Did you mean 'weights'?"
    """
    import difflib  # slow to import

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
