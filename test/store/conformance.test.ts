import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { describeStore, index, type StoreFactory } from "./conformance.ts";

const openMemory: StoreFactory = async (index) => {
  const store = await MnemailStore.open(createMemoryDriver(), index ? { index } : {});
  return { store, release: () => store.stop() };
};

const openSqlite: StoreFactory = async (index) => {
  const folder = await mkdtemp(join(tmpdir(), "mnemail-store-"));
  const store = await MnemailStore.open(openSqliteDriver(join(folder, "memory.db")), index ? { index } : {});
  const release = async () => {
    await store.stop();
    await rm(folder, { recursive: true });
  };
  return { store, release };
};

describeStore("memory:", openMemory);
describeStore("sqlite:", openSqlite);

const label = fc.constantFrom("u", "u1", "u10", "é", "a%", "a_");
const namespace = fc.array(label, { minLength: 1, maxLength: 3 });
const key = fc.constantFrom("k1", "k2", "k'3");
const operation = fc.oneof(
  fc.record({ namespace, key, value: fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { maxKeys: 3 }) }),
  fc.record({ namespace, key, value: fc.constant(null) }),
  fc.record({ namespace, key }),
  fc.record({ namespacePrefix: namespace, limit: fc.integer({ min: 0, max: 5 }) }),
);

test("after any history, SQLite holds what the memory store holds", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 8 }), async (batches) => {
      const memory = await openMemory(index);
      const sqlite = await openSqlite(index);
      for (const batch of batches) {
        const gets = await Promise.all([memory.store.batch(batch), sqlite.store.batch(batch)]);
        const [a, b] = gets.map((results) => results.map((result) => valuesOf(result)));
        expect(b).toEqual(a);
      }
      expect(await sqlite.store.listNamespaces({})).toEqual(await memory.store.listNamespaces({}));
      await Promise.all([memory.release(), sqlite.release()]);
    }),
    { numRuns: 30 },
  );
});

/** Items without times; searches as sets, since two puts of one millisecond have no order in time. */
function valuesOf(result: unknown): unknown {
  if (Array.isArray(result)) return result.length;
  return typeof result === "object" && result !== null && "value" in result ? result.value : null;
}
