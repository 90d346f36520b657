// Builds elements. Text goes in by textContent only: nothing of an event is ever read as HTML.

import { clock, date, t } from "./words.js";

const given = (value) => (value ?? false) !== false;

/** Makes an element; properties that begin with "on" are listeners, the others attributes. */
export function h(tag, properties = {}, ...children) {
  const svg = tag === "svg" || tag === "line";
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties).filter(([, value]) => given(value))) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(given));
  return element;
}

/** Text that somebody else wrote; control and direction characters, which could turn the text around it, as escapes. */
export const foreign = (text, lang) =>
  text && h("bdi", { lang }, `${text}`.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (odd) => `\\u${odd.codePointAt(0).toString(16).padStart(4, "0")}`));

/** A time for people: the clock's, with the whole date for machines and on hover. */
export const time = (at) =>
  h("time", { datetime: new Date(at).toISOString(), title: date(at) }, Date.now() - at > 20 * 3600e3 ? date(at) : clock(at));

export const code = (text) => h("code", {}, text);

export const tag = (level, text) => h("span", { class: "tag", "data-level": level }, text);

/** A choice out of [value, text], as a select with its label. */
export const choice = (id, label, options, value, change) =>
  h("label", {}, label, h("select", { id, onchange: (event) => change(event.target.value) },
    options.map(([name, text]) => h("option", { value: name, selected: name === value }, text))));

/** A table in a container that scrolls. Columns are [kind, title], or "kind:key kind:key": n a number, w unbroken, m wide, t a text. */
export function table(caption, columns, rows, empty) {
  if (!rows.length && empty) return h("p", { class: "empty" }, empty);
  const heads = columns.map ? columns : columns.split(" ").map((column) => column.split(":")).map(([kind, key]) => [kind, t(key)]);
  const cell = (value, place) => {
    const kind = heads[place][0];
    return place || kind === "n" ? h("td", { class: kind }, value ?? "–") : h("th", { scope: "row", class: kind }, value ?? "–");
  };
  const head = heads.map(([kind, title]) => h("th", { scope: "col", class: kind === "n" && kind }, title));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))));
}

/** Pairs of name and value. */
export const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.filter(Boolean).flatMap(([name, ...value]) => [h("dt", {}, name), h("dd", {}, ...value)]));

/** The same, of values by the ends of their words' keys. */
export const factsOf = (key, values) => facts(Object.entries(values).map(([name, value]) => [t(`${key}.${name}`), ...[value].flat()]));

export const p = (...children) => h("p", {}, ...children);

export const h3 = (key) => h("h3", {}, t(key));

export const card = (title, ...children) => h("section", { class: "card" }, typeof title === "string" ? h("h2", {}, title) : title, ...children);

/** A title with something to choose or to follow beside it. */
export const head = (title, ...beside) => h("div", { class: "head" }, h("h2", {}, title), ...beside);

/** Puts new children in; what is scrolled or has the focus stays so. */
export function replace(element, ...children) {
  const name = (one) => one.id || one.dataset.key || one.getAttribute("aria-label");
  const focused = element.contains(document.activeElement) && name(document.activeElement);
  const left = [...element.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  element.replaceChildren(...children.flat().filter(given));
  element.querySelectorAll(".scroll").forEach((box, place) => (box.scrollLeft = left[place] ?? 0));
  if (focused) [...element.querySelectorAll("[id],[data-key],[aria-label]")].find((one) => name(one) === focused)?.focus({ preventScroll: true });
}
