import { tmpdir } from "node:os";
import { InMemoryStore } from "@langchain/langgraph";
import { describe, expect, test } from "vitest";
import { createDecider } from "../../src/agent/triage.ts";
import { loadConfig } from "../../src/config.ts";
import { approve } from "../../src/learning/approve.ts";
import { extractWaiting } from "../../src/learning/extract.ts";
import { learn } from "../../src/learning/learn.ts";
import { remember } from "../../src/learning/remember.ts";
import { type CostRecord, costPut, sumCosts } from "../../src/memory/costs.ts";
import { Memory } from "../../src/memory/memory.ts";
import { keepEmail } from "../../src/memory/records.ts";
import { metered, NO_USAGE } from "../../src/meter.ts";
import { openModels } from "../../src/models.ts";
import { hashText, loadPrompts } from "../../src/prompts.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { email } from "../support/assistant.ts";

const ANA = "ana@home.example";
const prompts = loadPrompts();
const at = userNamespaces(ANA);
const now = () => new Date("2026-03-02T09:00:00Z");
const tom = email({ id: "t1", body: "Could you send the plan? I moved to Bergen in March. Thanks, Tom" });
const decision = {
  ...{ email: keepEmail(tom), label: "respond" as const, reason: "", draft: null, events: [], memories: [] },
  ...{ prompts: [], at: "2026-03-02T09:00:00Z" },
};
const usage = { ...NO_USAGE, model_calls: 2, input_tokens: 900, output_tokens: 100, ms: 12 };
const emailCost = { kind: "email", model: "m", usage, at: "2026-03-02T09:00:00Z", email_id: "t1" } as const;

/** Memory over a store, and models of a stand-in; a model that is `broken` answers nothing. */
async function openParts({ isBroken = false } = {}) {
  const server = await startStandIn(isBroken ? { faults: [{ kind: "server_error" }] } : {});
  const environment = { OPENAI_BASE_URL: server.url, MODEL_MAX_RETRIES: "0" };
  const models = await openModels(loadConfig({ environment, directory: tmpdir() }));
  const store = await MnemailStore.open(createMemoryDriver());
  const memory = new Memory(store, prompts);
  const decider = createDecider({ models, prompts });
  return {
    ...{ store, memory, models, prompts, now, decider },
    async [Symbol.asyncDispose]() {
      await models[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

describe("what something cost is kept", () => {
  test("with the decision about an email, in the same round trip, without a word of it", async () => {
    await using parts = await openParts();
    const { memory, store } = parts;
    const trips = (cost?: typeof emailCost) =>
      metered(async (used) => {
        await memory.recordDecision(ANA, tom, decision, { proposals: [], extract: false, ...(cost ? { cost } : {}) });
        return used().store_round_trips;
      });
    expect(await trips(emailCost)).toBe(await trips());
    const items = await store.search(at.costs);
    expect(items.map(({ value }) => value)).toEqual([
      { kind: "email", model: "m", usage, at: "2026-03-02T09:00:00.000Z", email_hash: hashText("t1") },
    ]);
    expect(items[0]?.key).toMatch(/^2026-03-02T09:00:00\.000Z-[0-9a-f]{8}$/);
  });

  test("with the end of an extraction, and when it fails", async () => {
    await using parts = await openParts();
    await parts.memory.recordDecision(ANA, tom, decision, { proposals: [], extract: true });
    for await (const { error } of extractWaiting(ANA, parts)) expect(error).toBeUndefined();
    const extraction = { kind: "extraction", email_hash: hashText("t1"), usage: { model_calls: 1 } };
    expect(await parts.memory.costs.list(ANA)).toMatchObject([extraction]);
    expect((await parts.memory.costs.list(ANA))[0]?.usage.input_tokens).toBeGreaterThan(0);

    await using broken = await openParts({ isBroken: true });
    await broken.memory.recordDecision(ANA, tom, decision, { proposals: [], extract: true });
    for await (const { error } of extractWaiting(ANA, broken)) expect(error).toContain("500");
    expect(await broken.memory.costs.list(ANA)).toMatchObject([{ ...extraction, usage: { model_calls: 1 } }]);
  });

  test("with what is learnt from a feedback, and not when it is learnt again or only tried", async () => {
    await using parts = await openParts();
    const said = { id: "f1", kind: "text", actor: "user", channel: "test", text: "Always sign my emails with Ana." };
    const feedback = { ...said, kind: "text" } as const;
    await learn(ANA, feedback, parts, { dryRun: true });
    expect(await parts.memory.costs.list(ANA)).toEqual([]);
    const { receipt } = await learn(ANA, feedback, parts);
    await learn(ANA, feedback, parts);
    const { before } = receipt.usage;
    expect(before.model_calls).toBeGreaterThan(0);
    expect(await parts.memory.costs.list(ANA)).toMatchObject([
      { kind: "feedback", model: parts.models.chat.model, usage: { input_tokens: before.input_tokens } },
    ]);
  });

  test("with a fact that the user states or approves, where a model was asked", async () => {
    await using parts = await openParts();
    await remember(ANA, { content: "Tom lives in Oslo." }, parts);
    expect(await parts.memory.costs.list(ANA)).toEqual([]);
    await remember(ANA, { content: "Eve has a boat." }, parts);
    expect(await parts.memory.costs.list(ANA)).toMatchObject([{ kind: "remember", usage: { model_calls: 1 } }]);
    const proposals = [{ id: "1", content: "Tom likes tea." }];
    await parts.memory.recordDecision(ANA, tom, decision, { proposals, extract: false });
    const [waiting] = await parts.memory.pending.list(ANA);
    await approve(ANA, waiting?.key ?? "", { ...parts, now: () => new Date("2026-03-03T09:00:00Z") });
    expect(await parts.memory.costs.list(ANA)).toMatchObject([
      { kind: "remember" },
      { kind: "remember", email_hash: hashText("t1") },
    ]);
  });

  test("each under a key of its own, whatever comes at the same moment, and in the order of time", async () => {
    await using parts = await openParts();
    const { memory, store } = parts;
    const times = ["2026-03-03T00:00:00Z", "2026-03-02T23:59:59.999Z", "2026-03-02T23:59:59.999Z"];
    for (const time of times) await memory.costs.add(ANA, { ...emailCost, at: time });
    expect((await memory.costs.list(ANA)).map((each) => each.at)).toEqual(
      [...times].reverse().map((time) => new Date(time).toISOString()),
    );
    const keys = (await store.search(at.costs)).map(({ key }) => key);
    expect(new Set(keys).size).toBe(3);
  });
});

describe("the costs of a user are listed", () => {
  test("from one moment on, up to another and without it; other users have their own", async () => {
    await using parts = await openParts();
    const { memory } = parts;
    for (const day of ["01", "02", "03"]) await memory.costs.add(ANA, { ...emailCost, at: `2026-03-${day}T00:00:00Z` });
    const days = async (limits: { since?: Date; until?: Date }) =>
      (await memory.costs.list(ANA, limits)).map((each) => each.at.slice(8, 10));
    const second = new Date("2026-03-02T00:00:00Z");
    expect(await days({})).toEqual(["01", "02", "03"]);
    expect(await days({ since: second })).toEqual(["02", "03"]);
    expect(await days({ until: second })).toEqual(["01"]);
    expect(await memory.costs.list("ana@home.example.org")).toEqual([]);
  });

  test("without records of another shape, on any store, and for 400 days", async () => {
    await using parts = await openParts();
    await parts.store.put(at.costs, "2026-03-01", { kind: "email", usage: "much" });
    expect(await parts.memory.costs.list(ANA)).toEqual([]);
    expect(costPut(at, emailCost)).toMatchObject({ index: false, ttlMinutes: 400 * 24 * 60 });

    const foreign = new InMemoryStore();
    const memory = new Memory(foreign, prompts);
    await memory.costs.add(ANA, emailCost);
    expect(await memory.costs.list(ANA)).toHaveLength(1);
    const [item] = await foreign.search(at.costs);
    if (!item) throw new Error("an item was put");
    item.updatedAt.setTime(Date.now() - 401 * 24 * 60 * 60_000);
    expect(await memory.costs.list(ANA)).toEqual([]);
  });
});

describe("costs are summed", () => {
  const record = (fields: Partial<CostRecord>): CostRecord => ({
    ...{ kind: "email", model: "small", usage, at: "2026-03-02T09:00:00.000Z" },
    ...fields,
  });
  const records = [
    record({ email_hash: "a" }),
    record({ email_hash: "b", at: "2026-03-02T23:59:59.999Z" }),
    record({
      email_hash: "a",
      kind: "extraction",
      at: "2026-03-03T00:00:00.000Z",
      usage: { ...usage, model_calls: 1 },
    }),
    record({ kind: "feedback", model: "large", at: "2026-04-01T00:00:00.000Z", usage: { ...usage, model_calls: 5 } }),
  ];
  const calls = (by: Parameters<typeof sumCosts>[1]) =>
    sumCosts(records, by).groups.map(({ name, emails, usage: sum }) => [name, emails, sum.model_calls]);

  test("by day, month, kind and model, groups in order", () => {
    expect(calls("day")).toEqual([
      ["2026-03-02", 2, 4],
      ["2026-03-03", 1, 1],
      ["2026-04-01", 0, 5],
    ]);
    expect(calls("month")).toEqual([
      ["2026-03", 2, 5],
      ["2026-04", 0, 5],
    ]);
    expect(calls("kind")).toEqual([
      ["email", 2, 4],
      ["extraction", 1, 1],
      ["feedback", 0, 5],
    ]);
    expect(calls("model")).toEqual([
      ["large", 0, 5],
      ["small", 2, 5],
    ]);
  });

  test("all of them, and per email over those that were for one", () => {
    const { total, groups } = sumCosts(records, "kind");
    expect(total).toMatchObject({ emails: 2, usage: { model_calls: 10, input_tokens: 3_600 } });
    expect(total.per_email).toMatchObject({ model_calls: 2.5, input_tokens: 1_350 });
    expect(groups.at(-1)?.per_email).toBeNull();
    expect(sumCosts([], "day")).toEqual({
      groups: [],
      total: { name: "total", emails: 0, usage: NO_USAGE, per_email: null },
    });
  });
});
