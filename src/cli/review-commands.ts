import { type Command, Option } from "commander";

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

interface SharedOptions {
  user: () => Option;
  json: () => Option;
}

const server = () =>
  new Option("--server <url>", "threads of a running LangGraph server, such as http://localhost:2024");
const token = () => new Option("--token <token>", "what the server knows you by (default: MNEMAIL_TOKEN)");
const noLearn = () => new Option("--no-learn", "learn nothing from this answer");
const dryRun = () => new Option("--dry-run", "print what would be done and learnt, and change nothing");

/** Adds `mnemail review …`; `user` and `json` make the options that other commands have too. */
export function addReviewCommands(program: Command, { user, json }: SharedOptions): void {
  const review = program
    .command("review")
    .description("drafts, meetings, questions and notifications that wait for your word; alone, goes through them")
    .addHelpText(
      "after",
      `
Nothing is sent and no calendar is changed before you approve exactly that. An id may be shortened to what tells it
from the others; the id of an email does too, where one thing waits for it. Without a command, goes through what waits
one by one; where there is no terminal, prints the list.

Examples:
  mnemail review --user alice@example.com
  mnemail review approve --user alice@example.com 3f9a12c4
  mnemail review reject --user alice@example.com 3f9a12c4 --reason "Keep replies to three sentences."
  mnemail review edit --user alice@example.com 3f9a12c4
  mnemail review respond --user alice@example.com 3f9a12c4 "Say that Thursday suits me."`,
    );

  const add = (name: string, description: string, options: { isDefault?: boolean } = {}) =>
    review
      .command(name, options)
      .description(description)
      .addOption(user())
      .addOption(server())
      .addOption(token())
      .addOption(json());

  add("walk", "go through what waits one by one, and print what each answer did (the default)", {
    isDefault: true,
  }).action(async (options: unknown) => {
    const { walkReviews } = await import("./review.ts");
    process.exitCode = await walkReviews(options);
  });

  add("list", "print what waits, newest first: id, age, what it is, whose email it answers").action(
    async (options: unknown) => {
      const { listReviews } = await import("./review.ts");
      process.exitCode = await listReviews(options);
    },
  );

  add("show", "print the email, exactly what would be done, and what each answer would teach")
    .argument("<id>", "its id, as list prints it")
    .action(async (id: unknown, options: Record<string, unknown>) => {
      const { showReview } = await import("./review.ts");
      process.exitCode = await showReview({ ...options, id });
    });

  add("approve", "do exactly what waits: write the email, enter the meeting; a notification counts as seen")
    .argument("<ids...>", "ids as list prints them")
    .addOption(noLearn())
    .addOption(dryRun())
    .action(async (ids: unknown, options: Record<string, unknown>) => {
      const { approveReviews } = await import("./review-decide.ts");
      process.exitCode = await approveReviews({ ...options, ids });
    });

  add("reject", "do it not, and be done with the email; of a notification: it should not have been shown")
    .argument("<ids...>", "ids as list prints them")
    .option("--reason <text>", "why, in your own words; it teaches")
    .addOption(noLearn())
    .addOption(dryRun())
    .action(async (ids: unknown, options: Record<string, unknown>) => {
      const { rejectReviews } = await import("./review-decide.ts");
      process.exitCode = await rejectReviews({ ...options, ids });
    });

  add("edit", "change an email or a meeting and approve it as it is then; opens your editor")
    .argument("<id>", "its id, as list prints it")
    .addOption(
      new Option("--file <path>", "what the editor would have been given, changed; - reads stdin").conflicts([
        ...["body", "subject", "title", "start", "duration", "attendee"],
      ]),
    )
    .option("--body <text>", "the text of the email")
    .option("--subject <text>", "its subject")
    .option("--title <text>", "the title of the meeting")
    .option("--start <time>", 'when it begins, such as "2026-03-09 10:00", in your time zone')
    .option("--duration <minutes>", "how long it takes, such as 45 or 1h30")
    .option("--attendee <address...>", "who takes part, in place of those before; may be given again")
    .addOption(noLearn())
    .addOption(dryRun())
    .addHelpText(
      "after",
      `
The editor is VISUAL, else EDITOR. What you typed is never lost: where it cannot be used, the file stays.

Examples:
  mnemail review edit --user alice@example.com 3f9a12c4
  mnemail review edit --user alice@example.com 3f9a12c4 --subject "Re: Plan" --no-learn
  mnemail review edit --user alice@example.com 8c01dd2e --start "2026-03-09 10:00" --duration 45`,
    )
    .action(async (id: unknown, options: Record<string, unknown>) => {
      const { editReview } = await import("./review-edit.ts");
      process.exitCode = await editReview({ ...options, id });
    });

  add("respond", "answer a question, or say what should be different: the assistant writes again")
    .alias("answer")
    .argument("<id>", "its id, as list prints it")
    .argument("<text>", "what you say, in your own words")
    .addOption(noLearn())
    .addOption(dryRun())
    .action(async (id: unknown, text: unknown, options: Record<string, unknown>) => {
      const { respondToReview } = await import("./review-decide.ts");
      process.exitCode = await respondToReview({ ...options, id, text });
    });

  add("resume", "finish what was cut off after an answer, such as by a power failure").action(
    async (options: unknown) => {
      const { resumeReviews } = await import("./review.ts");
      process.exitCode = await resumeReviews(options);
    },
  );
}
