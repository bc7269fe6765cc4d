import { beforeEach, describe, expect, test } from "vitest";
import { renderError } from "../../../src/errors.ts";
import type { KeyValue } from "../../../src/store/key-value/key-value.ts";
import { createKeyValueDriver } from "../../../src/store/key-value/key-value-driver.ts";
import { SPACE_KEY } from "../../../src/store/key-value/keys.ts";
import { mapKeyValue } from "../../../src/store/key-value/map.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import { indexOf } from "../conformance/describe-store.ts";
import { describePlace } from "./place-clauses.ts";

let map: Map<string, string>;
beforeEach(() => {
  map = new Map();
});

/** A store on the map; `between` runs once, after the store has read what it writes next. */
async function openStore(model?: string, more: Partial<KeyValue> = {}) {
  const place = mapKeyValue(map);
  let between: (() => Promise<unknown>) | undefined;
  const write: KeyValue["write"] = async (changes) => {
    const meanwhile = between;
    between = undefined;
    await meanwhile?.();
    return place.write(changes);
  };
  const driver = createKeyValueDriver({ ...place, write, ...more });
  const store = await MnemailStore.open(driver, model === undefined ? {} : { index: indexOf(model) });
  const meanwhile = (run: () => Promise<unknown>) => {
    between = run;
  };
  return { store, meanwhile };
}
const put = (n: number, expected: { n: number } | null) => [
  { namespace: ["a"], key: "k", value: { n }, expected, index: false as const },
];

describe("a Map of the program as a place", () => {
  describePlace(async () => mapKeyValue(map));
});

describe("rows in texts by key", () => {
  test("of labels that are longer than any key are of their users alone", async () => {
    const { store } = await openStore();
    const users = ["1", "2"].flatMap((end) => ["x".repeat(600), "😀".repeat(300), "é"].map((each) => each + end));
    for (const user of users) {
      for (const deep of [[], Array.from({ length: 30 }, (_, i) => `${i}`.repeat(20))]) {
        await store.put(["m", user, ...deep], `${user}.key`, { user }, false);
      }
    }
    expect([...map.keys()].every((key) => key.length <= 1_000)).toBe(true);
    for (const user of users) {
      const found = await store.search(["m", user], { limit: 100 });
      expect(found.map(({ value }) => value)).toEqual([{ user }, { user }]);
      expect((await store.get(["m", user], `${user}.key`))?.value).toEqual({ user });
    }
    // These lie side by side under one beginning, since the labels that tell them apart are cut off.
    const long = ["m", "é1", ...Array.from({ length: 29 }, () => "y".repeat(60))];
    for (const end of ["1", "2"]) await store.put([...long, end], "k", { end }, false);
    expect((await store.get([...long, "1"], "k"))?.value).toEqual({ end: "1" });
    expect((await store.search([...long, "2"])).map(({ value }) => value)).toEqual([{ end: "2" }]);
    expect(await store.drop([[...long, "1"]])).toBe(1);
    expect((await store.search(long)).map(({ value }) => value)).toEqual([{ end: "2" }]);
    expect(await store.drop([long])).toBe(1);
    expect(await store.drop([["m", users[0] ?? ""]])).toBe(2);
    expect(await store.listNamespaces({ limit: 100 })).toHaveLength(2 * (users.length - 1));
  });

  test("are written if the value is the one expected still, whatever else another changed of it meanwhile", async () => {
    const { store, meanwhile } = await openStore();
    const { store: other } = await openStore();
    await store.put(["a"], "k", { n: 1 }, false);
    meanwhile(() => other.putWithTtl(["a"], "k", { n: 1 }, 5, false));
    expect(await store.putIf(put(2, { n: 1 }))).toBe(true);
    meanwhile(() => other.put(["a"], "k", { n: 9 }, false));
    expect(await store.putIf(put(3, { n: 2 }))).toBe(false);
    expect((await store.get(["a"], "k"))?.value).toEqual({ n: 9 });
  });

  test("do not wait for ever where somebody else always comes first", async () => {
    const { store } = await openStore(undefined, { write: async () => false });
    await expect(store.putIf(put(1, null))).rejects.toThrow("a Map of the program: others change the same items");
  });

  test("that came with vectors of a model that was given up meanwhile wait for new ones", async () => {
    const { store: first, meanwhile } = await openStore("old");
    await first.put(["a"], "1", { text: "turbine" }, ["text"]);
    const { store: second } = await openStore("new");
    meanwhile(() => second.reindex());
    await first.put(["a"], "2", { text: "violin" }, ["text"]);
    expect(await second.health()).toMatchObject({ space: { model: "new" }, vectors: 1, unembedded: 1 });
    const [found] = await second.search(["a"], { query: "violin" });
    expect(found?.key).toBe("1");
    expect(await second.reindex()).toBe(1);
    expect((await second.search(["a"], { query: "violin" }))[0]).toMatchObject({ key: "2" });
  });

  test("keep their vectors where the note of whose they are is lost or damaged", async () => {
    const { store } = await openStore("one");
    await store.put(["a"], "1", { text: "turbine" }, ["text"]);
    for (const damage of [() => map.delete(SPACE_KEY), () => map.set(SPACE_KEY, "{")]) {
      damage();
      await store.put(["a"], "2", { text: "violin" }, ["text"]);
      expect(await store.health()).toMatchObject({ space: { model: "one" }, vectors: 2, unembedded: 0 });
    }
  });

  test("are not all read to open a store, nor a namespace twice for two searches of it", async () => {
    const { store } = await openStore("one");
    for (let i = 0; i < 20; i += 1) await store.put(["a", `${i}`], "k", { text: `text ${i}` });
    const read: string[] = [];
    const place = mapKeyValue(map);
    const { snapshot: _, ...pieces } = place;
    const driver = createKeyValueDriver({
      ...pieces,
      read: (keys) => place.read(keys).finally(() => read.push(...keys)),
      list: (prefix) => place.list(prefix).finally(() => read.push(prefix)),
      keys: (prefix) => place.keys(prefix).finally(() => read.push(prefix)),
    });
    const again = await MnemailStore.open(driver, { index: indexOf("another") });
    expect(read).toEqual([SPACE_KEY, "r/a/0/=k"]);
    read.length = 0;
    const search = (namespacePrefix: string[]) => ({ namespacePrefix });
    await again.batch([search(["a", "1"]), search(["a"]), search(["a"]), { namespace: ["a", "2"], key: "k" }]);
    expect(read.sort()).toEqual([SPACE_KEY, "r/a/"]);
  });

  test("that cannot be read are counted, and the first three named as the place has them", async () => {
    const { store } = await openStore(undefined, { nameOf: (key) => `${key.slice(2)}\u001b.json` });
    map.set("r/a/=1", "{");
    const problem = async () => (await store.health()).problems.map(({ problem }) => problem);
    expect(await problem()).toEqual(["1 item cannot be read: a/=1?.json"]);
    for (const key of ["r/a/=4", "r/a/=3", "r/a/=2", "r/a/=5"]) map.set(key, "{");
    expect(await problem()).toEqual(["5 items cannot be read: a/=1?.json, a/=2?.json, a/=3?.json and 2 more"]);
    const { store: plain } = await openStore();
    expect((await plain.health()).problems[0]?.problem).toMatch(/: r\/a\/=1, r\/a\/=2, r\/a\/=3 and 2 more$/);
  });

  test("are removed below the labels alone, whatever else a place lists", async () => {
    const { store } = await openStore(undefined, { keys: async () => [...map.keys()] });
    for (const user of ["a", "b"]) await store.put(["m", user], "k", { user }, false);
    expect(await store.drop([["m", "a"]])).toBe(1);
    expect([...map.keys()]).toEqual(["r/m/b/=k"]);
  });

  test("are removed in steps where they are many", async () => {
    const sizes: number[] = [];
    const { write } = mapKeyValue(map);
    const { store } = await openStore(undefined, {
      write: (changes) => {
        sizes.push(changes.length);
        return write(changes);
      },
    });
    for (let i = 0; i < 45_000; i += 1) map.set(`r/m/a/=${i}`, "");
    map.set("r/m/b/=0", "");
    expect(await store.drop([["m", "a"]])).toBe(45_000);
    expect(sizes).toEqual([20_000, 20_000, 5_000]);
    expect([...map.keys()]).toEqual(["r/m/b/=0"]);
  });

  test("do not replace one that can be read with times that cannot", async () => {
    const { store } = await openStore();
    await store.put(["a"], "k", { n: 1 }, false);
    const now = new Date();
    const times = { createdAt: now, updatedAt: now, expiresAt: new Date("+010000-01-01T00:00:00.000Z"), ttlMinutes: 1 };
    const restored = store.restore([{ namespace: ["a"], key: "k", value: { n: 2 }, ...times, fields: [] }]);
    await expect(restored).rejects.toThrow("a time of an item: saw +010000-01-01T00:00:00.000Z");
    expect((await store.get(["a"], "k"))?.value).toEqual({ n: 1 });
  });

  test("keep the vector of a field whatever its name", async () => {
    const { store } = await openStore("one");
    await store.put(["a"], "k", JSON.parse('{"__proto__":"turbine","constructor":"violin"}'), [
      "__proto__",
      "constructor",
    ]);
    expect(await store.health()).toMatchObject({ vectors: 2, unembedded: 0 });
    for await (const rows of store.pages([["a"]])) {
      expect(rows.map(({ fields }) => fields)).toEqual([["__proto__", "constructor"]]);
    }
  });

  test("that cannot be read are named, and refuse a condition", async () => {
    const { store } = await openStore();
    await store.put(["a"], "k", { n: 1 }, false);
    map.set("r/a/=k", "[]");
    const line = 'a Map of the program: the record ["a","k"] cannot be read (it is left as it is)';
    for (const run of [
      () => store.get(["a"], "k"),
      () => store.putIf(put(2, { n: 1 })),
      () => store.putIf(put(2, null)),
    ]) {
      expect(renderError(await run().then(String, (error) => error))).toBe(line);
    }
    expect(map.get("r/a/=k")).toBe("[]");
  });
});
