#!/usr/bin/env node
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { MnemailError, renderProblems } from "../errors.ts";
import { hasAbandonedTraces } from "../tracing.ts";
import { addChatCommand } from "./chat-command.ts";
import { addCostsCommand } from "./costs-command.ts";
import { addEpisodicCommands } from "./episodic-commands.ts";
import { addEvalCommands } from "./eval-commands.ts";
import { addFeedbackCommands } from "./feedback-commands.ts";
import { addMemoryCommands } from "./memory-commands.ts";
import { note } from "./output.ts";
import { addReviewCommands } from "./review-commands.ts";
import { addServeCommand } from "./serve-command.ts";
import { addThreadCommands } from "./thread-commands.ts";

// A model may call many tools in one message, and each listens to the signal of the run: no leak, and no warning.
setMaxListeners(100);

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")));

const user = () => new Option("--user <id>", "whose email and memory, such as alice@example.com").makeOptionMandatory();
const json = () => new Option("--json", "print JSON for programs; notes go to stderr");

const program = new Command("mnemail")
  .description("An email assistant that remembers: it triages email, drafts answers and learns from feedback.")
  .version(version)
  .addHelpText(
    "after",
    `
Exit codes: 0 done, 1 something failed, 2 wrong usage.
Settings come from the environment over .env.\${NODE_ENV}; \`mnemail config\` prints them.

Examples:
  mnemail run --user alice@example.com --inbox samples/week
  mnemail feedback --user alice@example.com "Always sign my emails with Alice."
  mnemail remember --user alice@example.com "Ada prefers mornings." --person ada@work.example
  mnemail memory show --user alice@example.com
  mnemail memory export --user alice@example.com alice.jsonl`,
  );

program
  .command("run")
  .description("triage every email of an inbox and draft the answers; nothing is sent")
  .addOption(user())
  .requiredOption("--inbox <path>", "a .json, .jsonl or .eml file, or a folder of .eml files")
  .option("--calendar <file>", "an iCalendar file with the user's events (default: CALENDAR_PATH)")
  .option("--profile <file>", "JSON with name, addresses, time_zone, working_hours; kept in memory")
  .option("--now <time>", "act as at this time, for replays, such as 2026-03-06T17:00:00+01:00")
  .option("--drafts", "print whole drafts, not only their beginning")
  .addOption(json())
  .action(async (options: unknown) => {
    const { run } = await import("./run.ts");
    process.exitCode = await run(options);
  });

addChatCommand(program, { user, json });
addFeedbackCommands(program, { user, json });
addMemoryCommands(program, { user, json });
addThreadCommands(program, { user, json });
addEpisodicCommands(program, { user, json });
addReviewCommands(program, { user, json });
addCostsCommand(program, { user, json });
addEvalCommands(program, { user, json });
addServeCommand(program);

program
  .command("config")
  .description("print the settings in force, secrets masked")
  .addOption(json())
  .action(async (options: unknown) => {
    const { showConfig } = await import("./config.ts");
    process.exitCode = await showConfig(options);
  });

program
  .command("model")
  .description("serve the stand-in model, which speaks the OpenAI protocol, until stopped")
  .option("--port <number>", "the port on 127.0.0.1", "11435")
  .option("--script <file>", "JSON with scripted answers and faults, for tests")
  .action(async (options: unknown) => {
    const { serveModel } = await import("./model.ts");
    process.exitCode = await serveModel(options);
  });

program
  .command("demo")
  .description("the sample inbox, one feedback, and what changes: the main job in one go")
  .action(async () => {
    const { demo } = await import("./demo.ts");
    process.exitCode = await demo();
  });

for (const each of withSubcommands(program)) each.exitOverride();
// A reader that stops early, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    for (const problem of renderProblems(error)) note(problem);
    process.exitCode = error instanceof MnemailError && error.code === "usage" ? 2 : 1;
  }
}

if (hasAbandonedTraces()) process.exit();

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}
