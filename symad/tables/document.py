"""Documents: sections of lines, each a formula and a remark, as text, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symad.notation.escape import visible
from symad.notation.latex_escape import latex_code, latex_text, markdown_code, markdown_text
from symad.records import dataclass
from symad.visible import display_width

_WIDEST = 56  # the widest column of formulas with aligned remarks
_LONGEST = 100_000  # characters of a piece of text


@dataclass(frozen=True, slots=True)
class Maths:
    """A formula in two spellings."""

    text: str
    latex: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text that is shown as code."""

    text: str


Phrase = tuple[str | Maths | Code, ...]
"""Words, formulas and code in a row."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document.

    Attributes
    ----------
    formula : Maths, Code or None
    remark : Phrase
        The explanation of the formula.
    depth : int
        The indentation: a deeper line belongs to the line above.
    """

    formula: Maths | Code | None
    remark: Phrase = ()
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a title.

    Attributes
    ----------
    title : Phrase
    lines : sequence of Line
    opening : Phrase
        A sentence before the lines.
    """

    title: Phrase
    lines: Sequence[Line]
    opening: Phrase = ()


class Document:
    """Sections of formulas with remarks.

    Attributes
    ----------
    sections : tuple of Section

    Examples
    --------
    >>> line = Line(Maths("v2 = v1²", "v_{2} = v_{1}^2"), ("line 3",))
    >>> document = Document([Section(("The forward graph",), [line])])
    >>> print(document)
    The forward graph
    ─────────────────
      v2 = v1²   line 3
    >>> print(document.markdown)
    ### The forward graph
    <BLANKLINE>
    - $v_{2} = v_{1}^2$ — line 3
    >>> print(document.latex)
    \\subsection*{The forward graph}
    \\begin{itemize}
      \\item $v_{2} = v_{1}^2$ --- line 3
    \\end{itemize}
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = tuple(sections)

    @property
    def text(self) -> str:
        """The document as plain text; ``str()`` is the same."""
        return "\n\n".join("\n".join(_section_text(section)) for section in self.sections)

    @property
    def markdown(self) -> str:
        """The document in Markdown, with formulas between dollar signs."""
        return "\n\n".join("\n".join(_section_markdown(section)) for section in self.sections)

    @property
    def latex(self) -> str:
        """The document in LaTeX, for the body of an article that uses ``amsmath``."""
        return "\n\n".join("\n".join(_section_latex(section)) for section in self.sections)

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.markdown


# Text


def _section_text(section: Section) -> Iterator[str]:
    title = _phrase_text(section.title)
    yield title
    yield "─" * display_width(title)
    if section.opening:
        yield _phrase_text(section.opening)
    formulas = ["  " * (1 + line.depth) + _piece_text(line.formula) for line in section.lines]
    widths = [display_width(formula) for formula in formulas]
    column = max((width for width in widths if width <= _WIDEST), default=0)
    for line, formula, width in zip(section.lines, formulas, widths, strict=True):
        remark = _phrase_text(line.remark)
        space = "" if line.formula is None else " " * (3 + max(0, column - width))
        yield (formula + (space + remark if remark else "")).rstrip()


def _phrase_text(phrase: Phrase) -> str:
    return "".join(map(_piece_text, phrase))


def _piece_text(piece: str | Maths | Code | None) -> str:
    if piece is None:
        return ""
    return visible(piece if isinstance(piece, str) else piece.text, _LONGEST)


# Markdown


def _section_markdown(section: Section) -> Iterator[str]:
    yield f"### {_phrase_markdown(section.title)}"
    yield ""
    if section.opening:
        yield _phrase_markdown(section.opening)
        yield ""
    for line in section.lines:
        parts = [
            part for part in (_piece_markdown(line.formula), _phrase_markdown(line.remark)) if part
        ]
        yield "  " * line.depth + "- " + " — ".join(parts)


def _phrase_markdown(phrase: Phrase) -> str:
    return "".join(map(_piece_markdown, phrase))


def _piece_markdown(piece: str | Maths | Code | None) -> str:
    if piece is None:
        return ""
    if isinstance(piece, Maths):
        return f"${piece.latex}$"
    if isinstance(piece, Code):
        return markdown_code(visible(piece.text, _LONGEST))
    return markdown_text(visible(piece, _LONGEST))


# LaTeX


def _section_latex(section: Section) -> Iterator[str]:
    yield rf"\subsection*{{{_phrase_latex(section.title)}}}"
    if section.opening:
        yield _phrase_latex(section.opening)
    depth = -1
    for line in section.lines:
        while depth < line.depth:
            depth += 1
            yield "  " * depth + r"\begin{itemize}"
        while depth > line.depth:
            yield "  " * depth + r"\end{itemize}"
            depth -= 1
        parts = [part for part in (_piece_latex(line.formula), _phrase_latex(line.remark)) if part]
        yield "  " * (depth + 1) + r"\item " + " --- ".join(parts)
    while depth >= 0:
        yield "  " * depth + r"\end{itemize}"
        depth -= 1


def _phrase_latex(phrase: Phrase) -> str:
    return "".join(map(_piece_latex, phrase))


def _piece_latex(piece: str | Maths | Code | None) -> str:
    if piece is None:
        return ""
    if isinstance(piece, Maths):
        return f"${piece.latex}$"
    if isinstance(piece, Code):
        return latex_code(visible(piece.text, _LONGEST))
    return latex_text(visible(piece, _LONGEST))
