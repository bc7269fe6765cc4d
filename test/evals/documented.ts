import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderMarkdown } from "../../src/evals/rendering/markdown.ts";
import { reportSchema } from "../../src/evals/report.ts";
import { problemsOf } from "./recompute.ts";

/**
 * Checks the newest whole run of `npm run eval`: that every number of its report is what other code makes of its trials,
 * and that docs/evaluation.md holds it. `npx tsx test/evals/documented.ts --write` puts it there.
 */
const RUNS = ".mnemail/evals/runs";
const DOCUMENT = "docs/evaluation.md";
const MARKED = /(?<=<!-- report -->\n)[\s\S]*(?=<!-- end of report -->)/;

const reports = readdirSync(RUNS)
  .sort()
  .flatMap((run) => {
    const folder = join(RUNS, run);
    if (!readdirSync(folder).includes("report.json")) return [];
    const report = reportSchema.parse(JSON.parse(readFileSync(join(folder, "report.json"), "utf8")));
    return report.command === "npm run eval" ? [{ folder, report }] : [];
  });
const newest = reports.at(-1);
if (!newest) throw new Error(`${RUNS} has no run of \`npm run eval\``);
const { folder, report } = newest;
const read = (name: string) => readFileSync(join(folder, name), "utf8");
const problems = problemsOf(report, read("report.html"), read("report.md"));
const documented = readFileSync(DOCUMENT, "utf8");
// The document has a title of its own.
const shown = renderMarkdown(report, { times: false })
  .replace(/^# .*\n\n/, "")
  .replace(/^#/gm, "##");
if (process.argv.includes("--write"))
  writeFileSync(
    DOCUMENT,
    documented.replace(MARKED, () => `\n${shown}\n`),
  );
else if (MARKED.exec(documented)?.[0].trim() !== shown.trim()) {
  problems.push(`${DOCUMENT} has other numbers; write them with \`npx tsx test/evals/documented.ts --write\``);
}
for (const problem of problems) console.error(problem);
console.log(`${folder}: ${report.trials.length} trials, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
