"""What Python's tools ask of a compiled function: its signature and its docstring."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

from symad.graph.nested import leaves_with_paths, rebuild
from symad.graph.node import Node
from symad.visible import visible

_MOST_FORMULAS = 8


class OfInstances:
    """An attribute of the instances of a class that means something else for the class itself.

    Parameters
    ----------
    compute : callable
        Returns the value for an instance.
    of_class : optional
        The value for the class; without it, the class has no such attribute.
    """

    def __init__(self, compute: Callable[[Any], Any], of_class: Any = None) -> None:
        self._compute = compute
        self._of_class = of_class

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is not None:
            return self._compute(instance)
        if self._of_class is None:
            raise AttributeError("only instances have this attribute")
        return self._of_class


def signature_of(inputs: Any, outputs: Any) -> inspect.Signature:
    """Return the signature of a function; its annotations are the types of the graph.

    An input whose name is no name in Python, or not the only one of its kind, can be given by
    position only, as those before it then are.

    Examples
    --------
    >>> import symad as sm
    >>> x, y = sm.Variable("x", shape=(2,)), sm.Variable("y", shape=())
    >>> signature_of([x, {"y": y}], [x * y])
    <Signature (x: f64[2], input1: {'y': f64[]}, *, out=None) -> [f64[2]]>
    """
    given: Sequence[Any] = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    labels = [x.label if isinstance(x, Node) else f"input{i}" for i, x in enumerate(given)]
    usable = [_is_name(label) and labels.count(label) == 1 for label in labels]
    by_position = len(usable) - usable[::-1].index(False) if False in usable else 0
    parameters = [
        Parameter(
            label if usable[i] else f"input{i}",
            Parameter.POSITIONAL_ONLY if i < by_position else Parameter.POSITIONAL_OR_KEYWORD,
            annotation=_types(given[i]),
        )
        for i, label in enumerate(labels)
    ]
    if "out" not in labels:
        parameters.append(Parameter("out", Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(parameters, return_annotation=_types(outputs))


def _is_name(label: str) -> bool:
    return label.isidentifier() and not keyword.iskeyword(label)


def _types(structure: Any) -> Any:
    return rebuild(structure, (node.type for _, node in leaves_with_paths(structure)))


def documentation_of(name: str, inputs: Any, outputs: Any) -> str:
    """Return a docstring: the call, and the formulas of the results.

    Examples
    --------
    >>> import symad as sm
    >>> x = sm.Variable("x", shape=())
    >>> print(documentation_of("f", [x], {"value": x**2, "slope": 2 * x}))
    f(x: f64[], *, out=None) -> {'value': f64[], 'slope': f64[]}
    <BLANKLINE>
    ['value'] = x ** 2
    ['slope'] = 2 * x
    """
    pairs = list(leaves_with_paths(outputs))
    lines = [f"{path} = {node}" if path else str(node) for path, node in pairs[:_MOST_FORMULAS]]
    more = [f"... and {len(pairs) - _MOST_FORMULAS} more"] if len(pairs) > _MOST_FORMULAS else []
    return "\n".join([f"{visible(name)}{signature_of(inputs, outputs)}", "", *lines, *more])
