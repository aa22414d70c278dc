"""The chapters on the compiler: the passes, rewrite by rewrite, and the plan that runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symad.graph.formula import Term, format_term, plain_call
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node
from symad.notation.labels import Symbol
from symad.notation.latex_escape import latex_number
from symad.notation.roles import Kind, Part
from symad.notation.symbols import LATEX_SYMBOLS, SYMBOLS
from symad.notation.values import format_value
from symad.player.glyphs import Glyphs, mathml
from symad.player.sketch import Arrow, Row, Shape, Sketch, size_of
from symad.player.story import Chapter, Step
from symad.player.wires import Wires
from symad.player.wrapping import wrapped


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


class WireNames:
    """The names of wires: the symbols that their nodes had before the passes.

    Parameters
    ----------
    glyphs : Glyphs
    symbols : mapping from Node to Symbol
        For nodes of the graph that the passes are given.
    parts : mapping from Node to Part
    steps : iterator of Symbol
        For what has no symbol.
    """

    def __init__(
        self,
        glyphs: Glyphs,
        symbols: Mapping[Node, Symbol],
        parts: Mapping[Node, Part],
        steps: Iterator[Symbol],
    ) -> None:
        self.glyphs = glyphs
        self._symbols = symbols
        self._parts = parts
        self._symbol_of: dict[int, Symbol] = {}
        self._part_of: dict[int, Part] = {}
        self._steps = steps

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
            symbol = self._symbol_of[wire] = next(self._steps)
        return Term(self.glyphs.symbol(symbol, target))

    def latex(self, wires: Wires, wire: int, target: str) -> Term:
        """Return the same for a formula in LaTeX."""
        term = self.name(wires, wire, target)
        node = wires.node[wire]
        if isinstance(node, Constant) and node.value.ndim == 0 and not node.name:
            return Term(latex_number(term), term.precedence)
        return term

    def _text(self, node: Node) -> Term:
        return Term(self.glyphs.text(node.label))


class RewritesTeller:
    """Tells of the passes.

    Parameters
    ----------
    graph : Graph
        What the passes are given.
    names : WireNames
    stages : sequence of Stage
    pairs : iterable of (Node, Node)
        Nodes that stand at the same height in the picture: forward nodes and their adjoints.
    picture : int
        The place of the picture on the page.
    """

    def __init__(
        self,
        graph: Graph,
        names: WireNames,
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
        self._looks: dict[int, tuple[tuple[str, ...], str]] = {}  # text and id of each wire's shape
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
                yield self._rewritten(rewrite, stage.name)

    def _shared(self, stage: Stage) -> Iterator[Step]:
        pairs = self.wires.share()
        if not pairs:
            return
        shown, hidden = self._changes()
        kept = [self._key(first) for _, first in pairs]
        equation = "nodes that compute the same become one"
        key = self._row("share", equation, "exact", stage.name, *kept)
        yield Step(
            f"The pass “share”: {len(pairs)} of the nodes compute what another computes already.",
            show=[*shown, key], hide=hidden, now=[key, *dict.fromkeys(kept)],
        )  # fmt: skip

    def _rewritten(self, rewrite: Rewrite, stage: str) -> Step:
        wires = self.wires
        wire = wires.wire(rewrite.old)
        name, before, call = self._called(wire), self._formula(wire, True), self._call(wire)
        sources = [self._key(source) for source in wires.sources(wire)]
        drawn = set(map(_place, self._shown))
        wires.replace(rewrite.old, rewrite.new)
        shown, hidden = self._changes()
        after = wires.find(wire)
        result = self._formula(after, True)
        changed = f"{name} = {before} \\quad\\to\\quad {name} = {result}"
        row = self._row(rewrite.rule, rewrite.equation, rewrite.grade, stage, self._key(after))
        fresh = [key for key in shown if _place(key) not in drawn]
        return Step(
            f"The rule “{rewrite.rule}”: {self._outcome(name, wire, call)}",
            [mathml(changed)] if result != before else (),
            show=[*shown, row],
            hide=hidden,
            now=[row, self._key(after), *fresh],
            use=[source for source in sources if source not in shown],
        )

    def _outcome(self, name: str, wire: int, call: str) -> str:
        """Return in words what became of a wire that had a name and was the call of an op."""
        after = self.wires.find(wire)
        if isinstance(self.wires.node[after], Constant):
            return f"{name} is the constant {self._called(after)}."
        if after != wire:
            return f"{name} is {self._called(after)}, which is there already."
        return f"{name} was {call} and is {self._call(wire)} now."

    def _row(self, rule: str, equation: str, grade: str, stage: str, *about: str) -> str:
        """Add a line on shapes of the picture to the panel, and return its key."""
        key = f"w-{len(self.rows)}"
        row = {"k": key, "r": rule, "e": equation, "g": grade, "s": stage}
        nodes = " ".join(dict.fromkeys(map(_place, about)))
        self.rows.append(row | {"c": len(self.wires.alive()), "n": nodes})
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
        """Return the id of the shape of a wire: another one each time that its text changes."""
        look = self._text(wire)
        known, key = self._looks.get(wire, (look, f"p{wire}"))
        if known != look:
            key = f"p{wire}_{int(key.partition('_')[2] or 0) + 1}"
        self._looks[wire] = look, key
        return key

    def _text(self, wire: int) -> tuple[str, ...]:
        """Return what stands on the shape of a wire: its symbol, and its formula as it is now."""
        node = self.wires.node[wire]
        if isinstance(node, Constant):
            return (self.names.glyphs.text(node.name or format_value(node.value), 24),)
        formula = self._formula(wire) if node.op else self.names.glyphs.text(node.label, 24)
        return (self._called(wire), *wrapped(formula, 18, 3))

    def _called(self, wire: int) -> Term:
        return self.names.name(self.wires, wire, f"p{wire}")

    def _formula(self, wire: int, latex: bool = False) -> str:
        called = self._called_in_latex if latex else self._called
        node = self.wires.node[wire]
        if node.op is None:
            return called(wire)
        operands = iter(map(called, self.wires.sources(wire)))
        notation = LATEX_SYMBOLS if latex else SYMBOLS
        return format_term(node, lambda source: next(operands), notation=notation)

    def _called_in_latex(self, wire: int) -> Term:
        return self.names.latex(self.wires, wire, f"p{wire}")

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
        text = self._text(wire)
        symbols = 0 if isinstance(node, Constant) else 1
        rows = [Row(line, "formula" if i >= symbols else "symbol") for i, line in enumerate(text)]
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

    def drawn(self) -> Iterator[tuple[str, Node]]:
        """Yield the ids of wires in the picture with their nodes."""
        for wire, node in enumerate(self.wires.node):
            yield f"p{wire}", node

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


def _place(key: str) -> str:
    """Return the id of the first shape that stood where this one does; arrows have one id."""
    return key.partition("_")[0] if key.startswith("p") else key


def kind_of_wire(node: Node) -> Kind:
    """Return what the node of a wire is for, as a picture tells it apart."""
    if isinstance(node, Constant):
        return Kind.CONSTANT
    if node.op is None:
        return Kind.VARIABLE
    return Kind.OPERATION


def passes_in_short(
    stages: Sequence[Stage], instructions: int, registers: int
) -> tuple[Chapter, list[dict[str, Any]]]:
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
    count = f"{instructions:,} instructions over {registers:,} registers"
    steps.append(Step(f"The plan computes what is left in {count}."))
    return Chapter("Passes", "passes", 0, steps), rows
