import { createHash } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { errorCode, writeProblem } from "../files/exclusive-file.ts";
import { rowKey } from "./key-value/keys.ts";
import { parseRowText, rowText, vectorsOf } from "./key-value/row-text.ts";
import type { MemoryContents, MemoryRow } from "./memory-driver.ts";

const FORMAT = "mnemail snapshot";
const VERSION = 1;
/** How much text is made or read at once, in bytes: some milliseconds of work. */
const PIECE = 256 * 1024;
const NEWLINE = 10;

const RESTORE = "it is left as it is; move it away to begin anew, or restore a copy";

const formatSchema = z.object({ format: z.literal(FORMAT), version: z.int().positive() });
const headerSchema = formatSchema.extend({
  /** The space of the vectors; null when there are none. */
  space: z.object({ model: z.string(), dimensions: z.int().positive() }).nullable(),
  rows: z.int().nonnegative(),
});
const endSchema = z.object({ sha256: z.string() });
const addressSchema = z.object({ namespace: z.array(z.string()), key: z.string() });

/**
 * A snapshot, piece by piece: one JSON for each line. The first tells the format and its version, the space of the vectors
 * and how many rows there are; then come the rows, as `rowText` writes them; the last has the SHA-256 of all before it.
 */
export function* snapshotPieces({ space, rows }: MemoryContents): Generator<Buffer> {
  const hash = createHash("sha256");
  const header: z.infer<typeof headerSchema> = {
    ...{ format: FORMAT, version: VERSION },
    ...{ space: space ?? null, rows: rows.length },
  };
  let text = `${JSON.stringify(header)}\n`;
  for (const row of rows) {
    if (text.length >= PIECE) {
      const piece = Buffer.from(text);
      hash.update(piece);
      yield piece;
      text = "";
    }
    const { namespace, key, json, vectors } = row;
    text += `${rowText({ namespace, key, value: JSON.parse(json) }, row, vectors, space)}\n`;
  }
  hash.update(text);
  yield Buffer.from(`${text}${JSON.stringify({ sha256: hash.digest("hex") })}\n`);
}

/**
 * What is in a snapshot; undefined where there is no such file.
 *
 * @throws MnemailError("store") in one line for a file that cannot be read, is no snapshot, or is not whole.
 */
export async function readSnapshot(path: string): Promise<MemoryContents | undefined> {
  let file: FileHandle | undefined;
  try {
    // First, since a pipe would be waited for.
    const found = await stat(path);
    if (found.isDirectory()) throw refusal(path, "is a folder", "name a file");
    if (!found.isFile()) throw refusal(path, "is not a file", "name a file");
    file = await open(path, "r");
    return await parse(path, file);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw snapshotError(path, "read", error);
  } finally {
    await file?.close();
  }
}

async function parse(path: string, file: FileHandle): Promise<MemoryContents> {
  const hash = createHash("sha256");
  const rows: MemoryRow[] = [];
  let unreadable = 0;
  let header: z.infer<typeof headerSchema> | undefined;
  /** The line before, of which it is not known yet whether it is the last. */
  let last: Buffer | undefined;
  for await (const line of linesOf(file)) {
    if (!header) {
      header = parseHeader(path, line);
      hash.update(line);
      continue;
    }
    if (last) {
      hash.update(last);
      const row = parseRow(last, header.space ?? undefined);
      if (row) rows.push(row);
      else unreadable += 1;
    }
    last = line;
  }
  if (!header) throw refusal(path, "is empty");
  const end = endSchema.safeParse(tryJson(last));
  const seen = `has ${rows.length} of ${header.rows} items, and not its last line`;
  if (!end.success || last?.at(-1) !== NEWLINE) throw refusal(path, `is cut short: it ${seen}`);
  if (hash.digest("hex") !== end.data.sha256) {
    throw refusal(path, "is damaged, or was changed by another program: its checksum is another");
  }
  if (unreadable > 0 || rows.length !== header.rows) {
    throw refusal(path, `holds ${unreadable} items that cannot be read, and ${rows.length} of ${header.rows} that can`);
  }
  return { space: header.space ?? undefined, rows };
}

function parseHeader(path: string, line: Buffer): z.infer<typeof headerSchema> {
  const json = tryJson(line);
  const format = formatSchema.safeParse(json);
  if (!format.success) throw refusal(path, "is not a snapshot of Mnemail's memory");
  const { version } = format.data;
  if (version > VERSION) {
    const what = `is a snapshot of version ${version}, and this Mnemail knows up to ${VERSION}`;
    throw refusal(path, what, "update Mnemail; nothing was changed");
  }
  const header = headerSchema.safeParse(json);
  if (!header.success) throw refusal(path, "is damaged: its first line cannot be read");
  return header.data;
}

function parseRow(line: Buffer, space: MemoryContents["space"]): MemoryRow | undefined {
  const text = line.toString("utf8");
  const address = addressSchema.safeParse(tryJson(line));
  const row = address.success ? parseRowText(rowKey(address.data), text) : undefined;
  if (!row) return undefined;
  const { namespace, key, value, createdAt, updatedAt, expiresAt, ttlMinutes, fields, vectors } = row;
  const vectorOf = (field: string) => {
    const [embedding] = space ? vectorsOf({ ...row, vectors: { [field]: vectors[field] ?? null } }, space) : [];
    return { field, embedding: embedding ?? null };
  };
  return {
    ...{ namespace, key, json: JSON.stringify(value), createdAt, updatedAt, expiresAt, ttlMinutes },
    vectors: fields.map(vectorOf),
  };
}

/** The lines of a file with their ends. The first is cut where it is longer than any that a snapshot begins with. */
async function* linesOf(file: FileHandle): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  let isFirst = true;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE), 0, PIECE, null);
    let from = 0;
    for (;;) {
      const end = buffer.subarray(0, bytesRead).indexOf(NEWLINE, from);
      if (end < 0) break;
      yield Buffer.concat([...begun, buffer.subarray(from, end + 1)]);
      begun = [];
      isFirst = false;
      from = end + 1;
    }
    if (from < bytesRead) begun.push(buffer.subarray(from, bytesRead));
    if (bytesRead === 0 || (isFirst && begun.length > 0)) break;
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}

function tryJson(line: Buffer | undefined): unknown {
  try {
    return JSON.parse(line?.toString("utf8") ?? "");
  } catch {
    return undefined;
  }
}

function refusal(path: string, problem: string, hint = RESTORE): MnemailError {
  return new MnemailError("store", `${path}: ${problem}`, hint);
}

/** One line for what went wrong with the file of a snapshot; `what` it could not be: "read", "saved". */
export function snapshotError(path: string, what: string, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const code = errorCode(error);
  const hint = ["ENOSPC", "EDQUOT"].includes(code)
    ? "make room; what was saved before is whole"
    : "check the file, its folder and who may use them, or name another file";
  const reason = what === "read" && /^E(ACCES|PERM)$/.test(code) ? "it may not be read" : writeProblem(error);
  return new MnemailError("store", `${path}: cannot be ${what}: ${reason}`, hint, { cause: error });
}
