// Help: what each cause, reason and hint means and what to do, where hints link to.

import { card, h } from "./dom.js";
import { t } from "./words.js";

export const CAUSES = [
  "token", "token_of_another_account", "no_query", "missing_parameter", "malformed_parameter", "body_changed", "redirected",
  "escaped_query", "clear_push", "json_body", "compressed", "stale", "clock", "source", "too_large", "slow",
];
export const REASONS = ["decrypt", "app_id", "malformed", "missing_field", "wrong_account", "nonce_reused"];
export const HINTS = [
  "handshake_never", "handshake_failed", "signatures_fail", "strangers", "mode_mismatch", "quarantine_decrypt",
  "quarantine_app_id", "quarantine_other", "silence", "nowhere_durable", "kafka_away", "kafka_refuses", "spool_fills",
  "disk_fails", "parked", "slow", "retries", "clock", "open_to_anyone", "forbidden_sources",
  "previous_secret_used", "previous_secret_unused",
];
const ALARMS = ["dns", "connect", "request", "answer", "mark"];

function entries(title, names, key, code) {
  const entry = (name) => [
    h("dt", { id: `help-${name}`, tabindex: "-1" }, t(`${key}.${name}`), code && [" ", h("code", {}, name)]),
    h("dd", {}, t(`${code ? key : "alarmcure"}.${name}${code ? ".cure" : ""}`)),
  ];
  return card(title, h("dl", { class: "words" }, names.flatMap(entry)));
}

export function help(app) {
  const hints = HINTS.map((name) => [
    h("dt", { id: CAUSES.includes(name) ? `hint-${name}` : `help-${name}`, tabindex: "-1" }, t(`hintname.${name}`)),
    h("dd", {}, t(`cure.${name}`, { room: "", cure: "" })),
  ]);
  const element = h(
    "div",
    {},
    h("p", {}, t("help.intro")),
    entries(t("help.alarms"), ALARMS, "alarmname", false),
    entries(t("help.causes"), CAUSES, "cause", true),
    entries(t("help.reasons"), REASONS, "reason", true),
    card(t("help.hints"), h("dl", { class: "words" }, hints.flat())),
  );
  const load = async () => {
    const wanted = app.parameters.get("entry");
    const found = wanted && element.querySelector(`#help-${CSS.escape(wanted)}`);
    found?.focus();
    found?.scrollIntoView({ block: "center" });
  };
  return { element, load };
}
