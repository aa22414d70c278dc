"""The public names are documented: a sentence, the parameters, and an example that is run."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import pytest

import symad as sm
from symad import linalg, testing

MODULES = {"sm": sm, "sm.linalg": linalg, "sm.testing": testing}


def _is_public(module: ModuleType, name: str, value: Any) -> bool:
    if name.startswith("_") or inspect.ismodule(value) or not callable(value):
        return False
    if hasattr(module, "__all__"):
        return name in module.__all__
    defined_in = value.__module__ if hasattr(value, "__name__") else type(value).__module__
    return defined_in == testing.__name__ if module is testing else defined_in.startswith("symad")


NAMES = {
    f"{prefix}.{name}": value
    for prefix, module in MODULES.items()
    for name, value in vars(module).items()
    if _is_public(module, name, value)
}
FUNCTIONS = [name for name, value in NAMES.items() if inspect.isfunction(value)]


def section(docstring: str, title: str) -> str:
    """Return the text of a section of a numpydoc docstring, empty if there is none."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\S[^\n]*\n---|\Z)", docstring, re.M | re.S)
    return found[1] if found else ""


def documented_parameters(docstring: str) -> list[str]:
    """Return the names that the section on parameters explains, in order."""
    heads = re.findall(r"^(\S[^:\n]*)", section(docstring, "Parameters"), re.M)
    return [name.strip(" *") for head in heads for name in head.split(",")]


def problems_of(value: Any) -> list[str]:
    """Return what is missing in the docstring of a public name."""
    docstring = inspect.getdoc(value) or ""
    found = []
    if not re.match(r"[^\n]+[.:]$", docstring.partition("\n\n")[0].replace("\n", " ")):
        found.append("it does not begin with a sentence")
    if ">>>" not in section(docstring, "Examples"):
        found.append("it has no example")
    if inspect.isfunction(value):
        expected = list(inspect.signature(value).parameters)
        documented = documented_parameters(docstring)
        if documented != expected:
            found.append(f"it documents the parameters {documented}, and takes {expected}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_documented(name: str) -> None:
    assert not problems_of(NAMES[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_return(name: str) -> None:
    value = NAMES[name]
    first = (inspect.getdoc(value) or "").partition("\n")[0]
    returns_nothing = inspect.signature(value).return_annotation in ("None", None)
    says = section(inspect.getdoc(value) or "", "Returns") or re.match(r"(Return|Solve)\b", first)
    assert returns_nothing or says


def test_names_are_found() -> None:
    expected = {"sm.sin", "sm.Variable", "sm.gradients", "sm.linalg.norm"}
    assert expected <= set(NAMES)
    assert "sm.testing.check_gradients" in NAMES and "sm.Any" not in NAMES


def test_what_is_missing_is_found() -> None:
    def good(a: int, b: int, *rest: int) -> int:
        """Return a sum.

        Parameters
        ----------
        a, b : int
        *rest : int
            More.

        Examples
        --------
        >>> good(1, 2)
        3
        """
        return a + b + sum(rest)

    def bad(a: int, b: int) -> int:
        """return a sum

        Parameters
        ----------
        a : int
            Not b : see there.

        Examples
        --------
        none
        """
        return a + b

    assert problems_of(good) == []
    assert len(problems_of(bad)) == 3
    assert sm.sin.__doc__ and problems_of(sm.sin) == []
