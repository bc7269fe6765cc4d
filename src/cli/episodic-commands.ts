import { type Command, Option } from "commander";

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

interface SharedOptions {
  user: () => Option;
  json: () => Option;
}

/** Adds `mnemail remember`; `user` and `json` make the options that other commands have too. */
export function addEpisodicCommands(program: Command, { user, json }: SharedOptions): void {
  program
    .command("remember")
    .description("keep a fact about a person, a project or a conversation; what it contradicts no longer counts")
    .addOption(user())
    .argument("<text>", "the fact, in a sentence or two")
    .addOption(
      new Option("--person <address>", "recall it only for mail of this person").conflicts(["domain", "email"]),
    )
    .addOption(new Option("--domain <domain>", "recall it only for mail from this domain").conflicts("email"))
    .option("--email <id>", "recall it only for mail of that email's sender")
    .option("--thread", "with --email: recall it only in that email's conversation, for those who take part in it")
    .addOption(json())
    .addHelpText(
      "after",
      `
It is kept word for word, as yours, at once. Without an option it is recalled for any email it fits.

Examples:
  mnemail remember --user alice@example.com "The budget for 2027 is settled in March."
  mnemail remember --user alice@example.com "Ada prefers mornings." --person ada@work.example`,
    )
    .action(async (text: unknown, options: Record<string, unknown>) => {
      const { remember } = await import("./remember.ts");
      process.exitCode = await remember({ ...options, text });
    });
}

/** Adds `mnemail memory pending …`. */
export function addPendingCommands(memory: Command, { user, json }: SharedOptions): void {
  const pending = memory
    .command("pending")
    .description("what the assistant would remember of your mail, once you approve it: list, approve, reject");

  pending
    .command("list")
    .description("print what waits, from whose mail it is, and for which mail it would be recalled")
    .addOption(user())
    .addOption(json())
    .action(async (options: unknown) => {
      const { listPending } = await import("./pending.ts");
      process.exitCode = await listPending(options);
    });

  pending
    .command("approve")
    .description("let memories be recalled: exactly the text that their ids stand for")
    .argument("<ids...>", "ids as list prints them")
    .addOption(user())
    .addOption(
      new Option(
        "--scope <scope>",
        "recall it for the sender (as proposed), their domain, that conversation or all mail",
      ).choices(["person", "domain", "thread", "all"]),
    )
    .addOption(new Option("--contradicted <what>", "facts of yours that it contradicts").choices(["replace", "keep"]))
    .addOption(json())
    .addHelpText(
      "after",
      "\nAn id is a hash of text, scope and what it replaces. The memory stays marked as coming from mail.",
    )
    .action(async (ids: unknown, options: Record<string, unknown>) => {
      const { approvePending } = await import("./pending.ts");
      process.exitCode = await approvePending({ ...options, ids });
    });

  pending
    .command("reject")
    .description("drop memories; they are not proposed again")
    .argument("<ids...>", "ids as list prints them")
    .addOption(user())
    .addOption(json())
    .action(async (ids: unknown, options: Record<string, unknown>) => {
      const { rejectPending } = await import("./pending.ts");
      process.exitCode = await rejectPending({ ...options, ids });
    });
}
