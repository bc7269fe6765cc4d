import fc from "fast-check";
import { expect, test } from "vitest";
import { wilsonInterval } from "../../../src/evals/statistics/wilson.ts";

test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])("%d of %d: %f to %f (Newcombe 1998, Table I, method 3)", (right, of, low, high) => {
  const interval = wilsonInterval(right, of);
  expect(interval?.map((bound) => Number(bound.toFixed(4)))).toEqual([low, high]);
});

test("nothing to rate has no interval", () => {
  expect(wilsonInterval(0, 0)).toBeNull();
});

test("an interval is within 0 and 1, has the rate in it, and mirrors that of what is wrong", () => {
  const counts = fc
    .integer({ min: 1, max: 5_000 })
    .chain((of) => fc.tuple(fc.integer({ min: 0, max: of }), fc.constant(of)));
  fc.assert(
    fc.property(counts, ([right, of]) => {
      const [low = -1, high = 2] = wilsonInterval(right, of) ?? [];
      const [lowWrong = -1, highWrong = 2] = wilsonInterval(of - right, of) ?? [];
      expect(low).toBeGreaterThanOrEqual(0);
      expect(high).toBeLessThanOrEqual(1);
      expect(low).toBeLessThanOrEqual(right / of);
      expect(high).toBeGreaterThanOrEqual(right / of);
      expect(low).toBeCloseTo(1 - highWrong, 12);
      expect(high).toBeCloseTo(1 - lowWrong, 12);
    }),
  );
});
