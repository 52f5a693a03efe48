// Brings the views together: which one is shown is in the address.
import { byId } from "./dom.js";
import * as keys from "./key.js";
import { Playground } from "./playground.js";

const VIEWS = ["playground", "compare", "status"];
const TITLES = {
  playground: "blockcache",
  compare: "Compare · blockcache",
  status: "Status · blockcache",
};
const playground = new Playground();
const lazily = {
  compare: async () => new (await import("./compare.js")).Compare(playground.form),
  status: async () => new (await import("./status.js")).Status(),
};
const opened = {};

async function show() {
  const asked = location.hash.slice(1),
    view = VIEWS.includes(asked) ? asked : "playground";
  document.title = TITLES[view];
  for (const name of VIEWS) {
    byId(name).hidden = name !== view;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (name !== view) (await opened[name])?.hide?.();
  }
  if (!lazily[view]) return;
  opened[view] ??= lazily[view]();
  (await opened[view]).open?.();
}

addEventListener("hashchange", async () => {
  if (location.hash === "#main") return;
  await show();
  scrollTo(0, 0);
});
byId("to-compare").addEventListener("click", async () => {
  playground.keepSeed();
  const compare = await opened.compare;
  if (compare) compare.touched = false;
  location.hash = "#compare";
});
keys.start(() => playground.refresh());
show();
playground.start();
