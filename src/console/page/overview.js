// The overview: hints, figures, charts, the funnel, the last events.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { card, choice, foreign, h, head, replace, table, p } from "./dom.js";
import { ago, date, ms, number, span, t } from "./words.js";
import { eventTable } from "./events.js";

function hintList(hints, now) {
  const entry = ({ id, level, account, since, values: given }) => {
    const { full_in, last, cause, of, reason } = given;
    const values = {
      ...given, cause: t(`cause.${cause}`), of: t(`hintname.${of}`), last: last && date(last),
      room: full_in ? t("hint.room", { span: span(full_in) }) : "", cure: reason ? t(`publish.${reason}`) : "",
    };
    const link = h("a", { href: `#/help?entry=${cause ?? id}` }, t("hint.more"));
    return h("li", { "data-level": level },
      h("strong", {}, t(`level.${level}`), " · ", account && `${account}: `, t(`hint.${id}`, values)), " ",
      h("small", {}, ago(since, now)),
      id !== "recovered" && p(t(`cure.${id}`, values), " ", link));
  };
  return hints.length > 0 && h("ul", { class: "hints", "aria-label": t("hints") }, hints.map(entry));
}

function figures({ figures: { accepted_per_second, p99_ms, waiting, oldest, full_in, refused }, now }) {
  const figure = (name, value, note) => h("div", { class: "card" }, h("dt", {}, t(`figure.${name}`)), h("dd", {}, value, h("small", {}, note ?? t(`figure.${name}.note`))));
  const age = (now - (oldest ?? now)) / 1000;
  const wait = age >= 2 ? [t("figure.oldest", { span: span(age) }), full_in && t("figure.full", { span: span(full_in) })] : [t(`figure.waiting.${waiting ? "new" : "none"}`)];
  return h("dl", { class: "figures" },
    figure("accepted", number(accepted_per_second, accepted_per_second < 10 ? 1 : 0)),
    figure("p99", ms(p99_ms)),
    figure("waiting", number(waiting), wait.filter(Boolean).join(t("comma"))),
    figure("refused", number(refused)));
}

function funnelTable({ channels, rest }) {
  const counted = ["received", "consumed", "deleted", "gifted"];
  const counts = (channel) => {
    const [received, ...others] = counted.map((name) => number(channel[name]));
    const rate = channel.received ? `${number((100 * channel.consumed) / channel.received, 1)} %` : "–";
    return [received + (channel.error ? ` (+${number(channel.error)})` : ""), ...others, rate];
  };
  const rows = channels.map((channel) => [foreign(channel.outer_str) ?? h("em", {}, t("funnel.none")), ...counts(channel)]);
  if (counted.some((name) => rest[name])) rows.push([h("em", {}, t("funnel.rest")), ...counts(rest)]);
  const heads = ["channel", ...counted, "rate"].map((name, place) => [place ? "n" : "t", t(`funnel.${name}`)]);
  return table(t("funnel.title"), heads, rows, t("funnel.empty"));
}

export function overview(app) {
  const chosen = { window: "15m", funnel: "start", ...Object.fromEntries(app.parameters) };
  const select = (name, key, all) =>
    choice(name, h("span", { class: "hidden" }, t("window")), all.map((one) => [one, t(`${key}.${one}`)]), chosen[name],
      (value) => app.go("/", { ...chosen, [name]: value }));
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
  const element = h("div", {}, hints, shown,
    h("div", { class: "grid" },
      card(head(t("chart.pushes"), select("window", "window", ["15m", "3h", "24h"])), pushes.element),
      card(head(t("chart.answers"), h("small", {}, t("chart.answers.note"))), answers.element)),
    card(head(t("funnel.title"), select("funnel", "over", ["start", "24h", "1h"])), funnel),
    card(head(t("events.last"), h("a", { href: "#/events" }, t("events.all"))), last));
  const load = async () => {
    const [series, channels] = await Promise.all([get("series", { window: chosen.window }), get("funnel", { window: chosen.funnel })]);
    pushes.draw(series);
    answers.draw(series);
    replace(funnel, funnelTable(channels));
  };
  const update = () => {
    replace(hints, hintList(app.status.hints, app.status.now));
    replace(shown, figures(app.status));
    replace(last, eventTable(app.recent, t("events.empty")));
  };
  return { element, load, update, every: 5, end: () => (pushes.destroy(), answers.destroy()) };
}
