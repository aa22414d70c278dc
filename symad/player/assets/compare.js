// Two settings side by side, in a dialog: pictures, or tables of visits.

class Comparison {
  constructor(player) {
    this.player = player;
    const { comparisons } = player.story;
    byId("versus").hidden = !comparisons.length;
    comparisons.forEach(({ t }, place) => byId("compared").append(make("option", { value: String(place), textContent: t })));
    byId("compared").addEventListener("change", () => this.show());
    byId("compare").addEventListener("close", () => byId("sides").replaceChildren());
  }

  open() {
    if (byId("versus").hidden) return;
    this.player.pause();
    byId("compare").showModal();
    this.show();
  }

  show() {
    const { l, r } = this.player.story.comparisons[Number(byId("compared").value)];
    byId("sides").replaceChildren(this.side(l), this.side(r));
  }

  side({ t, s, p, rows }) {
    return make("section", { className: "side" }, make("h3", { textContent: t }), make("p", {}, this.player.markup.write(s)),
      rows ? this.table(rows) : this.copy(this.player.pictures[p].svg, t));
  }

  // A picture as it is at the end, without what belongs to steps.
  copy(svg, title) {
    const copy = svg.cloneNode(true);
    for (const name of ["style", "tabindex", "aria-hidden", "id"]) copy.removeAttribute(name);
    copy.setAttribute("class", "picture whole");
    copy.setAttribute("role", "img");
    copy.setAttribute("aria-label", title);
    for (const element of copy.querySelectorAll("*")) {
      for (const name of ["id", "data-k", "data-of", "data-in", "tabindex", "role"]) element.removeAttribute(name);
      element.classList.remove("unseen", "going", "now", "use", "lit", "lower", "match");
    }
    return copy;
  }

  // The visits of the algorithm, with the sums that it uses.
  table(rows) {
    const wrong = this.factors(rows);
    const body = make("tbody");
    for (const row of rows) {
      const terms = make("td");
      for (const [, name] of row.u) terms.append(make("span", { className: "chip" }, this.player.markup.write(name)));
      for (const [, name] of row.x) terms.append(make("s", { className: "chip lost", title: "arrives later" }, this.player.markup.write(name)));
      const { used, right } = wrong.get(row.n);
      const isRight = Math.abs(used - right) <= 1e-9 * Math.max(1, Math.abs(right));
      const known = typeof used === "number" && !Number.isNaN(used);
      const verdict = known ? `${formatNumber(used)}${isRight ? "" : `  ✗, not ${formatNumber(right)}`}` : row.x.length ? "✗ incomplete" : "";
      body.append(make("tr", {}, make("th", { scope: "row" }, this.player.markup.write(row.a)), terms,
        make("td", { className: (known ? isRight : !row.x.length) ? "" : "wrong", textContent: verdict })));
    }
    const heads = ["visit", "sum of", "is"].map((textContent) => make("th", { scope: "col", textContent }));
    return make("table", { className: "rows visits" }, make("thead", {}, make("tr", {}, ...heads)), body);
  }

  // The adjoints that a walk computes, and the right ones: what is passed on is wrong by the same factor.
  factors(rows) {
    const valueOf = (id) => {
      const value = this.player.valueOf(id);
      return typeof value === "number" ? value : NaN;
    };
    const found = new Map();
    for (const { n, u, x } of rows) {
      const right = [...u, ...x].reduce((sum, [id]) => sum + valueOf(id), 0);
      const used = u.reduce((sum, [id, , user]) => {
        const before = found.get(user);
        const factor = !before || before.used === before.right ? 1 : before.used / before.right;
        return sum + factor * valueOf(id);
      }, 0);
      found.set(n, { used, right });
    }
    return found;
  }
}
