import { beforeAll, describe, expect, test } from "vitest";
import type { Trial } from "../../src/evals/trial.ts";
import { ANA, openEvaluationPlace, reportOf, tinyCases } from "../support/eval-cases.ts";

/** Emails of one list that nothing but a correction tells the label of, and as many that need none. */
function stream() {
  const common = { user: ANA, split: "dev", origin: "written" };
  return Array.from({ length: 4 }, (_, i) => [
    {
      ...{ ...common, id: `club-${i}`, label: "ignore" },
      email: {
        ...{ id: `club-${i}@club.example`, from: "Club <office@club.example>", to: ANA, subject: `Minutes ${i}` },
        ...{ body: `The minutes of meeting ${i} are in the hall.`, list_id: "minutes.club.example" },
      },
    },
    {
      ...{ ...common, id: `tom-${i}`, label: "respond" },
      email: {
        id: `tom-${i}@work.example`,
        from: "tom@work.example",
        to: ANA,
        subject: `Slides ${i}`,
        body: "Could you send them?",
      },
    },
  ]).flat();
}

describe("the learning curve: a simulated user corrects wrong labels by the truth", () => {
  let trials: Trial[];
  let otherSeed: Trial[];
  const of = (some: readonly Trial[], arm: string, order: number) =>
    some
      .filter((each) => each.arm === arm && each.repeat === order)
      .sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  beforeAll(async () => {
    using place = await openEvaluationPlace({}, { ...tinyCases(), triage: stream() });
    trials = reportOf(await place.run({ suites: ["curve"], repeat: 5 })).trials;
    const now = () => new Date("2026-03-07T17:00:00Z");
    otherSeed = reportOf(await place.run({ suites: ["curve"], seed: 2 }, { now })).trials;
  });

  test("each email is judged before it is corrected: the first of a kind is wrong, the later ones are right", () => {
    for (const order of [0, 1, 2]) {
      const club = of(trials, "on", order).filter((each) => each.case.startsWith("club"));
      expect(club.map(({ got }) => got)).toEqual(["notify", "ignore", "ignore", "ignore"]);
    }
  });

  test("without corrections nothing is learnt, and what is right stays right with them", () => {
    const labels = (arm: string, of: string) =>
      new Set(trials.filter((each) => each.arm === arm && each.case.startsWith(of)).map(({ got }) => got));
    expect(labels("off", "club")).toEqual(new Set(["notify"]));
    expect(labels("off", "tom")).toEqual(new Set(["respond"]));
    expect(labels("on", "tom")).toEqual(new Set(["respond"]));
  });

  test("the orders differ, are the same for both arms, and come from the seed", () => {
    const order = (some: readonly Trial[], arm: string, n: number) =>
      of(some, arm, n)
        .map((each) => each.case)
        .join(" ");
    const orders = [0, 1, 2].map((n) => order(trials, "on", n));
    expect(new Set(orders).size).toBe(3);
    for (const [n, each] of orders.entries()) {
      expect(each.split(" ").toSorted()).toEqual(
        stream()
          .map(({ id }) => id)
          .toSorted(),
      );
      expect(order(trials, "off", n)).toBe(each);
    }
    expect(order(otherSeed, "on", 0)).not.toBe(orders[0]);
    expect(trials).toHaveLength(2 * 3 * 8);
  });

  test("what correcting costs is charged to the email that was wrong", () => {
    const [first, second] = of(trials, "on", 0).filter((each) => each.case.startsWith("club"));
    expect(first?.usage.store_round_trips).toBeGreaterThan((second?.usage.store_round_trips ?? 0) + 1);
  });
});
