// The panels beside the picture.  Each is built once; steps show and highlight its entries.

const ALGORITHM = [
  "node_to_grad = {output: [seed]}",
  "for i in reverse topological order:",
  "    v̄ᵢ = sum of node_to_grad[i]",
  "    for k in inputs of i:",
  "        v̄ₖ→ᵢ = v̄ᵢ · ∂vᵢ/∂vₖ",
  "        append v̄ₖ→ᵢ to node_to_grad[k]",
  "return the adjoints of the inputs",
];

class Panels {
  constructor(story, markup) {
    this.story = story;
    this.markup = markup;
    this.all = {
      trace: this.trace(),
      grads: this.grads(),
      passes: this.passes(),
      plan: this.plan(),
    };
    this.lines = [...this.all.grads.querySelectorAll(".algorithm li")];
  }

  // Lays out the hidden panels, so that the browser has done it when a step shows them.
  layOut() {
    for (const panel of Object.values(this.all).filter((one) => one.hidden)) {
      panel.classList.add("ahead");
      panel.getBoundingClientRect();
      panel.classList.remove("ahead");
    }
  }

  text(tag, text, properties = {}) {
    return make(tag, properties, this.markup.write(text));
  }

  section(name, ...children) {
    return make("div", { className: `panel ${name}` }, ...children);
  }

  // Explicit roles: without them, screen readers do not see a table in rows that are blocks.
  trace() {
    const rows = this.story.panels.trace || [];
    const table = make("table", { className: "rows", role: "table", "aria-label": "Forward nodes and their adjoints" });
    const heading = (textContent) => make("th", { scope: "col", role: "columnheader", textContent });
    const head = make("tr", { role: "row" }, heading("forward"), heading("adjoint"));
    const body = make("tbody", { role: "rowgroup" });
    for (const row of rows) {
      const forward = this.cell(row.n, row.h, row.f, row.v);
      const adjoint = row.m ? this.cell(row.m, row.s, row.g, row.w) : make("td", { role: "cell" });
      body.append(make("tr", { role: "row" }, forward, adjoint));
    }
    table.append(make("thead", { role: "rowgroup" }, head), body);
    return this.section("trace", this.sliders(), table);
  }

  cell(id, name, formula, place) {
    const cell = make("td", { "data-n": id, "data-k": id, role: "cell", tabindex: "0", className: "unseen" });
    cell.append(this.text("b", name), " = ", this.text("span", formula));
    if (place !== undefined) {
      const value = make("span", { className: "unseen result", "data-k": `${id}v` });
      value.append("= ", make("span", { className: "value", "data-v": place }));
      cell.append(" ", value);
    }
    return cell;
  }

  sliders() {
    const box = make("fieldset", { className: this.story.sizes.length ? "inputs arrays" : "inputs" }, make("legend", { textContent: "Inputs" }));
    box.hidden = !this.story.inputs.length;
    this.story.inputs.forEach((input, place) => {
      const range = input.s ? { min: -2, max: 2, step: 0.05, value: 1 } : { min: input.low, max: input.high, step: input.step, value: input.v };
      const slider = make("input", { type: "range", id: `slider${place}`, "data-place": place, "data-n": input.n, ...range });
      const number = make("input", { type: "number", id: `number${place}`, "data-place": place, step: "any", value: range.value });
      const label = make("label", { for: `slider${place}`, "data-n": input.n });
      label.append(this.markup.write(input.h), " = ", this.markup.write(input.t));
      slider.setAttribute("aria-valuetext", String(range.value));
      number.setAttribute("aria-label", `value of ${this.markup.speak(input.t)}`);
      const row = make("div", { className: "input" }, label, slider, number);
      if (input.s) label.after(this.elementChoice(input, place));
      box.append(row);
    });
    box.append(make("button", { type: "button", id: "reset", textContent: "Reset" }));
    return box;
  }

  // Which element of an array its slider sets.
  elementChoice(input, place) {
    const choice = make("select", { id: `element${place}`, "data-choice": place });
    choice.setAttribute("aria-label", `element of ${this.markup.speak(input.t)}`);
    Tensors.prototype.choices(input.s).forEach((text, value) => choice.append(make("option", { value: String(value), textContent: text })));
    return choice;
  }

  sources() {
    const rows = this.story.panels.sources || [];
    const list = make("ol", { className: "sources", "aria-label": "Source lines" });
    for (const row of rows) {
      const item = make("li", { "data-n": row.n, tabindex: row.s ? undefined : "0" });
      const code = make("code", { textContent: row.s ? "" : row.t });
      if (row.s) code.append(...this.spans(row));
      item.append(make("span", { className: "where", textContent: row.w }), " ", code);
      list.append(item);
    }
    list.hidden = !rows.length;
    return list;
  }

  // An expression in pieces: each belongs to the innermost node there, and is lit with all around it.
  spans({ t, s }) {
    const characters = Array.from(t);
    const ends = [...new Set([0, ...s.flatMap(([start, end]) => [start, end]), characters.length])].sort((a, b) => a - b);
    return ends.slice(1).map((end, place) => {
      const start = ends[place];
      const around = s.filter(([first, last]) => first <= start && end <= last);
      const inner = around.reduce((best, one) => (!best || one[1] - one[0] <= best[1] - best[0] ? one : best), null);
      return make("span", { textContent: characters.slice(start, end).join(""), tabindex: "0",
        "data-n": inner?.[2], "data-lit": around.map(([, , ids]) => ids).join(" ") });
    });
  }

  grads() {
    const code = make("ol", { className: "algorithm", "aria-label": "The algorithm" });
    ALGORITHM.forEach((line) => code.append(make("li", {}, make("code", { textContent: line }))));
    const rows = this.story.panels.grads || [];
    const order = make("ol", { className: "order", "aria-label": "Reverse topological order" });
    for (const row of rows) {
      order.append(make("li", { "data-k": `o-${row.n}`, "data-n": row.n }, this.markup.write(row.h)));
    }
    const table = make("table", { className: "rows lists" });
    table.append(make("thead", {}, make("tr", {},
      make("th", { scope: "col", textContent: "i" }),
      make("th", { scope: "col", textContent: "node_to_grad[i]" }),
      make("th", { scope: "col", textContent: "v̄ᵢ" }))));
    const body = make("tbody");
    for (const row of rows) {
      const left = make("td");
      for (const [id, name] of row.l) {
        left.append(this.text("span", name, { className: "chip unseen", "data-k": `l-${id}`, "data-n": id, tabindex: "0" }));
      }
      body.append(make("tr", { "data-k": `o-${row.n}` },
        this.text("th", row.h, { scope: "row", "data-n": row.n, tabindex: "0" }), left,
        this.text("td", row.a, { className: "unseen", "data-k": `a-${row.n}`, "data-n": row.m })));
    }
    table.append(body);
    table.hidden = order.hidden = !rows.length;
    return this.section("grads", make("div", { className: "head" }, code, order), table);
  }

  passes() {
    const rows = this.story.panels.passes || [];
    const list = make("ol", { className: "rules", "aria-label": "Rewrites" });
    for (const row of rows) {
      const item = make("li", { "data-k": row.k, "data-n": row.n, className: "unseen", tabindex: "0" });
      item.append(make("b", { textContent: row.r }), make("span", { className: `grade ${row.g}`, textContent: row.g }),
        make("span", { className: "pass", textContent: row.s === row.r ? "" : row.s }), make("code", { textContent: row.e }));
      if (row.c) item.append(make("span", { className: "count", textContent: `${row.c} node${row.c === 1 ? "" : "s"}` }));
      list.append(item);
    }
    return this.section("passes", make("h2", { textContent: "Rewrites" }), list);
  }

  plan() {
    const { rows = [], registers = [] } = this.story.panels.plan || {};
    const held = make("dl", { className: "registers", "aria-label": "Registers" });
    for (const register of registers) {
      const cell = make("dd");
      for (const item of register.l) {
        cell.append(this.text("span", item.h, { className: "unseen", "data-k": item.k, "data-n": item.n }));
      }
      held.append(make("div", {}, make("dt", { textContent: register.r }), cell));
    }
    const table = make("table", { className: "rows plan" });
    const body = make("tbody");
    for (const row of rows) {
      body.append(make("tr", { "data-k": row.k, "data-n": row.n, tabindex: "0" },
        make("th", { scope: "row", textContent: row.r }), make("td", {}, make("code", { textContent: row.c })),
        this.text("td", row.h)));
    }
    table.append(body);
    return this.section("plan", make("h2", { textContent: "Registers" }), held,
      make("h2", { textContent: "Instructions" }), table);
  }
}
