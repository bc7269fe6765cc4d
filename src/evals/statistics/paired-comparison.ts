import type { Comparison } from "../report.ts";
import { percentileInterval } from "./bootstrap.ts";
import { mcNemarP } from "./mcnemar.ts";
import { createRandom } from "./random.ts";
import { FEWEST_PAIRS, smallestEffect } from "./smallest-effect.ts";

/**
 * Whether one trial of a case is right in each of two arms. Pairs of one case are repeats of it, and those of one group are
 * not independent of each other.
 */
export interface Pair {
  case: string;
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
 * Compares two arms by pairs of the same case: McNemar's test over cases, each of which counts once, for the arm that was
 * right more often in its repeats; and an interval of the difference by 2,000 resamples of whole groups. What could have
 * been seen is told as if each group were one pair, since more pairs of a group add less than they seem to: it errs on the
 * side of too little. The same pairs and seed give the same numbers, in whatever order they come; with the arms exchanged,
 * the same with the other sign.
 */
export function comparePairs(pairs: readonly Pair[], seed: number): PairedComparison {
  const count = (holds: (pair: Pair) => boolean) => pairs.filter(holds).length;
  const cases = gainsBy(pairs, (pair) => pair.case);
  const onlyA = cases.filter(({ gained }) => gained < 0).length;
  const onlyB = cases.filter(({ gained }) => gained > 0).length;
  const groups = gainsBy(pairs, ({ group }) => group);
  const rate = (right: number) => (pairs.length === 0 ? null : right / pairs.length);
  const numbers = {
    pairs: pairs.length,
    groups: groups.length,
    rate_a: rate(count(({ a }) => a)),
    rate_b: rate(count(({ b }) => b)),
    difference: pairs.length === 0 ? null : differenceOf(groups),
    interval: percentileInterval(groups, differenceOf, { random: createRandom(seed) }),
    only_a: onlyA,
    only_b: onlyB,
    p: pairs.length === 0 ? null : mcNemarP(onlyA, onlyB),
    smallest_effect: smallestEffect(groups.length, (groups.length * (onlyA + onlyB)) / Math.max(1, cases.length)),
  };
  return { ...numbers, verdict: verdictOf(numbers) };
}

/**
 * The word for a comparison. `improved` and `regressed` need both an interval without zero, which knows of groups, and p
 * < 0.05, which a few lucky pairs do not reach. `no effect detected` says that an effect beyond {@link MARGIN} would have
 * been seen: the smallest that could have been is within it, and so is the whole interval, which has to hold zero. All
 * else is `inconclusive`, and so is anything of fewer than six groups.
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
  const isNothing = low <= 0 && high >= 0 && low >= -MARGIN && high <= MARGIN;
  return isNothing && smallest !== null && smallest <= MARGIN ? "no effect detected" : "inconclusive";
}

interface Gain {
  pairs: number;
  /** How many more are right in b than in a. */
  gained: number;
}

/** By name, so that the order of the pairs decides nothing. */
function gainsBy(pairs: readonly Pair[], nameOf: (pair: Pair) => string): Gain[] {
  const gains = new Map<string, Gain>();
  for (const pair of pairs) {
    const known = gains.get(nameOf(pair)) ?? { pairs: 0, gained: 0 };
    const gained = known.gained + Number(pair.b) - Number(pair.a);
    gains.set(nameOf(pair), { pairs: known.pairs + 1, gained });
  }
  return [...gains].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, gain]) => gain);
}

function differenceOf(groups: readonly Gain[]): number {
  let [pairs, gained] = [0, 0];
  for (const group of groups) {
    pairs += group.pairs;
    gained += group.gained;
  }
  return gained / pairs;
}
