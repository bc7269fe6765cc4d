import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import type { Split } from "./cases.ts";
import { readJsonFile } from "./read-lines.ts";

/** A case as far as the lock cares. */
export interface Lockable {
  id: string;
  split: Split;
  hash: string;
}

const FILE = "test.lock.json";
const lockSchema = z.strictObject({ cases: z.record(z.string(), z.string()) });
const HINT = "undo that; if it is meant, write a new lock with `mnemail eval lock` and say why in the commit";

/**
 * Checks the cases of the test split against the hashes of their lock, so that none is bent to a result unnoticed. (The
 * idea of a split that is locked by its content is inbox-zero's.)
 *
 * @throws MnemailError("input") that names what was changed, added or taken away.
 */
export async function checkLock(folder: string, cases: readonly Lockable[]): Promise<void> {
  const path = join(folder, FILE);
  const test = cases.filter(({ split }) => split === "test");
  if (!existsSync(path)) {
    if (test.length === 0) return;
    const hint = "write the lock with `mnemail eval lock` and keep it with the cases";
    throw new MnemailError("input", `${path}: missing, and there are ${test.length} cases of the test split`, hint);
  }
  const { cases: locked } = await readJsonFile(path, lockSchema);
  const found = new Map(test.map(({ id, hash }) => [id, hash]));
  const changes = [
    ["changed", [...found].filter(([id, hash]) => id in locked && locked[id] !== hash)] as const,
    ["added", [...found].filter(([id]) => !(id in locked))] as const,
    ["taken away", Object.entries(locked).filter(([id]) => !found.has(id))] as const,
  ].filter(([, some]) => some.length > 0);
  if (changes.length === 0) return;
  const said = changes.map(([what, some]) => `${what}: ${list(some.map(([id]) => id))}`).join("; ");
  throw new MnemailError("input", `${path}: the test split is locked, and its cases are not the same (${said})`, HINT);
}

/** Writes the lock of the cases as they are. Returns its path and how many cases it has. */
export async function writeLock(folder: string, cases: readonly Lockable[]): Promise<{ path: string; cases: number }> {
  const test = cases.filter(({ split }) => split === "test").sort((a, b) => (a.id < b.id ? -1 : 1));
  const path = join(folder, FILE);
  await writeFile(
    path,
    `${JSON.stringify({ cases: Object.fromEntries(test.map(({ id, hash }) => [id, hash])) }, null, 2)}\n`,
  );
  return { path, cases: test.length };
}

function list(ids: readonly string[]): string {
  const more = ids.length - 5;
  return [...ids.slice(0, 5), ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
}
