import { beforeEach, describe, expect, test } from "vitest";
import { createKeyValueDriver } from "../../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../../src/store/key-value/map.ts";
import { ParsedRows } from "../../../src/store/key-value/parsed-rows.ts";
import { createMemoryDriver } from "../../../src/store/memory-driver.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { RankedSearch } from "../../../src/store/operations.ts";
import type { RowDriver } from "../../../src/store/row-driver.ts";
import { indexOf } from "../conformance/describe-store.ts";

let map: Map<string, string>;
beforeEach(() => {
  map = new Map();
});

const open = (driver: RowDriver = createKeyValueDriver(mapKeyValue(map))) =>
  MnemailStore.open(driver, { index: { ...indexOf(), fields: ["text"] } });

/** What each way to find the rows of a namespace finds, nearest or newest first. */
async function findAll(store: MnemailStore, query: string) {
  const vector = await store.search(["a"], { query });
  const byWords: RankedSearch = { namespacePrefix: ["a"], query, ranking: "words" };
  const [words = []] = await store.batch([byWords]);
  const filtered = await store.search(["a"], { filter: { text: query } });
  const listed = await store.search(["a"]);
  const got = await store.get(["a"], "1");
  const keys = (items: readonly { key: string }[]) => items.map(({ key }) => key);
  const scored = words.filter(({ score }) => score !== undefined);
  return {
    vector: keys(vector).at(0),
    words: keys(scored),
    filtered: keys(filtered),
    listed: listed.map(({ value }) => value["text"]).sort(),
    got: got?.value["text"],
  };
}

describe("rows that were parsed before", () => {
  test("are read again where another handle wrote them since", async () => {
    const [store, other] = [await open(), await open()];
    await store.put(["a"], "1", { text: "turbine" });
    await store.put(["a"], "2", { text: "orchard" });
    expect(await findAll(store, "turbine")).toEqual({
      ...{ vector: "1", words: ["1"], filtered: ["1"], listed: ["orchard", "turbine"], got: "turbine" },
    });
    await other.put(["a"], "1", { text: "orchard" });
    await other.put(["a"], "2", { text: "turbine" });
    expect(await findAll(store, "turbine")).toEqual({
      ...{ vector: "2", words: ["2"], filtered: ["2"], listed: ["orchard", "turbine"], got: "orchard" },
    });
    await other.delete(["a"], "2");
    expect(await findAll(store, "turbine")).toEqual({
      ...{ vector: "1", words: [], filtered: [], listed: ["orchard"], got: "orchard" },
    });
    await other.put(["a"], "2", { text: "turbine" });
    expect(await findAll(store, "turbine")).toMatchObject({ vector: "2", words: ["2"], filtered: ["2"] });
  });

  test("are read again where somebody changed the text itself, be it a letter or a vector alone", async () => {
    const store = await open();
    await store.put(["a"], "1", { text: "turbine" });
    await store.put(["a"], "2", { text: "orchard" });
    await findAll(store, "turbine");
    const [first = "", second = ""] = [map.get("r/a/=1"), map.get("r/a/=2")];
    map.set("r/a/=1", first.replace("turbine", "furbine"));
    expect(await findAll(store, "turbine")).toMatchObject({ vector: "1", words: [], got: "furbine" });
    const vectorOf = (text: string) => /"vectors":\{"text":"([^"]+)"/.exec(text)?.[1] ?? "";
    map.set("r/a/=1", first.replace(vectorOf(first), vectorOf(second)));
    map.set("r/a/=2", second.replace(vectorOf(second), vectorOf(first)));
    expect(await findAll(store, "turbine")).toMatchObject({ vector: "2", words: ["1"], got: "turbine" });
    map.set("r/a/=1", "[]");
    expect((await store.search(["a"], { query: "turbine" })).map(({ key }) => key)).toEqual(["2"]);
    map.set("r/a/=1", first);
    expect(await findAll(store, "turbine")).toMatchObject({ words: ["1"], got: "turbine" });
  });

  test("are kept up to a number of characters, the last used longest", async () => {
    const store = await open();
    for (const key of ["1", "2", "3"]) await store.put(["a"], key, { text: "turbine" });
    const texts = [...map].filter(([key]) => key.startsWith("r/"));
    const [[, text] = ["", ""]] = texts;
    const rows = new ParsedRows(2 * text.length);
    const read = (i: number) => {
      const [key, own] = texts[i] ?? ["", ""];
      return rows.read(key, own);
    };
    const [one, two] = [read(0), read(1)];
    expect(one).toMatchObject({ key: "1", value: { text: "turbine" }, text });
    expect(read(0)).toBe(one);
    read(2);
    expect(read(0)).toBe(one);
    expect(read(1)).not.toBe(two);
    expect(read(1)).toEqual(two);
  });
});

describe.each<[string, () => RowDriver]>([
  ["Map", () => createKeyValueDriver(mapKeyValue(map))],
  ["memory:", () => createMemoryDriver()],
])("%s", (_, openDriver) => {
  test("hands out copies: what a caller does to what it found changes nothing", async () => {
    const store = await open(openDriver());
    await store.put(["a", "b"], "1", { text: "turbine", list: [{ n: 1 }] });
    const find = async () => {
      const searched = await store.search(["a"], { query: "turbine", filter: { text: "turbine" } });
      const listed = await store.search(["a"]);
      const got = await store.get(["a", "b"], "1");
      return [...searched, ...listed, ...(got ? [got] : [])];
    };
    const before = structuredClone(await find());
    expect(before).toHaveLength(3);
    for (let i = 0; i < 3; i += 1) {
      for (const item of await find()) {
        const list = item.value["list"];
        if (Array.isArray(list)) list[0].n = 2;
        item.value["text"] = "violin";
        item.namespace[0] = "c";
        item.updatedAt.setTime(0);
        item.createdAt.setTime(0);
      }
      expect(await find()).toEqual(before);
    }
  });

  test("ranks nothing by vectors that were taken away, and all by the new ones", async () => {
    const driver = openDriver();
    const [store, other] = [await open(driver), await MnemailStore.open(driver, { index: indexOf("other", 32) })];
    for (const text of ["turbine", "orchard"]) await store.put(["a"], text, { text });
    const keys = async (by: MnemailStore, query: string) =>
      (await by.search(["a"], { query })).map(({ key, score }) => [key, score === undefined]);
    expect(await keys(store, "orchard")).toMatchObject([
      ["orchard", false],
      ["turbine", false],
    ]);
    await driver.resetVectors({ model: "other", dimensions: 32 });
    expect(await keys(other, "orchard")).toEqual([
      ["orchard", true],
      ["turbine", true],
    ]);
    expect(await other.reindex()).toBe(2);
    expect(await keys(other, "turbine")).toEqual([
      ["turbine", false],
      ["orchard", false],
    ]);
  });
});

test("memory: ranks nothing by vectors that were taken away, also where the first model is back", async () => {
  const driver = createMemoryDriver();
  const store = await open(driver);
  await store.put(["a"], "1", { text: "turbine" });
  const isScored = async () =>
    (await store.search(["a"], { query: "turbine" })).map(({ score }) => score !== undefined);
  expect(await isScored()).toEqual([true]);
  await driver.resetVectors({ model: "other", dimensions: 32 });
  await driver.resetVectors({ model: "stand-in", dimensions: 64 });
  expect(await isScored()).toEqual([false]);
  expect(await store.reindex()).toBe(1);
  expect(await isScored()).toEqual([true]);
});
