"""Text of C99: types, literals, comments, strings, and names of functions."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

from symad.errors import ExportError

MEMORY_TYPES = {
    "float64": "double", "float32": "float", "float16": "uint16_t",
    "int64": "int64_t", "int32": "int32_t",
    "int16": "int16_t", "int8": "int8_t", "uint64": "uint64_t", "uint32": "uint32_t",
    "uint16": "uint16_t", "uint8": "uint8_t", "bool": "uint8_t",
}  # fmt: skip
"""The C type of an element in memory; of a float16, its bits."""

_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while main errno math_errhandling NULL NAN INFINITY in out work "
    "sizes reserved message asm class delete new private protected public template this throw try "
    "true false bool".split()
)
_LIBRARY = re.compile(
    r"(a?(cos|sin|tan)h?|atan2|exp|exp2|expm1|log|log10|log1p|log2|logb|ilogb|pow|sqrt|cbrt|hypot|"
    r"erfc?|[lt]?gamma|ceil|floor|trunc|rint|nearbyint|l?l?round|l?lrint|fmod|remainder|remquo|"
    r"copysign|nan|nextafter|nexttoward|f(dim|max|min|ma|abs)|(l|ll)?abs|frexp|ldexp|modf|"
    r"scalbl?n|[jy][01n])[fl]?|mem(cpy|move|set|cmp|chr)|malloc|free|u?int(8|16|32|64)_t"
)
"""Names of functions and types that the generated code, or a compiler, already has."""


def c_name(text: str) -> str:
    """Return ``text`` if it may be the name of a function.

    Raises
    ------
    ExportError
        If it is no name in C, or C has something of that name.

    Examples
    --------
    >>> c_name("model")
    'model'
    """
    is_name = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", text, re.ASCII)
    if not is_name or text in _KEYWORDS or _LIBRARY.fullmatch(text):
        why = "C has something of that name" if is_name else "it is no name in C"
        raise ExportError(
            f"a function cannot be called {text!r}: {why}",
            remedy="The name is that of the file: letters, digits and _, such as model.c.",
        )
    return text


@lru_cache(maxsize=256)
def memory_type(dtype: np.dtype[Any]) -> str:
    """Return the C type of an element in memory, nothing if there is none."""
    return MEMORY_TYPES.get(dtype.name, "")


@lru_cache(maxsize=1024)
def comment(text: str) -> str:
    """Return ``text`` as a comment of ASCII on one line, which nothing in it can end.

    Examples
    --------
    >>> comment("x */ y ??/ é")
    '/* x * / y ? ?/ \\\\u00e9 */'
    """
    text = "".join(map(_ascii, " ".join(text.split())))
    text = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", text)
    return f"/* {text.strip('*/') or '-'} */"


def _ascii(character: str) -> str:
    code = ord(character)
    if 32 <= code < 127:
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def string(text: str) -> str:
    """Return ``text`` as a string literal: UTF-8, in which other characters are escaped.

    Examples
    --------
    >>> string('say "é?"')
    '"say \\\\"\\\\303\\\\251\\\\?\\\\""'
    """
    escaped = {34: '\\"', 92: "\\\\", 63: "\\?", 10: "\\n"}
    data = text.encode("utf-8", "backslashreplace")
    parts = (escaped.get(c) or (chr(c) if 32 <= c < 127 else f"\\{c:03o}") for c in data)
    return '"' + "".join(parts) + '"'


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """Return a number as a literal that C reads as the same number; negative in parentheses.

    Examples
    --------
    >>> literal(0.1, np.dtype("float64")), literal(-2, np.dtype("int64"))
    ('0.1', '(-2)')
    """
    number = dtype.type(value).item()
    if dtype.kind == "b":
        return str(int(number))
    value = np.float32(number) if dtype.itemsize == 2 else dtype.type(number)
    text = _float(value) if dtype.kind == "f" else _integer(number, dtype)
    return f"({text})" if text.startswith("-") else text


def _float(value: Any) -> str:
    suffix = "f" if value.dtype.itemsize == 4 else ""
    if math.isnan(value):
        return f"({'-' if np.signbit(value) else ''}NAN)"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_scientific(value, unique=True, trim="-")
    mantissa, _, exponent = text.partition("e")
    if -5 <= int(exponent) <= 15:
        text = np.format_float_positional(value, unique=True, trim="0")
    elif "." not in mantissa:
        text = f"{mantissa}.0e{int(exponent)}"
    return text + suffix


def _integer(value: int, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "u":
        return f"UINT64_C({value})" if value >= 2**32 else f"{value}u"
    if value == np.iinfo("int64").min:
        return "INT64_MIN"
    if value == np.iinfo("int32").min and dtype.itemsize == 4:
        return "INT32_MIN"
    return f"INT64_C({value})" if abs(value) >= 2**31 else str(value)
