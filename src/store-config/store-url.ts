import { MnemailError } from "../errors.ts";
import { nameUrl } from "./masks.ts";
import { parseRedisUrl } from "./redis-address.ts";
import { checkS3, parseS3Url } from "./s3-place.ts";

/** What `memory:?snapshot=FILE&every=SECONDS` says. */
export interface SnapshotConfig {
  path: string;
  /** How often it is saved where something changed, in milliseconds. */
  everyMs: number;
}

/** A store as its URL alone says it. */
export type ParsedStoreUrl =
  | { backend: "memory"; snapshot?: SnapshotConfig }
  | { backend: "sqlite"; path: string }
  | { backend: "file"; path: string; mode?: number }
  | { backend: "redis"; url: string }
  | { backend: "s3"; bucket: string; prefix: string }
  | { backend: "postgres"; url: string };

/** What a store's URL may be, for error messages. */
export const STORE_URL_FORMS =
  "memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE, memory:?snapshot=FILE, file:DIR, redis://HOST/DATABASE, s3://BUCKET/PREFIX";

/** The mode of the files of `file:DIR`: for their owner alone. */
export const FILE_MODE = 0o600;

const MEMORY_FORM = "memory:?snapshot=FILE&every=SECONDS, with 1 to 86400 whole seconds (60)";
const FILE_FORM = "file:DIR?mode=0660, the mode of its files in octal, which lets their owner read and write";
const EVERY_S = 60;
const MOST_EVERY_S = 86_400;

/**
 * Reads a store's URL. Paths stand in it as they are, not percent-encoded.
 *
 * @throws MnemailError("config") in one line, without secrets: what was seen and what is allowed.
 */
export function parseStoreUrl(given: string): ParsedStoreUrl {
  const text = given.replace(/^[a-z0-9]+(?=:)/i, (each) => each.toLowerCase());
  const scheme = /^[a-z0-9]+(?=:)/.exec(text)?.[0] ?? "";
  const rest = text.slice(scheme.length + 1);
  if (scheme === "memory") return parseMemory(text, rest);
  if (scheme === "sqlite") return { backend: "sqlite", path: localPath(text, rest) };
  if (scheme === "file") return parseFile(text, rest);
  if (scheme === "redis" || scheme === "rediss") {
    parseRedisUrl(text);
    return { backend: "redis", url: text };
  }
  if (scheme === "s3") {
    const place = parseS3Url(text);
    if (!place) throw refuse(text, "", "s3://BUCKET/PREFIX; the server is AWS_ENDPOINT_URL_S3");
    // What does not hang on the place is checked where the rest of the settings are.
    checkS3({ ...place, accessKeyId: "-", secretAccessKey: "-" });
    return { backend: "s3", ...place };
  }
  if (isPostgresUrl(text)) return { backend: "postgres", url: text };
  throw refuse(text, "");
}

/** Whether a text is the URL of a PostgreSQL. */
export function isPostgresUrl(text: string): boolean {
  if (!/^postgres(ql)?:\/\/./.test(text) || !URL.canParse(text)) return false;
  // A / ? or # of a password that is not escaped ends the host; then the @ before the real one stands behind it.
  const { pathname, search, hash } = new URL(text);
  return !`${pathname}${search}${hash}`.includes("@");
}

function parseMemory(text: string, rest: string): ParsedStoreUrl {
  if (rest === "") return { backend: "memory" };
  const { snapshot, every = String(EVERY_S), ...others } = optionsOf(text, rest.slice(1), MEMORY_FORM);
  const seconds = /^\d{1,5}$/.test(every) ? Number(every) : 0;
  if (!rest.startsWith("?")) throw refuse(text, "", MEMORY_FORM);
  if (Object.keys(others).length > 0) throw refuse(text, "an option that is not known", MEMORY_FORM);
  if (!snapshot || /[\\/]$/.test(snapshot)) throw refuse(text, "without the file of the snapshot", MEMORY_FORM);
  refuseHome(text, snapshot);
  if (seconds < 1 || seconds > MOST_EVERY_S) throw refuse(text, "every is no number of seconds", MEMORY_FORM);
  return { backend: "memory", snapshot: { path: snapshot, everyMs: seconds * 1_000 } };
}

function parseFile(text: string, rest: string): ParsedStoreUrl {
  const [place = "", options] = rest.split(/\?(?=[^?]*$)/);
  const path = localPath(text, place);
  if (options === undefined) return { backend: "file", path };
  const { mode, ...others } = optionsOf(text, options, FILE_FORM);
  if (mode === undefined || Object.keys(others).length > 0) throw refuse(text, "its only option is mode", FILE_FORM);
  if (!/^0?6[0-7]{2}$/.test(mode)) throw refuse(text, "no usable mode", FILE_FORM);
  return { backend: "file", path, mode: Number.parseInt(mode, 8) };
}

/** `PATH`, `///PATH`; a host is none. */
function localPath(text: string, rest: string): string {
  const path = rest.replace(/^\/\/(?=\/)/, "");
  if (path === "" || path.startsWith(":") || path.startsWith("//")) throw refuse(text, "without a usable path");
  refuseHome(text, path);
  return path;
}

/** Only a shell knows whose home that is, and it does not look into URLs. */
function refuseHome(text: string, path: string): void {
  if (/^~[\w.-]*(\/|$)/.test(path)) throw refuse(text, "~ stands for nothing here", "$HOME/… or a whole path");
}

function optionsOf(text: string, query: string, allowed: string): Record<string, string> {
  const pairs = query.split("&").map((each): [string, string] => {
    const at = each.indexOf("=");
    if (at <= 0) throw refuse(text, "an option without a value", allowed);
    return [each.slice(0, at), each.slice(at + 1)];
  });
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) throw refuse(text, "one option twice", allowed);
  return Object.fromEntries(pairs);
}

function refuse(text: string, problem: string, allowed = STORE_URL_FORMS): MnemailError {
  return new MnemailError("config", `saw ${nameUrl(text)}${problem && `, ${problem}`}`, `allowed: ${allowed}`);
}
