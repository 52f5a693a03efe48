// The same prompt and seed by several plans: what the same time buys by other means.
import { follow, picture, post } from "./api.js";
import { Difference, likeness } from "./difference.js";
import { byId, count, el, image, milliseconds, percent, quality, styles } from "./dom.js";
import { Problem, remedies } from "./errors.js";
import { HeatMap } from "./schedule.js";

const METHODS = {
  cached: ["Cached plan", "what the planner picks for this budget"],
  "fewer-steps": ["Fewer steps", "no cache, as many steps as the same time allows"],
  naive: ["Naive caching", "every second step reuses all it can, in the same time"],
  uncached: ["Uncached", "the reference, in the time it takes"],
};
const STAGES = ["encode_ms", "denoise_ms", "decode_ms", "png_ms"];

export class Compare {
  constructor(form) {
    this.form = form;
    this.running = false;
    this.urls = [];
    this.build();
  }

  /** Begin with what the playground asks for. */
  async open() {
    this.styled ??= styles("compare.css");
    await this.styled;
    const { prompt, latency_budget_ms, seed } = this.form.request;
    if (this.running || this.touched) return;
    this.prompt.value = prompt;
    if (latency_budget_ms) this.budget.value = latency_budget_ms;
    this.seed.value = seed ?? "";
  }

  build() {
    this.prompt = el("input", {
      id: "compare-prompt",
      maxLength: 2000,
      required: true,
      autocomplete: "off",
    });
    this.budget = el("input", {
      id: "compare-budget",
      type: "number",
      min: 1,
      max: 600000,
      value: 500,
    });
    this.seed = el("input", {
      id: "compare-seed",
      inputMode: "numeric",
      maxLength: 19,
      placeholder: "random",
      autocomplete: "off",
    });
    this.button = el("button", { type: "submit", className: "primary", textContent: "Compare" });
    this.said = el("p", { className: "progress", role: "status" });
    this.trouble = el("div", { className: "trouble", role: "alert", hidden: true });
    this.cards = el("ul", { className: "cards" });
    this.difference = new Difference();
    const wish = el(
      "form",
      { className: "compare-form", noValidate: true },
      field("Prompt", this.prompt, "grow"),
      field("Budget in ms", this.budget),
      field("Seed", this.seed),
      this.button,
    );
    wish.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    wish.addEventListener("input", () => {
      this.touched = true;
    });
    byId("compare").replaceChildren(
      el("h1", { id: "compare-title", textContent: "The same time, spent differently" }),
      el("p", {
        className: "intro",
        textContent:
          "One prompt and one seed, made four times: by the plan the planner picks, by the two other ways to be that fast, and without any cache. Nothing is hurried; the times are measured.",
      }),
      wish,
      this.said,
      this.trouble,
      this.cards,
      this.difference.place,
    );
  }

  get request() {
    const { model, width, height, negative_prompt, guidance_scale } = this.form.request,
      seed = this.seed.value.trim();
    return {
      prompt: this.prompt.value.trim(),
      latency_budget_ms: Number(this.budget.value),
      ...(seed && { seed: Number(seed) }),
      ...(negative_prompt && { negative_prompt }),
      ...(guidance_scale && { guidance_scale }),
      ...(model && { model, width, height }),
    };
  }

  check() {
    if (/^[0-9]*$/.test(this.seed.value.trim())) return;
    throw new Problem(
      { title: "The seed is no number", detail: "Give a whole number, or nothing." },
      422,
    );
  }

  async run() {
    if (this.running) return;
    this.running = true;
    this.button.disabled = true;
    this.trouble.hidden = true;
    this.said.textContent = "Planning …";
    try {
      this.check();
      const { jobs } = await (await post("/comparisons", this.request)).json();
      await this.follow(jobs);
    } catch (problem) {
      this.failed(problem);
    } finally {
      this.running = false;
      this.button.disabled = false;
    }
  }

  async follow(jobs) {
    for (const url of this.urls.splice(0)) URL.revokeObjectURL(url);
    this.difference.place.hidden = true;
    const cards = jobs.map((job) => new Card(job));
    this.cards.replaceChildren(...cards.map((card) => card.place));
    this.said.textContent = "Making four pictures …";
    const made = await Promise.all(cards.map((card) => this.one(card)));
    const reference = made.find(({ method }) => method === "uncached");
    for (const [n, card] of cards.entries()) card.compareWith(made[n], reference);
    this.said.textContent = `Seed ${made[0].result.images[0].seed}.`;
    this.difference.show(made);
  }

  async one(card) {
    const { location, method } = card.job;
    const ended = await follow(
      location,
      (name, data) => card.tell(name, data),
      () => {},
    );
    if (!ended.result)
      throw new Problem(
        { title: "A picture is missing", detail: ended.failure?.detail ?? "" },
        504,
      );
    const blob = await picture(ended.result.images[0].url),
      url = URL.createObjectURL(blob);
    this.urls.push(url);
    card.finished(url, ended.result);
    return {
      method,
      label: METHODS[method][0],
      url,
      bitmap: await createImageBitmap(blob),
      result: ended.result,
    };
  }

  failed(problem) {
    this.said.textContent = "";
    if (!(problem instanceof Problem)) throw problem;
    const ways = remedies(problem).map(({ label, budget_ms }) => {
      const button = el("button", { type: "button", textContent: label });
      button.addEventListener("click", () => {
        if (budget_ms) this.budget.value = budget_ms;
        this.run();
      });
      return button;
    });
    this.trouble.replaceChildren(
      el("p", {}, el("strong", { textContent: problem.title }), " ", problem.message),
      ...ways,
    );
    this.trouble.hidden = false;
  }
}

class Card {
  constructor(job) {
    this.job = job;
    const [name, text] = METHODS[job.method];
    this.image = image({ alt: "", hidden: true });
    this.state = el("p", { className: "card-state", textContent: "waiting" });
    this.numbers = el("dl", { className: "numbers" });
    const heat = el("div", { className: "small-heat" });
    this.place = el(
      "li",
      { className: "card" },
      el("div", { className: "frame" }, this.image, this.state),
      el("h2", { textContent: name }),
      el("p", { className: "help", textContent: text }),
      this.numbers,
      heat,
    );
    this.heat = new HeatMap(heat);
    this.heat.show(job.table, 0);
  }

  tell(name, { step, steps }) {
    if (name === "running") this.state.textContent = "running";
    if (name !== "step") return;
    this.state.textContent = `step ${step} of ${steps}`;
    this.heat.advance(step);
  }

  finished(url, result) {
    this.state.hidden = true;
    this.image.src = url;
    this.image.alt = `${METHODS[this.job.method][0]}: ${count(result.plan.steps, "step")}`;
    this.image.hidden = false;
    this.heat.advance(result.plan.steps);
  }

  compareWith({ result, bitmap }, reference) {
    const { plan, timing } = result,
      ms = STAGES.reduce((sum, name) => sum + timing[name], 0);
    const measured = plan.quality.value ? quality(plan.quality.value) : "–";
    const same = bitmap === reference.bitmap;
    this.numbers.replaceChildren(
      ...number("Time, measured", milliseconds(ms)),
      ...number("Time, predicted", milliseconds(plan.predicted_ms)),
      ...number("Steps", String(plan.steps)),
      ...number("Computed", percent(plan.compute_fraction)),
      ...number("PSNR to reference", same ? "–" : likeness(bitmap, reference.bitmap)),
      ...number("Quality, on average", measured),
    );
  }
}

const number = (name, value) => [el("dt", { textContent: name }), el("dd", { textContent: value })];

function field(label, input, extra = "") {
  return el(
    "div",
    { className: `field ${extra}` },
    el("label", { for: input.id, textContent: label }),
    input,
  );
}
