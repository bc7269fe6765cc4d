import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const STOP_MS = 10_000;

/** A running `langgraphjs dev`. */
export interface DevServer extends AsyncDisposable {
  url: string;
  /** All that it printed. */
  output(): string;
  /** Stops it as Ctrl-C does; it keeps its threads in its folder. */
  stop(): Promise<void>;
}

/**
 * Starts `langgraphjs dev` on this project's `langgraph.json` as a user does, and waits until it answers. What the server
 * keeps of threads is in `folder`, so that servers of several tests have none in common; `environment` is all it is given.
 */
export async function startDevServer(folder: string, environment: Record<string, string>): Promise<DevServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(folder, "langgraph.json");
  writeFileSync(config, readFileSync("langgraph.json", "utf8").replaceAll('"./src/', `"${process.cwd()}/src/`));
  const { PATH = "", HOME = "" } = process.env;
  const server = spawn(
    "node_modules/.bin/langgraphjs",
    ["dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", String(port), "--config", config],
    // A process group of its own, since the server is a grandchild.
    { env: { PATH, HOME, ...environment }, detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const closed = once(server, "close");
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (server.pid !== undefined) process.kill(-server.pid, signal);
    } catch {
      // All of the group has ended.
    }
  };
  const stop = async () => {
    kill("SIGINT");
    const late = setTimeout(() => kill("SIGKILL"), STOP_MS);
    await closed;
    clearTimeout(late);
  };
  for (let attempt = 0; attempt < 250 && server.exitCode === null; attempt += 1) {
    const isUp = await fetch(`${url}/ok`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return { url, output: () => output, stop, [Symbol.asyncDispose]: stop };
    if (/Failed to launch|^Error/m.test(output)) break;
    await pause(200);
  }
  await stop();
  throw new Error(`langgraphjs dev did not start:\n${output}`);
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
