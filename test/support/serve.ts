import { once } from "node:events";
import { startCli } from "./cli.ts";
import { until } from "./http.ts";

/** A running `mnemail serve`. */
export interface Served {
  url: string;
  /** All that it printed. */
  output(): string;
  /** Asks it to stop, or kills it, and tells its exit code. */
  stop(signal?: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<number | null>;
}

/** Starts `mnemail serve` on a free port, and waits until it listens. Its folder is where its paths begin. */
export async function startServe(folder: string, environment: Record<string, string>): Promise<Served> {
  const child = startCli(["serve", "--port", "0"], environment, folder);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const closed = once(child, "close");
  const url = await until(async () => {
    if (child.exitCode !== null) throw new Error(`mnemail serve did not start:\n${output}`);
    return /listens at (\S+)\. Stop/.exec(output)?.[1];
  });
  return {
    url,
    output: () => output,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const [code] = await closed;
      return code;
    },
  };
}
