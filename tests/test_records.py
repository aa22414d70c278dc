"""Records behave as the data classes of the standard library do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from symad import records


def define(dataclass: Callable[..., Any], field: Callable[..., Any]) -> list[type[Any]]:
    """Return classes of all kinds that symad has."""

    @dataclass(frozen=True, slots=True)
    class Frozen:
        """A class with methods and defaults."""

        shared: ClassVar[list[int]] = [7]
        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)

        @property
        def total(self) -> int:
            return self.x + self.y

    @dataclass(frozen=True)
    class WithAttributes(Frozen):  # type: ignore[misc, valid-type]
        z: int = 3

    @dataclass(frozen=True, slots=True)
    class Longer(Frozen):  # type: ignore[misc, valid-type]
        z: int = 3

    @dataclass
    class Open:
        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)

    @dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
    class Identity:
        x: int
        y: int = 2

    @dataclass(frozen=True, slots=True)
    class Alone:
        x: int

        def __repr__(self) -> str:
            return "mine"

        def __hash__(self) -> int:
            return 5

    @dataclass(frozen=True, slots=True)
    class Empty:
        pass

    return [Frozen, WithAttributes, Longer, Open, Identity, Alone, Empty]


OURS = define(records.dataclass, records.field)
THEIRS = define(dataclasses.dataclass, dataclasses.field)
PAIRS = pytest.mark.parametrize(
    ("ours", "theirs"), list(zip(OURS, THEIRS, strict=True)), ids=[c.__name__ for c in OURS]
)


def outcome(function: Callable[[], Any]) -> Any:
    """Return what a function returns, or the class of its error."""
    try:
        return function()
    except Exception as error:
        return type(error)


@PAIRS
@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), ((1,), {}), ((1, 2), {}), ((), {"x": 1}), ((1,), {"x": 1}), ((1,), {"y": 5}),
     ((1,), {"w": 1}), ((1, 2, ["a"]), {}), ((1, 2, ["a"], 4), {}), ((1, 2, ["a"], 4, 5), {})],
)  # fmt: skip
def test_records_are_made_as_data_classes_are(
    ours: type[Any], theirs: type[Any], args: Any, named: Any
) -> None:
    made = [outcome(lambda c=c: c(*args, **named)) for c in (ours, theirs)]  # type: ignore[misc]
    if isinstance(made[0], type):
        assert made[0] is made[1] is TypeError
        return
    mine, right = made
    names = [each.name for each in dataclasses.fields(theirs)]
    assert repr(mine) == repr(right)
    assert [getattr(mine, n) for n in names] == [getattr(right, n) for n in names]
    assert hasattr(mine, "__dict__") == hasattr(right, "__dict__")
    assert hasattr(mine, "total") == hasattr(right, "total")
    for change in (lambda r: setattr(r, names[0], 9), lambda r: setattr(r, "new", 9),
                   lambda r: delattr(r, names[0])):  # fmt: skip
        if names:
            failed, fails = (
                isinstance(outcome(lambda r=r, c=change: c(copy.copy(r))), type)  # type: ignore[misc]
                for r in (mine, right)
            )
            assert failed == fails
    again = outcome(lambda: (hash(mine), mine == ours(*args, **named), mine == right, mine == 3))
    expected = outcome(lambda: (hash(right), right == theirs(*args, **named), False, False))
    assert again == expected or (ours.__eq__ is object.__eq__ and again[1:] == expected[1:])
    assert repr(records.replace(mine)) == repr(right)
    if names:
        changed = records.replace(mine, x=11)
        assert repr(changed) == repr(dataclasses.replace(right, x=11))


@PAIRS
def test_classes_of_records_look_like_data_classes(ours: type[Any], theirs: type[Any]) -> None:
    assert (
        str(inspect.signature(ours)).partition(" ->")[0].replace("Ellipsis", "<factory>")
        == str(inspect.signature(theirs)).partition(" ->")[0]
    )
    for name in ("__match_args__", "__doc__", "__qualname__", "__module__"):
        if name != "__doc__" or (theirs.__doc__ or "").startswith("A class"):
            assert getattr(ours, name) == getattr(theirs, name)
    slots = getattr(ours, "__slots__", ())
    assert slots == getattr(theirs, "__slots__", ())


@records.dataclass(frozen=True, slots=True)
class Stored:
    x: int
    y: Any = None


def test_records_can_be_copied_and_pickled() -> None:
    made = Stored(1, [2])
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert again == made and hash(Stored(1)) == hash(Stored(1, None))
    assert copy.copy(made).y is made.y and copy.deepcopy(made).y is not made.y


def test_a_record_that_contains_itself_has_a_repr() -> None:
    made = Stored(1, [])
    made.y.append(made)
    assert repr(made) == "Stored(x=1, y=[...])"


def test_classes_compare_by_class() -> None:
    @records.dataclass(frozen=True)
    class Other:
        x: int
        y: Any = None

    assert Stored(1) != Other(1) and Stored(1) == Stored(1) and Stored(1) != (1, None)
