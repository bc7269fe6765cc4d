import { randomUUID } from "node:crypto";
import { z } from "zod";
import { parseRedisUrl } from "../../store-config/redis-address.ts";
import type { RowDriver } from "../row-driver.ts";
import type { SearchLanguage } from "../tokens.ts";
import type { KeyChange, KeyValue } from "./key-value.ts";
import { createKeyValueDriver } from "./key-value-driver.ts";
import { connectRedis, type RedisConnection, type RedisOptions } from "./redis-connection.ts";
import { createRedisReader, ownKeys } from "./redis-reader.ts";
import { WRITE } from "./redis-scripts.ts";
import { findRedisProblems, readRedisName, rewriteRedisFiles } from "./redis-server.ts";

/** How long the answer to a batch is kept: longer than anything waits that may send it again. In milliseconds. */
const ANSWER_MS = 300_000;

const textsSchema = z.array(z.string().nullable());
const writtenSchema = z.union([z.literal(0), z.literal(1)]);

/**
 * Opens texts by key in a Redis (7; no modules): `redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=NAME`, `rediss://` for
 * TLS. Its keys are `{prefix}:…`, so that a Redis can be shared; the braces are a hash tag, which keeps all of them in
 * one slot. A batch is one script. A batch whose answer was lost is sent again under the same id, and so made once.
 *
 * @throws MnemailError("store") in one line, without secrets, as every method does.
 */
export async function openRedis(url: string, options: RedisOptions = {}): Promise<KeyValue> {
  const address = parseRedisUrl(url);
  const connection = connectRedis(address, options);
  try {
    return createRedisPlace(await readRedisName(connection), connection, `{${address.prefix}}:`);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Opens rows in a Redis, as {@link openRedis} its texts. */
export async function openRedisDriver(
  url: string,
  options: RedisOptions & { language?: SearchLanguage } = {},
): Promise<RowDriver> {
  return createKeyValueDriver(await openRedis(url, options), options);
}

function createRedisPlace(name: string, connection: RedisConnection, before: string): KeyValue {
  const { run, close } = connection;
  const reader = createRedisReader(connection, before);
  return {
    name,
    isAtomic: true,
    nameOf: (key) => before + key,
    async read(keys) {
      if (keys.length === 0) return [];
      return textsSchema.parse(await run((client) => client.mget(keys.map((key) => before + key))));
    },
    async list(prefix) {
      return Array.from(await reader.texts([], [prefix]), ([key, text]) => ({ key, text }));
    },
    keys: (prefix) => reader.keys(prefix),
    snapshot: (keys, prefixes) => reader.texts(keys, prefixes),
    async write(changes) {
      if (changes.length === 0) return true;
      const keys = [...ownKeys(before), `${before}#answer:${randomUUID()}`, ...changes.map(({ key }) => before + key)];
      const values = [String(ANSWER_MS), String(before.length), ...changes.flatMap(toArguments)];
      // Not as arguments of a function, of which the stack holds some 100,000.
      const words = [WRITE, String(keys.length), ...keys, ...values];
      const write = run((client) => client.call("EVAL", words), "change");
      return writtenSchema.parse(await write) === 1;
    },
    problems: () => findRedisProblems(connection),
    vacuum: () => rewriteRedisFiles(connection),
    close,
  };
}

function toArguments({ text, expected, expiresAt }: KeyChange): string[] {
  const kept = (each: string | null) => (each === null ? "-" : `=${each}`);
  return [
    expected === undefined ? "*" : kept(expected),
    kept(text),
    expiresAt ? String(Math.max(0, expiresAt.getTime())) : "",
  ];
}
