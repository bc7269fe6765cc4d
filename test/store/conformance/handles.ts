import { expect } from "vitest";
import type { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { KeptRow } from "../../../src/store/row-driver.ts";
import { clauses, indexOf } from "./describe-store.ts";

const WRITERS = 8;
const PAST = new Date("2026-01-01T00:00:00.000Z");
const row = (key: string, more: Partial<KeptRow> = {}): KeptRow => ({
  ...{ namespace: ["t"], key, value: { text: `text of ${key}` }, createdAt: PAST, updatedAt: PAST },
  ...{ expiresAt: null, ttlMinutes: null, fields: [] },
  ...more,
});
const put = (key: string, value: Record<string, unknown>, expected: Record<string, unknown> | null) => ({
  ...{ namespace: ["c"], key, value, expected },
  index: false as const,
});
/** As many attempts on each handle, all at once. */
const atOnce = <T>(handles: readonly MnemailStore[], attempt: (store: MnemailStore, id: string) => Promise<T>) =>
  Promise.all(handles.flatMap((store, h) => Array.from({ length: WRITERS }, (_, i) => attempt(store, `${h}-${i}`))));
/** Adds 1 to two counters, both or none, reading and writing them in the order given. */
const incrementBoth = async (store: MnemailStore, keys: readonly string[]) => {
  for (;;) {
    const items = await store.batch(keys.map((key) => ({ namespace: ["c"], key })));
    const puts = keys.map((key, i) => {
      const value: unknown = items[i]?.value;
      const before = value && typeof value === "object" && "n" in value ? { n: Number(value.n) } : null;
      return put(key, { n: (before?.n ?? 0) + 1 }, before);
    });
    if (await store.putIf(puts)) return;
  }
};

/** What holds while others write, and when time is over. */
export const HANDLES = clauses({
  "of many that put at once what is not there yet one holds": async ({ openOurs, openSecond }) => {
    const handles = [await openOurs(), await openSecond()];
    const held = await atOnce(handles, async (store, id) =>
      (await store.putIf([put("one", { id }, null), put(id, { id }, null)])) ? [id] : [],
    );
    const [winner, ...others] = held.flat();
    expect(others).toEqual([]);
    expect((await handles[0]?.get(["c"], "one"))?.value).toEqual({ id: winner });
    expect((await handles[1]?.search(["c"], { limit: 100 }))?.map(({ key }) => key).sort()).toEqual([winner, "one"]);
  },
  "of many fleeting puts at once one holds too, and what is put after it is kept": async ({ openOurs, openSecond }) => {
    const handles = [await openOurs(), await openSecond()];
    const held = await atOnce(handles, async (store, id) =>
      (await store.putIf([put("one", { id }, null)], { fleeting: true })) ? [id] : [],
    );
    expect(held.flat()).toHaveLength(1);
    await handles[0]?.put(["c"], "later", { n: 1 });
    expect((await handles[1]?.search(["c"]))?.map(({ key }) => key).sort()).toEqual(["later", "one"]);
  },
  "of two handles that change the same items in opposite order both get through": async ({ openOurs, openSecond }) => {
    const handles = [await openOurs(), await openSecond()];
    await atOnce(handles, (store, id) => incrementBoth(store, id.startsWith("0") ? ["x", "y"] : ["y", "x"]));
    for (const key of ["x", "y"]) {
      expect((await handles[0]?.get(["c"], key))?.value).toEqual({ n: 2 * WRITERS });
    }
    const keys = Array.from({ length: 100 }, (_, i) => `${i}`);
    await atOnce(handles, (store, id) => {
      const order = id.startsWith("0") ? keys : [...keys].reverse();
      return store.batch(order.map((key) => ({ namespace: ["d"], key, value: { id }, index: false as const })));
    });
    const values = (await handles[0]?.search(["d"], { limit: 1_000 }))?.map(({ value }) => value["id"]);
    expect(values).toHaveLength(keys.length);
    expect(new Set(values).size).toBe(1);
  },
  "what comes after a drop or a sweep under the same key is what is found": async ({ openOurs, openSecond }) => {
    const store = await openOurs();
    const other = await openSecond();
    const first = async (query: string) => {
      const searches = (["vector", "words"] as const).map((ranking) => ({ namespacePrefix: ["t"], query, ranking }));
      const results: unknown[] = await store.batch(searches);
      return results.map((items) => (Array.isArray(items) && items[0]?.score !== undefined ? items[0].key : undefined));
    };
    await store.put(["t"], "k", { text: "the turbine stopped" }, ["text"]);
    expect(await first("turbine stopped")).toEqual(["k", "k"]);
    await other.drop([["t"]]);
    await other.put(["t"], "k", { text: "violin concerto" }, ["text"]);
    expect(await first("violin concerto")).toEqual(["k", "k"]);
    expect((await first("turbine stopped"))[1]).toBeUndefined();
    await other.restore([row("k", { expiresAt: PAST, fields: ["text"] })]);
    expect(await first("violin concerto")).toEqual([undefined, undefined]);
    expect(await other.sweep()).toBe(1);
    await other.put(["t"], "k", { text: "glacier tour" }, ["text"]);
    expect(await first("glacier tour")).toEqual(["k", "k"]);
  },
  "reindexing beside a writer loses nothing of what is put meanwhile": async ({ openOurs, reopen, openSecond }) => {
    const before = await openOurs({ index: null });
    const old = Array.from({ length: 120 }, (_, i) => row(`k${i}`, { fields: ["text"] }));
    await before.restore(old);
    const store = await reopen();
    const other = await openSecond();
    const writes: Promise<unknown>[] = [];
    await store.reindex(() => {
      const i = writes.length;
      writes.push(other.put(["t"], `k${i}`, { text: `changed ${i}` }, ["text"]));
      writes.push(other.put(["t"], `new${i}`, { text: `new ${i}` }, ["text"]));
    });
    await Promise.all(writes);
    expect(writes.length).toBeGreaterThan(2);
    expect(await store.health()).toMatchObject({ items: 120 + writes.length / 2, unembedded: 0, problems: [] });
    expect((await store.get(["t"], "k0"))?.value).toEqual({ text: "changed 0" });
    const [found] = await store.search(["t"], { query: "changed 0", limit: 1 });
    expect(found?.score).toBeCloseTo(1, 3);
  },
  "an expired item equals no value that a conditional put expects": async ({ openOurs }) => {
    const store = await openOurs();
    await store.restore([{ ...row("k", { expiresAt: PAST, value: { n: 1 } }), namespace: ["c"] }]);
    expect(await store.putIf([put("k", { n: 2 }, { n: 1 })])).toBe(false);
    expect(await store.get(["c"], "k")).toBeNull();
    expect(await store.putIf([put("new", { n: 1 }, null), put("k", { n: 2 }, { n: 1 })])).toBe(false);
    expect(await store.sweep()).toBe(1);
    expect(await store.search(["c"])).toEqual([]);
  },
  "a conditional put may have a time to live, and compares as JSON": async ({ openOurs }) => {
    const store = await openOurs();
    const value = { b: [1, { x: null }], a: "é" };
    expect(await store.putIf([{ ...put("k", value, null), ttlMinutes: 5 }])).toBe(true);
    for await (const page of store.pages([["c"]])) expect(page).toMatchObject([{ ttlMinutes: 5 }]);
    expect(await store.putIf([put("k", { n: 1 }, { a: "é", b: [1, { x: null }, 2] })])).toBe(false);
    expect(await store.putIf([put("k", { n: 1 }, { a: "é", b: [1, { x: null }] })])).toBe(true);
    for await (const page of store.pages([["c"]])) expect(page).toMatchObject([{ ttlMinutes: null, expiresAt: null }]);
  },
  "an item with a time to live is deleted like others, before and after its time": async ({ openOurs }) => {
    const store = await openOurs();
    await store.putWithTtl(["t"], "live", { n: 1 }, 5, false);
    await store.restore([row("expired", { expiresAt: PAST })]);
    await store.delete(["t"], "live");
    await store.delete(["t"], "expired");
    expect(await store.get(["t"], "live")).toBeNull();
    expect(await store.health()).toMatchObject({ items: 0, expired: 0 });
    expect(await store.sweep()).toBe(0);
  },
  "a time to live that no calendar has is refused": async ({ openOurs }) => {
    const store = await openOurs();
    for (const minutes of [1e12, Number.MAX_SAFE_INTEGER]) {
      await expect(store.putWithTtl(["t"], "k", { n: 1 }, minutes, false)).rejects.toThrow("ttlMinutes");
    }
    await store.putWithTtl(["t"], "k", { n: 1 }, 60 * 24 * 366 * 10, false);
    expect(await store.get(["t"], "k")).not.toBeNull();
  },
  "restoring replaces what is there: value, times, vectors and time to live": async ({ openOurs }) => {
    const store = await openOurs();
    await store.putWithTtl(["t"], "k", { text: "violin concerto" }, 5, ["text"]);
    await store.restore([row("k")]);
    const rows: KeptRow[] = [];
    for await (const page of store.pages([["t"]])) rows.push(...page);
    expect(rows).toEqual([row("k")]);
    expect(await store.health()).toMatchObject({ items: 1, vectors: 0, unembedded: 0 });
    await store.put(["t"], "k", { n: 2 }, false);
    expect((await store.get(["t"], "k"))?.createdAt).toEqual(PAST);
    await expect(store.restore([row("a"), row("a")])).rejects.toThrow(TypeError);
    expect(await store.get(["t"], "a")).toBeNull();
  },
  "a time that is none is refused by a restore": async ({ openOurs }) => {
    const store = await openOurs();
    for (const name of ["createdAt", "updatedAt", "expiresAt"]) {
      await expect(store.restore([row("k", { [name]: new Date(Number.NaN) })])).rejects.toThrow();
    }
    expect(await store.search(["t"])).toEqual([]);
  },
  "prefixes that overlap give and drop each item once": async ({ openOurs }) => {
    const store = await openOurs();
    for (const namespace of [["t"], ["t", "a"], ["t", "a", "b"], ["u"]])
      await store.put(namespace, "k", { n: 1 }, false);
    const prefixes = [["t", "a"], ["t"], ["t", "a", "b"], ["t"]];
    let given = 0;
    for await (const page of store.pages(prefixes)) given += page.length;
    expect(given).toBe(3);
    expect(await store.drop([])).toBe(0);
    expect(await store.drop(prefixes)).toBe(3);
    expect(await store.drop([[]])).toBe(1);
  },
  "where no vector is left another embedding model may begin": async ({ openOurs, reopen }) => {
    const store = await openOurs();
    await store.put(["m"], "k", { text: "turbine" }, ["text"]);
    await store.delete(["m"], "k");
    const other = await reopen({ index: indexOf("another", 32) });
    await other.put(["m"], "k", { text: "lunch" }, ["text"]);
    expect(await other.health()).toMatchObject({ space: { model: "another", dimensions: 32 }, vectors: 1 });
    expect((await other.search(["m"], { query: "lunch" }))[0]?.score).toBeCloseTo(1, 3);
  },
});
