import { InMemoryStore } from "@langchain/langgraph";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { afterAll, describe, expect, test } from "vitest";
import { StoreAccess } from "../../src/memory/access.ts";
import { TemporaryData } from "../../src/memory/temporary.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { threadNamespace } from "../../src/store/namespaces.ts";
import { openStore } from "../../src/store/open-store.ts";
import { temporaryFolder } from "../support/assistant.ts";

const NOON = Date.parse("2026-03-06T12:00:00Z");
const folder = temporaryFolder();
let files = 0;
afterAll(() => folder[Symbol.dispose]());

/** Temporary data whose clock is set by the test, in minutes after noon. */
function dataOn(store: BaseStore) {
  const clock = { minutes: 0 };
  const now = () => new Date(NOON + clock.minutes * 60_000);
  return { clock, data: new TemporaryData(new StoreAccess(store, () => {}), now) };
}

const stores: [string, () => Promise<BaseStore>][] = [
  ["SQLite", () => openStore({ backend: "sqlite", path: folder.path(`${files++}.db`) })],
  ["memory", () => openStore({ backend: "memory" })],
  ["InMemoryStore", async () => new InMemoryStore()],
];

describe.each(stores)("temporary data on %s", (_, open) => {
  test("is there until its time is over, a day unless said otherwise", async () => {
    const { data, clock } = dataOn(await open());
    await data.put("user1", "t", "short", { step: 2, of: ["a", null] }, { minutes: 5 });
    await data.put("user1", "t", "long", "x");
    expect(await data.get("user1", "t", "short")).toEqual({ step: 2, of: ["a", null] });
    expect(await data.list("user1", "t")).toEqual([
      { key: "long", value: "x", expiresAt: "2026-03-07T12:00:00.000Z" },
      { key: "short", value: { step: 2, of: ["a", null] }, expiresAt: "2026-03-06T12:05:00.000Z" },
    ]);
    clock.minutes = 4;
    expect(await data.get("user1", "t", "short")).toBeDefined();
    clock.minutes = 5;
    expect(await data.get("user1", "t", "short")).toBeUndefined();
    expect((await data.list("user1", "t")).map(({ key }) => key)).toEqual(["long"]);
    clock.minutes = 24 * 60;
    expect(await data.list("user1", "t")).toEqual([]);
    // Put again, it lives again.
    await data.put("user1", "t", "short", 0);
    expect(await data.get("user1", "t", "short")).toBe(0);
  });

  test("is one thread's of one user: none of it is seen or removed from another", async () => {
    const { data, clock } = dataOn(await open());
    const long = "m".repeat(600);
    const places = ["a", "a.b", "ab", "a=2Eb", "a b", "*", long, `${long}n`].flatMap((thread) => [
      ["user1", thread] as const,
      ["user10", thread] as const,
    ]);
    for (const [user, thread] of places) await data.put(user, thread, "k", `${user} ${thread}`, { minutes: 5 });
    for (const [user, thread] of places) {
      expect((await data.list(user, thread)).map(({ value }) => value)).toEqual([`${user} ${thread}`]);
    }
    expect(await data.clear("user1", "a")).toBe(1);
    expect(await data.clear("user1", "a")).toBe(0);
    expect(await data.get("user1", "a", "k")).toBeUndefined();
    for (const [user, thread] of places.slice(1)) expect(await data.get(user, thread, "k")).toBe(`${user} ${thread}`);
    clock.minutes = 5;
    expect(await data.cleanUp("user1")).toBe(places.length / 2 - 1);
    clock.minutes = 0;
    expect(await data.get("user1", "ab", "k")).toBeUndefined();
    expect(await data.get("user10", "ab", "k")).toBe("user10 ab");
  });

  test("that cleaning up removes is only what is past its time", async () => {
    const { data, clock } = dataOn(await open());
    await data.put("user1", "t", "short", 1, { minutes: 1 });
    await data.put("user1", "t2", "short", 1, { minutes: 1 });
    await data.put("user1", "t", "long", 1);
    clock.minutes = 1;
    expect(await data.cleanUp("user1")).toBe(2);
    expect(await data.cleanUp("user1")).toBe(0);
    clock.minutes = 0;
    expect((await data.list("user1", "t")).map(({ key }) => key)).toEqual(["long"]);
  });

  test("says what is wrong in one line: no thread, no sensible time", async () => {
    const { data } = dataOn(await open());
    await expect(data.put("user1", "", "k", 1)).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/^thread id: /),
    });
    for (const minutes of [0, 0.5, -1, Number.NaN, 1e9]) {
      await expect(data.put("user1", "t", "k", 1, { minutes })).rejects.toMatchObject({
        code: "usage",
        message: expect.stringContaining(`saw ${minutes} minutes; expected whole minutes from 1`),
      });
    }
    expect(await data.list("user1", "t")).toEqual([]);
  });

  test("of another shape, which others wrote there, is passed over and cleared", async () => {
    const store = await open();
    const { data } = dataOn(store);
    await store.put(threadNamespace("user1", "t"), "odd", { text: "x" });
    expect(await data.list("user1", "t")).toEqual([]);
    expect(await data.get("user1", "t", "odd")).toBeUndefined();
    expect(await data.cleanUp("user1")).toBe(0);
    expect(await data.clear("user1", "t")).toBe(1);
  });
});

test("our own stores are told the time too, so that sweeping removes what is over", async () => {
  await using store = await openStore({ backend: "sqlite", path: folder.path("ttl.db") });
  const { data } = dataOn(store);
  await data.put("user1", "t", "k", 1, { minutes: 7 });
  const kept = [];
  for await (const page of store.pages([threadNamespace("user1", "t")])) kept.push(...page);
  expect(store).toBeInstanceOf(MnemailStore);
  expect(kept).toMatchObject([{ key: "k", ttlMinutes: 7, expiresAt: expect.any(Date) }]);
});
