"""Text of the user's is shown as text by whatever is written, and never becomes anything else."""

from __future__ import annotations

import inspect
import pkgutil
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib import import_module
from xml.etree import ElementTree

import numpy as np
import pytest

import symad
import symad as sm
from symad.demo.backpropagation import compare_with_extension
from symad.demo.exercises.answers import Verdict
from symad.demo.training_view import TrainingView, spirals
from symad.demo.visit_orders import compare_orders
from symad.passes.rule import LinearWildcard, NumberWildcard
from symad.visible import visible

HOSTILE = {
    "line break": "a\nb",
    "carriage return": "a\r\nb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "next line": "a\x85b",
    "vertical": "a\x0bb\x0cc",
    "NUL": "a\x00b",
    "escape sequence": "\x1b[31mred\x1b[0m",
    "lone surrogate": "a\ud800b",
    "no character": "a\uffffb",
    "script": '"></script><script>alert(1)</script>',
    "comment": "<!-- --><![CDATA[ ]]>",
    "quotes": '"\'`\\"',
    "entities": "&lt;&#60;&nbsp;",
    "from right to left": "\u202eab\u2066c",
    "template": "{{data}} {0} ${x} %s",
    "maths": "$x_1$ \\frac{1}{2} } { _ ^ # | ~",
    "very long": "x" * 5000,
}


VALUE = np.array([0.5, 1.5])


PROGRAM = """
x = sm.Variable(text, shape=(text,))
with sm.scope(text):
    items = sm.structure({text: sm.sin(x), text + "2": x})
    square = sm.custom(lambda z: z * z, name=text)
    y = sm.sum(square(items[text]) * sm.constant(2.0, name=text)) + 1
"""


def square_of(x: sm.Node) -> sm.Node:
    return x * x


class Written:
    """What is written of one graph whose names, keys, scopes, dimensions and file are a text."""

    def __init__(self, text: str) -> None:
        made = {"sm": sm, "text": text}
        exec(compile(PROGRAM, "file", "exec").replace(co_filename=text), made)
        x, y = made["x"], made["y"]
        self.x, self.y, self.both = x, y, [y, sm.gradients(y, x)]
        self.function = sm.compile([x], self.both, name=text, backend="numpy")
        self.function(VALUE)
        self.plan, self.passes = self.function.plan, self.function.passes
        self.number = sm.constant(2.0, name=text)
        self.state = sm.parameter(text, 2.0)
        self.memory = sm.memory(self.function, VALUE)
        self.trace = sm.trace(y, {x: VALUE})
        self.explanation = sm.explain(y, [x], {x: VALUE})
        self.blame = sm.find_nan(y, {x: np.array([0.5, np.inf])})
        self.comparison = sm.compare_derivatives(y, [x], {x: VALUE})
        self.listing = sm.listing(self.function)
        self.drawing = sm.draw(self.both)
        self.pattern = sm.sparsity(square_of(x), x, {x: VALUE})
        self.player = sm.play(y, [x], {x: VALUE})
        self.profile = sm.profile(self.function, VALUE)
        self.ledger = sm.cost([sm.sin(x), sm.gradients(sm.sum(sm.sin(x)), x)], {x: VALUE})
        self.errors = sm.difference_errors(y, x, {x: VALUE})
        number = sm.Variable(text, shape=())
        form = sm.exp(number) * number + sm.identity(number)
        form.name = text
        self.by_hand = compare_with_extension(form, {number: 2.0})
        self.orders = compare_orders(form, {number: 2.0})
        row = sm.Variable(text, shape=(3,))
        carry, _ = sm.scan(lambda c, element: (c * element, None), number, row)
        self.loop = sm.trace(carry, {number: 2.0, row: np.ones(3)}).loops[0]
        self.verdict = Verdict(False, text)
        layer = sm.parameter(text, np.zeros((2, 2)))
        points, labels = spirals(6, classes=2)
        self.training = TrainingView(lambda p: p @ layer, {text: layer}, points, labels)
        self.training.run(1, frames=1)

    def texts(self) -> dict[str, str]:
        """Return all that is plain text, Markdown, LaTeX or DOT."""
        return {
            "trace": str(self.trace),
            "markdown of the trace": self.trace.markdown,
            "explanation": str(self.explanation),
            "markdown of the explanation": self.explanation.markdown,
            "latex of the explanation": self.explanation.latex,
            "find_nan": str(self.blame),
            "comparison": str(self.comparison),
            "memory": str(self.memory),
            "cost": str(self.ledger),
            "errors of differences": str(self.errors),
            "by hand": str(self.by_hand),
            "orders": str(self.orders),
            "steps of a loop": str(self.loop),
            **{
                f"markdown of {name}": value._repr_markdown_()
                for name, value in vars(self).items()
                if hasattr(value, "_repr_markdown_")
            },
            "profile": str(self.profile),
            "plan": str(self.function.plan),
            "graph": str(sm.Graph(self.both)),
            "function": repr(self.function),
            "node": repr(self.x),
            **{
                f"formula of {name}": value._repr_latex_()
                for name, value in vars(self).items()
                if isinstance(value, sm.Node)
            },
            "listing": repr(self.listing),
            "dot": self.drawing.source,
            "source": self.function.source,
        }

    def pictures(self) -> dict[str, str]:
        """Return all that is SVG."""
        return {
            "drawing": self.drawing.svg(),
            "drawing in a notebook": self.drawing._repr_mimebundle_()["image/svg+xml"],
            "pattern": self.pattern._repr_svg_(),
            "memory": self.memory.svg(),
            "memory in a notebook": self.memory._repr_svg_(),
        }

    def pages(self) -> dict[str, str]:
        """Return all that is HTML."""
        return {
            "listing": self.listing.html,
            "listing in a notebook": self.listing._repr_html_(),
            "player": self.player.html,
            "player in a notebook": self.player._repr_html_(),
            "trace": self.trace._repr_html_(),
            "find_nan": self.blame._repr_html_(),
            "comparison": self.comparison._repr_html_(),
            "memory": self.memory._repr_html_(),
            "profile": self.profile._repr_html_(),
            "cost": self.ledger._repr_html_(),
            "errors of differences": self.errors._repr_html_(),
            "by hand": self.by_hand._repr_html_(),
            "orders": self.orders._repr_html_(),
            "steps of a loop": self.loop._repr_html_(),
            "verdict": self.verdict._repr_html_(),
            "card": self.function._repr_html_(),
            "plan": self.plan._repr_html_(),
            "passes": self.passes._repr_html_(),
        }


class _Tags(HTMLParser):
    """Collects tags with the names of their attributes, and what is no text."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[str, ...]] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[(tag, *sorted(name for name, _ in attrs))] += 1

    def handle_comment(self, data: str) -> None:
        self.seen[("a comment",)] += 1

    def unknown_decl(self, data: str) -> None:
        self.seen[("a declaration",)] += 1


def tags_of(page: str) -> Counter[tuple[str, ...]]:
    parser = _Tags()
    parser.feed(page)
    return Counter({tag: n for tag, n in parser.seen.items() if tag[0] not in SHAPES})


SHAPES = {"text", "tspan", "path", "g", "title", "rect", "ellipse", "polygon", "svg", "line", "div"}
"""Of pictures and lines: how many there are depends on how long names are."""


def control_characters(text: str) -> Iterator[str]:
    """Yield what must not stand in a text, line feeds aside."""
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Cn", "Zl", "Zp") and character != "\n":
            yield character
        elif unicodedata.bidirectional(character) in ("RLO", "LRO", "RLI", "LRI", "FSI"):
            yield character


LENGTH = 40


@cache
def plain_of(length: int) -> Written:
    return Written("p" * length)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_of_the_users_stays_text(text: str) -> None:
    """All is as it is for a plain name of the same length, but for the name."""
    shown = len(visible(text, len(text)))
    written = Written(text + "p" * (LENGTH - shown))
    plain = plain_of(max(LENGTH, shown))
    expected = plain.texts()
    for form, found in written.texts().items():
        assert not list(control_characters(found)), form
        assert len(found.splitlines()) == len(expected[form].splitlines()), form
    compile(written.function.source, "source", "exec")
    expected = plain.pictures()
    for form, found in written.pictures().items():
        assert found.encode("utf-8") and elements_of(found) == elements_of(expected[form]), form
    expected = plain.pages()
    for form, found in written.pages().items():
        assert not list(control_characters(found)), form
        assert tags_of(found) == tags_of(expected[form]), form


def elements_of(picture: str) -> set[str]:
    return {element.tag for element in ElementTree.fromstring(picture).iter()}


def test_whatever_a_notebook_shows_is_tried() -> None:
    """Every class of the package that a notebook shows in its own way is among the written."""
    shown = set()
    for found in pkgutil.walk_packages(symad.__path__, "symad."):
        if found.name.endswith("__main__"):
            continue
        for value in vars(import_module(found.name)).values():
            is_ours = inspect.isclass(value) and value.__module__.startswith("symad.")
            if is_ours and any(name.startswith("_repr_") for name in dir(value)):
                shown.add(value)
    tried = {type(value) for value in vars(plain_of(LENGTH)).values()}
    bases = {base for kind in shown for base in kind.__mro__[1:]}
    patterns = {LinearWildcard, NumberWildcard}  # which are in no graph
    assert shown - bases - patterns == (tried & shown) - bases
