import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

// What may import what: a file imports from lower ranks or its own folder only, so that data flows one way.
const RANKS: Record<string, number> = {
  "errors.ts": 0,
  "api-tokens.ts": 0,
  "closing.ts": 0,
  "email.ts": 0,
  files: 0,
  "meter.ts": 0,
  "parse-json.ts": 0,
  "store-config": 0,
  "tracing-config.ts": 0,
  "config.ts": 1,
  "log-error.ts": 1,
  "prompts.ts": 1,
  "stand-in": 1,
  "models.ts": 2,
  "log.ts": 2,
  "tracing.ts": 2,
  store: 2,
  mail: 3,
  memory: 3,
  learning: 4,
  agent: 5,
  reviews: 6,
  "handle.ts": 7,
  "assistant.ts": 8,
  "chat.ts": 8,
  "update-from-feedback.ts": 8,
  "memory-tools.ts": 8,
  "index.ts": 9,
  server: 9,
  evals: 9,
  cli: 10,
};
/** Within a rank, memory reads working hours and time zones from mail. */
const ALLOWED_WITHIN_RANK = new Set([
  "memory -> mail",
  "email.ts -> errors.ts",
  "tracing-config.ts -> store-config",
  "store-config -> errors.ts",
]);

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const importsOf = (file: string) =>
  [...readFileSync(join("src", file), "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(([, target]) =>
    relative("src", join("src", dirname(file), target ?? "")),
  );
const areaOf = (file: string) => file.split("/")[0] ?? file;

describe("the folder tree shows the architecture", () => {
  test("every file belongs to an area with a rank", () => {
    expect(files.filter((file) => RANKS[areaOf(file)] === undefined)).toEqual([]);
  });

  test("files import from lower ranks or their own folder only", () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => !target.startsWith(".."))
        .filter((target) => {
          const [from, to] = [areaOf(file), areaOf(target)];
          if (from === to || ALLOWED_WITHIN_RANK.has(`${from} -> ${to}`)) return false;
          return (RANKS[to] ?? 99) >= (RANKS[from] ?? -1);
        })
        .map((target) => `${file} imports ${target}, which is not of a lower rank`),
    );
    expect(wrong).toEqual([]);
  });

  test("no file imports itself by way of others", () => {
    const graph = new Map(files.map((file) => [file, importsOf(file)]));
    const reach = (from: string, seen = new Set<string>()): Set<string> => {
      for (const next of graph.get(from) ?? []) {
        if (seen.has(next)) continue;
        seen.add(next);
        reach(next, seen);
      }
      return seen;
    };
    expect(files.filter((file) => reach(file).has(file))).toEqual([]);
  });

  test("the entry of the CLI, which prints the help, loads no LangChain module before a command runs", () => {
    const staticImports = (file: string) =>
      [...readFileSync(join("src", file), "utf8").matchAll(/^(?:import|export)\b(?! type)[^;]*?"([^"]+)";/gm)].map(
        ([, target]) => target ?? "",
      );
    const seen = new Set<string>(["cli/main.ts"]);
    for (const file of seen) {
      for (const target of staticImports(file)) {
        if (target.startsWith(".")) seen.add(relative("src", join("src", dirname(file), target)));
        else expect(target, file).not.toMatch(/langchain|libsql/);
      }
    }
    expect(seen.size).toBeGreaterThan(1);
  });

  test("only config.ts reads the environment", () => {
    const readers = files.filter((file) => /process\.env\b/.test(readFileSync(join("src", file), "utf8")));
    expect(readers).toEqual(["config.ts"]);
  });

  test("files stay readable: at most 300 lines", () => {
    const long = files.filter((file) => readFileSync(join("src", file), "utf8").split("\n").length > 300);
    expect(long).toEqual([]);
  });
});
