import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { type GuardedServer, launchGuarded } from "./guarded-server.ts";

/** How long a server may take to start, in milliseconds. */
const START_MS = 20_000;
/** Below Linux's ephemeral ports, since while the server is down some connection of a test may be given one of those. */
const PORTS = { from: 15_000, to: 32_000 };
/** Replicas are served at once. */
const QUICK = ["--repl-diskless-sync-delay", "0"];

/** A Redis server of our own, which dies with the test process. */
export interface RedisServer {
  /** For the names of tests. */
  name: string;
  /** With a random password. */
  url: string;
  port: number;
  /** Where it keeps its files. */
  folder: string;
  /** Sends one command on a connection of its own. */
  ask(...command: string[]): Promise<unknown>;
  /** A crash. */
  kill(): Promise<void>;
  /** Starts it again at the same port with its files, ready when this returns; nothing when it runs. */
  start(): Promise<void>;
  /** Stops it from running, its connections left as they are, until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

let toldWhyNot = false;

/**
 * Starts this machine's redis-server on a port and in a folder of its own, with every change in a file, and
 * `settings` such as `--maxmemory 5mb`. Takes 0.1 s. Where it is not installed it says so once and returns undefined.
 */
export async function startRedis(...settings: string[]): Promise<RedisServer | undefined> {
  const version = readVersion();
  if (version === undefined) {
    if (!toldWhyNot) console.warn("no Redis here: redis-server is not on PATH");
    toldWhyNot = true;
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), "mnemail-redis-"));
  const port = await freePort();
  const password = randomBytes(18).toString("base64url");
  const url = `redis://:${password}@127.0.0.1:${port}/0`;
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--requirepass", password];
  const command = ["redis-server", ...where, "--save", "", "--appendonly", "yes", ...QUICK, ...settings];
  let running: GuardedServer | undefined = await launch({ folder, url, command });
  const signal = (name: NodeJS.Signals) => {
    if (running === undefined) throw new Error("the Redis server is not running");
    process.kill(running.pid, name);
  };
  const kill = async () => {
    const { ended } = running ?? {};
    signal("SIGKILL");
    await ended;
    running = undefined;
  };
  return {
    name: `Redis ${version}`,
    ...{ url, port, folder, kill },
    ask: (...words) => ask(url, ...words),
    async start() {
      running ??= await launch({ folder, url, command });
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    async stop() {
      if (running) await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function launch({ url, ...server }: { folder: string; url: string; command: string[] }): Promise<GuardedServer> {
  const launched = await launchGuarded({ ...server, signal: "KILL" });
  for (const until = Date.now() + START_MS; ; await pause(10)) {
    const answer = await ask(url, "PING").catch((error: unknown) => error);
    if (answer === "PONG") return launched;
    if (launched.shell.exitCode !== null || Date.now() > until)
      throw new Error(`Redis did not start: ${readFileSync(join(server.folder, "log"), "utf8").slice(-2_000)}`);
  }
}

async function ask(url: string, ...[command = "PING", ...values]: string[]): Promise<unknown> {
  const client = new Redis(url, {
    ...{ lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false, commandTimeout: 10_000 },
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.call(command, ...values);
  } finally {
    client.disconnect();
  }
}

function readVersion(): string | undefined {
  try {
    return /v=(\S+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8", stdio: "pipe" }))?.[1];
  } catch {
    return undefined;
  }
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    server.close();
    if (isFree) return port;
  }
}
