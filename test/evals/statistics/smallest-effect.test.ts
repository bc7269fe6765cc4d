import fc from "fast-check";
import { expect, test } from "vitest";
import { mcNemarP } from "../../../src/evals/statistics/mcnemar.ts";
import { createRandom } from "../../../src/evals/statistics/random.ts";
import { smallestEffect } from "../../../src/evals/statistics/smallest-effect.ts";

test.each([
  [23, 0.45, 0.05, "powerandsamplesize.com, McNemar's Z-test, 2-sided, after Connor 1987"],
  [
    59,
    0.5,
    0.2,
    "Chow, Shao and Wang, Sample Size Calculations in Clinical Research, example 6.4.3; R package TrialSize",
  ],
])("%d pairs are the fewest that show %f against %f (%s)", (pairs, p10, p01) => {
  const discordant = (n: number) => n * (p10 + p01);
  expect(smallestEffect(pairs, discordant(pairs))).toBeLessThanOrEqual(p10 - p01);
  expect(smallestEffect(pairs - 1, discordant(pairs - 1))).toBeGreaterThan(p10 - p01);
});

test("the solution fulfils the formula that it solves", () => {
  const counts = fc
    .integer({ min: 6, max: 5_000 })
    .chain((n) => fc.tuple(fc.constant(n), fc.integer({ min: 0, max: n })));
  fc.assert(
    fc.property(counts, ([n, discordant]) => {
      const effect = smallestEffect(n, discordant) ?? 0;
      const rate = Math.max(discordant / n, effect);
      const needed =
        (1.959964 * Math.sqrt(rate) + 0.841621 * Math.sqrt(Math.max(0, rate - effect ** 2))) ** 2 / effect ** 2;
      expect(needed / n).toBeCloseTo(1, 5);
      expect(effect).toBeGreaterThan(0);
      expect(effect).toBeLessThanOrEqual(1);
    }),
  );
});

test("without discordant pairs it is the fewest that, all on one side, would have been seen; fewer than six pairs show nothing", () => {
  expect(smallestEffect(200, 0)).toBeCloseTo(0.0388, 4);
  expect(smallestEffect(200, 0)).toBe(smallestEffect(200, 1));
  expect(smallestEffect(5, 0)).toBeNull();
  expect(smallestEffect(0, 0)).toBeNull();
});

test("more pairs see smaller effects", () => {
  fc.assert(
    fc.property(fc.integer({ min: 6, max: 2_000 }), fc.integer({ min: 1, max: 10 }), (n, tenth) => {
      const at = (pairs: number) => smallestEffect(pairs, (pairs * tenth) / 10) ?? 0;
      expect(at(n + 1)).toBeLessThan(at(n));
    }),
  );
});

test("McNemar's exact test sees an effect of that size about 80 times of 100, as it says", () => {
  const [pairs, rate] = [200, 0.2];
  const effect = smallestEffect(pairs, pairs * rate) ?? 0;
  const random = createRandom(11);
  const uniform = () => random.next() / 2 ** 32;
  const runs = 2_000;
  let seen = 0;
  for (let run = 0; run < runs; run += 1) {
    let [onlyA, onlyB] = [0, 0];
    for (let pair = 0; pair < pairs; pair += 1) {
      const drawn = uniform();
      if (drawn < (rate + effect) / 2) onlyB += 1;
      else if (drawn < rate) onlyA += 1;
    }
    if (onlyB > onlyA && mcNemarP(onlyA, onlyB) < 0.05) seen += 1;
  }
  // The exact test is a little more careful than the formula, which is of the normal approximation.
  expect(seen / runs).toBeGreaterThan(0.7);
  expect(seen / runs).toBeLessThan(0.85);
});
