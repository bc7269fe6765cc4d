import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type StandIn, startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";
import { createCaller, type Request, until } from "../support/http.ts";
import { startPglite } from "../support/postgres.ts";
import { type Served, startServe } from "../support/serve.ts";

const ANA = "ana@home.example";
const BEN = "ben@home.example";
const TOKENS = { [ANA]: "token-of-ana-0123456789abcdef", [BEN]: "token-of-ben-0123456789abcdef" };

const reviewSchema = z.object({
  id: z.string(),
  email: z.object({ id: z.string() }),
  action: z.object({ name: z.string(), args: z.record(z.string(), z.unknown()) }),
});
const deliveredSchema = z.object({
  duplicate: z.boolean(),
  status: z.string(),
  id: z.string(),
  draft: z.object({ body: z.string() }).nullable(),
  reviews: z.array(reviewSchema),
});
const listSchema = z.object({ reviews: z.array(reviewSchema) });
const errorSchema = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string(), hint: z.string().nullable() }),
});

const folder = temporaryFolder();
let model: StandIn;
let environment: Record<string, string>;
let served: Served;
let ana: ReturnType<typeof createCaller>;
let ben: ReturnType<typeof createCaller>;

const start = async () => {
  served = await startServe(folder.path("."), environment);
  ana = createCaller(served.url, TOKENS[ANA]);
  ben = createCaller(served.url, TOKENS[BEN]);
};

beforeAll(async () => {
  model = await startStandIn({
    faults: [
      { when: { path: "chat", contains: "Slow answer" }, kind: "timeout", times: 1 },
      { when: { path: "chat", contains: "Killed answer" }, kind: "timeout", times: 1 },
      { when: { path: "chat", contains: "Broken answer" }, kind: "unauthorized", times: 1 },
    ],
  });
  environment = {
    STORE_URL: "sqlite:memory.db",
    API_TOKENS: JSON.stringify(TOKENS),
    OPENAI_BASE_URL: model.url,
    MODEL_TIMEOUT_MS: "1500",
    MODEL_MAX_RETRIES: "1",
    MEMORY_EXTRACTION: "off",
  };
  await start();
});

afterAll(async () => {
  await served.stop("SIGKILL");
  await model.close();
  folder[Symbol.dispose]();
});

const question = (subject: string, fields = {}) => ({
  ...{ from: "Tom Berg <tom@work.example>", to: ANA, subject, body: `Could you tell me about ${subject}?\nTom` },
  ...fields,
});
const get = (path: string): Request => ({ method: "GET", path });
const post = (path: string, body?: unknown): Request => ({ method: "POST", path, body });
const deliver = async (email: object) => deliveredSchema.parse((await ana(post("/v1/emails", email))).json);
const firstReview = async (email: object) => {
  const [review] = (await deliver(email)).reviews;
  if (!review) throw new Error("nothing waits");
  return review;
};
const decide = (id: string, decision: object) => ana(post(`/v1/reviews/${id}/decision`, decision));
const outbox = () => readdirSync(folder.path(".mnemail/outbox"), { recursive: true, encoding: "utf8" });

describe("mnemail serve: from delivery to answer over HTTP", () => {
  test("an email is delivered, reviewed after a restart, and sent once; what was learnt shows in the next", async () => {
    const delivered = await deliver(question("the release", { id: "release@work.example" }));
    expect(delivered).toMatchObject({ duplicate: false, status: "pending_review", id: "release@work.example" });
    const [review] = delivered.reviews;
    expect(review?.action).toMatchObject({ name: "write_email", args: { to: "tom@work.example" } });
    const id = review?.id ?? "";
    const before = await ana(get(`/v1/reviews/${id}`));

    expect(await served.stop()).toBe(0);
    await start();

    expect((await ana(get(`/v1/reviews/${id}`))).text).toBe(before.text);
    const preview = await ana(post(`/v1/reviews/${id}/preview`, { type: "approve" }));
    expect(preview.json).toMatchObject({ receipt: { changes: [{ kind: "example", label: "respond" }] } });
    const edited = { ...review?.action.args, body: "Hello Tom,\n\nIt is on Friday.\n\nAna" };
    const decided = await decide(id, { type: "edit", args: edited });
    expect(decided).toMatchObject({ status: 200, json: { acted: { kind: "email", status: "written" }, next: [] } });
    expect((await decide(id, { type: "approve" })).status).toBe(409);
    const written = outbox().filter((name) => name.endsWith(".eml"));
    expect(written).toHaveLength(1);
    expect(readFileSync(folder.path(`.mnemail/outbox/${written[0]}`), "utf8")).toContain("It is on Friday.");

    const text = "Always sign my emails with Ana B.";
    const learnt = await ana(post("/v1/feedback", { kind: "text", id: "once", text }));
    expect(learnt).toMatchObject({ status: 200, json: { dry_run: false, repeated: false } });
    expect((await ana(post("/v1/feedback", { kind: "text", id: "once", text }))).json).toMatchObject({
      repeated: true,
    });
    expect((await deliver(question("the budget"))).draft?.body).toContain("Ana B.");
  });

  test("words of the user lead to a new draft; a rejection ends the email", async () => {
    const review = await firstReview(question("the party"));
    const asked = await decide(review.id, { type: "respond", message: "Please be shorter." });
    const { next } = z.object({ next: z.array(reviewSchema) }).parse(asked.json);
    expect(next.map(({ id }) => id)).not.toContain(review.id);
    expect((await decide(review.id, { type: "approve" })).status).toBe(409);
    const files = outbox();
    const rejected = await decide(next[0]?.id ?? "", { type: "reject", message: "No need to answer this." });
    expect(rejected).toMatchObject({ status: 200, json: { acted: null, next: [] } });
    expect(outbox()).toEqual(files);
  });

  test("of two decisions at once one is taken, and the other is told so", async () => {
    const { id } = await firstReview(question("the offsite"));
    const files = outbox().length;
    const both = await Promise.all([decide(id, { type: "approve" }), decide(id, { type: "reject" })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(outbox().length - files).toBe(both[0]?.status === 200 ? 1 : 0);
  });

  test("an email that comes ten times at once is handled once, and each time again is a duplicate", async () => {
    const email = question("the audit");
    const replies = await Promise.all(Array.from({ length: 10 }, () => deliver({ email_input: email })));
    expect(replies.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    const again = await deliver(email);
    expect(again).toMatchObject({ duplicate: true, status: "pending_review", id: replies[0]?.id });
    expect(again.reviews).toHaveLength(1);
    expect((await deliver({ ...email, body: "Could you tell me more?" })).duplicate).toBe(false);
  });

  test("of a conversation, each email is answered with what waits of it alone", async () => {
    const references = ["root@work.example"];
    const tom = question("the roof", { references });
    const eve = question("the cellar", { references, from: "Eve <eve@evil.example>" });
    const both = [await deliver(tom), await deliver(eve)];
    expect(both.map(({ id, reviews }) => reviews.map(({ email }) => email.id === id))).toEqual([[true], [true]]);
    expect((await deliver(tom)).reviews).toEqual(both[0]?.reviews);
  });

  test("an email whose handling failed is handled when it is delivered again", async () => {
    const email = question("Broken answer", { id: "the-secret-meeting@work.example" });
    const failed = await ana(post("/v1/emails", email));
    expect(failed).toMatchObject({ status: 502, json: { error: { code: "model" } } });
    // What is logged of it names neither the email nor what it says.
    await until(async () => (served.output().includes('"http.failed"') ? true : undefined));
    expect(served.output()).not.toMatch(/secret-meeting|Broken answer/);
    expect(await deliver(email)).toMatchObject({ duplicate: false, status: "pending_review" });
  });

  test("memory is read, taken back and forgotten, by the user whose it is", async () => {
    await ana(post("/v1/feedback", { kind: "text", text: "Always answer in one sentence." }));
    const history = await ana(get("/v1/memory/history/agent_instructions"));
    expect(history.text).toContain("one sentence");
    const rolled = await ana(post("/v1/memory/rollback", { prompt: "agent_instructions" }));
    expect(rolled).toMatchObject({ status: 200, json: { prompt: "agent_instructions" } });
    const target = { contact: "tom@work.example" };
    const plan = await ana(post("/v1/memory/forget", target));
    expect(plan).toMatchObject({ status: 200, json: { dry_run: true } });
    expect((await ana(get("/v1/memory"))).text).toContain("tom@work.example");
    expect((await ben(post("/v1/memory/forget", { ...target, confirm: true }))).status).toBe(404);
    const { removed } = z.object({ removed: z.array(z.unknown()) }).parse(plan.json);
    expect(removed.length).toBeGreaterThan(5);
    const done = await ana(post("/v1/memory/forget", { ...target, confirm: true }));
    expect(done).toMatchObject({ status: 200, json: { dry_run: false } });
    expect((await ana(get("/v1/memory"))).text).not.toContain("tom@work.example");
    expect(listSchema.parse((await ana(get("/v1/reviews"))).json).reviews).toEqual([]);
    expect((await ana(post("/v1/memory/forget", { ...target, confirm: true }))).status).toBe(404);
  });
});

describe("bad input gets the right status, one clear message, and changes nothing", () => {
  const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;
  const rows: [string, number, Request, string][] = [
    ["no JSON", 400, post("/v1/emails", "{"), "is no JSON"],
    [
      "another type",
      415,
      { ...post("/v1/emails", "{}"), headers: { "content-type": "text/plain" } },
      "application/json",
    ],
    ["a large body", 413, post("/v1/emails", { ...question("x"), body: "x".repeat(300_000) }), "262144 bytes"],
    ["no email", 422, post("/v1/emails", { to: "ana" }), "email: from: expected an address"],
    ["an email that is a list", 422, post("/v1/emails", []), "email: body"],
    ["nothing", 422, post("/v1/emails", {}), "email:"],
    ["no body of no type", 415, post("/v1/memory/rollback"), "of an empty body too"],
    ["a deep body", 422, post("/v1/feedback", deep), "feedback:"],
    [
      "a decision of another type",
      422,
      post(`/v1/reviews/${"0".repeat(32)}/decision`, { type: "maybe" }),
      "decision: type",
    ],
    [
      "a review that is gone",
      404,
      post(`/v1/reviews/${"0".repeat(32)}/decision`, { type: "approve" }),
      "none of that id",
    ],
    ["the beginning of an id", 404, post("/v1/reviews/0000/decision", { type: "approve" }), "none of that id"],
    ["a review of no id", 404, get("/v1/reviews/%00"), "none of that id"],
    ["feedback of no kind", 422, post("/v1/feedback", { text: "Be brief." }), "feedback: kind"],
    ["feedback of another's making", 422, post("/v1/feedback", { kind: "text", text: "x", actor: "ben" }), "feedback:"],
    [
      "feedback on an unknown email",
      422,
      post("/v1/feedback", { kind: "seen", email_id: "x" }),
      "not among the emails",
    ],
    ["feedback without words", 422, post("/v1/feedback", { kind: "text", text: " " }), "expected a text"],
    ["an unknown prompt", 404, get("/v1/memory/history/triage"), "prompt"],
    [
      "a rollback to nowhere",
      422,
      post("/v1/memory/rollback", { prompt: "triage_ignore", version: 9 }),
      "no version 9",
    ],
    ["forgetting of nothing", 422, post("/v1/memory/forget", {}), "expected one of contact"],
    ["forgetting of two", 422, post("/v1/memory/forget", { contact: "a@b.example", email: "x" }), "expected one of"],
    ["forgetting of oneself", 422, post("/v1/memory/forget", { contact: ANA, confirm: true }), "own address"],
    ["a pending memory of no key", 404, post("/v1/memory/pending/x/approve", {}), "does not wait"],
    ["an unknown route", 404, get("/v1/nothing"), "no such route"],
    ["another method", 404, { method: "DELETE", path: "/v1/memory" }, "no such route"],
    ["another user", 403, get(`/v1/memory?user=${BEN}`), "names another than the token"],
  ];

  test.each(rows)("%s: %d", async (_, status, request, message) => {
    const before = (await ana(get("/v1/memory"))).text;
    const reply = await ana(request);
    expect(reply.status, reply.text).toBe(status);
    expect(errorSchema.parse(reply.json).error.message).toContain(message);
    expect(reply.text).not.toMatch(/\.ts:\d+|\n\s+at /);
    expect((await ana(get("/v1/memory"))).text).toBe(before);
  });

  test("an edit that adds a recipient, or is none: 422, and the review waits as it did", async () => {
    const { id, action } = await firstReview(question("the contract"));
    const before = (await ana(get(`/v1/reviews/${id}`))).text;
    const edits = [
      { ...action.args, to: "tom@work.example, eve@evil.example" },
      { ...action.args, body: "" },
      { body: 7 },
    ];
    for (const args of edits) {
      const reply = await decide(id, { type: "edit", args });
      expect(reply.status, reply.text).toBe(422);
      expect(reply.json).toMatchObject({ error: { code: "input" } });
    }
    expect((await decide(id, { type: "edit" })).status).toBe(422);
    expect((await decide(id.slice(0, 31), { type: "approve" })).status).toBe(404);
    expect((await ben(post(`/v1/reviews/${id}/decision`, { type: "approve" }))).status).toBe(404);
    expect((await createCaller(served.url)(get("/v1/reviews"))).status).toBe(401);
    expect((await ana(get(`/v1/reviews/${id}`))).text).toBe(before);
  });
});

describe("starting and stopping", () => {
  test("a request that is being answered when the server is stopped gets its answer", async () => {
    const slow = deliver(question("Slow answer"));
    await until(async () => model.requests.find(({ body }) => JSON.stringify(body ?? "").includes("Slow answer")));
    const [code, delivered] = await Promise.all([served.stop("SIGINT"), slow]);
    expect(delivered.reviews).toHaveLength(1);
    expect(code).toBe(0);
    await expect(fetch(`${served.url}/health`)).rejects.toThrow();
    await start();
    expect(await deliver(question("Slow answer"))).toMatchObject({ duplicate: true, status: "pending_review" });
  });

  test("what it was killed over, it goes on with when it starts again", async () => {
    const killed = ana(post("/v1/emails", question("Killed answer"))).catch(() => "cut off");
    await until(async () => model.requests.find(({ body }) => JSON.stringify(body ?? "").includes("Killed answer")));
    await served.stop("SIGKILL");
    expect(await killed).toBe("cut off");
    await start();
    expect(served.output()).toMatch(/thread \S+, which was cut off: finished/);
    expect((await ana(get("/v1/reviews"))).text).toContain("Killed answer");
    expect(await deliver(question("Killed answer"))).toMatchObject({ duplicate: true, status: "running" });
  });

  test("health and readiness need no token; a store that is away makes it unready, and not dead", async () => {
    const database = await startPglite();
    const other = await startServe(folder.path("."), {
      ...{ STORE_URL: database.url, API_TOKENS: JSON.stringify(TOKENS), OPENAI_BASE_URL: model.url },
      ...{ POSTGRES_RETRY_MS: "200", POSTGRES_CONNECT_TIMEOUT_MS: "500" },
    });
    const stranger = createCaller(other.url);
    expect(await stranger(get("/ready"))).toMatchObject({ status: 200, json: { status: "ready", store: "reachable" } });
    await database.stop();
    const away = await until(async () => {
      const reply = await stranger(get("/ready"));
      return reply.status === 503 ? reply : undefined;
    });
    expect(away.json).toMatchObject({ status: "not ready", store: "not reachable" });
    expect(await stranger(get("/health"))).toMatchObject({ status: 200, json: { status: "up" } });
    const reply = await createCaller(other.url, TOKENS[ANA])(get("/v1/memory"));
    expect(reply).toMatchObject({ status: 503, json: { error: { code: "store" } } });
    expect(reply.text).not.toContain(database.url);
    await other.stop("SIGKILL");
  });

  const settings = { STORE_URL: "memory:", MNEMAIL_MODEL: "stand-in", MEMORY_EXTRACTION: "off" };

  test("without tokens it is open, on this machine only, and says so; all of it works in memory alone", async () => {
    const other = await startServe(folder.path("."), settings);
    expect(other.output()).toContain("API_TOKENS is not set: everybody who reaches this server can act for every user");
    const anybody = createCaller(other.url);
    expect((await anybody(get("/v1/reviews"))).status).toBe(422);
    const delivered = await anybody(post(`/v1/emails?user=${ANA}`, question("the plan")));
    expect(deliveredSchema.parse(delivered.json).reviews).toHaveLength(1);
    expect((await anybody(get("/v1/reviews?user=ben"))).json).toEqual({ reviews: [], elsewhere: 0 });
    const target = { contact: "tom@work.example", confirm: true };
    const forgotten = await anybody(post(`/v1/memory/forget?user=${ANA}`, target));
    expect(forgotten.json).toMatchObject({ dry_run: false, threads: [expect.anything()] });
    expect((await anybody(get(`/v1/reviews?user=${ANA}`))).json).toEqual({ reviews: [], elsewhere: 0 });
    expect(await other.stop()).toBe(0);
    const abroad = await runCli(["serve", "--host", "0.0.0.0", "--port", "0"], settings, folder.path("."));
    expect(abroad).toMatchObject({ code: 2, stderr: expect.stringContaining("--host 0.0.0.0: without API_TOKENS") });
  });

  test("in production it does not start without tokens, or with tokens that are none, and prints none of them", async () => {
    const production = { ...settings, NODE_ENV: "production" };
    const bare = await runCli(["serve", "--port", "0"], production, folder.path("."));
    expect(bare.code).toBe(1);
    expect(bare.stderr).toContain("API_TOKENS: not set; in production the server starts only with it");
    const short = { ...production, API_TOKENS: JSON.stringify({ ana: "a-short-secret" }) };
    const refused = await runCli(["serve", "--port", "0"], short, folder.path("."));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("API_TOKENS: entry 1: expected a token of 24 to 512 visible ASCII characters");
    expect(refused.stderr).not.toContain("a-short-secret");
  });

  test("a port that is taken is said in a line", async () => {
    const { port } = new URL(served.url);
    const taken = await runCli(["serve", "--port", port], { ...settings }, folder.path("."));
    expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining(`--port ${port}: cannot be listened on`) });
  });
});
