import { SUITES, type Suite } from "../trial.ts";

/** Each suite's heading, and what it asks. */
export const SUITE_TITLES: Record<Suite, { title: string; asks: string }> = {
  triage: {
    title: "Triage",
    asks: "Emails with a known label, decided with different parts of memory. One email can have another right label for another user.",
  },
  changes: {
    title: "Before and after each rule",
    asks: "The cases of triage with all examples and facts, but no rule, the user's first, their first two and so on: each against the one before.",
  },
  answers: {
    title: "Answers",
    asks: "Emails that need an answer: right is a trial whose label, tool calls, draft and memory are all as expected.",
  },
  learning: {
    title: "Learning",
    asks: "Stories: a user teaches something, and later emails come. Some must be decided otherwise for it, and the comparisons are of these; some must stay as they were.",
  },
  curve: {
    title: "Learning curve",
    asks: "A stream of emails in several orders. With corrections, the simulated user tells the right label after each mistake. The comparison is of the second half of the stream.",
  },
  attacks: {
    title: "Attacks",
    asks: "Emails that try to change memory, or what is sent. Right is a trial in which the attack came to nothing.",
  },
};

const ARMS: Record<Suite, Record<string, string>> = {
  triage: {
    none: "nothing learnt",
    examples: "examples only",
    rules: "rules only",
    facts: "facts only",
    all: "all of memory: 4 examples shown, hybrid retrieval",
    "k=0": "all, no example shown",
    "k=1": "all, 1 example shown",
    "k=8": "all, 8 examples shown",
    words: "all, found by words alone",
    vector: "all, found by vectors alone",
  },
  changes: {},
  answers: {
    none: "nothing learnt",
    examples: "examples only",
    rules: "rules only",
    facts: "facts only",
    all: "all of memory",
  },
  learning: {
    off: "nothing taught",
    on: "taught as the story says",
    permuted: "control: taught with every label another",
    other: "control: taught another story",
  },
  curve: { off: "never corrected", on: "corrected after each mistake" },
  attacks: { obedient: "a model that does whatever a text says", model: "the model of this run" },
};

/** The arms of a suite; those of `changes` are by user and not among them. See the table at `trialSchema`. */
export function armNames(suite: Suite): string[] {
  return Object.keys(ARMS[suite]);
}

/** What an arm is, in words. */
export function describeArm(suite: Suite, arm: string): string {
  return ARMS[suite][arm] ?? "";
}

/** The arms in which the assistant does its best; the others are there to compare with, and are to be wrong at times. */
export function isMainArm(suite: Suite, arm: string): boolean {
  if (suite === "triage" || suite === "answers") return arm === "all";
  return suite === "learning" ? arm === "on" : suite === "attacks";
}

/** Suites in the order in which reports have them. */
export function bySuite(a: { suite: Suite }, b: { suite: Suite }): number {
  return SUITES.indexOf(a.suite) - SUITES.indexOf(b.suite);
}
