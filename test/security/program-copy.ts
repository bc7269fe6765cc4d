import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Program } from "../../src/evals/attacks/session.ts";
import type { Edit } from "./gates.ts";

/** Within the repository, so that packages are found from there; git and Biome ignore the folder. */
const ROOT = resolve(".mnemail");

const isFunction = (value: unknown) => typeof value === "function";
const programSchema = z.object({
  openAssistant: z.custom<Program["openAssistant"]>(isFunction),
  emailSchema: z.custom<Program["emailSchema"]>(
    (value) => typeof value === "object" && value !== null && "parse" in value,
  ),
  parseEml: z.custom<Program["parseEml"]>(isFunction),
  createManageMemoryTool: z.custom<Program["createManageMemoryTool"]>(isFunction),
});

/** The files that a {@link Program} comes from. */
const PROGRAM_FILES = ["assistant.ts", "email.ts", "mail/eml.ts", "memory-tools.ts"];

/** A new folder for copies of the program; the caller removes it. */
export function temporaryCopies(): string {
  mkdirSync(ROOT, { recursive: true });
  return mkdtempSync(join(ROOT, "gates-"));
}

async function importProgram(folder: string): Promise<Program> {
  const load = async (file: string) => {
    const loaded: unknown = await import(pathToFileURL(join(folder, "src", file)).href);
    return z.record(z.string(), z.unknown()).parse({ ...(typeof loaded === "object" ? loaded : {}) });
  };
  return programSchema.parse(Object.assign({}, ...(await Promise.all(PROGRAM_FILES.map(load)))));
}

const SRC = resolve("src");
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const sources = new Map(files.map((file) => [file, readFileSync(join(SRC, file), "utf8")]));
const IMPORT = /((?:from|import\()\s*)"(\.[^"]+)"/g;

/** Files that import one of some others, by whatever way, and those themselves. */
function importersOf(changed: readonly string[]): Set<string> {
  const found = new Set(changed);
  for (let size = 0; size < found.size; ) {
    size = found.size;
    for (const [file, text] of sources) {
      const imported = [...text.matchAll(IMPORT)].map(([, , target = ""]) => join(dirname(file), target));
      if (imported.some((target) => found.has(target))) found.add(file);
    }
  }
  return found;
}

/**
 * Copies the program into a folder with some of its text replaced, and loads what is attacked of it. Files that do not
 * depend on those that are changed are imported from where they are, since loading them anew takes longer than the
 * attacks. The judge of an attack is no part of what is loaded, so that it stays whole whatever is switched off.
 *
 * @throws Error where a text does not stand there exactly once.
 */
export async function copyWithout(off: readonly Edit[], to: string): Promise<Program> {
  const changed = new Map(sources);
  for (const { file, old, new: replacement } of off) {
    const parts = (changed.get(file) ?? "").split(old);
    if (parts.length !== 2) {
      throw new Error(`src/${file}: ${JSON.stringify(old)} stands there ${parts.length - 1} times; expected once`);
    }
    changed.set(file, parts.join(replacement));
  }
  const copied = new Set([...importersOf(off.map(({ file }) => file)), ...PROGRAM_FILES]);
  for (const file of copied) {
    const path = join(to, "src", file);
    const text = (changed.get(file) ?? "").replace(IMPORT, (whole, before: string, target: string) => {
      const imported = join(dirname(file), target);
      return copied.has(imported) ? whole : `${before}${JSON.stringify(relative(dirname(path), join(SRC, imported)))}`;
    });
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  cpSync("prompts", join(to, "prompts"), { recursive: true });
  return importProgram(to);
}
