// Earlier pictures, in this browser's own database.
import { byId, el, image } from "./dom.js";
import { clear, createStore, del, entries, set } from "./vendor/idb-keyval.js";

const MOST = 24;
const addresses = new Map();

/** Keeps the latest pictures; a browser that forbids it just has no history. */
export class History {
  constructor(onChoice) {
    this.onChoice = onChoice;
    this.store = createStore("blockcache", "history");
    this.entries = [];
    byId("forget").addEventListener("click", () => this.forget());
  }

  async load() {
    try {
      const found = await entries(this.store);
      this.entries = found.map(([at, entry]) => ({ at, ...entry })).sort((a, b) => b.at - a.at);
    } catch {
      this.entries = [];
    }
    this.draw();
  }

  async add(entry) {
    const at = Date.now();
    this.entries.unshift({ at, ...entry });
    const old = this.entries.splice(MOST);
    this.draw();
    try {
      await set(at, entry, this.store);
      for (const each of old) await del(each.at, this.store);
    } catch {
      // A full or forbidden database: what is on the page stays until it is closed.
    }
  }

  async forget() {
    await clear(this.store).catch(() => {});
    this.entries = [];
    this.draw();
    byId("prompt").focus();
  }

  draw() {
    byId("history").hidden = this.entries.length === 0;
    for (const [at, url] of addresses) {
      if (this.entries.some((entry) => entry.at === at)) continue;
      URL.revokeObjectURL(url);
      addresses.delete(at);
    }
    byId("thumbs").replaceChildren(...this.entries.map((entry) => this.thumb(entry)));
  }

  thumb(entry) {
    if (!addresses.has(entry.at)) addresses.set(entry.at, URL.createObjectURL(entry.blob));
    const button = el(
      "button",
      { type: "button", title: entry.request.prompt },
      image({ src: addresses.get(entry.at), alt: "" }),
      el("span", { textContent: entry.request.prompt }),
      el("span", { textContent: `${Math.round(entry.request.latency_budget_ms)} ms` }),
    );
    button.addEventListener("click", () => this.onChoice(entry));
    return el("li", {}, button);
  }
}
