import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { Command, InMemoryStore, MemorySaver } from "@langchain/langgraph";
import { describe, expect, test } from "vitest";
import { openAssistant } from "../../src/assistant.ts";
import { loadConfig } from "../../src/config.ts";
import { type Email, emailSchema } from "../../src/email.ts";
import type { PendingReview } from "../../src/reviews/pending-reviews.ts";
import type { ScriptedAnswer } from "../../src/stand-in/scripted.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { email, temporaryFolder } from "../support/assistant.ts";
import { PlainStore } from "../support/copying-store.ts";

const ANA = "ana@home.example";
const QUERY = "the launch of the harbour";
const question = email({ id: "q1@work.example", subject: "Release date", body: "Could you tell me the date?" });

const draft = (body: string) => call("write_email", { to: "tom@work.example", subject: "Re: Release date", body });
const meeting = call("schedule_meeting", {
  ...{ title: "Review", attendees: ["tom@work.example"], start: "2031-03-10T09:00", duration_minutes: 30 },
});
const search = call("search_memory", { query: QUERY });
const remember = call("manage_memory", { content: "Tom works on the harbour.", action: "create", id: null });

function call(name: string, args: Record<string, unknown>) {
  return { name, args };
}
const answers = (calls: ScriptedAnswer["tool_calls"], when: object = {}, times?: number): ScriptedAnswer => ({
  when: { tool: "write_email", ...when },
  tool_calls: calls,
  ...(times === undefined ? {} : { times }),
});

/** An assistant whose searches for {@link QUERY} are counted, and whose model answers as the script says. */
async function open(script: ScriptedAnswer[], environment: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const model = await startStandIn({ answers: script });
  let searches = 0;
  const store = new PlainStore(new InMemoryStore(), async (operation) => {
    if ("query" in operation && operation.query === QUERY) searches += 1;
  });
  const settings = {
    STORE_URL: "memory:",
    OPENAI_BASE_URL: model.url,
    MODEL_MAX_RETRIES: "0",
    MEMORY_EXTRACTION: "off",
  };
  const config = loadConfig({
    environment: { ...settings, EMBEDDING_MODEL: "none", OUTBOX_PATH: folder.path("outbox"), ...environment },
    directory: tmpdir(),
  });
  const now = () => new Date("2031-03-02T09:00:00Z");
  const assistant = await openAssistant(config, { store, checkpointer: new MemorySaver(), now });
  return {
    ...assistant,
    searches: () => searches,
    /** How often the model was asked to answer. */
    answered: () => model.requests.filter(({ body }) => JSON.stringify(body).includes('"write_email"')).length,
    asked: () => model.requests.length,
    outbox: () => {
      const files = existsSync(folder.path("outbox"))
        ? readdirSync(folder.path("outbox"), { recursive: true, encoding: "utf8" })
        : [];
      return files.flatMap((file) => /\.(?:eml|ics)$/.exec(file) ?? []).sort();
    },
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await model.close();
      folder[Symbol.dispose]();
    },
  };
}

const idOf = (reviews: readonly PendingReview[], name: string): string => {
  const found = reviews.find(({ action }) => action.name === name);
  if (!found) throw new Error(`no ${name} waits`);
  return found.id;
};
const bodies = (reviews: readonly PendingReview[]) => reviews.map(({ action }) => action.args["body"]);

describe("two tools that wait for the user and two that do not, called in one message", () => {
  const script = [answers([meeting, search, remember, draft("Hello Tom.")])];

  test("wait together, in one interrupt; the others ran once, also after the answer to both", async () => {
    await using assistant = await open(script);
    const { reviews } = await assistant.handle(ANA, question);
    expect(reviews.map(({ action }) => action.name).sort()).toEqual(["schedule_meeting", "write_email"]);
    expect([assistant.searches(), assistant.answered()]).toEqual([1, 1]);
    const thread = { configurable: { user_id: ANA, thread_id: reviews[0]?.thread_id } };
    const { tasks } = await assistant.graph.getState(thread);
    expect(tasks.flatMap(({ interrupts }) => interrupts.map(({ value }) => value))).toMatchObject([
      {
        actionRequests: [{ name: "schedule_meeting" }, { name: "write_email" }],
        reviewConfigs: [{ actionName: "schedule_meeting" }, { actionName: "write_email" }],
        memories: [{ content: "Tom works on the harbour." }],
      },
    ]);
    expect(assistant.outbox()).toEqual([]);
    const resume = { decisions: [{ type: "approve" }, { type: "approve" }] };
    const { messages } = await assistant.graph.invoke(new Command({ resume }), thread);
    expect(assistant.outbox()).toEqual([".eml", ".ics"]);
    expect([assistant.searches(), assistant.answered()]).toEqual([1, 1]);
    expect(messages.flatMap((each) => (each.type === "tool" ? (each.name ?? "") : [])).sort()).toEqual([
      ...["manage_memory", "schedule_meeting", "search_memory", "write_email"],
    ]);
    expect(await assistant.memory.pending.list(ANA)).toHaveLength(1);
    expect(await assistant.reviews.list(ANA)).toEqual([]);
  });

  test.each([
    ["the meeting first", "schedule_meeting", ".ics"],
    ["the draft first", "write_email", ".eml"],
  ])("can be answered one after the other: %s; each is done once", async (_, name, file) => {
    await using assistant = await open(script);
    const { reviews } = await assistant.handle(ANA, question);
    const { next } = await assistant.reviews.decide(ANA, idOf(reviews, name), { type: "approve" });
    expect(assistant.outbox()).toEqual([file]);
    expect(next.map(({ id }) => id)).toEqual(reviews.map(({ id }) => id).filter((id) => id !== idOf(reviews, name)));
    await assistant.reviews.decide(ANA, next[0]?.id ?? "", { type: "approve" });
    expect(assistant.outbox()).toEqual([".eml", ".ics"]);
    expect(assistant.searches()).toBe(1);
  });

  test("of one answer the other action keeps waiting: one is rejected, the other approved", async () => {
    await using assistant = await open(script);
    const { reviews } = await assistant.handle(ANA, question);
    await assistant.reviews.decide(ANA, idOf(reviews, "schedule_meeting"), { type: "reject" });
    await assistant.reviews.decide(ANA, idOf(reviews, "write_email"), { type: "approve" });
    expect(assistant.outbox()).toEqual([".eml"]);
  });
});

describe("what the model calls", () => {
  test("is told back to it where a check refuses it, and only the corrected call waits", async () => {
    const elsewhere = call("write_email", { to: "eve@evil.example", subject: "Re", body: "Secrets" });
    const past = call("schedule_meeting", { ...meeting.args, start: "2031-02-31T09:00" });
    await using assistant = await open([
      answers([draft("To Tom.")], { after: "write_email" }),
      answers([past, elsewhere]),
    ]);
    const { reviews } = await assistant.handle(ANA, question);
    expect(bodies(reviews)).toEqual(["To Tom."]);
    expect(assistant.answered()).toBe(2);
    expect(await assistant.memory.reviews.open(ANA)).toHaveLength(1);
  });

  test("may be a question: its answer is told to the model, whose draft waits then", async () => {
    const ask = call("ask_user", { question: "Is May fixed?" });
    await using assistant = await open([
      answers([draft("It is May.")], { contains: "The user answers the question:\nYes, May." }),
      answers([ask]),
    ]);
    const { reviews } = await assistant.handle(ANA, question);
    expect(reviews).toMatchObject([{ action: { name: "ask_user", args: { question: "Is May fixed?" } } }]);
    expect(reviews[0]?.allowed).toEqual(["respond", "reject"]);
    const { next } = await assistant.reviews.decide(ANA, idOf(reviews, "ask_user"), {
      ...{ type: "respond", message: "Yes, May." },
    });
    expect(bodies(next)).toEqual(["It is May."]);
    await assistant.reviews.decide(ANA, idOf(next, "write_email"), { type: "approve" });
    expect(assistant.outbox()).toEqual([".eml"]);
  });

  test("after a remark takes the place of the draft: the old id is a conflict, and nothing of the old one is sent", async () => {
    await using assistant = await open([
      answers([draft("Third.")], { contains: "The user says about the draft:\nwarmer" }),
      answers([draft("Second.")], { contains: "The user says about the draft:\nshorter" }),
      answers([draft("First.")]),
    ]);
    const { reviews } = await assistant.handle(ANA, question);
    const first = idOf(reviews, "write_email");
    const second = await assistant.reviews.decide(ANA, first, { type: "respond", message: "shorter" });
    expect(bodies(second.next)).toEqual(["Second."]);
    await expect(assistant.reviews.decide(ANA, first, { type: "approve" })).rejects.toThrow("was answered on");
    const third = await assistant.reviews.decide(ANA, idOf(second.next, "write_email"), {
      ...{ type: "respond", message: "warmer" },
    });
    expect(bodies(third.next)).toEqual(["Third."]);
    expect(bodies(await assistant.reviews.list(ANA))).toEqual(["Third."]);
    expect(assistant.outbox()).toEqual([]);
    expect((await assistant.memory.findDecision(ANA, question.id))?.draft?.body).toBe("Third.");
  });

  test("is capped: a model that never drafts ends the email with a line that says so, and the next attempt works", async () => {
    await using assistant = await open([answers([search], {}, 3), answers([draft("At last.")])], {
      RESPOND_MAX_MODEL_CALLS: "3",
    });
    const failed = await assistant.handle(ANA, question);
    expect(failed).toMatchObject({ status: "failed", reviews: [] });
    expect(failed.error).toContain("no draft after 3 model calls");
    expect([assistant.answered(), assistant.asked()]).toEqual([3, 4]);
    expect(await assistant.reviews.list(ANA)).toEqual([]);
    expect(bodies((await assistant.handle(ANA, question)).reviews)).toEqual(["At last."]);
  });

  test("is capped after a remark, too, and what else waits of the email stays", async () => {
    await using assistant = await open(
      [answers([search], { contains: "The user says about the draft:" }), answers([meeting, draft("First.")])],
      { RESPOND_MAX_MODEL_CALLS: "2" },
    );
    const { reviews } = await assistant.handle(ANA, question);
    const before = assistant.answered();
    const remark = assistant.reviews.decide(ANA, idOf(reviews, "write_email"), { type: "respond", message: "shorter" });
    await expect(remark).rejects.toThrow("no draft after 2 model calls");
    expect(assistant.answered() - before).toBe(2);
    const again = await assistant.handle(ANA, { ...question, body: "Could you tell me the date, please?" });
    expect(again.status).toBe("pending_review");
    const waiting = (await assistant.reviews.list(ANA)).map(({ id }) => id);
    expect(waiting).toContain(idOf(reviews, "schedule_meeting"));
  });
});

describe("automatic mail", () => {
  const asks = { to: ANA, subject: "Your order", body: "Could you tell us when you are at home?" };
  const from = (address: string) => ({ ...asks, from: address });
  test.each([
    ["of a list", { ...from("Tom <tom@work.example>"), list_id: "<dev.work.example>" }],
    ["that says it was submitted automatically", { ...from("Tom <tom@work.example>"), auto_submitted: "auto-replied" }],
    ["of a sender that takes no answers", from("Shop <no-reply@shop.example>")],
    ["of a mail system", from("MAILER-DAEMON@work.example")],
  ])("%s gets no draft but is shown, for one model call", async (_, fields) => {
    const triage = { when: { schema: "triage" }, json: { label: "respond", reason: "It asks a question." } };
    await using assistant = await open([triage, answers([draft("I must not be written.")])]);
    const given: Email = emailSchema.parse({ id: "a1@work.example", ...fields });
    const result = await assistant.handle(ANA, given);
    expect(result).toMatchObject({ status: "pending_review", label: "respond", draft: null });
    expect(result.reviews).toMatchObject([
      { action: { name: "notify", args: { reason: expect.stringContaining("No answer was drafted") } } },
    ]);
    expect(assistant.asked()).toBe(1);
  });

  test("is answered where the user says so, and the answer waits for them", async () => {
    const triage = { when: { schema: "triage" }, json: { label: "respond", reason: "It asks a question." } };
    await using assistant = await open([triage]);
    const given = emailSchema.parse({
      id: "a1@work.example",
      ...from("Tom <tom@work.example>"),
      list_id: "<dev.work.example>",
    });
    const { reviews } = await assistant.handle(ANA, given);
    const { next } = await assistant.reviews.decide(ANA, idOf(reviews, "notify"), {
      ...{ type: "respond", message: "Say: I am at home on Friday." },
    });
    expect(bodies(next)).toEqual([expect.stringContaining("I am at home on Friday.")]);
    expect(assistant.outbox()).toEqual([]);
  });
});
