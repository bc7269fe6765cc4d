import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { similarityText } from "../memory/semantic.ts";
import { type AttackCase, attackCaseSchema } from "./attacks/attack-case.ts";
import {
  type AnswerCase,
  answerCaseSchema,
  type CaseUser,
  caseUserSchema,
  type Judged,
  judgedSchema,
  type Split,
  type Story,
  storySchema,
  type TriageCase,
  triageCaseSchema,
} from "./cases.ts";
import { checkLock, type Lockable } from "./lock.ts";
import { hashJson, type ReadLine, readJsonFile, readLines, refuseProblems } from "./read-lines.ts";
import type { Suite } from "./trial.ts";

/** The cases of the project. */
export const CASES_FOLDER = fileURLToPath(new URL("../../samples/evals/", import.meta.url));

/** A file of cases that was read: how many, and a hash of them all. */
export interface CaseFile {
  name: string;
  cases: number;
  hash: string;
}

/** All the cases of a folder. */
export interface Cases {
  folder: string;
  users: ReadonlyMap<string, CaseUser>;
  triage: TriageCase[];
  answers: AnswerCase[];
  stories: Story[];
  attacks: AttackCase[];
  judged: Judged[];
  files: CaseFile[];
  /** Every case with a hash of its content, for the lock. */
  lockable: Lockable[];
}

/** No case at all. */
export const NO_CASES: Readonly<Cases> = {
  ...{ folder: "", users: new Map(), triage: [], answers: [], stories: [], attacks: [], judged: [], files: [] },
  lockable: [],
};

/**
 * Reads the cases of a folder: `users.json`, and of `triage.jsonl`, `answers.jsonl`, `stories.jsonl`, `attacks.jsonl` and
 * `judged.jsonl` those that are there. Cases of the test split must be as its lock has them, unless `unlocked`.
 *
 * @throws MnemailError("input") that names file and line of what is wrong: a broken case, two of one id, an unknown user, a
 * test case that was changed.
 */
export async function loadCases(folder: string, { unlocked = false } = {}): Promise<Cases> {
  if (!existsSync(folder)) throw new MnemailError("input", `${folder}: no such folder of cases`);
  const users = await readJsonFile(join(folder, "users.json"), z.array(caseUserSchema));
  const calendars = await readCalendars(folder, users);
  const read = async <T>(name: string, schema: z.ZodType<T>): Promise<ReadLine<T>[]> =>
    existsSync(join(folder, name)) ? readLines(join(folder, name), schema) : [];
  const triage = await read("triage.jsonl", triageCaseSchema);
  const answers = await read("answers.jsonl", answerCaseSchema);
  const stories = await read("stories.jsonl", storySchema);
  const attacks = await read("attacks.jsonl", attackCaseSchema);
  const judged = await read("judged.jsonl", judgedSchema);
  const all = [...triage, ...answers, ...stories];
  checkIds([...all, ...attacks, ...judged]);
  const known = new Set(users.map(({ id }) => id));
  refuseProblems(
    all
      .filter(({ value }) => !known.has(value.user))
      .map(({ value, place }) => `${place}: user: ${value.user} is not in users.json`),
  );
  for (const { value, place } of stories) checkSteps(value, place);
  checkExamples(users, [...triage, ...answers], join(folder, "users.json"));
  const lockable: Lockable[] = [...all, ...attacks].map(({ value: { id, split }, hash }) => ({ id, split, hash }));
  // What users were taught, and what a judge is compared with, decides results as the cases do.
  if (lockable.some(({ split }) => split === "test")) {
    lockable.push({ id: "users.json", split: "test", hash: hashJson([users, calendars]) });
    lockable.push({ id: "judged.jsonl", split: "test", hash: hashJson(judged.map(({ hash }) => hash)) });
  }
  if (!unlocked) await checkLock(folder, lockable);
  const fileOf = (name: string, lines: readonly ReadLine<unknown>[]): CaseFile[] =>
    lines.length === 0 ? [] : [{ name, cases: lines.length, hash: hashJson(lines.map(({ hash }) => hash)) }];
  return {
    folder,
    users: new Map(users.map((user) => [user.id, user])),
    triage: triage.map(({ value }) => value),
    answers: answers.map(({ value }) => value),
    stories: stories.map(({ value }) => value),
    attacks: attacks.map(({ value }) => value),
    judged: judged.map(({ value }) => value),
    files: [
      { name: "users.json", cases: users.length, hash: hashJson([users, calendars]) },
      ...fileOf("triage.jsonl", triage),
      ...fileOf("answers.jsonl", answers),
      ...fileOf("stories.jsonl", stories),
      ...fileOf("attacks.jsonl", attacks),
      ...fileOf("judged.jsonl", judged),
    ],
    lockable,
  };
}

/** An email whose label is asked for must not be among the examples that are shown. */
function checkExamples(
  users: readonly CaseUser[],
  cases: readonly ReadLine<Pick<TriageCase, "user" | "email">>[],
  path: string,
): void {
  const asked = new Map(cases.map(({ value, place }) => [`${value.user} ${similarityText(value.email)}`, place]));
  const problems = users.flatMap(({ id, memory }) =>
    memory.examples.flatMap(({ email }, i) => {
      const place = asked.get(`${id} ${similarityText(email)}`);
      return place === undefined ? [] : [`${path}: ${id}: example ${i} is the email of ${place}`];
    }),
  );
  refuseProblems(problems, "leave it out of one of them: the answer would be in the question");
}

/** The cases that a run of some suites and a split asks for; its files tell how many of each are used, and hash those. */
export function casesUsed(cases: Cases, { suites, split }: { suites: readonly Suite[]; split: Split | "all" }): Cases {
  const has = (...some: Suite[]) => some.some((suite) => suites.includes(suite));
  const used = {
    triage: has("triage", "changes", "curve") ? ofSplit(cases.triage, split) : [],
    answers: has("answers") ? ofSplit(cases.answers, split) : [],
    stories: has("learning") ? ofSplit(cases.stories, split) : [],
    attacks: has("attacks") ? ofSplit(cases.attacks, split) : [],
    judged: has("answers", "learning") ? cases.judged : [],
  };
  const hashes = new Map(cases.lockable.map(({ id, hash }) => [id, hash]));
  const files = cases.files.flatMap((file): CaseFile[] => {
    const some = Object.entries(used).find(([name]) => `${name}.jsonl` === file.name)?.[1];
    if (!some || file.name === "judged.jsonl") return some?.length === 0 ? [] : [file];
    if (some.length === 0) return [];
    return [{ ...file, cases: some.length, hash: hashJson(some.map(({ id }) => hashes.get(id) ?? "")) }];
  });
  return { ...cases, ...used, files };
}

/** The calendars of the users, which decide answers as their emails do. */
async function readCalendars(folder: string, users: readonly CaseUser[]): Promise<(string | null)[]> {
  const path = join(folder, "users.json");
  const problems: string[] = [];
  const calendars = users.map(async ({ id, calendar }, i) => {
    if (users.findIndex((each) => each.id === id) !== i) problems.push(`${path}: ${i}.id: two users are ${id}`);
    if (calendar === undefined) return null;
    try {
      return await readFile(join(folder, calendar), "utf8");
    } catch {
      problems.push(`${path}: ${i}.calendar: ${join(folder, calendar)} cannot be read`);
      return null;
    }
  });
  const read = await Promise.all(calendars);
  refuseProblems(problems);
  return read;
}

/** Only the cases of one split. */
function ofSplit<T extends { split: Split }>(cases: readonly T[], split: Split | "all"): T[] {
  return cases.filter((each) => split === "all" || each.split === split);
}

/** @throws MnemailError("input") where two lines have one id. */
export function checkIds(lines: readonly ReadLine<{ id: string }>[]): void {
  const places = new Map<string, string>();
  const problems: string[] = [];
  for (const { value, place } of lines) {
    const other = places.get(value.id);
    if (other !== undefined) problems.push(`${place}: id: ${value.id} is that of ${other} too; give each case its own`);
    places.set(value.id, other ?? place);
  }
  refuseProblems(problems);
}

function checkSteps({ steps, later }: Story, place: string): void {
  const ids = new Set<string>();
  for (const [i, step] of steps.entries()) {
    if ("email" in step) ids.add(step.email.id);
    const named = "relabel" in step ? step.relabel : "edit" in step ? step.edit : undefined;
    const other = "reject" in step ? step.reject : "about" in step ? step.about : undefined;
    const missing = [named, other].find((id) => id !== undefined && !ids.has(id));
    if (missing !== undefined) {
      throw new MnemailError("input", `${place}: steps.${i}: no email ${JSON.stringify(missing)} came before it`);
    }
  }
  const twice = later.find(({ id }, i) => later.findIndex((each) => each.id === id) !== i);
  if (twice) throw new MnemailError("input", `${place}: later: two of the id ${twice.id}`);
}
