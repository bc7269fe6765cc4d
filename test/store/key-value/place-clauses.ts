import { expect, test } from "vitest";
import type { KeyValue } from "../../../src/store/key-value/key-value.ts";

/**
 * What every place that keeps texts by key has to do. `open` opens the same, empty place each time within a test; `many` is
 * more than it lists at once.
 */
export function describePlace(open: () => Promise<KeyValue>, many = 300): void {
  const byKey = <T extends { key: string }>(found: T[]) => found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  // Every character that a key may have, and what would end a path, a query or a pattern.
  const strange = ["r/a/=k", "r/a/=-_.~%@+!,", "r/a.b/..", "r/%2F%2E%2E/=%25", "r/../../=k", `r/${"x".repeat(898)}`];
  const text = 'ÄÖ 漢字 \u{1F600} \u0000 \r\n <&>"';

  test("what was written is read, in the order of the keys, and null where nothing is", async () => {
    const place = await open();
    expect(await place.read([])).toEqual([]);
    expect(await place.write([])).toBe(true);
    expect(await place.write(strange.map((key, i) => ({ key, text: `${i} ${text}` })))).toBe(true);
    expect(await place.read(["r/none", ...strange])).toEqual([null, ...strange.map((_, i) => `${i} ${text}`)]);
    await place.close();
  });

  test("a place keeps what it has for whoever opens it next, long and empty texts too", async () => {
    const long = "0123456789".repeat(200_000);
    const first = await open();
    await first.write([
      { key: "r/long", text: long },
      { key: "r/empty", text: "" },
    ]);
    await first.close();
    const second = await open();
    expect(await second.read(["r/empty", "r/long"])).toEqual(["", long]);
    await second.close();
  });

  test("a listing has what begins so, letter by letter, and nothing else", async () => {
    const place = await open();
    const keys = ["r/user1/=a", "r/user1/x/=b", "r/user10/=c", "r/User1/=d", "m/space", ...strange];
    await place.write(keys.map((key) => ({ key, text: `of ${key}` })));
    for (const prefix of ["", "r/", "r/user1/", "r/user1", "r/a/", "r/%2", "r/..", "m/", "none/", "r/user1/=a"]) {
      const below = keys.filter((key) => key.startsWith(prefix)).sort();
      expect((await place.keys(prefix)).sort()).toEqual(below);
      expect(byKey(await place.list(prefix))).toEqual(below.map((key) => ({ key, text: `of ${key}` })));
    }
    await place.close();
  });

  test("a listing of more than comes at once is whole", async () => {
    const place = await open();
    const keys = Array.from({ length: many }, (_, i) => `r/many/=${String(i).padStart(5, "0")}`);
    await place.write(keys.map((key) => ({ key, text: key })));
    expect((await place.keys("r/many/")).sort()).toEqual(keys);
    expect(byKey(await place.list("r/many/"))).toEqual(keys.map((key) => ({ key, text: key })));
    await place.close();
  });

  test("what was replaced or removed is gone, and removing nothing does nothing", async () => {
    const place = await open();
    await place.write(["a", "b", "c"].map((key) => ({ key, text: "before" })));
    expect(
      await place.write([
        { key: "a", text: "after" },
        { key: "b", text: null },
        { key: "none", text: null },
      ]),
    ).toBe(true);
    expect(byKey(await place.list(""))).toEqual([
      { key: "a", text: "after" },
      { key: "c", text: "before" },
    ]);
    await place.close();
  });

  test("an expectation holds letter by letter, of texts, of nothing, and of what is to be removed", async () => {
    const place = await open();
    expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
    expect(await place.write([{ key: "a", text: "2", expected: null }])).toBe(false);
    expect(await place.write([{ key: "a", text: "2", expected: "1 " }])).toBe(false);
    expect(await place.write([{ key: "none", text: "2", expected: "1" }])).toBe(false);
    expect(await place.write([{ key: "a", text: null, expected: "2" }])).toBe(false);
    expect(await place.read(["a", "none"])).toEqual(["1", null]);
    expect(await place.write([{ key: "a", text: "2", expected: "1" }])).toBe(true);
    expect(await place.write([{ key: "a", text: null, expected: "2" }])).toBe(true);
    expect(await place.write([{ key: "a", text: null, expected: null }])).toBe(true);
    expect(await place.read(["a"])).toEqual([null]);
    await place.close();
  });

  test("of a batch whose expectation fails when it comes, nothing is made", async () => {
    const place = await open();
    await place.write([{ key: "head", text: "1" }]);
    const batch = [
      { key: "version", text: "2" },
      { key: "receipt", text: "2", expected: null },
      { key: "head", text: "2", expected: "0" },
      { key: "log", text: "2", expected: null },
    ];
    expect(await place.write(batch)).toBe(false);
    expect(await place.read(["version", "receipt", "head", "log"])).toEqual([null, null, "1", null]);
    await place.close();
  });

  test("of many that change one text at once, each change is made on what the one before left", async () => {
    const places = await Promise.all([open(), open(), open()]);
    const increment = async (place: KeyValue): Promise<void> => {
      const [before = null] = await place.read(["counter"]);
      if (!(await place.write([{ key: "counter", text: String(Number(before) + 1), expected: before }])))
        return increment(place);
    };
    await Promise.all(places.flatMap((place) => Array.from({ length: 5 }, () => increment(place))));
    expect(await places[0]?.read(["counter"])).toEqual(["15"]);
    for (const place of places) await place.close();
  });

  test("another that changes what this one has read is seen at once", async () => {
    const [one, other] = [await open(), await open()];
    await one.write([{ key: "a", text: "1" }]);
    expect(await other.list("")).toEqual([{ key: "a", text: "1" }]);
    await one.write([{ key: "a", text: "2" }]);
    expect(await other.list("")).toEqual([{ key: "a", text: "2" }]);
    await one.write([{ key: "a", text: "3" }]);
    expect(await other.read(["a"])).toEqual(["3"]);
    await one.write([{ key: "a", text: null }]);
    expect([await other.read(["a"]), await other.keys("")]).toEqual([[null], []]);
    await one.close();
    await other.close();
  });

  test("what is read together is all of the keys and of what begins so, each once", async () => {
    const place = await open();
    const keys = ["a", "b", "r/x/1", "r/x/2", "r/y/1", "r/z/1"];
    await place.write(keys.map((key) => ({ key, text: `of ${key}` })));
    const found = await place.snapshot?.(["a", "none", "r/x/1"], ["r/x/", "r/y/", "s/"]);
    if (found) expect(Object.fromEntries(found)).toEqual(textsOf("a", "r/x/1", "r/x/2", "r/y/1"));
    expect(await place.snapshot?.([], [])).toEqual(place.snapshot && new Map());
    await place.close();
  });
}

function textsOf(...keys: string[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, `of ${key}`]));
}
