import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fuse } from "../../src/store/fusion.ts";

const list = (...keys: string[]) => keys.map((key) => ({ key }));
const keys = fc.uniqueArray(fc.constantFrom(..."abcdefghij"), { maxLength: 10 });

describe("reciprocal rank fusion", () => {
  test("adds 1 / (60 + place) of every ranking", () => {
    expect(fuse([list("a", "b"), list("b", "c")])).toEqual([
      { key: "b", score: 1 / 61 + 1 / 62 },
      { key: "a", score: 1 / 61 },
      { key: "c", score: 1 / 62 },
    ]);
    expect(fuse([])).toEqual([]);
  });

  test("equal scores are ordered by key, in code units", () => {
    expect(fuse([list("b"), list("a"), list("Z"), list("é")]).map(({ key }) => key)).toEqual(["Z", "a", "b", "é"]);
  });

  test("a key that a ranking repeats counts once, where it is best", () => {
    expect(fuse([list("a", "a", "b")])).toEqual(fuse([list("a", "b")]));
  });

  test("the order of the rankings does not matter", () => {
    const shuffled = fc
      .array(keys, { minLength: 2, maxLength: 6 })
      .chain((lists) =>
        fc.tuple(fc.constant(lists), fc.shuffledSubarray(lists, { minLength: lists.length, maxLength: lists.length })),
      );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        expect(fuse(one.map((each) => list(...each)))).toEqual(fuse(other.map((each) => list(...each))));
      }),
    );
  });

  test("what is first in every ranking is first, and all that any ranking has appears once, best first", () => {
    fc.assert(
      fc.property(fc.array(keys, { minLength: 1, maxLength: 4 }), (lists) => {
        const rankings = lists.map((each) => list("top", ...each));
        const fused = fuse(rankings);
        expect(fused[0]?.key).toBe("top");
        expect(fused.map(({ key }) => key).sort()).toEqual([...new Set(["top", ...lists.flat()])].sort());
        expect(fused.map(({ score }) => score)).toEqual(fused.map(({ score }) => score).sort((a, b) => b - a));
      }),
    );
  });
});
