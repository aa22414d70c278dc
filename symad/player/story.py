"""The story of a page: chapters of steps, each of which changes what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symad.records import dataclass, field


@dataclass(frozen=True)
class StoryStep:
    """One change of the page.  Elements are given by their ids, or by other keys of the page.

    Attributes
    ----------
    say : str
        The caption, with glyphs.
    maths : sequence of str
        Formulas as MathML, with glyphs.
    show, hide : sequence of str
        The elements that appear, and those that disappear, from this step on.
    now, use : sequence of str
        The elements that the step is about, and those that it uses: lit during this step only.
    line : int
        The current line of the algorithm, from 1; 0 for none.
    clear : bool
        Whether everything shown by earlier steps is hidden first.
    """

    say: str
    maths: Sequence[str] = ()
    show: Sequence[str] = ()
    hide: Sequence[str] = ()
    now: Sequence[str] = ()
    use: Sequence[str] = ()
    line: int = 0
    clear: bool = False


@dataclass(frozen=True)
class Chapter:
    """Steps with one picture and one panel beside it.

    Attributes
    ----------
    title : str
    panel : str
        The panel beside the picture.
    picture : int
        The index of the picture.
    steps : list of StoryStep
    """

    title: str
    panel: str
    picture: int
    steps: list[StoryStep]


@dataclass
class Story:
    """Everything that the page shows.

    Attributes
    ----------
    title : str
    heading : str
        The title with glyphs.
    chapters : list of Chapter
    panels : dict
        The contents of the panels, by name.
    values : list
        The values of the nodes, by index.
    places : list of str
        The ids of these nodes.
    inputs : list of dict
        The sliders.
    notes : list of str
        Notes on what the page leaves out.
    nodes : dict
        The description of each node of a picture, by id.
    kinds : dict
        The kinds of nodes in the pictures, each with its sign and name, for the legend.
    hue : str
        The CSS class for the colour of the adjoints.
    sizes : list of int
        The number of elements of each value that the page computes, if some are arrays.
    forms : dict
        How nodes use the axes of their inputs, by id.
    steps : dict
        The values of nodes inside loops, by id: lists of a step and a value.
    comparisons : list of dict
        What can be seen side by side.
    folds : list of dict
        The pictures that replace the first one when frames are closed: all frames in the first of
        them, all but one in each other.
    """

    title: str
    heading: str
    chapters: list[Chapter] = field(default_factory=list)
    panels: dict[str, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    hue: str = "a1"
    sizes: list[int] = field(default_factory=list)
    forms: dict[str, list[Any]] = field(default_factory=dict)
    steps: dict[str, list[list[str]]] = field(default_factory=dict)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    folds: list[dict[str, Any]] = field(default_factory=list)

    def data(self, glyphs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the story as data for the page; repeated formulas are stored once."""
        formulas: dict[str, int] = {}
        chapters: list[dict[str, Any]] = []
        steps: list[dict[str, Any]] = []
        for chapter in self.chapters:
            chapters.append(
                {
                    "title": chapter.title,
                    "panel": chapter.panel,
                    "picture": chapter.picture,
                    "at": len(steps),
                }
            )
            steps += [_written(step, formulas) for step in chapter.steps]
        return {
            "title": self.title,
            "heading": self.heading,
            "chapters": chapters,
            "steps": steps,
            "formulas": list(formulas),
            "glyphs": list(glyphs),
            "panels": self.panels,
            "values": self.values,
            "places": " ".join(self.places),
            "inputs": self.inputs,
            "notes": self.notes,
            "nodes": self.nodes,
            "kinds": self.kinds,
            "hue": self.hue,
            "folds": self.folds,
            "loops": self.steps,
            "comparisons": self.comparisons,
            "sizes": self.sizes,
            "forms": self.forms,
        }


def _written(step: StoryStep, formulas: dict[str, int]) -> dict[str, Any]:
    """Return a step without empty entries, with its formulas replaced by their indices."""
    maths = [formulas.setdefault(formula, len(formulas)) for formula in step.maths]
    parts = {
        "say": step.say,
        "maths": maths,
        "show": " ".join(step.show),
        "hide": " ".join(step.hide),
        "now": " ".join(step.now),
        "use": " ".join(step.use),
        "line": step.line,
        "clear": int(step.clear),
    }
    return {key: value for key, value in parts.items() if value}
