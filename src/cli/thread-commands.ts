import { type Command, Option } from "commander";

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

interface SharedOptions {
  user: () => Option;
  json: () => Option;
}

/** Adds `mnemail threads …` and `mnemail profile …`; `user` and `json` make the options that other commands have too. */
export function addThreadCommands(program: Command, { user, json }: SharedOptions): void {
  const threads = program
    .command("threads")
    .description("the threads of a user, which are short-term memory: list, show, delete");
  const recent = (what: string) => new Option("--recent <number>", what).conflicts("all");

  threads
    .command("list")
    .description("print status, label, time, email and id of each thread, newest first")
    .addOption(user())
    .addOption(recent("how many of the newest (default: 20)"))
    .option("--all", "all of them")
    .addOption(json())
    .action(async (options: unknown) => {
      const { showThreads } = await import("./threads.ts");
      process.exitCode = await showThreads(options);
    });

  threads
    .command("show")
    .description("print the emails of a thread, what was made of them, and its temporary data")
    .addOption(user())
    .argument("<thread-id>", "its id, as list prints it")
    .addOption(json())
    .action(async (thread: unknown, options: Record<string, unknown>) => {
      const { showThread } = await import("./threads.ts");
      process.exitCode = await showThread({ ...options, thread });
    });

  threads
    .command("delete")
    .description("remove threads with their temporary data for good; asks first")
    .addOption(user())
    .argument("[thread-ids...]", "their ids, as list prints them")
    .addOption(recent("the newest so many"))
    .option("--all", "all threads of the user")
    .option("--dry-run", "print what would be removed and remove nothing")
    .option("--yes", "do not ask")
    .addOption(json())
    .addHelpText(
      "after",
      `
What was learnt from the emails of a thread, and the decisions about them, are long-term memory and stay.

Examples:
  mnemail threads delete --user alice@example.com THREAD_ID
  mnemail threads delete --user alice@example.com --all --yes`,
    )
    .action(async (ids: unknown, options: Record<string, unknown>) => {
      const { deleteThreads } = await import("./threads.ts");
      process.exitCode = await deleteThreads({ ...options, threads: ids });
    });

  const profile = program
    .command("profile")
    .description("what a user says of themselves, which every prompt shows: show, set");

  profile
    .command("show")
    .description("print the profile of a user")
    .addOption(user())
    .addOption(json())
    .action(async (options: unknown) => {
      const { showProfile } = await import("./profile.ts");
      process.exitCode = await showProfile(options);
    });

  profile
    .command("set")
    .description("change what is given of a profile, and print it")
    .addOption(user())
    .option("--name <text>", "the user's name")
    .option("--address <address...>", "an address of the user, in place of those before; may be given again")
    .option("--time-zone <zone>", "such as Europe/Oslo")
    .option("--hours <from-to>", "working hours, such as 08:00-16:00")
    .option("--days <days>", "working days, such as mon,tue,wed,thu,fri")
    .option("--signature <text>", "how the user signs; a few lines")
    .option("--about <text>", "what else drafts should be written with in mind")
    .addOption(
      new Option("--unset <option...>", "take away what was set; may be given again").choices([
        ...["name", "address", "time-zone", "hours", "days", "signature", "about"],
      ]),
    )
    .addOption(json())
    .addHelpText(
      "after",
      `
Examples:
  mnemail profile set --user alice@example.com --name "Alice Ek" --time-zone Europe/Oslo --hours 08:00-16:00
  mnemail profile set --user alice@example.com --unset signature`,
    )
    .action(async (options: unknown) => {
      const { setProfile } = await import("./profile.ts");
      process.exitCode = await setProfile(options);
    });
}
