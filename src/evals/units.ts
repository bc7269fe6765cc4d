import { MnemailError } from "../errors.ts";
import type { KeptRow } from "../store/row-driver.ts";
import type { CaseUser } from "./cases.ts";
import type { Plan } from "./journal.ts";
import {
  type Laboratory,
  type LearntMemory,
  learnMemory,
  type MemoryArm,
  profileRows,
  rowsOfArm,
} from "./laboratory.ts";
import type { Cases } from "./load-cases.ts";
import { once } from "./once.ts";
import type { Unit } from "./run-units.ts";
import type { Judge } from "./scorers/judge.ts";
import { answersUnits } from "./suites/answers.ts";
import { ATTACK_ARMS, attacksUnits } from "./suites/attacks.ts";
import { curveUnits } from "./suites/curve.ts";
import { learningUnits } from "./suites/learning.ts";
import { changesUnits, TRIAGE_ARMS, triageUnits } from "./suites/triage.ts";
import type { Suite } from "./trial.ts";

/** Orders in which the emails of a learning curve come. */
const ORDERS = 3;

/** All that a run is to do with its cases, in the order of the suites. */
export function unitsOf(
  { suites, smoke, repeat, seed, inbox, model }: Pick<Plan, "suites" | "smoke" | "repeat" | "seed" | "inbox" | "model">,
  cases: Cases,
  parts: { laboratory: Laboratory; judge: Judge; learnt?: (userId: string) => Promise<readonly KeptRow[]> },
): Unit[] {
  const { laboratory, judge } = parts;
  const { users } = cases;
  const userOf = (userId: string): CaseUser => {
    const user = users.get(userId);
    if (user) return user;
    throw new MnemailError("input", `${userId} is not in users.json`);
  };
  const whole = once(async (userId: string) => learnMemory(laboratory, userOf(userId)));
  const profileOf = once(async (userId: string) => profileRows(laboratory, userOf(userId)));
  const memoryOf = parts.learnt ?? (async (userId: string) => (await whole(userId)).rows);
  // Where nothing is shown of what a user taught, nothing of it has to be learnt.
  const rowsFor = async (userId: string, arm: MemoryArm): Promise<readonly KeptRow[]> =>
    arm === "none" && !parts.learnt ? profileOf(userId) : rowsOfArm(arm, userId, await memoryOf(userId));
  const afterRules = async (userId: string): Promise<LearntMemory["afterRules"]> => (await whole(userId)).afterRules;
  const rulesOf = (userId: string) => users.get(userId)?.memory.rules.length ?? 0;
  const { triage } = cases;
  // Retrieval and the number of examples are looked into on the cases of the project.
  const arms = smoke ? (["none", "all"] as const) : inbox === null ? TRIAGE_ARMS : TRIAGE_ARMS.slice(0, 5);
  const units: Record<Suite, () => Unit[]> = {
    triage: () => triageUnits(triage, { arms, repeat }, { laboratory, rowsFor }),
    changes: () => changesUnits(triage, { repeat }, { laboratory, afterRules }, rulesOf),
    answers: () =>
      answersUnits(
        cases.answers,
        { repeat, ...(smoke ? { arms: ["none", "all"] } : {}) },
        { laboratory, users, rowsFor, judge },
      ),
    learning: () =>
      learningUnits(
        cases.stories,
        { repeat, ...(smoke ? { arms: ["off", "on"] } : {}) },
        { laboratory, users, profileOf, judge },
      ),
    curve: () => curveUnits(triage, { orders: ORDERS, seed }, { laboratory, users, profileOf }),
    attacks: () =>
      attacksUnits(
        cases.attacks,
        // The stand-in follows no text whatever, so that nothing is proven by trying it.
        { repeat, arms: model.is_stand_in ? ["obedient"] : ATTACK_ARMS },
        laboratory,
      ),
  };
  return suites.flatMap((suite) => units[suite]());
}
