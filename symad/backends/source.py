"""Writes a plan as readable, runnable NumPy source, with one line per instruction.

Values have the names used in pictures and tables, as Python identifiers: ``v3``, ``v4_bar``,
``v4_bar_6`` for v̄4→6 (see :attr:`symad.notation.labels.Symbol.identifier`); ``t1``, ``t2``, ...
are steps inside rules or from passes, ``c1``, ``c2``, ... numbers and arrays.  Parameters have the
user's names.  The bodies of loops are separate functions, with ``t1``, ... for all their values.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symad.errors import InternalError
from symad.graph.graph import Graph
from symad.graph.nested import rebuild
from symad.graph.node import Constant, Node
from symad.graph.op import Op
from symad.notation.labels import Labels
from symad.notation.names import labels_of
from symad.notation.view import View
from symad.ops.body import WithBody
from symad.plan.plan import Plan, make_plan
from symad.visible import visible

_LITERAL_SIZE = 16
"""The largest array, in elements, that is written out; others are looked up in `constants`."""


class SourceWriter:
    """Writes one module: imports, constants, bodies of loops, and the function itself.

    Attributes
    ----------
    constants : dict
        The arrays that are too large to be written out, by name; the source looks them up in a
        dictionary of this name, which must exist when it runs.
    names : dict
        From each node to its name in the function itself, which is the last in the module.
    """

    def __init__(self) -> None:
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.names: dict[Node, str] = {}
        self._imports: dict[str, None] = {"import numpy as np": None}
        self._functions: list[str] = []

    def module(self, plan: Plan, name: str, outputs: Any = None) -> str:
        """Return the source of a module with one function for ``plan``.

        Parameters
        ----------
        plan : Plan
        name : str
            The function's name.
        outputs : nested structure of anything, optional
            The form of the result: its leaves are replaced by the plan's outputs in order.
        """
        self._function(plan, _identifier(name), outputs, labels_of(View(plan.graph)))
        return "\n\n\n".join(["\n".join(self._imports), *self._functions]) + "\n"

    def _function(
        self, plan: Plan, name: str, outputs: Any = None, labels: Labels | None = None
    ) -> None:
        names = _LocalNames(plan.graph, labels, "np", "constants", name)
        lines = [f"def {name}({', '.join(names.parameters.values())}):"]
        for node, parameter in names.parameters.items():
            if names.of.setdefault(node, parameter) != parameter:
                lines.append(names.line(node, parameter))
        for _, constant in plan.constants:
            names.give(constant, "c")
            lines.append(names.line(constant, *self._constant(constant)))
        for step in plan.instructions:
            names.give(step.node, "t")
            where = visible(step.node.site.place(short=True), 100)
            right = self._right_side(step.node, names.of)
            lines.append(names.line(step.node, right, f"{step.node.type}, {where}"))
        results = [names.of[node] for node in plan.graph.outputs]
        form = tuple(results) if outputs is None else rebuild(outputs, iter(results))
        lines.append(f"    return {_display(form)}")
        self._functions.append("\n".join(lines))
        self.names = names.of

    def _right_side(self, node: Node, names: Mapping[Node, str]) -> str:
        op = node.op
        assert op is not None
        arguments = [names[source] for source in node.inputs]
        if not isinstance(op, WithBody):
            return self._call(op, arguments)
        bodies = []
        for body in op.bodies:
            bodies.append(f"body_of_{names[node]}_{len(self._functions)}")
            self._function(make_plan(body), bodies[-1])
        name = f"{op.name}_{names[node]}_{len(self._functions)}"
        definition = op.definition_of(name, bodies)
        if not definition:
            return op.source_of(bodies, arguments)
        self._functions.append(definition)
        return f"{name}({', '.join(arguments)})"

    def _call(self, op: Op, arguments: Sequence[str]) -> str:
        keywords = [f"{key}={_literal(value)}" for key, value in op.attributes().items()]
        return f"{self._reference(type(op).numpy)}({', '.join([*arguments, *keywords])})"

    def _reference(self, function: Callable[..., Any] | str) -> str:
        """Return the name of a kernel in the source, and import it there."""
        if isinstance(function, str):
            self._imports[f"import {function.rpartition('.')[0]}"] = None
            return function
        name = function.__name__
        if getattr(np, name, None) is function:
            return f"np.{name}"
        if getattr(np.linalg, name, None) is function:
            return f"np.linalg.{name}"
        path = getattr(function, "__qualname__", name)
        if "<" in path:
            raise InternalError(f"the kernel {path} of {function.__module__} has no name to import")
        self._imports[f"from {function.__module__} import {path.partition('.')[0]}"] = None
        return path

    def _constant(self, node: Constant) -> tuple[str, ...]:
        """Return the value of a constant, and its type if the value does not show it."""
        value = node.value
        if value.size > _LITERAL_SIZE:
            name = f"c{len(self.constants) + 1}"
            self.constants[name] = value
            return f'constants["{name}"]', str(node.type)
        if value.ndim == 0:
            return (f"np.{value.dtype.type.__name__}({_literal(value.item())})",)
        return (f"np.array({_nested_literal(value.tolist())}, dtype={value.dtype.name!r})",)


def _nested_literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_nested_literal, value))}]"
    return _literal(value)


def _literal(value: Any) -> str:
    """Return Python text for an attribute of an op or an element of an array."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, np.dtype):
        return f"np.dtype({value.name!r})"
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if value is Ellipsis:
        return "..."
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    raise InternalError(f"{value!r} cannot be written as source")


def _display(form: Any) -> str:
    """Return a nested structure of names as Python text."""
    return "".join(_display_parts(form))


def _display_parts(form: Any) -> Iterator[str]:
    if isinstance(form, str):
        yield form
    elif isinstance(form, dict):
        items = (f"{key!r}: {_display(item)}" for key, item in form.items())
        yield f"{{{', '.join(items)}}}"
    else:
        inside = ", ".join(map(_display, form))
        if isinstance(form, list):
            yield f"[{inside}]"
        else:
            yield f"({inside},)" if len(form) == 1 else f"({inside})"


def _identifier(label: str) -> str:
    """Return a Python identifier for a name of the user."""
    name = re.sub(r"\W", "_", label, flags=re.ASCII)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        name = f"_{name}"
    return name


class _LocalNames:
    """The names in one function.

    Attributes
    ----------
    of : dict from Node to str
    parameters : dict from Node to str
        The user's name of each input, with ``_`` where another value has this name.
    """

    def __init__(self, graph: Graph, labels: Labels | None, *taken: str) -> None:
        symbols = {} if labels is None else labels.symbols
        known = {node: symbols[node] for node in graph.nodes if symbols.get(node)}
        self.of = {node: first.identifier for node, (first, *_) in known.items()}
        self._more = {node: more for node, (_, *more) in known.items() if more}
        self._given = _Names(*taken, *self.of.values())
        lecture = set(self.of.values())
        self.parameters = {node: self._parameter(node, lecture) for node in graph.inputs}

    def _parameter(self, node: Node, lecture: set[str]) -> str:
        name = _identifier(node.label)
        if name == self.of.get(node):
            return name
        return self._given.take(f"{name}_" if name in lecture else name)

    def give(self, node: Node, letter: str) -> None:
        """Name a value without a symbol."""
        if node not in self.of:
            self.of[node] = self._given.take(letter, first=1)

    def line(self, node: Node, right: str, *remarks: str) -> str:
        """Return an assignment with its remarks and the other names of the value."""
        if node in self._more:
            names = ", ".join(symbol.identifier for symbol in self._more[node])
            remarks = (*remarks, f"also {names}")
        remark = f"  # {'; '.join(remarks)}" if remarks else ""
        return f"    {self.of[node]} = {right}{remark}"


class _Names:
    """Generates unique names, ``x``, ``x1``, ``x2``, ..., at constant cost each."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def take(self, stem: str, first: int | None = None) -> str:
        """Return ``stem``, or the stem and the next number from ``first``."""
        name, number = stem, self._next.get(stem, first or 1)
        while name in self._taken or (first is not None and name == stem):
            name = f"{stem}{number}"
            number += 1
        self._next[stem] = number
        self._taken.add(name)
        return name
