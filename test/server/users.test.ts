import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { encodeUserId } from "../../src/store/namespaces.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type DevServer, startDevServer } from "../support/dev-server.ts";
import { createCaller, type Request, until } from "../support/http.ts";

// The attacker's id is the beginning of the victim's: the store of the dev server compares prefixes as text.
const ATTACKER = "ana@home.example";
const VICTIM = "ana@home.example.org";
const TOKENS = {
  [ATTACKER]: "attacker-0123456789abcdef",
  [VICTIM]: ["victim-0123456789abcdefgh", "victim-of-another-device"],
};
/** Stands in all that the victim has, and in nothing that an attacker sends. */
const SECRET = "Zebrafish";

const folder = temporaryFolder();
let server: DevServer;
let victim: ReturnType<typeof createCaller>;
let attacker: ReturnType<typeof createCaller>;
let ids: { thread: string; run: string; review: string; pending: string; own: string; assistant: string };

const email = {
  from: "Tom Berg <tom@work.example>",
  to: VICTIM,
  subject: `${SECRET} release`,
  body: `Please remember that I am on leave every ${SECRET} Friday.\nCould you tell me when the ${SECRET} release is?\nTom`,
};
const innocent = { ...email, to: ATTACKER, subject: "Release", body: "Could you tell me when the release is?" };
const RUN = { assistant_id: "email_assistant", input: { email_input: innocent } };
const get = (path: string, headers = {}): Request => ({ method: "GET", path, headers });
const post = (path: string, body: unknown): Request => ({ method: "POST", path, body });
const field = (name: string) => (json: unknown) => z.record(z.string(), z.unknown()).parse(json)[name];
const idIn = (name: string, json: unknown) => z.string().parse(field(name)(json));
const firstOf = (name: string, json: unknown) => z.array(z.unknown()).parse(field(name)(json))[0];

beforeAll(async () => {
  server = await startDevServer(folder.path("."), {
    STORE_URL: `sqlite:${folder.path("memory.db")}`,
    OUTBOX_PATH: folder.path("outbox"),
    API_TOKENS: JSON.stringify(TOKENS),
  });
  victim = createCaller(server.url, TOKENS[VICTIM]?.[1]);
  attacker = createCaller(server.url, "attacker-0123456789abcdef");
  const delivered = await victim(post("/v1/emails", email));
  expect(delivered).toMatchObject({ status: 200, json: { duplicate: false, label: "respond" } });
  await victim(post("/v1/feedback", { kind: "text", text: `Always sign my emails with ${SECRET} B.` }));
  const namespace = [encodeUserId(VICTIM), "notes"];
  await victim({ method: "PUT", path: "/store/items", body: { namespace, key: "k", value: { text: SECRET } } });
  const thread = idIn("thread_id", delivered.json);
  const run = await victim(
    post(`/threads/${thread}/runs`, { ...RUN, input: { email_input: email }, stream_resumable: true }),
  );
  // To join it now would take its events from the stream.
  const path = `/threads/${thread}/runs/${idIn("run_id", run.json)}`;
  await until(async () => (field("status")((await victim(get(path))).json) === "pending" ? undefined : true));
  await until(async () => (field("status")((await victim(get(path))).json) === "running" ? undefined : true));
  const pending = await until(async () => firstOf("pending", (await victim(get("/v1/memory/pending"))).json));
  ids = {
    thread,
    run: idIn("run_id", run.json),
    review: idIn("id", firstOf("reviews", (await victim(get("/v1/reviews"))).json)),
    pending: idIn("key", pending),
    own: idIn("thread_id", (await attacker(post("/threads", {}))).json),
    assistant: idIn("assistant_id", z.array(z.unknown()).parse((await victim(post("/assistants/search", {}))).json)[0]),
  };
}, 90_000);

afterAll(async () => {
  await server?.stop();
  folder[Symbol.dispose]();
});

interface Attack extends Request {
  /** The statuses by which the server may refuse, or show nothing. */
  replies: number[];
  /** The victim's own request of the same kind, which shows the secret: the attack would, too. */
  shown?: Request;
}

const namespace = [encodeUserId(VICTIM), "notes"];
const foreign = { configurable: { user_id: VICTIM } };
const all = { last: { "last-event-id": "-1" } };

/** Every route of the server and of Mnemail, tried by the attacker on what is the victim's. */
function attacks(): Attack[] {
  const { thread, run, review, pending, own, assistant } = ids;
  const at = `/threads/${thread}`;
  const decision = { type: "approve" };
  const checkpoint = { thread_id: thread, checkpoint_ns: "" };
  const seen = (request: Request, ...replies: number[]): Attack => ({ ...request, replies, shown: request });
  const tried = (request: Request, ...replies: number[]): Attack => ({ ...request, replies });
  return [
    // Threads.
    seen(get(at), 404),
    seen(get(`${at}/state`), 404),
    seen(get(`${at}/history`), 404),
    seen(post(`${at}/history`, {}), 404),
    seen(post(`${at}/state/checkpoint`, {}), 404),
    seen(post("/threads/search", {}), 200),
    tried(post("/threads/search", { metadata: { owner: VICTIM } }), 200),
    tried(post("/threads/search", { ids: [thread] }), 200),
    tried(post("/threads", { thread_id: thread, if_exists: "do_nothing" }), 409),
    tried(post("/threads", { metadata: { owner: VICTIM } }), 403),
    tried({ method: "PATCH", path: at, body: { metadata: { owner: ATTACKER } } }, 404),
    tried({ method: "PATCH", path: `/threads/${own}`, body: { metadata: { owner: VICTIM } } }, 403),
    tried(post(`${at}/copy`, {}), 409),
    tried(post(`${at}/state`, { values: { label: "ignore" } }), 404),
    { ...post(`/threads/${own}/state/checkpoint`, { checkpoint }), replies: [200, 404] },
    { ...post(`/threads/${own}/history`, { checkpoint }), replies: [200, 404] },
    tried({ method: "DELETE", path: at }, 404),
    // Runs.
    seen(get(`${at}/runs`), 404),
    seen(get(`${at}/runs/${run}`), 404),
    seen(get(`${at}/runs/${run}/join`), 404),
    seen(get(`${at}/runs/${run}/stream`, all.last), 404),
    { ...get(`/runs/${run}/stream`, all.last), replies: [404], shown: get(`${at}/runs/${run}/stream`, all.last) },
    tried(get(`/%72uns/${run}/stream`, all.last), 404),
    tried(get(`/threads/${own}/runs/${run}/stream`, all.last), 404),
    tried(get(`/threads/${own}/runs/${run}/join`), 404),
    tried(get(`/threads/${own}/runs/${run}`), 404),
    tried(post(`${at}/runs/${run}/cancel`, {}), 404),
    tried(post(`/threads/${own}/runs/${run}/cancel`, {}), 404),
    tried({ method: "DELETE", path: `${at}/runs/${run}` }, 404),
    tried({ method: "DELETE", path: `/threads/${own}/runs/${run}` }, 404),
    tried(post(`${at}/runs`, RUN), 404),
    tried(post(`${at}/runs/wait`, RUN), 404),
    tried(post(`${at}/runs/stream`, { ...RUN, stream_mode: "values" }), 404),
    tried(post(`${at}/runs/wait`, { assistant_id: "email_assistant", command: { resume: [decision] } }), 404),
    tried(post(`/threads/${own}/runs/wait`, { ...RUN, config: foreign }), 403),
    tried(post(`/threads/${own}/runs/wait`, { ...RUN, config: { configurable: { langgraph_user_id: VICTIM } } }), 403),
    tried(post("/runs/wait", { ...RUN, context: { user_id: VICTIM } }), 403),
    tried(post("/runs/stream", { ...RUN, config: foreign, stream_mode: "values" }), 403),
    tried(post("/runs", { ...RUN, config: foreign }), 403),
    tried(post("/runs/batch", [{ ...RUN, config: foreign }]), 403),
    tried(post("/runs/wait", { ...RUN, metadata: { owner: VICTIM } }), 403),
    tried(post("/runs/wait", { ...RUN, webhook: "http://127.0.0.1:1/" }), 403),
    tried(post(`/threads/${own}/runs/wait`, { ...RUN, checkpoint }), 200),
    // The thread protocol, which would act for whoever came first.
    tried(post(`${at}/commands`, { id: 1, method: "state.get" }), 403),
    tried(post(`${at}/stream/events`, { channels: ["values"] }), 403),
    tried(get(`${at}/stream/events`), 403),
    // Assistants and crons.
    tried(post("/assistants", { graph_id: "email_assistant", config: foreign }), 403),
    tried({ method: "PATCH", path: `/assistants/${assistant}`, body: { config: foreign } }, 403),
    tried({ method: "DELETE", path: `/assistants/${assistant}` }, 403),
    tried(post(`/assistants/${assistant}/latest`, { version: 1 }), 403),
    tried(post(`/assistants/${assistant}/versions`, {}), 200),
    tried(get(`/assistants/${assistant}/schemas`), 200),
    tried(post("/runs/crons", { assistant_id: assistant, schedule: "* * * * *", payload: {} }), 400, 500),
    tried(post("/runs/crons/search", {}), 400, 500),
    tried(post(`${at}/runs/crons`, { assistant_id: assistant, schedule: "* * * * *" }), 400, 500),
    // The server's store.
    seen(get(`/store/items?namespace=${namespace.join(".")}&key=k`), 403),
    seen(post("/store/items/search", { namespace_prefix: namespace }), 403),
    tried(post("/store/items/search", { namespace_prefix: [encodeUserId(ATTACKER)] }), 200),
    tried(post("/store/items/search", { namespace_prefix: [] }), 403),
    tried(post("/store/items/search", { namespace_prefix: ["email_assistant"] }), 403),
    tried(post("/store/namespaces", {}), 403),
    tried(post("/store/namespaces", { prefix: namespace }), 403),
    tried(post("/store/namespaces", { prefix: [encodeUserId(ATTACKER)] }), 200),
    tried(post("/store/namespaces", { suffix: ["notes"] }), 403),
    tried({ method: "PUT", path: "/store/items", body: { namespace, key: "k", value: {} } }, 403),
    tried({ method: "DELETE", path: "/store/items", body: { namespace, key: "k" } }, 403),
    tried(post("/internal/truncate", { threads: true, runs: true, checkpointer: true, store: true }), 403),
    tried(post("/%69nternal/truncate", { threads: true }), 403),
    // Mnemail's own routes.
    seen(get("/v1/reviews"), 200),
    seen(get(`/v1/reviews/${review}`), 404),
    tried(get(`/v1/reviews/${review.slice(0, 8)}`), 404),
    tried(post(`/v1/reviews/${review}/preview`, decision), 404),
    tried(post(`/v1/reviews/${review}/decision`, decision), 404),
    seen(get("/v1/memory"), 200),
    seen(get("/v1/memory/history/agent_instructions"), 200),
    seen(get("/v1/memory/pending"), 200),
    tried(post(`/v1/memory/pending/${pending}/approve`, {}), 404),
    tried(post(`/v1/memory/pending/${pending}/reject`, {}), 404),
    tried(post("/v1/memory/rollback", { prompt: "agent_instructions" }), 422),
    tried(post("/v1/memory/forget", { contact: "tom@work.example", confirm: true }), 404, 200),
    tried(post("/v1/emails", innocent), 200),
    tried(post("/v1/feedback", { kind: "seen", email_id: "no-such-email" }), 422),
    ...["/v1/reviews", "/v1/memory", "/v1/memory/pending"].flatMap((path) => [
      tried(get(`${path}?user=${VICTIM}`), 403),
      tried(get(path, { "x-user-id": VICTIM }), 403),
    ]),
    tried({ ...post("/v1/emails", innocent), headers: { "x-user-id": VICTIM } }, 403),
  ];
}

/** All that the victim can see of theirs. */
async function possessions(): Promise<unknown[]> {
  const paths = [`/threads/${ids.thread}`, `/threads/${ids.thread}/state`, `/threads/${ids.thread}/runs`];
  const own = ["/v1/reviews", "/v1/memory", "/v1/memory/pending", "/v1/memory/history/agent_instructions"];
  const item = `/store/items?namespace=${namespace.join(".")}&key=k`;
  const replies = [];
  for (const path of [...paths, ...own, item]) replies.push((await victim(get(path))).text);
  return replies;
}

describe("users of one server, known by tokens", () => {
  test("see and change nothing of each other's, by any route", async () => {
    const table = attacks();
    const blind = [];
    for (const { shown } of table) {
      if (shown && !(await victim(shown)).text.includes(SECRET)) blind.push(`${shown.method} ${shown.path}`);
    }
    // An attack that would show nothing if it succeeded proves nothing.
    expect(blind).toEqual([]);
    const before = await possessions();
    const leaks: string[] = [];
    const surprises: string[] = [];
    for (const { replies, shown: _, ...request } of table) {
      const { status, text } = await attacker(request);
      const name = `${request.method} ${request.path} ${JSON.stringify(request.body ?? {})}`;
      if (text.includes(SECRET)) leaks.push(name);
      if (!replies.includes(status)) surprises.push(`${name}: ${status} ${text.slice(0, 200)}`);
    }
    expect(surprises).toEqual([]);
    const after = await possessions();
    for (const [i, each] of before.entries()) if (after[i] !== each) leaks.push(`changed: ${String(after[i])}`);
    console.log(`${table.length} requests for what is another's: ${leaks.length} leaks`);
    expect(leaks).toEqual([]);
  });

  test("are nobody without their token, or with a wrong one, or by the header of Studio", async () => {
    const wrong = [
      createCaller(server.url),
      createCaller(server.url, "victim-0123456789abcdefgX"),
      createCaller(server.url, ""),
    ];
    const isPublic = ({ path }: Request) => ["/info", "/ok", "/health", "/ready"].includes(path);
    const strangers: string[] = [];
    for (const request of attacks()) {
      for (const call of wrong) {
        const studio = { ...request.headers, "x-auth-scheme": "langsmith" };
        const { status } = await call({ ...request, headers: studio });
        if (status !== 401 && !isPublic(request)) strangers.push(`${request.method} ${request.path}: ${status}`);
      }
    }
    expect(strangers).toEqual([]);
    const { status, json, headers } = await createCaller(server.url)(get("/v1/reviews"));
    expect({ status, json }).toMatchObject({ status: 401, json: { error: { code: "unauthorized" } } });
    expect(headers.get("www-authenticate")).toBe("Bearer");
  });

  test("are known by any of their tokens, in either header", async () => {
    const caller = createCaller(server.url);
    const first = await caller(get("/v1/reviews", { "x-api-key": TOKENS[VICTIM]?.[0] ?? "" }));
    expect(first.status).toBe(200);
    expect(first.text).toBe((await victim(get("/v1/reviews"))).text);
    expect((await victim(get("/v1/reviews", { "x-api-key": "nobody's" }))).status).toBe(200);
  });

  test("whoever asks whether the server is up needs no token, and learns no more", async () => {
    const caller = createCaller(server.url);
    for (const path of ["/ok", "/info", "/health", "/ready"]) expect((await caller(get(path))).status).toBe(200);
    expect((await caller(get("/ui/anything"))).status).toBe(404);
    expect(server.output()).not.toContain("0123456789abcdef");
  });
});

describe("the routes of Mnemail on the LangGraph server", () => {
  test("an email that comes three times at once is handled once, in the thread that its user finds there", async () => {
    const again = { ...email, subject: "Budget", body: "Could you tell me about the budget?" };
    const replies = await Promise.all([1, 2, 3].map(() => victim(post("/v1/emails", again))));
    expect(replies.filter(({ json }) => field("duplicate")(json) === false)).toHaveLength(1);
    const thread = idIn("thread_id", replies[0]?.json);
    expect((await victim(get(`/threads/${thread}`))).json).toMatchObject({ metadata: { owner: VICTIM } });
    expect((await attacker(get(`/threads/${thread}`))).status).toBe(404);
  });

  test("of two decisions at once one is taken; forgetting reaches the server's threads", async () => {
    const approve = post(`/v1/reviews/${ids.review}/decision`, { type: "approve" });
    const both = await Promise.all([victim(approve), victim(approve)]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    const files = readdirSync(folder.path("outbox"), { recursive: true, encoding: "utf8" });
    expect(files.filter((name) => name.endsWith(".eml"))).toHaveLength(1);

    const target = { contact: "tom@work.example" };
    const planned = await victim(post("/v1/memory/forget", target));
    const threads = z.array(z.object({ thread_id: z.string() })).parse(field("threads")(planned.json));
    expect(threads.map(({ thread_id }) => thread_id)).toContain(ids.thread);
    expect((await victim(get(`/threads/${ids.thread}`))).status).toBe(200);
    const done = await victim(post("/v1/memory/forget", { ...target, confirm: true }));
    expect(done).toMatchObject({ status: 200, json: { dry_run: false } });
    expect((await victim(get(`/threads/${ids.thread}`))).status).toBe(404);
    expect((await victim(get("/v1/reviews"))).json).toEqual({ reviews: [], elsewhere: 0 });
    // The attacker has mail of the same sender.
    expect((await attacker(get("/v1/reviews"))).text).toContain("tom@work.example");
  });
});
