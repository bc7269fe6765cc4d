import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoryStep } from "../../src/evals/cases.ts";
import { permuted } from "../../src/evals/suites/permuted.ts";
import { LABELS, type Label } from "../../src/memory/records.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { openEvaluationPlace, reportOf, tinyCases } from "../support/eval-cases.ts";

const relabel = (label: Label): StoryStep => ({ relabel: "m1", label });
const say = (text: string): StoryStep => ({ say: text });
const FORMS: Record<Label, string[]> = {
  ignore: [
    "Ignore emails from a.example.",
    'Label emails about "x" as ignore.',
    "From now on, ignore emails about teas.",
  ],
  notify: [
    "Notify me about emails from a.example.",
    "Always notify me of emails about x.",
    "Label emails about x as notify.",
  ],
  respond: [
    "Respond to emails from a.example.",
    "Please reply to emails about x.",
    'Label emails about x as "respond".',
  ],
};
/** The label that a sentence of these forms teaches. */
const taught = (step: StoryStep): (Label | undefined)[] => {
  if ("relabel" in step) return [step.label];
  if (!("say" in step) || "reject" in step) return [];
  return step.say.split(/(?<=\.)\s/).map((text) => {
    const as = /\bas "?(\w+)/.exec(text)?.[1];
    const verbs: [Label, RegExp][] = [
      ["ignore", /\bignore\b/i],
      ["notify", /\bnotify me\b/i],
      ["respond", /\b(?:respond|reply) to\b/i],
    ];
    return LABELS.find((label) => label === as) ?? verbs.find(([, verb]) => verb.test(text))?.[0];
  });
};

describe("the control with permuted labels", () => {
  test("every taught label is another, by the same change of all labels", () => {
    const label = fc.constantFrom(...LABELS);
    const sentence = label.chain((each) => fc.constantFrom(...FORMS[each]));
    const step = fc.oneof(
      label.map(relabel),
      fc.array(sentence, { minLength: 1, maxLength: 3 }).map((all) => say(all.join(" "))),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 5 }), (steps) => {
        const changed = permuted(steps) ?? [];
        const [before, after] = [steps.flatMap(taught), changed.flatMap(taught)];
        expect(before).not.toContain(undefined);
        expect(after).toEqual(
          before.map((each) => (each === "ignore" ? "notify" : each === "notify" ? "respond" : "ignore")),
        );
      }),
    );
  });

  test("what a sentence is about stays as it was", () => {
    expect(permuted([say('Ignore emails from info@shop.example with "Sale" in it.')])).toEqual([
      say('notify me about emails from info@shop.example with "Sale" in it.'),
    ]);
    expect(permuted([say('Label emails about "answer" as ignore.')])).toEqual([
      say('Label emails about "answer" as notify.'),
    ]);
  });

  test("what teaches no label is left as it is; a story of such steps has no control", () => {
    const others: StoryStep[] = [
      say("Sign my emails with Benny."),
      { edit: "m1", after: "Please ignore this. Ana" },
      { reject: "m1", say: "Do not answer so long." },
      { remember: "Tom prefers mornings." },
    ];
    expect(permuted(others)).toBeUndefined();
    expect(permuted([...others, relabel("notify")])).toEqual([...others, relabel("respond")]);
  });
});

describe("the arms of a story", () => {
  const told = async (files = tinyCases()) => {
    using place = await openEvaluationPlace({}, files);
    const { trials } = reportOf(await place.run({ suites: ["learning"] }));
    return {
      arms: (story: string) => [...new Set(trials.filter((each) => each.case.startsWith(story)).map(({ arm }) => arm))],
      labels: (id: string) =>
        Object.fromEntries(trials.filter((each) => each.case === id).map(({ arm, got }) => [arm, got])),
      trials,
    };
  };

  test("memory is on, off, permuted where labels are taught, or another user's", async () => {
    const files = tinyCases();
    const [ana, ben] = files.stories;
    // What Ben teaches would change an email of Ana's that has to stay as it is.
    const steps = [{ say: "Ignore emails from mill.example. Sign my emails with Benny." }];
    const { arms, labels, trials } = await told({
      ...files,
      stories: [{ ...ana }, { ...ben, steps, memory: undefined }],
    });
    expect(arms("ana-story").toSorted()).toEqual(["off", "on", "other", "permuted"]);
    expect(labels("ana-story/next")).toEqual({ off: "notify", on: "ignore", other: "notify", permuted: "notify" });
    expect(labels("ana-story/other")).toEqual({ off: "notify", on: "notify", other: "ignore", permuted: "notify" });
    expect(trials.find((each) => each.case === "ana-story/next")).toMatchObject({
      ...{ group: "vendors", user: "ana@home.example", kind: "changes", split: "dev", expected: "ignore" },
    });
  });

  test("a story in which no label is taught has no permuted arm, and one of the only user no other", async () => {
    const files = tinyCases();
    const { arms } = await told({ ...files, stories: files.stories.slice(1) });
    expect(arms("ben-story").toSorted()).toEqual(["off", "on"]);
  });

  test("each repeat of a story is taught anew", async () => {
    await using model = await startStandIn();
    using place = await openEvaluationPlace(
      { OPENAI_BASE_URL: model.url },
      { ...tinyCases(), stories: tinyCases().stories.slice(1) },
    );
    await place.run({ suites: ["learning"], repeat: 3 });
    const bodies = model.requests.map(({ body }) => JSON.stringify(body));
    expect(bodies.filter((body) => body.includes('"name":"learn"'))).toHaveLength(3);
  });

  test("what the steps did to memory is checked with the first question, and only where they were taken", async () => {
    const files = tinyCases();
    const wrong = { ...files.stories[1], memory: [{ kind: "fact", contains: "Benny" }] };
    const { trials } = await told({ ...files, stories: [wrong] });
    const checksOf = (arm: string) => trials.filter((each) => each.arm === arm).flatMap(({ checks }) => checks);
    const memory = checksOf("on").filter(({ kind }) => kind === "memory");
    expect(memory.map(({ met }) => met)).toEqual([false, false]);
    expect(memory[1]?.note).toContain("Benny");
    expect(checksOf("off").filter(({ kind }) => kind === "memory")).toEqual([]);
  });
});
