// The playground: a wish, its picture as it comes, and how it was made.
import { json } from "./api.js";
import { Code } from "./code.js";
import { byId, count, el, keepSharp, milliseconds, percent, quality } from "./dom.js";
import { Problem, remedies } from "./errors.js";
import { Form } from "./form.js";
import { BudgetScale } from "./frontier.js";
import { History } from "./history.js";
import { Job, remembered } from "./job.js";
import { HeatMap } from "./schedule.js";
import { showTiming, showVerdict } from "./timing.js";

// How often the frontier is read again while the page is looked at; sooner while there is none.
const FRESH_MS = 15000;
const SOON_MS = 2000;

export class Playground {
  constructor() {
    this.scale = new BudgetScale();
    this.form = new Form(this.scale, () => this.code.write());
    this.code = new Code(() => this.form.request);
    this.scale.changed = () => this.code.write();
    this.heat = new HeatMap(byId("schedule"));
    this.history = new History((entry) => this.recall(entry));
    this.job = null;
    this.address = "";
    keepSharp(byId("image"));
    this.listen();
  }

  async start() {
    this.history.load();
    await this.refresh();
    const ticket = remembered();
    if (ticket) this.go(ticket.request, () => ticket);
    this.keepFresh();
  }

  keepFresh() {
    const again = async () => {
      if (!document.hidden && !this.job) await this.refresh();
      this.keepFresh();
    };
    setTimeout(again, this.offered ? FRESH_MS : SOON_MS);
  }

  listen() {
    byId("wish").addEventListener("submit", (event) => {
      event.preventDefault();
      this.generate();
    });
    byId("wish").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.generate();
    });
    byId("cancel").addEventListener("click", () => this.job?.cancel());
    byId("keep-seed").addEventListener("click", () => this.keepSeed());
  }

  /** Read what the live fleet offers. */
  async refresh() {
    try {
      const { frontiers } = await json("/plans");
      if (!frontiers.length) throw nobody();
      this.form.offer(frontiers);
      this.offered = true;
    } catch (problem) {
      if (!this.offered) byId("buys").textContent = `${problem.title}. ${problem.message}`;
    }
  }

  generate() {
    if (this.job) return;
    if (
      this.form.mark(this.form.check()).length ||
      document.querySelector("#wish [aria-invalid=true]")
    )
      return;
    const request = this.form.request;
    this.go(request, (job) => job.submit({ ...request, previews: this.form.previews }));
  }

  /** Run a job to its end; `begin` hands it in, or knows where it already is. */
  async go(request, begin) {
    this.job = new Job(this);
    this.busy(true);
    byId("picture").scrollIntoView({ block: "nearest" });
    try {
      const ticket = await begin(this.job);
      this.request = { ...request, ...ticket.request };
      const made = await this.job.run(ticket);
      const { previews, ...kept } = this.request;
      const entry = { request: kept, ...made };
      this.show(entry);
      this.history.add(entry);
    } catch (problem) {
      this.failed(problem);
    } finally {
      this.job = null;
      this.busy(false);
      this.refresh(); // every run corrects what the next ones are predicted to take
    }
  }

  busy(on) {
    byId("generate").disabled = on;
    byId("cancel").hidden = !on;
    byId("bar").hidden = !on;
    byId("picture").setAttribute("aria-busy", on);
    if (!on) return;
    byId("trouble").hidden = true;
    byId("bar").removeAttribute("value");
    byId("links").hidden = true;
    byId("time-panel").hidden = true;
    byId("empty").textContent = "";
    this.say("Handing it in …");
  }

  say(text) {
    byId("progress").textContent = text;
  }

  // What a job tells on its way.
  queued(position) {
    this.say(position ? `${count(position, "job")} before this one.` : "Next in the queue.");
  }
  running() {
    this.say("Encoding the prompt …");
  }
  lost(isLost) {
    if (isLost) this.say("The connection is lost; trying again. The job goes on.");
  }
  step({ step, steps, predicted_left_ms }) {
    byId("bar").value = step / steps;
    this.heat.advance(step);
    this.say(
      step < steps
        ? `Step ${step} of ${steps}\nabout ${milliseconds(predicted_left_ms)} left`
        : "Decoding the picture …",
    );
  }
  table(table) {
    byId("schedule-panel").hidden = false;
    byId("plan-line").textContent =
      `${table.name}: ${count(table.steps, "step")} of ${count(table.units.length, "unit")}`;
    this.heat.show(table, 0);
  }
  preview(blob, step) {
    if (this.job) this.picture(blob, `Preview after step ${step}`, true);
  }

  picture(blob, text, isPreview = false) {
    const image = byId("image"),
      old = this.address;
    this.address = URL.createObjectURL(blob);
    image.src = this.address;
    image.alt = text;
    image.hidden = false;
    image.classList.toggle("preview", isPreview);
    byId("empty").textContent = "";
    if (old) URL.revokeObjectURL(old);
  }

  /** Show a finished picture and how it was made. */
  show(entry) {
    const { blob, result, table, stepsMs, request } = entry;
    this.shown = entry;
    this.request = request;
    this.picture(blob, `Picture for the prompt: ${request.prompt}`);
    this.say(summary(result));
    const link = byId("download");
    link.href = this.address;
    link.download = `${request.prompt.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "picture"}-${result.images[0].seed}.png`;
    byId("links").hidden = false;
    byId("time-panel").hidden = false;
    showVerdict(byId("verdict"), result);
    showTiming(byId("timing"), result.timing, stepsMs);
    byId("schedule-panel").hidden = !table;
    if (!table) return;
    this.heat.show(table, table.steps);
    byId("plan-line").textContent = planLine(result);
  }

  /** Make the seed of the shown picture that of the next ones. */
  keepSeed() {
    byId("seed").value = this.shown.result.images[0].seed;
    byId("seed").closest("details").open = true;
    this.code.write();
  }

  recall(entry) {
    if (this.job) return;
    byId("trouble").hidden = true;
    this.form.mark([]);
    this.form.fill(entry.request);
    this.show(entry);
    byId("main").scrollIntoView();
    byId("prompt").focus({ preventScroll: true });
  }

  failed(problem) {
    const place = byId("trouble");
    byId("empty").textContent = byId("image").hidden ? "No picture this time." : "";
    this.say("");
    if (problem.kind === "cancelled") {
      this.say("Cancelled.");
      return;
    }
    if (!(problem instanceof Problem)) throw problem;
    const left = this.form.mark(problem.fields);
    if (problem.fields.length && !left.length) return;
    const ways = remedies(problem).map((way) => this.remedy(way));
    place.replaceChildren(
      el("p", {}, el("strong", { textContent: problem.title }), " ", problem.message),
      ...ways,
    );
    place.hidden = false;
  }

  remedy({ label, budget_ms }) {
    const button = el("button", { type: "button", textContent: label });
    button.addEventListener("click", () => {
      if (budget_ms) this.scale.set(budget_ms);
      this.generate();
    });
    return button;
  }
}

const nobody = () =>
  new Problem({ title: "No worker is ready", detail: "It is asked again until one is." }, 503);

function summary({ plan, timing, images }) {
  return `Quality ${quality(plan.quality.value)} in ${milliseconds(timing.total_ms)}\nseed ${images[0].seed}`;
}

/** What the run itself changed of the plan to end when it was promised to. */
function steered({ hurried_steps, extended_steps }) {
  const changes = [
    hurried_steps && `${count(hurried_steps, "step")} computed less`,
    extended_steps && `${count(extended_steps, "step")} computed more`,
  ].filter(Boolean);
  return changes.length ? ` To end in time, ${changes.join(" and ")} than planned.` : "";
}

function planLine({ plan, cache, batch_size, worker }) {
  const replaced = plan.replanned ? ", taken in place of the planned one" : "";
  const shared = batch_size > 1 ? ` In a batch of ${batch_size}.` : "";
  const corrected = plan.correction ? ", corrected" : "";
  const what = `${plan.solver}, ${count(plan.steps, "step")}, ${plan.schedule}${corrected}${replaced}`;
  return `${what}.${steered(plan)} ${percent(cache.hit_ratio)} of the unit runs were spared.${shared} Made by ${worker}.`;
}
