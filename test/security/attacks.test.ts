import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { ATTACKS } from "./attacks.ts";
import { BENIGN } from "./benign.ts";
import { type ObedientModel, startObedientModel } from "./obedient-model.ts";
import { runAttack } from "./run-attack.ts";
import { buildWorld, OURS, openSession } from "./world.ts";

let model: ObedientModel;
let rows: KeptRow[];
const counts = { attacks: 0, repelled: 0, benign: 0, working: 0 };

beforeAll(async () => {
  model = await startObedientModel();
  rows = await buildWorld(OURS, model);
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
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
    expect(await runAttack(attack, { modules: OURS, model, rows })).toEqual([]);
    counts.repelled += 1;
  });
});

describe("a benign look-alike works:", () => {
  test.each(BENIGN.map((benign) => [benign.name, benign] as const))("%s", async (_name, { run }) => {
    counts.benign += 1;
    model.reset();
    await using session = await openSession(OURS, model, rows);
    await run(session, model);
    expect(session.warnings).toEqual([]);
    counts.working += 1;
  });
});
