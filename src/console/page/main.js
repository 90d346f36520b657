// Starts the page: language, colours, address, the stream; and shows the view that the address names.

import { NeedsToken, get, query, stream, token } from "./api.js";
import { accounts } from "./accounts.js";
import { delivery } from "./delivery.js";
import { event, events } from "./events.js";
import { help } from "./help.js";
import { overview } from "./overview.js";
import { quarantine } from "./quarantine.js";
import { known, remember, remembers, setZone, speak, t, wantedLanguage } from "./words.js";

const VIEWS = { "": overview, events, accounts, delivery, quarantine, help };
const byId = (id) => document.getElementById(id);

const app = {
  status: null,
  recent: [],
  parameters: new URLSearchParams(),
  go(path, values) {
    location.hash = `#${path}${query(values)}`;
  },
};

let view = null;
let paused = false;
let connection = "closed";
let announced = { text: "", at: 0 };
let due = 0;
let loading = false;

function address() {
  const [path, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  const [tab, id] = path.split("/");
  return { tab: Object.hasOwn(VIEWS, tab) ? tab : "", id, parameters: new URLSearchParams(parameters) };
}

function open() {
  const { tab, id, parameters } = address();
  app.parameters = parameters;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.getAttribute("href") === `#/${tab}`) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  view?.end?.();
  view = null;
  if (!app.status) return;
  view = tab === "events" && id ? event(app, id) : VIEWS[tab](app);
  const title = t(`tab.${tab || "overview"}`);
  byId("title").textContent = title;
  document.title = `${title} · cardhook`;
  byId("content").replaceChildren(view.element);
  view.update?.();
  load();
}

/** Asks for what the view shows beside the status. */
async function load() {
  if (!view?.load || loading) return;
  loading = true;
  const shown = view;
  try {
    await shown.load();
  } catch (error) {
    failed(error);
  }
  loading = false;
  due = Date.now() + (shown.every ?? 0) * 1000;
  if (view && view !== shown) load();
}

function failed(error) {
  if (error instanceof NeedsToken) return login(true);
  connection = "closed";
  say();
}

function login(needed) {
  byId("login").hidden = !needed;
  byId("view").hidden = needed;
  byId("verdict").hidden = needed;
  if (needed) {
    byId("login-error").textContent = token.get() ? t("login.wrong") : "";
    byId("token").focus();
  }
}

/** The one sentence above everything, and to screen readers at most every 10 s. */
function say() {
  if (!app.status) return;
  const { level, hint } = app.status.verdict;
  const none = !app.status.accounts.some(({ last_push }) => last_push);
  const key = hint ? `verdict.${hint}` : none ? "verdict.waiting" : app.status.checks.kafka === null ? "verdict.disk" : "verdict.ok";
  const text = t(known(key) ? key : `verdict.${level}`, { hint: t(`hintname.${hint}`) });
  byId("sentence").textContent = text;
  byId("verdict").dataset.level = level ?? (none ? "wait" : "ok");
  byId("connection").textContent = paused ? t("paused") : connection === "open" ? "" : t("connecting");
  if (text !== announced.text && Date.now() - announced.at > 10_000) {
    announced = { text, at: Date.now() };
    byId("announce").textContent = text;
  }
}

async function refresh() {
  try {
    const status = await get("status");
    const first = !app.status;
    app.status = status;
    byId("version").textContent = status.version;
    if (first) {
      app.recent = (await get("events?limit=20")).events;
      login(false);
      open();
    } else if (!paused) view?.update?.();
    say();
  } catch (error) {
    failed(error);
  }
}

let drawing = false;
function draw(point) {
  if (point && !document.hidden) view?.tick?.(point);
  if (drawing || document.hidden) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    say();
    view?.update?.();
  });
}

function heard(name, data) {
  if (name === "token") return login(true);
  if (name === "open" || name === "closed") {
    connection = name;
    if (name === "open" && app.status) refresh().then(load);
    return say();
  }
  if (name === "bye") connection = "closed";
  if (paused || !app.status) return;
  if (name === "tick") {
    const { now, verdict, checks, figures, point } = data;
    Object.assign(app.status, { now, verdict, checks, figures });
    if (point.t.length) draw(point);
    if (now - (app.asked ?? 0) > 3000 && !document.hidden) {
      app.asked = now;
      refresh();
    }
    if (view?.every && Date.now() >= due && !document.hidden) load();
  } else if (name === "event") {
    app.recent = [...data.events.reverse(), ...app.recent].slice(0, 20);
  } else if (name === "hint") {
    app.status.hints = data.hints;
    draw();
  }
}

function choices() {
  const theme = byId("theme");
  const colours = () => {
    const dark = theme.value === "dark" || (theme.value === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  theme.value = remembers("theme") ?? "auto";
  colours();
  const changed = () => (colours(), open());
  theme.addEventListener("change", () => (remember("theme", theme.value), changed()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

  const zone = byId("zone");
  zone.value = remembers("zone") ?? "local";
  setZone(zone.value);
  zone.addEventListener("change", () => (remember("zone", zone.value), setZone(zone.value), open()));

  const language = byId("language");
  language.addEventListener("change", async () => {
    remember("language", language.value);
    await speak(language.value);
    open();
    say();
  });

  byId("pause").addEventListener("click", () => {
    paused = !paused;
    mark();
    say();
    if (!paused) refresh().then(load);
  });
  byId("skip").addEventListener("click", (click) => {
    click.preventDefault();
    byId("main").focus();
  });
  byId("login").addEventListener("submit", async (submit) => {
    submit.preventDefault();
    token.set(byId("token").value.trim());
    byId("token").value = "";
    app.status = null;
    begin();
  });
  addEventListener("hashchange", () => {
    byId("main").focus({ preventScroll: true });
    scrollTo(0, 0);
    open();
  });
}

/** The first look; a service that does not answer yet is asked again. */
async function begin() {
  await refresh();
  if (app.status) stream(heard);
  else if (byId("login").hidden) setTimeout(begin, 3000);
}

function mark() {
  byId("pause").setAttribute("aria-pressed", paused);
}

await speak(wantedLanguage());
byId("language").value = document.documentElement.lang;
choices();
begin();
