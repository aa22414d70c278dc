// Arrays: their numbers as a heat map, statistics, and how an op uses the axes of its inputs.

const SPECIAL = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const MOST_CELLS = 8; // rows and columns of numbers; larger arrays are shown as colours only
const COARSE = 16;

const numberOf = (value) => (typeof value === "string" ? SPECIAL[value] : Number(value));
const isArray = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const sizesOf = (shape) => (shape.length ? shape.join("×") : "a number");

// An array as the page shows it, from its elements.
function arrayOf(shape, elements) {
  const d = elements.map(Number);
  const norm = Math.sqrt(d.reduce((sum, x) => sum + x * x, 0));
  const isLogical = typeof elements[0] === "boolean" || typeof elements[0] === "bigint";
  return {
    s: shape, d, t: sizesOf(shape) + (isLogical ? "" : ` ‖${formatNumber(norm)}‖`),
    m: [Math.min(...d), Math.max(...d), d.reduce((sum, x) => sum + x, 0) / d.length, norm],
    x: d.every(Number.isFinite) ? 0 : 1,
  };
}

class Tensors {
  constructor(player) {
    this.player = player;
    const values = player.values.filter(isArray);
    for (const value of values) {
      for (const name of ["d", "m"]) value[name] = value[name]?.map(numberOf);
      value.g = value.g?.map((row) => row.map(numberOf));
    }
    this.shapes = player.values.map((value) => (isArray(value) ? value.s : null));
    this.exist = values.length > 0;
    byId("inspect").hidden = true;
    byId("inspect").addEventListener("pointerover", (event) => this.meet(event.target));
    byId("inspect").addEventListener("focusin", (event) => this.meet(event.target));
  }

  // The values of all nodes, from the numbers that the page has computed.
  values(computed) {
    const { sizes } = this.player.story;
    if (!sizes.length) return computed;
    let start = 0;
    return sizes.map((size, place) => {
      const elements = computed.slice(start, start + size);
      start += size;
      return this.shapes[place] ? arrayOf(this.shapes[place], elements) : elements[0];
    });
  }

  nameOf(id) {
    const name = document.querySelector(`#${CSS.escape(id)} text.s`) || document.querySelector(`#${CSS.escape(id)} text`);
    return name ? name.textContent : "";
  }

  // What is added to the description of a node: all that there is, if there is no panel beside it.
  describe(id) {
    const steps = this.player.story.loops[id];
    if (steps) return [make("p", { textContent: steps.slice(0, MOST_CELLS).map((step) => step.join(": ")).join(", ") })];
    const value = this.known(id);
    if (!value) return [];
    const parts = [this.statistics(value)];
    if (document.body.classList.contains("presenting")) parts.push(this.map(value), this.axes(id));
    return parts.filter(Boolean);
  }

  // The array of a node, once a step has shown it.
  known(id) {
    const value = this.player.valueOf(id);
    return isArray(value) && this.player.shown.has(`${id}v`) ? value : null;
  }

  statistics(value) {
    const [low, high, mean, norm] = value.m.map(formatNumber);
    return make("p", { className: "statistics",
      textContent: `${sizesOf(value.s)}, from ${low} to ${high}, mean ${mean}, norm ${norm}` });
  }

  // The numbers of the first matrix in an array, or blocks of it.
  rowsOf(value) {
    if (value.g) return { rows: value.g, isCoarse: true };
    const across = value.s[value.s.length - 1] ?? 1;
    const down = value.s.length > 1 ? value.s[value.s.length - 2] : 1;
    const rows = Array.from({ length: down }, (_, i) => value.d.slice(i * across, (i + 1) * across));
    return { rows: rows.slice(0, COARSE).map((row) => row.slice(0, COARSE)), isCoarse: down > MOST_CELLS || across > MOST_CELLS };
  }

  map(value, label = "") {
    if (value.s.includes(0)) return null;
    const { rows, isCoarse } = this.rowsOf(value);
    const largest = Math.max(...rows.flat().filter(Number.isFinite).map(Math.abs), 1e-300);
    const table = make("table", { className: isCoarse ? "map coarse" : "map", "aria-label": label || "values" });
    rows.forEach((row, i) => {
      const line = make("tr");
      row.forEach((x, j) => {
        const cell = make("td", { textContent: isCoarse ? "" : formatNumber(x), "data-i": String(i), "data-j": String(j), title: formatNumber(x) });
        const share = Number.isFinite(x) ? Math.round((45 * Math.abs(x)) / largest) : 0;
        cell.style.background = `color-mix(in srgb, var(${x < 0 ? "--f-strong" : "--a1-strong"}) ${share}%, var(--ground))`;
        if (!Number.isFinite(x)) cell.className = "bad";
        line.append(cell);
      });
      table.append(line);
    });
    const hidden = value.s.length > 2 ? value.s.slice(0, -2).map(() => "0").join(", ") : "";
    return make("figure", {}, table, make("figcaption", { textContent: hidden && `the first of ${sizesOf(value.s.slice(0, -2))}: [${hidden}, :, :]` }));
  }

  // Axes

  axes(id) {
    const [kind, ...rest] = this.player.story.forms[id] || [];
    if (kind === "each") return this.aligned(id, rest);
    if (kind === "copy") return this.aligned(id, rest);
    if (kind === "sum") return this.summed(id, rest[0], rest[1]);
    return kind === "matmul" ? this.contracted(rest) : null;
  }

  shapeOf(id) {
    const value = this.player.valueOf(id);
    return isArray(value) ? value.s : [];
  }

  // The axes of the inputs below those of the result; what is copied along an axis is marked.
  aligned(id, inputs) {
    const whole = this.shapeOf(id);
    const rows = [...new Set(inputs)].map((input) => [input, this.shapeOf(input)]);
    if (rows.every(([, shape]) => shape.join() === whole.join())) return null;
    const table = make("table", { className: "axes" });
    const row = (one, cells) => make("tr", {}, make("th", { scope: "row", textContent: this.nameOf(one) }), ...cells);
    for (const [input, shape] of rows) {
      const missing = whole.length - shape.length;
      table.append(row(input, whole.map((size, axis) => {
        const own = axis < missing ? null : shape[axis - missing];
        if (own === size) return make("td", { textContent: String(size) });
        return make("td", { className: "copied", textContent: `${own === null ? "·" : own} → ${size}` });
      })));
    }
    table.append(row(id, whole.map((size) => make("td", { textContent: String(size) }))));
    const copied = rows.filter(([, shape]) => shape.join() !== whole.join()).map(([input]) => this.nameOf(input));
    const say = `${copied.join(" and ")}: copied along the marked axes. An adjoint is summed along them: it collects all copies.`;
    return make("div", {}, table, make("p", { textContent: say }));
  }

  summed(id, axes, input) {
    const shape = this.shapeOf(input);
    const table = make("table", { className: "axes" }, make("tr", {}, make("th", { scope: "row", textContent: this.nameOf(input) || "before" }),
      ...shape.map((size, axis) => make("td", { className: axes.includes(axis) ? "copied" : "", textContent: axes.includes(axis) ? `Σ ${size}` : String(size) }))));
    const say = axes.length === 1 ? `Summed along axis ${axes[0]}.` : `Summed along the axes ${axes.join(", ")}.`;
    return make("div", {}, table, make("p", { textContent: `${say} An adjoint is copied along it.` }));
  }

  contracted([left, right]) {
    const [a, b] = [this.shapeOf(left), this.shapeOf(right)];
    return make("p", { textContent: `${sizesOf(a)} @ ${sizesOf(b)}: each element is a row of ${this.nameOf(left)} times a column of ${this.nameOf(right)}.` });
  }

  // The inspector beside the picture: an array, and for a product both factors.

  inspect(id) {
    if (id in this.player.story.loops) {
      this.inspected = id;
      this.list(id);
      return;
    }
    const value = this.known(id);
    if (!value && !isArray(this.player.valueOf(id))) return;
    this.inspected = id;
    this.waits = !value;
    if (this.waits) {
      this.open(make("b", { textContent: this.nameOf(id) }), make("p", { textContent: "A later step computes this array." }));
      return;
    }
    const [kind, left, right] = this.player.story.forms[id] || [];
    const factors = kind === "matmul" ? [left, right].map((one) => [one, this.player.valueOf(one)]) : [];
    const whole = value.d && factors.every(([, one]) => isArray(one) && one.d);
    this.product = kind === "matmul" && whole ? { id, factors, value } : null;
    const parts = [...(this.product ? factors : []), [id, value]].map(([one, its]) => {
      const figure = this.map(its, this.nameOf(one));
      if (!figure) return "";
      for (const cell of this.product && one === id ? figure.querySelectorAll("td") : []) cell.tabIndex = 0;
      figure.prepend(make("b", { textContent: this.nameOf(one) }));
      return figure;
    });
    const hint = this.product ? "Point at an element of the product to see the row and the column that meet." : "";
    const more = [this.statistics(value), this.product ? null : this.axes(id)].filter(Boolean);
    this.open(...parts, ...more, make("p", { id: "meeting", role: "status", textContent: hint }));
  }

  // The values of a node inside a loop, step by step.
  list(id) {
    const body = make("tbody");
    for (const [step, text] of this.player.story.loops[id]) {
      body.append(make("tr", {}, make("th", { scope: "row", textContent: step }), make("td", { textContent: text })));
    }
    this.open(make("b", { textContent: this.nameOf(id) }), make("table", { className: "steps", "aria-label": "Steps of the loop" }, body));
  }

  open(...parts) {
    const close = make("button", { type: "button", id: "close-inspect", "aria-label": "Close", textContent: "×" });
    close.addEventListener("click", () => { byId("inspect").hidden = true; });
    byId("inspect").replaceChildren(close, ...parts);
    byId("inspect").hidden = false;
  }

  // Shows the same array again, whose values have changed.
  refresh() {
    if (!byId("inspect").hidden) this.inspect(this.inspected);
  }

  // Shows the array once a step has computed it, and not before.
  step() {
    const isOpen = !byId("inspect").hidden && isArray(this.player.valueOf(this.inspected));
    if (isOpen && this.waits !== !this.known(this.inspected)) this.inspect(this.inspected);
  }

  // Lights the row and the column that meet in an element of a product.
  meet(target) {
    const cell = target.closest("td");
    const figures = [...byId("inspect").querySelectorAll("figure")];
    if (!this.product || !cell || figures.indexOf(cell.closest("figure")) !== 2) return;
    const [i, j] = [Number(cell.dataset.i), Number(cell.dataset.j)];
    const [a, b] = this.product.factors.map(([, value]) => value);
    const row = a.s.length > 1 ? (b.s.length > 1 ? i : j) : 0;
    const column = b.s.length > 1 ? j : 0;
    for (const one of byId("inspect").querySelectorAll("td.met")) one.classList.remove("met");
    cell.classList.add("met");
    const met = (figure, test) => {
      const found = [...figure.querySelectorAll("td")].filter(test);
      for (const one of found) one.classList.add("met");
      return found;
    };
    const isColumn = (one) => (b.s.length > 1 ? Number(one.dataset.j) === column : true);
    const first = met(figures[0], (one) => Number(one.dataset.i) === row);
    const second = met(figures[1], isColumn);
    const terms = first.map((one, k) => `${one.title}·${second[k]?.title}`);
    byId("meeting").textContent = `${terms.join(" + ")} = ${cell.title}`;
  }

  // Sliders of the elements of an input, or of all at once by a factor.

  choices(shape) {
    const index = (place) => {
      const found = [];
      for (const size of [...shape].reverse()) {
        found.unshift(place % size);
        place = Math.floor(place / size);
      }
      return `[${found.join(",")}]`;
    };
    const count = shape.reduce((product, size) => product * size, 1);
    return ["× all", ...Array.from({ length: count }, (_, place) => index(place))];
  }
}
