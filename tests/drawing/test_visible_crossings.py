"""What a reader sees of a layout: crossings, as ``python -m benchmarks.layout`` counts them."""

from __future__ import annotations

import pytest

from benchmarks.layout.__main__ import CASES, diagram_of
from benchmarks.layout.crossings import visible_crossings
from symad.drawing.layout import lay_out

MOST = {
    "lecture": (9, 0.44), "second derivative": (16, 1.20), "network": (22, 2.20),
    "regularised": (42, 3.86), "attention": (10, 1.68), "tangle": (123, 5.75),
    "large, folded": (8, 2.18),
}  # fmt: skip
"""Crossings, and area in millions of square points: at most 1.1 times that of Graphviz."""


@pytest.mark.parametrize("name", MOST)
def test_few_crossings_are_seen_on_a_small_area(name: str) -> None:
    diagram = diagram_of(*CASES[name])
    layout = lay_out(diagram)
    curves = layout.curves
    arrows = [(k.tail, k.head, curves[k.id]) for k in diagram.links if k.id in curves]
    crossings, area = MOST[name]
    assert visible_crossings(arrows) <= crossings
    assert layout.size[0] * layout.size[1] <= area * 1e6


def test_crossings_are_counted_once_and_only_of_strangers() -> None:
    def line(x: float, end: float) -> list[tuple[float, float]]:
        return [(x, 0.0), (x, 0.0), (end, 90.0), (end, 90.0)]

    cross = [("a", "b", line(0, 90)), ("c", "d", line(90, 0))]
    assert visible_crossings(cross) == 1
    assert visible_crossings([*cross, ("e", "d", line(91, 0.5))]) == 1  # as near as one to the eye
    assert visible_crossings([*cross, ("e", "f", line(60, 0))]) == 3
    assert visible_crossings([("a", "b", line(0, 90)), ("a", "d", line(90, 0))]) == 0
    assert visible_crossings([("a", "b", line(0, 90)), ("c", "b", line(90, 0))]) == 0
