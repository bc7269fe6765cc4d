import { Redis } from "ioredis";
import { MnemailError } from "../../errors.ts";
import { type RedisAddress, renderRedis } from "../../store-config/redis-address.ts";
import { type CallKind, createPatience } from "./patience.ts";
import { isRedisAway, loginFailure, redisError } from "./redis-errors.ts";

const CONNECT_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;

/** How a Redis is used. Durations in milliseconds. */
export interface RedisOptions {
  /** How long a server that is away is waited for; 10 s by default. */
  retryMs?: number;
  /** How long one command may take; 30 s by default. */
  timeoutMs?: number;
  warn?: (line: string) => void;
}

/** One connection to a Redis, which is made when it is needed and made again after it was lost. */
export interface RedisConnection {
  /** The URL without secrets. */
  place: string;
  /**
   * Runs a command, and again while the server is away: it has to be one that may be sent twice. Of a `change` the error
   * says that it may have been made.
   *
   * @throws MnemailError("store") in one line, without secrets.
   */
  run<T>(command: (client: Redis) => Promise<T>, kind?: CallKind): Promise<T>;
  close(): Promise<void>;
}

/** Names the one connection to a Redis; no connection is made yet. */
export function connectRedis(address: RedisAddress, options: RedisOptions): RedisConnection {
  const place = renderRedis(address);
  const { retryMs = 10_000, timeoutMs = 30_000, warn = () => {} } = options;
  const patiently = createPatience({
    retryMs,
    isAway: isRedisAway,
    explain: (error, often, kind) => redisError(place, error, often, kind),
  });
  let current: Promise<Redis> | undefined;
  let running = 0;
  let isClosed = false;

  const forget = (client: Redis) => {
    end(client);
    current = undefined;
  };
  const connected = () => {
    current ??= open(address, timeoutMs).then(
      (client) => {
        client.once("end", () => {
          if (!isClosed && running === 0) warn(`${place}: an idle connection was lost`);
          current = undefined;
        });
        return client;
      },
      (error) => {
        current = undefined;
        throw error;
      },
    );
    return current;
  };

  return {
    place,
    async run(command, kind) {
      running += 1;
      try {
        return await patiently(async (inTime) => {
          if (isClosed) throw new MnemailError("store", `${place}: this store is closed`, "open it again");
          const client = await inTime(connected());
          try {
            return await inTime(command(client));
          } catch (error) {
            // A silent connection is given up; a replica may have been the primary when the name was looked up.
            if (isRedisAway(error) || /^READONLY/.test(String(Object(error).message))) forget(client);
            throw error;
          }
        }, kind);
      } finally {
        running -= 1;
      }
    },
    async close() {
      isClosed = true;
      const client = await current?.catch(() => undefined);
      if (client) end(client);
    },
  };
}

/** Ends a connection at once: whoever does not answer does not take leave either, and would keep the process alive. */
function end(client: Redis): void {
  client.stream?.destroy();
}

async function open(
  { host, port, tls, username, password, database }: RedisAddress,
  timeoutMs: number,
): Promise<Redis> {
  const client = new Redis({
    ...{
      host,
      port,
      lazyConnect: true,
      connectTimeout: Math.min(CONNECT_MS, timeoutMs),
      commandTimeout: timeoutMs,
      keepAlive: KEEP_ALIVE_MS,
    },
    ...(tls ? { tls: {} } : {}),
    // What is sent again, and when, is decided here: ioredis does not know what may be.
    ...{ retryStrategy: () => null, enableOfflineQueue: false, autoResendUnfulfilledCommands: false },
    ...{ maxRetriesPerRequest: null, enableReadyCheck: false, disableClientInfo: true },
  });
  // Without a listener it would write to the console; the first tells why there is no connection.
  let first: unknown;
  client.on("error", (error) => {
    first ??= error;
  });
  try {
    await client.connect();
    // ioredis would send these by itself, but hides a refusal behind the closed connection.
    if (password !== undefined) {
      const words = username === undefined ? [password] : [username, password];
      await client.call("AUTH", words).catch((error: unknown) => Promise.reject(loginFailure(error)));
    }
    if (database !== 0) await client.select(database);
    return client;
  } catch (error) {
    end(client);
    throw first ?? error;
  }
}
