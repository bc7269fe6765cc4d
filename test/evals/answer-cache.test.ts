import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { HumanMessage } from "@langchain/core/messages";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig } from "../../src/config.ts";
import { openAnswerCache, withTraffic } from "../../src/evals/answer-cache.ts";
import { askForJson, openModels } from "../../src/models.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";

const ANSWER = { choices: [{ message: { role: "assistant", content: "yes" } }] };
const sendJson = (response: ServerResponse, body: unknown, status = 200) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

let asked: string[] = [];
let respond: (response: ServerResponse, body: string) => unknown;
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  asked.push(body);
  respond(response, body);
});
let url: string;
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/v1/chat/completions`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  respond = (response) => sendJson(response, ANSWER);
});

/** Answers in a file of their own. */
function openFile() {
  const folder = temporaryFolder();
  return { ...folder, open: (run = "this run") => openAnswerCache(folder.path("answers.db"), { run }) };
}

const question = (text: string, more: object = {}) => ({
  method: "POST",
  body: JSON.stringify({ model: "m", messages: [{ role: "user", content: text }], ...more }),
});

describe("every answer is kept by the content of its request", () => {
  test("equal requests are asked once, one after the other and at the same time", async () => {
    using file = openFile();
    using answers = file.open();
    const waiting: ServerResponse[] = [];
    respond = (response) => waiting.push(response);
    const first = Array.from({ length: 5 }, () => answers.fetch(url, question("same")));
    await expect.poll(() => waiting.length).toBe(1);
    for (const response of waiting) sendJson(response, ANSWER);
    const bodies = await Promise.all(first.map(async (each) => (await each).json()));
    bodies.push(await (await answers.fetch(url, question("same"))).json());
    expect(bodies).toEqual(Array.from({ length: 6 }, () => ANSWER));
    expect(asked).toHaveLength(1);
  });

  test("a changed prompt, another model and another address are asked anew, and nothing else", async () => {
    using file = openFile();
    using answers = file.open();
    const prompts = ["a", "b", "c"];
    for (const prompt of prompts) await answers.fetch(url, question(prompt));
    for (const prompt of ["a", "B", "c"]) await answers.fetch(url, question(prompt));
    expect(asked).toHaveLength(4);
    await answers.fetch(url, question("a", { model: "other" }));
    await answers.fetch(url.replace("/v1/", "/v2/"), question("a"));
    expect(asked).toHaveLength(6);
  });

  test("a server with a name is the same at another address", async () => {
    using file = openFile();
    using answers = openAnswerCache(file.path("answers.db"), { run: "r", server: "stand-in 1" });
    await answers.fetch(url, question("a"));
    await answers.fetch("http://127.0.0.1:9/v1/chat/completions", question("a"));
    expect(asked).toHaveLength(1);
    using other = openAnswerCache(file.path("answers.db"), { run: "r", server: "stand-in 2" });
    await other.fetch(url, question("a"));
    expect(asked).toHaveLength(2);
  });

  test("equal requests of different turns are asked apart", async () => {
    using file = openFile();
    using answers = file.open();
    for (const turn of [0, 1, 2, 1, 0]) await withTraffic(turn, () => answers.fetch(url, question("same")));
    await answers.fetch(url, question("same"));
    expect(asked).toHaveLength(3);
  });

  test.each<[string, (response: ServerResponse) => unknown]>([
    ["429", (response) => sendJson(response, { error: { message: "slow down" } }, 429)],
    ["500", (response) => sendJson(response, { error: { message: "oh" } }, 500)],
    ["half of the JSON", (response) => response.writeHead(200).end(JSON.stringify(ANSWER).slice(0, 30))],
    ["an error that is sent as a success", (response) => sendJson(response, { error: { code: 429, message: "slow" } })],
    ["no choice at all", (response) => sendJson(response, { choices: [] })],
    [
      "a connection that is cut",
      (response) => {
        response.writeHead(200, { "content-length": "1000" }).write("{");
        setImmediate(() => response.destroy());
      },
    ],
  ])("a failure is not kept: %s", async (_, fail) => {
    using file = openFile();
    using answers = file.open();
    respond = fail;
    const failed = await answers.fetch(url, question("a")).then((response) => response.text(), String);
    expect(failed).not.toContain("yes");
    respond = (response) => sendJson(response, ANSWER);
    expect(await (await answers.fetch(url, question("a"))).json()).toEqual(ANSWER);
    expect(asked).toHaveLength(2);
  });

  test("a failure keeps its status and headers, by which clients wait and try again", async () => {
    using file = openFile();
    using answers = file.open();
    respond = (response) => response.writeHead(429, { "retry-after": "7" }).end("{}");
    const both = await Promise.all([answers.fetch(url, question("a")), answers.fetch(url, question("a"))]);
    expect(both.map(({ status, headers }) => [status, headers.get("retry-after")])).toEqual([
      [429, "7"],
      [429, "7"],
    ]);
  });

  test("words in the place of the JSON that was asked for are not kept", async () => {
    using file = openFile();
    using answers = file.open();
    const request = question("a", { response_format: { type: "json_schema", json_schema: { name: "triage" } } });
    for (const _ of [1, 2]) expect(await (await answers.fetch(url, request)).json()).toEqual(ANSWER);
    expect(asked).toHaveLength(2);
  });

  test("what is streamed passes, and is asked each time", async () => {
    using file = openFile();
    using answers = file.open();
    respond = (response) => response.writeHead(200, { "content-type": "text/event-stream" }).end("data: x\n\n");
    for (const _ of [1, 2]) {
      const response = await answers.fetch(url, question("a", { stream: true }));
      expect(response.headers.get("content-type")).toBe("text/event-stream");
      expect(await response.text()).toBe("data: x\n\n");
    }
    expect(asked).toHaveLength(2);
  });
});

describe("a trial's account of what it asked", () => {
  test("known are the answers that were there before this run, also when it goes on in another process", async () => {
    using file = openFile();
    const knownOf = async (run: string, ...texts: string[]) => {
      using answers = file.open(run);
      return await withTraffic(0, async (traffic) => {
        for (const text of texts) await answers.fetch(url, question(text));
        return traffic.known;
      });
    };
    expect(await knownOf("first", "a", "b", "a")).toBe(0);
    expect(await knownOf("first", "a", "b")).toBe(0);
    expect(await knownOf("second", "a", "c", "a")).toBe(2);
    expect(await knownOf("second", "b", "c")).toBe(1);
    expect(asked).toHaveLength(3);
  });

  test("the requests as the model was shown them, also those whose answer was known", async () => {
    using file = openFile();
    using answers = file.open();
    const asJson = { choices: [{ message: { role: "assistant", content: '{"label":"ignore"}' } }] };
    respond = (response) => sendJson(response, asJson);
    const format = { type: "json_schema", json_schema: { name: "triage", strict: true, schema: {} } };
    const call = { type: "function", id: "1", function: { name: "write_email", arguments: '{"to":"x"}' } };
    const messages = [
      {
        role: "system",
        content: [
          { type: "text", text: "Be" },
          { type: "text", text: "brief." },
        ],
      },
      { role: "assistant", content: null, tool_calls: [call] },
    ];
    const [, requests] = await withTraffic(0, async (traffic) => {
      await answers.fetch(url, question("a", { response_format: format }));
      return [await answers.fetch(url, question("", { messages })), traffic.requests] as const;
    });
    expect(requests).toEqual([
      { kind: "triage", messages: [{ role: "user", text: "a" }] },
      {
        kind: "answer",
        messages: [
          { role: "system", text: "Be\nbrief." },
          { role: "assistant", text: 'write_email {"to":"x"}' },
        ],
      },
    ]);
    const again = await withTraffic(0, async (traffic) => {
      await answers.fetch(url, question("a", { response_format: format }));
      return traffic.requests;
    });
    expect(again).toEqual(requests.slice(0, 1));
  });

  test("embeddings that are asked for at once are asked in the turn of their own trial", async () => {
    using file = openFile();
    using answers = file.open();
    await using model = await startStandIn();
    const config = loadConfig({ environment: { OPENAI_BASE_URL: model.url }, directory: file.path(".") });
    await using models = await openModels(config, { fetch: answers.fetch });
    const turns = Array.from({ length: 20 }, (_, turn) => turn);
    await Promise.all(turns.map((turn) => withTraffic(turn, async () => models.embeddings?.embedQuery("the same"))));
    expect(model.requests).toHaveLength(20);
  });

  test("trials that run at once are never mixed up: not their requests, nor what was known of them", async () => {
    using file = openFile();
    await using model = await startStandIn({
      answers: [{ when: { schema: "triage" }, json: { label: "ignore", reason: "x" } }],
    });
    const config = loadConfig({ environment: { OPENAI_BASE_URL: model.url }, directory: file.path(".") });
    const schema = z.object({ label: z.string(), reason: z.string() });
    const ask = async (run: string, numbers: number[], turn = 0) => {
      using answers = file.open(run);
      await using models = await openModels(config, { fetch: answers.fetch });
      return await Promise.all(
        numbers.map((n) =>
          withTraffic(turn, async (traffic) => {
            const own = n % 2 === 0 ? models.embeddings?.embedDocuments([`text ${n}`, `more ${n}`]) : undefined;
            await Promise.all([own, models.embeddings?.embedQuery(`query ${n}`)]);
            await askForJson(models.chat, { name: "triage", schema, messages: [new HumanMessage(`email ${n}`)] });
            return { n, known: traffic.known, shown: traffic.requests.flatMap(({ messages }) => messages) };
          }),
        ),
      );
    };
    const all = Array.from({ length: 40 }, (_, n) => n);
    await ask(
      "before",
      all.filter((n) => n % 3 === 0),
    );
    const trials = await ask("now", all);
    for (const { n, known, shown } of trials) {
      expect(shown).toEqual([{ role: "user", text: `email ${n}` }]);
      expect([n, known]).toEqual([n, n % 3 === 0 ? 1 : 0]);
    }
    expect(new Set(model.requests.map(({ body }) => JSON.stringify(body))).size).toBe(model.requests.length);
  });
});

test("several processes may share the file", async () => {
  using file = openFile();
  const module = JSON.stringify(new URL("../../src/evals/answer-cache.ts", import.meta.url).href);
  const program = `
    const { openAnswerCache } = await import(${module});
    const answers = openAnswerCache(process.argv[1], { run: process.argv[3] });
    const ask = (n) => answers.fetch(process.argv[2], { method: "POST", body: JSON.stringify({ n }) });
    for (let n = 0; n < 60; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => ask(n + i)));`;
  const start = (run: string) => {
    const args = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", program];
    return once(spawn(process.execPath, [...args, file.path("answers.db"), url, run], { stdio: "inherit" }), "close");
  };
  expect(await Promise.all([start("a"), start("b")])).toEqual([
    [0, null],
    [0, null],
  ]);
  expect(asked.length).toBeLessThanOrEqual(120);
  asked = [];
  using answers = file.open("c");
  for (let n = 0; n < 60; n += 1) await answers.fetch(url, { method: "POST", body: JSON.stringify({ n }) });
  expect(asked).toEqual([]);
});

test("a place where no file can be is named", () => {
  using file = openFile();
  writeFileSync(file.path("file"), "");
  const path = file.path("file/answers.db");
  expect(() => openAnswerCache(path, { run: "r" })).toThrow(path);
});
