// One job from its request to its picture, told to `view` as it happens.
import { call, follow, picture, planName, planTable, post } from "./api.js";
import { Problem } from "./errors.js";

const RUNNING = "blockcache.job";

/** What was running when the page was left, to go on with. */
export function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(RUNNING));
  } catch {
    return null;
  }
}

export class Job {
  constructor(view) {
    this.view = view;
    this.path = "";
    this.seen = { step: 0, at: 0, stepsMs: [] };
  }

  /** Hand a request in: where its job is, and by which plan it is to be made. */
  async submit(request) {
    const answer = await post("/jobs", request);
    return {
      path: answer.headers.get("Location"),
      plan: answer.headers.get("X-Blockcache-Plan"),
      request,
    };
  }

  /** Follow a job that was handed in; returns {blob, result, table, stepsMs}. Throws a Problem. */
  async run(ticket) {
    this.path = ticket.path;
    sessionStorage.setItem(RUNNING, JSON.stringify(ticket));
    try {
      const table = ticket.plan
        ? planTable(ticket.plan, ticket.request)
            .then((found) => (this.view.table(found), found))
            .catch(() => null)
        : null;
      const ended = await follow(
        this.path,
        (...event) => this.tell(...event),
        (lost) => this.view.lost(lost),
      );
      if (!ended.result) throw failure(ended);
      return await this.made(ended.result, await table, ticket.request);
    } finally {
      sessionStorage.removeItem(RUNNING);
    }
  }

  async made(result, ordered, request) {
    const ran = planName(result.plan);
    const blob = await picture(result.images[0].url);
    const same =
      ordered &&
      [ordered.name, ordered.name.replace(/-corrected$/, "")].includes(
        ran.replace(/-corrected$/, ""),
      );
    const table = same ? ordered : await planTable(ran, request).catch(() => null);
    return { blob, result, table, stepsMs: this.seen.stepsMs };
  }

  cancel() {
    return call(this.path, { method: "DELETE" }).catch(() => {});
  }

  tell(name, data, at) {
    if (name === "queued") this.view.queued(data.position ?? 0);
    if (name === "running") this.began(at);
    if (name === "step") this.stepped(data, at);
    if (name === "preview") this.preview(data);
  }

  began(at) {
    this.seen = { step: 0, at, stepsMs: [] };
    this.view.running();
  }

  stepped(data, at) {
    const { seen } = this;
    if (seen.at && data.step > seen.step) {
      const each = (at - seen.at) / (data.step - seen.step);
      for (let step = seen.step; step < data.step; step += 1) seen.stepsMs[step] = each;
    }
    seen.step = data.step;
    seen.at = at;
    this.view.step(data);
  }

  async preview(data) {
    const blob = await picture(data.url).catch(() => null);
    if (blob) this.view.preview(blob, data.step);
  }
}

function failure(job) {
  const cancelled = job.state === "cancelled";
  const title = cancelled ? "Cancelled" : "No picture this time";
  return new Problem(
    {
      title,
      detail: job.failure?.detail ?? "The job has ended.",
      type: cancelled ? ":cancelled" : ":failed",
    },
    cancelled ? 499 : 504,
  );
}
