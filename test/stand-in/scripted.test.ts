import { describe, expect, test } from "vitest";
import { type Fault, scriptSchema } from "../../src/stand-in/scripted.ts";
import { chatClient } from "./client.ts";
import { post, respondBody, start, triageBody } from "./support.ts";

const path = "/chat/completions";

describe("a scripted answer", () => {
  test("is given as often as it says, then the next that matches, then the behaviour", async () => {
    const standIn = await start({
      answers: [
        { when: { schema: "triage", contains: "Tom" }, json: { label: "ignore", reason: "one" }, times: 1 },
        { when: { schema: "triage" }, json: { label: "ignore", reason: "two" }, times: 1 },
        { when: { schema: "learn" }, json: {} },
      ],
    });
    const reasons = [];
    for (const _ of [1, 2, 3]) reasons.push((await post(standIn, path, triageBody({}))).text);
    expect(reasons[0]).toContain("one");
    expect(reasons[1]).toContain("two");
    expect(reasons[2]).toContain("[stand-in]");
  });

  test("can call tools, with text beside, by what is offered and what was already called", async () => {
    const search = { name: "search_memory", args: { query: "Tom" } };
    const standIn = await start({
      answers: [
        { when: { tool: "search_memory", after: "search_memory" }, content: "Enough." },
        { when: { tool: "search_memory" }, content: "Let me see.", tool_calls: [search] },
      ],
    });
    const first = await post(standIn, path, respondBody({}));
    expect(first.text).toContain("Let me see.");
    expect(first.text).toContain("search_memory");
    const second = await post(standIn, path, respondBody({}, { done: [{ name: "search_memory", result: "" }] }));
    expect(second.text).toContain("Enough.");
    expect((await post(standIn, path, respondBody({}, { offered: ["write_email"] }))).text).toContain("write_email");
  });

  test.each([
    ["lacks a key", { when: {}, json: { label: "ignore" } }],
    ["leaves an enum", { when: {}, json: { label: "spam", reason: "" } }],
    ["is no JSON", { when: {}, content: "ignore" }],
  ])("that %s of a strict schema is refused, since no strict server could give it", async (_, answer) => {
    const { status, text } = await post(await start({ answers: [answer] }), path, triageBody({}));
    expect(status).toBe(400);
    expect(text).toContain("stand_in_answer");
  });

  test("that calls a strict tool with a key missing is refused; one that calls a tool not offered is not", async () => {
    const answers = (name: string) => [{ when: {}, tool_calls: [{ name, args: {} }] }];
    expect((await post(await start({ answers: answers("write_email") }), path, respondBody({}))).status).toBe(400);
    expect((await post(await start({ answers: answers("fly") }), path, respondBody({}))).status).toBe(200);
  });
});

test("a script can be held in a file, and its mistakes are named", () => {
  const script = { answers: [{ when: { contains: "x" }, json: { a: 1 }, times: 2 }], faults: [{ kind: "timeout" }] };
  expect(scriptSchema.parse(JSON.parse(JSON.stringify(script)))).toEqual(script);
  expect(scriptSchema.safeParse({ answers: [{ when: {} }] }).success).toBe(false);
  expect(scriptSchema.safeParse({ answers: [{ when: { scheme: "x" }, content: "" }] }).success).toBe(false);
  expect(scriptSchema.safeParse({ faults: [{ kind: "earthquake" }] }).success).toBe(false);
});

describe("a fault", () => {
  const meet = async (fault: Fault, options = {}) =>
    chatClient(await start({ faults: [fault] }), options).invoke([{ role: "user", content: "Hi" }]);

  test.each([
    ["rate_limit", 429],
    ["server_error", 500],
    ["unauthorized", 401],
  ] as const)("%s has the status %d", async (kind, status) => {
    await expect(meet({ kind })).rejects.toMatchObject({ status });
  });

  test("rate_limit once is survived by a client that retries", async () => {
    expect((await meet({ kind: "rate_limit", times: 1 }, { maxRetries: 1 })).text).toContain("[stand-in]");
  });

  test("rate_limit says when to come back", async () => {
    const { headers } = await post(await start({ faults: [{ kind: "rate_limit" }] }), path, triageBody({}));
    expect(headers.get("retry-after-ms")).toBe("10");
  });

  test("timeout lasts until the client gives up", async () => {
    await expect(meet({ kind: "timeout" }, { timeout: 50 })).rejects.toThrow(/timed? ?out/i);
  });

  test("timeout ends when the server is closed", async () => {
    const standIn = await start({ faults: [{ kind: "timeout" }] });
    const waiting = post(standIn, path, triageBody({})).catch(() => "ended");
    await expect.poll(() => standIn.requests.length).toBe(1);
    await standIn.close();
    expect(await waiting).toBe("ended");
  });

  test.each([true, false])("cut_stream ends the connection within the body (stream: %s)", async (stream) => {
    const standIn = await start({ faults: [{ kind: "cut_stream" }] });
    const response = await fetch(standIn.url + path, {
      method: "POST",
      body: JSON.stringify({ ...triageBody({}), stream }),
    });
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    await expect(chatClient(standIn).invoke("Hi")).rejects.toThrow();
  });

  test.each([true, false])("malformed_json is half of the JSON (stream: %s)", async (stream) => {
    const standIn = await start({ faults: [{ kind: "malformed_json" }] });
    const { status, text } = await post(standIn, path, { ...triageBody({}), stream });
    expect(status).toBe(200);
    const json = stream ? text.split("\n", 1).join("").slice("data: ".length) : text;
    expect(json).toMatch(/^\{"id":/);
    expect(() => JSON.parse(json)).toThrow(SyntaxError);
    await expect(chatClient(standIn).invoke("Hi")).rejects.toThrow();
  });

  test("nonsense is a completion that is not the JSON asked for", async () => {
    const { status, text } = await post(await start({ faults: [{ kind: "nonsense" }] }), path, triageBody({}));
    expect(status).toBe(200);
    expect(text).toContain("Colourless");
  });

  test("meets only the requests it is for", async () => {
    const standIn = await start({
      faults: [
        { kind: "server_error", when: { path: "embeddings" } },
        { kind: "rate_limit", when: { path: "chat", contains: "Tom" }, times: 1 },
      ],
    });
    const status = async (route: string, body: object) => (await post(standIn, route, body)).status;
    expect(await status("/embeddings", { model: "any", input: "a" })).toBe(500);
    expect(await status(path, triageBody({ from: "Ana <ana@x.example>" }))).toBe(200);
    expect(await status(path, triageBody({}))).toBe(429);
    expect(await status(path, triageBody({}))).toBe(200);
  });

  test.each(["malformed_json", "nonsense"] as const)("%s meets embeddings too", async (kind) => {
    const { text } = await post(await start({ faults: [{ kind }] }), "/embeddings", { model: "any", input: "a" });
    if (kind === "nonsense") expect(JSON.parse(text)).toMatchObject({ data: [{ embedding: [1] }] });
    else expect(() => JSON.parse(text)).toThrow(SyntaxError);
  });
});
