// The events: a list with filters that stand in the address, and one event with everything that is shown of it.

import { NeedsToken, get, query } from "./api.js";
import { card, facts, foreign, h, replace, table } from "./dom.js";
import { bytes, date, known, ms, number, t, time } from "./words.js";

const LEVELS = { accepted: "ok", duplicate: "wait", quarantined: "warn", overloaded: "error" };
const TYPES = [
  "card.received", "card.consumed", "card.deleted", "card.gifted", "card.paid", "card.viewed", "card.session_entered",
  "card.approved", "card.rejected", "card.stock_low", "card.coin_order", "card.merchant_checked", "card.unknown",
  "member_card.updated", "member_card.activated", "gift_card.paid", "gift_card.sent", "gift_card.accepted",
];

export const result = (name) => h("span", { class: "tag", "data-level": LEVELS[name] }, t(`result.${name}`));
export const typeName = (name) => (name ? t(`type.${name}`) : t("type.none"));

export function eventTable(rows, empty) {
  const columns = [
    { title: t("time"), w: true },
    { title: t("event.type"), w: true },
    { title: t("event.account"), w: true },
    { title: t("event.channel") },
    { title: t("event.card"), w: true },
    { title: t("event.user"), w: true },
    { title: t("event.code"), w: true },
    { title: t("event.result"), w: true },
    { title: t("event.by"), w: true },
    { title: t("event.ms"), n: true },
  ];
  const row = (event) => [
    h("a", { href: `#/events/${event.event_id}`, "data-key": `${event.number}` }, time(event.at)),
    typeName(event.event_type),
    event.account,
    event.outer_str === null ? null : foreign(event.outer_str),
    event.card_id && foreign(event.card_id),
    event.openid && foreign(event.openid),
    event.code && foreign(event.code),
    result(event.result),
    t(`by.${event.answered_by}`),
    number(event.took_ms, 1),
  ];
  return table(t("events.title"), columns, rows.map(row), empty);
}

function filters(app, values) {
  const select = (name, label, options) => {
    const all = h("option", { value: "" }, t("filter.all"));
    const entries = options.map(([value, text]) => h("option", { value, selected: value === values[name] }, text));
    const change = (event) => app.go("/events", { ...values, [name]: event.target.value });
    return h("label", {}, label, h("select", { id: `filter-${name}`, onchange: change }, all, entries));
  };
  return h(
    "div",
    { class: "filters", role: "group", "aria-label": t("filter") },
    select("account", t("event.account"), app.status.accounts.map(({ name }) => [name, name])),
    select("type", t("event.type"), TYPES.map((name) => [name, `${t(`type.${name}`)} · ${name}`])),
    select("result", t("event.result"), Object.keys(LEVELS).map((name) => [name, t(`result.${name}`)])),
  );
}

export function events(app) {
  const values = Object.fromEntries(["account", "type", "result"].map((name) => [name, app.parameters.get(name) ?? ""]));
  const before = app.parameters.get("before") ?? "";
  const list = h("div");
  const element = card(null, filters(app, values), list);
  const load = async () => {
    const found = await get(`events${query({ ...values, before, limit: 50 })}`);
    const filtered = Object.values(values).some(Boolean);
    const older = found.next && h("a", { id: "older", href: `#/events${query({ ...values, before: found.next })}` }, t("events.older"));
    const newest = before && h("a", { id: "newest", href: `#/events${query(values)}` }, t("events.newest"));
    const ways = older || newest ? h("p", {}, newest, newest && older ? " · " : null, older) : null;
    replace(list, eventTable(found.events, t(filtered ? "events.nomatch" : "events.empty")), ways, h("small", {}, t("events.note")));
  };
  return { element, load, every: before ? 0 : 2 };
}

function shownValue(name, value) {
  if (value === null) return "–";
  if (Array.isArray(value)) return value.length ? value.map((key) => h("code", {}, foreign(key), " ")) : "–";
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (name === "event_time_ms") return String(value);
  return foreign(value);
}

function copied(text) {
  const said = h("small", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = ` ${t("copied")}`;
    } catch {
      said.textContent = ` ${t("copy.failed")}`;
    }
  };
  return [h("code", {}, text), " ", h("button", { type: "button", onclick: copy }, t("copy")), said];
}

export function event(app, id) {
  const element = h("div");
  const load = async () => {
    let found;
    try {
      found = await get(`events/${encodeURIComponent(id)}`);
    } catch (error) {
      if (error instanceof NeedsToken) throw error;
      const command = `cardhook tail --config FILE --from-beginning --json | grep ${id}`;
      return replace(element, card(t("event.gone"), h("p", {}, t("event.gone.text")), h("p", {}, copied(command))));
    }
    const steps = found.timeline.map(({ what, at, position }) =>
      h("li", {}, t(`step.${what}`), at ? [": ", date(at)] : ` (${t("step.untimed")})`,
        position && h("small", {}, t("step.position", position))));
    const untimed = found.timeline.some(({ what, at }) => what === "published" && !at);
    const fields = Object.entries(found.fields ?? {}).filter(([name]) => known(`field.${name}`) || name !== "event_time_ms");
    replace(
      element,
      h("p", {}, h("a", { href: "#/events" }, t("event.back"))),
      h(
        "div",
        { class: "grid" },
        card(
          typeName(found.event_type),
          facts([
            [t("event.id"), copied(found.event_id)],
            [t("event.account"), found.account],
            [t("event.result"), result(found.result)],
            [t("event.by"), t(`by.${found.answered_by}`), ", ", ms(found.took_ms)],
            [t("event.size"), bytes(found.bytes)],
            found.reason && [t("quarantine.reason"), t(`reason.${found.reason}`), " ", h("code", {}, found.reason)],
            found.detail && [t("quarantine.detail"), foreign(found.detail)],
          ]),
        ),
        card(t("event.timeline"), h("ol", { class: "steps" }, steps), untimed && h("p", {}, h("small", {}, t("event.timeline.note")))),
      ),
      card(
        t("event.fields"),
        fields.length ? facts(fields.map(([name, value]) => [h("code", {}, name), shownValue(name, value)])) : h("p", { class: "empty" }, t("event.fields.none")),
        h("h3", {}, t("event.command")),
        h("p", {}, copied(found.command)),
      ),
    );
  };
  return { element, load, every: 5 };
}
