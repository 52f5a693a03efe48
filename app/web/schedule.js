// The schedule as a heat map: a row a unit, a column a step; it fills as the job runs.
import { colour, count, el, onResize, onTheme, percent } from "./dom.js";

const WORDS = { C: "computed", R: "reused", S: "skipped" };
const AHEAD = 0.28; // how strong a step is drawn that has not run yet

export function counts(work) {
  const found = { C: 0, R: 0, S: 0 };
  for (const row of work) for (const letter of row) found[letter] += 1;
  return found;
}

/** Draws one plan's table into an element; `advance` says how many steps have run. */
export class HeatMap {
  constructor(place) {
    this.table = null;
    this.done = 0;
    this.canvas = el("canvas", { role: "img" });
    this.levels = el("div", { className: "levels", "aria-hidden": "true" });
    this.cell = el("p", { className: "cell" });
    this.axis = el("div", { className: "axis", "aria-hidden": "true" });
    this.legend = el("div", { className: "key-list" });
    this.rows = el("div", {
      className: "scroll",
      tabIndex: 0,
      role: "region",
      "aria-label": "Units and what they do",
    });
    this.details = el(
      "details",
      { className: "table" },
      el("summary", { textContent: "As a table" }),
      this.rows,
    );
    const heat = el("div", { className: "heat" }, this.levels, this.canvas, this.axis);
    place.replaceChildren(this.legend, heat, this.cell, this.details);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.hint());
    onResize(place, () => this.draw());
    onTheme(() => this.draw());
  }

  show(table, done = 0) {
    this.table = table;
    this.done = done;
    this.describe();
    this.draw();
  }

  advance(done) {
    if (done === this.done) return;
    this.done = done;
    this.draw();
  }

  get rowHeight() {
    return Math.max(3, Math.min(9, Math.floor(260 / this.table.units.length)));
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth && this.canvas.clientWidth;
    if (!this.table || !width) return;
    const { units, work } = this.table,
      ratio = devicePixelRatio || 1;
    const high = this.rowHeight,
      wide = width / work.length;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = units.length * high * ratio;
    this.canvas.style.height = `${units.length * high}px`;
    const paint = this.canvas.getContext("2d"),
      ink = { C: colour("computed"), R: colour("reused"), S: colour("skipped") };
    paint.scale(ratio, ratio);
    work.forEach((row, step) => {
      paint.globalAlpha = step < this.done ? 1 : AHEAD;
      [...row].forEach((letter, unit) => {
        paint.fillStyle = ink[letter];
        paint.fillRect(step * wide, unit * high, Math.max(wide - 1, 0.5), high - 1);
      });
    });
  }

  describe() {
    const { units, work, name } = this.table,
      found = counts(work),
      all = units.length * work.length;
    const said = Object.entries(WORDS).map(
      ([letter, word]) => `${word} ${percent(found[letter] / all)}`,
    );
    this.canvas.setAttribute(
      "aria-label",
      `Schedule ${name}: ${count(units.length, "unit")} by ${count(work.length, "step")}, ${said.join(", ")}`,
    );
    this.legend.replaceChildren(
      ...Object.entries(WORDS).map(([letter, word]) =>
        el(
          "span",
          {},
          el("span", { className: `swatch ${word}` }),
          `${word} `,
          el("b", { textContent: percent(found[letter] / all) }),
        ),
      ),
    );
    this.axis.replaceChildren(
      el("span", { textContent: "step 1" }),
      el("span", { textContent: `step ${work.length}` }),
    );
    this.levels.replaceChildren(...this.groups());
    this.rows.replaceChildren(this.listed());
    this.hint();
  }

  /** The parts of the UNet beside the rows, each as high as it has units. */
  groups() {
    const sizes = new Map();
    for (const { name } of this.table.units) {
      const [part, level] = name.split(".");
      const group = level && /^\d+$/.test(level) ? `${part} ${level}` : part;
      sizes.set(group, (sizes.get(group) ?? 0) + 1);
    }
    return [...sizes].map(([group, size]) => {
      const made = el("span", { textContent: size * this.rowHeight >= 12 ? group : "" });
      made.style.height = `${size * this.rowHeight}px`;
      return made;
    });
  }

  listed() {
    const head = el(
      "tr",
      {},
      ...["Unit", "Computed", "Reused", "Skipped"].map((text, n) =>
        el("th", { textContent: text, scope: "col", className: n ? "number" : "" }),
      ),
    );
    const rows = this.table.units.map(({ name }, unit) => {
      const found = counts(this.table.work.map((row) => row[unit]));
      return el(
        "tr",
        {},
        el("td", { className: "mono", textContent: name }),
        ...["C", "R", "S"].map((letter) =>
          el("td", { className: "number", textContent: found[letter] }),
        ),
      );
    });
    return el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  }

  point(event) {
    if (!this.table) return;
    const { left, top, width } = this.canvas.getBoundingClientRect(),
      { units, work } = this.table;
    const step = Math.floor(((event.clientX - left) / width) * work.length);
    const unit = Math.floor((event.clientY - top) / this.rowHeight);
    const letter = work[step]?.[unit];
    if (letter) this.cell.textContent = `${units[unit].name}, step ${step + 1}: ${WORDS[letter]}`;
  }

  hint() {
    this.cell.textContent = "Each row is a part of the network, each column a denoising step.";
  }
}
