"""Themes: pictures are composed in the colours of the light theme; others map them to their own.

Dark has light text on dark surfaces, with the contrast of WCAG's level AA.  Print has black lines:
the weights and dashes of arrows and the greys of nodes distinguish the parts of a graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from symad.drawing.picture import Arrow, Swatch
from symad.drawing.style import ACCENT, FAINT, GREY, HUES, INK, WHITE, Hue
from symad.records import dataclass, replace

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Theme:
    """How a picture is painted.

    Attributes
    ----------
    colors : dict from str to str
        From colours of the light theme to others.
    border : str
        The colour of the border around each part; empty for none.
    weights, dashes : dict from str to str
        The widths of the arrows of a part, and their dashes, by the colour of the part.
    signs : dict from str to str
        The signs of parts in the legend, by colour, if they are not coloured squares.
    """

    colors: Mapping[str, str] = _NOTHING
    border: str = ""
    weights: Mapping[str, str] = _NOTHING
    dashes: Mapping[str, str] = _NOTHING
    signs: Mapping[str, str] = _NOTHING

    def color(self, light: str) -> str:
        """Return the colour that replaces one of the light theme.

        Examples
        --------
        >>> THEMES["dark"].color(INK)
        '#e8eaed'
        """
        return self.colors.get(light, light)

    def node(self, look: Mapping[str, str]) -> dict[str, str]:
        """Return the look of a node in this theme."""
        painted = {key: self.color(look[key]) for key in ("color", "fillcolor") if key in look}
        return {**look, **painted}

    def arrow(self, arrow: Arrow) -> dict[str, str]:
        """Return the look of an arrow in this theme; its dashes are those of SVG."""
        look = arrow.look
        light = look["color"]
        if light in self.weights and not arrow.emphasis:
            look["penwidth"] = _THIN if arrow.crosses else self.weights[light]
        dashes = _STYLES.get(look.get("style", ""), self.dashes.get(light, ""))
        return look | {"color": self.color(light)} | ({"dashes": dashes} if dashes else {})

    def swatch(self, swatch: Swatch) -> Swatch:
        """Return an entry of the legend in this theme, in colours of the light one."""
        is_part = swatch.glyph == "■" and swatch.color in self.signs
        return replace(swatch, glyph=self.signs[swatch.color]) if is_part else swatch


_STYLES = {"dashed": "5,3", "dotted": "1.5,3"}
_THIN = "0.9"  # an arrow from one part to another, in print


def _mapped(hues: tuple[Hue, ...], others: Mapping[str, str]) -> dict[str, str]:
    """Return the colours that replace those of the light hues, and others."""
    found = dict(others)
    for light, hue in zip(HUES, hues, strict=True):
        found |= {light.strong: hue.strong, light.pale: hue.pale, light.ground: hue.ground}
    return found


_DARK = (
    Hue("#74bdf0", "#16364d", "#171f27"),
    Hue("#62d3b0", "#123c31", "#16211e"),
    Hue("#ffab66", "#4b2c12", "#241c15"),
    Hue("#ee9fd6", "#47203e", "#221a20"),
    Hue("#c9cdd1", "#3c4043", "#1e2022"),
    Hue("#e3d264", "#413b10", "#201f15"),
)
_BLACK = "#000000"
_PRINT = (
    Hue(_BLACK, WHITE, WHITE),
    Hue(_BLACK, "#f4f4f4", WHITE),
    Hue(_BLACK, "#e2e2e2", WHITE),
    Hue(_BLACK, "#cccccc", WHITE),
    Hue(_BLACK, "#f4f4f4", WHITE),
    Hue(_BLACK, "#d8d8d8", WHITE),
)
_STRONG = [hue.strong for hue in HUES]
_DASHED, _DOT_DASHED = "9,3", "8,3,1.5,3"

THEMES: dict[str, Theme] = {
    "light": Theme(),
    "dark": Theme(
        _mapped(_DARK, {
            INK: "#e8eaed", FAINT: "#a8adb3", WHITE: "#0f1317", ACCENT: "#c79bff",
            GREY.strong: "#9aa0a6", GREY.pale: "#2b2f33",
        })
    ),
    "print": Theme(
        _mapped(_PRINT, {
            INK: _BLACK, FAINT: "#444444", ACCENT: _BLACK, GREY.strong: "#666666", GREY.pale: WHITE,
        }),
        border="#999999",
        weights=dict(zip(_STRONG, ("1.2", "1.2", "2.2", "2.2", "3.2", "3.2"), strict=True)),
        dashes={_STRONG[1]: _DOT_DASHED, _STRONG[3]: _DASHED, _STRONG[5]: _DASHED},
        signs=dict(zip(_STRONG, "─╌━╍▬▭", strict=True)),
    ),
}  # fmt: skip
"""The themes by name."""
