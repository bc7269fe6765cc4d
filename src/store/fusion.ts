/** An item in a ranking, which is best first; scores of different kinds of ranking do not compare. */
export interface RankedKey {
  key: string;
  score: number;
}

/** The constant of the paper: how much the first places count above later ones. */
const K = 60;

/**
 * Joins rankings of the same items, each best first, to one: reciprocal rank fusion (Cormack, Clarke and Büttcher,
 * SIGIR 2009). An item scores 1 / (60 + its place) in each ranking that has it; equal scores are ordered by key, in
 * code units. The order of the rankings does not matter. A key that one ranking repeats counts where it is best.
 */
export function fuse(rankings: readonly (readonly { key: string }[])[]): RankedKey[] {
  const places = new Map<string, number[]>();
  for (const ranking of rankings) {
    const keys = new Set(ranking.map(({ key }) => key));
    let place = 0;
    for (const key of keys) {
      place += 1;
      const found = places.get(key);
      if (found) found.push(place);
      else places.set(key, [place]);
    }
  }
  // Added in one order whatever the order of the rankings, since sums of fractions round differently.
  const score = (of: number[]) => of.sort((a, b) => a - b).reduce((sum, place) => sum + 1 / (K + place), 0);
  return [...places].map(([key, of]) => ({ key, score: score(of) })).sort(bestFirst);
}

/** Sorts by score, best first; equal scores by key, in code units. */
export function bestFirst(a: RankedKey, b: RankedKey): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.key < b.key ? -1 : Number(a.key > b.key);
}
