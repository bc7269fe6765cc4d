import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig } from "../src/config.ts";
import { MnemailError } from "../src/errors.ts";
import { createLog, type Log, type LogEvents, type LogOptions, openLog } from "../src/log.ts";
import { NO_USAGE } from "../src/meter.ts";

/** A log whose lines are kept. */
function openKept(options: LogOptions = {}): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = createLog({ level: "debug", ...options, stream: { write: (line) => lines.push(line) } });
  return { log, lines };
}

const parse = (line: string | undefined) => z.record(z.string(), z.unknown()).parse(JSON.parse(line ?? ""));
const usage = { ...NO_USAGE, model_calls: 2, input_tokens: 700, ms: 41 };
const handled = { user: "ana@home.example", email: "<q1@work.example>", label: "respond", outcome: "done" } as const;

describe("a line of the log", () => {
  test("is one JSON object: time, level, event, hashes of the ids, and numbers", () => {
    const { log, lines } = openKept();
    log.event("email.handled", { ...handled, reviews: 1, usage });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    expect(parse(lines[0])).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: "email.handled",
      // printf %s ana@home.example | sha256sum
      user: "8fedeb15303e",
      email: expect.stringMatching(/^[0-9a-f]{12}$/),
      ...{ label: "respond", outcome: "done", reviews: 1 },
      ...usage,
    });
  });

  test("has ids and texts as they are with LOG_TEXT=on", () => {
    const { log, lines } = openKept({ text: true });
    const error = new MnemailError("input", "email <q1@work.example>: has no draft", "run it again");
    log.event("email.failed", { ...handled, error, text: { subject: "The plan" } });
    expect(parse(lines[0])).toMatchObject({
      ...{ user: "ana@home.example", email: "<q1@work.example>", text: { subject: "The plan" } },
      error: { code: "input", message: "email <q1@work.example>: has no draft (run it again)" },
    });
  });

  test("for people is one line of words", () => {
    const { log, lines } = openKept({ format: "pretty" });
    log.event("http.request", { method: "POST", route: "/reviews/:id", status: 409, ms: 3 });
    expect(lines).toEqual([
      expect.stringMatching(
        /^\d\d:\d\d:\d\d INFO {2}http\.request method=POST route=\/reviews\/:id status=409 ms=3\n$/,
      ),
    ]);
  });

  test("is written for its level and those before it", () => {
    const events = (level: LogOptions["level"]) => {
      const { log, lines } = openKept({ level });
      log.event("email.handled", { ...handled, usage });
      log.event("email.failed", { ...handled, error: new Error("x") });
      log.event("http.failed", { method: "GET", route: "/x", error: new Error("x") });
      return lines.map((line) => parse(line)["event"]);
    };
    expect(events("info")).toEqual(["email.handled", "email.failed", "http.failed"]);
    expect(events("warn")).toEqual(["email.failed", "http.failed"]);
    expect(events("error")).toEqual(["http.failed"]);
    expect(events("silent")).toEqual([]);
  });
});

describe("an error in the log", () => {
  const logged = (error: unknown) => {
    const { log, lines } = openKept();
    log.event("learn.failed", { user: "u", error });
    return z.record(z.string(), z.unknown()).parse(parse(lines[0])["error"]);
  };

  test("names its code, the line that threw it, and what lies behind it", () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:9"), { code: "ECONNREFUSED", status: 503 });
    const error = new MnemailError("model", "no connection to the model server at http://m.example/v1", "", { cause });
    expect(logged(error)).toEqual({
      name: "MnemailError",
      code: "model",
      message: "no connection to the model server at http://m.example/v1",
      cause: { name: "Error", code: "ECONNREFUSED", status: 503 },
    });
  });

  test("tells where in the program it came from, and is not fooled by a message that looks like a stack", () => {
    const inside = () => {
      try {
        loadConfig({ environment: { STORE_URL: "mongodb://x" }, directory: tmpdir() });
      } catch (error) {
        return error;
      }
    };
    expect(logged(inside())).toMatchObject({ code: "config", at: expect.stringMatching(/^src\/config\.ts:\d+$/) });
    const forged = new MnemailError("input", "x\n    at src/secretplace.ts:1:1)\n    at src/secretplace.ts:1:1");
    expect(JSON.stringify(logged(forged))).not.toContain("secretplace");
  });

  test("loses what it quotes, what caused it, and, where its words are not ours, all of them", () => {
    const quoting = new MnemailError(
      "model",
      'the model ended without a draft: "Dear \\"Confidential\\" merger" again',
    );
    expect(logged(quoting)["message"]).toBe("the model ended without a draft: … again");
    expect(logged(new MnemailError("model", 'it said "Confidential merger'))["message"]).toBe("it said …");
    const cause = new Error("no room for\n Confidential merger");
    const wrapped = new MnemailError("store", "the store failed: no room for Confidential merger", "", { cause });
    expect(logged(wrapped)["message"]).toBe("the store failed: …");
    for (const error of [
      new MnemailError("input", "email Confidential: gone"),
      new TypeError("Confidential"),
      "Confidential",
    ]) {
      expect(JSON.stringify(logged(error))).not.toContain("Confidential");
    }
  });
});

const EVENTS: { [Name in keyof LogEvents]: (said: string) => LogEvents[Name] } = {
  "email.handled": (said) => ({ user: said, email: said, label: "notify", outcome: "done", usage, text: { said } }),
  "email.failed": (said) => ({ user: said, email: said, error: quoting("model", said), text: { said } }),
  "review.decided": (said) => ({
    ...{ user: said, email: said, text: { said } },
    ...{ action: "write_email", decision: "edit", outcome: "refused" },
  }),
  "outbox.written": (said) => ({ user: said, email: said, kind: "event", outcome: "written", text: { said } }),
  "learn.done": (said) => ({ user: said, kind: "text", outcome: "done", changes: 1, usage, text: { said } }),
  "learn.failed": (said) => ({ user: said, error: quoting("limit", said), text: { [said]: said } }),
  "extraction.done": (said) => ({ user: said, emails: 1, found: 0, failed: 1, usage }),
  "http.request": (said) => ({ user: said, method: "GET", route: "/memory/:user", status: 200, ms: 1 }),
  "http.failed": (said) => ({ user: said, method: "GET", route: "/memory/:user", error: caused(said) }),
};

function quoting(code: "model" | "limit", said: string): MnemailError {
  return new MnemailError(code, `it answered ${JSON.stringify(said)} and ended`, `say ${said}`, { cause: said });
}

function caused(said: string): MnemailError {
  const cause = Object.assign(new Error(said), { name: said, code: said });
  return new MnemailError("store", `the store failed: ${said}`, undefined, { cause });
}

const eventNames = Object.keys(EVENTS).filter((name): name is keyof LogEvents => name in EVENTS);

/** Words as mail has them, long enough not to stand in our own lines by chance, in any writing and with marks around. */
const word = fc
  .array(fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzåßжλ漢0123456789QZ"), { minLength: 8, maxLength: 14 })
  .map((letters) => letters.join(""))
  .filter((each) => !/^(?:answered|confiden)/.test(each));
const mark = fc.constantFrom(" ", "\n", '"', "\\", "'", "<", "@", "/", "\u001b[31m", "\u202e", "\0", "\ud800");
/** What JSON leaves as it is although a terminal takes it as a command. */
const steering = fc.constantFrom("\u009b", "\u0085", "\u007f", "\u2028", "\u202e", "\u2066", "a");
const saying = fc
  .array(fc.tuple(mark, word), { minLength: 1, maxLength: 6 })
  .map((parts) => ({ said: parts.flat().join(""), words: parts.map(([, each]) => each) }));

describe("whatever goes through it", () => {
  test.each(["json", "pretty"] as const)("no word of others is in the log (%s)", (format) => {
    const { log, lines } = openKept({ format });
    const send = <Name extends keyof LogEvents>(name: Name, said: string) => log.event(name, EVENTS[name](said));
    fc.assert(
      fc.property(saying, fc.constantFrom(...eventNames), ({ said, words }, name) => {
        lines.length = 0;
        send(name, said);
        expect(lines).toHaveLength(1);
        for (const each of words) expect(lines[0]).not.toContain(each);
      }),
      { numRuns: 300 },
    );
  });

  test("nor is one that a cast brings into a field of our own words", () => {
    const { log, lines } = openKept();
    const fields: object = {
      ...{ user: "u", label: "Confidential", outcome: "Confidential", usage: { Confidential: 1, ms: "Confidential" } },
      ...{ route: "/Confidential merger", note: "Confidential", status: "Confidential" },
    };
    Reflect.apply(log.event, log, ["email.handled", fields]);
    expect(lines[0]).not.toContain("Confidential");
  });

  test.each(["json", "pretty"] as const)("no control character reaches a terminal (%s)", (format) => {
    const { log, lines } = openKept({ format, text: true });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: steering })), (said) => {
        lines.length = 0;
        log.event("email.failed", { user: said, email: said, error: new Error(said), text: { said } });
        expect(lines[0]?.trimEnd()).not.toMatch(/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u);
      }),
      { numRuns: 300 },
    );
    expect(lines).toHaveLength(1);
  });

  test("no secret is in the log, even with LOG_TEXT=on: those of the settings, and what has the form of one", () => {
    const secrets = ['hunter"2\\x', "token-of-ana-0123456789abcdef"];
    const forms = [
      ...["sk-proj-abcdefghijklmnop", "lsv2_pt_0123456789abcdef", "postgres://me:swordfish@db.example/m"],
      "authorization: Bearer abcdef0123456789",
    ];
    const { log, lines } = openKept({ text: true, secrets });
    for (const said of [...secrets, ...forms]) {
      const fields: object = { user: said, error: new Error(said), text: { said, token: said, headers: said } };
      Reflect.apply(log.event, log, ["learn.failed", { ...fields, apiKey: said }]);
    }
    const hidden = [...secrets, 'hunter\\"2', "abcdefghijklmnop", "0123456789abcdef", "swordfish", "abcdef0123456789"];
    for (const secret of hidden) expect(lines.join("")).not.toContain(secret);
    expect(lines).toHaveLength(secrets.length + forms.length);
  });

  test("it never throws", () => {
    const { log, lines } = openKept({ format: "pretty", text: true, secrets: ['":"', "true", "level"] });
    const endless: Record<string, unknown> = {};
    endless["self"] = endless;
    const odd = [endless, new MessageChannel().port1, Object.create(null), 1n, Symbol("x"), undefined, null];
    for (const error of odd) {
      Reflect.apply(log.event, log, ["learn.failed", { user: "u", error, text: error }]);
    }
    expect(lines).toHaveLength(odd.length);
  });
});

test("every event is in the documentation", () => {
  const documented = readFileSync("docs/observability.md", "utf8");
  expect(eventNames.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
});

test("the settings decide, and what they leave open is up to who opens the log", () => {
  const load = (environment: Record<string, string>) => loadConfig({ environment, directory: tmpdir() });
  expect(load({}).log).toEqual({ level: undefined, format: undefined, text: false });
  expect(load({ LOG_LEVEL: "debug", LOG_FORMAT: "pretty", LOG_TEXT: "on" }).log).toEqual({
    ...{ level: "debug", format: "pretty", text: true },
  });
  expect(() => load({ LOG_LEVEL: "loud" })).toThrow(/LOG_LEVEL: saw "loud"; allowed: silent, error, warn, info, debug/);
  expect(() =>
    openLog(load({ LOG_LEVEL: "silent" }), "info").event("http.failed", { method: "GET", route: "/x", error: 1 }),
  ).not.toThrow();
});
