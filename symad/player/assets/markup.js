// Texts with glyphs: private characters that represent symbols, values and texts of the user.
// Everything is built of elements and text nodes; no text of the user is parsed as markup.

const FIRST_GLYPH = 0xf0000;
const GLYPHS = /[\u{f0000}-\u{ffffd}]/u;
const DROP = 4; // how many pixels an index is lowered in a picture
const MATHS = "http://www.w3.org/1998/Math/MathML";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "className" || name === "textContent") element[name] = value;
    else if (value !== undefined && value !== "") element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A symbol in words.
function spoken(glyph) {
  const [letter, mark] = glyph.l;
  const [own, user] = glyph.i.split("→");
  const name = `${letter} ${own}${user ? ` from ${letter} ${user}` : ""}${glyph.u ? ` ${glyph.u}` : ""}`;
  if (mark === "\u0304") return `${user ? "partial " : ""}adjoint of ${name}`;
  return mark === "\u0307" ? `tangent of ${name}` : name;
}

class Markup {
  constructor(glyphs) {
    this.glyphs = glyphs;
  }

  glyph(character) {
    return this.glyphs[character.codePointAt(0) - FIRST_GLYPH];
  }

  // A text as elements.
  write(text) {
    const fragment = document.createDocumentFragment();
    for (const piece of (text || "").split(/([\u{f0000}-\u{ffffd}])/u)) {
      const glyph = GLYPHS.test(piece) ? this.glyph(piece) : undefined;
      fragment.append(glyph ? this.element(glyph) : piece);
    }
    return fragment;
  }

  element(glyph) {
    if ("v" in glyph) return make("span", { className: "value", "data-v": glyph.v });
    if ("t" in glyph) return make("bdi", { textContent: glyph.t, "data-n": glyph.n });
    const symbol = make("span", { className: "symbol", "data-n": glyph.n });
    symbol.append(make("i", { textContent: glyph.l }), make("sub", { textContent: glyph.i }));
    if (glyph.u) symbol.append(make("sup", { textContent: glyph.u }));
    return symbol;
  }

  // Replaces the text of an SVG element by pieces, with lowered indices.
  typeset(element) {
    const pieces = element.textContent.split(/([\u{f0000}-\u{ffffd}])/u);
    element.replaceChildren();
    let low = 0;
    const add = (text, level, kind) => {
      if (!text) return;
      const piece = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
      piece.textContent = text;
      if (kind) piece.setAttribute("class", kind);
      if (level !== low) piece.setAttribute("dy", (level - low) * DROP);
      low = level;
      element.append(piece);
    };
    for (const piece of pieces) {
      const glyph = GLYPHS.test(piece) ? this.glyph(piece) : undefined;
      if (!glyph) add(piece, 0, "");
      else if ("t" in glyph) add(glyph.t, 0, "u");
      else {
        add(glyph.l, 0, "l");
        add(glyph.i, 1, "i");
        add(glyph.u, -1, "i");
      }
    }
  }

  // A text as a screen reader says it: an array of 4×5 with the norm 2 is written as 4×5 ‖2‖.
  speak(text, valueOf) {
    const words = Array.from(text || "", (character) => {
      const glyph = GLYPHS.test(character) ? this.glyph(character) : undefined;
      if (!glyph) return character;
      return "v" in glyph ? valueOf(glyph.v) : glyph.t || spoken(glyph);
    });
    return words.join("").replace(/ ‖([\d.e+−∞na]+)‖/g, ", norm $1");
  }

  // A formula as elements.  The MathML comes from symad and contains no text of the user.
  maths(text) {
    const root = new DOMParser().parseFromString(`<math xmlns="${MATHS}">${text}</math>`, "text/xml");
    const math = document.importNode(root.documentElement, true);
    math.setAttribute("display", "block");
    for (const leaf of [...math.querySelectorAll("mi, mn, mo, mtext")]) {
      const glyph = GLYPHS.test(leaf.textContent) ? this.glyph(leaf.textContent) : undefined;
      if (glyph) leaf.replaceWith(this.term(glyph));
    }
    return math;
  }

  // Whether the browser has no font for formulas and therefore leaves indices on the line.
  hasFlatIndices() {
    const math = this.maths("<msub><mi>v</mi><mn>1</mn></msub>");
    document.body.append(math);
    const [letter, index] = [...math.firstElementChild.children].map((e) => e.getBoundingClientRect().bottom);
    math.remove();
    return index - letter < 2;
  }

  term(glyph) {
    const leaf = (tag, text) => {
      const element = document.createElementNS(MATHS, tag);
      element.textContent = text;
      return element;
    };
    if ("v" in glyph) {
      const value = leaf("mn", "");
      value.setAttribute("data-v", glyph.v);
      if (glyph.p) value.setAttribute("data-inner", "");
      return value;
    }
    if ("t" in glyph) return leaf("mtext", glyph.t);
    const term = document.createElementNS(MATHS, glyph.u ? "msubsup" : "msub");
    term.setAttribute("class", "symbol");
    term.append(leaf("mi", glyph.l), leaf("mn", glyph.i));
    if (glyph.u) term.append(leaf("mn", glyph.u));
    if (glyph.n) term.setAttribute("data-n", glyph.n);
    return term;
  }
}
