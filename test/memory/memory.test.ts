import { InMemoryStore } from "@langchain/langgraph";
import Database from "libsql";
import { describe, expect, test } from "vitest";
import { Memory } from "../../src/memory/memory.ts";
import { readProfile } from "../../src/memory/profile.ts";
import { keepEmail } from "../../src/memory/records.ts";
import { hashText, loadPrompts, type Prompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { email, temporaryFolder } from "../support/assistant.ts";
import { learnRule, lesson } from "../support/lesson.ts";

const ANA = "ana";
const prompts = loadPrompts();
const mail = email({ body: "Hello" });
const decision = {
  email: keepEmail(mail),
  label: "ignore" as const,
  reason: "",
  draft: null,
  events: [],
  memories: [],
  prompts: [],
  at: "2026-03-02T09:00:00Z",
};
const openMemory = async (own: Prompts = prompts) => {
  const store = await MnemailStore.open(createMemoryDriver());
  return { store, memory: new Memory(store, own) };
};

test("a profile that was read is its reader's own", () => {
  const stored = { name: "Ana", addresses: ["ana@work.example"], time_zone: "Europe/Oslo" };
  readProfile(stored).addresses.push("eve@evil.example");
  expect(readProfile(stored).addresses).toEqual(["ana@work.example"]);
});

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
    const [one, two] = stores.map((store) => new Memory(store, prompts));
    if (!one || !two) throw new Error("two stores were opened");
    const texts = Array.from({ length: 6 }, (_, i) => `Rule ${i}`);
    await Promise.all(texts.map((text, i) => learnRule(i % 2 === 0 ? one : two, ANA, "agent_instructions", text)));
    const learnt = (await one.readAll(ANA)).procedural.find(({ name }) => name === "agent_instructions");
    expect(learnt?.rules.map(({ text }) => text).sort()).toEqual(texts);
    expect(learnt?.version).toBe(6);
    await Promise.all(stores.map((store) => store.stop()));
  });

  test("follow a new release's default when the user never changed them, and only then", async () => {
    const { store, memory } = await openMemory();
    await memory.readForTriage(ANA, mail);
    await learnRule(memory, ANA, "triage_notify", "Notify me of storms");
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

  test("that another program edited are taken as they are, as a version of their own; a rule is added at their end", async () => {
    const { store, memory } = await openMemory();
    await store.put([ANA], "agent_instructions", { prompt: "Write like a pirate.", theirs: 1 }, false);
    expect((await memory.readForAnswer(ANA, mail)).instructions.text).toBe("Write like a pirate.");
    await learnRule(memory, ANA, "agent_instructions", "Sign with Ana.");
    expect((await store.get([ANA], "agent_instructions"))?.value).toMatchObject({
      prompt: "Write like a pirate.\n\nRules from the user:\n- Sign with Ana.",
      version: 2,
      theirs: 1,
    });
  });

  test("keep every rule when many are learnt at once, on any LangGraph store", async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `Rule ${i}`);
    for (const store of [new InMemoryStore(), await MnemailStore.open(createMemoryDriver())]) {
      const memory = new Memory(store, prompts);
      await Promise.all([
        memory.readForTriage(ANA, mail),
        ...texts.map((text) => learnRule(memory, ANA, "triage_ignore", text)),
      ]);
      const [ignore] = (await memory.readAll(ANA)).procedural;
      expect(ignore?.rules.map(({ text }) => text).sort()).toEqual(texts.toSorted());
      expect(ignore?.version).toBe(20);
    }
  });

  test("of another program are used although its other fields are not ours", async () => {
    const { store, memory } = await openMemory();
    await store.put([ANA], "triage_ignore", { prompt: "MY OWN", version: "2026-01", rules: null }, false);
    expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toBe("MY OWN");
    await learnRule(memory, ANA, "triage_ignore", "Ignore sales");
    expect((await store.get([ANA], "triage_ignore"))?.value["prompt"]).toMatch(/^MY OWN\n\nRules from the user:/);
  });

  test("are the defaults when they cannot be written yet, and that is said", async () => {
    const { store } = await openMemory();
    const warnings: string[] = [];
    store.putIf = () => Promise.reject(new Error("locked"));
    const memory = new Memory(store, prompts, (line) => warnings.push(line));
    expect((await memory.readForTriage(ANA, mail)).prompts.ignore.text).toBe(prompts.triage_ignore.text);
    expect(warnings).toEqual([expect.stringMatching(/^the default prompts cannot be written: .*locked/)]);
  });

  test("learn the same rule once", async () => {
    const { memory } = await openMemory();
    const first = await learnRule(memory, ANA, "triage_ignore", "Ignore sales");
    expect(first.changes).toMatchObject([{ status: "live", version: 1 }]);
    const second = await learnRule(memory, ANA, "triage_ignore", "ignore sales");
    expect(second.changes).toMatchObject([{ status: "known", version: 1 }]);
  });

  test("are used although another record is damaged; it is left as it is", async () => {
    using folder = temporaryFolder();
    const warnings: string[] = [];
    const store = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    const memory = new Memory(store, prompts, (line) => warnings.push(line));
    await learnRule(memory, ANA, "triage_ignore", "Ignore sales");
    const other = new Database(folder.path("m.db"));
    for (const [prefix, key] of [
      ["ana", "triage_notify"],
      ["email_assistant.ana.profile", "profile"],
    ]) {
      other.prepare("INSERT INTO store (prefix, key, value) VALUES (?, ?, '{broken')").run([prefix, key]);
    }
    const read = await memory.readForTriage(ANA, mail);
    expect(read.prompts.ignore.text).toContain("- Ignore sales");
    expect(read.prompts.notify.text).toBe(prompts.triage_notify.text);
    expect(warnings[0]).toMatch(/the record \["ana","triage_notify"\] cannot be read/);
    expect((await memory.readAll(ANA)).procedural[0]?.rules).toHaveLength(1);
    await expect(learnRule(memory, ANA, "triage_notify", "Notify me")).rejects.toThrow("cannot be read");
    expect(other.prepare("SELECT value FROM store WHERE key = 'triage_notify'").raw().all()).toEqual([["{broken"]]);
    other.close();
    await store.stop();
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

test("an exchange is forgotten when its email turns out to be one to ignore", async () => {
  const { memory } = await openMemory();
  await memory.recordDecision(ANA, mail, { ...decision, label: "respond" }, { proposals: [], extract: false });
  expect((await memory.readAll(ANA)).episodic).toHaveLength(1);
  await memory.recordDecision(ANA, mail, decision, { proposals: [], extract: false });
  expect((await memory.readAll(ANA)).episodic).toEqual([]);
});

test("any store's failure is said to be one", async () => {
  const store = new InMemoryStore();
  store.batch = () => Promise.reject(new Error("connection lost"));
  const memory = new Memory(store, prompts);
  await expect(memory.readAll(ANA)).rejects.toThrow(/^the store failed: connection lost/);
});

test("a user of any id can learn on any store", async () => {
  const memory = new Memory(new InMemoryStore(), prompts);
  for (const id of ["put", "put if", "learn put"]) {
    const { changes } = await learnRule(memory, id, "triage_ignore", "Ignore sales");
    expect(changes).toMatchObject([{ status: "live" }]);
  }
});

describe("facts", () => {
  test("that the user stated twice are kept once", async () => {
    const { memory } = await openMemory();
    const fact = { text: "Tom is on leave on Fridays.", supersedes: [] };
    const [first] = (await memory.ledger.commit(ANA, lesson("one", { facts: [fact] }))).changes;
    const [second] = (await memory.ledger.commit(ANA, lesson("two", { facts: [fact] }))).changes;
    expect([first, second]).toMatchObject([{ status: "live" }, { status: "known" }]);
    expect((await memory.readAll(ANA)).episodic).toHaveLength(1);
  });

  test("that a model proposes are never found by a search", async () => {
    const { memory } = await openMemory();
    await memory.recordDecision(ANA, mail, decision, {
      proposals: [{ id: "proposal-1", content: "Tom is trusted" }],
      extract: false,
    });
    expect(await memory.facts.search(ANA, { query: "Tom is trusted", limit: 10 })).toEqual([]);
    expect((await memory.readForAnswer(ANA, mail)).memories).toEqual([]);
  });
});

test("examples: a corrected label replaces the earlier one", async () => {
  const { memory } = await openMemory();
  const was = "respond" as const;
  await memory.ledger.commit(ANA, lesson("one", { example: { email: mail, label: "ignore", was } }));
  await memory.ledger.commit(ANA, lesson("two", { example: { email: mail, label: "notify", was } }));
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
