// The service's HTTP API, asked with the key where there is one.
import { EventSource } from "./vendor/eventsource.js";
import { problemOf, silent } from "./errors.js";
import { askForKey, headers, key } from "./key.js";

/** Fetch; a refusal is thrown as a Problem. A key is asked for until one is taken or none given. */
export async function call(path, options = {}) {
  const used = key(),
    sent = { ...options.headers, ...headers() };
  const answer = await fetch(path, { ...options, headers: sent }).catch(() => {
    throw silent();
  });
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && (key() !== used || (await askForKey(used && UNKNOWN)))) {
    return call(path, options);
  }
  throw problem;
}

export const json = async (path, options) => (await call(path, options)).json();

export const post = (path, body) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

export const picture = async (path) => (await call(path)).blob();

export function planTable(name, { model, width, height }) {
  const of = model ? `?${new URLSearchParams({ model, width, height })}` : "";
  return json(`/plans/${encodeURIComponent(name)}${of}`);
}

/** The name under which GET /plans/{name} knows a plan that ran. */
export const planName = (plan) =>
  `${plan.solver}-${plan.steps}-${plan.schedule}${plan.correction ? "-corrected" : ""}`;

const UNKNOWN = "The service does not know this key. Check it, or ask whoever runs the service.";
const EVENTS = ["queued", "running", "step", "preview"];
const ENDS = ["finished", "failed", "cancelled"];

/**
 * Follow a job to its end: `on(name, data, atUnixMs)` for each event, `lost(isLost)` as the
 * connection goes and comes. What was missed is sent again. Returns the body of GET /jobs/{id}.
 */
export function follow(path, on, lost) {
  const source = new EventSource(`${path}/events`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers() } }),
  });
  return new Promise((resolve, reject) => {
    const end = (outcome) => {
      source.close();
      resolve(outcome);
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) =>
        on(name, JSON.parse(event.data), Number(event.lastEventId.split("-")[0])),
      );
    }
    for (const name of ENDS) source.addEventListener(name, (event) => end(JSON.parse(event.data)));
    source.addEventListener("open", () => lost(false));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) lost(true);
      else settled(path).then(end, reject);
    });
  });
}

/** A stream that will not be sent again: the job is over, or there is no room; ask for its state. */
async function settled(path) {
  for (;;) {
    const job = await json(path);
    if (job.result || job.failure) return job;
    await new Promise((wake) => setTimeout(wake, 500));
  }
}
