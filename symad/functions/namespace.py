"""What the Array API standard asks a namespace about itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from symad.functions import dtypes
from symad.ops.base import require_cpu

_DTYPES = (
    dtypes.bool, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.uint16,
    dtypes.uint32, dtypes.uint64, dtypes.float32, dtypes.float64,
)  # fmt: skip


class ArrayNamespaceInfo:
    """The answers of ``sm.__array_namespace_info__()``."""

    def capabilities(self) -> dict[str, Any]:
        """Return what is possible.

        Examples
        --------
        >>> import symad as sm
        >>> sm.__array_namespace_info__().capabilities()["data-dependent shapes"]
        False
        """
        return {"boolean indexing": False, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> str:
        """Return the device of arrays, which is always the CPU."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """Return all devices."""
        return ("cpu",)

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype[Any]]:
        """Return the dtypes that arrays have by default; there are no complex ones."""
        require_cpu(device)
        integral = {"integral": dtypes.int64, "indexing": dtypes.int64}
        return {"real floating": dtypes.float64, **integral}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype[Any]]:
        """Return the dtypes of a kind, as :func:`symad.isdtype` names it, or all, by their names.

        Examples
        --------
        >>> import symad as sm
        >>> sm.__array_namespace_info__().dtypes(kind="real floating")
        {'float32': dtype('float32'), 'float64': dtype('float64')}
        """
        require_cpu(device)
        kept = [d for d in _DTYPES if kind is None or dtypes.isdtype(d, kind)]
        return {dtype.name: dtype for dtype in kept}


def __array_namespace_info__() -> ArrayNamespaceInfo:
    """Return what the namespace ``symad`` supports, as the Array API standard asks.

    Examples
    --------
    >>> import symad as sm
    >>> sm.__array_namespace_info__().default_device()
    'cpu'
    """
    return ArrayNamespaceInfo()
