import { type Command, Option } from "commander";
import { LABELS } from "../memory/records.ts";

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

interface SharedOptions {
  user: () => Option;
  json: () => Option;
}

/** Adds `mnemail feedback` and `mnemail why`; `user` and `json` make the options that other commands have too. */
export function addFeedbackCommands(program: Command, { user, json }: SharedOptions): void {
  program
    .command("feedback")
    .description(
      "tell the assistant what to do differently; prints a receipt of what changed, why, and how it was tested",
    )
    .addOption(user())
    .argument("[text]", "what you want, in your own words")
    .option("--email <id>", "the email it is about, by the id that run prints")
    .addOption(
      new Option("--label <label>", "the right label of that email")
        .choices(LABELS)
        .conflicts(["draft", "reject", "fine", "retry"]),
    )
    .addOption(
      new Option("--draft <file>", "your version of that email's draft; - reads stdin").conflicts([
        "reject",
        "fine",
        "retry",
      ]),
    )
    .addOption(new Option("--reject <text>", "why that email's draft is no good").conflicts(["fine", "retry"]))
    .addOption(new Option("--fine", "what was done with that email was right").conflicts("retry"))
    .option("--key <key>", "an idempotency key: said again under the same key, it is learnt once")
    .option("--dry-run", "propose and test, and write nothing")
    .addOption(
      new Option("--retry", "learn from the feedback that waits because a model or store failed").conflicts([
        "email",
        "key",
        "dryRun",
      ]),
    )
    .addOption(
      new Option("--discard <key>", "give up a feedback that waits, by the key that --retry prints").conflicts([
        "email",
        "key",
        "dryRun",
        "retry",
      ]),
    )
    .addOption(json())
    .addHelpText(
      "after",
      `
A change of what is ignored, notified or answered is tried on the emails whose label you gave, before it goes
live. One that breaks more of them than it mends is kept as proposed: \`mnemail memory proposed\` shows it.

Examples:
  mnemail feedback --user alice@example.com "Always sign my emails with Alice."
  mnemail feedback --user alice@example.com --email ID --label ignore
  mnemail feedback --user alice@example.com --email ID --draft better.txt
  mnemail feedback --user alice@example.com --email ID --reject "Too long, and we are on first-name terms."`,
    )
    .action(async (text: unknown, options: Record<string, unknown>) => {
      const { feedback } = await import("./feedback.ts");
      process.exitCode = await feedback({ ...options, text });
    });

  program
    .command("why")
    .description("print what went into the decision about an email: prompt versions, rules, examples and memories")
    .addOption(user())
    .argument("<email-id>", "the id that run prints")
    .addOption(json())
    .action(async (email: unknown, options: Record<string, unknown>) => {
      const { why } = await import("./why.ts");
      process.exitCode = await why({ ...options, email });
    });
}

/** Adds the commands of `mnemail memory` that look at versions and proposals, take back and decide. */
export function addVersionCommands(memory: Command, { user, json }: SharedOptions): void {
  const prompt = "triage_ignore, triage_notify, triage_respond or agent_instructions";

  memory
    .command("history")
    .description("print the versions of a prompt, newest first")
    .addOption(user())
    .argument("<prompt>", prompt)
    .addOption(json())
    .action(async (name: unknown, options: Record<string, unknown>) => {
      const { showHistory } = await import("./versions.ts");
      process.exitCode = await showHistory({ ...options, prompt: name });
    });

  memory
    .command("diff")
    .description("print what changed between two versions of a prompt; by default the live one and its parent")
    .addOption(user())
    .argument("<prompt>", prompt)
    .argument("[a]", "a version; alone, it is compared with the live one")
    .argument("[b]", "another version")
    .addOption(json())
    .action(async (name: unknown, a: unknown, b: unknown, options: Record<string, unknown>) => {
      const { showDiff } = await import("./versions.ts");
      process.exitCode = await showDiff({ ...options, prompt: name, a, b });
    });

  memory
    .command("blame")
    .description("print for each rule of a prompt which version and feedback it came with")
    .addOption(user())
    .argument("<prompt>", prompt)
    .addOption(json())
    .action(async (name: unknown, options: Record<string, unknown>) => {
      const { showBlame } = await import("./versions.ts");
      process.exitCode = await showBlame({ ...options, prompt: name });
    });

  memory
    .command("rollback")
    .description(
      "make an older version of a prompt live again, as a new version; by default the one before the last change",
    )
    .addOption(user())
    .argument("<prompt>", prompt)
    .argument("[version]", "the version to go back to; 0 is the default prompt")
    .addOption(json())
    .addHelpText(
      "after",
      "\nRun again, it goes back one change more. Nothing is lost: to go forward, name a newer version.",
    )
    .action(async (name: unknown, version: unknown, options: Record<string, unknown>) => {
      const { rollback } = await import("./versions.ts");
      process.exitCode = await rollback({ ...options, prompt: name, version });
    });

  memory
    .command("proposed")
    .description("print the changes that did not pass their test, and which emails they would change")
    .addOption(user())
    .argument("[number]", "one of them")
    .addOption(json())
    .action(async (number: unknown, options: Record<string, unknown>) => {
      const { showProposed } = await import("./proposed.ts");
      process.exitCode = await showProposed({ ...options, number });
    });

  for (const [command, verdict, description] of [
    ["accept", "accepted", "make a proposed change live, although its test did not pass"],
    ["reject", "rejected", "drop a proposed change"],
  ] as const) {
    memory
      .command(command)
      .description(description)
      .addOption(user())
      .argument("[number]", "its number; needed where several wait")
      .addOption(json())
      .action(async (number: unknown, options: Record<string, unknown>) => {
        const { decideProposed } = await import("./proposed.ts");
        process.exitCode = await decideProposed({ ...options, number, verdict });
      });
  }
}
