// The player: connects story, pictures, panels and controls.

const NODE_LETTER = { e: "n", f: "p", g: "q", c: "s" }; // the letter in the ids of the nodes that an arrow e3_5_0 joins
const SLOWEST = 0;
const PREPARED = 3; // formulas that are laid out ahead of the first, which takes long
const FITS = [1, 0.9, 0.8, 0.7, 0.6]; // sizes of captions, relative to the usual one
const PANNED = 80; // pixels by which a key moves the picture

const [whenIdle, cancelIdle] = window.requestIdleCallback // which Safari lacks
  ? [(act) => requestIdleCallback(act), (name) => cancelIdleCallback(name)] : [(act) => setTimeout(act, 100), (name) => clearTimeout(name)];

const byId = (id) => document.getElementById(id);

// The nodes that a box represents, and those of both ends of an arrow.
const idsOfNode = (node) => (node.dataset.of || node.dataset.k || node.id.split("_")[0]).split(" ");
const idsOfEdge = (edge) => edge.id.slice(1).split("_").slice(0, 2)
  .flatMap((end) => idsOfNode(byId(NODE_LETTER[edge.id[0]] + end)));

class Player {
  constructor(data, evaluate) {
    this.evaluate = evaluate;
    this.story = new Story(data);
    this.markup = new Markup(data.glyphs);
    this.panels = new Panels(this.story, this.markup);
    this.editor = data.editor && new Editor(this); // before sizes are read
    this.pictures = [...document.querySelectorAll("svg.picture")].map((svg) => new Picture(svg, () => this.setFollowing(false)));
    this.following = true;
    this.values = data.values;
    this.index = -1;
    this.placeOfValue = new Map(keysOf(data.places).map((id, place) => [id, place]));
    this.shown = new Set();
    this.legends = new Map(); // the entries of each picture
    this.marked = new Map(); // the mark of each node's value
    this.timer = null;
    byId("title").append(this.markup.write(data.heading));
    byId("title").title = data.title;
    document.documentElement.dataset.hue = data.hue;
    document.body.classList.toggle("flat-indices", this.markup.hasFlatIndices());
    byId("timeline").max = this.story.length - 1;
    byId("panel").append(...Object.values(this.panels.all), this.panels.sources(), make("section", { id: "inspect", "aria-label": "Array" }));
    data.notes.forEach((note) => byId("notes").append(make("li", { textContent: note })));
    this.buildChapters();
    for (const text of document.querySelectorAll(".node text:not([data-v]), .badge text")) this.markup.typeset(text);
    this.describeNodes();
    this.register();
    this.bind();
    this.tensors = new Tensors(this);
    this.folding = new Folding(this);
    this.presenter = new Presenter(this);
    this.search = new Search(this);
    this.comparison = new Comparison(this);
    this.update();
    this.quiz = new Quiz(this);
    byId("pictures").classList.remove("raw");
    this.presenter.openAddress();
  }

  // What steps refer to: each key identifies one or several elements.

  register() {
    this.elements = new Map();
    const add = (key, element) => {
      if (!this.elements.has(key)) this.elements.set(key, []);
      this.elements.get(key).push(element);
    };
    for (const group of document.querySelectorAll(":is(.node, .edge):not([data-k])")) add(group.id, group);
    for (const element of document.querySelectorAll("[data-k]")) add(element.dataset.k, element);
    this.state = new Map([...this.elements.keys()].map((key) => [key, null]));
    for (const value of document.querySelectorAll(".node > text.v")) value.parentNode.classList.add("lower");
    this.panelKeys = new Map(Object.entries(this.panels.all).map(([name, panel]) => [name, [...panel.querySelectorAll("[data-k]")]]));
    this.linked = new Map();
    const link = (id, element) => {
      if (!this.linked.has(id)) this.linked.set(id, []);
      this.linked.get(id).push(element);
    };
    for (const node of document.querySelectorAll(".node")) {
      for (const id of idsOfNode(node)) link(id, node);
    }
    for (const edge of document.querySelectorAll(".edge")) {
      for (const id of new Set(idsOfEdge(edge))) link(id, edge);
    }
    for (const element of byId("panel").querySelectorAll("[data-n]")) {
      for (const id of new Set((element.dataset.lit || element.dataset.n).split(" "))) link(id, element);
    }
    this.frames = [...document.querySelectorAll("[data-in]")].map((frame) => [frame, frame.dataset.in.split(" ")]);
    this.valueElements = [...document.querySelectorAll("[data-v]")];
    this.sources = new Map(); // for each node with a value, the nodes that it is computed from
    for (const edge of document.querySelectorAll("#picture0 .edge")) {
      const [from, to] = edge.id.slice(1).split("_");
      if (!this.sources.has(`n${to}`)) this.sources.set(`n${to}`, []);
      this.sources.get(`n${to}`).push(`n${from}`);
    }
    this.placeOf = new Map(); // of the values that the picture shows
    for (const text of document.querySelectorAll("#picture0 .node [data-v]")) {
      this.placeOf.set(text.closest(".node").id, Number(text.dataset.v));
    }
  }

  buildChapters() {
    const { chapters, length } = this.story;
    chapters.forEach((chapter, place) => {
      const button = make("button", { type: "button", textContent: chapter.title });
      button.addEventListener("click", () => this.jump(chapter.at));
      byId("chapters").append(make("li", {}, button));
      const end = place + 1 < chapters.length ? chapters[place + 1].at : length;
      const mark = make("span");
      mark.style.flexGrow = end - chapter.at;
      byId("marks").append(mark);
    });
  }

  describeNodes() {
    for (const picture of this.pictures) {
      for (const node of picture.nodes) {
        node.setAttribute("role", "button");
        node.setAttribute("tabindex", "-1");
        node.setAttribute("aria-label", this.markup.speak(this.story.nodes[node.id], () => ""));
      }
    }
  }

  // Steps

  go(index) {
    const target = Math.min(Math.max(index, 0), this.story.length - 1);
    const step = this.story.steps[target];
    this.index = target;
    const shown = this.story.shownAt(target);
    this.shown = shown;
    const going = new Set(step.clear ? [] : step.hide);
    for (const [key, before] of this.state) {
      const now = (shown.has(key) ? "s" : going.has(key) ? "g" : "") + (step.now.has(key) ? "n" : "") + (step.use.has(key) ? "u" : "");
      if (now !== before) this.mark(key, now);
    }
    for (const [frame, inside] of this.frames) {
      frame.classList.toggle("unseen", !inside.some((id) => shown.has(id)));
    }
    this.folding.choose(step);
    this.showChapter(this.story.chapterAt(target));
    this.panels.lines.forEach((line, place) => line.classList.toggle("now", place + 1 === step.line));
    this.caption(step);
    this.markValues();
    this.tensors.step();
    byId("timeline").value = target;
    byId("timeline").setAttribute("aria-valuetext", `step ${target + 1} of ${this.story.length}`);
    byId("counter").textContent = `${target + 1} / ${this.story.length}`;
    if (target === this.story.length - 1) this.pause();
    this.scroll(); // last, because it needs a layout of all that has changed
    this.fitCaption();
    if (this.following) this.follow();
  }

  // Lays out what later steps show, one after the other while there is nothing else to do.
  prepare() {
    cancelIdle(this.preparing);
    this.preparing = whenIdle(() => {
      this.panels.layOut();
      const formulas = this.story.formulas.slice(0, PREPARED);
      const ahead = make("div", { className: "ahead" }, ...formulas.map((formula) => this.markup.maths(formula)));
      byId("caption").append(ahead);
      ahead.getBoundingClientRect();
      ahead.remove();
      this.preparing = whenIdle(() => this.wake());
    });
  }

  wake() {
    const next = this.pictures.find((picture) => picture.isAsleep);
    if (!next) return;
    next.wake();
    next.svg.getBoundingClientRect();
    this.preparing = whenIdle(() => this.wake());
  }

  mark(key, state) {
    this.state.set(key, state);
    const unseen = this.story.appearing.has(key) && !/[sg]/.test(state);
    for (const element of this.elements.get(key)) {
      const { classList } = element;
      classList.toggle("unseen", unseen);
      classList.toggle("going", state.includes("g"));
      classList.toggle("now", state.includes("n"));
      classList.toggle("use", state.includes("u"));
      const node = element.ownerSVGElement && element.closest(".node");
      if (node) this.settle(node);
    }
  }

  // The text of a node is in the middle until its value is shown.  That of a hidden node stays where
  // it is: moving the texts of a whole picture at once would take long.
  settle(node) {
    const value = node.querySelector("text.v");
    if (value && !node.classList.contains("unseen")) node.classList.toggle("lower", value.classList.contains("unseen"));
  }

  showChapter(place) {
    const chapter = this.story.chapters[place];
    if (this.chapter !== place) {
      this.chapter = place;
      [...byId("chapters").querySelectorAll("button")].forEach((button, i) => {
        if (i === place) {
          button.setAttribute("aria-current", "step");
        } else button.removeAttribute("aria-current");
      });
      [...byId("marks").children].forEach((mark, i) => mark.classList.toggle("now", i === place));
      for (const [name, panel] of Object.entries(this.panels.all)) panel.hidden = name !== chapter.panel;
      byId("zoom").hidden = !this.picture;
    }
    this.showPicture();
  }

  // Scrolls to the chapter's button and to the lit entries of the panel.
  scroll() {
    const { panel } = this.story.chapters[this.chapter];
    const lit = this.panelKeys.get(panel).filter((element) => element.classList.contains("now"));
    const button = this.scrolled === this.chapter ? null : byId("chapters").children[this.chapter];
    this.scrolled = this.chapter;
    for (const element of new Set([button, lit[0], lit[lit.length - 1]])) element?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  showPicture() {
    const { picture } = this;
    this.folding.mark();
    if (picture === this.visible) return;
    this.visible = picture;
    const { title } = this.story.chapters[this.chapter];
    for (const one of this.pictures) one.show(one === picture, title);
    this.showLegend();
  }

  // Moves the picture so that the elements of the current step are visible.
  follow() {
    if (!this.picture) return;
    const { now, use } = this.story.steps[this.index];
    const drawn = (elements) => elements.filter((element) => element.matches(".node, .edge") && this.picture.svg.contains(element));
    const of = (keys) => drawn([...keys].flatMap((key) => this.elements.get(key) || []));
    const made = of(now).filter((element) => element.matches(".node"));
    this.picture.follow([...of([...now, ...use]), ...drawn(this.folding.current())], made);
  }

  // A page in a frame may at first have no size.
  resize() {
    for (const picture of this.pictures) picture.measure();
    this.fitCaption();
    if (this.following) this.follow();
    this.prepare();
  }

  setFollowing(following) {
    this.following = following;
    byId("zoom-follow").setAttribute("aria-pressed", following);
    if (following) this.follow();
  }

  zoom(factor) {
    this.setFollowing(false);
    this.picture?.zoom(factor);
  }

  pan(dx, dy) {
    this.setFollowing(false);
    this.picture?.pan(dx, dy);
  }

  fit() {
    this.setFollowing(false);
    this.picture?.fit();
  }

  get picture() {
    const { picture } = this.story.chapters[this.chapter];
    return this.pictures[picture === 0 ? this.folding.picture : picture];
  }

  showLegend() {
    const legend = byId("legend");
    const known = this.legends.get(this.picture);
    if (known) {
      legend.replaceChildren(...known);
      return;
    }
    legend.replaceChildren();
    const kinds = new Map();
    for (const node of this.picture.nodes) {
      const kind = [...node.classList].find((name) => name in this.story.kinds);
      if (kind && !kinds.has(kind)) kinds.set(kind, node);
    }
    for (const [kind, node] of kinds) {
      const hue = [...node.classList].find((name) => /^(f|t|a\d)$/.test(name));
      const glyph = make("span", { className: `swatch ${hue} ${kind}`, textContent: this.story.kinds[kind][0], "aria-hidden": "true" });
      legend.append(make("li", {}, glyph, this.story.kinds[kind][1]));
    }
    if (this.tensors.exist && this.onGraph()) {
      legend.append(make("li", { title: "the norm is the square root of the sum of all squares" },
        make("span", { className: "swatch", textContent: "6×4 ‖2‖", "aria-hidden": "true" }), "shape, norm √Σx²"));
    }
    for (const [style, mark, text] of [[".count", "②▸", "values that pass"],
      [".edge.repaired", "┄▸", "repair left out"], [".edge.shape", "⋯▸", "shape only"]]) {
      if (this.picture.svg.querySelector(style)) {
        legend.append(make("li", {}, make("span", { className: "swatch", textContent: mark, "aria-hidden": "true" }), text));
      }
    }
    this.legends.set(this.picture, [...legend.children]);
  }

  caption(step) {
    byId("maths").replaceChildren(...step.maths.map((place) => this.markup.maths(this.story.formulas[place])));
    byId("say").replaceChildren(this.markup.write(step.say), this.arising(step));
    for (const element of byId("caption").querySelectorAll("[data-v]")) this.write(element);
    this.litName = undefined; // the caption has new symbols
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => {
      byId("live").textContent = this.markup.speak(step.say, (place) => this.textOf(place)) + this.arising(step);
    }, 150);
  }

  // Puts formulas below the sentence if they are too wide beside it, and shrinks both if they are too large.
  fitCaption() {
    const [caption, maths] = [byId("caption"), byId("maths")];
    const isCut = () => maths.scrollWidth > maths.clientWidth || caption.scrollHeight > caption.clientHeight;
    caption.className = "";
    caption.removeAttribute("style");
    for (const fit of FITS) {
      if (!isCut()) return;
      caption.className = "stacked";
      if (fit < 1) caption.style.setProperty("--fit", fit);
    }
  }

  // The sentence for a step at which a value that is not finite first appears.
  arising(step) {
    for (const key of step.now) {
      if (key.endsWith("v") && this.arises(key.slice(0, -1))) {
        const text = this.textOf(this.placeOf.get(key.slice(0, -1)));
        const what = text === "nan" || !/∞/.test(text) ? "A NaN" : "An infinity";
        return ` ${what} first appears here: all inputs of this node are finite.`;
      }
    }
    return "";
  }

  jump(index) {
    this.pause();
    if (!this.quiz.asks(Math.min(index, this.story.length - 1))) this.go(index);
  }

  // Whether the chapter shows the extended graph.
  onGraph() {
    return this.story.chapters[this.chapter].picture === 0;
  }

  jumpTo(id) {
    const step = this.story.madeAt.get(id);
    if (step !== undefined) this.jump(step);
  }

  enter(node) {
    if (!this.folding.open(node)) this.jumpTo(node.dataset.k || node.id);
  }

  chapterBy(offset) {
    const { chapters } = this.story;
    const place = Math.min(Math.max(this.chapter + offset, 0), chapters.length - 1);
    const back = offset < 0 && this.index > chapters[this.chapter].at;
    this.jump(chapters[back ? this.chapter : place].at);
  }

  play() {
    if (this.index === this.story.length - 1) this.go(0);
    const tick = () => {
      this.go(this.index + 1);
      if (this.timer) this.timer = setTimeout(tick, Number(byId("speed").value));
    };
    this.timer = setTimeout(tick, Number(byId("speed").value) / 2);
    this.showPlaying(true);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.showPlaying(false);
  }

  showPlaying(playing) {
    byId("play").textContent = playing ? "⏸\ufe0e Pause" : "▶\ufe0e Play";
    byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  changeSpeed(offset) {
    const select = byId("speed");
    select.selectedIndex = Math.min(Math.max(select.selectedIndex + offset, SLOWEST), select.options.length - 1);
  }

  // Values

  update() {
    if (this.evaluate && this.story.inputs.length) {
      this.values = this.tensors.values(this.evaluate(this.story.inputs.flatMap((input) => input.v)));
    }
    for (const element of this.valueElements) this.write(element);
    for (const element of byId("caption").querySelectorAll("[data-v]")) this.write(element);
    this.tensors.refresh();
    this.bad = new Set([...this.placeOf.values()].filter((place) => !this.isFinite(place)));
    this.markValues();
  }

  write(element) {
    const text = this.textOf(element.dataset.v);
    const inner = "inner" in element.dataset && (text.startsWith(MINUS) || text.includes("e"));
    const written = inner ? `(${text})` : text;
    if (element.textContent !== written) element.textContent = written;
  }

  // The value of a node; undefined if it has none.
  valueOf(id, values = this.values) {
    return values[this.placeOfValue.get(id)];
  }

  textOf(place) {
    const value = this.values[place];
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return value[0];
    if (isArray(value)) return value.t;
    if (typeof value === "string") return { nan: "nan", inf: "∞", "-inf": `${MINUS}∞` }[value];
    return formatNumber(value);
  }

  isFinite(place) {
    const value = this.values[place];
    if (Array.isArray(value)) return !value[1];
    if (isArray(value)) return !value.x;
    return typeof value !== "string" && (typeof value !== "number" || Number.isFinite(value));
  }

  arises(id) {
    const bad = (node) => this.bad.has(this.placeOf.get(node));
    return bad(id) && !(this.sources.get(id) || []).some(bad);
  }

  markValues() {
    for (const [id, place] of this.placeOf) {
      const bad = this.bad.has(place) && this.shown.has(`${id}v`);
      const state = !bad ? "" : this.arises(id) ? "bad origin" : "bad";
      if (state === (this.marked.get(id) || "")) continue;
      this.marked.set(id, state);
      for (const { classList } of this.elements.get(id)) {
        classList.toggle("bad", bad);
        classList.toggle("origin", state.endsWith("origin"));
      }
    }
  }

  // Sets an input to a number; of an array, the chosen element, or all by a factor.
  setInput(place, value) {
    if (!Number.isFinite(value)) return;
    const input = this.story.inputs[place];
    const slider = byId(`slider${place}`);
    const number = byId(`number${place}`);
    if (!input.s) input.v = value;
    else if (input.chosen) input.v[input.chosen - 1] = value;
    else input.v = input.start.map((element) => element * value);
    if (document.activeElement !== slider) slider.value = value;
    slider.setAttribute("aria-valuetext", String(value));
    if (document.activeElement !== number) number.value = value;
    this.update();
  }

  // Chooses which element of an array the slider sets: 0 for all.
  choose(place, chosen) {
    const input = this.story.inputs[place];
    if (!chosen) input.start = [...input.v]; // the factor is relative to what there is
    input.chosen = chosen;
    const value = chosen ? input.v[chosen - 1] : 1;
    const [low, high, step] = chosen ? [input.low, input.high, input.step] : [-2, 2, 0.05];
    Object.assign(byId(`slider${place}`), { min: low, max: high, step, value });
    byId(`element${place}`).value = String(chosen);
    byId(`number${place}`).value = value;
  }

  reset() {
    this.story.inputs.forEach((input, place) => {
      if (!input.s) this.setInput(place, input.first);
      else {
        input.v = [...input.first];
        this.choose(place, 0);
        this.update();
      }
    });
  }

  // Pointing at things

  idsOf(element) {
    const found = element?.closest?.("[data-n], .node, .edge");
    if (!found) return [];
    if (found.dataset.n) return found.dataset.n.split(" ");
    return found.classList.contains("node") ? idsOfNode(found) : idsOfEdge(found);
  }

  light(ids, inspects = true) {
    const name = ids.join(" ");
    if (name === this.litName) return;
    this.litName = name;
    for (const element of this.lit || []) element.classList.remove("lit");
    const caption = [...byId("caption").querySelectorAll("[data-n]")].filter((symbol) => ids.includes(symbol.dataset.n));
    this.lit = [...ids.flatMap((id) => this.linked.get(id) || []), ...caption];
    for (const element of this.lit) element.classList.add("lit");
    byId("stage").classList.toggle("pointing", ids.length > 0);
    this.describe(ids);
    if (inspects && ids.length === 1 && this.onGraph()) this.tensors.inspect(ids[0]);
  }

  // What is pointed at, and the line that it comes from.
  describe(ids) {
    const about = byId("about");
    about.hidden = ids.length !== 1 || !(ids[0] in this.story.nodes);
    if (about.hidden) return;
    const bounds = byId("pictures").getBoundingClientRect();
    const node = this.lit.find((element) => element.matches(".node") && this.picture?.svg.contains(element));
    const isLow = node && node.getBoundingClientRect().bottom > bounds.top + 0.6 * bounds.height;
    about.classList.toggle("above", Boolean(isLow));
    about.replaceChildren(this.markup.write(this.story.nodes[ids[0]]));
    const row = this.lit.find((element) => element.matches(".sources li"));
    if (row) about.append(make("code", { className: "from", textContent: row.textContent }));
    if (this.onGraph()) about.append(...this.tensors.describe(ids[0]));
  }

  moveFocus(node, offset) {
    const seen = this.picture.nodes.filter((one) => !one.classList.contains("unseen"));
    const place = seen.indexOf(node);
    const next = seen[(place + offset + seen.length) % seen.length];
    if (next) next.focus();
  }

  // Saving

  async save(kind) {
    const { picture } = this;
    if (!picture) return;
    const title = `${this.story.title}, step ${this.index + 1}`;
    const name = `symad-step-${this.index + 1}.${kind}`;
    if (kind === "svg") download(new Blob([picture.source(title)], { type: "image/svg+xml" }), name);
    else download(await picture.png(title), name);
  }

  showKeys() {
    byId("keys").showModal();
    byId("keys-title").focus(); // or the list would be scrolled to its button, at the end
  }

  toggleTheme() {
    this.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    this.showTheme();
  }

  // The theme that the reader chose, or that of the system.
  showTheme() {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const theme = this.theme || system;
    document.documentElement.dataset.theme = theme;
    byId("theme").setAttribute("aria-label", theme === "dark" ? "Light" : "Dark");
  }

  // Controls

  bind() {
    const click = (id, act) => byId(id).addEventListener("click", act);
    click("first", () => this.jump(0));
    click("back", () => this.jump(this.index - 1));
    click("next", () => this.jump(this.index + 1));
    click("last", () => this.jump(this.story.length - 1));
    click("play", () => (this.timer ? this.pause() : this.play()));
    click("theme", () => this.toggleTheme());
    click("save-svg", () => this.save("svg"));
    click("save-png", () => this.save("png"));
    click("help", () => this.showKeys());
    click("search", () => this.search.open());
    click("versus", () => this.comparison.open());
    click("predict", () => this.quiz.toggle());
    click("fold", () => this.folding.toggle());
    click("present", () => this.presenter.present());
    click("screen", () => this.presenter.fillScreen());
    click("link", () => this.presenter.copyLink());
    click("zoom-in", () => this.zoom(1.3));
    click("zoom-out", () => this.zoom(1 / 1.3));
    click("zoom-fit", () => this.fit());
    click("zoom-follow", () => this.setFollowing(!this.following));
    click("reset", () => this.reset());
    byId("timeline").addEventListener("input", (event) => this.jump(Number(event.target.value)));
    for (const input of this.story.inputs) {
      input.first = input.s ? [...input.v] : input.v;
      input.start = input.first;
    }
    byId("panel").addEventListener("input", (event) => {
      const { place, choice } = event.target.dataset;
      if (choice !== undefined) this.choose(Number(choice), Number(event.target.value));
      if (place !== undefined && event.target.value !== "") this.setInput(Number(place), Number(event.target.value));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.showTheme());
    this.showTheme();
    this.bindPointing();
    new ResizeObserver(() => this.resize()).observe(byId("pictures"));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  bindPointing() {
    for (const type of ["pointerover", "focusin"]) {
      document.addEventListener(type, ({ target }) => this.light(this.idsOf(target), !byId("panel").contains(target)));
    }
    document.addEventListener("click", (event) => {
      if (event.target.closest("button, input, select, label, dialog")) return;
      const keyed = event.target.closest("[data-k]:not(text):not(.badge)");
      const node = event.target.closest(".node");
      const frame = event.target.closest(".title.d1, .frame.d1");
      if (node) this.enter(node);
      else if (frame) this.folding.close();
      else if (keyed && byId("panel").contains(keyed)) this.jumpTo(keyed.dataset.k);
    });
    for (const picture of this.pictures) {
      picture.svg.addEventListener("focus", () => this.moveFocus(null, 1));
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const shifted = event.shiftKey && (event.key.length > 1 || event.key === " ");
    const key = shifted ? `Shift ${event.key}` : event.key;
    const isClicker = /^Page(Up|Down)$/.test(key) && target.id === "answer";
    if (target.matches("input, select") && !isClicker && !(target.type === "range" && key.length === 1 && key !== " ")) return;
    if (key === " " && target.matches("button, summary")) return;
    if (/^Arrow(Up|Down)$/.test(key) && target.closest("#panel")) return; // they scroll
    const node = target.closest(".node");
    const keys = { ...this.keys(), ...this.presenter.keys() };
    const act = (node && this.nodeKeys(node)[key]) || keys[key] || this.rowKeys(target)[key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  keys() {
    return {
      ArrowRight: () => this.jump(this.index + 1),
      ArrowLeft: () => this.jump(this.index - 1),
      ArrowDown: () => this.jump(this.index + 1),
      ArrowUp: () => this.jump(this.index - 1),
      " ": () => this.jump(this.index + 1),
      "Shift  ": () => this.jump(this.index - 1),
      PageDown: () => this.jump(this.index + 1),
      PageUp: () => this.jump(this.index - 1),
      "Shift PageDown": () => this.chapterBy(1),
      "Shift PageUp": () => this.chapterBy(-1),
      Home: () => this.jump(0),
      End: () => this.jump(this.story.length - 1),
      k: () => (this.timer ? this.pause() : this.play()),
      "<": () => this.changeSpeed(-1),
      ">": () => this.changeSpeed(1),
      "+": () => this.zoom(1.3),
      "=": () => this.zoom(1.3),
      "-": () => this.zoom(1 / 1.3),
      0: () => this.fit(),
      "Shift ArrowRight": () => this.pan(-PANNED, 0),
      "Shift ArrowLeft": () => this.pan(PANNED, 0),
      "Shift ArrowDown": () => this.pan(0, -PANNED),
      "Shift ArrowUp": () => this.pan(0, PANNED),
      o: () => this.folding.toggle(),
      q: () => this.quiz.toggle(),
      v: () => this.comparison.open(),
      "/": () => this.search.open(),
      c: () => this.setFollowing(!this.following),
      d: () => this.toggleTheme(),
      s: () => this.save("svg"),
      i: () => this.save("png"),
      "?": () => this.showKeys(),
    };
  }

  nodeKeys(node) {
    return {
      ArrowRight: () => this.moveFocus(node, 1),
      ArrowDown: () => this.moveFocus(node, 1),
      ArrowLeft: () => this.moveFocus(node, -1),
      ArrowUp: () => this.moveFocus(node, -1),
      Enter: () => this.enter(node),
    };
  }

  rowKeys(target) {
    const keyed = target.closest("[data-k]");
    return keyed ? { Enter: () => this.jumpTo(keyed.dataset.k) } : {};
  }
}

const player = new Player(JSON.parse(byId("data").textContent), evaluateGraph);
