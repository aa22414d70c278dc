"""The result of :func:`symad.find_nan`, and its report on a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from symad.autodiff.extension import Edge
from symad.errors import EvaluationError
from symad.graph.formula import Term, format_term
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.graph.provenance import Role, RoleKind, Site
from symad.inspection.nan.elements import Event
from symad.inspection.nan.remedies import remedy_of
from symad.notation.escape import visible
from symad.notation.formulas import Formulas
from symad.notation.names import labels_of
from symad.notation.symbols import SYMBOLS
from symad.notation.values import MINUS, counted, format_number, format_value
from symad.notation.view import View
from symad.records import dataclass

_LONGEST = 80
_WAYS_IN = {
    "feed": "is in the feed",
    "parameter": "is in a parameter",
    "constant": "is in a constant",
}


@dataclass(frozen=True)
class Blame:
    """The origin of a NaN or an infinity, found by :func:`symad.find_nan`; false if there is none.

    Attributes
    ----------
    graph : Graph
        The inspected graph.
    origin : Event or None
        The first value that is not finite but was computed from finite values, or is in an input.
    turned : Event or None
        The first NaN, if it results from an infinity.
    outputs : tuple of Node
        The outputs that are not finite.
    inside : Blame or None
        If the origin is a loop or a call, the origin in its body.
    failure : EvaluationError or None
        The error of an op that failed on a value that is not finite.
    masked : int
        If all outputs are finite, the number of inner nodes with NaN or infinities.
    only_written : bool
        Whether only the graph as written is not finite: the passes remove the problem.
    only_run : bool
        Whether only the optimised graph is not finite: the passes cause the problem.
    rules : tuple of str
        The rewrite rules that were used on these lines.
    run : str
        Of a blame inside a loop, which run of the body it is: ``"step 3"``.
    """

    graph: Graph
    origin: Event | None = None
    turned: Event | None = None
    outputs: tuple[Node, ...] = ()
    inside: Blame | None = None
    failure: EvaluationError | None = None
    masked: int = 0
    only_written: bool = False
    only_run: bool = False
    rules: tuple[str, ...] = ()
    run: str = ""

    def __bool__(self) -> bool:
        return self.origin is not None

    @property
    def node(self) -> Node | None:
        """The node that is to blame."""
        return None if self.origin is None else self.origin.node

    @property
    def where(self) -> str:
        """The location of the node, see :class:`Event`; empty if there is none."""
        return "" if self.origin is None else self.origin.where

    @property
    def site(self) -> Site | None:
        """The user's line; for a node of a derivative, the line of its forward node."""
        return None if self.node is None else self.node.site

    @property
    def role(self) -> Role[Node] | None:
        """The role of the node in a derivative; ``None`` in the forward graph."""
        return None if self.node is None else self.node.role

    @property
    def edge(self) -> Edge | None:
        """The forward edge k → i whose rule made the node; ``None`` in the forward graph."""
        role = self.role
        if role is None or role.consumer is None or role.slot is None:
            return None
        return Edge(role.node, role.consumer, role.slot)

    @property
    def remedy(self) -> str:
        """A suggested remedy; empty if none is known."""
        if self.inside is not None:
            return self.inside.remedy
        for event in (self.origin, self.turned):
            if event is not None and event.where in ("forward", "backward"):
                values = [value for _, value in event.inputs]
                return remedy_of(event.node, values, event.value)
        return ""

    def __str__(self) -> str:
        return "\n".join(_Report(self).lines())

    def __repr__(self) -> str:
        if self.origin is None:
            return "<Blame: nothing>"
        return f"<Blame: {format_number(self.origin.value)}, {self.where}, {self.origin.node!r}>"

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{escape(str(self))}</pre>'


class _Report:
    """Writes the report, with the symbols of pictures and traces of the same graph."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        view = View(blame.graph)
        self._formulas = Formulas(view, labels_of(view))

    def lines(self) -> Iterator[str]:
        blame = self._blame
        if blame.origin is None:
            yield "The results contain no NaN and no infinity."
            if blame.masked:
                nodes = counted(blame.masked, "inner node is", "inner nodes are")
                yield f"{nodes} not finite, but masked."
            return
        yield from self.events()
        if blame.failure is not None:
            yield f"Then {visible(blame.failure.message, 2 * _LONGEST)}."
        yield from self._what_runs()
        if blame.remedy:
            yield f"Remedy: {blame.remedy}"

    def events(self) -> Iterator[str]:
        """Yield the lines on what happened, without the conclusions."""
        blame = self._blame
        if blame.origin is None:
            return
        yield self._headline(blame.origin)
        yield from self._event(blame.origin)
        if blame.inside is not None:
            yield f"  In {blame.inside.run}:" if blame.inside.run else "  Inside:"
            yield from (f"    {line}" for line in _Report(blame.inside).events())
        if blame.turned is not None:
            yield f"It turns into NaN {self._place(blame.turned)}:"
            yield from self._event(blame.turned)

    def _headline(self, event: Event) -> str:
        if event.where in _WAYS_IN:
            return f"{_spell(event.value)} {_WAYS_IN[event.where]}:"
        return f"{_spell(event.value)} is produced {self._place(event)}:"

    def _place(self, event: Event) -> str:
        """Return ``in the forward graph, by log``, or the rule of the derivative."""
        node = event.node
        name = "a step inside a rule" if node.op is None else visible(node.op.name)
        role = node.role
        if role is None:
            return f"in the forward graph, by {name}"
        if role.consumer is None or role.slot is None:
            what = "sum" if role.kind is RoleKind.SUM else str(role.kind)
            return f"in the derivative, in the {what} for {self._name(role.node)}"
        rule = f"the rule of {visible(role.consumer.label)}"
        edge = self._edge(role.node, role.consumer)
        return f"in the derivative, by {rule} for argument {role.slot + 1}, edge {edge}"

    def _edge(self, source: Node, consumer: Node) -> str:
        """Return ``v1 → v2 (x → sqrt)``; only the labels if there are no symbols."""
        names = f"{self._name(source)} → {self._name(consumer)}"
        labels = f"{visible(source.label)} → {visible(consumer.label)}"
        return names if names == labels else f"{names} ({labels})"

    def _event(self, event: Event) -> Iterator[str]:
        node = event.node
        yield f"  {self._equation(node)}"
        yield f"    at {_place_of(node.site)}"
        at = "" if event.index is None else f"[{', '.join(map(str, event.index))}]"
        if event.inputs:
            made = f"{self._with_values(event)} = {_spell(event.value)}"
        else:
            made = _spell(event.value)
        element = f"element {at}: " if at else ""
        several = event.size > 1 and event.count > 1
        rest = f" ({event.count:,} of {event.size:,} elements)" if several else ""
        yield f"    {element}{made}{rest}"
        for source, value in dict(event.inputs).items():
            if np.ndim(value) or isinstance(value, (dict, tuple, list)):
                yield f"    where {self._name(source)} is {_range(value)}"

    def _with_values(self, event: Event) -> str:
        """Return the formula of the op with numbers in place of its inputs."""
        node = event.node
        values = dict(event.inputs)

        def name(source: Node) -> Term:
            value = values.get(source)
            if value is None or np.ndim(value) or isinstance(value, (dict, tuple, list)):
                return Term(self._name(source))
            return Term.number(_precise(value))

        if node.op is None or not values.keys() <= set(node.inputs):
            inside = ", ".join(_precise(v) if np.ndim(v) == 0 else "…" for _, v in event.inputs)
            return f"{visible(node.label)}({inside})"
        return format_term(node, name, notation=SYMBOLS)

    def _equation(self, node: Node) -> str:
        name = self._name(node)
        if isinstance(node, Constant):
            return f"the constant {name}"
        right = self._formulas.right_sides.get(node)
        if node.op is None or right is None:
            label = visible(node.label)
            return name if name == label else f"{name} = {label}"
        return visible(f"{name} = {right}" if name != right else name, _LONGEST)

    def _name(self, node: Node) -> str:
        try:
            return self._formulas.name(node)
        except KeyError:  # a step that exists only for the shapes of the feed
            return visible(node.label)

    def _what_runs(self) -> Iterator[str]:
        blame = self._blame
        if blame.only_run:
            yield (
                "The graph as written is finite; the passes cause this value. Compile with "
                'rewrites="rounding" or "exact".'
            )
        elif blame.only_written:
            rules = f" (rules: {', '.join(blame.rules)})" if blame.rules else ""
            yield f"The optimised graph is finite: the passes rewrite this part{rules}."
        elif blame.where in ("forward", "backward"):
            yield "The optimised graph is not finite either."


def _place_of(site: Site) -> str:
    """Return ``path/file.py:12: text``; only the text of the line is shortened."""
    where = visible(site.place(), 10 * _LONGEST)
    return f"{where}: {visible(site.source, _LONGEST)}" if site.source else where


def _spell(value: Any) -> str:
    if np.isnan(value):
        return "NaN"
    return "∞" if value > 0 else f"{MINUS}∞"


def _precise(value: Any) -> str:
    """Return a number with enough digits to show on which side of a limit it is."""
    if isinstance(value, (bool, np.bool_)) or not np.isfinite(value):
        return format_number(value)
    return f"{value:.6g}".replace("-", MINUS)


def _range(value: Any) -> str:
    """Return a summary of an array, with its smallest and largest element."""
    text = format_value(value)
    array = None if isinstance(value, (dict, tuple, list)) else np.asarray(value)
    if array is None or array.size < 2 or array.dtype.kind not in "fiu":
        return text
    low, high = format_number(np.min(array)), format_number(np.max(array))
    return f"{text}, from {low} to {high}"
