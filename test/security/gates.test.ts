import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ATTACKS } from "./attacks.ts";
import { GATES, type Gate } from "./gates.ts";
import { type ObedientModel, startObedientModel } from "./obedient-model.ts";
import { runAttack } from "./run-attack.ts";
import { buildWorld, importModules, MODULE_FILES } from "./world.ts";

/** Within the repository, so that packages are found from there; git and Biome ignore the folder. */
const ROOT = resolve(".mnemail");

let model: ObedientModel;
let folder: string;

beforeAll(async () => {
  model = await startObedientModel();
  mkdirSync(ROOT, { recursive: true });
  folder = mkdtempSync(join(ROOT, "gates-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await model[Symbol.asyncDispose]();
});

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
 * Copies the program with some of its text replaced. Files that do not depend on those that are changed are imported
 * from where they are, since loading them anew takes longer than the attacks.
 *
 * @throws Error where a text does not stand there exactly once.
 */
function copyWithout({ off }: Pick<Gate, "off">, to: string): void {
  const changed = new Map(sources);
  for (const { file, old, new: replacement } of off) {
    const parts = (changed.get(file) ?? "").split(old);
    if (parts.length !== 2) {
      throw new Error(`src/${file}: ${JSON.stringify(old)} stands there ${parts.length - 1} times; expected once`);
    }
    changed.set(file, parts.join(replacement));
  }
  const copied = new Set([...importersOf(off.map(({ file }) => file)), ...MODULE_FILES]);
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
}

function attackOf(name: string) {
  const attack = ATTACKS.find((each) => each.name === name);
  if (!attack) throw new Error(`there is no attack ${JSON.stringify(name)}`);
  return attack;
}

/** What of the attacks that a gate stops gets through a program; undefined for none. */
async function firstSuccess({ off, attacks }: Pick<Gate, "off" | "attacks">, name: string) {
  const to = join(folder, name);
  copyWithout({ off }, to);
  const modules = await importModules(to);
  const rows = await buildWorld(modules, model);
  for (const attack of attacks) {
    const violations = await runAttack(attackOf(attack), { modules, model, rows });
    if (violations.length > 0) return { attack, violations };
  }
  return undefined;
}

test("in a copy with every gate on, the attacks fail as ever", async () => {
  // All of them take too long, and run on the program itself in `attacks.test.ts`.
  const attacks = GATES.flatMap((gate) => gate.attacks).filter((_, i) => i % 10 === 0);
  expect(await firstSuccess({ off: [], attacks }, "whole")).toBeUndefined();
});

describe("an attack succeeds once this gate is off:", () => {
  test.each(GATES.map((gate, i) => [gate.name, gate, String(i)] as const))("%s", async (_name, gate, i) => {
    const success = await firstSuccess(gate, i);
    expect(success, `${gate.attacks.join(", ")} still fail`).toBeDefined();
  });
});
