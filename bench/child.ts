import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A process of ours that takes and answers lines, and ends when its standard input does. */
export interface Child {
  send(line: string): void;
  /** The next line it writes. @throws Error when it ended instead. */
  next(): Promise<string>;
  end(): Promise<void>;
}

/** Starts a file beside this one; what it writes to standard error goes to ours. */
export function startChild(file: string, parameters: readonly string[] = []): Child {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), path, ...parameters], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  // One that died reads no more; the next line that is waited for tells.
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    send: (line) => void child.stdin.write(`${line}\n`),
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${file} ended early (${child.signalCode ?? child.exitCode ?? "still closing"})`);
      return value;
    },
    async end() {
      child.stdin.end();
      await ended;
    },
  };
}
