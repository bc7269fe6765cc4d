import { expect } from "vitest";
import type { StoreIndex } from "../../../src/store/embedder.ts";
import type { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { RankedSearch } from "../../../src/store/operations.ts";
import type { KeptRow } from "../../../src/store/row-driver.ts";
import { clauses, indexOf } from "./describe-store.ts";

const RANKINGS = ["vector", "words", "hybrid"] as const;
const PAST = new Date("2026-01-01T00:00:00.000Z");

const ranked = async (store: MnemailStore, search: RankedSearch) => {
  const [items] = await store.batch<[RankedSearch]>([search]);
  return Array.isArray(items) ? items : [];
};
/** An item that was put on a day. */
const row = (key: string, day: number, value: Record<string, unknown>, fields = ["text"]): KeptRow => {
  const at = new Date(Date.UTC(2026, 0, day));
  return { namespace: ["r"], key, value, createdAt: at, updatedAt: at, expiresAt: null, ttlMinutes: null, fields };
};
const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key);
/** Embeds meaning without words: an engine is a turbine, and everything else is the same. */
const byMeaning = (): StoreIndex => {
  const embed = (text: string) => (/engine|turbine/.test(text) ? [1, 0, 0] : [0, 1, 0]);
  return {
    model: "meaning",
    embeddings: { embedDocuments: async (texts) => texts.map(embed), embedQuery: async (text) => embed(text) },
  };
};

/** How what is found is ordered, beyond what LangGraph's contract says of it. */
export const RANKING = clauses({
  "hybrid finds what words alone miss and what vectors alone miss": async ({ openOurs }) => {
    const store = await openOurs({ index: byMeaning() });
    const others = Array.from({ length: 10 }, (_, i) => row(`other${i}`, 2, { text: `menu ${i}` }));
    const named = row("zz named", 1, { text: "lunch", about: "turbine" });
    await store.restore([row("meant", 1, { text: "the engine stopped" }), named, ...others]);
    const top = async (ranking: RankedSearch["ranking"]) =>
      keysOf(await ranked(store, { namespacePrefix: ["r"], query: "turbine", limit: 2, ...(ranking && { ranking }) }));
    expect(await top("vector")).toContain("meant");
    expect(await top("vector")).not.toContain("zz named");
    expect(await top(undefined)).toEqual(await top("vector"));
    expect(await top("words")).toContain("zz named");
    expect(await top("words")).not.toContain("meant");
    expect((await top("hybrid")).sort()).toEqual(["meant", "zz named"]);
  },
  "the pages of each ranking have each item once, however many they are": async ({ openOurs }) => {
    const store = await openOurs();
    const words = ["turbine", "engine", "harbour", "lunch", "menu", "budget", "plan"];
    const text = (i: number) => `${words[i % 7]} ${words[(i * 3) % 5]} ${words[(i * 5) % 6]} ${i}`;
    const rows = Array.from({ length: 900 }, (_, i) => ({
      ...{ namespace: ["pages"], key: `k${i}`, index: ["text"], value: { text: text(i) } },
    }));
    await store.batch(rows);
    for (const ranking of RANKINGS) {
      const found: string[] = [];
      for (let offset = 0; offset < 900; offset += 150) {
        const page = { namespacePrefix: ["pages"], query: "the turbine and the harbour", ranking, limit: 150, offset };
        found.push(...keysOf(await ranked(store, page)));
      }
      expect(new Set(found).size, ranking).toBe(900);
    }
  },
  "a filter tells fields from what every object has": async ({ openOurs }) => {
    const store = await openOurs();
    const value = { text: "the turbine stopped", missing: null };
    await store.batch([{ namespace: ["names"], key: "k", index: ["text"], value }]);
    for (const ranking of RANKINGS) {
      for (const filter of [{ toString: null }, { constructor: { $in: [null] } }, { missing: null, valueOf: null }]) {
        const search = { namespacePrefix: ["names"], query: "turbine", ranking, filter };
        expect(keysOf(await ranked(store, search)), JSON.stringify(filter)).toEqual(["k"]);
      }
    }
  },
  "a filter holds for each ranking, also where the nearest do not pass it": async ({ openOurs }) => {
    const store = await openOurs();
    await store.batch(
      Array.from({ length: 60 }, (_, i) => ({
        ...{ namespace: ["f"], key: `k${i}`, index: ["text"] },
        value: { text: i < 50 ? "the turbine stopped" : "lunch", n: i, kind: i < 50 ? "near" : "far" },
      })),
    );
    for (const ranking of RANKINGS) {
      const search = { namespacePrefix: ["f"], query: "the turbine stopped", ranking };
      const above = await ranked(store, { ...search, filter: { n: { $gte: 48 } }, limit: 5 });
      expect(keysOf(above.slice(0, 2)).sort()).toEqual(["k48", "k49"]);
      expect(above).toHaveLength(5);
      const far = await ranked(store, { ...search, filter: { kind: "far", n: { $in: [3, 55, 57] } } });
      expect(keysOf(far).sort()).toEqual(["k55", "k57"]);
    }
  },
  "what a ranking cannot compare comes last, the newest update first": async ({ openOurs }) => {
    const store = await openOurs();
    const menus = [
      row("b", 2, { text: "menu" }, []),
      row("c", 3, { text: "menu" }, []),
      row("a", 1, { text: "menu" }, []),
    ];
    await store.restore([...menus, row("first", 1, { text: "turbine" })]);
    for (const ranking of RANKINGS) {
      const items = await ranked(store, { namespacePrefix: ["r"], query: "turbine", ranking });
      expect(keysOf(items)).toEqual(["first", "c", "b", "a"]);
      expect(items.filter(({ score }) => score !== undefined)).toHaveLength(1);
    }
  },
  "items that are equally near are paged without gap or repetition, whenever they were put": async ({ openOurs }) => {
    const store = await openOurs();
    const keys = ["a", "b", "c", "d", "e", "f", "g"];
    await store.restore(keys.map((key, i) => row(key, 1 + i, { text: "the turbine stopped" })));
    for (const ranking of RANKINGS) {
      const search = { namespacePrefix: ["r"], query: "the turbine stopped", ranking, limit: 2 };
      const pages = [];
      for (const offset of [0, 2, 4, 6]) pages.push(...(await ranked(store, { ...search, offset })));
      expect(keysOf(pages).sort()).toEqual(keys);
      expect(await ranked(store, { ...search, limit: 20 })).toEqual(pages);
    }
  },
  "expired items leave no gap in a page": async ({ openOurs }) => {
    const store = await openOurs();
    const rows = Array.from({ length: 40 }, (_, i) => ({
      ...{ namespace: ["g"], key: `k${i}`, value: { text: "the turbine stopped", n: i }, fields: ["text"] },
      ...{ createdAt: PAST, updatedAt: PAST, ttlMinutes: null, expiresAt: i < 30 ? PAST : null },
    }));
    await store.restore(rows);
    const live = rows.slice(30).map(({ key }) => key);
    for (const ranking of RANKINGS) {
      const search = { namespacePrefix: ["g"], query: "the turbine stopped", ranking };
      const pages = [];
      for (let offset = 0; offset < 12; offset += 3)
        pages.push(...(await ranked(store, { ...search, offset, limit: 3 })));
      expect(keysOf(pages).sort()).toEqual(live);
      expect(await ranked(store, { ...search, filter: { n: { $gte: 35 } }, limit: 3 })).toHaveLength(3);
    }
    expect(await store.search(["g"], { limit: 4, offset: 6 })).toHaveLength(4);
  },
  "paths name the first, the last and every element of a list, and fields of objects": async ({ openOurs }) => {
    const store = await openOurs();
    const value = { list: ["violin", "glacier", "invoice"], deep: { er: [{ t: "turbine" }, { t: "lunch" }] } };
    const paths = { first: "list[0]", last: "list[-1]", deep: "deep.er[0].t" };
    for (const [key, path] of Object.entries(paths)) await store.put(["p"], key, value, [path]);
    await store.put(["p"], "every", value, ["deep.er[*].t"]);
    await store.put(["p"], "none", value, ["nothing[0].here"]);
    const nearest = async (query: string) => {
      const items = await store.search(["p"], { query });
      return keysOf(items.filter(({ score }) => (score ?? 0) > 0.99)).sort();
    };
    expect(await nearest("violin")).toEqual(["first"]);
    expect(await nearest("invoice")).toEqual(["last"]);
    expect(await nearest("turbine")).toEqual(["deep", "every"]);
    expect(await nearest("lunch")).toEqual(["every"]);
    expect(await store.health()).toMatchObject({ vectors: 5, unembedded: 0 });
  },
  "a model that changes the length of its vectors while it runs is refused, and nothing is written": async ({
    openOurs,
  }) => {
    let dimensions = 64;
    const embedDocuments = (texts: string[]) => indexOf("stand-in", dimensions).embeddings.embedDocuments(texts);
    const embedQuery = (text: string) => indexOf("stand-in", dimensions).embeddings.embedQuery(text);
    const index = { model: "stand-in", embeddings: { embedDocuments, embedQuery } };
    const store = await openOurs({ index });
    await store.put(["d"], "k", { text: "turbine" });
    dimensions = 32;
    const bad = { namespace: ["d"], key: "bad", value: { text: "lunch" } };
    await expect(store.batch([{ ...bad, key: "good", index: false }, bad])).rejects.toThrow(/32 dimensions.* 64/);
    await expect(store.putIf([{ ...bad, expected: null }])).rejects.toThrow(/dimensions/);
    expect(keysOf(await store.search(["d"]))).toEqual(["k"]);
    expect(keysOf(await store.search(["d"], { query: "turbine" }))).toEqual(["k"]);
    dimensions = 64;
    await store.put(["d"], "good", { text: "lunch" });
    expect((await store.search(["d"], { query: "lunch", limit: 1 }))[0]).toMatchObject({ key: "good" });
  },
  "a search by vectors of another length goes on by words, and says which lengths": async ({
    openOurs,
    openSecond,
  }) => {
    const store = await openOurs();
    await store.put(["d"], "k", { text: "turbine" }, ["text"]);
    const warnings: string[] = [];
    const other = await openSecond({ index: indexOf("stand-in", 32), warn: (line) => warnings.push(line) });
    expect(keysOf(await other.search(["d"], { query: "turbine" }))).toEqual(["k"]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/64.*32|32.*64/);
  },
  "when embedding fails, nothing of a batch, a conditional put or a restore is stored": async ({ openOurs }) => {
    const fail = () => Promise.reject(new Error("no embeddings now"));
    const index = { model: "stand-in", embeddings: { embedDocuments: fail, embedQuery: fail } };
    const store = await openOurs({ index });
    const put = (key: string) => ({ namespace: ["e"], key, value: { text: key } });
    await expect(store.batch([{ ...put("a"), index: false }, put("b")])).rejects.toThrow("no embeddings now");
    await expect(store.putIf([{ ...put("c"), expected: null }])).rejects.toThrow("no embeddings now");
    const times = { createdAt: PAST, updatedAt: PAST, expiresAt: null, ttlMinutes: null };
    await expect(store.restore([{ ...put("d"), ...times, fields: ["text"] }])).rejects.toThrow("no embeddings now");
    expect(await store.search(["e"])).toEqual([]);
    await store.put(["e"], "after", { n: 1 }, false);
    expect(await store.search(["e"])).toHaveLength(1);
  },
});
