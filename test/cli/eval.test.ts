import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { openAssistant } from "../../src/assistant.ts";
import { runEvaluation } from "../../src/cli/eval.ts";
import { importCases } from "../../src/cli/eval-cases.ts";
import { loadConfig } from "../../src/config.ts";
import { emailSchema } from "../../src/email.ts";
import { MnemailError } from "../../src/errors.ts";
import { loadCases } from "../../src/evals/load-cases.ts";
import { type Report, reportSchema } from "../../src/evals/report.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli, startCli } from "../support/cli.ts";
import { ANA, type CaseFiles, lock, tinyCases, withoutTimes, writeCases } from "../support/eval-cases.ts";

/** A folder with tiny cases, as a user would work in one. */
async function workplace(files: Partial<CaseFiles> = {}) {
  const folder = temporaryFolder();
  writeCases(folder.path("cases"), files);
  await lock(folder.path("cases"));
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
  return {
    ...{ ...folder, environment },
    /** `mnemail eval` in the folder, with paths as a user types them. */
    evaluate: (args: string[], more: Record<string, string> = {}) =>
      runCli(["eval", ...args], { ...environment, ...more }, folder.path(".")),
    runs: () => {
      const at = folder.path("out/runs");
      return existsSync(at)
        ? readdirSync(at)
            .map((name) => `out/runs/${name}`)
            .toSorted()
        : [];
    },
    report: (run: string): Report =>
      reportSchema.parse(JSON.parse(readFileSync(folder.path(`${run}/report.json`), "utf8"))),
  };
}

const TINY = ["--cases", "cases", "--out", "out"];

describe("mnemail eval: wrong usage and bad input", () => {
  test("exit code 2 for wrong usage, 1 for bad input, one line on stderr, and nothing is kept", async () => {
    using at = await workplace();
    const cases: [string[], number, RegExp][] = [
      [
        ["--suite", "triage,nope", ...TINY],
        2,
        /^mnemail: --suite: saw "nope"; expected smoke, all, triage, changes, answers, learning, curve, attacks\n$/,
      ],
      [["--inbox", "cases/triage.jsonl", "--out", "out"], 2, /^mnemail: --inbox and --user: give both or none/],
      [
        ["--cases", "cases", "--out", "cases/users.json"],
        1,
        /^mnemail: cases\/users\.json\/runs\/.*: cannot be written/,
      ],
      [
        ["import", "cases/triage.jsonl", "--user", ANA, "--to", "x", "--split", "all"],
        2,
        /^mnemail: --split: expected dev/,
      ],
    ];
    const ended = await Promise.all(cases.map(([args]) => at.evaluate(args)));
    for (const [i, [, code, expected]] of cases.entries()) {
      expect(ended[i]).toEqual({ code, stdout: "", stderr: expect.stringMatching(expected) });
      expect(ended[i]?.stderr.split("\n")).toHaveLength(2);
    }
    expect(readdirSync(at.path("."))).toEqual(["cases"]);
  });

  test("what is wrong is named", async () => {
    using at = await workplace();
    const out = at.path("out");
    const problemOf = async (options: object) => {
      const error = await runEvaluation({ out, ...options }).catch((thrown: unknown) => thrown);
      return error instanceof MnemailError ? `${error.code}: ${error.message.replaceAll(at.path("."), "@")}` : error;
    };
    expect(await problemOf({ repeat: "some" })).toBe("usage: --repeat: expected a whole number");
    expect(await problemOf({ repeat: "0" })).toBe("usage: --repeat: expected a whole number from 1 to 100");
    expect(await problemOf({ concurrency: "1.5" })).toBe("usage: --concurrency: expected a whole number from 1 to 256");
    expect(await problemOf({ resume: true, suite: "triage" })).toBe(
      "usage: --suite: a run that is resumed has its own",
    );
    expect(await problemOf({ inbox: "x", user: ANA, cases: "y" })).toMatch(/^usage: --cases: with --inbox/);
    expect(await problemOf({ user: ANA })).toBe("usage: --inbox and --user: give both or none");
    expect(await problemOf({ inbox: at.path("none.jsonl"), user: ANA })).toBe("input: @/none.jsonl: no such file");
    expect(await problemOf({ cases: at.path("none") })).toBe("input: @/none: no such folder of cases");
    expect(await problemOf({ cases: at.path("cases"), thresholds: at.path("none") })).toBe(
      "input: @/none: no such file",
    );
    expect(await problemOf({ resume: true })).toBe("missing: @/out/runs: no run was interrupted");
    expect(await problemOf({ resume: "then" })).toBe("missing: @/out/runs/then: no evaluation run is kept there");
    expect(existsSync(at.path("out"))).toBe(false);
  });

  test("the help says what can be measured, what is kept and how it ends", async () => {
    const { code, stdout } = await runCli(["eval", "--help"]);
    expect(code).toBe(0);
    for (const part of [
      "--suite",
      "--resume",
      "130 interrupted",
      "compare",
      "import",
      "record",
      "lock",
      "--thresholds",
    ]) {
      expect(stdout).toContain(part);
    }
  });
});

test("a run says how far it is on stderr, and its result in one last line; its files are there, and a rerun is free", async () => {
  using at = await workplace();
  const first = await at.evaluate(["--suite", "triage,learning", ...TINY]);
  expect([first.code, first.stderr.match(/\d+ trials?\n/)?.[0]]).toEqual([0, "71 trials\n"]);
  expect(first.stderr).toMatch(/71 of 71 trials, \d+(?:\.\d)? a second\n/);
  const [run = ""] = at.runs();
  expect(readdirSync(at.path(run)).toSorted()).toEqual([
    ...["report.html", "report.json", "report.md", "run.json", "trials.jsonl"],
  ]);
  const lines = first.stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^\d+ model calls, 0 of them known from earlier runs$/);
  expect(lines[1]).toBe(`report: ${run}/report.html (also report.md and report.json)`);
  expect(lines[2]).toMatch(/^stand-in, no language model · 9 cases · labels 83.*errors · \d+ model calls$/);
  const report = at.report(run);
  expect(report.command).toBe("npm run eval -- --suite triage,learning --cases cases");

  const again = await at.evaluate(["--suite", "triage,learning", ...TINY, "--json"]);
  expect(again.code).toBe(0);
  expect(again.stderr).toMatch(/\n(?:mnemail: )?(\d+) model calls, \1 of them known from earlier runs\n/);
  const [printed, ...more] = jsonLines(again.stdout);
  expect(more).toEqual([]);
  const summary = z
    .object({ id: z.string(), folder: z.string(), summary: z.any(), thresholds: z.array(z.any()) })
    .strict();
  const { summary: second, folder } = summary.parse(printed);
  expect(folder).toBe(at.runs()[1]);
  expect(second).toEqual(JSON.parse(JSON.stringify(at.report(folder).summary)));
  expect(at.report(folder).summary.arms).toEqual(report.summary.arms);
  for (const { known, model_calls } of at.report(folder).summary.costs) {
    expect(known).toBe(model_calls);
  }
  const compared = await at.evaluate(["compare", run, folder, "--out", "out", "--json"]);
  expect(compared.code).toBe(0);
  expect(jsonLines(compared.stdout)).toMatchObject([{ a: { id: report.id }, arms_only_in_a: [], arms_only_in_b: [] }]);
});

test("thresholds that are missed, and trials that failed, end with exit code 1", async () => {
  const faults = [{ when: { path: "chat" as const, contains: "Your invoice" }, kind: "server_error" as const }];
  await using model = await startStandIn({ faults });
  using at = await workplace();
  const numbers = [
    { name: "triage.all.rate", at_least: 0.9 },
    { name: "errors", at_most: 0 },
  ];
  // Those beside the cases are taken without being named.
  writeFileSync(at.path("cases/thresholds.json"), JSON.stringify({ smoke: numbers }));
  const [missed, failed] = await Promise.all([
    at.evaluate(["--suite", "smoke", ...TINY]),
    at.evaluate(["--suite", "changes", "--cases", "cases", "--out", "other"], {
      ...{ OPENAI_BASE_URL: model.url, MODEL_MAX_RETRIES: "0" },
    }),
  ]);
  expect(missed.code).toBe(1);
  const lines = missed.stdout.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^threshold missed: triage\.all\.rate is 0\.83\d*; expected at least 0\.9$/);
  expect(lines.at(-1)).toMatch(/1 of 2 thresholds missed$/);
  expect([failed.code, failed.stdout.trimEnd().split("\n").at(-1)]).toEqual([
    1,
    expect.stringContaining("· 3 errors ·"),
  ]);
});

test("a run in which everything fails says why in one line, and goes on when the server is back", async () => {
  using at = await workplace();
  const model = await startStandIn();
  const environment = { OPENAI_BASE_URL: model.url, MODEL_MAX_RETRIES: "0" };
  await model.close();
  const lost = await at.evaluate(["--suite", "triage", ...TINY], environment);
  expect([lost.code, lost.stdout]).toEqual([1, ""]);
  expect(lost.stderr).toMatch(
    /\nmnemail: the first 12 trials all failed, such as: .*no connection to the model server.*\n$/,
  );
  await using _ = await startStandIn({ port: Number(new URL(model.url).port) });
  const resumed = await at.evaluate(["--resume", "--out", "out"], environment);
  expect([resumed.code, resumed.stderr]).toEqual([0, expect.stringContaining("mnemail: 60 trials\n")]);
});

describe("a process that is interrupted or killed at any moment loses nothing", () => {
  const RUN = ["--suite", "all", ...TINY];
  let undisturbed: Report;
  let at: Awaited<ReturnType<typeof workplace>>;
  beforeAll(async () => {
    const { triage } = tinyCases();
    at = await workplace({ triage: triage.filter((_, i) => i % 2 === 0) });
    const { code, stderr } = await at.evaluate(["--concurrency", "3", ...RUN.slice(0, -1), "undisturbed"]);
    expect(code, stderr).toBe(0);
    const [run = ""] = readdirSync(at.path("undisturbed/runs"));
    undisturbed = at.report(`undisturbed/runs/${run}`);
    return () => at[Symbol.dispose]();
  });

  const kept = (out: string): number => {
    const [run] = existsSync(at.path(`${out}/runs`)) ? readdirSync(at.path(`${out}/runs`)) : [];
    const path = at.path(`${out}/runs/${run}/trials.jsonl`);
    return run !== undefined && existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
  };
  /** Sends a signal when so many units are kept; false where it came through before. */
  const strike = async (child: ChildProcess, out: string, signal: "SIGINT" | "SIGKILL", units: number) => {
    const closed = once(child, "close");
    await expect.poll(() => kept(out) >= units || child.exitCode !== null, { interval: 2, timeout: 60_000 }).toBe(true);
    child.kill(signal);
    const [code, by] = await closed;
    return { code, by };
  };
  const argumentsOf = (out: string, ...args: string[]) => ["eval", ...args, ...RUN.slice(0, -1), out];
  const resumingOf = (out: string, ...args: string[]) => ["eval", "--resume", ...args, "--out", out];
  const expectSame = (out: string) => {
    const [run = "", ...others] = readdirSync(at.path(`${out}/runs`));
    expect(others).toEqual([]);
    const report = at.report(`${out}/runs/${run}`);
    const plan = JSON.parse(readFileSync(at.path(`${out}/runs/${run}/run.json`), "utf8"));
    const { id, created_at } = plan;
    expect(withoutTimes(report)).toEqual({ ...withoutTimes(undisturbed), id, created_at });
  };

  test("Ctrl-C: what is under way is kept, how to go on is said, exit code 130; then --resume", async () => {
    const child = startCli(argumentsOf("interrupted"), at.environment, at.path("."));
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    expect(await strike(child, "interrupted", "SIGINT", 1 + Math.floor(Math.random() * 30))).toEqual({
      code: 130,
      by: null,
    });
    expect(stderr).toContain("stopping: what is under way is finished and kept");
    const said = /interrupted: (\d+) of (\d+) trials are kept; go on with: mnemail eval --resume (\S+)\n$/.exec(stderr);
    expect(Number(said?.[2])).toBe(undisturbed.trials.length);
    expect(Number(said?.[1])).toBeLessThan(undisturbed.trials.length);
    const resumed = await at.evaluate(["--resume", said?.[3] ?? ""]);
    expect([resumed.code, resumed.stderr]).toEqual([
      0,
      expect.stringContaining(`trials, ${said?.[1]} of them done before`),
    ]);
    expectSame("interrupted");
  });

  test("SIGKILL, again and again", async () => {
    const args = () => ["--concurrency", `${1 + Math.floor(Math.random() * 8)}`];
    let units = 1 + Math.floor(Math.random() * 20);
    const first = startCli(argumentsOf("killed", ...args()), at.environment, at.path("."));
    expect(await strike(first, "killed", "SIGKILL", units)).toEqual({ code: null, by: "SIGKILL" });
    units += 10 + Math.floor(Math.random() * 10);
    const second = startCli(resumingOf("killed", ...args()), at.environment, at.path("."));
    expect(await strike(second, "killed", "SIGKILL", units)).toEqual({ code: null, by: "SIGKILL" });
    const { code, stderr } = await runCli(resumingOf("killed", ...args()), at.environment, at.path("."));
    expect(code, stderr).toBe(0);
    expectSame("killed");
  });
});

test("two equal attacks cost the same, also the first of a process", async () => {
  const [attack = {}] = tinyCases().attacks;
  using at = await workplace({ attacks: [attack, { ...attack, id: "again" }] });
  await at.evaluate(["--suite", "attacks", ...TINY]);
  const costs = at.report(at.runs()[0] ?? "").trials.map(({ usage }) => ({ ...usage, ms: 0 }));
  expect(costs).toHaveLength(2);
  expect(costs[0]).toEqual(costs[1]);
});

test("a change of the test split is refused by name, until there is a new lock", async () => {
  using at = await workplace();
  const path = at.path("cases/triage.jsonl");
  writeFileSync(path, readFileSync(path, "utf8").replace("on Monday", "on Tuesday"));
  const refused = await at.evaluate(["--suite", "triage", ...TINY]);
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toMatch(
    /^mnemail: cases\/test\.lock\.json: the test split is locked.*changed: ana-question.*eval lock/,
  );
  // Were options of subcommands not heeded, the project's own lock would be written.
  expect((await at.evaluate(["compare", "a", "b", "--out", "out"])).stderr).toContain("kept in out/runs");
  const locked = await at.evaluate(["lock", "--cases", "cases"]);
  expect([locked.code, locked.stdout]).toEqual([0, "cases/test.lock.json: 6 cases of the test split\n"]);
  expect((await loadCases(at.path("cases"))).triage).toHaveLength(6);
});

describe("a user's own mail", () => {
  const mail = (id: string, subject: string, body: string) => ({
    id,
    from: "Tom <tom@work.example>",
    to: ANA,
    subject,
    body,
  });
  const write = (path: string, lines: readonly object[]) =>
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));

  test("labelled mail is imported, and tried as cases", async () => {
    using at = await workplace();
    const { from, to, subject, body } = mail("m3", "Key", "Do you have the key?");
    write(at.path("mine.jsonl"), [
      { ...mail("m1", "Slides", "Could you send the slides?"), label: "respond" },
      { email: mail("m2", "Bus", "The bus is late."), classification: "notify" },
      { author: from, to, subject, email_thread: body, expected_triage: "respond" },
    ]);
    const imported = await at.evaluate([
      "import",
      "mine.jsonl",
      "--user",
      ANA,
      "--to",
      "cases.jsonl",
      "--split",
      "test",
    ]);
    expect([imported.code, imported.stdout]).toEqual([
      ...[0, `cases.jsonl: 3 cases of ${ANA}; try them with: mnemail eval --inbox cases.jsonl --user ${ANA}\n`],
    ]);
    const cases = jsonLines(readFileSync(at.path("cases.jsonl"), "utf8"));
    expect(cases).toMatchObject([{ id: "m1", split: "test" }, { id: "m2", label: "notify" }, { email: { body } }]);
    const tried = await at.evaluate(["--inbox", "cases.jsonl", "--user", ANA, "--out", "out"]);
    expect(tried.code).toBe(0);
    expect(tried.stderr).toContain("nothing that they taught is in this store");
    expect(tried.stdout).toContain("3 cases · labels 100");
    expect(at.report(at.runs()[0] ?? "").command).toBe(`npm run eval -- --inbox cases.jsonl --user ${ANA}`);
  });

  test("a broken line is named with file, line and field, and nothing is written", async () => {
    using at = await workplace();
    write(at.path("mine.jsonl"), [
      { ...mail("m1", "a", "b"), label: "respond" },
      { ...mail("m2", "a", "b"), label: "spam" },
    ]);
    const options = { file: at.path("mine.jsonl"), user: ANA, to: at.path("cases.jsonl"), split: "dev" };
    await expect(importCases(options)).rejects.toThrow(/mine\.jsonl:2: label: .*saw "spam"$/);
    expect(existsSync(at.path("cases.jsonl"))).toBe(false);
  });

  test("what a user decided is recorded, and tried with what they taught", async () => {
    using at = await workplace();
    const decide = async () => {
      await using assistant = await openAssistant(
        loadConfig({ environment: { ...at.environment, MEMORY_EXTRACTION: "off" }, directory: at.path(".") }),
      );
      for (const each of [mail("m1", "Prices", "Our prices change."), mail("m2", "Bus", "The bus is late.")]) {
        await assistant.handle(ANA, emailSchema.parse(each));
      }
      await assistant.learn(ANA, { kind: "relabel", email_id: "m1", label: "ignore" });
      await assistant.learn(ANA, { kind: "text", text: "Ignore emails from work.example." });
    };
    await decide();
    const recorded = await at.evaluate(["record", "--user", ANA, "--to", "mine.jsonl"]);
    expect([recorded.code, recorded.stdout]).toEqual([0, expect.stringContaining(`mine.jsonl: 1 case of ${ANA}`)]);
    expect(jsonLines(readFileSync(at.path("mine.jsonl"), "utf8"))).toMatchObject([
      { id: "m1", user: ANA, split: "dev", origin: "reviewed", label: "ignore", email: { subject: "Prices" } },
    ]);
    const tried = await at.evaluate(["--inbox", "mine.jsonl", "--user", ANA, "--out", "kept"]);
    expect([tried.code, tried.stderr]).toEqual([0, expect.not.stringContaining("nothing that they taught")]);
    const [run = ""] = readdirSync(at.path("kept/runs"));
    const got = Object.fromEntries(at.report(`kept/runs/${run}`).trials.map((trial) => [trial.arm, trial.got]));
    // The email is among the examples, and is left out of them; what was taught of its sender is not.
    expect(got).toEqual({ none: "notify", examples: "notify", facts: "notify", rules: "ignore", all: "ignore" });
  });
});
