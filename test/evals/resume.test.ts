import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Evaluated } from "../../src/evals/evaluate.ts";
import type { Report } from "../../src/evals/report.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { type EvaluationPlace, openEvaluationPlace, reportOf, tinyCases, withoutTimes } from "../support/eval-cases.ts";

/** Runs in a place and stops when so many trials were done; goes on and stops again at each further number. */
async function interrupted(
  place: EvaluationPlace,
  { stops, concurrency, repeat = 1 }: { stops: number[]; concurrency: number; repeat?: number },
): Promise<Evaluated> {
  let evaluated: Evaluated | undefined;
  for (const stop of [...stops, Number.POSITIVE_INFINITY]) {
    const stopping = new AbortController();
    const onProgress = ({ ran }: { ran: number }) => {
      if (ran >= stop) stopping.abort();
    };
    const options = { concurrency, signal: stopping.signal, onProgress };
    evaluated = evaluated ? await place.resume(evaluated.folder, options) : await place.run({ repeat }, options);
    if ("report" in evaluated) break;
  }
  if (!evaluated) throw new Error("nothing was run");
  return evaluated;
}

describe("a run that is interrupted and resumed gives the report of an undisturbed run", () => {
  // Few emails, but every suite and every arm.
  const { triage, ...files } = tinyCases();
  const few = { ...files, triage: triage.filter((_, i) => i % 2 === 0) };
  let undisturbed: Report;
  beforeAll(async () => {
    using place = await openEvaluationPlace({}, few);
    undisturbed = withoutTimes(reportOf(await place.run({ repeat: 2 }, { concurrency: 2 })));
    expect(undisturbed.trials.filter(({ error }) => error !== null)).toEqual([]);
  });

  test("wherever, however often and with whatever concurrency", async () => {
    const stop = fc.integer({ min: 0, max: undisturbed.trials.length });
    await fc.assert(
      fc.asyncProperty(
        fc.array(stop, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 8 }),
        async (stops, concurrency) => {
          using place = await openEvaluationPlace({}, few);
          const report = reportOf(await interrupted(place, { stops, concurrency, repeat: 2 }));
          expect(withoutTimes(report)).toEqual(undisturbed);
        },
      ),
      { numRuns: 3 },
    );
  });

  test("also when the last line of what is kept was torn", async () => {
    using place = await openEvaluationPlace({}, few);
    const stopping = new AbortController();
    const onProgress = ({ ran }: { ran: number }) => ran >= 20 && stopping.abort();
    const cut = await place.run({ repeat: 2 }, { concurrency: 2, signal: stopping.signal, onProgress });
    const path = `${cut.folder}/trials.jsonl`;
    truncateSync(path, readFileSync(path).length - 40);
    const report = reportOf(await place.resume(cut.folder));
    expect(withoutTimes(report)).toEqual(undisturbed);
  });
});

/** What tells runs apart that are about the same. */
const nameOf = ({ id, created_at }: Report) => ({ id, created_at });

test("an interrupted run says how far it is, and begins no other trial", async () => {
  using place = await openEvaluationPlace();
  const stopping = new AbortController();
  const onProgress = ({ ran }: { ran: number }) => ran >= 5 && stopping.abort();
  const suites = ["triage" as const];
  const cut = await place.run({ suites }, { concurrency: 3, signal: stopping.signal, onProgress });
  if (!("interrupted" in cut)) throw new Error("it was not interrupted");
  const { done, total, ran } = cut.interrupted;
  expect([total, done]).toEqual([60, ran]);
  // Those that were under way are finished.
  expect(done).toBeGreaterThanOrEqual(5);
  expect(done).toBeLessThanOrEqual(7);
  expect(readFileSync(`${cut.folder}/trials.jsonl`, "utf8").trim().split("\n")).toHaveLength(done);
});

test("a rerun asks nothing, and gives the same report but for times and what was known", async () => {
  await using model = await startStandIn({ answers: [{ when: { schema: "judge" }, json: { reason: "", met: true } }] });
  using place = await openEvaluationPlace({ OPENAI_BASE_URL: model.url });
  const asked = { suites: ["triage" as const, "learning" as const, "curve" as const] };
  const first = reportOf(await place.run(asked));
  const before = model.requests.length;
  expect(before).toBeGreaterThan(50);
  const now = () => new Date("2026-03-07T17:00:00Z");
  const second = reportOf(await place.run(asked, { now, concurrency: 1 }));
  expect(model.requests).toHaveLength(before);
  const forgotten = ({ trials, summary, ...report }: Report) => ({
    ...report,
    trials: trials.map((trial) => ({ ...trial, known: 0 })),
    summary: { ...summary, costs: summary.costs.map((cost) => ({ ...cost, known: 0 })) },
  });
  expect(forgotten(withoutTimes(second))).toEqual({ ...forgotten(withoutTimes(first)), ...nameOf(second) });
  expect(first.trials.every(({ known }) => known === 0)).toBe(true);
  expect(second.trials.filter(({ known, usage }) => known !== usage.model_calls || known === 0)).toEqual([]);
});

test("a changed email asks only what it touches", async () => {
  await using model = await startStandIn();
  using place = await openEvaluationPlace({ OPENAI_BASE_URL: model.url });
  const suites = ["triage" as const];
  await place.run({ suites });
  const before = model.requests.length;
  const path = `${place.cases}/triage.jsonl`;
  writeFileSync(path, readFileSync(path, "utf8").replace("Please find it attached.", "It is attached."));
  await place.run({ suites }, { now: () => new Date("2026-03-07T17:00:00Z") });
  const fresh = model.requests.slice(before).map(({ body }) => JSON.stringify(body));
  expect(fresh.length).toBeGreaterThan(0);
  expect(fresh.filter((body) => !body.includes("It is attached."))).toEqual([]);
});

describe("a run is not resumed where its report would mix two", () => {
  const cut = async () => {
    const place = await openEvaluationPlace({ OPENAI_BASE_URL: "http://127.0.0.1:9/v1" });
    const { folder } = await place.run({}, { signal: AbortSignal.abort() });
    return { ...place, folder };
  };

  test("the cases changed", async () => {
    using place = await cut();
    const path = `${place.cases}/triage.jsonl`;
    writeFileSync(path, readFileSync(path, "utf8").replace("Half price", "Cheap"));
    const error = await place.resume(place.folder).catch((thrown: Error) => thrown);
    expect(error).toHaveProperty("message", `${place.folder}: the cases changed since the run began`);
    expect(error).toHaveProperty("code", "conflict");
  });

  test("the model or the server changed", async () => {
    using place = await cut();
    for (const environment of [{ CHAT_MODEL: "other" }, { EMBEDDING_MODEL: "other" }]) {
      await expect(place.resume(place.folder, {}, environment)).rejects.toThrow(
        "the model changed since the run began",
      );
    }
    const elsewhere = { OPENAI_BASE_URL: "http://127.0.0.1:8/v1" };
    await expect(place.resume(place.folder, {}, elsewhere)).rejects.toThrow("a setting changed since the run began");
    const limited = { RESPOND_MAX_MODEL_CALLS: "2" };
    await expect(place.resume(place.folder, {}, limited)).rejects.toThrow("a setting changed since the run began");
  });

  test("the prompts or the version changed", async () => {
    using place = await cut();
    const path = `${place.folder}/run.json`;
    const plan = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...plan, prompts: "others" }));
    await expect(place.resume(place.folder)).rejects.toThrow("the prompts changed since the run began");
    writeFileSync(path, JSON.stringify({ ...plan, version: "0.0.1" }));
    await expect(place.resume(place.folder)).rejects.toThrow("the version changed since the run began");
  });

  test("there is no such run", async () => {
    using place = await cut();
    await expect(place.resume(place.path("out/runs/none"))).rejects.toThrow("none: no evaluation run is kept there");
  });
});
