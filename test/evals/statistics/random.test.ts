import fc from "fast-check";
import { expect, test } from "vitest";
import { createRandom, shuffle, splitMix, xoshiro } from "../../../src/evals/statistics/random.ts";

test("xoshiro128** gives the outputs of the reference implementation 1.1 (test of the Rust crate rand_xoshiro)", () => {
  const random = xoshiro([1, 2, 3, 4]);
  const outputs = Array.from({ length: 10 }, () => random.next());
  expect(outputs).toEqual([
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ]);
});

test("SplitMix64 gives the outputs for the seed 1234567 (Rosetta Code, Pseudo-random numbers/Splitmix64)", () => {
  expect(splitMix(1234567n)).toEqual([6457827717110365317n, 3203168211198807973n]);
});

test("a seed decides the numbers, and another seed others", () => {
  const numbers = (seed: number) => {
    const random = createRandom(seed);
    return Array.from({ length: 5 }, () => random.next());
  };
  expect(numbers(7)).toEqual(numbers(7));
  expect(numbers(7)).not.toEqual(numbers(8));
  expect(numbers(-1)).not.toEqual(numbers(0));
});

test("numbers below a limit come about equally often", () => {
  const random = createRandom(1);
  const seen = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < 60_000; i += 1) {
    const at = random.below(6);
    seen[at] = (seen[at] ?? 0) + 1;
  }
  // Each is binomial with mean 10,000 and standard deviation 91.
  for (const count of seen) expect(Math.abs(count - 10_000)).toBeLessThan(5 * 91);
});

test("a shuffle keeps the items, and gives each of the six orders of three about equally often", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (items, seed) => {
      expect(shuffle(items, createRandom(seed)).sort()).toEqual([...items].sort());
    }),
  );
  const random = createRandom(2);
  const orders = new Map<string, number>();
  for (let i = 0; i < 6_000; i += 1) {
    const order = shuffle(["a", "b", "c"], random).join("");
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  expect(orders.size).toBe(6);
  for (const count of orders.values()) expect(Math.abs(count - 1_000)).toBeLessThan(5 * 29);
});
