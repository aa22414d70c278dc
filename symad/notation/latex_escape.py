"""Escaping of user text for LaTeX and Markdown, so that it is shown as text, never interpreted."""

from __future__ import annotations

import re
import unicodedata

from symad.notation.escape import visible
from symad.notation.values import MINUS

_SIMPLE = re.compile(r"([A-Za-z]+|[α-ωΑ-Ω])_?([0-9]*)")
_MATHS = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\wedge ", "~": r"\sim ", "<": "{<}", ">": "{>}", '"': "''", "`": "'",
    " ": r"\ ",
}  # fmt: skip
_NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho varsigma "
    "sigma tau upsilon varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi "
    "Omega"
)
GREEK = dict(zip("αβγδεζηθικλμνξπρςστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _NAMES.split(), strict=True))
"""The Greek letters that have commands; the others look like Latin ones."""
ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "grave", "\N{COMBINING ACUTE ACCENT}": "acute",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "hat", "\N{COMBINING TILDE}": "tilde",
    "\N{COMBINING MACRON}": "bar", "\N{COMBINING DOT ABOVE}": "dot",
    "\N{COMBINING DIAERESIS}": "ddot", "\N{COMBINING CARON}": "check",
}  # fmt: skip
_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': "''", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", "…": r"\ldots{}", "→": r"$\to$",
    "×": r"$\times$", MINUS: "$-$", "·": r"$\cdot$", "∂": r"$\partial$", "—": "---", "–": "--",
    **{letter: rf"$\{name}$" for letter, name in GREEK.items()},
}  # fmt: skip
_CODE = _TEXT | {'"': r"\char34{}"}
_NUMBERS = {MINUS: "-", "∞": r"\infty", "…": r"\ldots ", "×": r" \times ", "‖": r"\Vert "}
_POWER = re.compile(r"e([+\-]?)0*([0-9]+)")
_WORD = re.compile(r"nan|true|false|absent")


def latex_name(name: str) -> str:
    """Return a name for use in a formula: x1 as x with an index, longer names upright.

    Characters other than letters and digits are escaped by commands that every LaTeX renderer
    supports in formulas, and so are Greek and accented letters.  Other letters need Unicode
    support.

    Examples
    --------
    >>> latex_name("x1"), latex_name("W"), latex_name("loss"), latex_name("50%_{x}")
    ('x_{1}', 'W', '\\\\mathrm{loss}', '\\\\mathrm{50\\\\%\\\\_\\\\{x\\\\}}')
    >>> latex_name("θ1"), latex_name("été")
    ('\\\\theta_{1}', '\\\\mathrm{\\\\acute{e}t\\\\acute{e}}')
    """
    simple = _SIMPLE.fullmatch(name)
    if simple and len(name) <= 40:
        letters, digits = simple.groups()
        head = rf"\mathrm{{{letters}}}" if len(letters) > 1 else _letter(letters).rstrip()
        return head + (f"_{{{digits}}}" if digits else "")
    return rf"\mathrm{{{''.join(_MATHS.get(c) or _letter(c) for c in visible(name))}}}"


def _letter(character: str) -> str:
    """Return a Greek or an accented letter as a command for formulas, others as they are."""
    if character in GREEK:
        return rf"\{GREEK[character]} "
    parts = unicodedata.normalize("NFD", character)
    accent = ACCENTS.get(parts[1:])
    return character if accent is None else rf"\{accent}{{{parts[0]}}}"


def latex_text(text: str) -> str:
    """Return text for use outside of formulas.

    Examples
    --------
    >>> latex_text("50% of $x_1$")
    '50\\\\% of \\\\$x\\\\_1\\\\$'
    """
    return _escaped(text, _TEXT)


def latex_code(text: str) -> str:
    """Return text unchanged, in a monospaced font.

    Examples
    --------
    >>> latex_code('x["a"]')
    '\\\\texttt{x{[}\\\\char34{}a\\\\char34{}{]}}'
    """
    return rf"\texttt{{{_escaped(text, _CODE)}}}"


def latex_number(text: str) -> str:
    """Return the result of :func:`~symad.notation.values.format_value` for use in a formula.

    Examples
    --------
    >>> latex_number("[1, −2.5, …]"), latex_number("1.5e−07")
    ('[1, -2.5, \\\\ldots ]', '1.5 \\\\cdot 10^{-7}')
    """
    plain = _escaped(text, _NUMBERS)
    plain = _POWER.sub(lambda found: rf" \cdot 10^{{{found[1].strip('+')}{found[2]}}}", plain)
    return _WORD.sub(lambda found: rf"\mathrm{{{found[0]}}}", plain)


def markdown_text(text: str) -> str:
    """Return text in which Markdown, HTML and dollar signs have no special meaning.

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
