"""What the passes did with a graph, and the formulas of what runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symad.errors import SymadError
from symad.explaining.closed_forms import closed_forms
from symad.explaining.names import Spelled, equation, is_filled, line_of, listed, symbol_of
from symad.graph.graph import Graph
from symad.graph.node import Node, Parameter
from symad.graph.provenance import RoleKind
from symad.notation.escape import visible
from symad.notation.labels import Symbol
from symad.notation.names import Names
from symad.notation.values import counted
from symad.notation.view import View, has_unknown_shape
from symad.passes.grade import Grade
from symad.passes.rewrite import Rewriting
from symad.passes.rule import AnyRule
from symad.passes.specialise import specialise
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import optimise
from symad.tables.document import Code, Line, Maths, Phrase, Section
from symad.types import TensorType, Type

_MOST_PLACES = 4


class Compilation:
    """What the passes do with the graph of some nodes.

    Parameters
    ----------
    nodes : sequence of Node
    spelled : Spelled
        The names and formulas of the nodes.
    """

    def __init__(self, nodes: Sequence[Node], spelled: Spelled) -> None:
        self._nodes = nodes
        self._spelled = spelled
        self._graph = Graph(nodes)
        self._specialised, self._assumption = _specialised(self._graph, spelled.view.values)
        self._uses: dict[str, tuple[AnyRule, list[Node]]] = {}
        result = optimise(self._specialised, Grade.ROUNDING, self._record)
        self._final, self._reports = result.graph, result.reports

    def _record(self, rewriting: Rewriting) -> None:
        rule = rewriting.rule
        self._uses.setdefault(rule.name, (rule, []))[1].append(rewriting.old)

    def passes_section(self) -> Section:
        """Return the passes with their numbers of nodes, and each rule with its equation."""
        lines = [_line("specialise", len(self._graph), len(self._specialised))]
        for report in self._reports:
            rules = list(self._rules()) if report.name == "rewrite" else []
            if rules or report.nodes_before != report.nodes_after:
                lines += [_line(report.name, report.nodes_before, report.nodes_after), *rules]
        return Section(("What the passes did",), lines, self._assumption)

    def _rules(self) -> Iterator[Line]:
        for rule, nodes in self._uses.values():
            times = f" × {len(nodes)}" if len(nodes) > 1 else ""
            where = listed(list(dict.fromkeys(map(self._place, nodes))), _MOST_PLACES)
            yield Line(Code(rule.equation), (f"{rule.name}{times}: ", *where), 1)

    def _place(self, node: Node) -> Maths | str:
        """Return the purpose of a node: an adjoint, an edge, or the user's line."""
        role, labels = node.role, self._spelled.labels
        if role is None:
            return line_of(node)
        behind = self._spelled.view.behind
        own = labels.numbers.get(behind(role.node))
        user = None if role.consumer is None else labels.numbers.get(behind(role.consumer))
        if own is None:
            return line_of(node)
        mark = "dot" if role.kind is RoleKind.TANGENT else "bar"
        index = (own,) if user is None else (own, user)
        return symbol_of(Symbol("v", index, mark, role.generation))

    def result_section(self) -> Section:
        """Return the formulas of what runs."""
        labels = Names(View(self._final), self._spelled.formulas)
        terms, results = closed_forms(self._final, labels)
        lines = [Line(equation(name, formula)) for name, formula in terms]
        for node, formula in zip(self._nodes, results, strict=True):
            lines.append(Line(equation(*self._names(node), formula)))
        return Section((f"What runs: {counted(len(self._final), 'node')}",), lines)

    def _names(self, node: Node) -> Iterator[Maths]:
        """Yield the symbol of a result, and the derivative that it is."""
        symbol = self._spelled.labels.of(node)
        if symbol is None and node.role is not None and is_filled(node):
            symbol = self._spelled.adjoint_of(node.role)
        yield self._spelled.name(node) if symbol is None else symbol_of(symbol)
        derivative = None if symbol is None else self._spelled.derivative(symbol)
        if derivative is not None:
            yield derivative


def _line(name: str, before: int, after: int) -> Line:
    nodes = counted(after, "node")
    count = f"{nodes}, as before" if before == after else f"{before:,} → {nodes}"
    return Line(Code(name), (count,))


def _specialised(graph: Graph, values: Mapping[Node, Any]) -> tuple[Graph, Phrase]:
    """Return the graph for the shapes of ``values``, and the assumption made without values."""
    if values:
        return specialise(graph, [type_of(values[node]) for node in graph.inputs]), ()
    unknown = [node for node in graph.inputs if has_unknown_shape(node)]
    if unknown:
        try:
            scalars = specialise(graph, [_as_number(node) for node in graph.inputs])
        except SymadError:
            pass  # they cannot all be numbers: nothing is assumed
        else:
            names = listed([visible(node.label) for node in unknown])
            return scalars, (*names, " may have any shape; they are treated as scalars here.")
    return specialise(graph, [node.type for node in graph.inputs]), ()


def _as_number(node: Node) -> Type:
    if not has_unknown_shape(node) or isinstance(node, Parameter):
        return node.type
    return TensorType(node.dtype, ())
