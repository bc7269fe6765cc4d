import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { nameUrl, quote } from "./masks.ts";
import { checkS3, type S3Config } from "./s3-place.ts";
import {
  isPostgresUrl,
  type ParsedStoreUrl,
  parseStoreUrl,
  type SnapshotConfig,
  STORE_URL_FORMS,
} from "./store-url.ts";
import { keyNameOf } from "./vector-place.ts";

/** Where items are kept, as the settings say it. */
export type PlaceConfig =
  | { backend: "memory"; snapshot?: SnapshotConfig }
  | { backend: "sqlite"; path: string }
  | { backend: "file"; path: string; mode?: number }
  | { backend: "redis"; url: string }
  | ({ backend: "s3" } & S3Config)
  | PostgresConfig;

/** Where memory is kept. With `vectors` it is a hybrid: they are in a vector database, and nothing else. */
export type StoreConfig = PlaceConfig & { vectors?: VectorConfig };

/** A vector database by its URL (`vector-place.ts`), with its key where it wants one. */
export interface VectorConfig {
  url: string;
  apiKey?: string;
}

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

/** The variables that say where items are kept: from one source, or a half-overridden store comes about. */
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

const settings = z.object({
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
  AWS_ACCESS_KEY_ID: z.string().default(""),
  AWS_SECRET_ACCESS_KEY: z.string().default(""),
  AWS_SESSION_TOKEN: z.string().optional(),
  AWS_REGION: z.string().optional(),
  AWS_ENDPOINT_URL_S3: z.string().optional(),
  AWS_ENDPOINT_URL: z.string().optional(),
  VECTOR_URL: z.string().optional(),
  CHROMA_API_KEY: z.string().optional(),
  QDRANT_API_KEY: z.string().optional(),
  PINECONE_API_KEY: z.string().optional(),
  WEAVIATE_API_KEY: z.string().optional(),
});
type Settings = z.output<typeof settings>;

/** The names of all variables of {@link storeSchema}. */
export const ALL_STORE_VARIABLES = Object.keys(settings.shape).filter((name) => name !== "production");

/** The variables that decide where memory is kept, into a {@link StoreConfig}. */
export const storeSchema = settings.transform((raw, context): StoreConfig => {
  const problems: { name: string; message: string }[] = [];
  const refuse = (name: string, message: string) => void problems.push({ name, message });
  const vectors = raw.VECTOR_URL === undefined ? undefined : readVectors(raw, raw.VECTOR_URL, refuse);
  const place = readPlace(raw, refuse);
  for (const { name, message } of problems) context.addIssue({ code: "custom", path: [name], message });
  if (!place || problems.length > 0) return z.NEVER;
  return vectors ? { ...place, vectors } : place;
});

type Refuse = (name: string, message: string) => undefined;

/** Undefined where something was refused. */
function readPlace(raw: Settings, refuse: Refuse): PlaceConfig | undefined {
  const { STORE_URL: text, POSTGRES_CONNECTION_STRING: connection } = raw;
  const parsed = text === undefined ? undefined : reading("STORE_URL", refuse, () => parseStoreUrl(text));
  const persistent = raw.USE_PERSISTENT_STORE === undefined ? undefined : parseBoolean(raw.USE_PERSISTENT_STORE);
  const isConnection = connection === undefined || isPostgresUrl(connection);
  if (persistent === "unknown") {
    refuse("USE_PERSISTENT_STORE", `saw ${quote(raw.USE_PERSISTENT_STORE)}; allowed: true, false`);
  }
  if (!isConnection) {
    const allowed = "postgres://USER:PASSWORD@HOST/DATABASE";
    refuse("POSTGRES_CONNECTION_STRING", `saw ${nameUrl(connection)}; allowed: ${allowed}`);
  }
  if (persistent === "unknown" || !isConnection || (text !== undefined && !parsed)) return undefined;
  if (parsed) {
    const contradicts = (other: string) =>
      refuse("STORE_URL", `${nameUrl(text ?? "")} contradicts ${other}; unset one of the two`);
    if (persistent !== undefined && persistent !== isKept(parsed)) {
      return contradicts(`USE_PERSISTENT_STORE=${raw.USE_PERSISTENT_STORE}`);
    }
    if (connection !== undefined && (parsed.backend !== "postgres" || parsed.url !== connection)) {
      return contradicts("POSTGRES_CONNECTION_STRING");
    }
    return completed(parsed, raw, refuse);
  }
  if (persistent === false) return { backend: "memory" };
  if (connection !== undefined) return completed({ backend: "postgres", url: connection }, raw, refuse);
  if (persistent === true) {
    return refuse(
      "USE_PERSISTENT_STORE",
      "true needs POSTGRES_CONNECTION_STRING beside it; set that, or STORE_URL=sqlite:PATH to keep memory in a file",
    );
  }
  if (raw.production) return refuse("STORE_URL", `not set; in production name a store: ${STORE_URL_FORMS}`);
  return { backend: "sqlite", path: ".mnemail/memory.db" };
}

/** What a URL says, with the settings that belong to it. */
function completed(parsed: ParsedStoreUrl, raw: Settings, refuse: Refuse): PlaceConfig | undefined {
  if (parsed.backend === "postgres") {
    return {
      ...parsed,
      poolMax: raw.POSTGRES_POOL_MAX,
      idleTimeoutMs: raw.POSTGRES_IDLE_TIMEOUT_MS,
      connectTimeoutMs: raw.POSTGRES_CONNECT_TIMEOUT_MS,
      statementTimeoutMs: raw.POSTGRES_STATEMENT_TIMEOUT_MS,
      retryMs: raw.POSTGRES_RETRY_MS,
      ...(raw.POSTGRES_PASSWORD_FILE === undefined ? {} : { passwordFile: raw.POSTGRES_PASSWORD_FILE }),
    };
  }
  if (parsed.backend !== "s3") return parsed;
  const endpoint = raw.AWS_ENDPOINT_URL_S3 ?? raw.AWS_ENDPOINT_URL;
  const config: S3Config = {
    ...{ bucket: parsed.bucket, prefix: parsed.prefix },
    ...{ accessKeyId: raw.AWS_ACCESS_KEY_ID, secretAccessKey: raw.AWS_SECRET_ACCESS_KEY },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(raw.AWS_REGION === undefined ? {} : { region: raw.AWS_REGION }),
    ...(raw.AWS_SESSION_TOKEN === undefined ? {} : { sessionToken: raw.AWS_SESSION_TOKEN }),
  };
  const isUsable = reading("STORE_URL", refuse, () => checkS3(config)) !== undefined;
  return isUsable ? { backend: "s3", ...config } : undefined;
}

function readVectors(raw: Settings, url: string, refuse: Refuse): VectorConfig | undefined {
  return reading("VECTOR_URL", refuse, () => {
    const name = keyNameOf(url);
    const apiKey = raw[name];
    if (apiKey === undefined) return { url };
    if (/^[\x21-\x7e]+$/.test(apiKey)) return { url, apiKey };
    return refuse(name, "saw a value that cannot be a key; allowed: a key without blanks or line breaks");
  });
}

/** What `read` returns, or undefined where it refuses: then as a problem of a variable. */
function reading<T>(name: string, refuse: Refuse, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MnemailError)) throw error;
    const what = error.message.replace(new RegExp(`^${name}: `), "");
    return refuse(name, error.hint === undefined ? what : `${what}; ${error.hint}`);
  }
}

function isKept(parsed: ParsedStoreUrl): boolean {
  return parsed.backend !== "memory" || parsed.snapshot !== undefined;
}

function parseBoolean(text: string): boolean | "unknown" {
  const known: Record<string, boolean> = { true: true, "1": true, false: false, "0": false };
  return Object.hasOwn(known, text.toLowerCase()) ? (known[text.toLowerCase()] ?? "unknown") : "unknown";
}
