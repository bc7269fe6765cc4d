import { describe, expect, test } from "vitest";
import type { Criterion } from "../../../src/evals/cases.ts";
import { checkDraft, countSentences, countWords } from "../../../src/evals/scorers/draft.ts";

const DRAFT = `Hello Tom,

Thank you for the plan. Thursday at 10:00
suits me, and I’ll bring Dr. Berg. Is the room
booked?

Best regards,
Inês Marques
Architect`;

const failure = (criterion: Criterion, draft: string | null = DRAFT) => {
  const [check, ...others] = checkDraft([criterion], draft);
  expect(others).toEqual([]);
  return check?.met ? undefined : `${check?.name}: ${check?.note}`;
};

describe("a draft", () => {
  test.each<[Criterion, string | undefined]>([
    [{ contains: "thursday at 10:00 SUITS me" }, undefined],
    [{ contains: ["I'll bring", "parking"] }, 'contains "I\'ll bring" and "parking": "parking" is not there'],
    [{ contains_any: ["Friday", "Thursday"] }, undefined],
    [{ contains_any: ["Friday", "Monday"] }, 'contains "Friday" or "Monday": none of them is there'],
    [{ lacks: ["budget", "price"] }, undefined],
    [{ lacks: ["budget", "ROOM"] }, 'lacks "budget" and "ROOM": "ROOM" is there'],
    [{ matches: "\\b10[:.]00\\b" }, undefined],
    [{ matches: "^no$" }, "matches /^no$/: it does not"],
    [{ at_most_words: 27 }, undefined],
    [{ at_most_words: 10 }, "has at most 10 words: it has 27"],
    [{ at_most_sentences: 3 }, undefined],
    [{ at_most_sentences: 2 }, "has at most 2 sentences: it has 3"],
    [{ signed: "Inês Marques" }, undefined],
    [{ signed: "inês marques\nArchitect" }, undefined],
    [{ signed: "Inês" }, 'is signed "Inês": it ends with architect'],
    [{ signed: "Tom" }, 'is signed "Tom": it ends with architect'],
  ])("by %j: %s", (criterion, expected) => {
    expect(failure(criterion)).toBe(expected);
  });

  test("that is not there meets nothing, not even what it would have to lack", () => {
    expect(failure({ lacks: "price" }, null)).toBe('lacks "price": there is no draft');
    expect(failure({ at_most_words: 5 }, null)).toMatch("there is no draft");
  });

  test("has no check of code for what a judge is to say", () => {
    expect(checkDraft([{ judge: "It is friendly." }, { contains: "plan" }], DRAFT)).toEqual([
      { kind: "answer", name: 'contains "plan"', met: true },
    ]);
  });
});

test.each([
  ["Done.\n\nBest,\nRuth", true],
  ["Done.\n\nBest, Ruth", true],
  ["Done.\n\n– Ruth.", true],
  ["Done.\n\nRuth\nHead teacher\n0113 555 0100", true],
  ["Done.\n\nRuth\nHead teacher\nBrookside\n0113 555 0100", false],
  ["I will tell Ruth", false],
  ["Ruth,\n\ndone. I hope\nthat this is what\nyou wanted.", false],
  ["Done.\n\nBest,\nRuthanne", false],
  ["", false],
])("%j is signed Ruth: %s", (draft, met) => {
  expect(checkDraft([{ signed: "Ruth" }], draft)[0]?.met).toBe(met);
});

test.each([
  ["", 0],
  ["Hello Tom,\n\nBest regards,\nAna", 0],
  ["One. Two! Three? Four…", 4],
  ["A sentence that goes\non in the next line.", 1],
  ["I saw Dr. Berg and Mrs. Hall at 3.5 percent.", 1],
  ['He said "yes." Then he left.', 2],
  ["I asked the Prof.\n\nShe knows.", 2],
  ["The answer is no. We close at ten.", 2],
  ["See www.work.example. Obrigada!", 2],
  ["はい。わかりました。", 2],
])("%j has %d sentences", (text, count) => {
  expect(countSentences(text)).toBe(count);
});

test("words are counted by Unicode's boundaries, in any script, punctuation not", () => {
  expect(countWords("I don’t – really – know.")).toBe(4);
  expect(countWords("Não, obrigada!")).toBe(2);
  expect(countWords("")).toBe(0);
});
