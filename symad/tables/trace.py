"""Traces: the forward trace, tangents and adjoints of one node, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from symad.graph.formula import SIGNS, Term, format_term
from symad.graph.node import Constant, Node
from symad.graph.provenance import RoleKind
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.labels import Labels, Symbol
from symad.notation.symbols import SYMBOLS, name_of
from symad.notation.table import Table, Tabular
from symad.notation.values import MINUS, format_value
from symad.notation.view import View
from symad.records import dataclass, replace
from symad.tables.loops import LoopTrace, loop_traces
from symad.types import TensorType, Type, UnknownShape

_LONGEST = 72  # characters of a formula or a value in a cell


@dataclass(frozen=True)
class Entry:
    """One line of a trace: v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716.

    Attributes
    ----------
    symbol : Symbol
    alias : Symbol or None
        In the forward trace, the symbol of an adjoint that is node i of the differentiated graph.
    node : Node
        The node of this line.
    formula : str
    terms : tuple
        The values of the terms of a sum; empty otherwise.
    value
        ``None`` in a trace without values, which shows types instead where they are known.
    name : str
        The user's name for it, shown last.
    """

    symbol: Symbol
    node: Node
    formula: str
    terms: tuple[Any, ...] = ()
    value: Any = None
    name: str = ""
    alias: Symbol | None = None

    def __str__(self) -> str:
        head = str(self.symbol) if self.alias is None else f"{self.symbol} = {self.alias}"
        parts = [head, visible(self.formula, _LONGEST)]
        if self.value is None:
            parts[-1] += _size(self.node.type)
        else:
            if len(self.terms) > 1 and all(_is_number(term) for term in self.terms):
                parts.append(_sum(self.terms))
            parts.append(visible(format_value(self.value), _LONGEST))
        kept = [part for i, part in enumerate(parts) if i < 2 or part != parts[i - 1]]
        return " = ".join([*kept, *([visible(self.name)] if self.name else [])])


def _size(type_: Type) -> str:
    """Return the type of an array; empty for a number, and if the shape is unknown."""
    if isinstance(type_, TensorType) and (
        type_.shape == () or isinstance(type_.shape, UnknownShape)
    ):
        return ""
    return f" : {visible(str(type_))}"


def _is_number(value: Any) -> bool:
    return not isinstance(value, (dict, tuple, list)) and getattr(value, "ndim", 0) == 0


def _sum(terms: Sequence[Any]) -> str:
    """Return ``a + b − c``, shortened in the middle if there are many terms."""
    texts = [format_value(term) for term in terms]
    result = texts[0]
    for text in texts[1:]:
        result += f" {MINUS} {text[1:]}" if text.startswith(SIGNS) else f" + {text}"
    return visible(result, _LONGEST)


class Trace(Tabular):
    """The forward trace, tangents and adjoints side by side; made by :func:`symad.trace`.

    Attributes
    ----------
    titles : tuple of str
        The headings of the three columns.
    forward, tangents, adjoints : tuple of Entry
        The forward trace and the tangents from v1 to y, the adjoints in reverse order.
    loops : tuple of LoopTrace
        What is inside loops, branches and maps, with the values of some of their steps.
    """

    def __init__(
        self,
        titles: tuple[str, str, str],
        forward: Sequence[Entry],
        tangents: Sequence[Entry],
        adjoints: Sequence[Entry],
        loops: Iterable[LoopTrace] = (),
    ) -> None:
        self.titles = titles
        self.forward = tuple(forward)
        self.tangents = tuple(tangents)
        self.adjoints = tuple(adjoints)
        self.loops = tuple(loops)

    @property
    def rows(self) -> list[tuple[Entry | None, Entry | None, Entry | None]]:
        """The lines of the table; shorter columns end in ``None``."""
        return list(zip_longest(self.forward, self.tangents, self.adjoints))

    @property
    def table(self) -> Table:
        """The three columns as cells."""
        rows = [tuple(map(_cell, row)) for row in self.rows]
        return Table(self.titles, rows, empty="The value is a constant: there is nothing to trace.")

    @property
    def text(self) -> str:
        """The table and those of loops as aligned text; ``str()`` is the same."""
        return "\n\n".join(str(table) for table in self._tables())

    @property
    def markdown(self) -> str:
        """The table and those of loops in Markdown."""
        return "\n\n".join(table.markdown for table in self._tables())

    @property
    def html(self) -> str:
        """The table and those of loops in HTML."""
        return "".join(table.html for table in self._tables())

    def _tables(self) -> list[Table]:
        return [self.table, *(loop.table for loop in self.loops)]

    def __repr__(self) -> str:
        return f"<Trace of {len(self.forward)} values>"


def _cell(entry: Entry | None) -> str:
    return "" if entry is None else str(entry)


class Scribe:
    """Writes the entries of a trace from a view that contains all its nodes.

    Parameters
    ----------
    view : View
        Its values are those of the trace; empty for a trace in symbols.
    output : Node
        The traced node y.
    """

    def __init__(self, view: View, output: Node) -> None:
        self._view = view
        self._output = output
        self._labels = Labels(view)
        self._formulas = Formulas(view, self._labels)
        self._told: set[Node] = set()  # the steps t1, t2, ... that already have a line
        self._nodes = list(self._in_order())

    def _in_order(self) -> Iterator[Node]:
        """Yield the nodes of the forward trace, by number; constants that are seeds when used."""
        numbers, symbols = self._labels.numbers, self._labels.symbols
        order = dict.fromkeys(map(self._view.behind, topological_order([self._output])))
        last = len(numbers) + 1
        told: set[Node] = set()
        named = (node for node in order if symbols.get(node) and not isinstance(node, Constant))
        for node in sorted(named, key=lambda node: numbers.get(node, last)):
            sources = [source.node for source in self._view.sources(node)]
            seeds = [n for n in sources if isinstance(n, Constant) and symbols.get(n)]
            yield from (seed for seed in dict.fromkeys(seeds) if seed not in told)
            told.update(seeds)
            yield node

    def forward(self) -> list[Entry]:
        """Return v1 = x1 = 2, v3 = ln v1 = 0.693, ... in order."""
        entries = [entry for node in self._nodes for entry in self._entries(node)]
        return [self._numbered(entry) for entry in entries]

    def _numbered(self, entry: Entry) -> Entry:
        """Return an entry that equates an adjoint with its v_i in the next derivative."""
        number = self._labels.numbers.get(entry.node)
        if number is None or not entry.symbol.mark:
            return entry
        return replace(entry, symbol=Symbol("v", (number,)), alias=entry.symbol)

    def loops(self) -> list[LoopTrace]:
        """Return what is inside loops, branches and maps."""
        return list(loop_traces(self._formulas))

    def tangents(self, tangents: Mapping[Node, Node]) -> list[Entry]:
        """Return v̇3 = v̇1/v1 = 0.5, ... in the order of the forward trace."""
        found = [tangents[node] for node in self._nodes if node in tangents]
        entries = [entry for node in found for entry in self._entries(self._view.behind(node))]
        return [_dotted(entry) for entry in entries]

    def adjoints(self, adjoints: Mapping[Node, Node]) -> list[Entry]:
        """Return v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716, ... from y to the inputs."""
        found = [adjoints[node] for node in reversed(self._nodes) if node in adjoints]
        return [entry for node in found for entry in self._entries(self._view.behind(node))]

    def _entries(self, node: Node) -> Iterator[Entry]:
        """Yield the steps that ``node`` needs and that have names, then ``node``."""
        for step in self._steps(node):
            symbol = self._formulas.auxiliary[step]
            yield Entry(symbol, step, self._formulas.right_sides[step], (), self._value(step))
        symbol = self._labels.symbols[node][0]
        terms = self._terms(node)
        if terms:
            formula: str = format_term(node, self._term, notation=SYMBOLS)
        else:
            formula = self._term(node)
        values = tuple(map(self._value, terms)) if self._view.values else ()
        yield Entry(symbol, node, formula, values, self._value(node), self._name(node))

    def _terms(self, node: Node) -> list[Node]:
        """Return the partial adjoints that a sum node adds."""
        if node.role is None or node.role.kind is not RoleKind.SUM:
            return []
        return [source.node for source in self._view.sources(node)]

    def _term(self, node: Node) -> str:
        behind = self._view.behind(node)
        formula = self._formulas.right_sides.get(behind)
        return Term(behind.label) if formula is None else formula

    def _steps(self, node: Node) -> list[Node]:
        """Return the steps with a line of their own that come before ``node``, in order."""
        found: list[Node] = []
        terms = self._terms(node)
        pending = [node, *terms]
        while pending:
            for source in self._view.sources(pending.pop()):
                step = source.node
                if self._labels.of(step) is not None or step.op is None or step in self._told:
                    continue
                pending.append(step)
                self._told.add(step)
                if step in self._formulas.auxiliary:
                    found.append(step)
        return sorted(found, key=lambda step: self._formulas.auxiliary[step].index)

    def _value(self, node: Node) -> Any:
        return self._view.values.get(node)

    def _name(self, node: Node) -> str:
        if node.op is None:
            return ""
        given = None if node.name == name_of(node.op) else node.name
        return given or ("y" if node is self._output else "")


def _dotted(entry: Entry) -> Entry:
    """Return an entry of the tangents; an unused seed may still have the mark of an adjoint."""
    if entry.symbol.mark != "bar":
        return entry
    return replace(entry, symbol=replace(entry.symbol, mark="dot", copy=0))
