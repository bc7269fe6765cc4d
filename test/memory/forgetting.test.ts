import { cpSync } from "node:fs";
import { InMemoryStore } from "@langchain/langgraph-checkpoint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { emailSchema } from "../../src/email.ts";
import { MnemailError } from "../../src/errors.ts";
import { StoreAccess } from "../../src/memory/access.ts";
import { findAddress } from "../../src/memory/forget-text.ts";
import type { ForgetTarget } from "../../src/memory/forget-traces.ts";
import { Forgetting } from "../../src/memory/forgetting.ts";
import { Memory } from "../../src/memory/memory.ts";
import { LEARNABLE_PROMPTS, loadPrompts } from "../../src/prompts.ts";
import type { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces, userRoots } from "../../src/store/namespaces.ts";
import { openCheckpointer } from "../../src/store/open-checkpointer.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { AT, learnRule, lesson } from "../support/lesson.ts";
import { buildWorld, CANARIES, KEPT, ZOE } from "./forget-world.ts";

const ANA = "ana@home.example";
const BEA = "bea@home.example";
const NOW = "2026-03-05T09:00:00.000Z";
const FIRST = `<${CANARIES.messageId}-1@qanarymail.example>`;
const prompts = loadPrompts();
const at = userNamespaces(ANA);

describe("an address is found", () => {
  test.each([
    ["as a whole only", "brien@x.example", "Ask o'brien@x.example", "Ask o'brien@x.example"],
    ["behind a quotation mark", "brien@x.example", "the key 'brien@x.example'", "the key '(forgotten)'"],
    ["in a link", "zoe@q.example", "https://q.example/?to=zoe@q.example", "https://q.example/?to=(forgotten)"],
    ["with its name", "zoe@q.example", 'Dear "Zoe  Q" <ZOE@q.example>, hi', "Dear (forgotten), hi"],
    ["with another's name left alone", "zoe@q.example", "Bo <zoe@q.example>", "Bo <(forgotten)>"],
    ["not in a longer domain", "zoe@q.example", "zoe@q.example.com", "zoe@q.example.com"],
  ])("%s", (_name, address, text, without) => {
    const finder = findAddress(address, new Set(["Zoe Q"]));
    expect(finder.without(text)).toBe(without);
    expect(finder.isIn(text)).toBe(text !== without);
  });

  test("in linear time, whatever names strangers gave it", () => {
    const names = new Set(Array.from({ length: 5_000 }, (_, i) => `Name ${i} of the service`));
    const text = "Name 7 of the service <bot@git.example> wrote to somebody. ".repeat(5_000);
    const begun = performance.now();
    expect(findAddress("bot@git.example", names).without(text)).not.toContain("Name 7");
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});

let base: ReturnType<typeof temporaryFolder>;
beforeAll(async () => {
  base = temporaryFolder();
  await buildWorld(configIn(base), ANA);
  await buildWorld(configIn(base), BEA);
});
afterAll(() => base[Symbol.dispose]());

function configIn(folder: ReturnType<typeof temporaryFolder>) {
  return loadConfig({
    environment: { STORE_URL: `sqlite:${folder.path("memory.db")}`, MEMORY_EXTRACTION: "off" },
    directory: folder.path("."),
  });
}

/** A copy of the world of two users, with the same words in both. */
async function world() {
  const folder = temporaryFolder();
  cpSync(base.path("."), folder.path("."), { recursive: true });
  const { store: place } = configIn(folder);
  const [store, second] = [await openStore(place), await openStore(place)];
  const threads = await openCheckpointer(place);
  return {
    store,
    /** Another handle, as another process has one. */
    second,
    threads,
    memory: new Memory(store, prompts),
    forgetting: new Forgetting(new StoreAccess(store, () => {}), prompts, threads),
    async [Symbol.asyncDispose]() {
      for (const each of [store, second, threads]) await each[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

async function rowsOf(store: MnemailStore, user: string): Promise<KeptRow[]> {
  const rows: KeptRow[] = [];
  for await (const page of store.pages(Object.values(userRoots(user)))) rows.push(...page);
  return rows;
}
const textOf = async (store: MnemailStore, user = ANA) => JSON.stringify(await rowsOf(store, user));
const groupsOf = (things: readonly { group: string; text: string }[]) =>
  things.map(({ group, text }) => `${group} ${text}`);

describe("a contact that is forgotten", () => {
  test("is named by nothing of that user, nor is what their mail brought in; the rest stays", async () => {
    await using given = await world();
    const { store, forgetting } = given;
    const before = await rowsOf(store, BEA);
    await forgetting.forget(ANA, { what: "contact", id: `Zoe <${ZOE.toUpperCase()}>` }, NOW);
    const left = await textOf(store);
    for (const canary of Object.values(CANARIES)) expect(left.toLowerCase()).not.toContain(canary.toLowerCase());
    for (const kept of KEPT) expect(left).toContain(kept);
    expect(await rowsOf(store, BEA)).toEqual(before);
    expect(await given.threads.threadIds(ANA)).toEqual([]);
    expect(await given.threads.threadIds(BEA)).toHaveLength(4);
  });

  test("loses other emails' headers and quotations, the profile, and the keys of items", async () => {
    await using given = await world();
    const { store, forgetting, memory } = given;
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    expect((await memory.findDecision(ANA, "o1"))?.email).toMatchObject({
      cc: "Ann <ann@work.example>, (forgotten)",
      body: "Could you help with keptbody?\n\nOn Monday (forgotten) wrote:\nsee https://x.example/?who=(forgotten)",
    });
    expect((await memory.findDecision(ANA, "o2"))?.email.to).toBe(`${ANA}, (forgotten)`);
    expect((await store.get(at.profile, "profile"))?.value["about"]).toBe("keptabout; my assistant is (forgotten).");
    const keys = (await rowsOf(store, ANA)).map(({ key }) => key);
    expect(keys).toEqual(expect.arrayContaining(["about (forgotten)", "f:(forgotten)"]));
    const [talk] = (await memory.facts.list(ANA)).filter(({ record }) => record.scope === "thread:talk-9");
    expect(talk?.record.people).toEqual(["tom@work.example"]);
  });

  test("leaves the time that others have to live as it was", async () => {
    await using given = await world();
    const { store, forgetting } = given;
    const talk = async () => (await rowsOf(store, ANA)).find(({ value }) => value["scope"] === "thread:talk-9");
    const before = (await talk())?.expiresAt?.getTime() ?? 0;
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    const after = (await talk())?.expiresAt?.getTime() ?? 0;
    expect(Math.abs(after - before)).toBeLessThan(61_000);
  });

  test("leaves one tombstone, which holds counts and no text", async () => {
    await using given = await world();
    const { store, forgetting } = given;
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    const tombstones = await store.search(at.tombstones, { limit: 10 });
    expect(tombstones.map(({ value }) => value)).toEqual([
      {
        kind: "forget",
        what: "contact",
        at: NOW,
        removed: expect.objectContaining({ emails: 2, memories: 3 }),
        erased: false,
      },
    ]);
    expect(await forgetting.finish(ANA)).toBe(true);
    await forgetting.noteErased(ANA);
    expect(await forgetting.finish(ANA)).toBe(false);
  });

  test("is refused when it is the user, by id or by profile", async () => {
    await using given = await world();
    const { memory, forgetting, store } = given;
    const before = await textOf(store);
    const own = (id: string) => forgetting.forget(ANA, { what: "contact", id }, NOW);
    await expect(own("Ana@Home.example")).rejects.toThrow(/the user's own address/);
    expect(await textOf(store)).toBe(before);
    const profile = { name: "Ana", addresses: ["ana@other.example"], time_zone: "UTC" };
    await memory.saveProfile(ANA, { ...profile, working_hours: { start: "09:00", end: "17:00", days: ["Monday"] } });
    await expect(own("ana@other.example")).rejects.toThrow(/the user's own address/);
    await expect(own("Zoe")).rejects.toThrow(/expected one address/);
  });
});

describe("an email that is forgotten", () => {
  test("goes with what was made of it and learnt about it; its sender's other mail stays", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const plan = await forgetting.forget(ANA, { what: "email", id: FIRST }, NOW);
    expect(groupsOf(plan.removed)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^emails Subjektqanary plan/),
        "memories the pendqanary office is in Bergen",
        "rules Always sign my emails with Ruleqanary Q.",
        expect.stringMatching(/^rules Label emails from zoe/),
      ]),
    );
    const left = await textOf(store);
    for (const gone of [CANARIES.approved, CANARIES.rule, FIRST, "Subjektqanary plan"])
      expect(left).not.toContain(gone);
    for (const kept of [CANARIES.fact, CANARIES.named, "Subjektqanary again", ...KEPT]) expect(left).toContain(kept);
    expect((await memory.findDecision(ANA, "o1"))?.draft?.body).toBe("(forgotten)");
    expect(plan.removed.find(({ group }) => group === "rules")?.why).toMatch(
      /^learnt from your feedback of 2026-03-02 about this email$/,
    );
  });

  test("cannot be learnt from by who read its feedback before, nor its key be used again", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const feedback = { ...lesson("f-late").feedback, kind: "text" as const, text: "Latewords", email_id: FIRST };
    await memory.ledger.log(ANA, feedback);
    await forgetting.forget(ANA, { what: "email", id: FIRST }, NOW);
    const late = lesson("f-late", { feedback, facts: [{ text: "Latewords", supersedes: [] }] });
    await expect(memory.ledger.commit(ANA, late)).rejects.toThrow(MnemailError);
    expect(await textOf(store)).not.toContain("Latewords");
    expect(await memory.ledger.unlearnt(ANA)).toEqual([]);
    await expect(memory.ledger.log(ANA, feedback)).rejects.toThrow(/the key f-late was used/);
  });

  test("of an id that is part of another's takes that one not with it", async () => {
    await using given = await world();
    const { memory, forgetting } = given;
    await forgetting.forget(ANA, { what: "email", id: "o1" }, NOW);
    expect(await memory.findDecision(ANA, "o1")).toBeUndefined();
    expect(await memory.findDecision(ANA, "o2")).toBeDefined();
    await expect(forgetting.forget(ANA, { what: "email", id: "o" }, NOW)).rejects.toThrow(
      `email "o": nothing is kept of it for ${ANA}`,
    );
  });
});

describe("a memory that is forgotten", () => {
  const keyOf = async (memory: Memory, words: string) =>
    [...(await memory.facts.list(ANA)), ...(await memory.facts.superseded(ANA))].find(({ record }) =>
      record.content.includes(words),
    )?.key ?? "";

  test("goes from what used it, whatever of that may repeat it", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const before = await memory.findDecision(ANA, "o1");
    expect(JSON.stringify(before?.memories)).toContain(CANARIES.named);
    await forgetting.forget(ANA, { what: "memory", id: await keyOf(memory, CANARIES.named) }, NOW);
    expect(await textOf(store)).not.toContain(CANARIES.named);
    const after = await memory.findDecision(ANA, "o1");
    expect(after).toMatchObject({ label: before?.label, reason: before?.reason, draft: { body: "(forgotten)" } });
    expect(await textOf(store)).toContain(CANARIES.fact);
  });

  test("goes with the feedback that said it, whose rule stays without a word of it", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const text = "The factword is settled. Answer in Norwegian.";
    const feedback = { ...lesson("f-two").feedback, kind: "text" as const, text };
    await memory.ledger.log(ANA, feedback);
    const origin = { actor: "user", at: AT, evidence: text, feedback: "f-two" };
    const rule = { id: "r-two", text: "Answer in Norwegian.", origin };
    const live = [{ prompt: "agent_instructions" as const, operations: [{ op: "add" as const, rule }] }];
    const facts = [{ text: "The factword is settled.", supersedes: [] }];
    await memory.ledger.commit(ANA, lesson("f-two", { feedback, facts, live }));
    await forgetting.forget(ANA, { what: "memory", id: await keyOf(memory, "factword") }, NOW);
    const left = await textOf(store);
    expect(left).not.toContain("factword");
    expect(left).toContain("Answer in Norwegian.");
    expect((await memory.ledger.histories(ANA)).agent_instructions.prompt.text).toContain("Answer in Norwegian.");
  });

  test("goes with what a model wrote of it into another", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const email = emailSchema.parse({ id: "o9", from: "Tom <tom@work.example>", to: ANA, subject: "x", body: "y" });
    const proposed = { content: "Tom says: LIKES factqanary  evenings. Really.", author: "agent" as const };
    await store.batch(await memory.pending.puts(ANA, email, [proposed], AT));
    await forgetting.forget(ANA, { what: "memory", id: await keyOf(memory, CANARIES.fact) }, NOW);
    expect(await textOf(store)).not.toContain(CANARIES.fact);
  });

  test("that another took the place of goes alone, and nothing points to it any more", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const key = await keyOf(memory, CANARIES.superseded);
    await forgetting.forget(ANA, { what: "memory", id: key }, NOW);
    expect(await textOf(store)).not.toContain(key);
    expect(await textOf(store)).toContain(CANARIES.fact);
  });
});

describe("versions after forgetting", () => {
  const rulesBy = async (memory: Memory) => {
    const histories = await memory.ledger.histories(ANA);
    return LEARNABLE_PROMPTS.map((name) => {
      const { versions } = histories[name];
      return {
        name,
        versions: versions.map(({ number, state }) => ({ number, rules: state.rules.map(({ text }) => text) })),
      };
    });
  };
  const isForgotten = (text: string) => /qanary/i.test(text);

  test("keep their numbers and lose the forgotten rules; one more has no operations; the log leads to the head", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    const before = await rulesBy(memory);
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    const after = await rulesBy(memory);
    for (const [i, { name, versions }] of before.entries()) {
      const expected = versions.map(({ number, rules }) => ({
        number,
        rules: rules.filter((text) => !isForgotten(text)),
      }));
      const last = expected.at(-1);
      const isTouched = name !== "triage_respond";
      const added = last && isTouched ? [{ ...last, number: last.number + 1 }] : [];
      expect(after[i]).toEqual({ name, versions: [...expected, ...added] });
    }
    for (const { prompt, versions } of Object.values(await memory.ledger.histories(ANA))) {
      expect(versions.at(-1)?.text).toBe(prompt.text);
      expect(versions.filter(({ isRecorded }) => !isRecorded)).toEqual([]);
    }
    const log = await store.search(at.versions, { limit: 100 });
    const forgotten = log.filter(({ value }) => "forgotten" in value).map(({ value }) => value);
    expect(forgotten).toHaveLength(3);
    for (const value of forgotten)
      expect(value).toMatchObject({ operations: [], author: { actor: "user", channel: "cli" } });
    expect(forgotten.map(({ forgotten: count }) => count)).toEqual([1, 1, 1]);
  });

  test("revive nothing by a rollback to any of them", async () => {
    await using given = await world();
    const { store, memory, forgetting } = given;
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    const act = { actor: "user", channel: "test", at: NOW };
    for (const { name, versions } of await rulesBy(memory)) {
      for (const { number } of versions) await memory.ledger.rollback(ANA, name, number, act).catch(() => {});
    }
    expect((await textOf(store)).toLowerCase()).not.toContain("qanary");
  });

  test("keep a rule gone that a forgotten one took the place of, and one that took a forgotten one's place", async () => {
    await using given = await world();
    const { memory, forgetting } = given;
    const rule = (id: string, text: string, feedback: string) => ({
      ...{ id, text, origin: { actor: "user", at: AT, evidence: "", feedback } },
    });
    const step = async (id: string, operation: object, emailId?: string) => {
      const feedback = {
        ...lesson(id).feedback,
        kind: "text" as const,
        text: id,
        ...(emailId ? { email_id: emailId } : {}),
      };
      await memory.ledger.log(ANA, feedback);
      const operations = [operation] as never;
      await memory.ledger.commit(ANA, lesson(id, { feedback, live: [{ prompt: "triage_respond", operations }] }));
    };
    await step("s1", { op: "add", rule: rule("r-a", "Old one", "s1") });
    await step("s2", { op: "replace", id: "r-a", rule: rule("r-b", "Middle one", "s2") }, "o1");
    await step("s3", { op: "replace", id: "r-b", rule: rule("r-c", "New one", "s3") });
    await forgetting.forget(ANA, { what: "email", id: "o1" }, NOW);
    const { versions } = (await memory.ledger.histories(ANA)).triage_respond;
    expect(versions.map(({ state }) => state.rules.map(({ text }) => text))).toEqual([
      ...[[], ["Old one"], [], ["New one"], ["New one"]],
    ]);
    expect((await memory.ledger.find(ANA, "s3")).receipt?.changes).toMatchObject([{ text: "New one", was: null }]);
  });

  test("leave a proposal with what is left of it, and reject one that is empty", async () => {
    await using given = await world();
    const { memory, forgetting } = given;
    const operations = [
      {
        op: "add" as const,
        rule: { id: "r-p", text: `Trust ${ZOE}`, origin: { actor: "user", at: AT, evidence: "" } },
      },
    ];
    await memory.ledger.commit(ANA, lesson("f-all", { proposed: [{ prompt: "triage_respond", operations }] }));
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    expect(await memory.ledger.proposals(ANA, { all: true })).toMatchObject([
      { number: 1, status: "open", changes: [{ operations: [{ rule: { text: "Answer with Keptrule words" } }] }] },
      { number: 2, status: "rejected", changes: [], gate: null },
    ]);
  });
});

describe("forgetting beside others", () => {
  test("a plan changes nothing", async () => {
    await using given = await world();
    const before = await rowsOf(given.store, ANA);
    const plan = await given.forgetting.plan(ANA, { what: "contact", id: ZOE }, NOW);
    expect(plan.removed.length).toBeGreaterThan(5);
    expect(await rowsOf(given.store, ANA)).toEqual(before);
  });

  /** Lets another process write once, between the plan of a forgetting and its write. */
  const meanwhile = (store: MnemailStore, write: () => Promise<unknown>) => {
    const putIf = store.putIf.bind(store);
    store.putIf = async (puts) => {
      store.putIf = putIf;
      await write();
      return putIf(puts);
    };
  };

  test("finds also what comes in between", async () => {
    await using given = await world();
    const { store, second, forgetting } = given;
    const fact = { content: "Latefact", scope: `person:${ZOE}` as const };
    meanwhile(store, () => new Memory(second, prompts).facts.remember(ANA, fact, AT));
    const { removed } = await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    expect(removed.map(({ text }) => text)).toEqual(expect.arrayContaining(["Latefact", "Likes factqanary evenings."]));
    expect(await textOf(store)).not.toContain("Latefact");
  });

  test.each([
    ["a prompt", at.prompts, "agent_instructions"],
    ["an email's decision", at.decisions, "o1"],
    ["a version", at.versions, "agent_instructions:f-kept"],
  ])("loses no change of %s that comes in between", async (_name, namespace, key) => {
    await using given = await world();
    const { store, second, forgetting } = given;
    meanwhile(store, async () => {
      const item = await second.get(namespace, key);
      await second.put(namespace, key, { ...item?.value, seen: true }, false);
    });
    await forgetting.forget(ANA, { what: "contact", id: ZOE }, NOW);
    expect((await store.get(namespace, key))?.value["seen"]).toBe(true);
    expect((await textOf(store)).toLowerCase()).not.toContain("qanary");
  });

  test("that dies before its threads are deleted is finished by the next", async () => {
    await using given = await world();
    const { store, threads, forgetting } = given;
    const checkpointer = Object.create(threads.checkpointer, {
      deleteThread: { value: () => Promise.reject(new Error("killed")) },
    });
    const killed = new Forgetting(new StoreAccess(store, () => {}), prompts, { ...threads, checkpointer });
    await expect(killed.forget(ANA, { what: "email", id: FIRST }, NOW)).rejects.toThrow("killed");
    expect(await textOf(store)).not.toContain(CANARIES.rule);
    expect(await threads.threadIds(ANA)).toHaveLength(4);
    expect(await forgetting.finish(ANA)).toBe(true);
    expect(await threads.threadIds(ANA)).toEqual([]);
    expect(JSON.stringify(await store.search(at.tombstones))).not.toContain("t-first");
  });

  test.each<ForgetTarget>([
    { what: "contact", id: "nobody@qanarymail.example" },
    { what: "email", id: "nope" },
    { what: "memory", id: "fact-nope" },
  ])("of $what $id, of which nothing is kept, is an error and changes nothing", async (target) => {
    await using given = await world();
    const before = await rowsOf(given.store, ANA);
    await expect(given.forgetting.forget(ANA, target, NOW)).rejects.toThrow(/nothing is kept of it/);
    expect(await rowsOf(given.store, ANA)).toEqual(before);
  });

  test("works on LangGraph's own store", async () => {
    const store = new InMemoryStore();
    const memory = new Memory(store, prompts);
    await learnRule(memory, ANA, "triage_ignore", `Ignore ${ZOE}`);
    await learnRule(memory, ANA, "triage_ignore", "Ignore Keptrule");
    await memory.facts.remember(ANA, { content: `Ask ${ZOE}` }, AT);
    await new Forgetting(new StoreAccess(store, () => {}), prompts).forget(ANA, { what: "contact", id: ZOE }, NOW);
    const items = (
      await Promise.all(Object.values(userRoots(ANA)).map((root) => store.search(root, { limit: 100 })))
    ).flat();
    expect(JSON.stringify(items)).not.toContain("qanary");
    const { prompt, versions } = (await memory.ledger.histories(ANA)).triage_ignore;
    expect(prompt.rules.map(({ text }) => text)).toEqual(["Ignore Keptrule"]);
    expect(versions.at(-1)?.state.rules).toHaveLength(1);
  });
});

describe("an address in a text", () => {
  const found = findAddress("tom.b@work.example", new Set(["Tom Berg", "Berg, Tom"]));
  test.each([
    ["write to Tom.B@work.example.", "write to (forgotten)."],
    ["Tom Berg <tom.b@work.example>, Ann <ann@x.example>", "(forgotten), Ann <ann@x.example>"],
    ['"Berg, Tom" <tom.b@work.example>', "(forgotten)"],
    ["Tom Berg [mailto:tom.b@work.example]", "(forgotten)"],
    ["?to=%3Ctom.b%40work.example%3E", "?to=%3C(forgotten)%3E"],
    ["tom.b&#64;work.example", "(forgotten)"],
    ["_tom.b@work.example_", "_(forgotten)_"],
  ])("is taken out of %j", (text, without) => {
    expect(found.isIn(text)).toBe(true);
    expect(found.without(text)).toBe(without);
  });
  test.each([
    "atom.b@work.example",
    "x.tom.b@work.example",
    "tom.b@work.example.org",
    "tom.b@work.example-x",
    "tomxb@work.example",
  ])("is not in %j", (text) => {
    expect(found.isIn(text)).toBe(false);
    expect(found.without(text)).toBe(text);
  });
});

describe("the same words about two people", () => {
  const open = async () => {
    const store = await openStore({ backend: "memory" });
    return {
      memory: new Memory(store, prompts),
      forgetting: new Forgetting(new StoreAccess(store, () => {}), prompts),
    };
  };
  const content = "Prefers meetings in the morning.";

  test("stay those of the other when one is forgotten", async () => {
    const { memory, forgetting } = await open();
    for (const person of ["ada@x.example", "tom@x.example"] as const) {
      await memory.facts.remember(ANA, { content, scope: `person:${person}` }, AT);
    }
    await forgetting.forget(ANA, { what: "contact", id: "ada@x.example" }, NOW);
    expect((await memory.facts.list(ANA)).map(({ record }) => record.scope)).toEqual(["person:tom@x.example"]);
  });

  test("go with one memory where they are said of nobody else: in another scope, and in feedback that waits", async () => {
    const { memory, forgetting } = await open();
    const { key } = await memory.facts.remember(ANA, { content, scope: "person:ada@x.example" }, AT);
    await memory.facts.remember(ANA, { content }, AT);
    const said = { id: "f1", kind: "text", text: content, actor: "user", channel: "test", at: AT } as const;
    await memory.ledger.log(ANA, said);
    await forgetting.forget(ANA, { what: "memory", id: key }, NOW);
    expect(await memory.facts.list(ANA)).toEqual([]);
    expect(await memory.ledger.unlearnt(ANA)).toEqual([]);
  });
});
