// Builds elements. Text goes in by textContent only: nothing of an event is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element; properties that begin with "on" are listeners, the others attributes. */
export function h(tag, properties, ...children) {
  const svg = ["svg", "line"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Control and direction characters as escapes: a channel must not turn the text around it. */
function visible(text) {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (odd) => `\\u${odd.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Text that somebody else wrote. */
export const foreign = (text) => h("bdi", {}, visible(String(text)));

/** A table in a container that scrolls; columns are {title, n: number?, w: unbroken?, m: wide?}. */
export function table(caption, columns, rows, empty) {
  if (rows.length === 0 && empty) return h("p", { class: "empty" }, empty);
  const cell = (value, place) => {
    const { n, w, m } = columns[place];
    const kind = n ? "n" : w ? "w" : m ? "m" : undefined;
    return place === 0 && !n
      ? h("th", { scope: "row", class: kind }, value ?? "–")
      : h("td", { class: kind }, value ?? "–");
  };
  const body = rows.map((row) => h("tr", {}, row.map(cell)));
  const head = columns.map((column) => h("th", { scope: "col", class: column.n ? "n" : undefined }, column.title));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

/** Pairs of name and value. */
export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.filter(Boolean).flatMap(([name, ...value]) => [h("dt", {}, name), h("dd", {}, ...value)]));

export const card = (title, ...children) => h("section", { class: "card" }, title && h("h2", {}, title), children);

/** Puts new children in, unless the reader has focus or a selection there: what is read must not move away. */
export function replace(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.id || active?.dataset?.key || active?.getAttribute?.("aria-label");
  const left = [...element.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const open = new Set([...element.querySelectorAll("details[open]")].map((box) => box.dataset.key));
  element.replaceChildren(...children.flat().filter(Boolean));
  element.querySelectorAll(".scroll").forEach((box, place) => (box.scrollLeft = left[place] ?? 0));
  element.querySelectorAll("details").forEach((box) => open.has(box.dataset.key) && (box.open = true));
  if (!key) return;
  const same = [...element.querySelectorAll("[id],[data-key],[aria-label]")];
  same.find((one) => [one.id, one.dataset.key, one.getAttribute("aria-label")].includes(key))?.focus({ preventScroll: true });
}
