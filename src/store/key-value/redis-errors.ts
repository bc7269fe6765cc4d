import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import { type CallKind, outcomeOf } from "./patience.ts";

/** No connection, or none any more. */
const AWAY_CODES = new Set(
  "ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EAI_AGAIN ECONNABORTED".split(" "),
);
/** What ioredis says of a connection that is gone or silent. */
const AWAY_TEXT = /^(Connection is closed|Command timed out|Stream isn't writeable|connect ETIMEDOUT)/;
/** The server is there, and the same again may work: starting up, busy, changing its roles, no connection left. */
const AGAIN_REPLY = /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|ERR max number of clients)/;

const failureSchema = z.object({
  code: z.string().catch(""),
  message: z.string().catch(""),
  errors: z.array(z.unknown()).catch([]),
});

interface Failure {
  code: string;
  text: string;
}

/** What is known of a failure; a refused connection to a name with several addresses holds one failure for each. */
function failureOf(error: unknown): Failure {
  const { code, message, errors } = failureSchema.parse(error);
  if (errors.length > 0 && message === "") return failureOf(errors[0]);
  // A reply that came before anything was asked is wrapped by ioredis.
  const text = message.replace(/^Command queue state error.*?Last (reply|error): /s, "").replace(/\s+/g, " ");
  // What follows repeats what was sent: passwords, scripts, memory.
  return { code, text: text.replace(/,? with args beginning with.*$/, "").trim() };
}

/** What may be passed on of a failure to log in: none of the server's own words, which may repeat the password. */
export function loginFailure(error: unknown): unknown {
  const { code, text } = failureOf(error);
  if (AWAY_CODES.has(code) || AWAY_TEXT.test(text)) return error;
  const known = [AGAIN_REPLY, /^(NOPERM|DENIED|ERR unknown command)/].map((each) => each.exec(text)?.[0]);
  const said = known.find((each) => each !== undefined) ?? "WRONGPASS";
  return new Error(said.startsWith("ERR") ? `${said} 'AUTH'` : said);
}

/** Whether the server is away or not ready yet, so that the same may work in a moment. */
export function isRedisAway(error: unknown): boolean {
  if (error instanceof MnemailError) return false;
  const { code, text } = failureOf(error);
  return AWAY_CODES.has(code) || AWAY_TEXT.test(text) || AGAIN_REPLY.test(text);
}

/** What a server's refusal begins with, what that means to people, and what they can do. */
const REFUSALS: [RegExp, string, string][] = [
  [
    /^(WRONGPASS|ERR invalid password|ERR wrong number of arguments for 'auth'|ERR Client sent AUTH|ERR AUTH)/,
    "the user or password was refused",
    "correct them in the URL (redis://USER:PASSWORD@HOST:PORT), special characters as %XX",
  ],
  [
    /^ERR unknown command/,
    "the server does not know a command",
    "name a Redis 7 that has its commands under their own names (rename-command)",
  ],
  [/^NOAUTH/, "the server wants a password", "put it into the URL: redis://:PASSWORD@HOST:PORT"],
  [
    /^(NOPERM|ERR The user executing the script|ERR ACL failure in script)/,
    "the user lacks a permission",
    "allow it the keys of the prefix and the commands @read, @write, @scripting, SELECT, TIME and INFO (ACL SETUSER)",
  ],
  [/^DENIED/, "the server is in protected mode", "set a password there (requirepass), or let it listen here alone"],
  [/^(ERR (invalid DB index|DB index)|ERR value is out of range)/, "there is no such database number", "correct it"],
  [/^READONLY/, "this server is a read-only replica", "name the primary; nothing was changed"],
  [
    /^OOM/,
    "the memory of the server is full",
    "raise its maxmemory, or forget something; nothing was changed, and reading works",
  ],
  [
    /^MISCONF/,
    "the server cannot save to its disk, and takes no changes",
    "free some space there and see its log; nothing was changed",
  ],
  [/^NOREPLICAS/, "the server has fewer replicas than it wants, and takes no changes", "bring them back"],
  [
    /^(MOVED|ASK|CROSSSLOT)/,
    "this server is one of a cluster",
    "name a Redis that is none; clusters are not supported",
  ],
  [/^WRONGTYPE/, "its keys are used by something else", "choose another prefix: redis://HOST:PORT/0?prefix=NAME"],
  [/^ERR max number of clients/, "the server has no connection left", "raise its maxclients, or close some"],
  [/^LOADING/, "the server is still loading its data", "try again in a while"],
  [/^(BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)/, "the server is not ready", "try again; nothing was changed"],
  [/^Protocol error/, "what answers there is no Redis", "correct host and port"],
];

/** One line for what went wrong with a Redis; `place` names it without secrets. Nothing of what was sent is in it. */
export function redisError(place: string, error: unknown, often = "", kind?: CallKind): MnemailError {
  if (error instanceof MnemailError) return error;
  const { code, text } = failureOf(error);
  // An error of ioredis holds the command with all that it was to write, or the password.
  const because = (what: string, hint?: string) =>
    new MnemailError("store", `${place}: ${what}`, hint, { cause: new Error(text || code) });
  for (const [pattern, what, hint] of REFUSALS) {
    if (!pattern.test(text)) continue;
    const detail = /^(NOPERM|ERR The user|ERR ACL|ERR unknown|MOVED|WRONGTYPE)/.test(text)
      ? ` (${text.split(/,? script:/)[0]})`
      : "";
    return because(`${what}${detail}${often}`, hint);
  }
  if (code === "ENOTFOUND") return because("the host is not known", "correct the host of the URL");
  if (/self.signed|certificate|altname|SSL|TLS|wrong version number/i.test(`${code} ${text}`)) {
    return because(
      `no TLS connection (${text})`,
      "use redis:// where the server has no TLS; name its own authority in NODE_EXTRA_CA_CERTS",
    );
  }
  if (isRedisAway(error)) {
    const what = /^Command timed out/.test(text) ? "the server does not answer" : "the server cannot be reached";
    return because(`${what}${often}${outcomeOf(kind)}`, "start it, or correct host, port and redis:// or rediss://");
  }
  return because(`${text || code || String(error)}${outcomeOf(kind)}`);
}
