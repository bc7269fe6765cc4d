import { expect } from "vitest";
import { clauses } from "./describe-store.ts";

const put = (key: string, value: unknown, namespace = ["b"]) => ({
  ...{ namespace, key, value: Object(value) },
  index: false as const,
});

/** What is put is got: values, addresses, batches, namespaces. */
export const ITEMS = clauses({
  "a put item is read back with its namespace, key, value and times": async ({ open }) => {
    const store = await open();
    const value = { n: 1.5, big: 2 ** 53, no: false, nothing: null, "": "", deep: { list: [1, "two", null, [], {}] } };
    await store.put(["a", "b"], "k", value, false);
    const item = await store.get(["a", "b"], "k");
    expect(item).toMatchObject({ namespace: ["a", "b"], key: "k" });
    expect(item?.value).toEqual(value);
    expect(Math.abs((item?.createdAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(item?.updatedAt.getTime()).toBeGreaterThanOrEqual(item?.createdAt.getTime() ?? Number.NaN);
  },
  "an item that is not there is null": async ({ open }) => {
    expect(await (await open()).get(["a"], "nothing")).toBeNull();
  },
  "an empty object is a value": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "k", {}, false);
    expect((await store.get(["a"], "k"))?.value).toEqual({});
  },
  "a second put replaces the value and keeps the time of creation": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "k", { n: 1, gone: true }, false);
    const first = await store.get(["a"], "k");
    await store.put(["a"], "k", { n: 2 }, false);
    const second = await store.get(["a"], "k");
    expect(second?.value).toEqual({ n: 2 });
    expect(second?.createdAt).toEqual(first?.createdAt);
    expect(second?.updatedAt.getTime()).toBeGreaterThanOrEqual(first?.updatedAt.getTime() ?? Number.NaN);
  },
  "what a caller does to a value it put, got or found does not change the store": async ({ open }) => {
    const store = await open();
    const value = { list: [1] };
    await store.put(["a"], "k", value, false);
    value.list.push(2);
    (await store.get(["a"], "k"))?.value["list"].push(3);
    (await store.search(["a"]))[0]?.value["list"].push(4);
    expect((await store.get(["a"], "k"))?.value).toEqual({ list: [1] });
  },
  "a value of one megabyte comes back whole": async ({ open }) => {
    const store = await open();
    const text = "Grüße 你好 🎉 ".repeat(60_000);
    await store.put(["a"], "k", { text }, false);
    expect((await store.get(["a"], "k"))?.value["text"]).toBe(text);
  },
  "text of any language, emoji, quotes and SQL comes back letter for letter, also as key and label": async ({
    open,
  }) => {
    const store = await open();
    const text = `Grüße 你好 🎉 'single' "double" \\ ; DROP TABLE store; -- \n\t %_`;
    const label = `ü 你 🎉 '";--`;
    await store.put([label], text, { text }, false);
    expect(await store.get([label], text)).toMatchObject({ namespace: [label], key: text, value: { text } });
    expect(await store.search([label])).toHaveLength(1);
  },
  "keys that differ in case, accents or normal form are different": async ({ open }) => {
    const store = await open();
    const keys = ["k", "K", "\u00e9", "e\u0301", "e", " k", "k "];
    for (const key of keys) await store.put(["a"], key, { key }, false);
    for (const key of keys) expect((await store.get(["a"], key))?.value).toEqual({ key });
    expect(await store.search(["a"])).toHaveLength(keys.length);
  },
  "a deleted item is gone, and deleting what is not there is no error": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "k", { n: 1 }, false);
    await store.delete(["a"], "k");
    await store.delete(["a"], "k");
    expect(await store.get(["a"], "k")).toBeNull();
    expect(await store.search(["a"])).toEqual([]);
  },
  "a batch answers in the order of its operations; its reads see the state before its writes": async ({ open }) => {
    const store = await open();
    await store.put(["b"], "k", { n: 1 }, false);
    const results: unknown[] = await store.batch([
      put("k", { n: 2 }),
      { namespace: ["b"], key: "k" },
      { namespacePrefix: ["b"] },
      { matchConditions: [{ matchType: "prefix", path: ["b"] }], limit: 10, offset: 0 },
      { namespace: ["b"], key: "none" },
    ]);
    expect(results[1]).toMatchObject({ value: { n: 1 } });
    expect(results[2]).toMatchObject([{ value: { n: 1 } }]);
    expect(results[3]).toEqual([["b"]]);
    expect(results[4]).toBeNull();
    expect((await store.get(["b"], "k"))?.value).toEqual({ n: 2 });
  },
  "of several writes to one address in a batch the last wins": async ({ open }) => {
    const store = await open();
    const gone = { namespace: ["b"], key: "gone", value: null };
    await store.batch([put("k", { n: 1 }), put("gone", { n: 1 }), put("k", { n: 2 }), gone]);
    expect((await store.get(["b"], "k"))?.value).toEqual({ n: 2 });
    expect(await store.get(["b"], "gone")).toBeNull();
  },
  "one bad operation, and nothing of its batch is stored": async ({ open }) => {
    const store = await open();
    const bad = [
      put("", { n: 1 }),
      put("a\0b", { n: 1 }),
      put("a\ud800", { n: 1 }),
      put("k", { n: 1n }),
      put("k", { text: "a\0b" }),
      put("k", { deep: ["half \udc00"] }),
      put("k", { n: 1 }, []),
      put("k", { n: 1 }, ["a", ""]),
      put("k", { n: 1 }, ["a.b"]),
      put("k", { n: 1 }, ["a\0"]),
      put("k", { n: 1 }, ["langgraph", "a"]),
    ];
    for (const each of bad) await expect(store.batch([put("good", { n: 1 }), each])).rejects.toThrow();
    expect(await store.search(["b"])).toEqual([]);
    expect(await store.listNamespaces({})).toEqual([]);
  },
  "a value that is no object is refused": async ({ open }) => {
    const store = await open();
    await expect(store.batch([put("k", [1])])).rejects.toThrow(TypeError);
    expect(await store.get(["b"], "k")).toBeNull();
  },
  "a search that is refused keeps its batch from being stored": async ({ open }) => {
    const store = await open();
    const bad = [
      { namespacePrefix: ["b"], filter: { n: { $near: 1 } } },
      { namespacePrefix: ["b"], limit: -1 },
      { namespacePrefix: ["a.b"] },
    ];
    for (const search of bad) await expect(store.batch([put("good", { n: 1 }), search])).rejects.toThrow();
    expect(await store.get(["b"], "good")).toBeNull();
  },
  "an empty batch does nothing": async ({ open }) => {
    expect(await (await open()).batch([])).toEqual([]);
  },
  "names that JavaScript gives every object are names like others": async ({ open }) => {
    const store = await open();
    const text = '{"__proto__":{"a":1},"constructor":"c","toString":null,"hasOwnProperty":[]}';
    await store.put(["a"], "__proto__", JSON.parse(text), false);
    await store.put(["constructor", "__proto__"], "k", { n: 1 }, false);
    expect(JSON.parse(JSON.stringify((await store.get(["a"], "__proto__"))?.value))).toEqual(JSON.parse(text));
    expect(Object.keys((await store.get(["a"], "__proto__"))?.value ?? {}).sort()).toEqual([
      "__proto__",
      "constructor",
      "hasOwnProperty",
      "toString",
    ]);
    expect(await store.search(["constructor"])).toHaveLength(1);
  },
  "what a caller does to a value while its put is under way does not count": async ({ open }) => {
    const store = await open();
    const value = { text: "before", list: [1] };
    const done = store.put(["a"], "k", value);
    value.text = "after";
    value.list.push(2);
    await done;
    expect((await store.get(["a"], "k"))?.value).toEqual({ text: "before", list: [1] });
  },
  "labels and keys of a thousand characters are kept apart": async ({ open }) => {
    const store = await open();
    // Not repetitive, since databases compress.
    const long = Array.from({ length: 120 }, (_, i) => (i * 2_654_435_761).toString(36))
      .join("")
      .slice(0, 1_000);
    for (const end of ["a", "b"]) await store.put([`${long}${end}`], `${long}${end}`, { end }, false);
    for (const end of ["a", "b"]) {
      expect((await store.get([`${long}${end}`], `${long}${end}`))?.value).toEqual({ end });
      expect(await store.search([`${long}${end}`])).toHaveLength(1);
    }
  },
  "a text that only looks like an escaped NUL is a text": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "k", { text: "\\u0000 \\ud800" }, false);
    expect((await store.get(["a"], "k"))?.value).toEqual({ text: "\\u0000 \\ud800" });
  },
  "namespaces are listed by prefix, suffix, wildcard, depth, limit and offset, sorted": async ({ open }) => {
    const store = await open();
    for (const namespace of [["r", "u2", "y", "z"], ["r", "u1", "x"], ["q"], ["r", "u2", "x"], ["r10"]]) {
      await store.put(namespace, "k", { n: 1 }, false);
    }
    const x = [
      ["r", "u1", "x"],
      ["r", "u2", "x"],
    ];
    expect(await store.listNamespaces({ prefix: ["r", "u2"] })).toEqual([
      ["r", "u2", "x"],
      ["r", "u2", "y", "z"],
    ]);
    expect(await store.listNamespaces({ suffix: ["x"] })).toEqual(x);
    expect(await store.listNamespaces({ prefix: ["r", "*", "y"] })).toEqual([["r", "u2", "y", "z"]]);
    expect(await store.listNamespaces({ suffix: ["*", "z"] })).toEqual([["r", "u2", "y", "z"]]);
    expect(await store.listNamespaces({ prefix: ["r"], maxDepth: 2 })).toEqual([
      ["r", "u1"],
      ["r", "u2"],
    ]);
    expect(await store.listNamespaces({ prefix: ["r"], limit: 1, offset: 1 })).toEqual([["r", "u2", "x"]]);
    expect(await store.listNamespaces({})).toHaveLength(5);
  },
  "a list of namespaces is narrowed by prefix and suffix together, and may be empty": async ({ open }) => {
    const store = await open();
    for (const namespace of [
      ["r", "u1", "x"],
      ["r", "u2", "y"],
      ["q", "x"],
    ])
      await store.put(namespace, "k", {}, false);
    expect(await store.listNamespaces({ prefix: ["r"], suffix: ["x"] })).toEqual([["r", "u1", "x"]]);
    expect(await store.listNamespaces({ prefix: ["r", "u1", "x", "deeper"] })).toEqual([]);
    expect(await store.listNamespaces({ prefix: ["r"], offset: 2 })).toEqual([]);
    expect(await store.listNamespaces({ prefix: ["r"], maxDepth: 1 })).toEqual([["r"]]);
    expect(await store.listNamespaces({ suffix: [] })).toHaveLength(3);
  },
  "a namespace without items is not listed": async ({ open }) => {
    const store = await open();
    await store.put(["a"], "k", { n: 1 }, false);
    await store.delete(["a"], "k");
    expect(await store.listNamespaces({})).toEqual([]);
  },
});
