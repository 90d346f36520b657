// Every tab in both languages and themes, wide and on a phone: no violation that axe finds, nothing wider than the screen.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { CONSOLE, PICTURES, closeBrowser, drawn, filled, open, send, sendUnsigned } from "./support.mjs";

const TABS = ["", "events", "accounts", "delivery", "quarantine", "help"];

before(async () => {
  for (const event of ["user_get_card", "user_consume_card", "user_del_card", "card_pass_check"]) {
    await send(event, "--outer-str", "poster-with-a-name-that-is-as-long-as-a-name-may-be-地铁三号线站台灯箱广告-2026");
  }
  await sendUnsigned();
});
after(closeBrowser);

async function violations(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).slice(0, 3).join(" ")}`);
}

for (const lang of ["zh-CN", "en"]) {
  for (const theme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      // Axe takes seconds a tab: each pair of language, theme and width is judged in one of its two combinations.
      const judged = ((lang === "en") !== (theme === "dark")) === (width === 360);
      test(`${lang} ${theme} ${width} px${judged ? ", and axe" : ""}`, async () => {
        const page = await open(CONSOLE, { lang, theme, width });
        await filled(page);
        for (const tab of TABS) {
          await page.goto(`${CONSOLE}#/${tab}`);
          await drawn(page, tab);
          assert.equal(await page.getAttribute("html", "lang"), lang);
          assert.equal(await page.getAttribute("html", "data-theme"), theme);
          if (judged) assert.deepEqual(await violations(page), [], tab || "overview");
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${tab || "overview"} is ${over} px too wide`);
          // On a wide screen no table is cut off.
          const cut = await page.evaluate(() => [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.ariaLabel));
          if (width > 1000) assert.deepEqual(cut, [], tab || "overview");
          await page.screenshot({ path: `${PICTURES}/${tab || "overview"}-${lang}-${theme}-${width}.png`, fullPage: true });
        }
        assert.deepEqual(page.complaints, []);
        await page.context().close();
      });
    }
  }
}

const page = new URL("../../src/console/page/", import.meta.url);
const words = (lang) => JSON.parse(readFileSync(new URL(`i18n/${lang}.json`, page)));

test("both languages have the same words with the same values, and none that the code asks for is missing", () => {
  const [english, chinese] = [words("en"), words("zh-CN")];
  assert.deepEqual(Object.keys(english), Object.keys(chinese));
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort().join();
  for (const [key, text] of Object.entries(english)) assert.equal(values(text), values(chinese[key]), key);
  const html = readFileSync(new URL("index.html", page), "utf8");
  const asked = [...html.matchAll(/data-[tl]="([^"]+)"/g)].map(([, key]) => key);
  for (const name of readdirSync(page).filter((file) => file.endsWith(".js"))) {
    // t("key"), h3("key"), and the columns of a table: "kind:key kind:key".
    const text = readFileSync(new URL(name, page), "utf8");
    asked.push(...[...text.matchAll(/\b(?:t|h3)\("([\w.-]+)"|\b[nwmt]:([\w.-]+)/g)].map(([, key, column]) => key ?? column));
  }
  assert.ok(asked.length > 100);
  for (const key of asked) assert.ok(key in english, `${key} has no words`);
});
