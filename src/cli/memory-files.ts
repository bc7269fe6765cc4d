import { createWriteStream, existsSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { type ExportOptions, exportLines } from "../memory/export.ts";
import { importFile } from "../memory/import.ts";
import { loadPrompts } from "../prompts.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { hasThreads } from "../store/open-checkpointer.ts";
import { openStore } from "../store/open-store.ts";
import { describeStore, localPathOf } from "../store-config/describe-store.ts";
import { writeNewFile } from "./new-file.ts";
import { note, printJson } from "./output.ts";
import { plural, showProgress } from "./progress.ts";
import { openIndexedStore, openPlainStore } from "./stores.ts";
import { noteWaitingFields, renderCounts } from "./transfer-counts.ts";

const exportSchema = z.object({
  user: z.string(),
  file: z.string(),
  force: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail memory export`: writes what is kept about one user to a file. Returns the exit code. */
export async function exportMemory(rawOptions: unknown): Promise<number> {
  const { user, file, force, json } = exportSchema.parse(rawOptions);
  encodeUserId(user);
  if (file === "-" && json)
    throw new MnemailError("usage", "--json: with - the export itself is printed; leave it out");
  const config = loadConfig();
  await using store = await openPlainStore(config);
  const tally = watch("exported");
  const lines = () => Readable.from(exportLines(store, user, tally.options));
  if (file === "-") await pipeline(lines(), process.stdout, { end: false });
  else await writeNewFile(file, { force, store: config.store }, (path) => pipeline(lines(), fileStream(path)));
  const { items, left_out } = tally;
  if (json) printJson({ user, file, items, left_out });
  else if (file === "-") note(`${plural(items, "item")} of ${user}`);
  else console.log(`${file}: ${plural(items, "item")} of ${user}`);
  return left_out > 0 ? 1 : 0;
}

const backupSchema = z.object({
  file: z.string(),
  force: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail memory backup`: writes the whole store to a file while it is used. Returns the exit code. */
export async function backupMemory(rawOptions: unknown): Promise<number> {
  const { file, force, json } = backupSchema.parse(rawOptions);
  const config = loadConfig();
  await using store = await openPlainStore(config);
  const tally = watch("backed up");
  const { backup } = store;
  await writeNewFile(file, { force, store: config.store }, async (path) => {
    if (backup) await backup(path);
    else await pipeline(Readable.from(exportLines(store, undefined, tally.options)), fileStream(path));
  });
  const { items, left_out } = tally;
  const [format, what] =
    config.store.backend === "memory" ? ["snapshot", "a snapshot"] : ["sqlite", "a SQLite database"];
  if (json) printJson(backup ? { file, format } : { file, format: "jsonl", items, left_out });
  else if (backup) console.log(`${file}: ${what}; to restore, put it in the place of the store's file`);
  else console.log(`${file}: ${plural(items, "item")} of all users; to restore: mnemail memory import ${file}`);
  if (await hasThreads(config.store, note)) {
    note("threads, with what waits for an answer, are kept beside memory and are not in it (docs/operations.md)");
  }
  return left_out > 0 ? 1 : 0;
}

const importSchema = z.object({
  file: z.string(),
  user: z.string().optional(),
  force: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail memory import`: brings the items of a file into the store. Returns the exit code. */
export async function importMemory(rawOptions: unknown): Promise<number> {
  const { file, user, force, dryRun, json } = importSchema.parse(rawOptions);
  if (user !== undefined) encodeUserId(user);
  const config = loadConfig();
  const prompts = loadPrompts();
  const options = { prompts, userId: user, force, dryRun, onProgress: showProgress("imported") };
  await using opened = dryRun ? await openForDryRun(config) : await openIndexedStore(config);
  note(describeStore(config.store));
  const counts = await importFile(opened.store, file, options);
  if (json) printJson({ file, dry_run: dryRun, ...counts });
  else console.log(`${file}: ${renderCounts(counts, dryRun)}`);
  if (counts.kept > 0) note(`${plural(counts.kept, "item")} of the store stayed; --force takes the file's`);
  if (!dryRun) noteWaitingFields(counts, opened.embeddingModel);
  return 0;
}

/** A store that is not there yet is not made by a dry run. */
async function openForDryRun(config: Config) {
  const { store } = config;
  const path = localPathOf(store);
  const isAbsent = path !== undefined && !existsSync(path);
  const opened = await openStore(isAbsent ? { backend: "memory" } : store, { warn: note });
  return { store: opened, embeddingModel: undefined, [Symbol.asyncDispose]: () => opened.stop() };
}

function fileStream(path: string) {
  return createWriteStream(path, { flags: "wx", mode: 0o600 });
}

/** Counts what an export writes and leaves out. */
function watch(what: string): { items: number; left_out: number; options: ExportOptions } {
  const progress = showProgress(what);
  const tally = {
    items: 0,
    left_out: 0,
    options: {
      onProgress: (items: number) => {
        tally.items = items;
        progress(items);
      },
      warn: (line: string) => {
        tally.left_out += 1;
        note(line);
      },
    },
  };
  return tally;
}
