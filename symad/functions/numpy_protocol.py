"""Calls of NumPy's functions and ufuncs on nodes, as NumPy's protocols pass them on.

A function is found by its path below ``numpy``: first in :mod:`symad.functions.numpy_functions`,
which has functions with NumPy's signatures, then among symad's own.  There is no other way: a
function of ``numpy.linalg`` is never answered by one of ``numpy`` that has the same name.
Arguments are bound by NumPy's signature and passed on by name, the leading ones also by position.
One that the function here does not take is left out if it is NumPy's default, else refused.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from inspect import Parameter
from typing import Any

import numpy as np

from symad.errors import GraphTypeError, SymadError, did_you_mean
from symad.functions.numpy_functions import SIGNATURES
from symad.graph.node import Node, reporting
from symad.graph.op import explained, resolve
from symad.graph.operators import FUNCTIONS, NUMPY_NAMES, ON_FIRST_USE
from symad.ops.adjoint import cast
from symad.ops.base import as_node, register

Names = dict[str, str | None]
"""For each parameter of a NumPy function, the one here that takes its argument."""


_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "casting": ("same_kind", "unsafe"),
    "copy": (True, False, None),
    "device": ("cpu", None),
    "kind": ("quicksort", "mergesort", "heapsort", "stable"),
    "optimize": (True, False, "greedy", "optimal"),
    "order": ("C",),
    "stable": (True, False),
    "subok": (True, False),
}
"""Arguments that say how NumPy stores or computes a result, and not which numbers are in it."""

_REMEDIES = {
    "dtype": "Cast the operand or the result: x.astype(dtype).",
    "initial": "Combine the result with the initial value: sm.add, sm.maximum, ...",
    "order": "Nodes have no memory layout; transpose first: x.T.",
    "out": "Nodes cannot be written to.  A compiled function takes out=.",
    "where": "Write sm.where(condition, x, y), which says what the other elements are.",
}


# Which function


def find(path: str) -> Callable[..., Any] | None:
    """Return the function for nodes that answers the NumPy function at ``path``."""
    if path in SIGNATURES:
        return SIGNATURES[path]
    family = f"{path.partition('.')[0]}."
    if family in ON_FIRST_USE:
        import_module(ON_FIRST_USE[family])
    try:
        return FUNCTIONS[NUMPY_NAMES.get(path, path)]
    except KeyError:
        return None


def path_of(function: Any) -> str:
    """Return where a NumPy function is found below ``numpy``."""
    module = function.__module__.removeprefix("numpy").removeprefix(".lib").removeprefix(".")
    module = module.replace("scimath", "emath")
    return f"{module}.{function.__name__}" if module else str(function.__name__)


@cache
def path_of_ufunc(ufunc: np.ufunc) -> str:
    """Return the path of a ufunc below ``numpy`` or ``scipy``; a foreign one gets its name."""
    name = ufunc.__name__
    if getattr(np, name, None) is ufunc:
        return name
    special = sys.modules.get("scipy.special")
    names = [key for key, value in vars(special).items() if value is ufunc] if special else []
    paths = [f"special.{key}" for key in names]
    return next((path for path in paths if find(path)), paths[0] if paths else f"({name})")


def _title(path: str) -> str:
    """Return the name of a function as messages give it."""
    return f"scipy.{path}" if path.startswith("special.") else f"numpy.{path}"


def _nodes_in(values: Iterable[Any]) -> Iterator[Node]:
    """Yield the first nodes among arguments and in lists of them."""
    pending = list(values)[::-1]
    while pending:
        value = pending.pop()
        if isinstance(value, Node):
            yield value
        elif isinstance(value, (list, tuple)):
            pending += value[7::-1]


def _required(path: str) -> Callable[..., Any]:
    target = find(path)
    if target is None:
        last = path.rpartition(".")[2]
        known = f"symad has sm.{last}, which may do.  " if last in FUNCTIONS else ""
        raise GraphTypeError(
            f"{_title(path)} has no counterpart for symad nodes",
            remedy=f"{known}Compute it on arrays before feeding them, or define an op "
            "(docs/adding_an_op.md).",
        )
    return target


def _answer(path: str, args: Iterable[Any], call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns; its errors name the function, the nodes and the line."""
    with reporting(_title(path), *list(_nodes_in(args))[:8]):
        try:
            return call()
        except SymadError as error:
            if error.remedy:
                raise
            name = NUMPY_NAMES.get(path, path)
            remedy = f"The documentation of sm.{name} says what is possible with nodes."
            raise type(error)(error.message, where=error.where, remedy=remedy) from None
        except (TypeError, ValueError) as error:
            raise GraphTypeError(str(error), remedy=f"See help(np.{path}).") from error


# Functions


@explained
def numpy_function(function: Any, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """Return the value of a call of a NumPy function of which an argument is a node."""
    path = path_of(function)

    def call() -> Any:
        target = _required(path)
        positional, named = translate(function, target, args, keywords)
        return target(*positional, **named)

    return _answer(path, [*args, *keywords.values()], call)


def translate(
    function: Any, target: Callable[..., Any], args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of ``target`` for those of a NumPy function.

    Raises
    ------
    GraphTypeError
        If one has no counterpart.
    """
    signature = _signature(function) or _signature(target) or inspect.Signature()
    parameters, names = signature.parameters, _correspondence(function, target)
    bound = _bound(signature, args, keywords)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if parameters[name].kind is Parameter.VAR_POSITIONAL:
            before = [key for key in _leading(_parameters(target)) if value and key in named]
            positional = [*[named.pop(key) for key in before], *value]
        elif parameters[name].kind is Parameter.VAR_KEYWORD:
            named |= {key: item for key, item in value.items() if _takes(target, key, item)}
        elif names[name] and value is not np._NoValue:
            named[str(names[name])] = value
        elif not names[name] and not _has_no_effect(name, parameters[name].default, value):
            raise _refusal(name, target)
    leading = list(_parameters(target).values())
    while leading and leading[0].kind is Parameter.POSITIONAL_ONLY and leading[0].name in named:
        positional.append(named.pop(leading.pop(0).name))
    return positional, named


def _bound(
    signature: inspect.Signature, args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> inspect.BoundArguments:
    try:
        return signature.bind(*args, **keywords)
    except TypeError as error:
        parameters = signature.parameters
        unknown = [name for name in keywords if name not in parameters]
        hint = did_you_mean(unknown[0], parameters) if unknown else ""
        raise GraphTypeError(
            f"{error}.{hint}", remedy=f"It takes {', '.join(f'{name}=' for name in parameters)}."
        ) from None


def _takes(target: Callable[..., Any], name: str, value: Any) -> bool:
    """Return whether a keyword is to be passed on; one without effect is left out."""
    taken = _parameters(target)
    if name in taken or any(p.kind is Parameter.VAR_KEYWORD for p in taken.values()):
        return True
    if not _has_no_effect(name, None, value):
        raise _refusal(name, target)
    return False


def _has_no_effect(name: str, default: Any, value: Any) -> bool:
    """Return whether an argument that symad does not take changes nothing."""
    if value is default or value is np._NoValue:
        return True
    plain = (bool, int, float, str, type(None))
    if not isinstance(value, plain) or not isinstance(default, plain):
        return isinstance(value, plain) and value in _WITHOUT_EFFECT.get(name, ())
    return value in (default, *_WITHOUT_EFFECT.get(name, ()))


def _refusal(name: str, target: Callable[..., Any]) -> GraphTypeError:
    taken = [f"{key}=" for key in _parameters(target)]
    hint = did_you_mean(name, _parameters(target))
    return GraphTypeError(
        f"{name}= is not available for symad nodes{f'.{hint}' if hint else ''}",
        remedy=_REMEDIES.get(name, f"Leave it out; it takes {', '.join(taken)}."),
    )


@cache
def _signature(function: Any) -> inspect.Signature | None:
    """Return the signature of a function, ``None`` if it does not say what it takes."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _parameters(function: Any) -> Mapping[str, Parameter]:
    signature = _signature(function)
    return {} if signature is None else signature.parameters


@cache
def _correspondence(function: Any, target: Callable[..., Any]) -> Names:
    """Return for each parameter of a NumPy function that of ``target`` which takes its argument.

    The names are the same, or both stand at the same position and neither is known to the other.
    """
    theirs, ours = _parameters(function) or _parameters(target), _parameters(target)
    free = [None if name in theirs else name for name in _leading(ours)]
    names: Names = {name: name if name in ours else None for name in theirs}
    for name, other in zip(_leading(theirs), free, strict=False):
        names[name] = names[name] or other
    return names


def _leading(parameters: Mapping[str, Parameter]) -> list[str]:
    wanted = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in parameters.items() if parameter.kind in wanted]


# Ufuncs


@explained
def numpy_ufunc(
    ufunc: np.ufunc, method: str, args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Any:
    """Return the value of a call of a ufunc, or of one of its methods, on nodes."""
    path = path_of_ufunc(ufunc)

    def call() -> Any:
        if method != "__call__":
            raise GraphTypeError(
                f"{_title(path)}.{method} is not available for symad nodes",
                remedy="Write what it stands for: np.sum, np.max, np.cumsum, x[:, None] + y, ...",
            )
        target = _required(path)
        dtype, signature = _checked(path, keywords)
        if dtype is not None:
            signature = (*[None] * ufunc.nin, *[np.dtype(dtype)] * ufunc.nout)
        if signature is None and resolve(getattr(target, "numpy", target)) is ufunc:
            return target(*args)
        return _in_dtypes(ufunc, target, args, signature)

    return _answer(path, [*args, *keywords.values()], call)


def _checked(path: str, keywords: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return ``dtype`` and ``signature``; other keywords must be without effect."""
    left = dict(keywords)
    dtype, signature = left.pop("dtype", None), left.pop("signature", None)
    defaults = {"where": True, "out": None, "casting": "same_kind", "keepdims": False}
    for name, value in left.items():
        order = name == "order" and value in ("C", "F", "A", "K", None)
        if not order and not _has_no_effect(name, defaults.get(name, np._NoValue), value):
            raise GraphTypeError(
                f"{_title(path)} with {name}= is not available for symad nodes",
                remedy=_REMEDIES.get(name, f"Leave {name}= out."),
            )
    return dtype, signature


def _in_dtypes(
    ufunc: np.ufunc, target: Callable[..., Any], args: tuple[Any, ...], signature: Any
) -> Any:
    """Compute in the dtypes of the loop that a ufunc selects."""
    given = [arg if type(arg) in (bool, int, float) else as_node(arg) for arg in args]
    kinds = [node.dtype if isinstance(node, Node) else type(node) for node in given]
    selected = {} if signature is None else {"signature": signature}
    loop = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout), **selected)
    result = target(*[cast(as_node(x), d) for x, d in zip(given, loop, strict=False)])
    return result if isinstance(result, tuple) else cast(result, loop[-1])


register(numpy_function)
register(numpy_ufunc)
