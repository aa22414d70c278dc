"""Traces as tables: aligned text, Markdown and HTML."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any

from symad.draw.escape import visible
from symad.draw.formulas import Formulas
from symad.draw.labels import Labels, Symbol
from symad.draw.values import MINUS, format_value
from symad.draw.view import View
from symad.graph.formula import SIGNS
from symad.graph.node import Node
from symad.graph.provenance import RoleKind

_LONGEST = 72  # characters of a formula or a value in a cell


@dataclass(frozen=True)
class Entry:
    """One line of a trace: v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716.

    Attributes
    ----------
    symbol : Symbol
    node : Node or None
        What has the value; ``None`` for a tangent that is zero because nothing changes.
    formula : str
    terms : tuple
        The values of the terms of a sum; empty otherwise.
    value
        ``None`` in a trace without values.
    name : str
        What the user calls it, shown last.
    """

    symbol: Symbol
    node: Node | None
    formula: str
    terms: tuple[Any, ...] = ()
    value: Any = None
    name: str = ""

    def __str__(self) -> str:
        parts = [str(self.symbol), visible(self.formula, _LONGEST)]
        if self.value is not None:
            if len(self.terms) > 1 and all(_is_number(term) for term in self.terms):
                parts.append(_sum(self.terms))
            parts.append(visible(format_value(self.value), _LONGEST))
        kept = [part for i, part in enumerate(parts) if i < 2 or part != parts[i - 1]]
        return " = ".join([*kept, *([visible(self.name)] if self.name else [])])


def _is_number(value: Any) -> bool:
    return not isinstance(value, (dict, tuple, list)) and getattr(value, "ndim", 0) == 0


def _sum(terms: Sequence[Any]) -> str:
    """Return ``a + b − c``, shortened in the middle where there are many."""
    texts = [format_value(term) for term in terms]
    result = texts[0]
    for text in texts[1:]:
        result += f" {MINUS} {text[1:]}" if text.startswith(SIGNS) else f" + {text}"
    return visible(result, _LONGEST)


class Trace:
    """The forward trace, tangents and adjoints side by side; made by :func:`symad.trace`.

    Attributes
    ----------
    titles : tuple of str
        The headings of the three columns.
    forward, tangents, adjoints : tuple of Entry
        The forward trace and the tangents from v1 to y, the adjoints the other way.
    """

    def __init__(
        self,
        titles: tuple[str, str, str],
        forward: Sequence[Entry],
        tangents: Sequence[Entry],
        adjoints: Sequence[Entry],
    ) -> None:
        self.titles = titles
        self.forward = tuple(forward)
        self.tangents = tuple(tangents)
        self.adjoints = tuple(adjoints)

    @property
    def rows(self) -> list[tuple[Entry | None, Entry | None, Entry | None]]:
        """The lines of the table; shorter columns end in ``None``."""
        return list(zip_longest(self.forward, self.tangents, self.adjoints))

    def __str__(self) -> str:
        lines = [self.titles, *self._texts()]
        widths = [max(display_width(line[i]) for line in lines) for i in range(3)]
        lines.insert(1, tuple("─" * width for width in widths))
        return "\n".join(
            "   ".join(
                cell + " " * (width - display_width(cell))
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [self.titles, ("---",) * 3, *self._texts()]
        return "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)

    def _repr_html_(self) -> str:
        style = 'style="text-align:left;white-space:nowrap"'
        head = "".join(f"<th {style}>{escape(title)}</th>" for title in self.titles)
        body = "".join(
            "<tr>" + "".join(f"<td {style}>{escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self._texts()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _texts(self) -> Iterator[tuple[str, ...]]:
        for row in self.rows:
            yield tuple("" if entry is None else str(entry) for entry in row)

    def __repr__(self) -> str:
        return f"<Trace of {len(self.forward)} values>"


def _markdown(text: str) -> str:
    if text == "---":
        return text
    for character in "\\`*_|<>[]":
        text = text.replace(character, "\\" + character)
    return text


def display_width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes.

    Examples
    --------
    >>> len("v̄1"), display_width("v̄1")
    (3, 2)
    """
    total = 0
    for character in text:
        if not unicodedata.combining(character):
            total += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return total


class Scribe:
    """Writes the entries of a trace from a view that holds all its nodes.

    Parameters
    ----------
    view : View
        Its values are those of the trace; empty for a trace in symbols.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._labels = Labels(view)
        self._formulas = Formulas(view, self._labels)
        self.forward_nodes = [n for n in self._labels.forward if n in set(view.nodes)]

    def forward(self, output: Node) -> list[Entry]:
        """Return v1 = x1 = 2, v3 = ln v1 = 0.693, ... in order."""
        return [
            self._entry(node, "y" if node is output and not node.name else "")
            for node in self.forward_nodes
        ]

    def tangents(self, tangents: Mapping[Node, Node]) -> list[Entry]:
        """Return v̇3 = v̇1/v1 = 0.5, ... in the order of the forward trace."""
        entries = []
        for node in self.forward_nodes:
            tangent = tangents.get(node)
            if tangent is not None:
                index = (self._labels.numbers[node],)
                entries += self._with_steps(tangent, Symbol("v", index, "dot", 1))
        return entries

    def adjoints(self, adjoints: Mapping[Node, Node]) -> list[Entry]:
        """Return v̄2 = v̄5·cos v2 + v̄4·v1 = −0.284 + 2 = 1.716, ... from y to the inputs."""
        entries = []
        for node in reversed(self.forward_nodes):
            adjoint = adjoints.get(node)
            if adjoint is not None:
                index = (self._labels.numbers[node],)
                entries += self._with_steps(adjoint, Symbol("v", index, "bar", 1))
        return entries
