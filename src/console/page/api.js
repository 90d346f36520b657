// The API and its event stream. The token stays in this tab's session and goes into a header, never into an address.

export class NeedsToken extends Error {}

/** The service does not answer, or not to the end. */
export class Away extends Error {}

const away = () => {
  throw new Away();
};

async function ask(path, values = {}) {
  const { token } = sessionStorage;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`../api/v1/${path}${query(values)}`, { headers, credentials: "omit" }).catch(away);
  if (answer.status === 401 || answer.status === 429) throw new NeedsToken();
  return answer;
}

/** What an address answers, null where there is nothing (any more); an error carries the API's own words. */
export async function get(path, values) {
  const answer = await ask(path, values);
  if (answer.status === 404) return null;
  const body = await answer.json().catch(away);
  if (!answer.ok) throw new Error(`${body.error}: ${body.hint}`);
  return body;
}

export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** Calls `on(name, data)` for each message, for ever: after an end it connects again. */
export async function stream(on) {
  for (;;) {
    try {
      const answer = await ask("stream");
      if (answer.ok) {
        on("open");
        await read(answer.body, on);
      }
    } catch (error) {
      if (error instanceof NeedsToken) return on("token");
    }
    on("closed");
    await new Promise((resolve) => setTimeout(resolve, 2000));
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
      const [, name, data] = message.match(/^event: (.*)\ndata: (.*)/m) ?? [];
      if (name) on(name, JSON.parse(data));
    }
  }
}
