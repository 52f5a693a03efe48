// Small words for the document. Text only ever becomes text: nothing here takes HTML.

export const byId = (id) => document.getElementById(id);

/** Make an element: properties by name, then children, which are elements or text. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for" || name === "list")
      made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Make an SVG element. */
export function svg(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Call back when the colours change. */
export function onTheme(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}

/** Call back when an element changes its width. */
export function onResize(element, callback) {
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now === width) return;
    width = now;
    requestAnimationFrame(callback);
  }).observe(element);
}

export function milliseconds(ms) {
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

export const percent = (share) => `${Math.round(share * 100)} %`;
export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** Three decimals, so that good plans can be told from better ones; never rounded up to 1. */
export const quality = (value) => (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3);

/** Load a view's own style sheets, in their order. */
export async function styles(...names) {
  for (const name of names) {
    await new Promise((loaded) => {
      document.head.append(
        el("link", { rel: "stylesheet", href: `/page/${name}`, onload: loaded, onerror: loaded }),
      );
    });
  }
}

/** Make an image whose pixels stay sharp when it is much smaller than its place. */
export function image(properties = {}) {
  const made = el("img", properties);
  keepSharp(made);
  return made;
}

export function keepSharp(shown) {
  const look = () => shown.classList.toggle("tiny", shown.naturalWidth < 256);
  shown.addEventListener("load", look);
}
