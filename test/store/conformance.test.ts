import { type BaseStore, InMemoryStore } from "@langchain/langgraph-checkpoint";
import { PostgresStore } from "@langchain/langgraph-checkpoint-postgres/store";
import { afterAll, beforeAll, describe } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { encodeLabels } from "../../src/store/encoded-labels.ts";
import { openHybridDriver } from "../../src/store/hybrid/hybrid-driver.ts";
import { openVectorIndex } from "../../src/store/hybrid/vector-stores.ts";
import { openFileDriver } from "../../src/store/key-value/file.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { openRedisDriver } from "../../src/store/key-value/redis.ts";
import { openS3Driver } from "../../src/store/key-value/s3.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import type { RowDriver } from "../../src/store/row-driver.ts";
import { openSnapshotDriver } from "../../src/store/snapshot-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { externalPostgres, startPglite, startPostgres, type TestDatabase } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { startLoopbackS3 } from "../support/s3.ts";
import { TEST_VECTORS, type TestVectors } from "../support/vector-servers/databases.ts";
import { hasVectorPackages, importVectorPackage } from "../support/vector-servers/packages.ts";
import { ProcessVectorStore, processVectors } from "../support/vector-store.ts";
import { BEYOND } from "./conformance/beyond.ts";
import { describeStore, type OpenOptions, type StoreUnderTest } from "./conformance/describe-store.ts";
import {
  FILE,
  HYBRID,
  HYBRID_DATABASE,
  HYBRID_PINECONE,
  IN_MEMORY_STORE,
  MAP,
  MEMORY,
  POSTGRES,
  REDIS,
  S3,
  SNAPSHOT,
  SQLITE,
  UPSTREAM_POSTGRES,
  WITHOUT_VECTORS,
} from "./conformance/differences.ts";
import { FILTERS } from "./conformance/filters.ts";
import { HANDLES } from "./conformance/handles.ts";
import { ITEMS } from "./conformance/items.ts";
import { RANKING } from "./conformance/rankings.ts";
import { SEARCHES } from "./conformance/searches.ts";

const CLAUSES = [...ITEMS, ...FILTERS, ...SEARCHES, ...RANKING, ...BEYOND, ...HANDLES];

/** One of our stores over drivers that all open the same, empty data; `release` removes it. */
function ours(
  openDriver: (options: OpenOptions) => Promise<RowDriver>,
  {
    differences = {},
    release = async () => {},
  }: { differences?: Record<string, string>; release?: () => Promise<void> },
): StoreUnderTest {
  let handles: MnemailStore[] = [];
  const open = async (options: OpenOptions) => {
    const { index, ...more } = options;
    const store = await MnemailStore.open(await openDriver(options), index ? { ...more, index } : more);
    handles.push(store);
    return store;
  };
  const close = async () => {
    for (const store of handles) await store.stop();
    handles = [];
  };
  return {
    open,
    openSecond: open,
    async reopen(options) {
      await close();
      return open(options);
    },
    async release() {
      await close();
      await release();
    },
    differences,
  };
}

describeStore("memory:", CLAUSES, async () => {
  const store = ours(async (options) => createMemoryDriver(options), { differences: MEMORY });
  const { openSecond: _, reopen: __, ...single } = store;
  return single;
});

describeStore("memory: with a snapshot", CLAUSES, async () => {
  const folder = temporaryFolder();
  const place = { path: folder.path("memory.snapshot"), everyMs: 60_000 };
  const store = ours((options) => openSnapshotDriver(place, options), {
    differences: SNAPSHOT,
    release: async () => folder[Symbol.dispose](),
  });
  const { openSecond: _, ...single } = store;
  return single;
});

describeStore("SQLite", CLAUSES, async () => {
  const folder = temporaryFolder();
  return ours(async (options) => openSqliteDriver(folder.path("memory.db"), options), {
    differences: SQLITE,
    release: async () => folder[Symbol.dispose](),
  });
});

describeStore("Map", CLAUSES, async () => {
  const map = new Map<string, string>();
  return ours(async (options) => createKeyValueDriver(mapKeyValue(map), options), { differences: MAP });
});

describeStore("hybrid: SQLite and a vector store in process", CLAUSES, async () => {
  const folder = temporaryFolder();
  const vectors = new ProcessVectorStore();
  const open = (options: OpenOptions) =>
    openHybridDriver(openSqliteDriver(folder.path("memory.db"), options), processVectors(vectors), options);
  return ours(open, { differences: HYBRID, release: async () => folder[Symbol.dispose]() });
});

describe.skipIf(!hasVectorPackages).each(TEST_VECTORS)("hybrid on $name", ({ name, isMadeBeforehand, start }) => {
  let server: TestVectors;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());

  describeStore(`hybrid: SQLite and ${name}`, CLAUSES, async () => {
    const folder = temporaryFolder();
    const url = server.newUrl();
    const { apiKey } = server;
    const access = { importPackage: importVectorPackage, ...(apiKey === undefined ? {} : { apiKey }) };
    const open = async (options: OpenOptions) =>
      openHybridDriver(
        openSqliteDriver(folder.path("memory.db"), options),
        await openVectorIndex(url, access),
        options,
      );
    const differences = isMadeBeforehand ? HYBRID_PINECONE : HYBRID_DATABASE;
    return ours(open, { differences, release: async () => folder[Symbol.dispose]() });
  });
});

describeStore("file:", CLAUSES, async () => {
  const folder = temporaryFolder();
  return ours((options) => openFileDriver(folder.path("memory"), options), {
    differences: FILE,
    release: async () => folder[Symbol.dispose](),
  });
});

const redis = await startRedis();
describe.skipIf(redis === undefined)("on a Redis server", () => {
  afterAll(() => redis?.stop());

  describeStore(`Redis (${redis?.name})`, CLAUSES, async () => {
    await redis?.ask("FLUSHALL");
    return ours((options) => openRedisDriver(redis?.url ?? "", options), { differences: REDIS });
  });
});

describeStore("S3 (loopback)", CLAUSES, async () => {
  const s3 = await startLoopbackS3();
  const { bucket, endpoint, region, accessKeyId, secretAccessKey } = s3;
  const config = { bucket, endpoint, region, accessKeyId, secretAccessKey, prefix: "memory" };
  return ours((options) => openS3Driver(config, options), { differences: S3, release: () => s3.close() });
});

describeStore("LangGraph's InMemoryStore", CLAUSES, async () => ({
  open: async ({ index }) =>
    index ? new InMemoryStore({ index: { dims: 64, embeddings: Object(index.embeddings) } }) : new InMemoryStore(),
  release: async () => {},
  differences: IN_MEMORY_STORE,
}));

describe("on PGlite, with pgvector", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await startPglite();
  });
  afterAll(() => database.stop());

  describeStore("PostgreSQL (PGlite)", CLAUSES, async () => {
    await database.reset();
    return onPostgres(database, POSTGRES);
  });

  describeStore("LangGraph's PostgresStore", CLAUSES, async () => {
    await database.reset();
    const opened: BaseStore[] = [];
    return {
      async open({ index }) {
        const options = index ? { index: { dims: 64, embed: Object(index.embeddings) } } : {};
        const store = encodeLabels(PostgresStore.fromConnString(database.url, options));
        opened.push(store);
        return store;
      },
      async release() {
        for (const store of opened) await store.stop();
      },
      differences: UPSTREAM_POSTGRES,
    };
  });
});

const real = (await externalPostgres()) ?? (await startPostgres());
if (real) {
  describe("on a real server", () => {
    afterAll(() => real.stop());
    describeStore(`PostgreSQL (${real.name})`, CLAUSES, async () => {
      await real.reset();
      return onPostgres(real, real.hasVectors ? POSTGRES : WITHOUT_VECTORS);
    });
  });
}

function onPostgres(database: TestDatabase, differences: Record<string, string>): StoreUnderTest {
  const { store } = loadConfig({ environment: { STORE_URL: database.url, POSTGRES_POOL_MAX: "4" }, directory: "/" });
  if (store.backend !== "postgres") throw new TypeError("expected PostgreSQL");
  return ours((options) => openPostgresDriver(store, options), { differences });
}
