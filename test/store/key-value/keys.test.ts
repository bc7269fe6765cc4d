import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { folderOfPrefix, keyOfPath, pathOfKey } from "../../../src/store/key-value/file-names.ts";
import { rowKey, rowPrefix } from "../../../src/store/key-value/keys.ts";
import { isBelow } from "../../../src/store/row-driver.ts";

/** Labels that look like each other, like parts of keys and like paths; short and long ones. */
const text = fc.oneof(
  fc.constantFrom("a", "A", "a/", "..", "=", "=a", "%41", "~", "a~", "é", "e\u0301", "😀", "user1", "user10", " ", "*"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 8 }),
  fc
    .tuple(fc.constantFrom("x", "X", "é", "😀", "%"), fc.constantFrom(59, 60, 61, 180, 181, 400))
    .map(([unit, n]) => unit.repeat(n)),
);
const label = text.map((each) => each.replaceAll(".", "_"));
const address = fc.record({ namespace: fc.array(label, { minLength: 1, maxLength: 12 }), key: text });
const NAME_BYTES = 255;

describe("the key of a row", () => {
  test("is of the characters and the length that every place takes, and always the same", () => {
    fc.assert(
      fc.property(address, (each) => {
        const key = rowKey(each);
        expect(key).toMatch(/^r\/[A-Za-z0-9/=\-_.~%@+!,]{1,998}$/);
        expect(rowKey(structuredClone(each))).toBe(key);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is of one address only, where upper and lower case is all the same too", () => {
    const keys = new Map<string, string>();
    const files = new Map<string, string>();
    fc.assert(
      fc.property(address, (each) => {
        const name = JSON.stringify([each.namespace, each.key]);
        const key = rowKey(each);
        const file = pathOfKey(key).join("/").toLowerCase();
        expect(keys.get(key) ?? name).toBe(name);
        expect(files.get(file) ?? name).toBe(name);
        keys.set(key, name);
        files.set(file, name);
      }),
      { numRuns: 2_000 },
    );
    expect(keys.size).toBeGreaterThan(1_500);
  });

  test("begins as its labels do, and as no others where the beginning is exact", () => {
    const two = fc.tuple(address, fc.array(label, { maxLength: 8 }), fc.nat(12), fc.boolean());
    let exact = 0;
    fc.assert(
      fc.property(two, ([each, others, depth, isOwn]) => {
        const labels = isOwn ? each.namespace.slice(0, depth) : others;
        const { prefix, isExact } = rowPrefix(labels);
        const begins = rowKey(each).startsWith(prefix);
        if (isBelow(each.namespace, labels)) expect(begins).toBe(true);
        else if (isExact) expect(begins).toBe(false);
        exact += Number(isExact);
      }),
      { numRuns: 2_000 },
    );
    expect(exact).toBeGreaterThan(500);
  });

  test("is whole labels, so that user10 is not below user1", () => {
    expect(rowKey({ namespace: ["m", "user10", "é"], key: "a.B" })).toBe("r/m/user10/%C3%A9/=a%2EB");
    expect(rowPrefix(["m", "user1"])).toEqual({ prefix: "r/m/user1/", isExact: true });
    expect(rowPrefix([])).toEqual({ prefix: "r/", isExact: true });
  });
});

describe("the file of a key", () => {
  const character = fc.constantFrom(..."abzABZ019=-_.~%@+!,/");
  const anyKey = fc.oneof(
    fc.string({ unit: character, minLength: 1, maxLength: 30 }),
    fc.tuple(character, fc.nat(1_000)).map(([each, n]) => each.repeat(n + 1).slice(0, 1_000)),
    fc.constantFrom(
      ".",
      "..",
      "../..",
      "r/../../etc",
      "/",
      "//",
      "/etc/passwd",
      "a.json/b",
      "a",
      "A",
      "!0",
      "!",
      ".mnemail/journal",
    ),
    address.map(rowKey),
  );

  test("gives the key back, lies below the folder, and has names that every file system takes", () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const names = pathOfKey(key);
        expect(keyOfPath(names)).toBe(key);
        const isFit = (name: string) => Buffer.byteLength(name) <= NAME_BYTES && /^[^./\\A-Z][^/\\A-Z]*$/.test(name);
        expect(names.filter((name) => !isFit(name))).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is no folder of another key's file", () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        const [file, other] = [pathOfKey(a).join("/"), pathOfKey(b).join("/")];
        expect(other.startsWith(`${file}/`)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  test("lies in the folder of each beginning of the key", () => {
    fc.assert(
      fc.property(anyKey, fc.nat(1_000), (key, length) => {
        const folder = folderOfPrefix(key.slice(0, length));
        expect(pathOfKey(key).slice(0, folder.length)).toEqual(folder);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is told from files of others", () => {
    for (const path of [
      "a",
      "A.json",
      "a.txt",
      ".json",
      "!.json",
      "a!.json",
      "a.b.json",
      ".mnemail/x.json",
      "a$/b.json",
      "!b/.json",
    ]) {
      expect(keyOfPath(path.split("/"))).toBeUndefined();
    }
  });
});
