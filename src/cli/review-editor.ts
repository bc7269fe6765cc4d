import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { MnemailError } from "../errors.ts";

/** A text in a file of its own that only the user can read. */
export interface EditedFile {
  path: string;
  /** Opens the user's editor and waits for it. Returns what the file holds then. @throws MnemailError. */
  edit(): Promise<string>;
  /** Removes the file with its folder. */
  remove(): Promise<void>;
}

/**
 * Puts a text into a file for the user's editor, which is a command as a shell takes it (`code --wait`).
 *
 * @throws MnemailError("config") when there is no editor; nothing was written.
 */
export async function openEditedFile(text: string, name: string, editor: string | undefined): Promise<EditedFile> {
  if (editor === undefined) {
    const hint = "set VISUAL or EDITOR, or give --body, --subject or --file";
    throw new MnemailError("config", "editor: none is set", hint);
  }
  const path = join(await mkdtemp(join(tmpdir(), "mnemail-edit-")), name);
  await writeFile(path, text, { mode: 0o600 });
  return {
    path,
    async edit() {
      await run(editor, path);
      return await readText(path);
    },
    remove: () => rm(dirname(path), { recursive: true, force: true }),
  };
}

/** Reads a text of the user from a file, or from stdin as `-`. @throws MnemailError("input"). */
export async function readText(path: string): Promise<string> {
  const expected = "name a text file in UTF-8";
  try {
    if (path === "-") return await readAll(process.stdin);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw new MnemailError("input", `${path}: cannot be read as text`, expected, { cause: error });
  }
}

async function run(editor: string, path: string): Promise<void> {
  // While the editor has the terminal, its Ctrl-C is the editor's.
  const leave = () => {};
  process.on("SIGINT", leave);
  try {
    // An editor draws on the terminal also where stdout goes to a program.
    const output = process.stdout.isTTY ? 1 : 2;
    const child = spawn("/bin/sh", ["-c", `${editor} "$1"`, "editor", path], { stdio: [0, output, 2] });
    const [code, signal] = await once(child, "close");
    if (code === 0) return;
    throw new MnemailError("input", `the editor "${editor}" ended with ${signal ?? code}`, "nothing was answered");
  } finally {
    process.off("SIGINT", leave);
  }
}
