"""How a player's page comes about: differentiation, passes, plan and drawing meet here.

The package :mod:`symad.player` tells what happened; here it is made to happen.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symad.autodiff.extension import Extension, Summed, Visit
from symad.backends.javascript.source import javascript_source
from symad.drawing.style import GLYPHS
from symad.graph.formula import Term, format_term
from symad.graph.graph import Graph
from symad.graph.node import Constant, Node, Parameter
from symad.graph.traverse import topological_order
from symad.notation.escape import visible
from symad.notation.labels import Symbol
from symad.notation.roles import Part
from symad.notation.symbols import SYMBOLS
from symad.notation.values import format_value, summarise
from symad.notation.view import Values, View
from symad.passes.rewrite import Rewriting
from symad.passes.rule import Grade
from symad.passes.specialise import specialise
from symad.plan.plan import Plan, make_plan
from symad.player.extension import ExtensionTeller
from symad.player.glyphs import Glyphs
from symad.player.layout import lay_out
from symad.player.numbers import NumbersTeller
from symad.player.page import write_page
from symad.player.registers import Instruction, PlanTeller
from symad.player.rewrites import Names, Rewrite, RewritesTeller, Stage, passes_in_short
from symad.player.sketch import Sketch
from symad.player.story import Story
from symad.player.subject import Subject, is_finite
from symad.player.svg import hue_class, write_svg
from symad.player.visits import Course, Partial
from symad.player.visits import Visit as PlayedVisit
from symad.runtime.inputs import type_of
from symad.runtime.pipeline import PassReport, optimise
from symad.types import Type

_LONGEST_TITLE = 72
_EXACT_INTEGER = 2**53
_MOST_COMPUTED = 3000  # nodes that the page computes anew: a line of JavaScript for each


class Production:
    """Puts one page together.

    Parameters
    ----------
    y : Node
    record : Extension
        What the gradient pass did.
    results : sequence of Node
        The adjoints that were asked for.
    values : mapping from Node to value, or None
        Of all nodes that were made, and those that they depend on.
    limit : int
        A graph of more nodes is folded.
    """

    def __init__(
        self,
        y: Node,
        record: Extension,
        results: Sequence[Node],
        values: Values | None,
        limit: int,
    ) -> None:
        self._y = y
        self._record = record
        self._results = results
        self._outputs = [y, *dict.fromkeys(results)]
        everything = [*self._outputs, *record.adjoints.values(), *record.partials.values()]
        self._glyphs = Glyphs()
        self._subject = Subject(View(everything, values), self._outputs, limit, self._glyphs)
        self._values: Values = values or {}
        hue = hue_class(Part(record.generation, "adjoint"))
        title = visible(_title(y, str), _LONGEST_TITLE)
        self._story = Story(title, heading=_title(y, self._glyphs.text), hue=hue)
        self._sketches: list[Sketch] = []
        self._drawn = [(name, node) for node, name in self._subject.ids.items()]

    @property
    def title(self) -> str:
        """What is differentiated, as a formula."""
        return self._story.title

    @property
    def notes(self) -> tuple[str, ...]:
        """What the page leaves out, and which layout drew its pictures."""
        return tuple(self._story.notes)

    def page(self) -> str:
        """Return the page as HTML."""
        self._tell_extension()
        self._tell_passes()
        self._story.panels["sources"] = _sources(self._drawn)
        evaluate = self._sliders()
        pictures = self._pictures()
        data = self._story.data(self._glyphs.entries)
        return write_page(self.title, data, pictures, evaluate)

    def _tell_extension(self) -> None:
        subject, story = self._subject, self._story
        record = self._record
        course = Course(subject, _visits(record), self._results, record.generation)
        extension, numbers = ExtensionTeller(course), NumbersTeller(course)
        story.chapters += [*extension.chapters(), *numbers.chapters()]
        story.panels |= {"trace": numbers.trace(), "grads": extension.lists()}
        story.values = [_value(self._values.get(node)) for node in subject.places]
        story.notes += [subject.note] * bool(subject.note)
        self._sketches.append(subject.sketch())

    def _tell_passes(self) -> None:
        subject, story = self._subject, self._story
        order = topological_order(self._outputs)
        inputs = Graph(self._outputs).inputs
        types = [self._type(node) for node in inputs]
        every = specialise(Graph(order, inputs), types)
        new = dict(zip(order, every.outputs, strict=True))
        graph = Graph([new[node] for node in self._outputs], every.inputs)
        log: list[Rewriting] = []
        optimised = optimise(graph, Grade.ROUNDING, log.append)
        stages = _stages(optimised.reports, log)
        if subject.is_folded:
            plan = make_plan(optimised.graph)
            chapter, rows = passes_in_short(stages, len(plan.instructions), plan.registers)
            story.chapters.append(chapter)
            story.panels["passes"] = rows
            return
        summed = [s for s in self._record.steps if isinstance(s, Summed)]
        pairs = [(new[s.node], new[s.adjoint]) for s in summed if s.adjoint in new]
        teller = RewritesTeller(graph, self._names(order, new), stages, pairs, 1)
        story.chapters.append(teller.chapter())
        story.panels["passes"] = teller.rows
        self._sketches.append(teller.sketch())
        self._drawn += teller.drawn()
        self._tell_plan(make_plan(optimised.graph), teller)

    def _names(self, order: Sequence[Node], new: Mapping[Node, Node]) -> Names:
        """Return the names and parts of nodes after specialisation: those that they had before."""
        subject = self._subject
        symbols: dict[Node, Symbol] = {}
        parts: dict[Node, Part] = {}
        for node in order:
            symbol = subject.labels.of(node)
            if symbol is not None:
                symbols.setdefault(new[node], symbol)
            parts.setdefault(new[node], subject.box_of[subject.view.behind(node)].part)
        return Names(self._glyphs, symbols, parts)

    def _tell_plan(self, plan: Plan, teller: RewritesTeller) -> None:
        given = [*zip(plan.inputs, plan.graph.inputs, strict=True), *plan.constants]
        instructions = [
            Instruction(i.node, i.inputs, i.output, i.frees, i.overwrites)
            for i in plan.instructions
        ]
        told = PlanTeller(plan.graph, teller.wires, teller.names, given, instructions, 2)
        self._story.chapters.append(told.chapter())
        self._story.panels["plan"] = {"rows": told.rows(), "registers": told.registers()}
        self._sketches.append(told.sketch())
        self._drawn += told.drawn()

    def _type(self, node: Node) -> Type:
        if isinstance(node, Parameter) or node not in self._values:
            return node.type
        return type_of(self._values[node])

    def _sliders(self) -> str:
        """Return the graph in JavaScript, and set the sliders up; ``null`` where there are none."""
        subject, story = self._subject, self._story
        if not self._values:
            return "null"
        if len(subject.view.nodes) > _MOST_COMPUTED:
            story.notes.append(
                f"There are no sliders: they are for up to {_MOST_COMPUTED:,} nodes."
            )
            return "null"
        inputs = Graph(self._outputs).inputs
        try:
            source = javascript_source(Graph(subject.places, inputs))
        except NotImplementedError as error:
            story.notes.append(f"There are no sliders: {error}.")
            return "null"
        for node in inputs:
            value = self._values[node]
            if not np.issubdtype(value.dtype, np.floating) or not np.isfinite(value):
                story.notes.append("There are no sliders: they are for finite real numbers.")
                story.inputs = []
                return "null"
            story.inputs.append(_slider(node, float(value), subject))
        return source

    def _pictures(self) -> list[str]:
        pictures, renderers = [], set()
        for place, sketch in enumerate(self._sketches):
            for shape in sketch.shapes:
                kind = shape.kind
                self._story.nodes[shape.id] = shape.title
                self._story.kinds[kind.name.lower()] = (GLYPHS[kind], kind.value.partition(":")[0])
            layout = lay_out(sketch)
            renderers.add(layout.drawn_by)
            pictures.append(write_svg(sketch, layout, f"picture{place}"))
        self._story.notes.append(f"Laid out by {' and '.join(sorted(renderers))}.")
        return pictures


def _visits(record: Extension) -> list[PlayedVisit]:
    """Return what the gradient pass did, node by node."""
    visits: list[PlayedVisit] = []
    contributions: tuple[Node, ...] = ()
    for step in record.steps:
        if isinstance(step, Visit):
            contributions = step.contributions
        elif isinstance(step, Summed):
            visits.append(PlayedVisit(step.node, contributions, step.adjoint, []))
        else:
            partial = Partial(step.edge.slot, step.product, step.partial)
            visits[-1].partials.append(partial)
    return visits


def _stages(reports: Sequence[PassReport], log: Sequence[Rewriting]) -> list[Stage]:
    """Return the passes, each with its rewrites; bodies of loops are not part of the picture."""
    stages, start = [], 0
    for report in reports:
        end = start + sum(report.rules.values())
        rewrites = tuple(
            Rewrite(r.rule.name, r.rule.equation, r.rule.grade.name.lower(), r.old, r.new)
            for r in log[start:end]
        )
        stages.append(Stage(report.name, report.nodes_before, report.nodes_after, rewrites))
        start = end
    return stages


def _value(value: Any) -> Any:
    """Return a value for the page: a number, or its text and whether it holds NaN or infinity."""
    if isinstance(value, (np.floating, np.integer)) and abs(value) <= _EXACT_INTEGER:
        return value.item()
    if isinstance(value, (np.floating, float)):
        number = float(value)
        if math.isfinite(number):
            return number
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    if value is None:
        return None
    return [summarise(value), "" if is_finite(value) else "nan"]


def _slider(node: Node, value: float, subject: Subject) -> dict[str, Any]:
    """Return the data of a slider: it spans the value and its neighbourhood, on round numbers."""
    reach = 10.0 ** math.ceil(math.log10(max(abs(value), 1.0)))
    return {
        "n": subject.ids[node],
        "h": subject.name(node),
        "t": subject.glyphs.text(node.label),
        "v": value,
        "low": -reach if value >= -reach else 2 * value,
        "high": reach if value <= reach else 2 * value,
        "step": reach / 200,
    }


def _sources(drawn: Iterable[tuple[str, Node]]) -> list[dict[str, str]]:
    """Return the user's lines that made the nodes of pictures, which are given with their ids."""
    nodes: dict[tuple[str, int], dict[str, None]] = {}
    for name, node in drawn:
        nodes.setdefault((node.site.filename, node.site.line), {})[name] = None
    rows = []
    for (filename, line), ids in sorted(nodes.items()):
        name = filename.replace("\\", "/").rpartition("/")[2]
        where = f"column {line}" if filename.startswith("<expr") else f"{name}:{line}"
        text = linecache.getline(filename, line).strip()
        rows.append({"w": visible(where), "t": visible(text, 120), "n": " ".join(ids)})
    return rows


def _title(y: Node, word: Callable[[str], str]) -> str:
    """Return y = ln x1 + x1·x2 − sin x2, as far as that is short; ``word`` writes names."""
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
