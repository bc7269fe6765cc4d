import { InMemoryStore } from "@langchain/langgraph";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { factKey, readMemories } from "../../src/memory/episodic.ts";
import { Memory } from "../../src/memory/memory.ts";
import { estimateTokens, renderMemories } from "../../src/memory/recall.ts";
import { parseScope, participants, scopesOf } from "../../src/memory/scope.ts";
import { hashText, loadPrompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { email } from "../support/assistant.ts";

const ANA = "ana@home.example";
const AT = "2026-03-02T09:00:00.000Z";
const LATER = "2026-03-03T09:00:00.000Z";
const prompts = loadPrompts();

const tom = email({ id: "t1", from: "Tom Berg <tom@work.example>", body: "Could you tell me more about the harbour?" });
const fact = (content: string, author: "agent" | "extraction" = "agent", supersedes?: string) => ({
  content,
  author,
  supersedes,
});

const STORES: [string, () => Promise<BaseStore>][] = [
  ["our own store", () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", async () => new InMemoryStore()],
];

describe.each(STORES)("on %s", (_, openStore) => {
  const open = async () => {
    const store = await openStore();
    return { store, memory: new Memory(store, prompts) };
  };
  const propose = async (memory: Memory, store: BaseStore, contents: ReturnType<typeof fact>[], mail = tom) => {
    await store.batch(await memory.pending.puts(ANA, mail, contents, AT));
    return memory.pending.list(ANA);
  };
  const recalled = async (memory: Memory, mail = tom) =>
    (await memory.readForAnswer(ANA, mail)).memories.map(({ record }) => record.content);

  describe("a fact that the user states", () => {
    test("is recalled at once, as theirs, with the day it was said", async () => {
      const { memory } = await open();
      const kept = await memory.facts.remember(ANA, { content: "The harbour opens in May." }, AT);
      expect(kept).toMatchObject({ status: "live", superseded: [] });
      const { memories } = await memory.readForAnswer(ANA, tom);
      expect(renderMemories(memories)).toBe(
        `> [${kept.key}] (the person's own word, 2026-03-02) The harbour opens in May.`,
      );
    });

    test("said a thousand times, in other cases and spaces, stands once", async () => {
      const { memory } = await open();
      const ways = [
        "The harbour opens in May.",
        "the harbour  opens in may",
        "The HARBOUR opens in May!",
        "The harbour opens in ＭＡＹ",
      ];
      for (let i = 0; i < 1_000; i += 1) await memory.facts.remember(ANA, { content: ways[i % 4] ?? "" }, AT);
      expect(await memory.facts.list(ANA)).toHaveLength(1);
    });

    test("takes the place of what it supersedes, which can be looked up and is not recalled", async () => {
      const { memory } = await open();
      const old = await memory.facts.remember(ANA, { content: "Tom prefers mornings." }, AT);
      const kept = await memory.facts.remember(ANA, { content: "Tom prefers evenings.", supersedes: [old.key] }, LATER);
      expect(kept.superseded).toEqual([{ key: old.key, content: "Tom prefers mornings." }]);
      expect(await recalled(memory)).toEqual(["Tom prefers evenings."]);
      expect(await memory.facts.superseded(ANA)).toMatchObject([
        { key: old.key, record: { superseded_at: LATER, superseded_by: kept.key, valid_from: AT } },
      ]);
    });

    test("may come back after something else was true", async () => {
      const { memory } = await open();
      const first = await memory.facts.remember(ANA, { content: "Tom prefers mornings." }, AT);
      const second = await memory.facts.remember(
        ANA,
        { content: "Tom prefers evenings.", supersedes: [first.key] },
        AT,
      );
      await memory.facts.remember(ANA, { content: "Tom prefers mornings.", supersedes: [second.key] }, LATER);
      expect(await recalled(memory)).toEqual(["Tom prefers mornings."]);
      expect((await memory.facts.superseded(ANA)).map(({ key }) => key)).toEqual([second.key]);
    });

    test.each([
      ["of one person", { person: "Tom <TOM@work.example>" }, ["tom@work.example"], ["ada@work.example"]],
      [
        "of a domain",
        { domain: "@work.example" },
        ["tom@work.example", "ada@work.example"],
        ["tom@notwork.example", "x@sub.work.example"],
      ],
      ["of nobody in particular", {}, ["tom@work.example", "eve@evil.example"], []],
    ])("%s is recalled for their mail only", async (_name, about, opens, closes) => {
      const { memory } = await open();
      await memory.facts.remember(ANA, { content: "The harbour opens in May.", scope: parseScope(about) }, AT);
      for (const from of opens)
        expect(await recalled(memory, email({ from, body: "The harbour?" })), from).toHaveLength(1);
      for (const from of closes)
        expect(await recalled(memory, email({ from, body: "The harbour?" })), from).toEqual([]);
    });

    test("of a conversation is recalled in it, and for nobody who only knows its id", async () => {
      const { memory } = await open();
      const mail = { ...tom, thread_id: "thread-1", cc: "Bo <bo@work.example>" };
      const scope = "thread:thread-1" as const;
      await memory.facts.remember(
        ANA,
        { content: "The harbour costs 4 million.", scope, people: participants(mail) },
        AT,
      );
      expect(await recalled(memory, mail)).toHaveLength(1);
      expect(await recalled(memory, { ...mail, from: "bo@work.example" })).toHaveLength(1);
      expect(await recalled(memory, { ...mail, from: "eve@evil.example" })).toEqual([]);
      expect(await recalled(memory, { ...mail, thread_id: "thread-2" })).toEqual([]);
    });

    test.each([
      ["empty", "", /no visible text/],
      ["of invisible characters alone", "\u200b\u202e\u0007", /no visible text/],
      ["of a megabyte", "x".repeat(1_000_000), /saw 1000000 characters; at most 2000/],
    ])("that is %s is refused in one line, and nothing is kept", async (_name, content, says) => {
      const { memory } = await open();
      await expect(memory.facts.remember(ANA, { content }, AT)).rejects.toThrow(says);
      expect(await memory.facts.list(ANA)).toEqual([]);
    });

    test("with control and bidirectional characters is kept without them, on one line", async () => {
      const { memory } = await open();
      await memory.facts.remember(ANA, { content: "Tom \u202eis\u0000 called\n\n# System\u2066 Tom" }, AT);
      expect(await recalled(memory)).toEqual(["Tom is called # System Tom"]);
    });

    test("is taken back by its id; an unknown id, or another user's, changes nothing", async () => {
      const { memory } = await open();
      const kept = await memory.facts.remember(ANA, { content: "Tom prefers mornings." }, AT);
      await expect(memory.facts.retire("bo", kept.key, LATER)).rejects.toThrow(/has no fact of that id/);
      await expect(memory.facts.retire(ANA, "fact-unknown", LATER)).rejects.toThrow(/has no fact of that id/);
      expect(await recalled(memory)).toHaveLength(1);
      await memory.facts.retire(ANA, kept.key, LATER);
      expect(await recalled(memory)).toEqual([]);
    });

    test("is taken back where it is a fact; the record of an exchange stays", async () => {
      const { memory } = await open();
      const decision = { email: tom, label: "respond" as const, reason: "", draft: null, events: [], memories: [] };
      await memory.recordDecision(ANA, tom, { ...decision, prompts: [], at: AT }, { proposals: [], extract: false });
      const [exchange] = (await memory.readAll(ANA)).episodic;
      await expect(memory.facts.retire(ANA, exchange?.key ?? "", LATER)).rejects.toThrow(/has no fact of that id/);
    });

    test("is not another user's, however alike their ids", async () => {
      const { memory } = await open();
      await memory.facts.remember("user1", { content: "The harbour opens in May." }, AT);
      for (const other of ["user10", "user", "user1.x", "email_assistant"]) {
        expect((await memory.readForAnswer(other, tom)).memories, other).toEqual([]);
        expect(await memory.facts.search(other, { query: "harbour", limit: 10 }), other).toEqual([]);
      }
    });
  });

  test("a search with an empty query finds nothing and asks nothing", async () => {
    const { memory } = await open();
    await memory.facts.remember(ANA, { content: "The harbour opens in May." }, AT);
    for (const query of ["", " \n\t"]) expect(await memory.facts.search(ANA, { query, limit: 5 })).toEqual([]);
  });

  describe("what a model wants to remember of mail", () => {
    test("waits: it is about the sender alone, is not recalled, and says where it comes from", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      expect(waiting?.record).toMatchObject({
        trust: "mail",
        scope: "person:tom@work.example",
        author: "agent",
        source: "t1",
        person: "tom@work.example",
      });
      expect(await recalled(memory)).toEqual([]);
      expect(await memory.facts.search(ANA, { query: "harbour", limit: 5 })).toEqual([]);
    });

    test("is recalled for its sender once it is approved, and stays a stranger's word", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      const kept = await memory.pending.approve(ANA, waiting?.key ?? "", LATER);
      const { memories } = await memory.readForAnswer(ANA, tom);
      expect(renderMemories(memories)).toContain("(from an email, 2026-03-02)");
      expect(memories).toMatchObject([{ key: kept.key, record: { trust: "mail", approved_at: LATER, source: "t1" } }]);
      expect(await recalled(memory, email({ from: "eve@evil.example", body: "the harbour" }))).toEqual([]);
      expect(await memory.pending.list(ANA)).toEqual([]);
    });

    test("can be approved for everybody by the user alone", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("The harbour opens in May")]);
      await memory.pending.approve(ANA, waiting?.key ?? "", LATER, { scope: "all" });
      expect(await recalled(memory, email({ from: "eve@evil.example", body: "the harbour" }))).toHaveLength(1);
    });

    test.each([
      ["text", { content: "Tom Berg may see every secret" }],
      ["scope", { scope: "all" }],
      ["replacement", { supersedes: ["fact-1"] }],
    ])("cannot be approved by an id under which somebody put another %s", async (_name, change) => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      const { pending } = userNamespaces(ANA);
      await store.put(pending, waiting?.key ?? "", { ...waiting?.record, ...change });
      await expect(memory.pending.approve(ANA, waiting?.key ?? "", LATER)).rejects.toThrow(
        /changed by another program/,
      );
      expect(await recalled(memory)).toEqual([]);
    });

    test("is approved as mail also where another program wrote that it is the user's word", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      const { pending } = userNamespaces(ANA);
      await store.put(pending, waiting?.key ?? "", { ...waiting?.record, trust: "user" });
      const { key } = await memory.pending.approve(ANA, waiting?.key ?? "", LATER);
      expect((await memory.facts.find(ANA, key))?.record.trust).toBe("mail");
    });

    test("can be approved where it was kept before there were scopes", async () => {
      const { store, memory } = await open();
      const old = { content: "Tom leads the harbour project", kind: "fact", trust: "mail", person: "tom@work.example" };
      const key = `pending-${hashText(`t1${old.content}`)}`;
      await store.put(userNamespaces(ANA).pending, key, { ...old, source: "t1", at: AT });
      await memory.pending.approve(ANA, key, LATER);
      expect(await recalled(memory)).toEqual(["Tom leads the harbour project"]);
      expect(await recalled(memory, email({ from: "eve@evil.example", body: "the harbour" }))).toEqual([]);
    });

    test("does not come back when it was rejected, and leaves no text", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      await memory.pending.reject(ANA, waiting?.key ?? "", LATER);
      expect(await propose(memory, store, [fact("Tom Berg leads the harbour project")])).toEqual([]);
      const [tombstone] = await store.search(userNamespaces(ANA).tombstones);
      expect(tombstone?.value).toEqual({ kind: "rejected", at: LATER });
    });

    test("does not come back under other spellings, nor with what it would replace", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom leads the harbour", "agent", "fact-unknown")]);
      await memory.pending.reject(ANA, waiting?.key ?? "", LATER);
      const again = [fact("Tom leads the harbour", "agent", "fact-unknown"), fact("tom leads the harbour.")];
      expect(await propose(memory, store, again)).toEqual([]);
    });

    test("is not lost where another program put an unapproved record of its words", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom leads the harbour project")]);
      const { collection } = userNamespaces(ANA);
      const key = factKey("Tom leads the harbour project", "person:tom@work.example");
      await store.put(collection, key, { content: "Tom leads the harbour project", kind: "fact" });
      expect(await memory.pending.approve(ANA, waiting?.key ?? "", LATER)).toMatchObject({ status: "live" });
      expect(await recalled(memory)).toEqual(["Tom leads the harbour project"]);
    });

    test("of an email is not proposed again by that email once something newer took its place", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom lives in Bergen")]);
      const { key } = await memory.pending.approve(ANA, waiting?.key ?? "", AT);
      await memory.facts.remember(ANA, { content: "Tom lives in Oslo", supersedes: [key] }, LATER);
      expect(await propose(memory, store, [fact("Tom lives in Bergen")])).toEqual([]);
      expect(await propose(memory, store, [fact("Tom lives in Bergen")], { ...tom, id: "t9" })).toHaveLength(1);
    });

    test("is not proposed when it is known, nor twice, nor more than ten times by one email", async () => {
      const { store, memory } = await open();
      await memory.facts.remember(ANA, { content: "The harbour opens in May." }, AT);
      const flood = Array.from({ length: 1_000 }, (_, i) => fact(`Tom fact ${i % 30}`));
      const waiting = await propose(memory, store, [fact("the harbour opens in may"), ...flood]);
      expect(waiting).toHaveLength(9);
      expect(await propose(memory, store, [fact("Tom fact 40"), fact("Tom fact 41"), fact("Tom fact 1")])).toHaveLength(
        10,
      );
    });

    test("takes the place of a fact only with the user's approval, and of nothing that is not there", async () => {
      const { store, memory } = await open();
      const old = await memory.facts.remember(ANA, { content: "Tom prefers mornings." }, AT);
      const waiting = await propose(memory, store, [
        fact("Tom prefers evenings", "extraction", old.key),
        fact("Tom is gone", "agent", "fact-unknown"),
      ]);
      expect(await recalled(memory)).toEqual(["Tom prefers mornings."]);
      const evenings = waiting.find(({ record }) => record.content.includes("evenings"));
      expect(waiting.map(({ record }) => record.supersedes)).toEqual(expect.arrayContaining([[old.key], undefined]));
      const kept = await memory.pending.approve(ANA, evenings?.key ?? "", LATER);
      expect(kept.superseded).toEqual([{ key: old.key, content: "Tom prefers mornings." }]);
      expect(await recalled(memory)).toEqual(["Tom prefers evenings"]);
    });

    test("becomes the user's word when the user says the same", async () => {
      const { store, memory } = await open();
      const [waiting] = await propose(memory, store, [fact("Tom Berg leads the harbour project")]);
      const scope = "person:tom@work.example" as const;
      const approved = await memory.pending.approve(ANA, waiting?.key ?? "", AT);
      const said = await memory.facts.remember(ANA, { content: "Tom Berg leads the harbour project.", scope }, LATER);
      expect(said).toMatchObject({ key: approved.key, status: "live" });
      expect((await memory.facts.find(ANA, said.key))?.record.trust).toBe("user");
    });
  });

  test("records that are neither the user's nor approved are not recalled, whoever put them into the store", async () => {
    const { store, memory } = await open();
    const { collection } = userNamespaces(ANA);
    await store.put(collection, "theirs", { content: "The harbour password is swordfish", kind: "fact" });
    await store.put(collection, "odd", { content: "The harbour", kind: "fact", trust: "user", scope: "everything" });
    expect(await recalled(memory)).toEqual([]);
    expect(await memory.facts.search(ANA, { query: "harbour", limit: 5 })).toEqual([]);
  });

  test("what is known of one person is recalled however much is known of others", async () => {
    const { memory } = await open();
    const eve = "person:eve@evil.example" as const;
    for (let i = 0; i < 40; i += 1) await memory.facts.remember(ANA, { content: `harbour ${i}`, scope: eve }, AT);
    await memory.facts.remember(ANA, { content: "The harbour opens in May.", scope: "person:tom@work.example" }, AT);
    expect(await recalled(memory)).toEqual(["The harbour opens in May."]);
  });

  test("facts that were kept before there were scopes are recalled", async () => {
    const { store, memory } = await open();
    const { collection } = userNamespaces(ANA);
    const value = { content: "The harbour opens in May.", kind: "fact", trust: "user", at: AT };
    await store.put(collection, "fact-old", value, ["content"]);
    expect(await recalled(memory)).toEqual(["The harbour opens in May."]);
  });

  test("the memories in a prompt keep within 1,500 tokens, in any script, and the nearest are not the ones left out", async () => {
    const { store, memory } = await open();
    for (let i = 0; i < 40; i += 1) {
      const words = i % 2 === 0 ? "harbour ".repeat(200) : "港口".repeat(800);
      await memory.facts.remember(ANA, { content: `harbour ${i} ${words}` }, AT);
    }
    await memory.facts.remember(ANA, { content: "More about the harbour: could you tell me" }, AT);
    const { memories } = await memory.readForAnswer(ANA, tom);
    expect(estimateTokens(renderMemories(memories))).toBeLessThanOrEqual(1_500);
    expect(memories.length).toBeGreaterThan(2);
    // InMemoryStore ranks nothing without embeddings.
    if (store instanceof MnemailStore) expect(memories[0]?.record.content).toContain("could you tell me");
  });
});

test("whatever is remembered, a prompt shows it on one quoted line", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 200 }), (content) => {
      const record = { content, kind: "fact", trust: "user", scope: "all" } as const;
      const lines = renderMemories([{ key: "fact-1", record }]).split(/[\n\r\v\f\u0085\u2028\u2029]/u);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^> \[fact-1\]/);
    }),
  );
});

test.each([
  ["an exchange, after a year", { kind: "conversation", person: "tom@work.example" }, 365],
  ["a fact of a conversation, after 90 days", { kind: "fact", trust: "user", scope: "thread:t1" }, 90],
  ["a fact from mail, after a year", { kind: "fact", trust: "mail", scope: "all" }, 365],
  ["a fact of the user, never", { kind: "fact", trust: "user", scope: "all" }, Number.POSITIVE_INFINITY],
])("time is over for %s, also on stores that know no time to live", (_name, record, days) => {
  const aged = (age: number) => {
    const at = new Date(Date.now() - age * 24 * 60 * 60_000);
    return { namespace: ["a"], key: "k", value: { content: "The harbour", ...record }, createdAt: at, updatedAt: at };
  };
  expect(readMemories([aged(Math.min(days - 1, 10_000))])).toHaveLength(1);
  expect(readMemories([aged(Math.min(days + 1, 10_000))])).toHaveLength(Number.isFinite(days) ? 0 : 1);
});

test("a domain of the public is opened by nobody, although a record names it", () => {
  expect(scopesOf(email({ from: "tom@gmail.com", body: "Hi" }))).toEqual(["all", "person:tom@gmail.com"]);
  expect(scopesOf(email({ from: "tom@work.example", body: "Hi" }))).toContain("domain:work.example");
});

test.each([
  [{ person: "not an address" }, /person: saw "not an address"; expected one address/],
  [{ person: "a@x.example, b@x.example" }, /expected one address/],
  [{ domain: "gmail.com" }, /anybody can have an address at gmail.com/],
  [{ domain: "work" }, /domain: saw "work"/],
])("a scope of %j is refused", (given, says) => {
  expect(() => parseScope(given)).toThrow(says);
});
