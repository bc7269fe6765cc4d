import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { expect } from "vitest";
import { count, metered } from "../../../src/meter.ts";
import type { RankedSearch } from "../../../src/store/operations.ts";
import { clauses, indexOf } from "./describe-store.ts";

const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key);
const ranked = async (store: BaseStore, search: RankedSearch) => {
  const [items] = await store.batch<[RankedSearch]>([search]);
  return keysOf(Array.isArray(items) ? items : []);
};
/** Times have milliseconds; two puts within one have no order. */
const nextMillisecond = async () => {
  const now = Date.now();
  while (Date.now() <= now + 1) await new Promise(setImmediate);
};
const failing = {
  model: "stand-in",
  embeddings: {
    embedDocuments: () => Promise.reject(new Error("no embeddings now")),
    embedQuery: () => Promise.reject(new Error("no embeddings now")),
  },
};

/** What is searched is found: prefixes, filters, order and paging, vectors and words. */
export const SEARCHES = clauses({
  "a prefix matches whole labels: user1 never sees user10": async ({ open }) => {
    const store = await open();
    for (const user of ["user1", "user10", "user", "user1-a", "user1 b"]) {
      await store.put([user, "m"], "k", { of: user }, ["of"]);
    }
    await store.put(["user1"], "own", { of: "user1" }, ["of"]);
    for (const options of [{}, { query: "user10" }, { filter: { of: "user10" } }]) {
      const items = await store.search(["user1"], options);
      expect(items.every((item) => item.value["of"] === "user1")).toBe(true);
    }
    expect(await store.search(["user1"])).toHaveLength(2);
    expect(await store.search(["use"])).toEqual([]);
  },
  "labels with the wildcards and escapes of SQL and of patterns are only themselves": async ({ open }) => {
    const store = await open();
    const labels = ["a%", "a_", "ab", "a\\", "a:b", "a*", "a/", "a-", "a0", "a", "ä", "A"];
    for (const label of labels) await store.put([label, "x"], "k", { label }, false);
    for (const label of labels) {
      expect((await store.search([label])).map((item) => item.value["label"])).toEqual([label]);
    }
  },
  "an empty prefix finds everything": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "1", { text: "one" });
    await store.put(["b", "c"], "2", { text: "two" });
    expect(keysOf(await store.search([])).sort()).toEqual(["1", "2"]);
    expect(keysOf(await store.search([], { query: "one" }))[0]).toBe("1");
  },
  "a search that cannot be meant is refused": async ({ open }) => {
    const store = await open();
    for (const options of [{ limit: -1 }, { limit: 1.5 }, { offset: -1 }, { limit: Number.NaN }]) {
      await expect(store.search(["v"], options)).rejects.toThrow(/expected a whole number from 0/);
    }
    await expect(store.search([""])).rejects.toThrow(/label/);
  },
  "without a query the newest update comes first": async ({ open }) => {
    const store = await open();
    for (const key of ["a", "b", "c"]) {
      await store.put(["o"], key, { n: 1 }, false);
      await nextMillisecond();
    }
    await store.put(["o"], "a", { n: 2 }, false);
    expect(keysOf(await store.search(["o"]))).toEqual(["a", "c", "b"]);
  },
  "a search gives ten items unless told": async ({ open }) => {
    const store = await open();
    await store.batch(
      Array.from({ length: 12 }, (_, i) => ({ namespace: ["p"], key: `k${i}`, value: { i }, index: false as const })),
    );
    expect(await store.search(["p"])).toHaveLength(10);
    expect(await store.search(["p"], { limit: 0 })).toEqual([]);
    expect(await store.search(["p"], { limit: 100 })).toHaveLength(12);
  },
  "pages follow each other without gap or repetition, with a query and a filter too": async ({ open }) => {
    const store = await open();
    await store.batch(
      Array.from({ length: 25 }, (_, i) => ({
        ...{ namespace: ["p"], key: `k${i}`, value: { text: `item ${i % 5}`, even: i % 2 === 0 } },
        ...(i % 3 === 0 ? { index: false as const } : { index: ["text"] }),
      })),
    );
    const searches: RankedSearch[] = [
      { namespacePrefix: ["p"] },
      { namespacePrefix: ["p"], query: "item 3" },
      { namespacePrefix: ["p"], query: "item 3", ranking: "words" },
      { namespacePrefix: ["p"], query: "item 3", ranking: "hybrid" },
    ];
    for (const search of searches) {
      const pages: string[] = [];
      for (let offset = 0; offset < 30; offset += 7)
        pages.push(...(await ranked(store, { ...search, offset, limit: 7 })));
      expect(pages).toEqual(await ranked(store, { ...search, limit: 30 }));
      expect(new Set(pages).size).toBe(25);
      const even = await ranked(store, { ...search, filter: { even: { $ne: false } }, limit: 30 });
      expect(new Set(even).size).toBe(13);
      expect(await ranked(store, { ...search, filter: { even: { $ne: false } }, limit: 5, offset: 3 })).toEqual(
        even.slice(3, 8),
      );
      expect(await ranked(store, { ...search, offset: 25, limit: 7 })).toEqual([]);
    }
  },
  "a search by meaning finds the nearest first, with a score": async ({ open }) => {
    const store = await open();
    await store.put(["docs"], "1", { text: "the turbine stopped at night" });
    await store.put(["docs"], "2", { text: "lunch menu of the week" });
    const items = await store.search(["docs"], { query: "why did the turbine stop at night", limit: 2 });
    expect(keysOf(items)).toEqual(["1", "2"]);
    expect(items[0]?.score).toBeGreaterThan(items[1]?.score ?? 1);
  },
  "items without a vector come last in a search by meaning, and are found": async ({ open }) => {
    const store = await open();
    await store.put(["docs"], "hidden", { text: "the turbine stopped" }, false);
    await store.put(["docs"], "seen", { text: "lunch" });
    const items = await store.search(["docs"], { query: "the turbine stopped" });
    expect(keysOf(items)).toEqual(["seen", "hidden"]);
    expect(items[1]?.score).toBeUndefined();
  },
  "only the named fields are indexed; the nearest of several counts": async ({ open }) => {
    const store = await open();
    await store.put(["docs"], "1", { title: "turbine", body: "lunch" }, ["title"]);
    await store.put(["docs"], "2", { title: "lunch", body: "turbine" }, ["title"]);
    await store.put(["docs"], "3", { parts: [{ t: "violin" }, { t: "glacier" }] }, ["parts[*].t"]);
    expect((await store.search(["docs"], { query: "turbine" }))[0]?.key).toBe("1");
    const [best] = await store.search(["docs"], { query: "glacier" });
    expect(best).toMatchObject({ key: "3", score: expect.closeTo(1, 3) });
  },
  "a deleted or replaced item leaves no vector": async ({ open }) => {
    const store = await open();
    await store.put(["docs"], "k", { text: "the turbine report" }, ["text"]);
    await store.delete(["docs"], "k");
    await store.put(["docs"], "k", { text: "something else" }, false);
    expect((await store.search(["docs"], { query: "the turbine report" }))[0]?.score).toBeUndefined();
    await store.put(["docs"], "k", { text: "the turbine report" }, ["text"]);
    await store.put(["docs"], "k", { text: "something else" }, false);
    expect((await store.search(["docs"], { query: "the turbine report" }))[0]?.score).toBeUndefined();
  },
  "a query without embeddings ranks by words": async ({ open }) => {
    const store = await open({ index: null });
    await store.put(["docs"], "1", { text: "lunch menu of the week" });
    await store.put(["docs"], "2", { text: "the turbine stopped at night" });
    const items = await store.search(["docs"], { query: "turbines at night" });
    expect(keysOf(items)).toEqual(["2", "1"]);
  },
  "words follow the language of the setting": async ({ open }) => {
    const store = await open({ index: null, language: "simple" });
    await store.put(["docs"], "1", { text: "lunch" });
    await store.put(["docs"], "2", { text: "the turbine" });
    const scored = (await store.search(["docs"], { query: "turbines" })).filter(({ score }) => score !== undefined);
    expect(scored).toEqual([]);
  },
  "the words of other users do not count": async ({ open }) => {
    const store = await open({ index: null });
    await store.put(["u1"], "rare", { text: "invoice" });
    await store.put(["u1"], "both", { text: "turbine turbine" });
    const before = await store.search(["u1"], { query: "turbine invoice" });
    for (let i = 0; i < 20; i += 1) await store.put(["u2"], `k${i}`, { text: "invoice" });
    expect(await store.search(["u1"], { query: "turbine invoice" })).toEqual(before);
    expect(before[0]?.score).toBeGreaterThan(0);
  },
  "hybrid finds what is near by one of both, first what is near by both": async ({ openOurs }) => {
    const store = await openOurs();
    await store.put(["h"], "both", { text: "the turbine stopped", about: "" }, ["text"]);
    await store.put(["h"], "vector", { text: "the turbine stopped", about: "" }, ["text"]);
    await store.put(["h"], "words", { text: "lunch", about: "order 4711" }, false);
    await store.put(["h"], "both", { text: "the turbine stopped", about: "order 4711" }, ["text"]);
    const search = { namespacePrefix: ["h"], query: "the turbine stopped 4711", ranking: "hybrid" as const };
    const keys = await ranked(store, search);
    expect(keys[0]).toBe("both");
    expect(keys).toHaveLength(3);
    expect(await ranked(store, { ...search, query: "4711", ranking: "words", limit: 2 })).toEqual(
      expect.arrayContaining(["words", "both"]),
    );
  },
  "when embedding fails, a put changes nothing, and a search goes on by words and says so once": async ({ open }) => {
    const warnings: string[] = [];
    const store = await open({ index: failing, warn: (line) => warnings.push(line) });
    await store.put(["docs"], "1", { text: "turbine" }, false);
    await expect(store.put(["docs"], "1", { text: "changed" })).rejects.toThrow("no embeddings now");
    expect((await store.search(["docs"], { query: "turbine" }))[0]?.value).toEqual({ text: "turbine" });
    await store.search(["docs"], { query: "another" });
    expect(warnings).toHaveLength(1);
  },
  "the texts of a batch are embedded in one call, those of a repeated query in none": async ({ openOurs }) => {
    const { embeddings, model } = indexOf();
    let calls = 0;
    const counted = {
      ...embeddings,
      embedDocuments: (texts: string[]) => {
        calls += 1;
        return embeddings.embedDocuments(texts);
      },
    };
    const store = await openOurs({ index: { model, embeddings: counted } });
    const puts = Array.from({ length: 20 }, (_, i) => ({
      namespace: ["b"],
      key: `k${i}`,
      value: { text: `text ${i}` },
    }));
    await store.batch([...puts, { namespacePrefix: ["b"], query: "text 3" }]);
    expect(calls).toBe(1);
    await store.batch([
      { namespacePrefix: ["b"], query: "text 3" },
      { namespace: ["b"], key: "k1" },
    ]);
    expect(calls).toBe(1);
  },
  "a query that is expected is embedded once, before it comes, and counted where it comes": async ({ openOurs }) => {
    const { embeddings, model } = indexOf();
    const asked: string[][] = [];
    const counted = {
      ...embeddings,
      embedDocuments: (texts: string[]) => {
        asked.push(texts);
        count("embedding_calls");
        return embeddings.embedDocuments(texts);
      },
    };
    const store = await openOurs({ index: { model, embeddings: counted } });
    const search = async (query: string) =>
      metered(async (usage) => ({
        keys: keysOf(await store.search(["b"], { query })),
        calls: usage().embedding_calls,
      }));
    await store.put(["b"], "near", { text: "a red bicycle" });
    await store.put(["b"], "far", { text: "quarterly figures" });
    asked.length = 0;
    const before = await metered(async (usage) => {
      store.expectQuery("red bicycle");
      store.expectQuery("red bicycle");
      return usage().embedding_calls;
    });
    expect([before, asked]).toEqual([0, [["red bicycle"]]]);
    const [first, second] = [await search("red bicycle"), await search("red bicycle")];
    expect(first.keys[0]).toBe("near");
    expect([first.calls, second.calls, asked.length]).toEqual([1, 0, 1]);
  },
  "where embedding an expected query fails, its search goes on by words, and asks anew the next time": async ({
    openOurs,
  }) => {
    const { embeddings, model } = indexOf();
    let calls = 0;
    let isDown = false;
    const flaky = {
      ...embeddings,
      embedDocuments: (texts: string[]) => {
        calls += 1;
        return isDown ? Promise.reject(new Error("no embeddings now")) : embeddings.embedDocuments(texts);
      },
    };
    const store = await openOurs({ index: { model, embeddings: flaky } });
    await store.put(["b"], "near", { text: "a red bicycle" });
    calls = 0;
    isDown = true;
    store.expectQuery("bicycle");
    expect(keysOf(await store.search(["b"], { query: "bicycle" }))).toEqual(["near"]);
    expect(calls).toBe(1);
    isDown = false;
    await store.search(["b"], { query: "bicycle" });
    expect(calls).toBe(2);
  },
  "searches of one batch that find the same item each find it whole": async ({ open }) => {
    const store = await open();
    const value = { text: "a red bicycle", kind: "fact" };
    await store.put(["b"], "k", value, ["text"]);
    const near = { namespacePrefix: ["b"], query: "bicycle" };
    const found = await store.batch([near, near, { namespacePrefix: ["b"] }, { ...near, filter: { kind: "fact" } }]);
    expect(found.map((items) => items?.map((item) => [item.namespace, item.key, item.value]))).toEqual(
      Array.from({ length: 4 }, () => [[["b"], "k", value]]),
    );
  },
});
