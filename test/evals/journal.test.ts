import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { beginJournal, type Plan, readJournal } from "../../src/evals/journal.ts";
import type { RunTrial } from "../../src/evals/run-trial.ts";
import { NO_USAGE } from "../../src/meter.ts";
import { temporaryFolder } from "../support/assistant.ts";

const PLAN: Plan = {
  ...{ id: "run", created_at: "2026-03-06T17:00:00.000Z", command: "npm run eval", version: "0.1.0", cases: "cases" },
  ...{ inbox: null, user: null, suites: ["triage"], smoke: false, split: "all", repeat: 1, seed: 1, thresholds: null },
  model: { chat: "m", embeddings: "e", description: "m at x", is_stand_in: false },
  ...{ files: [], prompts: "p", memory: null, settings: { server: "x" } },
};

function done(id: string, error: string | null = null): RunTrial {
  const name = { suite: "triage" as const, arm: "all", case: id, group: id, user: "ana@home.example" };
  const trial = {
    ...name,
    split: "dev" as const,
    repeat: 0,
    expected: "ignore" as const,
    got: null,
    checks: [],
    error,
  };
  const shown = error === null ? [{ role: "user", text: "line\u2028 two" }] : undefined;
  return { trial: { ...trial, usage: { ...NO_USAGE }, known: 0, request: null, draft: null }, shown };
}

test("what was kept is read back: the plan, and the units that are done", () => {
  using folder = temporaryFolder();
  const journal = beginJournal(folder.path("runs/run"), PLAN);
  journal.keep("a", [done("a"), done("b")]);
  journal.keep("c", [done("c")]);
  const read = readJournal(folder.path("runs/run"));
  expect(read.plan).toEqual(PLAN);
  expect([...read.done]).toEqual([
    ["a", [done("a"), done("b")]],
    ["c", [done("c")]],
  ]);
});

test("a unit in which something failed is done again; once it is done, it is", () => {
  using folder = temporaryFolder();
  const journal = beginJournal(folder.path("run"), PLAN);
  journal.keep("a", [done("a"), done("b", "no connection")]);
  expect(readJournal(folder.path("run")).done.size).toBe(0);
  journal.keep("a", [done("a"), done("b")]);
  expect([...readJournal(folder.path("run")).done.keys()]).toEqual(["a"]);
});

test("the line that a killed process was writing is done again, wherever it was cut, and what follows is kept", () => {
  using folder = temporaryFolder();
  const path = folder.path("run/trials.jsonl");
  const journal = beginJournal(folder.path("run"), PLAN);
  journal.keep("a", [done("a")]);
  const whole = readFileSync(path);
  journal.keep("b", [done("b")]);
  const both = readFileSync(path);
  // Here and there, and at the end, where in the last case only the end of the line is missing.
  const length = both.length - whole.length;
  const cuts = [1, Math.floor(length / 3), Math.floor(length / 2), length - 2, length - 1].map(
    (at) => whole.length + at,
  );
  for (const cut of cuts) {
    writeFileSync(path, both.subarray(0, cut));
    const read = readJournal(folder.path("run"));
    expect([...read.done.keys()]).toEqual(cut === both.length - 1 ? ["a", "b"] : ["a"]);
    read.keep("c", [done("c")]);
    expect([...readJournal(folder.path("run")).done.keys()].at(-1)).toBe("c");
  }
});

test("a folder without a run, and one whose plan was cut, are named", () => {
  using folder = temporaryFolder();
  expect(() => readJournal(folder.path("none"))).toThrow(`${folder.path("none")}: no evaluation run is kept there`);
  beginJournal(folder.path("run"), PLAN);
  writeFileSync(folder.path("run/run.json"), '{"id": "ru');
  expect(() => readJournal(folder.path("run"))).toThrow("no evaluation run is kept there");
});

test("a run is begun in a folder of its own, which only its user can read", () => {
  using folder = temporaryFolder();
  beginJournal(folder.path("run"), PLAN).keep("a", [done("a")]);
  expect(() => beginJournal(folder.path("run"), PLAN)).toThrow(/run: cannot be written \(EEXIST/);
  appendFileSync(folder.path("file"), "");
  expect(() => beginJournal(folder.path("file/run"), PLAN)).toThrow(/file\/run: cannot be written \(ENOTDIR/);
  expect(existsSync(folder.path("run/trials.jsonl"))).toBe(true);
});
