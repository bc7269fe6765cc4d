import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { expect } from "vitest";
import { clauses } from "./describe-store.ts";

const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key);
const found = async (store: BaseStore, filter: Record<string, unknown>) =>
  keysOf(await store.search(["f"], { filter })).sort();

/** What a filter lets through: values compare as JSON, whatever is stored. */
export const FILTERS = clauses({
  "filters compare numbers": async ({ open }) => {
    const store = await open();
    for (const n of [1, 2, 10]) await store.put(["f"], `k${n}`, { n }, false);
    expect(await found(store, { n: 2 })).toEqual(["k2"]);
    expect(await found(store, { n: { $eq: 2 } })).toEqual(["k2"]);
    expect(await found(store, { n: { $gte: 2 } })).toEqual(["k10", "k2"]);
    expect(await found(store, { n: { $gt: 1, $lt: 10 } })).toEqual(["k2"]);
    expect(await found(store, { n: { $lte: 2, $ne: 1 } })).toEqual(["k2"]);
    expect(await found(store, { n: { $in: [1, 10] } })).toEqual(["k1", "k10"]);
  },
  "filters compare texts and dates, which order as time does": async ({ open }) => {
    const store = await open();
    for (const day of ["2026-01-02", "2026-01-10", "2026-02-01"]) {
      await store.put(["f"], day, { day, at: new Date(`${day}T10:00:00Z`) }, false);
    }
    expect(await found(store, { day: { $gte: "2026-01-10" } })).toEqual(["2026-01-10", "2026-02-01"]);
    expect(await found(store, { day: { $lt: "2026-01-10" } })).toEqual(["2026-01-02"]);
    expect(await found(store, { at: { $gt: new Date("2026-01-10T10:00:00Z") } })).toEqual(["2026-02-01"]);
    expect(await found(store, { at: new Date("2026-01-10T10:00:00Z") })).toEqual(["2026-01-10"]);
  },
  "filters compare lists and objects whole": async ({ open }) => {
    const store = await open();
    await store.put(["f"], "list", { v: [1, 2] }, false);
    await store.put(["f"], "object", { v: { a: 1, b: 2 } }, false);
    expect(await found(store, { v: [1, 2] })).toEqual(["list"]);
    expect(await found(store, { v: [2, 1] })).toEqual([]);
    expect(await found(store, { v: { b: 2, a: 1 } })).toEqual(["object"]);
    expect(await found(store, { v: { $in: [[1, 2], 5] } })).toEqual(["list"]);
  },
  'filters tell kinds of values apart: 1 is not "1" and not true': async ({ open }) => {
    const store = await open();
    const values = { number: 1, text: "1", yes: true, nested: [1] };
    for (const [key, v] of Object.entries(values)) await store.put(["f"], key, { v }, false);
    expect(await found(store, { v: 1 })).toEqual(["number"]);
    expect(await found(store, { v: "1" })).toEqual(["text"]);
    expect(await found(store, { v: true })).toEqual(["yes"]);
    expect(await found(store, { v: { $gte: 0 } })).toEqual(["number"]);
    expect(await found(store, { v: { $gte: "" } })).toEqual(["text"]);
  },
  "a missing field is null to a filter": async ({ open }) => {
    const store = await open();
    await store.put(["f"], "null", { v: null }, false);
    await store.put(["f"], "missing", { other: 1 }, false);
    await store.put(["f"], "there", { v: 1 }, false);
    expect(await found(store, { v: null })).toEqual(["missing", "null"]);
    expect(await found(store, { v: { $ne: 1 } })).toEqual(["missing", "null"]);
    expect(await found(store, { v: { $in: [null] } })).toEqual(["missing", "null"]);
    expect(await found(store, { v: { $in: [] } })).toEqual([]);
    expect(await found(store, { toString: "x" })).toEqual([]);
  },
  "filters order no lists, objects, truth values or nulls": async ({ open }) => {
    const store = await open();
    const values = { list: [1, 2], object: { a: 1 }, yes: true, nothing: null };
    for (const [key, v] of Object.entries(values)) await store.put(["f"], key, { v }, false);
    await store.put(["f"], "missing", {}, false);
    for (const operand of [0, "", null, true, [0]]) {
      for (const operator of ["$gt", "$lt"]) expect(await found(store, { v: { [operator]: operand } })).toEqual([]);
    }
    expect(await found(store, { v: { $ne: [1, 2] } })).toEqual(["missing", "nothing", "object", "yes"]);
    expect(await found(store, { v: { $ne: null } })).toEqual(["list", "object", "yes"]);
    expect(await found(store, { v: {} })).toEqual([]);
  },
  "a filter for what no store can hold finds nothing": async ({ open }) => {
    const store = await open();
    await store.put(["f"], "k", { v: "a", n: null }, false);
    for (const text of ["a\0", "a\ud800"]) {
      expect(await found(store, { v: text })).toEqual([]);
      expect(await found(store, { v: { $in: [text, "b"] } })).toEqual([]);
      expect(await found(store, { [text]: "a" })).toEqual([]);
      expect(await store.search(["f"], { query: text, filter: { v: "b" } })).toEqual([]);
    }
  },
  "any page may be asked for, however large": async ({ open }) => {
    const store = await open();
    await store.put(["p"], "k", { text: "turbine" });
    for (const query of [undefined, "turbine"]) {
      const options = query === undefined ? {} : { query };
      expect(await store.search(["p"], { ...options, limit: Number.MAX_SAFE_INTEGER })).toHaveLength(1);
      expect(await store.search(["p"], { ...options, limit: 5, offset: Number.MAX_SAFE_INTEGER - 5 })).toEqual([]);
    }
  },
  "names in filters are names, not paths or SQL": async ({ open }) => {
    const store = await open();
    const names = ["a.b", "a'b", 'a"b', "$.a", "é", "__proto__x"];
    for (const name of names) await store.put(["f"], name, { [name]: "x", a: { b: "y" } }, false);
    for (const name of names) expect(await found(store, { [name]: "x" })).toEqual([name]);
  },
  "an unknown operator is an error, also where nothing is stored": async ({ open }) => {
    const store = await open();
    await expect(store.search(["f"], { filter: { n: { $near: 1 } } })).rejects.toThrow("$near");
    await expect(store.search(["f"], { filter: { n: { $in: "abc" } } })).rejects.toThrow("$in");
  },
});
