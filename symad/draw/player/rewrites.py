"""The chapters on the compiler: the passes, rewrite by rewrite, and the plan that runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symad.draw.labels import Symbol
from symad.draw.notation import SYMBOLS
from symad.draw.parts import Kind, Part
from symad.draw.player.glyphs import Glyphs
from symad.draw.player.sketch import Arrow, Row, Shape, Sketch, size_of
from symad.draw.player.story import Chapter, Step
from symad.draw.player.wires import Wires
from symad.draw.player.wrapping import wrapped
from symad.draw.values import format_value
from symad.graph.formula import Term, format_term, plain_call
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node


@dataclass(frozen=True)
class Rewrite:
    """One use of a rule.

    Attributes
    ----------
    rule, equation, grade : str
    old, new : Node
    """

    rule: str
    equation: str
    grade: str
    old: Node
    new: Node


@dataclass(frozen=True)
class Stage:
    """One pass: what it did, rewrite by rewrite."""

    name: str
    before: int
    after: int
    rewrites: tuple[Rewrite, ...]


class Names:
    """The names of wires: the symbols that their nodes had before the passes.

    Parameters
    ----------
    glyphs : Glyphs
    symbols : mapping from Node to Symbol
        For nodes of the graph that the passes are given.
    parts : mapping from Node to Part
    """

    def __init__(
        self, glyphs: Glyphs, symbols: Mapping[Node, Symbol], parts: Mapping[Node, Part]
    ) -> None:
        self.glyphs = glyphs
        self._symbols = symbols
        self._parts = parts
        self._symbol_of: dict[int, Symbol] = {}
        self._part_of: dict[int, Part] = {}
        self._steps = 0

    def part(self, wires: Wires, wire: int) -> Part:
        """Return the part that a wire belongs to; what a rule makes is in that of its node."""
        if wire not in self._part_of:
            node = wires.node[wire]
            generation = node.role.generation if node.role else 0
            default = Part(generation, "adjoint" if generation else "forward")
            self._part_of[wire] = self._parts.get(node, default)
        return self._part_of[wire]

    def symbol(self, wires: Wires, wire: int) -> Symbol | None:
        """Return the symbol of a wire, if its node had one."""
        if wire not in self._symbol_of and wires.node[wire] in self._symbols:
            self._symbol_of[wire] = self._symbols[wires.node[wire]]
        return self._symbol_of.get(wire)

    def name(self, wires: Wires, wire: int, target: str) -> Term:
        """Return what formulas call a wire: a number where it is one, else its symbol."""
        node = wires.node[wire]
        if isinstance(node, Constant):
            number = node.value.ndim == 0 and not node.name
            return Term.number(format_value(node.value)) if number else self._text(node)
        symbol = self.symbol(wires, wire)
        if symbol is None:
            self._steps += 1
            symbol = self._symbol_of[wire] = Symbol("t", (self._steps,))
        return Term(self.glyphs.symbol(symbol, target))

    def _text(self, node: Node) -> Term:
        return Term(self.glyphs.text(node.label))


class RewritesTeller:
    """Tells of the passes.

    Parameters
    ----------
    graph : Graph
        What the passes are given.
    names : Names
    stages : sequence of Stage
    pairs : iterable of (Node, Node)
        Nodes that stand at the same height in the picture: forward nodes and their adjoints.
    picture : int
        The place of the picture on the page.
    """

    def __init__(
        self,
        graph: Graph,
        names: Names,
        stages: Sequence[Stage],
        pairs: Iterable[tuple[Node, Node]],
        picture: int,
    ) -> None:
        self.names = names
        self.wires = Wires(graph)
        self._stages = stages
        known = set(graph.nodes)
        self._pairs = [
            (self.wires.wire(a), self.wires.wire(b)) for a, b in pairs if known.issuperset((a, b))
        ]
        self._picture = picture
        self._shapes: dict[str, Shape] = {}
        self._arrows: dict[str, Arrow] = {}
        self._shown: dict[str, None] = {}
        self.rows: list[dict[str, Any]] = []

    def chapter(self) -> Chapter:
        """Return the chapter."""
        return Chapter("Passes", "passes", self._picture, list(self._steps()))

    def _steps(self) -> Iterator[Step]:
        count = len(self.wires.alive())
        shown, _ = self._changes()
        yield Step(
            f"The compiler takes forward and adjoint graph as one: {count} nodes, now for the "
            "shapes that were fed. Its passes make it smaller, rewrite by rewrite.",
            show=shown,
        )
        for stage in self._stages:
            if stage.name == "share":
                yield from self._shared(stage)
            for rewrite in stage.rewrites:
                yield self._rewritten(rewrite)

    def _shared(self, stage: Stage) -> Iterator[Step]:
        pairs = self.wires.share()
        if not pairs:
            return
        shown, hidden = self._changes()
        key = self._row("share", "nodes that compute the same become one", "exact", stage.name)
        kept = [self._key(first) for _, first in pairs]
        yield Step(
            f"The pass “share”: {len(pairs)} of the nodes compute what another computes already.",
            show=[*shown, key], hide=hidden, now=[key, *dict.fromkeys(kept)],
        )  # fmt: skip

    def _rewritten(self, rewrite: Rewrite) -> Step:
        wires = self.wires
        before = self._formula(wires.wire(rewrite.old))
        old_call = self._call(wires.wire(rewrite.old))
        sources = [self._key(source) for source in wires.sources(wires.wire(rewrite.old))]
        wire = wires.wire(rewrite.old)
        name = self._called(wire)
        wires.replace(rewrite.old, rewrite.new)
        shown, hidden = self._changes()
        after = wires.find(wire)
        key = self._row(rewrite.rule, rewrite.equation, rewrite.grade, "rewrite")
        result = self._formula(after) if after == wire else self._called(after)
        if isinstance(wires.node[after], Constant):
            result = f"the constant {result}"
        elif result == before:  # the same formula of another op: an n-ary sum of two terms
            before, result = old_call, self._call(after)
        return Step(
            f"The rule “{rewrite.rule}”: {name} = {before} becomes {result}.",
            show=[*shown, key],
            hide=hidden,
            now=[key, self._key(after), *shown],
            use=[source for source in sources if source not in shown],
        )

    def _row(self, rule: str, equation: str, grade: str, stage: str) -> str:
        """Add a line to the panel and return its key."""
        key = f"w-{len(self.rows)}"
        count = len(self.wires.alive())
        self.rows.append({"k": key, "r": rule, "e": equation, "g": grade, "s": stage, "c": count})
        return key

    def _changes(self) -> tuple[list[str], list[str]]:
        """Return what has appeared in the picture, and what has gone, since the last call."""
        now: dict[str, None] = {}
        alive = self.wires.alive()
        for wire in alive:
            now[self._draw(wire)] = None
        for source, user, slot in self.wires.edges(alive):
            now[self._join(source, user, slot)] = None
        shown = [key for key in now if key not in self._shown]
        hidden = [key for key in self._shown if key not in now]
        self._shown = now
        return shown, hidden

    def _key(self, wire: int) -> str:
        version = self.wires.version[wire]
        return f"p{wire}" + (f"_{version}" if version else "")

    def _called(self, wire: int) -> Term:
        return self.names.name(self.wires, wire, f"p{wire}")

    def _formula(self, wire: int) -> str:
        node = self.wires.node[wire]
        if node.op is None:
            return self._called(wire)
        operands = iter(map(self._called, self.wires.sources(wire)))
        return format_term(node, lambda source: next(operands), notation=SYMBOLS)

    def _call(self, wire: int) -> str:
        op = self.wires.node[wire].op
        return plain_call(op, list(map(self._called, self.wires.sources(wire)))) if op else ""

    def _draw(self, wire: int) -> str:
        """Add the shape of a wire as its node is now, and return its id."""
        key = self._key(wire)
        if key not in self._shapes:
            self._shapes[key] = self._shape(wire, key)
        return key

    def _shape(self, wire: int, key: str) -> Shape:
        wires, names = self.wires, self.names
        node = wires.node[wire]
        rows = []
        if isinstance(node, Constant):
            rows = [Row(names.glyphs.text(node.name or format_value(node.value), 24), "formula")]
        else:
            rows = [Row(self._called(wire), "symbol")]
            text = names.glyphs.text(node.label, 24) if node.op is None else self._formula(wire)
            rows += [Row(line, "formula") for line in wrapped(text, 18, 3)]
        kind = kind_of_wire(node)
        asked = wire in wires.outputs()
        title = f"{kind}: {', '.join(row.text for row in rows)}"
        place = f"p{wire}"
        size = size_of(kind, rows, names.glyphs)
        part = names.part(wires, wire)
        return Shape(key, kind, part, (), rows, title, asked, size, "" if key == place else place)

    def _join(self, source: int, user: int, slot: int) -> str:
        key = f"f{source}_{user}_{slot}"
        if key not in self._arrows:
            start, end = (self.names.part(self.wires, wire) for wire in (source, user))
            crosses = start != end
            upwards = end.generation == 1 and end.family == "adjoint" and not crosses
            self._arrows[key] = Arrow(
                key, f"p{source}", f"p{user}", start if crosses else end, crosses, upwards, crosses
            )
        return key

    def sketch(self) -> Sketch:
        """Return the picture of all that there was."""
        room: dict[str, tuple[float, float]] = {}
        for shape in self._shapes.values():
            place = shape.at or shape.id
            width, height = room.get(place, (0.0, 0.0))
            room[place] = max(width, shape.size[0]), max(height, shape.size[1])
        shapes = [
            replace(shape, size=room[shape.at or shape.id]) for shape in self._shapes.values()
        ]
        rows: dict[int, list[str]] = {}
        for first, second in self._pairs:
            rows.setdefault(first, [f"p{first}"]).append(f"p{second}")
        return Sketch(shapes, list(self._arrows.values()), list(rows.values()))


def kind_of_wire(node: Node) -> Kind:
    """Return what the node of a wire is for, as a picture tells it apart."""
    if isinstance(node, Constant):
        return Kind.CONSTANT
    if node.op is None:
        return Kind.VARIABLE
    return Kind.OPERATION


def passes_in_short(stages: Sequence[Stage]) -> tuple[Chapter, list[dict[str, Any]]]:
    """Return the chapter on a graph that is too large for single rewrites, and its panel."""
    steps: list[Step] = []
    rows: list[dict[str, Any]] = []
    for stage in stages:
        if stage.before == stage.after and not stage.rewrites:
            continue
        used = Counter((r.rule, r.equation, r.grade) for r in stage.rewrites)
        keys = []
        for (rule, equation, grade), times in used.most_common():
            keys.append(f"w-{len(rows)}")
            name = f"{rule} ×{times}" if times > 1 else rule
            rows.append({"k": keys[-1], "r": name, "e": equation, "g": grade, "s": stage.name})
        steps.append(
            Step(
                f"The pass “{stage.name}”: from {stage.before:,} nodes to {stage.after:,}.",
                show=keys,
                now=keys,
            )
        )
    return Chapter("Passes", "passes", 0, steps), rows
