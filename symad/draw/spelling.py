"""Text of the user's in LaTeX and Markdown: shown as text whatever it holds, and run nowhere."""

from __future__ import annotations

import re

from symad.draw.escape import visible
from symad.draw.values import MINUS

_SIMPLE = re.compile(r"([A-Za-z]+)_?([0-9]*)")
_MATHS = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\wedge ", "~": r"\sim ", "<": "{<}", ">": "{>}", '"': "''", "`": "'",
    " ": r"\ ",
}  # fmt: skip
_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': "''", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", "…": r"\ldots{}", "→": r"$\to$",
    "×": r"$\times$", MINUS: "$-$", "·": r"$\cdot$", "∂": r"$\partial$", "—": "---", "–": "--",
}  # fmt: skip
_NUMBERS = {MINUS: "-", "∞": r"\infty", "…": r"\ldots ", "×": r" \times ", "‖": r"\Vert "}
_POWER = re.compile(r"e([+\-]?)0*([0-9]+)")
_WORD = re.compile(r"nan|true|false|absent")


def latex_name(name: str) -> str:
    """Return a name for use in a formula: x1 as x with an index, longer names upright.

    Only what stands outside letters and digits is escaped, by commands that every reader of LaTeX
    knows in formulas.

    Examples
    --------
    >>> latex_name("x1"), latex_name("W"), latex_name("loss"), latex_name("50%_{x}")
    ('x_{1}', 'W', '\\\\mathrm{loss}', '\\\\mathrm{50\\\\%\\\\_\\\\{x\\\\}}')
    """
    simple = _SIMPLE.fullmatch(name)
    if simple and len(name) <= 40:
        letters, digits = simple.groups()
        head = letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
        return head + (f"_{{{digits}}}" if digits else "")
    return rf"\mathrm{{{_escaped(visible(name), _MATHS)}}}"


def latex_text(text: str) -> str:
    """Return text for use outside of formulas.

    Examples
    --------
    >>> latex_text("50% of $x_1$")
    '50\\\\% of \\\\$x\\\\_1\\\\$'
    """
    return _escaped(text, _TEXT)


def latex_number(text: str) -> str:
    """Return what :func:`~symad.draw.values.format_value` returned, for use in a formula.

    Examples
    --------
    >>> latex_number("[1, −2.5, …]"), latex_number("1.5e−07")
    ('[1, -2.5, \\\\ldots ]', '1.5 \\\\cdot 10^{-7}')
    """
    plain = _escaped(text, _NUMBERS)
    plain = _POWER.sub(lambda found: rf" \cdot 10^{{{found[1].strip('+')}{found[2]}}}", plain)
    return _WORD.sub(lambda found: rf"\mathrm{{{found[0]}}}", plain)


def markdown_text(text: str) -> str:
    """Return text in which Markdown, HTML and formulas in dollars have no meaning.

    Examples
    --------
    >>> markdown_text("a|b <b>")
    'a\\\\|b \\\\<b\\\\>'
    """
    for character in "\\`*_|<>[]$&#~":
        text = text.replace(character, "\\" + character)
    return text


def markdown_code(text: str) -> str:
    """Return text as code; a backtick would end it, so it becomes an apostrophe.

    Examples
    --------
    >>> markdown_code("x * 1 = x")
    '`x * 1 = x`'
    """
    return f"`{text.replace('`', chr(39)).replace('|', chr(0x2223))}`"


def _escaped(text: str, replacements: dict[str, str]) -> str:
    return "".join(replacements.get(character, character) for character in text)
