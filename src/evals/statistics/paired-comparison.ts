import type { Comparison } from "../report.ts";
import { percentileInterval } from "./bootstrap.ts";
import { mcNemarP } from "./mcnemar.ts";
import { createRandom } from "./random.ts";
import { FEWEST_PAIRS, smallestEffect } from "./smallest-effect.ts";

/** Whether one case is right in each of two arms. Pairs of one group are not independent of each other. */
export interface Pair {
  group: string;
  a: boolean;
  b: boolean;
}

/** What two arms come to, without their names. */
export type PairedComparison = Omit<Comparison, "name" | "a" | "b">;

/** A difference of rates that is too small to matter: five cases of a hundred. */
export const MARGIN = 0.05;
const SIGNIFICANT = 0.05;
/** As with pairs: a sign test of fewer groups, all on one side, has no p-value below 0.05. */
const FEWEST_GROUPS = FEWEST_PAIRS;

/**
 * Compares two arms by pairs of the same case: McNemar's test over pairs, and an interval of the difference by 2,000
 * resamples of whole groups. What could have been seen is told as if each group were one pair, since more pairs of a group
 * add less than they seem to: it errs on the side of too little. The same pairs and seed give the same numbers, in whatever order they come; with the arms
 * exchanged, the same with the other sign.
 */
export function comparePairs(pairs: readonly Pair[], seed: number): PairedComparison {
  const count = (holds: (pair: Pair) => boolean) => pairs.filter(holds).length;
  const [onlyA, onlyB] = [count(({ a, b }) => a && !b), count(({ a, b }) => b && !a)];
  const groups = groupsOf(pairs);
  const rate = (right: number) => (pairs.length === 0 ? null : right / pairs.length);
  const numbers = {
    pairs: pairs.length,
    groups: groups.length,
    rate_a: rate(count(({ a }) => a)),
    rate_b: rate(count(({ b }) => b)),
    difference: rate(onlyB - onlyA),
    interval: percentileInterval(groups, differenceOf, { random: createRandom(seed) }),
    only_a: onlyA,
    only_b: onlyB,
    p: pairs.length === 0 ? null : mcNemarP(onlyA, onlyB),
    smallest_effect: smallestEffect(groups.length, (groups.length * (onlyA + onlyB)) / Math.max(1, pairs.length)),
  };
  return { ...numbers, verdict: verdictOf(numbers) };
}

/**
 * The word for a comparison. `improved` and `regressed` need both an interval without zero, which knows of groups, and
 * p < 0.05, which a few lucky pairs do not reach. `no effect detected` says that an effect beyond {@link MARGIN} would have
 * been seen: the smallest that could have been is within it, and so is the whole interval. All else is `inconclusive`, and
 * so is anything of fewer than six groups.
 */
export function verdictOf({
  groups,
  interval,
  p,
  smallest_effect: smallest,
}: Pick<PairedComparison, "groups" | "interval" | "p" | "smallest_effect">): Comparison["verdict"] {
  if (interval === null || p === null || groups < FEWEST_GROUPS) return "inconclusive";
  const [low, high] = interval;
  if (low > 0 && p < SIGNIFICANT) return "improved";
  if (high < 0 && p < SIGNIFICANT) return "regressed";
  const wouldBeSeen = smallest !== null && smallest <= MARGIN && low >= -MARGIN && high <= MARGIN;
  return wouldBeSeen ? "no effect detected" : "inconclusive";
}

interface Group {
  pairs: number;
  /** How many more are right in b than in a. */
  gained: number;
}

/** By name, so that the order of the pairs decides nothing. */
function groupsOf(pairs: readonly Pair[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { group, a, b } of pairs) {
    const known = groups.get(group) ?? { pairs: 0, gained: 0 };
    groups.set(group, { pairs: known.pairs + 1, gained: known.gained + Number(b) - Number(a) });
  }
  return [...groups].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, group]) => group);
}

function differenceOf(groups: readonly Group[]): number {
  let [pairs, gained] = [0, 0];
  for (const group of groups) {
    pairs += group.pairs;
    gained += group.gained;
  }
  return gained / pairs;
}
