import { type BaseStore, InMemoryStore, type Operation } from "@langchain/langgraph-checkpoint";
import { PostgresStore } from "@langchain/langgraph-checkpoint-postgres/store";
import { openStore } from "../src/store/open-store.ts";
import type { PostgresConfig } from "../src/store-config/store-config.ts";
import { DIMENSIONS, KnownEmbeddings, LIMIT, MODEL, QUERY } from "./data.ts";

/** Where upstream's tables are, beside ours. */
export const UPSTREAM_SCHEMA = "upstream";

/** One item of the benchmark. */
export interface BenchItem {
  namespace: string[];
  key: string;
  text: string;
}

/** What is compared. An operation that a floor does not have is absent. */
export interface Peer {
  name: string;
  put?(item: BenchItem): Promise<unknown>;
  putAll?(items: readonly BenchItem[]): Promise<unknown>;
  /** How many were found. */
  getAll?(addresses: readonly { namespace: string[]; key: string }[]): Promise<number>;
  /** The keys of the {@link LIMIT} nearest to the query, best first. */
  search(namespace: string[]): Promise<string[]>;
  /** How often texts were embedded until now. */
  embeddingCalls?(): number;
  close(): Promise<void>;
}

/** The stores whose file or database a second process can open too. */
export type StoreKind = "sqlite" | "postgres" | "upstream";

/** Names in tables. */
export const NAMES = {
  sqlite: "ours, SQLite",
  postgres: "ours, PostgreSQL",
  upstream: "upstream PostgresStore",
  memory: "upstream InMemoryStore",
  sql: "floor: SQL by hand",
  scan: "floor: memory scan",
} as const;

/** Opens one of the stores at a path or URL. */
export async function openPeer(kind: StoreKind, place: string): Promise<Peer> {
  const embeddings = new KnownEmbeddings();
  const index = { embeddings, model: MODEL, fields: ["text"] };
  if (kind === "sqlite")
    return storePeer(NAMES.sqlite, await openStore({ backend: "sqlite", path: place }, { index }), embeddings);
  if (kind === "postgres")
    return storePeer(NAMES.postgres, await openStore(postgresConfig(place), { index }), embeddings);
  const store = new PostgresStore({
    // As ours: one connection, which stays.
    connectionOptions: { connectionString: place, max: 1, idleTimeoutMillis: 0 },
    schema: UPSTREAM_SCHEMA,
    index: { dims: DIMENSIONS, embed: embeddings, fields: ["text"] },
  });
  await store.start();
  return storePeer(NAMES.upstream, store, embeddings);
}

/** LangGraph's store in process memory. */
export function createMemoryPeer(): Peer {
  const embeddings = new KnownEmbeddings();
  const store = new InMemoryStore({ index: { dims: DIMENSIONS, embeddings, fields: ["text"] } });
  return storePeer(NAMES.memory, store, embeddings);
}

/** One connection, which stays: PGlite gives each a session that others have used, with their prepared statements. */
function postgresConfig(url: string): PostgresConfig {
  const limits = { connectTimeoutMs: 10_000, statementTimeoutMs: 0, retryMs: 10_000 };
  return { backend: "postgres", url, poolMax: 1, idleTimeoutMs: 0, ...limits };
}

function storePeer(name: string, store: BaseStore, embeddings: KnownEmbeddings): Peer {
  return {
    name,
    put: ({ namespace, key, text }) => store.put(namespace, key, { text }),
    putAll: (items) =>
      store.batch(items.map(({ namespace, key, text }): Operation => ({ namespace, key, value: { text } }))),
    async getAll(addresses) {
      const found = await store.batch(addresses.map(({ namespace, key }) => ({ namespace, key })));
      return found.filter((item) => item !== null).length;
    },
    search: async (namespace) => (await store.search(namespace, { query: QUERY, limit: LIMIT })).map(({ key }) => key),
    embeddingCalls: () => embeddings.calls,
    close: async () => void (await store.stop()),
  };
}
