import { expect, test } from "vitest";
import { count, fixed, percent, percentNumber, plain, points, pValue } from "../../../src/evals/rendering/format.ts";

test.each([
  [percent(0.8421), "84.2 %"],
  [percent(1), "100.0 %"],
  [percent(null), "–"],
  [percentNumber(0.0049), "0.5"],
  [points(0.123), "+12.3"],
  [points(-0.123), "−12.3"],
  [points(0), "0.0"],
  [points(-0.0001), "0.0"],
  [points(0.0001), "0.0"],
  [points(null), "–"],
  [count(0), "0"],
  [count(999), "999"],
  [count(1_234_567), "1,234,567"],
  [fixed(-0.5, 2), "−0.50"],
  [fixed(null, 2), "–"],
  [pValue(0.0009), "< 0.001"],
  [pValue(0.001), "0.001"],
  [pValue(1), "1.000"],
  [pValue(null), "–"],
  [plain(0.7), "0.7"],
  [plain(12), "12"],
  [plain(0), "0"],
  [plain(10.5), "10.5"],
  [plain(100), "100"],
  [plain(0.77083333), "0.7708"],
  [plain(-0.05), "−0.05"],
])("a number is written as %s", (written, expected) => {
  expect(written).toBe(expected);
});
