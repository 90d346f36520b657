// The overview: hints, four figures, two charts, the funnel, the last events.

import { get, query } from "./api.js";
import { Chart } from "./chart.js";
import { card, foreign, h, replace, table } from "./dom.js";
import { ago, date, ms, number, span, t } from "./words.js";
import { eventTable } from "./events.js";

const WINDOWS = ["15m", "3h", "24h"];

/** A choice that stands in the address, as a select. */
function choice(id, label, options, value, change) {
  const entries = options.map(([name, text]) => h("option", { value: name, selected: name === value }, text));
  return h("label", {}, h("span", { class: "hidden" }, label), h("select", { id, onchange: (event) => change(event.target.value) }, entries));
}

export function hintList(hints, now) {
  const entry = (hint) => {
    const values = { ...hint.values, account: hint.account ?? "" };
    if (values.full_in !== undefined) values.room = t("hint.room", { span: span(values.full_in) });
    else values.room = "";
    for (const name of ["waiting", "count"]) if (name in values) values[name] = number(values[name]);
    if (values.last) values.last = date(values.last);
    if (values.cause) values.cause = t(`cause.${values.cause}`);
    if (values.reason) values.cure = t(`publish.${values.reason}`);
    if (values.of) values.of = t(`hintname.${values.of}`);
    const link = hint.id === "recovered" ? null : h("a", { href: `#/help?entry=${hint.values.cause ?? hint.id}` }, t("hint.more"));
    const cure = t(`cure.${hint.id}`, values);
    return h(
      "li",
      { "data-level": hint.level },
      h("strong", {}, t(`level.${hint.level}`), " · ", hint.account && h("span", {}, `${hint.account}: `), t(`hint.${hint.id}`, values)),
      " ",
      h("small", {}, ago(hint.since, now)),
      hint.id !== "recovered" && h("p", {}, cure, " ", link),
    );
  };
  return hints.length ? h("ul", { class: "hints", "aria-label": t("hints") }, hints.map(entry)) : null;
}

function figures({ figures: now_, now }) {
  const figure = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, note ?? "")));
  const { accepted_per_second, p99_ms, waiting, oldest, full_in, refused } = now_;
  const age = oldest ? (now - oldest) / 1000 : 0;
  const wait = [age >= 2 && t("figure.oldest", { span: span(age) }), age >= 2 && full_in && t("figure.full", { span: span(full_in) })];
  return h(
    "dl",
    { class: "figures" },
    figure(t("figure.accepted"), number(accepted_per_second, accepted_per_second < 10 ? 1 : 0), t("figure.accepted.note")),
    figure(t("figure.p99"), ms(p99_ms), t("figure.p99.note")),
    figure(t("figure.waiting"), number(waiting), wait.filter(Boolean).join(t("comma")) || t("figure.waiting.none")),
    figure(t("figure.refused"), number(refused), t("figure.refused.note")),
  );
}

function funnelTable(funnel) {
  const columns = ["channel", "received", "consumed", "deleted", "gifted", "rate"];
  const counts = ({ received, consumed, deleted, gifted, error }) => {
    const about = error ? ` (+${number(error)})` : "";
    const rate = received ? `${number((100 * consumed) / received, 1)} %` : "–";
    return [number(received) + about, number(consumed), number(deleted), number(gifted), rate];
  };
  const rows = funnel.channels.map((channel) => [
    channel.outer_str === null ? h("em", {}, t("funnel.none")) : foreign(channel.outer_str),
    ...counts(channel),
  ]);
  const { rest } = funnel;
  if (rest.received + rest.consumed + rest.deleted + rest.gifted) rows.push([h("em", {}, t("funnel.rest")), ...counts(rest)]);
  const titled = columns.map((name, place) => ({ title: t(`funnel.${name}`), n: place > 0 }));
  return table(t("funnel.title"), titled, rows, t("funnel.empty"));
}

export function overview(app) {
  const window_ = WINDOWS.includes(app.parameters.get("window")) ? app.parameters.get("window") : "15m";
  const over = ["1h", "24h", "start"].includes(app.parameters.get("funnel")) ? app.parameters.get("funnel") : "start";
  const go = (changed) => app.go("/", { window: window_ === "15m" ? "" : window_, funnel: over === "start" ? "" : over, ...changed });
  const [hints, shown, funnel, last] = [h("div"), h("div"), h("div"), h("div")];
  const rate = (name) => ({ name: t(`result.${name}`), of: (series) => series[name].map((count) => count / series.step) });
  const pushes = new Chart({
    title: t("chart.pushes"),
    lines: ["accepted", "duplicate", "other", "refused", "quarantined"].map(rate),
  });
  const answers = new Chart({
    title: t("chart.answers"),
    lines: ["p50", "p95", "p99"].map((name) => ({ name, of: (series) => series[name] })),
    log: true, limit: 4000, show: ms,
  });
  const windows = WINDOWS.map((name) => [name, t(`window.${name}`)]);
  const element = h(
    "div",
    {},
    hints,
    shown,
    h(
      "div",
      { class: "grid" },
      card(null, h("div", { class: "head" }, h("h2", {}, t("chart.pushes")), choice("window", t("window"), windows, window_, (value) => go({ window: value === "15m" ? "" : value }))), pushes.element),
      card(null, h("div", { class: "head" }, h("h2", {}, t("chart.answers")), h("small", {}, t("chart.answers.note"))), answers.element),
    ),
    card(
      null,
      h("div", { class: "head" }, h("h2", {}, t("funnel.title")), choice("over", t("window"), ["start", "24h", "1h"].map((name) => [name, t(`over.${name}`)]), over, (value) => go({ funnel: value === "start" ? "" : value }))),
      funnel,
    ),
    card(null, h("div", { class: "head" }, h("h2", {}, t("events.last")), h("a", { href: "#/events" }, t("events.all"))), last),
  );
  let series = null;
  const load = async () => {
    const [found, channels] = await Promise.all([get(`series${query({ window: window_ })}`), get(`funnel${query({ window: over })}`)]);
    series = found;
    pushes.draw(series);
    answers.draw(series);
    replace(funnel, funnelTable(channels));
  };
  const tick = (point) => {
    if (!series || window_ !== "15m") return;
    for (const name of Object.keys(series)) {
      if (!Array.isArray(series[name])) continue;
      series[name].push(...point[name]);
      if (series[name].length > 900) series[name].shift();
    }
    pushes.draw(series);
    answers.draw(series);
  };
  const update = () => {
    replace(hints, hintList(app.status.hints, app.status.now));
    replace(shown, figures(app.status));
    replace(last, eventTable(app.recent.slice(0, 20), t("events.empty")));
  };
  return { element, load, tick, update, every: 5, end: () => [pushes, answers].forEach((chart) => chart.destroy()) };
}
