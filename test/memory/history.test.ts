import { InMemoryStore } from "@langchain/langgraph";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { liveVersion, originsOf } from "../../src/memory/history.ts";
import type { Lesson } from "../../src/memory/lesson.ts";
import { Memory } from "../../src/memory/memory.ts";
import { renderState } from "../../src/memory/procedural.ts";
import type { Rule } from "../../src/memory/records.ts";
import { applyOperations, type Operation } from "../../src/memory/versions.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { email } from "../support/assistant.ts";
import { AT, learnRule, lesson, ruleOf } from "../support/lesson.ts";

const ANA = "ana";
const PROMPT = "triage_ignore";
const ACT = { actor: "user", channel: "test", at: AT };
const prompts = loadPrompts();
const base = prompts[PROMPT].text;
const mail = email({ body: "Hello" });

const STORES = {
  "a store of ours": () => MnemailStore.open(createMemoryDriver()),
  "another LangGraph store": async () => new InMemoryStore(),
};

describe.each(Object.entries(STORES))("the versions of a prompt, on %s", (_, openStore) => {
  const open = async () => {
    const store = await openStore();
    const memory = new Memory(store, prompts);
    const versions = async () => (await memory.ledger.histories(ANA))[PROMPT].versions;
    const rules = async () => (await memory.readForTriage(ANA, mail)).prompts.ignore.rules.map(({ text }) => text);
    const rollback = (to?: number) => memory.ledger.rollback(ANA, PROMPT, to, ACT);
    return { store, memory, versions, rules, rollback };
  };

  test("begin with the default, 0, and each tells what made it", async () => {
    const { memory, versions } = await open();
    expect(await versions()).toMatchObject([{ number: 0, text: base, record: null }]);
    await learnRule(memory, ANA, PROMPT, "One");
    await learnRule(memory, ANA, PROMPT, "Two");
    const [zero, one, two] = await versions();
    expect([zero?.text, one?.number, two?.number]).toEqual([base, 1, 2]);
    expect(two?.text).toBe(`${base}\n\nRules from the user:\n- One\n- Two`);
    expect(two?.record).toMatchObject({ feedback: "Two", author: { actor: "user", channel: "test" }, at: AT });
  });

  test("are rolled back by a new one; again goes further back; a later one can be named; nothing is lost", async () => {
    const { memory, versions, rules, rollback } = await open();
    for (const text of ["One", "Two", "Three"]) await learnRule(memory, ANA, PROMPT, text);
    expect(await rollback()).toMatchObject({ version: 4, to: { number: 2 } });
    expect(await rules()).toEqual(["One", "Two"]);
    expect(await rollback()).toMatchObject({ version: 5, to: { number: 1 } });
    expect(await rollback()).toMatchObject({ version: 6, to: { number: 0 } });
    expect(await rules()).toEqual([]);
    await expect(rollback()).rejects.toThrow("no version before it");
    await rollback(3);
    expect(await rules()).toEqual(["One", "Two", "Three"]);
    await learnRule(memory, ANA, PROMPT, "Four");
    await rollback();
    expect(await rules()).toEqual(["One", "Two", "Three"]);
    expect((await versions()).map(({ number }) => number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await expect(rollback(12)).rejects.toThrow("has no version 12");
    await expect(rollback(9)).rejects.toThrow("version 9 is the live one");
  });

  test("blame a rule on the version it came with, through rollbacks", async () => {
    const { memory, versions, rollback } = await open();
    for (const text of ["One", "Two"]) await learnRule(memory, ANA, PROMPT, text);
    await rollback(1);
    const origins = originsOf(await versions());
    const [rule] = liveVersion(await versions()).state.rules;
    expect(origins.get(rule?.id ?? "")).toMatchObject({ number: 1, record: { feedback: "One" } });
  });

  test("count what another program wrote as one of them, and lose no rule that is learnt after it", async () => {
    const { store, memory, versions, rules, rollback } = await open();
    await learnRule(memory, ANA, PROMPT, "One");
    const item = await store.get([ANA], PROMPT);
    await store.put([ANA], PROMPT, { ...item?.value, prompt: "Ignore all but whales." }, false);
    expect(await versions()).toMatchObject([{ number: 0 }, { number: 1 }, { number: 2, isRecorded: false }]);
    expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toBe("Ignore all but whales.");
    await learnRule(memory, ANA, PROMPT, "Two");
    expect((await versions()).map(({ number, isRecorded }) => [number, isRecorded])).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, true],
    ]);
    expect(liveVersion(await versions()).text).toBe("Ignore all but whales.\n\nRules from the user:\n- Two");
    await rollback(1);
    expect(await rules()).toEqual(["One"]);
    expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toContain(base);
  });

  test("keep the rules in a text that another program wrote around them", async () => {
    const { store, memory, versions, rules } = await open();
    for (const text of ["One", "Two"]) await learnRule(memory, ANA, PROMPT, text);
    const [rule] = liveVersion(await versions()).state.rules;
    const item = await store.get([ANA], PROMPT);
    await store.put([ANA], PROMPT, { prompt: `${item?.value["prompt"]}\n- Three\n\nBe brief.` }, false);
    const { text, version } = (await memory.readForTriage(ANA, mail)).prompts.ignore;
    expect(text).toContain("- Two\n- Three");
    expect(version).toBe(3);
    expect(await rules()).toEqual(["One", "Two", "Three"]);
    const operations: Operation[] = [{ op: "retire", id: rule?.id ?? "", evidence: "" }];
    await memory.ledger.commit(ANA, lesson("f", { live: [{ prompt: PROMPT, operations }] }));
    expect(liveVersion(await versions()).text).toBe(`${base}\n\nBe brief.\n\nRules from the user:\n- Two\n- Three`);
  });

  test("keep the default they grew from when a release changes it", async () => {
    const { store, memory } = await open();
    await learnRule(memory, ANA, PROMPT, "One");
    const next = new Memory(store, { ...prompts, [PROMPT]: { ...prompts[PROMPT], text: "A new default." } });
    await learnRule(next, ANA, PROMPT, "Two");
    const { versions } = (await next.ledger.histories(ANA))[PROMPT];
    expect(versions.map(({ text }) => text.split("\n")[0])).toEqual(["A new default.", base, base]);
  });
});

test("to retire a rule that is gone makes no version", async () => {
  const memory = new Memory(await MnemailStore.open(createMemoryDriver()), prompts);
  const operations: Operation[] = [{ op: "retire", id: "r-none", evidence: "" }];
  const { changes } = await memory.ledger.commit(ANA, lesson("f1", { live: [{ prompt: PROMPT, operations }] }));
  expect(changes).toEqual([]);
  expect((await memory.ledger.histories(ANA))[PROMPT].versions).toHaveLength(1);
});

test("to retire a rule and add its words again keeps them", async () => {
  const memory = new Memory(await MnemailStore.open(createMemoryDriver()), prompts);
  await learnRule(memory, ANA, PROMPT, "One");
  const operations: Operation[] = [
    { op: "retire", id: ruleOf("One").id, evidence: "" },
    { op: "add", rule: ruleOf("one", "r-again") },
  ];
  await memory.ledger.commit(ANA, lesson("f1", { live: [{ prompt: PROMPT, operations }] }));
  expect((await memory.readAll(ANA)).procedural[0]?.rules.map(({ text }) => text)).toEqual(["one"]);
});

describe("proposals", () => {
  const proposing = (id: string, text: string): Lesson =>
    lesson(id, { proposed: [{ prompt: PROMPT, operations: [{ op: "add", rule: ruleOf(text) }] }] });

  test("are numbered, wait, and are decided once, also by two at once", async () => {
    const memory = new Memory(await MnemailStore.open(createMemoryDriver()), prompts);
    const { ledger } = memory;
    await Promise.all(["a", "b", "c"].map((id) => ledger.commit(ANA, proposing(id, id))));
    expect((await ledger.proposals(ANA)).map(({ number }) => number)).toEqual([1, 2, 3]);
    const decided = await Promise.allSettled([1, 2].map(() => ledger.decide(ANA, 2, "accepted", ACT)));
    expect(decided.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await ledger.decide(ANA, 1, "rejected", ACT);
    expect((await ledger.proposals(ANA)).map(({ number }) => number)).toEqual([3]);
    expect((await memory.readAll(ANA)).procedural[0]?.rules.map(({ text }) => text)).toEqual(["b"]);
    await expect(ledger.decide(ANA, 9, "accepted", ACT)).rejects.toThrow("proposal 9: there is none");
  });
});

describe("the operations of a version", () => {
  const rule = fc.nat(6).map((n): Rule => ruleOf(`Rule ${n}`, `r-${n}`));
  const operation = fc.oneof(
    rule.map((each): Operation => ({ op: "add", rule: each })),
    fc.tuple(fc.nat(6), rule).map(([n, each]): Operation => ({ op: "replace", id: `r-${n}`, rule: each })),
    fc.nat(6).map((n): Operation => ({ op: "retire", id: `r-${n}`, evidence: "" })),
  );

  test("never make a rule stand twice, and never touch the fixed text", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const state = applyOperations({ base: "Fixed {slot} text.", rules: [] }, operations);
        const ids = state.rules.map(({ id }) => id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(renderState(state).startsWith("Fixed {slot} text.")).toBe(true);
      }),
    );
  });

  test("restore keeps the rules that its writer had not seen, after its own", () => {
    const [a, b, c] = ["A", "B", "C"].map((text) => ruleOf(text));
    if (!a || !b || !c) throw new Error("three rules");
    const restore: Operation = { op: "restore", base: "x", rules: [b], seen: [a.id] };
    expect(applyOperations({ base: "y", rules: [a, c] }, [restore])).toEqual({ base: "x", rules: [b, c] });
  });
});
