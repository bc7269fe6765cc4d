import { expect, test } from "vitest";
import { percentileInterval } from "../../../src/evals/statistics/bootstrap.ts";
import { createRandom } from "../../../src/evals/statistics/random.ts";

/** Test A of the spatial test data: Efron and Tibshirani 1993, Table 14.1. */
const SPATIAL = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41];
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: readonly number[]) => mean(values.map((value) => (value - mean(values)) ** 2));

test("the variance of the spatial test data is 171.5, its interval of 90 % 100.8 to 233.9 (Efron and Tibshirani 1993, Table 14.2, percentile)", () => {
  expect(variance(SPATIAL)).toBeCloseTo(171.5, 1);
  const [low = 0, high = 0] = percentileInterval(SPATIAL, variance, { random: createRandom(1), level: 0.9 }) ?? [];
  // The book resampled 2,000 times too: the ends of both have a standard error of about 1.4.
  expect(Math.abs(low - 100.8)).toBeLessThan(5);
  expect(Math.abs(high - 233.9)).toBeLessThan(5);
  // 100,000 resamples by random.choices of Python 3 have 97.7 and 235.3.
  const many = percentileInterval(SPATIAL, variance, { random: createRandom(2), level: 0.9, resamples: 40_000 });
  expect(Math.abs((many?.[0] ?? 0) - 97.7)).toBeLessThan(1);
  expect(Math.abs((many?.[1] ?? 0) - 235.3)).toBeLessThan(1);
});

test("two units have three resamples, a quarter of which are the one alone: the interval of 95 % reaches from one to the other, that of 40 % is their mean", () => {
  const random = () => createRandom(3);
  expect(percentileInterval([0, 10], mean, { random: random() })).toEqual([0, 10]);
  expect(percentileInterval([0, 10], mean, { random: random(), level: 0.4 })).toEqual([5, 5]);
});

test("units that are all equal have an interval of one point, and fewer than two have none", () => {
  expect(percentileInterval([3, 3, 3, 3], mean, { random: createRandom(4) })).toEqual([3, 3]);
  expect(percentileInterval([3], mean, { random: createRandom(4) })).toBeNull();
  expect(percentileInterval([], mean, { random: createRandom(4) })).toBeNull();
});
