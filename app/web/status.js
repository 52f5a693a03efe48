// The service as it is: workers, queue, and the last minutes as this gateway saw them.
import { json } from "./api.js";
import {
  byId,
  colour,
  count,
  el,
  milliseconds,
  onResize,
  onTheme,
  percent,
  quality,
  styles,
} from "./dom.js";

const POLL_MS = 2000;
const SMOOTH = 6; // buckets to a point: half a minute

export class Status {
  constructor() {
    this.plots = [];
    this.timer = 0;
  }

  /** Show it and keep it fresh until `hide`. */
  async open() {
    if (!this.built) await this.build();
    this.visible = true;
    clearTimeout(this.timer);
    await this.refresh();
  }

  hide() {
    this.visible = false;
    clearTimeout(this.timer);
  }

  async build() {
    this.built = true;
    await styles("vendor/uplot.css", "status.css");
    ({ uPlot: this.uPlot } = await import("./vendor/uplot.js"));
    this.note = el("p", { className: "wrong", role: "status" });
    this.tiles = el("dl", { className: "tiles" });
    this.charts = el("div", { className: "charts" });
    this.workers = el("div", {
      className: "scroll",
      tabIndex: 0,
      role: "region",
      "aria-label": "Workers",
    });
    this.models = el("div", {
      className: "scroll",
      tabIndex: 0,
      role: "region",
      "aria-label": "Models",
    });
    byId("status").replaceChildren(
      el("h1", { id: "status-title", textContent: "Status" }),
      this.note,
      this.tiles,
      this.charts,
      el("div", { className: "panel" }, el("h2", { textContent: "Workers" }), this.workers),
      el("div", { className: "panel" }, el("h2", { textContent: "Models" }), this.models),
      el("p", {
        className: "help",
        textContent:
          "Rates and shares are what this gateway saw; others may serve beside it. The whole fleet is in Prometheus: GET /metrics, and each worker's own.",
      }),
    );
    onResize(this.charts, () => this.draw());
    onTheme(() => this.draw());
  }

  async refresh() {
    try {
      const [status, { models }] = await Promise.all([json("/status"), json("/models")]);
      this.note.textContent = "";
      this.show(status, models);
    } catch (problem) {
      this.note.textContent = `${problem.title}. ${problem.message}`;
    }
    if (this.visible) this.timer = setTimeout(() => this.refresh(), POLL_MS);
  }

  show(status, models) {
    this.series = series(status);
    const minute = lastMinute(status),
      waiting = status.queue.reduce((sum, { jobs }) => sum + jobs, 0);
    const work = status.queue.reduce((sum, { work_ms }) => sum + work_ms, 0);
    this.tiles.replaceChildren(
      tile("Pictures a second", minute.perSecond.toFixed(2), "last minute"),
      tile("In time", share(minute.in_time, minute.promised), `of ${minute.promised} in 15 min`),
      tile("Unit runs spared", share(minute.spared, minute.runs), "hit ratio, 15 min"),
      tile("Waiting", String(waiting), waiting ? `${milliseconds(work)} of work` : "nobody waits"),
      tile(
        "Workers",
        String(status.workers.filter((worker) => worker.ready).length),
        status.dead_letters ? `${count(status.dead_letters, "dead letter")}` : "ready",
      ),
    );
    this.workers.replaceChildren(workersTable(status.workers));
    this.models.replaceChildren(modelsTable(models, status.queue));
    this.draw();
  }

  draw() {
    const width = this.charts?.clientWidth;
    if (!this.series || !width) return;
    if (this.plots.length && this.drawnAt === this.look(width)) {
      this.plots[0].setData([this.series.at, this.series.perSecond]);
      this.plots[1].setData([this.series.at, this.series.inTime, this.series.spared]);
      return;
    }
    this.drawnAt = this.look(width);
    for (const plot of this.plots) plot.destroy();
    const images = el("div", { className: "plot" }),
      shares = el("div", { className: "plot" });
    this.charts.replaceChildren(
      el("div", { className: "chart" }, el("h2", { textContent: "Pictures a second" }), images),
      el(
        "div",
        { className: "chart" },
        el("h2", { textContent: "In time, and unit runs spared" }),
        shares,
      ),
    );
    const wide = images.clientWidth;
    this.plots = [
      this.plot(
        images,
        wide,
        [line("pictures/s", colour("computed"), (value) => value.toFixed(2))],
        [this.series.at, this.series.perSecond],
        null,
      ),
      this.plot(
        shares,
        wide,
        [line("in time", colour("good"), percent), line("spared", colour("computed"), percent)],
        [this.series.at, this.series.inTime, this.series.spared],
        [0, 1],
      ),
    ];
  }

  look(width) {
    return `${width} ${colour("paper")}`;
  }

  plot(place, width, lines, data, range) {
    const soft = colour("soft"),
      grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: soft, grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const shown = range
      ? (u, values) => values.map(percent)
      : (u, values) => values.map((value) => String(Math.round(value * 100) / 100));
    return new this.uPlot(
      {
        width,
        height: 190,
        legend: { live: true },
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: range ?? ((u, low, high) => [0, Math.max(high * 1.15, 0.5)]) } },
        axes: [
          { ...axis, values: (u, values) => values.map(clock) },
          { ...axis, size: 56, values: shown },
        ],
        series: [{ label: "time", value: (u, at) => (at == null ? "–" : clock(at)) }, ...lines],
      },
      data,
      place,
    );
  }
}

const clock = (s) =>
  new Date(s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
const line = (label, stroke, word) => ({
  label,
  stroke,
  width: 2,
  spanGaps: true,
  points: { show: false },
  value: (u, value) => (value == null ? "–" : word(value)),
});
const share = (part, all) => (all ? percent(part / all) : "–");

function tile(name, value, note) {
  return el(
    "div",
    {},
    el("dt", { textContent: name }),
    el("dd", {}, value, el("small", { textContent: note })),
  );
}

function total(buckets, name) {
  return buckets.reduce((sum, bucket) => sum + bucket[name], 0);
}

function lastMinute({ now_unix_ms, recent }) {
  const { buckets } = recent,
    fresh = buckets.filter(({ at_unix_s }) => at_unix_s > now_unix_ms / 1000 - 60);
  const in_time = total(buckets, "in_time"),
    spared = total(buckets, "reused") + total(buckets, "skipped");
  return {
    perSecond: total(fresh, "images") / 60,
    in_time,
    promised: in_time + total(buckets, "late") + total(buckets, "lost"),
    spared,
    runs: spared + total(buckets, "computed"),
  };
}

/** Moving sums of half a minute over the whole window; empty stretches count as nothing happened. */
function series({ now_unix_ms, recent }) {
  const { bucket_s, window_s, buckets } = recent,
    by = new Map(buckets.map((bucket) => [bucket.at_unix_s, bucket]));
  const end = Math.floor(now_unix_ms / 1000 / bucket_s) * bucket_s;
  const found = { at: [], perSecond: [], inTime: [], spared: [] };
  for (let at = end - window_s; at <= end; at += bucket_s) {
    const near = Array.from({ length: SMOOTH }, (_, back) => by.get(at - back * bucket_s)).filter(
      Boolean,
    );
    const in_time = total(near, "in_time"),
      promised = in_time + total(near, "late") + total(near, "lost");
    const spared = total(near, "reused") + total(near, "skipped"),
      runs = spared + total(near, "computed");
    found.at.push(at);
    found.perSecond.push(total(near, "images") / (SMOOTH * bucket_s));
    found.inTime.push(promised ? in_time / promised : null);
    found.spared.push(runs ? spared / runs : null);
  }
  return found;
}

function table(heads, rows) {
  const head = el("tr", {}, ...heads.map((text) => el("th", { textContent: text, scope: "col" })));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
}

function workersTable(workers) {
  if (!workers.length) return el("p", { className: "help", textContent: "No worker is there." });
  return table(
    ["Worker", "State", "Model", "Size", "Device", "Largest batch"],
    workers.map((worker) => [
      el("span", { className: "mono", textContent: worker.worker }),
      state(worker),
      worker.model,
      `${worker.width}×${worker.height}`,
      `${worker.device}, ${worker.dtype}`,
      String(worker.max_batch),
    ]),
  );
}

function state({ ready, busy_ms }) {
  const name = !ready ? "starting" : busy_ms > 0 ? "busy" : "ready";
  return el("span", {
    className: `state ${name}`,
    textContent: name === "busy" ? `busy for ${milliseconds(busy_ms)}` : name,
  });
}

function modelsTable(models, queue) {
  const waiting = new Map();
  for (const { model, jobs } of queue) waiting.set(model, (waiting.get(model) ?? 0) + jobs);
  return table(
    ["Model", "Sizes", "Workers", "Waiting", "Best quality"],
    models.map((model) => [
      model.id,
      model.sizes.join(", ").replaceAll("x", "×"),
      String(model.workers),
      String(waiting.get(model.id) ?? 0),
      `${quality(model.best_quality)} (${model.quality_metric})`,
    ]),
  );
}
