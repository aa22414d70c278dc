// The story: a step shows everything that the steps up to it have shown and not hidden.

const keysOf = (text) => (text ? text.split(" ") : []);

class Story {
  constructor(data) {
    Object.assign(this, data);
    this.steps = data.steps.map((step) => ({
      ...step,
      maths: step.maths || [],
      show: keysOf(step.show),
      hide: keysOf(step.hide),
      now: new Set(keysOf(step.now)),
      use: new Set(keysOf(step.use)),
    }));
    this.madeAt = new Map(); // the first step, except the overview, that shows an element or is about it
    this.appearing = new Set(); // the elements that are hidden until a step shows them
    this.steps.forEach((step, index) => {
      for (const key of step.show) this.appearing.add(key);
      for (const key of index ? [...step.show, ...step.now] : []) {
        if (!this.madeAt.has(key)) this.madeAt.set(key, index);
      }
    });
  }

  get length() {
    return this.steps.length;
  }

  shownAt(index) {
    const shown = new Set();
    for (let i = 0; i <= index; i += 1) {
      const step = this.steps[i];
      if (step.clear) shown.clear();
      for (const key of step.hide) shown.delete(key);
      for (const key of step.show) shown.add(key);
    }
    return shown;
  }

  chapterAt(index) {
    let found = 0;
    this.chapters.forEach((chapter, place) => {
      if (chapter.at <= index) found = place;
    });
    return found;
  }
}
