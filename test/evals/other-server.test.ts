import { describe, expect, test } from "vitest";
import type { Report } from "../../src/evals/report.ts";
import type { Fault, ScriptedAnswer } from "../../src/stand-in/scripted.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { openEvaluationPlace, reportOf, withoutTimes } from "../support/eval-cases.ts";

const JUDGE: ScriptedAnswer[] = [
  { when: { schema: "judge", contains: "thanks. Ana" }, json: { reason: "no day", met: false } },
  { when: { schema: "judge" }, json: { reason: "it does", met: true } },
];
/** Another opinion of some emails than the stand-in's. */
const OTHER: ScriptedAnswer[] = [
  ...JUDGE,
  { when: { schema: "triage", contains: "Sale of chairs" }, json: { label: "respond", reason: "I like chairs" } },
];

async function run(answers: ScriptedAnswer[], faults: Fault[] = []) {
  await using server = await startStandIn({ apiKey: "secret-key", answers, faults });
  const environment = { OPENAI_BASE_URL: server.url, OPENAI_API_KEY: "secret-key", CHAT_MODEL: "other-model" };
  using place = await openEvaluationPlace({ ...environment, MODEL_MAX_RETRIES: "3" });
  const report = reportOf(await place.run({}, { concurrency: 8 }));
  const { description, ...model } = report.model;
  return {
    report: { ...withoutTimes(report), model: { ...model, description: "" } },
    description,
    requests: server.requests,
  };
}

describe("another server that speaks the protocol", () => {
  test("429, 5xx, cut and garbled answers cost time and nothing else: the same trials, calls, tokens and rates", async () => {
    const calm = await run(OTHER);
    const faults: Fault[] = [
      // Several of them meet requests that are under way at once: a client waits a second or two after each.
      { when: { schema: "learn" }, kind: "cut_stream", times: 1 },
      { when: { schema: "triage", contains: "Sale of chairs" }, kind: "rate_limit", times: 2 },
      { when: { schema: "triage", contains: "Rehearsal on Tuesday" }, kind: "server_error", times: 2 },
      { when: { path: "embeddings", contains: "Slides" }, kind: "server_error", times: 1 },
      { when: { tool: "write_email" }, kind: "rate_limit", times: 1 },
      { when: { schema: "judge" }, kind: "server_error", times: 1 },
    ];
    const shaken = await run(OTHER, faults);
    expect(shaken.report.trials.filter(({ error }) => error !== null)).toEqual([]);
    expect(shaken.report).toEqual(calm.report);
    const texts = ({ requests }: typeof calm) => requests.map(({ body }) => JSON.stringify(body));
    const injected = faults.reduce((sum, { times = 0 }) => sum + times, 0);
    expect(texts(shaken)).toHaveLength(texts(calm).length + injected);
    expect(new Set(texts(shaken))).toEqual(new Set(texts(calm)));
    expect(calm.report.model).toMatchObject({ chat: "other-model", is_stand_in: false });
    expect(calm.description).toMatch(/^other-model at 127\.0\.0\.1:\d+$/);
    expectOpinionsOf(calm.report);
  });

  /** What it answers is what the report is about. */
  function expectOpinionsOf({ trials, summary, judged }: Report): void {
    const labels = (id: string, arm: string) =>
      trials.filter((each) => each.suite === "triage" && each.case === id && each.arm === arm).map(({ got }) => got);
    expect(labels("ben-sale", "all")).toEqual(["respond"]);
    expect(labels("ana-sale", "all")).toEqual(["respond"]);
    // The judge was asked, of the answers and of what people judged.
    const checks = trials.filter(({ suite }) => suite === "answers").flatMap((trial) => trial.checks);
    const byJudge = checks.filter(({ kind }) => kind === "judge");
    expect(byJudge).toHaveLength(5);
    expect(byJudge.every(({ met }) => met === true)).toBe(true);
    expect(judged).toEqual([
      { id: "judged-yes", person: true, judge: true },
      { id: "judged-no", person: false, judge: false },
    ]);
    expect(summary.judge).toEqual({ of: 2, agree: 2, unknown: 0, kappa: 1 });
    // Both the obedient model and this one are attacked.
    expect(
      summary.arms.filter(({ suite }) => suite === "attacks").map(({ arm, rate }) => [arm, rate.right, rate.errors]),
    ).toEqual([
      ["model", 2, 0],
      ["obedient", 2, 0],
    ]);
  }

  test("a judge that says yes to everything agrees with people by chance alone, which the report says", async () => {
    await using server = await startStandIn({ answers: JUDGE.slice(1) });
    using place = await openEvaluationPlace({ OPENAI_BASE_URL: server.url });
    const { summary } = reportOf(await place.run({ suites: ["answers"] }));
    expect(summary.judge).toEqual({ of: 2, agree: 1, unknown: 0, kappa: 0 });
  });
});
