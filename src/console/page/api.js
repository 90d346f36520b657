// The API and its event stream. The token stays in this tab's session and goes into a header, never into an address.

const BASE = "../api/v1/";

export class NeedsToken extends Error {}

export const token = {
  get: () => sessionStorage.getItem("token"),
  set: (value) => sessionStorage.setItem("token", value),
  drop: () => sessionStorage.removeItem("token"),
};

async function ask(path, options = {}) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const answer = await fetch(BASE + path, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (answer.status === 401 || answer.status === 429) throw new NeedsToken();
  return answer;
}

/** What an address answers; an error carries the API's own words. */
export async function get(path) {
  const answer = await ask(path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.error}: ${body.hint}`);
  return body;
}

export const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls `on(name, data)` for each message, for ever: after an end it connects again. */
export async function stream(on) {
  for (;;) {
    try {
      const answer = await ask("stream");
      if (!answer.ok) throw new Error("busy");
      on("open");
      await read(answer.body, on);
    } catch (error) {
      if (error instanceof NeedsToken) return on("token");
    }
    on("closed");
    await pause(2000);
  }
}

async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = (rest + value).split("\n\n");
    rest = messages.pop();
    for (const message of messages) {
      const field = (name) => message.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [name, data] = [field("event"), field("data")];
      if (name && data) on(name, JSON.parse(data));
    }
  }
}
