import type { Random } from "./random.ts";

/** How often is resampled, and how much the interval covers. */
export interface BootstrapOptions {
  random: Random;
  resamples?: number;
  /** Such as 0.95. */
  level?: number;
}

/**
 * The percentile interval of a statistic by the bootstrap: as many units as there are, drawn with replacement, again and
 * again, and the ordered values at both ends (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993,
 * chapter 13). Where the units are whole groups, this is the cluster bootstrap, which asks for no independence within a
 * group. Null for fewer than two units, which say nothing of how units differ.
 */
export function percentileInterval<T extends object | number>(
  units: readonly T[],
  statistic: (sample: readonly T[]) => number,
  { random, resamples = 2_000, level = 0.95 }: BootstrapOptions,
): [number, number] | null {
  if (units.length < 2) return null;
  const values: number[] = [];
  while (values.length < resamples) values.push(statistic(draw(units, random)));
  values.sort((one, other) => one - other);
  const end = Math.max(1, Math.floor((resamples + 1) * ((1 - level) / 2)));
  const [low, high] = [values.at(end - 1), values.at(-end)];
  return low === undefined || high === undefined ? null : [low, high];
}

function draw<T extends object | number>(units: readonly T[], random: Random): T[] {
  const sample: T[] = [];
  for (let left = units.length; left > 0; left -= 1) {
    const unit = units[random.below(units.length)];
    if (unit !== undefined) sample.push(unit);
  }
  return sample;
}
