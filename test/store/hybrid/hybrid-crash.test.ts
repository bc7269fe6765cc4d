import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openHybridDriver } from "../../../src/store/hybrid/hybrid-driver.ts";
import type { VectorIndex } from "../../../src/store/hybrid/vector-index.ts";
import { createMemoryDriver } from "../../../src/store/memory-driver.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { RankedSearch } from "../../../src/store/operations.ts";
import type { KeptRow, RowDriver } from "../../../src/store/row-driver.ts";
import { ProcessVectorStore, processVectors } from "../../support/vector-store.ts";
import { indexOf } from "../conformance/describe-store.ts";

const RANKINGS = ["vector", "words", "hybrid"] as const;
const WORDS = ["turbine", "engine", "harbour", "lunch", "menu", "budget", "violin", "glacier"];
/** Data that outlives the process that is at work on it. */
const openData = () => ({ documents: createMemoryDriver(), vectors: new ProcessVectorStore() });
type Data = ReturnType<typeof openData>;

/** Calls of a process that ends before its call of this number, or never. */
function mortal(data: Data, lives = Number.POSITIVE_INFINITY) {
  let calls = 0;
  const alive = async <T>(call: () => Promise<T>): Promise<T> => {
    calls += 1;
    if (calls > lives) throw new Error("the process ended");
    return call();
  };
  const { documents } = data;
  const index = processVectors(data.vectors);
  const mortalDocuments: RowDriver = {
    ...documents,
    run: (batch) => alive(() => documents.run(batch)),
    drop: (prefixes) => alive(() => documents.drop(prefixes)),
    sweep: () => alive(() => documents.sweep()),
    resetVectors: (space) => alive(() => documents.resetVectors(space)),
    close: async () => {},
  };
  const vectors: VectorIndex = {
    ...index,
    add: (added) => alive(() => index.add(added)),
    remove: (ids) => alive(() => index.remove(ids)),
    search: (near, limit, where) => alive(() => index.search(near, limit, where)),
    find: (where, dimensions) => alive(() => index.find(where, dimensions)),
  };
  return { documents: mortalDocuments, vectors, calls: () => calls };
}

async function open({ documents, vectors }: { documents: RowDriver; vectors: VectorIndex }, model = "stand-in") {
  return MnemailStore.open(await openHybridDriver(documents, vectors), { index: indexOf(model) });
}

async function rowsOf(store: MnemailStore): Promise<KeptRow[]> {
  const rows: KeptRow[] = [];
  for await (const page of store.pages([[]])) rows.push(...page);
  return rows;
}

async function ranked(store: MnemailStore, ranking: RankedSearch["ranking"], query: string, limit = 100) {
  const search: RankedSearch = { namespacePrefix: ["m"], query, limit, ...(ranking && { ranking }) };
  const [items] = await store.batch<[RankedSearch]>([search]);
  return (Array.isArray(items) ? items : []).map(({ key, value, score }) => ({
    ...{ key, text: value["text"] },
    score: score === undefined ? undefined : Math.round(score * 1e6) / 1e6,
  }));
}

/** What every search answers, to be compared between stores. */
async function answers(store: MnemailStore) {
  return Promise.all(WORDS.flatMap((word) => RANKINGS.map((ranking) => ranked(store, ranking, `${word} menu`))));
}

/** Nothing of what was put is lost, nothing else is served, and a reindex brings back the ranking of an intact store. */
async function expectMended(data: Data, model = "stand-in"): Promise<void> {
  const store = await open(mortal(data), model);
  const rows = await rowsOf(store);
  const live = new Map(rows.map(({ key, value }) => [key, value["text"]]));
  for (const found of await answers(store)) {
    expect(found.map(({ key }) => key).sort()).toEqual([...live.keys()].sort());
    for (const { key, text } of found) expect(text).toBe(live.get(key));
  }
  await store.sweep();
  await store.reindex();
  const intact = await open(mortal(openData()), model);
  await intact.restore(rows);
  expect(await rowsOf(store)).toEqual(rows);
  expect(await answers(store)).toEqual(await answers(intact));
  const fields = rows.reduce((sum, row) => sum + row.fields.length, 0);
  expect(await store.health()).toMatchObject({ vectors: fields, unembedded: 0, problems: [] });
  expect(data.vectors.kept.size).toBe(fields);
}

const key = fc.nat(4).map((n) => `k${n}`);
const text = fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 3 }).map((words) => words.join(" "));
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("put" as const), key, text, indexed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("batch" as const), key, text, also: key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("put if" as const), key, text, holds: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const), key, text }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reindex" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Does a step on the store, or says what it would leave of the texts by key. */
async function perform(store: MnemailStore, step: Step, texts: ReadonlyMap<string, string>): Promise<void> {
  const address = (key: string) => ({ namespace: ["m"], key });
  const value = (text: string) => ({ text });
  switch (step.do) {
    case "put":
      return store.put(["m"], step.key, value(step.text), step.indexed ? ["text"] : false);
    case "delete":
      return store.delete(["m"], step.key);
    case "batch": {
      const put = { ...address(step.key), value: value(step.text), index: ["text"] };
      await store.batch(step.also === step.key ? [put] : [put, { ...address(step.also), value: null }]);
      return;
    }
    case "put if": {
      const before = texts.get(step.key);
      const expected = before === undefined ? null : { text: step.holds ? before : `not ${before}` };
      await store.putIf([{ ...address(step.key), value: value(step.text), index: ["text"], expected }]);
      return;
    }
    case "drop":
      await store.drop([["m"]]);
      return;
    case "expire": {
      const past = new Date("2026-01-01");
      const times = { createdAt: past, updatedAt: past, expiresAt: past, ttlMinutes: 1 };
      await store.restore([{ ...address(step.key), value: value(step.text), fields: ["text"], ...times }]);
      await store.sweep();
      return;
    }
    case "reindex":
      await store.reindex();
  }
}

function expected(step: Step, before: ReadonlyMap<string, string>): Map<string, string> {
  const after = new Map(before);
  if (step.do === "drop") return new Map();
  if (step.do === "reindex") return after;
  if (step.do === "delete" || step.do === "expire") after.delete(step.key);
  else if (step.do !== "put if" || step.holds || !before.has(step.key)) after.set(step.key, step.text);
  if (step.do === "batch" && step.also !== step.key) after.delete(step.also);
  return after;
}

const textsOf = (rows: readonly KeptRow[]) => new Map(rows.map(({ key, value }) => [key, String(value["text"])]));

describe("a hybrid store whose process ends between two of its writes", () => {
  test("has all that was acknowledged, serves nothing else, and is mended by a reindex", async () => {
    const steps = fc.array(step, { minLength: 1, maxLength: 8 });
    const property = fc.asyncProperty(steps, fc.nat(40), async (steps, lives) => {
      const data = openData();
      const store = await open(mortal(data, lives));
      let texts = new Map<string, string>();
      let last: Step | undefined;
      for (last of steps) {
        const done = await perform(store, last, texts).then(
          () => true,
          () => false,
        );
        if (!done) break;
        texts = expected(last, texts);
        last = undefined;
      }
      const found = textsOf(await rowsOf(await open(mortal(data))));
      // The step that was cut off has happened, or not.
      if (last?.do === "expire" && !found.has(last.key)) texts.delete(last.key);
      const alternatives = [texts, ...(last ? [expected(last, texts)] : [])];
      expect(alternatives).toContainEqual(found);
      await expectMended(data);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test("in the middle of a reindex for another model goes on by words and can be reindexed again", async () => {
    for (let lives = 0; lives < 12; lives += 1) {
      const data = openData();
      const before = await open(mortal(data));
      for (const [i, word] of WORDS.entries()) await before.put(["m"], `k${i}`, { text: word }, ["text"]);
      await before.delete(["m"], "k0");
      const dying = await open(mortal(data, lives), "another");
      await dying.reindex().catch(() => {});
      const other = await open(mortal(data), "another");
      expect((await ranked(other, "hybrid", "glacier", 1))[0]?.key).toBe("k7");
      await expectMended(data, "another");
    }
  });

  test("a vector that is missing, stale or of no document ranks nothing, and a reindex mends it", async () => {
    const data = openData();
    const store = await open(mortal(data));
    for (const [i, word] of WORDS.entries()) await store.put(["m"], `k${i}`, { text: word }, ["text"]);
    const [missing, stale] = data.vectors.kept.keys();
    data.vectors.kept.delete(missing ?? "");
    // As one that a writer who lost left behind: of another text, under another name.
    const old = data.vectors.kept.get(stale ?? "");
    data.vectors.kept.delete(stale ?? "");
    const metadata = { ...old?.document.metadata, vector_id: "stale", version: "0".repeat(32) };
    await data.vectors.addVectors([old?.vector ?? []], [{ pageContent: "", metadata }], { ids: ["stale"] });
    await data.vectors.addVectors(
      [[...(data.vectors.kept.get([...data.vectors.kept.keys()][2] ?? "")?.vector ?? [])]],
      [
        {
          pageContent: "",
          metadata: { ...metadata, vector_id: "x", version: "1".repeat(32), namespace: "m", key: "nothing" },
        },
      ],
      { ids: ["x"] },
    );
    const found = await ranked(store, "vector", "turbine");
    expect(
      found
        .filter(({ score }) => score === undefined)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(["k0", "k1"]);
    expect(found.map(({ key }) => key)).not.toContain("nothing");
    expect((await ranked(store, "hybrid", "turbine", 1))[0]?.key).toBe("k0");
    await expectMended(data);
  });
});

test("two writers at once on the same items of a hybrid store leave each with its vector, and no other vector", async () => {
  const write = fc.record({
    key: fc.nat(1).map((n) => `k${n}`),
    how: fc.constantFrom("put", "both", "delete", "put if"),
  });
  const writes = fc.array(write, { minLength: 1, maxLength: 4 });
  const property = fc.asyncProperty(fc.scheduler(), fc.tuple(writes, writes), async (scheduler, writers) => {
    const data = openData();
    const index = processVectors(data.vectors);
    const step = <T>(call: () => Promise<T>) => scheduler.schedule(Promise.resolve()).then(call);
    const documents: RowDriver = { ...data.documents, run: (batch) => step(() => data.documents.run(batch)) };
    const vectors: VectorIndex = {
      ...index,
      add: (added) => step(() => index.add(added)),
      remove: (ids) => step(() => index.remove(ids)),
      find: (where, dimensions) => step(() => index.find(where, dimensions)),
    };
    const all = writers.map(async (steps, w) => {
      const store = await open({ documents, vectors });
      for (const [i, { key, how }] of steps.entries()) {
        // No two writes are of the same value, as those of Mnemail are not.
        const put = (key: string) => ({ namespace: ["m"], key, value: { text: `${key} ${w} ${i}` }, index: ["text"] });
        if (how === "put") await store.batch([put(key)]);
        else if (how === "both") await store.batch([put("k0"), put("k1")]);
        else if (how === "delete") await store.delete(["m"], key);
        else await store.putIf([{ ...put(key), expected: (await store.get(["m"], key))?.value ?? null }]);
      }
    });
    await scheduler.waitFor(Promise.all(all));
    const store = await open(mortal(data));
    const found = await ranked(store, "vector", "k0");
    expect(found.every(({ score }) => score !== undefined)).toBe(true);
    expect(await store.health()).toMatchObject({ items: found.length, vectors: found.length, unembedded: 0 });
    expect(data.vectors.kept.size).toBe(found.length);
  });
  await fc.assert(property, { numRuns: 500 });
});
