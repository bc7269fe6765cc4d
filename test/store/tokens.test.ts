import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tokenize, wordsOf } from "../../src/store/tokens.ts";

const simple = (text: string) => tokenize(text, "simple");
const english = (text: string) => tokenize(text, "english");

describe("the words of a text", () => {
  test("case, width, ligatures and accents make no difference", () => {
    expect(simple("Grüße GRÜSSE ﬁne Ｆｉｎｅ café CAFE\u0301 Łódź Ωμέγα ωμεγα İZMİR ΟΔΟΣ οδοσ")).toEqual(
      "grusse grusse fine fine cafe cafe lodz ωμεγα ωμεγα izmir οδοσ οδοσ".split(" "),
    );
  });

  test("Hebrew points and Arabic vowel signs make no difference", () => {
    expect(simple("שָׁלוֹם مَرْحَبًا")).toEqual(simple("שלום مرحبا"));
  });

  test("in scripts where a mark makes another letter, it stays", () => {
    expect(simple("की कि")).toEqual(["की", "कि"]);
    expect(simple("が")).not.toEqual(simple("か"));
  });

  test("simple keeps every word as it is", () => {
    expect(simple("The meetings, and 3 drafts")).toEqual(["the", "meetings", "and", "3", "drafts"]);
  });

  test("english takes inflections and stop words away", () => {
    expect(english("We're meeting the reviewers; don't cancel Alice's meetings")).toEqual(
      english("meet reviewer cancel alice meeting"),
    );
    expect(english("what is it to you, and who were they?")).toEqual([]);
  });

  test("an address is found whole, by its domain and by its parts", () => {
    const found = simple("To: Jane.Doe+news@Mail.Example.com.");
    expect(found).toEqual(
      expect.arrayContaining(["jane.doe+news@mail.example.com", "mail.example.com", "jane", "doe", "news", "example"]),
    );
    expect(english("write to all@example.com")).toContain("all@example.com");
  });

  test("a domain, a file name and a version are found whole and by their parts; hyphens only part words", () => {
    expect(simple("https://my-shop.co.uk/report-2.pdf v1.2")).toEqual(
      "https my shop co uk my-shop.co.uk report 2 pdf report-2.pdf v1 2 v1.2".split(" "),
    );
    expect(simple("a follow-up, 2024-05-01")).toEqual(["a", "follow", "up", "2024", "05", "01"]);
  });

  test.each([
    ["会議", "東京都庁で来週の会議を開きます"],
    ["京都", "京都への出張"],
    ["サーバー", "新サーバーの障害"],
    ["茶", "緑茶をください"],
    ["预算", "下周三讨论预算问题"],
    ["ประชุม", "ขอเลื่อนการประชุมไปวันศุกร์"],
    ["회의", "회의를 금요일로 연기했습니다"],
    ["node", "Node入門"],
  ])("%s is found inside %s", (query, text) => {
    expect(simple(text)).toEqual(expect.arrayContaining(simple(query)));
    expect(simple(query)).not.toEqual([]);
  });

  test("pairs are of whole characters, also when these come decomposed", () => {
    expect(simple("한국어".normalize("NFD"))).toEqual(["한국", "국어"]);
    expect(simple("がぎ".normalize("NFD"))).toEqual(["がぎ"]);
  });

  test("no text gives more than 5,000 tokens, a token longer than 254 units, or one with white space", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 400 }),
      fc.string({ unit: fc.constantFrom("a", ".", "@", "\ufdfa", "語", "\u0301", " ", "\ud800"), maxLength: 600 }),
    );
    fc.assert(
      fc.property(text, fc.constantFrom("english" as const, "simple" as const), (each, language) => {
        for (const token of tokenize(each, language)) {
          expect(token).toMatch(/^\S+$/u);
          expect(token.length).toBeLessThanOrEqual(254);
        }
      }),
    );
    expect(simple("a.b ".repeat(6_000))).toHaveLength(5_000);
    expect(simple("語".repeat(6_000))).toHaveLength(5_000);
    for (const domain of ["b.c", `${"\ufdfa.".repeat(60)}b`]) {
      const tokens = simple(`${"\ufdfa.".repeat(60)}b@${domain}`);
      expect(Math.max(...tokens.map(({ length }) => length))).toBe(254);
    }
  });

  const megabyte = 1 << 20;
  test.each([
    ["one letter", "a".repeat(megabyte)],
    ["one accented letter", "é".repeat(megabyte)],
    ["marks out of order", "\u0301\u0316".repeat(megabyte / 2)],
    ["marks after a letter", `語a${"\u0301\u0316".repeat(megabyte / 2)}`],
    ["marks in a domain", `${"\u0301\u0316".repeat(megabyte / 2)}.b`],
    ["Kana marks", `か${"\u3099\u0316".repeat(megabyte / 2)}`],
    ["Thai marks out of order", `ก${"\u0e48\u0e38".repeat(megabyte / 2)}`],
    ["letters that decompose into phrases", "\ufdfa".repeat(megabyte)],
    ["a domain without end", "a.".repeat(megabyte / 2)],
    ["an address without end", "a@".repeat(megabyte / 2)],
    ["stop words", "the ".repeat(megabyte / 4)],
    ["Han", "語".repeat(megabyte)],
    ["Han after letters", `${"a".repeat(megabyte)}語`],
    ["lone surrogates", "\ud800".repeat(megabyte)],
  ])("a megabyte of %s takes no longer than a megabyte of words", (_, text) => {
    const start = performance.now();
    const tokens = english(text);
    // Linear time is some 50 ms; quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(tokens.length).toBeLessThanOrEqual(5_000);
  });
});

describe("the text of a JSON value", () => {
  test("is every string in it, in order, and no key, number or truth value", () => {
    const value = { subject: "Budget", cc: ["Ann", { name: "Bob", age: 4 }], read: true, at: null, body: "see below" };
    expect(wordsOf(value)).toBe("Budget\nAnn\nBob\nsee below");
    expect(wordsOf("alone")).toBe("alone");
    expect(wordsOf(7)).toBe("");
  });

  test("is found at any depth", () => {
    let deep: unknown = "bottom";
    for (let depth = 0; depth < 200_000; depth += 1) deep = [deep];
    expect(wordsOf(deep)).toBe("bottom");
  });
});
