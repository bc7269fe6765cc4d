import { beforeAll, describe, expect, test } from "vitest";
import { renderHtml } from "../../src/evals/rendering/html.ts";
import { renderMarkdown } from "../../src/evals/rendering/markdown.ts";
import { type Report, reportSchema } from "../../src/evals/report.ts";
import { sampleReport } from "../support/report.ts";
import { problemsOf } from "./recompute.ts";
import { problemsOfPage } from "./recompute-page.ts";

const report = sampleReport();
const markdown = renderMarkdown(report, { times: true });
let html = "";
beforeAll(async () => {
  html = await renderHtml(report);
});

type Path = (string | number)[];

/** The paths of all numbers within a value. */
function numbersIn(value: unknown, at: Path = []): Path[] {
  if (typeof value === "number") return [at];
  if (typeof value !== "object" || value === null) return [];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, inner]) => numbersIn(inner, [...at, key]));
}

/** A copy of a report in which the number at a path is another. */
function withOther(path: Path, by: number): Report {
  const change = (value: unknown, [key, ...rest]: Path): unknown => {
    if (key === undefined) return typeof value === "number" ? value + by : value;
    if (Array.isArray(value)) return value.map((one: unknown, i) => (i === key ? change(one, rest) : one));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, name === key ? change(one, rest) : one]),
    );
  };
  return reportSchema.parse(change(report, path));
}

/** One path of each form, such as `summary.arms.*.rate.right`. */
function oneOfEachForm(paths: Path[]): [string, Path][] {
  const form = (path: Path) => path.map((key) => (typeof key === "number" ? "*" : key)).join(".");
  return [...new Map(paths.toReversed().map((path) => [form(path), path])).entries()];
}

describe("the numbers of a report, computed again by other code from its trials", () => {
  test.each([
    ["the stand-in", true],
    ["a model", false],
  ])("are right in the report, page and Markdown of %s", async (_, isStandIn) => {
    const one = sampleReport({ isStandIn });
    const page = await renderHtml(one);
    for (const times of [true, false]) expect(problemsOf(one, page, renderMarkdown(one, { times }))).toEqual([]);
  });

  const forms = oneOfEachForm(numbersIn({ summary: report.summary }));
  test("are there in every form", () => {
    expect(forms.length).toBeGreaterThan(50);
  });

  test.each(forms)("are missed when %s is another", (name, path) => {
    // Integers must stay such for the schema; the ends of resampled intervals may move a little.
    const by = /interval|rate|precision|recall|f1|difference|kappa|smallest|\.p$/.test(name.replace(".rate.", "."))
      ? 0.2
      : 1;
    const isWhole = /\.(right|of|errors)$/.test(name);
    expect(problemsOf(withOther(path, isWhole ? 1 : by), html, markdown)).not.toEqual([]);
  });

  test("are missed when a verdict, or whether a threshold is met, is another", () => {
    const verdicts = structuredClone(report);
    for (const comparison of verdicts.summary.comparisons) comparison.verdict = "no effect detected";
    expect(problemsOf(verdicts, html, markdown).join("\n")).toContain("verdict no effect detected, expected improved");
    const thresholds = structuredClone(report);
    for (const threshold of thresholds.thresholds) threshold.met = !threshold.met;
    expect(problemsOf(thresholds, html, markdown).filter((line) => line.startsWith("threshold"))).toHaveLength(
      report.thresholds.length,
    );
  });

  test("are missed when an arm, a comparison or a window is not there", () => {
    for (const list of ["arms", "comparisons", "curve", "costs"] as const) {
      const less = structuredClone(report);
      less.summary[list].pop();
      expect(problemsOf(less, html, markdown)).not.toEqual([]);
    }
  });
});

describe("a page that shows something else than its report", () => {
  const numbers = () => [...html.matchAll(/<data data-key="([^"]*)" data-value="([^"]*)">([^<]*)<\/data>/g)];
  const some = <T>(all: T[]) => all.filter((_, i) => i % Math.ceil(all.length / 15) === 0);

  test("is found by a number's value, its text and its absence", () => {
    for (const { 0: whole, 1: key, 2: value, 3: text, index } of some(numbers())) {
      const put = (other: string) => html.slice(0, index) + other + html.slice(index + whole.length);
      const by = (other: string) => problemsOfPage(report, put(other), markdown).join("\n");
      expect(by(whole.replace(`data-value="${value}"`, 'data-value="0.123456"'))).toContain("0.123456");
      expect(by(whole.replace(`>${text}<`, ">98765<"))).toContain("98765");
      expect(by(whole.replace(`data-key="${key}"`, 'data-key="nothing"'))).toContain("nothing is a number of nothing");
    }
    const first = numbers()[0]?.[0] ?? "";
    expect(problemsOfPage(report, html.replaceAll(first, "3"), markdown).join("\n")).toContain("cases is not shown");
  });

  test("is found by a number that no key names", () => {
    const cell = /<td class="number">(?=<data)/;
    expect(problemsOfPage(report, html.replace(cell, '<td class="number">12 '), markdown).join("\n")).toContain(
      "without a key",
    );
  });

  test("is found by a point that lies elsewhere, or that says something else", () => {
    const moved = html.replace(
      /(<circle r="\d+" cy="[\d.]+" cx=")([\d.]+)(")/,
      (_, a, x, b) => `${a}${Number(x) + 3}${b}`,
    );
    expect(moved).not.toBe(html);
    expect(problemsOfPage(report, moved, markdown).join("\n")).toMatch(/drawing: .* lies at/);
    const said = html.replaceAll(/<title>none: [\d.]+ %/g, "<title>none: 1.0 %");
    expect(problemsOfPage(report, said, markdown).join("\n")).toMatch(/drawing: none: .* is not shown/);
  });

  test("is found by a wrong case that is not named, and by one that is right", () => {
    const other = html.replace(/data-case="triage-\d+"/, 'data-case="triage-999"');
    const problems = problemsOfPage(report, other, markdown).join("\n");
    expect(problems).toContain("wrong, but not named");
    expect(problems).toContain("named, but not wrong: triage | all | triage-999");
  });
});

describe("Markdown that says something else than the page", () => {
  test.each([
    ["a cell", /\| (\d+\.\d) % \|/, "| 1.2 % |"],
    ["the line of the result", /labels \d+\.\d %/, "labels 1.2 %"],
    ["a caption", /\*\*Triage: arms\*\*/, "**Triage: legs**"],
    ["a wrong case", /- `triage-\d+`/, "- `triage-999`"],
    ["how many are wrong", /`all`: \d+ wrong/, "`all`: 99 wrong"],
    ["how many are wrong elsewhere", /triage `none` \d+/, "triage `none` 99"],
  ])("is found by %s", (_, pattern, other) => {
    expect(markdown).toMatch(pattern);
    expect(problemsOfPage(report, html, markdown.replace(pattern, other))).not.toEqual([]);
  });
});
