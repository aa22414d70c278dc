"""The public names are documented: a sentence, the parameters, and an example that is run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import symad as sm
from symad import catalogue, testing
from symad.errors import GraphTypeError
from tests.support import names_of_0_1_0 as before

MODULES = {"sm": sm} | {
    f"sm.{name}": import_module(f"symad.{name}") for name in catalogue.MODULES if name != "demo"
}


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
    for name in getattr(module, "__all__", vars(module))
    if _is_public(module, name, value := getattr(module, name))
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_explain_wrong_arguments(name: str) -> None:
    takes_any = "**" in str(inspect.signature(NAMES[name]))
    told = "" if takes_any else "(): takes no keyword 'no_such_keyword'"
    if name == "sm.scope":  # the module that makes errors' places needs it
        return
    with pytest.raises(GraphTypeError) as caught:
        NAMES[name](no_such_keyword=1)
    assert told in caught.value.message
    assert "test_public_names.py" in caught.value.where


def test_names_are_found() -> None:
    expected = {"sm.sin", "sm.Variable", "sm.gradients", "sm.linalg.norm"}
    assert expected <= set(NAMES)
    assert "sm.testing.check_gradients" in NAMES and "sm.Any" not in NAMES


def test_all_public_names_are_listed() -> None:
    """What is imported to be exported, and what is defined: nothing is forgotten or left over."""
    tree = ast.parse(inspect.getsource(sm))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imported if (node.module or "").startswith("symad")]
    names = {alias.asname or alias.name for node in ours for alias in node.names}
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = {name for name in names if not name.startswith("_")} | {"__version__"}
    assert sm.__all__ == sorted(names)
    assert dir(sm) == sorted({*sm.__all__, "demo"})


def test_names_that_do_not_exist_are_errors() -> None:
    with pytest.raises(AttributeError, match="module 'symad' has no attribute 'sinn'"):
        sm.sinn  # noqa: B018
    assert not hasattr(sm, "cli_")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sm.solve", "'sm.linalg.solve'"),
        ("sm.slove", "'sm.linalg.solve'"),
        ("sm.gammainc", "'sm.special.gammainc'"),
        ("sm.Varible", "'Variable'"),
        ("sm.linalg.eihg", "'eigh'"),
        ("sm.linalg.sin", "'sm.sin'"),
        ("sm.special.gama", "'gamma'"),
        ("sm.stats.nrom", "'norm'"),
        ("sm.stats.normal", "'sm.random.normal'"),
        ("sm.random.unifrom", "'uniform'"),
    ],
)
def test_a_name_that_is_not_there_says_what_there_is(path: str, hint: str) -> None:
    module, _, name = path.rpartition(".")
    found = sm
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'\. Did you mean {hint}\?"):
        getattr(found, name)


@pytest.mark.parametrize("name", sorted({*catalogue.MODULES} - {"demo", "testing"}))
def test_every_module_says_what_there_is(name: str) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'softmaxx'\. Did you mean '.*softmax'"):
        getattr(sm, name).softmaxx  # noqa: B018


def test_names_of_nodes_say_what_there_is() -> None:
    x = sm.Variable("x")
    for name, hint in (("median", r"sm.median\(x\)"), ("summ", "'sum'"), ("argsort", "sm.argsort")):
        with pytest.raises(AttributeError, match=f"'Variable' object has no .*Did you mean {hint}"):
            getattr(x, name)
    assert not hasattr(x, "__array_interface__") and not hasattr(x, "_ipython_display_")


def test_public_modules_are_loaded_on_first_use() -> None:
    code = """if True:
        import sys, symad as sm
        names = ["demo", "special", "stats", "testing"]
        loaded = [name for name in names if f"symad.{name}" in sys.modules]
        print(loaded, sm.testing.check_gradients.__name__, sm.demo.running_example.__name__)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] check_gradients running_example\n"


def test_names_of_the_version_before_are_still_there() -> None:
    for path, names in before.MODULES.items():
        module = importlib.import_module(f"symad.{path}") if path not in ("", "linalg") else sm
        module = sm.linalg if path == "linalg" else module
        assert [name for name in names if not hasattr(module, name)] == [], path
    for name, members in before.MEMBERS.items():
        value = getattr(sm, name)
        there = {*dir(value), *getattr(value, "__annotations__", {})}
        assert set(members) <= there, name


@pytest.mark.parametrize("path", before.DOCUMENTED)
def test_documented_imports_of_the_version_before_work(path: str) -> None:
    module, _, name = path.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for one version
        assert callable(getattr(importlib.import_module(f"symad.{module}"), name)) or name.isupper()


def test_a_module_that_has_moved_says_where_to() -> None:
    from symad.demo import order, visit_orders

    with pytest.warns(DeprecationWarning, match="symad.demo.compare_orders"):
        assert order.compare_orders is visit_orders.compare_orders
    with pytest.raises(AttributeError):
        order.compare  # noqa: B018


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
