import { describe, expect, test } from "vitest";
import { cleanText } from "../../../src/email.ts";
import { renderMarkdown } from "../../../src/evals/rendering/markdown.ts";
import { renderSummaryLine } from "../../../src/evals/rendering/summary-line.ts";
import type { Report } from "../../../src/evals/report.ts";
import { summarise } from "../../../src/evals/summarise.ts";
import { HOSTILE, sampleReport } from "../../support/report.ts";

/** The same run at another time, on a slower machine, with every answer known. */
function again(): Report {
  const report = sampleReport();
  const trials = report.trials.map((trial) => ({
    ...trial,
    known: trial.usage.model_calls,
    usage: { ...trial.usage, ms: trial.usage.ms * 3 },
  }));
  const other = { ...report, id: "another", created_at: "2031-01-01T00:00:00Z", trials };
  return { ...other, summary: summarise(trials, report) };
}

describe("the Markdown of a report", () => {
  test("without times is the same, byte for byte, for another run of the same; with times it is not", () => {
    expect(renderMarkdown(again(), { times: false })).toBe(renderMarkdown(sampleReport(), { times: false }));
    expect(renderMarkdown(again(), { times: true })).not.toBe(renderMarkdown(sampleReport(), { times: true }));
  });

  test("has date, run, milliseconds and known answers only with times", () => {
    const [plain, timed] = [false, true].map((times) => renderMarkdown(sampleReport(), { times }));
    for (const says of ["2026-03-06T17:00:00.000Z", "| run |", "| ms |", "| of them known |"]) {
      expect(timed).toContain(says);
      expect(plain).not.toContain(says);
    }
  });

  test("has the command, the files with hashes, and says first what answered", () => {
    const text = renderMarkdown(sampleReport(), { times: false });
    expect(text).toMatch(/^# Mnemail evaluation\n\n## This run\n\nNo language model decided here\./);
    expect(text).toContain("| command | `npm run eval -- --suite triage,");
    expect(text).toContain(`| \`samples/evals/triage.jsonl\` | 48 | \`${"1f".repeat(32)}\` |`);
  });

  test("has tables whose rows have as many cells as their heads, whatever strangers wrote", () => {
    const report = sampleReport();
    for (const trial of report.trials.slice(0, 200)) {
      trial.error = `${HOSTILE}\n| a | b |`;
      trial.case = `\`|\`<b>${trial.case}`;
    }
    const text = renderMarkdown({ ...report, summary: summarise(report.trials, report) }, { times: true });
    const cells = (line: string) => line.split(/(?<!\\)\|/).length;
    let width = 0;
    for (const line of text.split("\n")) {
      if (!line.startsWith("|")) width = 0;
      else if (width === 0) width = cells(line);
      else expect(cells(line), line).toBe(width);
    }
    expect(text).not.toMatch(/(?<!\\)<(?:script|img|b)/);
    expect(text).toBe(cleanText(text));
  });

  test("names some wrong cases and no prompt, and is short", () => {
    const text = renderMarkdown(sampleReport(), { times: false });
    expect(text).toMatch(/Triage, `all`: \d+ wrong\n\n- `triage-17`: expected respond, got notify\n/);
    expect(text).toMatch(/\n- and \d+ more\n/);
    expect(text).not.toContain("You sort the mail");
    expect(text.split("\n").length).toBeLessThan(330);
  });
});

describe("the line of a report", () => {
  test("says cases, labels, lift, what must stay, attacks, errors, calls and thresholds", () => {
    expect(renderSummaryLine(sampleReport({ isStandIn: false }))).toMatch(
      /^104 cases · labels 79\.2 % \(65\.7 to 88\.3\), without memory \d+\.\d %, improved · memory on learning stories \+58\.3 points \(\+\d+\.\d to \+\d+\.\d\), improved · 0 of 12 changed that must stay · 1 of 16 attacks succeeded · 7 errors · 1,6\d\d model calls · 1 of 8 thresholds missed$/,
    );
    expect(renderSummaryLine(sampleReport())).toMatch(/^stand-in, no language model · 104 cases/);
  });

  test("leaves out what the run does not have", () => {
    const report = sampleReport({ isStandIn: false });
    const trials = report.trials.filter(({ suite, arm }) => suite === "triage" && arm === "none").slice(0, 1);
    const line = renderSummaryLine({ ...report, trials, summary: summarise(trials, report), thresholds: [] });
    expect(line).toMatch(/^1 case · 0 errors · \d+ model calls?$/);
  });
});
