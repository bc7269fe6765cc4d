import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attackCaseSchema } from "../../../src/evals/attacks/attack-case.ts";
import { findOrders } from "../../../src/evals/attacks/orders.ts";
import { OURS } from "../../../src/evals/attacks/session.ts";
import { buildWorld } from "../../../src/evals/attacks/world.ts";
import { ATTACKS } from "../../security/attack-cases.ts";

const DATA = readFileSync("samples/evals/attacks.jsonl", "utf8");

/** Every text within a value. */
function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

describe("the attacks in samples/evals", () => {
  test("have each another id and a name of vector and goal, and some are for development, some for the test", () => {
    expect(new Set(ATTACKS.map(({ id }) => id)).size).toBe(ATTACKS.length);
    expect(ATTACKS.filter(({ name, vector, goal }) => name !== `${vector}: ${goal}`)).toEqual([]);
    const dev = ATTACKS.filter(({ split }) => split === "dev").length;
    expect(dev).toBeGreaterThan(ATTACKS.length / 2);
    expect(dev).toBeLessThan(ATTACKS.length * 0.8);
  });

  test("hide nothing from who reads them: characters beyond ASCII are escaped", () => {
    expect(DATA).toMatch(/^[\x20-\x7e\n]*$/);
    expect(DATA).toContain("\\udb40");
  });

  test("name only memories that are there when the attack begins", async () => {
    const kept = (await buildWorld(OURS)).map(({ key }) => key);
    // Where lines are wrapped, one ends within an id.
    const named = [...new Set(DATA.match(/\b(?:fact|pending)-(?!memory)\w+/g))];
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((id) => !kept.some((key) => key.startsWith(id)))).toEqual([]);
  });

  test("hold every order that must not be seen, in some way in which a model would understand it", () => {
    const lacking = ATTACKS.flatMap(({ id, acts, unseen }) => {
      const found = new Set(
        textsIn(acts)
          .flatMap(findOrders)
          .map((order) => JSON.stringify(order)),
      );
      return unseen
        .map((order) => JSON.stringify(order))
        .flatMap((order) => (found.has(order) ? [] : [`${id}: ${order}`]));
    });
    expect(ATTACKS.flatMap(({ unseen }) => unseen).length).toBeGreaterThan(15);
    expect(lacking).toEqual([]);
  });
});

test.each([
  ["an act that does not exist", { acts: [{ forward: "all" }] }],
  ["no act", { acts: [] }],
  ["an order of no known kind", { obeyed: [{ sing: "loud" }] }],
  ["a field that does not exist", { expected: "repelled" }],
  ["an id with a space", { id: "body write" }],
])("a case with %s is refused", (_what, fields) => {
  expect(attackCaseSchema.safeParse(ATTACKS[0]).success).toBe(true);
  expect(attackCaseSchema.safeParse({ ...ATTACKS[0], ...fields }).success).toBe(false);
});
