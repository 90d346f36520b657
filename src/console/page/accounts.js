// The accounts: handshake, last push, counts, refusals with their cause, and what an alarm of WeChat's means here.

import { get } from "./api.js";
import { card, facts, foreign, h, replace, table } from "./dom.js";
import { ago, date, number, t, time } from "./words.js";

const RESULTS = [
  "accepted", "duplicate", "other", "quarantined", "handshake", "bad_signature", "bad_request", "stale", "forbidden_source",
  "too_large", "timeout", "overloaded",
];

export function refusedTable(rows) {
  const columns = [
    { title: t("time"), w: true },
    { title: t("event.account"), w: true },
    { title: t("refused.cause"), m: true },
    { title: t("refused.found"), m: true },
    { title: t("refused.source"), w: true },
  ];
  const row = (refused) => [
    time(refused.at),
    refused.account,
    [h("a", { href: `#/help?entry=${refused.cause}` }, t(`cause.${refused.cause}`)), " ", h("code", {}, refused.cause), refused.handshake ? ` ${t("refused.handshake")}` : null],
    refused.found ? h("span", { lang: "en" }, foreign(refused.found)) : null,
    refused.source ? [refused.source, refused.published_source === false ? ` (${t("refused.stranger")})` : null] : null,
  ];
  return table(t("refused.title"), columns, rows.map(row), t("refused.empty"));
}

function handshake({ handshake: last }, now) {
  if (!last) return [t("handshake.never")];
  const outcome = last.accepted ? t("handshake.ok") : [t("handshake.refused"), t(`cause.${last.cause}`)];
  return [outcome, ` · ${ago(last.at, now)}`, last.source ? ` · ${t("handshake.from", { source: last.source })}` : null].flat();
}

function secret(name, { file, previous }, account, now) {
  const where = file ? t("wechat.file", { file }) : t(`wechat.${name}.where`, { name: account });
  if (!previous) return where;
  const last = previous.last_used ? t("previous.used", { ago: ago(previous.last_used, now) }) : t("previous.never");
  return [where, h("br"), t(`previous.${name}`), " ", last, previous.replaced && ` ${t("previous.replaced")}`].filter(Boolean);
}

function account(shown, now) {
  const columns = [{ title: t("event.result") }, ...["5m", "1h", "24h"].map((name) => ({ title: t(`within.${name}`), n: true }))];
  const rows = RESULTS.filter((name) => shown.day[name] || ["accepted", "duplicate", "quarantined", "bad_signature"].includes(name));
  const counts = rows.map((name) => [t(`result.${name}`), ...["minutes", "hour", "day"].map((window) => number(shown[window][name]))]);
  return card(
    shown.name,
    facts([
      [t("account.path"), h("code", {}, shown.path)],
      [t("account.mode"), t(`mode.${shown.mode}`)],
      [t("account.handshake"), ...handshake(shown, now)],
      [t("account.push"), shown.last_push ? `${ago(shown.last_push, now)} · ${date(shown.last_push)}` : t("account.push.never")],
    ]),
    h("h3", {}, t("account.counts")),
    table(`${shown.name}: ${t("account.counts")}`, columns, counts),
    h("h3", {}, t("account.type")),
    facts([
      [t("wechat.url"), h("code", {}, `https://${t("wechat.domain")}${shown.path}`)],
      [t("wechat.token"), secret("token", shown.token, shown.name, now)].flat(),
      shown.aes_key && [t("wechat.key"), secret("key", shown.aes_key, shown.name, now)].flat(),
      [t("wechat.mode"), t(`mode.${shown.mode}`)],
      [t("wechat.format"), "XML"],
    ]),
  );
}

const ALARMS = { dns: /DNS/i, connect: /连接超时|connect/i, request: /请求超时|request/i, answer: /回应失败|response|answer/i, mark: /mark\s*fail/i };

/** WeChat writes Beijing time, or a Unix stamp. */
function alarmTime(text) {
  const stamp = text.match(/\b(1[5-9]\d{8}|2\d{9})\b/);
  if (stamp) return Number(stamp[1]) * 1000;
  const written = text.match(/(\d{4})[-/年](\d{1,2})[-/月](\d{1,2})日?\s*(\d{1,2}):(\d{2})(?::(\d{2}))?/);
  if (!written) return null;
  const [, year, month, day, hour, minute, second] = written.map(Number);
  return Date.UTC(year, month - 1, day, hour - 8, minute, second || 0);
}

async function explain(text) {
  const kind = Object.keys(ALARMS).find((name) => ALARMS[name].test(text));
  const at = alarmTime(text);
  if (!kind && !at) return t("alarm.unread");
  const said = [t(kind ? `alarm.${kind}` : "alarm.unknown")];
  if (at) {
    const { t: times, step, ...columns } = await get("series?window=24h");
    const place = times.findIndex((begin) => begin * 1000 <= at && at < (begin + step) * 1000);
    const names = ["accepted", "duplicate", "other", "quarantined", "refused", "overloaded"];
    const counts = names.filter((name) => columns[name][place] > 0).map((name) => `${t(`result.${name}`)} ${number(columns[name][place])}`);
    if (place < 0) said.push(t("alarm.outside", { at: date(at) }));
    else if (counts.length) said.push(t("alarm.arrived", { at: date(at), counts: counts.join(t("comma")) }));
    else said.push(t("alarm.nothing", { at: date(at) }));
  }
  return said.join(" ");
}

function alarm() {
  const answer = h("p", { role: "status" });
  const text = h("textarea", { id: "alarm", "aria-describedby": "alarm-note" });
  const read = async () => {
    answer.textContent = await explain(text.value).catch((error) => error.message);
  };
  return card(
    t("alarm.title"),
    h("p", { id: "alarm-note" }, t("alarm.note")),
    h("label", { for: "alarm", class: "hidden" }, t("alarm.label")),
    text,
    h("p", {}, h("button", { type: "button", id: "alarm-read", onclick: read }, t("alarm.read"))),
    answer,
  );
}

export function accounts(app) {
  const [shown, refused] = [h("div"), h("div")];
  const element = h("div", {}, shown, card(t("refused.title"), refused), alarm());
  const update = () => replace(shown, h("div", { class: "grid" }, app.status.accounts.map((one) => account(one, app.status.now))));
  const load = async () => replace(refused, refusedTable((await get("refused")).refused.slice(0, 50)));
  return { element, load, update, every: 5 };
}
