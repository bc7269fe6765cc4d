import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { splitSchema, type TriageCase } from "../evals/cases.ts";
import { readLabelledMail } from "../evals/labelled-mail.ts";
import { CASES_FOLDER, loadCases } from "../evals/load-cases.ts";
import { writeLock } from "../evals/lock.ts";
import { recordedCases } from "../evals/record-cases.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { writeNewFile } from "./new-file.ts";
import { printJson } from "./output.ts";
import { plural } from "./progress.ts";
import { openMemory } from "./session.ts";

const writingSchema = z.object({
  user: z.string(),
  to: z.string(),
  split: splitSchema.catch(() => {
    throw new MnemailError("usage", "--split: expected dev or test");
  }),
  force: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail eval import`: writes labelled mail as cases. Returns the exit code. */
export async function importCases(rawOptions: unknown): Promise<number> {
  const { file } = z.object({ file: z.string() }).parse(rawOptions);
  const options = writingSchema.parse(rawOptions);
  encodeUserId(options.user);
  const lines = await readLabelledMail(file, options.user);
  if (lines.length === 0) throw new MnemailError("input", `${file}: holds no email`, "give one labelled email a line");
  return writeCases(
    lines.map(({ value }) => ({ ...value, split: options.split })),
    options,
  );
}

/** `mnemail eval record`: writes what a user decided as cases. Returns the exit code. */
export async function recordCases(rawOptions: unknown): Promise<number> {
  const options = writingSchema.parse(rawOptions);
  const { user, split } = options;
  encodeUserId(user);
  await using opened = await openMemory();
  const cases = await recordedCases(opened.memory, user, split);
  if (cases.length === 0) {
    const hint = `answer what waits (\`mnemail review --user ${user}\`) or relabel emails (\`mnemail feedback\`) first`;
    throw new MnemailError("missing", `${user} has given no email a label yet`, hint);
  }
  return writeCases(cases, options);
}

async function writeCases(cases: readonly TriageCase[], options: z.infer<typeof writingSchema>): Promise<number> {
  const { user, to, force, json } = options;
  const text = cases.map((each) => `${JSON.stringify(each)}\n`).join("");
  await writeNewFile(to, { force, store: loadConfig().store }, (path) => writeFile(path, text, { mode: 0o600 }));
  if (json) printJson({ user, file: to, cases: cases.length });
  else
    console.log(
      `${to}: ${plural(cases.length, "case")} of ${user}; try them with: mnemail eval --inbox ${to} --user ${user}`,
    );
  return 0;
}

/** `mnemail eval lock`: locks the test split as it is. Returns the exit code. */
export async function lockCases(rawOptions: unknown): Promise<number> {
  const options = z.object({ cases: z.string().optional(), json: z.boolean().default(false) }).parse(rawOptions);
  const folder = options.cases ?? CASES_FOLDER;
  const { lockable } = await loadCases(folder, { unlocked: true });
  const { path, cases } = await writeLock(folder, lockable);
  if (options.json) printJson({ file: path, cases });
  else console.log(`${path}: ${plural(cases, "case")} of the test split`);
  return 0;
}
