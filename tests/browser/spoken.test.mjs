// What a screen reader says of each tab. Pause is pressed, so that nothing moves below the reader.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CONSOLE, closeBrowser, filled, open, send, sendUnsigned, spoken } from "./support.mjs";

const TABS = ["overview", "events", "accounts", "delivery", "quarantine", "help"];
const NAMES = {
  en: ["Overview", "Events", "Accounts", "Delivery", "Quarantine", "Help"],
  "zh-CN": ["概览", "事件", "账号", "投递", "隔离", "帮助"],
};
/** A table of each tab that has one: its caption, and its columns' heads. */
const TABLES = {
  en: {
    overview: ["Channels (outer_str)", ["Channel", "Received", "Redeemed"]],
    events: ["Card events", ["Time", "Type", "Account", "Channel"]],
    accounts: ["Refused requests", ["Time", "Account", "Cause"]],
    delivery: ["Brokers", ["Broker", "State"]],
    quarantine: ["Counts by reason", ["Reason", "1 h", "24 h"]],
  },
  "zh-CN": {},
};

before(async () => {
  await send("user_get_card", "--outer-str", "spoken-poster");
  await sendUnsigned();
});
after(closeBrowser);

for (const [lang, names] of Object.entries(NAMES)) {
  for (const [place, tab] of TABS.entries()) {
    test(`${tab} in ${lang}`, async () => {
      const page = await open(`${CONSOLE}#/${tab}`, { lang, bypassCSP: true });
      await filled(page);
      await page.waitForTimeout(1500);
      await page.locator("#pause").click();
      const said = await spoken(page, "body");
      if (process.env.SPOKEN) console.log(said.join("\n"));
      await page.context().close();
    });
  }
}
