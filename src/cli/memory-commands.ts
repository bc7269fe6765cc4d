import { type Command, Option } from "commander";
import { addPendingCommands } from "./episodic-commands.ts";
import { addExampleCommands } from "./example-commands.ts";
import { addVersionCommands } from "./feedback-commands.ts";

// Each command imports its own work when it runs, so that `--help` loads no LangChain module.

/** Adds `mnemail memory` and its commands; `user` and `json` make the options that other commands have too. */
export function addMemoryCommands(
  program: Command,
  { user, json }: { user: () => Option; json: () => Option },
): Command {
  const memory = program
    .command("memory")
    .description("look at what the assistant remembers, move it and keep it safe");
  const force = (what: string) => new Option("--force", what);

  memory
    .command("show")
    .description("print the procedural, semantic and episodic memory of a user")
    .addOption(user())
    .addOption(json())
    .action(async (options: unknown) => {
      const { showMemory } = await import("./memory.ts");
      process.exitCode = await showMemory(options);
    });

  memory
    .command("export")
    .description("write everything that is kept about a user to a file, as JSON lines with checksums")
    .argument("<file>", "the file to write, readable by you alone; - prints to stdout")
    .addOption(user())
    .addOption(force("replace the file if it is there"))
    .addOption(json())
    .addHelpText("after", "\nEqual memories give equal files. Vectors are not in it; they are made again on import.")
    .action(async (file: unknown, options: Record<string, unknown>) => {
      const { exportMemory } = await import("./memory-files.ts");
      process.exitCode = await exportMemory({ ...options, file });
    });

  memory
    .command("import")
    .description("bring the items of a file into the store, ids and times kept")
    .argument("<file>", "what export wrote, or backup as an export, or JSON in the layout of LangGraph's guides")
    .option("--user <id>", "take the items of a file of one user for this user instead")
    .addOption(
      force("take the file's items also where the store's are newer; a prompt it replaces loses its learnt rules"),
    )
    .option("--dry-run", "say what would happen and write nothing")
    .addOption(json())
    .addHelpText(
      "after",
      `
The file is checked whole before anything is written. It can be interrupted and run again: what is
there already is left unchanged. Where both have an item, the one updated last stays.

The layout of the guides:
  { "procedural": { "USER/triage_ignore": { "prompt": TEXT } },
    "semantic": { "USER/ID": { "email": { "author", "to", "subject", "email_thread" }, "label": LABEL } },
    "episodic": { "USER/ID": { "content": TEXT } } }
USER/examples/ID, email_assistant/USER/examples/ID and nested objects are read too. Such a file counts as the
user's own word: its memories become facts you stated. It holds no times, so what is in the store stays,
except default prompts that never changed.`,
    )
    .action(async (file: unknown, options: Record<string, unknown>) => {
      const { importMemory } = await import("./memory-files.ts");
      process.exitCode = await importMemory({ ...options, file });
    });

  memory
    .command("copy")
    .description("copy all users, or one, from one store to another, ids and times kept")
    .requiredOption("--from <url>", "the store to read, such as sqlite:.mnemail/memory.db")
    .requiredOption("--to <url>", "the store to write, such as postgres://USER:PASSWORD@HOST/DATABASE")
    .option("--to-vectors <url>", "the vector database of --to, such as qdrant://127.0.0.1:6333/memory")
    .option("--user <id>", "copy this user only")
    .addOption(json())
    .addHelpText(
      "after",
      `
Stores: memory:?snapshot=FILE, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE, file:DIR, redis://HOST/DATABASE,
s3://BUCKET/PREFIX (docs/operations.md). STORE_URL and VECTOR_URL are not looked at; keys are, such as AWS_ACCESS_KEY_ID.

It can be interrupted and run again: what is there already is left unchanged, and what is newer in the
target stays. Vectors are not copied but made by the configured EMBEDDING_MODEL.`,
    )
    .action(async (options: unknown) => {
      const { copyStore } = await import("./memory-copy.ts");
      process.exitCode = await copyStore(options);
    });

  memory
    .command("backup")
    .description("write the whole store to a file while it is used")
    .argument("<file>", "the file to write, readable by you alone")
    .addOption(force("replace the file if it is there"))
    .addOption(json())
    .addHelpText(
      "after",
      `
Of a SQLite store this is a SQLite database, of memory: with a snapshot a snapshot: to restore, stop the programs that
use the store and put it in the place of its file. Of any other store it is an export of all users, which
\`mnemail memory import\` reads.`,
    )
    .action(async (file: unknown, options: Record<string, unknown>) => {
      const { backupMemory } = await import("./memory-files.ts");
      process.exitCode = await backupMemory({ ...options, file });
    });

  memory
    .command("drop")
    .description("remove everything that is kept about a user, for good")
    .addOption(user())
    .option("--yes", "do not ask; needed where there is no terminal")
    .addOption(json())
    .action(async (options: unknown) => {
      const { dropUser } = await import("./memory-keep.ts");
      process.exitCode = await dropUser(options);
    });

  memory
    .command("forget")
    .description("remove a contact, an email or a memory with all that was learnt from it, for good")
    .addOption(user())
    .addOption(
      new Option("--contact <address>", "the person of this address, and all their emails").conflicts([
        ...["email", "memory"],
      ]),
    )
    .addOption(new Option("--email <id>", "the email of this id").conflicts("memory"))
    .option("--memory <id>", "the memory of this id")
    .option("--dry-run", "say what would go, and why, and remove nothing")
    .option("--yes", "do not ask; needed where there is no terminal")
    .addOption(json())
    .addHelpText(
      "after",
      `
What was made from it goes too: examples, rules, facts, versions' text, threads; where other items name it, they say
(forgotten). On SQLite the freed pages are overwritten before the command returns.

Examples:
  mnemail memory forget --user alice@example.com --contact ada@work.example --dry-run
  mnemail memory forget --user alice@example.com --email 1@work.example --yes`,
    )
    .action(async (options: unknown) => {
      const { forgetMemory } = await import("./forget.ts");
      process.exitCode = await forgetMemory(options);
    });

  memory
    .command("sweep")
    .description("remove items past their time, which are hidden already")
    .addOption(json())
    .action(async (options: unknown) => {
      const { sweepStore } = await import("./memory-keep.ts");
      process.exitCode = await sweepStore(options);
    });

  memory
    .command("reindex")
    .description("make the vectors that are missing or of another embedding model; the store can be used meanwhile")
    .addOption(json())
    .action(async (options: unknown) => {
      const { reindexStore } = await import("./memory-keep.ts");
      process.exitCode = await reindexStore(options);
    });

  memory
    .command("doctor")
    .description("say what is in force, what is wrong with the store and what to do; exit code 1 when anything is")
    .option("--self-test", "also write, read back and remove memories of a user made up for it")
    .addOption(json())
    .action(async (options: unknown) => {
      const { doctor } = await import("./doctor.ts");
      process.exitCode = await doctor(options);
    });

  addVersionCommands(memory, { user, json });
  addExampleCommands(memory, { user, json });
  addPendingCommands(memory, { user, json });

  return memory;
}
