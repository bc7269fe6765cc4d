import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openAssistant } from "../../src/assistant.ts";
import { loadConfig } from "../../src/config.ts";
import { learnMemory, openTrialAssistant, rowsOfArm } from "../../src/evals/laboratory.ts";
import { loadCases } from "../../src/evals/load-cases.ts";
import { openModels } from "../../src/models.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { openStore } from "../../src/store/open-store.ts";
import { ANA, type EvaluationPlace, openEvaluationPlace, reportOf } from "../support/eval-cases.ts";

/** What triage of a place's models works with. */
async function openLaboratory(place: EvaluationPlace) {
  const config = loadConfig({ environment: {}, directory: place.path(".") });
  const models = await openModels(config);
  const cases = await loadCases(place.cases);
  const ana = cases.users.get(ANA);
  if (!ana) throw new Error("there is no Ana");
  return {
    ...{ laboratory: { config, models, prompts: loadPrompts(), folder: place.cases }, ana },
    [Symbol.asyncDispose]: () => models[Symbol.asyncDispose](),
  };
}

test("no trial reaches the store, the outbox or the calendar of the configuration", async () => {
  using place = await openEvaluationPlace({ CALENDAR_PATH: "/nowhere/calendar.ics", OUTBOX_PATH: "/nowhere/outbox" });
  // No store could be opened there, and it stays as it is.
  writeFileSync(place.path("memory.db"), "no database at all");
  const report = reportOf(await place.run({ suites: ["triage", "changes", "answers", "learning", "curve"] }));
  expect(report.trials.filter(({ error }) => error !== null)).toEqual([]);
  expect(readFileSync(place.path("memory.db"), "utf8")).toBe("no database at all");
  expect(readdirSync(place.path(".")).toSorted()).toEqual(["cases", "memory.db", "out"]);
  expect(readdirSync(place.path("out")).filter((name) => !/^answers\.db(-wal|-shm)?$/.test(name))).toEqual(["runs"]);
});

test("a user's memory is learnt by the paths by which users teach, rule by rule", async () => {
  using place = await openEvaluationPlace();
  await using opened = await openLaboratory(place);
  const { laboratory, ana } = opened;
  const { rows, afterRules } = await learnMemory(laboratory, ana);
  const seen = await Promise.all(
    [...afterRules, rows].map(async (each) => {
      await using assistant = await openTrialAssistant(laboratory, ana, each);
      const { procedural, semantic, episodic } = await assistant.memory.readAll(ANA);
      return [procedural.flatMap(({ rules }) => rules).length, semantic.length, episodic.length];
    }),
  );
  expect(seen).toEqual([
    [0, 1, 1],
    [1, 1, 1],
    [2, 1, 1],
    [2, 1, 1],
  ]);
});

test("each arm has its kinds of memory, and the profile", async () => {
  using place = await openEvaluationPlace();
  await using opened = await openLaboratory(place);
  const { laboratory, ana } = opened;
  const { rows } = await learnMemory(laboratory, ana);
  const kinds = async (arm: Parameters<typeof rowsOfArm>[0]) => {
    await using assistant = await openTrialAssistant(laboratory, ana, rowsOfArm(arm, ANA, rows));
    const { procedural, semantic, episodic } = await assistant.memory.readAll(ANA);
    const { name } = (await assistant.memory.readCalendar(ANA, "")).profile;
    return [name, procedural.flatMap(({ rules }) => rules).length, semantic.length, episodic.length];
  };
  expect(await kinds("none")).toEqual(["Ana", 0, 0, 0]);
  expect(await kinds("rules")).toEqual(["Ana", 2, 0, 0]);
  expect(await kinds("examples")).toEqual(["Ana", 0, 1, 0]);
  expect(await kinds("facts")).toEqual(["Ana", 0, 0, 1]);
  expect(await kinds("all")).toEqual(["Ana", 2, 1, 1]);
});

test("an assistant acts at the user's time, by the user's calendar", async () => {
  using place = await openEvaluationPlace();
  const away = [
    "BEGIN:VEVENT",
    "UID:1",
    "DTSTART:20260309T060000Z",
    "DTEND:20260309T190000Z",
    "SUMMARY:Away",
    "END:VEVENT",
  ];
  for (const [name, events] of [["free", []] as const, ["away", away] as const]) {
    const lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", ...events, "END:VCALENDAR", ""];
    writeFileSync(`${place.cases}/${name}.ics`, lines.join("\r\n"));
  }
  await using opened = await openLaboratory(place);
  const { laboratory, ana } = opened;
  const email = {
    ...{ id: "m", from: "tom@work.example", to: ANA, subject: "Meeting" },
    body: "Could we meet on Monday or Tuesday for 30 minutes?",
  };
  const meet = async (calendar: string) => {
    await using assistant = await openTrialAssistant(laboratory, { ...ana, calendar }, []);
    const { events } = await assistant.handle(ANA, email);
    return events.map(({ start }) => start.slice(0, 10));
  };
  // The Monday and the Tuesday after her Friday.
  expect(await meet("free.ics")).toEqual(["2026-03-09"]);
  expect(await meet("away.ics")).toEqual(["2026-03-10"]);
});

describe("a user's own labelled mail, tried with the memory of the configured store", () => {
  const lines = [
    { from: "Tom Berg <tom@work.example>", to: ANA, subject: "Lunch", body: "Could you come on Monday?", id: "lunch" },
    { from: "Ute <ute@club.example>", to: ANA, subject: "Choir", body: "We meet in the hall, as always.", id: "choir" },
  ];
  /** A place where Ana has taught a rule, and has labelled one of the emails. */
  const taught = async () => {
    const place = await openEvaluationPlace();
    const config = loadConfig({
      environment: { STORE_URL: `sqlite:${place.path("memory.db")}` },
      directory: place.path("."),
    });
    const learn = async (text: string) => {
      await using assistant = await openAssistant(config);
      await assistant.learn(ANA, { kind: "text", text });
      // Under another id, as it may have been taken from another mailbox.
      const [, choir] = lines;
      if (choir)
        await assistant.memory.examples.add(ANA, [{ ...choir, id: "other" }], "ignore", "2026-03-01T10:00:00Z");
    };
    await learn("Ignore emails from work.example.");
    const inbox = place.path("labelled.jsonl");
    writeFileSync(inbox, lines.map((line) => `${JSON.stringify({ ...line, label: "respond" })}\n`).join(""));
    return { ...place, learn, inbox, asked: { inbox, user: ANA, suites: ["triage" as const] } };
  };
  const rowsOf = async (place: EvaluationPlace) => {
    const store = await openStore({ backend: "sqlite", path: place.path("memory.db") });
    try {
      const rows = [];
      for await (const page of store.pages([[]])) rows.push(...page);
      return rows;
    } finally {
      await store.stop();
    }
  };

  test("the arms leave out kinds of the real memory, which stays as it is", async () => {
    using place = await taught();
    const before = await rowsOf(place);
    const { trials, files } = reportOf(await place.run(place.asked));
    const labels = (id: string) =>
      Object.fromEntries(trials.filter((each) => each.case === id).map(({ arm, got }) => [arm, got]));
    const [respond, ignore] = ["respond", "ignore"];
    expect(labels("lunch")).toEqual({ none: respond, examples: respond, rules: ignore, facts: respond, all: ignore });
    expect(files).toMatchObject([{ name: place.inbox, cases: 2 }]);
    expect(before.length).toBeGreaterThan(2);
    expect(await rowsOf(place)).toEqual(before);
  });

  test("examples that are the cases are left out: the answers are not in the questions", async () => {
    using place = await taught();
    const { trials } = reportOf(await place.run(place.asked));
    const choir = trials.filter((each) => each.case === "choir");
    // With its own example it would be ignored, as Ana said.
    expect(choir.map(({ got }) => got)).toEqual(choir.map(() => "notify"));
    writeFileSync(place.inbox, readFileSync(place.inbox, "utf8").replace("as always", "once more"));
    const now = () => new Date("2026-03-07T17:00:00Z");
    const other = reportOf(await place.run(place.asked, { now })).trials.filter((each) => each.case === "choir");
    expect(other.find(({ arm }) => arm === "examples")?.got).toBe("ignore");
  });

  test("a user of whom nothing is known is said so, and no store is made", async () => {
    using place = await openEvaluationPlace();
    const inbox = place.path("labelled.jsonl");
    writeFileSync(inbox, `${JSON.stringify({ ...lines[0], label: "respond" })}\n`);
    const warnings: string[] = [];
    const evaluated = await place.run(
      { inbox, user: ANA, suites: ["triage"] },
      { warn: (line) => warnings.push(line) },
    );
    expect(reportOf(evaluated).trials).toHaveLength(5);
    expect(warnings).toEqual([`${ANA}: nothing that they taught is in this store, so that all arms are alike`]);
    expect(existsSync(place.path("memory.db"))).toBe(false);
  });

  test("a run is not resumed when the memory changed meanwhile", async () => {
    using place = await taught();
    const { folder } = await place.run(place.asked, { signal: AbortSignal.abort() });
    await place.learn("Respond to emails from club.example.");
    await expect(place.resume(folder)).rejects.toThrow(`${folder}: the user's memory changed since the run began`);
  });
});
