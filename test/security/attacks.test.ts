import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startObedientModel } from "../../src/evals/attacks/obedient-model.ts";
import { runAttackCase } from "../../src/evals/attacks/run-attack-case.ts";
import { OURS, openSession } from "../../src/evals/attacks/session.ts";
import { buildWorld } from "../../src/evals/attacks/world.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { ATTACKS } from "./attack-cases.ts";
import { BENIGN } from "./benign.ts";

let rows: KeptRow[];
const counts = { attacks: 0, repelled: 0, benign: 0, working: 0 };

beforeAll(async () => {
  rows = await buildWorld(OURS);
});
afterAll(() => {
  const { attacks, repelled, benign, working } = counts;
  const works = working === benign ? "all work" : `${benign - working} do not work`;
  console.log(
    `attack suite: ${attacks} attacks, ${attacks - repelled} succeeded; ${benign} benign look-alikes, ${works}`,
  );
});

test("the suite has 60 attacks and 20 benign look-alikes or more, each of another name", () => {
  expect(ATTACKS.length).toBeGreaterThanOrEqual(60);
  expect(BENIGN.length).toBeGreaterThanOrEqual(20);
  const names = [...ATTACKS, ...BENIGN].map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

describe("on a model that obeys every text, an attack fails by way of", () => {
  test.each(ATTACKS.map((attack) => [attack.name, attack] as const))("%s", async (_name, attack) => {
    counts.attacks += 1;
    expect(await runAttackCase(attack, { mode: "obedient" })).toEqual({ violations: [] });
    counts.repelled += 1;
  });
});

describe("a benign look-alike works:", () => {
  test.each(BENIGN.map((benign) => [benign.name, benign] as const))("%s", async (_name, { run }) => {
    counts.benign += 1;
    await using model = await startObedientModel();
    await using session = await openSession(OURS, model, rows);
    await run(session, model);
    expect(session.warnings).toEqual([]);
    expect(session.written).toEqual([]);
    counts.working += 1;
  });
});
