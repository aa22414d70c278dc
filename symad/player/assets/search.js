// Search for nodes by symbol, formula, name, description or source line.

const MARKS = /[\u0300-\u036f]/g;

// A text as it is compared: without spaces, and with bars only if the query has some.
function comparable(text, marked) {
  const plain = text.toLowerCase().normalize("NFD").replace(/->/g, "→").replace(/\*/g, "·").replace(/\s+/g, "");
  return marked ? plain : plain.replace(MARKS, "");
}

class Search {
  constructor(player) {
    this.player = player;
    this.matches = [];
    byId("query").addEventListener("input", () => this.look());
    byId("query").addEventListener("keydown", (event) => this.key(event));
  }

  open() {
    byId("find").hidden = false;
    byId("query").focus();
    byId("query").select();
    this.look();
  }

  close() {
    byId("find").hidden = true;
    byId("query").value = "";
    this.look();
    byId("say").focus();
  }

  // Marks what matches.  In a folded picture, a box matches if something in it does.
  look() {
    const text = byId("query").value.trim();
    const wanted = comparable(text, MARKS.test(text.normalize("NFD")));
    const { picture, pictures } = this.player;
    const base = this.player.folding.folds.length && this.player.onGraph() ? pictures[0] : picture;
    this.matches = wanted ? this.found(base.nodes, wanted) : [];
    const ids = new Set(this.matches.flatMap(idsOfNode));
    for (const { nodes } of pictures) {
      for (const node of nodes) node.classList.toggle("match", wanted !== "" && idsOfNode(node).some((id) => ids.has(id)));
    }
    byId("stage").classList.toggle("searching", this.matches.length > 0);
    const count = this.matches.length;
    byId("found").textContent = !wanted ? "" : `${count || "no"} node${count === 1 ? "" : "s"}`;
    this.at = -1;
  }

  // The nodes whose text or description contains what is wanted; else, those whose line does.
  found(nodes, wanted) {
    const marked = /[\u0300-\u036f]/.test(wanted);
    const { markup, story, linked } = this.player;
    const contains = (text) => comparable(text, marked).includes(wanted);
    const byText = nodes.filter((node) => contains(node.textContent) || contains(markup.speak(story.nodes[node.id], () => "")));
    if (byText.length) return byText;
    const rows = (node) => (linked.get(node.id.split("_")[0]) || []).filter((element) => element.matches(".sources li"));
    return nodes.filter((node) => rows(node).some((row) => contains(row.textContent)));
  }

  key(event) {
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  next(offset) {
    const { length } = this.matches;
    if (!length) return;
    this.at = (this.at + offset + (this.at < 0 && offset < 0 ? 1 : 0) + length) % length;
    const node = this.matches[this.at];
    byId("found").textContent = `${this.at + 1} of ${length}`;
    if (node.classList.contains("unseen") || !this.player.shown.has(node.id)) this.player.jumpTo(node.id);
    this.player.folding.reveal(node.id);
    this.player.light(idsOfNode(node));
    this.player.picture.follow([...this.player.picture.nodes].filter((one) => idsOfNode(one).includes(node.id)));
  }
}
