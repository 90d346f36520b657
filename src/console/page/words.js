// Words, numbers and times in the reader's language and time zone.

let words = {};
let language = "en";
let zone = "local";

/** ?lang= before what was chosen before the browser's own. */
export function wantedLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = asked ?? localStorage.language ?? navigator.language;
  return wanted.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
}

export const setZone = (name) => (zone = name);

export async function speak(wanted) {
  const answer = await fetch(`i18n/${wanted}.json`);
  words = await answer.json();
  language = wanted;
  document.documentElement.lang = wanted;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-l]")) element.setAttribute("aria-label", t(element.dataset.l));
}

export const known = (key) => Object.hasOwn(words, key);

/** What the words name under a key: "cause" → token, no_query, … */
export const named = (key) =>
  Object.keys(words).filter((name) => name.startsWith(`${key}.`) && !name.endsWith(".cure")).map((name) => name.slice(key.length + 1));

/** The words of a key, with {names} filled in; the key's last part where there are none. */
export function t(key, values = {}) {
  const text = known(key) ? words[key] : key.split(/\.(.*)/s)[1] ?? key;
  const shown = (value) => (typeof value === "number" ? number(value) : value);
  return text.replace(/\{(\w+)\}/g, (all, name) => shown(values[name]) ?? all);
}

const none = (value) => (value ?? null) === null;

export const number = (value, digits = 0) =>
  none(value) ? "–" : value.toLocaleString(language, { maximumFractionDigits: digits });

export const ms = (value) =>
  none(value) ? "–" : value >= 1000 ? `${number(value / 1000, 2)} s` : `${number(value, value < 10 ? 1 : 0)} ms`;

export function bytes(value) {
  if (none(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), 4);
  return `${number(value / 2 ** (10 * step), step ? 1 : 0)} ${units[step]}`;
}

const zoned = (options) =>
  new Intl.DateTimeFormat(language, { hour12: false, ...options, ...(zone === "utc" ? { timeZone: "UTC" } : {}) });

const HOUR = { hour: "2-digit", minute: "2-digit" };
export const minute = (at) => zoned(HOUR).format(at);
export const clock = (at) => zoned({ ...HOUR, second: "2-digit" }).format(at);
export const date = (at) => zoned({ dateStyle: "medium", timeStyle: "medium", hour12: undefined }).format(at);

/** How long ago, or how long: in the largest unit that fits. */
export function span(seconds) {
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = steps.find(([, size]) => seconds >= size) ?? steps[3];
  const whole = Math.max(0, Math.floor(seconds / size));
  return whole.toLocaleString(language, { style: "unit", unit, unitDisplay: "long" });
}

export const ago = (at, now) => t("ago", { span: span((now - at) / 1000) });
