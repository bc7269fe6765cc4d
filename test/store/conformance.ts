import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { embedText } from "../../src/stand-in/embedding.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";

/** Opens a fresh, empty store; `release` frees what was made for it. */
export type StoreFactory = (index?: StoreIndex) => Promise<{ store: BaseStore; release: () => Promise<void> }>;

/** The stand-in's embeddings, in process: what an index means is the store's matter, not the wire's. */
export const index: StoreIndex = {
  model: "stand-in",
  embeddings: {
    embedDocuments: async (texts) => texts.map((text) => [...embedText(text, 256)]),
    embedQuery: async (text) => [...embedText(text, 256)],
  } satisfies EmbeddingsInterface,
};

/** The contract of a store, run on every backend. Clauses in one place, so that no backend has its own truth. */
export function describeStore(name: string, open: StoreFactory): void {
  describe(`${name} keeps the contract of a LangGraph store`, () => {
    let store: BaseStore;
    let release: () => Promise<void>;

    beforeEach(async () => {
      ({ store, release } = await open(index));
    });
    afterEach(() => release());

    test("a put item is read back with its namespace, key, value and times", async () => {
      const before = Date.now();
      await store.put(["a", "b"], "k", { n: 1, deep: { list: [1, "two", null, true] } }, false);
      const item = await store.get(["a", "b"], "k");
      expect(item).toMatchObject({
        namespace: ["a", "b"],
        key: "k",
        value: { n: 1, deep: { list: [1, "two", null, true] } },
      });
      expect(Math.abs((item?.createdAt.getTime() ?? 0) - before)).toBeLessThan(60_000);
      expect(item?.updatedAt.getTime()).toBeGreaterThanOrEqual(item?.createdAt.getTime() ?? Number.POSITIVE_INFINITY);
    });

    test("an item that is not there is null", async () => {
      expect(await store.get(["a"], "nothing")).toBeNull();
    });

    test("a second put replaces the value and keeps the time of creation", async () => {
      await store.put(["a"], "k", { n: 1, gone: true }, false);
      const first = await store.get(["a"], "k");
      await store.put(["a"], "k", { n: 2 }, false);
      const second = await store.get(["a"], "k");
      expect(second?.value).toEqual({ n: 2 });
      expect(second?.createdAt).toEqual(first?.createdAt);
    });

    test("what a caller does to a value it put or got does not change the store", async () => {
      const value = { list: [1] };
      await store.put(["a"], "k", value, false);
      value.list.push(2);
      const item = await store.get(["a"], "k");
      item?.value["list"].push(3);
      expect((await store.get(["a"], "k"))?.value).toEqual({ list: [1] });
    });

    test("a deleted item is gone, also from searches by meaning", async () => {
      await store.put(["a"], "k", { text: "the turbine report" });
      await store.delete(["a"], "k");
      expect(await store.get(["a"], "k")).toBeNull();
      expect(await store.search(["a"], { query: "turbine report" })).toEqual([]);
      await store.put(["a"], "k", { text: "something else" }, false);
      expect((await store.search(["a"], { query: "turbine report" }))[0]?.score).toBeUndefined();
    });

    test("a prefix matches whole labels: user1 never sees user10", async () => {
      await store.put(["user1", "m"], "k", { of: "user1" }, false);
      await store.put(["user10", "m"], "k", { of: "user10" }, false);
      await store.put(["user1"], "own", { of: "user1" }, false);
      for (const options of [{}, { query: "user10" }, { filter: { of: "user10" } }]) {
        const found = await store.search(["user1"], options);
        expect(found.every((item) => item.value["of"] === "user1")).toBe(true);
      }
      expect(await store.search(["user1"])).toHaveLength(2);
      expect(await store.search(["user"])).toEqual([]);
    });

    test("labels with the wildcards of SQL are only themselves", async () => {
      await store.put(["a%"], "k", { n: 1 }, false);
      await store.put(["a_"], "k", { n: 2 }, false);
      await store.put(["ab"], "k", { n: 3 }, false);
      expect((await store.search(["a%"])).map((item) => item.value["n"])).toEqual([1]);
      expect((await store.search(["a_"])).map((item) => item.value["n"])).toEqual([2]);
    });

    test("a search by meaning finds the nearest first, with a score", async () => {
      await store.put(["docs"], "1", { text: "the turbine stopped at night" });
      await store.put(["docs"], "2", { text: "lunch menu of the week" });
      const found = await store.search(["docs"], { query: "why did the turbine stop at night", limit: 2 });
      expect(found.map((item) => item.key)).toEqual(["1", "2"]);
      expect(found[0]?.score).toBeGreaterThan(found[1]?.score ?? 1);
    });

    test("items put with index false come last in a search by meaning", async () => {
      await store.put(["docs"], "hidden", { text: "the turbine stopped" }, false);
      await store.put(["docs"], "seen", { text: "lunch" });
      const found = await store.search(["docs"], { query: "the turbine stopped" });
      expect(found.map((item) => item.key)).toEqual(["seen", "hidden"]);
    });

    test("only the named fields are indexed", async () => {
      await store.put(["docs"], "1", { title: "turbine", body: "lunch" }, ["title"]);
      await store.put(["docs"], "2", { title: "lunch", body: "turbine" }, ["title"]);
      expect((await store.search(["docs"], { query: "turbine" }))[0]?.key).toBe("1");
    });

    test("filters compare with equality and with operators", async () => {
      for (const n of [1, 2, 3]) await store.put(["f"], `k${n}`, { n, even: n % 2 === 0, tag: `t${n}` }, false);
      const keys = async (filter: Record<string, unknown>) =>
        (await store.search(["f"], { filter })).map((item) => item.key).sort();
      expect(await keys({ n: 2 })).toEqual(["k2"]);
      expect(await keys({ n: { $gte: 2 } })).toEqual(["k2", "k3"]);
      expect(await keys({ n: { $gt: 1, $lt: 3 } })).toEqual(["k2"]);
      expect(await keys({ even: { $ne: true } })).toEqual(["k1", "k3"]);
      expect(await keys({ tag: { $lte: "t2" } })).toEqual(["k1", "k2"]);
      expect(await keys({ missing: "x" })).toEqual([]);
      await expect(store.search(["f"], { filter: { n: { $near: 1 } } })).rejects.toThrow("$near");
    });

    test("a search gives ten items unless told, and pages without gap or repetition", async () => {
      for (let i = 0; i < 25; i += 1) await store.put(["p"], `k${i}`, { i }, false);
      expect(await store.search(["p"])).toHaveLength(10);
      const pages = [0, 10, 20].map((offset) => store.search(["p"], { offset, limit: 10 }));
      const keys = (await Promise.all(pages)).flat().map((item) => item.key);
      expect(new Set(keys).size).toBe(25);
    });

    test("a batch answers in the order of its operations; its reads see the state before its writes", async () => {
      await store.put(["b"], "k", { n: 1 }, false);
      const results: unknown[] = await store.batch([
        { namespace: ["b"], key: "k", value: { n: 2 }, index: false },
        { namespace: ["b"], key: "k" },
        { namespacePrefix: ["b"] },
        { matchConditions: [{ matchType: "prefix", path: ["b"] }], limit: 10, offset: 0 },
      ]);
      expect(results[1]).toMatchObject({ value: { n: 1 } });
      expect(results[2]).toMatchObject([{ value: { n: 1 } }]);
      expect(results[3]).toEqual([["b"]]);
      expect((await store.get(["b"], "k"))?.value).toEqual({ n: 2 });
    });

    test("namespaces are listed by prefix, suffix, wildcard and depth", async () => {
      for (const namespace of [
        ["r", "u1", "x"],
        ["r", "u2", "x"],
        ["r", "u2", "y", "z"],
      ]) {
        await store.put(namespace, "k", { n: 1 }, false);
      }
      expect(await store.listNamespaces({ prefix: ["r", "u2"] })).toEqual([
        ["r", "u2", "x"],
        ["r", "u2", "y", "z"],
      ]);
      expect(await store.listNamespaces({ suffix: ["x"] })).toEqual([
        ["r", "u1", "x"],
        ["r", "u2", "x"],
      ]);
      expect(await store.listNamespaces({ prefix: ["r", "*", "y"] })).toEqual([["r", "u2", "y", "z"]]);
      expect(await store.listNamespaces({ maxDepth: 2 })).toEqual([
        ["r", "u1"],
        ["r", "u2"],
      ]);
    });

    test.each([
      ["no label", []],
      ["an empty label", ["a", ""]],
      ["a label with a period", ["a.b"]],
      ["the reserved root", ["langgraph", "a"]],
    ])("a namespace with %s is refused and nothing is stored", async (_, namespace) => {
      await expect(store.put(namespace, "k", { n: 1 }, false)).rejects.toThrow(/namespace/i);
      expect(await store.listNamespaces({})).toEqual([]);
    });

    test.each([
      ["a value that is a list", "k", [1]],
      ["a value that holds a BigInt", "k", { n: 1n }],
      ["a key with a NUL", "a\0b", { n: 1 }],
      ["a key with half a character", "a\ud800", { n: 1 }],
      ["an empty key", "", { n: 1 }],
    ])("%s is refused, and nothing of its batch is stored", async (_, key, value) => {
      const good = { namespace: ["v"], key: "good", value: { n: 1 }, index: false as const };
      const bad = { namespace: ["v"], key, value: Object(value), index: false as const };
      await expect(store.batch([good, bad])).rejects.toThrow(TypeError);
      expect(await store.search(["v"])).toEqual([]);
    });

    test.each([{ limit: -1 }, { limit: 1.5 }, { offset: -1 }, { limit: Number.NaN }])(
      "a search with %j is refused",
      async (options) => {
        await expect(store.search(["v"], options)).rejects.toThrow(/expected a whole number from 0/);
      },
    );

    test("text of any language, emoji and quotes comes back letter for letter", async () => {
      const text = `Grüße 你好 🎉 'single' "double" \\ ; DROP TABLE store; -- \n\t`;
      await store.put(["t"], text, { text }, false);
      expect((await store.get(["t"], text))?.value).toEqual({ text });
    });

    test("a conditional put holds only for the value that was read, all or nothing", async () => {
      if (!(store instanceof MnemailStore)) return;
      const put = (key: string, n: number, expected: { n: number } | null) => ({
        namespace: ["c"],
        key,
        value: { n },
        expected,
        index: false as const,
      });
      expect(await store.putIf([put("k", 1, null)])).toBe(true);
      expect(await store.putIf([put("k", 2, null)])).toBe(false);
      expect(await store.putIf([put("other", 1, null), put("k", 3, { n: 9 })])).toBe(false);
      expect(await store.get(["c"], "other")).toBeNull();
      expect(await store.putIf([put("k", 2, { n: 1 })])).toBe(true);
      expect((await store.get(["c"], "k"))?.value).toEqual({ n: 2 });
    });

    test("a store without embeddings ranks a query by words", async () => {
      const plain = await open();
      await plain.store.put(["docs"], "1", { text: "lunch menu of the week" });
      await plain.store.put(["docs"], "2", { text: "the turbine stopped at night" });
      const [first] = await plain.store.search(["docs"], { query: "turbine night" });
      expect(first?.key).toBe("2");
      await plain.release();
    });

    test("when embedding fails, a put changes nothing and a search goes on by words", async () => {
      const failing: StoreIndex = {
        model: "stand-in",
        embeddings: {
          embedDocuments: () => Promise.reject(new Error("no embeddings now")),
          embedQuery: () => Promise.reject(new Error("no embeddings now")),
        },
      };
      const broken = await open(failing);
      await broken.store.put(["docs"], "1", { text: "turbine" }, false);
      await expect(broken.store.put(["docs"], "1", { text: "changed" })).rejects.toThrow("no embeddings now");
      expect((await broken.store.search(["docs"], { query: "turbine" }))[0]?.value).toEqual({ text: "turbine" });
      await broken.release();
    });
  });
}
