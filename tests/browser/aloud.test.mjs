// What a screen reader says of each tab. Pause is pressed, so that nothing moves below the reader. Before the tests that stop the broker.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CONSOLE, closeBrowser, filled, open, send, sendUnsigned, spoken } from "./support.mjs";

const TABS = ["overview", "events", "accounts", "delivery", "quarantine", "help"];
/** By language: what is said of the page itself, and a table of each tab with the heads of its columns. */
const SAID = {
  en: {
    sentence: "Everything arrives and reaches Kafka.",
    page: ["link, Skip to the content", "button, Pause, pressed", "combobox, Time zone, local", "navigation, Console", "Paused: what is shown stands still"],
    tabs: ["Overview", "Events", "Accounts", "Delivery", "Quarantine", "Help"],
    tables: {
      overview: ["Channels (outer_str)", "Channel", "Received", "Redeemed", "Deleted", "Given away", "Redeemed of received"],
      events: ["Card events", "Time", "Type", "Account", "Channel", "Card", "User", "Code", "Result", "Answered after", "ms"],
      accounts: ["shop: Requests by result", "Result", "5 min", "1 h", "24 h"],
      delivery: ["Brokers", "Address and id", "State", "Round trip"],
      quarantine: ["By reason", "Reason", "1 h", "24 h", "since the start"],
    },
  },
  "zh-CN": {
    sentence: "一切正常：事件都已收到并写入 Kafka。",
    page: ["link, 跳到内容", "button, 暂停, pressed", "combobox, 时区, local", "navigation, 控制台", "已暂停：页面内容不再更新"],
    tabs: ["总览", "事件", "公众号", "投递", "隔离", "帮助"],
    tables: {
      overview: ["渠道（outer_str）", "渠道", "领取", "核销", "删除", "转赠", "核销率"],
      events: ["卡券事件", "时间", "类型", "公众号", "渠道", "卡券 ID", "用户", "卡券码", "结果", "应答依据", "毫秒"],
    },
  },
};

before(async () => {
  await send("user_get_card", "--outer-str", "spoken-poster");
  await sendUnsigned();
});
after(closeBrowser);

for (const [lang, { sentence, page: frame, tabs, tables }] of Object.entries(SAID)) {
  for (const [place, tab] of TABS.entries()) {
    test(`a screen reader is told all of ${tab} in ${lang}`, async () => {
      const page = await open(`${CONSOLE}#/${tab === "overview" ? "" : tab}`, { lang, bypassCSP: true });
      await filled(page);
      await page.getByText(sentence).first().waitFor();
      // What the tab loads for itself.
      if (tables[tab]) await page.getByRole("table", { name: tables[tab][0], exact: true }).locator("tbody tr").first().waitFor();
      if (tab === "accounts") await page.locator("td bdi[lang=en]").first().waitFor();
      await page.locator("#pause").click();
      const said = await spoken(page, "body");
      const says = (phrase) => assert.ok(said.some((one) => one.startsWith(phrase)), `${phrase} in\n${said.join("\n")}`);
      [...frame, sentence, `heading, ${tabs[place]}, level 1`].forEach(says);
      const links = tabs.map((name, at) => `link, ${name}${at === place ? ", current page" : ""}`);
      assert.deepEqual(said.slice(said.indexOf(links[0]), said.indexOf(links[0]) + links.length), links);
      // The one sentence is a status, so it is said when it changes.
      assert.ok(said.some((one, at) => one === sentence && said[at - 1] === "status" && said[at + 1] === "end of status"));
      if (tables[tab]) {
        const [caption, ...heads] = tables[tab];
        says(`region, ${caption}`);
        const begin = said.indexOf(`table, ${caption}`);
        assert.ok(begin > 0, `${caption} in\n${said.join("\n")}`);
        const inside = said.slice(begin, said.indexOf(`end of table, ${caption}`));
        assert.deepEqual(inside.filter((one) => one.startsWith("columnheader, ")), heads.map((head) => `columnheader, ${head}`));
        const rows = inside.filter((one) => one.startsWith("row, ")).length - 1;
        assert.ok(rows > 0 && inside.filter((one) => one.startsWith("rowheader, ")).length === rows, inside.join("\n"));
      }
      // Nothing without a name, and a language's voice for its words.
      assert.deepEqual(said.filter((one) => /^(link|button|combobox|image|table|region|navigation|heading)(, level \d)?$/.test(one)), []);
      assert.equal(await page.getAttribute("html", "lang"), lang);
      if (lang === "zh-CN" && tab === "accounts") assert.equal(await page.locator("td bdi[lang=en]").first().isVisible(), true);
      await page.context().close();
    });
  }
}
