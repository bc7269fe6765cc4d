import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { createLocalRunner } from "../../src/server/local-runner.ts";
import { type OpenServer, openServer } from "../../src/server/open.ts";
import { createTokens } from "../../src/server/tokens.ts";
import { withoutQuoted } from "../../src/server/warning.ts";

const ANA = "ana@home.example";
const TOKEN = "token-of-ana-0123456789abcdef";
const JSON_TYPE = { "content-type": "application/json" };
const config = loadConfig({
  environment: { STORE_URL: "memory:", MNEMAIL_MODEL: "stand-in", MEMORY_EXTRACTION: "off", LOG_LEVEL: "silent" },
  directory: tmpdir(),
});
let open: OpenServer;
let closed: OpenServer;

beforeAll(async () => {
  const options = { warn: () => {}, keepThreads: true };
  open = await openServer(config, { tokens: undefined, ...options });
  closed = await openServer(config, { tokens: createTokens([{ userId: ANA, tokens: [TOKEN] }]), ...options });
});

afterAll(async () => {
  await open[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

async function ask(server: OpenServer, path: string, headers: Record<string, string>, method = "GET") {
  const app = server.createApp(createLocalRunner(server.assistant));
  const reply = await app.request(`http://${headers["host"] ?? "127.0.0.1:8000"}${path}`, { method, headers });
  return { status: reply.status, text: await reply.text() };
}

async function propose(server: OpenServer) {
  const { pending } = server.assistant.memory;
  const fact = { action: "create", content: "Tom prefers short answers.", id: null } as const;
  await pending.propose(ANA, fact, "2026-03-02T09:00:00Z");
  const [waiting] = await pending.list(ANA);
  return { path: `/v1/memory/pending/${waiting?.key}/approve`, list: () => pending.list(ANA) };
}

describe("a server without tokens, and pages of other sites", () => {
  const site = { host: "127.0.0.1:8000", origin: "http://evil.example" };
  const rows: [string, number, Record<string, string>, string][] = [
    ["a form without a type", 415, { host: "127.0.0.1:8000" }, "application/json"],
    ["a form", 415, { host: "127.0.0.1:8000", "content-type": "text/plain" }, "application/json"],
    ["a page of another origin", 403, { ...site, ...JSON_TYPE }, "origin: is another site's"],
    ["a page of another port", 403, { ...site, origin: "http://127.0.0.1:3000", ...JSON_TYPE }, "origin:"],
    ["a sandboxed page", 403, { ...site, origin: "null", ...JSON_TYPE }, "origin:"],
    ["a name that was rebound", 403, { host: "evil.example:8000", ...JSON_TYPE }, "host: is not this machine"],
    ["one that looks alike", 403, { host: "127.0.0.1.evil.example", ...JSON_TYPE }, "host:"],
    [
      "a page of that name",
      403,
      { host: "evil.example:8000", origin: "http://evil.example:8000", ...JSON_TYPE },
      "host:",
    ],
  ];

  test.each(rows)("%s: %d, and nothing is approved", async (_, status, headers, message) => {
    const { path, list } = await propose(open);
    const reply = await ask(open, `${path}?user=${ANA}`, headers, "POST");
    expect(reply.status, reply.text).toBe(status);
    expect(reply.text).toContain(message);
    expect(await list()).toHaveLength(1);
    if (status === 403) expect((await ask(open, `/v1/reviews?user=${ANA}`, headers)).status).toBe(403);
  });

  test("its own pages and programs of this machine are answered, and health checks by any name", async () => {
    for (const host of ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost"]) {
      expect((await ask(open, `/v1/reviews?user=${ANA}`, { host })).status).toBe(200);
    }
    expect((await ask(open, "/health", { host: "mnemail.internal", origin: "http://evil.example" })).status).toBe(200);
    const { path, list } = await propose(open);
    const own = { host: "127.0.0.1:8000", origin: "http://127.0.0.1:8000", ...JSON_TYPE };
    expect((await ask(open, `${path}?user=${ANA}`, own, "POST")).status).toBe(200);
    expect(await list()).toEqual([]);
  });

  test("with tokens it has any name, and pages that know one may ask; every POST names its type", async () => {
    const by = { host: "mail.example.com", origin: "https://app.example.com", authorization: `Bearer ${TOKEN}` };
    expect((await ask(closed, "/v1/reviews", by)).status).toBe(200);
    const { path } = await propose(closed);
    expect((await ask(closed, path, by, "POST")).status).toBe(415);
    expect((await ask(closed, path, { ...by, ...JSON_TYPE }, "POST")).status).toBe(200);
  });
});

test("what a server warns of holds nothing that an email or a model said", () => {
  const lines: [string, string][] = [
    [
      "facts of a: are not extracted: x@b.example are not extracted: the model said: SECRET",
      "facts of an email are not extracted: …",
    ],
    ["facts of emails are not extracted: SECRET", "facts of emails are not extracted: …"],
    ["memory is searched by words alone: refused SECRET: no", "memory is searched by words alone: …"],
    ["records that cannot be read are left out: 3", "records that cannot be read are left out: 3"],
    [
      "postgresql://db.example/m: an idle connection was lost (57P01: gone)",
      "postgresql://db.example/m: an idle connection was lost (57P01: gone)",
    ],
  ];
  expect(lines.map(([line]) => withoutQuoted(line))).toEqual(lines.map(([, shown]) => shown));
});
