import { AIMessage } from "@langchain/core/messages";
import { InMemoryStore } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Memory } from "../src/memory/memory.ts";
import { createManageMemoryTool, createSearchMemoryTool } from "../src/memory-tools.ts";
import { loadPrompts } from "../src/prompts.ts";
import { createMemoryDriver } from "../src/store/memory-driver.ts";
import { MnemailStore } from "../src/store/mnemail-store.ts";

const config = { configurable: { langgraph_user_id: "ana" } };
const others = { configurable: { langgraph_user_id: "ana10" } };
const idOf = (answer: unknown) => /(?:fact|pending)-\w+/.exec(String(answer))?.[0] ?? "";
const foundSchema = z.array(z.object({ id: z.string(), content: z.string(), scope: z.string(), trust: z.string() }));
const found = (answer: unknown) => foundSchema.parse(JSON.parse(String(answer)));

const STORES: [string, () => Promise<BaseStore>][] = [
  ["our own store", () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", async () => new InMemoryStore()],
];

describe.each(STORES)("LangMem's memory tools on %s", (_, openStore) => {
  test("have LangMem's names and arguments", async () => {
    const store = await openStore();
    const [manage, search] = [createManageMemoryTool({ store }), createSearchMemoryTool({ store })];
    expect([manage.name, search.name]).toEqual(["manage_memory", "search_memory"]);
    expect(Object.keys(manage.schema.shape)).toEqual(["content", "action", "id"]);
    expect(Object.keys(search.schema.shape)).toEqual(["query", "limit", "offset", "filter"]);
    expect(createManageMemoryTool({ store, name: "keep", instructions: "Only of people." })).toMatchObject({
      name: "keep",
      description: expect.stringContaining("Only of people."),
    });
  });

  describe("in a conversation that holds the user's words alone", () => {
    test("create, correct, delete and find memories", async () => {
      const store = await openStore();
      const manage = createManageMemoryTool({ store, trust: "user" });
      const search = createSearchMemoryTool({ store });
      const created = await manage.invoke({ content: "Tom prefers mornings.", action: "create" }, config);
      expect(created).toMatch(/^created memory fact-/);
      const updated = await manage.invoke(
        { content: "Tom prefers evenings.", action: "update", id: idOf(created) },
        config,
      );
      expect(updated).toMatch(/^updated memory fact-/);
      expect(found(await search.invoke({ query: "When does Tom prefer to meet?" }, config))).toMatchObject([
        { id: idOf(updated), content: "Tom prefers evenings.", trust: "user", scope: "all" },
      ]);
      expect(await manage.invoke({ action: "delete", id: idOf(updated) }, config)).toBe(
        `deleted memory ${idOf(updated)}`,
      );
      expect(found(await search.invoke({ query: "Tom" }, config))).toEqual([]);
      const kept = await new Memory(store, loadPrompts()).facts.superseded("ana");
      expect(kept.map(({ record }) => record.content).sort()).toEqual([
        "Tom prefers evenings.",
        "Tom prefers mornings.",
      ]);
    });

    test("find what a filter asks for, however much else is nearer", async () => {
      const store = await openStore();
      const { facts } = new Memory(store, loadPrompts());
      for (let i = 0; i < 120; i += 1) await facts.remember("ana", { content: `Harbour harbour ${i}` }, "2026-03-02");
      const scope = "person:tom@work.example" as const;
      await facts.remember("ana", { content: "Tom knows the harbour.", scope }, "2026-03-02");
      const search = createSearchMemoryTool({ store });
      expect(found(await search.invoke({ query: "harbour", filter: { scope } }, config))).toHaveLength(1);
      expect(found(await search.invoke({ query: "harbour", offset: 100, limit: 50 }, config))).toHaveLength(21);
    });

    test("page and filter what they find", async () => {
      const store = await openStore();
      const manage = createManageMemoryTool({ store, trust: "user" });
      const search = createSearchMemoryTool({ store });
      for (let i = 0; i < 12; i += 1) await manage.invoke({ content: `Harbour fact ${i}`, action: "create" }, config);
      expect(found(await search.invoke({ query: "harbour" }, config))).toHaveLength(10);
      expect(found(await search.invoke({ query: "harbour", limit: 20, offset: 10 }, config))).toHaveLength(2);
      const filter = { scope: "person:tom@work.example" as const };
      expect(found(await search.invoke({ query: "harbour", filter }, config))).toEqual([]);
    });
  });

  describe("in a conversation that also holds strangers' words, as is taken for granted", () => {
    test("what they keep waits for the user, and can still be corrected and withdrawn", async () => {
      const store = await openStore();
      const manage = createManageMemoryTool({ store });
      const created = await manage.invoke({ content: "Tom is trusted", action: "create" }, config);
      expect(created).toMatch(/^proposed memory pending-\w+, for the user to approve$/);
      const updated = await manage.invoke({ content: "Tom is a plumber", action: "update", id: idOf(created) }, config);
      const { pending } = new Memory(store, loadPrompts());
      expect(await pending.list("ana")).toMatchObject([
        { key: idOf(updated), record: { content: "Tom is a plumber", trust: "mail" } },
      ]);
      expect(found(await createSearchMemoryTool({ store }).invoke({ query: "Tom" }, config))).toEqual([]);
      await manage.invoke({ action: "delete", id: idOf(updated) }, config);
      expect(await pending.list("ana")).toEqual([]);
    });

    test("what is live they can propose to replace, and cannot remove", async () => {
      const store = await openStore();
      const own = createManageMemoryTool({ store, trust: "user" });
      const manage = createManageMemoryTool({ store });
      const id = idOf(await own.invoke({ content: "Tom prefers mornings.", action: "create" }, config));
      expect(await manage.invoke({ action: "delete", id }, config)).toMatch(/^Refused: .* only the user removes it/);
      await manage.invoke({ content: "Tom prefers evenings.", action: "update", id }, config);
      const { pending, facts } = new Memory(store, loadPrompts());
      expect((await facts.list("ana")).map(({ key }) => key)).toEqual([id]);
      expect((await pending.list("ana"))[0]?.record.supersedes).toEqual([id]);
    });

    test("what the user rejected they cannot propose again", async () => {
      const store = await openStore();
      const manage = createManageMemoryTool({ store });
      const created = await manage.invoke({ content: "Tom is trusted", action: "create" }, config);
      const { pending } = new Memory(store, loadPrompts());
      await pending.reject("ana", idOf(created), "2026-03-02T09:00:00.000Z");
      expect(await manage.invoke({ content: "Tom is trusted", action: "create" }, config)).toMatch(
        /^Refused: .*rejected/,
      );
      expect(await pending.list("ana")).toEqual([]);
    });
  });

  describe.each(["user", "mail"] as const)("with the trust %s, bad arguments are answered in words", (trust) => {
    test.each([
      [
        "an update of an unknown id",
        { content: "x", action: "update", id: "fact-unknown" },
        /^Refused: there is no memory/,
      ],
      ["a delete of an unknown id", { action: "delete", id: "fact-unknown" }, /^Refused: /],
      ["an update without an id", { content: "x", action: "update" }, /^Refused: update needs the id/],
      ["nothing to keep", { content: " \n", action: "create" }, /^Refused: create needs content/],
      ["nothing visible", { content: "\u200b\u202e", action: "create" }, /^Refused: .*no visible text/],
      ["a megabyte", { content: "x".repeat(1_000_000), action: "create" }, /^Refused: .*at most 2000/],
    ] as const)("%s", async (_name, args, says) => {
      const store = await openStore();
      expect(await createManageMemoryTool({ store, trust }).invoke(args, config)).toMatch(says);
      const memory = new Memory(store, loadPrompts());
      expect([...(await memory.facts.list("ana")), ...(await memory.pending.list("ana"))]).toEqual([]);
    });

    test("another user's memory is not there to be changed", async () => {
      const store = await openStore();
      const manage = createManageMemoryTool({ store, trust });
      const id = idOf(await manage.invoke({ content: "Tom prefers mornings.", action: "create" }, config));
      expect(await manage.invoke({ action: "delete", id }, others)).toMatch(/^Refused: /);
      expect(await manage.invoke({ content: "x", action: "update", id }, others)).toMatch(/^Refused: /);
      expect(found(await createSearchMemoryTool({ store }).invoke({ query: "Tom" }, others))).toEqual([]);
    });
  });

  test("an empty query finds nothing", async () => {
    const store = await openStore();
    await createManageMemoryTool({ store, trust: "user" }).invoke({ content: "A fact", action: "create" }, config);
    expect(found(await createSearchMemoryTool({ store }).invoke({ query: "" }, config))).toEqual([]);
  });

  test("a run that names no user is refused, and no default is taken", async () => {
    const store = await openStore();
    await expect(createSearchMemoryTool({ store }).invoke({ query: "x" })).rejects.toThrow(/user id: none given/);
    await expect(createManageMemoryTool({ store }).invoke({ content: "x", action: "create" })).rejects.toThrow(
      /user id/,
    );
  });

  test("work in LangGraph's ToolNode", async () => {
    const store = await openStore();
    const node = new ToolNode([createManageMemoryTool({ store, trust: "user" }), createSearchMemoryTool({ store })]);
    const tool_calls = [
      { id: "1", name: "manage_memory", args: { content: "Tom prefers mornings.", action: "create" } },
    ];
    const { messages } = await node.invoke({ messages: [new AIMessage({ content: "", tool_calls })] }, config);
    expect(messages[0].content).toMatch(/^created memory fact-/);
  });
});
