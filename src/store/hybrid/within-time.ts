import type { VectorIndex } from "./vector-index.ts";

/** How long calls of a vector database may take, in milliseconds. */
export interface Patience {
  timeoutMs: number;
  /** The same while a call that took too long is not `windowMs` ago, and none was answered since. */
  shortMs: number;
  windowMs: number;
}

/** The same index, whose calls fail when they take longer; a listing of everything may. Memory must not wait for it. */
export function withinTime(vectors: VectorIndex, { timeoutMs, shortMs, windowMs }: Patience): VectorIndex {
  let failedAt = Number.NEGATIVE_INFINITY;
  const within = async <T>(call: () => Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const isSuspect = performance.now() - failedAt < windowMs;
    const limitMs = isSuspect ? shortMs : timeoutMs;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // A short one does not count: a database that is only slow must get its time again.
        if (!isSuspect) failedAt = performance.now();
        reject(new Error(`no answer within ${limitMs / 1_000} s`));
      }, limitMs);
    });
    try {
      const answer = await Promise.race([call(), late]);
      failedAt = Number.NEGATIVE_INFINITY;
      return answer;
    } finally {
      clearTimeout(timer);
    }
  };
  const list = vectors.list?.bind(vectors);
  /** A silent database must not be waited for, however long a list may take. */
  const listAwake = async (dimensions: number | undefined) => {
    await within(() => vectors.find({ name: "version", values: ["0"] }, dimensions));
    return list?.(dimensions);
  };
  return {
    ...{ name: vectors.name, reach: vectors.reach },
    dimensions: () => within(() => vectors.dimensions()),
    add: (added) => within(() => vectors.add(added)),
    remove: (ids) => within(() => vectors.remove(ids)),
    search: (near, limit, where) => within(() => vectors.search(near, limit, where)),
    find: (where, dimensions) => within(() => vectors.find(where, dimensions)),
    ...(list ? { list: listAwake } : {}),
    close: () => vectors.close(),
  };
}
