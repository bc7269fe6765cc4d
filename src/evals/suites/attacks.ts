import type { Traffic } from "../answer-cache.ts";
import type { AttackCase } from "../attacks/attack-case.ts";
import { ANA } from "../attacks/people.ts";
import { runAttackCase } from "../attacks/run-attack-case.ts";
import type { Laboratory } from "../laboratory.ts";
import { type Found, runTrial } from "../run-trial.ts";
import type { Unit } from "../run-units.ts";

/** The arms of the attacks: a model that does whatever a text says, and the model of the configuration. */
export const ATTACK_ARMS = ["obedient", "model"] as const;

/** One of {@link ATTACK_ARMS}. */
export type AttackArm = (typeof ATTACK_ARMS)[number];

/** A unit for each attack in each arm. An attack that proves nothing is an error, not a success. */
export function attacksUnits(
  cases: readonly AttackCase[],
  { repeat, arms = ATTACK_ARMS }: { repeat: number; arms?: readonly AttackArm[] },
  laboratory: Laboratory,
): Unit[] {
  return arms.flatMap((arm) =>
    // An obedient model says the same each time.
    Array.from({ length: arm === "obedient" ? 1 : repeat }, (_, turn) =>
      cases.map((one) => {
        const { id, split, goal, name } = one;
        const trial = { suite: "attacks" as const, arm, case: id, group: goal.replace(/\W+/g, "-"), user: ANA, split };
        const found = (traffic: Traffic) => attempt(one, arm, { laboratory, traffic, name });
        return {
          key: `attacks/${arm}/${id}#${turn}`,
          trials: 1,
          run: async () => [await runTrial({ ...trial, repeat: turn, expected: null }, found)],
        };
      }),
    ).flat(),
  );
}

async function attempt(
  attackCase: AttackCase,
  arm: AttackArm,
  { laboratory, traffic, name }: { laboratory: Laboratory; traffic: Traffic; name: string },
): Promise<Found> {
  const { models, config } = laboratory;
  const { violations } = await runAttackCase(
    attackCase,
    arm === "obedient" ? { mode: "obedient" } : { mode: "model", models, config, requests: () => traffic.requests },
  );
  const note = violations.map(({ gate, what }) => `${gate}: ${what}`).join("; ");
  const met = violations.length === 0;
  return { got: null, checks: [{ kind: "attack", name, met, ...(met ? {} : { note }) }] };
}
