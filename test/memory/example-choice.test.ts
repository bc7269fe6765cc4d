import { InMemoryStore } from "@langchain/langgraph";
import type { SearchItem } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseExamples } from "../../src/memory/example-choice.ts";
import { EXAMPLE_CHOICE } from "../../src/memory/example-parameters.ts";
import { scoreExamples, vote, wilson } from "../../src/memory/example-score.ts";
import { type ComparedEmail, LABELS, type Label } from "../../src/memory/records.ts";
import { renderExamples } from "../../src/memory/semantic.ts";

const TO = "ana@home.example";
const mail = (body: string, from = "Tom Berg <tom@work.example>", subject = ""): ComparedEmail => ({
  ...{ from, to: TO, subject, body },
});
let count = 0;
const other = () => `Person ${++count} <p${count}@place${count}.example>`;

interface Given {
  key: string;
  label?: Label;
  email: ComparedEmail;
  at?: string;
  score?: number;
}
function item({ key, label = "notify", email, at = "2026-03-02T09:00:00Z", score }: Given): SearchItem {
  const value = { email, label, at };
  const times = { createdAt: new Date(0), updatedAt: new Date(0) };
  return { namespace: ["x"], key, value, ...times, ...(score === undefined ? {} : { score }) };
}
const keys = (chosen: readonly { key: string }[]) => chosen.map(({ key }) => key);

const TURBINE = "turbine bearing vibration report alarm threshold";
const WEDDING = "wedding flowers table seating music dinner";

describe("the choice of examples", () => {
  test("takes what shares words, nearest first, and shows the nearest last", () => {
    const found = [
      item({ key: "far", email: mail("turbine gossip bicycle weather holiday cinema lunch vibration", other()) }),
      item({ key: "near", email: mail(`${TURBINE} again`, other()) }),
      item({ key: "middle", email: mail("turbine bearing vibration and seating music dinner plan", other()) }),
    ];
    const chosen = chooseExamples(mail(TURBINE), [found]);
    expect(keys(chosen)).toEqual(["near", "middle", "far"]);
    const shown = renderExamples(chosen);
    expect(shown.indexOf("gossip")).toBeLessThan(shown.indexOf("again"));
  });

  test("takes nothing for an email that resembles nothing", () => {
    const found = [item({ key: "a", email: mail(WEDDING, other()), score: 0.03 })];
    const vector = [item({ key: "a", email: mail(WEDDING, other()), score: EXAMPLE_CHOICE.vectorFloor - 0.01 })];
    expect(chooseExamples(mail(TURBINE), [found, vector])).toEqual([]);
  });

  test("counts the same sender as likeness, whatever the name and the words", () => {
    const long = (word: string) => Array.from({ length: 30 }, (_, i) => `${word}${i}`).join(" ");
    const found = [
      item({ key: "same", email: mail(long("music"), "T. Berg <TOM@work.example>") }),
      item({
        key: "colleague",
        email: mail(long("dinner"), "Eva <eva@work.example>"),
      }),
    ];
    const [same, ...more] = chooseExamples(mail(TURBINE), [found]);
    expect([same?.key, more]).toEqual(["same", []]);
    expect(same?.similarity).toBe(EXAMPLE_CHOICE.senderLikeness);
  });

  test("takes what embeddings find alike although it shares no word", () => {
    const found = (score: number) => [item({ key: "a", email: mail(WEDDING, other()), score })];
    const [chosen] = chooseExamples(mail(TURBINE), [found(1 / 61), found(0.7)]);
    expect(chosen).toMatchObject({ key: "a", similarity: 0.35 });
  });

  test("does not take scores for cosines where both searches give the same ones", () => {
    const found = [item({ key: "a", email: mail(WEDDING, other()), score: 0.9 })];
    expect(chooseExamples(mail(TURBINE), [found, found])).toEqual([]);
  });

  test("of near-duplicates takes the one labelled last, although another one is nearer", () => {
    const found = [
      item({ key: "old", label: "ignore", email: mail(`${TURBINE} 12`), at: "2026-03-01T11:00:00+02:00" }),
      item({ key: "new", label: "respond", email: mail(`${TURBINE} 13`), at: "2026-03-01T10:00:00Z" }),
      item({ key: "older", label: "ignore", email: mail(`${TURBINE} 14`), at: "some day" }),
    ];
    expect(keys(chooseExamples(mail(`${TURBINE} 12`), [found]))).toEqual(["new"]);
  });

  test("leaves out keys as if they were not there, so that an older duplicate stands in", () => {
    const found = [
      item({ key: "old", email: mail(`${TURBINE} 12`), at: "2026-03-01T09:00:00Z" }),
      item({ key: "new", email: mail(`${TURBINE} 13`), at: "2026-03-02T09:00:00Z" }),
    ];
    expect(keys(chooseExamples(mail(TURBINE), [found], { without: new Set(["new"]) }))).toEqual(["old"]);
  });

  test("takes at most four, and rather another matter than the same again", () => {
    const same = ["apples", "pears", "plums", "figs"].map((fruit) =>
      item({ key: fruit, email: mail(`turbine bearing vibration ${WEDDING} ${fruit} ${fruit}4 ${fruit}5`, other()) }),
    );
    const another = item({
      key: "another",
      email: mail("alarm threshold bicycle weather holiday cinema lunch", other()),
    });
    const chosen = keys(chooseExamples(mail(TURBINE), [[...same, another]]));
    expect(chosen).toHaveLength(4);
    // By likeness it is the fifth, so that it stands behind the three that are shown with it.
    expect(chosen.at(-1)).toBe("another");
  });

  test("gives the last place to another label that is near enough, and to none that is not", () => {
    const alike = ["apples", "pears", "plums", "figs"].map((more) =>
      item({ key: more, label: "ignore", email: mail(`${TURBINE} ${more}`, `${more} <${more}@shop.example>`) }),
    );
    const labels = (found: SearchItem[]) =>
      chooseExamples(mail(TURBINE), [found])
        .map(({ record }) => record.label)
        .sort();
    const weak = `${TURBINE} ${WEDDING} bicycle weather holiday cinema lunch gossip`;
    const minority = item({ key: "other", label: "respond", email: mail(weak, other()) });
    expect(labels([...alike, minority])).toEqual(["ignore", "ignore", "ignore", "respond"]);
    const unlike = item({ key: "unlike", label: "respond", email: mail(WEDDING, other()) });
    expect(labels([...alike, unlike])).toEqual(["ignore", "ignore", "ignore", "ignore"]);
  });

  test("passes over what other programs wrote, and survives emails without any word", () => {
    const odd = { ...item({ key: "odd", email: mail("") }), value: { note: 1 } };
    const empty = { from: "", to: "", subject: "", body: "" };
    const blank = [1, 2].map((n) => item({ key: `blank${n}`, email: empty }));
    expect(chooseExamples(mail(TURBINE), [[odd, ...blank]])).toEqual([]);
    expect(chooseExamples(empty, [[odd, ...blank]])).toEqual([]);
  });
});

describe("for any examples", () => {
  // Emails of one template are near-duplicates, those of two are not.
  const templates = ["turbine", "wedding", "invoice", "bicycle", "holiday", "cinema"].map((topic) =>
    Array.from({ length: 20 }, (_, i) => (i < 5 ? `common${i}` : `${topic}${i}`)).join(" "),
  );
  const example = fc.record({
    template: fc.nat(templates.length - 1),
    label: fc.constantFrom(...LABELS),
    day: fc.integer({ min: 1, max: 3 }),
    score: fc.option(fc.constantFrom(0.1, 0.5, 0.9), { nil: undefined }),
  });
  const someExamples = fc.array(example, { maxLength: 14 });
  const itemsOf = (examples: readonly { template: number; label: Label; day: number; score?: number | undefined }[]) =>
    examples.map(({ template, label, day, score }, i) => {
      const given = { key: `${template}-${i}`, label, email: mail(`${templates[template]} n${i}`, "x@y.example") };
      return item({ ...given, at: `2026-03-0${day}T09:00:00Z`, ...(score === undefined ? {} : { score }) });
    });
  const query = mail(`${templates[0]} ${templates[1]}`, "q@z.example");
  const fusedOf = (items: readonly SearchItem[]) => items.map((each, i) => ({ ...each, score: 1 / (61 + i) }));

  test("the choice is small, without near-duplicates, without what is left out, and of several labels if it can be", () => {
    fc.assert(
      fc.property(someExamples, fc.array(fc.nat(13)), (examples, out) => {
        const items = itemsOf(examples);
        const without = new Set(out.flatMap((i) => items[i]?.key ?? []));
        const found = [fusedOf(items), items];
        const chosen = chooseExamples(query, found, { without });
        expect(chosen.length).toBeLessThanOrEqual(4);
        expect(chosen.filter(({ key }) => without.has(key))).toEqual([]);
        const chosenTemplates = chosen.map(({ key }) => key.split("-")[0]);
        expect(new Set(chosenTemplates).size).toBe(chosen.length);
        for (const { key, record } of chosen) {
          const rivals = items.filter((each) => each.key.split("-")[0] === key.split("-")[0] && !without.has(each.key));
          expect(rivals.filter(({ value }) => value["at"] > record.at)).toEqual([]);
        }
        expect(chosen.map(({ similarity }) => similarity)).toEqual(
          chosen.map(({ similarity }) => similarity).sort((a, b) => b - a),
        );
        const labels = new Set(chosen.map(({ record }) => record.label));
        if (chosen.length === 4 && labels.size === 1) {
          const rest = new Set([
            ...without,
            ...items.filter(({ value }) => labels.has(value["label"])).map((e) => e.key),
          ]);
          // Near-duplicates of another label may have lost to newer ones of this label.
          const others = chooseExamples(query, found, { without: rest }).map(({ key }) => key.split("-")[0] ?? "");
          const kept = new Set(chosenTemplates);
          const lost = (template: string) =>
            kept.has(template) ||
            items.some(({ key, value }) => key.startsWith(`${template}-`) && labels.has(value["label"]));
          expect(others.filter((template) => !lost(template))).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("the choice does not depend on the order in which a store gives equal items", () => {
    const shuffled = someExamples
      .map((examples) => fusedOf(itemsOf(examples)).map((each, i) => ({ each, vector: itemsOf(examples)[i] ?? each })))
      .chain((pairs) => fc.tuple(fc.constant(pairs), fc.shuffledSubarray(pairs, { minLength: pairs.length })));
    fc.assert(
      fc.property(shuffled, ([one, two]) => {
        const choose = (pairs: typeof one) =>
          chooseExamples(query, [pairs.map((p) => p.each), pairs.map((p) => p.vector)]);
        expect(choose(two)).toEqual(choose(one));
      }),
      { numRuns: 200 },
    );
  });
});

describe("the leave-one-out score", () => {
  const neighbour = (label: Label, similarity: number) => ({
    ...{ key: `${label}${similarity}`, similarity },
    record: { email: mail(""), label, at: "" },
  });

  test("weighs votes by likeness; of equal weights the nearest counts", () => {
    expect(vote([neighbour("ignore", 0.2), neighbour("ignore", 0.2), neighbour("respond", 0.5)])).toBe("respond");
    expect(vote([neighbour("ignore", 0.25), neighbour("ignore", 0.25), neighbour("respond", 0.5)])).toBe("respond");
    expect(vote([neighbour("ignore", 0.4), neighbour("ignore", 0.3), neighbour("respond", 0.5)])).toBe("ignore");
    expect(vote([])).toBeUndefined();
  });

  test("counts what has no neighbour as wrong, and says what the commonest label alone would reach", () => {
    const score = scoreExamples([
      { label: "ignore", neighbours: [neighbour("ignore", 0.5)] },
      { label: "ignore", neighbours: [neighbour("respond", 0.5)] },
      { label: "ignore", neighbours: [] },
      { label: "respond", neighbours: [neighbour("respond", 0.5)] },
    ]);
    expect(score).toMatchObject({
      ...{ examples: 4, right: 2, without_neighbour: 1, accuracy: 0.5 },
      baseline: { label: "ignore", right: 3, accuracy: 0.75 },
      labels: [
        { label: "ignore", examples: 3, precision: 1, recall: 1 / 3 },
        { label: "notify", examples: 0, precision: null, recall: null },
        { label: "respond", examples: 1, precision: 0.5, recall: 1 },
      ],
    });
    expect(scoreExamples([{ label: "ignore", neighbours: [] }])).toBeUndefined();
  });

  test("has Wilson's interval", () => {
    // Newcombe 1998, table I: 81 of 263, and none of 20.
    expect(wilson(81, 263).low).toBeCloseTo(0.2553, 4);
    expect(wilson(81, 263).high).toBeCloseTo(0.3662, 4);
    expect(wilson(0, 20).low).toBe(0);
    expect(wilson(0, 20).high).toBeCloseTo(0.1611, 4);
  });
});

test("a store of LangGraph's gives items that can be chosen from", async () => {
  const store = new InMemoryStore();
  await store.put(["x"], "k", { email: mail(TURBINE, other()), label: "notify", at: "2026-03-02T09:00:00Z" });
  const found = await store.search(["x"], { query: "turbine" });
  expect(keys(chooseExamples(mail(TURBINE), [found, found, found]))).toEqual(["k"]);
});
