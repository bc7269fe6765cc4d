import { type Command, Option } from "commander";

type Make = () => Option;

/** Adds `mnemail eval` and what belongs to it. */
export function addEvalCommands(program: Command, { user, json }: { user: Make; json: Make }): void {
  const out = () =>
    new Option("--out <folder>", "where runs, reports and known answers are kept").default(".mnemail/evals");
  const cases = () => new Option("--cases <folder>", "the cases (default: those of the project)");
  // Several options of `eval` are its subcommands' too: each has those that stand behind its own name.
  program.enablePositionalOptions();
  const evaluation = program
    .command("eval")
    .enablePositionalOptions()
    .description("measure triage, answers, learning and safety on labelled cases, and write a report")
    .option(
      "--suite <names>",
      "smoke, all (the default), or some of triage, changes, answers, learning, curve, attacks, between commas",
    )
    .addOption(cases())
    .option("--inbox <file>", "labelled mail (JSONL) in the place of the cases; needs --user")
    .option("--user <id>", "with --inbox: whose memory is tried; it is copied, and nothing is written to it")
    .addOption(
      new Option("--split <name>", "which cases: all (the default), dev or test").choices(["all", "dev", "test"]),
    )
    .option("--repeat <number>", "how often each case is asked, 1 unless said (the curve has orders instead)")
    .option("--concurrency <number>", "trials at once", "8")
    .option("--seed <number>", "of orders and of resampling, 1 unless said")
    .option(
      "--thresholds <file>",
      "JSON with what the run has to reach (default: that of the cases, for smoke and all)",
    )
    .option("--resume [run]", "go on with a run that was interrupted: the last, or the one of that id or folder")
    .addOption(out())
    .addOption(json())
    .addHelpText(
      "after",
      `
Exit codes: 0 done, 1 a trial failed or a threshold was missed, 2 wrong usage, 130 interrupted.
Every answer is kept by the content of its request: what was asked once costs nothing again.

Examples:
  mnemail eval --suite smoke
  mnemail eval --suite triage,learning --split dev --repeat 3
  mnemail eval --inbox labelled.jsonl --user alice@example.com
  mnemail eval --resume
  mnemail eval compare RUN_A RUN_B`,
    )
    .action(async (options: unknown) => {
      const { runEvaluation } = await import("./eval.ts");
      process.exitCode = await runEvaluation(options);
    });

  evaluation
    .command("compare <a> <b>")
    .description("what is better or worse in run b than in run a, paired by case; each by id, folder or report.json")
    .addOption(out())
    .addOption(json())
    .action(async (a: string, b: string, options: object) => {
      const { compareRuns } = await import("./eval-compare.ts");
      process.exitCode = await compareRuns({ a, b, ...options });
    });
  evaluation
    .command("import <file>")
    .description("turn labelled mail (JSONL) into cases; the label is label, classification or expected_triage")
    .addOption(user())
    .requiredOption("--to <file>", "the file of cases to write, such as my-cases.jsonl")
    .option("--split <name>", "the split of the cases: dev or test", "dev")
    .option("--force", "replace the file")
    .addOption(json())
    .action(async (file: string, options: object) => {
      const { importCases } = await import("./eval-cases.ts");
      process.exitCode = await importCases({ file, ...options });
    });
  evaluation
    .command("record")
    .description("turn what a user decided in reviews and feedback into cases")
    .addOption(user())
    .requiredOption("--to <file>", "the file of cases to write, such as my-cases.jsonl")
    .option("--split <name>", "the split of the cases: dev or test", "dev")
    .option("--force", "replace the file")
    .addOption(json())
    .action(async (options: object) => {
      const { recordCases } = await import("./eval-cases.ts");
      process.exitCode = await recordCases(options);
    });
  evaluation
    .command("lock")
    .description("write the lock of the test split, after a change of its cases that is meant")
    .addOption(cases())
    .addOption(json())
    .action(async (options: object) => {
      const { lockCases } = await import("./eval-cases.ts");
      process.exitCode = await lockCases(options);
    });
}
