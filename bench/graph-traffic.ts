import { setTimeout } from "node:timers/promises";

/** The requests to the model server, as its clients see them: from the call of `fetch` to the last byte of the answer. */
export interface ModelTraffic extends Disposable {
  /** Milliseconds so far in which at least one request was under way. */
  busyMs(): number;
  /** Bytes of the requests' bodies so far. */
  sentBytes(): number;
  /** The bodies of the requests for chat completions since this was last asked. */
  takeChats(): string[];
  /** Has every request from now on take so many milliseconds more. */
  delayBy(milliseconds: number): void;
}

/**
 * Watches the requests to a server in the place of `fetch`, which the OpenAI client takes from the process when it is
 * made: open models after this. Disposing puts `fetch` back.
 */
export function watchModel(baseUrl: string): ModelTraffic {
  const original = globalThis.fetch;
  let chats: string[] = [];
  let sent = 0;
  let delay = 0;
  let underWay = 0;
  let since = 0;
  let busy = 0;
  const begin = () => {
    if (underWay === 0) since = performance.now();
    underWay += 1;
  };
  const end = () => {
    underWay -= 1;
    if (underWay === 0) busy += performance.now() - since;
  };
  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : input.toString();
    if (!url.startsWith(baseUrl)) return original(input, init);
    begin();
    try {
      const body = typeof init?.body === "string" ? init.body : "";
      sent += Buffer.byteLength(body);
      if (url.endsWith("/chat/completions")) chats.push(body);
      if (delay > 0) await setTimeout(delay);
      const response = await original(input, init);
      const { status, statusText, headers } = response;
      return new Response(await response.arrayBuffer(), { status, statusText, headers });
    } finally {
      end();
    }
  };
  return {
    busyMs: () => busy,
    sentBytes: () => sent,
    takeChats() {
      const taken = chats;
      chats = [];
      return taken;
    },
    delayBy(milliseconds) {
      delay = milliseconds;
    },
    [Symbol.dispose]() {
      globalThis.fetch = original;
    },
  };
}
