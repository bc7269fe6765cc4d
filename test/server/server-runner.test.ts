import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { threadIdFor } from "../../src/agent/thread-id.ts";
import { emailSchema } from "../../src/email.ts";
import { type StandIn, startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type DevServer, startDevServer } from "../support/dev-server.ts";
import { createCaller, type Request } from "../support/http.ts";

const ANA = "ana@home.example";
const BEN = "ben@home.example";
const TOKENS = { [ANA]: "token-of-ana-0123456789abcdef", [BEN]: "token-of-ben-0123456789abcdef" };
const MOST_IDS = 20;

const folder = temporaryFolder();
let model: StandIn;
let server: DevServer;
let ana: ReturnType<typeof createCaller>;
let ben: ReturnType<typeof createCaller>;

const post = (path: string, body: unknown): Request => ({ method: "POST", path, body });
const deliveredSchema = z.object({
  duplicate: z.boolean(),
  thread_id: z.string(),
  reviews: z.array(z.object({ id: z.string(), email: z.object({ id: z.string() }) })),
});

function question(id: string, fields = {}) {
  const from = "Tom Berg <tom@work.example>";
  return { id, from, to: BEN, subject: "Release", body: `Could you tell me when ${id} is?`, ...fields };
}

beforeAll(async () => {
  model = await startStandIn({
    faults: [{ when: { path: "chat", contains: "broken@work.example" }, kind: "unauthorized", times: 1 }],
  });
  server = await startDevServer(folder.path("."), {
    ...{ STORE_URL: `sqlite:${folder.path("memory.db")}`, OUTBOX_PATH: folder.path("outbox") },
    ...{ OPENAI_BASE_URL: model.url, MODEL_MAX_RETRIES: "0", EMBEDDING_MODEL: "none", MEMORY_EXTRACTION: "off" },
    API_TOKENS: JSON.stringify(TOKENS),
  });
  ana = createCaller(server.url, TOKENS[ANA]);
  ben = createCaller(server.url, TOKENS[BEN]);
});

afterAll(async () => {
  await server?.stop();
  await model.close();
  folder[Symbol.dispose]();
});

describe("deliveries on the LangGraph server", () => {
  test("go to the next thread of their conversation where another user began the first, and are found there", async () => {
    const email = question("deal@work.example");
    const ids = [0, 1].map((n) => threadIdFor(BEN, emailSchema.parse(email), n));
    for (const thread_id of ids) expect((await ana(post("/threads", { thread_id }))).status).toBe(200);
    const reply = await ben(post("/v1/emails", email));
    expect(reply.status, reply.text).toBe(200);
    const delivered = deliveredSchema.parse(reply.json);
    expect(delivered).toMatchObject({ duplicate: false, thread_id: threadIdFor(BEN, emailSchema.parse(email), 2) });
    const again = deliveredSchema.parse((await ben(post("/v1/emails", email))).json);
    expect(again).toEqual({ ...delivered, duplicate: true });
    const decision = post(`/v1/reviews/${delivered.reviews[0]?.id}/decision`, { type: "approve" });
    expect(await ben(decision)).toMatchObject({ status: 200, json: { acted: { status: "written" } } });
    const decided = deliveredSchema.parse((await ben(post("/v1/emails", email))).json);
    expect(decided).toEqual({ ...delivered, duplicate: true, reviews: [] });
    expect((await ana({ method: "GET", path: `/threads/${delivered.thread_id}` })).status).toBe(404);
  });

  test("are refused where others began every thread that they could have", async () => {
    const email = question("taken@work.example");
    for (let n = 0; n < MOST_IDS; n += 1) {
      await ana(post("/threads", { thread_id: threadIdFor(BEN, emailSchema.parse(email), n) }));
    }
    const refused = await ben(post("/v1/emails", email));
    expect(refused).toMatchObject({ status: 409, json: { error: { code: "conflict" } } });
    expect(refused.text).toContain("other users began all 20");
    expect((await ben(post("/v1/emails", { ...email, thread_id: "another" }))).status).toBe(200);
  });

  test("are answered with what waits of their email alone, not of others of the conversation", async () => {
    const references = ["root@work.example"];
    const first = question("first@work.example", { references });
    const eve = question("second@work.example", { references, from: "Eve <eve@evil.example>" });
    await ben(post("/v1/emails", first));
    const second = deliveredSchema.parse((await ben(post("/v1/emails", eve))).json);
    expect(second.reviews.map(({ email }) => email.id)).toEqual([eve.id]);
    // Another's of the same Message-ID is another email.
    const forged = { ...eve, id: first.id };
    const third = deliveredSchema.parse((await ben(post("/v1/emails", forged))).json);
    expect(third.reviews).toHaveLength(1);
    expect(third.reviews[0]?.email.id).toMatch(/^first@work\.example#/);
    const again = deliveredSchema.parse((await ben(post("/v1/emails", first))).json);
    expect(again.reviews.map(({ email }) => email.id)).toEqual([first.id]);
  });

  test("whose model fails are 502, and are handled when they come again", async () => {
    const email = question("broken@work.example");
    const failed = await ben(post("/v1/emails", email));
    expect(failed, failed.text).toMatchObject({ status: 502, json: { error: { code: "model" } } });
    expect(failed.text).not.toContain('\\"error\\"');
    expect(await ben(post("/v1/emails", email))).toMatchObject({ status: 200, json: { duplicate: false } });
  });
});
