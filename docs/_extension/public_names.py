"""The reference: every public name with its docstring, by family."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numpydoc.docscrape_sphinx import get_doc_object

import symad
from symad import linalg, testing
from symad.graph.op import Op

FAMILIES = {
    "Graphs": ("symad", "symad.graph.node", "symad.graph.graph", "symad.graph.provenance")
    + ("symad.types", "symad.ops.structure", "symad.errors"),
    "Derivatives": ("symad.autodiff.reverse", "symad.autodiff.forward", "symad.autodiff.record")
    + ("symad.autodiff.derived", "symad.autodiff.numeric", "symad.ops.adjoint"),
    "Compiling and running": ("symad.compile", "symad.function"),
    "Seeing and explaining": ("symad.show", "symad.play", "symad.explain"),
    "Looking inside": ("symad.inspection",),
    "Arithmetic": ("symad.ops.arithmetic", "symad.ops.rounding"),
    "Exponentials, trigonometry, special functions": ("symad.ops.exponential",)
    + ("symad.ops.trigonometric", "symad.ops.special"),
    "Comparison and choice": ("symad.ops.comparison", "symad.ops.truth"),
    "Reductions": ("symad.ops.reduce", "symad.ops.extremum", "symad.ops.moments")
    + ("symad.ops.cumulative",),
    "Shapes": ("symad.ops.shape", "symad.ops.permute", "symad.ops.join", "symad.ops.rearrange")
    + ("symad.ops.size", "symad.ops.create", "symad.ops.triangle"),
    "Indexing": ("symad.ops.index", "symad.ops.gather", "symad.ops.subscript"),
    "Products": ("symad.ops.product", "symad.ops.einsum"),
    "Neural networks": ("symad.ops.nn",),
    "Control": ("symad.ops.control",),
}
"""Which modules define what; a public name from any other module is an error of the build."""

MODULES = {"symad": symad, "symad.linalg": linalg, "symad.testing": testing}
OF_MODULES = {"symad.linalg": "Linear algebra", "symad.testing": "Testing"}


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public names of a module that are classes or can be called."""
    listed = getattr(module, "__all__", vars(module))
    for name in sorted(listed):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value) or not callable(value):
            continue
        if inspect.isclass(value) and module is linalg:
            continue  # what its annotations need
        if defined_in(value).startswith(module.__name__ if module is testing else "symad"):
            yield name, value


def defined_in(value: Any) -> str:
    """Return the module that defines a name."""
    return str(type(value).__module__ if isinstance(value, Op) else value.__module__)


def pages() -> Iterator[tuple[str, str]]:
    """Yield file names and texts."""
    entries: dict[str, list[str]] = {title: [] for title in (*FAMILIES, *OF_MODULES.values())}
    family = {module: title for title, modules in FAMILIES.items() for module in modules}
    for prefix, module in MODULES.items():
        for name, value in public_names(module):
            title = OF_MODULES.get(prefix) or family[defined_in(value)]
            entries[title].append(entry(f"{prefix}.{name}", value))
    names = []
    for title, texts in entries.items():
        name = title.lower().replace(",", "").replace(" ", "_")
        names.append(name)
        head = f"{title}\n{'=' * len(title)}\n\n"
        yield f"api/{name}.rst", head + "\n".join(texts)
    listed = "\n".join(f"   {name}" for name in names)
    title = "Every public name"
    yield "api/index.rst", f"{title}\n{'=' * len(title)}\n\n.. toctree::\n\n{listed}\n"


def signature_of(value: Any) -> str:
    """Return the parameters with their defaults; the docstring says what they are."""
    signature = inspect.signature(value)
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(plain))


def entry(path: str, value: Any) -> str:
    """Return the reStructuredText for one name."""
    if inspect.isclass(value):
        return f".. autoclass:: {path}\n   :members:\n"
    aliased = getattr(value, "__name__", None) or getattr(value, "name", "")
    signature = signature_of(value)
    text = str(get_doc_object(value, "function", doc=inspect.getdoc(value), config={}))
    body = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    short = path.rpartition(".")[2]
    note = "" if aliased in (short, "") else f"\n   The same as ``{aliased}``.\n"
    return f".. py:function:: {path}{signature}\n{note}\n{body}\n"
