import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { jsonEqual } from "./json-equal.ts";
import { MnemailStore } from "./mnemail-store.ts";
import type { ConditionalPut } from "./operations.ts";

const queues = new WeakMap<BaseStore, Map<string, Promise<unknown>>>();

/**
 * Runs `run` after everything of the same name on the same store has ended, within this process. Writers that
 * would only make each other's conditional puts fail wait for their turn instead.
 */
export async function inTurn<T>(store: BaseStore, name: string, run: () => Promise<T>): Promise<T> {
  const queue = queues.get(store) ?? new Map<string, Promise<unknown>>();
  queues.set(store, queue);
  const turn = (queue.get(name) ?? Promise.resolve()).then(run, run);
  const ended = turn.catch(() => {});
  queue.set(name, ended);
  try {
    return await turn;
  } finally {
    if (queue.get(name) === ended) queue.delete(name);
  }
}

/** Whether {@link putIf} on this store holds between processes too. */
export function isConditional(store: BaseStore): store is MnemailStore {
  return store instanceof MnemailStore;
}

/**
 * Puts all or nothing, on condition that each stored value is the one expected. On our own stores this is atomic. On any
 * other `BaseStore` it is a read, a comparison and two batches in turn, the last put in the second: safe within one
 * process, while between processes the last writer wins.
 */
export async function putIf(
  store: BaseStore,
  puts: readonly ConditionalPut[],
  options: { fleeting?: boolean } = {},
): Promise<boolean> {
  if (isConditional(store)) return store.putIf(puts, options);
  return inTurn(store, "put", async () => {
    const stored = await store.batch(puts.map(({ namespace, key }) => ({ namespace, key })));
    const holds = puts.every(({ expected }, i) => expected === undefined || jsonEqual(stored[i]?.value, expected));
    const plain = puts.map(({ expected: _, ...put }) => put);
    // Such a store may apply a batch in any order: the last put, which vouches for the others, waits for them.
    if (holds && plain.length > 1) await store.batch(plain.slice(0, -1));
    if (holds) await store.batch(plain.slice(-1));
    return holds;
  });
}
