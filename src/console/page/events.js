// The events: a list with filters that stand in the address, and one event with all that is shown of it.

import { get, query } from "./api.js";
import { card, choice, code, facts, factsOf, foreign, h, h3, replace, table, tag, time, p } from "./dom.js";
import { bytes, date, known, ms, named, number, t } from "./words.js";

const LEVELS = { accepted: "ok", duplicate: "wait", quarantined: "warn", overloaded: "error" };

const result = (name) => tag(LEVELS[name], t(`result.${name}`));
const typeName = (name) => t(name ? `type.${name}` : "event.untyped");

export function eventTable(rows, empty) {
  const row = (event) => [
    h("a", { href: `#/events/${event.event_id}`, "data-key": `${event.number}` }, time(event.at)),
    typeName(event.event_type),
    event.account,
    ...["outer_str", "card_id", "openid", "code"].map((name) => foreign(event[name])),
    result(event.result),
    t(`by.${event.answered_by}`),
    number(event.took_ms, 1),
  ];
  const heads = "w:time w:event.type w:event.account t:event.channel w:event.card w:event.user w:event.code w:event.result w:event.by n:event.ms";
  return table(t("events.title"), heads, rows.map(row), empty);
}

function filters(app, chosen) {
  const filter = (name, label, options) =>
    choice(`filter-${name}`, label, [["", t("filter.all")], ...options], chosen[name], (value) => app.go("/events", { ...chosen, [name]: value }));
  return h("div", { class: "filters", role: "group", "aria-label": t("filter") },
    filter("account", t("event.account"), app.status.accounts.map(({ name }) => [name, name])),
    filter("type", t("event.type"), named("type").map((name) => [name, `${typeName(name)} · ${name}`])),
    filter("result", t("event.result"), Object.keys(LEVELS).map((name) => [name, t(`result.${name}`)])));
}

export function events(app) {
  const { before, ...chosen } = Object.fromEntries(app.parameters);
  const list = h("div");
  const load = async () => {
    const found = await get("events", { ...chosen, before, limit: 50 });
    const older = found.next && h("a", { id: "older", href: `#/events${query({ ...chosen, before: found.next })}` }, t("events.older"));
    const newest = before && h("a", { id: "newest", href: `#/events${query(chosen)}` }, t("events.newest"));
    replace(list, eventTable(found.events, t(Object.keys(chosen).length ? "events.nomatch" : "events.empty")),
      p(newest, newest && older && " · ", older), h("small", {}, t("events.note")));
  };
  return { element: card(filters(app, chosen), list), load, every: before ? 0 : 2 };
}

function shownValue(value) {
  if (Array.isArray(value)) return value.map((key) => code(foreign(key)));
  return typeof value === "boolean" ? t(value ? "yes" : "no") : foreign(value ?? "–");
}

function copied(text) {
  const said = h("small", { role: "status" });
  const copy = async () => {
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    said.textContent = ` ${t(done ? "copied" : "copy.failed")}`;
  };
  return [code(text), " ", h("button", { onclick: copy }, t("copy")), said];
}

function step({ what, at, position }) {
  const when = at ? `: ${date(at)}` : what === "published" && ` (${t("step.untimed")})`;
  const where = position && [h("br"), h("small", {}, t("step.position", { ...position, offset: `${position.offset}` }))];
  return h("li", {}, t(`step.${what}`), when, where);
}

export function event(app, id) {
  const element = h("div");
  const load = async () => {
    const found = await get(`events/${encodeURIComponent(id)}`);
    if (!found) {
      const command = `cardhook tail --config FILE --from-beginning --json | grep ${id}`;
      return replace(element, card(t("event.gone"), p(t("event.gone.text")), p(copied(command))));
    }
    const fields = Object.entries(found.fields ?? {}).filter(([name]) => name !== "event_time_ms");
    replace(element,
      p(h("a", { href: "#/events" }, t("event.back"))),
      h("div", { class: "grid" },
        card(typeName(found.event_type),
          factsOf("event", {
            id: copied(found.event_id),
            account: found.account,
            result: result(found.result),
            by: `${t(`by.${found.answered_by}`)}, ${ms(found.took_ms)}`,
            size: bytes(found.bytes),
          }),
          found.reason && factsOf("quarantine", { reason: [t(`reason.${found.reason}`), " ", code(found.reason)], detail: foreign(found.detail) })),
        card(t("event.timeline"), h("ol", { class: "steps" }, found.timeline.map(step)))),
      card(t("event.fields"),
        fields.length ? facts(fields.map(([name, value]) => [code(name), shownValue(value)])) : h("p", { class: "empty" }, t("event.fields.none")),
        h3("event.command"),
        p(copied(found.command))));
  };
  return { element, load, every: 5 };
}
