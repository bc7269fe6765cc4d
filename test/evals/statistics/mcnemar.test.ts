import fc from "fast-check";
import { expect, test } from "vitest";
import { mcNemarP } from "../../../src/evals/statistics/mcnemar.ts";

test("12 against 2: p = 0.0129 (Armitage and Berry 1994, p. 127, media for tubercle bacilli; exact, StatsDirect help)", () => {
  expect(mcNemarP(12, 2)).toBeCloseTo(0.0129, 4);
});

test("2 against 9: p = 0.06543 (Fay, vignette of the R package exact2x2)", () => {
  expect(mcNemarP(2, 9)).toBeCloseTo(0.06543, 5);
});

test("approval ratings, 150 against 86: as far out as z = -4.17 (Agresti, Categorical Data Analysis, Table 10.1)", () => {
  // Two-sided normal tail of z = 4.17 without, and of 4.10 with the correction for continuity: 3.1e-5 and 4.1e-5.
  expect(mcNemarP(150, 86)).toBeGreaterThan(3.0e-5);
  expect(mcNemarP(150, 86)).toBeLessThan(4.3e-5);
});

test("five pairs on one side are not enough for 0.05, six are", () => {
  expect(mcNemarP(0, 5)).toBeCloseTo(0.0625, 12);
  expect(mcNemarP(0, 6)).toBeCloseTo(0.03125, 12);
});

test("without discordant pairs, or with as many on each side, p is 1", () => {
  expect(mcNemarP(0, 0)).toBe(1);
  expect(mcNemarP(7, 7)).toBe(1);
});

test("thousands of pairs, whose terms are too small for a computer, still have a p-value", () => {
  // The normal approximation, z = (1000 - 900) / sqrt(1900) = 2.294: 0.0218; continuity adds a little.
  expect(mcNemarP(900, 1000)).toBeGreaterThan(0.0215);
  expect(mcNemarP(900, 1000)).toBeLessThan(0.0235);
});

test("p is that of the definition in whole numbers, and does not depend on which arm is first", () => {
  const count = fc.integer({ min: 0, max: 25 });
  fc.assert(
    fc.property(count, count, (a, b) => {
      let [choices, tail] = [1n, 0n];
      for (let k = 0; k <= Math.min(a, b); k += 1) {
        tail += choices;
        choices = (choices * BigInt(a + b - k)) / BigInt(k + 1);
      }
      expect(mcNemarP(a, b)).toBeCloseTo(Math.min(1, (2 * Number(tail)) / 2 ** (a + b)), 12);
      expect(mcNemarP(b, a)).toBe(mcNemarP(a, b));
    }),
  );
});
