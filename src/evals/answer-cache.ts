import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Database from "libsql";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { parseJson } from "../parse-json.ts";
import { enterWal, prepareFile, storeError } from "../store/sqlite-file.ts";

const BUSY_TIMEOUT_MS = 10_000;
const TABLE =
  "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, run TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL)";

/** One message of a chat request, as the model was shown it. */
export interface ShownMessage {
  role: string;
  text: string;
}

/** One chat request: its kind is the name of the JSON schema it asks for, or `answer` where it offers tools. */
export interface ShownRequest {
  kind: string;
  messages: ShownMessage[];
}

/** What was asked while something ran. */
export interface Traffic {
  /** Equal requests of different turns are asked apart: how a case is repeated. */
  turn: number;
  /** Chat answers that were there before this run. */
  known: number;
  /** The chat requests, oldest first. */
  requests: ShownRequest[];
  /** Why something was done without the model that it needs, such as a search by words alone. */
  failures: unknown[];
}

const current = new AsyncLocalStorage<Traffic>();

/** Runs `run` and keeps account of what it asks models of an {@link AnswerCache}. */
export function withTraffic<T>(turn: number, run: (traffic: Traffic) => Promise<T>): Promise<T> {
  const traffic: Traffic = { turn, known: 0, requests: [], failures: [] };
  return current.run(traffic, () => run(traffic));
}

/** Keeps account of a failure that the program gets along with, for whoever it must not be hidden from. */
export function noteFailure(error: unknown): void {
  current.getStore()?.failures.push(error);
}

/** Answers of models, each under the content of its request. */
export interface AnswerCache extends Disposable {
  /** Asks the server what was not asked before. Only whole answers are kept: no failure, and nothing streamed. */
  fetch: typeof fetch;
  /** @throws MnemailError("store") where an answer could not be read or kept: what was asked since may be asked again. */
  check(): void;
}

/**
 * Opens the answers in a SQLite file, which several processes may share. `run` names who asks: what it asked itself does
 * not count as known. `server` names the server in the place of its address, which differs each time for the stand-in.
 *
 * @throws MnemailError("store") when the file cannot be used.
 */
export function openAnswerCache(path: string, { run, server }: { run: string; server?: string }): AnswerCache {
  const { find, keep, close } = openAnswers(path);
  let problem: MnemailError | undefined;
  // Thrown into the client, it would pass for a network that fails, and the answer would be lost.
  const safely = <T>(use: () => T): T | undefined => {
    try {
      return use();
    } catch (error) {
      problem ??= unusable(path, error);
      return undefined;
    }
  };
  const underWay = new Map<string, Promise<Response>>();
  const ask = async (
    key: string,
    [input, init]: Parameters<typeof fetch>,
    format: string | undefined,
  ): Promise<Response> => {
    const response = await fetch(input, init);
    if (!response.ok) return response;
    const body = await response.text();
    // Half an answer, and an error that some servers send as if all was well, are the client's to refuse; words in the place
    // of JSON, too, since what failed is to be tried again.
    if (isAnswer(parseJson(body), format)) safely(() => keep(key, run, body));
    return jsonResponse(body);
  };
  return {
    async fetch(input, init = {}) {
      const { body } = init;
      const traffic = current.getStore();
      const asked = typeof body === "string" ? requestSchema.safeParse(parseJson(body)).data : undefined;
      if (typeof body !== "string" || !asked || asked.stream) return fetch(input, init);
      if (asked.messages) traffic?.requests.push({ kind: asked.format ?? "answer", messages: asked.messages });
      const { href, pathname } = new URL(String(input instanceof Request ? input.url : input));
      const name = [server === undefined ? href : `${server} ${pathname}`, traffic?.turn ?? 0, body];
      const key = createHash("sha256").update(JSON.stringify(name)).digest("hex");
      const found = safely(() => find(key));
      if (found) {
        const [asker, answer] = found;
        if (traffic && asked.messages && asker !== run) traffic.known += 1;
        return jsonResponse(answer);
      }
      const asking = underWay.get(key) ?? ask(key, [input, init], asked.format).finally(() => underWay.delete(key));
      underWay.set(key, asking);
      return (await asking).clone();
    },
    check() {
      if (problem) throw problem;
    },
    [Symbol.dispose]: close,
  };
}

interface Answers {
  /** Who asked, and the answer. */
  find(key: string): [run: string, body: string] | undefined;
  keep(key: string, run: string, body: string): void;
  close(): void;
}

function openAnswers(path: string): Answers {
  try {
    prepareFile(path);
    const database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    enterWal(database, BUSY_TIMEOUT_MS);
    database.exec(TABLE);
    const find = database.prepare("SELECT run, body FROM answers WHERE key = ?").raw();
    const keep = database.prepare("INSERT OR IGNORE INTO answers (key, run, body, at) VALUES (?, ?, ?, ?)");
    return {
      find: (key) => rowsSchema.parse(find.all(key))[0],
      keep: (key, run, body) => keep.run(key, run, body, new Date().toISOString()),
      close: () => database.close(),
    };
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): MnemailError {
  const { message } = storeError({ path, busyTimeoutMs: BUSY_TIMEOUT_MS }, error);
  return new MnemailError("store", message, "it holds known answers: mend or remove it, or name another --out", {
    cause: error,
  });
}

const rowsSchema = z.array(z.tuple([z.string(), z.string()]));
const embeddedSchema = z.object({ data: z.array(z.unknown()).min(1) });
const answeredSchema = z.object({
  choices: z.tuple([z.object({ message: z.object({ content: z.string().nullish() }) })], z.unknown()),
});

function isAnswer(body: unknown, format: string | undefined): boolean {
  const answered = answeredSchema.safeParse(body).data;
  if (!answered) return embeddedSchema.safeParse(body).success;
  return format === undefined || parseJson(answered.choices[0].message.content ?? "") !== undefined;
}

const textSchema = z
  .union([z.string(), z.array(z.looseObject({ text: z.string().default("") }))])
  .nullish()
  .transform((content) => (typeof content === "string" ? content : (content ?? []).map(({ text }) => text).join("\n")));
const calledSchema = z.array(z.object({ function: z.object({ name: z.string(), arguments: z.string() }) }));
const requestSchema = z
  .object({
    stream: z.boolean().nullish(),
    response_format: z.object({ json_schema: z.object({ name: z.string() }).optional() }).nullish(),
    messages: z
      .array(z.object({ role: z.string(), content: textSchema, tool_calls: calledSchema.nullish() }))
      .optional(),
  })
  .transform(({ stream, response_format, messages }) => ({
    stream: stream === true,
    format: response_format?.json_schema?.name,
    messages: messages?.map(({ role, content, tool_calls }) => ({
      role,
      text: [content, ...(tool_calls ?? []).map((call) => `${call.function.name} ${call.function.arguments}`)]
        .filter(Boolean)
        .join("\n"),
    })),
  }));

function jsonResponse(body: string): Response {
  return new Response(body, { headers: { "content-type": "application/json" } });
}

/** Names the stand-in by its source, since another version of it answers otherwise. */
export function nameStandIn(): string {
  const folder = fileURLToPath(new URL("../stand-in/", import.meta.url));
  const hash = createHash("sha256");
  for (const file of readdirSync(folder).sort()) hash.update(file).update(readFileSync(`${folder}${file}`));
  return `stand-in ${hash.digest("hex").slice(0, 16)}`;
}
