import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { compareReports, renderComparisonText } from "../evals/compare-reports.ts";
import { readJsonFile } from "../evals/read-lines.ts";
import { type Report, reportSchema } from "../evals/report.ts";
import { printJson } from "./output.ts";

const optionsSchema = z.object({ a: z.string(), b: z.string(), out: z.string(), json: z.boolean().default(false) });

/**
 * `mnemail eval compare`: what is better or worse in the second run than in the first. Returns the exit code, 1 where the two
 * have nothing in common.
 */
export async function compareRuns(rawOptions: unknown): Promise<number> {
  const { a, b, out, json } = optionsSchema.parse(rawOptions);
  const compared = compareReports(await readReport(a, out), await readReport(b, out));
  if (json) printJson(compared);
  else console.log(renderComparisonText(compared));
  return compared.arms.some(({ pairs }) => pairs > 0) ? 0 : 1;
}

/** A report by its file, its folder, or the id of its run. */
async function readReport(name: string, out: string): Promise<Report> {
  const folder = [name, join(out, "runs", name)].find((path) => existsSync(path));
  if (folder === undefined) {
    throw new MnemailError("missing", `${name}: no such run, folder or file`, `runs are kept in ${join(out, "runs")}`);
  }
  const path = statSync(folder).isDirectory() ? join(folder, "report.json") : folder;
  if (!existsSync(path)) {
    throw new MnemailError(
      "missing",
      `${folder}: has no report yet`,
      `finish it with: mnemail eval --resume ${folder}`,
    );
  }
  return readJsonFile(path, reportSchema);
}
