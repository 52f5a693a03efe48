// Where the time went: a bar of stages, and the pace of the steps.
import { el, milliseconds, percent } from "./dom.js";

const STAGES = [
  ["queue_ms", "wait"],
  ["encode_ms", "encode"],
  ["denoise_ms", "denoise"],
  ["decode_ms", "decode"],
  ["png_ms", "file"],
  ["other_ms", "other"],
];

export function showTiming(place, timing, stepsMs) {
  const known = STAGES.slice(0, -1).reduce((sum, [name]) => sum + timing[name], 0);
  const all = { ...timing, other_ms: Math.max(timing.total_ms - known, 0) };
  const shown = STAGES.filter(([name]) => all[name] > 0);
  const stack = el("div", { className: "stack", "aria-hidden": "true" });
  stack.append(
    ...shown.map(([name]) => {
      const part = el("span", { className: name });
      part.style.flexGrow = all[name];
      return part;
    }),
  );
  const list = el(
    "div",
    { className: "key-list" },
    ...shown.map(([name, word]) =>
      el(
        "span",
        {},
        el("span", { className: `swatch ${name}` }),
        `${word} `,
        el("b", { textContent: milliseconds(all[name]) }),
      ),
    ),
  );
  place.replaceChildren(stack, list, ...pace(stepsMs));
}

/** One bar a step, where its time was seen. */
function pace(stepsMs) {
  const known = stepsMs.filter((ms) => ms >= 0);
  if (known.length < 2) return [];
  const most = Math.max(...known, 1),
    bars = el("div", { className: "pace", "aria-hidden": "true" });
  bars.append(
    ...stepsMs.map((ms, step) => {
      const bar = el("span", {
        title: `step ${step + 1}: ${ms >= 0 ? milliseconds(ms) : "not seen"}`,
      });
      bar.style.height = `${(Math.max(ms, 0) / most) * 100}%`;
      return bar;
    }),
  );
  const least = milliseconds(Math.min(...known)),
    longest = milliseconds(most);
  const text = `Each step took ${least === longest ? `about ${least}` : `${least} to ${longest}`}, as they were reported.`;
  return [bars, el("p", { className: "help", textContent: text })];
}

export function showVerdict(place, result) {
  const { budget, timing, plan } = result;
  const used = `${milliseconds(timing.total_ms)} of ${milliseconds(budget.requested_ms)} (${percent(timing.total_ms / budget.requested_ms)})`;
  place.replaceChildren(
    el("span", {
      className: budget.met ? "met" : "late",
      textContent: budget.met ? "Budget kept" : "Too late",
    }),
    `: ${used}. Predicted: ${milliseconds(plan.predicted_ms)}.`,
  );
}
