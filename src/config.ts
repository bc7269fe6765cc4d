import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseDotenv } from "dotenv";
import { z } from "zod";
import { MnemailError } from "./errors.ts";

/** Where memory is kept: the parsed form of STORE_URL and of the guides' USE_PERSISTENT_STORE. */
export type StoreConfig =
  | { backend: "memory" }
  | { backend: "sqlite"; path: string }
  | { backend: "postgres"; url: string };

/** Which model answers; `stand-in` is the loopback server that needs no key. */
export type ModelConfig =
  | { kind: "stand-in" }
  | { kind: "openai"; apiKey: string | undefined; baseUrl: string | undefined };

/** Every setting of the program, validated and frozen. Durations in milliseconds. */
export interface Config {
  environment: string;
  store: StoreConfig;
  model: ModelConfig;
  chatModel: string;
  /** `none` switches embeddings off: memory is then searched by words alone. */
  embeddingModel: string;
  modelTimeoutMs: number;
  modelMaxRetries: number;
  /** Hard cap on the model calls of one answer, triage not counted. */
  respondMaxModelCalls: number;
  calendarPath: string | undefined;
}

const STORE_URL_FORMS = "memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE (from a later version on)";

const STORE_VARIABLES = ["STORE_URL", "USE_PERSISTENT_STORE", "POSTGRES_CONNECTION_STRING"] as const;
const MODEL_VARIABLES = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "MNEMAIL_MODEL"] as const;

type Environment = Record<string, string | undefined>;

const storeSchema = z
  .object({
    production: z.boolean(),
    STORE_URL: z.string().optional(),
    USE_PERSISTENT_STORE: z.string().optional(),
    POSTGRES_CONNECTION_STRING: z.string().optional(),
  })
  .transform((raw, context): StoreConfig => {
    const refuse = (name: string, message: string) => {
      context.addIssue({ code: "custom", path: [name], message });
      return z.NEVER;
    };
    const connection = raw.POSTGRES_CONNECTION_STRING;
    const url = raw.STORE_URL === undefined ? undefined : parseStoreUrl(raw.STORE_URL);
    const persistent = raw.USE_PERSISTENT_STORE === undefined ? undefined : parseBoolean(raw.USE_PERSISTENT_STORE);
    if (url === "unknown" || url === "no path" || url === "options") {
      const problem = { unknown: "", "no path": ", without a usable path", options: "; memory: takes no options" }[url];
      refuse("STORE_URL", `saw ${nameUrl(raw.STORE_URL ?? "")}${problem}; allowed: ${STORE_URL_FORMS}`);
    }
    if (persistent === "unknown") {
      refuse("USE_PERSISTENT_STORE", `saw ${quote(raw.USE_PERSISTENT_STORE)}; allowed: true, false`);
    }
    if (connection !== undefined && !isPostgresUrl(connection)) {
      refuse(
        "POSTGRES_CONNECTION_STRING",
        `saw ${nameUrl(connection)}; allowed: postgres://USER:PASSWORD@HOST/DATABASE`,
      );
    }
    if (context.issues.length > 0 || typeof url === "string" || persistent === "unknown") return z.NEVER;
    if (url !== undefined) {
      if (persistent !== undefined && persistent !== (url.backend !== "memory")) {
        return refuse(
          "STORE_URL",
          `${nameUrl(raw.STORE_URL ?? "")} contradicts USE_PERSISTENT_STORE=${raw.USE_PERSISTENT_STORE}; unset one of the two`,
        );
      }
      if (connection !== undefined && (url.backend !== "postgres" || url.url !== connection)) {
        return refuse(
          "STORE_URL",
          `${nameUrl(raw.STORE_URL ?? "")} contradicts POSTGRES_CONNECTION_STRING; unset one of the two`,
        );
      }
      return url;
    }
    if (persistent === false) return { backend: "memory" };
    if (connection !== undefined) return { backend: "postgres", url: connection };
    if (persistent === true) {
      return refuse(
        "USE_PERSISTENT_STORE",
        "true needs POSTGRES_CONNECTION_STRING beside it; set that, or STORE_URL=sqlite:PATH to keep memory in a file",
      );
    }
    if (raw.production) return refuse("STORE_URL", `not set; in production name a store: ${STORE_URL_FORMS}`);
    return { backend: "sqlite", path: ".mnemail/memory.db" };
  });

const modelSchema = z
  .object({
    production: z.boolean(),
    MNEMAIL_MODEL: z.enum(["stand-in", "openai"]).optional(),
    OPENAI_API_KEY: z
      .string()
      .regex(/^[\x21-\x7e]+$/)
      .optional(),
    OPENAI_BASE_URL: z.url({ protocol: /^https?$/ }).optional(),
  })
  .transform((raw, context): ModelConfig => {
    const reachable = raw.OPENAI_API_KEY !== undefined || raw.OPENAI_BASE_URL !== undefined;
    if (raw.MNEMAIL_MODEL === "stand-in") return { kind: "stand-in" };
    if (reachable) return { kind: "openai", apiKey: raw.OPENAI_API_KEY, baseUrl: raw.OPENAI_BASE_URL };
    if (raw.MNEMAIL_MODEL === undefined && !raw.production) return { kind: "stand-in" };
    context.addIssue({
      code: "custom",
      path: ["OPENAI_API_KEY"],
      message:
        "not set; set it, or OPENAI_BASE_URL for a server of your own, or MNEMAIL_MODEL=stand-in for the model that only proves wiring",
    });
    return z.NEVER;
  });

const integer = (minimum: number, maximum: number, initial: number) =>
  z.coerce.number().int().min(minimum).max(maximum).default(initial);

const configSchema = z
  .object({
    NODE_ENV: z.string().default("development"),
    store: storeSchema,
    model: modelSchema,
    CHAT_MODEL: z.string().default("gpt-4.1-mini"),
    EMBEDDING_MODEL: z.string().default("text-embedding-3-small"),
    MODEL_TIMEOUT_MS: integer(100, 600_000, 60_000),
    MODEL_MAX_RETRIES: integer(0, 10, 2),
    RESPOND_MAX_MODEL_CALLS: integer(1, 20, 6),
    CALENDAR_PATH: z.string().optional(),
  })
  .transform(
    (raw): Config => ({
      environment: raw.NODE_ENV,
      store: raw.store,
      model: raw.model,
      chatModel: raw.CHAT_MODEL,
      embeddingModel: raw.EMBEDDING_MODEL,
      modelTimeoutMs: raw.MODEL_TIMEOUT_MS,
      modelMaxRetries: raw.MODEL_MAX_RETRIES,
      respondMaxModelCalls: raw.RESPOND_MAX_MODEL_CALLS,
      calendarPath: raw.CALENDAR_PATH,
    }),
  );

/**
 * Reads the configuration: `.env.${NODE_ENV}` of the working directory under the process environment. A
 * variable set to nothing counts as unset. Where the process environment sets any store variable, the file's
 * store variables are ignored, so that a half-overridden store cannot come about.
 *
 * @throws MnemailError("config") that lists every problem: what was seen, what is allowed, what to do.
 */
export function loadConfig(options: { environment?: Environment; directory?: string } = {}): Config {
  const own = withoutEmpty(options.environment ?? process.env);
  const nodeEnv = own["NODE_ENV"] ?? "development";
  const file = readEnvironmentFile(join(options.directory ?? process.cwd(), `.env.${nodeEnv}`));
  if (STORE_VARIABLES.some((name) => own[name] !== undefined)) for (const name of STORE_VARIABLES) delete file[name];
  const all: Environment = { ...file, ...own, NODE_ENV: nodeEnv };
  const production = nodeEnv === "production";
  const parsed = configSchema.safeParse({
    ...all,
    store: { production, ...pick(all, STORE_VARIABLES) },
    model: { production, ...pick(all, MODEL_VARIABLES) },
  });
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => renderIssue(issue, all));
  throw new MnemailError("config", problems.join("\n"), undefined, { cause: parsed.error });
}

function renderIssue(issue: z.core.$ZodIssue, all: Environment): string {
  const name = String(issue.path.at(-1) ?? "configuration");
  if (issue.code === "custom") return `${name}: ${issue.message}`;
  const allowed: Record<string, string> = {
    MNEMAIL_MODEL: "stand-in, openai",
    OPENAI_API_KEY: "a key without blanks or line breaks",
    OPENAI_BASE_URL: "an http or https address such as http://127.0.0.1:11434/v1",
    MODEL_TIMEOUT_MS: "whole milliseconds from 100 to 600000",
    MODEL_MAX_RETRIES: "a whole number from 0 to 10",
    RESPOND_MAX_MODEL_CALLS: "a whole number from 1 to 20",
  };
  const value = all[name] ?? "";
  const seen =
    { OPENAI_API_KEY: "a value that cannot be a key", OPENAI_BASE_URL: nameUrl(value) }[name] ?? quote(value);
  return `${name}: saw ${seen}; allowed: ${allowed[name] ?? issue.message}; correct or unset it`;
}

function readEnvironmentFile(path: string): Environment {
  try {
    return withoutEmpty(parseDotenv(readFileSync(path)));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw new MnemailError("config", `${path}: cannot be read; make it readable or remove it`, undefined, {
      cause: error,
    });
  }
}

function withoutEmpty(environment: Environment): Environment {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value?.trim() ? [[name, value.trim()]] : [])),
  );
}

function pick(environment: Environment, names: readonly string[]): Environment {
  return Object.fromEntries(names.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])));
}

function parseBoolean(text: string): boolean | "unknown" {
  const known: Record<string, boolean> = { true: true, "1": true, false: false, "0": false };
  return Object.hasOwn(known, text.toLowerCase()) ? (known[text.toLowerCase()] ?? "unknown") : "unknown";
}

function parseStoreUrl(text: string): StoreConfig | "unknown" | "no path" | "options" {
  if (isPostgresUrl(text)) return { backend: "postgres", url: text };
  if (text === "memory:") return { backend: "memory" };
  if (text.startsWith("memory:")) return "options";
  if (!text.startsWith("sqlite:")) return "unknown";
  const path = text.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "");
  return path === "" || path.startsWith(":") || path.startsWith("//") ? "no path" : { backend: "sqlite", path };
}

function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\/./.test(text) && URL.canParse(text);
}

function quote(text: string | undefined): string {
  // A key may have ended up in the wrong variable.
  return JSON.stringify((text ?? "").replace(/^sk-.*/s, "sk-…").slice(0, 120));
}

/** Shows a URL without what may be secret in it: user information and query. Whole text that is no URL is hidden. */
export function maskUrl(text: string): string {
  if (!URL.canParse(text)) return "***";
  const { protocol, username, host, pathname, search } = new URL(text);
  return `${protocol}//${username ? "***@" : ""}${host}${pathname}${search ? "?***" : ""}`;
}

/** Names a URL that is not allowed by its scheme alone, since the rest may hold a password. */
function nameUrl(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0];
  if (scheme !== undefined) return quote(scheme.length === text.length ? scheme : `${scheme}…`);
  return /^[\w./-]{1,40}$/.test(text) ? quote(text) : "a value without a scheme";
}

/** The configuration as a flat list of names and values for people, secrets masked. */
export function renderConfig(config: Config): Record<string, string | number> {
  const model: Record<string, string> =
    config.model.kind === "stand-in"
      ? { model: "stand-in (proves wiring, not quality)" }
      : {
          model: "openai",
          openai_api_key: maskSecret(config.model.apiKey),
          openai_base_url: maskUrl(config.model.baseUrl ?? "https://api.openai.com/v1"),
          chat_model: config.chatModel,
          embedding_model: config.embeddingModel,
        };
  return {
    environment: config.environment,
    store: renderStore(config.store),
    ...model,
    model_timeout_ms: config.modelTimeoutMs,
    model_max_retries: config.modelMaxRetries,
    respond_max_model_calls: config.respondMaxModelCalls,
    calendar_path: config.calendarPath ?? "not set",
  };
}

/** The store as a URL, secrets masked. */
export function renderStore(store: StoreConfig): string {
  if (store.backend === "memory") return "memory:";
  return store.backend === "sqlite" ? `sqlite:${store.path}` : maskUrl(store.url);
}

/** One line that says where memory is kept, and warns where it will be lost. */
export function describeStore(store: StoreConfig): string {
  return store.backend === "memory"
    ? "memory: in this process only, LOST AT EXIT (set STORE_URL=sqlite:PATH to keep it)"
    : `memory: kept in ${renderStore(store)}`;
}

function maskSecret(secret: string | undefined): string {
  if (secret === undefined) return "not set";
  return secret.length >= 20 ? `set (ends in …${secret.slice(-4)})` : "set";
}
