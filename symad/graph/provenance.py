"""The origin of a node: the user's source line, the scope, and the role in a derivative.

One record serves pictures, tables, explanations, error messages and NaN blame.  Nodes read it from
the *creation context* in force when they are made: ``scope`` sets the scope, the derivative
passes set the role, and code that rebuilds a graph copies all three from the old node.
"""

from __future__ import annotations

import linecache
import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from enum import StrEnum
from functools import lru_cache, wraps
from types import CodeType
from typing import Any, Generic, Protocol, TypeVar, cast

NodeT = TypeVar("NodeT")
"""The class of nodes: nodes have roles, and roles refer to nodes."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_EXAMPLES = _PACKAGE + "demo" + os.sep
_EAGER = _EXAMPLES + "eager.py"


class _Ours(dict[str, bool]):
    """Whether a file is symad's own, by its name."""

    def __missing__(self, filename: str) -> bool:
        is_example = filename.startswith(_EXAMPLES) and filename != _EAGER
        self[filename] = filename.startswith(_PACKAGE) and not is_example
        return self[filename]


_is_ours = _Ours()


def _cell(filename: str) -> str:
    """Return ``In[3]`` for the code of an IPython cell, and an empty text for other files."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    found = shell.compile.format_code_name(filename) if shell is not None else None
    return str(found[1]) if found else ""


EXPRESSION = "<expression>"
"""The file name of the text that :func:`symad.expression.read_expression` reads."""


@lru_cache(maxsize=256)
def _lines(code: CodeType) -> tuple[list[int], list[int]]:
    """Return the instruction offsets at which lines of ``code`` begin, and these lines."""
    starts, lines = [0], [code.co_firstlineno]
    for start, _, line in code.co_lines():
        if line is not None:
            starts.append(start)
            lines.append(line)
    return starts, lines


class Site:
    """A line of the user's source; file and line are determined only when needed."""

    __slots__ = ("_code", "_position")

    def __init__(self, code: CodeType | str, position: int) -> None:
        self._code = code
        self._position = position

    @staticmethod
    def capture(skipped: int = 1) -> Site:
        """Return the innermost line on the stack that is not symad's own, after some frames."""
        frame = sys._getframe(skipped)
        while _is_ours[frame.f_code.co_filename]:
            if frame.f_back is None:
                break
            frame = frame.f_back
        key = id(frame.f_code), frame.f_lasti  # code compares by value, and is slow to hash
        known = _SITES.get(key)
        if known is None:
            if len(_SITES) >= _MOST_SITES:
                _SITES.clear()
            known = _SITES[key] = Site(frame.f_code, frame.f_lasti)
        return known

    @property
    def filename(self) -> str:
        """The file, as Python names it."""
        return self._code if isinstance(self._code, str) else self._code.co_filename

    @property
    def line(self) -> int:
        """The line number, counted from 1."""
        if isinstance(self._code, str):
            return self._position
        starts, lines = _lines(self._code)
        return lines[bisect_right(starts, self._position) - 1]

    @property
    def source(self) -> str:
        """The text of the line; empty where the file cannot be read."""
        try:
            return linecache.getline(self.filename, self.line).strip()
        except (ValueError, UnicodeError):  # no file can have such a name
            return ""

    def place(self, short: bool = False) -> str:
        """Return ``src/file.py:12``, or ``file.py:12``; in a notebook's third cell ``In[3]:12``.

        For an expression given as text, the number is the column.
        """
        if self.filename == EXPRESSION:
            return f"column {self.line}"
        name = _cell(self.filename) or self.filename
        if short:
            name = name.replace("\\", "/").rpartition("/")[2]
        return f"{name}:{self.line}"

    def describe(self) -> str:
        """Return the place and the text of the line: ``file.py:12: y = x + 1``."""
        text = self.source
        return f"{self.place()}: {text}" if text else self.place()

    def __reduce__(self) -> tuple[type[Site], tuple[str, int]]:
        return Site, (self.filename, self.line)

    def __repr__(self) -> str:
        return f"Site({self.filename}:{self.line})"


_MOST_SITES = 4096
_SITES: dict[tuple[int, int], Site] = {}
"""Sites by their code and position; a site keeps its code, so that no other has the same id."""


class RoleKind(StrEnum):
    """The purpose of a node of a derivative."""

    SEED = "seed"
    PARTIAL = "partial"
    """The partial adjoint of one edge."""
    SUM = "sum"
    """The sum of the partial adjoints of one node."""
    REPAIR = "repair"
    """Converts a partial adjoint, or a tangent, to the shape and dtype of its node; fills in zeros
    where a node, or an item of it, has no adjoint."""
    LOCAL = "local"
    """A step inside a rule, such as the cosine in the derivative of a sine."""
    TANGENT = "tangent"


class Role(Generic[NodeT]):
    """The role of a node in a derivative.

    Attributes
    ----------
    kind : RoleKind
    generation : int
        1 for the derivative of a graph without derivatives, 2 for the derivative of that, ...
    node : Node
        The forward node whose adjoint (or tangent) this is or contributes to: k in v̄_{k→i}.
    consumer : Node or None
        For a node that belongs to one edge k → i: the forward node i.
    slot : int or None
        For a node that belongs to one edge: which argument of the consumer.
    """

    __slots__ = ("consumer", "generation", "kind", "node", "slot")

    # Not a frozen dataclass, which takes three times as long to make: derivatives make many.

    def __init__(
        self,
        kind: RoleKind,
        generation: int,
        node: NodeT,
        consumer: NodeT | None = None,
        slot: int | None = None,
    ) -> None:
        self.kind = kind
        self.generation = generation
        self.node = node
        self.consumer = consumer
        self.slot = slot

    def of_kind(self, kind: RoleKind) -> Role[NodeT]:
        """Return the same role of another kind."""
        return Role(kind, self.generation, self.node, self.consumer, self.slot)

    @property
    def is_of_form(self) -> bool:
        """Whether it is part of the stable form in place of which another node was written."""
        return self.kind is RoleKind.LOCAL and self.consumer is None


class Creation:
    """The context in which nodes are made; a replacement takes the replaced node as context."""

    __slots__ = ("role", "scope", "site")

    def __init__(
        self,
        scope: tuple[str, ...] = (),
        site: Site | None = None,
        role: Role[Any] | None = None,
    ) -> None:
        self.scope, self.site, self.role = scope, site, role


class Provenance(Protocol):
    """The origin of a node: a :class:`Creation`, or a node that it is made for."""

    @property
    def scope(self) -> tuple[str, ...]: ...
    @property
    def site(self) -> Site | None: ...
    @property
    def role(self) -> Role[Any] | None: ...


_creation: ContextVar[Provenance] = ContextVar("symad_creation", default=Creation())  # noqa: B039
current_creation = _creation.get


class creating:
    """Make nodes in ``context`` within a ``with`` block: with the scope, site and role of a node.

    It is a class because it is entered for each node, and a generator would be slower.
    """

    __slots__ = ("_context", "_token")

    def __init__(self, context: Provenance) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = _creation.set(self._context)

    def __exit__(self, *exception: object) -> None:
        _creation.reset(self._token)


AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def isolated(function: AnyFunction, /) -> AnyFunction:
    """Run a function that makes many nodes in a copy of the context.

    A signal may be handled between any two steps of ``creating``, also between what sets the
    context and the block that resets it; what remains set is then dropped with the copy.
    """

    @wraps(function)
    def calling(*args: Any, **keywords: Any) -> Any:
        return copy_context().run(function, *args, **keywords)

    return cast(AnyFunction, calling)


_trace: ContextVar[list[Any] | None] = ContextVar("symad_trace", default=None)
current_trace = _trace.get


@contextmanager
def tracing() -> Iterator[list[Any]]:
    """Collect the nodes that are made in a ``with`` block, apart from those in a block within."""
    made: list[Any] = []
    token = _trace.set(made)
    try:
        yield made
    finally:
        _trace.reset(token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Group the nodes made in a ``with`` block under ``name``, for pictures and tables.

    Parameters
    ----------
    name : str
        Scopes may be nested: nodes carry all names, outermost first.

    Returns
    -------
    context manager

    Examples
    --------
    >>> import symad as sm
    >>> with sm.scope("layer1"):
    ...     y = sm.sin(sm.Variable("x"))
    >>> y.scope
    ('layer1',)
    """
    context = current_creation()
    with creating(Creation((*context.scope, str(name)), context.site, context.role)):
        yield
