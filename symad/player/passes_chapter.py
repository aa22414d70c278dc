"""The chapter on the passes: how each rewrite changes the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from symad.drawing.picture import Arrow, Picture, Shape, TextLine
from symad.graph.formula import plain_call
from symad.graph.node import Constant, Node
from symad.notation.mathml import mathml
from symad.notation.values import counted
from symad.passes.rewrite import Rewriting
from symad.player.story import Chapter, StoryStep
from symad.player.wire_view import WireView
from symad.player.wires import Wires
from symad.records import replace
from symad.runtime.pipeline import PassReport

_DONE = {
    "specialise": "types become those of the feed, and shape repairs that do nothing are removed",
    "bodies": "the bodies of loops are optimised separately",
    "decompose": "some ops are replaced by several simpler ones",
    "fuse": "elementwise ops are fused into one loop",
}
"""What the passes that have no rules do."""


class PassesChapter:
    """Builds the chapter on what the passes did with a graph.

    Parameters
    ----------
    wires : Wires
        The wires of the graph before the passes.
    view : WireView
    reports : sequence of PassReport
        With their graphs and rewritings.
    pairs : iterable of (Node, Node)
        Nodes drawn at the same height in the picture: forward nodes and their adjoints.
    picture : int
        The index of the picture on the page.

    Attributes
    ----------
    rows : list of dict
        The lines of the panel, filled when the chapter is built.
    """

    def __init__(
        self,
        wires: Wires,
        view: WireView,
        reports: Sequence[PassReport],
        pairs: Iterable[tuple[Node, Node]],
        picture: int,
    ) -> None:
        self._wires = wires
        self._view = view
        self._reports = reports
        self._pairs = [(wires.wire(a), wires.wire(b)) for a, b in pairs]
        self._place = picture
        self._texts: dict[int, tuple[Any, tuple[TextLine, ...], str]] = {}  # by wire
        self._shapes: dict[str, Shape] = {}
        self._arrows: dict[tuple[int, int, int], Arrow] = {}
        self._shown: dict[str, None] = {}
        self.rows: list[dict[str, Any]] = []

    def chapter(self) -> Chapter:
        """Return the chapter."""
        return Chapter("Passes", "passes", self._place, list(self._steps()))

    def _steps(self) -> Iterator[StoryStep]:
        shown, _ = self._changes()
        yield StoryStep(
            "The compiler treats the forward and the adjoint graph as one graph of "
            f"{len(self._wires.alive())} nodes. Its passes simplify it, one rewrite at a time.",
            show=shown,
        )
        for report in self._reports:
            rewritten = [step for r in report.rewritings for step in self._rewritten(r, report)]
            yield from rewritten
            step = self._finished(report)
            if not rewritten or step.show or step.hide:
                yield step

    def _rewritten(self, rewriting: Rewriting, report: PassReport) -> Iterator[StoryStep]:
        """Yield the step of a rewriting, unless an earlier one has already made it."""
        wires, rule = self._wires, rewriting.rule
        wire = wires.wire(rewriting.old)
        if wire not in wires.alive():  # inside a body
            return
        before, call = self._view.formula(wire, latex=True), self._call(wire)
        name = self._view.name(wire)
        sources = [self._key(source) for source in wires.sources(wire)]
        drawn = set(map(_place, self._shown))
        wires.replace(rewriting.old, rewriting.new)
        shown, hidden = self._changes()
        after = wires.find(wire)
        if not shown and not hidden and self._call(after) == call:
            return
        write = self._view.formula if after == wire else self._view.name
        result = write(after, latex=True)
        changed = mathml(f"{name} = {before}"), mathml(f"\\to\\quad {name} = {result}")
        grade = rule.grade.name.lower()
        row = self._row(rule.name, rule.equation, grade, report.name, self._key(after))
        fresh = [key for key in shown if _place(key) not in drawn]
        yield StoryStep(
            f"The rule “{rule.name}”: {self._outcome(name, wire, call)}",
            changed if result != before else (),
            show=[*shown, row],
            hide=hidden,
            now=[row, self._key(after), *fresh],
            use=[source for source in sources if source not in shown],
        )

    def _outcome(self, name: str, wire: int, call: str) -> str:
        """Return a sentence on the result of rewriting a wire with this name and call."""
        after = self._wires.find(wire)
        if isinstance(self._wires.node[after], Constant):
            return f"{name} becomes the constant {self._view.name(after)}."
        if after != wire:
            return f"{name} becomes {self._view.name(after)}, which already exists."
        return f"{name}: {call} becomes {self._call(wire)}."

    def _finished(self, report: PassReport) -> StoryStep:
        """Return the step for a whole pass: what it changed apart from its rewritings."""
        if report.after is not None:
            self._wires.follow(report.after)
        shown, hidden = self._changes()
        if not shown and not hidden:
            return StoryStep(f"The pass “{report.name}” {_unseen(report)}.")
        fresh = [key for key in shown if not key.startswith("f")]
        done = _DONE.get(report.name, "")
        row = self._row(report.name, done, "exact", report.name, *fresh)
        return StoryStep(_in_short(report), show=[*shown, row], hide=hidden, now=[row, *fresh])

    def _row(self, rule: str, equation: str, grade: str, name: str, *about: str) -> str:
        """Add a line about shapes of the picture to the panel, and return its key."""
        key = f"w-{len(self.rows)}"
        row = {"k": key, "r": rule, "e": equation, "g": grade, "s": name}
        nodes = " ".join(dict.fromkeys(map(_place, about)))
        self.rows.append(row | {"c": len(self._wires.alive()), "n": nodes})
        return key

    def _call(self, wire: int) -> str:
        op = self._wires.node[wire].op
        return plain_call(op, list(map(self._view.name, self._wires.sources(wire)))) if op else ""

    # The picture

    def _changes(self) -> tuple[list[str], list[str]]:
        """Return the ids that appeared in the picture, and those that went, since the last call."""
        alive = self._wires.alive()
        now = dict.fromkeys(map(self._draw, alive))
        for edge in self._wires.edges(alive):
            if edge not in self._arrows:
                self._arrows[edge] = self._view.arrow(*edge)
            now[self._arrows[edge].id] = None
        shown = [key for key in now if key not in self._shown]
        hidden = [key for key in self._shown if key not in now]
        self._shown = now
        return shown, hidden

    def _key(self, wire: int) -> str:
        """Return the id of the shape of a wire: a new one whenever its text changes."""
        nodes = self._wires.node
        state = nodes[wire], [(source, nodes[source]) for source in self._wires.sources(wire)]
        before, known, key = self._texts.get(wire, (None, (), ""))
        if state != before:
            lines = self._view.lines(wire)
            if known and known != lines:
                key = f"{self._view.id(wire)}_{int(key.partition('_')[2] or 0) + 1}"
            key = key or self._view.id(wire)
            self._texts[wire] = state, lines, key
        return key

    def _draw(self, wire: int) -> str:
        """Add the shape of a wire as its node is now, and return its id."""
        key = self._key(wire)
        if key not in self._shapes:
            shape = self._view.shape(wire)
            place = shape.box.id
            box = replace(shape.box, id=key)
            self._shapes[key] = replace(shape, box=box, at="" if key == place else place)
        return key

    def drawn(self) -> Iterator[tuple[str, Node]]:
        """Yield the ids of wires in the picture with their nodes."""
        for wire, node in enumerate(self._wires.node):
            if self._view.id(wire) in self._shapes:
                yield self._view.id(wire), node

    def picture(self) -> Picture:
        """Return the picture of everything that appears in the chapter."""
        rows: dict[str, list[str]] = {}
        for first, second in self._pairs:
            one = self._view.id(first)
            rows.setdefault(one, [one]).append(self._view.id(second))
        kept = [
            [self._shapes[key].box for key in row if key in self._shapes] for row in rows.values()
        ]
        return Picture(list(self._shapes.values()), list(self._arrows.values()), kept)


def _in_short(report: PassReport) -> str:
    if report.before is report.after:
        return f"The pass “{report.name}” changes nothing here."
    done = _DONE.get(report.name, "")
    count = f"from {report.nodes_before:,} nodes to {report.nodes_after:,}"
    return f"The pass “{report.name}”: {count}{'; ' * bool(done)}{done}."


def _unseen(report: PassReport) -> str:
    if report.rewritings:
        return f"changes only the bodies of loops: {counted(len(report.rewritings), 'rewrite')}"
    return "changes nothing here"


def _place(key: str) -> str:
    """Return the id of the first shape drawn in the same place; an arrow has only one id."""
    return key.partition("_")[0] if key.startswith("p") else key


def passes_in_short(
    reports: Sequence[PassReport], instructions: int, registers: int
) -> tuple[Chapter, list[dict[str, Any]]]:
    """Return the chapter, and its panel, for a graph too large to show each rewrite."""
    steps: list[StoryStep] = []
    rows: list[dict[str, Any]] = []
    for report in reports:
        used = Counter((r.rule.name, r.rule.equation, r.rule.grade) for r in report.rewritings)
        keys = []
        for (rule, equation, grade), times in used.most_common():
            keys.append(f"w-{len(rows)}")
            name = f"{rule} ×{times}" if times > 1 else rule
            row = {"k": keys[-1], "r": name, "e": equation, "g": grade.name.lower()}
            rows.append(row | {"s": report.name})
        steps.append(StoryStep(_in_short(report), show=keys, now=keys))
    size = f"{counted(instructions, 'instruction')} with {counted(registers, 'register')}"
    steps.append(StoryStep(f"The plan computes the optimised graph in {size}."))
    return Chapter("Passes", "passes", 0, steps), rows
