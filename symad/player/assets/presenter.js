// Presenting: presenter mode, full screen, a blank screen, and links to a moment of the lecture.

const TOAST = 2500; // milliseconds

class Presenter {
  constructor(player) {
    this.player = player;
    const framed = location.protocol === "about:"; // in a notebook, which has no address of its own
    byId("link").hidden = framed;
    byId("screen").hidden = !document.fullscreenEnabled;
    window.addEventListener("hashchange", () => this.openAddress());
    document.addEventListener("fullscreenchange", () => {
      byId("screen").setAttribute("aria-pressed", Boolean(document.fullscreenElement));
    });
  }

  present(on = !document.body.classList.contains("presenting")) {
    document.body.classList.toggle("presenting", on);
    byId("present").setAttribute("aria-pressed", on);
    this.player.resize();
  }

  async fillScreen() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await document.documentElement.requestFullscreen();
    } catch {
      this.say("The browser does not allow full screen here.");
    }
  }

  // The address of the current step, with the inputs that the reader has changed.
  address() {
    const { story, chapter, index } = this.player;
    const parts = new URLSearchParams({ chapter: chapter + 1, step: index - story.chapters[chapter].at + 1 });
    for (const input of story.inputs) {
      if (!input.s && input.v !== input.first) parts.set(this.nameOf(input), input.v);
      if (input.s) this.elementsOf(input, (name, place) => input.v[place] !== input.first[place] && parts.set(name, input.v[place]));
    }
    return `${location.href.split("#")[0]}#${parts}`;
  }

  nameOf(input) {
    return this.player.markup.speak(input.t, () => "");
  }

  // Calls a function with the name of each element of an array, as in W[0,1], and its place.
  elementsOf(input, act) {
    const [, ...indices] = this.player.tensors.choices(input.s);
    indices.forEach((index, place) => act(`${this.nameOf(input)}${index}`, place));
  }

  async copyLink() {
    const address = this.address();
    try {
      await navigator.clipboard.writeText(address);
      this.say("Link copied");
    } catch {
      byId("url").value = address;
      byId("address").showModal();
      byId("url").select();
    }
  }

  // Opens what the address names.  A step is counted in its chapter, if that is given.
  openAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const number = (name) => (/^\d{1,9}$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : 1);
    const { chapters, inputs } = this.player.story;
    const first = chapters[number("chapter") - 1]?.at ?? 0;
    inputs.forEach((input, place) => {
      const set = (name, chosen) => {
        const text = parts.get(name);
        if (!text?.trim()) return;
        if (chosen) this.player.choose(place, chosen);
        this.player.setInput(place, Number(text));
      };
      if (input.s) this.elementsOf(input, (name, element) => set(name, element + 1));
      else set(this.nameOf(input), 0);
    });
    this.player.jump(first + number("step") - 1);
    if (parts.has("present")) this.present(true);
  }

  blank() {
    document.body.classList.toggle("blank");
  }

  say(text) {
    byId("toast").textContent = text;
    byId("toast").hidden = false;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => { byId("toast").hidden = true; }, TOAST);
  }

  keys() {
    const keys = {
      p: () => this.present(),
      f: () => this.fillScreen(),
      l: () => this.copyLink(),
      b: () => this.blank(),
      ".": () => this.blank(),
    };
    this.player.story.chapters.forEach((chapter, place) => {
      keys[place + 1] = () => this.player.jump(chapter.at);
    });
    return keys;
  }
}
