// The quarantine: what was verified and could not be read.

import { get } from "./api.js";
import { card, code, foreign, h, replace, table, time, p } from "./dom.js";
import { bytes, named, number, t } from "./words.js";

function byReason(accounts) {
  const count = (window, reason) => accounts.reduce((sum, { quarantined }) => sum + (quarantined[window][reason] ?? 0), 0);
  const rows = named("reason").map((reason) => [
    [t(`reason.${reason}`), " ", code(reason)],
    ...["hour", "day", "start"].map((window) => number(count(window, reason))),
  ]);
  return table(t("quarantine.counts"), "m:quarantine.reason n:within.1h n:within.24h n:within.start", rows);
}

function rowsTable(rows) {
  const row = ({ at, account, reason, detail, bytes: size }) =>
    [time(at), account, t(`reason.${reason}`), foreign(detail, "en"), bytes(size)];
  const heads = "w:time w:event.account w:quarantine.reason m:quarantine.detail n:event.size";
  return table(t("quarantine.title"), heads, rows.map(row), t("quarantine.empty"));
}

export function quarantine(app) {
  const [counts, list] = [h("div"), h("div")];
  const element = h("div", {},
    p(t("quarantine.intro")),
    card(t("quarantine.counts"), counts),
    card(t("quarantine.title"), list),
    card(t("quarantine.replay"), p(t("quarantine.replay.text")), p(code("cardhook replay --config FILE"))));
  const update = () => replace(counts, byReason(app.status.accounts));
  const load = async () => replace(list, rowsTable((await get("quarantine")).quarantine));
  return { element, load, update, every: 5 };
}
