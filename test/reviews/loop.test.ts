import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EmailResult } from "../../src/handle.ts";
import { parseEml } from "../../src/mail/eml.ts";
import type { PendingReview } from "../../src/reviews/pending-reviews.ts";
import { email, openTestAssistant, type TestAssistant, temporaryFolder } from "../support/assistant.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";

const NOW = "2026-03-02T09:00:00Z";

const question = (id: string, more = "") =>
  email({ id, subject: "Release date", body: `Hi Ana,\nCould you tell me when the release is planned?${more}\nTom` });
const notice = (id: string) =>
  email({ id, from: "CI <builds@work.example>", subject: "Build failed", body: "The nightly build failed on main." });

let folder: ReturnType<typeof temporaryFolder>;
let assistant: TestAssistant;
/** Another user for each test, since all of them share one database. */
let ANA: string;
let count = 0;

const sent = () => {
  const place = folder.path("outbox");
  if (!existsSync(place)) return [];
  return readdirSync(place, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".eml"));
};
const only = ({ reviews }: Pick<EmailResult, "reviews">): PendingReview => {
  const [review] = reviews;
  if (reviews.length !== 1 || !review) throw new Error(`saw ${reviews.length} reviews`);
  return review;
};

describe.each(["SQLite", "PostgreSQL"])("%s: the user's answer decides, is carried out, and teaches", (backend) => {
  let database: TestDatabase | undefined;
  const open = () => {
    const STORE_URL = database?.url ?? `sqlite:${folder.path("memory.db")}`;
    return openTestAssistant({ STORE_URL, OUTBOX_PATH: folder.path("outbox") }, {}, NOW, { checkpointer: true });
  };
  const restart = async () => {
    await assistant[Symbol.asyncDispose]();
    assistant = await open();
  };
  beforeAll(async () => {
    if (backend === "PostgreSQL") database = await startPglite();
  });
  afterAll(async () => {
    await database?.stop();
  });
  beforeEach(async () => {
    count += 1;
    ANA = `ana${count}@home.example`;
    folder = temporaryFolder();
    assistant = await open();
  });
  afterEach(async () => {
    await assistant[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("an approved draft is written to the outbox as it was shown, after a restart too", async () => {
    const result = await assistant.handle(ANA, question("q1@work.example"));
    expect(result).toMatchObject({ status: "pending_review", label: "respond" });
    expect(sent()).toEqual([]);
    await restart();
    const [review] = await assistant.reviews.list(ANA);
    if (!review) throw new Error("nothing waits");
    expect(review.id).toBe(only(result).id);
    const decided = await assistant.reviews.decide(ANA, review.id, { type: "approve" });
    expect(decided.acted).toMatchObject({ kind: "email", status: "written" });
    const { email: written } = await parseEml(readFileSync(decided.acted?.path ?? ""));
    expect(written).toMatchObject({ to: "tom@work.example", subject: review.action.args["subject"] });
    expect(written.body.trim()).toBe(String(review.action.args["body"]).trim());
    expect(decided.receipt?.changes.length).toBeGreaterThan(0);
    expect(await assistant.reviews.list(ANA)).toEqual([]);
    expect(sent()).toHaveLength(1);
  });

  test("an edited draft is sent as edited, and what was put in teaches how answers are written", async () => {
    const { id, action } = only(await assistant.handle(ANA, question("q1@work.example")));
    const before = String(action.args["body"]);
    const edit = { type: "edit", args: { body: `${before}\nAlways yours, Ana` } } as const;
    const preview = await assistant.reviews.preview(ANA, id, edit);
    expect(preview.receipt?.kind).toBe("edited_draft");
    expect((await assistant.memory.ledger.unlearnt(ANA)).length).toBe(0);
    const decided = await assistant.reviews.decide(ANA, id, edit);
    expect(readFileSync(decided.acted?.path ?? "", "utf8")).toContain("Always yours, Ana");
    expect(decided.receipt).toMatchObject({ kind: "edited_draft", changes: preview.receipt?.changes });
  });

  test("a rejection with a reason sends nothing, and the next email differs", async () => {
    const { id } = only(await assistant.handle(ANA, question("q1@work.example")));
    const reject = { type: "reject", message: "Always sign my emails with Ana B." } as const;
    const decided = await assistant.reviews.decide(ANA, id, reject);
    expect(decided).toMatchObject({ acted: null, next: [] });
    expect(sent()).toEqual([]);
    await restart();
    const next = only(await assistant.handle(ANA, question("q2@work.example")));
    expect(next.action.args["body"]).toContain("Ana B.");
    const others = only(await assistant.handle(`ben${count}@home.example`, question("q2@work.example")));
    expect(others.action.args["body"]).not.toContain("Ana B.");
  });

  test("a rejection without a reason teaches nothing and says so", async () => {
    const { id } = only(await assistant.handle(ANA, question("q1@work.example")));
    const decided = await assistant.reviews.decide(ANA, id, { type: "reject" });
    expect(decided).toMatchObject({ receipt: null, note: expect.stringContaining("without a reason") });
  });

  test("what the user says about a draft gives another draft, and the first is gone", async () => {
    const first = only(await assistant.handle(ANA, question("q1@work.example")));
    await restart();
    const decided = await assistant.reviews.decide(ANA, first.id, { type: "respond", message: "Say: on 3 May." });
    const second = only({ reviews: decided.next });
    expect(second.id).not.toBe(first.id);
    expect(second.action.args["body"]).toContain("3 May");
    await expect(assistant.reviews.decide(ANA, first.id, { type: "approve" })).rejects.toMatchObject({
      code: "conflict",
    });
    expect(sent()).toEqual([]);
    await assistant.reviews.decide(ANA, second.id, { type: "approve" });
    expect(sent()).toHaveLength(1);
  });

  test("a decision taken with learn: false teaches nothing", async () => {
    const { id } = only(await assistant.handle(ANA, question("q1@work.example")));
    const decided = await assistant.reviews.decide(ANA, id, { type: "approve", learn: false });
    expect(decided.receipt).toBeNull();
    expect((await assistant.memory.readAll(ANA)).semantic).toEqual([]);
  });

  test("a notification that was seen confirms its label", async () => {
    const { id, action } = only(await assistant.handle(ANA, notice("n1@work.example")));
    expect(action.name).toBe("notify");
    await assistant.reviews.decide(ANA, id, { type: "approve" });
    expect((await assistant.memory.readAll(ANA)).semantic).toMatchObject([{ record: { label: "notify" } }]);
  });

  test("a notification that should not have been shown makes the next such email one to ignore", async () => {
    const { id } = only(await assistant.handle(ANA, notice("n1@work.example")));
    await assistant.reviews.decide(ANA, id, { type: "reject" });
    const next = await assistant.handle(ANA, notice("n2@work.example"));
    expect(next).toMatchObject({ label: "ignore", status: "done", reviews: [] });
  });

  test("a notification that the user wants answered is answered with their words", async () => {
    const first = only(await assistant.handle(ANA, { ...notice("n1@work.example"), from: "Tom <tom@work.example>" }));
    const respond = { type: "respond", message: "Say: I look into it." } as const;
    const decided = await assistant.reviews.decide(ANA, first.id, respond);
    const draft = only({ reviews: decided.next });
    expect(draft.action).toMatchObject({ name: "write_email", args: { to: "tom@work.example" } });
    expect(draft.action.args["body"]).toContain("I look into it.");
  });

  test("what waits of a conversation stays when its next email comes, and a new attempt replaces its own", async () => {
    const thread = { thread_id: "release" };
    const first = only(await assistant.handle(ANA, { ...question("q1@work.example"), ...thread }));
    const later = await assistant.handle(ANA, { ...question("q2@work.example", "\nPS: soon?"), ...thread });
    expect(only(later).id).not.toBe(first.id);
    expect((await assistant.reviews.list(ANA)).map(({ email: { id } }) => id)).toEqual(
      expect.arrayContaining(["q1@work.example", "q2@work.example"]),
    );
    await assistant.handle(ANA, { ...question("q2@work.example", "\nPS: soon?"), ...thread });
    expect(await assistant.reviews.list(ANA)).toHaveLength(2);
    await assistant.reviews.decide(ANA, first.id, { type: "approve" });
    expect((await assistant.reviews.list(ANA)).map(({ email: { id } }) => id)).toEqual(["q2@work.example"]);
    expect(sent()).toHaveLength(1);
  });

  test("another user sees and decides nothing", async () => {
    const { id } = only(await assistant.handle(ANA, question("q1@work.example")));
    expect(await assistant.reviews.list("ben")).toEqual([]);
    await expect(assistant.reviews.decide("ben", id, { type: "approve" })).rejects.toMatchObject({ code: "missing" });
    expect(sent()).toEqual([]);
  });

  test("events tell how far an email is; the last is its result", async () => {
    const types: string[] = [];
    for await (const event of assistant.stream(ANA, question("q1@work.example"))) types.push(event.type);
    expect(types).toEqual(["triaged", "calling", "drafted", "done"]);
  });
});
