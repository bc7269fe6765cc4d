import pLimit from "p-limit";
import { MnemailError } from "../errors.ts";
import type { RunTrial } from "./run-trial.ts";

/** Some trials that are done and kept together; the key names them in all runs of the same cases. */
export interface Unit {
  key: string;
  /** How many trials it has. */
  trials: number;
  run(): Promise<RunTrial[]>;
}

/** Trials in a row that failed at the start, after which nothing is to be expected of the rest. */
const HOPELESS = 12;

/**
 * Runs units, `concurrency` at once, and hands each to `keep` when it is done. Once `signal` aborts, no other begins; those
 * under way are finished and kept.
 *
 * @throws MnemailError("model") when the first dozen trials all fail; what a unit or `keep` throws.
 */
export async function runUnits(
  units: readonly Unit[],
  {
    concurrency,
    signal,
    keep,
  }: { concurrency: number; signal: AbortSignal; keep: (unit: Unit, done: RunTrial[]) => void },
): Promise<void> {
  const limit = pLimit(concurrency);
  let failed: string[] | undefined = [];
  let hopeless: string | undefined;
  let isBroken = false;
  const runOne = async (unit: Unit) => {
    if (signal.aborted || hopeless !== undefined || isBroken) return;
    let done: RunTrial[];
    try {
      done = await unit.run();
      keep(unit, done);
    } catch (error) {
      // What is under way still needs what the caller closes when this throws.
      isBroken = true;
      throw error;
    }
    const errors = done.flatMap(({ trial }) => trial.error ?? []);
    if (errors.length < done.length) failed = undefined;
    failed?.push(...errors);
    if (failed && failed.length >= HOPELESS) hopeless = failed[0];
  };
  const ends = await Promise.allSettled(units.map((unit) => limit(runOne, unit)));
  const broken = ends.find((end) => end.status === "rejected");
  if (broken) throw broken.reason;
  if (hopeless !== undefined) {
    throw new MnemailError(
      "model",
      `the first ${HOPELESS} trials all failed, such as: ${hopeless}`,
      "nothing else was asked",
    );
  }
}
