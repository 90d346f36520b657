// A browser, a cardhook to look at, and pushes for it.

import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const { CARDHOOK, CONFIG, ADMIN, GUARDED, TOKEN, KAFKA_ID, PICTURES, PUBLIC } = process.env;
export const CONSOLE = `${ADMIN}/console/`;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
export const closeBrowser = () => browser.close();

const isStream = (answer) => answer.url().endsWith("/api/v1/stream") && answer.ok();

/** A page of its own; what it writes to the console as an error is kept in `page.complaints`. */
export async function open(address, { lang = "en", theme = "light", width = 1280, ...more } = {}) {
  const context = await browser.newContext({
    locale: lang, colorScheme: theme, viewport: { width, height: 800 }, timezoneId: "Asia/Shanghai", ...more,
  });
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.streams = 0;
  page.on("response", (answer) => (page.streams += isStream(answer)));
  page.on("dialog", (dialog) => (page.complaints.push(`dialog ${dialog.message()}`), dialog.dismiss()));
  await page.goto(address);
  return page;
}

/** Waits until the page has shown what it found out about the service. */
export const filled = (page) => page.waitForFunction(() => document.getElementById("content").children.length > 0, null, { timeout: 30_000 });

/** Waits until the event stream is open: a push from then on comes by it. */
export const streaming = async (page) => page.streams || page.waitForEvent("response", isStream);

/** Waits until the page has drawn what it has heard by now. */
export const nextFrames = (page) => page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));

/** Waits until a tab is shown, with what it asks for beside the status. */
export async function drawn(page, tab) {
  await page.waitForFunction((address) => {
    const content = document.getElementById("content");
    const isShown = document.querySelector("#tabs [aria-current]")?.hash === address && content.children.length > 0;
    return isShown && !content.querySelector("section > div:empty");
  }, `#/${tab}`);
  await nextFrames(page);
}

const reader = readFileSync(new URL("node_modules/@guidepup/virtual-screen-reader/lib/esm/index.browser.js", import.meta.url), "base64");

/** A screen reader in the page, which needs `bypassCSP`: names, roles and live regions by the rules of ARIA. Gives what it has said since. */
export async function screenReader(page, selector) {
  await page.evaluate(async ([module, selector]) => {
    const { virtual } = await import(module);
    window.reader = virtual;
    await virtual.start({ container: document.querySelector(selector) });
  }, [`data:text/javascript;base64,${reader}`, selector]);
  return () => page.evaluate(() => window.reader.spokenPhraseLog());
}

/** Every phrase of an element, from its begin to its end. */
export async function spoken(page, selector) {
  const said = await screenReader(page, selector);
  await page.evaluate(async () => {
    const end = `end of ${await window.reader.lastSpokenPhrase()}`;
    for (let left = 5000; left && (await window.reader.lastSpokenPhrase()) !== end; left--) await window.reader.next();
  });
  return said();
}

const run = promisify(execFile);

/** Pushes through cardhook's own simulator of WeChat. */
export const send = (event, ...args) => run(CARDHOOK, ["send", event, "--config", CONFIG, "--account", "shop", "--url", PUBLIC, ...args]);

/** Pushes as fast as they are answered, until the returned function is called. The viewer's browser has its own machine: it goes first. */
export function flood() {
  const args = ["--config", CONFIG, "--account", "shop", "--url", PUBLIC, "--count", "10000000", "--connections", "64", "--keep-alive"];
  const sender = spawn("nice", ["-n", "5", CARDHOOK, "send", "user_get_card", ...args], { stdio: "ignore" });
  return () => new Promise((ended) => (sender.on("exit", ended), sender.kill("SIGKILL")));
}

/** For so long: the longest gap between two frames, the longest task, and how old the newest event was at most, in ms. */
export const smoothness = (page, forMs) =>
  page.evaluate(async (forMs) => {
    let [frame, task, age, last] = [0, 0, 0, performance.now()];
    const observer = new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (task = Math.max(task, duration))));
    observer.observe({ type: "longtask" });
    const until = last + forMs;
    while (last < until) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      [frame, last] = [Math.max(frame, now - last), now];
      const newest = document.querySelector("tbody th time");
      if (newest) age = Math.max(age, Date.now() - new Date(newest.dateTime));
    }
    observer.disconnect();
    return { frame: Math.round(frame), task: Math.round(task), age };
  }, forMs);

/** A request that WeChat did not sign. */
export const sendUnsigned = () =>
  fetch(`${PUBLIC}?signature=0123456789abcdef0123456789abcdef01234567&timestamp=1700000000&nonce=1`, { method: "POST", body: "<xml></xml>" });

/** A proxy in front of the admin listener under a path of its own; `streamed` answers the event stream in its place. */
export async function proxy(path, streamed) {
  const target = new URL(ADMIN);
  const server = createServer((incoming, outgoing) => {
    const { pathname, search } = new URL(incoming.url, ADMIN);
    if (!pathname.startsWith(path)) return outgoing.writeHead(404).end();
    const inner = `/${pathname.slice(path.length)}${search}`;
    if (streamed && inner === "/api/v1/stream") return streamed(outgoing);
    const headers = { ...incoming.headers, host: target.host };
    delete headers.origin;
    const asked = request({ ...{ hostname: target.hostname, port: target.port }, path: inner, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    asked.on("error", () => outgoing.destroy());
    outgoing.on("close", () => asked.destroy());
    incoming.pipe(asked);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}${path}`, close: () => (server.closeAllConnections(), server.close()) };
}
