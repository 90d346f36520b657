// The quarantine: what was verified and could not be read.

import { get } from "./api.js";
import { card, foreign, h, replace, table } from "./dom.js";
import { bytes, number, t, time } from "./words.js";

const REASONS = ["decrypt", "app_id", "malformed", "missing_field", "wrong_account", "nonce_reused"];

function byReason(accounts) {
  const count = (window, reason) => accounts.reduce((sum, { quarantined }) => sum + (quarantined[window][reason] ?? 0), 0);
  const columns = [
    { title: t("quarantine.reason"), m: true },
    ...["1h", "24h", "start"].map((name) => ({ title: t(`within.${name}`), n: true })),
  ];
  const rows = REASONS.map((reason) => [
    [t(`reason.${reason}`), " ", h("code", {}, reason)],
    ...["hour", "day", "start"].map((window) => number(count(window, reason))),
  ]);
  return table(t("quarantine.counts"), columns, rows);
}

function rowsTable(rows) {
  const columns = [
    { title: t("time"), w: true },
    { title: t("event.account"), w: true },
    { title: t("quarantine.reason"), w: true },
    { title: t("quarantine.detail"), m: true },
    { title: t("event.size"), n: true },
  ];
  const row = ({ at, account, reason, detail, bytes: size }) =>
    [time(at), account, t(`reason.${reason}`), h("span", { lang: "en" }, foreign(detail)), bytes(size)];
  return table(t("quarantine.title"), columns, rows.map(row), t("quarantine.empty"));
}

export function quarantine(app) {
  const [counts, list] = [h("div"), h("div")];
  const element = h(
    "div",
    {},
    h("p", {}, t("quarantine.intro")),
    card(t("quarantine.counts"), counts),
    card(t("quarantine.title"), list),
    card(t("quarantine.replay"), h("p", {}, t("quarantine.replay.text")), h("p", {}, h("code", {}, "cardhook replay --config FILE"))),
  );
  const update = () => replace(counts, byReason(app.status.accounts));
  const load = async () => replace(list, rowsTable((await get("quarantine")).quarantine));
  return { element, load, update, every: 5 };
}
