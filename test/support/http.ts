import { setTimeout as pause } from "node:timers/promises";

const LONGEST_MS = 15_000;

/** One request as a test tells it. */
export interface Request {
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** A reply with all of its text; `json` is undefined where it is none. */
export interface Reply {
  status: number;
  text: string;
  json: unknown;
  headers: Headers;
}

/** Sends requests to a server in the name of a token. */
export function createCaller(url: string, token?: string) {
  return async ({ method, path, body, headers = {} }: Request): Promise<Reply> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(LONGEST_MS),
    });
    const text = await response.text();
    return { status: response.status, text, json: parse(text), headers: response.headers };
  };
}

/** Asks again until something is there; fails after 20 seconds. */
export async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 20_000;
  while (Date.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(100);
  }
  throw new Error("what was waited for did not come");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
