"""The layers of symad, its names, the size of its functions, and how light it is to import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

import symad

ROOT = Path(symad.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = (
    ("errors", "visible", "catalogue", "records", "replacing", "spelling", "disk", "light_scipy"),
    ("types",),
    ("graph",),
    ("ops",),
    ("functions",),
    ("linalg", "random"),
    ("special", "stats", "nn", "optimise"),
    ("autodiff", "passes"),
    ("notation",),
    ("plan",),
    ("backends",),
    ("runtime", "expression"),
    ("saving", "export"),
    ("distribution",),
    ("tables",),
    ("drawing",),
    ("testing", "inspection"),
    ("explaining",),
    ("player",),
    ("symad",),  # the public names, which the demo and the command line use as anybody would
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""Each imports only from those above it; those on one line are siblings, which do not meet."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

HEAVY = {
    "dask", "distributed", "graphviz", "hypothesis", "IPython", "jax", "llvmlite", "matplotlib",
    "networkx", "pygraphviz", "pytest", "scipy", "sklearn", "tqdm",
}  # fmt: skip
LIGHT = {*sys.stdlib_module_names, "numpy", "symad"}

LONGEST = 40


def names_of(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def layer_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "symad" if first == "__init__" else first


def layer_of_module(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "symad"


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of each import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            module = node.module or ""
            if module == "symad":
                for alias in node.names:
                    inner = f"symad.{alias.name}"
                    yield node.lineno, inner if alias.name in LEVEL else module
            else:
                yield node.lineno, module


def upward_imports(path: Path, source: str) -> list[str]:
    """Return what a module imports against the order of the layers."""
    here = layer_of(path)
    found = []
    for line, module in imports(ast.parse(source)):
        if module.split(".")[0] != "symad":
            continue
        there = layer_of_module(module)
        if there != here and LEVEL[there] >= LEVEL[here]:
            found.append(f"{path.name}:{line} imports {module}")
    return found


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_imports_only_from_above(path: Path) -> None:
    assert upward_imports(path, path.read_text()) == []


def test_the_documents_show_these_layers() -> None:
    text = (ROOT.parent / "docs" / "design.md").read_text()
    table = re.search(r"\| layer \| contents \|\n\|---\|---\|\n(.*?)\n\n", text, re.DOTALL)
    assert table is not None
    rows = (re.findall(r"`([^`]+?)(?:/|\.py)`", row.split("|")[1]) for row in table[1].split("\n"))
    shown = [{"symad" if name == "__init__" else name for name in names} for names in rows]
    own, last = [set(names) for names in LAYERS[:-2]], {*LAYERS[-2], *LAYERS[-1]}
    assert shown == [*own, last]


def test_every_module_has_a_layer() -> None:
    assert {layer_of(path) for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("graph/node.py", "from symad.ops.adjoint import identity"),
        ("graph/node.py", "def f():\n    from symad.ops import base"),
        ("autodiff/reverse.py", "from symad.passes.specialise import specialise"),
        ("plan/plan.py", "import symad.backends.numpy"),
        ("ops/base.py", "from symad import compile"),
        ("ops/base.py", "import symad as sm"),
        ("graph/node.py", "from symad import passes"),
        ("graph/node.py", "if TYPE_CHECKING:\n    from symad.ops import base"),
        ("plan/plan.py", "def f():\n    import symad.backends"),
    ],
)
def test_an_upward_import_is_caught(where: str, source: str) -> None:
    assert len(upward_imports(ROOT / where, source)) == 1


# Circles of files


def dotted(path: Path) -> str:
    """Return the name under which a file is imported."""
    parts = ("symad", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


@cache
def imported_files(source: str) -> tuple[str, ...]:
    """Return the modules of symad that a file imports, in functions and for checkers included."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # from symad.graph import node, or from symad.graph.node ...
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES or node.module in MODULES:
                    found.append(inner if inner in MODULES else str(node.module))
    return tuple(found)


def circles(sources: dict[str, str]) -> set[tuple[str, ...]]:
    """Return the groups of modules each of which leads to all others of its group."""
    graph = nx.DiGraph()
    for name, source in sources.items():
        graph.add_edges_from((name, other) for other in imported_files(source))
    found = [sorted(group) for group in nx.strongly_connected_components(graph)]
    return {tuple(g) for g in found if len(g) > 1 or graph.has_edge(g[0], g[0])}


def test_no_circle_of_files() -> None:
    assert circles({name: path.read_text() for name, path in MODULES.items()}) == set()


@pytest.mark.parametrize(
    "source",
    [
        "from symad.graph.graph import Graph",
        "from symad.graph import graph",
        "import symad.graph.graph",
        "def f():\n    from symad.graph.graph import Graph",
        "if TYPE_CHECKING:\n    from symad.graph.graph import Graph",
    ],
)
def test_a_circle_is_caught(source: str) -> None:
    sources = {name: path.read_text() for name, path in MODULES.items()}
    sources["symad.graph.op"] += f"\n{source}\n"
    assert any("symad.graph.op" in group for group in circles(sources))


# Names


def test_each_class_has_a_name_of_its_own() -> None:
    """One name has one meaning in the whole project; private classes are not counted."""
    files = defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(name)
    assert {name: where for name, where in files.items() if len(where) > 1} == {}


def test_no_module_is_hidden_by_a_public_name() -> None:
    public = {name for name, value in vars(symad).items() if callable(value)}
    assert not {f"symad.{name}" for name in public} & set(MODULES)


def names_bound(tree: ast.Module) -> Iterator[str]:
    """Yield what a module defines or imports under a name of its own, modules aside."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" not in MODULES:
                    yield alias.asname or alias.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_has_a_name_and_a_module_of_that_name(package: str) -> None:
    bound = names_bound(ast.parse(MODULES[package].read_text()))
    assert [name for name in bound if f"{package}.{name}" in MODULES] == []


def module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, those in ``if`` and ``try`` included."""
    pending = list(tree.body)
    while pending:
        node = pending.pop(0)
        yield node
        if isinstance(node, (ast.If, ast.Try)) and "TYPE_CHECKING" not in ast.dump(node):
            pending += [child for child in ast.walk(node) if isinstance(child, ast.stmt)][1:]


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_imports_nothing_heavy_at_module_level(path: Path) -> None:
    statements = module_level(ast.parse(path.read_text()))
    modules = [module for node in statements for _, module in imports_of_statement(node)]
    assert [module for module in modules if module.split(".")[0] not in LIGHT] == []


def imports_of_statement(node: ast.stmt) -> Iterator[tuple[int, str]]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from imports(node)


def test_import_is_light() -> None:
    code = "import sys, symad; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(result.stdout.split())
    loaded = {name.split(".")[0] for name in modules}
    assert "symad" in loaded and "numpy" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY
    # What compiles, draws or explains is loaded on first use; so are the families of functions.
    parts = {layer_of_module(name) for name in modules if name.startswith("symad.")}
    assert parts.isdisjoint({"plan", "functions", "special", "stats", "nn", "random", "optimise"})
    assert modules.isdisjoint({"symad.passes.rule", "symad.backends.numpy", "symad.notation.names"})


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Return how many lines of a function hold code: no docstring, comments or blank lines."""
    first, last = function.lineno, function.end_lineno or function.lineno
    skipped: set[int] = set()
    if ast.get_docstring(function) is not None:
        text = function.body[0]
        skipped = set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    held = (n for n in range(first, last + 1) if n not in skipped)
    return sum(1 for n in held if lines[n - 1].strip() and not lines[n - 1].strip().startswith("#"))


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_functions_are_short(path: Path) -> None:
    source = path.read_text()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    sizes = {f.name: code_lines(f, source.splitlines()) for f in functions}
    assert {name: size for name, size in sizes.items() if size >= LONGEST} == {}


def test_code_lines_are_counted() -> None:
    source = (
        'def f(x):\n    """One.\n\n    Two.\n    """\n    # why\n\n    return (\n        x\n    )\n'
    )
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function, source.splitlines()) == 4
