"""LaTeX as MathML: what symad and its documents write is read, and anything else does no harm."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symad.notation.mathml import document, mathml

ROOT = Path(__file__).resolve().parents[2]
ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "mroot": 2, "mover": 2, "munder": 2}
ARITY |= {"msubsup": 3, "munderover": 3}
STRUCTURE = {
    rf"\{name}" for name in "bar dot frac left mathrm operatorname right sqrt text".split()
}
LETTERS = st.sampled_from(r"ab1 {}[]()^_\|'" + "é∑\U000f0001") | st.characters(categories=["L"])


def read(latex: str) -> ElementTree.Element:
    """Return the tree of a formula, whose elements all have as many children as they need."""
    root = ElementTree.fromstring(f"<math>{mathml(latex)}</math>")
    for element in root.iter():
        assert len(element) == ARITY.get(element.tag, len(element)), element.tag
    return root


def short(latex: str) -> str:
    """Return the markup without attributes, with the names of elements short."""
    text = re.sub(r"<(/?)m?(\w+)[^>/]*(/?)>", r"<\1\2\3>", mathml(latex))
    return text.replace("<space/>", "_")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"x_{12}^2", "<subsup><i>x</i><n>12</n><n>2</n></subsup>"),
        (r"x^2_{12}", "<subsup><i>x</i><n>12</n><n>2</n></subsup>"),
        (r"\bar{v}_1", "<sub><over><i>v</i><o>¯</o></over><n>1</n></sub>"),
        (r"\sqrt[3]{x}", "<root><i>x</i><n>3</n></root>"),
        (r"\binom{n}{k}", "<row><o>(</o><frac><i>n</i><i>k</i></frac><o>)</o></row>"),
        (r"-1.5", "<o>−</o><n>1.5</n>"),
        (r"\log_{10} x", "<sub><i>log</i><n>10</n></sub>_<i>x</i>"),
        (r"2 \sin^2 x", "<n>2</n>_<sup><i>sin</i><n>2</n></sup>_<i>x</i>"),
        (r"\sin\left(x\right)", "<i>sin</i><row><o>(</o><i>x</i><o>)</o></row>"),
        (r"\left. x \right|", "<row><i>x</i><o>|</o></row>"),
        (r"\sum_{i}^n i", "<underover><o>∑</o><i>i</i><i>n</i></underover><i>i</i>"),
        (r"\mathrm{a\_b\ c\%}", "<i>a_b c%</i>"),
        (r"\mathrm{\acute{e}t\acute{e}}", "<i>été</i>"),
        (r"\theta \varepsilon \Gamma", "<i>θ</i><i>ε</i><i>Γ</i>"),
        (r"\hbar \otimes \aleph", "<i>ℏ</i><o>⊗</o><i>ℵ</i>"),
        (r"a < b & c", "<i>a</i><o>&lt;</o><i>b</i><o>&amp;</o><i>c</i>"),
        (r"f''", "<i>f</i><i>′</i><i>′</i>"),
        (r"\frac{a}", "<i>a</i>"),
        (r"{{a}}}", "<i>a</i>"),
    ],
)
def test_formulas(latex: str, expected: str) -> None:
    read(latex)
    assert short(latex) == expected


def test_the_formulas_of_the_documents_hold_no_unknown_commands() -> None:
    known = 0
    written = (ROOT / "docs").glob("[!_]*/**/*.md")  # not what is generated
    for path in [*(ROOT / "docs").glob("*.md"), *written, *(ROOT / "notebooks").glob("*.py")]:
        text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text("utf-8"), flags=re.DOTALL)
        for formula in re.findall(r"\$\$?([^$\n]+)\$\$?", text):
            commands = set(re.findall(r"\\[A-Za-z]+", formula)) - STRUCTURE
            assert [command for command in commands if not mathml(command)] == []
            read(formula)
            known += 1
    assert known > 20


@given(st.text(LETTERS))
def test_any_text_becomes_a_formula(text: str) -> None:
    read(text)


@pytest.mark.parametrize("text", ["{", r"\bar ", "x^", r"\left("])
def test_depth_is_no_limit(text: str) -> None:
    assert mathml(text * 3000 + "y").count("<mi>y</mi>") == 1


def test_a_whole_element() -> None:
    whole = document("x", "block")
    assert whole.startswith('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">')
    assert whole.endswith("><mi>x</mi></math>")
