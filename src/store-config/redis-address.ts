import { MnemailError } from "../errors.ts";
import { maskUrl, nameUrl } from "./masks.ts";

const DEFAULT_PREFIX = "mnemail";

/** A Redis that a URL names. */
export interface RedisAddress {
  host: string;
  port: number;
  tls: boolean;
  username: string | undefined;
  password: string | undefined;
  database: number;
  /** What all our keys begin with, between braces. */
  prefix: string;
}

/**
 * Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]`; `rediss:` for TLS. User and password are
 * percent-encoded.
 *
 * @throws MnemailError("config") in one line, without secrets.
 */
export function parseRedisUrl(url: string): RedisAddress {
  const refuse = (what: string) =>
    new MnemailError(
      "config",
      `${/^rediss?:\/\/[^/]/.test(url) ? maskUrl(url) : nameUrl(url)}: ${what}`,
      "allowed: redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=NAME, special characters as %XX; rediss:// for TLS",
    );
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) throw refuse("not the URL of a Redis");
  const { protocol, hostname, port, username, password, pathname, searchParams, hash } = new URL(url);
  const database = /^\/?(\d{0,9})\/?$/.exec(pathname)?.[1];
  if (hostname === "" || hash !== "" || pathname.includes("@")) throw refuse("no usable host");
  if (database === undefined) throw refuse("the database is no number");
  const prefix = searchParams.get("prefix") ?? DEFAULT_PREFIX;
  if ([...searchParams.keys()].some((name) => name !== "prefix")) throw refuse("the only option is prefix");
  if (!/^[\w.:-]{1,64}$/.test(prefix)) throw refuse("a prefix has 1 to 64 letters, digits and _ . : -");
  const decode = (text: string) => {
    try {
      return text === "" ? undefined : decodeURIComponent(text);
    } catch {
      throw refuse("user or password is not percent-encoded");
    }
  };
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 6379),
    tls: protocol === "rediss:",
    username: decode(username),
    password: decode(password),
    database: Number(database || 0),
    prefix,
  };
}

/** A Redis as a URL without secrets: the same for all URLs that name the same keys of the same server. */
export function renderRedis({ host, port, tls, database, prefix }: RedisAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${tls ? "rediss" : "redis"}://${name}:${port}/${database}?prefix=${prefix}`;
}
