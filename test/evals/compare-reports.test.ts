import { describe, expect, test } from "vitest";
import { compareReports, renderComparisonText } from "../../src/evals/compare-reports.ts";
import type { Report } from "../../src/evals/report.ts";
import { summarise } from "../../src/evals/summarise.ts";
import type { Trial } from "../../src/evals/trial.ts";
import { sampleReport } from "../support/report.ts";

/** A report of the triage cases in one arm, of which the first `right` are right. */
function reportOf(right: number, change: (trial: Trial, i: number) => Trial = (trial) => trial): Report {
  const report = sampleReport();
  const own = report.trials.filter(({ suite, arm }) => suite === "triage" && arm === "none");
  const trials = own.map((trial, i) =>
    change({ ...trial, error: null, checks: [{ kind: "label", name: "the label", met: i < right }] }, i),
  );
  return { ...report, id: `right-${right}`, trials, summary: summarise(trials, report) };
}
const armOf = (a: Report, b: Report) => compareReports(a, b).arms[0];

describe("two reports", () => {
  test("are compared by case: a clear gain is improved, and its cases are named; the other way round it regressed", () => {
    const arm = armOf(reportOf(20), reportOf(40));
    expect(arm).toMatchObject({ suite: "triage", arm: "none", verdict: "improved", pairs: 48, only_a: 0, only_b: 20 });
    expect(arm?.became_right).toHaveLength(20);
    expect(arm?.became_right).toContain("triage-39");
    expect(arm?.became_wrong).toEqual([]);
    expect(armOf(reportOf(40), reportOf(20))).toMatchObject({ verdict: "regressed", became_right: [] });
  });

  test("that differ by two cases are inconclusive, and say what would have shown", () => {
    const a = reportOf(20);
    const comparison = compareReports(a, reportOf(22));
    expect(comparison.arms[0]).toMatchObject({ verdict: "inconclusive", became_right: ["triage-20", "triage-21"] });
    const text = renderComparisonText(comparison);
    expect(text).toContain("triage none: inconclusive\n  41.7 % → 45.8 %, +4.2 points (0.0 to +");
    expect(text).toMatch(/too few pairs to tell: a difference of \d+\.\d points would have shown/);
    expect(text).toContain("  became right (2): triage-20, triage-21");
    expect(text.split("\n").at(-1)).toBe("1 arm: 0 as before, 1 inconclusive");
  });

  test("of which cases failed in one leave these out, in neither list", () => {
    const failing = reportOf(40, (trial, i) => (i >= 20 && i < 30 ? { ...trial, error: "503", checks: [] } : trial));
    const arm = armOf(reportOf(20), failing);
    expect(arm).toMatchObject({ pairs: 38, failed: 10, only_b: 10 });
    expect(arm?.became_right).not.toContain("triage-25");
    expect(renderComparisonText(compareReports(reportOf(20), failing))).toContain("as one of them failed: 10");
  });

  test("name the cases and arms that only one of them has", () => {
    const [a, b] = [reportOf(20), reportOf(20)];
    const less = { ...b, trials: b.trials.filter(({ case: id }) => id !== "triage-7") };
    expect(armOf(a, less)).toMatchObject({ only_in_a: ["triage-7"], only_in_b: [], pairs: 47 });
    expect(armOf(less, a)).toMatchObject({ only_in_a: [], only_in_b: ["triage-7"], pairs: 47 });
    const whole = sampleReport();
    expect(compareReports(a, whole)).toMatchObject({ arms_only_in_a: [] });
    expect(compareReports(whole, a).arms_only_in_a).toContain("learning on");
  });

  test("do not compare cases whose content changed: by hash, or where there is none by what was expected", () => {
    const [a, b] = [reportOf(20), reportOf(40)];
    const hashes = Object.fromEntries(a.trials.map(({ case: id }) => [id, "h"]));
    const [hashed, edited] = [
      { ...a, cases: hashes },
      { ...b, cases: { ...hashes, "triage-25": "other" } },
    ];
    const arm = armOf(hashed, edited);
    expect(arm).toMatchObject({ changed: ["triage-25"], pairs: 47 });
    expect(arm?.became_right).not.toContain("triage-25");
    const relabelled = reportOf(40, (trial, i) =>
      i === 25 ? { ...trial, expected: trial.expected === "ignore" ? "notify" : "ignore" } : trial,
    );
    expect(armOf(a, relabelled)).toMatchObject({ changed: ["triage-25"], pairs: 47 });
  });

  test("find the hash of a story for each of its later emails", () => {
    const report = sampleReport();
    const ids = report.trials.map(({ case: id }) => id.split("/")[0] ?? id);
    const cases = Object.fromEntries(ids.map((id) => [id, "h"]));
    const { arms } = compareReports({ ...report, cases }, { ...report, cases: { ...cases, "story-3": "other" } });
    const learning = arms.filter(({ suite }) => suite === "learning");
    expect(learning.map(({ changed }) => changed)).toEqual(
      learning.map(() => ["story-3/first", "story-3/second", "story-3/stays"]),
    );
    expect(arms.find(({ suite }) => suite === "triage")?.changed).toEqual([]);
  });

  test("say what else differs: model, embeddings, repeats, files", () => {
    const a = sampleReport();
    const b = { ...sampleReport({ isStandIn: false }), repeat: 3 };
    b.files = b.files.map((file, i) => (i === 1 ? { ...file, hash: "other" } : file)).slice(0, -1);
    expect(compareReports(a, b).differs).toEqual([
      "model: stand-in in a, gpt-x-mini in b",
      "embeddings: stand-in-embedding in a, text-embedding-x in b",
      "model server: on this machine in a, at api.example.test in b",
      "repeats: 1 in a, 3 in b",
      "samples/evals/triage.jsonl: not the same; a report without hashes of its cases cannot tell which",
      "samples/evals/attacks.jsonl: only in a",
    ]);
    expect(compareReports(a, a).differs).toEqual([]);
  });

  test("say what an email cost in each", () => {
    const dearer = reportOf(20, (trial) => ({ ...trial, usage: { ...trial.usage, model_calls: 3 } }));
    const arm = armOf(reportOf(20), dearer);
    const calls = arm?.costs.find(({ what }) => what === "model_calls");
    expect(calls?.b).toBe(3);
    expect(calls?.a).toBeLessThan(2);
    expect(renderComparisonText(compareReports(reportOf(20), dearer))).toMatch(
      /cost of one: model calls 1\.\d\d → 3\.00\n/,
    );
  });

  test("that are the same have nothing to say", () => {
    const report = sampleReport();
    const { arms } = compareReports(report, report);
    expect(
      arms.map(({ became_right, became_wrong, changed }) => [...became_right, ...became_wrong, ...changed]),
    ).toEqual(arms.map(() => []));
    expect(renderComparisonText(compareReports(report, report))).toContain(
      `${arms.length} arms: ${arms.length} as before`,
    );
  });

  test("cannot steer a terminal by what strangers wrote", () => {
    const a = reportOf(20, (trial) => ({ ...trial, case: `\u001b[2J${trial.case}\n\u202E` }));
    const b = reportOf(40, (trial) => ({ ...trial, case: `\u001b[2J${trial.case}\n\u202E` }));
    const text = renderComparisonText(compareReports(a, b));
    expect(text).toContain("became right (20): [2Jtriage-20, ");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    expect(text).not.toMatch(/[\u001b\u202e]/);
  });
});
