// The pictures: zooming, panning, and saving the visible picture.

const SVG = "http://www.w3.org/2000/svg";
const SAVED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size",
  "font-weight", "font-style", "text-anchor", "transform"];
const TYPE = 15; // the font size in pictures, in their own units
const READABLE = 0.024; // the smallest readable font size, relative to the height of the window
const LARGEST = 0.045; // the largest font size, relative to the height of the window
const SMALLEST = 0.65; // how far the font may shrink below that if everything then fits
const PRESENTED = 0.84; // and in presenter mode
const AROUND = 50; // the margin around the elements that are followed
const GLIDE = 250; // milliseconds
const CLOSEST = 12; // the largest zoom factor, relative to the whole picture

// A picture moves by a transform of the whole: changing its view box would lay out all its text
// again in each frame.
class Picture {
  constructor(svg, onMove) {
    this.svg = svg;
    this.room = svg.parentElement;
    this.onMove = onMove;
    const box = svg.viewBox.baseVal;
    this.whole = { x: box.x, y: box.y, width: box.width, height: box.height };
    this.size = { width: this.room.clientWidth, height: this.room.clientHeight };
    this.view = this.everything();
    this.boxes = new Map(); // of nodes and edges by id, filled on demand
    this.nodes = [...svg.querySelectorAll(".node")];
    this.bindPointer();
    svg.classList.add("asleep");
  }

  get isAsleep() {
    return this.svg.classList.contains("asleep");
  }

  // Lays the picture out, which the first frame of the page does not wait for.
  wake() {
    this.svg.classList.remove("asleep");
  }

  // A hidden picture is placed below, out of reach of pointers and screen readers.
  show(shown, title) {
    if (shown) this.wake();
    this.svg.classList.toggle("off", !shown);
    this.svg.setAttribute("tabindex", shown ? "0" : "-1");
    this.svg.setAttribute("aria-hidden", !shown);
    this.svg.setAttribute("aria-label", title);
  }

  // How a part of the picture is fitted into the window: pixels per unit, and the offset in pixels.
  fitted({ x, y, width, height }) {
    const { size } = this;
    const scale = Math.min(size.width / width, size.height / height);
    return { scale, left: (size.width - width * scale) / 2 - x * scale, top: (size.height - height * scale) / 2 - y * scale };
  }

  // Reads the size of the window once; reading it in each step would lay out the page each time.
  measure() {
    this.size = { width: this.room.clientWidth, height: this.room.clientHeight };
    this.apply();
  }

  // Zooms around the point (x, y), in pixels of the page, which stays in place.
  zoom(factor, x, y) {
    cancelAnimationFrame(this.gliding);
    const { view, whole } = this;
    const { scale, left, top } = this.fitted(view);
    const bounds = this.room.getBoundingClientRect();
    const across = ((x ?? bounds.left + bounds.width / 2) - bounds.left - left) / scale;
    const down = ((y ?? bounds.top + bounds.height / 2) - bounds.top - top) / scale;
    const width = Math.min(Math.max(view.width / factor, whole.width / CLOSEST), whole.width * 2);
    const change = width / view.width;
    view.x = across + (view.x - across) * change;
    view.y = down + (view.y - down) * change;
    view.width = width;
    view.height *= change;
    this.apply();
  }

  pan(dx, dy) {
    cancelAnimationFrame(this.gliding);
    const { scale } = this.fitted(this.view);
    this.view.x -= dx / scale;
    this.view.y -= dy / scale;
    this.apply();
  }

  // The part shown when the whole picture is fitted.  It is larger than a small picture, which would
  // otherwise be enlarged too much.
  everything() {
    const { whole } = this;
    const least = this.size.height / (LARGEST * Math.max(window.innerHeight, 1) / TYPE);
    const larger = Math.max(1, least / whole.height);
    const [width, height] = [whole.width * larger, whole.height * larger];
    return { x: whole.x + (whole.width - width) / 2, y: whole.y + (whole.height - height) / 2, width, height };
  }

  fit() {
    this.glide(this.everything());
  }

  // The pixels per unit at which the font is large enough.
  readable() {
    return (READABLE * Math.min(window.innerHeight, 1.5 * window.innerWidth)) / TYPE;
  }

  // Whether the font is large enough when the whole picture is shown.
  isReadable() {
    const { whole, size } = this;
    const shrinks = document.body.classList.contains("presenting") ? PRESENTED : SMALLEST;
    return Math.min(size.width / whole.width, size.height / whole.height) >= shrinks * this.readable();
  }

  boxOf(element) {
    if (!this.boxes.has(element)) this.boxes.set(element, element.getBBox());
    return this.boxes.get(element);
  }

  // The part of the picture around elements, and the pixels per unit at which it fills the window.
  around(elements) {
    const boxes = elements.map((element) => this.boxOf(element));
    const left = Math.min(...boxes.map((box) => box.x)) - AROUND;
    const top = Math.min(...boxes.map((box) => box.y)) - AROUND;
    const right = Math.max(...boxes.map((box) => box.x + box.width)) + AROUND;
    const bottom = Math.max(...boxes.map((box) => box.y + box.height)) + AROUND;
    const room = Math.min(this.size.width / (right - left), this.size.height / (bottom - top));
    return { left, top, right, bottom, room };
  }

  // Shows the whole picture if it is then readable; otherwise the given elements and their
  // surroundings, at a readable size; only the fewer ones if the others are too far apart.
  follow(elements, fewer) {
    const { whole, size: bounds } = this;
    const least = Math.min(bounds.width / whole.width, bounds.height / whole.height);
    const readable = this.readable();
    if (!elements.length || this.isReadable() || !bounds.width) return this.fit();
    const all = this.around(elements);
    const { left, top, right, bottom, room } = all.room < SMALLEST * readable && fewer.length ? this.around(fewer) : all;
    const scale = Math.max(Math.min(readable, room), least);
    const width = bounds.width / scale;
    const height = bounds.height / scale;
    const inside = (low, high, start, size) => low >= start && high <= start + size;
    const { view } = this;
    const same = Math.abs(view.width / width - 1) < 0.01 || Math.abs(view.height / height - 1) < 0.01;
    if (same && inside(left, right, view.x, view.width) && inside(top, bottom, view.y, view.height)) return undefined;
    const start = (low, high, size, from, all) => (size >= all ? from + (all - size) / 2
      : Math.min(Math.max((low + high - size) / 2, from), from + all - size));
    return this.glide({
      x: start(left, right, width, whole.x, whole.width),
      y: start(top, bottom, height, whole.y, whole.height),
      width,
      height,
    });
  }

  glide(target) {
    cancelAnimationFrame(this.gliding);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.view = target;
      return this.apply();
    }
    const from = { ...this.view };
    const begin = performance.now();
    const frame = (now) => {
      const part = Math.min(Math.max((now - begin) / GLIDE, 0), 1);
      const eased = part * (2 - part);
      for (const side of Object.keys(target)) this.view[side] = from[side] + (target[side] - from[side]) * eased;
      this.apply();
      if (part < 1) this.gliding = requestAnimationFrame(frame);
    };
    this.gliding = requestAnimationFrame(frame);
    return undefined;
  }

  apply() {
    const now = this.fitted(this.view);
    const still = this.fitted(this.whole);
    const scale = now.scale / still.scale;
    const [left, top] = [now.left - still.left * scale, now.top - still.top * scale];
    if (Number.isFinite(scale)) this.svg.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }

  // One pointer moves the picture; two pointers zoom it (pinch).
  bindPointer() {
    const pointers = new Map();
    this.listen("pointerdown", (event) => {
      if (event.button === 0) pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    this.listen("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      if (!(event.buttons & 1)) {
        pointers.delete(event.pointerId);
        return;
      }
      const now = [event.clientX, event.clientY];
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      this.onMove();
      if (other) {
        const factor = distance(now, other) / Math.max(distance(last, other), 1);
        this.zoom(factor, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else this.pan(now[0] - last[0], now[1] - last[1]);
      pointers.set(event.pointerId, now);
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      this.listen(end, (event) => pointers.delete(event.pointerId));
    }
    this.listen("wheel", (event) => {
      event.preventDefault();
      this.onMove();
      this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.clientX, event.clientY);
    });
  }

  listen(type, act) {
    const heard = (event) => this.svg.classList.contains("off") || act(event);
    this.room.addEventListener(type, heard, { passive: false });
  }

  // The visible picture as SVG text that needs no style sheet.
  source(title) {
    const copy = this.svg.cloneNode(true);
    const pairs = [[this.svg, copy]];
    const gone = [];
    while (pairs.length) {
      const [from, to] = pairs.pop();
      const style = getComputedStyle(from);
      if (style.visibility === "hidden" || style.display === "none") {
        gone.push(to);
        continue;
      }
      for (const name of SAVED) {
        const value = style.getPropertyValue(name);
        if (value !== "none" || name === "fill" || name === "stroke") to.setAttribute(name, value);
      }
      for (const name of ["class", "tabindex", "role", "data-k", "data-v", "aria-label"]) to.removeAttribute(name);
      [...from.children].forEach((child, place) => pairs.push([child, to.children[place]]));
    }
    gone.forEach((element) => element.remove());
    const { x, y, width, height } = this.view;
    for (const name of ["style", "transform"]) copy.removeAttribute(name);
    copy.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const ground = document.createElementNS(SVG, "rect");
    const color = getComputedStyle(document.body).backgroundColor;
    for (const [name, value] of Object.entries({ x, y, width, height, fill: color })) ground.setAttribute(name, value);
    const heading = document.createElementNS(SVG, "title");
    heading.textContent = title;
    copy.prepend(heading, ground);
    return new XMLSerializer().serializeToString(copy);
  }

  async png(title) {
    const image = new Image();
    const { width, height } = this.view;
    const scale = Math.min(Math.max(2, 1600 / width), 8192 / Math.max(width, height));
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error("the picture cannot be drawn"));
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(this.source(title))}`;
    });
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}

function distance([x, y], [otherX, otherY]) {
  return Math.hypot(x - otherX, y - otherY);
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
