import { pino } from "pino";
import type { Config, LogConfig, LogLevel } from "./config.ts";
import { describeError } from "./log-error.ts";
import type { Usage } from "./meter.ts";
import { hashText } from "./prompts.ts";
import { secretsOfStore } from "./store-config/describe-store.ts";

/** The fields whose words are ours: a closed set for each, so that no stranger's text can stand in one. */
const WORDS = {
  label: ["ignore", "notify", "respond"],
  outcome: ["done", "pending_review", "refused", "written", "known", "repeated"],
  action: ["notify", "write_email", "schedule_meeting", "ask_user"],
  decision: ["approve", "edit", "reject", "respond"],
  kind: ["email", "event", "text", "relabel", "edited_draft", "rejected_draft", "accepted_draft", "seen"],
  method: ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
} as const;

type Words = typeof WORDS;
type Word<Name extends keyof Words> = Words[Name][number];

/** The fields whose values are counts. */
const NUMBERS = ["status", "ms", "reviews", "changes", "emails", "found", "failed"] as const;

/** Whom and what an event is about: ids of others' choice, which are logged as hashes. */
interface About {
  user: string;
  email?: string | undefined;
}

/** Every event that can be logged, and its fields. `text` is shown with LOG_TEXT=on only; `error` loses its excerpts. */
export interface LogEvents {
  "email.handled": About & {
    label: Word<"label"> | null;
    outcome: "done" | "pending_review";
    reviews?: number;
    usage: Usage;
    text?: Texts;
  };
  "email.failed": About & { error: unknown; usage?: Usage; text?: Texts };
  "review.decided": About & {
    action: Word<"action">;
    decision: Word<"decision">;
    outcome: "done" | "refused";
    text?: Texts;
  };
  "outbox.written": About & { kind: "email" | "event"; outcome: "written" | "known"; text?: Texts };
  "learn.done": About & {
    kind: Exclude<Word<"kind">, "email" | "event">;
    outcome: "done" | "repeated";
    changes: number;
    usage?: Usage;
    text?: Texts;
  };
  "learn.failed": About & { error: unknown; text?: Texts };
  "extraction.done": { user?: string; emails: number; found: number; failed: number; usage: Usage };
  /** `route` is the pattern that matched, such as `/reviews/:id`, never the path. */
  "http.request": { method: Word<"method">; route: `/${string}`; status: number; ms: number; user?: string };
  "http.failed": { method: Word<"method">; route: `/${string}`; error: unknown; user?: string };
}

/** What others wrote, by what it is: subject, from, body, draft, feedback. */
type Texts = Readonly<Record<string, string>>;

/** The methods of HTTP that requests are logged by. */
export const HTTP_METHODS = WORDS.method;

/** The name of an event. */
export type LogEventName = keyof LogEvents;

const LEVELS: Record<LogEventName, Exclude<LogLevel, "silent">> = {
  "email.handled": "info",
  "email.failed": "warn",
  "review.decided": "info",
  "outbox.written": "info",
  "learn.done": "info",
  "learn.failed": "warn",
  "extraction.done": "info",
  "http.request": "info",
  "http.failed": "error",
};

/** A structured log. Logging never throws and writes nothing but the fields that {@link LogEvents} has. */
export interface Log {
  event<Name extends LogEventName>(name: Name, fields: LogEvents[Name]): void;
}

/** How a log is opened. `secrets` are values that stand in no line, whatever field they came in. */
export interface LogOptions extends Partial<LogConfig> {
  secrets?: readonly string[];
  /** Where lines go: stderr unless said otherwise. */
  stream?: { write(line: string): unknown };
}

/** Other than the stream itself, the console survives a reader that is gone. */
const STDERR = { write: (line: string) => console.error(line.trimEnd()) };

/** A log for programs that want none. */
export const SILENT: Log = { event: () => {} };

/**
 * The log of a configuration: on stderr, JSON lines unless that is a terminal. `level` is in force where LOG_LEVEL is not
 * set: `error` for commands, `info` for servers.
 */
export function openLog(config: Config, level: LogLevel): Log {
  const { log } = config;
  return createLog({
    level: log.level ?? level,
    format: log.format ?? (process.stderr.isTTY ? "pretty" : "json"),
    text: log.text,
    secrets: secretsOf(config),
  });
}

/** Every value of a configuration that lets somebody in. */
function secretsOf({ model, store, tracing, apiToken, apiTokens = [] }: Config): string[] {
  const ofStore = secretsOfStore(store);
  const urls = [...(model.kind === "openai" && model.baseUrl !== undefined ? [model.baseUrl] : []), ...ofStore.urls];
  const passwords = urls.flatMap((url) => {
    const password = URL.canParse(url) ? new URL(url).password : "";
    return [password, decode(password)];
  });
  const keys = [model.kind === "openai" ? model.apiKey : undefined, tracing?.apiKey, apiToken, ...ofStore.keys];
  const found = [...keys, ...apiTokens.flatMap(({ tokens }) => tokens), ...passwords];
  return found.filter((each) => each !== undefined).filter((each) => each.length >= SHORTEST_SECRET);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shorter ones stand in other words. */
const SHORTEST_SECRET = 4;

/**
 * Opens a log of JSON lines, or, `pretty`, of one line for people each. User and email ids are logged as the first 12 hex
 * digits of their SHA-256, what others wrote not at all; with `text` both as they are. Synchronous, so that the last line
 * is there when the process ends. pino writes the lines (https://getpino.io).
 */
export function createLog(options: LogOptions = {}): Log {
  const { level = "info", format = "json", text = false, secrets = [], stream = STDERR } = options;
  const render = format === "pretty" ? renderLine : (line: string) => line;
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Nothing of the kind is logged; should a field of that name come about, this is the second fence.
      redact: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]),
    },
    {
      write: (line: string) =>
        void stream.write(`${withoutControls(withoutSecrets(render(line), secrets).trimEnd())}\n`),
    },
  );
  return {
    event: (name, fields) => {
      if (!logger.isLevelEnabled(LEVELS[name])) return;
      logger[LEVELS[name]]({ event: name, ...fieldsOf(fields, text) });
    },
  };
}

const SECRET_FIELDS = [
  ...["authorization", "Authorization", "cookie", "token", "password", "secret"],
  ...["apiKey", "api_key", "connectionString", "connection_string", "headers"],
];

/** The fields of an event as they are logged. What the types do not know is left out, since a cast can bring anything. */
function fieldsOf(given: object, isOpen: boolean): Record<string, unknown> {
  const fields = new Map<string, unknown>(Object.entries(given));
  const idOf = (name: string) => {
    const id = fields.get(name);
    return typeof id === "string" ? { [name]: isOpen ? id : hashText(id, HASH_LENGTH) } : {};
  };
  const words = Object.entries(WORDS).flatMap(([name, known]) => {
    const word = fields.get(name);
    return known.some((each) => each === word) || word === null ? [[name, word]] : [];
  });
  const numbers = [...NUMBERS.map((name) => [name, fields.get(name)] as const), ...usageOf(fields.get("usage"))];
  const route = fields.get("route");
  return {
    ...idOf("user"),
    ...idOf("email"),
    ...Object.fromEntries(words),
    ...(typeof route === "string" && ROUTE.test(route) ? { route } : {}),
    ...Object.fromEntries(numbers.filter(([, value]) => typeof value === "number")),
    ...(fields.has("error") ? { error: describeError(fields.get("error"), { isOpen }) } : {}),
    ...(isOpen ? textsOf(fields.get("text")) : {}),
  };
}

function textsOf(text: unknown): { text?: Record<string, unknown> } {
  if (typeof text !== "object" || text === null) return {};
  return { text: Object.fromEntries(Object.entries(text).filter(([, value]) => typeof value === "string")) };
}

const HASH_LENGTH = 12;
const ROUTE = /^(?:\/(?:[\w-]+|:\w+|\*))*\/?$/;

function usageOf(usage: unknown): [string, unknown][] {
  return typeof usage === "object" && usage !== null ? Object.entries(usage).filter(([name]) => isUsage(name)) : [];
}

const USAGE = ["model_calls", "input_tokens", "output_tokens", "embedding_calls", "store_round_trips", "ms"];
const isUsage = (name: string) => USAGE.includes(name);

/** A line without secrets: those that are known, and what has the form of one. */
function withoutSecrets(line: string, secrets: readonly string[]): string {
  // One may stand in another.
  const forms = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  const longest = forms.sort((a, b) => b.length - a.length);
  const known = longest.reduce((text, secret) => text.replaceAll(secret, "***"), line);
  return known
    .replace(/\b(?:sk|lsv2|ghp|xox[a-z])[-_][\w-]{8,}/g, "***")
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, "$1 ***")
    .replace(/(\/\/)[^\s/@"\\]+@/g, "$1***@");
}

/** JSON escapes the first control characters only; the others, and those that turn text around, steer terminals too. */
function withoutControls(line: string): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return line.replace(/[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/gu, escaped);
}

/** A JSON line as `17:03:09 INFO  email.handled label=respond model_calls=2`. */
function renderLine(line: string): string {
  const { time, level, event, ...fields }: Record<string, unknown> = JSON.parse(line);
  const words = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
  );
  return [String(time).slice(11, 19), String(level).toUpperCase().padEnd(5), event, ...words].join(" ");
}
