import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { cleanText } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import { parseJson } from "../parse-json.ts";

const MOST_PROBLEMS = 10;

/** One value of a JSONL file: where it stands, and a hash of what it says, whatever the order of its fields. */
export interface ReadLine<T> {
  value: T;
  place: string;
  hash: string;
}

/**
 * Reads a JSONL file, one value a line; empty lines are passed over.
 *
 * @throws MnemailError("input") that names file, line and field of up to ten problems.
 */
export async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<ReadLine<T>[]> {
  const lines: ReadLine<T>[] = [];
  const problems: string[] = [];
  for (const [i, line] of (await readText(path)).split("\n").entries()) {
    if (line.trim() === "") continue;
    const place = `${path}:${i + 1}`;
    const json = parseJson(line);
    if (json === undefined) {
      problems.push(`${place}: not valid JSON; expected one object a line`);
      continue;
    }
    const parsed = schema.safeParse(json, { reportInput: true });
    if (parsed.success) lines.push({ value: parsed.data, place, hash: hashJson(json) });
    else problems.push(`${place}: ${describeIssue(parsed.error)}`);
  }
  refuseProblems(problems);
  return lines;
}

/** Reads a JSON file. @throws MnemailError("input") that names file and field. */
export async function readJsonFile<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const json = parseJson(await readText(path));
  if (json === undefined) throw new MnemailError("input", `${path}: not valid JSON`);
  const parsed = schema.safeParse(json, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new MnemailError("input", `${path}: ${describeIssue(parsed.error)}`);
}

/** @throws MnemailError("input") with the first of the problems, a line each, where there are any. */
export function refuseProblems(problems: readonly string[], hint?: string): void {
  const more = problems.length - MOST_PROBLEMS;
  const shown = [...problems.slice(0, MOST_PROBLEMS), ...(more > 0 ? [`and ${more} more`] : [])];
  if (shown.length > 0) throw new MnemailError("input", shown.join("\n"), hint);
}

/** A hash of a JSON value that does not depend on the order of its fields. */
export function hashJson(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex").slice(0, 16);
}

async function readText(path: string): Promise<string> {
  try {
    // Editors of some systems begin a file with a mark.
    return (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const why = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "is a folder; expected a file" : String(code);
    throw new MnemailError("input", `${path}: ${why}`, undefined, { cause: error });
  }
}

function describeIssue({ issues: [first] }: z.ZodError): string {
  if (!first) return "is not what was expected";
  const issue = nearest(first);
  const field = issue.path.map(String).join(".");
  const saw = issue.input === undefined ? "nothing" : excerpt(issue.input);
  return `${field === "" ? "" : `${field}: `}${issue.message}, saw ${saw}`;
}

/** Of the alternatives that a value fits none of, the one that the least is wrong with; where that is several, all of them. */
function nearest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const least = Math.min(...issue.errors.map((each) => each.length));
  const [first, ...others] = issue.errors.flatMap((each) => (each[0] && each.length === least ? nearest(each[0]) : []));
  const isClear = first && others.every(({ path }) => path.join() === first.path.join());
  return isClear ? { ...first, path: [...issue.path, ...first.path] } : issue;
}

function excerpt(value: unknown): string {
  const text = cleanText(JSON.stringify(value) ?? "nothing").replace(/\s+/g, " ");
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
