import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runAttackCase } from "../../src/evals/attacks/run-attack-case.ts";
import { attackNamed } from "./attack-cases.ts";
import { GATES, type Gate } from "./gates.ts";
import { copyWithout, temporaryCopies } from "./program-copy.ts";

let folder: string;

beforeAll(() => {
  folder = temporaryCopies();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What of the attacks that a gate stops gets through a program; undefined for none. */
async function firstSuccess({ off, attacks }: Pick<Gate, "off" | "attacks">, name: string) {
  const program = await copyWithout(off, join(folder, name));
  for (const attack of attacks) {
    const { violations } = await runAttackCase(attackNamed(attack), { mode: "obedient" }, program);
    if (violations.length > 0) return { attack, violations };
  }
  return undefined;
}

test("in a copy with every gate on, the attacks fail as ever", async () => {
  // All of them take too long, and run on the program itself in `attacks.test.ts`.
  const attacks = GATES.flatMap((gate) => gate.attacks).filter((_, i) => i % 10 === 0);
  expect(await firstSuccess({ off: [], attacks }, "whole")).toBeUndefined();
});

describe("an attack succeeds once this gate is off:", () => {
  test.each(GATES.map((gate, i) => [gate.name, gate, String(i)] as const))("%s", async (_name, gate, i) => {
    const success = await firstSuccess(gate, i);
    expect(success, `${gate.attacks.join(", ")} still fail`).toBeDefined();
  });
});
