import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/store/row-driver.ts";
import { tokenize } from "../../src/store/tokens.ts";
import { type ItemVersion, WordIndex, WordIndexes } from "../../src/store/word-index.ts";

const WORDS = ["budget", "meeting", "invoice", "lunch", "constructor", "__proto__", "ann@example.com"];
const texts = fc.array(fc.constantFrom(...WORDS), { maxLength: 8 }).map((words) => words.join(" "));
const keysOf = (ranked: { key: string }[]) => ranked.map(({ key }) => key);

function indexOf(items: Iterable<[string, string]>): WordIndex {
  const index = new WordIndex("simple");
  for (const [key, text] of items) index.set(key, { text });
  return index;
}

/** BM25+ written out: k1 = 1.2, b = 0.7, delta = 0.5, with the number of distinct terms for the length of an item. */
function bm25(items: Map<string, string>, query: string): Map<string, number> {
  const bags = new Map([...items].map(([key, text]) => [key, tokenize(text, "simple")]));
  const lengths = new Map([...bags].map(([key, bag]) => [key, new Set(bag).size]));
  const average = [...lengths.values()].reduce((sum, each) => sum + each, 0) / items.size;
  const scores = new Map<string, number>();
  for (const term of new Set(tokenize(query, "simple"))) {
    const having = [...bags].filter(([, bag]) => bag.includes(term));
    const idf = Math.log(1 + (items.size - having.length + 0.5) / (having.length + 0.5));
    for (const [key, bag] of having) {
      const count = bag.filter((each) => each === term).length;
      const length = 0.3 + (0.7 * (lengths.get(key) ?? 0)) / average;
      scores.set(key, (scores.get(key) ?? 0) + idf * (0.5 + (count * 2.2) / (count + 1.2 * length)));
    }
  }
  return scores;
}

describe("an index of words", () => {
  test("ranks items that have any word of the query, a rare word before a common one, and no others", () => {
    const index = indexOf([
      ["common", "the budget of march"],
      ["rare", "the budget of invoices"],
      ["both", "invoices invoices budget"],
      ["none", "lunch on friday"],
      ["commoner", "budget and the budget"],
    ]);
    expect(keysOf(index.rank("invoices budget")).slice(0, 2)).toEqual(["both", "rare"]);
    expect(keysOf(index.rank("invoices budget"))).not.toContain("none");
    expect(index.rank("budge invoice budgets")).toEqual([]);
    expect(index.rank("")).toEqual([]);
  });

  test("equal items come in the order of their keys, in code units", () => {
    const index = indexOf(["b", "é", "a", "Z", "10", "9"].map((key): [string, string] => [key, "same words"]));
    expect(keysOf(index.rank("words"))).toEqual(["10", "9", "Z", "a", "b", "é"]);
  });

  test("stems and stop words follow the language", () => {
    const index = new WordIndex("english");
    index.set("a", { text: "scheduling the meetings" });
    expect(keysOf(index.rank("a scheduled meeting"))).toEqual(["a"]);
    expect(index.rank("the")).toEqual([]);
  });

  test("scores are those of BM25+, whatever was set and removed before", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.option(texts)), { maxLength: 30 });
    fc.assert(
      fc.property(steps, texts, (changes, query) => {
        const index = new WordIndex("simple");
        const items = new Map<string, string>();
        for (const [key, text] of changes) {
          if (text === null) {
            index.remove(key);
            items.delete(key);
          } else {
            index.set(key, { text });
            items.set(key, text);
          }
        }
        const expected = bm25(items, query);
        const ranked = index.rank(query);
        expect(new Set(keysOf(ranked))).toEqual(new Set(expected.keys()));
        for (const { key, score } of ranked) expect(score).toBeCloseTo(expected.get(key) ?? 0, 9);
        expect(ranked.map(({ score }) => score)).toEqual(ranked.map(({ score }) => score).sort((x, y) => y - x));
      }),
    );
  });

  test("of a long query the rarest words count", () => {
    const common = Array.from({ length: 64 }, (_, at) => `often${at}`);
    const rare = Array.from({ length: 64 }, (_, at) => `now${at}`);
    const index = indexOf([
      ["a", common.join(" ")],
      ["b", `${common.join(" ")} ${rare.join(" ")}`],
    ]);
    expect(keysOf(index.rank([...common, "unknown", ...rare].join(" ")))).toEqual(["b"]);
    expect(keysOf(index.rank([...common, ...rare.slice(1)].join(" ")))).toEqual(["b", "a"]);
    index.remove("b");
    expect(keysOf(index.rank([...common, ...rare].join(" ")))).toEqual(["a"]);
  });
});

type Items = Map<string, { version: ItemVersion; text: string | undefined }>;
const versionsOf = (items: Items) => new Map([...items].map(([key, { version }]) => [key, version]));
function valuesOf(items: Items, keys: string[]): Map<string, JsonObject> {
  const values = new Map<string, JsonObject>();
  for (const key of keys) {
    const text = items.get(key)?.text;
    if (text !== undefined) values.set(key, { text });
  }
  return values;
}
const rebuilt = (items: Items) =>
  indexOf([...items].flatMap(([key, { text }]): [string, string][] => (text === undefined ? [] : [[key, text]])));

/** Brings the index to the items and returns it, with the keys that were asked for. */
function refresh(indexes: WordIndexes, id: string, items: Items): { index: WordIndex; asked: string[] } {
  const asked: string[] = [];
  const refreshing = indexes.refresh(id, versionsOf(items));
  let step = refreshing.next();
  while (!step.done) {
    asked.push(...step.value);
    step = refreshing.next(valuesOf(items, step.value));
  }
  return { index: step.value, asked };
}

const item = (version: ItemVersion, text?: string) => ({ version, text });

describe("indexes that follow the stored items", () => {
  test("only new and changed items are asked for, and what is gone is not found", () => {
    const indexes = new WordIndexes({ language: "simple", limitItems: 100 });
    const items: Items = new Map([
      ["a", item(1, "budget")],
      ["b", item(1, "budget")],
      ["c", item(1, "budget")],
    ]);
    expect(refresh(indexes, "x", items).asked).toEqual(["a", "b", "c"]);
    expect(refresh(indexes, "x", items).asked).toEqual([]);
    items.set("b", item(2, "lunch")).set("d", item(1, "budget")).delete("c");
    const { asked, index } = refresh(indexes, "x", items);
    expect(asked).toEqual(["b", "d"]);
    expect(keysOf(index.rank("budget"))).toEqual(["a", "d"]);
    expect(keysOf(index.rank("lunch"))).toEqual(["b"]);
  });

  test("an item that cannot be read is asked for once, and again when it changes", () => {
    const indexes = new WordIndexes({ language: "simple", limitItems: 100 });
    const items: Items = new Map([["a", item(1, "budget")]]);
    refresh(indexes, "x", items);
    items.set("a", item(2));
    expect(refresh(indexes, "x", items).asked).toEqual(["a"]);
    const again = refresh(indexes, "x", items);
    expect(again.asked).toEqual([]);
    expect(again.index.rank("budget")).toEqual([]);
    items.set("a", item(3, "budget"));
    expect(keysOf(refresh(indexes, "x", items).index.rank("budget"))).toEqual(["a"]);
  });

  test("a fetch that fails leaves the index as it was", () => {
    const indexes = new WordIndexes({ language: "simple", limitItems: 100 });
    const items: Items = new Map([["a", item(1, "budget")]]);
    refresh(indexes, "x", items);
    const failing = indexes.refresh("x", new Map([["b", 1]]));
    expect(failing.next()).toEqual({ done: false, value: ["b"] });
    expect(() => failing.throw(new Error("connection lost"))).toThrow("connection lost");
    expect(refresh(indexes, "x", items).asked).toEqual([]);
  });

  test("the least recently used index goes when the items are more than the limit, the last one never", () => {
    const indexes = new WordIndexes({ language: "simple", limitItems: 10 });
    const of = (size: number): Items =>
      new Map(Array.from({ length: size }, (_, at) => [`key${at}`, item(1, `word${at}`)]));
    refresh(indexes, "x", of(4));
    refresh(indexes, "y", of(4));
    refresh(indexes, "x", of(4));
    refresh(indexes, "z", of(4));
    expect(refresh(indexes, "x", of(4)).asked).toEqual([]);
    expect(refresh(indexes, "y", of(4)).asked).toHaveLength(4);
    refresh(indexes, "large", of(20));
    expect(refresh(indexes, "large", of(20)).asked).toEqual([]);
    expect(refresh(indexes, "y", of(4)).asked).toHaveLength(4);
    expect(refresh(indexes, "y", of(4)).asked).toEqual([]);
    refresh(indexes, "large", of(0));
    expect(refresh(indexes, "y", of(4)).asked).toEqual([]);
  });

  test("many ids without items do not push the limit aside", () => {
    const indexes = new WordIndexes({ language: "simple", limitItems: 10 });
    const items: Items = new Map([["a", item(1, "budget")]]);
    refresh(indexes, "x", items);
    for (let at = 0; at < 10; at += 1) refresh(indexes, `empty${at}`, new Map());
    expect(refresh(indexes, "x", items).asked).toEqual(["a"]);
  });

  test("callers that fetch at once, of different states and out of order, each rank their own state", () => {
    // A text is its version: two states that agree on an item agree on its version.
    const state = fc
      .dictionary(fc.constantFrom("a", "b", "c", "d"), fc.constantFrom("budget", "lunch", undefined), { maxKeys: 4 })
      .map((found): Items => new Map(Object.entries(found).map(([key, text]) => [key, item(text ?? 0, text)])));
    const caller = fc.record({ id: fc.constantFrom("x", "x", "y"), items: state });
    const cases = fc.record({
      before: state,
      callers: fc.array(caller, { minLength: 2, maxLength: 4 }),
      turns: fc.array(fc.nat(3), { maxLength: 12 }),
      limitItems: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(cases, ({ before, callers, turns, limitItems }) => {
        const indexes = new WordIndexes({ language: "simple", limitItems });
        refresh(indexes, "x", before);
        const waiting = callers.map(({ id, items }) => {
          const refreshing = indexes.refresh(id, versionsOf(items));
          return { items, refreshing, step: refreshing.next(), asked: [] as string[] };
        });
        // Whose fetch returns next; in the end everybody's, one fetch per item at most.
        for (const turn of [...turns, ...["a", "b", "c", "d"].flatMap(() => [...callers.keys()])]) {
          const next = waiting[turn];
          if (!next || next.step.done) continue;
          for (const key of next.step.value) {
            expect(next.asked).not.toContain(key);
            next.asked.push(key);
          }
          next.step = next.refreshing.next(valuesOf(next.items, next.step.value));
          if (!next.step.done) continue;
          for (const word of ["budget", "lunch"]) {
            expect(keysOf(next.step.value.rank(word)).sort()).toEqual(keysOf(rebuilt(next.items).rank(word)).sort());
          }
        }
        expect(waiting.every(({ step }) => step.done)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
