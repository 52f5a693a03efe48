// What the visitor wishes for, and what is wrong with it.
import { byId, el } from "./dom.js";

const FIELDS = ["prompt", "negative_prompt", "seed", "guidance_scale", "latency_budget_ms"];

export class Form {
  constructor(scale, onChange) {
    this.scale = scale;
    this.frontiers = [];
    this.changed = onChange;
    byId("wish").addEventListener("input", () => this.changed());
    byId("model").addEventListener("change", () => {
      this.listSizes();
      this.showFrontier();
    });
    byId("size").addEventListener("change", () => this.showFrontier());
  }

  /** Take in what the live fleet offers, keeping what was chosen where it is still there. */
  offer(frontiers) {
    this.frontiers = frontiers;
    options(byId("model"), [...new Set(frontiers.map((each) => each.model))]);
    this.listSizes();
    this.showFrontier();
  }

  listSizes() {
    const of = this.frontiers.filter((each) => each.model === byId("model").value);
    options(
      byId("size"),
      of.map((each) => `${each.width}×${each.height}`),
    );
  }

  get frontier() {
    const size = byId("size").value;
    return this.frontiers.find(
      (each) => each.model === byId("model").value && `${each.width}×${each.height}` === size,
    );
  }

  showFrontier() {
    if (this.frontier) this.scale.show(this.frontier);
  }

  /** The request as the API takes it: what was left open is left out. */
  get request() {
    const { model, width, height } = this.frontier ?? {};
    const negative = byId("negative_prompt").value.trim(),
      seed = byId("seed").value.trim();
    const guidance = byId("guidance_scale").value;
    return {
      prompt: byId("prompt").value.trim(),
      ...(negative && { negative_prompt: negative }),
      latency_budget_ms: this.scale.ms,
      ...(seed && { seed: Number(seed) }),
      ...(guidance && { guidance_scale: Number(guidance) }),
      ...(model && { model, width, height }),
    };
  }

  get previews() {
    return Number(byId("previews").value);
  }

  /** Show an earlier request. */
  fill(request) {
    byId("prompt").value = request.prompt;
    byId("negative_prompt").value = request.negative_prompt ?? "";
    byId("seed").value = request.seed ?? "";
    byId("guidance_scale").value = request.guidance_scale ?? "";
    const known = this.frontiers.find(
      (each) =>
        each.model === request.model &&
        each.width === request.width &&
        each.height === request.height,
    );
    if (known) {
      byId("model").value = known.model;
      this.listSizes();
      byId("size").value = `${known.width}×${known.height}`;
    }
    this.scale.number.value = Math.round(request.latency_budget_ms);
    this.showFrontier();
    this.changed();
  }

  /** What is wrong before the service is asked: [{field, message}]. */
  check() {
    const found = [],
      seed = byId("seed").value.trim(),
      guidance = byId("guidance_scale");
    if (!byId("prompt").value.trim())
      found.push({ field: "prompt", message: "Say what the picture should show." });
    if (seed && !(/^[0-9]+$/.test(seed) && Number.isSafeInteger(Number(seed))))
      found.push({
        field: "seed",
        message: `A whole number from 0 to ${Number.MAX_SAFE_INTEGER}, or nothing.`,
      });
    if (
      guidance.validity.badInput ||
      (guidance.value && !(guidance.value >= 1 && guidance.value <= 30))
    )
      found.push({ field: "guidance_scale", message: "A number from 1 to 30, or nothing." });
    if (!(this.scale.ms > 0 && this.scale.ms <= 600000))
      found.push({ field: "latency_budget_ms", message: "Milliseconds from 1 to 600000." });
    return found;
  }

  /** Say beside each field what is wrong with it; go to the first. Returns what has no field here. */
  mark(wrong) {
    for (const name of FIELDS) {
      const message = wrong
        .filter(({ field }) => field === name)
        .map(({ message }) => message)
        .join("; ");
      const note = byId(`${name}-error`),
        input = inputOf(name);
      note.textContent = message;
      note.hidden = !message;
      input.toggleAttribute("aria-invalid", false);
      if (message) input.setAttribute("aria-invalid", "true");
    }
    const first = wrong.find(({ field }) => FIELDS.includes(field));
    if (first) {
      const input = inputOf(first.field);
      input.closest("details")?.setAttribute("open", "");
      input.focus();
    }
    return wrong.filter(({ field }) => !FIELDS.includes(field));
  }
}

const inputOf = (name) => byId(name === "latency_budget_ms" ? "budget-ms" : name);

function options(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => el("option", { value, textContent: value })));
  if (values.includes(before)) select.value = before;
}
