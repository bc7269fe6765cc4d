import { triage } from "../../agent/triage.ts";
import type { ExampleOptions } from "../../memory/example-choice.ts";
import type { Memory } from "../../memory/memory.ts";
import type { KeptRow } from "../../store/row-driver.ts";
import type { TriageCase } from "../cases.ts";
import { type Laboratory, MEMORY_ARMS, type MemoryArm, memoryOver, openTrialStore, rowsOfArm } from "../laboratory.ts";
import { once } from "../once.ts";
import { type Found, failTrial, type RunTrial, runTrial, type TrialName } from "../run-trial.ts";
import type { Unit } from "../run-units.ts";
import type { Check, Trial } from "../trial.ts";

/** The arms of the triage suite: which kinds of memory there are, how many examples are shown, and how they are found. */
export const TRIAGE_ARMS = [...MEMORY_ARMS, "k=0", "k=1", "k=8", "words", "vector"] as const;

/** One of {@link TRIAGE_ARMS}. */
export type TriageArm = (typeof TRIAGE_ARMS)[number];

const CHOICES: Partial<Record<TriageArm, ExampleOptions>> = {
  "k=0": { shown: 0 },
  "k=1": { shown: 1 },
  "k=8": { shown: 8 },
  words: { likeness: "words" },
  vector: { likeness: "vector" },
};

/** What trials of triage read: the rows of users' memories. */
export interface TriageParts {
  laboratory: Laboratory;
  /** What a user's memory has in an arm. */
  rowsFor(userId: string, arm: MemoryArm): Promise<readonly KeptRow[]>;
}

/**
 * A unit for each case in each arm. Triage writes nothing, so that all of one user, arm and turn share a store; one that other
 * turns shared would remember the vectors of their emails.
 */
export function triageUnits(
  cases: readonly TriageCase[],
  { arms, repeat }: { arms: readonly TriageArm[]; repeat: number },
  { laboratory, rowsFor }: TriageParts,
): Unit[] {
  // Those of one user, arm and turn share a store.
  const opened = once(async (user: string, arm: TriageArm, _turn: number) => {
    const kind = MEMORY_ARMS.find((each) => each === arm) ?? "all";
    return warmed(
      memoryOver(laboratory, await openTrialStore(laboratory, await rowsFor(user, kind)), CHOICES[arm]),
      user,
    );
  });
  return arms.flatMap((arm) =>
    repeated(cases, repeat).map(([one, turn]) => ({
      key: `triage/${arm}/${one.id}#${turn}`,
      trials: 1,
      run: async () => {
        const name = { suite: "triage" as const, arm, ...nameCase(one), repeat: turn };
        return [await decideBy(opened(one.user, arm, turn), name, one, laboratory)];
      },
    })),
  );
}

/** A unit for each case and each number of rules, so that what each learnt change did can be told. */
export function changesUnits(
  cases: readonly TriageCase[],
  { repeat }: { repeat: number },
  { laboratory, afterRules }: { laboratory: Laboratory; afterRules: (userId: string) => Promise<KeptRow[][]> },
  rulesOf: (userId: string) => number,
): Unit[] {
  const opened = once(async (user: string, n: number, _turn: number) => {
    const rows = rowsOfArm("all", user, (await afterRules(user))[n] ?? []);
    return warmed(memoryOver(laboratory, await openTrialStore(laboratory, rows)), user);
  });
  return repeated(cases, repeat).flatMap(([one, turn]) =>
    Array.from({ length: rulesOf(one.user) + 1 }, (_, n) => {
      const arm = `${one.user}/${n}`;
      return {
        key: `changes/${arm}/${one.id}#${turn}`,
        trials: 1,
        run: async () => {
          const name = { suite: "changes" as const, arm, ...nameCase(one), repeat: turn, position: n };
          return [await decideBy(opened(one.user, n, turn), name, one, laboratory)];
        },
      };
    }),
  );
}

/** The first to read writes the defaults: whichever trial that would be, it would cost more than the others. */
async function warmed(memory: Memory, userId: string): Promise<Memory> {
  await memory.readForTriage(userId, NO_CASE);
  return memory;
}

/** An email that is no case: the vector of one that is would be known before its trial. */
const NO_CASE = { id: "none", from: "nobody@nowhere.invalid", to: "", subject: "", body: "none" };

/** A trial on a memory that others share: making it is charged to none, and where it could not be made, each fails. */
async function decideBy(
  memory: Promise<Memory>,
  name: TrialName,
  one: TriageCase,
  laboratory: Laboratory,
): Promise<RunTrial> {
  try {
    await memory;
  } catch (error) {
    return failTrial(name, unlearnt(error));
  }
  return runTrial(name, async () => decide(one, await memory, laboratory));
}

/** Why a trial cannot be run whose user's memory could not be made. (What to do about feedback that failed is no help.) */
export function unlearnt(error: unknown): Error {
  return new Error(`the user's memory could not be learnt: ${error instanceof Error ? error.message : String(error)}`);
}

/** Labels the email of a case with the code of the graph's triage node. */
export async function decide(
  { email, label, user }: Pick<TriageCase, "email" | "label" | "user">,
  memory: Memory,
  { models, prompts }: Laboratory,
): Promise<Found> {
  const found = await triage(email, user, { memory, models, prompts });
  return { got: found.label, checks: [checkLabel(label, found.label)] };
}

/** Whether a label is the wanted one. */
export function checkLabel(expected: Trial["expected"], got: Trial["got"]): Check {
  const met = expected === got;
  return { kind: "label", name: `the label is ${expected}`, met, ...(met ? {} : { note: `it is ${got}` }) };
}

/** What names the trials of a case, but for suite, arm and repeat. */
export function nameCase({
  id,
  group,
  user,
  split,
  label,
}: Pick<TriageCase, "id" | "group" | "user" | "split" | "label">): Pick<
  Trial,
  "case" | "group" | "user" | "split" | "expected"
> {
  return { case: id, group: group ?? id, user, split, expected: label };
}

/** Each case as often as it is to be run, with the number of the turn. */
export function repeated<T>(cases: readonly T[], repeat: number): (readonly [T, number])[] {
  return Array.from({ length: repeat }, (_, turn) => cases.map((one) => [one, turn] as const)).flat();
}
