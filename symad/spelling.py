"""What a formula written as on paper, such as ``2x² + sin x``, would be in Python: a suggestion."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

_SIGNS = str.maketrans(
    {"^": "**", "−": "-", "–": "-", "÷": "/", "∕": "/", "√": " sqrt ", "≤": "<=", "≥": ">="}
    | dict.fromkeys("×·⋅∙", "*")
    | dict.fromkeys("[{", "(")
    | dict.fromkeys("]}", ")")
    | dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
    | {"≠": "!="}
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_EXPONENT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_TOKEN = re.compile(
    r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|π|[^\W\dπ][^\Wπ]*|\*\*|//|[<>=!]=|\S"
)
_OTHER_NAMES = {"ln": "log", "lg": "log10", "tg": "tan", "arctg": "atan", "sgn": "sign"}
_SPACED = re.compile(r"[+-]|[<>=!]?=|[<>]")


def as_python(source: str, functions: Container[str]) -> str:
    """Return a formula as it would be written in Python.

    Powers by ``^`` or raised digits, products without a sign, functions without brackets and
    absolute values by bars are understood.  The result is a guess, and need not be valid.

    Examples
    --------
    >>> as_python("2x² − √x sin x", {"sin", "sqrt"})
    '2*x**2 - sqrt(x)*sin(x)'
    >>> as_python("ln|x₁| + 3(y + 1)^2 sin^2 2y", {"sin", "log", "abs"})
    'log(abs(x1)) + 3*(y + 1)**2*sin(2*y)**2'
    """
    tokens, powers = _without_powers_of_functions(_tokens(source), functions)
    after = [""] * len(tokens)  # what is closed behind each token
    text: list[str] = []
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        binary = _ends_operand(before)
        called = before in functions or (token == "(" and _is_name(before))
        if binary and _begins_operand(token) and not called:
            text.append("*")
        text.append(f" {token} " if binary and _SPACED.fullmatch(token) else token)
        applied = token in functions and place + 1 < len(tokens)
        if applied and (tokens[place + 1] == "(" or _begins_operand(tokens[place + 1])):
            bare = tokens[place + 1] != "("
            end = _end_of_factor(tokens, place + 1, functions, bare)
            text.append("(" * bare)
            after[end] = ")" * bare + powers.get(place, "") + after[end]
        text.append(after[place])
    return "".join(text).replace(",", ", ")


def _tokens(source: str) -> list[str]:
    """Return the tokens of a formula, in ASCII and with Python's names of functions."""
    raised = _EXPONENT.sub(lambda found: f"**{found.group().translate(_RAISED)} ", source)
    tokens, opened = [], False
    for found in _TOKEN.finditer(raised.translate(_SIGNS)):
        token = _OTHER_NAMES.get(found.group(), found.group())
        if token == "|":
            opened = not opened
            tokens += ["abs", "("] if opened else [")"]
        else:
            tokens.append(token)
    return tokens


def _without_powers_of_functions(
    tokens: Sequence[str], functions: Container[str]
) -> tuple[list[str], dict[int, str]]:
    """Return tokens without the exponent in ``sin**2 x``; and exponents by the function's place."""
    left: list[str] = []
    powers: dict[int, str] = {}
    place = 0
    while place < len(tokens):
        left.append(tokens[place])
        exponent = tokens[place + 2 : place + 3]
        if left[-1] in functions and tokens[place + 1 : place + 2] == ["**"] and exponent:
            if exponent[0].isdigit():
                powers[len(left) - 1] = f"**{exponent[0]}"
                place += 2
        place += 1
    return left, powers


def _end_of_factor(
    tokens: Sequence[str], place: int, functions: Container[str], with_power: bool
) -> int:
    """Return the place of the last token of the factor that begins at a place."""
    last = len(tokens) - 1
    while place < last and tokens[place] in functions:
        place += 1
    if place < last and tokens[place][0].isdigit() and _is_name(tokens[place + 1]):
        place += 1  # sin 2x
    place = _end_of_brackets(tokens, place)
    if with_power and place + 1 < last and tokens[place + 1] == "**":
        place += 2 + (tokens[place + 2] == "-")
        place = _end_of_brackets(tokens, min(place, last))
    return place


def _end_of_brackets(tokens: Sequence[str], place: int) -> int:
    depth = 0
    for end in range(place, len(tokens)):
        depth += (tokens[end] == "(") - (tokens[end] == ")")
        if depth <= 0:
            return end
    return len(tokens) - 1


def _is_name(token: str) -> bool:
    return token[:1].isidentifier()


def _begins_operand(token: str) -> bool:
    return token == "(" or token[:1].isalnum() or token[:1] in "._" or _is_name(token)


def _ends_operand(token: str) -> bool:
    return token == ")" or (token != "(" and token != "" and _begins_operand(token))
