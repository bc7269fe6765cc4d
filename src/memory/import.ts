import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import type { Prompts } from "../prompts.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { userRoots } from "../store/namespaces.ts";
import type { JsonObject, KeptRow } from "../store/row-driver.ts";
import { EXPORT_VERSION, footerSchema, headerSchema, itemSchema, parseObject, unsealLine } from "./export-lines.ts";
import { hereWins, readGuidesLayout } from "./guides-layout.ts";
import { newestWins, problemOf, type TransferCounts, transferInto } from "./transfer.ts";

const PAGE = 200;
const READ_BYTES = 256 * 1024;
const SQLITE_MAGIC = "SQLite format 3\0";
const SNAPSHOT = "mnemail snapshot";
/** Longer ones cannot be one text in V8. */
const LINE_LIMIT_BYTES = 256 * 1024 * 1024;
const UNDAMAGED = "nothing was imported; take another copy of the file";
const CHANGED = "it changed while it was imported; import it again";

/** How an import goes on. `userId` takes the items of a file of one user for another. */
export interface ImportOptions {
  prompts: Prompts;
  userId?: string | undefined;
  force?: boolean;
  dryRun?: boolean;
  onProgress?: (items: number) => void;
}

/**
 * Imports a file that an export wrote, or one in the guides' layout (`guides-layout.ts`). The whole file is checked
 * before anything is written; importing it again changes nothing.
 *
 * @throws MnemailError("input") for a file that is damaged, cut, newer or not understood, with the line;
 * MnemailError("store"), or what the embeddings throw.
 */
export async function importFile(store: MnemailStore, path: string, options: ImportOptions): Promise<TransferCounts> {
  const file = await openFile(path);
  try {
    const { userId, prompts, force = false, dryRun = false, onProgress = () => {} } = options;
    const progress = { dryRun, onProgress };
    if (await isExport(path, file)) {
      const read = (hint: string) => readExport(path, file, userId, hint);
      for await (const _ of read(UNDAMAGED));
      return await transferInto(store, read(CHANGED), { decide: newestWins(force), ...progress });
    }
    const rows = await readGuides(path, file, userId);
    const pages = (async function* () {
      yield rows;
    })();
    return await transferInto(store, pages, { decide: hereWins(force, prompts), ...progress });
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path).catch((error: unknown) => {
    throw new MnemailError("input", `${path}: cannot be read`, "name a file that export wrote", { cause: error });
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new MnemailError("input", `${path}: is not a regular file`, "it is read twice; save it to a file first");
}

/** Whether the first line is that of an export; a whole JSON document on it is in another layout. */
async function isExport(path: string, file: FileHandle): Promise<boolean> {
  const { buffer } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
  if (buffer.toString("latin1") === SQLITE_MAGIC) {
    throw new MnemailError(
      "input",
      `${path}: is a SQLite database, not an export`,
      "put it in the place of the store's file, or `mnemail memory copy` from it",
    );
  }
  for await (const { text } of linesOf(path, file)) {
    const first = parseObject(text) ?? {};
    if (first["format"] !== SNAPSHOT) return Object.hasOwn(first, "mnemail_export");
    const hint = `put it in the place of the store's file, or \`mnemail memory copy --from 'memory:?snapshot=${path}'\``;
    throw new MnemailError("input", `${path}: is a snapshot, not an export`, hint);
  }
  throw new MnemailError("input", `${path}: is empty`, UNDAMAGED);
}

async function readGuides(path: string, file: FileHandle, userId: string | undefined): Promise<KeptRow[]> {
  const lines: string[] = [];
  for await (const { text } of linesOf(path, file)) lines.push(text);
  const json = parseObject(lines.join("\n").replace(/^\uFEFF/, ""));
  if (!json) {
    throw new MnemailError(
      "input",
      `${path}: line 1: is neither that of an export nor the beginning of { "procedural", "semantic", "episodic" }`,
      UNDAMAGED,
    );
  }
  const { users, rows } = readGuidesLayout(path, json, { now: new Date(), userId });
  if (userId !== undefined) refuseManyUsers(path, users.size);
  return rows;
}

/** The items of an export in pages, each line checked; throws at the end when lines are missing. */
async function* readExport(
  path: string,
  file: FileHandle,
  userId: string | undefined,
  hint: string,
): AsyncGenerator<KeptRow[]> {
  const all = createHash("sha256");
  let page: KeptRow[] = [];
  let items = 0;
  let header: z.infer<typeof headerSchema> | undefined;
  let end: number | undefined;
  let last = 0;
  for await (const { number, text, isWhole } of linesOf(path, file)) {
    last = number;
    const refuse = (what: string): never => {
      throw new MnemailError("input", `${path}: line ${number}: ${what}`, hint);
    };
    if (end !== undefined) refuse("stands after the end of the export");
    if (!isWhole) refuse("is cut off");
    if (number === 1) refuseNewer(path, text);
    const fields = unsealLine(text) ?? refuse("is damaged: its checksum does not match");
    if (!header) {
      header = parse(headerSchema, fields, refuse);
      if (userId !== undefined && header.user === undefined) refuseManyUsers(path, Number.POSITIVE_INFINITY);
    } else if (Object.hasOwn(fields, "sha256_of_all")) {
      const footer = parse(footerSchema, fields, refuse);
      if (footer.items !== items || footer.sha256_of_all !== all.digest("hex")) {
        refuse("the lines before it are not those that were written");
      }
      end = number;
    } else {
      const row = toRow(parse(itemSchema, fields, refuse), userId ?? header.user) ?? refuse("belongs to no user");
      const problem = problemOf(row);
      if (problem !== undefined) refuse(problem);
      page.push(row);
      items += 1;
    }
    if (end === undefined) all.update(`${text}\n`);
    if (page.length === PAGE) {
      yield page;
      page = [];
    }
  }
  if (end === undefined) {
    throw new MnemailError(
      "input",
      `${path}: line ${last + 1}: is missing; the file is cut off after ${items} items`,
      hint,
    );
  }
  if (page.length > 0) yield page;
}

function refuseNewer(path: string, text: string): void {
  const version = z.int().safeParse(parseObject(text)?.["mnemail_export"]);
  if (!version.success || version.data <= EXPORT_VERSION) return;
  throw new MnemailError(
    "input",
    `${path}: line 1: the export is of version ${version.data}, and this Mnemail reads up to ${EXPORT_VERSION}`,
    "update Mnemail; nothing was imported",
  );
}

function refuseManyUsers(path: string, users: number): void {
  if (users <= 1) return;
  throw new MnemailError(
    "usage",
    `${path}: holds the memories of many users, and --user takes those of one`,
    "import it without --user",
  );
}

function toRow(item: z.infer<typeof itemSchema>, userId: string | undefined): KeptRow | undefined {
  const roots = userId === undefined ? undefined : userRoots(userId);
  if ((roots === undefined) !== (item.root === undefined)) return undefined;
  const root = roots && item.root ? roots[item.root] : [];
  const { key, value, created_at, updated_at, expires_at, ttl_minutes, fields } = item;
  return {
    ...{ namespace: [...root, ...item.namespace], key, value, fields },
    ...{ createdAt: created_at, updatedAt: updated_at, expiresAt: expires_at, ttlMinutes: ttl_minutes },
  };
}

function parse<T>(schema: z.ZodType<T>, fields: JsonObject, refuse: (what: string) => never): T {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return refuse(`${issue?.path.join(".") || "line"}: ${issue?.message}`);
}

/** The lines of a file, each without its line feed; the last is not whole where none ends it. */
async function* linesOf(
  path: string,
  file: FileHandle,
): AsyncGenerator<{ number: number; text: string; isWhole: boolean }> {
  // Not node:readline, which also splits at U+2028, a character that JSON text may hold.
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let parts: Buffer[] = [];
  let number = 0;
  const line = (isWhole: boolean) => {
    number += 1;
    const bytes = Buffer.concat(parts);
    parts = [];
    try {
      return { number, text: decoder.decode(bytes), isWhole };
    } catch (error) {
      throw new MnemailError("input", `${path}: line ${number}: is not UTF-8 text`, UNDAMAGED, { cause: error });
    }
  };
  let size = 0;
  for (let position = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    let from = 0;
    for (let at = buffer.indexOf(10); at >= 0 && at < bytesRead; at = buffer.indexOf(10, from)) {
      parts.push(buffer.subarray(from, at));
      from = at + 1;
      size = 0;
      yield line(true);
    }
    if (from < bytesRead) parts.push(buffer.subarray(from, bytesRead));
    size += bytesRead - from;
    if (size > LINE_LIMIT_BYTES) {
      throw new MnemailError("input", `${path}: line ${number + 1}: is longer than any that export writes`, UNDAMAGED);
    }
  }
  if (parts.length > 0) yield line(false);
}
