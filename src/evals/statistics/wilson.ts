import { NORMAL_975 } from "./normal.ts";

/**
 * Wilson's score interval of 95 % for a rate, without correction for continuity; null where there is nothing to rate.
 * E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; recommended by R. G. Newcombe, Stat. Med. 17 (1998) 857.
 */
export function wilsonInterval(right: number, of: number): [number, number] | null {
  if (of === 0) return null;
  const z = NORMAL_975;
  const middle = 2 * right + z ** 2;
  const reach = z * Math.sqrt(z ** 2 + (4 * right * (of - right)) / of);
  const bound = (value: number) => value / (2 * (of + z ** 2));
  // At the ends the bound is the rate itself, which rounding misses.
  return [right === 0 ? 0 : bound(middle - reach), right === of ? 1 : bound(middle + reach)];
}
