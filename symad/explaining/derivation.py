"""The derivation of the derivatives in a graph: a line for each edge, with its reason.

This module does not differentiate.  It puts into words the roles that are stored on the nodes of a
derivative, and the symbols that the labels of the view give them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from symad.explaining.names import (
    Spelled,
    derivative_of,
    equation,
    is_filled,
    line_of,
    listed,
    place_of,
    symbol_of,
)
from symad.graph.node import Constant, Node
from symad.graph.provenance import Role, RoleKind
from symad.notation.labels import Symbol
from symad.notation.symbols import name_of
from symad.records import dataclass, field
from symad.tables.document import Line, Maths, Phrase, Section
from symad.types import TensorType, UnknownShape, format_shape


def forward_section(spelled: Spelled, generation: int) -> Section:
    """Return v1 = x1, v3 = ln v1, ...: the user's graph, with the text of each line once.

    In a graph with derivatives, this is the part computed from the derivatives of one generation;
    generation 0 is the part without derivatives.
    """
    lines, quoted = [], None
    for node in spelled.labels.forward:
        if spelled.labels.generations[node] != generation:
            continue
        title = spelled.title(node)
        sides = [spelled.number(node), spelled.right_side(node), *([title] if title else [])]
        site = node.site.filename, node.site.line
        where = (line_of(node),) if site == quoted else place_of(node)
        lines.append(Line(equation(*sides), where))
        quoted = site
    return Section(
        ("What was computed from these derivatives" if generation else "The forward graph",), lines
    )


class _Key(NamedTuple):
    """Identifies one extension: the derivatives of several outputs have different copies."""

    generation: int
    copy: int
    mark: str


@dataclass
class _Extension:
    """The lines of one extension, by the number of their forward node."""

    heads: dict[int, Line] = field(default_factory=dict)
    """The seed, the sum of partial adjoints, or the tangent of node i."""
    edges: dict[int, list[tuple[int, list[Line]]]] = field(default_factory=dict)
    """The partial adjoints of node i for its inputs, each with its argument slot."""
    filled: dict[int, Line] = field(default_factory=dict)
    """The adjoint of node i with zeros for the parts that have no adjoint."""
    outputs: list[Maths] = field(default_factory=list)

    def lines_of(self, number: int) -> list[Line]:
        """Return the lines of the partial adjoints of node i, in the order of its inputs."""
        slots = sorted(self.edges.get(number, ()), key=lambda pair: pair[0])
        return [line for _, lines in slots for line in lines]


class Derivations:
    """Writes the sections of all derivatives in a view.

    Parameters
    ----------
    spelled : Spelled
    """

    def __init__(self, spelled: Spelled) -> None:
        self._spelled = spelled
        self._view, self._labels = spelled.view, spelled.labels
        self._order = {node: i for i, node in enumerate(self._view.everything)}
        self._numbered = {number: node for node, number in self._labels.numbers.items()}
        self._told: set[Node] = set()  # steps inside rules that already have a line
        self._known = {symbol for symbols in self._labels.symbols.values() for symbol in symbols}
        self._found: dict[_Key, _Extension] = {}
        # In the order of the lines: a step of a rule goes with the first edge that uses it.
        for node in sorted(self._view.everything, key=self._turn):
            self._add(node)

    def sections(self, generation: int) -> list[Section]:
        """Return a section for each extension of this generation."""
        return [self._section(key) for key in sorted(self._found) if key.generation == generation]

    # Collecting

    def _turn(self, node: Node) -> tuple[int, int, int]:
        """Return the sort key of a node: edges start at the output, tangents at the inputs."""
        role = node.role
        if role is None:
            return 0, 0, 0
        if role.consumer is not None:
            user = self._labels.numbers.get(self._view.behind(role.consumer), 0)
            return role.generation, -user, role.slot or 0
        is_tangent = role.kind is RoleKind.TANGENT
        own = self._labels.numbers.get(self._view.behind(role.node), 0)
        return role.generation, own if is_tangent else 0, 0

    def _add(self, node: Node) -> None:
        symbols = self._labels.symbols.get(node, ())
        marked = [symbol for symbol in symbols if symbol.mark]
        if node.role is None:
            return
        if is_filled(node):
            self._fill(node, node.role, marked)
        if is_filled(node) or not marked:
            return
        first = marked[0]
        key = _Key(first.generation, first.copy, first.mark)
        found = self._found.setdefault(key, _Extension())
        names = equation(*map(symbol_of, symbols))
        if node.role.kind is RoleKind.SEED:
            found.heads[first.index[0]] = self._seed(node, names, found)
        elif first.mark == "dot":
            lines = [*self._steps(node, 0), self._tangent(node, names)]
            found.edges.setdefault(first.index[0], []).append((0, lines))
        elif node.role.kind is RoleKind.SUM:
            found.heads[first.index[0]] = self._sum(node, names, found)
        else:
            user = self._labels.numbers.get(self._view.behind(_consumer(node.role)), 0)
            lines = [*self._steps(node, 1), self._edge(node, node.role, names, marked[-1])]
            found.edges.setdefault(user, []).append((node.role.slot or 0, lines))

    def _fill(self, node: Node, role: Role[Node], marked: Sequence[Symbol]) -> None:
        """Record an adjoint that is partly or entirely zeros and has a symbol.

        The last of several steps counts.
        """
        symbol = marked[0] if marked else self._spelled.adjoint_of(role)
        found = self._found.setdefault(_Key(symbol.generation, symbol.copy, "bar"), _Extension())
        value = self._spelled.right_side(node)
        if marked:
            line = Line(equation(symbol_of(symbol), value), ("zeros: it has no pathway",))
        else:
            line = Line(value, (symbol_of(symbol), " with zeros for the parts without a pathway"))
        found.filled[symbol.index[0]] = line

    def _steps(self, node: Node, depth: int) -> list[Line]:
        """Return lines for the steps inside a rule that have names of their own."""
        found: list[Node] = []
        pending = [node]
        while pending:
            for source in self._view.sources(pending.pop()):
                step = source.node
                if step.role is None or step.op is None or step in self._told:
                    continue
                symbols = self._labels.symbols.get(step, ())
                if any(symbol.mark for symbol in symbols):
                    continue
                self._told.add(step)
                pending.append(step)
                if symbols or step in self._spelled.auxiliary:
                    found.append(step)
        lines = []
        for step in sorted(found, key=self._order.__getitem__):
            formula = equation(self._spelled.name(step), self._spelled.right_side(step))
            lines.append(Line(formula, ("a step of the rule",), depth))
        return lines

    # Lines

    def _seed(self, node: Node, names: Maths, found: _Extension) -> Line:
        assert node.role is not None
        output = self._spelled.number(node.role.node)
        found.outputs.append(output)
        formula = equation(names, self._spelled.right_side(node))
        derivative = derivative_of(output, output)
        if node.op is not None and node.op.name != "ones_like":
            return Line(formula, ("seed: given",))
        if isinstance(node, Constant) and not np.all(node.value == 1):
            return Line(formula, ("seed: given",))
        if self._has_axes(node):
            ones = "seed: ones, since the derivative of an array is that of its sum"
            return Line(formula, (ones,))
        return Line(formula, ("seed: ", derivative, " = 1"))

    def _has_axes(self, node: Node) -> bool:
        if node in self._view.values:
            return np.ndim(self._view.values[node]) > 0
        type_ = node.type
        if not isinstance(type_, TensorType) or isinstance(type_.shape, UnknownShape):
            return False
        return type_.shape != ()

    def _sum(self, node: Node, names: Maths, found: _Extension) -> Line:
        assert node.role is not None
        formula = equation(names, self._spelled.right_side(node))
        roles = [source.node.role for source in self._view.sources(node)]
        users = [role.consumer for role in roles if role is not None and role.consumer is not None]
        through = listed([self._spelled.number(user) for user in dict.fromkeys(users)])
        many = f"{len(users)} pathways" if len(users) > 1 else "one pathway"
        seed = ""
        if len(users) < len(roles):
            seed = "the seed, and "
            found.outputs.append(self._spelled.number(node.role.node))
        return Line(formula, (f"sum: {seed}{many}, through ", *through))

    def _tangent(self, node: Node, names: Maths) -> Line:
        assert node.role is not None
        forward = node.role.node
        rule = "" if forward.op is None else f"forward rule of {name_of(forward.op)}, "
        formula = equation(names, self._spelled.right_side(node))
        return Line(formula, (rule, line_of(forward)))

    def _edge(self, node: Node, role: Role[Node], names: Maths, edge: Symbol) -> Line:
        consumer = _consumer(role)
        of_user = Symbol("v", edge.index[-1:], "bar", edge.generation, copy=edge.copy)
        derivative = derivative_of(self._spelled.number(consumer), self._spelled.number(role.node))
        sides = [names, self._spelled.right_side(node)]
        # A rule that passes a mask on does not use the adjoint of its node.
        if len(edge.index) == 2 and edge.slot is None and of_user in self._known:
            text, latex = str(of_user), of_user.latex
            chain = Maths(f"{text}·{derivative.text}", f"{latex} \\, {derivative.latex}")
            sides.insert(1, chain)
        return Line(equation(*sides), tuple(self._reasons(node, role, edge, derivative)), 1)

    def _reasons(
        self, node: Node, role: Role[Node], edge: Symbol, derivative: Maths
    ) -> Iterator[str | Maths]:
        consumer = _consumer(role)
        assert consumer.op is not None
        product = self._product(node)
        if product.op is not None and product.op.name == "identity":
            yield from ("identity: ", derivative, " = 1, so the adjoint is passed on")
        else:
            yield f"rule of {name_of(consumer.op)}"
        if edge.slot is not None:
            yield f", argument {edge.slot}: each use is a separate pathway"
        if product is not node:
            yield from self._repair(node, role)

    def _product(self, node: Node) -> Node:
        """Return the node that the rule made, before shape and dtype repairs."""
        while node.role is not None and node.role.kind is RoleKind.REPAIR:
            node = self._view.behind(node.inputs[0])
        return node

    def _repair(self, node: Node, role: Role[Node]) -> Iterator[str | Maths]:
        """Yield why a shape or dtype is repaired on an edge, and the line that caused it."""
        consumer, spelled = _consumer(role), self._spelled
        while node.role is not None and node.role.kind is RoleKind.REPAIR:
            if node.op is not None and node.op.name == "cast":
                yield from ("; cast to the dtype of ", spelled.number(role.node))
            else:
                yield from ("; shape repair: ", spelled.number(role.node))
                yield f"{self._shape(role.node)} was broadcast"
                shape = self._shape(consumer)
                yield f" to{shape}" if shape else ""
                yield f" in {line_of(consumer)}, so the adjoints of its copies are added"
            node = self._view.behind(node.inputs[0])

    def _shape(self, node: Node) -> str:
        """Return `` (3, 1)``, or nothing where the shape is not known."""
        if node in self._view.values:
            return f" {format_shape(np.shape(self._view.values[node]))}"
        type_ = node.type
        if not isinstance(type_, TensorType) or isinstance(type_.shape, UnknownShape):
            return ""
        return f" {format_shape(type_.shape)}"

    # Sections

    def _section(self, key: _Key) -> Section:
        found = self._found[key]
        kind = "Adjoints" if key.mark == "bar" else "Tangents"
        title: Phrase = (kind,)
        if key.mark == "bar" and len(found.outputs) == 1:
            (y,) = found.outputs
            bar = symbol_of(Symbol("v", (0,), "bar", key.generation, copy=key.copy))
            named = Maths(bar.text.replace("0", "i"), bar.latex.replace("0", "i"))
            title = (f"{kind} ", equation(named, derivative_of(y, Maths("vi", "v_{i}"))))
        elif key.mark == "bar":
            title = (kind, " of ", *listed(found.outputs))
        if key.generation > 1:
            title = (*title, f": generation {key.generation}")
        lines = list(self._forwards(found) if key.mark == "dot" else self._backwards(found))
        return Section(title, lines, tuple(self._opening(key)))

    def _forwards(self, found: _Extension) -> Iterator[Line]:
        for number in sorted({*found.heads, *found.edges}):
            yield from [found.heads[number]] if number in found.heads else []
            yield from found.lines_of(number)

    def _backwards(self, found: _Extension) -> Iterator[Line]:
        """Yield the steps of the algorithm, in reverse topological order."""
        for number in sorted({*found.heads, *found.edges, *found.filled}, reverse=True):
            heads = found.heads.get(number), found.filled.get(number)
            yield from (line for line in heads if line is not None)
            if number in found.edges:
                node = self._numbered[number]
                formula = equation(self._spelled.number(node), self._spelled.right_side(node))
                yield Line(None, ("at ", formula, f", {line_of(node)}"))
                yield from found.lines_of(number)

    def _opening(self, key: _Key) -> Iterator[str | Maths]:
        if key.generation > 1:
            yield "The derivatives above, with numbers of their own, are now part of the graph. "
        if key.mark == "dot":
            yield from ("In topological order: ", _FORWARD_MODE, ".")
        else:
            yield from ("In reverse topological order: ", _SUM_RULE, ", and on each edge ")
            yield from (_CHAIN_RULE, ".")
        if key.copy == 0:
            yield self._hidden_repairs(key.generation)

    def _hidden_repairs(self, generation: int) -> str:
        roles = [node.role for node in self._view.through]
        count = sum(role is not None and role.generation == generation for role in roles)
        if not count:
            return ""
        when = "for the shapes fed" if self._view.values else "unless something was broadcast"
        if count == 1:
            return f" One shape repair does nothing {when} and is left out."
        return f" {count} shape repairs do nothing {when} and are left out."


def _consumer(role: Role[Node]) -> Node:
    return role.node if role.consumer is None else role.consumer


_SUM_RULE = Maths("v̄i = Σj v̄i→j", r"\bar{v}_{i} = \sum_{j} \bar{v}_{i \to j}")
_CHAIN_RULE = Maths(
    "v̄k→i = v̄i·∂vi/∂vk",
    r"\bar{v}_{k \to i} = \bar{v}_{i} \, \frac{\partial v_{i}}{\partial v_{k}}",
)
_FORWARD_MODE = Maths(
    "v̇i = Σk ∂vi/∂vk·v̇k",
    r"\dot{v}_{i} = \sum_{k} \frac{\partial v_{i}}{\partial v_{k}} \dot{v}_{k}",
)
