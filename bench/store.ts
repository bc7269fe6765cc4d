import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BATCH, type Block, keyOf, numberedNamespace, PER_USER, textOf, userBlock } from "./data.ts";
import { openDatabase } from "./database.ts";
import { createMemoryScan, openSqlFloor } from "./floors.ts";
import { loadSqlite, openPostgresLoader, type PostgresLoader } from "./load.ts";
import { countStatements, type Effort, interleave, type Run, type Timing } from "./measure.ts";
import { expectEqualSearches, getBatch, type Operation, putBatch, putOne, searchIn } from "./operations.ts";
import { createMemoryPeer, NAMES, openPeer, type Peer, type StoreKind } from "./peers.ts";
import { startWriters, type Writers } from "./writers.ts";

/** One operation by all peers that have it. */
export interface Case {
  operation: "put" | "batch" | "gets" | "search in one user" | "search in one namespace";
  /** Users of 100 memories, or memories of the namespace. */
  size: number;
  results: { peer: string; alone: Timing; beside?: Timing; besideInSame?: Timing }[];
}

/** What one batch of puts costs beside time. */
export interface BatchCost {
  peer: string;
  statements: number;
  embeddingCalls: number;
}

/** Everything one run found. */
export interface StoreReport {
  quick: boolean;
  database: string;
  cases: Case[];
  batchCosts: BatchCost[];
}

interface Sizes {
  users: readonly number[];
  namespaces: readonly number[];
  effort: Effort;
}

const WHOLE: Sizes = {
  users: [10, 100, 1_000],
  namespaces: [1_000, 10_000],
  effort: { rounds: 200, least: 7, warmUp: 20, budgetMs: 2_000 },
};
const QUICK: Sizes = {
  users: [2, 4, 8],
  namespaces: [100, 500],
  effort: { rounds: 8, least: 1, warmUp: 6, budgetMs: 80 },
};

/** InMemoryStore keeps vectors as lists of doubles: 12 KB each. */
const IN_MEMORY_USERS = 100;
const SAMPLED_USERS = 10;
const BESIDE = ["bench", "beside"];
/** The memories of the namespaces: other numbers than those of the users. */
const NAMESPACE_FIRST = 200_000;

/**
 * The peers that are timed against each other: those of goals, in two groups, since what InMemoryStore leaves in the
 * memory of the process is not for the others to pay.
 */
const ALONE: readonly (readonly string[])[] = [
  [NAMES.sqlite, NAMES.scan, NAMES.memory],
  [NAMES.postgres, NAMES.sql, NAMES.upstream],
];
/** The peers that share a file or database, and so are measured beside the same writer. */
const BESIDE_WRITER: Record<StoreKind, readonly string[]> = {
  sqlite: [NAMES.sqlite, NAMES.scan],
  postgres: [NAMES.postgres, NAMES.sql],
  upstream: [NAMES.upstream],
};

/** Runs the benchmark of the stores, in a folder and a database of its own. `note` is told of the progress. */
export async function runStoreBench(
  { postgres, quick }: { postgres: string | undefined; quick: boolean },
  note: (line: string) => void,
): Promise<StoreReport> {
  const closers: (() => Promise<unknown>)[] = [];
  const onEnd = (close: () => Promise<unknown>) => void closers.unshift(close);
  try {
    const folder = await mkdtemp(join(tmpdir(), "mnemail-bench-"));
    onEnd(() => rm(folder, { recursive: true, force: true }));
    note(postgres === undefined ? "starting PGlite" : "making a database");
    const database = await openDatabase(postgres, folder);
    onEnd(() => database.stop());
    const places = { sqlite: join(folder, "memory.db"), postgres: database.url, upstream: database.url };
    const stores: Peer[] = [];
    onEnd(() => Promise.all(stores.map((store) => store.close())));
    for (const kind of ["sqlite", "postgres", "upstream"] as const) stores.push(await openPeer(kind, places[kind]));
    stores.push(await openSqlFloor(database.url));
    const loader = await openPostgresLoader(database.url);
    onEnd(() => loader.close());
    // Ours prepares its statements first: on PGlite all connections are one session, and who comes later goes without.
    for (const store of stores) await putOne(store)?.(0);
    note("starting the second processes");
    const writers = await startWriters(places);
    onEnd(() => writers.end());

    const sizes = quick ? QUICK : WHOLE;
    const bench = new StoreBench({ stores, loader, writers, sqlite: places.sqlite, note, sizes });
    await bench.measureUsers();
    await bench.measureNamespaces();
    return { quick, database: database.description, cases: bench.cases, batchCosts: bench.batchCosts };
  } finally {
    for (const close of closers) await close();
  }
}

class StoreBench {
  readonly cases: Case[] = [];
  readonly batchCosts: BatchCost[] = [];
  readonly #stores: readonly Peer[];
  readonly #loader: PostgresLoader;
  readonly #writers: Writers;
  readonly #sqlite: string;
  readonly #note: (line: string) => void;
  readonly #sizes: Sizes;

  constructor(options: {
    stores: readonly Peer[];
    loader: PostgresLoader;
    writers: Writers;
    sqlite: string;
    note: (line: string) => void;
    sizes: Sizes;
  }) {
    this.#stores = options.stores;
    this.#loader = options.loader;
    this.#writers = options.writers;
    this.#sqlite = options.sqlite;
    this.#note = options.note;
    this.#sizes = options.sizes;
  }

  /** Searches among more and more users; gets and puts among the fewest. */
  async measureUsers(): Promise<void> {
    let before = 0;
    for (const users of this.#sizes.users) {
      const blocks = Array.from({ length: users }, (_, user) => userBlock(user));
      await this.#load(blocks, blocks.slice(before));
      const sampled = Math.min(users, SAMPLED_USERS);
      const sample = Array.from({ length: sampled }, (_, i) => userBlock(Math.floor((i * users) / sampled)));
      const peers = [...this.#stores, createMemoryScan(sample), ...(await this.#inMemory(users, blocks))];
      for (const block of sample.slice(0, 2)) await expectEqualSearches(peers, block);
      const search = () => this.#measure("search in one user", users, peers, searchIn(sample));
      // The first ones of a process meet code that is not compiled yet.
      if (before === 0) await search();
      this.cases.push(await search());
      if (before === 0) await this.#measureWrites(users, peers);
      before = users;
    }
  }

  async measureNamespaces(): Promise<void> {
    const blocks = this.#sizes.namespaces.map((count, i): Block => {
      const first = NAMESPACE_FIRST + 50_000 * i;
      return { namespace: numberedNamespace("namespace", count), first, count };
    });
    await this.#load(blocks, blocks);
    const peers = [...this.#stores, createMemoryScan(blocks), ...(await this.#inMemory(0, blocks))];
    for (const block of blocks) await expectEqualSearches(peers, block);
    for (const block of blocks) {
      const search = searchIn([block]);
      this.cases.push(await this.#measure("search in one namespace", block.count, peers, search, block.namespace));
    }
  }

  async #measureWrites(users: number, peers: readonly Peer[]): Promise<void> {
    this.cases.push(await this.#measure("gets", users, peers, getBatch(users)));
    this.#note("building upstream's HNSW index");
    await this.#loader.createUpstreamIndex();
    this.cases.push(await this.#measure("put", users, peers, putOne));
    this.cases.push(await this.#measure("batch", users, peers, putBatch));
    for (const peer of peers) {
      const run = putBatch(peer);
      if (!run || !peer.embeddingCalls) continue;
      const before = peer.embeddingCalls();
      const statements = await countStatements(() => run(0));
      this.batchCosts.push({ peer: peer.name, statements, embeddingCalls: peer.embeddingCalls() - before });
    }
    await this.#loader.dropUpstreamIndex();
  }

  /** PostgreSQL holds exactly `all` after this; SQLite, which only looks at what it searches, `added` besides. */
  async #load(all: readonly Block[], added: readonly Block[]): Promise<void> {
    this.#note(`loading ${all.reduce((sum, { count }) => sum + count, 0)} memories by SQL`);
    await this.#loader.empty();
    await this.#loader.load(all);
    loadSqlite(this.#sqlite, added);
  }

  /** InMemoryStore with the same memories, by its own put; nothing where they are too many. */
  async #inMemory(users: number, blocks: readonly Block[]): Promise<Peer[]> {
    if (users > IN_MEMORY_USERS) return [];
    const peer = createMemoryPeer();
    for (const { namespace, first, count } of blocks) {
      for (let at = 0; at < count; at += PER_USER) {
        const numbers = Array.from({ length: Math.min(PER_USER, count - at) }, (_, i) => first + at + i);
        await peer.putAll?.(numbers.map((n) => ({ namespace, key: keyOf(n), text: textOf(n) })));
      }
    }
    return [peer];
  }

  async #measure(
    operation: Case["operation"],
    size: number,
    peers: readonly Peer[],
    toRun: Operation,
    namespace?: string[],
  ): Promise<Case> {
    this.#note(`measuring ${operation === "batch" ? `batch of ${BATCH} puts` : operation}, ${size}`);
    const { effort } = this.#sizes;
    const runs = new Map(
      peers.flatMap((peer) => {
        const run = toRun(peer);
        return run ? [[peer.name, run] as const] : [];
      }),
    );
    const alone = new Map<string, Timing>();
    for (const names of ALONE) {
      const together = new Map([...runs].filter(([name]) => names.includes(name)));
      for (const [name, timing] of await interleave(together, effort)) alone.set(name, timing);
    }
    const beside = await this.#besideWriters(runs, BESIDE);
    const besideInSame = namespace && (await this.#besideWriters(runs, namespace));
    return {
      operation,
      size,
      results: [...alone].map(([peer, timing]) => {
        const [other, same] = [beside.get(peer), besideInSame?.get(peer)];
        return { peer, alone: timing, ...(other ? { beside: other } : {}), ...(same ? { besideInSame: same } : {}) };
      }),
    };
  }

  async #besideWriters(runs: ReadonlyMap<string, Run>, namespace: readonly string[]): Promise<Map<string, Timing>> {
    const found = new Map<string, Timing>();
    for (const kind of this.#writers.kinds) {
      const together = new Map([...runs].filter(([name]) => BESIDE_WRITER[kind].includes(name)));
      const timings = await this.#writers.beside(kind, namespace, () => interleave(together, this.#sizes.effort));
      for (const [name, timing] of timings) found.set(name, timing);
    }
    return found;
  }
}
