"""Data classes like those of the standard library, which take a fraction of the time to define.

The standard decorator writes Python source for each class and compiles it, which takes up to a
millisecond: for the classes that the first call of a function needs, this was more than everything
else that the call does.  Here, the methods are written once, as closures over the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, FrozenInstanceError, field
from inspect import Parameter, Signature
from operator import attrgetter
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

__all__ = ["cached_property", "dataclass", "field", "replace"]

Record = TypeVar("Record")
_Fields = dict[str, Field[Any]]

_FIELDS = "_record_fields"
"""The attribute of a class with its fields by name."""


@overload
def dataclass(cls: type[Record], /) -> type[Record]: ...


@overload
def dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True, weakref_slot: bool = False
) -> Callable[[type[Record]], type[Record]]: ...


@dataclass_transform(field_specifiers=(field,))
def dataclass(
    cls: Any = None,
    /,
    *,
    frozen: bool = False,
    slots: bool = False,
    eq: bool = True,
    weakref_slot: bool = False,
) -> Any:
    """Do what :func:`dataclasses.dataclass` does with these options.

    Examples
    --------
    >>> @dataclass(frozen=True, slots=True)
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> Point(1.0), Point(1.0) == Point(y=0.0, x=1.0)
    (Point(x=1.0, y=0.0), True)
    """

    def make(cls: type[Any]) -> type[Any]:
        fields = _take_fields(cls)
        if slots:
            cls = _with_slots(cls, fields, weakref_slot)
        setattr(cls, _FIELDS, fields)
        for name, method in _methods(cls, fields, slots, frozen, eq):
            if vars(cls).get(name) is None:  # __hash__ is None where only __eq__ is defined
                setattr(cls, name, method)
        return cls

    return make if cls is None else make(cls)


def replace(record: Record, /, **changes: Any) -> Record:
    """Return a record like another one, with other values of some fields.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     y: float
    >>> replace(Point(1.0, 2.0), y=3.0)
    Point(x=1.0, y=3.0)
    """
    fields = getattr(record, _FIELDS)
    values = [changes.pop(name) if name in changes else getattr(record, name) for name in fields]
    return type(record)(*values, **changes)  # which refuses what is no field


def _take_fields(cls: type[Any]) -> _Fields:
    """Return the fields of a class, those of its bases first; let no specifier be its attribute."""
    fields: _Fields = dict(getattr(cls, _FIELDS, {}))
    for name, hint in vars(cls).get("__annotations__", {}).items():
        if "ClassVar" not in str(hint):
            given = vars(cls).get(name, MISSING)
            fields[name] = given if isinstance(given, Field) else field(default=given)
            fields[name].type = hint
            if isinstance(given, Field):
                delattr(cls, name)
    return fields


def _with_slots(cls: type[Any], fields: _Fields, has_weak_references: bool) -> type[Any]:
    """Return a class like ``cls`` with slots, which a class must have from its beginning."""
    inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
    slots = [name for name in fields if name not in inherited]
    without = {*slots, "__dict__", "__weakref__"}
    space = {key: value for key, value in vars(cls).items() if key not in without}
    space["__slots__"] = (*slots, "__weakref__") if has_weak_references else tuple(slots)
    kind: Any = type(cls)
    made: type[Any] = kind(cls.__name__, cls.__bases__, space)
    made.__qualname__ = cls.__qualname__
    return made


def _methods(
    cls: type[Any], fields: _Fields, has_slots: bool, is_frozen: bool, has_equality: bool
) -> Iterator[tuple[str, Any]]:
    yield "__init__", _initialiser(cls, fields)
    yield "__repr__", _represented
    yield "__match_args__", tuple(fields)
    yield "__signature__", _LazySignature(fields)
    if has_slots:
        yield "__getstate__", _state
        yield "__setstate__", _set_state
    if is_frozen:
        yield "__setattr__", _refuse
        yield "__delattr__", _refuse
    if has_equality:
        content = _getter(tuple(fields))
        yield "__eq__", _equality(content)
        yield "__hash__", (lambda self: hash(content(self))) if is_frozen else None


def _initialiser(cls: type[Any], fields: _Fields) -> Callable[..., None]:
    count = len(fields)
    slots = [getattr(cls, name, None) for name in fields]
    if all(isinstance(slot, MemberDescriptorType) for slot in slots):
        puts = [slot.__set__ for slot in slots if slot is not None]

        def initialise(self: Any, *given: Any, **named: Any) -> None:
            values = given if len(given) == count and not named else complete(given, named)
            for put, value in zip(puts, values):  # noqa: B905 the lengths are the same
                put(self, value)
    else:

        def initialise(self: Any, *given: Any, **named: Any) -> None:
            values = given if len(given) == count and not named else complete(given, named)
            for name, value in zip(fields, values):  # noqa: B905
                object.__setattr__(self, name, value)

    def complete(given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        return _completed(cls.__name__, fields, given, named)

    return initialise


def _completed(
    title: str, fields: _Fields, given: tuple[Any, ...], named: dict[str, Any]
) -> list[Any]:
    """Return the values of all fields."""
    values = list(given)
    for name, specifier in list(fields.items())[len(given) :]:
        if name in named:
            values.append(named.pop(name))
        elif specifier.default is not MISSING:
            values.append(specifier.default)
        elif specifier.default_factory is not MISSING:
            values.append(specifier.default_factory())
        else:
            raise TypeError(f"{title} needs an argument {name!r}")
    if named or len(values) > len(fields):
        raise TypeError(f"{title} takes each of {', '.join(fields) or 'no arguments'} once")
    return values


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that returns some attributes."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])


def _equality(content: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, Any], Any]:
    def __eq__(self: Any, other: Any) -> Any:
        return content(self) == content(other) if type(self) is type(other) else NotImplemented

    return __eq__


@recursive_repr()
def _represented(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in getattr(self, _FIELDS))
    return f"{type(self).__qualname__}({values})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in getattr(self, _FIELDS)]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(getattr(self, _FIELDS), state, strict=True):
        object.__setattr__(self, name, value)


def _refuse(self: Any, name: str, *value: Any) -> None:
    """Set or delete no attribute."""
    raise FrozenInstanceError(f"cannot change {name!r} of a {type(self).__name__}")


class _LazySignature:
    """What :func:`inspect.signature` shows for a class."""

    def __init__(self, fields: _Fields) -> None:
        self._fields = fields

    def __get__(self, instance: Any, owner: type[Any]) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        found = []
        for name, specifier in self._fields.items():
            has_factory = specifier.default_factory is not MISSING
            default = ... if has_factory else specifier.default
            found.append(
                Parameter(
                    name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if default is MISSING else default,
                    annotation=specifier.type,
                )
            )
        return Signature(found)


if TYPE_CHECKING:
    from functools import cached_property as cached_property
else:

    class cached_property:
        """As :class:`functools.cached_property`, without a lock.

        Before Python 3.12, one lock is shared by all objects of a class: no two threads could
        compile at a time, and a process that forks meanwhile would leave its child a lock that
        nobody releases.
        """

        def __init__(self, function: Callable[[Any], Any]) -> None:
            self.func, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.attrname = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = instance.__dict__[self.attrname] = self.func(instance)
            return value
