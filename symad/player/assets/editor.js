// The editor of a page that a server makes: each change opens the address of another page.

const TITLES = { values: "Values of the variables", wrt: "Variables to differentiate by" };

class Editor {
  constructor(player) {
    const { editor } = player.story;
    this.player = player;
    this.examples = editor.examples;
    this.fields = {};
    const form = make("form", { id: "editor", "aria-label": "Expression" });
    form.append(this.chooser());
    for (const [name, text, hint] of [["expression", "y =", "log(x1) + x1*x2"], ["values", "at", "x1=2 x2=5"], ["wrt", "by", "all"]]) {
      const input = make("input", { type: "text", id: `edit-${name}`, placeholder: hint, autocomplete: "off", spellcheck: "false", maxlength: "4000" });
      input.value = editor[name];
      this.fields[name] = input;
      form.append(make("label", { for: input.id, textContent: text, title: TITLES[name] }), input);
    }
    form.append(make("button", { id: "build", textContent: "Build" }));
    form.append(make("p", { id: "wrong", role: "alert", textContent: editor.error }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open();
    });
    document.querySelector("header").after(form);
    if (editor.error) this.fields.expression.focus();
  }

  chooser() {
    const select = make("select", { id: "examples", "aria-label": "Examples" }, make("option", { value: "", textContent: "Examples" }));
    this.examples.forEach(([title], place) => select.append(make("option", { value: String(place), textContent: title })));
    for (const name of this.player.story.editor.live) select.append(make("option", { value: name, textContent: name }));
    select.addEventListener("change", () => {
      if (select.value === "") return;
      if (!(select.value in this.examples)) {
        location.assign(`${location.pathname}${encodeURIComponent(select.value)}`);
        return;
      }
      const [, expression, values] = this.examples[Number(select.value)];
      Object.assign(this.fields.expression, { value: expression });
      Object.assign(this.fields.values, { value: values });
      Object.assign(this.fields.wrt, { value: "" });
      this.open();
    });
    return select;
  }

  // Opens the page for the fields, in the same chapter.
  open() {
    const query = new URLSearchParams(Object.entries(this.fields).map(([name, { value }]) => [name, value]));
    const address = `${location.pathname}?${query}#chapter=${this.player.chapter + 1}`;
    const same = `${location.pathname}${location.search}` === address.split("#")[0];
    if (same) location.reload();
    else location.assign(address);
  }
}
