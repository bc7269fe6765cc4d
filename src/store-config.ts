import { z } from "zod";

/** Where memory is kept: the parsed form of STORE_URL and of the guides' USE_PERSISTENT_STORE. */
export type StoreConfig = { backend: "memory" } | { backend: "sqlite"; path: string } | PostgresConfig;

/** A PostgreSQL database and how to use it. Durations in milliseconds. */
export interface PostgresConfig {
  backend: "postgres";
  url: string;
  poolMax: number;
  idleTimeoutMs: number;
  connectTimeoutMs: number;
  /** The longest one statement may take; 0 sends no such limit, as poolers need it. */
  statementTimeoutMs: number;
  /** How long a server that is away is waited for. */
  retryMs: number;
  /** A file whose text is the password, read for each connection. */
  passwordFile?: string;
}

type ParsedUrl = { backend: "memory" } | { backend: "sqlite"; path: string } | { backend: "postgres"; url: string };

const STORE_URL_FORMS = "memory:, sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE";

/** The variables that say where memory is kept: from one source, or a half-overridden store comes about. */
export const STORE_VARIABLES = ["STORE_URL", "USE_PERSISTENT_STORE", "POSTGRES_CONNECTION_STRING"] as const;

/** What the variables of a PostgreSQL store may be, for error messages. */
export const POSTGRES_VARIABLES = {
  POSTGRES_POOL_MAX: "a whole number from 1 to 1000",
  POSTGRES_IDLE_TIMEOUT_MS: "whole milliseconds from 0 to 86400000",
  POSTGRES_CONNECT_TIMEOUT_MS: "whole milliseconds from 100 to 600000",
  POSTGRES_STATEMENT_TIMEOUT_MS: "whole milliseconds from 0 (no limit) to 86400000",
  POSTGRES_RETRY_MS: "whole milliseconds from 0 to 600000",
  POSTGRES_PASSWORD_FILE: "the path of a file",
};

const integer = (minimum: number, maximum: number, initial: number) =>
  z.coerce.number().int().min(minimum).max(maximum).default(initial);

/** The variables that decide where memory is kept, into a {@link StoreConfig}. */
export const storeSchema = z
  .object({
    production: z.boolean(),
    STORE_URL: z.string().optional(),
    USE_PERSISTENT_STORE: z.string().optional(),
    POSTGRES_CONNECTION_STRING: z.string().optional(),
    POSTGRES_POOL_MAX: integer(1, 1_000, 10),
    POSTGRES_IDLE_TIMEOUT_MS: integer(0, 86_400_000, 30_000),
    POSTGRES_CONNECT_TIMEOUT_MS: integer(100, 600_000, 5_000),
    POSTGRES_STATEMENT_TIMEOUT_MS: integer(0, 86_400_000, 30_000),
    POSTGRES_RETRY_MS: integer(0, 600_000, 10_000),
    POSTGRES_PASSWORD_FILE: z.string().optional(),
  })
  .transform((raw, context): StoreConfig => {
    const postgres = (url: string): PostgresConfig => ({
      backend: "postgres",
      url,
      poolMax: raw.POSTGRES_POOL_MAX,
      idleTimeoutMs: raw.POSTGRES_IDLE_TIMEOUT_MS,
      connectTimeoutMs: raw.POSTGRES_CONNECT_TIMEOUT_MS,
      statementTimeoutMs: raw.POSTGRES_STATEMENT_TIMEOUT_MS,
      retryMs: raw.POSTGRES_RETRY_MS,
      ...(raw.POSTGRES_PASSWORD_FILE === undefined ? {} : { passwordFile: raw.POSTGRES_PASSWORD_FILE }),
    });
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
      return url.backend === "postgres" ? postgres(url.url) : url;
    }
    if (persistent === false) return { backend: "memory" };
    if (connection !== undefined) return postgres(connection);
    if (persistent === true) {
      return refuse(
        "USE_PERSISTENT_STORE",
        "true needs POSTGRES_CONNECTION_STRING beside it; set that, or STORE_URL=sqlite:PATH to keep memory in a file",
      );
    }
    if (raw.production) return refuse("STORE_URL", `not set; in production name a store: ${STORE_URL_FORMS}`);
    return { backend: "sqlite", path: ".mnemail/memory.db" };
  });

function parseBoolean(text: string): boolean | "unknown" {
  const known: Record<string, boolean> = { true: true, "1": true, false: false, "0": false };
  return Object.hasOwn(known, text.toLowerCase()) ? (known[text.toLowerCase()] ?? "unknown") : "unknown";
}

function parseStoreUrl(text: string): ParsedUrl | "unknown" | "no path" | "options" {
  if (isPostgresUrl(text)) return { backend: "postgres", url: text };
  if (text === "memory:") return { backend: "memory" };
  if (text.startsWith("memory:")) return "options";
  if (!text.startsWith("sqlite:")) return "unknown";
  const path = text.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "");
  return path === "" || path.startsWith(":") || path.startsWith("//") ? "no path" : { backend: "sqlite", path };
}

function isPostgresUrl(text: string): boolean {
  if (!/^postgres(ql)?:\/\/./.test(text) || !URL.canParse(text)) return false;
  // A / ? or # of a password that is not escaped ends the host; then the @ before the real one stands behind it.
  const { pathname, search, hash } = new URL(text);
  return !`${pathname}${search}${hash}`.includes("@");
}

/** A value as an error message shows it. */
export function quote(text: string | undefined): string {
  // A key may have ended up in the wrong variable.
  return JSON.stringify((text ?? "").replace(/^sk-.*/s, "sk-…").slice(0, 120));
}

/** Shows a URL without what may be secret in it: user information and query. Whole text that is no URL is hidden. */
export function maskUrl(text: string): string {
  // An unescaped / or @ of a password ends up in what a parser takes for host and path.
  if (/^[a-z]+:\/\/[^?#]*[/?#].*@/i.test(text)) return text.replace(/\/\/.*@/s, "//***@").replace(/\?.*$/s, "?***");
  if (!URL.canParse(text)) return "***";
  const { protocol, username, host, pathname, search } = new URL(text);
  return `${protocol}//${username ? "***@" : ""}${host}${pathname}${search ? "?***" : ""}`;
}

/** Names a URL that is not allowed by its scheme alone, since the rest may hold a password. */
export function nameUrl(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0];
  if (scheme !== undefined) return quote(scheme.length === text.length ? scheme : `${scheme}…`);
  return /^[\w./-]{1,40}$/.test(text) ? quote(text) : "a value without a scheme";
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

/** The settings of a PostgreSQL store as names and values for people. */
export function renderPostgres(config: PostgresConfig): Record<string, string | number> {
  return {
    postgres_pool_max: config.poolMax,
    postgres_idle_timeout_ms: config.idleTimeoutMs,
    postgres_connect_timeout_ms: config.connectTimeoutMs,
    postgres_statement_timeout_ms: config.statementTimeoutMs,
    postgres_retry_ms: config.retryMs,
    postgres_password_file: config.passwordFile ?? "not set",
  };
}
