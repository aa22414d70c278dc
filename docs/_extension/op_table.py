"""The op table: each op with its formula, its reverse rule, and the samples that test it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
from edges import edges_by_op

import symad.ops
from symad import linalg, special
from symad.errors import GradientError, SymadError
from symad.graph.formula import Term, format_term
from symad.graph.node import Constant, Node, Variable
from symad.graph.op import OP_CLASSES, Op
from symad.graph.sample import Sample
from symad.graph.traverse import topological_order
from symad.ops.body import WithBody
from symad.types import TensorType

for _module in iter_modules(symad.ops.__path__, "symad.ops."):
    import_module(_module.name)  # some ops are loaded when a function is asked for

_NAMES = "abcdefgh"
_LONGEST = 160
"""Longer formulas are counted instead of shown."""

_HEAD = """---
html_theme.sidebar_secondary.remove: true
---

# The op table

{count} ops. An op's result is $v$, its operands are $a, b, c, …$; $\\bar v$ is the adjoint of
the result, and the reverse rule gives the partial adjoint of each operand from it, as the
gradient pass writes it into the graph. Sums over broadcast axes are added by the driver. Where
mathematics leaves a choice (subgradients at kinks, NaN, infinities), the fourth column has value
and derivative, from the tested tables of [numerics](../numerics.md); docstrings, linked from the
names, say more. The last column counts the samples on which the tests compare value, reverse
rule, forward rule and second derivatives with independent computations.

| op | $v$ | reverse rule | at kinks and edges | samples |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    known = edges_by_op()
    ops = sorted(OP_CLASSES.items())
    rows = [row(name, op_class, known.get(name, [])) for name, op_class in ops]
    return _HEAD.format(count=len(rows)) + "\n".join(rows) + "\n"


def row(name: str, op_class: type[Op], edges: Sequence[str]) -> str:
    """Return one row of the table."""
    examples = (example(sample, op_class) for sample in op_class.samples)
    node = next((found for found in examples if found is not None), None)
    value, rules = ("", []) if node is None else (formula_of(node), rules_of(node))
    labels = ", ".join(sample.label for sample in op_class.samples if sample.label)
    samples = f"{len(op_class.samples)}: {labels}" if labels else str(len(op_class.samples))
    cells = linked(name), value, "<br>".join(rules), "<br>".join(edges), samples
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


@cache
def public_functions() -> dict[str, str]:
    """Return where the reference has the function of an op."""
    found = {}
    modules = {"symad.special": special, "symad.linalg": linalg, "symad": symad}
    for prefix, module in modules.items():
        for name in module.__all__:
            value = getattr(module, name)
            known = value.name if isinstance(value, Op) else name
            if (
                callable(value)
                and not name.startswith("_")
                and (known == name or known not in found)
            ):
                found[known] = f"{prefix}.{name}"
    return found


def linked(name: str) -> str:
    """Return the name of an op, linked to its function if that is public."""
    path = public_functions().get(name)
    return f"{{py:func}}`{name} <{path}>`" if path else f"`{name}`"


def example(sample: Sample, op_class: type[Op]) -> Node | None:
    """Return a node of the op, made of variables."""
    rng = np.random.default_rng(0)
    arrays = [np.asarray(draw(rng, "float64")) for draw in sample.inputs]
    variables = [
        Variable(_NAMES[k], shape=array.shape, dtype=array.dtype) for k, array in enumerate(arrays)
    ]
    try:
        result = sample.call(*variables)
    except SymadError:
        return None
    nodes = topological_order([result]) if isinstance(result, Node) else []
    return next((node for node in reversed(nodes) if type(node.op) is op_class), None)


def rules_of(node: Node) -> list[str]:
    """Return the partial adjoint of each operand as a formula."""
    assert node.op is not None
    if isinstance(node.op, WithBody):
        return ["the same op on the derivative of its body"]
    if not isinstance(node.type, TensorType) or not node.type.is_float:
        return []
    adjoint = Variable("v_bar", shape=node.type.shape, dtype=node.dtype)
    known, found = symbols(node), []
    for slot, source in enumerate(node.inputs):
        if not (source.type.is_float and node.op.differentiable(slot)):
            continue
        try:
            partial = node.op.reverse(slot, adjoint, node, *node.inputs)
        except GradientError:
            found.append(rf"$\bar {known[source]}$: no known formula")
            continue
        if partial is not None:
            rule = tree(partial, known | {adjoint: Term(r"\bar v")})
            found.append(rf"$\displaystyle \bar {known[source]} = {rule}$")
    return found if sum(map(len, found)) < _LONGEST * 2 else ["a graph, see the docstring"]


def symbols(node: Node) -> dict[Node, Term]:
    """Return the symbols of a node and of its operands."""
    names = {source: Term(_NAMES[k]) for k, source in enumerate(dict.fromkeys(node.inputs))}
    return {**names, node: Term("v")}


def formula_of(node: Node) -> str:
    """Return the formula of a node of its operands."""
    text = format_term(node, lambda source: symbols(node)[source], latex=True)
    return rf"$\displaystyle {text}$" if len(text) < _LONGEST else ""


def tree(root: Node, known: dict[Node, Term]) -> Term:
    """Return the formula of a whole graph over symbols."""
    terms = dict(known)
    for node in topological_order([root], stop=known):
        if node not in terms:
            if isinstance(node, Constant):
                terms[node] = Term.number(node.label)
            else:
                terms[node] = format_term(node, terms.__getitem__, latex=True)
    return terms[root]
