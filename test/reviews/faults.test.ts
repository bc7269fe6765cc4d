import { existsSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MnemailError } from "../../src/errors.ts";
import type { PendingReview } from "../../src/reviews/pending-reviews.ts";
import type { Fault } from "../../src/stand-in/scripted.ts";
import { email, openTestAssistant, temporaryFolder } from "../support/assistant.ts";

const ANA = "ana@home.example";
const NOW = "2026-03-02T09:00:00Z";
const question = email({ id: "q1@work.example", subject: "Release date", body: "Could you tell me the date?" });

const KINDS = [
  "rate_limit",
  "server_error",
  "unauthorized",
  "timeout",
  "cut_stream",
  "malformed_json",
  "nonsense",
] as const;
/** What is over when it is asked again. */
const PASSING: readonly Fault["kind"][] = ["rate_limit", "server_error", "timeout", "cut_stream"];
const STEPS = {
  triage: { schema: "triage" },
  "the answer": { tool: "write_email" },
} as const;
const cases = KINDS.flatMap((kind) => Object.entries(STEPS).map(([step, when]) => ({ kind, step, when })));

/** An assistant whose model fails so often at a step. */
async function open(faults: Fault[], settings: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const assistant = await openTestAssistant(
    {
      ...{ STORE_URL: `sqlite:${folder.path("memory.db")}`, OUTBOX_PATH: folder.path("outbox") },
      ...{ MODEL_MAX_RETRIES: "0", MODEL_TIMEOUT_MS: "400", EMBEDDING_MODEL: "none", ...settings },
    },
    { faults },
    NOW,
    { checkpointer: true },
  );
  return {
    ...assistant,
    outbox: () =>
      existsSync(folder.path("outbox"))
        ? readdirSync(folder.path("outbox"), { recursive: true, encoding: "utf8" }).filter((name) =>
            name.endsWith(".eml"),
          )
        : [],
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const only = (reviews: readonly PendingReview[]): PendingReview => {
  const [review] = reviews;
  if (reviews.length !== 1 || !review) throw new Error(`saw ${reviews.length} reviews`);
  return review;
};

describe("a model that fails once", () => {
  test.each(cases)(
    "at $step with $kind: the email fails in one line, nothing is kept of it, and the next attempt works",
    async ({ kind, when }) => {
      await using assistant = await open([{ kind, when, times: 1 }]);
      const failed = await assistant.handle(ANA, question);
      expect(failed).toMatchObject({ id: question.id, status: "failed", label: null, draft: null, reviews: [] });
      expect(failed.error).toMatch(/^[^\n]{20,400}$/);
      expect(await assistant.memory.findDecision(ANA, question.id)).toBeUndefined();
      expect(await assistant.memory.reviews.find(ANA, "")).toEqual([]);
      expect((await assistant.memory.readAll(ANA)).episodic).toEqual([]);
      const { reviews } = await assistant.handle(ANA, question);
      expect(only(reviews).action.name).toBe("write_email");
      expect(await assistant.reviews.list(ANA)).toHaveLength(1);
      expect(await assistant.memory.reviews.find(ANA, "")).toHaveLength(1);
    },
  );

  test.each(cases.filter(({ kind }) => PASSING.includes(kind)))(
    "at $step with $kind: is asked again by its client, and nobody notices",
    async ({ kind, when }) => {
      const patient = { MODEL_MAX_RETRIES: "2", MODEL_TIMEOUT_MS: "2000" };
      await using assistant = await open([{ kind, when, times: 1 }], patient);
      expect(only((await assistant.handle(ANA, question)).reviews).action.name).toBe("write_email");
    },
  );

  test.each(KINDS)("at the answer with %s: the thread goes on where it was, without another triage", async (kind) => {
    await using assistant = await open([{ kind, when: STEPS["the answer"], times: 1 }]);
    await assistant.handle(ANA, question);
    const asked = assistant.model.requests.length;
    for await (const { error } of assistant.reviews.resume(ANA)) expect(error).toBeUndefined();
    expect(only(await assistant.reviews.list(ANA)).action.name).toBe("write_email");
    expect(assistant.model.requests.length).toBe(asked + 1);
  });
});

describe("an approval whose learning fails", () => {
  const edit = (review: PendingReview) => {
    const body = String(review.action.args["body"]).replace("My answer will follow.", "It is planned for the summer.");
    return { type: "edit", args: { body } } as const;
  };

  test.each(KINDS)("with %s is carried out, and its feedback waits in the log until it is learnt", async (kind) => {
    await using assistant = await open([{ kind, when: { schema: "learn" }, times: 1 }]);
    const review = only((await assistant.handle(ANA, question)).reviews);
    const { acted, receipt, note } = await assistant.reviews.decide(ANA, review.id, edit(review));
    expect(acted).toMatchObject({ kind: "email", status: "written" });
    expect(receipt).toBeNull();
    expect(note).toMatch(/^not learnt: [^\n]{20,}$/);
    expect(await assistant.memory.ledger.unlearnt(ANA)).toMatchObject([
      { id: `review-${review.id}`, kind: "edited_draft" },
    ]);
    expect(await assistant.reviews.list(ANA)).toEqual([]);
    expect(await assistant.memory.reviews.find(ANA, review.id)).toMatchObject([{ status: "edit", done: true }]);
    const retried = [];
    for await (const each of assistant.retry(ANA)) retried.push(each);
    expect(retried).toMatchObject([{ error: undefined, receipt: { kind: "edited_draft" } }]);
    expect(await assistant.memory.ledger.unlearnt(ANA)).toEqual([]);
    expect(assistant.outbox()).toHaveLength(1);
  });

  test("teaches nothing where it is not to", async () => {
    await using assistant = await open([{ kind: "server_error", when: { schema: "learn" } }]);
    const review = only((await assistant.handle(ANA, question)).reviews);
    const decision = { ...edit(review), learn: false };
    const { note } = await assistant.reviews.decide(ANA, review.id, decision);
    expect(note).toContain("as you wished");
    expect(await assistant.memory.ledger.unlearnt(ANA)).toEqual([]);
  });
});

describe("a remark whose new draft fails", () => {
  test.each(KINDS)("with %s is not lost: the thread goes on with it, and the draft waits", async (kind) => {
    const when = { tool: "write_email", contains: "The user says about the draft:" };
    await using assistant = await open([{ kind, when, times: 1 }]);
    const review = only((await assistant.handle(ANA, question)).reviews);
    const remark = { type: "respond", message: "Say: It is planned for June." } as const;
    const error = await assistant.reviews.decide(ANA, review.id, remark).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MnemailError);
    expect(error).toMatchObject({ code: "model" });
    expect(await assistant.reviews.list(ANA)).toEqual([]);
    for await (const { error: again } of assistant.reviews.resume(ANA)) expect(again).toBeUndefined();
    const next = only(await assistant.reviews.list(ANA));
    expect(next.action.args["body"]).toContain("It is planned for June.");
    await assistant.reviews.decide(ANA, next.id, { type: "approve" });
    expect(assistant.outbox()).toHaveLength(1);
  });
});
