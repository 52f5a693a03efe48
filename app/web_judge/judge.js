"use strict";

const part = (id) => document.getElementById(id);
const verdicts = { left: part("left"), right: part("right"), tie: part("tie") };
const back = part("back");
const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", " ": "tie" };
const nothing = { done: 0, total: 0, prompt: null, question: document.title };
let now = nothing;
let busy = false;

const picture = (position, side) => `pictures/${position}/${side}`;

function enable(ready) {
  // Buttons stay enabled while a vote is under way: a disabled one would lose the focus.
  busy = !ready;
  part("pair").ariaBusy = String(busy);
  for (const button of Object.values(verdicts)) button.disabled = now.prompt === null;
  back.disabled = now.done === 0;
}

async function load(image, address) {
  image.src = address;
  await image.decode();
}

function warm(position) {
  for (const side of ["left", "right"]) new Image().src = picture(position, side);
}

async function show(progress) {
  now = progress;
  const finished = now.prompt === null;
  part("question").textContent = document.title = now.question;
  part("prompt").textContent = now.prompt ?? "";
  part("count").textContent = finished
    ? `All ${now.total} pairs judged`
    : `Pair ${now.done + 1} of ${now.total}`;
  part("progress").max = now.total;
  part("progress").value = now.done;
  part("thanks").hidden = !finished;
  part("pair").hidden = finished;
  if (!finished) await pictures();
}

// Neither picture is there before the other: who sees one first may like it better.
async function pictures() {
  part("pair").classList.add("loading");
  await Promise.all(
    ["left", "right"].map((side) => load(part(`${side}-picture`), picture(now.done, side))),
  );
  part("pair").classList.remove("loading");
  if (now.done + 1 < now.total) warm(now.done + 1);
}

async function ask(address, options = {}) {
  const answer = await fetch(address, options);
  const said = await answer.json();
  if (answer.status === 409) return ask("progress");
  if (!answer.ok) throw new Error(said.detail);
  return said;
}

async function act(address, options) {
  if (busy) return;
  enable(false);
  part("trouble").textContent = "";
  try {
    await show(await ask(address, options));
  } catch (error) {
    const why = error instanceof TypeError ? "The server does not answer." : error.message;
    part("trouble").textContent = `${why} Nothing was lost: try again, or load the page again.`;
  }
  enable(true);
}

// What could not be loaded was not seen, so it is asked for again instead of voted on.
const unseen = () => part("pair").classList.contains("loading");

function vote(choice) {
  if (now.total > 0 && now.prompt === null) return;
  if (unseen()) return act("progress");
  act(`votes/${now.done}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ choice }),
  });
}

const takeBack = () => now.done === 0 || act(`votes/${now.done - 1}`, { method: "DELETE" });

for (const [choice, button] of Object.entries(verdicts)) {
  button.addEventListener("click", () => vote(choice));
}
back.addEventListener("click", takeBack);
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  const pressesButton = event.key === " " && event.target instanceof HTMLButtonElement;
  const choice = pressesButton ? undefined : keys[event.key];
  if (choice) {
    event.preventDefault();
    vote(choice);
  } else if (event.key === "Backspace") {
    event.preventDefault();
    takeBack();
  }
});

act("progress");
