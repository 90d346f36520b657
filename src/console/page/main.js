// Starts the page: language, colours, address, the stream, the view that the address names.

import { Away, NeedsToken, get, query, stream } from "./api.js";
import { accounts } from "./accounts.js";
import { delivery } from "./delivery.js";
import { event, events } from "./events.js";
import { help } from "./help.js";
import { overview } from "./overview.js";
import { quarantine } from "./quarantine.js";
import { known, setZone, speak, t, wantedLanguage } from "./words.js";

const VIEWS = { "": overview, events, accounts, delivery, quarantine, help };
const byId = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");

/** What the views share. */
const app = {
  status: null,
  recent: [],
  parameters: new URLSearchParams(),
  go: (path, values) => (location.hash = `#${path}${query(values)}`),
};

let [view, broken] = [null, null];
let [paused, connected, loading, drawing] = [false, false, false, false];
let [announced, asked, due] = [0, 0, 0];

/** Shows what the address names. */
function open() {
  const [path, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  const [first, id] = path.split("/");
  const tab = Object.hasOwn(VIEWS, first) ? first : "";
  app.parameters = new URLSearchParams(parameters);
  const link = document.querySelector(`#tabs [href="#/${tab}"]`);
  document.querySelector("[aria-current]")?.removeAttribute("aria-current");
  link.setAttribute("aria-current", "page");
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
  view?.end?.();
  view = broken = null;
  if (!app.status) return;
  view = tab === "events" && id ? event(app, id) : VIEWS[tab](app);
  const title = t(`tab.${tab || "overview"}`);
  byId("title").textContent = title;
  document.title = `${title} · cardhook`;
  byId("content").replaceChildren(view.element);
  view.update?.();
  load();
}

/** What it shows beside the status. */
async function load() {
  if (!view?.load || loading) return;
  loading = true;
  const shown = view;
  await shown.load().catch((error) => view === shown && failed(error));
  loading = false;
  due = Date.now() + (shown.every ?? 0) * 1000;
  if (view !== shown) load();
}

/** A service that is away is asked again; other errors are said. */
function failed(error) {
  if (error instanceof NeedsToken) return login(true);
  if (error instanceof Away) connected = false;
  else console.error((broken = error));
  say();
}

function login(needed) {
  byId("login").hidden = !needed;
  byId("view").hidden = byId("verdict").hidden = needed;
  if (!needed) return;
  byId("login-error").textContent = sessionStorage.token ? t("login.wrong") : "";
  byId("token").focus();
}

/** The one sentence above everything, and to screen readers at most every 10 s. */
function say() {
  if (!app.status) return;
  const { accounts: all, checks, verdict: { level, hint } } = app.status;
  const waits = !hint && !all.some(({ last_push }) => last_push);
  const key = `verdict.${hint ?? (waits ? "waiting" : checks.kafka === null ? "disk" : "ok")}`;
  const text = t(known(key) ? key : `verdict.${level}`, { hint: t(`hintname.${hint}`) });
  byId("sentence").textContent = text;
  byId("verdict").dataset.level = level ?? (waits ? "wait" : "ok");
  byId("connection").textContent = paused ? t("paused") : !connected ? t("connecting") : broken ? t("broken", { error: broken.message }) : "";
  if (text === byId("announce").textContent || Date.now() - announced < 10_000) return;
  announced = Date.now();
  byId("announce").textContent = text;
}

async function refresh() {
  try {
    const first = !app.status;
    app.status = await get("status");
    connected = true;
    byId("version").textContent = app.status.version;
    if (first) {
      app.recent = (await get("events", { limit: 20 })).events;
      login(false);
      open();
    } else if (!paused) view?.update?.();
    say();
  } catch (error) {
    failed(error);
  }
}

/** At most once a frame, and not where nobody looks. */
function draw() {
  if (drawing || document.hidden) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    say();
    view?.update?.();
  });
}

function ticked({ now, verdict, checks, figures }) {
  Object.assign(app.status, { now, verdict, checks, figures });
  if (document.hidden) return;
  draw();
  if (now - asked > 3000) {
    asked = now;
    refresh();
  }
  if (view?.every && Date.now() >= due) load();
}

/** What the stream says. */
async function heard(name, data) {
  if (name === "token") return login(true);
  if (["open", "closed", "bye"].includes(name)) {
    connected = name === "open";
    if (connected && app.status) refresh().then(load);
    return say();
  }
  if (paused || !app.status) return;
  if (name === "tick") ticked(data);
  else if (name === "event") app.recent = [...data.events.reverse(), ...app.recent].slice(0, 20);
  else if (name === "hint") app.status.hints = data.hints;
}

const paint = (theme) =>
  (document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme);

/** A choice that this browser remembers. */
async function choose(name, value, apply) {
  const select = byId(name);
  select.value = value;
  await apply(value);
  select.addEventListener("change", async () => {
    localStorage[name] = select.value;
    await apply(select.value);
    open();
    say();
  });
}

function listen() {
  dark.addEventListener("change", () => (paint(byId("theme").value), open()));
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", paused);
    say();
    if (!paused) refresh().then(load);
  });
  byId("skip").addEventListener("click", (click) => {
    click.preventDefault();
    byId("main").focus();
  });
  byId("login").addEventListener("submit", (submit) => {
    submit.preventDefault();
    sessionStorage.token = byId("token").value.trim();
    byId("token").value = "";
    app.status = null;
    begin();
  });
  addEventListener("error", ({ error }) => error && failed(error));
  addEventListener("hashchange", () => {
    byId("main").focus({ preventScroll: true });
    scrollTo(0, 0);
    open();
  });
}

/** The first look; a service that is away is asked again. */
async function begin() {
  await refresh();
  if (app.status) stream((...message) => heard(...message).catch(failed));
  else if (byId("login").hidden) setTimeout(begin, 3000);
}

await choose("language", wantedLanguage(), speak);
await choose("theme", localStorage.theme ?? "auto", paint);
await choose("zone", localStorage.zone ?? "local", setZone);
listen();
begin();
