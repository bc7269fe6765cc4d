import { describe, expect, test } from "vitest";
import type { Label } from "../../src/memory/records.ts";
import { email, openTestAssistant, type TestAssistant } from "../support/assistant.ts";
import { answerToLearn } from "../support/scripted-learning.ts";

// The model that proposes is scripted; the model that triages is the stand-in, which follows the rules it is shown.

const ANA = "ana@home.example";
const RULE = 'Ignore emails about "invoice"';
const learnsRule = { answers: [answerToLearn([{ target: "triage_ignore", text: RULE }])] };

const mail = (id: string, subject: string, body: string) =>
  email({ id, from: `${id} <${id}@${id}.example>`, subject, body });
/** The stand-in alone says notify, notify, respond, respond. */
const overdue = mail("overdue", "Invoice 12 is overdue", "Payment of invoice 12 has not reached us.");
const receipt = mail("receipt", "Invoice 77", "Invoice 77 was paid, thank you for the order of last month.");
const query = mail(
  "query",
  "Question on an invoice",
  "Could you tell me who has to approve the invoice for the sensors?",
);
const lunch = mail("lunch", "Lunch", "Could you join us for lunch on Tuesday?");

async function label(assistant: TestAssistant, labels: [ReturnType<typeof mail>, Label][]) {
  for (const [each, wanted] of labels) {
    await assistant.handle(ANA, each);
    await assistant.learn(ANA, { kind: "relabel", email_id: each.id, label: wanted });
  }
}

const liveRules = async (assistant: TestAssistant) =>
  (await assistant.memory.readAll(ANA)).procedural.flatMap(({ rules }) => rules.map(({ text }) => text));

describe("a rule is tried on the emails whose label the user gave", () => {
  test("one that mends one email and breaks two is proposed, both named; the user can accept it all the same", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    await label(assistant, [
      [overdue, "ignore"],
      [receipt, "notify"],
      [query, "respond"],
      [lunch, "respond"],
    ]);
    const { receipt: held } = await assistant.learn(ANA, { kind: "text", text: RULE });
    expect(held.gate).toMatchObject({ verdict: "proposed", tested: 4, target: null });
    expect(held.gate?.fixed.map(({ id }) => id)).toEqual(["overdue"]);
    expect(held.gate?.broken).toMatchObject([
      { id: expect.stringMatching(/receipt|query/), after: "ignore" },
      { id: expect.stringMatching(/receipt|query/), after: "ignore" },
    ]);
    expect(held.changes).toMatchObject([{ kind: "rule", status: "proposed", proposal: 1, text: RULE, version: null }]);
    expect(await liveRules(assistant)).toEqual([]);
    expect((await assistant.handle(ANA, query)).label).toBe("respond");

    const act = { actor: "user", channel: "test", at: "2026-03-03T09:00:00.000Z" };
    const { ledger } = assistant.memory;
    expect(await ledger.decide(ANA, 1, "accepted", act)).toMatchObject([{ status: "live", version: 1 }]);
    expect(await liveRules(assistant)).toEqual([RULE]);
    expect((await ledger.histories(ANA)).triage_ignore.versions.at(-1)?.record).toMatchObject({ accepted: true });
    await expect(ledger.decide(ANA, 1, "rejected", act)).rejects.toThrow("proposal 1: was accepted already");
    expect(await ledger.proposals(ANA)).toEqual([]);
  });

  test("one that helps goes live", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    await label(assistant, [
      [overdue, "ignore"],
      [lunch, "respond"],
    ]);
    const { receipt: live } = await assistant.learn(ANA, { kind: "text", text: RULE });
    expect(live.gate).toMatchObject({ verdict: "live", tested: 2, fixed: [{ id: "overdue" }], broken: [] });
    expect(live.changes).toMatchObject([{ status: "live", version: 1 }]);
    expect((await assistant.handle(ANA, mail("other", "Invoice 99", "Please see the invoice."))).label).toBe("ignore");
  });

  test("flips of labels that only the model gave are listed and do not count", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    for (const each of [receipt, query, lunch]) await assistant.handle(ANA, each);
    await label(assistant, [[lunch, "respond"]]);
    const { receipt: live } = await assistant.learn(ANA, { kind: "text", text: RULE });
    expect(live.gate).toMatchObject({ verdict: "live", tested: 1, broken: [] });
    expect(live.gate?.listed.map(({ id, wanted }) => [id, wanted]).sort()).toEqual([
      ["query", null],
      ["receipt", null],
    ]);
  });

  test("without any such email it goes live, and the receipt says that it was tested on none", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    const { receipt: live } = await assistant.learn(ANA, { kind: "text", text: RULE });
    expect(live.gate).toMatchObject({ verdict: "live", tested: 0, asked: 0 });
    expect(live.changes).toMatchObject([{ status: "live" }]);
  });

  test("one that does not change the email it is about is proposed; the example is learnt all the same", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    await assistant.handle(ANA, lunch);
    const said = { kind: "relabel", email_id: "lunch", label: "ignore", text: RULE } as const;
    const { receipt: held } = await assistant.learn(ANA, said);
    expect(held.gate).toMatchObject({
      verdict: "proposed",
      target: { id: "lunch", wanted: "ignore", after: "respond" },
    });
    expect(held.changes).toMatchObject([{ kind: "example", label: "ignore", was: "respond" }, { status: "proposed" }]);
    expect((await assistant.memory.readAll(ANA)).semantic).toHaveLength(1);
  });

  test("the email it is about does not count as mended: one other that breaks holds the change", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    await label(assistant, [[query, "respond"]]);
    await assistant.handle(ANA, overdue);
    const said = { kind: "relabel", email_id: "overdue", label: "ignore", text: RULE } as const;
    const { receipt: held } = await assistant.learn(ANA, said);
    expect(held.gate).toMatchObject({ verdict: "proposed", target: { after: "ignore" }, fixed: [], tested: 1 });
    expect(held.gate?.broken).toMatchObject([{ id: "query" }]);
  });

  test("an email is never its own example when a change is tried on it", async () => {
    await using assistant = await openTestAssistant({}, learnsRule);
    await label(assistant, [[overdue, "ignore"]]);
    const before = assistant.model.requests.length;
    await assistant.learn(ANA, { kind: "text", text: RULE });
    const tried = JSON.stringify(assistant.model.requests.slice(before).filter(({ path }) => path.includes("chat")));
    expect(tried).toContain("Invoice 12 is overdue");
    expect(tried).not.toContain("<example");
  });

  test("a flip that does not show twice was the model's mood, and does not count", async () => {
    const mood = "Ignore emails that nobody needs";
    const moody = { when: { schema: "triage", contains: mood }, json: { label: "ignore", reason: "moody" }, times: 1 };
    const answers = [answerToLearn([{ target: "triage_ignore", text: mood }]), moody];
    await using assistant = await openTestAssistant({}, { answers });
    await label(assistant, [[lunch, "respond"]]);
    const { receipt: live } = await assistant.learn(ANA, { kind: "text", text: mood });
    expect(live.gate).toMatchObject({ verdict: "live", tested: 1, broken: [], asked: 2 });
  });
});

describe("what was asked once is known", () => {
  const about = (name: string) => `Ignore emails from ${name}@${name}.example`;
  const answers = ["overdue", "receipt", "query"].map((name) =>
    answerToLearn([{ target: "triage_ignore", text: about(name) }], `> ${about(name)}`),
  );

  test("a feedback about one sender replays that sender's emails alone; what is known already is not tried", async () => {
    await using assistant = await openTestAssistant({}, { answers });
    await label(assistant, [
      [overdue, "ignore"],
      [receipt, "notify"],
      [query, "respond"],
      [lunch, "respond"],
    ]);
    const dry = { kind: "text", text: about("overdue") } as const;
    const cold = await assistant.learn(ANA, dry, { dryRun: true });
    // The live prompts with the examples of today, the changed ones, and these once more since the email flips.
    expect(cold.receipt.gate).toMatchObject({ tested: 1, fixed: [{ id: "overdue" }], asked: 3, cached: 0 });
    await assistant.learn(ANA, dry);
    const again = await assistant.learn(ANA, dry);
    expect(again.receipt).toMatchObject({ changes: [{ status: "known", version: 1 }], gate: null });
    const next = await assistant.learn(ANA, { kind: "text", text: about("query") });
    expect(next.receipt.gate).toMatchObject({ tested: 1, broken: [{ id: "query" }], verdict: "proposed" });
  });

  test("a dry run writes nothing", async () => {
    await using assistant = await openTestAssistant({}, { answers });
    await label(assistant, [[overdue, "ignore"]]);
    const { receipt: said } = await assistant.learn(ANA, { kind: "text", text: about("overdue") }, { dryRun: true });
    expect(said.changes).toMatchObject([{ status: "live", version: 1 }]);
    // What triage said with the live prompts is known from when the email came in.
    expect(said.gate).toMatchObject({ asked: 2, cached: 1 });
    const again = await assistant.learn(ANA, { kind: "text", text: about("overdue") }, { dryRun: true });
    expect(again.receipt.gate).toMatchObject({ asked: 2, cached: 1 });
    expect(await liveRules(assistant)).toEqual([]);
    expect(await assistant.memory.ledger.unlearnt(ANA)).toEqual([]);
    expect((await assistant.memory.ledger.find(ANA, said.feedback)).record).toBeUndefined();
  });
});
