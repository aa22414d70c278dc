"""Writes a page with a picture beside lines of text; pointing highlights related parts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from symad.records import dataclass


@dataclass(frozen=True, slots=True)
class PageLine:
    """One line of text.

    Attributes
    ----------
    text : str
    symbol : str
        The symbol of the line in the picture, shown in the margin.
    ids : tuple of str
        The ``id`` of each related element of the picture.
    """

    text: str
    symbol: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageBlock:
    """A title and its lines."""

    title: str
    lines: Sequence[PageLine]


def write_listing(title: str, svg: str, blocks: Sequence[PageBlock]) -> str:
    """Return the page as self-contained HTML.

    A content security policy allows only the style and the script of the page.

    Parameters
    ----------
    title : str
    svg : str
        The picture; text outside its ``svg`` element is dropped.
    blocks : sequence of PageBlock
        Blocks of lines beside the picture, one below the other.
    """
    picture = svg[svg.index("<svg") :]
    policy = content_policy(_SCRIPT, _STYLE)
    body = "".join(map(_block, blocks))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>Point at a node or a line, or move to it with the Tab "
        'key, to highlight related parts.</p><button type="button" id="fit" '
        'aria-pressed="true">fit the picture</button></header>'
        f'<main><section class="picture fitted" aria-label="graph">{picture}</section>'
        f'<section class="texts">{body}</section></main><script>{_SCRIPT}</script></body></html>\n'
    )


def _block(block: PageBlock) -> str:
    lines = "".join(map(_line, block.lines))
    return f'<h2>{escape(block.title)}</h2><div class="code">{lines}</div>'


def _line(line: PageLine) -> str:
    symbol = f'<span class="symbol">{escape(line.symbol)}</span>'
    text = f"<code>{escape(line.text) or '&#8203;'}</code>"
    if not line.ids:
        return f'<div class="line">{symbol}{text}</div>'
    ids = escape(" ".join(line.ids))
    return f'<div class="line linked" tabindex="0" data-ids="{ids}">{symbol}{text}</div>'


def content_policy(script: str, style: str, images: str = "'none'") -> str:
    """Return a content security policy that allows only this script and this style."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        f"img-src {images}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1a1a1a; --faint: #5f6368;
  --panel: #f6f8fa; --edge: #d0d7de; --lit: #fff0b3; --accent: #8d3b77; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --ink: #e8eaed;
  --faint: #a4abb3; --panel: #1f2429; --edge: #3a4149; --lit: #4d4215; --accent: #e6a3d3; } }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--ground);
  color: var(--ink); font: 15px/1.5 "DejaVu Sans", Verdana, Geneva, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 0 20px; padding: 10px 16px;
  border-bottom: 1px solid var(--edge); }
h1 { font-size: 18px; margin: 0; }
header p { margin: 0; color: var(--faint); font-size: 13px; flex: 1; }
h2 { font-size: 14px; margin: 14px 0 6px; }
button { font: inherit; font-size: 13px; color: inherit; background: var(--panel);
  padding: 3px 10px; border: 1px solid var(--edge); border-radius: 6px; cursor: pointer; }
button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
main { flex: 1; min-height: 0; display: grid;
  grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
section { overflow: auto; padding: 8px 16px 16px; }
.picture { background: #ffffff; border-right: 1px solid var(--edge); }
.fitted svg { width: 100%; height: 100%; }
.code { background: var(--panel); border: 1px solid var(--edge); border-radius: 8px;
  padding: 8px 0; overflow-x: auto; }
.line { display: flex; min-width: max-content; padding: 0 12px 0 0; }
.symbol { flex: 0 0 92px; text-align: right; padding-right: 12px; color: var(--accent);
  font-weight: bold; font-size: 13px; white-space: nowrap; }
code { font: 13px/1.6 "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; }
.linked { cursor: pointer; }
.line.lit, .linked:focus { background: var(--lit); outline: none;
  box-shadow: inset 3px 0 var(--accent); }
g[data-linked] { cursor: pointer; }
g.lit > ellipse, g.lit > polygon, g.lit > path, g.lit > rect, g.lit ellipse, g.lit polygon {
  stroke: #c2185b; stroke-width: 4; }
@media (max-width: 900px) { body { height: auto; } main { grid-template-columns: 1fr; } }
"""

_SCRIPT = """
"use strict";
const lines = [...document.querySelectorAll(".linked")];
const ofId = new Map();
for (const line of lines) {
  for (const id of line.dataset.ids.split(" ")) {
    if (!ofId.has(id)) ofId.set(id, []);
    ofId.get(id).push(line);
  }
}
let lit = [];
const light = (elements) => {
  for (const element of lit) element.classList.remove("lit");
  lit = elements.filter(Boolean);
  for (const element of lit) element.classList.add("lit");
};
const shapes = (line) => line.dataset.ids.split(" ").map((id) => document.getElementById(id));
const show = (element) => {
  if (element) element.scrollIntoView({ block: "nearest", inline: "nearest" });
};
for (const line of lines) {
  const on = () => light([line, ...shapes(line), ...twins(line)]);
  line.addEventListener("pointerenter", on);
  line.addEventListener("focus", () => { on(); show(shapes(line)[0]); });
  line.addEventListener("click", () => show(shapes(line)[0]));
}
function twins(line) {
  const first = line.dataset.ids.split(" ")[0];
  return lines.filter((other) => other !== line && other.dataset.ids.split(" ").includes(first));
}
for (const [id, own] of ofId) {
  const shape = document.getElementById(id);
  if (!shape) continue;
  shape.setAttribute("data-linked", "");
  shape.addEventListener("pointerenter", () => light([shape, ...own]));
  shape.addEventListener("click", () => show(own[0]));
}
const fit = document.getElementById("fit");
fit.addEventListener("click", () => {
  const on = document.querySelector(".picture").classList.toggle("fitted");
  fit.setAttribute("aria-pressed", String(on));
});
"""
