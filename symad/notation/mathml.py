"""Conversion of the LaTeX of formulas to MathML, which browsers can typeset."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from html import escape
from html.entities import html5
from itertools import pairwise

from symad.notation.latex_escape import ACCENTS, GREEK
from symad.records import dataclass, field

_TOKEN = re.compile(r"\\sqrt\[\w+\]|\\[A-Za-z]+|\\.|[0-9]+(?:\.[0-9]+)?|\s+|.", re.DOTALL)
_SPACES = {
    r"\,": 0.17, r"\:": 0.22, r"\;": 0.28, "\\ ": 0.25, "~": 0.25, r"\quad": 1.0, r"\qquad": 2.0,
}  # fmt: skip
_FUNCTIONS = {
    rf"\{name}": name
    for name in "arccos arcsin arctan arg cos cosh cot det dim exp inf ker lim ln log max min "
    "sin sinh sup tan tanh".split()
}
_WORDS = tuple(rf"\{name}" for name in "mathrm operatorname text textrm mathbf mathit".split())
_FRACTIONS = (r"\frac", r"\dfrac", r"\tfrac")
_SYMBOLS = {
    "-": "−", "*": "∗", r"\|": "‖", r"\cdot": "·", r"\to": "→", r"\infty": "∞", r"\partial": "∂",
    r"\neq": "≠", r"\neg": "¬", r"\ldots": "…", r"\dots": "…", r"\cdots": "⋯", r"\circ": "∘",
    r"\backslash": "\\", r"\bmod": "mod", r"\epsilon": "ϵ", r"\phi": "ϕ",
    **{rf"\{name}": letter for letter, name in GREEK.items()},
}  # fmt: skip
_PLAIN = "∞∂∇…⋯⊤′"  # symbols that are not operators
_OPENING, _CLOSING = "([{⟨⌊⌈", ")]}⟩⌋⌉"
_FENCES = f"{_OPENING}{_CLOSING}|‖"
_BIG = "∑∏∫"
_ABOVE = {
    r"\bar": "¯", r"\dot": "˙", r"\ddot": "¨", r"\hat": "^", r"\tilde": "~", r"\acute": "´",
    r"\grave": "`", r"\check": "ˇ",
}  # fmt: skip
_COMBINING = {rf"\{name}": mark for mark, name in ACCENTS.items()}
_TALL = "<mfrac", "<msqrt", "<mroot", "<munder", ' stretchy="true"'  # what fences grow with
_THIN = 0.17


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of MathML and its kind, which determines the spacing around it."""

    markup: str
    kind: str = ""
    """``"name"`` of a function, ``"operator"``, ``"open"`` or ``"space"``."""
    base: str = ""
    scripts: tuple[str, ...] = ()
    """The markup of the scripts ``"_"`` and ``"^"`` that the base has."""


_Make = Callable[..., _Piece]


@dataclass(slots=True)
class _Group:
    """The content between two braces or fences, as far as it has been read."""

    fence: str | None = None
    """The opening fence, for a group between fences."""
    pieces: list[_Piece] = field(default_factory=list)
    waiting: list[tuple[int, _Make, list[_Piece]]] = field(default_factory=list)
    """Commands that wait for arguments: how many, a function that combines them, those found."""

    def add(self, piece: _Piece) -> None:
        """Add a piece, as an argument if a command waits for one."""
        while self.waiting:
            count, make, given = self.waiting[-1]
            given.append(piece)
            if len(given) < count:
                return
            del self.waiting[-1]
            piece = make(*given)
        self.pieces.append(piece)

    def all(self) -> list[_Piece]:
        """Return all pieces, including the arguments of incomplete commands."""
        return [*self.pieces, *(piece for _, _, given in self.waiting for piece in given)]

    def wait(self, count: int, make: _Make) -> None:
        """Let a command wait for its arguments."""
        self.waiting.append((count, make, []))


def mathml(latex: str) -> str:
    r"""Return LaTeX as MathML, without the outermost element.

    It supports fractions, roots, scripts, accents, fences, words, Greek letters and symbols; for
    other commands it shows the arguments.  Names of functions are upright and spaced as in TeX.

    Examples
    --------
    >>> mathml(r"\frac{1}{2}")
    '<mfrac><mn>1</mn><mn>2</mn></mfrac>'
    >>> mathml(r"\ln v_{1}")
    '<mi>ln</mi><mspace width="0.17em"/><msub><mi>v</mi><mn>1</mn></msub>'
    """
    groups = [_Group()]
    tokens = iter(_TOKEN.findall(latex))
    for token in tokens:
        _read(token, tokens, groups)
    while len(groups) > 1:
        _close(groups)
    return _row(groups[0].all())


def document(latex: str, display: str = "inline") -> str:
    """Return LaTeX as a complete MathML element; ``display`` is ``"inline"`` or ``"block"``."""
    namespace = "http://www.w3.org/1998/Math/MathML"
    return f'<math xmlns="{namespace}" display="{display}">{mathml(latex)}</math>'


def _read(token: str, rest: Iterator[str], groups: list[_Group]) -> None:
    """Read one token, and those after it that belong to it."""
    group = groups[-1]
    if token == "{":
        groups.append(_Group())
    elif token == r"\left":
        groups.append(_Group(next(rest, "")))
    elif token in ("}", r"\right"):
        _close(groups, next(rest, "") if token == r"\right" else "")
    elif token in ("_", "^"):
        base = group.pieces.pop() if group.pieces and not group.waiting else _Piece("<mrow/>")
        group.wait(1, lambda script: _scripted(base, token, script))
    elif token in _FRACTIONS:
        group.wait(2, lambda a, b: _Piece(f"<mfrac>{a.markup}{b.markup}</mfrac>"))
    elif token == r"\binom":
        group.wait(2, _binomial)
    elif token.startswith(r"\sqrt["):
        index = f"<mn>{token[6:-1]}</mn>"
        group.wait(1, lambda x: _Piece(f"<mroot>{x.markup}{index}</mroot>"))
    elif token == r"\sqrt":
        group.wait(1, lambda x: _Piece(f"<msqrt>{x.markup}</msqrt>"))
    elif token in _ABOVE:
        mark = f'<mo stretchy="false">{_ABOVE[token]}</mo>'
        group.wait(1, lambda x: _Piece(f'<mover accent="true">{x.markup}{mark}</mover>'))
    elif token in _WORDS:
        group.add(_word(_text(rest)))
    elif (piece := _symbol(token)) is not None:
        group.add(piece)


def _binomial(top: _Piece, bottom: _Piece) -> _Piece:
    column = f'<mfrac linethickness="0">{top.markup}{bottom.markup}</mfrac>'
    left, right = _fence("(", "prefix", True), _fence(")", "postfix", True)
    return _Piece(f"<mrow>{left}{column}{right}</mrow>", "open")


def _close(groups: list[_Group], fence: str = "") -> None:
    """Close the last group, which becomes a piece of its parent; extra braces are ignored."""
    if len(groups) == 1:
        return
    group = groups.pop()
    pieces = group.all()
    if group.fence is None:
        groups[-1].add(pieces[0] if len(pieces) == 1 else _Piece(f"<mrow>{_row(pieces)}</mrow>"))
        return
    inside = _row(pieces)
    grows = any(tall in inside for tall in _TALL)
    left, right = _fence(group.fence, "prefix", grows), _fence(fence, "postfix", grows)
    groups[-1].add(_Piece(f"<mrow>{left}{inside}{right}</mrow>", "open"))


def _fence(token: str, form: str, grows: bool) -> str:
    """Return a fence, as high as its content if it grows; a point means no fence."""
    piece = None if token == "." else _symbol(token)
    if piece is None:
        return ""
    return f'<mo form="{form}" stretchy="{str(grows).lower()}">{_characters(token)}</mo>'


def _scripted(base: _Piece, side: str, script: _Piece) -> _Piece:
    """Return a piece with a further index or exponent."""
    inner = base.base or base.markup
    scripts = dict(zip(base.scripts[::2], base.scripts[1::2], strict=True)) | {side: script.markup}
    big = any(f">{symbol}<" in inner for symbol in _BIG)
    names = ("munder", "mover", "munderover") if big else ("msub", "msup", "msubsup")
    name = names[2 if len(scripts) == 2 else "_^".index(side)]
    markup = f"<{name}>{inner}{''.join(scripts[s] for s in '_^' if s in scripts)}</{name}>"
    kept = tuple(text for pair in scripts.items() for text in pair)
    return _Piece(markup, base.kind, inner, kept)


def _row(pieces: list[_Piece]) -> str:
    """Return pieces in a row, with thin spaces between names of functions and their arguments."""
    markup = "".join(piece.markup for piece in pieces[:1])
    for before, after in pairwise(pieces):
        is_beside = (before.kind == "name" and after.kind != "open") or after.kind == "name"
        has_room = {before.kind, after.kind} & {"operator", "space"}
        markup += (_space(_THIN) if is_beside and not has_room else "") + after.markup
    return markup


def _space(width: float) -> str:
    return f'<mspace width="{width:g}em"/>'


def _word(text: str) -> _Piece:
    """Return upright text; for a single letter, this is marked explicitly."""
    upright = ' mathvariant="normal"' if len(text) == 1 else ""
    return _Piece(f"<mi{upright}>{escape(text)}</mi>", "name" if len(text) > 1 else "")


def _text(tokens: Iterator[str]) -> str:
    """Read an argument of plain text: a group or a single token."""
    found, depth, accent = [], 0, ""
    for token in tokens:
        depth += {"{": 1, "}": -1}.get(token, 0)
        if token in _COMBINING:
            accent = _COMBINING[token]
        elif token not in ("{", "}"):
            found.append(unicodedata.normalize("NFC", _characters(token) + accent))
            accent = ""
        if depth == 0:
            break
    return "".join(found).strip(" ")


def _symbol(token: str) -> _Piece | None:
    """Return a letter, a number, an operator, a name or a space; ``None`` if it is unknown."""
    if token in _SPACES:
        return _Piece(_space(_SPACES[token]), "space")
    if token in _FUNCTIONS:
        return _word(_FUNCTIONS[token])
    text = _characters(token)
    if not text or text.isspace():
        return None
    if token[0].isdigit():
        return _Piece(f"<mn>{token}</mn>")
    if text in _PLAIN or unicodedata.category(text[0])[0] in "LMC" and len(text) == 1:
        return _Piece(f"<mi>{escape(text)}</mi>")
    fixed = ' stretchy="false"' if text in _FENCES else ""
    kind = "open" if text in _OPENING else "operator"
    return _Piece(f"<mo{fixed}>{escape(text)}</mo>", kind)


def _characters(token: str) -> str:
    """Return the characters of a token: none for an unknown command."""
    if token in _SYMBOLS:
        return _SYMBOLS[token]
    if token == "'":
        return "′"
    if not token.startswith("\\"):
        return token
    return html5.get(f"{token[1:]};", "") if token[1:].isalpha() else token[1:]
