// The accounts: handshake, last push, counts, refusals with their cause, and alarms of WeChat's.

import { get } from "./api.js";
import { card, code, factsOf, foreign, h, h3, replace, table, time, p } from "./dom.js";
import { ago, date, named, number, t } from "./words.js";

function refusedTable(rows) {
  const row = ({ at, account, cause, handshake, found, source, published_source }) => [
    time(at),
    account,
    [h("a", { href: `#/help?entry=${cause}` }, t(`cause.${cause}`)), " ", code(cause), handshake && ` ${t("refused.handshake")}`],
    foreign(found, "en"),
    source && source + (published_source === false ? ` (${t("refused.stranger")})` : ""),
  ];
  const heads = "w:time w:event.account m:refused.cause m:refused.found w:refused.source";
  return table(t("refused.title"), heads, rows.map(row), t("refused.empty"));
}

function handshake(last, now) {
  if (!last) return t("handshake.never");
  const outcome = last.accepted ? t("handshake.ok") : t("handshake.refused") + t(`cause.${last.cause}`);
  return [outcome, ago(last.at, now), last.source && t("handshake.from", { source: last.source })].filter(Boolean).join(" · ");
}

/** Where the secret stands, and whether the one before it is still used. */
function secret(name, { file, previous }, account, now) {
  const where = file ? t("wechat.file", { file }) : t(`wechat.${name}.where`, { name: account });
  if (!previous) return [where];
  const last = previous.last_used ? t("previous.used", { ago: ago(previous.last_used, now) }) : t("previous.never");
  return [where, h("br"), `${t(`previous.${name}`)} ${last} ${previous.replaced ? t("previous.replaced") : ""}`];
}

function account(shown, now) {
  const shows = ["accepted", "duplicate", "quarantined", "bad_signature"];
  const counts = named("result").filter((name) => shown.day[name] || shows.includes(name)).map((name) =>
    [t(`result.${name}`), ...["minutes", "hour", "day"].map((window) => number(shown[window][name]))]);
  return card(shown.name,
    factsOf("account", {
      path: code(shown.path),
      mode: t(`mode.${shown.mode}`),
      handshake: handshake(shown.handshake, now),
      push: shown.last_push ? `${ago(shown.last_push, now)} · ${date(shown.last_push)}` : t("account.push.never"),
    }),
    h3("account.counts"),
    table(`${shown.name}: ${t("account.counts")}`, "t:event.result n:within.5m n:within.1h n:within.24h", counts),
    h3("account.type"),
    factsOf("wechat", {
      url: code(`https://${t("wechat.domain")}${shown.path}`),
      token: secret("token", shown.token, shown.name, now),
      ...(shown.aes_key && { key: secret("key", shown.aes_key, shown.name, now) }),
      mode: t(`mode.${shown.mode}`),
      format: "XML",
    }));
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
  const means = t(`alarm.${kind ?? "unknown"}`);
  if (!at) return means;
  const { t: times, step, ...lines } = await get("series", { window: "24h" });
  const place = times.findIndex((begin) => begin * 1000 <= at && at < (begin + step) * 1000);
  const counts = named("result").filter((name) => lines[name]?.[place]).map((name) => `${t(`result.${name}`)} ${number(lines[name][place])}`);
  const found = place < 0 ? "outside" : counts.length ? "arrived" : "nothing";
  return `${means} ${t(`alarm.${found}`, { at: date(at), counts: counts.join(t("comma")) })}`;
}

function alarm() {
  const answer = h("p", { role: "status" });
  const text = h("textarea", { id: "alarm", "aria-label": t("alarm.label"), "aria-describedby": "alarm-note" });
  const read = async () => {
    answer.textContent = await explain(text.value).catch((error) => error.message);
  };
  return card(t("alarm.title"),
    h("p", { id: "alarm-note" }, t("alarm.note")),
    text,
    p(h("button", { id: "alarm-read", onclick: read }, t("alarm.read"))),
    answer);
}

export function accounts(app) {
  const [shown, refused] = [h("div"), h("div")];
  const element = h("div", {}, shown, card(t("refused.title"), refused), alarm());
  const update = () => replace(shown, h("div", { class: "grid" }, app.status.accounts.map((one) => account(one, app.status.now))));
  const load = async () => replace(refused, refusedTable((await get("refused")).refused.slice(0, 50)));
  return { element, load, update, every: 5 };
}
