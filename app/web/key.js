// The API key: asked for when the service wants one, kept in this browser, sent to this service only.
import { byId } from "./dom.js";

const STORED = "blockcache.key";
let asking = null;

export const key = () => localStorage.getItem(STORED) ?? "";
export const headers = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/** Ask for a key; true when one was given. However many need one, they are asked once. */
export function askForKey(why) {
  asking ??= ask(why).finally(() => {
    asking = null;
  });
  return asking;
}

function ask(why) {
  const dialog = byId("key-dialog");
  if (why) byId("key-why").textContent = why;
  byId("key").value = "";
  byId("key-forget").hidden = !key();
  byId("key-button").hidden = false;
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

export function start(onChange) {
  const dialog = byId("key-dialog");
  byId("key-button").hidden = !key();
  byId("key-button").addEventListener("click", async () => {
    if (await askForKey()) onChange();
  });
  byId("key-close").addEventListener("click", () => dialog.close(""));
  byId("key-forget").addEventListener("click", () => {
    localStorage.removeItem(STORED);
    dialog.close("");
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = byId("key").value.trim();
    if (!/^[\x21-\x7e]+$/.test(given)) {
      byId("key-why").textContent = "A key has letters, digits and signs only; copy it again.";
      return;
    }
    localStorage.setItem(STORED, given);
    dialog.close("given");
  });
}
