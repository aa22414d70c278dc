"""Tables as aligned text, Markdown and HTML."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape

from symad.notation.latex_escape import markdown_text
from symad.records import dataclass
from symad.visible import display_width

_GAP = "   "
_LONGEST_LINE = 50  # of a cell in HTML, which otherwise wraps


@dataclass(frozen=True)
class Table:
    """A table of text cells with column titles.

    Attributes
    ----------
    titles : sequence of str
    rows : sequence of sequences of str
        One cell for each title.
    numbers : collection of int
        The columns that are right-aligned.
    notes : sequence of str
        Sentences below the table.
    empty : str
        The sentence that takes the place of a table without rows.

    Examples
    --------
    >>> print(Table(("node", "visits"), [("a", "16"), ("b", "8")], numbers={1}))
    node   visits
    ────   ──────
    a          16
    b           8
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] | set[int] = frozenset()
    notes: Sequence[str] = ()
    empty: str = "There is nothing to show."

    def __str__(self) -> str:
        if not self.rows:
            return "\n".join([self.empty, *self.notes])
        lines = [self.titles, *self.rows]
        widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
        bars = [["─" * width for width in widths]]
        body = [self._line(cells, widths) for cells in [*lines[:1], *bars, *lines[1:]]]
        return "\n".join([*body, *self.notes])

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = []
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            space = " " * (width - display_width(cell))
            padded.append(space + cell if column in self.numbers else cell + space)
        return _GAP.join(padded).rstrip()

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        if not self.rows:
            return "\n\n".join(map(markdown_text, [self.empty, *self.notes]))
        rules = ["---:" if i in self.numbers else "---" for i in range(len(self.titles))]
        head, *body = [list(map(markdown_text, cells)) for cells in [self.titles, *self.rows]]
        lines = [f"| {' | '.join(cells)} |" for cells in [head, rules, *body]]
        for note in self.notes:
            lines += ["", markdown_text(note)]
        return "\n".join(lines)

    @property
    def html(self) -> str:
        """The table in HTML."""
        if not self.rows:
            return "".join(f"<p>{escape(line)}</p>" for line in [self.empty, *self.notes])
        head = "".join(self._cell("th", i, title) for i, title in enumerate(self.titles))
        body = "".join(
            f"<tr>{''.join(self._cell('td', i, cell) for i, cell in enumerate(cells))}</tr>"
            for cells in self.rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def _cell(self, tag: str, column: int, text: str) -> str:
        side = "right" if column in self.numbers else "left"
        wraps = "normal;min-width:24em" if len(text) > _LONGEST_LINE else "nowrap"
        style = f"text-align:{side};white-space:{wraps};padding:2px 12px"
        return f'<{tag} style="{style}">{escape(text)}</{tag}>'


class Tabular(ABC):
    """Base class of objects shown as a table: in a terminal, in Markdown, in a notebook."""

    @property
    @abstractmethod
    def table(self) -> Table:
        """The cells."""

    @property
    def text(self) -> str:
        """The table as aligned text; ``str()`` is the same."""
        return str(self.table)

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        return self.table.markdown

    @property
    def html(self) -> str:
        """The table in HTML."""
        return self.table.html

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        return self.html
