import { Annotation, type BaseCheckpointSaver, END, interrupt, START, StateGraph } from "@langchain/langgraph";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openKeyValueCheckpointer } from "../../src/store/key-value/key-value-checkpointer.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { hasThreads, type OpenCheckpointer, openCheckpointer } from "../../src/store/open-checkpointer.ts";
import {
  deleteThread,
  findThread,
  listThreads,
  readThread,
  type ThreadSource,
  threadIdsOf,
} from "../../src/store/threads.ts";
import type { StoreConfig } from "../../src/store-config/store-config.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";

const postgres = (url: string): StoreConfig => ({
  ...{ backend: "postgres", url, poolMax: 4, idleTimeoutMs: 30_000, connectTimeoutMs: 5_000 },
  ...{ statementTimeoutMs: 0, retryMs: 0 },
});
const state = Annotation.Root({
  user_id: Annotation<string>(),
  email: Annotation<{ id: string; from: string; subject: string } | null>(),
  label: Annotation<string | null>(),
  draft: Annotation<{ to: string; subject: string; body: string } | null>(),
  problem: Annotation<{ message: string } | null>(),
  asked: Annotation<string>(),
});

/** A graph with the assistant's channels, whose email says what becomes of it. */
function graphOf(checkpointer: BaseCheckpointSaver) {
  const from = "Tom <tom@work.example>";
  return new StateGraph(state)
    .addNode("receive", ({ asked, user_id }, { configurable }) => {
      if (asked === "refuse") return { problem: { message: "no email" } };
      const email = { id: `id-${asked}`, from, subject: asked };
      return { user_id: String(configurable?.["user_id"] ?? user_id), email, label: null, draft: null, problem: null };
    })
    .addNode("triage", ({ asked, email }) => {
      if (asked === "fail") throw new Error("the model is away");
      if (asked === "ask") interrupt("what now?");
      // An email of a known id gets one of its own.
      return { label: "respond", ...(asked === "again" && email ? { email: { ...email, id: `${email.id}#2` } } : {}) };
    })
    .addNode("respond", ({ asked }) => ({ draft: { to: from, subject: `Re: ${asked}`, body: `about ${asked}` } }))
    .addEdge(START, "receive")
    .addConditionalEdges("receive", ({ problem }) => (problem ? END : "triage"), ["triage", END])
    .addEdge("triage", "respond")
    .addEdge("respond", END)
    .compile({ checkpointer });
}

async function run(source: ThreadSource, user: string, threadId: string, asked: string, options = {}): Promise<void> {
  const configurable = { user_id: user, thread_id: threadId };
  await graphOf(source.checkpointer)
    .invoke({ asked }, { configurable, ...options })
    .catch((error: Error) => expect(error.message).toBe("the model is away"));
}

let pglite: TestDatabase;
const folder = temporaryFolder();
let files = 0;
beforeAll(async () => {
  pglite = await startPglite();
});
afterAll(async () => {
  await pglite.stop();
  folder[Symbol.dispose]();
});

describe.each(["memory", "SQLite", "PostgreSQL", "a key-value place"])("threads on %s", (name) => {
  const config = (): StoreConfig => {
    if (name === "memory") return { backend: "memory" };
    return name === "SQLite" ? { backend: "sqlite", path: folder.path(`${files++}.db`) } : postgres(pglite.url);
  };
  const open = async (): Promise<OpenCheckpointer> =>
    name === "a key-value place" ? openKeyValueCheckpointer(mapKeyValue(new Map())) : openCheckpointer(config());
  beforeEach(() => (name === "PostgreSQL" ? pglite.reset() : undefined));

  test("are listed for their user alone, newest first, with what became of each", async () => {
    await using source = await open();
    await run(source, "user1", "t-done", "done");
    await run(source, "user1", "t.fail", "fail");
    await run(source, "user10", "t-other", "done");
    await run(source, "user1", "t-ask", "ask");
    await run(source, "user1", "t-cut", "cut", { interruptBefore: ["respond"] });
    const common = { from: "Tom <tom@work.example>", updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) };
    const { threads, total } = await listThreads(source, "user1");
    expect(threads).toEqual([
      { ...common, threadId: "t-cut", emailId: "id-cut", subject: "cut", label: "respond", status: "unfinished" },
      { ...common, threadId: "t-ask", emailId: "id-ask", subject: "ask", label: null, status: "interrupted" },
      { ...common, threadId: "t.fail", emailId: "id-fail", subject: "fail", label: null, status: "failed" },
      { ...common, threadId: "t-done", emailId: "id-done", subject: "done", label: "respond", status: "done" },
    ]);
    expect(total).toBe(4);
    // A thread that goes on is the newest again, and no longer what it was.
    await graphOf(source.checkpointer).invoke(null, { configurable: { user_id: "user1", thread_id: "t-cut" } });
    await run(source, "user1", "t-done", "more");
    const recent = await listThreads(source, "user1", { recent: 2 });
    expect(recent.total).toBe(4);
    expect(recent.threads.map(({ threadId, status }) => [threadId, status])).toEqual([
      ["t-done", "done"],
      ["t-cut", "done"],
    ]);
    for (const user of ["user1", "user10", "user", "%", ""]) {
      expect(await source.threadIds(user), user).toEqual(await threadIdsOf(source.checkpointer, user));
    }
    expect(await source.threadIds("user10")).toEqual(["t-other"]);
  });

  test("show each email once for each time it came, with its last label and draft", async () => {
    await using source = await open();
    await run(source, "user1", "t", "first");
    await run(source, "user1", "t", "again");
    await run(source, "user1", "t", "refuse");
    await run(source, "user1", "t", "again");
    await run(source, "user1", "t", "fail");
    const { emails, status } = await readThread(source, "user1", "t");
    expect(status).toBe("failed");
    expect(emails.map(({ id, label, draft }) => [id, label, draft?.body])).toEqual([
      ["id-first", "respond", "about first"],
      ["id-again#2", "respond", "about again"],
      ["id-again#2", "respond", "about again"],
      ["id-fail", null, undefined],
    ]);
  });

  test("of another user are as if they were not there", async () => {
    await using source = await open();
    await run(source, "user1", "t", "done");
    await expect(readThread(source, "user1", "no")).rejects.toThrow('thread "no": user1 has none of that id');
    for (const user of ["user10", "user", ""]) {
      expect(await findThread(source, user, "t")).toBeUndefined();
      const expected = { code: "input", message: `thread "t": ${user} has none of that id` };
      await expect(readThread(source, user, "t")).rejects.toMatchObject(expected);
      await expect(deleteThread(source, user, "t")).rejects.toMatchObject(expected);
    }
    expect(await findThread(source, "user1", "t")).toMatchObject({ status: "done" });
  });

  test("are deleted with all their checkpoints, and others stay", async () => {
    await using source = await open();
    await run(source, "user1", "t", "done");
    await run(source, "user1", "t2", "done");
    await deleteThread(source, "user1", "t");
    expect(await source.threadIds("user1")).toEqual(["t2"]);
    const left = [];
    for await (const each of source.checkpointer.list({ configurable: { thread_id: "t" } })) left.push(each);
    expect(left).toEqual([]);
  });

  test("whose state is of another shape are listed with what it says", async () => {
    await using source = await open();
    const other = Annotation.Root({ user_id: Annotation<string>(), email: Annotation<number>() });
    const graph = new StateGraph(other)
      .addNode("n", () => ({ email: 7 }))
      .addEdge(START, "n")
      .compile(source);
    await graph.invoke({ user_id: "user1" }, { configurable: { thread_id: "odd" } });
    expect((await listThreads(source, "user1")).threads).toMatchObject([
      { threadId: "odd", emailId: null, label: null, status: "done" },
    ]);
    expect((await readThread(source, "user1", "odd")).emails).toEqual([]);
  });
});

test("asking whether there are threads makes no file and no tables", async () => {
  const path = folder.path("none.db");
  expect(await hasThreads({ backend: "sqlite", path })).toBe(false);
  expect(await hasThreads({ backend: "sqlite", path })).toBe(false);
  await using _ = await openCheckpointer({ backend: "sqlite", path });
  expect(await hasThreads({ backend: "sqlite", path })).toBe(true);
  await pglite.reset();
  expect(await hasThreads(postgres(pglite.url))).toBe(false);
  expect(await hasThreads(postgres(pglite.url))).toBe(false);
});
