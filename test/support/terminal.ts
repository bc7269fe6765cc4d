import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const LOADER = import.meta.resolve("tsx");
const PATIENCE_MS = 30_000;

/** Keys as a terminal sends them. */
export const KEYS = { enter: "\r", down: "\u001b[B", interrupt: "\u0003" } as const;

/** Why there is no pseudo-terminal here; undefined where there is one. */
export const noTerminal: string | undefined =
  spawnSync("script", ["--version"]).stdout?.toString().includes("util-linux") === true
    ? undefined
    : "the program script of util-linux is not there";

/** `mnemail` on a pseudo-terminal. */
export interface Terminal {
  /** Waits until a text is shown after what was waited for before. @throws Error with all that was shown. */
  shows(text: string): Promise<void>;
  type(keys: string): void;
  /** Waits for the end. Returns the exit code. */
  ended(): Promise<number | null>;
  /** All that was shown, without control sequences. */
  screen(): string;
}

/** Starts `mnemail` on a pseudo-terminal, with no settings but those given. */
export function openTerminal(args: readonly string[], environment: Record<string, string>, cwd: string): Terminal {
  const quoted = [process.execPath, "--import", LOADER, MAIN, ...args].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  );
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn("script", ["-qec", `stty cols 200 rows 60; exec ${quoted.join(" ")}`, "/dev/null"], {
    cwd,
    env: { PATH, HOME, TERM: "xterm", NO_COLOR: "1", SHELL: "/bin/sh", ...environment },
  });
  let raw = "";
  let seen = 0;
  const read = (text: string) => {
    raw += text;
  };
  child.stdout.setEncoding("utf8").on("data", read);
  child.stderr.setEncoding("utf8").on("data", read);
  const ended = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
  const screen = () => stripVTControlCharacters(raw);
  return {
    screen,
    async shows(text) {
      const until = Date.now() + PATIENCE_MS;
      for (let at = -1; at < 0; ) {
        at = screen().indexOf(text, seen);
        if (at >= 0) seen = at + text.length;
        else if (Date.now() > until) throw new Error(`never showed ${JSON.stringify(text)}:\n${screen().slice(seen)}`);
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    type: (keys) => void child.stdin.write(keys),
    ended: () => ended,
  };
}
