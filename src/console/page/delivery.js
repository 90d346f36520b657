// The delivery: Kafka, the spool, the memory of ids.

import { card, code, factsOf, foreign, h, h3, replace, table, tag, time, p } from "./dom.js";
import { ago, bytes, ms, number, span, t } from "./words.js";

const is = (holds) => (holds === null ? "–" : tag(holds ? "ok" : "error", t(holds ? "yes" : "no")));

function brokers(all) {
  const states = { UP: ["ok", t("kafka.up")], DOWN: ["error", t("broker.down")], INIT: ["wait", t("broker.idle")] };
  const row = ({ id, address, state, rtt_ms }) =>
    [[address, " ", id >= 0 && h("small", {}, id)], tag(...(states[state] ?? ["wait", t("broker.connecting")])), ms(rtt_ms)];
  return table(t("brokers"), "t:broker w:kafka.state n:broker.rtt", all.map(row), t("brokers.none"));
}

function kafka({ kafka: shown, answered_by, now }) {
  if (shown.up === null) return card("Kafka", p(t("kafka.none")));
  const answered = ["kafka", "disk", "none"].map((by) => `${t(`by.${by}`)} ${number(answered_by[by])}`);
  const errors = shown.errors.map(({ reason, count, last }) => [[t(`publish.${reason}`), " ", code(reason)], number(count), time(last)]);
  const last = shown.last_error;
  return card("Kafka",
    factsOf("kafka", {
      state: [tag(shown.up ? "ok" : "error", t(shown.up ? "kafka.up" : "kafka.away")), ` ${t("since", { span: span((now - shown.since) / 1000) })}`],
      published: number(shown.published),
      publish: `p50 ≤ ${ms(shown.publish_p50)} · p99 ≤ ${ms(shown.publish_p99)}`,
      age: shown.event_age_p95 === null ? "–" : `p95 ≤ ${span(Math.ceil(shown.event_age_p95))}`,
      answered: answered.join(" · "),
    }),
    h3("brokers"),
    brokers(shown.brokers),
    last && h3("complaint"),
    last && p(time(last.at), " ", t(`complaint.${last.kind}`)),
    last && p(h("small", {}, foreign(last.reason, "en"))),
    h3("publish.title"),
    table(t("publish.title"), "m:publish.reason n:publish.count w:publish.last", errors, t("publish.empty")));
}

function spool({ spool: shown, now }) {
  const percent = shown.capacity ? (100 * shown.bytes) / shown.capacity : 0;
  return card(t("spool.title"), factsOf("spool", {
    records: number(shown.records),
    bytes: `${bytes(shown.bytes)} / ${bytes(shown.capacity)} (${number(percent, 1)} %)`,
    oldest: shown.oldest === null ? "–" : ago(shown.oldest, now),
    full: shown.full_in === null ? t("spool.full.no") : span(shown.full_in),
    parked: number(shown.parked),
    errors: number(shown.write_errors),
    bypassed: number(shown.bypassed),
    free: bytes(shown.disk_free),
  }));
}

const others = ({ checks, dedup, allow_list, dropped, started_at, now }) => [
  card(t("ready.title"), factsOf("check", {
    durable: is(checks.durable),
    spool: is(checks.spool),
    kafka: is(checks.kafka),
    draining: t(checks.draining ? "yes" : "no"),
    running: span((now - started_at) / 1000),
  })),
  card(t("dedup.title"), factsOf("dedup", {
    entries: number(dedup.entries), early: number(dedup.forgotten_early), allow: t(`allow.${allow_list}`), dropped: number(dropped),
  })),
];

export function delivery(app) {
  const element = h("div");
  const update = () => replace(element, h("div", { class: "grid" }, kafka(app.status), spool(app.status), others(app.status)));
  return { element, update };
}
