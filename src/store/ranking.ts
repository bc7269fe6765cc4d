import { bestFirst, fuse, type RankedKey } from "./fusion.ts";
import type { RowRanking } from "./row-driver.ts";

/**
 * The order that a search asks for, from those by vector and by words. Without vectors that could be compared
 * (`byVector` undefined), words rank alone. Of rankings that are joined the first `places` count.
 */
export function combine(
  { by }: RowRanking,
  byVector: RankedKey[] | undefined,
  byWords: () => RankedKey[],
  places: number,
): RankedKey[] {
  if (byVector === undefined || by === "words") return byWords();
  return by === "vector" ? byVector : fuse([byVector.slice(0, places), byWords().slice(0, places)]);
}

/** Ranks items by cosine similarity of their nearest vector to the query; those without a comparable one are left out. */
export function rankByVector(items: Iterable<[string, readonly Float32Array[]]>, query: Float32Array): RankedKey[] {
  const ranked: RankedKey[] = [];
  for (const [key, vectors] of items) {
    const scores = vectors
      .filter((each) => each.length === query.length)
      .map((each) => cosine(each, query))
      .filter(Number.isFinite);
    if (scores.length > 0) ranked.push({ key, score: Math.max(...scores) });
  }
  return ranked.sort(bestFirst);
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let normA = 0;
  let normB = 0;
  for (let i = 0; i < a.length; i += 1) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    normA += x * x;
    normB += y * y;
  }
  return normA === 0 || normB === 0 ? 0 : dot / Math.sqrt(normA * normB);
}
