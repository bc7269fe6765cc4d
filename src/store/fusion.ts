/** An item in a ranking, which is best first; scores of different kinds of ranking do not compare. */
export interface RankedKey {
  key: string;
  score: number;
}

/** The constant of the paper: how much the first places count above later ones. */
const K = 60;

/**
 * The first places of a ranking that count where rankings are fused: further down, a place adds less than 1/460. Always as
 * many, so that the pages of a search are cut from one order.
 */
export const FUSED_PLACES = 400;

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

/** Collects the best of many items, sorting now and then the few that pass the worst of the best so far. */
export class Best {
  readonly #limit: number;
  #found: RankedKey[] = [];
  #worst: RankedKey = { key: "", score: Number.NEGATIVE_INFINITY };

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether an item can still be among the best; many may score alike. */
  admits(key: string, score: number): boolean {
    const { score: worst } = this.#worst;
    return score > worst || (score === worst && key < this.#worst.key);
  }

  /** Takes an item that is admitted. */
  add(key: string, score: number): void {
    this.#found.push({ key, score });
    if (this.#found.length < 2 * this.#limit) return;
    this.#found = this.sorted();
    this.#worst = this.#found.at(-1) ?? this.#worst;
  }

  /** The best so far, best first. */
  sorted(): RankedKey[] {
    return this.#found.sort(bestFirst).slice(0, this.#limit);
  }
}

/** Sorts by score, best first; equal scores by key, in code units. */
export function bestFirst(a: RankedKey, b: RankedKey): number {
  if (a.score !== b.score) return b.score - a.score;
  return a.key < b.key ? -1 : Number(a.key > b.key);
}
