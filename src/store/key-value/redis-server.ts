import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { RedisConnection } from "./redis-connection.ts";

/** How long the rewriting of the server's files is waited for, and how often it is looked at, in milliseconds. */
const REWRITE_MS = 10_000;
const LOOK_MS = 50;

/** How far the clocks may differ, since times to live are of this machine and end by the server's. In milliseconds. */
const CLOCKS_MS = 5_000;

const textsSchema = z.array(z.string().nullable());
const timeSchema = z.tuple([z.coerce.number(), z.coerce.number()]);

/** The engine for people, with its version where it tells. */
export async function readRedisName(connection: RedisConnection): Promise<string> {
  const { valkey_version: valkey, redis_version: redis = "" } = await readInfo(connection, "server");
  return valkey === undefined ? `Redis ${redis}`.trim() : `Valkey ${valkey}`;
}

/** What would lose memory in this server, or stands in the way of keeping it; what it does not tell is passed over. */
export async function findRedisProblems(connection: RedisConnection): Promise<{ problem: string; hint: string }[]> {
  const { maxmemory, maxmemory_policy: policy = "noeviction" } = await readInfo(connection, "memory");
  const { role } = await readInfo(connection, "replication");
  const persistence = await readInfo(connection, "persistence");
  const save = await readSave(connection);
  const failed = ["aof_last_write_status", "rdb_last_bgsave_status"].some((name) => persistence[name] === "err");
  const ahead = await readClock(connection);
  const problem = (holds: boolean, text: string, hint: string) => (holds ? [{ problem: text, hint }] : []);
  return [
    ...problem(
      Number(maxmemory ?? 0) > 0 && policy !== "noeviction",
      `the server removes keys when its memory is full (maxmemory-policy ${policy})`,
      "set maxmemory-policy noeviction, or memory is lost without a word",
    ),
    ...problem(
      persistence["aof_enabled"] === "0" && save === "",
      "the server keeps nothing on disk: all memory is lost when it restarts",
      "set appendonly yes",
    ),
    ...problem(failed, "the server could not save to its disk the last time", "see its log"),
    ...problem(role === "slave", "this server is a read-only replica", "name the primary"),
    ...problem(
      Math.abs(ahead) > CLOCKS_MS,
      `the server's clock is ${Math.round(Math.abs(ahead) / 1_000)} s ${ahead > 0 ? "ahead of" : "behind"} this machine's`,
      "set both: what has a time to live ends by the server's clock, at once where it is far ahead",
    ),
  ];
}

/** How far the server's clock is ahead of ours, in milliseconds; 0 where it does not tell. */
async function readClock({ run }: RedisConnection): Promise<number> {
  const { answer, asked } = await run(async (client) => {
    const begun = Date.now();
    return { asked: begun, answer: timeSchema.safeParse(await orRefused(client.time(), null)) };
  });
  if (!answer.success) return 0;
  const [seconds, microseconds] = answer.data;
  const time = seconds * 1_000 + microseconds / 1_000;
  // Read at some moment in between, of which the best is taken.
  if (time < asked) return time - asked;
  return Math.max(0, time - Date.now());
}

/**
 * Has the server write its files anew, in which removed items stay otherwise until it does so by itself. Returns what it
 * could not do, in lines for people.
 */
export async function rewriteRedisFiles(connection: RedisConnection): Promise<string[]> {
  const { place, run } = connection;
  const isLogging = (await readInfo(connection, "persistence"))["aof_enabled"] === "1";
  const isSaving = ![undefined, ""].includes(await readSave(connection));
  const refused = "refused";
  const commands = [...(isLogging ? ["BGREWRITEAOF"] : []), ...(isSaving ? ["BGSAVE SCHEDULE"] : [])];
  const lines: string[] = [];
  for (const command of commands) {
    const [name = "", ...values] = command.split(" ");
    if ((await run((client) => orRefused(client.call(name, ...values), refused))) === refused)
      lines.push(`${place}: removed items stay in the server's files until someone runs ${command}, which it refused`);
  }
  const isBusy = async () => {
    const info = await readInfo(connection, "persistence");
    const signs = ["aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"];
    return signs.some((sign) => info[sign] === "1");
  };
  for (const until = Date.now() + REWRITE_MS; await isBusy(); await pause(LOOK_MS)) {
    if (Date.now() < until) continue;
    return [...lines, `${place}: the server is still rewriting its files; removed items are in them until it is done`];
  }
  return lines;
}

/** When the server saves snapshots; empty for never, undefined where it does not tell, as is often so. */
async function readSave({ run }: RedisConnection): Promise<string | undefined> {
  const answer = await run((client) => orRefused(client.config("GET", "save"), []));
  return textsSchema.catch([]).parse(answer)[1] ?? undefined;
}

/** A section of INFO; empty where the user may not ask. */
async function readInfo({ run }: RedisConnection, section: string): Promise<Record<string, string>> {
  const text = await run((client) => orRefused(client.info(section), ""));
  return Object.fromEntries([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name = "", value = ""]) => [name, value]));
}

/** An answer, or another one where the user may not ask or the server does not know the command. */
async function orRefused<T, E>(answer: Promise<T>, otherwise: E): Promise<T | E> {
  return answer.catch((error: unknown) => {
    if (/^(NOPERM|ERR)/.test(String(Object(error).message))) return otherwise;
    throw error;
  });
}
