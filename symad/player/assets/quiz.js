// Predict, then reveal: the reader types an adjoint before a step shows it.

const FUNCTIONS = { sin: Math.sin, cos: Math.cos, tan: Math.tan, exp: Math.exp, log: Math.log, ln: Math.log, sqrt: Math.sqrt,
  tanh: Math.tanh, sinh: Math.sinh, cosh: Math.cosh, abs: Math.abs, sign: Math.sign };
const MOST_TERMS = 10;
const TOLERANCE = 1e-3; // relative: answers may be rounded as on the page

// The value of an expression of numbers, named values, functions, + − · / ^ and brackets.
class Formula {
  constructor(text, valueOf) {
    this.valueOf = valueOf;
    this.hasNames = false;
    const plain = text.normalize("NFD").replace(/[−–]/g, "-").replace(/[·×∗]/g, "*").replace(/->/g, "→").replace(/\*\*/g, "^");
    this.words = plain.match(/\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+|[\p{L}][\p{L}\p{M}_]*\d*(?:→\d+)?(?:,\d+)?|\S/gu) || [];
    this.place = 0;
  }

  value() {
    const value = this.sum();
    if (this.place < this.words.length) throw new Error(`“${this.words[this.place]}” is not understood`);
    return value;
  }

  take(...words) {
    return words.includes(this.words[this.place]) ? this.words[this.place++] : "";
  }

  sum() {
    let value = this.product();
    for (let sign = this.take("+", "-"); sign; sign = this.take("+", "-")) {
      value += sign === "+" ? this.product() : -this.product();
    }
    return value;
  }

  product() {
    let value = this.signed();
    for (let sign = this.take("*", "/"); sign; sign = this.take("*", "/")) {
      value = sign === "*" ? value * this.signed() : value / this.signed();
    }
    return value;
  }

  signed() {
    const sign = this.take("+", "-");
    if (sign) return sign === "-" ? -this.signed() : this.signed();
    const base = this.atom();
    return this.take("^") ? base ** this.signed() : base;
  }

  atom() {
    const word = this.words[this.place++];
    if (word === undefined) throw new Error("the answer is not complete");
    if (/^[\d.]/.test(word)) return Number(word);
    if (word === "(") return this.closed();
    if (Object.hasOwn(FUNCTIONS, word)) return FUNCTIONS[word](this.take("(") ? this.closed() : this.atom());
    const value = this.valueOf(word);
    if (value === undefined) throw new Error(`“${word}” is not understood`);
    this.hasNames = true;
    return value;
  }

  closed() {
    const value = this.sum();
    if (!this.take(")")) throw new Error("a bracket is not closed");
    return value;
  }
}

class Quiz {
  constructor(player) {
    this.player = player;
    this.on = false;
    this.rows = new Map((player.story.panels.grads || []).map((row) => [`a-${row.n}`, row]));
    this.names = this.allNames();
    byId("predict").hidden = !this.rows.size || !this.isOfNumbers();
    byId("quiz").addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    byId("reveal").addEventListener("click", () => this.reveal());
    byId("quiz").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.reveal();
    });
  }

  isOfNumbers() {
    return [...this.rows.values()].every((row) => row.l.every(([id]) => typeof this.player.valueOf(id) === "number"));
  }

  // The names that an answer may use: v2, v̄2 or b2, v̄2→5 or b2→5, and the names of the inputs.
  allNames() {
    const names = new Map();
    const add = (glyph, id) => {
      const plain = `${glyph.l}${glyph.i}`.normalize("NFD");
      names.set(plain, id);
      names.set(plain.replace(/^v\u0304/, "b"), id);
    };
    for (const glyph of this.player.story.glyphs) {
      if ("l" in glyph && /^n/.test(glyph.n || "") && !glyph.u) add(glyph, glyph.n);
    }
    for (const input of this.player.story.inputs) names.set(this.player.markup.speak(input.t, () => ""), input.n);
    return names;
  }

  toggle() {
    if (byId("predict").hidden) return;
    this.on = !this.on;
    byId("predict").setAttribute("aria-pressed", this.on);
    this.player.presenter.say(this.on ? "Predict each adjoint before it is shown" : "Adjoints are shown");
    this.hide();
  }

  // Asks before a step that shows an adjoint; returns whether it does.  The same step again reveals.
  asks(index) {
    const { player } = this;
    const asked = this.row && index === this.target;
    this.hide();
    if (asked || !this.on || index <= player.index) return false;
    const row = this.rowAt(index);
    if (!row) return false;
    player.go(index - 1);
    this.row = row;
    this.target = index;
    byId("question").replaceChildren("What is ", player.markup.write(row.a), "?");
    byId("answer").value = "";
    byId("answer").placeholder = "b7*cos(v2), or a number";
    byId("verdict").textContent = "Write v̄2 as b2 and v̄2→5 as b2->5. The sum has a term for each use of the node.";
    byId("quiz").hidden = false;
    byId("answer").focus();
    return true;
  }

  // The adjoint that a step shows, by its row of node_to_grad or by its value; not the seed.
  rowAt(index) {
    const { now } = this.player.story.steps[index];
    const { title } = this.player.story.chapters[this.player.story.chapterAt(index)];
    const found = [...this.rows.values()].find((row) => (title === "Adjoints" ? now.has(`${row.m}v`) : now.has(`a-${row.n}`)));
    return found && found !== this.rows.values().next().value ? found : null;
  }

  hide() {
    byId("quiz").hidden = true;
    this.row = null;
  }

  reveal() {
    const { target } = this;
    this.hide();
    this.player.go(target);
    byId("say").focus();
  }

  check() {
    try {
      const { text, right } = this.verdict(byId("answer").value);
      byId("verdict").replaceChildren(this.player.markup.write(text));
      if (right) {
        this.player.presenter.say("Right");
        this.reveal();
      }
    } catch (error) {
      byId("verdict").textContent = `${error.message}.`;
    }
  }

  verdict(answer) {
    const all = this.settings().map((values) => {
      const formula = new Formula(answer, (name) => this.player.valueOf(this.names.get(name), values));
      return { given: formula.value(), hasNames: formula.hasNames, terms: this.row.l.map(([id]) => this.player.valueOf(id, values)) };
    });
    const points = all[0].hasNames ? all : all.slice(0, 1); // a number is right for the current inputs only
    const count = this.row.l.length;
    const wanted = (1 << count) - 1;
    const fits = (mask) => points.every(({ given, terms }) => {
      const sum = terms.reduce((total, term, place) => total + (mask & (1 << place) ? term : 0), 0);
      return Math.abs(given - sum) <= TOLERANCE * Math.max(Math.abs(sum), ...terms.map(Math.abs), 1e-12);
    });
    if (fits(wanted)) return { right: true, text: "" };
    if (count <= MOST_TERMS) {
      for (let mask = wanted - 1; mask > 0; mask -= 1) {
        if (fits(mask)) return { right: false, text: this.missing(mask) };
      }
    }
    const uses = count === 1 ? "once, so there is one term" : `${count} times, so there are ${count} terms`;
    return { right: false, text: `That is ${formatNumber(points[0].given)}, which is not right: ${this.row.h} is used ${uses}.` };
  }

  missing(mask) {
    const names = this.row.l.filter((_, place) => !(mask & (1 << place))).map(([, name]) => name);
    return `Almost: the term ${names.join(" and the term ")} is missing. ${this.row.h} is used ${this.row.l.length} times.`;
  }

  // The current values, and those for other inputs, so that no wrong formula is right by chance.
  settings() {
    const { evaluate, story, values } = this.player;
    if (!evaluate || !story.inputs.length) return [values];
    const other = evaluate(story.inputs.map((input) => input.v * 1.0625 + 0.03125));
    return [values, other].filter((all) => this.row.l.every(([id]) => Number.isFinite(this.player.valueOf(id, all))));
  }
}
