// The budget's scale: what each budget buys now, drawn from the live frontier (GET /plans).
import { byId, count, el, milliseconds, onResize, quality, svg } from "./dom.js";

const HEIGHT = 112,
  TOP = 16,
  BOTTOM = 22,
  EDGE = 10;
const STEPS = 1000;

/** What a frontier offers: [budget it takes, plan], cheapest first, and the ends of the scale. */
export function offersOf(frontier) {
  const overhead =
    frontier.minimum_latency_ms - Math.min(...frontier.plans.map((plan) => plan.p95_ms));
  const plans = frontier.plans
    .map((plan) => ({ needs_ms: Math.ceil(plan.p95_ms + Math.max(overhead, 0)), plan }))
    .sort((a, b) => a.needs_ms - b.needs_ms);
  const best = plans[plans.length - 1].needs_ms;
  return {
    plans,
    minimum_ms: frontier.minimum_latency_ms,
    from: frontier.minimum_latency_ms * 0.55,
    to: best * 1.4,
  };
}

/** The best plan that a budget buys, null below the smallest. */
export function bought(offers, budgetMs) {
  const fit = offers.plans.filter((offer) => offer.needs_ms <= budgetMs);
  return fit.reduce(
    (best, offer) => (best && best.plan.quality.value >= offer.plan.quality.value ? best : offer),
    null,
  );
}

const toShare = (offers, ms) => Math.log(ms / offers.from) / Math.log(offers.to / offers.from);
const toMs = (offers, share) => offers.from * (offers.to / offers.from) ** share;
const clamp = (share) => Math.min(Math.max(share, 0), 1);

export class BudgetScale {
  constructor() {
    this.slider = byId("budget");
    this.number = byId("budget-ms");
    this.drawing = byId("frontier");
    this.offers = null;
    this.changed = () => {};
    this.slider.addEventListener("input", () =>
      this.set(Math.round(toMs(this.offers, this.slider.value / STEPS)), this.slider),
    );
    this.number.addEventListener("input", () => {
      if (this.number.value) this.set(Number(this.number.value), this.number);
    });
    onResize(this.drawing.parentElement, () => this.draw());
  }

  get ms() {
    return Number(this.number.value);
  }

  /** Show another frontier; the budget stays, unless there was none yet. */
  show(frontier) {
    this.offers = offersOf(frontier);
    this.slider.disabled = false;
    if (!this.number.value && document.activeElement !== this.number)
      this.number.value = this.usual();
    this.set(this.ms);
  }

  /** A budget that buys a good picture without waiting for the last thousandth. */
  usual() {
    const good = this.offers.plans.find((offer) => offer.plan.quality.value >= 0.98);
    const chosen = (good ?? this.offers.plans[this.offers.plans.length - 1]).needs_ms;
    return Math.ceil((chosen * 1.2) / 10) * 10;
  }

  set(ms, source = null) {
    if (source !== this.number) this.number.value = ms;
    if (!this.offers) return;
    if (source !== this.slider)
      this.slider.value = Math.round(clamp(toShare(this.offers, Math.max(ms, 1))) * STEPS);
    this.describe(ms);
    this.draw();
    this.changed();
  }

  describe(ms) {
    const offer = bought(this.offers, ms),
      line = byId("buys");
    line.replaceChildren();
    if (!offer) {
      line.append(
        "Nothing is that fast here. The smallest budget that is promised is ",
        el("strong", { textContent: milliseconds(this.offers.minimum_ms) }),
        ".",
      );
      this.slider.setAttribute("aria-valuetext", `${Math.round(ms)} milliseconds: too small`);
      return;
    }
    const { plan } = offer;
    const what = `${count(plan.steps, "step")}, ${Math.round(plan.compute_fraction * 100)} % computed`;
    line.append(
      el("strong", { textContent: `Quality ${quality(plan.quality.value)}` }),
      ` in ${what}, about ${milliseconds(plan.predicted_ms)}.`,
    );
    this.slider.setAttribute(
      "aria-valuetext",
      `${Math.round(ms)} milliseconds: quality ${quality(plan.quality.value)} in ${what}`,
    );
  }

  draw() {
    const width = this.drawing.parentElement.clientWidth;
    if (!this.offers || !width) return;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const x = (ms) => EDGE + clamp(toShare(this.offers, ms)) * (width - 2 * EDGE);
    const y = (value) => TOP + (1 - value) * (HEIGHT - TOP - BOTTOM);
    this.drawing.replaceChildren(
      ...this.closed(x),
      ...this.curve(x, y, width),
      ...this.ticks(x),
      ...this.marker(x, y),
    );
  }

  closed(x) {
    const until = x(this.offers.minimum_ms),
      high = HEIGHT - TOP - BOTTOM;
    const hatch = svg("pattern", {
      id: "hatch",
      width: 7,
      height: 7,
      patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)",
    });
    hatch.append(svg("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch" }));
    const box = { x: EDGE, y: TOP, width: Math.max(until - EDGE, 0), height: high };
    const label = until - EDGE > 60 ? [svg("text", { x: EDGE + 4, y: TOP - 5 }, "too small")] : [];
    return [
      hatch,
      svg("rect", { ...box, class: "closed" }),
      svg("rect", { ...box, fill: "url(#hatch)" }),
      ...label,
    ];
  }

  curve(x, y, width) {
    const floor = HEIGHT - BOTTOM,
      points = [];
    let best = 0;
    for (const { needs_ms, plan } of this.offers.plans) {
      if (plan.quality.value <= best) continue;
      points.push(`${x(needs_ms)},${y(best)}`, `${x(needs_ms)},${y(plan.quality.value)}`);
      best = plan.quality.value;
    }
    points.push(`${width - EDGE},${y(best)}`);
    const start = x(this.offers.plans[0].needs_ms);
    return [
      svg("polygon", {
        points: `${start},${floor} ${points.join(" ")} ${width - EDGE},${floor}`,
        class: "area",
      }),
      svg("polyline", { points: points.join(" "), class: "edge" }),
      svg(
        "text",
        { x: width - EDGE, y: TOP - 5, "text-anchor": "end" },
        `quality ${quality(best)}`,
      ),
    ];
  }

  ticks(x) {
    const { from, to } = this.offers,
      made = [];
    let last = -Infinity;
    for (let power = 1; power <= 1e6; power *= 10) {
      for (const ms of [power, 2 * power, 5 * power]) {
        if (ms < from * 1.02 || ms > to * 0.98 || x(ms) - last < 44) continue;
        last = x(ms);
        made.push(
          svg(
            "text",
            { x: last, y: HEIGHT - 7, "text-anchor": "middle" },
            ms < 1000 ? `${ms} ms` : `${ms / 1000} s`,
          ),
        );
      }
    }
    return made;
  }

  marker(x, y) {
    const at = x(Math.max(this.ms, 1)),
      offer = bought(this.offers, this.ms);
    const dot = offer
      ? [svg("circle", { cx: at, cy: y(offer.plan.quality.value), r: 5, class: "dot" })]
      : [];
    return [svg("line", { x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM, class: "mark" }), ...dot];
  }
}
