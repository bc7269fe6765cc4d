import { type Command, Option } from "commander";
import { LABELS } from "../memory/records.ts";

/** Adds `mnemail memory examples …` and `mnemail memory stats`; `user` and `json` make the options others have too. */
export function addExampleCommands(
  memory: Command,
  { user, json }: { user: () => Option; json: () => Option },
): Command {
  const label = () => new Option("--label <label>", "the right label").choices(LABELS).makeOptionMandatory();
  const examples = memory
    .command("examples")
    .description("the emails whose label you gave, which triage looks up: list, add, relabel, remove");

  examples
    .command("list")
    .description("print key, label, subject, sender and time of every example, newest first")
    .addOption(user())
    .addOption(json())
    .action(async (options: unknown) => {
      const { listExamples } = await import("./memory-examples.ts");
      process.exitCode = await listExamples(options);
    });

  examples
    .command("add")
    .description("make every email of a file or folder an example")
    .argument("<path>", "a .json, .jsonl or .eml file, or a folder of .eml files")
    .addOption(user())
    .addOption(label())
    .addOption(json())
    .addHelpText(
      "after",
      "\nAn email that is an example already gets the label. Exit code 1 when an email could not be read; the others are added.",
    )
    .action(async (path: unknown, options: Record<string, unknown>) => {
      const { addExamples } = await import("./memory-examples.ts");
      process.exitCode = await addExamples({ ...options, path });
    });

  examples
    .command("relabel")
    .description(
      "give an example another label, as of now; rules stay (`feedback --email ID --label` looks after them too)",
    )
    .argument("<key>", "its key, as list prints it")
    .addOption(user())
    .addOption(label())
    .addOption(json())
    .action(async (key: unknown, options: Record<string, unknown>) => {
      const { relabelExample } = await import("./memory-examples.ts");
      process.exitCode = await relabelExample({ ...options, key });
    });

  examples
    .command("remove")
    .description("remove an example for good")
    .argument("<key>", "its key, as list prints it")
    .addOption(user())
    .addOption(json())
    .action(async (key: unknown, options: Record<string, unknown>) => {
      const { removeExample } = await import("./memory-examples.ts");
      process.exitCode = await removeExample({ ...options, key });
    });

  memory
    .command("stats")
    .description("count the examples and score how well each label follows from the others; calls no chat model")
    .addOption(user())
    .addOption(json())
    .addHelpText(
      "after",
      `
The score is leave-one-out: for each example, the other examples that triage would be shown vote for a label, each
by its likeness. An example that resembles no other gets no label and counts as wrong. The score says how much the
examples alone can tell, not how often triage is right, which also reads the prompts.`,
    )
    .action(async (options: unknown) => {
      const { showStats } = await import("./memory-stats.ts");
      process.exitCode = await showStats(options);
    });

  return examples;
}
