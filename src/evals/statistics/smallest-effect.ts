import { NORMAL_80 as POWER, NORMAL_975 as TEST } from "./normal.ts";

/** With fewer discordant pairs, all on one side, McNemar's exact test has no p-value below 0.05: 2 · 2^-5 = 0.0625. */
export const FEWEST_PAIRS = 6;

/**
 * The smallest difference of two rates that so many independent pairs would have shown at 5 %, two-sided, with a power of
 * 80 %. O. S. Miettinen's formula (Biometrics 24 (1968) 339) as R. J. Connor has it (Biometrics 43 (1987) 207), for n pairs
 * with a rate q of discordant ones and a difference d,
 *
 *     n d² = (z(0.975) √q + z(0.80) √(q - d²))²
 *
 * solved for d, with the rate of discordant pairs that was found. No difference can be larger than q: where the solution
 * would be, since few or no pairs are discordant, more of them are assumed, and all on one side (q = d), which takes the
 * fewest. Null for fewer than six pairs, which can show nothing.
 */
export function smallestEffect(pairs: number, discordant: number): number | null {
  if (pairs < FEWEST_PAIRS) return null;
  const rate = discordant / pairs;
  const effect =
    (Math.sqrt(rate) * (TEST * Math.sqrt(pairs) + POWER * Math.sqrt(pairs - TEST ** 2 + POWER ** 2))) /
    (pairs + POWER ** 2);
  return Math.max(effect, smallestOneSided(pairs));
}

/** The solution of `n d = (z(0.975) + z(0.80) √(1 - d))²`, a quadratic equation in √(1 - d). */
function smallestOneSided(pairs: number): number {
  const a = pairs + POWER ** 2;
  const b = TEST * POWER;
  const root = (-b + Math.sqrt(b ** 2 + a * (pairs - TEST ** 2))) / a;
  return 1 - root ** 2;
}
