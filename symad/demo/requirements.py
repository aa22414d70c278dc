"""The packages that the demos need: loaded on first use, with one remedy if one is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from symad.errors import MissingExtraError

_NAMES = {"sklearn": "scikit-learn", "matplotlib": "Matplotlib", "distributed": "Dask"}
_EXTRAS = {"distributed": "distributed"}


def load(module: str, purpose: str) -> ModuleType:
    """Return a module.

    Raises
    ------
    MissingExtraError
        If its package is not installed; the message says what for.
    """
    try:
        return import_module(module)
    except ImportError:
        raise missing(purpose, module.partition(".")[0]) from None


def missing(purpose: str, *packages: str) -> MissingExtraError:
    """Return the error for packages that cannot be found.

    Examples
    --------
    >>> print(missing("the picture", "matplotlib"))
    the picture requires Matplotlib, which cannot be found
      Install the packages of the demo: pip install "symad[demo]".
    """
    names = ", ".join(_NAMES.get(package, package) for package in packages)
    extras = ",".join(dict.fromkeys(["demo", *(_EXTRAS.get(each, "demo") for each in packages)]))
    return MissingExtraError(
        f"{purpose} requires {names}, which cannot be found",
        remedy=f'Install the packages of the demo: pip install "symad[{extras}]".',
    )
