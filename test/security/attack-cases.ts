import { readFileSync } from "node:fs";
import { type AttackCase, attackCaseSchema } from "../../src/evals/attacks/attack-case.ts";

/** Every attack. Those on a way in that a model is never shown say so by `unseen`. */
export const ATTACKS: readonly AttackCase[] = readFileSync("samples/evals/attacks.jsonl", "utf8")
  .trim()
  .split("\n")
  .map((line) => attackCaseSchema.parse(JSON.parse(line)));

/** @throws Error where no attack has the name. */
export function attackNamed(name: string): AttackCase {
  const attack = ATTACKS.find((each) => each.name === name);
  if (!attack) throw new Error(`there is no attack ${JSON.stringify(name)}`);
  return attack;
}
