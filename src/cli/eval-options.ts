import { existsSync, readdirSync } from "node:fs";
import { dirname, isAbsolute, join, sep } from "node:path";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import type { Asked } from "../evals/evaluate.ts";
import { CASES_FOLDER } from "../evals/load-cases.ts";
import { SUITES } from "../evals/trial.ts";
import { encodeUserId } from "../store/namespaces.ts";

const whole = (name: string, least: number, most: number) =>
  z.coerce
    .number({ error: `--${name}: expected a whole number` })
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, {
      error: `--${name}: expected a whole number from ${least} to ${most}`,
    })
    .optional();

const optionsSchema = z.object({
  suite: z.string().optional(),
  cases: z.string().optional(),
  inbox: z.string().optional(),
  user: z.string().optional(),
  split: z.enum(["all", "dev", "test"]).optional(),
  repeat: whole("repeat", 1, 100),
  concurrency: whole("concurrency", 1, 256).default(8),
  seed: whole("seed", 0, 2 ** 31),
  thresholds: z.string().optional(),
  resume: z.union([z.string(), z.literal(true)]).optional(),
  out: z.string(),
  json: z.boolean().default(false),
});

/** The options of `mnemail eval`; what the user did not say is not there. */
export type EvalOptions = z.infer<typeof optionsSchema>;

/** @throws MnemailError("usage") for an option that is wrong, or that another makes meaningless. */
export function parseEvalOptions(raw: unknown): EvalOptions {
  const parsed = optionsSchema.safeParse(raw);
  if (!parsed.success) throw new MnemailError("usage", parsed.error.issues[0]?.message ?? "wrong options");
  const options = parsed.data;
  const said = (names: (keyof EvalOptions)[]) => names.find((name) => options[name] !== undefined);
  const { inbox, user, resume } = options;
  if (resume !== undefined) {
    const other = said(["suite", "cases", "inbox", "user", "split", "repeat", "seed", "thresholds"]);
    if (other) throw new MnemailError("usage", `--${other}: a run that is resumed has its own`, "leave it out");
  }
  if ((inbox === undefined) !== (user === undefined)) {
    throw new MnemailError("usage", "--inbox and --user: give both or none", "cases name their users themselves");
  }
  const other = inbox === undefined ? undefined : said(["suite", "cases"]);
  if (other)
    throw new MnemailError("usage", `--${other}: with --inbox its emails are triaged, and nothing else is run`);
  if (user !== undefined) encodeUserId(user);
  return options;
}

/** What is to be evaluated. @throws MnemailError("usage") for a suite that is none. */
export function askedOf(options: EvalOptions): Asked {
  const { inbox = null, user = null, suite = "all", split = "all", repeat = 1, seed = 1 } = options;
  const smoke = suite === "smoke";
  const suites = suitesOf(suite, inbox !== null);
  const cases = options.cases ?? CASES_FOLDER;
  const own = join(cases, "thresholds.json");
  const hasOwn = (smoke || suite === "all") && split === "all" && inbox === null && existsSync(own);
  const thresholds = options.thresholds ?? (hasOwn ? own : null);
  return { command: commandOf(options), cases, inbox, user, suites, smoke, split, repeat, seed, thresholds };
}

function suitesOf(text: string, isInbox: boolean): Asked["suites"] {
  if (isInbox) return ["triage"];
  if (text === "all") return [...SUITES];
  if (text === "smoke") return ["triage", "answers", "learning", "attacks"];
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !SUITES.some((suite) => suite === name));
  if (unknown !== undefined) {
    throw new MnemailError(
      "usage",
      `--suite: saw ${JSON.stringify(unknown)}; expected smoke, all, ${SUITES.join(", ")}`,
    );
  }
  return SUITES.filter((suite) => names.includes(suite));
}

/** What makes the same run again; the paths are as the user gave them. */
function commandOf(options: EvalOptions): string {
  const { suite, cases, inbox, user, split, repeat, seed, thresholds } = options;
  const given = Object.entries({ suite, cases, inbox, user, split, repeat, seed, thresholds }).flatMap(
    ([name, value]) => {
      if (value === undefined) return [];
      const text = String(value);
      return [`--${name} ${/^[\w@./,-]+$/.test(text) ? text : JSON.stringify(text)}`];
    },
  );
  return ["npm run eval", ...(given.length > 0 ? ["--", ...given] : [])].join(" ");
}

/**
 * The run to go on with, the one that is named or the newest that is not done, and where its known answers are.
 *
 * @throws MnemailError("missing") where no run was interrupted.
 */
export function findRun({ resume, out }: EvalOptions): { folder: string; out: string } {
  const runs = join(out, "runs");
  if (typeof resume === "string") {
    const isPath = isAbsolute(resume) || resume.includes(sep);
    return isPath ? { folder: resume, out: dirname(dirname(resume)) } : { folder: join(runs, resume), out };
  }
  const names = existsSync(runs) ? readdirSync(runs).sort() : [];
  const open = names.findLast((name) => !existsSync(join(runs, name, "report.json")));
  if (open === undefined) {
    throw new MnemailError("missing", `${runs}: no run was interrupted`, "name one to try its failed trials again");
  }
  return { folder: join(runs, open), out };
}
