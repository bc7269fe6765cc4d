import { expect } from "vitest";
import type { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { KeptRow } from "../../../src/store/row-driver.ts";
import { clauses, indexOf } from "./describe-store.ts";

const past = new Date("2026-01-01T00:00:00.123Z");
const row = (key: string, more: Partial<KeptRow> = {}): KeptRow => ({
  ...{ namespace: ["r"], key, value: { text: `text of ${key}` }, createdAt: past, updatedAt: past },
  ...{ expiresAt: null, ttlMinutes: null, fields: [] },
  ...more,
});
const expired = (key: string) =>
  row(key, { expiresAt: new Date("2026-01-01T00:01:00.000Z"), ttlMinutes: 1, fields: ["text"] });
const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key);
const put = (key: string, n: number, expected: object | null) => ({
  ...{ namespace: ["c"], key, value: { n }, index: false as const },
  expected: expected === null ? null : { ...expected },
});
const pagesOf = async (store: MnemailStore, prefixes: string[][]) => {
  const rows: KeptRow[] = [];
  for await (const page of store.pages(prefixes)) rows.push(...page);
  return rows;
};
/** Adds 1 to a counter, as often as it takes to be the one who does. */
const increment = async (store: MnemailStore) => {
  for (;;) {
    const item = await store.get(["c"], "counter");
    const n = Number(item?.value["n"] ?? 0);
    if (await store.putIf([put("counter", n + 1, item?.value ?? null)])) return;
  }
};

/** What our stores have beyond LangGraph's contract. */
export const BEYOND = clauses({
  "a conditional put holds only for the value that was read, all or nothing": async ({ openOurs }) => {
    const store = await openOurs();
    expect(await store.putIf([put("k", 1, null)])).toBe(true);
    expect(await store.putIf([put("k", 2, null)])).toBe(false);
    expect(await store.putIf([put("other", 1, null), put("k", 3, { n: 9 })])).toBe(false);
    expect(await store.get(["c"], "other")).toBeNull();
    expect(await store.putIf([put("other", 1, null), put("k", 2, { n: 1 })])).toBe(true);
    expect((await store.get(["c"], "k"))?.value).toEqual({ n: 2 });
    await expect(store.putIf([put("k", 3, { n: 2 }), put("k", 4, { n: 2 })])).rejects.toThrow(TypeError);
  },
  "a conditional delete holds only for the value that was read": async ({ openOurs }) => {
    const store = await openOurs();
    await store.put(["c"], "k", { n: 1 }, false);
    const gone = { namespace: ["c"], key: "k", value: null };
    expect(await store.putIf([{ ...gone, expected: { n: 2 } }])).toBe(false);
    expect(await store.putIf([{ ...gone, expected: { n: 1 } }])).toBe(true);
    expect(await store.get(["c"], "k")).toBeNull();
  },
  "of two handles that increment a counter at once none loses an increment": async ({ openOurs, openSecond }) => {
    const handles = [await openOurs(), await openSecond()];
    await Promise.all(handles.flatMap((store) => Array.from({ length: 10 }, () => increment(store))));
    expect((await handles[0]?.get(["c"], "counter"))?.value).toEqual({ n: 20 });
  },
  "of two handles that write at once no put is lost": async ({ openOurs, openSecond }) => {
    const handles = [await openOurs(), await openSecond()];
    const writes = handles.flatMap((store, h) =>
      Array.from({ length: 10 }, (_, i) => store.put(["w"], `${h}-${i}`, { text: `${h} ${i}` })),
    );
    await Promise.all(writes);
    expect(await handles[0]?.search(["w"], { limit: 100 })).toHaveLength(20);
  },
  "an expired item is hidden from every read": async ({ openOurs }) => {
    const store = await openOurs();
    await store.restore([expired("gone"), row("here", { fields: ["text"] })]);
    expect(await store.get(["r"], "gone")).toBeNull();
    for (const ranking of ["vector", "words", "hybrid"] as const) {
      const search = { namespacePrefix: ["r"], query: "text of gone", ranking };
      const [items] = await store.batch<[typeof search]>([search]);
      expect(keysOf(items)).toEqual(["here"]);
    }
    expect(keysOf(await store.search(["r"]))).toEqual(["here"]);
    expect(keysOf(await pagesOf(store, [[]]))).toEqual(["here"]);
    await store.restore([{ ...expired("only"), namespace: ["only"] }]);
    expect(await store.listNamespaces({})).toEqual([["r"]]);
  },
  "an erase removes what is past its time and nothing else": async ({ openOurs }) => {
    const store = await openOurs();
    await store.restore([expired("gone"), row("here", { fields: ["text"] }), row("there", { fields: ["text"] })]);
    const found = async (ranking: "vector" | "words" | "hybrid") => {
      const search = { namespacePrefix: ["r"], query: "text of here", ranking };
      const [items] = await store.batch<[typeof search]>([search]);
      return keysOf(items);
    };
    expect(await found("hybrid")).toEqual(["here", "there"]);
    await store.delete(["r"], "there");
    expect(await store.erase()).toEqual([]);
    for (const ranking of ["vector", "words", "hybrid"] as const) expect(await found(ranking)).toEqual(["here"]);
    expect(await store.health()).toMatchObject({ items: 1, expired: 0 });
    expect(await pagesOf(store, [[]])).toMatchObject([
      { key: "here", createdAt: past, updatedAt: past, fields: ["text"] },
    ]);
    await store.put(["r"], "new", { text: "text of here too" });
    expect((await found("words")).sort()).toEqual(["here", "new"]);
  },
  "an item with a time to live is there until then; a plain put keeps it for good": async ({ openOurs }) => {
    const store = await openOurs();
    await store.putWithTtl(["r"], "k", { n: 1 }, 5, false);
    expect(await store.get(["r"], "k")).not.toBeNull();
    const [kept] = await pagesOf(store, [["r"]]);
    expect(kept?.ttlMinutes).toBe(5);
    expect((kept?.expiresAt?.getTime() ?? 0) - (kept?.updatedAt.getTime() ?? 0)).toBeCloseTo(300_000, -3);
    await store.put(["r"], "k", { n: 1 }, false);
    expect(await pagesOf(store, [["r"]])).toMatchObject([{ expiresAt: null, ttlMinutes: null }]);
    for (const minutes of [0, -1, 1.5, Number.NaN]) {
      await expect(store.putWithTtl(["r"], "k", { n: 2 }, minutes)).rejects.toThrow("ttlMinutes");
    }
  },
  "an expired item counts as absent for a put, which makes it anew": async ({ openOurs }) => {
    const store = await openOurs();
    await store.restore([expired("k"), expired("l")]);
    expect(await store.putIf([{ namespace: ["r"], key: "k", value: { n: 1 }, expected: null, index: false }])).toBe(
      true,
    );
    await store.put(["r"], "l", { n: 1 }, false);
    for (const key of ["k", "l"])
      expect((await store.get(["r"], key))?.createdAt.getTime()).toBeGreaterThan(past.getTime());
  },
  "sweeping removes what is expired, counts it, and leaves the rest": async ({ openOurs }) => {
    const store = await openOurs();
    await store.restore([expired("a"), expired("b"), row("c", { fields: ["text"] })]);
    expect(await store.health()).toMatchObject({ items: 3, vectors: 3, expired: 2 });
    expect(await store.sweep()).toBe(2);
    expect(await store.sweep()).toBe(0);
    expect(await store.health()).toMatchObject({ items: 1, vectors: 1, expired: 0, problems: [] });
  },
  "restoring keeps ids and times to the millisecond, and can be repeated": async ({ openOurs }) => {
    const store = await openOurs();
    const rows = [
      row("a", { fields: ["text"] }),
      row("b", {
        updatedAt: new Date("2026-03-01T00:00:00.999Z"),
        expiresAt: new Date("2999-01-01T00:00:00.001Z"),
        ttlMinutes: 7,
      }),
    ];
    await store.restore(rows);
    await store.restore(rows);
    expect(await pagesOf(store, [["r"]])).toEqual(rows);
    expect((await store.search(["r"], { query: "text of a" }))[0]).toMatchObject({ key: "a", createdAt: past });
    await expect(store.restore([row("x"), row("a\0")])).rejects.toThrow(TypeError);
    expect(await store.get(["r"], "x")).toBeNull();
  },
  "pages come by namespace and key, in bytes of UTF-8, with their fields": async ({ openOurs }) => {
    const store = await openOurs();
    const addresses: [string[], string][] = [
      [["a"], "k"],
      [["a", "b"], "B"],
      [["a", "b"], "a"],
      [["a", "b"], "\uffee"],
      [["a", "b"], "😀"],
      [["a-b"], "k"],
      [["ä"], "k"],
    ];
    for (const [namespace, key] of [...addresses].reverse())
      await store.put([...namespace], key, { text: "x", list: ["y", "z"] }, ["text", "list[*]"]);
    const rows = await pagesOf(store, [[]]);
    expect(rows.map(({ namespace, key }) => [namespace, key])).toEqual([...addresses].sort(byBytes));
    expect(rows[0]?.fields).toEqual(["list[*].0", "list[*].1", "text"]);
    expect(keysOf(await pagesOf(store, [["a"]]))).toHaveLength(5);
    expect(await pagesOf(store, [])).toEqual([]);
  },
  "pages are as of one moment, whatever is written meanwhile": async ({ openOurs, openSecond }) => {
    const store = await openOurs();
    const other = await openSecond();
    await store.restore(Array.from({ length: 700 }, (_, i) => row(`k${i}`)));
    const keys: string[] = [];
    let change: Promise<void> | undefined;
    for await (const page of store.pages([["r"]])) {
      // Not awaited here: where all handles share one session, it waits for the end.
      change ??= other.restore([row("z"), row("k699", { value: { changed: true } })]);
      keys.push(...page.filter(({ value }) => !value["changed"]).map(({ key }) => key));
    }
    await change;
    expect(keys).toHaveLength(700);
  },
  "dropping takes whole labels, vectors included, and counts": async ({ openOurs }) => {
    const store = await openOurs();
    for (const user of ["user1", "user10"]) {
      await store.put([user], "prompt", { n: 1 }, false);
      await store.put(["m", user, "x"], "k", { text: "turbine" });
    }
    expect(await store.drop([["user1"], ["m", "user1"]])).toBe(2);
    expect(await store.drop([["user1"], ["m", "user1"]])).toBe(0);
    expect(await store.listNamespaces({})).toEqual([["m", "user10", "x"], ["user10"]]);
    expect(await store.health()).toMatchObject({ items: 2, vectors: 1 });
    await store.put(["m", "user1", "x"], "k", { text: "violin" }, false);
    expect((await store.search(["m", "user1"], { query: "turbine" }))[0]?.score).toBeUndefined();
  },
  "everything is there after reopening: values, times, vectors, time to live": async ({ openOurs, reopen }) => {
    const store = await openOurs();
    await store.put(["r"], "k", { text: "the turbine stopped" }, ["text"]);
    await store.putWithTtl(["r"], "ttl", { n: 1 }, 5, false);
    const before = await pagesOf(store, [[]]);
    const again = await reopen();
    expect(await pagesOf(again, [[]])).toEqual(before);
    expect((await again.search(["r"], { query: "the turbine stopped" }))[0]).toMatchObject({
      key: "k",
      score: expect.closeTo(1, 3),
    });
  },
  "what another handle puts, replaces, deletes or drops is seen by the next search": async ({
    openOurs,
    openSecond,
  }) => {
    const store = await openOurs();
    const other = await openSecond();
    const found = async (query: string) => {
      const searches = (["vector", "words", "hybrid"] as const).map((ranking) => ({
        namespacePrefix: ["s"],
        query,
        ranking,
        limit: 1,
      }));
      const results: unknown[] = await store.batch(searches);
      return results.map((items) => (Array.isArray(items) && items[0]?.score !== undefined ? items[0].key : undefined));
    };
    await store.put(["s"], "1", { text: "the turbine stopped" }, ["text"]);
    await store.put(["s"], "rest", { text: "lunch menu" }, ["text"]);
    expect(await found("turbine stopped")).toEqual(["1", "1", "1"]);
    await other.put(["s"], "2", { text: "violin concerto" }, ["text"]);
    expect(await found("violin concerto")).toEqual(["2", "2", "2"]);
    await other.put(["s"], "1", { text: "glacier tour" }, ["text"]);
    expect(await found("glacier tour")).toEqual(["1", "1", "1"]);
    expect((await found("turbine stopped"))[1]).toBeUndefined();
    await other.delete(["s"], "2");
    expect(await found("violin concerto")).not.toContain("2");
    await other.drop([["s"]]);
    expect(await found("glacier tour")).toEqual([undefined, undefined, undefined]);
    await other.put(["s"], "3", { text: "glacier tour" }, ["text"]);
    expect(await found("glacier tour")).toEqual(["3", "3", "3"]);
  },
  "vectors of other dimensions are refused, nothing is written, and the store goes on": async ({
    openOurs,
    reopen,
  }) => {
    const store = await openOurs();
    await store.put(["d"], "k", { text: "turbine" });
    const other = await reopen({ index: indexOf("stand-in", 32) });
    await expect(other.put(["d"], "k", { text: "changed" })).rejects.toThrow(/32 dimensions.* 64/);
    await expect(
      other.batch([
        { namespace: ["d"], key: "x", value: { n: 1 }, index: false },
        { namespace: ["d"], key: "y", value: { text: "y" } },
      ]),
    ).rejects.toThrow(/dimensions/);
    expect(await other.get(["d"], "x")).toBeNull();
    expect((await other.get(["d"], "k"))?.value).toEqual({ text: "turbine" });
    expect(keysOf(await other.search(["d"], { query: "turbine" }))).toEqual(["k"]);
  },
  "with another embedding model words rank, which is said once, until a reindex": async ({
    openOurs,
    reopen,
    openSecond,
  }) => {
    const warnings: string[] = [];
    const store = await openOurs();
    for (const text of ["lunch menu", "the turbine stopped"]) await store.put(["m"], text, { text }, ["text"]);
    const other = await reopen({ index: indexOf("another", 32), warn: (line) => warnings.push(line) });
    const [first] = await other.search(["m"], { query: "turbine" });
    expect(first).toMatchObject({ key: "the turbine stopped" });
    await other.put(["m"], "new", { text: "a violin" }, ["text"]);
    await other.search(["m"], { query: "violin" });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/"stand-in", not of "another".*reindex/);
    expect(await other.health()).toMatchObject({ space: { model: "stand-in" }, vectors: 2, unembedded: 1 });
    const progress: number[] = [];
    expect(await other.reindex((done) => progress.push(done))).toBe(3);
    expect(progress.at(-1)).toBe(3);
    expect(await other.health()).toMatchObject({
      space: { model: "another", dimensions: 32 },
      vectors: 3,
      unembedded: 0,
    });
    expect((await other.search(["m"], { query: "a violin" }))[0]).toMatchObject({
      key: "new",
      score: expect.closeTo(1, 3),
    });
    expect(await pagesOf(other, [["m"]])).toMatchObject([
      { fields: ["text"] },
      { fields: ["text"] },
      { fields: ["text"] },
    ]);
    expect(await other.reindex()).toBe(0);
    const late: string[] = [];
    const old = await openSecond({ warn: (line) => late.push(line) });
    expect(keysOf(await old.search(["m"], { query: "violin", limit: 1 }))).toEqual(["new"]);
    expect(late).toHaveLength(1);
  },
  "what was put without embeddings gets its vectors by a reindex; what was not to be indexed gets none": async ({
    openOurs,
    reopen,
  }) => {
    const store = await openOurs({ index: null });
    await store.put(["m"], "1", { text: "the turbine stopped", list: ["a", "b"] }, ["text", "list[*]"]);
    await store.put(["m"], "2", { text: "the turbine stopped" }, false);
    await expect(store.reindex()).rejects.toThrow("nothing to index with");
    const again = await reopen();
    expect(await again.health()).toMatchObject({ vectors: 0, unembedded: 3 });
    expect(await again.reindex()).toBe(1);
    expect(await again.health()).toMatchObject({ vectors: 3, unembedded: 0 });
    const items = await again.search(["m"], { query: "the turbine stopped" });
    expect(items[0]).toMatchObject({ key: "1", score: expect.closeTo(1, 3) });
    expect(items[1]?.score).toBeUndefined();
  },
});

function byBytes(a: [string[], string], b: [string[], string]): number {
  const order = Buffer.compare(Buffer.from(a[0].join(".")), Buffer.from(b[0].join(".")));
  return order || Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1]));
}
