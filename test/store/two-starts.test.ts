import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { itemOf, openWrittenStore, PLACES, type StoreWriter, startWriter } from "./store-writer.ts";

const ROUNDS = 10;
const NAMES = ["one", "two"];
/** Both processes have read their request by then, in milliseconds. */
const AHEAD_MS = 20;

let pair: StoreWriter[] = [];
beforeAll(async () => {
  pair = await Promise.all(NAMES.map(() => startWriter()));
});
afterAll(async () => {
  for (const each of pair) each.kill();
  await Promise.all(pair.map(({ ended }) => ended));
});

/** Has both processes open one store at one moment; returns what each reports. */
async function openTogether(url: string, puts: boolean): Promise<unknown[]> {
  const at = Date.now() + AHEAD_MS;
  for (const [i, each] of pair.entries()) each.send({ do: "open", url, at, ...(puts ? { put: NAMES[i] } : {}) });
  return Promise.all(pair.map((each) => each.next()));
}

async function itemsOf(url: string): Promise<unknown[]> {
  const store = await openWrittenStore(url);
  try {
    const found = await Promise.all(NAMES.map((key) => store.get(PLACES.items, key)));
    return found.map((item) => item?.value ?? null);
  } finally {
    await store.stop();
  }
}

function startsTogether(emptyStore: (name: string) => Promise<string>) {
  test(`on an empty database start without an error, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const url = await emptyStore(`open_${round}`);
      expect(await openTogether(url, false), `round ${round}`).toEqual([{ done: "opened" }, { done: "opened" }]);
    }
  });

  test(`on an empty database each keep the item they put first, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const url = await emptyStore(`put_${round}`);
      expect(await openTogether(url, true), `round ${round}`).toEqual([{ done: "opened" }, { done: "opened" }]);
      expect(await itemsOf(url), `round ${round}`).toEqual(NAMES.map(itemOf));
    }
  });
}

describe("two processes at once on SQLite", () => {
  const folder = temporaryFolder();
  afterAll(() => folder[Symbol.dispose]());
  startsTogether(async (name) => `sqlite:${folder.path(`${name}.db`)}`);
});

describe("two processes at once on files", () => {
  const folder = temporaryFolder();
  afterAll(() => folder[Symbol.dispose]());
  startsTogether(async (name) => `file:${folder.path(name)}`);
});

const redis = await startRedis();

describe.skipIf(redis === undefined)("two processes at once on a Redis server", () => {
  afterAll(() => redis?.stop());
  startsTogether(async (name) => `${redis?.url}?prefix=${name}`);
});

const server = await startPostgres();

describe.skipIf(server === undefined)("two processes at once on a PostgreSQL server", () => {
  afterAll(() => server?.stop());
  startsTogether(async (name) => (await server?.createDatabase(name)) ?? "");
});
