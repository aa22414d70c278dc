"""Values on one short line: numbers to three decimals, arrays by shape, norm and first values.

Structures are shown item by item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from symad.notation.escape import visible

MINUS = "\N{MINUS SIGN}"
_SHOWN = 6  # arrays of at most this many elements are written out
_ITEMS = 4  # of a structure
_LONGEST_KEY = 16


def format_number(value: Any, decimals: int = 3) -> str:
    """Return a number to three decimals, or in scientific notation if these do not show it.

    Examples
    --------
    >>> [format_number(x) for x in (2.0, -0.2836621, 1.5e-7, True, float("nan"))]
    ['2', '−0.284', '1.5e−07', 'true', 'nan']
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value)).replace("-", MINUS)
    number = float(value)
    if number == 0:
        return "0"
    if not np.isfinite(number):
        text = "nan" if np.isnan(number) else "∞" if number > 0 else "-∞"
    elif 10.0**-decimals <= abs(number) < 1e6:
        text = f"{number:.{decimals}f}".rstrip("0").rstrip(".")
    else:
        text = f"{number:.{decimals}g}"
    return text.replace("-", MINUS)


def format_value(value: Any) -> str:
    """Return a value on one line.

    Examples
    --------
    >>> format_value(np.array([1.0, 2.5]))
    '[1, 2.5]'
    >>> format_value(np.ones((3, 4)))
    '3×4 [1, 1, 1, …] ‖3.464‖'
    >>> format_value({"cat": np.ones(2), "dog": None})
    '{cat: [1, 1], dog: absent}'
    """
    if isinstance(value, (dict, tuple, list)):
        return _format_items(value)
    if value is None:
        return "absent"
    if np.ndim(value) == 0:
        return format_number(np.asarray(value)[()])
    array = np.asarray(value)
    if array.size <= _SHOWN:
        return _nested(array.tolist())
    first = ", ".join(map(format_number, array.ravel()[:3]))
    return f"{format_size(array.shape)} [{first}, …]{_norm_of(array)}"


def summarise(value: Any) -> str:
    """Return a number, or the shape and norm of an array, to fit on a node of a picture.

    Examples
    --------
    >>> summarise(np.float64(0.5)), summarise(np.ones((3, 4)))
    ('0.5', '3×4 ‖3.464‖')
    """
    if isinstance(value, (dict, tuple, list)):
        return _format_structure(value)
    if value is None or np.ndim(value) == 0:
        return format_value(value)
    array = np.asarray(value)
    return f"{format_size(array.shape)}{_norm_of(array)}"


def format_size(shape: Iterable[Any]) -> str:
    """Return the sizes of the axes: ``3×4``, ``3`` for a vector."""
    return "×".join(map(str, shape))


def format_bytes(count: float) -> str:
    """Return a number of bytes with a unit: kB is 1000 bytes.

    Examples
    --------
    >>> [format_bytes(n) for n in (96, 1536, 25_690_112)]
    ['96 B', '1.54 kB', '25.7 MB']
    """
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 node``, ``1,200 nodes``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def is_number(value: Any) -> bool:
    """Return whether a value is a single number, not an array or a structure."""
    return not isinstance(value, (dict, list, tuple)) and np.ndim(value) == 0


def magnitude(value: Any) -> float:
    """Return the Euclidean norm of all numbers in a value."""
    squares = (np.sum(np.square(np.asarray(leaf, dtype="float64"))) for leaf in numbers_in(value))
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(sum(squares)))


def numbers_in(value: Any) -> Iterator[Any]:
    """Yield the arrays in a structure."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, (tuple, list)):
            pending += item
        elif item is not None:
            yield item


def _norm_of(array: np.ndarray[Any, Any]) -> str:
    return f" ‖{format_number(magnitude(array))}‖" if array.dtype.kind == "f" else ""


def _nested(items: Any) -> str:
    """Return a small nested list; the depth is that of an array, at most 64."""
    if not isinstance(items, list):
        return format_number(items)
    return f"[{', '.join(map(_nested, items))}]"


def _format_items(value: Any) -> str:
    """Return the first items of a structure; nested structures are shown by their size."""
    is_dict = isinstance(value, dict)
    pairs = list(value.items() if is_dict else enumerate(value))
    texts = []
    for key, item in pairs[:_ITEMS]:
        nested = isinstance(item, (dict, tuple, list))
        text = _format_structure(item) if nested else format_value(item)
        texts.append(f"{visible(str(key), _LONGEST_KEY)}: {text}" if is_dict else text)
    inside = ", ".join(texts + ["…"] * (len(pairs) > _ITEMS))
    return f"{{{inside}}}" if is_dict else f"({inside})"


def _format_structure(value: Any) -> str:
    """Return the kind and the number of items of a structure of any depth."""
    kind = type(value).__name__
    count = len(value)
    return f"{kind} of {count} item{'' if count == 1 else 's'}"
