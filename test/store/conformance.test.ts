import { type BaseStore, InMemoryStore } from "@langchain/langgraph-checkpoint";
import { PostgresStore } from "@langchain/langgraph-checkpoint-postgres/store";
import { afterAll, beforeAll, describe } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { encodeLabels } from "../../src/store/encoded-labels.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import type { RowDriver } from "../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { externalPostgres, startPglite, startPostgres, type TestDatabase } from "../support/postgres.ts";
import { BEYOND } from "./conformance/beyond.ts";
import { describeStore, type OpenOptions, type StoreUnderTest } from "./conformance/describe-store.ts";
import {
  IN_MEMORY_STORE,
  MEMORY,
  POSTGRES,
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

describeStore("SQLite", CLAUSES, async () => {
  const folder = temporaryFolder();
  return ours(async (options) => openSqliteDriver(folder.path("memory.db"), options), {
    differences: SQLITE,
    release: async () => folder[Symbol.dispose](),
  });
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
