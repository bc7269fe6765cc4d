import type { VectorIndex } from "./vector-index.ts";

/** The same index, whose calls fail when they take longer; a listing of everything may. Memory must not wait for it. */
export function withinTime(vectors: VectorIndex, timeoutMs: number): VectorIndex {
  const within = async <T>(call: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1_000} s`)), timeoutMs);
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  const list = vectors.list?.bind(vectors);
  return {
    ...{ name: vectors.name, reach: vectors.reach },
    dimensions: () => within(vectors.dimensions()),
    add: (added) => within(vectors.add(added)),
    remove: (ids) => within(vectors.remove(ids)),
    search: (near, limit, where) => within(vectors.search(near, limit, where)),
    find: (where, dimensions) => within(vectors.find(where, dimensions)),
    ...(list ? { list } : {}),
    close: () => vectors.close(),
  };
}
