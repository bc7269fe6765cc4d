import { Command, CommanderError } from "commander";
import { z } from "zod";
import { renderProblems } from "../src/errors.ts";

const program = new Command("bench").description("Measures Mnemail beside what it replaces.").exitOverride();

program
  .command("store")
  .description("our stores, upstream's and floors, in one run on the same data; some 5 minutes")
  .option("--postgres <url>", "a server with pgvector, where a database is made and dropped (default: PGlite on disk)")
  .option("--json", "print JSON for programs")
  .option("--quick", "small numbers, below 30 seconds: proves that the command works")
  .action(async (raw: unknown) => {
    const options = z
      .object({ postgres: z.string().optional(), json: z.boolean().default(false), quick: z.boolean().default(false) })
      .parse(raw);
    const { runStoreBench } = await import("./store.ts");
    const { toJson, toMarkdown } = await import("./report.ts");
    const report = await runStoreBench({ postgres: options.postgres, quick: options.quick }, noteTime());
    process.stdout.write(`${options.json ? toJson(report) : toMarkdown(report)}\n`);
  });

program
  .command("learning")
  .description("model calls and tokens of each kind of feedback, before its test and in it; below a minute")
  .option("--json", "print JSON for programs")
  .option("--quick", "small numbers, below 15 seconds: proves that the command works")
  .action(async (raw: unknown) => {
    const options = z.object({ json: z.boolean().default(false), quick: z.boolean().default(false) }).parse(raw);
    const { runLearningBench } = await import("./learning.ts");
    const { learningToJson, learningToMarkdown } = await import("./learning-report.ts");
    const report = await runLearningBench({ quick: options.quick }, noteTime());
    process.stdout.write(`${options.json ? learningToJson(report) : learningToMarkdown(report)}\n`);
  });

program
  .command("memory")
  .description("how well, how fast and at what cost memories are found; some 2 minutes")
  .option("--json", "print JSON for programs")
  .option("--quick", "fewer repetitions, below a minute")
  .action(async (raw: unknown) => {
    const options = z.object({ json: z.boolean().default(false), quick: z.boolean().default(false) }).parse(raw);
    const { runMemoryBench } = await import("./memory.ts");
    const { memoryToJson, memoryToMarkdown } = await import("./memory-report.ts");
    const report = await runMemoryBench({ quick: options.quick }, noteTime());
    process.stdout.write(`${options.json ? memoryToJson(report) : memoryToMarkdown(report)}\n`);
  });

program
  .command("graph")
  .description("what an email takes beside its model, against a bare graph, and emails per second; some 4 minutes")
  .option("--json", "print JSON for programs")
  .option("--quick", "small numbers, below a minute: proves that the command works")
  .action(async (raw: unknown) => {
    const options = z.object({ json: z.boolean().default(false), quick: z.boolean().default(false) }).parse(raw);
    const { runGraphBench } = await import("./graph.ts");
    const { graphToJson, graphToMarkdown } = await import("./graph-report.ts");
    const report = await runGraphBench({ quick: options.quick }, noteTime());
    process.stdout.write(`${options.json ? graphToJson(report) : graphToMarkdown(report)}\n`);
  });

program
  .command("places")
  .description("the stores that are ranked in process (memory:, Map, file:, Redis) beside SQLite; some 2 minutes")
  .option("--json", "print JSON for programs")
  .option("--quick", "small numbers, below 25 seconds: proves that the command works")
  .action(async (raw: unknown) => {
    const options = z.object({ json: z.boolean().default(false), quick: z.boolean().default(false) }).parse(raw);
    const { runPlacesBench } = await import("./places.ts");
    const { placesToJson, placesToMarkdown } = await import("./places-report.ts");
    const report = await runPlacesBench({ quick: options.quick }, noteTime());
    process.stdout.write(`${options.json ? placesToJson(report) : placesToMarkdown(report)}\n`);
  });

/** A function that prints lines on stderr, each with the seconds since now. */
function noteTime(): (line: string) => void {
  const started = Date.now();
  return (line) =>
    void process.stderr.write(`${String(Math.round((Date.now() - started) / 1_000)).padStart(4)} s  ${line}\n`);
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    for (const line of renderProblems(error)) process.stderr.write(`bench: ${line}\n`);
    process.exitCode = 1;
  }
}
