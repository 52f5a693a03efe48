// A refusal of the service (RFC 9457), and what can be done about it.

export class Problem extends Error {
  constructor(body, status, retryAfterS = 0) {
    super(body.detail ?? body.title);
    this.title = body.title ?? "That did not work";
    this.status = status;
    this.kind = (body.type ?? "").split(/[:#]/).pop();
    this.minimumMs = body.minimum_latency_ms ?? null;
    this.fields = body.errors ?? [];
    this.retryAfterS = retryAfterS;
  }
}

export const silent = () =>
  new Problem(
    {
      title: "The service does not answer",
      detail: "Is it still running? Nothing that you typed is lost.",
    },
    0,
  );

/** Read an answer that is an error; one that is no problem body still says its status. */
export async function problemOf(answer) {
  const retryAfterS = Number(answer.headers.get("Retry-After")) || 0;
  try {
    return new Problem(await answer.json(), answer.status, retryAfterS);
  } catch {
    return new Problem(
      { title: `The service answered ${answer.status}` },
      answer.status,
      retryAfterS,
    );
  }
}

/** The ways out of a problem: each a label and what to change before trying again. */
export function remedies(problem) {
  const found = [];
  if (problem.minimumMs) {
    const budget_ms = Math.ceil(problem.minimumMs);
    found.push({ label: `Use ${budget_ms} ms, the smallest that works now`, budget_ms });
  }
  if (
    problem.status === 503 ||
    problem.status === 429 ||
    problem.status === 504 ||
    problem.status === 0
  ) {
    found.push({ label: "Try again", after_s: problem.retryAfterS });
  }
  return found;
}
