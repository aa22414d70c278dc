"""The reference: every public name with its docstring, by family, and what functions return."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numpydoc.docscrape_sphinx import get_doc_object

import symad
from symad import demo, errors, linalg, nn, optimise, random, special, stats, testing
from symad.demo import eager
from symad.graph.node import Node
from symad.graph.op import Op

FAMILIES = {
    "Graphs": ("symad", "symad.graph.op", "symad.graph.node", "symad.graph.graph")
    + ("symad.graph.provenance", "symad.types", "symad.ops.structure", "symad.errors"),
    "Derivatives": ("symad.autodiff.reverse", "symad.autodiff.forward", "symad.autodiff.extension")
    + ("symad.autodiff.derived", "symad.autodiff.sparse", "symad.autodiff.numeric")
    + ("symad.ops.adjoint",),
    "Compiling and running": ("symad.runtime.compiler", "symad.runtime.function")
    + ("symad.saving.files", "symad.distribution.distribute", "symad.export.to_jax")
    + ("symad.export.stablehlo", "symad.export.onnx_file", "symad.export.c_file")
    + ("symad.export.object_file",),
    "Seeing and explaining": ("symad.drawing.show", "symad.tables.tracing", "symad.player.player")
    + ("symad.explaining",),
    "Looking inside": ("symad.inspection",),
    "Arithmetic": ("symad.ops.arithmetic", "symad.ops.rounding", "symad.ops.bits")
    + ("symad.ops.floats",),
    "Exponentials, trigonometry, special functions": ("symad.ops.exponential",)
    + ("symad.ops.trigonometric", "symad.ops.special", "symad.ops.sinc")
    + ("symad.functions.elementwise",),
    "Comparison and choice": ("symad.ops.comparison", "symad.ops.truth")
    + ("symad.functions.comparing", "symad.functions.choices", "symad.functions.counting"),
    "Reductions": ("symad.ops.reduce", "symad.ops.extremum", "symad.ops.moments")
    + ("symad.ops.cumulative", "symad.ops.running_extremum", "symad.functions.nan_reductions")
    + ("symad.functions.accumulation",),
    "Statistics": ("symad.functions.averages", "symad.functions.order_statistics")
    + ("symad.functions.histograms",),
    "Differences and interpolation": ("symad.functions.differences",)
    + ("symad.functions.interpolation", "symad.functions.polynomials"),
    "Shapes": ("symad.ops.shape", "symad.ops.permute", "symad.ops.join", "symad.ops.rearrange")
    + ("symad.ops.size", "symad.ops.create", "symad.ops.triangle")
    + ("symad.functions.joining", "symad.functions.creation", "symad.functions.editing")
    + ("symad.functions.arrays", "symad.functions.broadcasting", "symad.functions.pieces"),
    "Indexing": ("symad.ops.index", "symad.ops.gather", "symad.ops.subscript")
    + ("symad.ops.sorting", "symad.ops.searching"),
    "Products": ("symad.ops.product", "symad.ops.einsum", "symad.functions.products")
    + ("symad.functions.signal", "symad.functions.linear_algebra"),
    "dtypes": ("symad.functions.dtypes",),
    "Neural networks": ("symad.ops.nn",),
    "Control": ("symad.ops.control", "symad.functions.loops", "symad.functions.branches")
    + ("symad.functions.associative", "symad.functions.batching", "symad.functions.equations"),
}
"""Which modules define what; a public name from any other module is an error of the build."""

MODULES = {
    "symad": symad, "symad.linalg": linalg, "symad.nn": nn, "symad.random": random,
    "symad.optimise": optimise, "symad.testing": testing,
}  # fmt: skip
MORE_MODULES = {
    "symad.special": special, "symad.stats": stats, "symad.errors": errors, "symad.demo": demo,
    "symad.demo.eager": eager,
}  # fmt: skip
OF_MODULES = {
    "symad.linalg": "Linear algebra",
    "symad.special": "Special functions",
    "symad.stats": "Densities",
    "symad.nn": "Networks",
    "symad.random": "Random numbers",
    "symad.optimise": "Optimisers",
    "symad.testing": "Testing",
    "symad.errors": "Errors",
    "symad.demo": "The lecture's examples",
    "symad.demo.eager": "Eager tensors",
}

RETURNED = "What functions return"
RESULTS = (
    "symad.drawing.drawing.Drawing",
    "symad.tables.trace.Trace",
    "symad.player.player.Player",
    "symad.explaining.explanation.Explanation",
    "symad.explaining.comparison.Comparison",
    "symad.explaining.comparison.Way",
    "symad.explaining.counts.Operations",
    "symad.explaining.differences.DifferenceErrors",
    "symad.inspection.nan.report.Blame",
    "symad.inspection.ledger.Ledger",
    "symad.inspection.ledger.Stage",
    "symad.inspection.memory_chart.MemoryChart",
    "symad.inspection.timing.Profile",
    "symad.inspection.code_page.Listing",
    "symad.runtime.pipeline.Optimised",
    "symad.autodiff.pattern.Sparsity",
    "symad.plan.plan.Plan",
    "symad.runtime.recompute_savings.Trade",
    "symad.functions.dtypes.FloatInfo",
    "symad.functions.dtypes.IntegerInfo",
    "symad.saving.files.Fingerprint",
    "symad.graph.provenance.Site",
    "symad.graph.provenance.Role",
)
"""Classes that nobody makes by hand; functions and nodes lead to them, and they have methods."""


def linked_types() -> dict[str, str]:
    """Return where the reference has the classes that docstrings name as types."""
    found = {path.rpartition(".")[2]: path for path in RESULTS}
    for prefix, module in {"symad.errors": errors, **MODULES}.items():
        classes = {n: v for n, v in public_names(module) if inspect.isclass(v)}
        found.update({name: f"{prefix}.{name}" for name in classes})
    return found


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public names of a module that are classes or can be called."""
    listed = getattr(module, "__all__", vars(module))
    for name in sorted(listed):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value) or not callable(value):
            continue
        if inspect.isclass(value) and module is linalg:
            continue  # what its annotations need
        own = module.__name__ if module in (testing, errors, demo) else "symad"
        if defined_in(value).startswith(own):
            yield name, value


def defined_in(value: Any) -> str:
    """Return the module that defines a name."""
    return str(type(value).__module__ if isinstance(value, Op) else value.__module__)


def pages() -> Iterator[tuple[str, str]]:
    """Yield file names and texts: one page for each family, and an overview."""
    titles = (*FAMILIES, *OF_MODULES.values(), RETURNED)
    found: dict[str, dict[str, Any]] = {title: {} for title in titles}
    family = {module: title for title, modules in FAMILIES.items() for module in modules}
    for prefix, module in {**MODULES, **MORE_MODULES}.items():
        for name, value in public_names(module):
            title = OF_MODULES.get(prefix) or family[defined_in(value)]
            found[title][f"{prefix}.{name}"] = value
    found[RETURNED] = {path: loaded(path) for path in RESULTS}
    for title, values in found.items():
        texts = [entry(path, value) for path, value in values.items()]
        yield f"api/{file_name(title)}.rst", page(title, texts)
    listed = "\n".join(f"   {file_name(title)}" for title in titles)
    parts = [f".. py:module:: symad\n\n.. toctree::\n   :hidden:\n\n{listed}\n"]
    parts += [overview(title, values) for title, values in found.items()]
    yield "api/index.rst", page("Every public name", parts)


def overview(title: str, values: dict[str, Any]) -> str:
    """Return the names of a family, each with the first sentence of its docstring."""
    lines = [f".. rubric:: :doc:`{title} <{file_name(title)}>`\n"]
    module = next(iter(values)).rpartition(".")[0]
    lines.append(f".. py:currentmodule:: {module}\n")
    for path, value in values.items():
        sentence = re.split(r"(?<=\.)\s", " ".join(paragraph(value).split()))[0]
        lines.append(f"* :py:obj:`~{path}`: {sentence}")
    return "\n".join(lines) + "\n"


def paragraph(value: Any) -> str:
    """Return the first paragraph of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[0]


def file_name(title: str) -> str:
    """Return a title as the name of a file."""
    return "_".join(re.findall(r"[a-z]+", title.lower().replace("'", "")))


def page(title: str, parts: list[str]) -> str:
    """Return a page in reStructuredText."""
    return f"{title}\n{'=' * len(title)}\n\n" + "\n".join(parts)


def loaded(path: str) -> Any:
    """Return what stands at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


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
        inherited = "   :inherited-members:\n" if value is Node else ""
        signature = "()" if path in RESULTS else ""
        return f".. autoclass:: {path}{signature}\n   :members:\n{inherited}"
    aliased = getattr(value, "__name__", None) or getattr(value, "name", "")
    signature = signature_of(value)
    config = {"xref_param_type": True, "xref_aliases": linked_types(), "xref_ignore": "all"}
    text = str(get_doc_object(value, "function", doc=inspect.getdoc(value), config=config))
    body = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    short = path.rpartition(".")[2]
    note = "" if aliased in (short, "") else f"\n   The same as ``{aliased}``.\n"
    return f".. py:function:: {path}{signature}\n{note}\n{body}\n"
