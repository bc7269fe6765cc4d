import { parseHTML } from "linkedom";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { cleanText } from "../../../src/email.ts";
import { renderHtml } from "../../../src/evals/rendering/html.ts";
import { summarise } from "../../../src/evals/summarise.ts";
import { HOSTILE, sampleReport } from "../../support/report.ts";

const elementSchema = z.object({ textContent: z.string(), outerHTML: z.string() });

/** The elements of a page, parsed once, that a selector names. */
function elementsOf(page: string): (selector: string) => z.infer<typeof elementSchema>[] {
  const { document } = parseHTML(page);
  return (selector) => z.array(elementSchema).parse([...document.querySelectorAll(selector)]);
}
const textsOf = (page: string) => {
  const elements = elementsOf(page);
  return (selector: string) => elements(selector).map(({ textContent }) => textContent.replace(/\s+/g, " ").trim());
};

let html = "";
let elements = elementsOf(html);
let texts = textsOf(html);
beforeAll(async () => {
  html = await renderHtml(sampleReport());
  elements = elementsOf(html);
  texts = textsOf(html);
});

describe("the page of a report", () => {
  test("says in its first lines that no language model decided, and that it shows wiring", () => {
    const [first, second, third] = texts("main p");
    expect(first).toContain("No language model decided here");
    expect(second).toContain("wiring, not quality");
    expect(third).toMatch(
      /^stand-in, no language model · 104 cases · labels 79\.2 % \(65\.7 to 88\.3\), without memory \d+\.\d %, improved · memory on/,
    );
  });

  test("says which model decided, where one did, and what the rates hold for", async () => {
    const [first, second] = textsOf(await renderHtml(sampleReport({ isStandIn: false })))("main p");
    expect(first).toMatch(/^gpt-x-mini decided \(at api\.example\.test\)/);
    expect(second).toContain("They hold for these cases and this version of the model");
  });

  test("has every section, with the headings in their order", () => {
    expect(texts("h2")).toEqual([
      ...["This run", "Triage", "Before and after each rule", "Answers", "Learning", "Learning curve", "Attacks"],
      ...["The judge", "Cost", "Wrong cases", "Errors", "How to read this"],
    ]);
    expect(texts("h1")).toEqual(["Mnemail evaluation"]);
    expect(texts("nav a")).toEqual(texts("h2"));
  });

  test("asks for nothing from anywhere, and would not be given it", () => {
    expect(html.includes(`content="default-src 'none'; style-src 'unsafe-inline'"`)).toBe(true);
    const asks = [...html.matchAll(/\s(?:src|href|action|data|srcset|xlink:href)="([^"]*)"/g)].map(
      ([, at]) => at ?? "",
    );
    expect(asks.filter((at) => !at.startsWith("#"))).toEqual([]);
    expect(html.match(/@import|url\(|<(?:link|script|iframe|img)|<[a-z][^<>]*\son\w+=/i)).toBeNull();
  });

  test("tells machines what people see: captions, heads of rows and columns, names of drawings and regions", () => {
    for (const { outerHTML } of elements("table")) {
      expect(outerHTML).toMatch(/^<table[^>]*>\s*<caption>[^<]+<\/caption>/);
      expect(outerHTML).toContain('<th scope="col"');
      expect(outerHTML).toContain('<th scope="row"');
    }
    const drawings = elements("svg[role=img]");
    expect(drawings.length).toBeGreaterThan(10);
    for (const { outerHTML } of drawings) expect(outerHTML).toMatch(/^<svg role="img" aria-label="[^"]{20,}"/);
    for (const { outerHTML } of elements(".scroll")) expect(outerHTML).toMatch(/tabindex="0" aria-label="[^"]+"/);
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("tells lines apart without colour, and verdicts by a word", () => {
    const curve = elements("#curve svg[role=img]")[0]?.outerHTML ?? "";
    expect(curve).toContain('stroke-dasharray="6 4"');
    expect(texts("#curve .legend li")).toEqual(["on", "off"]);
    expect(texts("td.good")).toContain("improved");
    expect(texts("td.bad")).toContain("not met");
  });

  test("shows errors beside each rate", () => {
    for (const suite of ["triage", "changes", "answers", "learning", "attacks"]) {
      const heads = texts(`#${suite} thead th`);
      expect(heads.filter((head) => head === "errors").length).toBe(heads.filter((head) => head === "rate").length);
    }
  });

  test("shows a wrong case with what was expected, what came, what is not met and the prompt, each prompt once", () => {
    const [wrong = ""] = texts("details.case[data-suite=answers][data-arm=all]");
    expect(wrong).toMatch(/^answer-\d+ respond → \w+ /);
    expect(wrong).toContain("not met (");
    expect(wrong).toContain("nobody could tell (judge): offers a day of next week");
    expect(wrong).toContain("Draft Dear Ana,");
    expect(wrong).toContain("Prompt system You sort the mail of one person.");
    const prompts = texts(".prompt");
    expect(new Set(prompts).size).toBe(prompts.length);
    const links = elements("details.case p a").map(({ outerHTML }) => /href="#(prompt-\d+)"/.exec(outerHTML)?.[1]);
    expect(links.length).toBeGreaterThan(10);
    const anchors = new Set([...html.matchAll(/ id="(prompt-\d+)"/g)].map(([, id]) => id));
    expect(links.filter((target) => !anchors.has(target))).toEqual([]);
  });

  test("makes strangers' text harmless: no element, no invisible and no direction-changing character of it", () => {
    expect(HOSTILE).toMatch(/<script>.*\u202E.*\u200B/s);
    expect(html.includes("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;")).toBe(true);
    expect(html.includes("&lt;/details&gt;&lt;/pre&gt;")).toBe(true);
    expect(html === cleanText(html)).toBe(true);
  });

  test("escapes names that are somebody's: of cases, arms, users, models, files and thresholds", async () => {
    const report = sampleReport();
    const bad = `"><b>${"\u202E"}x</b>`;
    report.trials.push(...report.trials.slice(0, 40).map((trial) => ({ ...trial, case: bad, arm: bad, user: bad })));
    report.model = { ...report.model, chat: bad, description: bad, is_stand_in: false };
    report.files.push({ name: bad, cases: 1, hash: bad });
    report.thresholds.push({ name: bad, at_most: 1, found: null, met: false });
    report.command = bad;
    report.summary = summarise(report.trials, report);
    const page = await renderHtml(report);
    expect(elementsOf(page)("b")).toEqual([]);
    expect(page.includes("\u202E")).toBe(false);
    expect(textsOf(page)("h2")).toHaveLength(12);
  });

  test("is whole without a trial, and with nothing but errors", async () => {
    const report = sampleReport();
    const failed = report.trials.map((trial) => ({ ...trial, error: "the server is away", checks: [], got: null }));
    for (const trials of [[], failed]) {
      const page = await renderHtml({ ...report, trials, summary: summarise(trials, report) });
      expect(page.match(/NaN|Infinity|undefined/)).toBeNull();
      expect(textsOf(page)("#wrong p")).toEqual(["None."]);
    }
  });

  test("is the same for the same report", async () => {
    expect((await renderHtml(sampleReport())) === html).toBe(true);
  });
});
