// Two pictures over one another with a slider between them, or what differs, made visible.
import { el } from "./dom.js";

const STRONGER = 4;

/** How far two pictures of one size are apart: PSNR in decibels, as it is usually told. */
export function likeness(one, other) {
  const [a, b] = [pixels(one), pixels(other)];
  let squares = 0;
  for (let n = 0; n < a.length; n += 4) {
    for (let c = 0; c < 3; c += 1) squares += (a[n + c] - b[n + c]) ** 2;
  }
  const mean = squares / (a.length * 0.75);
  return mean === 0 ? "identical" : `${(10 * Math.log10(255 ** 2 / mean)).toFixed(1)} dB`;
}

function pixels(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height),
    paint = canvas.getContext("2d");
  paint.drawImage(bitmap, 0, 0);
  return paint.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

export class Difference {
  constructor() {
    this.left = el("select", { id: "difference-left" });
    this.right = el("select", { id: "difference-right" });
    this.slider = el("input", {
      type: "range",
      id: "difference-slider",
      min: 0,
      max: 100,
      value: 50,
      "aria-label": "Where the left picture ends",
    });
    this.strong = el("input", { type: "checkbox", id: "difference-strong" });
    this.canvas = el("canvas", { role: "img" });
    this.edge = el("div", { className: "difference-edge", "aria-hidden": "true" });
    this.names = el("p", { className: "difference-names", "aria-hidden": "true" });
    this.place = el(
      "section",
      { className: "panel difference", hidden: true, "aria-labelledby": "difference-title" },
      el("h2", { id: "difference-title", textContent: "Side by side" }),
      el(
        "div",
        { className: "difference-choice" },
        labelled("Left", this.left),
        labelled("Right", this.right),
        el(
          "label",
          { className: "check", for: "difference-strong" },
          this.strong,
          ` Show what differs, ${STRONGER} times stronger`,
        ),
      ),
      el(
        "div",
        { className: "difference-view" },
        el("div", { className: "difference-pictures" }, this.canvas, this.edge),
        this.slider,
        this.names,
      ),
    );
    for (const input of [this.left, this.right, this.slider, this.strong])
      input.addEventListener("input", () => this.draw());
  }

  show(made) {
    this.made = made;
    for (const [select, chosen] of [
      [this.left, 0],
      [this.right, made.length - 1],
    ]) {
      select.replaceChildren(
        ...made.map(({ label }, n) => el("option", { value: n, textContent: label })),
      );
      select.value = chosen;
    }
    this.place.hidden = false;
    this.draw();
  }

  draw() {
    const one = this.made[this.left.value],
      other = this.made[this.right.value];
    const { width, height } = one.bitmap,
      paint = this.canvas.getContext("2d");
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.classList.toggle("tiny", width < 256);
    this.slider.disabled = this.strong.checked;
    this.edge.hidden = this.strong.checked;
    this.edge.style.left = `${this.slider.value}%`;
    this.names.replaceChildren(
      el("span", { textContent: one.label }),
      el("span", { textContent: other.label }),
    );
    const words = this.strong.checked ? "What differs between" : "Left and right:";
    this.canvas.setAttribute(
      "aria-label",
      `${words} ${one.label} and ${other.label}, ${likeness(one.bitmap, other.bitmap)} apart`,
    );
    if (this.strong.checked) paint.putImageData(differing(one.bitmap, other.bitmap), 0, 0);
    else this.split(paint, one.bitmap, other.bitmap);
  }

  split(paint, one, other) {
    const edge = Math.round((other.width * this.slider.value) / 100);
    paint.drawImage(other, 0, 0);
    if (edge > 0) paint.drawImage(one, 0, 0, edge, one.height, 0, 0, edge, one.height);
  }
}

function differing(one, other) {
  const [a, b] = [pixels(one), pixels(other)],
    found = new ImageData(one.width, one.height);
  for (let n = 0; n < a.length; n += 1) {
    found.data[n] = n % 4 === 3 ? 255 : Math.min(255, Math.abs(a[n] - b[n]) * STRONGER);
  }
  return found;
}

function labelled(text, input) {
  return el(
    "div",
    { className: "field" },
    el("label", { for: input.id, textContent: text }),
    input,
  );
}
