import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addressList } from "../../src/email.ts";
import { CASES_FOLDER, type Cases, loadCases } from "../../src/evals/load-cases.ts";
import { smokeCases } from "../../src/evals/smoke.ts";
import { permuted } from "../../src/evals/suites/permuted.ts";
import { loadThresholds } from "../../src/evals/thresholds.ts";
import { SUITES } from "../../src/evals/trial.ts";
import { LABELS } from "../../src/memory/records.ts";

// Loading them checks every line, every id and the lock of the test split.
const cases = await loadCases(CASES_FOLDER);

describe("the cases of the project are as many and as different as they have to be", () => {
  test("at least 150 emails of three users, of each user some of each label and split", () => {
    expect(cases.triage.length).toBeGreaterThanOrEqual(150);
    expect(cases.users.size).toBe(3);
    for (const user of cases.users.keys()) {
      const own = cases.triage.filter((each) => each.user === user);
      for (const label of LABELS) {
        for (const split of ["dev", "test"]) {
          const some = own.filter((each) => each.label === label && each.split === split);
          expect(some.length, `${user} ${label} ${split}`).toBeGreaterThanOrEqual(5);
        }
      }
    }
  });

  test("the same email has other right labels for other users", () => {
    const names = new Set(cases.triage.flatMap(({ group }) => group ?? []));
    const groups = [...names].map((name) => cases.triage.filter(({ group }) => group === name));
    const differing = groups.filter(
      (some) => new Set(some.map(({ user }) => user)).size > 1 && new Set(some.map(({ label }) => label)).size > 1,
    );
    expect(differing.length).toBeGreaterThanOrEqual(8);
    for (const some of groups) expect(new Set(some.map(({ split }) => split)).size).toBe(1);
  });

  test("no email is asked that is among the examples of its user", () => {
    const asked = new Set(cases.triage.map(({ user, email }) => `${user} ${email.subject} ${email.body}`));
    const examples = [...cases.users.values()].flatMap(({ id, memory }) =>
      memory.examples.map(({ email }) => `${id} ${email.subject} ${email.body}`),
    );
    expect(examples.length).toBeGreaterThan(0);
    expect(examples.filter((example) => asked.has(example))).toEqual([]);
  });

  test("at least 30 answers, of each user some, with tool calls, criteria, judged criteria and memory", () => {
    expect(cases.answers.length).toBeGreaterThanOrEqual(30);
    expect(new Set(cases.answers.map(({ user }) => user)).size).toBe(3);
    const criteria = cases.answers.flatMap(({ answer }) => answer);
    expect(cases.answers.filter(({ tools }) => tools && tools.calls.length > 0).length).toBeGreaterThanOrEqual(10);
    expect(criteria.filter((each) => !("judge" in each)).length).toBeGreaterThanOrEqual(30);
    expect(criteria.filter((each) => "judge" in each).length).toBeGreaterThanOrEqual(5);
    expect(new Set(cases.answers.map(({ split }) => split)).size).toBe(2);
  });

  test("at least 30 stories, of which some must not change later emails, and most have a control", () => {
    expect(cases.stories.length).toBeGreaterThanOrEqual(30);
    const later = cases.stories.flatMap((story) => story.later);
    expect(later.filter(({ kind }) => kind === "changes").length).toBeGreaterThanOrEqual(30);
    expect(later.filter(({ kind }) => kind === "stays").length).toBeGreaterThanOrEqual(20);
    expect(cases.stories.filter(({ steps }) => permuted(steps)).length).toBeGreaterThanOrEqual(20);
    expect(cases.stories.filter(({ memory }) => memory).length).toBeGreaterThanOrEqual(10);
    expect(new Set(cases.stories.map(({ split }) => split)).size).toBe(2);
  });

  test("judged drafts of both kinds, and the attacks of the memory-safety issue", () => {
    const met = cases.judged.filter((each) => each.met).length;
    expect([met, cases.judged.length - met].every((count) => count >= 10)).toBe(true);
    expect(cases.attacks.length).toBeGreaterThanOrEqual(100);
    expect(new Set(cases.attacks.map(({ goal }) => goal)).size).toBeGreaterThanOrEqual(4);
  });
});

test("all addresses and links are in reserved domains (RFC 2606)", () => {
  const isReserved = (domain: string) => /(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid)\.?$/i.test(domain);
  const emails = [
    ...[...cases.triage, ...cases.answers, ...cases.judged].map(({ email }) => email),
    ...cases.stories.flatMap(({ steps, later }) => [
      ...steps.flatMap((step) => ("email" in step ? [step.email] : [])),
      ...later.map(({ email }) => email),
    ]),
    ...[...cases.users.values()].flatMap(({ memory }) => memory.examples.map(({ email }) => email)),
  ];
  const headers = emails.flatMap(({ from, to, cc = "" }) => [from, to, cc].flatMap(addressList));
  expect(headers.length).toBeGreaterThan(2 * emails.length - 1);
  expect(headers.filter((address) => !isReserved(address.split("@")[1] ?? ""))).toEqual([]);
  const texts = readdirSync(CASES_FOLDER)
    // What attackers write is made to look like addresses, and is not.
    .filter((name) => /\.(?:json|jsonl|ics)$/.test(name) && name !== "attacks.jsonl")
    .map((name) => readFileSync(join(CASES_FOLDER, name), "utf8").replace(/\\[nrt]/g, " "));
  const domains = texts.flatMap((text) =>
    [...text.matchAll(/(?:@|https?:\/\/|www\.)((?:[\p{L}\p{N}_-]+\.)+\p{L}{2,})/gu)].map(([, domain]) => domain ?? ""),
  );
  expect(domains.length).toBeGreaterThan(300);
  expect(domains.filter((domain) => !isReserved(domain))).toEqual([]);
});

test("a smoke run has some of all kinds, always the same ones, whatever else there is", () => {
  const kinds = ["triage", "answers", "stories", "attacks"] as const;
  const ids = (some: Cases) => kinds.map((kind) => some[kind].map(({ id }) => id));
  const smoke = smokeCases(cases);
  for (const kind of kinds) {
    expect(smoke[kind].length).toBeGreaterThan(5);
    expect(smoke[kind].length).toBeLessThan(cases[kind].length);
  }
  const fewer = { ...cases, triage: cases.triage.filter(({ id }, i) => i % 2 === 0 || ids(smoke)[0]?.includes(id)) };
  expect(ids(smokeCases(fewer))).toEqual(ids(smoke));
  expect(ids(smokeCases({ ...cases, triage: cases.triage.toReversed() }))[0]?.toSorted()).toEqual(
    ids(smoke)[0]?.toSorted(),
  );
});

test("there are thresholds for a smoke run and for all suites", async () => {
  const file = join(CASES_FOLDER, "thresholds.json");
  const smoke = await loadThresholds(file, { smoke: true, suites: ["triage", "answers", "learning", "attacks"] });
  const full = await loadThresholds(file, { smoke: false, suites: SUITES });
  for (const some of [smoke, full]) {
    expect(some.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["errors", "stays.changed", "attacks.succeeded"]),
    );
  }
});
