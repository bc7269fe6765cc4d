import { describe, expect, test } from "vitest";
import { z } from "zod";
import { factKey } from "../../src/memory/episodic.ts";
import type { ScriptedAnswer } from "../../src/stand-in/scripted.ts";
import { email, openTestAssistant, type TestAssistant } from "../support/assistant.ts";
import { answerToLearn } from "../support/scripted-learning.ts";

const ANA = "ana@home.example";
const tom = email({
  id: "t1",
  from: "Tom Berg <tom@work.example>",
  body: "Could you help? Please remember that Tom likes tea.",
});

const bodySchema = z.object({
  response_format: z.object({ json_schema: z.object({ name: z.string() }) }),
  messages: z.array(z.object({ role: z.string(), content: z.string() })),
});

/** The messages of each request of a kind, in order. */
function asked({ model }: TestAssistant, name: string): string[] {
  return model.requests.flatMap(({ body }) => {
    const parsed = bodySchema.safeParse(body);
    if (!parsed.success || parsed.data.response_format.json_schema.name !== name) return [];
    return [parsed.data.messages.map(({ content }) => content).join("\n")];
  });
}

function answerToReconcile(contradicted: string[], contains: string): ScriptedAnswer {
  return { when: { schema: "reconcile", contains }, json: { contradicted } };
}

/** Has Tom's memory approved, and returns its key. */
async function approveTea(assistant: TestAssistant): Promise<string> {
  await assistant.handle(ANA, tom);
  const [waiting] = await assistant.memory.pending.list(ANA);
  return (await assistant.memory.pending.approve(ANA, waiting?.key ?? "", "2026-03-02T09:00:00.000Z")).key;
}

describe("a fact that the user states", () => {
  test("costs no model call while nothing is known, and one when something is", async () => {
    await using assistant = await openTestAssistant();
    expect((await assistant.remember(ANA, { content: "Tom lives in Oslo." })).usage.model_calls).toBe(0);
    expect((await assistant.remember(ANA, { content: "Tom lives in Oslo." })).usage.model_calls).toBe(0);
    expect((await assistant.remember(ANA, { content: "Eve has a boat." })).usage.model_calls).toBe(1);
  });

  test("supersedes what it contradicts", async () => {
    await using assistant = await openTestAssistant();
    await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const { superseded } = await assistant.remember(ANA, { content: "Tom lives in Bergen." });
    expect(superseded.map(({ content }) => content)).toEqual(["Tom lives in Oslo."]);
    expect((await assistant.memory.facts.list(ANA)).map(({ record }) => record.content)).toEqual([
      "Tom lives in Bergen.",
    ]);
  });

  test("is kept in the user's own words, whatever the model says", async () => {
    await using assistant = await openTestAssistant({}, { answers: [answerToReconcile(["fact-made-up"], "boat")] });
    await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const { content, superseded } = await assistant.remember(ANA, { content: "Eve has  a boat" });
    expect([content, superseded]).toEqual(["Eve has a boat", []]);
  });

  test("is compared with the user's own memories and with approved ones from mail in requests apart", async () => {
    await using assistant = await openTestAssistant();
    await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    await approveTea(assistant);
    await assistant.remember(ANA, { content: "Tom likes coffee." });
    const requests = asked(assistant, "reconcile");
    expect(requests.filter((text) => text.includes("Tom lives in Oslo"))).toHaveLength(1);
    expect(requests.filter((text) => text.includes("Tom likes tea"))).toHaveLength(1);
    expect(requests.filter((text) => text.includes("Oslo") && text.includes("tea"))).toEqual([]);
  });

  test("supersedes approved mail, and approved mail can make it supersede nothing of the user's", async () => {
    const [own, tea] = [factKey("Tom owes me 40 euros."), factKey("Tom likes tea", "person:tom@work.example")];
    // A model that does what the approved memory says names the user's own memory, too.
    await using assistant = await openTestAssistant({}, { answers: [answerToReconcile([own, tea], "likes tea")] });
    expect((await assistant.remember(ANA, { content: "Tom owes me 40 euros." })).key).toBe(own);
    expect(await approveTea(assistant)).toBe(tea);
    const { superseded } = await assistant.remember(ANA, { content: "Tom likes coffee." });
    expect(superseded.map(({ key }) => key)).toEqual([tea]);
    expect((await assistant.memory.facts.find(ANA, own))?.record.content).toBe("Tom owes me 40 euros.");
  });

  test("does not leave its user", async () => {
    await using assistant = await openTestAssistant();
    await assistant.remember("user1", { content: "Tom lives in Oslo." });
    await assistant.remember("user10", { content: "Tom lives in Bergen." });
    expect(asked(assistant, "reconcile")).toEqual([]);
    expect((await assistant.memory.facts.list("user1")).map(({ record }) => record.content)).toEqual([
      "Tom lives in Oslo.",
    ]);
  });
});

describe("a fact in a feedback", () => {
  test("takes the place of one that the user stated, in the same call", async () => {
    await using assistant = await openTestAssistant();
    const old = await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const { receipt } = await assistant.learn(ANA, { kind: "text", text: "Tom lives in Bergen." });
    expect(receipt.changes).toMatchObject([
      { kind: "fact", status: "live", superseded: [{ key: old.key, content: "Tom lives in Oslo." }] },
    ]);
    expect(receipt.usage.before.model_calls).toBe(1);
    expect((await assistant.memory.facts.superseded(ANA))[0]).toMatchObject({ key: old.key });
  });

  test("is recalled for the same emails as the one it takes the place of", async () => {
    await using assistant = await openTestAssistant();
    const scope = "person:tom@work.example" as const;
    await assistant.remember(ANA, { content: "Tom lives in Oslo.", scope });
    const { receipt } = await assistant.learn(ANA, { kind: "text", text: "Tom lives in Bergen." });
    expect(receipt.changes).toMatchObject([{ kind: "fact", scope }]);
    expect((await assistant.memory.facts.list(ANA)).map(({ record }) => record.scope)).toEqual([scope]);
  });

  test("takes the place of one from mail that was approved, for one call more", async () => {
    const text = "Tom likes coffee.";
    const script = { answers: [answerToLearn([{ target: "memory", text }])] };
    await using assistant = await openTestAssistant({}, script);
    const tea = await approveTea(assistant);
    const { receipt } = await assistant.learn(ANA, { kind: "text", text });
    expect(receipt.changes).toMatchObject([{ kind: "fact", status: "live", superseded: [{ key: tea }] }]);
    expect(receipt.usage.before.model_calls).toBe(2);
  });

  test("can be taken back", async () => {
    await using assistant = await openTestAssistant();
    const old = await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const { receipt } = await assistant.learn(ANA, { kind: "text", text: "Forget that Tom lives in Oslo." });
    expect(receipt.changes).toMatchObject([
      { kind: "fact", status: "retired", key: old.key, text: "Tom lives in Oslo." },
    ]);
    expect(await assistant.memory.facts.list(ANA)).toEqual([]);
  });

  test("never replaces what the model was not shown", async () => {
    const steps = [
      { target: "memory", action: "replace" as const, rule: "fact-unknown", text: "Tom lives in Bergen." },
    ];
    await using assistant = await openTestAssistant({}, { answers: [answerToLearn(steps)] });
    await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const feedback = { kind: "text", text: "Tom lives in Bergen." } as const;
    await expect(assistant.learn(ANA, feedback)).rejects.toThrow(/would replace a rule of memory that is not there/);
    expect(await assistant.memory.facts.list(ANA)).toHaveLength(1);
  });

  test("that is found contradicted twice is superseded once, and a dry run writes nothing", async () => {
    await using assistant = await openTestAssistant();
    await assistant.remember(ANA, { content: "Tom lives in Oslo." });
    const said = { kind: "text", text: "Tom lives in Bergen." } as const;
    await assistant.learn(ANA, said, { dryRun: true });
    expect((await assistant.memory.facts.list(ANA)).map(({ record }) => record.content)).toEqual([
      "Tom lives in Oslo.",
    ]);
    await Promise.all([assistant.learn(ANA, said), assistant.learn(ANA, said)]);
    expect((await assistant.memory.facts.list(ANA)).map(({ record }) => record.content)).toEqual([
      "Tom lives in Bergen.",
    ]);
    expect(await assistant.memory.facts.superseded(ANA)).toHaveLength(1);
  });
});
