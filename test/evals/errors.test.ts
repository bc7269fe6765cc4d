import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { renderHtml } from "../../src/evals/rendering/html.ts";
import { renderMarkdown } from "../../src/evals/rendering/markdown.ts";
import type { Report } from "../../src/evals/report.ts";
import { type RunTrial, runTrial } from "../../src/evals/run-trial.ts";
import { runUnits } from "../../src/evals/run-units.ts";
import type { Fault } from "../../src/stand-in/scripted.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { ANA, BEN, openEvaluationPlace, reportOf } from "../support/eval-cases.ts";

/** A place whose model fails as it is told to, until `mend`. */
async function failing(...faults: Fault[]) {
  const model = await startStandIn({
    faults,
    answers: [{ when: { schema: "judge" }, json: { reason: "", met: true } }],
  });
  const place = await openEvaluationPlace({ OPENAI_BASE_URL: model.url });
  return {
    ...place,
    model,
    async mend() {
      await model.close();
      return startStandIn({ port: Number(new URL(model.url).port) });
    },
    async [Symbol.asyncDispose]() {
      place[Symbol.dispose]();
      await model.close();
    },
  };
}

const failed = ({ trials }: Report) => trials.filter(({ error }) => error !== null);
const chat = (contains: string, schema?: string): NonNullable<Fault["when"]> => ({
  ...{ path: "chat", contains },
  ...(schema === undefined ? {} : { schema }),
});

describe("a model that fails on some cases", () => {
  test("what failed is neither right nor wrong, is said with its reason, and is all that a resumed run asks again", async () => {
    await using place = await failing({ when: chat("Sale of chairs"), kind: "server_error" });
    const warnings: string[] = [];
    const evaluated = await place.run({ suites: ["triage"] }, { warn: (line) => warnings.push(line) });
    const report = reportOf(evaluated);
    expect(new Set(failed(report).map((each) => each.case))).toEqual(new Set(["ana-sale", "ben-sale"]));
    expect(new Set(failed(report).map(({ error }) => error))).toEqual(
      new Set(["the model server failed (500) (try again later)"]),
    );
    for (const { got, checks, request, draft } of failed(report)) {
      expect({ got, checks, request, draft }).toEqual({ got: null, checks: [], request: null, draft: null });
    }
    const all = report.summary.arms.find(({ arm }) => arm === "all");
    expect(all?.rate).toMatchObject({ right: 4, of: 4, errors: 2, rate: 1 });
    expect(all?.users.find(({ user }) => user === BEN)?.rate).toMatchObject({ right: 1, of: 1, errors: 1 });
    for (const { pairs } of report.summary.comparisons) expect(pairs).toBeLessThanOrEqual(4);
    const reports = [renderMarkdown(report, { times: false }), await renderHtml(report)];
    for (const text of reports) expect(text).toContain("the model server failed (500)");

    await using mended = await place.mend();
    const again = reportOf(await place.resume(evaluated.folder));
    expect(failed(again)).toEqual([]);
    expect(again.summary.arms.find(({ arm }) => arm === "all")?.rate).toMatchObject({ right: 5, of: 6, errors: 0 });
    const asked = mended.requests.map(({ body }) => JSON.stringify(body));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((body) => !body.includes("Sale of chairs"))).toEqual([]);
  });

  test("an answer that is none is an error too", async () => {
    await using place = await failing({ when: chat("Sale of chairs", "triage"), kind: "nonsense" });
    const evaluated = await place.run({ suites: ["triage"] });
    expect(failed(reportOf(evaluated))[0]?.error).toMatch(/answered something else than the JSON asked for/);
    // It is not what is known of the model.
    await using _ = await place.mend();
    expect(failed(reportOf(await place.resume(evaluated.folder)))).toEqual([]);
  });

  test("embeddings that fail are an error, not a label that was given without the examples", async () => {
    await using place = await failing({
      when: { path: "embeddings", contains: "Sale of chairs" },
      kind: "server_error",
    });
    const report = reportOf(await place.run({ suites: ["triage", "answers"] }));
    expect(new Set(failed(report).map((each) => each.case))).toEqual(new Set(["ana-sale", "ben-sale"]));
    expect(failed(report)[0]?.error).toContain("(500)");
  });

  test("a story whose steps failed fails in the arms that take them, and in no other", async () => {
    await using place = await failing({ when: chat("Opening hours", "triage"), kind: "server_error" });
    const report = reportOf(await place.run({ suites: ["learning"] }));
    expect(failed(report).map(({ arm, case: id, error }) => [arm, id, error?.split(":")[0]])).toEqual(
      // Ben's control has the steps of Ana's story.
      [
        ["on", "ana-story/next", "its steps failed"],
        ["on", "ana-story/other", "its steps failed"],
        ["other", "ben-story/signed", "its steps failed"],
        ["permuted", "ana-story/next", "its steps failed"],
        ["permuted", "ana-story/other", "its steps failed"],
      ],
    );
  });

  test("a user whose memory could not be learnt fails alone", async () => {
    await using place = await failing({ when: chat("club.example", "learn"), kind: "server_error" });
    const report = reportOf(await place.run({ suites: ["triage", "changes", "answers", "curve"] }));
    const suites = (user: string) => [
      ...new Set(
        failed(report)
          .filter((each) => each.user === user)
          .map(({ suite }) => suite),
      ),
    ];
    expect([suites(ANA), suites(BEN)]).toEqual([[], ["triage", "changes", "answers"]]);
    expect(failed(report)[0]?.error).toBe("the user's memory could not be learnt: the model server failed (500)");
  });

  test("a judge that fails on a draft that people judged has judged nothing, which is said", async () => {
    await using place = await failing(
      { when: chat("thanks. Ana", "judge"), kind: "server_error" },
      { when: chat("Says when", "judge"), kind: "nonsense" },
    );
    const warnings: string[] = [];
    const report = reportOf(await place.run({ suites: ["answers"] }, { warn: (line) => warnings.push(line) }));
    expect(report.judged.find(({ id }) => id === "judged-no")?.judge).toBeNull();
    expect(warnings.some((line) => line.startsWith("judged-no: the judge failed: the model server failed (500)"))).toBe(
      true,
    );
    // Of an answer it is an error of the trial.
    expect(new Set(failed(report).map((each) => each.case))).toEqual(new Set(["ana-answers"]));
  });
});

test("nobody is asked to judge where no drafts are written", async () => {
  await using place = await failing();
  const report = reportOf(await place.run({ suites: ["triage"] }));
  expect(report.judged).toEqual([]);
  expect(JSON.stringify(place.model.requests.map(({ body }) => body))).not.toContain('"judge"');
});

test("a run in which everything fails stops early with the reason, and can be resumed", async () => {
  await using place = await failing({ when: { path: "chat" }, kind: "unauthorized" });
  const stopped = place.run({ suites: ["triage"] }, { concurrency: 1 });
  await expect(stopped).rejects.toThrow(
    /^the first 12 trials all failed, such as: .*OPENAI_API_KEY was refused \(401\)/,
  );
  await expect(stopped).rejects.toHaveProperty("hint", "nothing else was asked");
  const folder = place.path("out/runs/2026-03-06T17-00-00-000Z-triage");
  expect(readFileSync(`${folder}/trials.jsonl`, "utf8").trim().split("\n")).toHaveLength(12);
  await using _ = await place.mend();
  expect(failed(reportOf(await place.resume(folder)))).toEqual([]);
});

describe("units of a run", () => {
  const unit = (key: string, run: () => Promise<RunTrial[]>) => ({ key, trials: 1, run });
  const trial = (error?: string) => {
    const name = { suite: "triage" as const, arm: "all", case: "c", group: "c", user: ANA, split: "dev" as const };
    return runTrial({ ...name, repeat: 0, expected: "ignore" }, async () => {
      if (error !== undefined) throw new Error(error);
      return { got: "ignore", checks: [] };
    });
  };
  const signal = new AbortController().signal;

  test("one early success is a reason to go on, other reasons of failures are none", async () => {
    const run = async (errors: (string | undefined)[]) => {
      let kept = 0;
      const units = Array.from({ length: 30 }, (_, i) => unit(`${i}`, async () => [await trial(errors[i % 11])]));
      const ended = runUnits(units, { concurrency: 1, signal, keep: () => (kept += 1) });
      await ended.catch(() => {});
      return kept;
    };
    const errors = ["a", "b", "a", "a", "a", "a", "a", "a", "a", "a"];
    expect(await run([...errors, undefined])).toBe(30);
    expect(await run([...errors, "c"])).toBe(12);
  });

  test("where one cannot be kept nothing begins any more, and it ends when what was under way has ended", async () => {
    const ended: string[] = [];
    const gate = new EventEmitter();
    const units = ["full", "slow", "late"].map((key) =>
      unit(key, async () => {
        if (key === "slow") await once(gate, "open");
        ended.push(key);
        return [await trial()];
      }),
    );
    const keep = ({ key }: { key: string }) => {
      if (key !== "full") return;
      setImmediate(() => gate.emit("open"));
      throw new Error("the disk is full");
    };
    await expect(runUnits(units, { concurrency: 2, signal, keep })).rejects.toThrow("the disk is full");
    expect(ended).toEqual(["full", "slow"]);
  });
});
