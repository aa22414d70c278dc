// Scopes and loops, open or closed: each way has its own picture of the extended graph.
// Folds: all frames are closed in the first picture, and all but one in each other.

class Folding {
  constructor(player) {
    this.player = player;
    this.folds = player.story.folds.map((fold) => ({ ...fold, inside: new Set(keysOf(fold.n)) }));
    this.fold = this.folds.length && !player.pictures[0].isReadable() ? this.folds[0] : null;
    this.parts = new Map(player.pictures.map((picture) => [picture,
      [...picture.svg.querySelectorAll("[data-of]")].map((element) => [element, keysOf(element.dataset.of)])]));
    byId("fold").hidden = !this.folds.length;
    for (const title of document.querySelectorAll(".title.d1")) title.style.cursor = "pointer";
  }

  get picture() {
    return this.fold ? this.fold.p : 0;
  }

  // Opens the frame that a step is about, as long as the picture follows the steps.
  choose(step) {
    if (!this.fold || !this.player.following) return;
    const found = this.folds.find(({ inside }) => [...step.now].some((key) => inside.has(key)));
    if (found) this.fold = found;
    else if (!step.now.size) [this.fold] = this.folds;
  }

  show(fold) {
    this.fold = fold;
    byId("fold").setAttribute("aria-pressed", !fold);
    this.player.showPicture();
    if (this.player.following) this.player.follow();
    else this.player.picture.fit();
  }

  // Opens a box that represents a frame; returns whether it does.
  open(node) {
    if (!this.fold || !node.dataset.of) return false;
    const [first] = keysOf(node.dataset.of);
    this.show(this.folds.find(({ inside }) => inside.has(first)) || null);
    return true;
  }

  close() {
    if (this.folds.length && this.player.onGraph()) this.show(this.folds[0]);
  }

  // Opens the frame around a node, if it is closed.
  reveal(id) {
    if (!this.fold || !this.player.onGraph() || this.fold.inside.has(id)) return;
    const found = this.folds.find(({ inside }) => inside.has(id));
    if (found) this.show(found);
  }

  toggle() {
    if (this.folds.length) this.show(this.fold ? null : this.folds[0]);
  }

  // The boxes and arrows that represent what the step is about or uses.
  current() {
    const { now, use } = this.player.story.steps[this.player.index];
    const parts = this.parts.get(this.player.picture) || [];
    return parts.filter(([, of]) => of.some((key) => now.has(key) || use.has(key))).map(([element]) => element);
  }

  // Shows boxes and arrows as what they represent is shown.
  mark() {
    const { story, shown, index, picture } = this.player;
    const { now, use } = story.steps[index];
    for (const [element, of] of this.parts.get(picture) || []) {
      element.classList.toggle("unseen", !of.some((key) => shown.has(key)));
      element.classList.toggle("now", of.some((key) => now.has(key)));
      element.classList.toggle("use", of.some((key) => use.has(key)));
      this.player.settle(element);
    }
  }
}
