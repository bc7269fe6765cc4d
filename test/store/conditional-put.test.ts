import { InMemoryStore } from "@langchain/langgraph";
import { describe, expect, test } from "vitest";
import { inTurn, isConditional, putIf } from "../../src/store/conditional-put.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";

const put = (n: number, expected: { n: number } | null) => [{ namespace: ["a"], key: "k", value: { n }, expected }];

const oneByOne = () => ({ ...mapKeyValue(new Map()), isAtomic: false });

describe.each([
  ["our own store", () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", async () => new InMemoryStore()],
  ["our own store where a batch is not atomic", () => MnemailStore.open(createKeyValueDriver(oneByOne()))],
])("a conditional put on %s", (_, open) => {
  test("holds only for the value that was read", async () => {
    const store = await open();
    expect(await putIf(store, put(1, null))).toBe(true);
    expect(await putIf(store, put(2, null))).toBe(false);
    expect(await putIf(store, put(2, { n: 9 }))).toBe(false);
    expect((await store.get(["a"], "k"))?.value).toEqual({ n: 1 });
    expect(await putIf(store, put(2, { n: 1 }))).toBe(true);
  });

  test("is won by one of several at once", async () => {
    const store = await open();
    const won = await Promise.all([1, 2, 3, 4].map((n) => putIf(store, put(n, null))));
    expect(won.filter(Boolean)).toHaveLength(1);
  });
});

test("only our own stores that are atomic are conditional between processes", async () => {
  expect(isConditional(await MnemailStore.open(createMemoryDriver()))).toBe(true);
  expect(isConditional(await MnemailStore.open(createKeyValueDriver(mapKeyValue(new Map()))))).toBe(true);
  expect(isConditional(await MnemailStore.open(createKeyValueDriver(oneByOne())))).toBe(false);
  expect(isConditional(new InMemoryStore())).toBe(false);
});

test("work of one name is done in turn, also after a failure; of another name at once", async () => {
  const store = new InMemoryStore();
  const log: string[] = [];
  const step = (name: string, label: string, fails = false) =>
    inTurn(store, name, async () => {
      log.push(`${label} begins`);
      await Promise.resolve();
      log.push(`${label} ends`);
      if (fails) throw new Error(label);
    }).catch(() => {});
  await Promise.all([step("a", "1", true), step("a", "2"), step("b", "other")]);
  expect(log.filter((line) => !line.startsWith("other"))).toEqual(["1 begins", "1 ends", "2 begins", "2 ends"]);
  expect(log.indexOf("other begins")).toBeLessThan(log.indexOf("2 begins"));
});
