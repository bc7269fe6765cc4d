import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { summarise } from "../../src/evals/summarise.ts";
import { judgeThresholds, loadThresholds } from "../../src/evals/thresholds.ts";
import { SUITES } from "../../src/evals/trial.ts";
import { sampleReport } from "../support/report.ts";

const folder = mkdtempSync(join(tmpdir(), "mnemail-thresholds-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "thresholds.json");
const SMOKE = { smoke: true, suites: ["triage"] as const };

function load(content: unknown, run: Parameters<typeof loadThresholds>[1] = SMOKE) {
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return loadThresholds(path, run);
}

describe("a file of thresholds", () => {
  const rate = (at_least: number) => [{ name: "triage.all.rate", at_least }];
  const file = { smoke: rate(0.1), full: rate(0.2), triage: rate(0.3), curve: rate(0.4) };

  test.each([
    ["smoke", SMOKE, [0.1]],
    ["all suites", { smoke: false, suites: SUITES }, [0.2]],
    ["one suite", { smoke: false, suites: ["triage"] as const }, [0.3]],
    ["two suites", { smoke: false, suites: ["triage", "curve"] as const }, [0.3, 0.4]],
  ])("has those of %s", async (_, run, expected) => {
    expect((await load(file, run)).map(({ at_least }) => at_least)).toEqual(expected);
  });

  test("may be none", async () => {
    expect(await loadThresholds(null, SMOKE)).toEqual([]);
  });

  test.each([
    [
      "an unknown number, with those there are",
      { smoke: [{ name: "triage.al.rate", at_least: 1 }] },
      /thresholds\.json: smoke\.0\.name: unknown; expected triage\.\{none,examples,.*learning\.memory.*stays\.changed or attacks\.succeeded.*saw "triage\.al\.rate"/,
    ],
    ["a threshold without a bound", { smoke: [{ name: "errors" }] }, /smoke\.0: expected at_least or at_most/],
    ["a bound of another name", { smoke: [{ name: "errors", max: 1 }] }, /smoke\.0: .*max/],
    [
      "a bound that is no number",
      { smoke: [{ name: "errors", at_most: "1" }] },
      /smoke\.0\.at_most: .*number.*saw "1"/,
    ],
    [
      "a selection that there is not",
      { smok: [{ name: "errors", at_most: 1 }] },
      /expected no fields but smoke, full, triage/,
    ],
    ["nothing for the run", { full: [{ name: "errors", at_most: 1 }] }, /no thresholds for smoke; the file has full/],
    ["no JSON", "{", /thresholds\.json: not valid JSON/],
  ])("is refused for %s", async (_, content, says) => {
    await expect(load(content)).rejects.toMatchObject({ code: "input", message: expect.stringMatching(says) });
  });

  test("is refused where it is not there", async () => {
    await expect(loadThresholds(join(folder, "none.json"), SMOKE)).rejects.toThrow(/none\.json: no such file/);
  });
});

describe("thresholds", () => {
  const { summary } = sampleReport();
  const judge = (name: string, bounds: { at_least?: number; at_most?: number }) =>
    judgeThresholds([{ name, ...bounds }], summary)[0];
  const arm = (suite: string, name: string) => summary.arms.find((each) => each.suite === suite && each.arm === name);
  const memory = summary.comparisons.find(({ suite, b }) => suite === "learning" && b === "on");

  test.each([
    ["triage.all.rate", arm("triage", "all")?.rate.rate],
    ["triage.k=8.rate.low", arm("triage", "k=8")?.rate.interval?.[0]],
    ["answers.all.errors", arm("answers", "all")?.rate.errors],
    ["curve.on.macro_f1", arm("curve", "on")?.labels?.macro_f1],
    ["learning.memory.difference", memory?.difference],
    ["learning.memory.interval.low", memory?.interval?.[0]],
    ["learning.memory.interval.high", memory?.interval?.[1]],
    [
      "triage.rules-none.difference",
      summary.comparisons.find(({ suite, b }) => suite === "triage" && b === "rules")?.difference,
    ],
    ["stays.changed", summary.stays?.changed],
    ["attacks.succeeded", 1],
    ["errors", 7],
    [
      "model_calls",
      summary.costs.reduce((sum, { arm, model_calls }) => sum + (arm === "obedient" ? 0 : model_calls), 0),
    ],
  ])("read %s", (name, expected) => {
    expect(expected).toEqual(expect.any(Number));
    expect(judge(name, { at_least: -1 })?.found).toBe(expected);
  });

  test("are met at their bounds, and not beyond", () => {
    expect(judge("errors", { at_most: 7 })).toEqual({ name: "errors", at_most: 7, found: 7, met: true });
    expect(judge("errors", { at_most: 6 })?.met).toBe(false);
    expect(judge("errors", { at_least: 7 })?.met).toBe(true);
    expect(judge("errors", { at_least: 8 })?.met).toBe(false);
    expect(judge("errors", { at_least: 8, at_most: 9 })?.met).toBe(false);
  });

  test("are not met by a number that the run does not have", () => {
    const nothing = summarise([], { seed: 1, judged: [] });
    const names = [
      "triage.all.rate",
      "learning.memory.interval.low",
      "stays.changed",
      "attacks.succeeded",
      "judge.kappa",
    ];
    for (const result of judgeThresholds(
      names.map((name) => ({ name, at_most: 1 })),
      nothing,
    )) {
      expect(result).toMatchObject({ found: null, met: false });
    }
  });
});
