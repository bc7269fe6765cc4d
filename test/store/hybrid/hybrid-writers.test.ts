import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openHybridDriver } from "../../../src/store/hybrid/hybrid-driver.ts";
import { createVectorIndex } from "../../../src/store/hybrid/langchain-index.ts";
import { removeVectors } from "../../../src/store/hybrid/remove-vectors.ts";
import { parseAbout, type VectorIndex, versionOf } from "../../../src/store/hybrid/vector-index.ts";
import { withinTime } from "../../../src/store/hybrid/within-time.ts";
import { createKeyValueDriver } from "../../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../../src/store/key-value/map.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { RowDriver } from "../../../src/store/row-driver.ts";
import { ProcessVectorStore, processVectors } from "../../support/vector-store.ts";
import { indexOf } from "../conformance/describe-store.ts";

/** Documents and vectors that several processes open. */
function openData() {
  const map = new Map<string, string>();
  const vectors = new ProcessVectorStore();
  const documents = () => createKeyValueDriver(mapKeyValue(map));
  const open = async (
    options: { model?: string; dimensions?: number; wrap?: (index: VectorIndex) => VectorIndex; on?: RowDriver } = {},
  ) => {
    const { model = "stand-in", dimensions = 64, wrap = (index) => index } = options;
    const driver = await openHybridDriver(options.on ?? documents(), wrap(processVectors(vectors)));
    return MnemailStore.open(driver, { index: indexOf(model, dimensions) });
  };
  /** A process that has no embedding model. */
  const openPlain = async () => MnemailStore.open(await openHybridDriver(documents(), processVectors(vectors)));
  return { map, vectors, documents, open, openPlain };
}

const put = (store: MnemailStore, key: string, text: string) => store.put(["m", "u"], key, { text }, ["text"]);

async function rowOf(store: MnemailStore, key: string) {
  for await (const rows of store.pages([["m"]])) for (const row of rows) if (row.key === key) return row;
  return undefined;
}

async function scoresOf(store: MnemailStore, query: string) {
  return new Map((await store.search(["m"], { query, limit: 100 })).map(({ key, score }) => [key, score]));
}

describe("a process that opened a hybrid store before its first vector", () => {
  test.each(["open", "openPlain"] as const)("(%s) leaves no vector of what it removes", async (how) => {
    const data = openData();
    const early = [await data[how](), await data[how](), await data[how](), await data[how]()] as const;
    const writer = await data.open();
    await put(writer, "k", "turbine");
    expect(await early[0].drop([["m"]])).toBe(1);
    expect(data.vectors.kept.size).toBe(0);
    await put(writer, "k", "turbine");
    await early[1].delete(["m", "u"], "k");
    expect(data.vectors.kept.size).toBe(0);
    await put(writer, "k", "turbine");
    await early[2].put(["m", "u"], "k", { text: "not indexed" }, false);
    expect(data.vectors.kept.size).toBe(0);
    await put(writer, "k", "turbine");
    await data.documents().drop([["m"]]);
    expect(await early[3].erase()).toEqual([]);
    expect(data.vectors.kept.size).toBe(0);
  });

  test("or after the last document went erases what a crash has left of it", async () => {
    const data = openData();
    await put(await data.open(), "k", "turbine");
    await data.documents().drop([["m"]]);
    expect(data.vectors.kept.size).toBe(1);
    expect(await (await data.open()).erase()).toEqual([]);
    expect(data.vectors.kept.size).toBe(0);
  });

  test("says what an erase may leave where it cannot know, and a reindex removes it", async () => {
    const data = openData();
    await put(await data.open(), "k", "turbine");
    data.map.clear();
    const store = await data.open();
    expect(await store.erase()).toEqual([
      "a vector store in process: vectors of removed items may be left: they cannot be listed before `mnemail memory reindex`",
    ]);
    await store.reindex();
    expect(data.vectors.kept.size).toBe(0);
    expect(await store.erase()).toEqual([]);
    const filter = (where: unknown) => Object(where);
    const bounded = createVectorIndex(data.vectors, { name: "a bounded store", filter, reach: 10 });
    const driver = await openHybridDriver(data.documents(), bounded);
    expect(await driver.vacuum?.()).toEqual([
      "a bounded store: vectors of removed items may be left: they cannot be listed",
    ]);
  });

  test("removes the vectors of another length when it indexes for another model", async () => {
    const data = openData();
    await put(await data.open(), "k", "turbine");
    const other = await data.open({ model: "other", dimensions: 32 });
    expect(await other.reindex()).toBe(1);
    expect([...data.vectors.kept.values()].map(({ vector }) => vector.length)).toEqual([32]);
  });
});

test("a sweep removes the vectors of documents that expired by themselves, and reads none where no vector is left", async () => {
  const data = openData();
  const documents = data.documents();
  let read = 0;
  const pages: RowDriver["pages"] = (prefixes) => {
    read += 1;
    return documents.pages(prefixes);
  };
  const store = await data.open({ on: { ...documents, pages } });
  await put(store, "stays", "lunch");
  await put(store, "goes", "turbine");
  // As Redis does.
  for (const key of data.map.keys()) if (key.includes("goes")) data.map.delete(key);
  expect(await store.sweep()).toBe(0);
  expect([...data.vectors.kept.values()].map(({ document }) => document.metadata["key"])).toEqual(["stays"]);
  await store.delete(["m", "u"], "stays");
  read = 0;
  await store.sweep();
  expect(read).toBe(0);
});

describe("two processes that put the same value at once", () => {
  /** The second does `then` when the first has added its vectors and marked nothing yet. */
  const race = async (then: (second: MnemailStore) => Promise<void>) => {
    const data = openData();
    const second = await data.open();
    const wrap = (index: VectorIndex): VectorIndex => ({
      ...index,
      add: async (added) => {
        await index.add(added);
        await then(second);
      },
    });
    return { first: await data.open({ wrap }), second };
  };

  test("keep it for good where the later put does", async () => {
    const { first, second } = await race((store) => put(store, "k", "turbine"));
    await first.putWithTtl(["m", "u"], "k", { text: "turbine" }, 10, ["text"]);
    expect(await rowOf(second, "k")).toMatchObject({ expiresAt: null, ttlMinutes: null });
    expect(await second.health()).toMatchObject({ vectors: 1, unembedded: 0 });
    expect((await scoresOf(second, "turbine")).get("k")).toBeCloseTo(1, 3);
  });

  test("keep it for a time where the later put does", async () => {
    const { first, second } = await race((store) =>
      store.putWithTtl(["m", "u"], "k", { text: "turbine" }, 10, ["text"]),
    );
    await put(first, "k", "turbine");
    const row = await rowOf(second, "k");
    expect(row?.ttlMinutes).toBe(10);
    expect((row?.expiresAt?.getTime() ?? 0) - (row?.updatedAt.getTime() ?? 0)).toBe(600_000);
  });

  test("leave it without a vector where the later put asks for none", async () => {
    const { first, second } = await race((store) => store.put(["m", "u"], "k", { text: "turbine" }, false));
    await put(first, "k", "turbine");
    expect(await rowOf(second, "k")).toMatchObject({ fields: [] });
  });
});

describe("a process that writes right before another one's marks", () => {
  /** The first, which awaits `then` when it has read a document that is its own still, and marks it next. */
  const openFirst = (data: ReturnType<typeof openData>, then: () => Promise<void>) => {
    const documents = data.documents();
    let isAwaited = true;
    const run: RowDriver["run"] = async (batch) => {
      const isMarking = batch.writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
      if (isMarking && isAwaited) {
        isAwaited = false;
        await then();
      }
      return documents.run(batch);
    };
    return data.open({ on: { ...documents, run } });
  };

  test("has the times that it put", async () => {
    const data = openData();
    const [firstIsDone, secondIsWritten] = [new AbortController(), new AbortController()];
    const aborted = ({ signal }: AbortController) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    const marked = aborted(firstIsDone);
    const wrap = (index: VectorIndex): VectorIndex => ({
      ...index,
      add: async (added) => {
        secondIsWritten.abort();
        await marked;
        await index.add(added);
      },
    });
    const second = await data.open({ wrap });
    let putting: Promise<void> | undefined;
    const first = await openFirst(data, async () => {
      const written = aborted(secondIsWritten);
      putting = put(second, "k", "turbine");
      await written;
    });
    await first.putWithTtl(["m", "u"], "k", { text: "turbine" }, 10, ["text"]);
    firstIsDone.abort();
    await putting;
    expect(await rowOf(second, "k")).toMatchObject({ expiresAt: null, ttlMinutes: null });
    expect(await second.health()).toMatchObject({ vectors: 1, unembedded: 0 });
  });

  test("makes it wait, where it removed the vectors that are marked", async () => {
    const data = openData();
    const second = await data.open();
    const first = await openFirst(data, async () => {
      // As a process does that replaced the same value before.
      const places = { documents: data.documents(), vectors: processVectors(data.vectors) };
      const space = { model: "stand-in", dimensions: 64 };
      await removeVectors({ ...places, space }, [...data.vectors.kept.keys()], async () => [["m"]]);
    });
    await put(first, "k", "turbine");
    expect(await second.health()).toMatchObject({ vectors: 0, unembedded: 1 });
  });
});

describe("a value that another process puts back", () => {
  test.each([
    ["while its vectors are removed after a put", (store: MnemailStore) => put(store, "k", "second")],
    ["while they are removed after a delete", (store: MnemailStore) => store.delete(["m", "u"], "k")],
    ["while they are removed after a drop", async (store: MnemailStore) => void (await store.drop([["m"]]))],
  ])("%s waits for a reindex, and keeps its times", async (_, replace) => {
    const data = openData();
    const second = await data.open();
    let putBack = false;
    const wrap = (index: VectorIndex): VectorIndex => ({
      ...index,
      remove: async (ids) => {
        if (putBack) await second.putWithTtl(["m", "u"], "k", { text: "first" }, 10, ["text"]);
        putBack = false;
        await index.remove(ids);
      },
    });
    const first = await data.open({ wrap });
    await put(first, "k", "first");
    putBack = true;
    await replace(first);
    expect(await second.health()).toMatchObject({ items: 1, vectors: 0, unembedded: 1 });
    expect(await rowOf(second, "k")).toMatchObject({ value: { text: "first" }, ttlMinutes: 10 });
    expect(await second.reindex()).toBe(1);
    expect((await scoresOf(second, "first")).get("k")).toBeCloseTo(1, 3);
  });

  test("in any order of steps has its vector, or waits for it", async () => {
    const write = fc.record({
      key: fc.constantFrom("k0", "k1"),
      how: fc.constantFrom("put", "put", "delete", "sweep", "drop"),
      text: fc.constantFrom("turbine", "lunch"),
    });
    const writes = fc.array(write, { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(fc.scheduler(), fc.tuple(writes, writes), async (scheduler, writers) => {
      const data = openData();
      // So that every process knows the space from the beginning.
      await (await data.open()).put(["other"], "k", { text: "menu" }, ["text"]);
      const step = <T>(call: () => Promise<T>) => scheduler.schedule(Promise.resolve()).then(call);
      const all = writers.map(async (steps) => {
        const documents = data.documents();
        const on: RowDriver = { ...documents, run: (batch) => step(() => documents.run(batch)) };
        const wrap = (index: VectorIndex): VectorIndex => ({
          ...index,
          add: (added) => step(() => index.add(added)),
          remove: (ids) => step(() => index.remove(ids)),
          find: (where, dimensions) => step(() => index.find(where, dimensions)),
        });
        const store = await data.open({ on, wrap });
        for (const { key, how, text } of steps) {
          if (how === "put") await put(store, key, text);
          else if (how === "delete") await store.delete(["m", "u"], key);
          else if (how === "drop") await store.drop([["m"]]);
          else await store.sweep();
        }
      });
      await scheduler.waitFor(Promise.all(all));
      const store = await data.open();
      const scores = [...(await scoresOf(store, "turbine")).values()];
      const { items, vectors, unembedded } = await store.health();
      expect(vectors + unembedded).toBe(items);
      expect(scores.filter((score) => score !== undefined).length).toBeGreaterThanOrEqual(vectors - 1);
      const versions = new Set<string>();
      for await (const rows of store.pages([[]])) for (const row of rows) versions.add(versionOf(row, row.value));
      for (const { document } of data.vectors.kept.values()) {
        expect(versions).toContain(parseAbout(document.metadata)?.version);
      }
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("a vector database that takes calls and never answers", () => {
  const where = { name: "version", values: ["0"] };
  const patience = { timeoutMs: 200, shortMs: 10, windowMs: 400 };
  const open = () => {
    const state = { isSilent: true };
    const index = processVectors();
    const silent: VectorIndex = {
      ...index,
      find: (...args) => (state.isSilent ? new Promise(() => {}) : index.find(...args)),
      list: () => (state.isSilent ? new Promise(() => {}) : Promise.resolve([])),
    };
    return { state, index: withinTime(silent, patience) };
  };

  test("is waited for once, then briefly for a while, and then as long again", async () => {
    const { index } = open();
    const started = performance.now();
    await expect(index.find(where, 1)).rejects.toThrow("no answer within 0.2 s");
    for (let i = 0; i < 5; i += 1) await expect(index.find(where, 1)).rejects.toThrow("no answer within 0.01 s");
    await expect(index.list?.(1)).rejects.toThrow("no answer within 0.01 s");
    expect(performance.now() - started).toBeLessThan(590);
    await expect.poll(() => performance.now() - started).toBeGreaterThan(700);
    await expect(index.find(where, 1)).rejects.toThrow("no answer within 0.2 s");
  });

  test("has its time again as soon as it answers", async () => {
    const { state, index } = open();
    await expect(index.find(where, 1)).rejects.toThrow("no answer within 0.2 s");
    state.isSilent = false;
    expect(await index.find(where, 1)).toEqual([]);
    expect(await index.list?.(1)).toEqual([]);
    state.isSilent = true;
    await expect(index.find(where, 1)).rejects.toThrow("no answer within 0.2 s");
  });
});
