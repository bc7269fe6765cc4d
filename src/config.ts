import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseDotenv } from "dotenv";
import { z } from "zod";
import { type ApiUser, renderTokens, tokensSchema } from "./api-tokens.ts";
import { MnemailError } from "./errors.ts";
import { renderStore, renderStoreSettings } from "./store-config/describe-store.ts";
import { maskSecret, maskUrl, nameUrl, quote } from "./store-config/masks.ts";
import {
  ALL_STORE_VARIABLES,
  POSTGRES_VARIABLES,
  STORE_VARIABLES,
  type StoreConfig,
  storeSchema,
} from "./store-config/store-config.ts";
import { describeTracing, TRACING_VALUES, type TracingConfig, tracingSchema } from "./tracing-config.ts";

/** Which model answers; `stand-in` is the loopback server that needs no key. */
export type ModelConfig =
  | { kind: "stand-in" }
  | { kind: "openai"; apiKey: string | undefined; baseUrl: string | undefined };

/** How much is logged: each level and those before it. */
export const LOG_LEVELS = ["silent", "error", "warn", "info", "debug"] as const;

/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What is logged and how; undefined is left to who opens the log. `text`: ids, addresses and the text of mail too. */
export interface LogConfig {
  level: LogLevel | undefined;
  format: "json" | "pretty" | undefined;
  text: boolean;
}

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
  /** How words are compared in searches: English stems, or words as they are. */
  searchLanguage: "english" | "simple";
  calendarPath: string | undefined;
  /** The folder of the drafts and events that were approved. */
  outboxPath: string;
  /** Whether facts are extracted from emails that are done, for one model call each. */
  memoryExtraction: boolean;
  /** Who may use the server, by which tokens; undefined leaves it open. */
  apiTokens: readonly ApiUser[] | undefined;
  log: LogConfig;
  /** What a server of ours knows the user of this program by. */
  apiToken: string | undefined;
  /** The command that opens a text for the user to change. */
  editor: string | undefined;
  /** Undefined where nothing is traced. */
  tracing: TracingConfig | undefined;
}

const MODEL_VARIABLES = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "MNEMAIL_MODEL"] as const;

const TRACING_VARIABLES = [
  ...["LANGSMITH_TRACING", "LANGSMITH_API_KEY", "LANGSMITH_ENDPOINT", "LANGSMITH_PROJECT"],
  ...["LANGSMITH_HIDE_INPUTS", "LANGSMITH_HIDE_OUTPUTS"],
];

type Environment = Record<string, string | undefined>;

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
    SEARCH_LANGUAGE: z.enum(["english", "simple"]).default("english"),
    CALENDAR_PATH: z.string().optional(),
    OUTBOX_PATH: z.string().default(".mnemail/outbox"),
    MEMORY_EXTRACTION: z.enum(["on", "off"]).default("on"),
    API_TOKENS: tokensSchema,
    MNEMAIL_TOKEN: z
      .string()
      .regex(/^[\x21-\x7e]+$/)
      .optional(),
    VISUAL: z.string().optional(),
    EDITOR: z.string().optional(),
    LOG_LEVEL: z.enum(LOG_LEVELS).optional(),
    LOG_FORMAT: z.enum(["json", "pretty"]).optional(),
    LOG_TEXT: z.enum(["on", "off"]).default("off"),
    tracing: tracingSchema,
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
      searchLanguage: raw.SEARCH_LANGUAGE,
      calendarPath: raw.CALENDAR_PATH,
      outboxPath: raw.OUTBOX_PATH,
      memoryExtraction: raw.MEMORY_EXTRACTION === "on",
      apiTokens: raw.API_TOKENS,
      apiToken: raw.MNEMAIL_TOKEN,
      editor: raw.VISUAL ?? raw.EDITOR,
      log: { level: raw.LOG_LEVEL, format: raw.LOG_FORMAT, text: raw.LOG_TEXT === "on" },
      tracing: raw.tracing,
    }),
  );

/**
 * Reads the configuration: `.env.${NODE_ENV}` of the working directory under the process environment. A
 * variable set to nothing counts as unset. Where the process environment says where items are kept, what the file says of
 * that and of vectors is ignored, so that a half-overridden store cannot come about. `storeUrl`, with `vectorUrl`, stands
 * for all of these.
 *
 * @throws MnemailError("config") that lists every problem: what was seen, what is allowed, what to do.
 */
export function loadConfig(
  options: { environment?: Environment; directory?: string; storeUrl?: string; vectorUrl?: string } = {},
): Config {
  const own = withoutEmpty(options.environment ?? process.env);
  const nodeEnv = own["NODE_ENV"] ?? "development";
  const file = readEnvironmentFile(join(options.directory ?? process.cwd(), `.env.${nodeEnv}`));
  const placeVariables = [...STORE_VARIABLES, "VECTOR_URL"];
  if (STORE_VARIABLES.some((name) => own[name] !== undefined)) for (const name of placeVariables) delete file[name];
  const all: Environment = { ...file, ...own, NODE_ENV: nodeEnv };
  if (options.storeUrl !== undefined) {
    for (const name of placeVariables) delete all[name];
    Object.assign(all, { STORE_URL: options.storeUrl, VECTOR_URL: options.vectorUrl });
  }
  const production = nodeEnv === "production";
  const parsed = configSchema.safeParse({
    ...all,
    store: { production, ...pick(all, ALL_STORE_VARIABLES) },
    model: { production, ...pick(all, MODEL_VARIABLES) },
    tracing: tracingVariables(all),
  });
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => renderIssue(issue, all));
  throw new MnemailError("config", problems.join("\n"), undefined, { cause: parsed.error });
}

/** The variables of LangSmith as LangChain takes them: in their older spelling too, and on where any spelling says so. */
function tracingVariables(all: Environment): Environment {
  const older = (name: string) => name.replace("LANGSMITH", "LANGCHAIN");
  const found = TRACING_VARIABLES.flatMap((name) => {
    const value = all[name] ?? all[older(name)];
    return value === undefined ? [] : [[name, value]];
  });
  const switches = ["LANGSMITH_TRACING", "LANGSMITH_TRACING_V2"].flatMap((name) => [all[name], all[older(name)]]);
  return { ...Object.fromEntries(found), ...(switches.includes("true") ? { LANGSMITH_TRACING: "true" } : {}) };
}

/**
 * Puts the tracing of a configuration into the process environment, the one place where LangChain looks for it: the
 * settings may come from a file. What `config` shows is then what happens.
 */
export function exportTracing({ tracing }: Pick<Config, "tracing">): void {
  if (!tracing) return;
  Object.assign(process.env, {
    LANGSMITH_TRACING: "true",
    LANGSMITH_API_KEY: tracing.apiKey,
    LANGSMITH_ENDPOINT: tracing.endpoint,
    LANGSMITH_PROJECT: tracing.project,
    LANGSMITH_HIDE_INPUTS: String(tracing.hideInputs),
    LANGSMITH_HIDE_OUTPUTS: String(tracing.hideOutputs),
  });
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
    SEARCH_LANGUAGE: "english, simple",
    MEMORY_EXTRACTION: "on, off",
    LOG_LEVEL: LOG_LEVELS.join(", "),
    LOG_FORMAT: "json, pretty",
    LOG_TEXT: "on, off",
    MNEMAIL_TOKEN: "a token without blanks or line breaks",
    ...TRACING_VALUES,
    ...POSTGRES_VARIABLES,
  };
  const value = all[name] ?? "";
  const isKey = name.endsWith("_API_KEY") || name === "MNEMAIL_TOKEN";
  const isUrl = name === "OPENAI_BASE_URL" || name === "LANGSMITH_ENDPOINT";
  const seen = isKey ? "a value that cannot be a key" : isUrl ? nameUrl(value) : quote(value);
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
    ...renderStoreSettings(config.store),
    search_language: config.searchLanguage,
    memory_extraction: config.memoryExtraction ? "on" : "off",
    calendar_path: config.calendarPath ?? "not set",
    outbox_path: config.outboxPath,
    api_tokens: renderTokens(config.apiTokens),
    mnemail_token: maskSecret(config.apiToken),
    editor: config.editor ?? "not set",
    log_level: config.log.level ?? "error, of servers info",
    log_format: config.log.format ?? "json, on a terminal pretty",
    log_text: config.log.text ? "on: the log holds the text of mail" : "off",
    tracing: describeTracing(config.tracing),
    ...(config.tracing ? { langsmith_api_key: maskSecret(config.tracing.apiKey) } : {}),
  };
}
