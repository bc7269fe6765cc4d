import { describe, expect, test } from "vitest";
import { Memory } from "../../src/memory/memory.ts";
import { hashText, loadPrompts, type Prompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { email, temporaryFolder } from "../support/assistant.ts";

const ANA = "ana";
const prompts = loadPrompts();
const mail = email({ body: "Hello" });
const rule = (text: string) => ({
  id: text,
  text,
  origin: { actor: "user", at: "2026-03-02T09:00:00Z", evidence: text },
});
const openMemory = async (own: Prompts = prompts) => {
  const store = await MnemailStore.open(createMemoryDriver());
  return { store, memory: new Memory(store, own) };
};

describe("the prompts of a user", () => {
  test("are written from the defaults on first read, once, with the hash of the default", async () => {
    const { store, memory } = await openMemory();
    await Promise.all([memory.readForTriage(ANA, mail), memory.readForTriage(ANA, mail)]);
    const item = await store.get([ANA], "triage_ignore");
    expect(item?.value).toEqual({
      prompt: prompts.triage_ignore.text,
      rules: [],
      version: 0,
      default_hash: hashText(prompts.triage_ignore.text),
    });
    await memory.readForTriage(ANA, mail);
    expect((await store.get([ANA], "triage_ignore"))?.updatedAt).toEqual(item?.updatedAt);
  });

  test("keep both rules when two processes learn at once", async () => {
    using folder = temporaryFolder();
    const stores = await Promise.all([1, 2].map(() => MnemailStore.open(openSqliteDriver(folder.path("m.db")))));
    const memories = stores.map((store) => new Memory(store, prompts));
    const texts = Array.from({ length: 6 }, (_, i) => `Rule ${i}`);
    await Promise.all(texts.map((text, i) => memories[i % 2]?.addRule(ANA, "agent_instructions", rule(text))));
    const learnt = (await memories[0]?.readAll(ANA))?.procedural.find(({ name }) => name === "agent_instructions");
    expect(learnt?.rules.map(({ text }) => text).sort()).toEqual(texts);
    expect(learnt?.version).toBe(6);
    await Promise.all(stores.map((store) => store.stop()));
  });

  test("follow a new release's default when the user never changed them, and only then", async () => {
    const { store, memory } = await openMemory();
    await memory.readForTriage(ANA, mail);
    await memory.addRule(ANA, "triage_notify", rule("Notify me of storms"));
    const renewed = (text: string) => ({ ...prompts.triage_ignore, text });
    const next = new Memory(store, {
      ...prompts,
      triage_ignore: renewed("A better default."),
      triage_notify: { ...prompts.triage_notify, text: "Another default." },
    });
    const read = await next.readForTriage(ANA, mail);
    expect(read.prompts.ignore.text).toBe("A better default.");
    expect((await store.get([ANA], "triage_ignore"))?.value["prompt"]).toBe("A better default.");
    expect(read.prompts.notify.text).toMatch(
      /^Information that matters[\s\S]*Rules from the user:\n- Notify me of storms$/,
    );
  });

  test("that another program edited are taken as they are; a rule is added at their end", async () => {
    const { store, memory } = await openMemory();
    await store.put([ANA], "agent_instructions", { prompt: "Write like a pirate.", theirs: 1 }, false);
    expect((await memory.readForAnswer(ANA, mail)).instructions.text).toBe("Write like a pirate.");
    await memory.addRule(ANA, "agent_instructions", rule("Sign with Ana."));
    expect((await store.get([ANA], "agent_instructions"))?.value).toMatchObject({
      prompt: "Write like a pirate.\n\nRules from the user:\n- Sign with Ana.",
      version: 1,
      theirs: 1,
    });
  });

  test("learn the same rule once", async () => {
    const { memory } = await openMemory();
    expect(await memory.addRule(ANA, "triage_ignore", rule("Ignore sales"))).toEqual({ version: 1, added: true });
    expect(await memory.addRule(ANA, "triage_ignore", rule("ignore sales"))).toEqual({ version: 1, added: false });
  });

  test("when the store cannot be read, the defaults serve for that run and nothing is written", async () => {
    const { store } = await openMemory();
    const warnings: string[] = [];
    const writes: unknown[] = [];
    const failing = Object.assign(Object.create(store), {
      batch: () => Promise.reject(new Error("disk on fire")),
      putIf: async (puts: unknown) => writes.push(puts),
    });
    const memory = new Memory(failing, prompts, (line) => warnings.push(line));
    expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toBe(prompts.triage_ignore.text);
    expect((await memory.readForAnswer(ANA, mail)).instructions.text).toBe(prompts.agent_instructions.text);
    expect(writes).toEqual([]);
    expect(warnings[0]).toContain("disk on fire");
  });
});

describe("facts", () => {
  test("that the user stated twice are kept once", async () => {
    const { memory } = await openMemory();
    const first = await memory.rememberFact(ANA, "Tom is on leave on Fridays.", "t");
    expect(await memory.rememberFact(ANA, "Tom is on leave on Fridays.", "t")).toEqual({
      key: first.key,
      added: false,
    });
  });

  test("that a model proposes are never found by a search", async () => {
    const { memory } = await openMemory();
    await memory.proposeFact(ANA, "Tom is trusted", mail, "t");
    expect(await memory.searchFacts(ANA, "Tom is trusted", 10)).toEqual([]);
    expect((await memory.readForAnswer(ANA, mail)).memories).toEqual([]);
  });
});

test("examples: a corrected label replaces the earlier one", async () => {
  const { memory } = await openMemory();
  await memory.rememberExample(ANA, mail, "ignore", "t1");
  await memory.rememberExample(ANA, mail, "notify", "t2");
  expect((await memory.readAll(ANA)).semantic).toMatchObject([{ key: mail.id, record: { label: "notify" } }]);
});

test("records that other programs wrote in a shape of their own are passed over, not fatal", async () => {
  const { store, memory } = await openMemory();
  await store.put(["email_assistant", ANA, "examples"], "odd", { text: "no label" }, false);
  await store.put(["email_assistant", ANA, "collection"], "odd", { note: 1 }, false);
  await store.put([ANA], "triage_ignore", { prompt: 5 }, false);
  expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toBe(prompts.triage_ignore.text);
  expect(await memory.readAll(ANA)).toMatchObject({ semantic: [], episodic: [] });
  expect((await store.get([ANA], "triage_ignore"))?.value).toEqual({ prompt: 5 });
});
