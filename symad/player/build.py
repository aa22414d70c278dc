"""Builds the page of a player: the chapters on differentiation, values, passes and the plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symad.autodiff.extension import Extension
from symad.backends.javascript.source import javascript_source
from symad.drawing.picture import Picture
from symad.drawing.placed_picture import COMPACT, place_picture
from symad.drawing.style import GLYPHS, hue_class
from symad.drawing.svg import to_page_svg
from symad.errors import SymadError
from symad.expression import Expression
from symad.graph.formula import Term, format_term
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.names import Names
from symad.notation.roles import Part
from symad.notation.symbols import SYMBOLS
from symad.notation.values import format_value, summarise
from symad.notation.view import Values, View
from symad.passes.grade import Grade
from symad.plan.plan import make_plan
from symad.player.comparisons import Comparisons, forward_mode
from symad.player.elements import in_elements
from symad.player.extension_chapters import ExtensionChapters
from symad.player.film import Film
from symad.player.folding import folded_pictures
from symad.player.glyphs import Glyphs
from symad.player.loop_steps import steps_of
from symad.player.number_chapters import NumberChapters
from symad.player.page import write_page
from symad.player.passes_chapter import PassesChapter, passes_in_short
from symad.player.plan_chapter import PlanChapter
from symad.player.played_graph import PlayedGraph, is_finite
from symad.player.sources import source_rows
from symad.player.story import Story
from symad.player.tensors import forms_of, tensor_data
from symad.player.walk import GradientWalk
from symad.player.wire_view import WireNames, WireView
from symad.player.wires import Wires
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import Job, PassReport, run_passes
from symad.types import Type

_LONGEST_TITLE = 72
_EXACT_INTEGER = 2**53
_MOST_COMPUTED = 3000  # nodes that the page recomputes: a line of JavaScript for each


class PageBuilder:
    """Builds one page.

    Parameters
    ----------
    y : Node
    record : Extension
        The record of the gradient pass.
    results : sequence of Node
        The adjoints that the page is about.
    values : mapping from Node to value, or None
        The values of all new nodes, and of those that they depend on.
    limit : int
        A graph of more nodes is folded.
    expression : Expression, optional
        The expression that was read.
    """

    def __init__(
        self,
        y: Node,
        record: Extension,
        results: Sequence[Node],
        values: Values | None,
        limit: int,
        expression: Expression | None = None,
    ) -> None:
        self._expression = expression
        self._y = y
        self._record = record
        self._results = results
        self._outputs = [y, *dict.fromkeys(results)]
        everything = [*self._outputs, *record.adjoints.values(), *record.partials.values()]
        self._glyphs = Glyphs()
        self._graph = PlayedGraph(
            View(everything, values, opened=True), self._outputs, limit, self._glyphs
        )
        self._values: Values = values or {}
        hue = hue_class(Part(record.generation, "adjoint"))
        title = visible(_title(y, str), _LONGEST_TITLE)
        self._story = Story(title, heading=_title(y, self._glyphs.text), hue=hue)
        self._walk = GradientWalk(self._graph, record, results)
        self._pictures: list[Picture] = []
        self._members: dict[int, dict[str, list[str]]] = {}  # of folded pictures, by index
        self._drawn = [(name, node) for node, name in self._graph.ids.items()]

    @property
    def title(self) -> str:
        """The differentiated node, as a formula."""
        return self._story.title

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what the page leaves out."""
        return tuple(self._story.notes)

    def page(self, editor: dict[str, Any] | None = None) -> str:
        """Return the page as HTML; that of a server has an editor."""
        self._add_extension()
        self._add_passes()
        self._story.panels["sources"] = source_rows(self._drawn, self._expression)
        evaluate = self._sliders()
        self._add_folded()
        self._add_comparisons()
        pictures = [self._svg(place, one) for place, one in enumerate(self._pictures)]
        data = self._story.data(self._glyphs.entries)
        if editor is not None:
            data["editor"] = editor
        return write_page(self.title, data, pictures, evaluate)

    def film(self) -> Film:
        """Return the steps of the page as pictures, after :meth:`page`."""
        return Film(self._story, self._pictures, self._graph.glyphs)

    def _add_extension(self) -> None:
        graph, story = self._graph, self._story
        walk = self._walk
        extension, numbers = ExtensionChapters(walk), NumberChapters(walk)
        story.chapters += [*extension.chapters(), *numbers.chapters()]
        story.panels |= {"trace": numbers.trace(), "grads": extension.lists()}
        story.values = [_value(self._values.get(node)) for node in graph.places]
        story.steps = steps_of(graph.levels, self._values)
        story.places = [graph.ids[node] for node in graph.places]
        story.forms = forms_of(list(graph.places), graph.ids, graph.view, self._values)
        story.notes += [graph.note] * bool(graph.note)
        self._pictures.append(graph.picture)

    def _add_passes(self) -> None:
        raw = Graph(self._outputs)
        reports, graph = _passes(raw, [self._type(node) for node in raw.inputs])
        plan = make_plan(graph)
        self._size = len(plan.instructions)
        story = self._story
        if self._graph.is_folded:
            size = len(plan.instructions), plan.registers
            chapter, story.panels["passes"] = passes_in_short(reports, *size)
            story.chapters.append(chapter)
            return
        wires, there = self._wires(raw), set(raw.nodes)
        names = self._wire_names(raw, wires, graph, reports)
        pairs = [(n, a) for n, a in self._record.adjoints.items() if a in there]
        passes = PassesChapter(wires, WireView(wires, names, self._glyphs, "p"), reports, pairs, 1)
        story.chapters.append(passes.chapter())
        story.panels["passes"] = passes.rows
        run = PlanChapter(plan, wires, WireView(wires, names, self._glyphs, "q"), 2)
        story.chapters.append(run.chapter())
        story.panels["plan"] = {"rows": run.rows(), "registers": run.registers()}
        self._pictures += [passes.picture(), run.picture()]
        self._drawn += [*passes.drawn(), *run.drawn()]

    def _add_folded(self) -> None:
        """Add the pictures of the graph with closed frames, and say which frame each opens."""
        base = self._graph.picture
        for folded in folded_pictures(base, self._graph.glyphs):
            opened = folded.opened
            inside = [s.box.id for s in base.shapes if opened and s.box.scope[:1] == (opened,)]
            self._story.folds.append({"p": len(self._pictures), "n": " ".join(inside)})
            self._pictures.append(folded.picture)
            self._members[len(self._pictures) - 1] = folded.members

    def _add_comparisons(self) -> None:
        """Add what can be seen side by side, unless the graph is folded."""
        if self._graph.is_folded or self._record.generation > 1:
            return
        story, targets = self._story, list(self._record.targets)
        comparisons = Comparisons(self._walk, targets)
        feed = {n: self._values[n] for n in Graph([self._y]).inputs if n in self._values}
        found = forward_mode(self._y, targets[0], feed, "t")
        if found is not None:
            picture, added = found
            story.comparisons.append(comparisons.modes(len(self._pictures), added))
            self._pictures.append(picture)
        story.comparisons.append(comparisons.passes(2, len(Graph(self._outputs).nodes), self._size))
        story.comparisons.append(comparisons.orders())

    def _wires(self, raw: Graph) -> Wires:
        """Return the wires of a graph, without the repairs that the page hides."""
        wires, there = Wires(raw), set(raw.nodes)
        for repair, behind in self._graph.view.through.items():
            if repair in there:
                wires.join(wires.wire(repair), wires.wire(behind))
        return wires

    def _wire_names(
        self, raw: Graph, wires: Wires, left: Graph, reports: Sequence[PassReport]
    ) -> WireNames:
        """Return names and parts of the wires before the passes, and names of those after them.

        A wire keeps its name in all steps, so the passes are replayed once beforehand.
        """
        graph, ahead = self._graph, self._wires(raw)
        for report in reports:
            for rewriting in report.rewritings:
                if ahead.wire(rewriting.old) in ahead.alive():
                    ahead.replace(rewriting.old, rewriting.new)
            if report.after is not None:
                ahead.follow(report.after)
        symbols = {node: symbol for node in raw.nodes if (symbol := graph.labels.of(node))}
        parts = {node: graph.box_of[graph.view.behind(node)].part for node in raw.nodes}
        labels = Names(View(left), graph.formulas)
        made = {ahead.wire(node): found[0] for node, found in labels.symbols.items()}
        return WireNames(wires, symbols, parts, made, labels.steps)

    def _type(self, node: Node) -> Type:
        if isinstance(node, Parameter) or node not in self._values:
            return node.type
        return type_of(self._values[node])

    def _sliders(self) -> str:
        """Set the sliders up, and return the graph in JavaScript; ``null`` without sliders."""
        graph, story = self._graph, self._story
        if not self._values:
            return "null"
        inputs = Graph(self._outputs).inputs
        if not all(_is_real(self._values[node]) for node in inputs):
            story.notes.append("No sliders: not every input consists of finite real numbers.")
            return "null"
        try:
            source = self._computed(inputs)
        except (NotImplementedError, SymadError) as error:
            why = error.message if isinstance(error, SymadError) else str(error)
            story.notes.append(f"No sliders: {why.rstrip('.')}.")
            return "null"
        story.inputs += [_slider(node, self._values[node], graph) for node in inputs]
        return source

    def _computed(self, inputs: Sequence[Node]) -> str:
        """Return the function that computes all values, in JavaScript."""
        graph = self._graph
        shown = Graph(graph.places, inputs)
        if all(self._values[node].ndim == 0 for node in inputs):
            if len(graph.view.nodes) > _MOST_COMPUTED:
                raise NotImplementedError(f"the graph has more than {_MOST_COMPUTED:,} nodes")
            return javascript_source(shown)
        elements, sizes = in_elements(shown, [type_of(self._values[node]) for node in inputs])
        self._story.sizes = sizes
        return javascript_source(elements)

    def _svg(self, place: int, picture: Picture) -> str:
        """Return a picture as SVG, and add the descriptions of its nodes to the story."""
        for shape in picture.shapes:
            kind = shape.kind
            self._story.nodes[shape.box.id] = shape.tip
            self._story.kinds[kind.name.lower()] = (GLYPHS[kind], kind.value.partition(":")[0])
        placed = place_picture(picture, COMPACT)
        return to_page_svg(placed, f"picture{place}", self._members.get(place, {}))


def _passes(graph: Graph, types: Sequence[Type]) -> tuple[list[PassReport], Graph]:
    """Return the report of each pass on a graph, and the optimised graph."""
    optimised = run_passes(graph, Job(Grade.ROUNDING, types), keep=True)
    return list(optimised.reports), optimised.graph


def _value(value: Any) -> Any:
    """Return a value for the page: a number, an array, or text and a mark for NaN or infinity."""
    if isinstance(value, (np.floating, np.integer)) and abs(value) <= _EXACT_INTEGER:
        return value.item()
    if isinstance(value, (np.floating, float)):
        number = float(value)
        if math.isfinite(number):
            return number
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    if value is None:
        return None
    if isinstance(value, np.ndarray) and value.ndim:
        return tensor_data(value)
    return [summarise(value), "" if is_finite(value) else "nan"]


def _is_real(value: Any) -> bool:
    """Return whether a value consists of finite floating-point numbers."""
    is_float = isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f"
    return is_float and bool(np.all(np.isfinite(value)))


def _slider(node: Node, value: Any, graph: PlayedGraph) -> dict[str, Any]:
    """Return the data of a slider, whose range has round limits and includes all values."""
    array = np.asarray(value, dtype=float)
    low, high = array.min(initial=0.0), array.max(initial=0.0)
    most = max(-low, high)
    reach = 10.0 ** math.ceil(math.log10(max(most, 1.0)))
    reach *= 2 if most > 0.8 * reach else 1  # room on both sides of the value
    data = {
        "n": graph.ids[node],
        "h": graph.name(node),
        "t": graph.glyphs.text(node.label),
        "v": array.reshape(-1).tolist() if array.ndim else float(value),
        "low": float(-reach if low >= -reach else 2 * low),
        "high": float(reach if high <= reach else 2 * high),
        "step": reach / 200,
    }
    return data | ({"s": list(array.shape)} if array.ndim else {})


def _title(y: Node, word: Callable[[str], str]) -> str:
    """Return y = ln x1 + x1·x2 − sin x2, shortened if long; ``word`` writes names."""
    terms: dict[Node, Term] = {}
    for node in topological_order([y]):
        if isinstance(node, Constant):
            text = word(node.name) if node.name else format_value(node.value)
            terms[node] = Term.number(text)
        elif node.op is None:
            terms[node] = Term(word(node.label))
        else:
            term = format_term(node, terms.__getitem__, notation=SYMBOLS)
            terms[node] = term if len(term) <= _LONGEST_TITLE else Term("…")
    name, formula = word(y.name or "y"), terms[y]
    if formula == "…":
        return f"{name}, a graph of {len(terms):,} nodes"
    return f"{name} = {formula}"
