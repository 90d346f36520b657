// The delivery: Kafka, the spool, the memory of ids.

import { card, facts, foreign, h, replace, table } from "./dom.js";
import { ago, bytes, ms, number, span, t, time } from "./words.js";

const tag = (level, text) => h("span", { class: "tag", "data-level": level }, text);

const brokerState = (state) =>
  state === "UP" ? ["ok", t("kafka.up")] : state === "DOWN" ? ["error", t("broker.down")] : state === "INIT" ? [null, t("broker.idle")] : ["wait", t("broker.connecting")];

function kafka({ kafka: shown, answered_by, now }) {
  if (shown.up === null) return card("Kafka", h("p", {}, t("kafka.none")));
  const answered = ["kafka", "disk", "none"].map((by) => `${t(`by.${by}`)} ${number(answered_by[by])}`);
  const columns = [{ title: t("publish.reason"), m: true }, { title: t("publish.count"), n: true }, { title: t("publish.last"), w: true }];
  const errors = shown.errors.map(({ reason, count, last }) => [[t(`publish.${reason}`), " ", h("code", {}, reason)], number(count), time(last)]);
  return card(
    "Kafka",
    facts([
      [t("kafka.state"), tag(shown.up ? "ok" : "error", t(shown.up ? "kafka.up" : "kafka.away")), ` ${t("since", { span: span((now - shown.since) / 1000) })}`],
      [t("kafka.published"), number(shown.published)],
      [t("kafka.publish"), `p50 ≤ ${ms(shown.publish_p50)} · p99 ≤ ${ms(shown.publish_p99)}`],
      [t("kafka.age"), shown.event_age_p95 === null ? "–" : `p95 ≤ ${span(Math.ceil(shown.event_age_p95))}`],
      [t("kafka.answered"), answered.join(" · ")],
    ]),
    h("h3", {}, t("brokers")),
    table(t("brokers"), [{ title: t("broker"), m: true }, { title: t("kafka.state"), w: true }, { title: t("broker.rtt"), n: true }],
      shown.brokers.map(({ id, address, state, rtt_ms }) => [[address, id < 0 ? null : h("small", {}, ` ${id}`)], tag(...brokerState(state)), ms(rtt_ms)]), t("brokers.none")),
    shown.last_error && [
      h("h3", {}, t("complaint")),
      h("p", {}, time(shown.last_error.at), " ", t(`complaint.${shown.last_error.kind}`)),
      h("p", {}, h("small", { lang: "en" }, foreign(shown.last_error.reason))),
    ],
    h("h3", {}, t("publish.title")),
    table(t("publish.title"), columns, errors, t("publish.empty")),
  );
}

function spool({ spool: shown, now }) {
  const percent = shown.capacity ? (100 * shown.bytes) / shown.capacity : 0;
  return card(
    t("spool.title"),
    facts([
      [t("spool.records"), number(shown.records)],
      [t("spool.bytes"), `${bytes(shown.bytes)} / ${bytes(shown.capacity)} (${number(percent, 1)} %)`],
      [t("spool.oldest"), shown.oldest === null ? "–" : ago(shown.oldest, now)],
      [t("spool.full"), shown.full_in === null ? t("spool.full.no") : span(shown.full_in)],
      [t("spool.parked"), number(shown.parked)],
      [t("spool.errors"), number(shown.write_errors)],
      [t("spool.bypassed"), number(shown.bypassed)],
      [t("spool.free"), bytes(shown.disk_free)],
    ]),
  );
}

function others({ checks, dedup, allow_list, dropped, started_at, now }) {
  const check = (name, holds) => [t(`check.${name}`), holds === null ? "–" : tag(holds ? "ok" : "error", t(holds ? "yes" : "no"))];
  return [
    card(
      t("ready.title"),
      facts([
        check("durable", checks.durable),
        check("spool", checks.spool),
        check("kafka", checks.kafka),
        [t("check.draining"), t(checks.draining ? "yes" : "no")],
        [t("ready.running"), span((now - started_at) / 1000)],
      ]),
    ),
    card(
      t("dedup.title"),
      facts([
        [t("dedup.entries"), number(dedup.entries)],
        [t("dedup.early"), number(dedup.forgotten_early)],
        [t("allow.title"), t(`allow.${allow_list}`)],
        [t("dropped"), number(dropped)],
      ]),
    ),
  ];
}

export function delivery(app) {
  const element = h("div");
  const update = () => replace(element, h("div", { class: "grid" }, kafka(app.status), spool(app.status), others(app.status)));
  return { element, update };
}
