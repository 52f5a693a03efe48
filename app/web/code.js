// The request as code, a tab a language.
import { byId, el } from "./dom.js";
import { key } from "./key.js";
import { SNIPPETS } from "./snippets.js";

const NAMES = Object.keys(SNIPPETS);
const TURN = { ArrowRight: 1, ArrowLeft: -1 };

export class Code {
  /** `request` returns what is asked for now. */
  constructor(request) {
    this.request = request;
    byId("snippet-tabs").replaceChildren(...NAMES.map((name) => this.tab(name)));
    byId("snippet-tabs").addEventListener("keydown", (event) => this.turn(TURN[event.key]));
    byId("copy").hidden = !navigator.clipboard; // browsers lend it to secure addresses only
    byId("copy").addEventListener("click", () => this.copy());
    this.choose(NAMES[0]);
  }

  write() {
    const text = SNIPPETS[this.language](this.request(), location.origin, Boolean(key()));
    byId("snippet").textContent = text;
  }

  tab(name) {
    const properties = { type: "button", id: `tab-${name}`, textContent: name };
    const tab = el("button", { ...properties, role: "tab", "aria-controls": "snippet-panel-body" });
    tab.addEventListener("click", () => this.choose(name));
    return tab;
  }

  turn(by) {
    if (!by) return;
    this.choose(NAMES[(NAMES.indexOf(this.language) + by + NAMES.length) % NAMES.length]);
    byId(`tab-${this.language}`).focus();
  }

  choose(language) {
    this.language = language;
    for (const tab of byId("snippet-tabs").children) {
      const on = tab.textContent === language;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
    }
    byId("snippet-panel-body").setAttribute("aria-labelledby", `tab-${language}`);
    this.write();
  }

  async copy() {
    await navigator.clipboard.writeText(byId("snippet").textContent);
    byId("copy").textContent = "Copied";
    setTimeout(() => {
      byId("copy").textContent = "Copy";
    }, 1500);
  }
}
